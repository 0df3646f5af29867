//! The calls: a change of provisioned concurrency, and a round of warm-up invokes that overlap.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_sdk_lambda::{
    config::{Builder, timeout::TimeoutConfig},
    error::ProvideErrorMetadata,
    primitives::Blob,
};
use lambda_event::warm_up;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    Target,
    decide::{AT_ONCE, Order, PAUSE},
};
use crate::control::{
    act::Allowed,
    aws::{Aws, reason},
};

/// How long an invoke may take: a start of ten seconds, which is what Lambda gives init code, with room. While one hangs the
/// next round waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of one warm-up invoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The adapter answered.
    Warm {
        /// The environment was started for it.
        cold: bool,
    },
    /// Something else did.
    Foreign,
    /// The function failed at it, as Lambda says: its environment did not start, or it is one without the adapter.
    Broken(String),
    /// Lambda had no room for it.
    Throttled(String),
    /// It failed otherwise; it may have run.
    Failed(String),
    /// It was not sent.
    NotSent(String),
}

impl Answer {
    /// Tells whether it ran, and so is billed, and whether an environment was started for it, as far as that is known.
    pub(super) fn ran(&self) -> Option<bool> {
        match self {
            Self::Warm { cold } => Some(*cold),
            Self::Foreign => Some(false),
            // Whatever failed may have started one.
            Self::Broken(_) | Self::Failed(_) => Some(true),
            Self::Throttled(_) | Self::NotSent(_) => None,
        }
    }
}

/// Changes provisioned concurrency.
pub(super) async fn provision(
    allowed: &Allowed,
    target: &Target,
    order: Order,
) -> Result<(), String> {
    let qualifier = target.qualifier.as_deref().unwrap_or_default();
    let said = |call: &str, why: String| format!("{call} for `{}`: {why}", target.name());
    let client = allowed.now()?.lambda();
    match order {
        Order::Set { to, .. } => {
            let call = client.put_provisioned_concurrency_config();
            let call = call.function_name(&*target.function).qualifier(qualifier);
            let to = i32::try_from(to).unwrap_or(i32::MAX);
            let done = call.provisioned_concurrent_executions(to).send().await;
            let call = "PutProvisionedConcurrencyConfig";
            done.map(drop).map_err(|error| said(call, reason(&error)))
        }
        Order::Remove { .. } => {
            let call = client.delete_provisioned_concurrency_config();
            let done = call.function_name(&*target.function).qualifier(qualifier).send().await;
            let call = "DeleteProvisionedConcurrencyConfig";
            done.map(drop).map_err(|error| said(call, reason(&error)))
        }
    }
}

/// Sends `invokes` warm-up events that hold their environments for `hold`, and returns what came of each and how long that
/// took. The first throttle stops those that were not sent yet.
pub(super) async fn round(
    allowed: &Allowed,
    target: &Target,
    invokes: u32,
    hold: Duration,
) -> Vec<(Answer, Duration)> {
    let throttled = Arc::new(AtomicBool::new(false));
    let mut calls = JoinSet::new();
    let mut answers = Vec::new();
    for sent in 0..invokes {
        if 0 < sent && sent % AT_ONCE == 0 {
            sleep(PAUSE).await;
        }
        if throttled.load(Relaxed) {
            break;
        }
        if let Err(why) = allowed.now() {
            answers.push((Answer::NotSent(why), Duration::ZERO));
            break;
        }
        let (aws, target, throttled) = (allowed.aws.clone(), target.clone(), throttled.clone());
        calls.spawn(async move {
            let begun = Instant::now();
            let answer = invoke(&aws, &target, hold).await;
            if matches!(answer, Answer::Throttled(_)) {
                throttled.store(true, Relaxed);
            }
            (answer, begun.elapsed())
        });
    }
    while let Some(answer) = calls.join_next().await {
        answers.extend(answer);
    }
    answers
}

async fn invoke(aws: &Aws, target: &Target, hold: Duration) -> Answer {
    let mut event = Vec::new();
    warm_up::write(&mut event, hold);
    let call = aws.lambda().invoke().function_name(&*target.function).payload(Blob::new(event));
    let call = call.set_qualifier(target.qualifier.as_deref().map(str::to_owned));
    // A start may take longer than calls of the control plane do.
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).operation_timeout(PATIENCE);
    let patient = Builder::new().timeout_config(timeouts.build());
    match call.customize().config_override(patient).send().await {
        Ok(output) => {
            let payload = output.payload().map(Blob::as_ref).unwrap_or_default();
            read(output.function_error(), payload)
        }
        Err(error) if error.code() == Some("TooManyRequestsException") => {
            Answer::Throttled(reason(&error))
        }
        Err(error) => Answer::Failed(reason(&error)),
    }
}

/// Tells whose answer it is.
fn read(function_error: Option<&str>, payload: &[u8]) -> Answer {
    match (function_error, warm_up::read_answer(payload)) {
        (None, Some(answer)) => Answer::Warm { cold: answer.cold_start },
        (None, None) => Answer::Foreign,
        (Some(error), _) => {
            let text = String::from_utf8_lossy(payload);
            let text: String = text.chars().take(200).collect();
            Answer::Broken(format!("{error}: {text}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_adapter_says_is_its_answer() {
        let adapter = br#"{"pacer":{"environment":"e","cold_start":true}}"#;
        assert_eq!(read(None, adapter), Answer::Warm { cold: true });
        for payload in [&br#"{"statusCode":200,"body":""}"#[..], b"null", b""] {
            assert_eq!(read(None, payload), Answer::Foreign, "{payload:?}");
        }
        let failed = read(Some("Unhandled"), br#"{"errorType":"KeyError"}"#);
        assert_eq!(failed, Answer::Broken(r#"Unhandled: {"errorType":"KeyError"}"#.to_owned()));
    }
}
