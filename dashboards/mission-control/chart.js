// What pictures of time share: a scale of each kind, axes with round numbers, a grid.

import { svg } from "./dom.js";

const LEFT = 44;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 26;

/** Lays out a picture of `width` by `height` pixels, from `from` to `until` (ms) and from 0 to at least `most`. */
export function plot(width, height, from, until, most, unit) {
  const step = round(most / (height < 150 ? 3 : 4));
  const top = Math.max(step, Math.ceil(most / step) * step);
  const x = (ms) => LEFT + ((ms - from) / (until - from)) * (width - LEFT - RIGHT);
  const y = (value) => TOP + (1 - value / top) * (height - TOP - BOTTOM);
  const parts = [];
  for (let value = 0; value <= top + step / 2; value += step) {
    parts.push(svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: value ? "grid" : "axis" }));
    parts.push(svg("text", { x: LEFT - 7, y: y(value) + 4, class: "s e" }, label(value, step)));
  }
  for (const at of times(from, until, width)) {
    parts.push(svg("line", { x1: x(at), x2: x(at), y1: height - BOTTOM, y2: height - BOTTOM + 4, class: "axis" }));
    const isLast = width - 30 < x(at);
    parts.push(svg("text", { x: isLast ? width : x(at), y: height - 7, class: isLast ? "s e" : "s m" }, moment(at, until - from)));
  }
  return { x, y, parts, width, height, bottom: height - BOTTOM, left: LEFT, right: width - RIGHT, unit };
}

const label = (value, step) => (step < 1 ? value.toFixed(1) : String(Math.round(value)));

/** 1, 2 or 5 of some power of ten, not below `value`. */
function round(value) {
  if (value <= 0.5) return 0.5;
  const power = 10 ** Math.floor(Math.log10(value));
  const rest = value / power;
  return (rest <= 1 ? 1 : rest <= 2 ? 2 : rest <= 5 ? 5 : 10) * power;
}

const STEPS_S = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

function times(from, until, width) {
  const wanted = Math.max(2, Math.floor(width / 110));
  const seconds = (until - from) / 1000;
  const step = (STEPS_S.find((step) => seconds / step <= wanted) ?? 7200) * 1000;
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= until; at += step) found.push(at);
  return found;
}

function moment(at, over) {
  const time = new Date(at).toLocaleTimeString("en-GB");
  return over < 600_000 ? time : time.slice(0, 5);
}

const at = (plot, [ms, value]) => `${plot.x(ms).toFixed(1)} ${plot.y(value).toFixed(1)}`;

/** A line through points [ms, value]. */
export function line(plot, points, kind) {
  if (points.length === 0) return null;
  return svg("path", { d: `M${points.map((point) => at(plot, point)).join("L")}`, class: kind });
}

/** The band between points [ms, low, high]. */
export function band(plot, points, kind) {
  if (points.length < 2) return null;
  const above = points.map(([ms, , high]) => at(plot, [ms, high]));
  const below = points.map(([ms, low]) => at(plot, [ms, low])).reverse();
  return svg("path", { d: `M${[...above, ...below].join("L")}Z`, class: kind });
}

/** Points as steps: a value holds until the next. */
export function steps(points, until) {
  const out = [];
  points.forEach(([ms, value], index) => {
    if (index) out.push([ms, points[index - 1][1]]);
    out.push([ms, value]);
  });
  if (points.length) out.push([until, points.at(-1)[1]]);
  return out;
}

/** An entry of a legend: how it is drawn, and what it is. */
export function key(kind, text, shape = "line") {
  const sample = shape === "area" ? svg("rect", { width: 26, height: 12, class: kind })
    : shape === "mark" ? svg("path", { d: "M13 1l6 10H7z", class: kind })
      : svg("line", { x1: 0, x2: 26, y1: 6, y2: 6, class: kind });
  const entry = document.createElement("span");
  entry.append(svg("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, sample), text);
  return entry;
}
