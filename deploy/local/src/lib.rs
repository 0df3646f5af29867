//! An AWS-shaped cloud on loopback: Lambda and ECS with real processes, SQS for what ECS tells, Application Auto Scaling and
//! EventBridge Scheduler for what is to happen to its services; and of DynamoDB, S3 and CloudWatch what a gateway
//! remembers with.
//!
//! The gateway speaks only real AWS APIs; this is what it speaks them to in the demo, in tests and on a laptop. It does
//! what AWS does as far as the gateway can see it (limits, lags, refusals, wordings), and nothing that the gateway does
//! not call. Environments and tasks are processes of this machine: no isolation, no memory limit, no network of their
//! own beyond an address.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let mut config = pacer_local::Config::new();
//! config.functions.insert("thumb".into(), pacer_local::config::Function::new(vec!["./bootstrap".into()]));
//! let cloud = pacer_local::start(config, "127.0.0.1:0".parse()?, 1.0).await?;
//! println!("http://{}", cloud.address);
//! cloud.stop().await;
//! # Ok(())
//! # }
//! ```

use std::{net::SocketAddr, path::PathBuf, sync::Arc, sync::OnceLock};

use anyhow::Context;
use axum::{
    Router,
    routing::{get, post},
};
use http::StatusCode;

mod admin;
mod at;
mod autoscaling;
mod aws_json;
mod bill;
mod bucket;
mod calls;
mod clock;
mod cloudwatch;
pub mod config;
mod dynamodb;
mod ecs;
pub mod faults;
mod lambda;
mod process;
mod s3;
mod scheduler;
mod server;
mod signature;
mod sqs;
mod tasks;
pub mod units;

pub use admin::{
    EnvironmentState, FunctionState, ScalableTargetState, ScheduleState, ScheduledActionState,
    ServiceState, Snapshot, TaskState,
};
pub use bill::{Bill, FunctionBill, ServiceBill};
pub use config::Config;
pub use signature::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

use clock::Scale;
use ecs::Ecs;
use faults::Faults;
use lambda::Lambda;
use server::Server;
use sqs::Sqs;
use tasks::Tasks;

/// The command line of `pacer local`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// YAML file with the functions and services to run.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566")]
    pub listen: SocketAddr,
    /// How many times faster than real time lags pass (start lag, idle reaping, stop timeouts); the work itself runs
    /// in real time. Overrides the file's time_scale.
    #[arg(long, value_name = "N")]
    pub time_scale: Option<f64>,
}

/// Runs a local cloud until `shutdown` completes, then ends all its processes.
///
/// # Errors
/// When the configuration cannot be read or is wrong, or the address cannot be listened on.
pub async fn run(args: Args, shutdown: impl Future) -> anyhow::Result<()> {
    let path = args.config.display();
    let text = tokio::fs::read_to_string(&args.config).await;
    let text = text.with_context(|| format!("could not read the configuration {path}"))?;
    let config =
        Config::parse(&text).with_context(|| format!("could not use the configuration {path}"))?;
    let scale = args.time_scale.unwrap_or(config.time_scale);
    let cloud = start(config, args.listen, scale).await?;
    println!("pacer local listening on http://{}", cloud.address);
    shutdown.await;
    cloud.stop().await;
    Ok(())
}

/// Starts a local cloud in this process; `time_scale` is used instead of the configuration's.
///
/// # Errors
/// When the configuration is wrong ([`Config::check`]) or `listen` cannot be listened on.
pub async fn start(config: Config, listen: SocketAddr, time_scale: f64) -> anyhow::Result<Cloud> {
    let config = Config { time_scale, ..config };
    config.check()?;
    let scale = Scale(time_scale);
    let sqs = Sqs::new(&config);
    let shared = Arc::new(Shared {
        lambda: Lambda::new(&config, scale),
        ecs: Ecs::new(&config, &sqs),
        sqs,
        autoscaling: autoscaling::Autoscaling::default(),
        scheduler: scheduler::Scheduler::default(),
        dynamodb: dynamodb::Dynamo::new(&config),
        s3: s3::S3::new(&config),
        cloudwatch: cloudwatch::CloudWatch::default(),
        config,
        scale,
        faults: Faults::default(),
        work: Tasks::default(),
        processes: Tasks::default(),
        address: OnceLock::new(),
        calls: calls::Calls::default(),
    });
    let router = Router::new()
        .route("/", post(aws_json::handle))
        .route("/", get(|| async { "pacer local: see /_local/state\n" }))
        .merge(lambda::api::routes())
        .merge(scheduler::api::routes())
        .merge(cloudwatch::api::routes())
        .merge(admin::routes())
        .fallback(|| async { (StatusCode::NOT_FOUND, "the local cloud has no such path\n") })
        .layer(axum::middleware::from_fn_with_state(shared.clone(), s3::api::divert))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), calls::record))
        .with_state(shared.clone());
    let server = Server::bind(listen, router).await;
    let server = server.with_context(|| {
        format!("could not listen on {listen}; choose another --listen, or port 0")
    })?;
    let _ = shared.address.set(server.address);
    for function in shared.lambda.functions.values() {
        shared.work.spawn(function.clone().reap(scale));
        shared.work.spawn(lambda::provisioned::keep(shared.clone(), function.clone()));
    }
    for service in shared.ecs.services() {
        shared.work.spawn(service.clone().keep(shared.clone()));
    }
    shared.work.spawn(autoscaling::keep(shared.clone()));
    shared.work.spawn(scheduler::keep(shared.clone()));
    Ok(Cloud { address: server.address, server, shared })
}

/// A running local cloud. [`Cloud::stop`] ends its processes in order; dropping it kills them.
#[derive(Debug)]
pub struct Cloud {
    /// Where it listens.
    pub address: SocketAddr,
    server: Server,
    shared: Arc<Shared>,
}

impl Cloud {
    /// What runs now: the content of `GET /_local/state`.
    pub fn state(&self) -> Snapshot {
        admin::state(&self.shared)
    }

    /// What has been used so far: the content of `GET /_local/bill`.
    pub fn bill(&self) -> Bill {
        admin::bill(&self.shared)
    }

    /// Orders a fault: `POST /_local/faults`.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn fault(&self, order: faults::Order) -> anyhow::Result<()> {
        admin::place(&self.shared, order).map_err(anyhow::Error::msg)
    }

    /// Stops: no more requests, then SIGTERM to every process and SIGKILL half a second later. Returns when all
    /// have ended.
    pub async fn stop(self) {
        self.server.close();
        self.shared.work.abort().await;
        for function in self.shared.lambda.functions.values() {
            function.clear();
        }
        self.shared.processes.join().await;
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.shared.work.abort_all();
        self.shared.processes.abort_all();
    }
}

/// What every part of the cloud knows.
#[derive(Debug)]
struct Shared {
    config: Config,
    scale: Scale,
    faults: Faults,
    lambda: Lambda,
    ecs: Ecs,
    sqs: Sqs,
    autoscaling: autoscaling::Autoscaling,
    scheduler: scheduler::Scheduler,
    dynamodb: dynamodb::Dynamo,
    s3: s3::S3,
    cloudwatch: cloudwatch::CloudWatch,
    /// Everything that runs, but the supervisors of processes.
    work: Tasks,
    /// Supervisors of processes, which outlive the work that needed them until the process has ended.
    processes: Tasks,
    address: OnceLock<SocketAddr>,
    calls: calls::Calls,
}

impl Shared {
    /// The URL of this cloud, for SDKs in functions. Unset only before anything could ask.
    fn endpoint(&self) -> String {
        self.address.get().map(|address| format!("http://{address}")).unwrap_or_default()
    }
}
