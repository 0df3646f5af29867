//! DynamoDB: items, conditions and queries, as a gateway uses them.

use pacer_local::{Cloud, Config, config::Table};
use serde_json::{Value, json};

use crate::support::{Answer, fault, plain, send, signed, start};

async fn call(cloud: &Cloud, call: &str, body: Value) -> Answer {
    let target = format!("DynamoDB_20120810.{call}");
    let headers =
        [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.0")];
    send(cloud.address, signed(cloud, "dynamodb", "/", &headers, body.to_string())).await.unwrap()
}

/// A cloud with the table `gateways`.
async fn cloud() -> Cloud {
    let mut config = Config::new();
    let table = Table { hash: "pk".into(), range: Some("sk".into()) };
    config.tables.insert("gateways".into(), table);
    start(config, 1.0).await
}

/// Takes the lease for `holder` if its version is still `version`.
fn take(holder: &str, version: u32) -> Value {
    json!({
        "TableName": "gateways", "Key": { "pk": { "S": "prod" }, "sk": { "S": "lease" } },
        "UpdateExpression": "SET holder = :h, #v = if_not_exists(#v, :zero) + :one",
        "ConditionExpression": "attribute_not_exists(#v) OR #v = :v",
        "ExpressionAttributeNames": { "#v": "version" },
        "ExpressionAttributeValues": {
            ":h": { "S": holder }, ":v": { "N": version.to_string() }, ":zero": { "N": "0" }, ":one": { "N": "1" },
        },
        "ReturnValues": "ALL_NEW", "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    })
}

#[tokio::test]
async fn of_many_who_take_a_lease_at_once_one_gets_it() {
    let cloud = cloud().await;
    for round in 0..3 {
        let (a, b, c, d) = tokio::join!(
            call(&cloud, "UpdateItem", take("a", round)),
            call(&cloud, "UpdateItem", take("b", round)),
            call(&cloud, "UpdateItem", take("c", round)),
            call(&cloud, "UpdateItem", take("d", round)),
        );
        let (won, lost): (Vec<_>, Vec<_>) =
            [a, b, c, d].into_iter().partition(|a| a.status() == 200);
        assert_eq!(won.len(), 1, "round {round}");
        let held = &won[0].json()["Attributes"];
        assert_eq!(held["version"], json!({ "N": (round + 1).to_string() }));
        for answer in lost {
            assert_eq!(answer.status(), 400);
            let told = answer.json();
            let kind = told["__type"].as_str().unwrap().to_owned();
            assert!(kind.ends_with("#ConditionalCheckFailedException"), "{kind}");
            assert_eq!(told["message"], "The conditional request failed");
            assert_eq!(&told["Item"], held, "the loser is told who holds it");
        }
    }
    cloud.stop().await;
}

#[tokio::test]
async fn items_are_queried_by_key_in_pages() {
    let cloud = cloud().await;
    for (group, names) in [("prod", ["a1", "a2", "a3", "b1", "b2"].as_slice()), ("test", &["a9"])] {
        for name in names {
            let item = json!({ "pk": { "S": group }, "sk": { "S": name }, "asked": { "L": [{ "N": "1.50" }] } });
            let put =
                call(&cloud, "PutItem", json!({ "TableName": "gateways", "Item": item })).await;
            assert_eq!((put.status(), put.json()), (200, json!({})));
        }
    }
    let query = |condition: &str, rest: Value| {
        let mut ask = json!({
            "TableName": "gateways", "KeyConditionExpression": condition, "ConsistentRead": true,
            "ExpressionAttributeNames": { "#g": "pk" }, "ExpressionAttributeValues": { ":g": { "S": "prod" } },
        });
        for (name, value) in rest.as_object().unwrap() {
            match value {
                Value::Object(more) if name.starts_with("Expression") => {
                    ask[name].as_object_mut().unwrap().extend(more.clone());
                }
                value => ask[name] = value.clone(),
            }
        }
        call(&cloud, "Query", ask)
    };
    let keys = |answer: &Answer| -> Vec<String> {
        let answer = answer.json();
        let items = answer["Items"].as_array().unwrap().iter();
        items.map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect()
    };
    let all = query("#g = :g", json!({})).await;
    assert_eq!(keys(&all), ["a1", "a2", "a3", "b1", "b2"]);
    assert_eq!(all.json()["Items"][0]["asked"], json!({ "L": [{ "N": "1.5" }] }));
    assert_eq!(all.json()["LastEvaluatedKey"], Value::Null);
    let with = |value: &str| json!({ "ExpressionAttributeValues": { ":k": { "S": value } } });
    assert_eq!(
        keys(&query("#g = :g AND begins_with(sk, :k)", with("a")).await),
        ["a1", "a2", "a3"]
    );
    assert_eq!(keys(&query("sk > :k AND #g = :g", with("a3")).await), ["b1", "b2"]);
    // In pages of two, backwards.
    let mut seen = Vec::new();
    let mut ask = json!({ "Limit": 2, "ScanIndexForward": false });
    loop {
        let page = query("#g = :g", ask.clone()).await;
        seen.push(keys(&page));
        match &page.json()["LastEvaluatedKey"] {
            Value::Null => break,
            last => ask["ExclusiveStartKey"] = last.clone(),
        }
    }
    assert_eq!(seen, [vec!["b2", "b1"], vec!["a3", "a2"], vec!["a1"]]);
    for (condition, rest, message) in [
        ("sk = :g", json!({}), "ExpressionAttributeNames unused"),
        ("sk = #g", json!({}), "Values unused"),
        ("#g <> :g", json!({}), "Query condition missed key schema element: pk"),
        ("#g = :g OR sk = :k", with("a"), "Query condition missed key schema element"),
        ("#g = :g AND nothing = :k", with("a"), "Query key condition not supported"),
        ("#g = :g AND #g = :k", with("prod"), "one condition per key"),
    ] {
        let refused = query(condition, rest).await;
        let told = refused.json()["message"].as_str().unwrap().to_owned();
        assert!(refused.status() == 400 && told.contains(message), "{condition}: {told}");
    }
    cloud.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_dynamodbs_words() {
    let cloud = cloud().await;
    let put = |item: Value| json!({ "TableName": "gateways", "Item": item });
    let key = json!({ "pk": { "S": "a" }, "sk": { "S": "b" } });
    let large =
        json!({ "pk": { "S": "a" }, "sk": { "S": "b" }, "x": { "S": "x".repeat(400 * 1024) } });
    for (what, body, kind, message) in [
        (
            "PutItem",
            put(json!({ "pk": { "S": "a" } })),
            "ValidationException",
            "Missing the key sk in the item",
        ),
        (
            "PutItem",
            put(json!({ "pk": { "N": "1" }, "sk": { "S": "b" } })),
            "ValidationException",
            "Type mismatch for key pk expected: S actual: N",
        ),
        (
            "PutItem",
            put(json!({ "pk": { "S": "" }, "sk": { "S": "b" } })),
            "ValidationException",
            "cannot contain an empty string value. Key: pk",
        ),
        (
            "PutItem",
            put(large),
            "ValidationException",
            "Item size has exceeded the maximum allowed size",
        ),
        (
            "PutItem",
            json!({ "TableName": "gone", "Item": key }),
            "ResourceNotFoundException",
            "Requested resource not found",
        ),
        (
            "GetItem",
            json!({ "TableName": "gateways", "Key": { "pk": { "S": "a" } } }),
            "ValidationException",
            "The provided key element does not match the schema",
        ),
        (
            "GetItem",
            json!({ "TableName": "gateways", "Key": key, "ProjectionExpression": "a" }),
            "ValidationException",
            "ProjectionExpression",
        ),
        (
            "UpdateItem",
            json!({ "TableName": "gateways", "Key": key, "UpdateExpression": "SET sk = pk" }),
            "ValidationException",
            "Cannot update attribute sk. This attribute is part of the key",
        ),
        (
            "DescribeTable",
            json!({ "TableName": "gone" }),
            "ResourceNotFoundException",
            "Table: gone not found",
        ),
        (
            "CreateTable",
            json!({
                "TableName": "gateways", "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
                "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
            }),
            "ResourceInUseException",
            "Table already exists: gateways",
        ),
        (
            "Scan",
            json!({ "TableName": "gateways" }),
            "UnknownOperationException",
            "it has CreateTable",
        ),
    ] {
        let answer = call(&cloud, what, body).await;
        let told = answer.json();
        let (found, text) = (told["__type"].as_str().unwrap(), told["message"].as_str().unwrap());
        assert!(
            answer.status() == 400 && found.ends_with(kind) && text.contains(message),
            "{what}: {told}"
        );
    }
    cloud.stop().await;
}

#[tokio::test]
async fn the_api_can_be_down_throttled_and_silent() {
    let cloud = cloud().await;
    let get = json!({ "TableName": "gateways", "Key": { "pk": { "S": "a" }, "sk": { "S": "b" } } });
    for (order, status, kind) in [
        (json!({ "throttle": {} }), 400, "ThrottlingException"),
        (json!({ "down": { "status": 500 } }), 500, "InternalServerError"),
    ] {
        fault(&cloud, json!({ "dynamodb": order })).await;
        let answer = call(&cloud, "GetItem", get.clone()).await;
        assert_eq!(answer.status(), status);
        assert!(answer.json()["__type"].as_str().unwrap().ends_with(kind), "{kind}");
        plain(&cloud, "DELETE", "/_local/faults", "").await;
    }
    fault(&cloud, json!({ "dynamodb": { "hang": {} } })).await;
    let mut waiting = Box::pin(call(&cloud, "GetItem", get));
    // Other APIs answer, and this one does not.
    let other = plain(&cloud, "GET", "/_local/state", "");
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("it answered"),
        state = other => assert_eq!(state.status(), 200),
    }
    plain(&cloud, "DELETE", "/_local/faults", "").await;
    assert_eq!(waiting.await.status(), 200);
    cloud.stop().await;
}
