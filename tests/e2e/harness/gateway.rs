//! The gateway under test, and what it tells about itself.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    process::{Ended, Process, command},
    until,
    upstream::{PROBE, Upstream},
    wire::{Answer, Wire},
};

/// A running `pacer serve`.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) metrics: SocketAddr,
    process: Process,
    directory: TempDir,
}

/// How a gateway is started; see [`Gateway::start`] for the usual way.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) workers: usize,
    pub(crate) env: Vec<(&'static str, &'static str)>,
    /// More arguments.
    pub(crate) arguments: Vec<&'static str>,
    /// Wait until every task of a fixed upstream has been probed.
    pub(crate) wait_ready: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { workers: 1, env: Vec::new(), arguments: Vec::new(), wait_ready: true }
    }
}

impl Gateway {
    /// Starts a gateway with one worker and waits until its fixed upstreams are ready.
    ///
    /// `policy` needs services and routes; what it does not write is set so that nothing collides: ports that the system
    /// chooses, an access log that the test reads, a region.
    pub(crate) async fn start(policy: &str) -> Self {
        Self::start_with(policy, Setup::default()).await
    }

    pub(crate) async fn start_with(policy: &str, setup: Setup) -> Self {
        let directory = TempDir::new().expect("there is room for temporary files");
        let file = directory.path().join("policy.yaml");
        let log = directory.path().join("access.log");
        std::fs::write(&file, filled(policy, &log)).expect("the directory is ours");
        let workers = setup.workers.to_string();
        let arguments = ["serve", "--workers", &workers, "--policy"].map(PathBuf::from);
        let mut command = command(arguments.into_iter().chain([file]));
        command.envs(setup.env).args(setup.arguments);
        let mut process = Process::start(command);
        let http = address(&process.line("pacer listening on ").await);
        let admin = address(&process.line("pacer admin on ").await);
        let metrics = address(&process.line("pacer metrics on ").await);
        let gateway = Self { http, admin, metrics, process, directory };
        if setup.wait_ready {
            gateway.until_fixed_tasks_are_ready().await;
        }
        gateway
    }

    async fn until_fixed_tasks_are_ready(&self) {
        until("all tasks are ready", async || {
            let services = self.admin("/services").await;
            let lists = services.as_array()?.iter().map(|service| &service["container"]["tasks"]);
            let mut tasks = lists.flat_map(|tasks| tasks.as_array().into_iter().flatten());
            tasks.all(|task| task["state"] == "ready").then_some(())
        })
        .await;
    }

    /// Opens a connection.
    #[track_caller]
    pub(crate) fn connect(&self) -> impl Future<Output = Wire> + use<> {
        Wire::connect(self.http)
    }

    /// Gets `target` on a connection of its own.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> impl Future<Output = Answer> + use<> {
        self.ask("GET", target, &[], b"")
    }

    /// Posts `body` to `target` on a connection of its own.
    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &[u8]) -> impl Future<Output = Answer> + use<> {
        self.ask("POST", target, &[], body)
    }

    /// Sends a request on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> impl Future<Output = Answer> + use<> {
        let connecting = self.connect();
        let request = super::wire::request(method, target, headers, body);
        let method = method.to_owned();
        async move {
            let mut wire = connecting.await;
            wire.send(request).await;
            wire.answer(&method).await
        }
    }

    /// Asks the admin API.
    pub(crate) async fn admin(&self, path: &str) -> Value {
        let answer = self.admin_answer(path).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.json()
    }

    /// Asks the admin API, whatever it answers.
    pub(crate) async fn admin_answer(&self, path: &str) -> Answer {
        Wire::connect(self.admin).await.ask("GET", path, &[("host", "localhost")], b"").await
    }

    /// Scrapes the metrics.
    pub(crate) async fn metrics(&self) -> Metrics {
        let answer = Wire::connect(self.metrics).await.ask("GET", "/metrics", &[], b"").await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        Metrics(answer.text().to_owned())
    }

    /// Waits until the sample `name` with `labels` is `value`.
    #[track_caller]
    pub(crate) fn until_metric(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) -> impl Future<Output = ()> {
        until(&format!("{name}{labels:?} is {value}"), async move || {
            let found = self.metrics().await.get(name, labels);
            ((found - value).abs() < f64::EPSILON).then_some(())
        })
    }

    /// Waits until the access log has `count` lines, and returns them.
    pub(crate) async fn log(&self, count: usize) -> Vec<Value> {
        let path = self.directory.path().join("access.log");
        until(&format!("{count} lines in the access log"), async || {
            let text = std::fs::read_to_string(&path).ok()?;
            (count <= text.lines().count()).then(|| log_lines(&text))
        })
        .await
    }

    /// The access log as it is.
    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default()
    }

    /// Returns the next line of standard output that begins with `prefix`, without it.
    pub(crate) async fn line(&mut self, prefix: &str) -> String {
        self.process.line(prefix).await
    }

    /// What it wrote to standard error so far.
    pub(crate) fn errors(&self) -> String {
        self.process.errors()
    }

    /// Waits until it has told `part` on standard error, which comes by a pipe, after what it does.
    #[track_caller]
    pub(crate) fn until_told(&self, part: &str) -> impl Future<Output = ()> {
        until(&format!("`{part}` is told"), async move || {
            self.errors().contains(part).then_some(())
        })
    }

    /// Tells it to stop.
    pub(crate) fn terminate(&self) {
        self.process.terminate();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The directory of its policy, `policy.yaml`.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What the policy's file must hold for `policy`.
    pub(crate) fn filled(&self, policy: &str) -> String {
        filled(policy, &self.directory.path().join("access.log"))
    }

    /// Writes another policy in the place of the one that it was started with.
    pub(crate) fn write_policy(&self, policy: &str) {
        let text = self.filled(policy);
        std::fs::write(self.directory.path().join("policy.yaml"), text).expect("it is ours");
    }

    /// Waits for its end; returns how it ended and its access log.
    pub(crate) async fn ended(self) -> (Ended, Vec<Value>) {
        let ended = self.process.ended().await;
        let text = std::fs::read_to_string(self.directory.path().join("access.log"));
        (ended, log_lines(&text.unwrap_or_default()))
    }
}

/// Adds to `policy` what it does not write: ports that the system chooses, no drain, an access log at `log`, a region.
fn filled(policy: &str, log: &Path) -> String {
    let mut text = String::new();
    for (key, value) in [
        ("version", "1"),
        ("region", "eu-west-1"),
        ("listen", "{ http: '127.0.0.1:0', drain: 0s }"),
        ("metrics", "'127.0.0.1:0'"),
        ("admin", "'127.0.0.1:0'"),
        ("access_log", &format!("{{ file: '{}' }}", log.display())),
    ] {
        if !policy.lines().any(|line| line.starts_with(&format!("{key}:"))) {
            let _ = writeln!(text, "{key}: {value}");
        }
    }
    text + policy
}

fn log_lines(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(line).collect()
}

/// The address in a URL that the gateway printed.
pub(crate) fn address(url: &str) -> SocketAddr {
    let rest = url.trim().split_once("://").unwrap_or_else(|| panic!("no URL: {url}")).1;
    let authority = rest.split('/').next().unwrap_or_default();
    authority.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// What `/metrics` answered.
#[derive(Debug)]
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// The sum of all samples of `name` that have `labels`; 0 when there are none.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let of_name = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
        };
        let labelled = |line: &&str| {
            labels.iter().all(|(label, value)| line.contains(&format!("{label}=\"{value}\"")))
        };
        let value = |line: &str| {
            let value = line.rsplit_once(' ').and_then(|(_, value)| value.parse::<f64>().ok());
            value.unwrap_or_else(|| panic!("no value: {line}"))
        };
        self.0.lines().filter(of_name).filter(labelled).map(value).sum()
    }
}

/// A container lane of these upstreams, with `slots` slots each, as a policy writes it.
pub(crate) fn container(upstreams: &[&Upstream], slots: u32) -> String {
    let urls: Vec<String> = upstreams.iter().map(|upstream| upstream.url()).collect();
    format!(
        "{{ upstreams: [{}], requests_per_task: {slots}, probe: {{ path: {PROBE} }} }}",
        urls.join(", ")
    )
}

/// A policy of one service, `app`, whose container lane is `upstreams`, and a route that takes everything.
pub(crate) fn containers_only(upstreams: &[&Upstream], slots: u32, more: &str) -> String {
    let container = container(upstreams, slots);
    format!(
        "defaults: {{ decision_header: true }}\n\
         services:\n  app:\n    container: {container}\n\
         routes:\n  - {{ match: {{}}, service: app{more} }}\n"
    )
}

/// A policy of one service, `app`, with Lambda's API played by `api`, and a route that takes everything.
pub(crate) fn lambda_only(api: &Upstream, more: &str) -> String {
    format!(
        "endpoint_url: {}\n\
         defaults: {{ decision_header: true }}\n\
         services:\n  app:\n    lambda: {{ function: 'f:live', assume: {{ timeout: 30s }} }}\n\
         routes:\n  - {{ match: {{}}, service: app{more} }}\n",
        api.url()
    )
}

/// A policy of one service, `app`, with both lanes, and a route that takes everything.
pub(crate) fn both_lanes(
    api: &Upstream,
    upstreams: &[&Upstream],
    slots: u32,
    more: &str,
) -> String {
    let container = container(upstreams, slots);
    format!(
        "endpoint_url: {}\n\
         defaults: {{ decision_header: true }}\n\
         services:\n  app:\n    lambda: {{ function: 'f:live', assume: {{ timeout: 30s }} }}\n    container: {container}\n\
         routes:\n  - {{ match: {{}}, service: app{more} }}\n",
        api.url()
    )
}
