//! How this process reaches AWS: region, endpoints, clients, the chain of credentials, and what its errors say.

use std::{error::Error, sync::Arc, time::Duration};

use anyhow::Context;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use aws_sdk_ecs::error::ProvideErrorMetadata;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use policies::policy::{Discovery, Policy, Queue, State};

use super::{
    discover::ecs::{BURST, PER_SECOND},
    rate::Rate,
};

/// How long one call of the control plane may take. ECS answers in some 50 ms; a listing that takes longer than the time
/// between two listings is of no use.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Region, endpoints and clients.
#[derive(Debug)]
pub(crate) struct Aws {
    config: SdkConfig,
    region: String,
    lambda_endpoint: String,
    ecs: aws_sdk_ecs::Client,
    ecs_rate: Arc<Rate>,
    lambda: aws_sdk_lambda::Client,
    autoscaling: aws_sdk_applicationautoscaling::Client,
    scheduler: aws_sdk_scheduler::Client,
}

impl Aws {
    /// Tells whether `policy` calls AWS at all: a policy of plain upstreams runs without account and credentials.
    pub(crate) fn is_needed(policy: &Policy) -> bool {
        policy.gateways.is_some()
            || matches!(policy.state, Some(State::S3 { .. }))
            || policy.services.iter().any(|service| {
                let ecs = |discovery: &Discovery| matches!(discovery, Discovery::Ecs { .. });
                service.lambda.is_some()
                    || service.container.as_ref().is_some_and(|container| ecs(&container.discovery))
            })
    }

    /// Loads region, endpoint and credential chain: from `policy`, and from the SDK's own chain where it is silent.
    ///
    /// # Errors
    /// When no region is known.
    pub(crate) async fn load(policy: &Policy) -> anyhow::Result<Self> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CALL_TIMEOUT)
            .operation_attempt_timeout(CALL_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT);
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            // The loop asks again by itself, with a growing pause.
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        if let Some(region) = &policy.region {
            loader = loader.region(Region::new(region.to_string()));
        }
        if let Some(url) = &policy.endpoint_url {
            loader = loader.endpoint_url(url.to_string());
        }
        let config = loader.load().await;
        let region = config
            .region()
            .context("no AWS region is known: set `region` in the policy, or AWS_REGION")?
            .to_string();
        let lambda_endpoint = match (&policy.endpoint_url, std::env::var("AWS_ENDPOINT_URL_LAMBDA"))
        {
            (Some(url), _) => url.to_string(),
            (None, Ok(url)) if !url.is_empty() => url,
            _ => config.endpoint_url().map_or_else(|| public_endpoint(&region), str::to_owned),
        };
        let ecs = aws_sdk_ecs::Client::new(&config);
        let lambda = aws_sdk_lambda::Client::new(&config);
        let autoscaling = aws_sdk_applicationautoscaling::Client::new(&config);
        let scheduler = aws_sdk_scheduler::Client::new(&config);
        Ok(Self {
            config,
            region,
            lambda_endpoint,
            ecs,
            ecs_rate: Arc::new(Rate::new(BURST, PER_SECOND)),
            lambda,
            autoscaling,
            scheduler,
        })
    }

    /// Returns region, endpoints and credentials, for clients of other services.
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Returns the region.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Returns the base URL of the Lambda API.
    pub(crate) fn lambda_endpoint(&self) -> String {
        self.lambda_endpoint.clone()
    }

    /// Returns the base URL of the SQS API for `queue`.
    pub(crate) fn sqs_endpoint(&self, queue: &Queue) -> String {
        match std::env::var("AWS_ENDPOINT_URL_SQS") {
            Ok(url) if !url.is_empty() => url,
            _ => {
                self.config.endpoint_url().map_or_else(|| queue.endpoint.to_string(), str::to_owned)
            }
        }
    }

    /// Returns the client for ECS.
    pub(crate) fn ecs(&self) -> &aws_sdk_ecs::Client {
        &self.ecs
    }

    /// Returns the client for what is read of functions; they are invoked without it.
    pub(crate) fn lambda(&self) -> &aws_sdk_lambda::Client {
        &self.lambda
    }

    /// Returns the client for Application Auto Scaling.
    pub(crate) fn autoscaling(&self) -> &aws_sdk_applicationautoscaling::Client {
        &self.autoscaling
    }

    /// Returns the client for EventBridge Scheduler.
    pub(crate) fn scheduler(&self) -> &aws_sdk_scheduler::Client {
        &self.scheduler
    }

    /// Returns the rate at which ECS may be asked by all of this process.
    pub(crate) fn ecs_rate(&self) -> &Arc<Rate> {
        &self.ecs_rate
    }

    /// Asks the chain for credentials.
    pub(crate) async fn credentials(&self) -> Result<Credentials, String> {
        let provider =
            self.config.credentials_provider().ok_or("no source of credentials is configured")?;
        provider.provide_credentials().await.map_err(|error| {
            format!(
                "{}; give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a task or instance role",
                causes(&error)
            )
        })
    }
}

/// Returns AWS's own endpoint of the Lambda API in `region`; the partition follows from the region's name.
fn public_endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://lambda.{region}.{domain}")
}

/// Returns what an API said: its code and message, or why it could not be asked.
pub(crate) fn reason<E: ProvideErrorMetadata + Error>(error: &E) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => causes(error),
    }
}

/// Returns an error and its causes, outermost first.
fn causes(error: &dyn Error) -> String {
    std::iter::successors(error.source(), |&cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn china_has_its_own_domain() {
        assert_eq!(public_endpoint("eu-west-1"), "https://lambda.eu-west-1.amazonaws.com");
        assert_eq!(public_endpoint("cn-north-1"), "https://lambda.cn-north-1.amazonaws.com.cn");
    }
}
