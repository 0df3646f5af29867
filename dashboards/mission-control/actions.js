// What Pacer did in the last quarter of an hour, newest first.

import { byId, el, list, text } from "./dom.js";
import { clock, short } from "./format.js";

export function actions(snapshot) {
  const parent = byId("actions");
  const { actions: done, policy } = snapshot;
  const items = done.map((action) => ({ ...action, key: [action.at, action.service, action.kind, action.what].join(" ") }));
  if (policy.applied && Date.parse(snapshot.at) - Date.parse(policy.loaded) < 15 * 60_000) {
    items.push({ key: `policy ${policy.loaded}`, at: policy.loaded, service: "policy", what: `now ${policy.hash}`, why: "its files changed" });
    items.sort((one, other) => Date.parse(other.at) - Date.parse(one.at));
  }
  if (items.length === 0) items.push({ key: "nothing" });
  list(parent, items, (item) => item.key, make, () => {});
  if (items[0].key === "nothing") text(parent.firstElementChild, idle(snapshot));
}

function make(action) {
  if (action.key === "nothing") return el("li", { class: "none" });
  return el("li", {}, el("time", { datetime: action.at }, clock(action.at)),
    el("p", { title: short(action.what, 1000) }, el("b", {}, short(action.service, 60)), ` ${short(abridged(action.what), 200)}`),
    action.why ? el("p", { class: "because" }, short(action.why, 260)) : null,
    action.error ? el("p", { class: "failed" }, `✕ failed: ${short(action.error, 260)}`) : null);
}

/** Names of tasks by their first letters, as ECS's console abridges them. */
const abridged = (text) => text.replaceAll(/\b([0-9a-f]{8})[0-9a-f]{24}\b/g, "$1…");

function idle({ services, frozen, gateways }) {
  if (frozen) return "Nothing: scaling is frozen.";
  if (gateways && !gateways.leader) return "Nothing here: another gateway leads, and acts for all.";
  if (services.every((service) => service.mode !== "act")) return "Nothing, as no service is in mode act.";
  return "Nothing: no change was needed.";
}
