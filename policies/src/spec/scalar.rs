//! The scalars of the policy file: text to value, or a sentence that says what was expected.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderName, Method};

use crate::{
    decide::{Class, Lane},
    policy::{Arch, ColdStart, EventFormat, InvokeMode, Mode, Network, Priority, Queue, Upstream},
    problem::did_you_mean,
    units,
};

type Parsed<T> = Result<T, String>;

/// How one scalar is read, and what it looks like: the reader takes the first, the schema the second.
#[derive(Debug)]
pub(crate) struct Scalar<T> {
    pub(crate) parse: fn(&str) -> Parsed<T>,
    pub(crate) shape: Shape,
}

impl<T> Clone for Scalar<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Scalar<T> {}

/// What a scalar looks like, as far as an editor can tell without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Any text, number or truth value.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// This number.
    Only(u32),
    /// `true` or `false`.
    Boolean,
    /// A whole number from 1.
    Count,
    /// A whole number from 0.
    Whole,
    /// A number above 0.
    Number,
    /// Text of this form, a regular expression of ECMA 262.
    Form(&'static str),
    /// The same, or `off`.
    FormOrOff(&'static str),
}

pub(crate) const fn scalar<T>(parse: fn(&str) -> Parsed<T>, shape: Shape) -> Scalar<T> {
    Scalar { parse, shape }
}

/// Units and order as [`units::duration`] reads them.
pub(crate) const DURATION_TEXT: &str = r"^(?=.)(\d+(\.\d+)?d)?(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?(\d+(\.\d+)?ms)?(\d+(\.\d+)?us)?$";
const DURATION_FORM: Shape = Shape::Form(DURATION_TEXT);
const SIZE_FORM: Shape = Shape::Form(r"^\d+(\.\d+)?(B|kB|MB|GB|KiB|MiB|GiB)$");
pub(crate) const PERCENT_TEXT: &str = r"^\d+(\.\d+)?%$";
const PERCENT_FORM: Shape = Shape::Form(PERCENT_TEXT);
const SOCKET_FORM: &str = r"^(\[[0-9A-Fa-f:.]+\]|\d+\.\d+\.\d+\.\d+):\d+$";
const PATH_FORM: Shape = Shape::Form("^/[^*{}]*$");
const URL_FORM: Shape = Shape::Form(r"^https?://[^/@\s]+/?$");

pub(crate) const VERSION: Scalar<()> = scalar(version, Shape::Only(1));
pub(crate) const MODE: Scalar<Mode> = scalar(mode, Shape::Words(&["off", "observe", "act"]));
pub(crate) const CLASS: Scalar<Option<Class>> =
    scalar(class, Shape::Words(&["sprinter", "marathon", "auto"]));
pub(crate) const LANE: Scalar<Lane> = scalar(lane, Shape::Words(&["lambda", "container"]));
pub(crate) const PRIORITY: Scalar<Priority> =
    scalar(priority, Shape::Words(&["low", "normal", "high"]));
pub(crate) const ARCH: Scalar<Arch> = scalar(arch, Shape::Words(&["arm64", "x86_64"]));
pub(crate) const COLD_START: Scalar<ColdStart> =
    scalar(cold_start, Shape::Words(&["plain", "snapstart", "provisioned"]));
pub(crate) const BOOLEAN: Scalar<bool> = scalar(boolean, Shape::Boolean);
pub(crate) const EVENT: Scalar<EventFormat> =
    scalar(event, Shape::Words(&["apigw-v2", "apigw-v1", "alb", "alb-multi-value"]));
pub(crate) const INVOKE: Scalar<InvokeMode> = scalar(invoke, Shape::Words(&["buffered", "stream"]));
pub(crate) const COUNT: Scalar<u32> = scalar(count, Shape::Count);
pub(crate) const WHOLE: Scalar<u32> = scalar(whole, Shape::Whole);
pub(crate) const POSITIVE: Scalar<f64> = scalar(positive, Shape::Number);
pub(crate) const DURATION: Scalar<Duration> = scalar(units::duration, DURATION_FORM);
pub(crate) const SOME_TIME: Scalar<Duration> = scalar(some_time, DURATION_FORM);
pub(crate) const SIZE: Scalar<u64> = scalar(units::size, SIZE_FORM);
pub(crate) const SOME_BYTES: Scalar<u64> = scalar(some_bytes, SIZE_FORM);
pub(crate) const HEAD_BYTES: Scalar<u64> = scalar(head_bytes, SIZE_FORM);
pub(crate) const PERCENT: Scalar<f64> = scalar(units::percent, PERCENT_FORM);
pub(crate) const PORT: Scalar<u16> = scalar(port, Shape::Count);
pub(crate) const SOCKET: Scalar<SocketAddr> = scalar(socket, Shape::Form(SOCKET_FORM));
pub(crate) const SOCKET_OR_OFF: Scalar<Option<SocketAddr>> =
    scalar(socket_or_off, Shape::FormOrOff(SOCKET_FORM));
pub(crate) const NETWORK: Scalar<Network> =
    scalar(network, Shape::Form(r"^[0-9A-Fa-f:.]+(/\d+)?$"));
pub(crate) const REGION: Scalar<Arc<str>> =
    scalar(region, Shape::Form("^[a-z0-9]+(-[a-z0-9]+){2,}$"));
pub(crate) const ENDPOINT_URL: Scalar<Arc<str>> = scalar(endpoint_url, URL_FORM);
pub(crate) const UPSTREAM: Scalar<Upstream> = scalar(upstream, URL_FORM);
pub(crate) const QUEUE: Scalar<Queue> =
    scalar(queue, Shape::Form(r"^https?://[^/@\s]+/[0-9]{12}/[A-Za-z0-9_-]{1,80}$"));
pub(crate) const PATH: Scalar<Arc<str>> = scalar(path, PATH_FORM);
pub(crate) const METHOD: Scalar<Method> = scalar(method, Shape::Form("^[^a-z\\s]+$"));
pub(crate) const HEADER: Scalar<HeaderName> = scalar(header, Shape::Text);
pub(crate) const IDEMPOTENT: Scalar<Idempotent> =
    scalar(idempotent, Shape::Form("^([^a-z\\s]+|header:\\S+)$"));
pub(crate) const TEXT: Scalar<Arc<str>> = scalar(text, Shape::Text);
pub(crate) const INCLUDE: Scalar<String> = scalar(|text| Ok(text.to_owned()), Shape::Text);
/// A condition's value: also an empty one.
pub(crate) const VALUE: Scalar<Arc<str>> = scalar(|text| Ok(text.into()), Shape::Text);
pub(crate) const DID_NOT_RUN: Scalar<()> =
    scalar(|text| one_of(text, &[("did-not-run", ())]), Shape::Words(&["did-not-run"]));
pub(crate) const LOG_TARGET: Scalar<bool> = scalar(
    |text| {
        one_of(text, &[("off", false), ("stdout", true)])
            .map_err(|error| format!("{error} (or `file: PATH`)"))
    },
    Shape::Words(&["off", "stdout"]),
);
pub(crate) const CONTENT_LENGTH: Scalar<()> = scalar(
    |text| {
        one_of(text, &[("content_length", ())])
            .map_err(|error| format!("{error} (or `query: NAME`, or `header: NAME`)"))
    },
    Shape::Words(&["content_length"]),
);

/// Reads one of a closed set of words.
pub(crate) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Parsed<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    let expected = match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.join(""),
    };
    let hint = did_you_mean(text, words.iter().map(|(word, _)| *word))
        .map_or(String::new(), |word| format!("; did you mean `{word}`?"));
    Err(format!("expected {expected}, got `{text}`{hint}"))
}

fn version(text: &str) -> Parsed<()> {
    if text == "1" {
        Ok(())
    } else {
        Err(format!("this Pacer reads version 1, not `{text}`; write `version: 1`"))
    }
}

fn mode(text: &str) -> Parsed<Mode> {
    one_of(text, &[("off", Mode::Off), ("observe", Mode::Observe), ("act", Mode::Act)])
}

fn class(text: &str) -> Parsed<Option<Class>> {
    let words =
        [("sprinter", Some(Class::Sprinter)), ("marathon", Some(Class::Marathon)), ("auto", None)];
    one_of(text, &words)
}

fn lane(text: &str) -> Parsed<Lane> {
    one_of(text, &[("lambda", Lane::Lambda), ("container", Lane::Container)])
}

fn priority(text: &str) -> Parsed<Priority> {
    one_of(text, &[("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)])
}

fn arch(text: &str) -> Parsed<Arch> {
    one_of(text, &[("arm64", Arch::Arm64), ("x86_64", Arch::X86_64)])
}

fn cold_start(text: &str) -> Parsed<ColdStart> {
    let words = [
        ("plain", ColdStart::Plain),
        ("snapstart", ColdStart::SnapStart),
        ("provisioned", ColdStart::Provisioned),
    ];
    one_of(text, &words)
}

fn boolean(text: &str) -> Parsed<bool> {
    one_of(text, &[("true", true), ("false", false)])
}

fn event(text: &str) -> Parsed<EventFormat> {
    let words = [
        ("apigw-v2", EventFormat::ApigwV2),
        ("apigw-v1", EventFormat::ApigwV1),
        ("alb", EventFormat::Alb),
        ("alb-multi-value", EventFormat::AlbMultiValue),
    ];
    one_of(text, &words)
}

fn invoke(text: &str) -> Parsed<InvokeMode> {
    one_of(text, &[("buffered", InvokeMode::Buffered), ("stream", InvokeMode::Stream)])
}

/// Reads a whole number from 1.
fn count(text: &str) -> Parsed<u32> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("expected a whole number from 1, got `{text}`")),
        Ok(count) => Ok(count),
    }
}

/// Reads a whole number from 0.
fn whole(text: &str) -> Parsed<u32> {
    text.parse().map_err(|_| format!("expected a whole number from 0, got `{text}`"))
}

/// Reads a positive decimal number.
fn positive(text: &str) -> Parsed<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match text.parse() {
        Ok(number) if plain && 0.0 < number => Ok(number),
        _ => Err(format!("expected a number above 0 such as `0.25`, got `{text}`")),
    }
}

/// Reads a duration above zero.
pub(crate) fn some_time(text: &str) -> Parsed<Duration> {
    match units::duration(text)? {
        Duration::ZERO => Err(format!("expected more than no time, got `{text}`")),
        duration => Ok(duration),
    }
}

/// Reads a size above zero.
fn some_bytes(text: &str) -> Parsed<u64> {
    match units::size(text)? {
        0 => Err(format!("expected more than no bytes, got `{text}`")),
        bytes => Ok(bytes),
    }
}

/// Reads the size of a request's head: hyper reads 8 KiB at least.
fn head_bytes(text: &str) -> Parsed<u64> {
    match units::size(text)? {
        bytes @ 8192.. => Ok(bytes),
        _ => Err(format!("expected 8KiB or more, got `{text}`")),
    }
}

pub(crate) fn port(text: &str) -> Parsed<u16> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("expected a port from 1 to 65535, got `{text}`")),
        Ok(port) => Ok(port),
    }
}

/// Reads an address to listen on. Port 0 lets the system choose one.
fn socket(text: &str) -> Parsed<SocketAddr> {
    text.parse()
        .map_err(|_| format!("expected an address and port such as `127.0.0.1:8080`, got `{text}`"))
}

/// Reads an address to listen on, or `off`.
fn socket_or_off(text: &str) -> Parsed<Option<SocketAddr>> {
    if text == "off" {
        return Ok(None);
    }
    let expected =
        |_| format!("expected `off` or an address and port such as `127.0.0.1:9900`, got `{text}`");
    text.parse().map(Some).map_err(expected)
}

/// Reads a network such as `10.0.0.0/16`, or one address.
fn network(text: &str) -> Parsed<Network> {
    let expected =
        || format!("expected a network such as `10.0.0.0/16` or an address, got `{text}`");
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: std::net::IpAddr = address.parse().map_err(|_| expected())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| expected())?;
    if bits < prefix { Err(expected()) } else { Ok(Network { address, prefix }) }
}

/// Reads an AWS region's name; any, because there are new ones every year.
pub(crate) fn region(text: &str) -> Parsed<Arc<str>> {
    let shaped = 2 <= text.matches('-').count()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if shaped {
        Ok(text.into())
    } else {
        Err(format!("expected a region such as `eu-west-1`, got `{text}`"))
    }
}

/// Reads the base URL of AWS calls.
fn endpoint_url(text: &str) -> Parsed<Arc<str>> {
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    match upstream(trimmed) {
        Ok(_) => Ok(trimmed.into()),
        Err(_) => Err(format!(
            "expected a URL without a path such as `http://127.0.0.1:4566`, got `{text}`"
        )),
    }
}

/// Reads the URL of an SQS queue, which ends in account and name.
pub(crate) fn queue(text: &str) -> Parsed<Queue> {
    let expected = || {
        format!(
            "expected the URL of an SQS queue such as `https://sqs.eu-west-1.amazonaws.com/123456789012/tasks`, got `{text}`"
        )
    };
    let parts: Vec<&str> = text.rsplitn(3, '/').collect();
    let [name, account, endpoint] = parts[..] else { return Err(expected()) };
    upstream(endpoint).map_err(|_| expected())?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    // At most 80 characters (SQS developer guide, "Amazon SQS standard queue quotas").
    if !is_account || !(1..=80).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(expected());
    }
    Ok(Queue { url: text.into(), endpoint: endpoint.into() })
}

/// Reads a static upstream: scheme, host, and a port unless it is the scheme's own.
fn upstream(text: &str) -> Parsed<Upstream> {
    let expected =
        || format!("expected a URL without a path such as `http://10.0.3.7:8080`, got `{text}`");
    let (tls, authority) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(authority), _) => (false, authority),
        (_, Some(authority)) => (true, authority),
        _ => return Err(expected()),
    };
    let parsed: http::uri::Authority =
        authority.strip_suffix('/').unwrap_or(authority).parse().map_err(|_| expected())?;
    if parsed.host().is_empty() || parsed.as_str().contains('@') {
        return Err(expected());
    }
    let port = match parsed.port() {
        Some(written) => port(written.as_str()).map_err(|_| expected())?,
        // `host:` and `host:99999` have a colon and no port.
        None if parsed.as_str() != parsed.host() => return Err(expected()),
        None if tls => 443,
        None => 80,
    };
    let host = parsed.host().trim_start_matches('[').trim_end_matches(']');
    Ok(Upstream { tls, host: host.into(), port })
}

/// Reads a path in normal form.
fn path(text: &str) -> Parsed<Arc<str>> {
    if !text.starts_with('/') {
        return Err(format!("expected a path that begins with `/`, got `{text}`"));
    }
    if text.contains(['*', '{', '}']) {
        return Err(format!(
            "patterns are not supported in a path, got `{text}`; write `path_prefix: /...` instead"
        ));
    }
    match crate::path::normal(text) {
        Ok(normal) if normal == text => Ok(text.into()),
        Ok(normal) => {
            Err(format!("expected a path in its normal form, got `{text}`; write `{normal}`"))
        }
        Err(error) => Err(format!("no request can have the path `{text}`: {error}")),
    }
}

/// Reads a method. Letters in upper case, because methods are case-sensitive and `post` is always a slip.
fn method(text: &str) -> Parsed<Method> {
    let upper = text.to_ascii_uppercase();
    if upper != text {
        return Err(format!("methods are case-sensitive, got `{text}`; write `{upper}`"));
    }
    Method::from_bytes(text.as_bytes())
        .map_err(|_| format!("expected a method such as `POST`, got `{text}`"))
}

pub(crate) fn header(text: &str) -> Parsed<HeaderName> {
    text.parse().map_err(|_| format!("expected a header's name such as `x-tier`, got `{text}`"))
}

/// What says that a request may run twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Idempotent {
    Method(Method),
    Header(HeaderName),
}

fn idempotent(text: &str) -> Parsed<Idempotent> {
    match text.strip_prefix("header:") {
        Some(name) => header(name).map(Idempotent::Header),
        None => method(text)
            .map(Idempotent::Method)
            .map_err(|error| format!("{error} (or a header as `header:Idempotency-Key`)")),
    }
}

/// Text that must not be empty.
fn text(text: &str) -> Parsed<Arc<str>> {
    if text.is_empty() { Err("expected some text, got none".to_owned()) } else { Ok(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_urls_with_account_and_name() {
        let read = queue("https://sqs.eu-west-1.amazonaws.com/123456789012/task-events").unwrap();
        assert_eq!(&*read.endpoint, "https://sqs.eu-west-1.amazonaws.com");
        assert!(queue("http://127.0.0.1:4566/123456789012/tasks").is_ok());
        for wrong in [
            "tasks",
            "arn:aws:sqs:eu-west-1:123456789012:tasks",
            "https://sqs.eu-west-1.amazonaws.com/tasks",
            "https://sqs.eu-west-1.amazonaws.com/1234/tasks",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/tasks.fifo",
            "https://sqs.eu-west-1.amazonaws.com/x/123456789012/tasks",
        ] {
            assert!(queue(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn upstreams_have_a_host_a_port_and_no_path() {
        let read = |text| upstream(text).map(|up| (up.tls, up.host.to_string(), up.port));
        assert_eq!(read("http://10.0.3.7:8080"), Ok((false, "10.0.3.7".to_owned(), 8080)));
        assert_eq!(read("https://app.internal"), Ok((true, "app.internal".to_owned(), 443)));
        assert_eq!(read("http://[::1]:80/"), Ok((false, "::1".to_owned(), 80)));
        for wrong in [
            "10.0.3.7:80",
            "http://",
            "http://a/b",
            "http://a:0",
            "http://a:99999",
            "http://u@a",
            "http://a:",
        ] {
            assert!(upstream(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_are_bounded_by_their_family() {
        assert!(network("10.0.0.0/16").is_ok());
        assert!(network("::1").is_ok_and(|network| network.prefix == 128));
        for wrong in ["10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "all"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_and_paths_name_the_fix() {
        insta::assert_snapshot!(class("marathn").unwrap_err(), @"expected `sprinter`, `marathon` or `auto`, got `marathn`; did you mean `marathon`?");
        insta::assert_snapshot!(path("/a/../b").unwrap_err(), @"expected a path in its normal form, got `/a/../b`; write `/b`");
        insta::assert_snapshot!(path("/v1/*").unwrap_err(), @"patterns are not supported in a path, got `/v1/*`; write `path_prefix: /...` instead");
        insta::assert_snapshot!(path("/a b").unwrap_err(), @"no request can have the path `/a b`: the path holds byte 0x20 unescaped");
        insta::assert_snapshot!(method("post").unwrap_err(), @"methods are case-sensitive, got `post`; write `POST`");
    }
}
