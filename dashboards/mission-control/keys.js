// All of the page by keyboard.

import { byId, el } from "./dom.js";
import { hold } from "./decisions.js";
import { next } from "./theme.js";

const to = (id) => () => {
  const target = byId(id);
  if (target.closest("[hidden]")) return;
  target.focus({ preventScroll: true });
  target.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
};

const KEYS = [
  ["?", "these keys", () => toggle()],
  ["h", "how things are", to("verdict")],
  ["f", "what flows where", to("flow-title")],
  ["r", "radar", to("radar-title")],
  ["a", "what Pacer did", to("actions-title")],
  ["c", "capacity and forecast", to("time-title")],
  ["s", "services", to("services-title")],
  ["m", "money", to("money-title")],
  ["/", "find a route", to("routes-find")],
  ["d", "recent decisions", to("decisions-title")],
  ["p", "hold the decisions still, or go on", hold],
  ["t", "light, dark, or as the system", next],
];

export function prepare() {
  byId("keys-list").replaceChildren(...KEYS.flatMap(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)]));
  byId("help").addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches?.("input, select, textarea");
    if (typing && event.key === "Escape") event.target.blur();
    if (typing || (document.querySelector("dialog[open]") && event.key !== "?")) return;
    const found = KEYS.find(([key]) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });
}

function toggle() {
  const dialog = byId("keys");
  if (dialog.open) dialog.close();
  else if (!document.querySelector("dialog[open]")) dialog.showModal();
}
