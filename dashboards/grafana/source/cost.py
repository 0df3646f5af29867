"""Cost: what was spent, on what, and what the same requests would have cost otherwise."""

from grafana import BLUE, GREEN, ORANGE, RED, Board, column, dashed, lines, stat, table
from queries import INSTANCE, JOB, NOTES, ROUTE, ROUTES, SERVICE, SERVICES, grown, of, otherwise, saved, total

LIST = "At list prices, of usage that the gateways counted; AWS's bill has discounts, free tiers and taxes besides."


def board():
    it = Board("pacer-cost", "Pacer / Cost", "What was spent, on what, and what the same requests would have cost otherwise: all on Lambda, on tasks that follow their own "
               "utilisation, or sized by what came last.", variables=[JOB, INSTANCE, SERVICES, ROUTES], annotations=NOTES, since="now-24h", refresh="5m")
    cost = of("pacer_cost_dollars_total", SERVICE)

    def saving(way, about):
        return stat(f"Saved against {about}", f"What the same requests would have cost {about}, by the model that `pacer replay` uses, less what they did cost; over the time "
                    "shown. Of services with both lanes: others have no choice. Below 0: that would have been cheaper.", "currencyUSD", f"sum({saved(way)})",
                    instant=True, decimals=2, limits=[(RED, None), (GREEN, 0)])

    it.line(
        4,
        (4, stat("Cost", f"Over the time shown, of the services chosen. {LIST}", "currencyUSD", grown("", cost), instant=True, decimals=2)),
        (4, saving("target-tracking", "target tracking")),
        (4, saving("last-value", "the last value")),
        (4, saving("all-lambda", "Lambda alone")),
        (4, stat("A month at this pace", "What 730 hours like the time shown would cost.", "currencyUSD",
                 f"730 * 3600 * {total('', cost, '$__range')}", instant=True, decimals=0)),
        (2, stat("Pacer itself", "What the gateways themselves cost over the time shown, each taken for a task of a quarter vCPU.", "currencyUSD",
                 grown("", of("pacer_own_cost_dollars_total")), instant=True, decimals=2)),
        (2, stat("Estimated", "Share of the time that Lambda billed which was not reported but estimated, in the service where it is most. Behind the adapter it is 0.",
                 "percentunit", f"max({of('pacer_cost_estimated_ratio', SERVICE)})", decimals=0, spark=False)),
    )
    it.line(
        10,
        (12, lines("Dollars an hour, and otherwise", f"What is spent on services with both lanes, and what the same requests would cost otherwise: Lambda alone, tasks that follow "
                   f"their own utilisation, or both sized by what came last. {LIST}", "currencyUSD",
                   (f"3600 * sum({total('service', cost)} and on (service) {total('service', of('pacer_counterfactual_cost_dollars_total', SERVICE))})", "as it is"),
                   (f"3600 * {total('as', of('pacer_counterfactual_cost_dollars_total', SERVICE))}", "{{as}}"),
                   overrides=[dashed("all-lambda", ORANGE), dashed("target-tracking", "purple"), dashed("last-value", BLUE)])),
        (12, lines("Dollars an hour by lane and part", "lambda: requests, duration, restore and cache (SnapStart), provisioned, streaming, warm (warm-up invokes). container: busy, and idle, which "
                   "is paid for nothing. Much idle: fewer tasks at least (`tasks.min`), or more of the load on them.", "currencyUSD",
                   (f"3600 * {total('lane, part', cost)}", "{{lane}} {{part}}"), stack=True)),
    )
    by = "service"
    it.line(
        9,
        (14, table("Services", "Over the time shown. Saved is against target tracking, which is what most would run otherwise. Below 0 for long: leave that service alone, unless target "
                   "tracking would leave requests unserved: those that would have failed, or waited for a slot beyond their objective, since the gateway started.",
                   column(grown(by, cost), "cost", "currencyUSD", decimals=4),
                   column(grown(by, otherwise("target-tracking")), "target tracking", "currencyUSD", decimals=4),
                   column(grown(by, otherwise("last-value")), "last value", "currencyUSD", decimals=4),
                   column(grown(by, otherwise("all-lambda")), "Lambda alone", "currencyUSD", decimals=4),
                   column(saved("target-tracking"), "saved", "currencyUSD", decimals=4, limits=[(RED, None), (GREEN, 0)]),
                   column(f"max by (service) ({of('pacer_counterfactual_unserved_ratio', SERVICE, **{'as': 'target-tracking'})})",
                          "it leaves unserved", "percentunit", decimals=1),
                   sort="cost")),
        (10, table("Routes", "Over the time shown, what was spent on each route by lane, and on a million of its requests. Idle tasks are nobody's.",
                   column(grown("route, lane", of("pacer_route_cost_dollars_total", ROUTE)), "cost", "currencyUSD", decimals=4),
                   column(f"1000000 * {grown('route, lane', of('pacer_route_cost_dollars_total', ROUTE))} / {grown('route, lane', of('pacer_requests_total', ROUTE))}",
                          "a million requests", "currencyUSD", decimals=2),
                   sort="cost")),
    )
    it.line(
        8,
        (8, lines("Dollars an hour by service", LIST, "currencyUSD", (f"3600 * {total('service', cost)}", "{{service}}"), stack=True)),
        (8, lines("Idle share of containers", "Of what containers cost, the share for slots that nothing used.", "percentunit",
                  (f"{total('service', of('pacer_cost_dollars_total', SERVICE, lane='container', part='idle'))} "
                   f"/ {total('service', of('pacer_cost_dollars_total', SERVICE, lane='container'))}", "{{service}}"), high=1)),
        (8, lines("Billed GB-seconds a second", "Lambda's time billed times memory, by route: 1 is one GB all the time.", "none",
                  (total("route", of("pacer_lambda_billed_gb_seconds_total", ROUTE)), "{{route}}"), stack=True)),
    )
    return it
