//! AWS Signature Version 4 for Invoke.
//!
//! The key of a day is derived once by AWS's `aws-sigv4` and kept; of each call only its own hash and signature are
//! made. `aws-sigv4`'s whole-request signer sorts and encodes headers that are always the same here.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION};
use lambda_event::time::Utc;
use sha2::{Digest, Sha256};

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const DAY: u64 = 24 * 60 * 60;

/// What signs the calls of one UTC day.
pub(crate) struct SigningKeys {
    access_key_id: String,
    token: Option<(String, HeaderValue)>,
    key: Vec<u8>,
    /// `20261121/eu-west-1/lambda/aws4_request`
    scope: String,
    /// Days since 1970.
    day: u64,
}

impl fmt::Debug for SigningKeys {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl SigningKeys {
    /// Derives the key of the UTC day of `now`.
    pub(crate) fn new(
        access_key_id: &str,
        secret: &str,
        session_token: Option<&str>,
        region: &str,
        now: SystemTime,
    ) -> Self {
        let day = seconds(now) / DAY;
        let date = timestamp(day * DAY);
        Self {
            access_key_id: access_key_id.to_owned(),
            token: session_token.and_then(|token| {
                let mut value = HeaderValue::from_str(token).ok()?;
                value.set_sensitive(true);
                Some((token.to_owned(), value))
            }),
            key: generate_signing_key(secret, now, region, "lambda").as_ref().to_vec(),
            scope: format!("{}/{region}/lambda/aws4_request", &date[..8]),
            day,
        }
    }

    /// Signs a POST of `payload` to the path and query in `canonical`, which carries `option`.
    pub(super) fn sign(
        &self,
        canonical: &str,
        host: &HeaderValue,
        payload: &[u8],
        option: Option<CallOption>,
        now: SystemTime,
    ) -> Signature {
        // In the second after midnight yesterday's keys may still be here: a signature of yesterday's last second is
        // good then, because AWS allows clocks to differ by five minutes.
        let date = timestamp(seconds(now).clamp(self.day * DAY, (self.day + 1) * DAY - 1));
        let host = host.to_str().unwrap_or_default();
        // In alphabetical order, as signing wants them.
        let mut signed = String::from("host;x-amz-date");
        let mut text = String::with_capacity(512);
        text.extend(["POST\n", canonical, "\nhost:", host, "\nx-amz-date:", &date, "\n"]);
        if let Some((name, value)) = option.map(CallOption::header) {
            signed.extend([";", name.as_str()]);
            text.extend([name.as_str(), ":", value, "\n"]);
        }
        if let Some((token, _)) = &self.token {
            signed.push_str(";x-amz-security-token");
            text.extend(["x-amz-security-token:", token, "\n"]);
        }
        text.extend(["\n", &signed, "\n"]);
        push_hex(&mut text, &Sha256::digest(payload));
        let request_hash = Sha256::digest(&text);

        text.clear();
        text.extend(["AWS4-HMAC-SHA256\n", &date, "\n", &self.scope, "\n"]);
        push_hex(&mut text, &request_hash);
        let signature = calculate_signature(&self.key, text.as_bytes());

        text.clear();
        text.extend([
            "AWS4-HMAC-SHA256 Credential=",
            &self.access_key_id,
            "/",
            &self.scope,
            ", SignedHeaders=",
            &signed,
            ", Signature=",
            &signature,
        ]);
        // Credentials with a line break in them are no header; AWS refuses what it gets instead.
        let header = |text: &str| {
            HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("invalid"))
        };
        Signature {
            authorization: header(&text),
            date: header(&date),
            option,
            token: self.token.as_ref().map(|(_, value)| value.clone()),
        }
    }
}

/// The headers that a signature adds to a request.
#[derive(Debug)]
pub(super) struct Signature {
    authorization: HeaderValue,
    date: HeaderValue,
    option: Option<CallOption>,
    token: Option<HeaderValue>,
}

/// What a call may ask for beside a run of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallOption {
    /// The end of the log with the answer.
    LogTail,
    /// No run: only whether one would be allowed.
    DryRun,
}

impl CallOption {
    const fn header(self) -> (HeaderName, &'static str) {
        match self {
            Self::LogTail => (HeaderName::from_static("x-amz-log-type"), "Tail"),
            Self::DryRun => (HeaderName::from_static("x-amz-invocation-type"), "DryRun"),
        }
    }
}

impl Signature {
    /// Writes them.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.authorization);
        headers.insert(DATE, self.date);
        if let Some((name, value)) = self.option.map(CallOption::header) {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(token) = self.token {
            headers.insert(TOKEN, token);
        }
    }
}

/// Where a call goes.
#[derive(Debug)]
pub(super) struct CallPath {
    /// Its path and query.
    pub(super) uri: Uri,
    /// The same as it is signed: encoded once more (every service but S3).
    pub(super) canonical: String,
}

/// Returns the path of Invoke for a function, or of InvokeWithResponseStream.
pub(super) fn call_path(function: &str, qualifier: Option<&str>, stream: bool) -> CallPath {
    let (version, verb) = if stream {
        ("2021-11-15", "response-streaming-invocations")
    } else {
        ("2015-03-31", "invocations")
    };
    let path = format!("/{version}/functions/{}/{verb}", encode(function));
    let query =
        qualifier.map(|qualifier| format!("Qualifier={}", encode(qualifier))).unwrap_or_default();
    let canonical = format!("{}\n{query}", path.replace('%', "%25"));
    let uri = if query.is_empty() { path } else { format!("{path}?{query}") };
    CallPath { uri: uri.parse().expect("a percent-encoded path is a URI"), canonical }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX_UPPER[usize::from(byte >> 4)]));
            out.push(char::from(HEX_UPPER[usize::from(byte & 15)]));
        }
    }
    out
}

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";
const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";

fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        out.push(char::from(HEX_LOWER[usize::from(byte >> 4)]));
        out.push(char::from(HEX_LOWER[usize::from(byte & 15)]));
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Formats Unix time as `20261121T235959Z`.
fn timestamp(seconds: u64) -> String {
    let Utc { year, month, day, hour, minute, second } = Utc::from_unix(seconds);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sigv4::{
        http_request::{SignableBody, SignableRequest, SigningSettings, sign},
        sign::v4::SigningParams,
    };

    use super::*;

    /// AWS's own signer is the reference.
    #[track_caller]
    fn check(
        function: &str,
        qualifier: Option<&str>,
        option: Option<CallOption>,
        token: Option<&str>,
        at: u64,
    ) {
        let now = UNIX_EPOCH + Duration::from_secs(at);
        let CallPath { uri, canonical } = call_path(function, qualifier, option.is_none());
        let host = HeaderValue::from_static("lambda.eu-west-1.amazonaws.com");
        let ours = SigningKeys::new("AKIDEXAMPLE", "wJalrXUtnFEMI", token, "eu-west-1", now).sign(
            &canonical,
            &host,
            b"{\"a\":1}",
            option,
            now,
        );

        let identity = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI",
            token.map(str::to_owned),
            None,
            "test",
        )
        .into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("lambda")
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let url = format!("https://lambda.eu-west-1.amazonaws.com{uri}");
        let mut theirs = http::Request::post(&url).body(()).unwrap();
        let option = option.map(CallOption::header);
        let request = SignableRequest::new(
            "POST",
            &url,
            option.iter().map(|(name, value)| (name.as_str(), *value)),
            SignableBody::Bytes(b"{\"a\":1}"),
        )
        .unwrap();
        sign(request, &params.into()).unwrap().into_parts().0.apply_to_request_http1x(&mut theirs);
        assert_eq!(ours.authorization, theirs.headers()[AUTHORIZATION], "{function} {qualifier:?}");
        assert_eq!(ours.date, theirs.headers()[DATE]);
        assert_eq!(ours.token.as_ref(), theirs.headers().get(TOKEN));
    }

    #[test]
    fn signatures_equal_those_of_aws_own_signer() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:thumb";
        let (token, tail) = (Some("FwoGZXIvYXdzEBY/+=token"), Some(CallOption::LogTail));
        check("thumb", None, None, None, 1_795_219_200);
        check(arn, Some("live"), None, None, 1_795_219_199);
        check("thumb", Some("12"), None, token, 951_868_799);
        check("thumb", Some("12"), tail, token, 951_868_799);
        check("thumb", None, Some(CallOption::DryRun), None, 951_868_799);
    }

    #[test]
    fn keys_of_yesterday_sign_for_its_last_second() {
        let midnight = 20_000 * DAY;
        let keys = SigningKeys::new(
            "id",
            "secret",
            None,
            "eu-west-1",
            UNIX_EPOCH + Duration::from_secs(midnight - 1),
        );
        let now = UNIX_EPOCH + Duration::from_secs(midnight + 1);
        let signature = keys.sign("/\n", &HeaderValue::from_static("h"), b"", None, now);
        assert!(signature.date.to_str().unwrap().ends_with("T235959Z"), "{signature:?}");
    }

    #[test]
    fn nothing_secret_is_shown_by_debug() {
        let keys =
            SigningKeys::new("AKIDSECRET", "secret", Some("secret"), "eu-west-1", UNIX_EPOCH);
        assert!(!format!("{keys:?}").to_lowercase().contains("secret"));
    }
}
