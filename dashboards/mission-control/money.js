// What it cost, what it would have cost otherwise, and how that is known.

import { byId, el, replace, show, svg } from "./dom.js";
import { dollars, percent, short } from "./format.js";
import { against } from "./words.js";

const DAYS = 7;

/** The ledger's day that is today, in UTC; the last one when today has none yet. */
export function today(snapshot) {
  const days = snapshot.ledger?.days ?? [];
  return days.find((day) => day.day === snapshot.at.slice(0, 10)) ?? null;
}

/** What was saved in a day, beside what. */
export function saved(day) {
  const methods = new Set((day?.services ?? []).map((service) => service.saved?.against).filter(Boolean));
  return { usd: day?.saved ?? null, against: methods.size === 1 ? [...methods][0] : null };
}

export function money(snapshot) {
  const { ledger } = snapshot;
  show(byId("money-panel"), ledger !== undefined);
  if (ledger === undefined) return;
  const day = today(snapshot);
  replace(byId("money"), [ledger, day?.day], () => (day ? picture(ledger, day) : el("p", { class: "none" }, "Nothing was used today yet.")));
}

function picture(ledger, day) {
  const { usd, against: other } = saved(day);
  const cost = { total: 0, lambda: 0, warm_up: 0, container: 0, idle: 0 };
  const instead = {};
  for (const service of day.services) {
    for (const part of Object.keys(cost)) cost[part] += service.cost?.[part] ?? 0;
    for (const [as, value] of Object.entries(service.instead ?? {})) if (typeof value === "number") instead[as] = (instead[as] ?? 0) + value;
  }
  const total = day.total ?? cost.total;
  const sum = (term, value, sub) => el("div", {}, el("dt", {}, term), el("dd", {}, el("p", { class: "big" }, value), sub && el("p", { class: "note" }, sub)));
  const share = usd !== null && 0 < total + usd ? ` (${percent(Math.abs(usd) / (total + usd))})` : "";
  return [
    el("dl", { class: "sum" },
      sum("Cost today", dollars(total), `Lambda ${dollars(cost.lambda)}${cost.warm_up ? ` (warming ${dollars(cost.warm_up)})` : ""}, containers ${dollars(cost.container)}, of which idle ${dollars(cost.idle)}`),
      usd !== null && sum(usd < 0 ? "Dearer by" : "Saved today", dollars(Math.abs(usd)) + share, other ? `against ${against(other)}` : "against the cheaper of the plain ways, service by service"),
      typeof day.own === "number" && sum("Pacer itself", dollars(day.own), "included in the cost")),
    bars([["as it ran", total, true], ...Object.entries(instead).map(([as, value]) => [against(as), value, false])]),
    ledger.method ? el("p", { class: "method" }, `How this is known: ${short(ledger.method, 400)}.${estimated(day)}`) : null,
    days(ledger.days ?? []),
  ];
}

/** How much of what Lambda billed is an estimate, where it did not report. */
function estimated({ services }) {
  const most = services.reduce((one, other) => ((one?.estimated ?? 0) < (other.estimated ?? 0) ? other : one), null);
  return most?.estimated ? ` Of the time that Lambda billed, ${percent(most.estimated)} is estimated at ${short(most.service, 60)}, the most of all.` : "";
}

function bars(rows) {
  const most = Math.max(...rows.map(([, value]) => value), 1e-12);
  return el("div", { class: "bars" }, rows.map(([name, value, own]) => el("div", {}, el("span", {}, short(name, 40)),
    svg("svg", { viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: Math.max(0.5, (value / most) * 100), height: 14, class: own ? "own" : "other" })),
    el("span", {}, dollars(value)))));
}

function days(all) {
  const last = [...all].sort((one, other) => (one.day < other.day ? 1 : -1)).slice(1, DAYS + 1);
  if (last.length === 0) return null;
  return el("p", { class: "method" }, `Before: ${last.map((day) => `${day.day} ${dollars(day.total ?? 0)}${typeof day.saved === "number" ? `, ${day.saved < 0 ? "dearer by" : "saved"} ${dollars(Math.abs(day.saved))}` : ""}`).join(" · ")}.`);
}
