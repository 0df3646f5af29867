//! The local cloud over its sockets, with real processes and requests signed by AWS's own library.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "cloud/admin.rs"]
mod admin;
#[path = "cloud/autoscaling.rs"]
mod autoscaling;
#[path = "cloud/capacity.rs"]
mod capacity;
#[path = "cloud/cloudwatch.rs"]
mod cloudwatch;
#[path = "cloud/deployment.rs"]
mod deployment;
#[path = "cloud/dynamodb.rs"]
mod dynamodb;
#[path = "cloud/ecs.rs"]
mod ecs;
#[path = "cloud/ecs_calls.rs"]
mod ecs_calls;
#[path = "cloud/events.rs"]
mod events;
#[path = "cloud/lambda.rs"]
mod lambda;
#[path = "cloud/s3.rs"]
mod s3;
#[path = "cloud/scheduler.rs"]
mod scheduler;
#[path = "cloud/support.rs"]
mod support;
#[path = "cloud/zones.rs"]
mod zones;
