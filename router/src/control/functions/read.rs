//! One reading of a function: at most five calls of Lambda's API, each of which may be forbidden without the others.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use aws_sdk_lambda::{Client, error::ProvideErrorMetadata, types::AccountLimit};
use policies::policy::Lambda;

use super::{
    known::{Configuration, Fact, Provisioned, Reserved},
    name_of,
};
use crate::control::{
    aws::{Aws, reason},
    rate::Rate,
};

/// Names of errors that say that the caller may not.
const DENIED: [&str; 3] = ["AccessDeniedException", "AccessDenied", "UnauthorizedOperation"];

/// A reading to be made.
#[derive(Debug)]
pub(crate) struct Ask {
    client: Client,
    rate: Arc<Rate>,
    service: Arc<str>,
    lambda: Lambda,
    /// The account's own limits, too.
    account: bool,
}

/// What a reading found.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) service: Arc<str>,
    /// Function and qualifier, as the policy had them when it was begun.
    pub(super) name: String,
    pub(super) facts: Vec<Fact>,
    /// Calls that are not permitted, as IAM names them.
    pub(super) denied: Vec<&'static str>,
    /// Why the API could not be asked to the end: not reached, down, or throttling.
    pub(super) broken: Option<String>,
}

/// Why a call told nothing.
enum Failure {
    Denied,
    /// The function, version, alias or setting is not there.
    Missing,
    Broken(String),
}

impl Ask {
    pub(super) fn new(
        aws: &Aws,
        rate: Arc<Rate>,
        service: Arc<str>,
        lambda: Lambda,
        account: bool,
    ) -> Self {
        Self { client: aws.lambda().clone(), rate, service, lambda, account }
    }

    /// Makes it.
    pub(crate) async fn run(self) -> Answer {
        let mut answer = Answer {
            service: self.service.clone(),
            name: name_of(&self.lambda),
            facts: Vec::new(),
            denied: Vec::new(),
            broken: None,
        };
        self.ask(&mut answer).await;
        answer
    }

    async fn ask(&self, answer: &mut Answer) {
        let (client, function) = (&self.client, &*self.lambda.function);
        let qualifier = self.lambda.qualifier.as_deref();
        self.rate.turn().await;
        let call = client.get_function_configuration().function_name(function);
        let told = call.set_qualifier(qualifier.map(str::to_owned)).send().await;
        let told = told.map(|told| Fact::Configuration(Configuration::from(&told)));
        let action = "lambda:GetFunctionConfiguration";
        if !answer.take(
            action,
            told.map_err(|error| Failure::of(action, &error)),
            Some(Fact::Absent),
        ) {
            return;
        }
        if let Some(alias) = qualifier.filter(|qualifier| is_alias(qualifier)) {
            self.rate.turn().await;
            let told = client.get_alias().function_name(function).name(alias).send().await;
            let told = told.map(|told| {
                let more = told.routing_config().and_then(|r| r.additional_version_weights());
                Fact::Targets(targets(told.function_version(), more))
            });
            let action = "lambda:GetAlias";
            if !answer.take(action, told.map_err(|error| Failure::of(action, &error)), None) {
                return;
            }
        }
        if let Some(qualifier) = qualifier.filter(|qualifier| *qualifier != "$LATEST") {
            self.rate.turn().await;
            let call = client.get_provisioned_concurrency_config().function_name(function);
            let told = call.qualifier(qualifier).send().await;
            let told = told.map(|told| {
                let count = |n: Option<i32>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
                Fact::Provisioned(Some(Provisioned {
                    requested: count(told.requested_provisioned_concurrent_executions()),
                    allocated: count(told.allocated_provisioned_concurrent_executions()),
                    available: count(told.available_provisioned_concurrent_executions()),
                }))
            });
            let action = "lambda:GetProvisionedConcurrencyConfig";
            let none = Some(Fact::Provisioned(None));
            if !answer.take(action, told.map_err(|error| Failure::of(action, &error)), none) {
                return;
            }
        }
        self.rate.turn().await;
        let told = client.get_function_concurrency().function_name(function).send().await;
        let told = told.map(|told| {
            let reserved = told.reserved_concurrent_executions();
            let reserved = reserved.and_then(|n| u32::try_from(n).ok());
            Fact::Reserved(reserved.map_or(Reserved::Nothing, Reserved::Only))
        });
        let action = "lambda:GetFunctionConcurrency";
        if !answer.take(action, told.map_err(|error| Failure::of(action, &error)), None) {
            return;
        }
        if self.account {
            self.rate.turn().await;
            let told = client.get_account_settings().send().await;
            let action = "lambda:GetAccountSettings";
            match told {
                Ok(told) => {
                    let limit = told.account_limit();
                    let unreserved = limit.and_then(AccountLimit::unreserved_concurrent_executions);
                    let unreserved = unreserved.and_then(|n| u32::try_from(n).ok());
                    answer.facts.extend(unreserved.map(Fact::Unreserved));
                }
                Err(error) => {
                    answer.take(action, Err(Failure::of(action, &error)), None);
                }
            }
        }
    }
}

impl Answer {
    /// Takes in what `action` told; `missing` is what follows when there is no such thing. Returns whether to go on.
    fn take(
        &mut self,
        action: &'static str,
        told: Result<Fact, Failure>,
        missing: Option<Fact>,
    ) -> bool {
        match told {
            Ok(fact) => self.facts.push(fact),
            Err(Failure::Missing) => self.facts.extend(missing),
            Err(Failure::Denied) => self.denied.push(action),
            Err(Failure::Broken(why)) => self.broken = Some(why),
        }
        self.broken.is_none()
    }
}

impl Failure {
    fn of<E: ProvideErrorMetadata + Error>(action: &str, error: &E) -> Self {
        match error.code() {
            Some(code) if DENIED.contains(&code) => Self::Denied,
            Some("ResourceNotFoundException" | "ProvisionedConcurrencyConfigNotFoundException") => {
                Self::Missing
            }
            _ => Self::Broken(format!("{action}: {}", reason(error))),
        }
    }
}

/// Tells whether a qualifier names an alias: what is neither a version's number nor `$LATEST`.
fn is_alias(qualifier: &str) -> bool {
    qualifier != "$LATEST" && !qualifier.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the versions behind an alias and the share of calls that each gets.
fn targets(
    version: Option<&str>,
    more: Option<&std::collections::HashMap<String, f64>>,
) -> BTreeMap<String, f64> {
    let mut targets: BTreeMap<String, f64> =
        more.into_iter().flatten().map(|(version, share)| (version.clone(), *share)).collect();
    let rest = 1.0 - targets.values().sum::<f64>();
    targets.extend(version.map(|version| (version.to_owned(), rest)));
    targets
}
