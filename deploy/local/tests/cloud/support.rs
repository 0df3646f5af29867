//! A cloud under test, and a client that signs.

use std::{net::SocketAddr, time::Duration, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use pacer_local::{
    Cloud, Config,
    config::{Cluster, Function, Service},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::Instant};

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The command line of the test application.
pub(crate) fn app(arguments: &[&str]) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_pacer-local-test-app");
    std::iter::once(program).chain(arguments.iter().copied()).map(str::to_owned).collect()
}

pub(crate) fn function(arguments: &[&str]) -> Function {
    Function::new(app(arguments))
}

/// A service that starts at once.
pub(crate) fn service(arguments: &[&str]) -> Service {
    Service { start_lag: Duration::ZERO, ..Service::new(app(arguments)) }
}

/// A cloud with one function, `f`.
pub(crate) async fn with_function(function: Function) -> Cloud {
    let mut config = Config::new();
    config.functions.insert("f".into(), function);
    start(config, 1.0).await
}

/// A cloud with one service, `prod/web`, whose lags pass a hundred times faster.
pub(crate) async fn with_service(service: Service) -> Cloud {
    let mut config = Config::new();
    config.clusters.insert("prod".into(), Cluster { services: [("web".into(), service)].into() });
    start(config, 100.0).await
}

pub(crate) async fn start(config: Config, time_scale: f64) -> Cloud {
    pacer_local::start(config, SocketAddr::from(([127, 0, 0, 1], 0)), time_scale).await.unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Response<()>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers().get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {:?}", self.body))
    }
}

/// Sends `request` on a connection of its own; an error when that closes without an answer.
pub(crate) async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Answer, hyper::Error> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { head: Response::from_parts(parts, ()), body })
    };
    // The exchange sees the connection's end as its own error.
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

/// Sends unsigned.
pub(crate) async fn plain(cloud: &Cloud, method: &str, path: &str, body: &str) -> Answer {
    let request =
        Request::builder().method(method).uri(path).header("host", cloud.address.to_string());
    let answer = send(cloud.address, request.body(Full::from(body.to_owned())).unwrap()).await;
    answer.unwrap()
}

/// Orders a fault.
pub(crate) async fn fault(cloud: &Cloud, order: Value) {
    let answer = plain(cloud, "POST", "/_local/faults", &order.to_string()).await;
    assert_eq!(answer.status(), 204, "{:?}", answer.body);
}

/// A signed POST.
pub(crate) fn signed(
    cloud: &Cloud,
    service: &str,
    path: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    signed_as("POST", cloud, service, path, headers, body)
}

/// A signed request.
pub(crate) fn signed_as(
    method: &str,
    cloud: &Cloud,
    service: &str,
    path: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let body = body.into();
    let identity = Credentials::new("local", "local", None, None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let url = format!("http://{}{path}", cloud.address);
    let signable =
        SignableRequest::new(method, &url, headers.iter().copied(), SignableBody::Bytes(&body))
            .unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request =
        Request::builder().method(method).uri(path).header("host", cloud.address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::from(body)).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    request
}

/// Invokes the function of this name or ARN, and query if any.
pub(crate) async fn invoke_as(
    cloud: &Cloud,
    name: &str,
    headers: &[(&'static str, &str)],
    event: &Value,
) -> Answer {
    let (name, query) = name.split_once('?').unwrap_or((name, ""));
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let path = format!("/2015-03-31/functions/{name}/invocations{query}");
    send(cloud.address, signed(cloud, "lambda", &path, headers, event.to_string())).await.unwrap()
}

/// Invokes `f` and waits for its result.
pub(crate) async fn invoke(cloud: &Cloud, event: Value) -> Answer {
    invoke_as(cloud, "f", &[], &event).await
}

/// Calls an operation of Lambda that is no invocation; null is no body.
pub(crate) async fn lambda(cloud: &Cloud, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(cloud.address, signed_as(method, cloud, "lambda", path, &[], body)).await.unwrap()
}

/// Calls ECS.
pub(crate) async fn ecs(cloud: &Cloud, call: &str, body: Value) -> Answer {
    let target = format!("AmazonEC2ContainerServiceV20141113.{call}");
    let headers =
        [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
    send(cloud.address, signed(cloud, "ecs", "/", &headers, body.to_string())).await.unwrap()
}

/// Asks until `condition` gives something.
pub(crate) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(value) = condition().await {
            return value;
        }
        // Between two looks, not instead of one.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within {PATIENCE:?}: {what}")
}

/// Waits until process `pid` is gone.
pub(crate) async fn gone(pid: u64) {
    until(&format!("process {pid} ends"), async || (!alive(pid)).then_some(())).await;
}

/// Whether process `pid` runs. One that has ended and waits to be reaped by a parent that is not us counts as gone.
pub(crate) fn alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z")
}

/// The event that makes the function pause.
pub(crate) fn pause(ms: u64) -> Value {
    json!({ "do": "pause", "ms": ms })
}

/// Calls Application Auto Scaling about `prod/web`.
pub(crate) async fn autoscaling(cloud: &Cloud, call: &str, body: Value) -> Answer {
    let mut ask = json!({
        "ServiceNamespace": "ecs", "ResourceId": "service/prod/web",
        "ScalableDimension": "ecs:service:DesiredCount",
    });
    ask.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    ask.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let target = format!("AnyScaleFrontendService.{call}");
    let headers =
        [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
    let request = signed(cloud, "application-autoscaling", "/", &headers, ask.to_string());
    send(cloud.address, request).await.unwrap()
}

/// Calls EventBridge Scheduler; null is no body.
pub(crate) async fn scheduler(cloud: &Cloud, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let path = format!("/schedules/{path}");
    send(cloud.address, signed_as(method, cloud, "scheduler", &path, &[], body)).await.unwrap()
}

/// `at(...)`, so many seconds from now in UTC.
pub(crate) fn at(seconds_ahead: i64) -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap();
    let at = now + jiff::SignedDuration::from_secs(seconds_ahead);
    at.strftime("at(%Y-%m-%dT%H:%M:%S)").to_string()
}
