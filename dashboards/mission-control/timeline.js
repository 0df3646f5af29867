// The time of one service: what was forecast against what came, and what was planned and ready for it. Asked for on its own,
// as often as plans come.

import { band, key, line, plot, steps } from "./chart.js";
import { ask } from "./connection.js";
import { byId, el, replace, svg, text } from "./dom.js";
import { clock, number, plural, short, span } from "./format.js";

// Plans come every ten seconds, but in the demo, whose time runs faster.
const ASK_EVERY_MS = 10_000;
const ASK_OFTEN_MS = 2_000;
const LEAST = 200;
const HEIGHT = { fan: 210, capacity: 210 };

let chosen = null;
let known = null;
let asked = 0;
// How many times as fast as real the plans' time passes.
let scale = 1;

/** Is told each snapshot: offers its services, and asks for the timeline when that is due. */
export function timeline(snapshot) {
  const names = snapshot.services.filter((service) => service.plan?.tasks != null).map((service) => service.name);
  const select = byId("time-service");
  if (!names.includes(chosen)) [chosen, known, asked] = [names[0] ?? null, null, 0];
  const sorted = [...names].sort();
  replace(select, sorted, () => sorted.map((name) => el("option", { value: name }, short(name, 60))));
  if (chosen !== null && select.value !== chosen) select.value = chosen;
  const service = snapshot.services.find((one) => one.name === chosen);
  text(byId("time-why"), service ? why(service) : "");
  scale = service?.plan.time_scale ?? 1;
  const often = 1.5 < scale;
  if (chosen !== null && (often ? ASK_OFTEN_MS : ASK_EVERY_MS) <= Date.now() - asked) refresh();
  if (chosen === null) draw();
}

function why({ mode, plan, container }) {
  const verb = mode === "act" ? "Plan" : "In observe; the plan would be";
  const have = container ? ` ${plural(container.ready, "task")} ready${container.starting ? `, ${number(container.starting)} starting` : ""}.` : "";
  const fast = 1.5 < plan.time_scale ? ` Time in this demo runs ${number(plan.time_scale)} times as fast: ${span(plan.start_seconds)} of its own are ${span(plan.start_seconds / plan.time_scale)} here.` : "";
  return `${verb}: ${plan.why}.${have} It looks ${span(plan.start_seconds)} ahead: as long as a task takes to start.${fast}`;
}

async function refresh() {
  const wanted = chosen;
  asked = Date.now();
  try {
    const timeline = await ask(`/live/timeline?service=${encodeURIComponent(wanted)}`);
    if (wanted === chosen) known = timeline;
  } catch {
    // The stream says when the gateway is gone; what was drawn last stays.
  }
  draw();
}

export function prepare() {
  byId("time-service").addEventListener("change", (event) => {
    [chosen, known] = [event.target.value, null];
    refresh();
  });
  new ResizeObserver(draw).observe(byId("fan"));
}

function draw() {
  const width = Math.floor(byId("fan").clientWidth);
  if (width < LEAST) return;
  const points = known?.points.map((row) => Object.fromEntries(known.columns.map((name, index) => [name, row[index]]))) ?? [];
  const state = [width, chosen, points.length, points.at(-1), known?.actions];
  const few = points.length < 2;
  const nothing = chosen === null ? "Nothing is planned: no service has containers, or its mode is off." : "The first plans come within half a minute.";
  replace(byId("fan"), state, () => (few ? el("p", { class: "none" }, nothing) : fan(width, points)));
  replace(byId("capacity"), state, () => (few ? [] : capacity(width, points)));
}

function range(points) {
  return { from: points[0].at_ms, now: points.at(-1).at_ms, until: Math.max(points.at(-1).due_ms, points.at(-1).at_ms + 1000) };
}

/** Demand as it was forecast, and as it came. */
function fan(width, points) {
  const { from, now, until } = range(points);
  // What was forecast for a moment last is what was planned by; a moment before the first point was nobody's.
  const ahead = points.filter((point) => from <= point.due_ms).sort((one, other) => one.due_ms - other.due_ms);
  const most = Math.max(...points.flatMap(({ demand, p90 }) => [demand, p90]), 0.5);
  const picture = plot(width, HEIGHT.fan, from, until, most * 1.05, "slots");
  const last = points.at(-1);
  const said = `Demand is ${number(last.demand)} busy slots; ${number(last.expected)} are expected at ${clock(last.due_ms)}, nine times in ten no more than ${number(last.p90)}.`;
  return [
    el("figcaption", {}, "Forecast against actual, in busy slots"),
    el("p", { class: "legend" }, key("actual", "demand, by the minute"), key("raw", "by ten seconds"), key("expected", "expected"), key("fan", "up to what nine of ten times suffices (p90)", "area")),
    svg("svg", { viewBox: `0 0 ${width} ${HEIGHT.fan}`, role: "img", "aria-label": said }, picture.parts,
      band(picture, ahead.map((point) => [point.due_ms, point.expected, point.p90]), "fan"),
      line(picture, ahead.map((point) => [point.due_ms, point.expected]), "expected"),
      line(picture, points.map((point) => [point.at_ms, point.demand]), "raw"), line(picture, byMinute(points), "actual"), present(picture, now)),
  ];
}

/** The mean of the minute around each point, as it is forecast; of the last half minute there is none yet. */
function byMinute(points) {
  const half = 30_000 / scale;
  const last = points.at(-1).at_ms;
  return points.filter((point) => point.at_ms + half <= last + 1000).map(({ at_ms: at }) => {
    const near = points.filter((point) => Math.abs(point.at_ms - at) <= half);
    return [at, near.reduce((sum, point) => sum + point.demand, 0) / near.length];
  });
}

function present(picture, now) {
  const x = picture.x(now);
  return [svg("line", { x1: x, x2: x, y1: 4, y2: picture.bottom, class: "now" }),
    svg("text", { x: x - 5, y: 15, class: "s e halo" }, "now")];
}

/** What was ready for it, and what was planned. */
function capacity(width, points) {
  const { from, now, until } = range(points);
  const per = known.slots_per_task ?? 1;
  const most = Math.max(...points.flatMap((point) => [point.demand, point.slots, point.planned_tasks * per]), 1);
  const picture = plot(width, HEIGHT.capacity, from, until, most * 1.12, "slots");
  const ready = steps(points.map((point) => [point.at_ms, point.slots]), now);
  const planned = steps(points.map((point) => [point.at_ms, point.planned_tasks * per]), until);
  const marks = known.actions.filter((action) => from <= action.at_ms && action.at_ms <= until).map((action) => {
    const x = picture.x(action.at_ms);
    return svg("path", { d: `M${x} ${picture.bottom - 12}l6 10h-12z`, class: `mark${action.failed ? " failed" : ""}` },
      svg("title", {}, `${clock(action.at_ms)} ${short(action.what)}${action.failed ? ", failed" : ""}`));
  });
  const last = points.at(-1);
  const said = `${plural(last.ready_tasks, "task")} ready with ${plural(last.slots, "slot")}, ${number(last.planned_tasks)} planned, ${number(last.demand)} slots busy; ${plural(known.actions.length, "action")} in this time.`;
  return [
    el("figcaption", {}, `Capacity, in slots (${plural(per, "slot")} a task)`),
    el("p", { class: "legend" }, key("actual", "demand"), key("slots-edge", "ready"), key("planned", "planned"), key("mark", "Pacer acted", "mark")),
    svg("svg", { viewBox: `0 0 ${width} ${HEIGHT.capacity}`, role: "img", "aria-label": said }, picture.parts,
      band(picture, ready.map(([ms, slots]) => [ms, 0, slots]), "slots"), line(picture, ready, "slots-edge"), line(picture, planned, "planned"),
      line(picture, points.map((point) => [point.at_ms, point.demand]), "actual"), present(picture, now), marks),
  ];
}
