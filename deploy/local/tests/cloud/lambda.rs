//! Invoke, environments and the Runtime API.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use http::Request;
use http_body_util::Full;
use pacer_local::{Config, config::LogFormat};
use serde_json::json;

use crate::support::{
    alive, app, fault, function, gone, invoke, invoke_as, pause, plain, send, signed, start, until,
    with_function,
};

#[path = "lambda/concurrency.rs"]
mod concurrency;
#[path = "lambda/faults.rs"]
mod faults;
#[path = "lambda/snap_start.rs"]
mod snap_start;
#[path = "lambda/stream.rs"]
mod stream;
#[path = "lambda/versions.rs"]
mod versions;

#[tokio::test]
async fn an_environment_is_started_once_and_reused() {
    let cloud = with_function(function(&["function"])).await;
    let first = invoke(&cloud, json!({ "n": 1 })).await;
    assert_eq!(first.status(), 200, "{:?}", first.body);
    assert_eq!(first.header("x-amz-executed-version"), "$LATEST");
    assert_eq!(first.header("x-amzn-requestid").len(), 36);
    let (first, second) = (first.json(), invoke(&cloud, json!({ "n": 2 })).await.json());
    assert_eq!((&first["event"]["n"], &first["count"]), (&json!(1), &json!(1)));
    assert_eq!((&second["pid"], &second["count"]), (&first["pid"], &json!(2)));
    let state = &cloud.state().functions["f"];
    assert_eq!((state.cold_starts, state.invocations, state.environments.len()), (1, 2, 1));
    cloud.stop().await;
    assert!(!alive(first["pid"].as_u64().unwrap()));
}

#[tokio::test]
async fn a_process_sees_lambdas_environment_and_headers() {
    let mut f = function(&["function"]);
    f.env.insert("COLOUR".into(), "blue".into());
    f.env.insert("AWS_REGION".into(), "mars".into());
    let cloud = with_function(f).await;
    let context = BASE64.encode(r#"{"client":1}"#);
    let answer = invoke_as(&cloud, "f", &[("x-amz-client-context", &context)], &json!({})).await;
    let (env, headers) = (&answer.json()["env"], &answer.json()["headers"]);
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL", &format!("http://{}", cloud.address)),
        ("COLOUR", "blue"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    assert_eq!(headers["lambda-runtime-aws-request-id"], answer.header("x-amzn-requestid"));
    assert_eq!(headers["lambda-runtime-client-context"], r#"{"client":1}"#);
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:f";
    assert_eq!(headers["lambda-runtime-invoked-function-arn"], arn);
    let deadline: u64 = headers["lambda-runtime-deadline-ms"].as_str().unwrap().parse().unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    assert!((now..=now + 30_000).contains(&deadline), "{deadline} at {now}");
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_is_found_by_name_partial_arn_and_arn() {
    let mut f = function(&["function"]);
    f.qualifiers = vec!["live".into()];
    let cloud = with_function(f).await;
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:f";
    let encoded = format!("{arn}:live").replace(':', "%3A");
    for (name, version) in [
        ("f", "$LATEST"),
        ("f:live", "1"),
        ("f%3Alive", "1"),
        ("f?Qualifier=live", "1"),
        ("f?Qualifier=%24LATEST", "$LATEST"),
        ("123456789012:function:f", "$LATEST"),
        (arn, "$LATEST"),
        (&encoded, "1"),
    ] {
        let answer = invoke_as(&cloud, name, &[], &json!({})).await;
        assert_eq!(
            (answer.status(), answer.header("x-amz-executed-version")),
            (200, version),
            "{name}"
        );
    }
    for (name, status, kind) in [
        ("g", 404, "ResourceNotFoundException"),
        ("f:old", 404, "ResourceNotFoundException"),
        (&arn.replace("eu-west-1", "us-east-1"), 404, "ResourceNotFoundException"),
        ("f:live?Qualifier=old", 400, "InvalidParameterValueException"),
        ("a:b:c:d", 400, "ValidationException"),
    ] {
        let answer = invoke_as(&cloud, name, &[], &json!({})).await;
        assert_eq!((answer.status(), answer.header("x-amzn-errortype")), (status, kind), "{name}");
        assert_eq!(answer.json()["Type"], "User");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn unsigned_and_wrongly_signed_requests_are_refused() {
    let cloud = with_function(function(&["function"])).await;
    let path = "/2015-03-31/functions/f/invocations";
    let unsigned = plain(&cloud, "POST", path, "{}").await;
    assert_eq!(
        (unsigned.status(), unsigned.header("x-amzn-errortype")),
        (403, "MissingAuthenticationTokenException")
    );
    let mut request = signed(&cloud, "lambda", path, &[], "{}");
    *request.body_mut() = Full::from("{ }");
    let changed = send(cloud.address, request).await.unwrap();
    assert_eq!(
        (changed.status(), changed.header("x-amzn-errortype")),
        (403, "InvalidSignatureException")
    );
    let mut request = signed(&cloud, "lambda", path, &[], "{}");
    let header =
        request.headers()["authorization"].to_str().unwrap().replace("=local/", "=AKIDEXAMPLE/");
    request.headers_mut().insert("authorization", header.parse().unwrap());
    let other = send(cloud.address, request).await.unwrap();
    assert_eq!(
        (other.status(), other.header("x-amzn-errortype")),
        (403, "UnrecognizedClientException")
    );
    assert_eq!(cloud.state().functions["f"].invocations, 0);
    cloud.stop().await;
}

#[tokio::test]
async fn payloads_are_limited_and_must_be_json() {
    let cloud = with_function(function(&["function"])).await;
    let path = "/2015-03-31/functions/f/invocations";
    let large = format!("\"{}\"", "x".repeat(6 * 1024 * 1024));
    let answer = send(cloud.address, signed(&cloud, "lambda", path, &[], large)).await.unwrap();
    assert_eq!(
        (answer.status(), answer.header("x-amzn-errortype")),
        (413, "RequestTooLargeException")
    );
    let answer = send(cloud.address, signed(&cloud, "lambda", path, &[], "{")).await.unwrap();
    assert_eq!(
        (answer.status(), answer.header("x-amzn-errortype")),
        (400, "InvalidRequestContentException")
    );
    let answer = invoke(&cloud, json!({ "do": "big" })).await;
    assert_eq!((answer.status(), answer.header("x-amz-function-error")), (200, "Unhandled"));
    assert_eq!(answer.json()["errorType"], "Function.ResponseSizeTooLarge");
    cloud.stop().await;
}

#[tokio::test]
async fn each_invocation_in_flight_has_an_environment_of_its_own_and_limits_throttle() {
    let mut f = function(&["function"]);
    f.reserved_concurrency = Some(2);
    let mut config = Config { account_concurrency: 3, ..Config::new() };
    config.functions.insert("f".into(), f);
    config.functions.insert("g".into(), function(&["function"]));
    let cloud = start(config, 1.0).await;
    let long = async |name| invoke_as(&cloud, name, &[], &pause(60_000)).await;
    let check = async {
        until("all three run", async || {
            let state = cloud.state();
            let busy =
                |name: &str| state.functions[name].environments.iter().filter(|e| e.busy).count();
            (busy("f") == 2 && busy("g") == 1).then_some(())
        })
        .await;
        for (name, reason) in [
            ("f", "ReservedFunctionConcurrentInvocationLimitExceeded"),
            ("g", "ConcurrentInvocationLimitExceeded"),
        ] {
            let answer = invoke_as(&cloud, name, &[], &json!({})).await;
            assert_eq!(
                (answer.status(), answer.header("x-amzn-errortype")),
                (429, "TooManyRequestsException")
            );
            assert_eq!(
                (&answer.json()["Reason"], answer.header("retry-after")),
                (&json!(reason), "1")
            );
            assert_eq!(cloud.state().functions[name].throttles, 1);
        }
        // Killing all ends the three that wait.
        for state in cloud.state().functions.values() {
            for environment in &state.environments {
                fault(&cloud, json!({ "lambda": { "kill": { "environment": environment.id } } }))
                    .await;
            }
        }
    };
    let (a, b, c, ()) = tokio::join!(long("f"), long("f"), long("g"), check);
    for killed in [a, b, c] {
        assert_eq!(killed.header("x-amz-function-error"), "Unhandled");
        assert!(
            killed.json()["errorMessage"].as_str().unwrap().contains("signal: killed"),
            "{:?}",
            killed.body
        );
    }
    assert_eq!(invoke(&cloud, json!({})).await.status(), 200);
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_killed() {
    let mut f = function(&["function"]);
    f.timeout = Duration::from_millis(500);
    let cloud = with_function(f).await;
    let pid = invoke(&cloud, json!({})).await.json()["pid"].as_u64().unwrap();
    let late = invoke(&cloud, pause(60_000)).await;
    assert_eq!((late.status(), late.header("x-amz-function-error")), (200, "Unhandled"));
    let message = late.json()["errorMessage"].as_str().unwrap().to_owned();
    let id = late.header("x-amzn-requestid");
    assert!(message.ends_with(&format!("Z {id} Task timed out after 0.50 seconds")), "{message}");
    gone(pid).await;
    assert_ne!(invoke(&cloud, json!({})).await.json()["pid"], json!(pid));
    cloud.stop().await;
}

#[tokio::test]
async fn function_errors_are_200_with_a_header() {
    let cloud = with_function(function(&["function"])).await;
    let failed = invoke(&cloud, json!({ "do": "fail" })).await;
    assert_eq!((failed.status(), failed.header("x-amz-function-error")), (200, "Unhandled"));
    assert_eq!(failed.json(), json!({ "errorType": "App.Wrong", "errorMessage": "it went wrong" }));
    let ended = invoke(&cloud, json!({ "do": "exit" })).await;
    assert_eq!((ended.status(), ended.header("x-amz-function-error")), (200, "Unhandled"));
    assert_eq!(ended.json()["errorType"], "Runtime.ExitError");
    assert!(
        ended.json()["errorMessage"].as_str().unwrap().ends_with("exit status 7"),
        "{:?}",
        ended.body
    );
    assert_eq!(cloud.state().functions["f"].function_errors, 2);
    cloud.stop().await;
}

#[tokio::test]
async fn a_failed_init_is_the_functions_error() {
    for (arguments, kind, message) in [
        (&["init-error"][..], "App.NoConfig", "no configuration"),
        (&["exit", "5"], "Runtime.ExitError", "exit status 5"),
    ] {
        let cloud = with_function(function(arguments)).await;
        let answer = invoke(&cloud, json!({})).await;
        assert_eq!((answer.status(), answer.header("x-amz-function-error")), (200, "Unhandled"));
        assert_eq!(answer.json()["errorType"], kind);
        assert!(
            answer.json()["errorMessage"].as_str().unwrap().ends_with(message),
            "{:?}",
            answer.body
        );
        cloud.stop().await;
    }
    let cloud =
        with_function(pacer_local::config::Function::new(vec!["/does/not/exist".into()])).await;
    let answer = invoke(&cloud, json!({})).await;
    assert_eq!(answer.json()["errorType"], "Runtime.InvalidEntrypoint");
    cloud.stop().await;
}

#[tokio::test]
async fn an_init_that_takes_too_long_is_run_again_within_the_timeout() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let mut f = function(&["slow-init-once", mark.to_str().unwrap()]);
    f.init_timeout = Duration::from_millis(300);
    let cloud = with_function(f.clone()).await;
    assert_eq!(invoke(&cloud, json!({})).await.json()["count"], 1);
    cloud.stop().await;

    f.command = app(&["slow-init", "60000"]);
    f.timeout = Duration::from_millis(300);
    let cloud = with_function(f).await;
    let answer = invoke(&cloud, json!({})).await;
    assert_eq!(answer.json()["errorType"], "Sandbox.Timedout", "{:?}", answer.body);
    cloud.stop().await;
}

#[tokio::test]
async fn idle_environments_are_reaped_with_all_their_children() {
    let mut f = function(&["parent"]);
    f.idle = Duration::from_millis(200);
    let cloud = with_function(f).await;
    let answer = invoke(&cloud, json!({})).await.json();
    let (pid, child) =
        (answer["pid"].as_u64().unwrap(), answer["about"]["child"].as_u64().unwrap());
    assert_ne!(pid, child);
    gone(pid).await;
    gone(child).await;
    assert_eq!(cloud.state().functions["f"].environments, []);
    assert_ne!(invoke(&cloud, json!({})).await.json()["pid"], json!(pid));
    cloud.stop().await;
}

#[tokio::test]
async fn the_runtime_api_refuses_what_is_out_of_turn() {
    let cloud = with_function(function(&["function"])).await;
    // `next` while working, another event's response, and restore without SnapStart.
    assert_eq!(
        invoke(&cloud, json!({ "do": "disorder" })).await.json()["statuses"],
        json!([403, 403, 404])
    );
    cloud.stop().await;
}

#[tokio::test]
async fn dry_runs_run_nothing_and_events_run_later_and_again_when_they_fail() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let size = || std::fs::metadata(&file).map_or(0, |m| m.len());
    let mut config = Config::new();
    config.functions.insert("f".into(), function(&["function"]));
    // Retries after 1 and 2 minutes become 60 and 120 ms.
    let cloud = start(config, 1000.0).await;
    let dry = invoke_as(&cloud, "f", &[("x-amz-invocation-type", "DryRun")], &json!({})).await;
    assert_eq!((dry.status(), cloud.state().functions["f"].invocations), (204, 0));
    let wrong = invoke_as(&cloud, "f", &[("x-amz-invocation-type", "Later")], &json!({})).await;
    assert_eq!(wrong.status(), 400);
    let event = [("x-amz-invocation-type", "Event")];
    let accepted = invoke_as(&cloud, "f", &event, &json!({ "do": "write", "file": file })).await;
    assert_eq!((accepted.status(), accepted.body.len()), (202, 0));
    until("the event ran", async || (size() == 1).then_some(())).await;
    invoke_as(&cloud, "f", &event, &json!({ "do": "fail", "file": file })).await;
    until("the event ran three times", async || (size() == 4).then_some(())).await;
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_runs_on_when_its_caller_goes_away() {
    let cloud = with_function(function(&["function"])).await;
    let request = signed(
        &cloud,
        "lambda",
        "/2015-03-31/functions/f/invocations",
        &[],
        pause(300).to_string(),
    );
    let left = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::select! {
            _ = send(cloud.address, request) => false,
            () = until("it runs", async || (cloud.state().functions["f"].in_flight == 1).then_some(())) => true,
        }
    });
    assert!(left.await.unwrap());
    until("it ended", async || (cloud.state().functions["f"].invocations == 1).then_some(())).await;
    assert_eq!(cloud.state().functions["f"].function_errors, 0);
    cloud.stop().await;
}

#[tokio::test]
async fn the_log_tail_and_the_bill_agree() {
    let mut f = function(&["function"]);
    f.memory = 512;
    let cloud = with_function(f).await;
    let answer = invoke_as(&cloud, "f", &[("x-amz-log-type", "Tail")], &pause(50)).await;
    let log = BASE64.decode(answer.header("x-amz-log-result")).unwrap();
    let log = String::from_utf8(log).unwrap();
    let number = |before: &str| -> f64 {
        let rest = log.split(before).nth(1).unwrap_or_else(|| panic!("{before} in {log}"));
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    let (duration, billed, init) =
        (number("\tDuration: "), number("Billed Duration: "), number("Init Duration: "));
    assert!(50.0 <= duration && 0.0 < init, "{log}");
    assert!((duration + init - billed).abs() <= 1.02, "{log}");
    assert!(log.contains("Memory Size: 512 MB") && log.contains("working on"), "{log}");
    #[cfg(target_os = "linux")]
    assert!(1.0 <= number("Max Memory Used: "), "{log}");
    let bill = cloud.bill().functions["f"];
    assert_eq!((bill.requests, bill.billed_ms), (1, billed as u64));
    assert_eq!(bill.mb_ms, bill.billed_ms * 512);
    assert_eq!(bill.init_ms, init.ceil() as u64);
    cloud.stop().await;
}

#[tokio::test]
async fn the_log_is_json_where_that_is_configured() {
    let mut f = function(&["function"]);
    f.log_format = LogFormat::Json;
    let cloud = with_function(f).await;
    let answer = invoke_as(&cloud, "f", &[("x-amz-log-type", "Tail")], &json!({})).await;
    let log = BASE64.decode(answer.header("x-amz-log-result")).unwrap();
    let last = String::from_utf8(log).unwrap().lines().last().unwrap().to_owned();
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(
        (&last["type"], &last["record"]["status"]),
        (&json!("platform.report"), &json!("success"))
    );
    let id = answer.header("x-amzn-requestid");
    assert_eq!(last["record"]["requestId"], id);
    let billed = last["record"]["metrics"]["billedDurationMs"].as_u64().unwrap();
    assert_eq!(billed, cloud.bill().functions["f"].billed_ms);
    assert_eq!(answer.json()["env"]["AWS_LAMBDA_LOG_FORMAT"], "JSON");
    cloud.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_an_environments_processes_use_is_shown() {
    let cloud = with_function(function(&["function"])).await;
    invoke(&cloud, json!({ "do": "spin", "ms": 100 })).await;
    let environment = &cloud.state().functions["f"].environments[0];
    assert!(
        50 <= environment.cpu_ms.unwrap() && 1 <= environment.memory_mib.unwrap(),
        "{environment:?}"
    );
    cloud.stop().await;
}

#[tokio::test]
async fn start_delay_comes_before_the_first_event_and_is_scaled() {
    let mut f = function(&["function"]);
    f.start_delay = Duration::from_mins(5);
    let mut config = Config::new();
    config.functions.insert("f".into(), f);
    let cloud = start(config, 1000.0).await;
    let begun = std::time::Instant::now();
    invoke(&cloud, json!({})).await.json();
    let took = begun.elapsed();
    assert!(Duration::from_millis(300) <= took && took < Duration::from_mins(1), "{took:?}");
    cloud.stop().await;
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_404() {
    let cloud = with_function(function(&["function"])).await;
    let request =
        Request::get("/2015-03-31/layers").header("host", "x").body(Full::default()).unwrap();
    assert_eq!(send(cloud.address, request).await.unwrap().status(), 404);
    cloud.stop().await;
}
