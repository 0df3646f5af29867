//! What holds when nothing is written.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use http::{HeaderName, Method};

use crate::policy::{Auto, Limits, Mode, Objective, Priority, Probe, Retry, Timeouts};

/// The data port: all addresses, the port that programs without root use for HTTP.
pub(crate) const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);
/// The metrics port is for scrapers on other machines; it serves `/metrics` and nothing else.
pub(crate) const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9901);
/// The admin API shows policy and decisions: for this machine only.
pub(crate) const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);
/// A path that no application is likely to use.
pub(crate) const HEALTH: &str = "/.pacer/ready";
/// Above the 60 s after which AWS load balancers drop an idle connection, so that they close first and never send into a
/// connection that is just being closed here.
pub(crate) const LISTEN_IDLE: Duration = Duration::from_secs(75);

/// Whoever sends requests here hears of the stop by a health check, by DNS or by an endpoint list, seconds later: until
/// then a closed port would fail them. Five as in Istio's proxies. ECS takes a task off its load balancer before it sends
/// SIGTERM: there `0s` stops sooner.
pub(crate) const LISTEN_DRAIN: Duration = Duration::from_secs(5);

/// Bounds over all services.
pub(crate) const LIMITS: Limits = Limits {
    // At most 20 KiB each when idle: 400 MiB. Doubled, so is that.
    connections: 20_000,
    // Above what AWS load balancers let through (60 KiB of headers in all).
    request_head: 64 << 10,
    // Some 20 of the largest events with their encoded copies.
    buffered: 256 << 20,
    // Further requests would wait longer than their clients.
    queue: 1_000,
    // ECS and Kubernetes kill 30 s after asking to stop: after LISTEN_DRAIN and this, what is logged last must be out.
    shutdown: Duration::from_secs(20),
};

/// Learn, and change nothing.
pub(crate) const MODE: Mode = Mode::Observe;

/// How long each step may take.
pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(1),
    // About what a cold start costs: waiting longer for a slot than for an environment is a bad trade.
    queue: Duration::from_millis(200),
    first_byte: Duration::from_secs(20),
    idle: Duration::from_mins(1),
    total: Duration::from_secs(30),
};

/// Sends again what provably did not run, and lets what HTTP calls safe run twice.
pub(crate) fn retry() -> Retry {
    Retry {
        did_not_run: true,
        budget: 0.1,
        idempotent_methods: [Method::GET, Method::HEAD].into(),
        idempotent_headers: [HeaderName::from_static("idempotency-key")].into(),
    }
}

/// Bytes of a body of unknown size that are read before deciding.
pub(crate) const BUFFER: u64 = 1 << 20;

/// A second on Lambda costs about twice what it costs in a busy task; a request shorter than that is hardly worth a slot.
pub(crate) const AUTO: Auto = Auto {
    sprinter_up_to: Duration::from_secs(1),
    prior: Duration::from_millis(200),
    size_by: None,
};

/// Share of requests that are traced where a collector is written and nothing else: what leaves a gateway under load cheap.
pub(crate) const TRACES: f64 = 0.01;
/// Time between two exports of metrics: what SDKs of OpenTelemetry have.
pub(crate) const METRICS_EVERY: Duration = Duration::from_mins(1);

/// Who goes first.
pub(crate) const PRIORITY: Priority = Priority::Normal;
/// Nothing is promised.
pub(crate) const OBJECTIVE: Objective = Objective { p99: None, success: None, window: None };
/// Responses do not tell clients how they came about.
pub(crate) const DECISION_HEADER: bool = false;

/// A tenth of the 1,000 concurrent executions that an AWS account starts with.
pub(crate) const MAX_IN_FLIGHT: u32 = 100;
/// One full vCPU (AWS Lambda guide, "Configure Lambda function memory").
pub(crate) const LAMBDA_MEMORY_MIB: u32 = 1769;
/// Assumed of a function where nothing is written; AWS's own default of 3 s is rarely left in place.
pub(crate) const LAMBDA_TIMEOUT: Duration = Duration::from_secs(30);
/// Assumed of a task where nothing is written.
pub(crate) const TASK_VCPU: f64 = 1.0;
/// The least that Fargate sells with one vCPU.
pub(crate) const TASK_MEMORY_MIB: u32 = 2048;

/// How a task proves that it is ready.
pub(crate) fn probe() -> Probe {
    Probe { path: "/".into(), interval: Duration::from_secs(5), timeout: Duration::from_secs(1) }
}
