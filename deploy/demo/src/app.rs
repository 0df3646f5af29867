//! The workload as an HTTP service.
//!
//! An ordinary app that knows nothing of Lambda, ECS or Pacer: it listens where `HOST` and `PORT` say, works, and ends
//! on SIGTERM. It admits a bounded number of requests and refuses more with `503` and `x-pacer-busy: 1` before it has
//! touched them, which tells a gateway that the request may safely go elsewhere.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::{
        DefaultBodyLimit, Query, State, rejection::BytesRejection, rejection::QueryRejection,
    },
    http::{HeaderMap, HeaderName, Response, StatusCode, header},
    response::IntoResponse,
    routing,
};
use bytes::Bytes;
use serde::Deserialize;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    runs::{self, Reporter},
    work,
};

/// Bytes of a posted image: what fits into one Lambda event (6 MiB) once it is base64, with room for the headers.
pub const BODY_MAX: usize = 4 * 1024 * 1024;

/// How long one frame takes to come from the store that films are kept in, one after the other: between a cache in the same
/// zone (below 1 ms) and an object store in the same region (some 100 ms to the first byte). Most services are like that:
/// they wait for others, and a container holds several such requests for the price of one. Doubling it doubles the slots
/// that the demo's load keeps busy, and costs no CPU.
pub const FETCH: Duration = Duration::from_millis(10);

/// Says that a request was refused before it ran.
const BUSY: HeaderName = HeaderName::from_static("x-pacer-busy");

/// Where the workload listens.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address to listen on; an ECS task in the local cloud gets one of its own.
    #[arg(long, env = "HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Requests in work at once; further ones are refused with 503 and `x-pacer-busy: 1`.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub at_once: u16,
    /// UDP address on loopback that is told of each run; `pacer demo` counts there what ran twice.
    #[arg(long, env = "PACER_DEMO_RUNS", hide = true)]
    pub report_runs: Option<SocketAddr>,
}

/// Runs the workload until SIGTERM or SIGINT, then finishes what is in work.
///
/// # Errors
/// When the address cannot be listened on, or the runs cannot be reported.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let address = SocketAddr::new(args.host, args.port);
    let shutdown = end_signal()?;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}; choose another with --host and --port, or HOST and PORT"
        )
    })?;
    let app = app(usize::from(args.at_once), Reporter::new(args.report_runs)?)?;
    eprintln!("pacer-demo listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(shutdown).await.context("cannot serve")
}

/// Returns a future that ends on SIGTERM (ECS, Lambda) or SIGINT (a terminal). The handlers stand when this returns.
fn end_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Makes the service: `at_once` requests in work, each run told to `reporter`.
///
/// # Errors
/// When the built-in photo cannot be made.
pub fn app(at_once: usize, reporter: Reporter) -> anyhow::Result<Router> {
    let photo = Bytes::from(work::photo().context("cannot make the built-in photo")?);
    let shared = Arc::new(Shared { photo, room: Arc::new(Semaphore::new(at_once)), reporter });
    Ok(Router::new()
        .route("/health", routing::get(async || "ok\n"))
        .route("/thumb", routing::get(thumb).post(thumb))
        .route("/resize", routing::get(resize).post(resize))
        .route("/render", routing::get(render).post(render))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shared))
}

struct Shared {
    photo: Bytes,
    room: Arc<Semaphore>,
    reporter: Reporter,
}

/// A JPEG, or why there is none.
type Answer = Result<Response<Body>, Refusal>;

#[derive(Deserialize)]
struct Thumb {
    #[serde(default = "Thumb::size")]
    size: u32,
}

impl Thumb {
    /// 96 pixels: what a list of photos shows.
    const fn size() -> u32 {
        96
    }
}

async fn thumb(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Thumb>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let edge = within("size", asked(query)?.size, &work::THUMB_EDGE)?;
    let input = shared.image(body)?;
    shared.work(&headers, Duration::ZERO, move |_| work::thumbnail(&input, edge)).await
}

#[derive(Deserialize)]
struct Resize {
    #[serde(default = "Resize::width")]
    width: u32,
}

impl Resize {
    /// 320 pixels: a photo on a telephone.
    const fn width() -> u32 {
        320
    }
}

async fn resize(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Resize>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let width = within("width", asked(query)?.width, &work::RESIZE_WIDTH)?;
    let input = shared.image(body)?;
    shared.work(&headers, Duration::ZERO, move |_| work::resize(&input, width)).await
}

#[derive(Deserialize)]
struct Render {
    #[serde(default = "Render::frames")]
    frames: u32,
}

impl Render {
    /// One second at 24 frames a second.
    const fn frames() -> u32 {
        24
    }
}

async fn render(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Render>, QueryRejection>,
    headers: HeaderMap,
) -> Answer {
    let frames = within("frames", asked(query)?.frames, &work::FRAMES)?;
    // One wait in the place of one a frame: timers go by milliseconds, and would be late as often.
    let fetched = FETCH * frames;
    shared.work(&headers, fetched, move |cancelled| work::render(frames, cancelled)).await
}

impl Shared {
    /// Returns the posted image, or the built-in photo when none was posted.
    fn image(&self, body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
        let body = body.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let message =
                    format!("the posted image is larger than {BODY_MAX} bytes; post a smaller one");
                Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message)
            }
            status => Refusal::new(
                status,
                format!("cannot read the posted image: {}", rejection.body_text()),
            ),
        })?;
        Ok(if body.is_empty() { self.photo.clone() } else { body })
    }

    /// Waits for what is to be `fetched`, then does `job` on a thread for work, so that health checks are answered meanwhile.
    async fn work<J>(&self, headers: &HeaderMap, fetched: Duration, job: J) -> Answer
    where
        J: FnOnce(&dyn Fn() -> bool) -> Result<Vec<u8>, work::Error> + Send + 'static,
    {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            return Err(Refusal::busy());
        };
        if let Some(id) = headers.get(runs::HEADER).and_then(|id| id.to_str().ok()?.parse().ok()) {
            self.reporter.ran(id);
        }
        if !fetched.is_zero() {
            tokio::time::sleep(fetched).await;
        }
        // Dropped with this future, when the client goes away: the job then stops at its next frame.
        let waiting = Waiting(Arc::new(AtomicBool::new(true)));
        let still_waiting = Arc::clone(&waiting.0);
        let done = tokio::task::spawn_blocking(move || {
            let _room = room;
            job(&|| !still_waiting.load(Ordering::Relaxed))
        });
        match done.await {
            Ok(Ok(jpeg)) => Ok(([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response()),
            Ok(Err(error @ work::Error::Input(_))) => {
                Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
            }
            Ok(Err(error @ (work::Error::Encode(_) | work::Error::Cancelled))) => {
                Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
            }
            Err(error) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the image work ended early: {error}"),
            )),
        }
    }
}

/// Says, when dropped, that nobody waits any more.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A request that was not served, and why, in plain text.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
    busy: bool,
}

impl Refusal {
    const fn new(status: StatusCode, message: String) -> Self {
        Self { status, message, busy: false }
    }

    fn busy() -> Self {
        let message = "busy: this request was not begun; send it elsewhere or later".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message, busy: true }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let mut response = (self.status, format!("{}\n", self.message)).into_response();
        if self.busy {
            response.headers_mut().insert(BUSY, header::HeaderValue::from_static("1"));
        }
        response
    }
}

fn asked<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refusal> {
    match query {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("cannot read the query: {}", rejection.body_text()),
        )),
    }
}

fn within(name: &str, value: u32, range: &std::ops::RangeInclusive<u32>) -> Result<u32, Refusal> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(Refusal::new(
        StatusCode::BAD_REQUEST,
        format!("`{name}` is {value}; it must lie between {least} and {most}"),
    ))
}
