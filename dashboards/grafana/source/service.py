"""Service: how one service and its routes do. What its clients see first, then what they asked for."""

from grafana import BLUE, GREEN, ORANGE, RED, Board, colored, column, dashed, heatmap, lines, stat, table
from queries import (BOTH, GATEWAY, INSTANCE, JOB, NOTES, ROUTE, ROUTES, SERVICE, SERVICES, grown, of, quantile, requests, share, slow, total)

LANES = colored(**{"lambda": ORANGE, "container": BLUE, "none": RED})
WAITS = "queue and cold start included"


def board():
    it = Board("pacer-service", "Pacer / Service", "How a service and its routes do: success, latency as its clients see it, where requests ran.",
               variables=[JOB, INSTANCE, SERVICES, ROUTES], annotations=NOTES)
    answered = of("pacer_requests_total", BOTH, 'code!="none"')
    failed = of("pacer_requests_total", BOTH, code="5xx")
    it.line(
        4,
        (4, stat("Requests", "Requests finished a second, of the services and routes chosen.", "reqps", requests(""))),
        (4, stat("Failed", "Share of answered requests that were answered 5xx. Clients that went away first count neither way.", "percentunit",
                 share(total("", failed), total("", answered)), decimals=3, limits=[(GREEN, None), (ORANGE, 0.0005), (RED, 0.001)])),
        (4, stat("p50", f"Half of the requests take at most this, over the routes chosen; {WAITS}.", "s", quantile(0.5, ""), decimals=2)),
        (4, stat("p99", f"99 of 100 requests take at most this, over the routes chosen; {WAITS}.", "s", quantile(0.99, ""), decimals=2)),
        (4, stat("In flight", "Invocations of Lambda and slots of tasks taken by the services chosen, now.", "none",
                 f"sum({of('pacer_lambda_in_flight', SERVICE)}) + (sum({of('pacer_slots_busy', SERVICE)}) or vector(0))")),
        (4, stat("Waiting", "Requests that wait for a slot now. Moments are what the queue is for; minutes are missing tasks.", "none",
                 f"sum({of('pacer_queue_waiting', SERVICE)}) or vector(0)", limits=[(GREEN, None), (ORANGE, 1), (RED, 10)])),
    )
    it.line(
        9,
        (8, lines("Failed by route and lane", "Requests answered 5xx a second. Lane none: no lane could take them, or they ended before one was chosen. "
                  "One lane alone fails: write the other as the route's only one under `lanes:` until it is mended.", "reqps",
                  (total("route, lane", failed), "{{route}} {{lane}}"))),
        (8, lines("p99 by route and lane", f"99 of 100 requests take at most this; {WAITS}. Dashed: the route's objective. Interpolated within buckets that are two to three "
                  "times apart.", "s",
                  (quantile(0.99, "route, lane"), "{{route}} {{lane}}"), (f"max by (route) ({of('pacer_objective_seconds', BOTH)})", "{{route}} objective"),
                  overrides=[dashed(".* objective", ORANGE)])),
        (8, lines("Requests by lane", "Requests finished a second, by the lane that answered or was tried last. none: refused, or ended before a lane was chosen.",
                  "reqps", (requests("lane"), "{{lane}}"), stack=True, overrides=LANES)),
    )
    it.line(
        10,
        (24, table("Routes and lanes over the time shown", "One line a route and lane over the time chosen at the top right.",
                   column(grown("route, lane", of("pacer_requests_total", BOTH)), "requests", decimals=0),
                   column(share(grown("route, lane", failed), grown("route, lane", answered)), "failed", "percentunit", decimals=3,
                          limits=[(GREEN, None), (ORANGE, 0.0005), (RED, 0.001)]),
                   column(quantile(0.5, "route, lane", ROUTE, "$__range", "increase"), "p50", "s", decimals=2),
                   column(quantile(0.95, "route, lane", ROUTE, "$__range", "increase"), "p95", "s", decimals=2),
                   column(quantile(0.99, "route, lane", ROUTE, "$__range", "increase"), "p99", "s", decimals=2),
                   column(f"{grown('route, lane', of('pacer_request_duration_seconds_sum', ROUTE))} / {grown('route, lane', of('pacer_request_duration_seconds_count', ROUTE))}",
                          "mean", "s", decimals=2),
                   sort="p99")),
    )
    it.row("Latency")
    it.line(
        9,
        (12, heatmap("Requests by duration", "How many requests took how long. Two bands are two populations: often two lanes, or cold starts. Choose a route above.",
                     "s", total("le", of("pacer_request_duration_seconds_bucket", ROUTE)))),
        (6, lines("Slower than the objective", "Share of a route's requests that took longer than its p99 objective, which allows 1 %.", "percentunit",
                  (slow("service, route"), "{{route}}"), high=1, shown="dashed", limits=[(GREEN, None), (RED, 0.01)])),
        (6, lines("p50 and p95 by route", f"Half, and 95 of 100 requests take at most this; {WAITS}.", "s",
                   (quantile(0.5, "route"), "{{route}} p50"), (quantile(0.95, "route"), "{{route}} p95"))),
    )
    it.row("What was asked, and what came of it")
    it.line(
        8,
        (8, lines("Requests by route", "Requests finished a second.", "reqps", (requests("route"), "{{route}}"), stack=True)),
        (8, lines("Requests by status", "Requests finished a second, by class of the status. none: the client went away unanswered.", "reqps",
                  (requests("code"), "{{code}}"), stack=True,
                  overrides=colored(**{"2xx": GREEN, "3xx": BLUE, "4xx": ORANGE, "5xx": RED, "none": "purple"}))),
        (8, lines("Asked of each lane", "Requests a second by the lane that they would have had with nothing in the way: what capacity is planned for. Compare with "
                  "Requests by lane: what differs was spilled. none: neither lane can.", "reqps",
                  (total("lane", of("pacer_asked_total", BOTH)), "{{lane}}"), stack=True, overrides=LANES)),
    )
    it.line(
        8,
        (12, lines("Bytes by route", "Bytes of bodies a second: responses above the axis, requests below.", "Bps",
                   (total("route", of("pacer_response_bytes_total", ROUTE)), "{{route}} out"),
                   (f"-{total('route', of('pacer_request_bytes_total', ROUTE))}", "{{route}} in"), low=None)),
        (12, lines("Refused and unanswered", "Requests a second that no lane answered in full, over all services. refused: by the gateway itself (no route, too large, "
                   "malformed). unavailable: no lane could take them. lane-failed, timed-out, client-gone: see the access log.", "reqps",
                   (total("end", of("pacer_ends_total", GATEWAY, 'end!="complete"')), "{{end}}"), stack=True)),
    )
    return it
