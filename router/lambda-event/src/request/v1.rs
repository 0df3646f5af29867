//! The event of payload format 1.0.
//!
//! Source: "Input format of a Lambda function for proxy integration" (API Gateway, REST APIs) and "Create AWS Lambda proxy
//! integrations for HTTP APIs" (AWS documentation, November 2026). The function looks like the target of `/{proxy+}`. As
//! REST APIs do it, the path stays percent-encoded, and query parameters are decoded. Names of headers are lower case,
//! where REST APIs keep the client's case: names have none (RFC 9110 section 5.1).

use super::{Request, open_context, query, write_client, write_headers, write_target, write_time};
use crate::format::Format;
use crate::headers::Repeated;
use crate::{body, json};

pub(crate) fn write(out: &mut Vec<u8>, request: &Request<'_>) {
    let Request { method, path, headers, body, .. } = *request;
    let may_be_text = body::may_be_text(headers, Format::ApigwV1.text_types());
    let query = request.query();
    out.reserve(
        1024 + headers.len() * 144
            + 3 * path.len()
            + 4 * query.map_or(0, str::len)
            + body::encoded_size_hint(body.len(), may_be_text),
    );

    out.extend_from_slice(br#"{"version":"1.0","resource":"#);
    out.extend_from_slice(resource(path));
    out.extend_from_slice(br#","path":"#);
    json::string(out, path);
    out.extend_from_slice(br#","httpMethod":"#);
    json::string(out, method.as_str());
    write_headers(out, request, "headers", Repeated::Last);
    write_headers(out, request, "multiValueHeaders", Repeated::Listed);
    if let Some(query) = query {
        let parameters = query::decoded(query);
        out.extend_from_slice(br#","queryStringParameters":{"#);
        query::write(out, &parameters, Repeated::Last);
        out.extend_from_slice(br#"},"multiValueQueryStringParameters":{"#);
        query::write(out, &parameters, Repeated::Listed);
        out.push(b'}');
    } else {
        out.extend_from_slice(
            br#","queryStringParameters":null,"multiValueQueryStringParameters":null"#,
        );
    }
    write_context(out, request);
    match path.strip_prefix('/').unwrap_or(path) {
        "" => out.extend_from_slice(br#","pathParameters":null"#),
        proxy => {
            out.extend_from_slice(br#","pathParameters":{"proxy":"#);
            json::string(out, proxy);
            out.push(b'}');
        }
    }
    out.extend_from_slice(br#","stageVariables":null,"body":"#);
    if body.is_empty() {
        out.extend_from_slice(b"null");
    }
    body::write(out, body, may_be_text);
    out.push(b'}');
}

/// The resource that such a path belongs to, as JSON: `{proxy+}` does not match the root.
fn resource(path: &str) -> &'static [u8] {
    if path == "/" { br#""/""# } else { br#""/{proxy+}""# }
}

fn write_context(out: &mut Vec<u8>, request: &Request<'_>) {
    open_context(out, request);
    out.extend_from_slice(br#","extendedRequestId":"#);
    json::string(out, request.request_id);
    out.extend_from_slice(br#","httpMethod":"#);
    json::string(out, request.method.as_str());
    out.extend_from_slice(
        br#","identity":{"accessKey":null,"accountId":null,"caller":null,"cognitoAuthenticationProvider":null,"cognitoAuthenticationType":null,"cognitoIdentityId":null,"cognitoIdentityPoolId":null,"principalOrgId":null,"#,
    );
    write_client(out, request);
    out.extend_from_slice(br#","user":null,"userArn":null},"#);
    write_target(out, request);
    out.extend_from_slice(br#","requestId":"#);
    json::string(out, request.request_id);
    out.extend_from_slice(br#","requestTime":"#);
    write_time(out, request, "requestTimeEpoch");
    out.extend_from_slice(br#","resourceId":null,"resourcePath":"#);
    out.extend_from_slice(resource(request.path));
    out.extend_from_slice(br#","stage":"$default"}"#);
}
