// The page: one stream of snapshots comes in, and each part shows what it is about.

import { actions } from "./actions.js";
import { follow, keepToken } from "./connection.js";
import { decisions, prepare as prepareDecisions } from "./decisions.js";
import { attribute, byId, el, replace, text } from "./dom.js";
import { flow } from "./flow.js";
import { clock, count, dollars, duration, number, percent, plural, rate, short, span } from "./format.js";
import { freeze, prepare as prepareFreeze } from "./freeze.js";
import { prepare as prepareKeys } from "./keys.js";
import { money, saved, today } from "./money.js";
import { radar, ready } from "./radar.js";
import { prepare as prepareRoutes, routes } from "./routes.js";
import { fails, sentence } from "./sentence.js";
import { services } from "./services.js";
import { prepare as prepareTheme } from "./theme.js";
import { prepare as prepareTimeline, timeline } from "./timeline.js";
import { against } from "./words.js";

const SIGNS = {
  good: "M24 4a20 20 0 1 0 0 40 20 20 0 1 0 0-40M15 25l6.5 6.5L33 18",
  warn: "M24 5L45 42H3zM24 19v11M24 35.5v.6",
  bad: "M15.7 4h16.6L44 15.7v16.6L32.3 44H15.7L4 32.3V15.7zM17 17l14 14M31 17L17 31",
  wait: "M24 4a20 20 0 1 0 0 40 20 20 0 1 0 0-40M24 13v11l7 5",
};

let snapshot = null;
let link = { state: "wait" };

function draw() {
  verdict();
  if (!snapshot) return;
  tiles();
  for (const part of [flow, radar, ready, actions, timeline, services, money, routes, decisions, freeze, edges]) part(snapshot);
}

function verdict() {
  const said = sentence(snapshot, link);
  attribute(byId("verdict"), "data-level", said.level);
  attribute(byId("sign"), "d", SIGNS[said.level]);
  text(byId("word"), said.word);
  text(byId("headline"), said.headline);
  text(byId("detail"), said.detail);
  replace(byId("more"), said.more, () => said.more.map((line) => el("li", {}, el("span", { "aria-hidden": "true" }, "•"), el("span", {}, line))));
  const title = `${{ good: "✓", warn: "▲", bad: "✕", wait: "…" }[said.level]} ${said.word} · Pacer`;
  if (document.title !== title) document.title = title;
}

/** Four numbers that are asked for most. */
function tiles() {
  const { flow: now, services: all } = snapshot;
  const sum = (of) => all.reduce((total, service) => total + (of(service) ?? 0), 0);
  const [asked, errors] = [sum((service) => service.minute?.requests), sum((service) => service.minute?.failed)];
  const slowest = all.filter((service) => service.minute?.requests).sort((one, other) => (other.minute.p99_at_most_ms ?? 1e9) - (one.minute.p99_at_most_ms ?? 1e9))[0];
  const p99 = slowest?.minute.p99_at_most_ms;
  const parts = [
    ["Requests", now ? number(now.requests) : "–", "a second", now ? `${plural(now.in_flight, "request")} in flight` : "no rate yet"],
    ["Failed, last minute", asked ? percent(errors / asked) : "–", "", asked ? `${count(errors)} of ${plural(asked, "request")}` : "no request yet", all.some(fails)],
    ["p99, slowest service", slowest ? (p99 == null ? "> 2 min" : `≤ ${duration(p99)}`) : "–", "", slowest ? `${short(slowest.name, 40)}, last minute` : "no request yet"],
    cost(),
  ];
  replace(byId("tiles"), parts, () => parts.map(([term, value, unit, sub, over]) => el("div", {}, el("dt", {}, over ? "▲ " : "", term), el("dd", {},
    el("p", { class: over ? "big over" : "big" }, value, unit ? el("span", { class: "unit" }, unit) : null), el("p", { class: "sub" }, sub)))));
}

function cost() {
  const day = today(snapshot);
  if (day) {
    const { usd, against: other } = saved(day);
    const beside = usd === null ? "nothing to compare with yet" : `${usd < 0 ? "dearer by" : "saved"} ${dollars(Math.abs(usd))}${other ? `, against ${against(other)}` : ""}`;
    return ["Cost today", dollars(day.total ?? 0), "", beside];
  }
  const tasks = snapshot.services.reduce((total, service) => total + (service.container?.ready ?? 0), 0);
  const starting = snapshot.services.reduce((total, service) => total + (service.container?.starting ?? 0), 0);
  return ["Tasks ready", number(tasks), "", starting ? `${number(starting)} starting` : "none starting"];
}

/** What stands around the page: where this is, and since when. */
function edges() {
  const { gateways, policy, version, uptime_seconds: up } = snapshot;
  const others = gateways ? ` · ${plural(gateways.live, "gateway")}, ${gateways.leader ? "this one leads" : "another leads"}` : " · alone";
  text(byId("where"), `${location.host} · up ${span(up)}${others}`);
  const warnings = policy.warnings.length ? ` · ${plural(policy.warnings.length, "warning")}: ${short(policy.warnings.join("; "), 400)}` : "";
  text(byId("foot"), `Pacer ${short(version, 20)} · policy ${short(policy.hash, 20)} since ${clock(policy.loaded)}, ${plural(policy.services, "service")}, ${plural(policy.routes, "route")}${warnings}`);
}

function told() {
  attribute(byId("link"), "data-state", link.state);
  text(byId("link-text"), link.state === "live" ? `live ${clock(snapshot.at)}` : link.state === "gone" ? `no answer since ${clock(link.since)}` : "connecting");
}

function askForToken() {
  const dialog = byId("asking");
  if (!dialog.open) dialog.showModal();
  return new Promise((resume) => {
    byId("asking-form").onsubmit = (event) => {
      event.preventDefault();
      keepToken(byId("asking-token").value);
      byId("asking-token").value = "";
      dialog.close();
      resume();
    };
    dialog.oncancel = (event) => event.preventDefault();
  });
}

for (const prepare of [prepareTheme, prepareDecisions, prepareFreeze, prepareKeys, prepareRoutes, prepareTimeline]) prepare();
new ResizeObserver(() => snapshot && flow(snapshot)).observe(byId("flow"));
draw();
follow({
  snapshot(next) {
    [snapshot, link] = [next, { state: "live" }];
    // What is not seen is not drawn, but for the tab's title; it is as soon as it is looked at again.
    if (document.hidden) verdict();
    else draw();
    told();
  },
  gone(why, since) {
    link = { state: "gone", why, since };
    verdict();
    told();
  },
  token: askForToken,
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !snapshot) return;
  draw();
  told();
});
// While the gateway is gone, the time since is told.
setInterval(() => link.state === "gone" && verdict(), 5_000);
