//! Credentials that come from an endpoint, as a task's role gives them: they run out, change, and fail to come, while
//! requests go on. No request waits for them, and nothing of them is written anywhere.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::harness::{
    Gateway, Upstream,
    gateway::{Setup, both_lanes, lambda_only},
    until,
    upstream::Exchange,
};

/// What the endpoint wants to be shown, so that it is looked for in logs too.
const TOKEN: &str = "endpoint-secret";

/// The endpoint of a container's role.
struct Role {
    endpoint: Upstream,
    gives: Arc<Mutex<Gives>>,
}

/// What it does when it is asked.
#[derive(Clone)]
enum Gives {
    /// Credentials of this name, for so long.
    Keys(&'static str, Duration),
    Error,
    /// Nothing, and keeps the connection open.
    Silence,
}

use Gives::{Error, Keys, Silence};

impl Role {
    async fn giving(gives: Gives) -> Self {
        let gives = Arc::new(Mutex::new(gives));
        let now = gives.clone();
        let endpoint = Upstream::answering(move |exchange: Exchange, _| {
            let gives = now.lock().expect("nobody panics with it").clone();
            async move {
                assert_eq!(exchange.head.get("authorization"), Some(TOKEN));
                match gives {
                    Keys(name, last) => {
                        let keys = json!({
                            "AccessKeyId": format!("KEY{name}"),
                            "SecretAccessKey": format!("secret-of-{name}"),
                            "Token": format!("token-of-{name}"),
                            "Expiration": written(SystemTime::now() + last),
                        });
                        exchange.reply("200 OK", &[], keys.to_string()).await;
                    }
                    Error => {
                        exchange.reply("500 Oops", &[], r#"{"code":"Oops","message":"m"}"#).await;
                    }
                    Silence => std::future::pending().await,
                }
            }
        })
        .await;
        Self { endpoint, gives }
    }

    fn now_gives(&self, gives: Gives) {
        *self.gives.lock().expect("nobody panics with it") = gives;
    }

    /// A gateway that has no other credentials.
    async fn gateway(&self, policy: &str) -> Gateway {
        // Setup takes text that lives as long as the test's process: a few bytes.
        let url: &'static str = format!("{}/role", self.endpoint.url()).leak();
        let env = vec![
            ("AWS_ACCESS_KEY_ID", ""),
            ("AWS_SECRET_ACCESS_KEY", ""),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", TOKEN),
            ("RUST_LOG", "trace"),
        ];
        let before = self.endpoint.requests();
        let gateway = Gateway::start_with(policy, Setup { env, ..Setup::default() }).await;
        // Once for the first requests, once by the loop that renews them.
        until("it has asked", async || (before + 2 <= self.endpoint.requests()).then_some(()))
            .await;
        gateway
    }
}

/// Writes a time as the endpoint does: RFC 3339 in UTC, by the days' algorithm of Howard Hinnant.
fn written(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month < 3);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Lambda's API; its function answers with the name of the key that signed the call.
async fn api() -> Upstream {
    Upstream::answering(|exchange: Exchange, _| async move {
        let signed = exchange.head.get("authorization").expect("it is signed").to_owned();
        let name = signed.split("Credential=KEY").nth(1).and_then(|rest| rest.split('/').next());
        let name = name.unwrap_or("nobody").to_owned();
        // Its token goes with it.
        let token = format!("token-of-{name}");
        assert_eq!(exchange.head.get("x-amz-security-token"), Some(&*token));
        exchange.returned(format!(r#"{{"statusCode":200,"body":"{name}"}}"#)).await;
    })
    .await
}

/// Fails when anything secret was written, to any log or by the admin API.
async fn tells_nothing(gateway: &Gateway) {
    let status = gateway.admin("/status").await.to_string();
    let metrics = gateway.metrics().await.0;
    for (place, text) in [
        ("standard error", gateway.errors()),
        ("the access log", gateway.log_text()),
        ("/status", status),
        ("/metrics", metrics),
    ] {
        for secret in ["secret-of-", "token-of-", TOKEN] {
            assert!(!text.contains(secret), "{place} has {secret}: {text}");
        }
    }
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn credentials_change_while_requests_go_on() {
    let (api, role) = (api().await, Role::giving(Keys("A", Duration::from_secs(4))).await);
    let gateway = role.gateway(&lambda_only(&api, "")).await;
    let mut wire = gateway.connect().await;
    assert_eq!(wire.ask("GET", "/", &[], b"").await.text(), "A");
    role.now_gives(Keys("B", HOUR));
    // Before the old ones run out there are new ones: every request is served by either.
    until("the new ones sign", async || {
        let answer = wire.ask("GET", "/", &[], b"").await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        (answer.text() == "B").then_some(())
    })
    .await;
    tells_nothing(&gateway).await;
}

#[tokio::test]
async fn credentials_that_stop_coming_are_used_until_they_expire() {
    let (api, role) = (api().await, Role::giving(Keys("A", Duration::from_secs(6))).await);
    let app = Upstream::saying("container").await;
    let both = both_lanes(&api, &[&app], 4, ", class: sprinter");
    let alone = role.gateway(&lambda_only(&api, "")).await;
    let both = role.gateway(&both).await;
    role.now_gives(Error);
    until("the failure is told", async || {
        let status = alone.admin("/status").await;
        // It is known to fail, and the old ones serve.
        status["credentials"]["error"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(alone.get("/").await.text(), "A");
    until("they have run out", async || {
        (both.post("/", b"body").await.text() == "container").then_some(())
    })
    .await;
    assert_eq!(both.post("/", b"body").await.decision("reason"), "spill-lambda-down");
    let refused = until("they have run out here too", async || {
        let answer = alone.post("/", b"body").await;
        (answer.status() != 200).then_some(answer)
    })
    .await;
    assert_eq!(refused.problem(503, "gateway"), "unavailable");
    assert_eq!(alone.admin("/status").await["credentials"]["usable"], false);
    for gateway in [&alone, &both] {
        let told = "no credentials for AWS; those at hand are used until they expire";
        gateway.until_told(told).await;
        tells_nothing(gateway).await;
    }
    role.now_gives(Keys("B", HOUR));
    until("they are there again", async || (alone.get("/").await.status() == 200).then_some(()))
        .await;
    assert_eq!(alone.get("/").await.text(), "B");
    alone.until_told("credentials for AWS are there again").await;
}

#[tokio::test]
async fn no_request_waits_for_a_slow_endpoint() {
    let (api, role) = (api().await, Role::giving(Keys("A", Duration::from_secs(6))).await);
    let gateway = role.gateway(&lambda_only(&api, "")).await;
    role.now_gives(Silence);
    let asked = role.endpoint.requests();
    until("it is asked and does not answer", async || {
        (asked < role.endpoint.requests()).then_some(())
    })
    .await;
    // It answers nobody from now on, so whoever waited for it would wait beyond this test.
    assert_eq!(gateway.get("/").await.text(), "A");
    until("they have run out", async || (gateway.get("/").await.status() == 503).then_some(()))
        .await;
    tells_nothing(&gateway).await;
}

#[tokio::test]
async fn credentials_may_come_after_the_start() {
    for begins in [Error, Silence] {
        let (api, role) = (api().await, Role::giving(begins).await);
        let app = Upstream::saying("container").await;
        let gateway = role.gateway(&both_lanes(&api, &[&app], 4, ", class: sprinter")).await;
        // It serves what it can.
        let answer = gateway.post("/", b"body").await;
        assert_eq!((answer.text(), answer.decision("reason")), ("container", "spill-lambda-down"));
        assert_eq!(api.requests(), 0);
        role.now_gives(Keys("A", HOUR));
        until("they have come", async || {
            (gateway.post("/", b"body").await.text() == "A").then_some(())
        })
        .await;
        assert_eq!(gateway.admin("/status").await["credentials"]["usable"], true);
        tells_nothing(&gateway).await;
    }
}
