"""Daily: what somebody who runs Pacer looks at with the first coffee. One screen, the last day."""

from grafana import GREEN, ORANGE, RED, Board, column, gauges, lines, stat, states, table, words
from queries import INSTANCE, JOB, NOTES, SERVICE, SERVICES, firing, grown, of, or_none, saved, share, slow, spilled, total

OPEN_SERVICE = "/d/pacer-service?var-service=${__data.fields.service}&var-route=${__data.fields.route}&${datasource:queryparam}&${__url_time_range}"


def board():
    it = Board("pacer-daily", "Pacer / Daily", "What to look at once a day: who was not served as promised, what was held for nothing, what changed.",
               variables=[JOB, INSTANCE, SERVICES], annotations=NOTES, since="now-24h", refresh="5m")
    done = of("pacer_requests_total", SERVICE)
    answered = of("pacer_requests_total", SERVICE, 'code!="none"')
    failed = of("pacer_requests_total", SERVICE, code="5xx")
    on_lambda = of("pacer_requests_total", SERVICE, lane="lambda")
    cost = of("pacer_cost_dollars_total", SERVICE)
    it.line(
        4,
        (4, stat("Saved", "Over the time shown: what the same requests would have cost on tasks that follow their own utilisation, by the model that `pacer replay` uses, less what "
                 "they did cost. Of services with both lanes. Pacer / Cost has it against other ways.", "currencyUSD", f"sum({saved('target-tracking')})", instant=True, decimals=2,
                 limits=[(RED, None), (GREEN, 0)])),
        (2, stat("Cost", "Over the time shown, at list prices.", "currencyUSD", grown("", cost), instant=True, decimals=2)),
        (2, stat("Alerts firing", "Alerts of prometheus/alerts.yml that fire now. Each one has a page in docs/runbooks. Open Pacer / Radar if this is not 0.",
                 "none", firing(), limits=[(GREEN, None), (RED, 1)], fill=True, spark=False)),
        (3, stat("Requests", "Requests finished over the time shown.", "short", grown("", done), instant=True)),
        (3, stat("Failed", "Share of answered requests that were answered 5xx, over the time shown. Clients that went away first count neither way. "
                 "Red above 0.1 %, the objective of the policy's examples.", "percentunit",
                 share(grown("", failed), grown("", answered)), instant=True, decimals=3, limits=[(GREEN, None), (ORANGE, 0.0005), (RED, 0.001)])),
        (2, stat("On Lambda", "Share of requests that ran on Lambda, over the time shown.", "percentunit",
                 share(grown("", on_lambda), grown("", done)), instant=True, decimals=1)),
        (3, stat("Spilled", "Share of requests that went to the other lane, now: theirs was full or down, or could not take them. Over all services. "
                 "Some are what two lanes are for; many mean that one is too small: see Spills by cause.", "percentunit", spilled(),
                 decimals=2, limits=[(GREEN, None), (ORANGE, 0.05), (RED, 0.2)])),
        (3, stat("Too slow", "Share of requests that took longer than their route's p99 objective, over the time shown. The objective allows 1 %.", "percentunit",
                 slow("", "$__range", "increase", SERVICE), instant=True, decimals=2, limits=[(GREEN, None), (ORANGE, 0.007), (RED, 0.01)])),
        (2, stat("Gateways", "Gateways that can be scraped now.", "none", f"sum({of('up')})", spark=False, limits=[(RED, None), (GREEN, 1)])),
    )
    by_route = "service, route"
    day, before = grown("service", cost, "1d"), f"sum by (service) (increase({cost}[1d] offset 1d))"
    moved = f"({day} - ({before} or 0 * {day}))"
    biggest = f"and on (service) topk(3, abs({moved}))"
    it.line(
        9,
        (14, table("Routes outside their objective", "Every route over the time shown, those first of which most requests failed or took longer than its p99 objective. "
                   "A service's name leads to its dashboard.",
                   column(f"{grown(by_route, of('pacer_objective_missed_total', SERVICE))} or 0 * {grown(by_route, done)}", "outside", decimals=0,
                          limits=[(GREEN, None), (ORANGE, 1)]),
                   column(grown(by_route, done), "requests", decimals=0),
                   column(grown(by_route, failed), "failed", decimals=0, limits=[(GREEN, None), (ORANGE, 1)]),
                   column(share(grown(by_route, failed), grown(by_route, answered)), "failed share", "percentunit", decimals=3,
                          limits=[(GREEN, None), (ORANGE, 0.0005), (RED, 0.001)]),
                   column(slow(by_route, "$__range", "increase", SERVICE), "slow share", "percentunit", decimals=2,
                          limits=[(GREEN, None), (ORANGE, 0.007), (RED, 0.01)]),
                   sort="outside", links={"service": ("Open the service", OPEN_SERVICE)})),
        (5, table("Cost movers", "The three services whose cost changed most: the last 24 hours against the 24 before.",
                  column(f"{day} {biggest}", "24 h", "currencyUSD", decimals=2),
                  column(f"{moved} {biggest}", "change", "currencyUSD", decimals=2, limits=[(GREEN, None), (ORANGE, 0.01)]),
                  sort="change", links={"service": ("What it was spent on", "/d/pacer-cost?var-service=${__data.fields.service}&${datasource:queryparam}&${__url_time_range}")})),
        (5, lines("Spills by cause", "Requests that left a lane after it was tried, by lane and cause. lambda throttled: raise the function's concurrency "
                  "or lower max_in_flight. container queue-*: more tasks, or a longer queue. Those decided beforehand are on Pacer / Lanes.", "reqps",
                  (or_none(total("from, cause", of("pacer_spills_total")), "cause"), "{{from}} {{cause}}"), stack=True)),
    )
    ready = f"max by (service) ({of('pacer_slots', SERVICE)})"
    wanted = f"max by (service) ({of('pacer_demand_slots', SERVICE)})"
    it.line(
        8,
        (8, lines("Slots to spare", "Slots of ready tasks less the slots that the load would keep busy. Below 0: there were too few tasks, and requests waited or "
                  "spilled. Far above 0 for hours: tasks were paid for nothing; look at Pacer / Forecast for whether they were planned so.", "none",
                  (f"{ready} - on (service) {wanted}", "{{service}}"), low=None, shown="area", limits=[("rgba(242, 73, 92, 0.15)", None), ("transparent", 0)],
                  calcs=("min", "mean", "max"))),
        (8, lines("Tasks planned less ready", "Above 0 while planned tasks still start, or cannot: minutes are normal, hours are a wrong image, a wrong subnet or a quota. "
                  "Below 0 while tasks finish what they have.", "none",
                  (f"max by (service) ({of('pacer_planned_tasks', SERVICE)}) - on (service) max by (service) ({of('pacer_tasks', SERVICE, state='ready')})",
                   "{{service}}"), low=None, calcs=("min", "max"))),
        (8, lines("Lambda in flight of what may be", "Invocations in flight over the limit, in the gateway that is nearest to it: max_in_flight of the policy, or the concurrency that AWS allows, whichever is less. "
                  "At 100 % requests go to tasks or are refused: raise the limit, or ask AWS for a higher quota.", "percentunit",
                  (f"max by (service) ({of('pacer_lambda_in_flight', SERVICE)} / {of('pacer_lambda_concurrency_limit', SERVICE)})",
                   "{{service}}"), high=1, shown="dashed", limits=[(GREEN, None), (ORANGE, 0.7), (RED, 0.9)])),
    )
    it.row("What is promised, and what changed")
    it.line(
        8,
        (4, gauges("Error budget left", "Of what the objectives allow to be missed in their window, the share that is left. At 0 the promise is broken.", "percentunit",
                   (f"min by (service) ({of('pacer_error_budget_left_ratio', SERVICE)})", "{{service}}"), limits=[(RED, None), (ORANGE, 0.2), (GREEN, 0.5)])),
        (4, states("Ready to act", "Services in `observe` whose plans have been steady and right for long enough that Pacer could be let act (`mode: act`, docs/acting.md). "
                   "`pacer status` says what the others lack.", (or_none(f"min by (service) ({of('pacer_ready_to_act', SERVICE)})", "service"), "{{service}}"),
                   mappings=words(v0=("not yet", "blue"), v1=("ready", GREEN)))),
        (8, lines("Changes of capacity", "What Pacer did to tasks and environments. failed: the call was refused; docs/runbooks/PacerActionsFailing.md.", "none",
                   (f"sum by (service, kind, result) (increase({of('pacer_actions_total', SERVICE)}[$__rate_interval])) > 0", "{{service}} {{kind}} {{result}}"),
                   bars=True, stack=True, interval="1m", calcs=("sum",))),
        (5, states("Policy in force", "Which policy each gateway follows: the first digits of its hash, as `pacer status` and the log tell them. Two at once for long: "
                   "not every gateway has the new one.", (f"max by (hash) ({of('pacer_policy_info')})", "{{hash}}"), mappings=words(v1=("in force", GREEN)))),
        (3, stat("Version", "What each gateway runs.", "none", (f"max by (version, instance) ({of('pacer_build_info')})", "{{version}} {{instance}}"),
                 text="name", spark=False)),
    )
    return it
