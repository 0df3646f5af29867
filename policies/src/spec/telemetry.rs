//! What a collector is sent, as written: `telemetry`.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Uri};

use super::{
    defaults,
    fields::{Fields, Written},
    scalar::{self, Scalar, Shape},
};
use crate::{
    policy::{Otlp, Secret},
    units,
};

/// What is written here itself, of a call: a header of the policy must not contradict it.
const OWN_HEADERS: [&str; 7] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "user-agent",
];

/// Reads `{ otlp: { endpoint, headers, traces, metrics } }`.
pub(crate) fn telemetry(fields: &mut Fields<'_, '_>) -> Option<Written<Otlp>> {
    let mut telemetry = fields.fields("telemetry")?;
    let otlp = otlp(&mut telemetry);
    telemetry.done();
    otlp
}

fn otlp(telemetry: &mut Fields<'_, '_>) -> Option<Written<Otlp>> {
    let mut fields = telemetry.fields("otlp")?;
    let (place, field) = (fields.place.clone(), fields.path.clone());
    let endpoint = fields.value("endpoint", ENDPOINT);
    if !fields.has_value("endpoint") {
        fields.missing("endpoint", "write the URL of a collector, such as `http://127.0.0.1:4318`");
    }
    let headers = headers(&mut fields);
    let traces = fields.value("traces", SHARE_OR_OFF);
    let metrics = fields.value("metrics", INTERVAL_OR_OFF);
    fields.done();
    let value = Otlp {
        endpoint: endpoint?.value,
        headers,
        traces: traces.map_or(Some(defaults::TRACES), |traces| traces.value),
        metrics: metrics.map_or(Some(defaults::METRICS_EVERY), |metrics| metrics.value),
    };
    Some(Written { value, place, field })
}

fn headers(fields: &mut Fields<'_, '_>) -> Arc<[(HeaderName, Secret)]> {
    let mut headers = Vec::new();
    let written = fields.conditions("headers", HEADER_VALUE);
    for (name, value) in written {
        match (scalar::header(&name.value), value) {
            (Ok(header), _) if OWN_HEADERS.contains(&header.as_str()) => {
                name.problem(fields.sink, "this header is Pacer's own; remove it");
            }
            (Ok(header), Some(value)) => headers.push((header, value)),
            (Ok(_), None) => name.problem(fields.sink, "missing; write the header's value"),
            (Err(message), _) => name.problem(fields.sink, message),
        }
    }
    headers.into()
}

const ENDPOINT: Scalar<Arc<str>> =
    scalar::scalar(endpoint, Shape::Form(r"^https?://[^/@?#\s]+(/[^?#\s]*)?$"));
/// A header's value; no message repeats it.
const HEADER_VALUE: Scalar<Secret> = scalar::scalar(header_value, Shape::Text);
const SHARE_OR_OFF: Scalar<Option<f64>> =
    scalar::scalar(share_or_off, Shape::FormOrOff(scalar::PERCENT_TEXT));
const INTERVAL_OR_OFF: Scalar<Option<Duration>> =
    scalar::scalar(interval_or_off, Shape::FormOrOff(scalar::DURATION_TEXT));

fn endpoint(text: &str) -> Result<Arc<str>, String> {
    let expected = || {
        "expected the URL of a collector such as `http://127.0.0.1:4318`, without user or query"
            .to_owned()
    };
    let url = text.strip_suffix('/').unwrap_or(text);
    let uri: Uri = url.parse().map_err(|_| expected())?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    // The checks of a static upstream, which has no path.
    let server = format!("{}://{authority}", uri.scheme_str().unwrap_or_default());
    (scalar::UPSTREAM.parse)(&server).map_err(|_| expected())?;
    if uri.query().is_some() || url.contains('#') {
        return Err(expected());
    }
    if url.ends_with("/v1/traces") || url.ends_with("/v1/metrics") {
        return Err("`/v1/traces` and `/v1/metrics` are added here; leave them out".to_owned());
    }
    Ok(url.into())
}

fn header_value(text: &str) -> Result<Secret, String> {
    match HeaderValue::from_str(text) {
        Ok(value) if !value.is_empty() => Ok(Secret::new(text)),
        _ => Err("expected a header's value: visible characters and spaces".to_owned()),
    }
}

fn share_or_off(text: &str) -> Result<Option<f64>, String> {
    if text == "off" {
        return Ok(None);
    }
    units::percent(text).map(Some).map_err(|error| format!("{error} (or `off`)"))
}

fn interval_or_off(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    match units::duration(text).map_err(|error| format!("{error} (or `off`)"))? {
        every if every < Duration::from_secs(1) => {
            Err(format!("expected `1s` or more, or `off`, got `{text}`"))
        }
        every => Ok(Some(every)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_url_with_a_base() {
        let read = |text| endpoint(text).map(|url| url.to_string());
        for (text, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
            ("https://collector.example/", "https://collector.example"),
            ("https://otlp.example/otlp", "https://otlp.example/otlp"),
            ("http://[::1]:4318", "http://[::1]:4318"),
        ] {
            assert_eq!(read(text), Ok(url.to_owned()));
        }
        for wrong in [
            "127.0.0.1:4318",
            "grpc://collector",
            "http://",
            "http://me:secret@collector",
            "http://collector?key=secret",
            "http://collector/#a",
            "http://collector:99999",
            "http://collector/v1/traces",
        ] {
            let message = endpoint(wrong).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
