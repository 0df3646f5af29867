//! Versions, aliases, and what describes them.

use pacer_local::Cloud;
use serde_json::{Value, json};

use crate::support::{Answer, function, invoke_as, lambda, with_function};

const F: &str = "/2015-03-31/functions/f";

/// Calls and expects `status`; the body as JSON.
async fn ok(cloud: &Cloud, status: u16, method: &str, path: &str, body: Value) -> Value {
    let answer = lambda(cloud, method, path, body).await;
    assert_eq!(answer.status(), status, "{method} {path}: {:?}", answer.body);
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

fn refusal(answer: &Answer) -> (u16, &str) {
    (answer.status(), answer.header("x-amzn-errortype"))
}

/// Gives `f` another environment variable, so that there is something to publish, and publishes it.
async fn publish(cloud: &Cloud, colour: &str) -> String {
    let variables = json!({ "Environment": { "Variables": { "COLOUR": colour } } });
    ok(cloud, 200, "PUT", &format!("{F}/configuration"), variables).await;
    let version = ok(cloud, 201, "POST", &format!("{F}/versions"), json!({})).await;
    version["Version"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_version_keeps_its_settings_and_has_environments_of_its_own() {
    let cloud = with_function(function(&["function"])).await;
    assert_eq!(publish(&cloud, "blue").await, "1");
    // Nothing changed: nothing is published.
    let same = ok(&cloud, 201, "POST", &format!("{F}/versions"), json!({})).await;
    assert_eq!(same["Version"], "1");
    assert_eq!(publish(&cloud, "green").await, "2");
    let mut pids = Vec::new();
    for (name, colour, version) in
        [("f:1", "blue", "1"), ("f:2", "green", "2"), ("f", "green", "$LATEST")]
    {
        let answer = invoke_as(&cloud, name, &[], &json!({})).await;
        assert_eq!(answer.header("x-amz-executed-version"), version);
        let body = answer.json();
        assert_eq!(
            (&body["env"]["COLOUR"], &body["env"]["AWS_LAMBDA_FUNCTION_VERSION"]),
            (&json!(colour), &json!(version))
        );
        pids.push(body["pid"].as_u64().unwrap());
    }
    assert!(pids[0] != pids[1] && pids[1] != pids[2]);
    let state = cloud.state();
    let mut versions: Vec<_> =
        state.functions["f"].environments.iter().map(|e| e.version.as_str()).collect();
    versions.sort_unstable();
    assert_eq!(versions, ["$LATEST", "1", "2"]);
    let list = ok(&cloud, 200, "GET", &format!("{F}/versions?MaxItems=2"), Value::Null).await;
    let names = |list: &Value| -> Vec<String> {
        list["Versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["Version"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (names(&list), &list["NextMarker"]),
        (vec!["$LATEST".into(), "1".into()], &json!("2"))
    );
    let list = ok(&cloud, 200, "GET", &format!("{F}/versions?Marker=2"), Value::Null).await;
    assert_eq!((names(&list), &list["NextMarker"]), (vec!["2".into()], &Value::Null));
    cloud.stop().await;
}

#[tokio::test]
async fn an_alias_points_at_a_version_or_two_by_weight() {
    let cloud = with_function(function(&["function"])).await;
    publish(&cloud, "blue").await;
    publish(&cloud, "green").await;
    let aliases = format!("{F}/aliases");
    let live = format!("{aliases}/live");
    let made =
        ok(&cloud, 201, "POST", &aliases, json!({ "Name": "live", "FunctionVersion": "1" })).await;
    assert_eq!(made["AliasArn"], "arn:aws:lambda:eu-west-1:123456789012:function:f:live");
    let executed = async |name: &str| {
        let answer = invoke_as(&cloud, name, &[], &json!({})).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body);
        answer.header("x-amz-executed-version").to_owned()
    };
    assert_eq!(executed("f:live").await, "1");
    // All of it to the other version, then none: what lies between is chance.
    for (weight, version) in [(1.0, "2"), (0.0, "1")] {
        let routing = json!({ "RoutingConfig": { "AdditionalVersionWeights": { "2": weight } } });
        let alias = ok(&cloud, 200, "PUT", &live, routing).await;
        assert_eq!(alias["RoutingConfig"]["AdditionalVersionWeights"]["2"], weight);
        assert_eq!(executed("f?Qualifier=live").await, version);
    }
    let half = json!({ "RoutingConfig": { "AdditionalVersionWeights": { "2": 0.5 } } });
    ok(&cloud, 200, "PUT", &live, half).await;
    let mut seen = std::collections::BTreeSet::new();
    // A chance of 2^-199 to see one only.
    for _ in 0..200 {
        seen.insert(executed("f:live").await);
    }
    assert_eq!(seen.len(), 2);
    let moved =
        json!({ "FunctionVersion": "2", "RoutingConfig": { "AdditionalVersionWeights": {} } });
    let alias = ok(&cloud, 200, "PUT", &live, moved).await;
    assert_eq!((&alias["FunctionVersion"], &alias["RoutingConfig"]), (&json!("2"), &Value::Null));
    assert_eq!(executed("f:live").await, "2");
    assert_eq!(ok(&cloud, 200, "GET", &live, Value::Null).await, alias);
    let list = ok(&cloud, 200, "GET", &format!("{aliases}?FunctionVersion=1"), Value::Null).await;
    assert_eq!(list["Aliases"], json!([]));
    let version = lambda(&cloud, "DELETE", &format!("{F}?Qualifier=2"), Value::Null).await;
    assert_eq!(refusal(&version), (409, "ResourceConflictException"));
    ok(&cloud, 204, "DELETE", &live, Value::Null).await;
    ok(&cloud, 204, "DELETE", &format!("{F}?Qualifier=2"), Value::Null).await;
    let answer = invoke_as(&cloud, "f:live", &[], &json!({})).await;
    assert_eq!(refusal(&answer), (404, "ResourceNotFoundException"));
    cloud.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_version_or_alias_is_refused() {
    let mut f = function(&["function"]);
    f.qualifiers = vec!["2".into(), "live".into()];
    let cloud = with_function(f).await;
    let weights =
        |weights: Value| json!({ "RoutingConfig": { "AdditionalVersionWeights": weights } });
    let parameter = (400, "InvalidParameterValueException");
    for (method, path, body, expected) in [
        (
            "POST",
            "/aliases",
            json!({ "Name": "live", "FunctionVersion": "1" }),
            (409, "ResourceConflictException"),
        ),
        ("POST", "/aliases", json!({ "Name": "7", "FunctionVersion": "1" }), parameter),
        ("POST", "/aliases", json!({ "Name": "next" }), parameter),
        (
            "POST",
            "/aliases",
            json!({ "Name": "next", "FunctionVersion": "9" }),
            (404, "ResourceNotFoundException"),
        ),
        ("PUT", "/aliases/live", weights(json!({ "9": 0.1 })), (404, "ResourceNotFoundException")),
        ("PUT", "/aliases/live", weights(json!({ "2": 0.1 })), parameter),
        ("PUT", "/aliases/live", weights(json!({ "1": 1.1 })), parameter),
        (
            "PUT",
            "/aliases/live",
            json!({ "RevisionId": "old" }),
            (412, "PreconditionFailedException"),
        ),
        ("PUT", "/aliases/other", json!({}), (404, "ResourceNotFoundException")),
        ("GET", "/aliases/other", Value::Null, (404, "ResourceNotFoundException")),
        ("POST", "/versions", json!({ "RevisionId": "old" }), (412, "PreconditionFailedException")),
        ("PUT", "/configuration", json!({ "MemorySize": 64 }), parameter),
        ("PUT", "/configuration", json!({ "Timeout": "long" }), parameter),
        ("PUT", "/configuration", json!({ "Layers": [] }), parameter),
        ("PUT", "/configuration", json!([]), (400, "InvalidRequestContentException")),
        ("DELETE", "", Value::Null, parameter),
        ("GET", "?Qualifier=9", Value::Null, (404, "ResourceNotFoundException")),
        ("GET", "/versions?MaxItems=all", Value::Null, parameter),
    ] {
        let answer = lambda(&cloud, method, &format!("{F}{path}"), body.clone()).await;
        assert_eq!(refusal(&answer), expected, "{method} {path} {body}: {:?}", answer.body);
    }
    cloud.stop().await;
}

#[tokio::test]
async fn a_function_is_described() {
    let mut f = function(&["function"]);
    (f.memory, f.qualifiers) = (512, vec!["live".into()]);
    let cloud = with_function(f).await;
    let changed = json!({
        "Timeout": 7, "Description": "thumbnails", "LoggingConfig": { "LogFormat": "JSON" },
        "SnapStart": { "ApplyOn": "PublishedVersions" },
    });
    ok(&cloud, 200, "PUT", &format!("{F}/configuration"), changed).await;
    let latest = ok(&cloud, 200, "GET", &format!("{F}/configuration"), Value::Null).await;
    for (name, value) in [
        ("FunctionArn", json!("arn:aws:lambda:eu-west-1:123456789012:function:f")),
        ("Version", json!("$LATEST")),
        ("MemorySize", json!(512)),
        ("Timeout", json!(7)),
        ("Description", json!("thumbnails")),
        ("State", json!("Active")),
        ("LastUpdateStatus", json!("Successful")),
        ("SnapStart", json!({ "ApplyOn": "PublishedVersions", "OptimizationStatus": "Off" })),
    ] {
        assert_eq!(latest[name], value, "{name}");
    }
    assert_eq!(latest["LoggingConfig"]["LogFormat"], "JSON");
    // The version that was published before is as it was.
    let live = ok(&cloud, 200, "GET", &format!("{F}?Qualifier=live"), Value::Null).await;
    let live = &live["Configuration"];
    assert_eq!((&live["Version"], &live["Timeout"]), (&json!("1"), &json!(30)));
    assert!(live["FunctionArn"].as_str().unwrap().ends_with(":f:live"));
    let list = ok(&cloud, 200, "GET", "/2015-03-31/functions", Value::Null).await;
    assert_eq!(list["Functions"], json!([latest]));
    let all =
        ok(&cloud, 200, "GET", "/2015-03-31/functions?FunctionVersion=ALL", Value::Null).await;
    assert_eq!(all["Functions"].as_array().unwrap().len(), 2);
    cloud.stop().await;
}
