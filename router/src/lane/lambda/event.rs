//! A request as a signed event.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderName, header::HOST, request::Parts};

use super::{
    Function, OFF_THREAD,
    sign::{CallOption, Signature, SigningKeys},
};
use crate::proxy::{Attempt, Outbound, REQUEST_ID};

/// Makes the event and its signature: on this thread when it is small.
pub(super) async fn sign(
    attempt: &Attempt<'_>,
    outbound: &Outbound,
    body: &Bytes,
    function: &Arc<Function>,
    keys: &Arc<SigningKeys>,
) -> (Bytes, Signature) {
    let (now, peer) = (SystemTime::now(), attempt.peer);
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let option = function.state.meter.wants_log(since).then_some(CallOption::LogTail);
    if body.len() <= OFF_THREAD {
        return make(&outbound.head, body, function, keys, option, now, peer);
    }
    let (head, body) = (outbound.head.clone(), body.clone());
    let (function, keys) = (function.clone(), keys.clone());
    tokio::task::spawn_blocking(move || make(&head, &body, &function, &keys, option, now, peer))
        .await
        .expect("making an event neither panics nor is aborted")
}

fn make(
    head: &Parts,
    body: &[u8],
    function: &Function,
    keys: &SigningKeys,
    option: Option<CallOption>,
    now: SystemTime,
    source_ip: IpAddr,
) -> (Bytes, Signature) {
    let text = |name: &HeaderName| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let host = text(&HOST);
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let domain =
        host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let mut event = Vec::new();
    function.format.write_event(
        &mut event,
        &lambda_event::Request {
            method: &head.method,
            path: head.uri.path(),
            query: head.uri.query(),
            headers: &head.headers,
            body,
            source_ip,
            request_id: text(&REQUEST_ID),
            epoch_ms: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
            domain,
            protocol: http::Version::HTTP_11,
        },
    );
    let (path, host) = (&function.path.canonical, &function.endpoint.authority);
    let signature = keys.sign(path, host, &event, option, now);
    (Bytes::from(event), signature)
}
