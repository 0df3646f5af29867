// The gateway's closed sets of names, in words. A name that is not known here is shown as it is, cut where it is long.

import { short } from "./format.js";

const NAME = 60;

const REASONS = {
  "only-lane": "its service has no other lane",
  "hard-rule": "a rule rules the other lane out",
  declared: "the route declares its class",
  learned: "learned from how long such requests took",
  prior: "too few seen yet: the policy’s own guess",
  borderline: "near the bound: a share goes each way",
  "spill-slots-full": "every container slot was busy",
  "spill-no-tasks": "no container was ready",
  "spill-lambda-capped": "Lambda had its most in flight",
  "spill-lambda-down": "Lambda’s breaker was open",
  refused: "no lane could take it",
};

const SPILLS = {
  "queue-timeout": "no slot came free in time",
  "queue-full": "too many were waiting",
  connect: "no connection to the task",
  busy: "the task said it was busy",
  throttled: "Lambda throttled it",
  "not-ready": "Lambda could not start the function",
  "too-large": "too large for the lane",
  misconfigured: "the lane is misconfigured",
  failed: "the lane failed, and it may run again",
};

const CAUSES = {
  absent: "not there",
  "not-in-route": "not allowed by the route",
  upgrade: "asks for another protocol",
  grpc: "is gRPC",
  trailers: "has trailers",
  "body-too-large": "body too large",
  "body-streaming": "body of unknown length",
  "too-long": "runs longer than the function may",
  "needs-storage": "needs storage",
  "needs-affinity": "needs affinity",
  capped: "at its cap",
  down: "down",
  "no-tasks": "no task ready",
  "slots-full": "slots full",
};

const ENDS = {
  refused: "answered by the gateway itself",
  unavailable: "no lane could take it",
  "lane-failed": "the lane failed",
  "timed-out": "a timeout ran out",
  "client-gone": "the client went away",
};

const WARNINGS = {
  capacity: "capacity",
  "lambda-concurrency": "Lambda concurrency",
  "lambda-launch-rate": "Lambda launch rate",
  "error-budget": "error budget",
  spot: "Spot",
  throttles: "throttles",
  "start-lag": "slow starts",
  discovery: "discovery",
  state: "state store",
};

const AGAINST = {
  "all-lambda": "all on Lambda",
  "target-tracking": "containers with target tracking",
  "last-value": "hybrid by the last value",
};

const of = (set) => (name) => (Object.hasOwn(set, name) ? set[name] : short(name, NAME));

export const reason = of(REASONS);
export const spill = of(SPILLS);
export const spillOrReason = (name) => (Object.hasOwn(SPILLS, name) ? SPILLS[name] : reason(name));
export const end = of(ENDS);
export const warning = of(WARNINGS);
export const against = of(AGAINST);
export const lane = of({ lambda: "Lambda", container: "containers", refuse: "refused" });

/** `lambda:capped` as `Lambda: at its cap`. */
export function ruledOut(pair) {
  const [from, cause] = String(pair).split(":");
  return `${lane(from)} ${of(CAUSES)(cause)}`;
}
