// Where requests go, as a picture: requests, what they are taken for, and the lane that served them. As wide as there are
// requests; from left to right, or from top to bottom on a phone.

import { byId, replace, svg, text } from "./dom.js";
import { number, plural, rate } from "./format.js";
import { lane as laneName, spillOrReason } from "./words.js";

const NARROW = 620;
const LEAST = 200;
// The widest stream, in pixels: all requests.
const WIDEST = { wide: 96, narrow: 120 };
const CLASSES = ["sprinter", "marathon"];
const LANES = ["lambda", "container", "none"];
const EMPTY = { lambda: 0, container: 0, none: 0 };

export function flow(snapshot) {
  const figure = byId("flow");
  const width = Math.floor(figure.clientWidth);
  // Not laid out yet.
  if (width < LEAST) return;
  const { flow: now } = snapshot;
  const rooms = room(snapshot.services);
  text(byId("flow-note"), now ? `requests a second, over the last ${number(now.seconds)} s` : "rates come with the next second");
  replace(figure, [width, now?.requests, now?.classes, now?.ran, now?.in_flight, rooms], () => picture(width, now, rooms));
  below(now);
}

/** What the lanes of all services have room for. */
function room(services) {
  const sum = (of) => services.reduce((all, service) => all + (of(service) ?? 0), 0);
  return {
    lambda: services.some((service) => service.lambda),
    container: services.some((service) => service.container),
    inFlight: sum((service) => service.lambda?.in_flight),
    most: sum((service) => service.lambda?.max_in_flight),
    ready: sum((service) => service.container?.ready),
    starting: sum((service) => service.container?.starting),
    slots: sum((service) => service.container?.slots),
    busy: sum((service) => service.container?.busy),
    waiting: sum((service) => service.container?.waiting),
  };
}

function picture(width, now, rooms) {
  const flows = now?.classes ?? { sprinter: EMPTY, marathon: EMPTY };
  const total = CLASSES.reduce((sum, name) => sum + LANES.reduce((all, lane) => all + flows[name][lane], 0), 0);
  const refused = Math.max(now?.ran.none ?? 0, flows.sprinter.none + flows.marathon.none);
  const narrow = width < NARROW;
  const nodes = (narrow ? tall : wide)(width, 0 < refused);
  const ofClass = (name) => LANES.reduce((all, lane) => all + flows[name][lane], 0);
  const scale = total ? (narrow ? WIDEST.narrow : WIDEST.wide) / total : 0;
  const links = [];
  for (const name of CLASSES) links.push({ from: "requests", to: name, value: ofClass(name), kind: "" });
  for (const name of CLASSES) {
    for (const lane of LANES) {
      const home = (name === "sprinter") === (lane === "lambda") && lane !== "none";
      if (flows[name][lane] || (home && rooms[lane])) links.push({ from: name, to: lane, value: flows[name][lane], kind: lane });
    }
  }
  const told = {
    requests: ["Requests", now ? number(now.requests) : "–", now ? `${now.in_flight} in flight` : "no rate yet"],
    sprinter: ["Sprinters", number(ofClass("sprinter")), "short and light"],
    marathon: ["Marathons", number(ofClass("marathon")), "long or heavy"],
    lambda: ["Lambda", number(now?.ran.lambda ?? 0), rooms.lambda ? `${number(rooms.inFlight)} of ${number(rooms.most)} in flight` : "no service has it"],
    container: ["Containers", number(now?.ran.container ?? 0), rooms.container ? `${plural(rooms.ready, "task")}, ${number(rooms.busy)} of ${number(rooms.slots)} slots busy` : "no service has them"],
    none: ["No lane", number(refused), "refused, or never sent"],
  };
  const drawn = streams(links, nodes, scale, narrow);
  const boxes = Object.entries(nodes).map(([name, node]) => box(node, name, told[name], narrow));
  const height = Math.max(...Object.values(nodes).map((node) => node.y + node.h)) + 2;
  const parts = Object.entries(told).filter(([name]) => nodes[name]).map(([, [what, value, sub]]) => `${what} ${value} a second, ${sub}`);
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": parts.join("; ") }, drawn, boxes);
}

function wide(width, refuses) {
  const [a, b, c] = [Math.min(170, width * 0.18), Math.min(180, width * 0.2), Math.min(270, width * 0.29)];
  const middle = (width - a - b - c) * 0.46 + a;
  const third = refuses ? { none: { x: width - c, y: 240, w: c, h: 62 } } : {};
  return {
    requests: { x: 1, y: 61, w: a, h: 102 },
    sprinter: { x: middle, y: 8, w: b, h: 94 },
    marathon: { x: middle, y: 124, w: b, h: 94 },
    lambda: { x: width - c - 1, y: 2, w: c, h: 102 },
    container: { x: width - c - 1, y: 120, w: c, h: 102 },
    ...third,
  };
}

function tall(width, refuses) {
  const half = (width - 12) / 2;
  const third = refuses ? { none: { x: 1, y: 372, w: width - 2, h: 66 } } : {};
  return {
    requests: { x: width * 0.22, y: 2, w: width * 0.56, h: 76 },
    sprinter: { x: 1, y: 128, w: half, h: 76 },
    marathon: { x: half + 11, y: 128, w: half, h: 76 },
    lambda: { x: 1, y: 256, w: half, h: 90 },
    container: { x: half + 11, y: 256, w: half, h: 90 },
    ...third,
  };
}

/** Draws the streams, side by side where they leave a box and where they arrive. */
function streams(links, nodes, scale, narrow) {
  const [across, along] = narrow ? ["x", "y"] : ["y", "x"];
  const [breadth, depth] = narrow ? ["w", "h"] : ["h", "w"];
  const used = { out: {}, in: {} };
  const sum = (key, name) => links.filter((link) => link[key] === name).reduce((all, link) => all + thick(link, scale), 0);
  const start = (node, taken, all) => node[across] + (node[breadth] - all) / 2 + taken;
  return links.filter((link) => nodes[link.to]).map((link) => {
    const [from, to] = [nodes[link.from], nodes[link.to]];
    const size = thick(link, scale);
    const place = (side, name, node, all) => {
      const taken = used[side][name] ?? 0;
      used[side][name] = taken + size;
      return start(node, taken, all) + size / 2;
    };
    const p = place("out", link.from, from, sum("from", link.from));
    const q = place("in", link.to, to, sum("to", link.to));
    const [m, n] = [from[along] + from[depth], to[along]];
    const half = (m + n) / 2;
    const path = narrow ? `M${p} ${m}C${p} ${half} ${q} ${half} ${q} ${n}` : `M${m} ${p}C${half} ${p} ${half} ${q} ${n} ${q}`;
    return svg("path", { d: path, class: `stream ${link.kind}${link.value ? "" : " idle"}`, "stroke-width": size });
  });
}

const thick = (link, scale) => (link.value ? Math.max(2.5, link.value * scale) : 1.5);

function box(node, name, [title, value, sub], narrow) {
  const { x, y, w, h } = node;
  const pad = narrow ? 10 : 15;
  const lines = narrow && name === "container" ? sub.split(", ") : [sub];
  const top = y + (h - (38 + lines.length * 17)) / 2;
  const kind = LANES.includes(name) ? ` ${name}` : "";
  return svg("g", {},
    svg("rect", { x, y, width: w, height: h, rx: 11, class: `node${kind}` }),
    svg("text", { x: x + pad, y: top + 12, class: "b" }, title),
    svg("text", { x: x + pad, y: top + 34, class: "num" }, value, svg("tspan", { class: "s", dx: 3 }, "/s")),
    lines.map((line, index) => svg("text", { x: x + pad, y: top + 52 + index * 16, class: "s" }, line)));
}

/** What left its lane, in words. */
function below(now) {
  const element = byId("flow-below");
  const spills = now?.spills ?? [];
  replace(element, [spills, now?.cold, now?.retries], () => {
    if (!now) return [];
    const told = [];
    if (spills.length) {
      told.push("Spilled: ");
      spills.forEach(({ from, why, rate: much }, index) => {
        const bold = document.createElement("b");
        bold.textContent = rate(much);
        const other = from === "lambda" ? "container" : "lambda";
        told.push(index ? "; " : "", bold, ` from ${laneName(from)} to ${laneName(other)}, as ${spillOrReason(why)}`);
      });
      told.push(". ");
    } else if (now.requests) {
      told.push("Nothing spills: every request runs on the lane that it was meant for. ");
    }
    if (now.cold) told.push(`Cold starts ${rate(now.cold)}. `);
    if (now.retries) told.push(`Sent again ${rate(now.retries)}. `);
    return told;
  });
}
