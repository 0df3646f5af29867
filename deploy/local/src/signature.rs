//! Checks AWS Signature Version 4 as AWS does, against one fixed local key.
//!
//! Written from the specification ("Create a signed AWS API request", IAM User Guide, read 2026-11) and not with the
//! library that the gateway signs with: a check that shares the signer's code would accept the signer's mistakes.

use std::{fmt::Write as _, time::Duration, time::SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use sha2::{Digest, Sha256};

use crate::clock;

/// The only access key id the local cloud knows.
pub const ACCESS_KEY_ID: &str = "local";
/// Its secret. No secret at all: the cloud runs on loopback and holds nothing of value.
pub const SECRET_ACCESS_KEY: &str = "local";

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service whose rules differ: the path is encoded once, and the body need not be signed.
const S3: &str = "s3";
/// What `x-amz-content-sha256` says of a body that is not signed (S3 API reference, "Signature calculations for the
/// Authorization header", read 2026-11).
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// The same, of a body in chunks with trailing headers.
pub(crate) const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// How far a request's clock may be from ours, in minutes: five, as most AWS services have it; fifteen for S3.
fn skew_minutes_max(service: &str) -> u64 {
    if service == S3 { 15 } else { 5 }
}

/// Why a request was refused; all are 403, with AWS's names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "the request has no Authorization header; sign it with access key id `local` and secret `local`"
    )]
    Missing,
    #[error(
        "the Authorization header is not AWS4-HMAC-SHA256 with Credential, SignedHeaders and Signature: {0}"
    )]
    Incomplete(String),
    #[error(
        "The security token included in the request is invalid. (access key id `{0}`; the local cloud knows `local` only)"
    )]
    UnknownKey(String),
    #[error("The request signature we calculated does not match the signature you provided. {0}")]
    Mismatch(String),
    /// Its clock is off: the same name, with a sentence of its own.
    #[error("{0}")]
    Skewed(String),
}

impl Refusal {
    /// The exception's name at AWS.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Incomplete(_) => "IncompleteSignatureException",
            Self::UnknownKey(_) => "UnrecognizedClientException",
            Self::Mismatch(_) | Self::Skewed(_) => "InvalidSignatureException",
        }
    }
}

/// Checks that `parts` and `body` are signed for `service` in `region`, about `now`.
pub(crate) fn verify(
    parts: &Parts,
    body: &[u8],
    region: &str,
    service: &str,
    now: SystemTime,
) -> Result<(), Refusal> {
    let header = parts.headers.get(AUTHORIZATION).ok_or(Refusal::Missing)?;
    let header = header.to_str().map_err(|_| Refusal::Incomplete("it is not ASCII".into()))?;
    let claim = Claim::parse(header)?;
    if claim.key_id != ACCESS_KEY_ID {
        return Err(Refusal::UnknownKey(claim.key_id.into()));
    }
    let mismatch = |text: String| Err(Refusal::Mismatch(text));
    if claim.scope_region != region || claim.scope_service != service {
        let (r, s) = (claim.scope_region, claim.scope_service);
        return mismatch(format!(
            "Credential should be scoped to {region}/{service}, not {r}/{s}."
        ));
    }
    let date = text(&parts.headers, "x-amz-date").unwrap_or_default();
    let Some(at) = clock::parse_amz_date(date) else {
        return mismatch(format!("X-Amz-Date `{date}` is not of the form 20261121T011614Z."));
    };
    if !date.starts_with(claim.scope_date) {
        return mismatch(format!(
            "Date in Credential scope {} does not match X-Amz-Date {date}.",
            claim.scope_date
        ));
    }
    // AWS's words, with the time it is there.
    let here = clock::amz_date(now);
    let minutes = skew_minutes_max(service);
    let skew_max = Duration::from_mins(minutes);
    if at + skew_max < now {
        let least = clock::amz_date(now - skew_max);
        return Err(Refusal::Skewed(format!(
            "Signature expired: {date} is now earlier than {least} ({here} - {minutes} min.)"
        )));
    }
    if now + skew_max < at {
        let most = clock::amz_date(now + skew_max);
        return Err(Refusal::Skewed(format!(
            "Signature not yet current: {date} is still later than {most} ({here} + {minutes} min.)"
        )));
    }
    let hashed = (service == S3).then_some("x-amz-content-sha256");
    for needed in ["host", "x-amz-date"].into_iter().chain(hashed) {
        if !claim.signed_headers.split(';').any(|name| name == needed) {
            return mismatch(format!("`{needed}` must be among the SignedHeaders."));
        }
    }
    let canonical = canonical_request(parts, body, claim.signed_headers, service);
    let scope = format!("{}/{region}/{service}/aws4_request", claim.scope_date);
    let to_sign =
        format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let mut key = mac(format!("AWS4{SECRET_ACCESS_KEY}").as_bytes(), claim.scope_date);
    for part in [region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    if hex(&mac(&key, &to_sign)) != claim.signature {
        return mismatch(format!(
            "The Canonical String for this request should have been\n'{canonical}'"
        ));
    }
    Ok(())
}

/// What an Authorization header says.
struct Claim<'a> {
    key_id: &'a str,
    scope_date: &'a str,
    scope_region: &'a str,
    scope_service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn parse(header: &'a str) -> Result<Self, Refusal> {
        let wrong = |what: &str| Refusal::Incomplete(what.to_owned());
        let fields = header.strip_prefix(ALGORITHM).ok_or_else(|| wrong("another algorithm"))?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            match field.trim().split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed_headers = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                _ => return Err(wrong(&format!("`{}` is not known", field.trim()))),
            }
        }
        let credential = credential.ok_or_else(|| wrong("no Credential"))?;
        let parts: Vec<&str> = credential.split('/').collect();
        let [key_id, scope_date, scope_region, scope_service, "aws4_request"] = parts[..] else {
            return Err(wrong("Credential is not KEY/DATE/REGION/SERVICE/aws4_request"));
        };
        let signed_headers = signed_headers.ok_or_else(|| wrong("no SignedHeaders"))?;
        let signature = signature.ok_or_else(|| wrong("no Signature"))?;
        Ok(Self { key_id, scope_date, scope_region, scope_service, signed_headers, signature })
    }
}

/// The canonical request of the specification.
fn canonical_request(parts: &Parts, body: &[u8], signed_headers: &str, service: &str) -> String {
    // Every service but S3 encodes the path a second time: what was sent as %3A is signed as %253A.
    let path = parts.uri.path();
    let path = if service == S3 { decode(path) } else { path.as_bytes().to_vec() };
    let path = encode(&path, b"/");
    let mut query: Vec<(String, String)> = (parts.uri.query().unwrap_or_default().split('&'))
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name), b""), encode(&decode(value), b""))
        })
        .collect();
    query.sort();
    let query: Vec<String> =
        query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut headers = String::new();
    for name in signed_headers.split(';') {
        let values: Vec<String> = (parts.headers.get_all(name).iter())
            .map(|v| {
                String::from_utf8_lossy(v.as_bytes())
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        let _ = writeln!(headers, "{name}:{}", values.join(","));
    }
    // A hash the client declares is what it signed; it must then be the body's, which makes it the same thing.
    // S3's clients may declare that they signed none.
    let declared = text(&parts.headers, "x-amz-content-sha256").unwrap_or_default();
    let hash = match declared {
        UNSIGNED | UNSIGNED_TRAILER if service == S3 => declared.to_owned(),
        _ => hex(&Sha256::digest(body)),
    };
    format!("{}\n{path}\n{}\n{headers}\n{signed_headers}\n{hash}", parts.method, query.join("&"))
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Percent-encodes all but RFC 3986's unreserved characters and `keep`.
pub(crate) fn encode(bytes: &[u8], keep: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || keep.contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// Undoes percent-encoding; what is not valid stays as it is.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use http::Request;

    use super::*;

    /// A request signed by AWS's own library.
    fn signed(uri: &str, body: &[u8], key: (&str, &str), at: SystemTime) -> Request<()> {
        let identity = Credentials::new(key.0, key.1, None, None, "test").into();
        let params = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("lambda")
            .time(at)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let mut request =
            Request::post(uri).header("x-amz-client-context", "e30=").body(()).unwrap();
        let headers = [("x-amz-client-context", "e30=")];
        let signable =
            SignableRequest::new("POST", uri, headers.into_iter(), SignableBody::Bytes(body))
                .unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request.headers_mut().insert("host", "127.0.0.1:4566".parse().unwrap());
        request
    }

    fn check(
        request: Request<()>,
        body: &[u8],
        service: &str,
        now: SystemTime,
    ) -> Result<(), &'static str> {
        verify(&request.into_parts().0, body, "eu-west-1", service, now)
            .map_err(|refusal| refusal.name())
    }

    #[test]
    fn s3_encodes_the_path_once_and_may_leave_the_body_unsigned() {
        use aws_sigv4::http_request::{
            PayloadChecksumKind, PercentEncodingMode, UriPathNormalizationMode,
        };

        let now = SystemTime::now();
        let identity = Credentials::new("local", "local", None, None, "test").into();
        let signed = |uri: &str, body: SignableBody| {
            let mut settings = SigningSettings::default();
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            let params = aws_sigv4::sign::v4::SigningParams::builder()
                .identity(&identity)
                .region("eu-west-1")
                .name("s3")
                .time(now)
                .settings(settings)
                .build()
                .unwrap()
                .into();
            let mut request = Request::post(uri).body(()).unwrap();
            let signable = SignableRequest::new("POST", uri, std::iter::empty(), body).unwrap();
            let (instructions, _) = sign(signable, &params).unwrap().into_parts();
            instructions.apply_to_request_http1x(&mut request);
            request.headers_mut().insert("host", "127.0.0.1:4566".parse().unwrap());
            request
        };
        let uri = "http://127.0.0.1:4566/bucket/a%20b//c%3D1/../%C5%91?list-type=2&prefix=a%2F";
        let minutes = |n| now + Duration::from_mins(n);
        let whole = || signed(uri, SignableBody::Bytes(b"data"));
        assert_eq!(check(whole(), b"data", "s3", minutes(14)), Ok(()));
        assert_eq!(check(whole(), b"data", "s3", minutes(16)), Err("InvalidSignatureException"));
        assert_eq!(check(whole(), b"atad", "s3", now), Err("InvalidSignatureException"));
        for body in [SignableBody::UnsignedPayload, SignableBody::StreamingUnsignedPayloadTrailer] {
            assert_eq!(check(signed(uri, body), b"anything", "s3", now), Ok(()));
        }
        let mut changed = signed(uri, SignableBody::UnsignedPayload);
        let path = uri.replace("c%3D1", "c%3D2");
        *changed.uri_mut() = path.parse().unwrap();
        assert_eq!(check(changed, b"", "s3", now), Err("InvalidSignatureException"));
    }

    const PLAIN: &str = "http://127.0.0.1:4566/2015-03-31/functions/f/invocations";

    #[test]
    fn what_the_sdk_signs_is_accepted() {
        let now = SystemTime::now();
        let arn = "http://127.0.0.1:4566/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Af/invocations";
        for uri in [
            PLAIN,
            arn,
            &format!("{PLAIN}?Qualifier=live"),
            &format!("{PLAIN}?Qualifier=%24LATEST&A=b%20c"),
        ] {
            assert_eq!(
                check(signed(uri, b"{}", ("local", "local"), now), b"{}", "lambda", now),
                Ok(()),
                "{uri}"
            );
        }
    }

    #[test]
    fn every_part_that_is_signed_is_checked() {
        let now = SystemTime::now();
        let good = || signed(PLAIN, b"{}", ("local", "local"), now);
        assert_eq!(check(good(), b"{ }", "lambda", now), Err("InvalidSignatureException"));
        assert_eq!(check(good(), b"{}", "ecs", now), Err("InvalidSignatureException"));
        assert_eq!(
            check(good(), b"{}", "lambda", now + Duration::from_secs(301)),
            Err("InvalidSignatureException")
        );
        let mut header = good();
        header.headers_mut().insert("x-amz-client-context", "e30K".parse().unwrap());
        assert_eq!(check(header, b"{}", "lambda", now), Err("InvalidSignatureException"));
        let mut path = good();
        *path.uri_mut() = PLAIN.replace("/f/", "/g/").parse().unwrap();
        assert_eq!(check(path, b"{}", "lambda", now), Err("InvalidSignatureException"));
        let secret = signed(PLAIN, b"{}", ("local", "other"), now);
        assert_eq!(check(secret, b"{}", "lambda", now), Err("InvalidSignatureException"));
    }

    #[test]
    fn other_keys_and_unsigned_requests_are_refused() {
        let now = SystemTime::now();
        let other = signed(PLAIN, b"{}", ("AKIDEXAMPLE", "local"), now);
        assert_eq!(check(other, b"{}", "lambda", now), Err("UnrecognizedClientException"));
        assert_eq!(
            check(Request::post(PLAIN).body(()).unwrap(), b"", "lambda", now),
            Err("MissingAuthenticationTokenException")
        );
        let basic =
            Request::post(PLAIN).header("authorization", "Basic bG9jYWw=").body(()).unwrap();
        assert_eq!(check(basic, b"", "lambda", now), Err("IncompleteSignatureException"));
    }
}
