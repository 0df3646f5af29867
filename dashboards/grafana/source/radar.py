"""Radar: for 3 a.m. What is about to go wrong, what Pacer has done, and what it goes by."""

from grafana import GREEN, ORANGE, RED, Board, dashed, gauges, lines, stat, states, words
from queries import INSTANCE, JOB, NOTES, SERVICE, SERVICES, firing, of, or_none, share, total

# A day: what is not in sight is shown as that far away.
NEVER = 86400
SOON = [(RED, None), (ORANGE, 300), ("yellow", 1800), (GREEN, NEVER)]
CLEAR = [{"type": "value", "options": {str(NEVER): {"text": "nothing in sight", "color": GREEN, "index": 0}, "0": {"text": "now", "color": RED, "index": 1}}}]
BURN = [(GREEN, None), (ORANGE, 6), (RED, 14.4)]


def board():
    it = Board("pacer-radar", "Pacer / Radar", "For 3 a.m.: what is about to go wrong and when, what Pacer did about it, how much of the error budget is left. "
               "`pacer freeze` stops it: docs/runbooks/README.md.", variables=[JOB, INSTANCE, SERVICES], annotations=NOTES, refresh="10s")
    warnings = f"min by (service, warning) ({of('pacer_radar_seconds', SERVICE)})"
    it.line(
        4,
        (6, stat("Trouble in", "The nearest trouble of the services chosen. Which it is, and what was done about it, is below and in `pacer status`.", "s",
                 f"min({of('pacer_radar_seconds', SERVICE)}) or vector({NEVER})", limits=SOON, mappings=CLEAR, fill=True, spark=False)),
        (3, stat("Alerts firing", "Alerts of prometheus/alerts.yml that fire now; each has a page in docs/runbooks.", "none", firing(),
                 limits=[(GREEN, None), (RED, 1)], fill=True, spark=False)),
        (3, stat("Frozen", "1 while somebody has stopped all changes of capacity: docs/runbooks/PacerFrozen.md.", "none", f"max({of('pacer_frozen')})", mappings=words(v0=("no", GREEN), v1=("FROZEN", RED)),
                 limits=[(GREEN, None), (RED, 1)], fill=True, spark=False)),
        (3, stat("Gateway that leads", "Gateways that have the lease: 1 is right. 0: nobody changes capacity, docs/runbooks/PacerNobodyLeads.md.", "none",
                 f"sum({of('pacer_gateway_leads')})", limits=[(RED, None), (GREEN, 1)], fill=True, spark=False)),
        (3, stat("Failed", "Share of answered requests that were answered 5xx, now.", "percentunit",
                 share(total("", of("pacer_requests_total", SERVICE, code="5xx")), total("", of("pacer_requests_total", SERVICE, 'code!="none"'))),
                 decimals=3, limits=[(GREEN, None), (ORANGE, 0.0005), (RED, 0.001)])),
        (3, stat("Waiting", "Requests that wait for a slot now.", "none", f"sum({of('pacer_queue_waiting', SERVICE)}) or vector(0)",
                 limits=[(GREEN, None), (ORANGE, 1), (RED, 10)])),
        (3, stat("Actions that failed", "Changes of capacity that AWS refused in the last 15 minutes: docs/runbooks/PacerActionsFailing.md.", "none",
                 f"sum(increase({of('pacer_actions_total', SERVICE, result='failed')}[15m])) or vector(0)", decimals=0, limits=[(GREEN, None), (RED, 0.5)])),
    )
    it.line(
        9,
        (12, states("Warnings", "Seconds until each trouble, over time. capacity: more is forecast than is ready and on its way. lambda-concurrency, lambda-launch-rate, throttles: AWS's "
                    "limits. error-budget: failures at this pace. spot: tasks under notice. start-lag: tasks start slower than planned with. discovery, state: what Pacer "
                    "cannot read or keep.", (or_none(warnings, "warning", NEVER), "{{service}} {{warning}}"), mappings=CLEAR, limits=SOON, unit="s")),
        (6, gauges("Error budget left", "Of the failures that the objective allows in its window, the share that is left. At 0 the promise is broken.", "percentunit",
                   (f"min by (service) ({of('pacer_error_budget_left_ratio', SERVICE)})", "{{service}}"), limits=[(RED, None), (ORANGE, 0.2), (GREEN, 0.5)])),
        (6, lines("Burn of the error budget", "1 uses the budget up exactly by the end of its window. Above 14.4 in both 5m and 1h: two days, a page. Above 6 in 30m and 6h: five days, "
                  "a ticket.", "none", (f"max by (service, window) ({of('pacer_error_budget_burn_ratio', SERVICE)})", "{{service}} {{window}}"), limits=BURN, shown="dashed")),
    )
    it.row("What Pacer did, and what it goes by")
    it.line(
        8,
        (12, lines("Changes of capacity", "What was done to tasks and environments, and what was refused. The words are in `pacer status`.", "none",
                   (f"sum by (service, kind, result) (increase({of('pacer_actions_total', SERVICE)}[$__rate_interval])) > 0", "{{service}} {{kind}} {{result}}"),
                   bars=True, stack=True, interval="1m", calcs=("sum",))),
        (12, lines("Load and forecast against what is ready", "Slots that the load would keep busy now, nine chances in ten of what it will be when a task asked for now could serve, and the slots of "
                   "ready tasks. Forecast above ready: tasks are on their way, or should be.", "none",
                   (f"max by (service) ({of('pacer_demand_slots', SERVICE)})", "{{service}} load"),
                   (f"max by (service) ({of('pacer_forecast_slots', SERVICE, level='p90')})", "{{service}} forecast p90"),
                   (f"max by (service) ({of('pacer_slots', SERVICE)})", "{{service}} ready"),
                   overrides=[dashed(".* forecast p90", "light-blue"), dashed(".* ready", "green")])),
    )
    it.line(
        8,
        (8, lines("Tasks by state", "ready: given requests. unproven: new, or its probe fails. draining: finishes what it has.", "none",
                  (f"max by (service, state) ({of('pacer_tasks', SERVICE)})", "{{service}} {{state}}"))),
        (8, states("Lambda is called", "down while the circuit breaker of any gateway is open: docs/runbooks/PacerLambdaBreakerOpen.md.",
                   (f"min by (service) ({of('pacer_lambda_up', SERVICE)})", "{{service}}"), limits=[(RED, None), (GREEN, 1)], mappings=words(v0=("down", RED), v1=("up", GREEN)))),
        (8, lines("Outside their objective by route", "Requests a second that were slower than the route's p99 objective, or failed where one was promised.", "reqps",
                  (or_none(total("route, objective", of("pacer_objective_missed_total", SERVICE)), "objective"), "{{route}} {{objective}}"), stack=True)),
    )
    return it
