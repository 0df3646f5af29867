//! What the gateway tells about itself: every metric is declared here, once.
//!
//! A declaration holds name, kind, labels and help; label values come from enums and from the policy, never from a
//! request, so that their number is bounded. Counting happens in [`shard`], writing in [`exposition`]; the one line that
//! each request leaves is the [`access_log`]'s. There is no registry: the shards are read when somebody asks.

pub(crate) mod access_log;
pub(crate) mod exposition;
pub(crate) mod otlp;
pub(crate) mod series;
pub(crate) mod shard;

/// What a metric's value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound, with a sum.
    Histogram,
}

/// The declaration of one metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    /// Its name, unit last, `_total` for counters.
    pub(crate) name: &'static str,
    /// What its value means.
    pub(crate) kind: Kind,
    /// Its labels, in the order in which values are given.
    pub(crate) labels: &'static [&'static str],
    /// One sentence for people.
    pub(crate) help: &'static str,
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

/// Declares each metric as a constant and all of them as `ALL`, so that none can be left out of the tests.
macro_rules! metrics {
    ($($constant:ident = $metric:expr;)*) => {
        $(pub(crate) const $constant: Metric = $metric;)*
        /// Every metric that `/metrics` can show.
        #[cfg(test)]
        pub(crate) const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    REQUESTS = counter(
        "pacer_requests_total",
        &["route", "service", "lane", "code"],
        "Requests finished, by the class of the status sent; code none: the client went away unanswered.",
    );
    REQUEST_DURATION = Metric {
        name: "pacer_request_duration_seconds",
        kind: Kind::Histogram,
        labels: &["route", "lane"],
        help: "From the request's head read to the last byte answered, queue and cold start included.",
    };
    REQUEST_BYTES = counter("pacer_request_bytes_total", &["route"], "Bytes of request bodies.");
    RESPONSE_BYTES = counter("pacer_response_bytes_total", &["route"], "Bytes of response bodies.");
    ASKED = counter(
        "pacer_asked_total",
        &["route", "service", "lane"],
        "Requests by the lane that they would have had with nothing in the way: what it is planned for; lane none: neither can.",
    );
    OBJECTIVE_MISSED = counter(
        "pacer_objective_missed_total",
        &["route", "service", "objective"],
        "Requests outside their route's objective: latency (longer than p99 allows) or success (a server error, or an answer that broke off).",
    );
    OBJECTIVE_SECONDS = gauge(
        "pacer_objective_seconds",
        &["route", "service"],
        "What 99 of 100 requests of the route are not to exceed, by the policy.",
    );
    OBJECTIVE_SUCCESS = gauge(
        "pacer_objective_success_ratio",
        &["service"],
        "Share of requests that are to end without a server error, by the policy.",
    );
    ERROR_BUDGET_LEFT = gauge(
        "pacer_error_budget_left_ratio",
        &["service"],
        "Share of the objective's window that may still be missed: of several objectives the least; what was not seen yet counts as calm.",
    );
    ERROR_BUDGET_BURN = gauge(
        "pacer_error_budget_burn_ratio",
        &["service", "window"],
        "How many times faster than the objective allows requests missed it, over the window: of several objectives the most.",
    );
    RADAR_SECONDS = gauge(
        "pacer_radar_seconds",
        &["service", "warning"],
        "Seconds until trouble of a kind, 0 is now; of an error budget until it is spent. None where none is in sight.",
    );
    READY_TO_ACT = gauge(
        "pacer_ready_to_act",
        &["service"],
        "1 for a service in mode observe that could be let act, 0 for one that could not yet.",
    );
    DECISIONS = counter("pacer_decisions_total", &["lane", "reason"], "Decisions by lane and by what decided; lane none: refused.");
    SPILLS = counter("pacer_spills_total", &["from", "cause"], "Requests that left a lane after it was tried.");
    ENDS = counter("pacer_ends_total", &["end"], "How requests ended.");
    RETRIES = counter("pacer_retries_total", &[], "Requests sent again.");
    IN_FLIGHT = gauge("pacer_requests_in_flight", &[], "Requests in flight.");
    CONNECTIONS = counter("pacer_connections_total", &[], "Client connections accepted.");
    CONNECTIONS_REFUSED = counter(
        "pacer_connections_refused_total",
        &[],
        "Client connections closed on arrival because limits.connections was reached.",
    );
    CONNECTIONS_OPEN = gauge("pacer_connections_open", &[], "Client connections open.");
    UPSTREAM_CONNECTIONS = counter("pacer_upstream_connections_total", &[], "Connections opened to tasks and to Lambda.");
    LAMBDA_IN_FLIGHT = gauge("pacer_lambda_in_flight", &["service"], "Lambda invocations in flight.");
    LAMBDA_UP = gauge("pacer_lambda_up", &["service"], "1 while Lambda is called, 0 while its circuit breaker is open.");
    LAMBDA_STATE = gauge(
        "pacer_lambda_state",
        &["service", "state"],
        "1 for the state of the version that is called: unread, active, pending, inactive, failed, deactivated or absent.",
    );
    LAMBDA_CONCURRENCY_LIMIT = gauge(
        "pacer_lambda_concurrency_limit",
        &["service"],
        "Invocations that may be in flight at once: by the policy, and by reserved or account concurrency.",
    );
    LAMBDA_PROVISIONED = gauge(
        "pacer_lambda_provisioned",
        &["service", "kind"],
        "Environments of provisioned concurrency: requested, allocated, and available, which are idle.",
    );
    LAMBDA_ERRORS = counter(
        "pacer_lambda_errors_total",
        &["error"],
        "What Lambda answered instead of a response: its exception, the reason of a throttle, or the function's failure.",
    );
    LAMBDA_BILLED = counter(
        "pacer_lambda_billed_gb_seconds_total",
        &["route"],
        "Time that Lambda bills times memory; 1 GB is 1024 MB, as AWS bills it.",
    );
    LAMBDA_COLD_STARTS = counter("pacer_lambda_cold_starts_total", &["route"], "Requests that started a new environment.");
    COST = counter(
        "pacer_cost_dollars_total",
        &["service", "lane", "part"],
        "Dollars at list price: of Lambda requests, duration, restore, cache, provisioned, streaming and warm; of containers busy and idle.",
    );
    ROUTE_COST = counter(
        "pacer_route_cost_dollars_total",
        &["route", "lane"],
        "Dollars at list price of a route's requests: its invocations, or the part of tasks that they used.",
    );
    COUNTERFACTUAL_COST = counter(
        "pacer_counterfactual_cost_dollars_total",
        &["service", "as"],
        "Dollars that the same requests would have cost, simulated: all-lambda, target-tracking or last-value.",
    );
    COUNTERFACTUAL_UNSERVED = gauge(
        "pacer_counterfactual_unserved_ratio",
        &["service", "as"],
        "Share of the requests since the start that would have failed so, or waited for a slot beyond their objective, simulated.",
    );
    OWN_COST = counter("pacer_own_cost_dollars_total", &[], "Dollars at list price that this gateway costs, taken for a task of a quarter vCPU.");
    COST_ESTIMATED = gauge(
        "pacer_cost_estimated_ratio",
        &["service"],
        "Share of the time that Lambda billed since the start which was estimated here, for want of a report.",
    );
    TASKS = gauge("pacer_tasks", &["service", "state"], "Tasks known: unproven, ready or draining.");
    SLOTS = gauge("pacer_slots", &["service"], "Requests that the ready tasks can serve at once.");
    SLOTS_BUSY = gauge("pacer_slots_busy", &["service"], "Slots taken, in tasks of any state.");
    QUEUE_WAITING = gauge("pacer_queue_waiting", &["service"], "Requests waiting for a slot.");
    PLANNED_ENVIRONMENTS = gauge(
        "pacer_planned_environments",
        &["service", "kind"],
        "Environments of the function that should be held, by warm-up invokes (warm) or provisioned concurrency (provisioned).",
    );
    PLANNED_TASKS = gauge("pacer_planned_tasks", &["service"], "Tasks that the service should have, as planned last.");
    DEMAND_SLOTS = gauge(
        "pacer_demand_slots",
        &["service"],
        "Slots kept busy by what containers were asked to serve in the last ten seconds, wherever it ran.",
    );
    BREAK_EVEN = gauge(
        "pacer_break_even_ratio",
        &["service"],
        "Share of its slots that a task must keep busy to cost no more than Lambda.",
    );
    START_SECONDS = gauge(
        "pacer_task_start_seconds",
        &["service"],
        "How far ahead the plan looks: what 95 of 100 starts of a task do not exceed.",
    );
    FORECAST_SLOTS = gauge(
        "pacer_forecast_slots",
        &["service", "level"],
        "Busy slots when a task asked for now could serve: expected, and what nine chances in ten do not exceed.",
    );
    HISTORY_FAILURES = counter(
        "pacer_history_failures_total",
        &[],
        "Times that what was asked could not be read from or written to `state`.",
    );
    ACTIONS = counter(
        "pacer_actions_total",
        &["service", "kind", "result"],
        "Changes of capacity: scale-out, scale-in, protect, release, fallback, provision, warm-up; read only where it failed.",
    );
    FROZEN = gauge("pacer_frozen", &[], "1 while somebody has stopped all changes of capacity.");
    DISCOVERY_ERRORS = counter("pacer_discovery_errors_total", &["service"], "Listings of a service's tasks that failed.");
    GATEWAYS_LIVE = gauge("pacer_gateways_live", &[], "Gateways that divide slots and plan together, this one among them.");
    GATEWAY_LEADS = gauge("pacer_gateway_leads", &[], "1 while this gateway has the lease: it alone changes capacity then.");
    GATEWAY_ERRORS = counter("pacer_gateway_errors_total", &[], "Rounds with the table of gateways that failed.");
    POLICY_INFO = gauge("pacer_policy_info", &["hash"], "Always 1; its label says which policy is in force.");
    POLICY_SINCE = gauge("pacer_policy_loaded_timestamp_seconds", &[], "When the policy in force took over, in Unix time.");
    RELOADS = counter("pacer_reload_total", &["result"], "Policies read after the first: applied or refused.");
    RELOAD_FAILED = gauge("pacer_reload_failed", &[], "1 while the policy's files hold something that was refused.");
    ACCESS_LOG_DROPPED = counter("pacer_access_log_dropped_total", &[], "Lines dropped because the access log's writer was behind.");
    OTLP_SPANS = counter("pacer_otlp_requests_total", &[], "Requests whose spans a collector took.");
    OTLP_DROPPED = counter(
        "pacer_otlp_dropped_total",
        &[],
        "Requests recorded for traces and not told of: the collector was away or behind, or refused them.",
    );
    OTLP_FAILURES = counter("pacer_otlp_failures_total", &["signal"], "Calls of the collector that failed: traces or metrics.");
    BUILD_INFO = gauge("pacer_build_info", &["version"], "Always 1; its label says what runs.");
    PROCESS_CPU = counter("process_cpu_seconds_total", &[], "Processor time used, user and system.");
    PROCESS_RESIDENT = gauge("process_resident_memory_bytes", &[], "Memory resident.");
    PROCESS_FDS = gauge("process_open_fds", &[], "File descriptors open.");
    PROCESS_START = gauge("process_start_time_seconds", &[], "When the process started, in Unix time.");
    PROCESS_THREADS = gauge("process_threads", &[], "Threads.");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a route is counted by is multiplied by the number of routes: reasons, causes and errors stand apart.
    #[test]
    fn a_route_is_not_multiplied_by_reasons() {
        for metric in ALL.iter().filter(|metric| metric.labels.contains(&"route")) {
            for label in metric.labels {
                let few = ["route", "service", "lane", "code", "objective"];
                assert!(few.contains(label), "{} by {label}", metric.name);
            }
        }
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for metric in ALL {
            assert!(
                metric.name.starts_with("pacer_") || metric.name.starts_with("process_"),
                "{}",
                metric.name
            );
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            assert!(!metric.labels.contains(&"le"), "{}", metric.name);
            assert_eq!(
                ALL.iter().filter(|other| other.name == metric.name).count(),
                1,
                "{}",
                metric.name
            );
        }
    }
}
