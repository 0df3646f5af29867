// What is known of each route: a page of them at a time, found by the gateway, however many there are.

import { ask } from "./connection.js";
import { byId, el, list, replace, text } from "./dom.js";
import { duration, number, plural, rate, short } from "./format.js";
import { lane, reason } from "./words.js";

const ASK_EVERY_MS = 3_000;
const TYPING_MS = 200;

let wanted = { find: "", sort: "rate", page: 0 };
let visible = true;
let asked = 0;
let running = 0;

export function prepare() {
  let typing;
  byId("routes-form").addEventListener("submit", (event) => event.preventDefault());
  byId("routes-find").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => want({ find: event.target.value, page: 0 }), TYPING_MS);
  });
  byId("routes-sort").addEventListener("change", (event) => want({ sort: event.target.value, page: 0 }));
  byId("routes-back").addEventListener("click", () => want({ page: wanted.page - 1 }));
  byId("routes-next").addEventListener("click", () => want({ page: wanted.page + 1 }));
  // What nobody sees is not asked for.
  new IntersectionObserver(([entry]) => {
    visible = entry.isIntersecting;
  }, { rootMargin: "200px" }).observe(byId("routes-panel"));
}

function want(change) {
  wanted = { ...wanted, ...change };
  refresh();
}

/** Is called with each snapshot. */
export function routes() {
  if (visible && ASK_EVERY_MS <= Date.now() - asked) refresh();
}

async function refresh() {
  asked = Date.now();
  running += 1;
  const mine = running;
  try {
    const page = await ask(`/live/routes?${new URLSearchParams(wanted)}`);
    // An answer that was overtaken says nothing any more.
    if (mine === running) draw(page);
  } catch (error) {
    if (mine === running) text(byId("routes-note"), `not asked: ${error.message}`);
  }
}

function draw(page) {
  wanted.page = page.page;
  const all = plural(page.total, "route");
  text(byId("routes-note"), page.found === page.total ? all : `${number(page.found)} of ${all}`);
  text(byId("routes-page"), `page ${number(page.page + 1)} of ${number(page.pages)}`);
  byId("routes-back").disabled = page.page === 0;
  byId("routes-next").disabled = page.pages <= page.page + 1;
  const body = byId("routes").tBodies[0];
  list(body, page.rows, (row) => `${row.name}\n${row.service}`, make, fill);
  if (page.rows.length === 0) replace(body, "none", () => el("tr", {}, el("td", { class: "none", colspan: 7 }, "No route has this in its name.")));
  else body.shown = null;
}

function make(route) {
  const cell = (label, kind) => el("td", { "data-label": label, class: kind });
  return el("tr", {}, el("th", { scope: "row", title: `${route.name}\n${route.place}` }, short(route.name, 100), el("span", { class: "sub" }, short(route.service, 60))),
    cell("Requests", "num"), cell("Failed", "num"), cell("Class and lane", "lanes"), cell("p50", "num"), cell("p95", "num"), cell("Why", "whyc"));
}

function fill(row, route) {
  const [, requests, failed, where, p50, p95, why] = row.children;
  text(requests, rate(route.rate));
  text(failed, rate(route.failed));
  const seen = route.beliefs.filter((belief) => 0 < belief.seen);
  const main = seen.reduce((one, other) => (one && other.seen <= one.seen ? one : other), null) ?? route.beliefs[0];
  replace(where, [route.class, main?.class, main?.lane, seen.map((belief) => belief.lane)], () => {
    if (!main) return "–";
    const lanes = [...new Set((seen.length ? seen : [main]).map((belief) => belief.lane ?? "refuse"))];
    return [el("span", {}, main.class, " "), lanes.map((name) => el("span", { class: `chip ${name}` }, lane(name)))];
  });
  const times = (key) => {
    const values = seen.map((belief) => belief[key] / 1000);
    if (values.length === 0) return "–";
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return duration(low) === duration(high) ? duration(low) : `${duration(low)} to ${duration(high)}`;
  };
  text(p50, times("p50_us"));
  text(p95, times("p95_us"));
  text(why, main ? told(route, main, seen) : "–");
}

function told(route, main, seen) {
  const count = seen.reduce((sum, belief) => sum + belief.seen, 0);
  const by = route.size_by && count ? `, apart by ${size(route.size_by)} (${plural(seen.length, "size")} seen)` : "";
  return `${reason(main.reason)}; ${count ? `${number(count)} of late` : "none seen"}${by}`;
}

function size(by) {
  if (typeof by === "string") return "content length";
  const [[kind, name]] = Object.entries(by);
  return `${kind} ${short(name, 40)}`;
}
