"""Lanes: Lambda's execution times and starts, containers' health and use, and why requests go where they go."""

from grafana import GREEN, ORANGE, RED, Board, dashed, lines, states, words
from queries import (BOTH, INSTANCE, JOB, NOTES, ROUTE, ROUTES, SERVICE, SERVICES, of, or_none, quantile, share, total)

NOT_ACTIVE = [(RED, None), (GREEN, 1)]


def board():
    it = Board("pacer-lanes", "Pacer / Lanes", "Lambda: execution times, starts, limits, errors. Containers: health, slots, starts. And why requests go where they go.",
               variables=[JOB, INSTANCE, SERVICES, ROUTES], annotations=NOTES)
    it.row("Why requests go where they go, over all services")
    decisions = of("pacer_decisions_total")
    it.line(
        8,
        (12, lines("Decisions by lane and reason", "Decisions a second. declared: the policy says so. learned, prior, borderline: durations. hard-rule, only-lane: no choice. "
                   "spill-*: the better lane was full or down. A growing share of spill-* means that one side is too small.", "reqps",
                   (total("lane, reason", decisions), "{{lane}} {{reason}}"), stack=True)),
        (6, lines("Spills after a try", "Requests a second that left a lane after it was tried. lambda throttled: raise the function's concurrency or lower max_in_flight. "
                  "container queue-*: more tasks.", "reqps",
                  (or_none(total("from, cause", of("pacer_spills_total")), "cause"), "{{from}} {{cause}}"), stack=True)),
        (6, lines("Sent again", "Requests sent a second time, a second: only those that provably did not run, or that may be repeated.", "reqps",
                  (total("instance", of("pacer_retries_total")), "{{instance}}"))),
    )
    it.row("Lambda")
    on_lambda = of("pacer_requests_total", BOTH, lane="lambda")
    it.line(
        8,
        (8, lines("Execution time", "How long requests on Lambda take as their clients see it, cold starts included, over the routes chosen. The gap between p50 and p99 "
                  "is cold starts, mostly.", "s",
                  *((quantile(level, "", ROUTE, "$__rate_interval", "rate", lane="lambda"), name) for level, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))))),
        (8, lines("Cold starts", "Environments started for a request, a second, by route. Known only where the adapter reports it. Many in a steady load: "
                  "`warm_pool`, SnapStart, or the container lane.", "reqps",
                  (f"{total('route', of('pacer_lambda_cold_starts_total', ROUTE))} or 0 * {total('route', on_lambda)}", "{{route}}"))),
        (8, lines("Cold-start share", "Share of the requests on Lambda that started a new environment.", "percentunit",
                  (share(total("route", of("pacer_lambda_cold_starts_total", ROUTE)), total("route", on_lambda)), "{{route}}"),
                  high=1, shown="dashed", limits=[(GREEN, None), (ORANGE, 0.01), (RED, 0.05)])),
    )
    it.line(
        8,
        (8, lines("In flight and its limit", "Invocations in flight, in the gateway that has most of them. limit: of each gateway, max_in_flight or what AWS allows, whichever is "
                  "less; at it, requests go to tasks.", "none", (f"max by (service) ({of('pacer_lambda_in_flight', SERVICE)})", "{{service}}"),
                  (f"min by (service) ({of('pacer_lambda_concurrency_limit', SERVICE)})", "{{service}} limit"), overrides=[dashed(".* limit", RED)])),
        (8, lines("Environments planned and there", "planned: that should be warm, by warm-up invokes or provisioned concurrency. provisioned: what AWS has of what was asked for; "
                  "available ones are idle. Empty of provisioned where a function has none.", "none",
                  (or_none(f"max by (service, kind) ({of('pacer_planned_environments', SERVICE)})", "kind"), "{{service}} planned {{kind}}"),
                  (or_none(f"max by (service, kind) ({of('pacer_lambda_provisioned', SERVICE)})", "kind"), "{{service}} provisioned {{kind}}"))),
        (8, lines("Billed GB-seconds a second", "Time billed times memory, by route: 1 is one GB all the time.", "none",
                  (total("route", of("pacer_lambda_billed_gb_seconds_total", ROUTE)), "{{route}}"), stack=True)),
    )
    it.line(
        8,
        (8, lines("Errors and throttles", "What Lambda answered instead of a response, each second, over all services. *Exceeded, TooManyRequests: throttled. Unhandled: the "
                  "function crashed. The table of all is in docs/policy.md.", "reqps",
                  (or_none(total("error", of("pacer_lambda_errors_total")), "error"), "{{error}}"), stack=True)),
        (8, states("Lambda is called", "down while the circuit breaker of any gateway is open because the function could not be started or called; requests go to tasks. "
                   "Short ups within a down are tries. docs/runbooks/PacerLambdaBreakerOpen.md.",
                   (f"min by (service) ({of('pacer_lambda_up', SERVICE)})", "{{service}}"), limits=NOT_ACTIVE, mappings=words(v0=("down", RED), v1=("up", GREEN)))),
        (8, states("State of the version called", "What AWS says of the version behind the alias: active is good, inactive wakes with the next call, failed and absent need you.",
                   (f"max by (service, state) ({of('pacer_lambda_state', SERVICE)}) == 1", "{{service}} {{state}}"), mappings=words(v1=("is", GREEN)), show="never")),
    )
    it.row("Containers")
    it.line(
        8,
        (8, lines("Tasks by state", "As the gateway that sees most of them sees them. ready: given requests. unproven: new, or its probe fails. draining: finishes what it has.",
                  "none", (f"max by (service, state) ({of('pacer_tasks', SERVICE)})", "{{service}} {{state}}"))),
        (8, lines("Slots", "Requests that the ready tasks can serve at once, and those taken by all gateways together. Busy at total: requests wait or spill.", "none",
                  (f"max by (service) ({of('pacer_slots', SERVICE)})", "{{service}} total"), (f"sum by (service) ({of('pacer_slots_busy', SERVICE)})", "{{service}} busy"))),
        (8, lines("Use of slots, and the break-even", "Share of slots that are busy. Below its break-even for long, Lambda would be cheaper than so many tasks. "
                  "Above 90 % for long, requests wait.", "percentunit",
                  (f"sum by (service) ({of('pacer_slots_busy', SERVICE)}) / on (service) (max by (service) ({of('pacer_slots', SERVICE)}) > 0)", "{{service}}"),
                  (f"max by (service) ({of('pacer_break_even_ratio', SERVICE)})", "{{service}} break-even"), overrides=[dashed(".* break-even", ORANGE)])),
    )
    it.line(
        8,
        (8, lines("Service time on tasks", "How long requests in containers take as their clients see it, waiting for a slot included, over the routes chosen.", "s",
                  *((quantile(level, "", ROUTE, "$__rate_interval", "rate", lane="container"), name) for level, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))))),
        (8, lines("Waiting for a slot", "Requests in the queue. Moments are what it is for; a plateau is missing tasks: docs/runbooks/PacerQueueWaiting.md.", "none",
                  (f"sum by (service) ({of('pacer_queue_waiting', SERVICE)})", "{{service}}"))),
        (4, lines("A start takes", "What 95 of 100 starts of a task do not exceed, from asked for to ready: how far ahead the plan has to look.", "s",
                  (f"max by (service) ({of('pacer_task_start_seconds', SERVICE)})", "{{service}}"))),
        (4, lines("Listings that failed", "Each minute. Tasks known last are used on, but new ones are not found: docs/runbooks/PacerDiscoveryFailing.md.", "none",
                  (f"60 * {total('service', of('pacer_discovery_errors_total', SERVICE))}", "{{service}}"))),
    )
    return it
