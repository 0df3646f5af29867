//! The policy as the gateway uses it: valid by construction.
//!
//! Only [`crate::load`] makes one. Everything a worker would otherwise have to look up, inherit or convert for each
//! request is done here once: names are indices, inheritance is resolved, units are numbers.

mod access;
mod act;
mod telemetry;

use std::{net::IpAddr, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

pub use self::{
    access::{Admin, AdminTls, Secret, Tokens},
    act::{Event, Expect, Gateways, ScaleBy, State, TaskLimits, WarmPool},
    telemetry::Otlp,
};
use crate::{
    decide::{Class, Lane},
    route::{Match, Table},
};

/// One whole policy: what `pacer serve` runs on.
#[derive(Debug, Clone)]
pub struct Policy {
    /// AWS region of the Lambda and ECS calls; the SDK's own chain (`AWS_REGION`, profile) decides when absent.
    pub region: Option<Arc<str>>,
    /// Base URL of every AWS call instead of AWS's own endpoints: `pacer local`, an emulator, a VPC endpoint.
    pub endpoint_url: Option<Arc<str>>,
    /// The data port.
    pub listen: Listen,
    /// Where `/metrics` is served, read only; absent turns it off.
    pub metrics: Option<SocketAddr>,
    /// Where the admin API is served, and to whom; absent turns it off.
    pub admin: Option<Admin>,
    /// Where the access log goes.
    pub access_log: AccessLog,
    /// Where traces and metrics are sent; nowhere when absent.
    pub otlp: Option<Otlp>,
    /// Bounds that hold over all services.
    pub limits: Limits,
    /// Where what outlives a restart is kept; nothing does without it.
    pub state: Option<State>,
    /// Where the gateways of one policy find each other; without it, this one is alone.
    pub gateways: Option<Gateways>,
    /// What was announced: no two events of one service overlap, and those of each are in order of time.
    pub events: Arc<[Event]>,
    /// The services, indexed by [`ServiceId`].
    pub services: Box<[Service]>,
    /// The routes, indexed by [`RouteId`], most specific first: the order in which they win.
    pub routes: Box<[Route]>,
    /// The routes compiled for matching.
    pub table: Table,
}

impl Policy {
    /// Returns the service of `id`.
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[usize::from(id.0)]
    }

    /// Returns the route of `id`.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[usize::from(id.0)]
    }

    /// Returns this policy with the Lambda lanes that `lane` gives, for services that have one: what was read of a
    /// function holds in the place of what the policy assumes.
    #[must_use]
    pub fn with_functions(&self, lane: impl Fn(&Service) -> Option<Lambda>) -> Self {
        let mut policy = self.clone();
        for service in &mut policy.services {
            if service.lambda.is_some()
                && let Some(lambda) = lane(service)
            {
                service.lambda = Some(lambda);
            }
        }
        policy
    }
}

/// Index of a service in its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u16);

/// Index of a route in its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u16);

/// The data port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Path on the data port that answers 200 while the gateway takes traffic and 503 while it drains.
    pub health: Arc<str>,
    /// Networks whose `X-Forwarded-*` and `Forwarded` headers are believed.
    pub trust_forwarded_from: Box<[Network]>,
    /// How long a client's connection may stay without a request.
    pub idle_timeout: Duration,
    /// How long new connections are still taken after the gateway was told to stop, while health answers 503.
    pub drain: Duration,
}

/// An IP network in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of the network.
    pub address: IpAddr,
    /// How many leading bits count: 0 to 32 (IPv4) or 128 (IPv6).
    pub prefix: u8,
}

impl Network {
    /// Tells whether `address` lies in this network. An IPv4 address in its IPv6-mapped form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same_prefix(
                u128::from(net.to_bits()) << 96,
                u128::from(ip.to_bits()) << 96,
                self.prefix,
            ),
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                same_prefix(net.to_bits(), ip.to_bits(), self.prefix)
            }
            _ => false,
        }
    }
}

fn same_prefix(a: u128, b: u128, bits: u8) -> bool {
    let differing = (a ^ b).leading_zeros();
    differing >= u32::from(bits)
}

/// Where the access log goes: one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

/// Bounds that hold over all services. Each breach is counted and answered, never silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Client connections open at once; further ones are closed on arrival.
    pub connections: usize,
    /// Bytes of a request's line and headers.
    pub request_head: usize,
    /// Bytes of request and response bodies held for Lambda at once, over all workers.
    pub buffered: u64,
    /// Requests that may wait for a slot at once, per service.
    pub queue: u32,
    /// How long what is in flight may take when the gateway stops, after the listener has closed.
    pub shutdown: Duration,
}

/// What a service may do on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Declared classes only; nothing is learned.
    Off,
    /// Learns and decides; changes no capacity.
    Observe,
    /// The same, and sets its capacity as planned.
    Act,
}

impl Mode {
    /// Returns the name that policies and logs give it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Act => "act",
        }
    }

    /// Tells whether what requests take is learned, and decides.
    pub const fn learns(self) -> bool {
        match self {
            Self::Off => false,
            Self::Observe | Self::Act => true,
        }
    }
}

/// One workload: a Lambda lane, a container lane, or both.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name in the policy file.
    pub name: Arc<str>,
    /// What it may do on its own.
    pub mode: Mode,
    /// The Lambda lane.
    pub lambda: Option<Lambda>,
    /// The container lane.
    pub container: Option<Container>,
    /// Needs that only containers meet.
    pub needs: Needs,
    /// What it promises.
    pub objective: Objective,
}

/// What a workload needs that Lambda cannot give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Local storage that outlives a request.
    pub storage: bool,
    /// Requests of one client must reach one task.
    pub affinity: bool,
}

/// What a service or route promises, seen at the gateway with queue and cold start included.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Objective {
    /// 99th percentile of latency.
    pub p99: Option<Duration>,
    /// Share of requests answered without a server error, 0 to 1.
    pub success: Option<f64>,
    /// Over how long both are judged.
    pub window: Option<Duration>,
}

/// Processor architecture, for prices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Arch {
    /// AWS Graviton.
    #[default]
    Arm64,
    /// Intel or AMD.
    X86_64,
}

/// How a service's function is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Lambda {
    /// `FunctionName` of Invoke: a name, a partial ARN or an ARN, without its qualifier.
    pub function: Arc<str>,
    /// `Qualifier` of Invoke: a version or an alias.
    pub qualifier: Option<Arc<str>>,
    /// The format of its events.
    pub event: EventFormat,
    /// How it is invoked.
    pub invoke: InvokeMode,
    /// How its cold starts come about, for estimates and the planner.
    pub cold_start: ColdStart,
    /// Invocations that Pacer keeps in flight at once: a spill must not take down the database behind.
    pub max_in_flight: u32,
    /// How many of its environments may be held warm; none when absent.
    pub warm_pool: Option<WarmPool>,
    /// Memory of the function in MiB; AWS writes MB and means MiB.
    pub memory_mib: u32,
    /// The function's own timeout.
    pub timeout: Duration,
    /// Its architecture.
    pub arch: Arch,
}

/// Which of AWS's front ends a function's events look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EventFormat {
    /// Payload format 2.0 of API Gateway's HTTP APIs, and of function URLs.
    #[default]
    ApigwV2,
    /// Payload format 1.0, of REST APIs.
    ApigwV1,
    /// A load balancer's target group: of a repeated header or parameter, the last one.
    Alb,
    /// The same with multi-value headers on.
    AlbMultiValue,
}

/// How a function is invoked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InvokeMode {
    /// Its answer is read whole: at most 6 MB.
    #[default]
    Buffered,
    /// Its answer is passed on as it comes: at most 200 MB.
    Stream,
}

/// How a function's environments start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColdStart {
    /// Init code runs at each start.
    #[default]
    Plain,
    /// Environments are restored from a snapshot.
    SnapStart,
    /// Provisioned concurrency holds environments ready.
    Provisioned,
}

/// How a service's containers are found and used.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Where its tasks are.
    pub discovery: Discovery,
    /// Requests that one task serves at once: its slots.
    pub requests_per_task: u32,
    /// How many tasks it may have; always there in [`Mode::Act`] with ECS, never with upstreams.
    pub tasks: Option<TaskLimits>,
    /// How their count is set.
    pub scale_by: ScaleBy,
    /// How a task proves that it is ready.
    pub probe: Probe,
    /// Virtual CPUs of a task.
    pub vcpu: f64,
    /// Memory of a task in MiB.
    pub memory_mib: u32,
    /// Its architecture.
    pub arch: Arch,
}

/// Where a service's tasks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// Asked from ECS.
    Ecs {
        /// Cluster name or ARN.
        cluster: Arc<str>,
        /// Service name.
        service: Arc<str>,
        /// Container port.
        port: u16,
        /// Queue to which EventBridge sends the cluster's task state change events.
        events: Option<Queue>,
    },
    /// Written in the policy.
    Upstreams(Box<[Upstream]>),
}

/// One static upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
}

/// An SQS queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue {
    /// Its whole URL, which the API calls it by.
    pub url: Arc<str>,
    /// Where the API is, unless `endpoint_url` says otherwise: the URL up to its path.
    pub endpoint: Arc<str>,
}

/// How a task proves that it is ready: an HTTP GET answered with a status below 500.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Path asked for.
    pub path: Arc<str>,
    /// Time between two probes of a task.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// What is done with the requests that match.
#[derive(Debug, Clone)]
pub struct Route {
    /// The match as a person would write it, such as `POST api.example.com/v1/recognise`: a label in logs and metrics.
    pub name: Arc<str>,
    /// What it matches.
    pub matches: Match,
    /// Where in the policy's files it stands, as `file:line`.
    pub place: Arc<str>,
    /// The service that answers.
    pub service: ServiceId,
    /// The class that policy declares; `None` is `auto`.
    pub class: Option<Class>,
    /// The lanes it may use: a hard rule.
    pub lanes: Lanes,
    /// How `auto` learns.
    pub auto: Auto,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// When a request may be sent again.
    pub retry: Retry,
    /// Bytes of a body of unknown size that are read before deciding.
    pub buffer: u64,
    /// Who goes first when slots are short.
    pub priority: Priority,
    /// Whether responses carry `x-pacer-decision`.
    pub decision_header: bool,
    /// What it promises.
    pub objective: Objective,
}

/// A set of lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lanes {
    /// Lambda may be used.
    pub lambda: bool,
    /// Containers may be used.
    pub container: bool,
}

impl Lanes {
    /// Both lanes.
    pub const BOTH: Self = Self { lambda: true, container: true };

    /// Tells whether `lane` is in the set.
    pub const fn has(self, lane: Lane) -> bool {
        match lane {
            Lane::Lambda => self.lambda,
            Lane::Container => self.container,
        }
    }
}

/// How `class: auto` learns.
#[derive(Debug, Clone, PartialEq)]
pub struct Auto {
    /// A request is a sprinter when 95 of 100 like it take no longer than this.
    pub sprinter_up_to: Duration,
    /// Expected service time while too few requests have been seen.
    pub prior: Duration,
    /// A number in the request that its cost grows with; requests are then learned by its powers of two.
    pub size_by: Option<SizeBy>,
}

/// Where the number stands that a request's cost grows with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeBy {
    /// A query parameter.
    Query(Arc<str>),
    /// A request header.
    Header(http::HeaderName),
    /// The body's length.
    ContentLength,
}

/// How long each step of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Opening a connection to a task or to Lambda.
    pub connect: Duration,
    /// Waiting for a slot.
    pub queue: Duration,
    /// From the request sent to the head of its response.
    pub first_byte: Duration,
    /// Between two pieces of a body, either way.
    pub idle: Duration,
    /// From the request's head to the response's last byte.
    pub total: Duration,
}

/// When a request may be sent again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Sends again, on either lane, what provably did not run.
    pub did_not_run: bool,
    /// Share of requests that may be retries, 0 to 1: a broken backend must not double its own load.
    pub budget: f64,
    /// Methods that may run twice.
    pub idempotent_methods: Box<[http::Method]>,
    /// Request headers whose presence says that a request may run twice.
    pub idempotent_headers: Box<[http::HeaderName]>,
}

/// Who goes first when slots are short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Waits behind all others.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Waits before all others.
    High,
}
