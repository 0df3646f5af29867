//! The SQS API (JSON 1.0): what it takes to read a queue.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Shared,
    aws_json::{Refusal, parse},
    sqs::queue::Queue,
};

pub(crate) const TARGET_PREFIX: &str = "AmazonSQS.";
const CALLS: [&str; 4] = ["GetQueueUrl", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"];
/// Most messages one call receives, and deletes (SQS API reference).
const BATCH_MAX: usize = 10;
/// Longest wait for a message (SQS API reference).
const WAIT_SECONDS_MAX: u64 = 20;
/// Longest visibility timeout: 12 hours (SQS API reference).
const VISIBILITY_SECONDS_MAX: u64 = 43_200;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetQueueUrl {
    queue_name: String,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ReceiveMessage {
    queue_url: String,
    max_number_of_messages: Option<usize>,
    visibility_timeout: Option<u64>,
    wait_time_seconds: Option<u64>,
    /// All there are come anyway.
    #[serde(rename = "AttributeNames")]
    _attribute_names: Option<Vec<String>>,
    #[serde(rename = "MessageSystemAttributeNames")]
    _system_attribute_names: Option<Vec<String>>,
    /// There are none.
    #[serde(rename = "MessageAttributeNames")]
    _message_attribute_names: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteMessage {
    queue_url: String,
    receipt_handle: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteMessageBatch {
    queue_url: String,
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    id: String,
    receipt_handle: String,
}

/// Answers one call.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    target: &str,
    body: &[u8],
) -> Result<Value, Refusal> {
    match target.strip_prefix(TARGET_PREFIX) {
        Some("GetQueueUrl") => queue_url(shared, &parse(body)?),
        Some("ReceiveMessage") => receive(shared, parse(body)?).await,
        Some("DeleteMessage") => {
            let ask: DeleteMessage = parse(body)?;
            queue(shared, &ask.queue_url)?.delete(&ask.receipt_handle);
            Ok(json!({}))
        }
        Some("DeleteMessageBatch") => delete_batch(shared, &parse(body)?),
        _ => Err(Refusal::unknown(target, &CALLS)),
    }
}

fn queue_url(shared: &Shared, ask: &GetQueueUrl) -> Result<Value, Refusal> {
    let account = &shared.config.account;
    let owned = ask.owner.as_ref().is_none_or(|owner| owner == account);
    if !owned || !shared.sqs.queues.contains_key(&ask.queue_name) {
        return Err(missing());
    }
    Ok(json!({ "QueueUrl": format!("{}/{account}/{}", shared.endpoint(), ask.queue_name) }))
}

async fn receive(shared: &Shared, ask: ReceiveMessage) -> Result<Value, Refusal> {
    let queue = queue(shared, &ask.queue_url)?;
    let max = ask.max_number_of_messages.unwrap_or(1);
    let wait = ask.wait_time_seconds.unwrap_or(0);
    let visibility = ask.visibility_timeout;
    if !(1..=BATCH_MAX).contains(&max) {
        return Err(wrong(format!("MaxNumberOfMessages {max} is not within 1 to {BATCH_MAX}")));
    }
    if WAIT_SECONDS_MAX < wait {
        return Err(wrong(format!("WaitTimeSeconds {wait} is not within 0 to {WAIT_SECONDS_MAX}")));
    }
    if visibility.is_some_and(|seconds| VISIBILITY_SECONDS_MAX < seconds) {
        return Err(wrong(format!(
            "VisibilityTimeout is not within 0 to {VISIBILITY_SECONDS_MAX}"
        )));
    }
    let received =
        queue.receive(max, visibility.map(Duration::from_secs), Duration::from_secs(wait)).await;
    if received.is_empty() {
        return Ok(json!({}));
    }
    let messages = received.into_iter().map(|message| {
        json!({
            "MessageId": message.id,
            "ReceiptHandle": message.receipt,
            "Body": message.body,
            "Attributes": { "ApproximateReceiveCount": message.receives.to_string() },
        })
    });
    Ok(json!({ "Messages": messages.collect::<Vec<_>>() }))
}

fn delete_batch(shared: &Shared, ask: &DeleteMessageBatch) -> Result<Value, Refusal> {
    let queue = queue(shared, &ask.queue_url)?;
    if ask.entries.is_empty() {
        return Err(refusal(
            "EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest;Sender",
            "There should be at least one DeleteMessageBatchRequestEntry in the request.",
        ));
    }
    if BATCH_MAX < ask.entries.len() {
        return Err(refusal(
            "TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest;Sender",
            "Maximum number of entries per request are 10.",
        ));
    }
    let done = ask.entries.iter().map(|entry| {
        queue.delete(&entry.receipt_handle);
        json!({ "Id": entry.id })
    });
    Ok(json!({ "Successful": done.collect::<Vec<_>>(), "Failed": [] }))
}

/// The queue of a URL: its last part is the name, whatever host the caller knows us by.
fn queue<'a>(shared: &'a Shared, url: &str) -> Result<&'a Arc<Queue>, Refusal> {
    let mut parts = url.rsplit('/');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next());
    let found = shared.sqs.queues.get(name).filter(|_| account == Some(&shared.config.account));
    found.ok_or_else(missing)
}

fn missing() -> Refusal {
    refusal(
        "com.amazonaws.sqs#QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue;Sender",
        "The specified queue does not exist.",
    )
}

fn wrong(message: String) -> Refusal {
    Refusal {
        query_code: Some("InvalidParameterValue;Sender"),
        ..Refusal::new("InvalidParameterValueException", message)
    }
}

fn refusal(kind: &'static str, query_code: &'static str, message: &str) -> Refusal {
    Refusal { query_code: Some(query_code), ..Refusal::new(kind, message) }
}
