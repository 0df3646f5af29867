// How things are, in one sentence: what is wrong first, and what to do about it. Pure: a snapshot in, words out.

import { clock, duration, minutes, percent, plural, short, span } from "./format.js";
import { warning } from "./words.js";

// Fewer requests than this in a minute say nothing of a share, and fewer than so many bad ones are chance.
const ENOUGH = 20;
const BY_CHANCE = 3;
// A share of failures that is told where no objective says which is too many.
const FAILED_MOST = 0.01;
// Objectives are of the 99th percentile.
const LATE_MOST = 0.01;

const RANK = { bad: 2, warn: 1, good: 0 };

/** Returns { level: good | warn | bad | wait, word, headline, detail, more: [text] }. */
export function sentence(snapshot, link) {
  if (link.state === "gone") return gone(link, snapshot);
  if (!snapshot) return { level: "wait", word: "Connecting", headline: "Waiting for the gateway’s first word.", detail: "", more: [] };
  const problems = [...findings(snapshot)].sort((one, other) => RANK[other.level] - RANK[one.level]);
  if (problems.length === 0) return well(snapshot);
  const [first, ...rest] = problems;
  const word = first.level === "bad" ? "Needs you" : "Worth a look";
  const more = rest.slice(0, 4).map((problem) => problem.says + (problem.fix ? ` ${problem.fix}` : ""));
  if (4 < rest.length) more.push(`and ${rest.length - 4} more`);
  return { level: first.level, word, headline: first.says, detail: first.fix ?? "", more };
}

function gone(link, snapshot) {
  return {
    level: "bad",
    word: "No connection",
    headline: `The gateway has not answered since ${clock(link.since)}.`,
    detail: `${link.why[0].toUpperCase()}${link.why.slice(1)}. This page tries again by itself${snapshot ? `; what it shows below is of ${clock(snapshot.at)}` : ""}.`,
    more: snapshot ? [`Is it running? Its last sign of life was ${span((Date.now() - link.since) / 1000)} ago.`] : [],
  };
}

/** Tells whether more of a service's requests fail than its objective allows, or than anybody should bear. */
export function fails({ minute, objective }) {
  const most = objective?.success != null ? 1 - objective.success : FAILED_MOST;
  return minute != null && ENOUGH <= minute.requests && BY_CHANCE < minute.failed && most < minute.failed / minute.requests;
}

/** Tells whether more of a service's requests are slower than their objective than the one of a hundred that may be. */
export function lags({ minute }) {
  return minute != null && ENOUGH <= minute.requests && BY_CHANCE < minute.late && LATE_MOST < minute.late / minute.requests;
}

/** An objective's bounds of the 99th percentile, which routes may have of their own. */
export function bounds([low, high]) {
  return low === high ? duration(low) : `${duration(low)} to ${duration(high)}, by route`;
}

/** What is wrong, in no order. */
function* findings(snapshot) {
  yield* whole(snapshot);
  for (const service of snapshot.services ?? []) yield* ofService(service, snapshot);
  for (const service of snapshot.radar?.services ?? []) yield* ofRadar(service);
}

/** What is wrong with the gateway as a whole. */
function* whole(snapshot) {
  const { policy, credentials, history, gateways, frozen } = snapshot;
  if (frozen) {
    const by = frozen.by ? ` by ${short(frozen.by, 40)}` : "";
    yield { level: "warn", says: `Scaling is frozen since ${clock(frozen.since)}${by}.`, fix: `${frozen.reason ? `Reason: ${short(frozen.reason)}. ` : ""}Requests are served; nothing is scaled until it is thawed.` };
  }
  if (credentials && !credentials.usable) {
    yield { level: "bad", says: "Lambda cannot be called: there are no usable credentials.", fix: credentials.error ? short(credentials.error, 240) : "They have not come yet." };
  }
  if (policy?.error) {
    yield { level: "warn", says: "The policy on disk is refused; the one before it stays in force.", fix: short(policy.error.problems, 300) };
  }
  if (history?.error) {
    yield { level: "warn", says: "What was asked is not being kept.", fix: `${short(history.error, 200)}. Forecasts go on; a restart would forget.` };
  }
  if (gateways?.error) yield { level: "warn", says: "The other gateways cannot be seen.", fix: short(gateways.error, 240) };
}

function* ofService(service, snapshot) {
  const { name, lambda, container, plan, minute, objective } = service;
  const who = short(name, 60);
  const wants = plan?.tasks ?? 1;
  if (container && container.ready === 0 && 0 < wants) {
    const coming = container.starting ? `${plural(container.starting, "task")} ${container.starting === 1 ? "is" : "are"} starting.` : "None is starting: look at the service’s events in ECS.";
    if (lambda?.usable) yield { level: "warn", says: `${who} runs on Lambda alone: no container is ready.`, fix: coming };
    else yield { level: "bad", says: `${who} cannot be served: no container is ready.`, fix: coming };
  }
  if (lambda && !lambda.up) {
    const level = container?.ready ? "warn" : "bad";
    yield { level, says: `${who}’s function is not being called: it kept failing.`, fix: lambda.error ? short(lambda.error, 240) : "Pacer tries it again by itself; see /services for what Lambda says." };
  }
  if (fails(service)) {
    const allows = objective?.success != null ? `Its objective allows ${percent(1 - objective.success)}. ` : "";
    yield { level: "bad", says: `${percent(minute.failed / minute.requests)} of ${who}’s requests failed in the last minute.`, fix: `${allows}See the decisions below for where and why.` };
  }
  if (lags(service)) {
    yield { level: "bad", says: `${percent(minute.late / minute.requests)} of ${who}’s requests took longer than their objective allows.`, fix: `That is ${bounds(objective.p99_ms)}, for all but 1 % of requests.` };
  }
  if (service.not_acted_on && !snapshot.frozen) yield { level: "warn", says: `${who} is not being scaled.`, fix: short(service.not_acted_on, 240) };
  if (service.discovery_error) yield { level: "warn", says: `${who}’s tasks cannot be listed; those known go on serving.`, fix: short(service.discovery_error, 240) };
}

function* ofRadar({ service, warnings }) {
  for (const found of warnings ?? []) {
    if (found.level !== "now" && found.level !== "soon") continue;
    const acted = found.action?.state === "taken";
    const when = found.level === "now" || found.minutes === null ? "now" : `in ${minutes(found.minutes)}`;
    const says = `${short(service, 60)}, ${when}: ${short(found.says, 200)}.`;
    const fix = found.action?.says ? `${acted ? "Pacer is on it: " : "To do: "}${short(found.action.says, 200)}.` : `Trouble with ${warning(found.kind)}; nothing is being done about it.`;
    yield { level: found.level === "now" && !acted ? "bad" : "warn", says, fix };
  }
}

/** Nothing is wrong. */
function well(snapshot) {
  const total = snapshot.services_total ?? snapshot.services.length;
  const asked = snapshot.services.reduce((sum, service) => sum + (service.minute?.requests ?? 0), 0);
  const judged = snapshot.services.every(({ objective }) => objective && (objective.p99_ms !== null || objective.success !== null));
  const who = plural(total, "service");
  const within = judged ? `within ${total === 1 ? "its objective" : "their objectives"}` : `${total === 1 ? "serves" : "serve"} without trouble`;
  const result = { level: "good", word: "Nothing to do", detail: doing(snapshot), more: [] };
  if (asked === 0 && !snapshot.flow?.requests) {
    return { ...result, headline: `${who} ${total === 1 ? "is" : "are"} ready; no request in the last minute.` };
  }
  return { ...result, headline: `All is well: ${who} ${within}${concern(snapshot.radar)}.` };
}

/** How long until the radar's next concern. */
function concern(radar) {
  if (!radar) return "";
  const times = radar.services.flatMap((service) => service.warnings ?? []).map((found) => found.minutes).filter((value) => typeof value === "number");
  return times.length ? `, ${minutes(Math.min(...times))} to the next concern` : ", no trouble in sight";
}

/** Whether anything is acted on. */
function doing({ services }) {
  const watched = services.filter((service) => service.mode === "observe").length;
  if (watched === 0) return "";
  if (watched === services.length) return "Pacer only observes: it routes, learns and plans, and changes no capacity. What it would do stands below.";
  return `${plural(watched, "service")} of ${services.length} in observe: nothing of theirs is changed.`;
}
