//! What each role is permitted, as it is printed.

use super::*;
use crate::fixture;

fn check(role: Role, account: Option<&str>) -> String {
    let ecs = "ecs: { cluster: prod, service: film, port: 80, events: 'https://sqs.eu-west-1.amazonaws.com/123456789012/tasks' }";
    let text = fixture::POLICY
        .replace("upstreams: [\"http://127.0.0.1:9000\"]", ecs)
        .replace("service: film, port", "service: films, port");
    let names = Names::of(&fixture::policy(&text), account);
    format!("{:#}", Value::from(statements(role, &names)))
}

#[test]
fn traffic_may_invoke_the_functions_of_the_policy_and_nothing_else() {
    insta::assert_snapshot!(check(Role::Serve, Some("123456789012")), @r#"
    [
      {
        "Action": [
          "lambda:InvokeFunction"
        ],
        "Effect": "Allow",
        "Resource": [
          "arn:aws:lambda:eu-west-1:123456789012:function:film:live"
        ],
        "Sid": "Invoke"
      }
    ]
    "#);
}

#[test]
fn control_reads() {
    insta::assert_snapshot!(check(Role::Control, None), @r#"
    [
      {
        "Action": [
          "ecs:ListTasks"
        ],
        "Condition": {
          "ArnEquals": {
            "ecs:cluster": [
              "arn:aws:ecs:eu-west-1:*:cluster/prod"
            ]
          }
        },
        "Effect": "Allow",
        "Resource": "*",
        "Sid": "ListTasks"
      },
      {
        "Action": [
          "ecs:DescribeTasks"
        ],
        "Effect": "Allow",
        "Resource": [
          "arn:aws:ecs:eu-west-1:*:task/prod/*"
        ],
        "Sid": "DescribeTasks"
      },
      {
        "Action": [
          "ecs:DescribeServices"
        ],
        "Effect": "Allow",
        "Resource": [
          "arn:aws:ecs:eu-west-1:*:service/prod/films"
        ],
        "Sid": "DescribeServices"
      },
      {
        "Action": [
          "sqs:DeleteMessage",
          "sqs:ReceiveMessage"
        ],
        "Effect": "Allow",
        "Resource": [
          "arn:aws:sqs:eu-west-1:123456789012:tasks"
        ],
        "Sid": "TaskEvents"
      },
      {
        "Action": [
          "lambda:GetAlias",
          "lambda:GetFunctionConcurrency",
          "lambda:GetFunctionConfiguration",
          "lambda:GetProvisionedConcurrencyConfig"
        ],
        "Effect": "Allow",
        "Resource": [
          "arn:aws:lambda:eu-west-1:*:function:film",
          "arn:aws:lambda:eu-west-1:*:function:film:*"
        ],
        "Sid": "ReadFunctions"
      },
      {
        "Action": [
          "lambda:GetAccountSettings"
        ],
        "Effect": "Allow",
        "Resource": "*",
        "Sid": "ReadAccount"
      }
    ]
    "#);
}

#[test]
fn gateways_share_a_table() {
    let text = format!("gateways: {{ table: pacer-gateways }}\n{}", fixture::POLICY.trim_start());
    let names = Names::of(&fixture::policy(&text), Some("123456789012"));
    let control = format!("{:#}", Value::from(statements(Role::Control, &names)));
    let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/pacer-gateways";
    assert!(control.contains(arn) && control.contains("dynamodb:PutItem"), "{control}");
    let serve = format!("{:#}", Value::from(statements(Role::Serve, &names)));
    assert!(!serve.contains("dynamodb"), "{serve}");
}

#[test]
fn an_operator_publishes_and_scales() {
    let text = check(Role::Operator, Some("123456789012"));
    for part in [
        "lambda:PublishVersion",
        "ecs:UpdateService",
        "\"arn:aws:lambda:eu-west-1:123456789012:function:film:*\"",
        "\"arn:aws:lambda:eu-west-1:123456789012:function:film\"",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn arns_and_partitions_are_kept() {
    let arn = "arn:aws-cn:lambda:cn-north-1:123456789012:function:film";
    let text = fixture::POLICY
        .replace("eu-west-1", "cn-north-1")
        .replace("function: film:live", &format!("function: '{arn}:live'"));
    let names = Names::of(&fixture::policy(&text), None);
    assert_eq!(names.functions, [format!("{arn}:live")]);
    assert!(!names.any_account);
    assert_eq!(names.whole_functions(), [arn.to_owned(), format!("{arn}:*")]);
}

#[test]
fn a_bucket_is_read_and_written_and_only_days_of_history_are_deleted() {
    let text = format!("state: s3://own-bucket/pacer/prod\n{}", fixture::POLICY);
    let names = Names::of(&fixture::policy(&text), None);
    let text = format!("{:#}", Value::from(statements(Role::Control, &names)));
    for part in [
        "\"arn:aws:s3:::own-bucket/pacer/prod/history/*\"",
        "\"arn:aws:s3:::own-bucket\"",
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
        "\"arn:aws:s3:::own-bucket/pacer/prod/memory/*\"",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(!text.contains("cloudwatch:"), "{text}");
    let deletes: Vec<_> = statements(Role::Control, &names)
        .into_iter()
        .filter(|statement| statement["Action"].to_string().contains("s3:Delete"))
        .collect();
    assert_eq!(deletes.len(), 1, "{deletes:?}");
    assert_eq!(deletes[0]["Resource"], Value::from(names.days.clone()));
    let text = format!("{:#}", Value::from(statements(Role::Operator, &names)));
    assert!(text.contains("cloudwatch:GetMetricData") && text.contains("s3:PutObject"), "{text}");
    assert!(!text.contains("s3:Delete"), "{text}");
    let traffic = format!("{:#}", Value::from(statements(Role::Serve, &names)));
    assert!(!traffic.contains("s3:"), "{traffic}");
    let whole = format!("state: s3://own-bucket\n{}", fixture::POLICY);
    assert_eq!(
        Names::of(&fixture::policy(&whole), None).days,
        ["arn:aws:s3:::own-bucket/history/*"]
    );
}
