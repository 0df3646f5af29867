// Minutes to trouble, by service, with what says so and what is done about it; and what is left of error budgets.

import { byId, el, replace, show, text } from "./dom.js";
import { minutes, number, percent, plural, short } from "./format.js";
import { warning } from "./words.js";

const LEVELS = ["now", "soon", "watch", "ok"];
const WORDS = { now: "▲ trouble", soon: "▲ soon", watch: "● watch", ok: "✓ clear" };
const SHOWN = 8;

export function radar(snapshot) {
  const { radar: found } = snapshot;
  show(byId("radar-panel"), found !== undefined);
  if (found === undefined) return;
  const warnings = found.services
    .flatMap((service) => (service.warnings ?? []).map((one) => ({ ...one, service: service.service })))
    .sort((one, other) => LEVELS.indexOf(one.level) - LEVELS.indexOf(other.level) || (one.minutes ?? 1e9) - (other.minutes ?? 1e9));
  const budgets = found.services.filter((service) => service.error_budget).map(({ service, error_budget }) => ({ service, ...error_budget }));
  budgets.sort((one, other) => one.left - other.left);
  text(byId("radar-note"), warnings.length ? `${plural(warnings.length, "warning")}, soonest first` : "time until trouble");
  replace(byId("radar"), [warnings, budgets], () => [list(warnings, found.services.length), budgetList(budgets)]);
}

function list(warnings, services) {
  if (warnings.length === 0) {
    return el("p", { class: "none" }, services ? `✓ Clear: nothing ahead for ${plural(services, "service")}.` : "Nothing is watched yet.");
  }
  const rest = warnings.length - SHOWN;
  return el("div", { class: "blips" }, warnings.slice(0, SHOWN).map(blip), rest > 0 && el("p", { class: "none" }, `and ${rest} more, see /radar`));
}

function blip(found) {
  const state = found.action?.state;
  const then = { taken: "Done: ", proposed: "To do: " }[state];
  return el("div", { class: "blip", "data-level": found.level },
    el("div", {}, el("p", { class: "eta" }, minutes(found.level === "now" ? 0 : found.minutes)), el("p", { class: "tag" }, WORDS[found.level] ?? short(found.level, 20))),
    el("div", {},
      el("p", {}, el("b", {}, short(found.service, 60)), ` · ${warning(found.kind)}`),
      el("p", {}, short(found.says, 240)),
      then && found.action.says ? el("p", { class: "then" }, then + short(found.action.says, 240)) : el("p", { class: "then" }, "Nothing done or proposed."),
      evidence(found.evidence)));
}

function evidence(numbers) {
  const entries = Object.entries(numbers ?? {}).filter(([, value]) => typeof value === "number" || typeof value === "string").slice(0, 6);
  if (entries.length === 0) return null;
  const told = entries.map(([name, value]) => `${short(name, 40).replaceAll("_", " ")} ${typeof value === "number" ? number(value) : short(value, 60)}`);
  return el("p", { class: "evidence" }, told.join(" · "));
}

function budgetList(budgets) {
  if (budgets.length === 0) return null;
  return el("div", { class: "budget" }, el("p", {}, "Error budget left"), budgets.slice(0, 6).map(({ service, left, window }) =>
    el("div", {}, el("span", {}, short(service, 40)),
      el("meter", { min: 0, max: 1, low: 0.1, high: 0.35, optimum: 1, value: Math.max(0, left), "aria-label": `error budget left of ${short(service, 40)}` }),
      el("span", {}, `${percent(Math.max(0, left))}${window ? ` of ${short(window, 12)}` : ""}`))));
}

/** Services in observe that are ready to act. */
export function ready(snapshot) {
  const found = (snapshot.radar?.services ?? []).filter((service) => service.ready_to_act?.ready);
  replace(byId("ready"), found.map((service) => [service.service, service.ready_to_act]), () =>
    found.map((service) => el("p", { class: "ready" }, el("b", {}, `✓ ${short(service.service, 60)} is ready to act. `), short(service.ready_to_act.says ?? "", 300))));
}
