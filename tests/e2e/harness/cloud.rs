//! The local cloud, as a process of its own, and what a test does to it.

use std::{net::SocketAddr, path::PathBuf, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{
    gateway::address,
    process::{Process, command},
    until,
    wire::{Answer, Wire},
    within,
};

/// What runs on the cloud as functions and tasks: see `tests/src/bin/scripted.rs`.
pub(crate) const SCRIPTED: &str = env!("CARGO_BIN_EXE_scripted");

/// A running `pacer local`.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) address: SocketAddr,
    process: Process,
    /// Room for files that tests and tasks share.
    pub(crate) directory: TempDir,
}

impl Cloud {
    /// Starts a cloud whose lags pass `time_scale` times as fast. `${DIR}` in the configuration is a directory of its own.
    pub(crate) async fn start(config: &str, time_scale: u32) -> Self {
        let directory = TempDir::new().expect("there is room for temporary files");
        let file = directory.path().join("cloud.yaml");
        let text = config.replace("${DIR}", &directory.path().display().to_string());
        std::fs::write(&file, format!("version: 1\n{text}")).expect("the directory is ours");
        let scale = time_scale.to_string();
        let arguments = ["local", "--listen", "127.0.0.1:0", "--time-scale", &scale, "--config"];
        let arguments = arguments.map(PathBuf::from).into_iter().chain([file]);
        let mut process = Process::start(command(arguments));
        let address = address(&process.line("pacer local listening on ").await);
        Self { address, process, directory }
    }

    /// Its URL, for a policy's `endpoint_url`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Orders a fault.
    pub(crate) async fn fault(&self, order: Value) {
        let body = order.to_string();
        let mut wire = Wire::connect(self.address).await;
        let answer = wire.ask("POST", "/_local/faults", &[], body.as_bytes()).await;
        assert_eq!(answer.status(), 204, "{answer:?}");
    }

    /// Takes all faults back.
    pub(crate) async fn clear_faults(&self) {
        let mut wire = Wire::connect(self.address).await;
        assert_eq!(wire.ask("DELETE", "/_local/faults", &[], b"").await.status(), 204);
    }

    /// What runs.
    pub(crate) async fn state(&self) -> Value {
        Wire::connect(self.address).await.ask("GET", "/_local/state", &[], b"").await.json()
    }

    /// Which calls of AWS's APIs were made, and how often.
    pub(crate) async fn calls(&self) -> serde_json::Map<String, Value> {
        let answer = Wire::connect(self.address).await.ask("GET", "/_local/calls", &[], b"").await;
        answer.json().as_object().cloned().expect("it is an object")
    }

    /// What it bills.
    pub(crate) async fn bill(&self) -> Value {
        Wire::connect(self.address).await.ask("GET", "/_local/bill", &[], b"").await.json()
    }

    /// Waits until `count` tasks of the service `prod/web` run, and returns them.
    pub(crate) async fn tasks(&self, count: usize) -> Vec<Value> {
        until(&format!("{count} tasks run"), async || {
            let state = self.state().await;
            let tasks = state["services"]["prod/web"]["tasks"].as_array()?.clone();
            let running = tasks.into_iter().filter(|task| task["status"] == "RUNNING");
            Some(running.collect::<Vec<_>>()).filter(|tasks| tasks.len() == count)
        })
        .await
    }

    /// Sets the desired count of the service `prod/web`.
    pub(crate) async fn scale(&self, desired: u32) {
        self.update(json!({ "desiredCount": desired })).await;
    }

    /// Calls UpdateService of `prod/web` with `change`, as anybody with credentials would.
    pub(crate) async fn update(&self, change: Value) -> Value {
        let mut ask = json!({ "cluster": "prod", "service": "web" });
        for (name, value) in change.as_object().expect("a change is an object") {
            ask[name] = value.clone();
        }
        let target = "AmazonEC2ContainerServiceV20141113.UpdateService";
        let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.1")];
        self.call("ecs", "POST", "/", &headers, &ask.to_string()).await.json()["service"].clone()
    }

    /// Calls Lambda's API, as anybody with credentials would.
    pub(crate) async fn lambda(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("content-type", "application/json")];
        self.call("lambda", method, path, &headers, &body).await.json()
    }

    /// Calls DynamoDB's API, as anybody with credentials would.
    pub(crate) async fn dynamodb(&self, operation: &str, body: Value) -> Value {
        let target = format!("DynamoDB_20120810.{operation}");
        let headers = [("x-amz-target", &*target), ("content-type", "application/x-amz-json-1.0")];
        self.call("dynamodb", "POST", "/", &headers, &body.to_string()).await.json()
    }

    /// Calls Application Auto Scaling's API, as anybody with credentials would.
    pub(crate) async fn autoscaling(&self, operation: &str, body: Value) -> Value {
        let target = format!("AnyScaleFrontendService.{operation}");
        let headers = [("x-amz-target", &*target), ("content-type", "application/x-amz-json-1.1")];
        self.call("application-autoscaling", "POST", "/", &headers, &body.to_string()).await.json()
    }

    /// Puts the counts of a load balancer's requests into CloudWatch, each at its second: `AWS/ApplicationELB/RequestCount`
    /// of the load balancer `app/web/1`.
    pub(crate) async fn requests(&self, counts: impl Iterator<Item = (u64, u32)>) {
        let path = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
        let headers = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
        let counts: Vec<_> = counts.collect();
        // As many as a call may have.
        for counts in counts.chunks(1_000) {
            let mut body = cbor::map(2);
            body.extend([cbor::text("Namespace"), cbor::text("AWS/ApplicationELB")].concat());
            body.extend([cbor::text("MetricData"), cbor::list(counts.len())].concat());
            for &(at_s, count) in counts {
                body.extend(cbor::map(4));
                body.extend([cbor::text("MetricName"), cbor::text("RequestCount")].concat());
                body.extend([cbor::text("Dimensions"), cbor::list(1), cbor::map(2)].concat());
                body.extend([cbor::text("Name"), cbor::text("LoadBalancer")].concat());
                body.extend([cbor::text("Value"), cbor::text("app/web/1")].concat());
                body.extend([cbor::text("Timestamp"), cbor::time(at_s)].concat());
                body.extend([cbor::text("Value"), cbor::number(f64::from(count))].concat());
            }
            self.call("monitoring", "POST", path, &headers, body).await;
        }
    }

    async fn call(
        &self,
        service: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let body = body.as_ref();
        let host = self.address.to_string();
        let own = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut headers: Vec<_> =
            std::iter::once(("host".to_owned(), host.clone())).chain(own).collect();
        let identity = Credentials::new("local", "local", None, None, "tests").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .expect("all that is needed is given")
            .into();
        let url = format!("http://{host}{target}");
        let signed = headers[1..].iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(method, &url, signed, SignableBody::Bytes(body));
        let signed = sign(request.expect("the request can be signed"), &params);
        let (instructions, _) = signed.expect("the request can be signed").into_parts();
        for (name, value) in instructions.headers() {
            headers.push((name.to_owned(), value.to_owned()));
        }
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let mut wire = Wire::connect(self.address).await;
        let answer = wire.ask(method, target, &headers, body).await;
        assert!((200..300).contains(&answer.status()), "{answer:?}");
        answer
    }

    /// Ends it, and all that runs on it.
    pub(crate) async fn stop(self) {
        self.process.terminate();
        let ended = self.process.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

/// The test's end of `/hold/N`: see `tests/src/bin/scripted.rs`.
#[derive(Debug)]
pub(crate) struct Hold {
    listener: TcpListener,
}

impl Hold {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system has a port");
        Self { listener }
    }

    /// The path to ask for.
    pub(crate) fn path(&self) -> String {
        format!("/hold/{}", self.listener.local_addr().expect("it is bound").port())
    }

    /// Waits until a request is being worked on; dropping what is returned lets it go on.
    pub(crate) async fn begun(&self) -> tokio::net::TcpStream {
        within("a request begins", self.listener.accept()).await.expect("it is listening").0
    }
}

/// What CloudWatch is told in: as much of CBOR (RFC 8949) as that takes.
mod cbor {
    fn head(major: u8, count: usize) -> Vec<u8> {
        match u16::try_from(count).expect("it is short") {
            count @ 0..24 => vec![major | count as u8],
            count @ 24..256 => vec![major | 0x18, count as u8],
            count => [&[major | 0x19][..], &count.to_be_bytes()].concat(),
        }
    }

    pub(super) fn map(count: usize) -> Vec<u8> {
        head(0xa0, count)
    }

    pub(super) fn list(count: usize) -> Vec<u8> {
        head(0x80, count)
    }

    pub(super) fn text(text: &str) -> Vec<u8> {
        [&head(0x60, text.len()), text.as_bytes()].concat()
    }

    pub(super) fn number(number: f64) -> Vec<u8> {
        [&[0xfb][..], &number.to_be_bytes()].concat()
    }

    pub(super) fn time(at_s: u64) -> Vec<u8> {
        [vec![0xc1], number(at_s as f64)].concat()
    }
}
