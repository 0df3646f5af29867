// The services: what each is asked, how it does, what its lanes have, what is planned.

import { attribute, byId, el, list, replace, text } from "./dom.js";
import { duration, number, percent, plural, rate, short } from "./format.js";
import { bounds, fails, lags } from "./sentence.js";

export function services(snapshot) {
  const { services: all, services_total: total } = snapshot;
  text(byId("services-note"), all.length < total ? `${all.length} of ${number(total)}: those with trouble, then the busiest` : "the last minute");
  list(byId("services").tBodies[0], all, (service) => service.name, row, fill);
}

function row(service) {
  const cell = (label, kind) => el("td", { "data-label": label, class: kind });
  return el("tr", {}, el("th", { scope: "row", title: service.name }, short(service.name, 80)), cell("Mode"), cell("Requests", "num"), cell("Failed", "num"),
    cell("p99", "num"), cell("Lambda"), cell("Containers"), cell("Plan"));
}

function fill(row, service) {
  const [, mode, requests, failed, p99, lambda, container, plan] = row.children;
  const { minute, objective } = service;
  replace(mode, service.mode, () => el("span", { class: `chip ${service.mode === "act" ? "act" : ""}` }, short(service.mode, 20)));
  text(requests, rate(service.rate));
  const share = minute?.requests ? minute.failed / minute.requests : null;
  text(failed, share === null ? "–" : `${fails(service) ? "▲ " : ""}${percent(share)}`);
  attribute(failed, "class", fails(service) ? "num over" : "num");
  const slow = lags(service);
  replace(p99, [minute?.p99_at_most_ms, minute?.late, minute?.requests, objective?.p99_ms], () => [
    minute?.requests ? (minute.p99_at_most_ms == null ? "> 2 min" : `≤ ${duration(minute.p99_at_most_ms)}`) : "–",
    objective?.p99_ms ? el("span", { class: "sub" }, `goal ${bounds(objective.p99_ms)}`) : null,
    minute?.late ? el("span", { class: "sub" }, `${slow ? "▲ " : ""}${percent(minute.late / minute.requests)} late`) : null]);
  attribute(p99, "class", slow ? "num over" : "num");
  replace(lambda, [service.lambda, service.lambda_rate], () => lambdaCell(service));
  replace(container, [service.container, service.container_rate], () => containerCell(service));
  replace(plan, [service.plan?.tasks, service.plan?.warm, service.plan?.provisioned, service.mode], () => planCell(service));
}

function lambdaCell({ lambda, lambda_rate }) {
  if (!lambda) return "–";
  const how = lambda.usable ? `${number(lambda.in_flight)} of ${number(lambda.max_in_flight)} in flight` : lambda.up ? "▲ no credentials" : "▲ breaker open";
  return [rate(lambda_rate), el("span", { class: lambda.usable ? "sub" : "sub over" }, how)];
}

function containerCell({ container, container_rate }) {
  if (!container) return "–";
  const { ready, starting, draining, slots, busy, waiting } = container;
  const more = [`${plural(ready, "task")}`, starting && `${starting} starting`, draining && `${draining} draining`].filter(Boolean).join(", ");
  return [rate(container_rate), el("span", { class: "sub" }, more),
    el("span", { class: "sub" }, `${number(busy)} of ${number(slots)} slots busy${waiting ? `, ${number(waiting)} waiting` : ""}`)];
}

function planCell({ plan, mode }) {
  if (!plan) return mode === "off" ? "none: mode off" : "–";
  const parts = [];
  if (plan.tasks !== null) parts.push(plural(plan.tasks, "task"));
  if (plan.warm) parts.push(`${number(plan.warm)} warm`);
  if (plan.provisioned) parts.push(`${number(plan.provisioned)} provisioned`);
  return [parts.join(", ") || "nothing held", mode === "act" ? null : el("span", { class: "sub" }, "would have; changes nothing")];
}
