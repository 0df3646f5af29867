//! Which headers cross, in which direction, and what the gateway adds.

use crate::harness::{Gateway, Upstream, gateway::containers_only, wire::request};

const TRUSTING: &str =
    "listen: { http: '127.0.0.1:0', drain: 0s, trust_forwarded_from: [127.0.0.0/8] }\n";

#[tokio::test]
async fn hop_by_hop_headers_cross_in_neither_direction() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut wire = gateway.connect().await;
    let sent = [
        ("connection", "keep-alive, X-Hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eDp5"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
        ("x-end-to-end", "1"),
        ("authorization", "Bearer t"),
        ("cookie", "a=1"),
    ];
    wire.send(request("GET", "/", &sent, b"")).await;
    let exchange = app.next().await;
    for gone in &sent[..7] {
        assert_eq!(exchange.head.get(gone.0), None, "{}", gone.0);
    }
    for (name, value) in &sent[7..] {
        assert_eq!(exchange.head.get(name), Some(*value));
    }
    let answered = [
        ("connection", "keep-alive, x-task-hop"),
        ("x-task-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("upgrade", "h2c"),
        ("x-end-to-end", "2"),
        ("server", "app"),
    ];
    exchange.reply("200 OK", &answered, "").await;
    let answer = wire.answer("GET").await;
    for (name, _) in &answered[1..5] {
        assert_eq!(answer.head.get(name), None, "{name}");
    }
    assert_eq!(answer.head.get("x-end-to-end"), Some("2"));
    assert_eq!(answer.head.get("server"), Some("app"));
}

#[tokio::test]
async fn repeated_headers_stay_apart_and_in_order() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut wire = gateway.connect().await;
    wire.send(request("GET", "/", &[("x-list", "b"), ("x-list", "a")], b"")).await;
    let exchange = app.next().await;
    assert_eq!(exchange.head.all("x-list"), ["b", "a"]);
    exchange.reply("200 OK", &[("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2")], "").await;
    let answer = wire.answer("GET").await;
    assert_eq!(answer.head.all("set-cookie"), ["a=1; Path=/", "b=2"]);
}

#[tokio::test]
async fn what_an_untrusted_client_says_of_its_origin_is_replaced() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut wire = gateway.connect().await;
    let claims = [
        ("host", "shop.example.com:8080"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "443"),
        ("forwarded", "for=6.6.6.6"),
        ("x-real-ip", "6.6.6.6"),
        ("x-request-id", "chosen-by-the-client"),
    ];
    for claims in [&claims[..1], &claims[..]] {
        wire.send(request("GET", "/", claims, b"")).await;
        let exchange = app.next().await;
        let head = &exchange.head;
        assert_eq!(head.get("host"), Some("shop.example.com:8080"));
        assert_eq!(head.get("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(head.get("x-forwarded-proto"), Some("http"));
        for gone in ["x-forwarded-host", "x-forwarded-port", "forwarded", "x-real-ip"] {
            assert_eq!(head.get(gone), None, "{gone}");
        }
        let id = head.get("x-request-id").expect("every request has a name").to_owned();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        exchange.reply("200 OK", &[], "").await;
        assert_eq!(wire.answer("GET").await.head.get("x-request-id"), Some(&*id));
    }
}

#[tokio::test]
async fn what_a_trusted_hop_says_is_kept_and_added_to() {
    let app = Upstream::start().await;
    let policy = containers_only(&[&app], 4, "");
    let gateway = Gateway::start(&format!("{TRUSTING}{policy}")).await;
    let mut wire = gateway.connect().await;
    let said = [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example.com"),
        ("x-forwarded-port", "443"),
        ("forwarded", "for=203.0.113.7"),
        ("x-request-id", "from-the-balancer"),
    ];
    wire.send(request("GET", "/", &said, b"")).await;
    let exchange = app.next().await;
    let head = &exchange.head;
    assert_eq!(head.get("x-forwarded-for"), Some("203.0.113.7, 10.0.0.1, 127.0.0.1"));
    for (name, value) in &said[2..] {
        assert_eq!(head.get(name), Some(*value), "{name}");
    }
    exchange.reply("200 OK", &[], "").await;
    assert_eq!(wire.answer("GET").await.head.get("x-request-id"), Some("from-the-balancer"));
}

#[tokio::test]
async fn nobody_but_the_gateway_says_x_pacer() {
    let app = Upstream::start().await;
    let gateway = Gateway::start(&containers_only(&[&app], 4, "")).await;
    let mut wire = gateway.connect().await;
    let forged = [("x-pacer-decision", "lane=forged"), ("X-Pacer-Busy", "1"), ("x-pacerlike", "1")];
    wire.send(request("GET", "/", &forged, b"")).await;
    let exchange = app.next().await;
    assert_eq!(exchange.head.names("x-pacer"), ["x-pacerlike"]);
    let report = [("x-pacer-billed-ms", "1"), ("x-pacer-decision", "lane=forged")];
    exchange.reply("200 OK", &report, "").await;
    let answer = wire.answer("GET").await;
    assert_eq!(answer.head.names("x-pacer"), ["x-pacer-decision"]);
    assert_eq!(answer.decision("lane"), "container");
}

#[tokio::test]
async fn the_decision_is_shown_only_where_the_policy_asks_for_it() {
    let app = Upstream::saying("app").await;
    let policy = containers_only(&[&app], 4, ", decision_header: false");
    let gateway = Gateway::start(&policy).await;
    let answer = gateway.get("/").await;
    assert_eq!(answer.status(), 200);
    assert!(answer.head.names("x-pacer").is_empty(), "{answer:?}");
}
