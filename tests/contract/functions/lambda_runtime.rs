//! A function on AWS's own runtime for Rust: echoes its event, or streams what the event asks for.

use lambda_runtime::{
    Diagnostic, Error, LambdaEvent, service_fn,
    streaming::{Body, Response, channel},
};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::args().any(|argument| argument == "--stream") {
        return lambda_runtime::run(service_fn(stream)).await;
    }
    lambda_runtime::run(service_fn(echo)).await
}

/// Answers with the event and its context; fails when the event says so.
async fn echo(event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
    if let Some(message) = event.payload["fail"].as_str() {
        return Err(Diagnostic {
            error_type: "App.Wrong".into(),
            error_message: message.to_owned(),
        });
    }
    let context = &event.context;
    Ok(json!({
        "event": event.payload,
        "request_id": context.request_id,
        "arn": context.invoked_function_arn,
        "version": context.env_config.version,
    }))
}

/// Streams the event's `chunks`; breaks off with an error after them when the event says so.
async fn stream(event: LambdaEvent<Value>) -> Result<Response<Body>, Error> {
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        for chunk in event.payload["chunks"].as_array().into_iter().flatten() {
            let chunk = chunk.as_str().unwrap_or_default().to_owned();
            if sender.send_data(chunk.into()).await.is_err() {
                return;
            }
        }
        if event.payload["fail"].is_string() {
            sender.abort();
        }
    });
    Ok(Response::from(body))
}
