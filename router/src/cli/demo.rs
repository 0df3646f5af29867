//! `pacer demo`: local cloud, gateway, workload and load on this machine, with live numbers.
//!
//! Every number shown was measured in this run: by the client that sent the requests, by the workload that ran them, or
//! by the local cloud that bills them. Nothing leaves loopback, and no account is needed.

mod ahead;
mod asked;
mod cloud;
mod layout;
mod past;
mod recording;
mod replayed;
mod screen;
mod stage;
mod view;

use std::{
    env,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use http::{HeaderMap, Method};
use pacer_demo::{
    load::{client::Client, due::Due, mix::Route},
    runs::Counter,
};
use policies::{policy::Policy, route::Head};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use self::{
    recording::Recording,
    replayed::Play,
    screen::Screen,
    stage::{Ports, Setting, Stage},
    view::View,
};

/// Plays a launch-day crowd through the gateway, on this machine alone.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// How long requests are sent, up to a day; the trace repeats when it ends.
    #[arg(long, default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Sends nothing: runs the cloud and the gateway until Ctrl-C.
    #[arg(long)]
    no_load: bool,
    /// Policy instead of the built-in one; its `endpoint_url` must be `${PACER_DEMO_CLOUD}`.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How many times faster than real the trace's clock and the local cloud's lags pass, 0.1 to 1000.
    #[arg(long, value_name = "N", default_value = "20", value_parser = super::time_scale)]
    time_scale: f64,
    /// Port of the gateway; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the admin API; 0 takes a free one.
    #[arg(long, default_value_t = 9900)]
    admin_port: u16,
    /// Port of the metrics; 0 takes a free one.
    #[arg(long, default_value_t = 9901)]
    metrics_port: u16,
    /// Prints a line every 5 s instead of drawing in place.
    #[arg(long)]
    plain: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = policies::units::duration(text)?;
    let day = Duration::from_hours(24);
    if duration <= day {
        Ok(duration)
    } else {
        Err("is longer than a day; write at most 24h".to_owned())
    }
}

/// Seed of the load: the same requests at the same times in each run.
const SEED: u64 = 13;
/// Time between two looks at how many tasks there are: 4 s of the recording.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Over how long the load grows to its full rate. On AWS a hundred environments start side by side; here they share the
/// cores of one machine, and to start them all at once would take longer than the requests may wait.
const FADE_IN: Duration = Duration::from_secs(5);
/// Set in the process that plays the demo: it has the local cloud's credentials and no other.
const CREDENTIALS: &str = "PACER_DEMO_CREDENTIALS";

/// Runs the demo; fails (exit code 1) when a request failed.
///
/// # Errors
/// When the policy has problems, a port is in use, or the local cloud cannot start.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if env::var_os(CREDENTIALS).is_none() {
        return Err(start_over());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Box::pin(play(args)))
}

/// Starts this program over, in the same process, with the local cloud's credentials instead of the user's.
///
/// The gateway finds credentials as it does in production, in the environment; a process that has threads cannot change
/// its own. This also makes sure that nothing in the demo can act on a real account. Returns only what prevented it.
fn start_over() -> anyhow::Error {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            return anyhow::Error::new(error).context("cannot find this program to start it over");
        }
    };
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    if env::var_os("PACER_LOG").is_none() {
        // Log lines would fall into the live ones; what goes wrong is counted there.
        command.env("PACER_LOG", "error");
    }
    command
        .env(CREDENTIALS, "local")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    anyhow::Error::new(command.exec())
        .context("cannot start this program over with the local cloud's credentials")
}

async fn play(args: Args) -> anyhow::Result<ExitCode> {
    let mut end = End::listen()?;
    let mut screen = Screen::new(args.plain);
    let counter = Counter::bind().await.context("cannot open a port to count runs on")?;
    let ports = Ports { data: args.port, admin: args.admin_port, metrics: args.metrics_port };
    let raise = async {
        // Before the stage is raised, so that the gateway has its past when it starts.
        let recording =
            if args.no_load { None } else { Some(Recording::measure(args.time_scale).await?) };
        let setting = recording.as_ref().map(|recording| Setting {
            trace: &recording.trace,
            pace: &recording.pace,
            seed: SEED,
        });
        let (policy, scale) = (args.policy.as_deref(), args.time_scale);
        let stage = Stage::raise(policy, ports, scale, counter.address(), setting).await?;
        anyhow::Ok((recording, stage))
    };
    let (recording, stage) = tokio::select! {
        raised = raise => raised?,
        () = end.comes() => return Ok(ExitCode::SUCCESS),
    };
    let played = match recording {
        Some(recording) => perform(&args, recording, &stage, &counter, &mut screen, &mut end).await,
        None => idle(&stage, &counter, &mut screen, &mut end).await,
    };
    // A second signal ends at once; the kernel then ends this process, and the local cloud's die with their pipes.
    let struck = tokio::select! {
        struck = stage.strike() => struck,
        () = end.comes() => anyhow::bail!("stopped before everything had ended"),
    };
    let code = played?;
    struck.map(|()| code)
}

/// Sends nothing, and shows the cloud until the end comes.
async fn idle(
    stage: &Stage,
    counter: &Counter,
    screen: &mut Screen,
    end: &mut End,
) -> anyhow::Result<ExitCode> {
    screen.print(&greeting(stage, reachable(stage.gateway().http)));
    screen.print(&["no load: send requests yourself; Ctrl-C ends".to_owned()]);
    let mut view = View { goals: goals(&stage.policy), ..View::default() };
    let watch = watch(&mut view, stage, None, Instant::now(), counter, screen);
    tokio::select! {
        () = watch => {}
        () = end.comes() => {}
        ended = counter.count() => ended.context("cannot count runs")?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn perform(
    args: &Args,
    recording: Recording,
    stage: &Stage,
    counter: &Counter,
    screen: &mut Screen,
    end: &mut End,
) -> anyhow::Result<ExitCode> {
    let gateway = reachable(stage.gateway().http);
    screen.print(&greeting(stage, gateway));
    screen.print(&recording.programme(stage.knows_past));

    let client = Arc::new(Client::new(gateway).context("cannot make the load's client")?);
    let mut view = View {
        duration: Some(args.duration),
        crowd: recording.crowd(args.duration),
        goals: goals(&stage.policy),
        ..View::default()
    };
    let began = stage.begins;
    let Recording { trace, pace, .. } = recording;
    let load = async {
        sleep_until(began).await;
        let due = Due::new(&trace, args.time_scale, &pace, FADE_IN, SEED);
        client.drive(due, args.duration).await;
    };
    let watching = watch(&mut view, stage, Some(&client), began, counter, screen);
    tokio::select! {
        () = load => {}
        () = watching => {}
        () = end.comes() => {}
        ended = counter.count() => ended.context("cannot count runs")?,
    }
    refresh(&mut view, stage, Some(&client), began, counter).await;
    let start_s = view.plan.as_ref().map(|plan| plan.start_s);
    let (time_scale, duration) = (args.time_scale, args.duration.min(view.elapsed));
    let start_s = start_s.unwrap_or(60.0);
    view.time_scale = time_scale;
    view.compared =
        replayed::compare(&stage.policy, &Play { trace, pace, time_scale, duration, start_s });
    screen.print(&view.end());
    let (_, _, failed) = view.tally.totals();
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Draws what happens, and follows how many tasks there are, until dropped.
async fn watch(
    view: &mut View,
    stage: &Stage,
    client: Option<&Arc<Client>>,
    began: Instant,
    counter: &Counter,
    screen: &mut Screen,
) {
    let admin = stage.gateway().admin.map(reachable);
    let mut draws = interval(screen.every());
    let mut looks = interval(LOOK_EVERY);
    for ticks in [&mut draws, &mut looks] {
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = draws.tick() => {
                refresh(view, stage, client, began, counter).await;
                screen.show(view);
            }
            _ = looks.tick() => {
                let (tasks, plan) = cloud::tasks(stage.cloud(), admin).await;
                if let Some(tasks) = tasks {
                    view.story.note(began.elapsed(), tasks);
                }
                view.plan = plan.or_else(|| view.plan.take());
            }
        }
    }
}

async fn refresh(
    view: &mut View,
    stage: &Stage,
    client: Option<&Arc<Client>>,
    began: Instant,
    counter: &Counter,
) {
    let (counts, cost) = cloud::look(stage.cloud(), &stage.policy).await;
    (view.counts, view.cost) = (counts, cost);
    view.elapsed = began.elapsed();
    view.seen = counter.seen();
    if let Some(client) = client {
        view.tally = client.tally();
    }
}

/// The first lines: where everything is, and something to try.
fn greeting(stage: &Stage, gateway: SocketAddr) -> Vec<String> {
    let running = stage.gateway();
    let page = running
        .admin
        .map_or_else(String::new, |address| format!("   look at http://{}", reachable(address)));
    let mut lines = vec![format!(
        "pacer demo on http://{gateway}{page}   try:  curl -i --head 'http://{gateway}/render?frames=60'"
    )];
    let others = [
        running.metrics.map(|address| format!("metrics http://{}/metrics", reachable(address))),
        Some(format!("local cloud http://{}/_local/state", stage.cloud())),
    ];
    lines.push(others.into_iter().flatten().collect::<Vec<_>>().join("   "));
    lines
}

/// Returns the p99 objectives of the routes that the load meets.
fn goals(policy: &Policy) -> [Option<Duration>; 3] {
    Route::ALL.map(|route| {
        let method = if route == Route::Thumb { Method::POST } else { Method::GET };
        let headers = HeaderMap::new();
        let head = Head {
            host: "127.0.0.1",
            path: route.path(),
            query: None,
            method: &method,
            headers: &headers,
        };
        policy.route(policy.table.find(&head)?).objective.p99
    })
}

/// Returns where a client on this machine reaches a listener that may listen on all addresses.
fn reachable(listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), listener.port())
    } else {
        listener
    }
}

/// The wish to end: Ctrl-C, or SIGTERM.
struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Ends at the next signal; each counts once.
    async fn comes(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_out_of_range_say_the_range() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert!(duration("25h").unwrap_err().contains("24h") && duration("soon").is_err());
        assert_eq!(super::super::time_scale("20"), Ok(20.0));
        for wrong in ["0", "-1", "nan", "1e9", "fast"] {
            assert!(super::super::time_scale(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn all_addresses_are_reached_on_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        assert_eq!(reachable("127.0.0.2:80".parse().unwrap()), "127.0.0.2:80".parse().unwrap());
    }
}
