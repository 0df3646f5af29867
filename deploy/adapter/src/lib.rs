//! Runs any HTTP app as a Lambda function.
//!
//! One image then serves both lanes: as an ECS task the app listens and this program is gone (it becomes the app), or it
//! stays in front of it and refuses what the app has no room for; as a Lambda function it turns events into requests to the
//! app on loopback. It also tells the gateway what Invoke
//! does not show (billed time, cold start), and answers warm-up events itself. An event shows by its shape which front end
//! it is of (API Gateway's payload formats 1.0 and 2.0, function URLs, load balancers), and is answered in its format; with
//! the mode `response_stream`, all are answered in the one format of streams. It knows nothing of policies and never calls
//! AWS beyond the Runtime API of its own environment.

mod app;
mod connection;
mod context;
mod environment;
mod guard;
mod invoke;
mod runtime_api;
mod streamed;

use std::convert::Infallible;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt as _;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::app::{App, StartError};
use crate::environment::Environment;
use crate::invoke::{Answer, Failure};
use crate::runtime_api::RuntimeApi;

/// How long after a failure to look for a signal that explains it. The kernel hands both out at the same time, and a
/// busy machine shows them some milliseconds apart; a real failure is reported that much later.
const SIGNAL_SEEN_MAX: Duration = Duration::from_millis(50);

/// How to run the app.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Port that the app listens on, given to it as PORT; 0 picks a free one.
    #[arg(long, env = "PACER_ADAPTER_PORT", default_value_t = 8080)]
    pub port: u16,

    /// Path that is asked until the app answers with a status below 500. With --slots, what asks for it is never refused,
    /// unless it is /.
    #[arg(long, env = "PACER_ADAPTER_READY_PATH", default_value = "/", value_parser = parse_path)]
    pub ready_path: String,

    /// How long the app may take to be ready, such as 9s or 500ms. Lambda itself allows ten seconds.
    #[arg(long, env = "PACER_ADAPTER_READY_TIMEOUT", default_value = "9s", value_parser = parse_duration)]
    pub ready_timeout: Duration,

    /// How answers go to Lambda: `buffered`, or `response_stream` as the app sends them. It must be how the function is
    /// invoked: a gateway that streams calls InvokeWithResponseStream. Where this is not set, Lambda Web Adapter's
    /// AWS_LWA_INVOKE_MODE counts. A streamed answer cannot tell the billed time, which is known after its end.
    #[arg(long, env = "PACER_ADAPTER_INVOKE_MODE", value_parser = parse_mode)]
    pub invoke_mode: Option<InvokeMode>,

    /// In a container: how many requests the app is given at once. Further ones are answered 503 and x-pacer-busy: 1 before
    /// the app sees them, so that a gateway may send them elsewhere. Without it the process becomes the app. In Lambda it
    /// does not count: there requests come one at a time.
    #[arg(long, env = "PACER_SLOTS", value_name = "N")]
    pub slots: Option<NonZeroUsize>,

    /// With --slots: where to listen. The app listens on 127.0.0.1 and --port; on a free one when that is this one.
    #[arg(
        long,
        env = "PACER_ADAPTER_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,

    /// The app and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// How answers go to Lambda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvokeMode {
    /// Whole, as JSON of at most 6 MB.
    Buffered,
    /// As the app sends them: a prelude with status and headers, then the body.
    ResponseStream,
}

fn parse_mode(text: &str) -> Result<InvokeMode, String> {
    match text.to_ascii_lowercase().as_str() {
        "buffered" => Ok(InvokeMode::Buffered),
        "response_stream" => Ok(InvokeMode::ResponseStream),
        _ => Err("write buffered or response_stream".into()),
    }
}

impl Args {
    /// # Errors
    ///
    /// When AWS_LWA_INVOKE_MODE counts and is no mode.
    fn mode(&self) -> anyhow::Result<InvokeMode> {
        match (self.invoke_mode, std::env::var("AWS_LWA_INVOKE_MODE")) {
            (Some(mode), _) => Ok(mode),
            (None, Ok(text)) => parse_mode(&text)
                .map_err(|error| anyhow::anyhow!("AWS_LWA_INVOKE_MODE is {text:?}: {error}")),
            (None, Err(_)) => Ok(InvokeMode::Buffered),
        }
    }
}

fn parse_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("a path begins with /".into());
    }
    match text.parse::<http::uri::PathAndQuery>() {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, milliseconds) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 1000),
        (None, None) => return Err("write a whole number and its unit: 9s or 500ms".into()),
    };
    let number: u64 =
        number.parse().map_err(|_| "write a whole number and its unit: 9s or 500ms")?;
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(|| "too long".into())
}

/// Runs the app until it ends or SIGTERM or SIGINT comes, which is passed on to it.
///
/// Where `AWS_LAMBDA_RUNTIME_API` is not set there is no Lambda: the process becomes the app (exec), so that its
/// signals and exit code are its own. `PORT` is then given to it only if it has none and the port is not 0. With
/// [`Args::slots`] it stays in front of the app instead, and admits so many requests at once.
///
/// # Errors
///
/// When the app cannot be started, is not ready in time or ends; when the Runtime API cannot be used. Lambda has then
/// been told, as far as it could be, and the process should exit with a status other than 0.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let place = match (std::env::var("AWS_LAMBDA_RUNTIME_API"), args.slots) {
        (Ok(api), _) => Place::Lambda(api),
        (Err(_), Some(slots)) => Place::Container(slots.get()),
        (Err(_), None) => return Err(become_app(&args)),
    };
    let started = Instant::now();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut told_to_stop = pin!(async {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    });
    let api = match place {
        Place::Lambda(api) => api,
        Place::Container(slots) => return guard::run(&args, slots, told_to_stop).await,
    };
    let mode = args.mode()?;

    let mut api = RuntimeApi::new(api);
    let mut app = match App::start(&args) {
        Ok(app) => app,
        Err(error) => {
            return Err(failed_init(&mut api, "Runtime.InvalidEntrypoint", error).await);
        }
    };
    let result = tokio::select! {
        result = serve(&args, mode, &mut api, &mut app, started) => match result {
            // A signal to the whole process group ends the app too, and its end may be seen first: that is no failure.
            Err(error) => timeout(SIGNAL_SEEN_MAX, &mut told_to_stop).await.map_err(|_| error),
            Ok(never) => match never {},
        },
        () = &mut told_to_stop => Ok(()),
    };
    app.stop().await;
    result
}

/// Where this process runs, and stays.
enum Place {
    /// In an environment with this Runtime API.
    Lambda(String),
    /// In front of an app that is given so many requests at once.
    Container(usize),
}

/// Returns only when it failed.
fn become_app(args: &Args) -> anyhow::Error {
    let mut command = std::process::Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    if std::env::var_os("PORT").is_none() && args.port != 0 {
        command.env("PORT", args.port.to_string());
    }
    let error = command.exec();
    anyhow::Error::new(error).context(format!("cannot run {}", args.command[0].display()))
}

/// The life of one environment: the app gets ready, then one invoke after the other.
async fn serve(
    args: &Args,
    mode: InvokeMode,
    api: &mut RuntimeApi,
    app: &mut App,
    started: Instant,
) -> anyhow::Result<Infallible> {
    if let Err(error) = app.ready(&args.ready_path, args.ready_timeout).await {
        return Err(failed_init(api, "Runtime.InitError", error).await);
    }
    let mut environment = if environment::is_snapstart() {
        // The last step of the start: what comes before it is in the snapshot, what comes after is done per restore.
        app.close_connection();
        while_app_lives(app, api.restore_next()).await??;
        Environment::restored(Instant::now())?
    } else {
        Environment::started(started)?
    };
    loop {
        let invoke = while_app_lives(app, api.next()).await??;
        let failure = match invoke::answer(app, &mut environment, &invoke, mode).await {
            Ok(Answer::Whole(payload)) => {
                api.respond(&invoke.id, payload).await?;
                None
            }
            Ok(Answer::Streamed(streamed)) => {
                let (pieces, call) = api.respond_streaming(&invoke.id);
                let (called, failure) = tokio::join!(call, streamed.send(app, pieces));
                // A stream that was broken off breaks its call too.
                if failure.is_none() {
                    called?;
                }
                failure
            }
            Err(failure) => {
                api.invoke_error(&invoke.id, failure.error_type(), &failure.to_string()).await?;
                Some(failure)
            }
        };
        if let Some(failure) = failure {
            tracing::warn!(request_id = invoke.id, error = %failure, "invoke failed");
            if let Failure::Exited(status) = failure {
                return Err(ended(status));
            }
        }
    }
}

/// Tells Lambda why there will be no environment, and gives the reason back.
async fn failed_init(
    api: &mut RuntimeApi,
    error_type: &'static str,
    error: StartError,
) -> anyhow::Error {
    if let Err(untold) = api.init_error(error_type, &error.to_string()).await {
        tracing::warn!(error = %untold, "could not tell Lambda why the app does not start");
    }
    error.into()
}

async fn while_app_lives<T>(app: &mut App, wait: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::select! {
        done = wait => Ok(done),
        status = app.ended() => Err(ended(status)),
    }
}

fn ended(status: ExitStatus) -> anyhow::Error {
    anyhow::anyhow!("the app ended with {status}; it must keep running to be invoked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("9s"), Ok(Duration::from_secs(9)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["9", "", "s", "-1s", "1.5s", "18446744073709551615s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn modes_are_named_as_lambda_web_adapter_names_them() {
        assert_eq!(parse_mode("buffered"), Ok(InvokeMode::Buffered));
        assert_eq!(parse_mode("RESPONSE_STREAM"), Ok(InvokeMode::ResponseStream));
        assert!(parse_mode("streaming").is_err());
    }

    #[test]
    fn a_ready_path_is_a_path() {
        assert_eq!(parse_path("/health?x=1"), Ok("/health?x=1".into()));
        assert!(parse_path("health").is_err());
        assert!(parse_path("/a b").is_err());
    }
}
