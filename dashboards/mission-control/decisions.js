// What was decided of late: alike requests as one line, trouble first.

import { byId, el, list, replace, text } from "./dom.js";
import { duration, number, plural, short } from "./format.js";
import { end, lane, reason, ruledOut, spill } from "./words.js";

let held = false;

export function prepare() {
  byId("pause").addEventListener("click", hold);
}

/** Holds the list still, or lets it go on. */
export function hold() {
  held = !held;
  const button = byId("pause");
  button.setAttribute("aria-pressed", String(held));
  text(button, held ? "Go on" : "Hold still");
}

export function decisions(snapshot) {
  if (held) return;
  const { of, lines } = snapshot.decided;
  text(byId("decisions-note"), of ? `the last ${plural(of, "request")}, alike ones together` : "");
  const items = lines.map((line) => ({ ...line, key: JSON.stringify([line.route, line.class, line.lane, line.reason, line.spill, Math.floor(line.status / 100)]) }));
  if (items.length === 0) items.push({ key: "none" });
  list(byId("decisions"), items, (item) => item.key, make, fill);
}

function make(line) {
  if (line.key === "none") return el("li", { class: "none" }, "No request has come yet.");
  return el("li", {}, el("span", { class: "share" }), el("span", { class: "route", title: line.route }, short(line.route ?? "no route", 90)),
    el("span", { class: "said" }), el("span", { class: "took" }));
}

function fill(item, line) {
  if (line.key === "none") return;
  const [share, , said, took] = item.children;
  text(share, `${number(line.count)} ×`);
  text(took, `${duration(line.median_ms)} median`);
  const state = [line.class, line.lane, line.reason, line.spill, line.status, line.end, line.ruled_out];
  replace(said, state, () => {
    const failed = line.status === 0 || 500 <= line.status;
    const parts = [line.lane ? el("span", { class: `chip ${line.lane}` }, lane(line.lane)) : el("span", { class: "chip fail" }, "no lane"), " "];
    if (line.class) parts.push(`${line.class}: `);
    if (line.reason) parts.push(reason(line.reason));
    if (line.spill) parts.push("; ", el("span", { class: "chip spill" }, "spilled"), ` ${spill(line.spill)}`);
    const against = line.ruled_out.map(ruledOut);
    if (against.length) parts.push(`; against: ${against.join(", ")}`);
    if (failed) parts.push("; ", el("span", { class: "chip fail" }, `✕ ${line.status || "no answer"}`), line.end === "complete" ? "" : ` ${end(line.end)}`);
    else if (line.end !== "complete") parts.push(`; ${end(line.end)} (${line.status})`);
    return parts;
  });
}
