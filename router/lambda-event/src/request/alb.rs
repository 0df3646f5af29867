//! The event of an Application Load Balancer, in both modes of its target group.
//!
//! Source: "Use Lambda functions as targets of an Application Load Balancer" (AWS documentation, November 2026). Query
//! parameters are as the client sent them, not decoded, and there always; so is `body`.

use super::{Request, query, write_headers};
use crate::format::Format;
use crate::headers::Repeated;
use crate::{body, json};

/// There is no target group; functions that look for one find this.
const CONTEXT: &[u8] = br#"{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:::targetgroup/pacer/0000000000000000"}},"httpMethod":"#;

/// `repeated` is the mode: [`Repeated::Last`], or [`Repeated::Listed`] with multi-value headers.
pub(crate) fn write(out: &mut Vec<u8>, request: &Request<'_>, repeated: Repeated) {
    let Request { method, path, headers, body, .. } = *request;
    let may_be_text = body::may_be_text(headers, Format::Alb.text_types());
    let query = request.query().unwrap_or_default();
    out.reserve(
        256 + headers.len() * 72
            + path.len()
            + 2 * query.len()
            + body::encoded_size_hint(body.len(), may_be_text),
    );
    let (parameters_field, headers_field) = match repeated {
        Repeated::Joined | Repeated::Last => ("queryStringParameters", "headers"),
        Repeated::Listed => ("multiValueQueryStringParameters", "multiValueHeaders"),
    };

    out.extend_from_slice(CONTEXT);
    json::string(out, method.as_str());
    out.extend_from_slice(br#","path":"#);
    json::string(out, path);
    out.extend_from_slice(br#",""#);
    out.extend_from_slice(parameters_field.as_bytes());
    out.extend_from_slice(br#"":{"#);
    query::write(out, &query::undecoded(query), repeated);
    out.push(b'}');
    write_headers(out, request, headers_field, repeated);
    out.extend_from_slice(br#","body":"#);
    if body.is_empty() {
        out.extend_from_slice(br#""""#);
    }
    body::write(out, body, may_be_text);
    out.push(b'}');
}
