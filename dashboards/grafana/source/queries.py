"""PromQL that the dashboards share: what a variable narrows, and shares that are 0 rather than nothing.

A series that never had an event does not exist, and `rate()` of nothing is nothing: a panel of failures would be empty while
all is well, and look the same as one that is broken. So a share is written `(part or 0 * whole) / whole`.
"""

from grafana import moments, variable

GATEWAY = 'job=~"$job", instance=~"$instance"'
SERVICE = f'{GATEWAY}, service=~"$service"'
ROUTE = f'{GATEWAY}, route=~"$route"'
BOTH = f'{SERVICE}, route=~"$route"'


def of(metric, within=GATEWAY, *matchers, **equal):
    """Selects `metric` as far as the variables allow."""
    matchers = [within, *matchers, *(f'{label}="{value}"' for label, value in equal.items())]
    return f"{metric}{{{', '.join(matchers)}}}"


def or_none(query, label, value=0):
    """What `query` yields; while that is nothing, one series of `value` that is called none."""
    return f'{query} or on () label_replace(vector({value}), "{label}", "none", "", "")'


def total(by, selected, window="$__rate_interval", function="rate"):
    """Adds up what counters grow by; `by` is a list of labels, or empty."""
    return f"sum{f' by ({by})' if by else ''} ({function}({selected}[{window}]))"


def grown(by, selected, window="$__range"):
    """The same, over a whole time."""
    return total(by, selected, window, "increase")


def share(part, whole):
    """A part of a whole, 0 while there is no part; both by the same labels."""
    return f"({part} or 0 * {whole}) / {whole}"


def quantile(level, by, within=ROUTE, window="$__rate_interval", function="rate", **equal):
    """A quantile of how long requests take, by labels of the histogram: route and lane."""
    le = f"le, {by}" if by else "le"
    return f"histogram_quantile({level}, {total(le, of('pacer_request_duration_seconds_bucket', within, **equal), window, function)})"


def requests(by, within=BOTH):
    """Requests finished a second."""
    return total(by, of("pacer_requests_total", within))


def slow(by, window="$__rate_interval", function="rate", within=BOTH):
    """Share of the requests that took longer than their route's objective, of routes that have one; one that has its counter from zero."""
    missed = of("pacer_objective_missed_total", within, objective="latency")
    promised = f"group by (service, route) ({of('pacer_objective_seconds', within)})"
    asked = f"sum{f' by ({by})' if by else ''} ({function}({of('pacer_requests_total', within)}[{window}]) and on (service, route) {promised})"
    return f"{total(by, missed, window, function)} / {asked}"


def spilled():
    """Share of requests that were sent to the other lane, decided so or after a try; over all services."""
    all_of_them = total("", of("pacer_requests_total"))
    decided = total("", of("pacer_decisions_total", GATEWAY, 'reason=~"spill-.*"'))
    tried = total("", of("pacer_spills_total"))
    return f"(({decided} or 0 * {all_of_them}) + ({tried} or 0 * {all_of_them})) / {all_of_them}"


def otherwise(way, within=SERVICE):
    """What the same requests would have cost in another `way`; there is one only for services with both lanes."""
    return of("pacer_counterfactual_cost_dollars_total", within, **{"as": way})


def saved(way):
    """Dollars less than in another way over the time shown, by service; a service without another way is left out."""
    return f"{grown('service', otherwise(way))} - on (service) {grown('service', of('pacer_cost_dollars_total', SERVICE))}"


def firing():
    """Alerts of prometheus/alerts.yml that fire now."""
    return 'count(ALERTS{alertname=~"Pacer.+", alertstate="firing"}) or vector(0)'


JOB = variable("job", "Job", "Scrape job of the gateways: keeps the process metrics of other programs out.",
               "label_values(pacer_build_info, job)")
INSTANCE = variable("instance", "Gateway", "Gateways to show.", 'label_values(pacer_build_info{job=~"$job"}, instance)')
SERVICES = variable("service", "Service", "Services to show; none: no route matched.",
                    'label_values(pacer_requests_total{job=~"$job"}, service)')
ROUTES = variable("route", "Route", "Routes to show; follows the service, so that latency, which is kept by route alone, follows it too.",
                  'label_values(pacer_requests_total{job=~"$job", service=~"$service"}, route)', all_value=None)

STARTED = moments(
    "Gateways started", "version", "purple",
    f"1000 * {of('process_start_time_seconds')} * on (job, instance) group_left (version) {of('pacer_build_info')}",
    "Pacer {{version}} started", "{{instance}}", at_value=True)
RELOADED = moments(
    "Policies taken over", "hash", "blue",
    f"""1000 * (
        ({of('pacer_policy_loaded_timestamp_seconds')} > on (job, instance) {of('process_start_time_seconds')} + 5)
        * on (job, instance) group_left (hash) {of('pacer_policy_info')}
    )""",
    "policy {{hash}} took over", "{{instance}}", at_value=True)
_SCALINGS = of("pacer_actions_total", GATEWAY, 'kind=~"scale-out|scale-in|provision"', 'result="done"')
SCALED = moments(
    "Capacity changed", "service,kind", "orange",
    f"sum by (service, kind) (increase({_SCALINGS}[$__rate_interval])) > 0",
    "{{kind}}", "{{service}}")
NOTES = [STARTED, RELOADED, SCALED]
