//! `pacer demo`: local cloud, gateway, workload and load on this machine, with live numbers.
//!
//! Every number shown was measured in this run: by the client that sent the requests, by the workload that ran them, or
//! by the local cloud that bills them. Nothing leaves loopback, and no account is needed.

mod cloud;
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
    thread,
    time::Duration,
};

use anyhow::Context as _;
use http::{HeaderMap, Method};
use pacer_demo::{
    load::{
        arrivals::{Arrivals, Trace},
        calibrate::{self, Pace},
        client::Client,
        mix::Route,
    },
    runs::Counter,
};
use policies::{policy::Policy, route::Head};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

use self::{
    screen::Screen,
    stage::{Ports, Stage},
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
/// Trace seconds that count as the crowd: the three minutes after the lull, 13:47 to 13:50 UTC.
const CROWD: usize = 180;
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
    let stage = tokio::select! {
        stage = Stage::raise(args.policy.as_deref(), ports, args.time_scale, counter.address()) => stage?,
        () = end.comes() => return Ok(ExitCode::SUCCESS),
    };
    let played = perform(&args, &stage, &counter, &mut screen, &mut end).await;
    // A second signal ends at once; the kernel then ends this process, and the local cloud's die with their pipes.
    let struck = tokio::select! {
        struck = stage.strike() => struck,
        () = end.comes() => anyhow::bail!("stopped before everything had ended"),
    };
    let code = played?;
    struck.map(|()| code)
}

async fn perform(
    args: &Args,
    stage: &Stage,
    counter: &Counter,
    screen: &mut Screen,
    end: &mut End,
) -> anyhow::Result<ExitCode> {
    let gateway = reachable(stage.gateway().http);
    screen.print(&greeting(stage, gateway));
    if args.no_load {
        screen.print(&["no load: send requests yourself; Ctrl-C ends".to_owned()]);
        let watch = watch(stage, None, None, Instant::now(), counter, screen);
        tokio::select! {
            () = watch => {}
            () = end.comes() => {}
            ended = counter.count() => ended.context("cannot count runs")?,
        }
        return Ok(ExitCode::SUCCESS);
    }

    let trace = Arc::new(Trace::read(pacer_demo::TRACE)?);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let measure = {
        let (trace, speed) = (Arc::clone(&trace), args.time_scale);
        tokio::task::spawn_blocking(move || calibrate::measure(&trace, speed, cores))
    };
    let pace = tokio::select! {
        pace = measure => pace.context("the measurement of this machine ended early")??,
        () = end.comes() => return Ok(ExitCode::SUCCESS),
    };
    screen.print(&[programme(args, &pace, cores)]);

    let client = Arc::new(Client::new(gateway).context("cannot make the load's client")?);
    let began = Instant::now();
    let load = client.drive(
        Arrivals::new(&trace, args.time_scale, pace.share, FADE_IN, SEED),
        args.duration,
        SEED,
    );
    let crowd = crowd(&trace, args);
    let watching = watch(stage, Some((&client, args.duration)), crowd, began, counter, screen);
    tokio::select! {
        () = load => {}
        () = watching => {}
        () = end.comes() => {}
        ended = counter.count() => ended.context("cannot count runs")?,
    }
    let mut view = View {
        duration: Some(args.duration),
        crowd,
        goals: goals(&stage.policy),
        ..View::default()
    };
    refresh(&mut view, stage, Some(&client), began, counter).await;
    screen.print(&view.end());
    let (_, _, failed) = view.tally.totals();
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Draws what happens, until dropped.
async fn watch(
    stage: &Stage,
    load: Option<(&Arc<Client>, Duration)>,
    crowd: Option<(Duration, Duration)>,
    began: Instant,
    counter: &Counter,
    screen: &mut Screen,
) {
    let duration = load.map(|(_, duration)| duration);
    let mut view = View { duration, crowd, goals: goals(&stage.policy), ..View::default() };
    let mut ticks = interval(screen.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        refresh(&mut view, stage, load.map(|(client, _)| client), began, counter).await;
        screen.show(&view);
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
    let mut lines = vec![format!(
        "pacer demo on http://{gateway}   try:  curl -i --head 'http://{gateway}/render?frames=60'"
    )];
    let running = stage.gateway();
    let others = [
        running.admin.map(|address| format!("admin http://{}", reachable(address))),
        running.metrics.map(|address| format!("metrics http://{}/metrics", reachable(address))),
        Some(format!("local cloud http://{}/_local/state", stage.cloud())),
    ];
    lines.push(others.into_iter().flatten().collect::<Vec<_>>().join("   "));
    lines
}

/// Says what will be sent, and what of it this machine cannot take.
fn programme(args: &Args, pace: &Pace, cores: usize) -> String {
    let shares = Route::ALL
        .map(|route| format!("{} {:.0}%", route.path(), route.share() * 100.0))
        .join(", ");
    let all = format!(
        "load: arrivals of Kennedy Space Center's web site at the launch of 13 July 1995, {} times as fast, growing over {} s ({shares})",
        args.time_scale,
        FADE_IN.as_secs()
    );
    if 1.0 <= pace.share {
        return all;
    }
    format!(
        "{all}\nonly {:.0}% of them: {cores} cores at {:.1} ms a frame could not do the crowd's {:.0} requests/s",
        pace.share * 100.0,
        pace.frame * 1000.0,
        pace.crowd_rate
    )
}

/// Returns when the crowd comes and goes, if it comes within the demo.
fn crowd(trace: &Trace, args: &Args) -> Option<(Duration, Duration)> {
    let from = trace.crowd(CROWD).0 as f64;
    let at = |seconds: f64| Duration::from_secs_f64(seconds / args.time_scale);
    let from_until = (at(from), at(from + CROWD as f64));
    (from_until.0 < args.duration).then_some(from_until)
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
