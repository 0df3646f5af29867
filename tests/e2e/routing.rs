//! Which route takes a request, and what is answered when none does.

use std::fmt::Write as _;

use crate::harness::{
    Gateway, Upstream, Wire,
    gateway::{container, containers_only},
};

#[tokio::test]
async fn a_request_without_a_route_is_the_clients_fault() {
    let app = Upstream::saying("app").await;
    let container = container(&[&app], 4);
    let gateway = Gateway::start(&format!(
        "services: {{ app: {{ container: {container} }} }}\n\
         routes: [{{ match: {{ path: /known }}, service: app }}]\n"
    ))
    .await;
    assert_eq!(gateway.get("/unknown").await.problem(404, "client"), "no-route");
    assert_eq!(gateway.get("/known").await.text(), "app");
    assert_eq!(app.requests(), 1);
}

#[tokio::test]
async fn the_most_specific_route_wins_whatever_the_order() {
    let mut services = String::new();
    let mut routes = String::new();
    let mut upstreams = Vec::new();
    for (name, matches) in [
        ("any", "{}"),
        ("wild", "{ host: '*.example.com' }"),
        ("host", "{ host: api.example.com }"),
        ("prefix", "{ host: api.example.com, path_prefix: /v1 }"),
        ("longer", "{ host: api.example.com, path_prefix: /v1/reports }"),
        ("path", "{ host: api.example.com, path: /v1/reports/7 }"),
        ("method", "{ host: api.example.com, path: /v1/reports/7, method: POST }"),
        (
            "header",
            "{ host: api.example.com, path: /v1/reports/7, method: POST, headers: { x-tier: gold } }",
        ),
        (
            "query",
            "{ host: api.example.com, path: /v1/reports/7, method: POST, headers: { x-tier: gold }, query: { v: '2' } }",
        ),
    ] {
        let upstream = Upstream::saying(name).await;
        let _ = writeln!(services, "  {name}: {{ container: {} }}", container(&[&upstream], 9));
        let _ = writeln!(routes, "  - {{ match: {matches}, service: {name} }}");
        upstreams.push(upstream);
    }
    let gateway = Gateway::start(&format!("services:\n{services}routes:\n{routes}")).await;
    let api = ("host", "api.example.com");
    for (method, target, headers, expected) in [
        ("GET", "/v1/reports/7", vec![("host", "other.org")], "any"),
        ("GET", "/v1/reports/7", vec![("host", "b.example.com:8080")], "wild"),
        ("GET", "/v2", vec![api], "host"),
        ("GET", "/v1", vec![api], "prefix"),
        ("GET", "/v10", vec![api], "host"),
        ("GET", "/v1/reports", vec![("host", "API.example.com")], "longer"),
        ("GET", "/v1/reports/7", vec![api], "path"),
        ("POST", "/v1/reports/7", vec![api], "method"),
        ("POST", "/v1/reports/7", vec![api, ("x-tier", "gold")], "header"),
        ("POST", "/v1/reports/7", vec![api, ("x-tier", "tin")], "method"),
        ("GET", "/v1/reports/7", vec![api, ("x-tier", "gold")], "path"),
        ("POST", "/v1/reports/7?a=1&v=2", vec![api, ("x-tier", "gold")], "query"),
        ("POST", "/v1/reports/7?v=22", vec![api, ("x-tier", "gold")], "header"),
    ] {
        let answer = gateway.ask(method, target, &headers, b"").await;
        assert_eq!(answer.text(), expected, "{method} {target} {headers:?}");
    }
}

#[tokio::test]
async fn the_path_that_is_matched_is_the_path_that_is_forwarded() {
    let app = Upstream::answering(|exchange, _| {
        let target = exchange.target.clone();
        exchange.reply("200 OK", &[], target)
    })
    .await;
    let container = container(&[&app], 4);
    let gateway = Gateway::start(&format!(
        "services: {{ app: {{ container: {container} }} }}\n\
         routes: [{{ match: {{ path_prefix: /open/ }}, service: app }}]\n"
    ))
    .await;
    for (sent, forwarded) in [
        ("/open/a", "/open/a"),
        ("/open/./b/../c?d=../e", "/open/c?d=../e"),
        ("/x/%2e%2e/open/%7Euser", "/open/~user"),
        ("/open/a%2fb%c3%a9", "/open/a%2Fb%C3%A9"),
        ("/open//a", "/open//a"),
    ] {
        assert_eq!(gateway.get(sent).await.text(), forwarded, "{sent}");
    }
    // What only looks as if it lay below the prefix does not.
    for outside in ["/open/../secret", "/open/%2e%2e/secret", "/open", "/open%2Fa"] {
        assert_eq!(gateway.get(outside).await.problem(404, "client"), "no-route", "{outside}");
    }
    for wrong in ["/open/../../a", "/open/%00", "/open/%zz", "/open/a\\b"] {
        let answer = gateway.get(wrong).await;
        assert_eq!(answer.status(), 400, "{wrong}: {answer:?}");
    }
    assert_eq!(app.requests(), 5);
}

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    for wrong in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
    ] {
        let mut wire = gateway.connect().await;
        wire.send(wrong).await;
        assert_eq!(wire.answer("GET").await.problem(400, "client"), "bad-request", "{wrong}");
    }
    assert_eq!(app.requests(), 0);
    for right in ["GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"]
    {
        let mut wire = gateway.connect().await;
        wire.send(right).await;
        assert_eq!(wire.answer("GET").await.text(), "app", "{right}");
    }
}

#[tokio::test]
async fn http_1_0_needs_no_host() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut wire = Wire::connect(gateway.http).await;
    wire.send("GET / HTTP/1.0\r\n\r\n").await;
    let head = wire.head().await.unwrap();
    assert_eq!(head.line.split(' ').nth(1), Some("200"));
    assert_eq!(wire.body(&head).await.bytes, b"app");
    wire.closed().await;
}

#[tokio::test]
async fn the_health_path_is_the_gateways_own() {
    let app = Upstream::saying("app").await;
    let gateway = Gateway::start(&format!(
        "listen: {{ http: '127.0.0.1:0', drain: 0s, health: /up }}\n{}",
        containers_only(&[&app], 4, "")
    ))
    .await;
    let answer = gateway.get("/up").await;
    assert_eq!((answer.status(), answer.text()), (200, "ready\n"));
    assert_eq!(gateway.get("/.pacer/ready").await.text(), "app");
    assert_eq!(app.requests(), 1);
}
