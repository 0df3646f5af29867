//! What a service was asked in one step: counted by this gateway, told to the others, added up, planned for.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

/// What was asked in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Numbers", into = "Numbers")]
pub(crate) struct Step {
    /// Requests of its containers.
    pub(crate) asked: u64,
    /// How long those take in all, in microseconds.
    pub(crate) service_us: u64,
    /// What was asked of Lambda.
    pub(crate) lambda: OnLambda,
}

/// What was asked of Lambda in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OnLambda {
    /// Requests that began there.
    pub(crate) asked: u64,
    /// How long those take in all, in microseconds.
    pub(crate) service_us: u64,
    /// Most at once.
    pub(crate) most: u32,
}

/// What each service was asked in a step.
pub(crate) type Services = BTreeMap<Arc<str>, Step>;

/// A step as other gateways are told of it: its numbers in the order of its fields.
type Numbers = (u64, u64, u64, u64, u32);

impl From<Numbers> for Step {
    fn from(numbers: Numbers) -> Self {
        let (asked, service_us, on_lambda, on_lambda_us, most) = numbers;
        let lambda = OnLambda { asked: on_lambda, service_us: on_lambda_us, most };
        Self { asked, service_us, lambda }
    }
}

impl From<Step> for Numbers {
    fn from(Step { asked, service_us, lambda }: Step) -> Self {
        (asked, service_us, lambda.asked, lambda.service_us, lambda.most)
    }
}

impl Step {
    /// Takes in what another gateway was asked in the same step.
    pub(crate) fn add(&mut self, other: Self) {
        self.asked = self.asked.saturating_add(other.asked);
        self.service_us = self.service_us.saturating_add(other.service_us);
        let (all, lambda) = (&mut self.lambda, other.lambda);
        all.asked = all.asked.saturating_add(lambda.asked);
        all.service_us = all.service_us.saturating_add(lambda.service_us);
        // Not all gateways have their most at one moment: together they have no more than this.
        all.most = all.most.saturating_add(lambda.most);
    }

    /// Returns the average of `steps` that this was asked in.
    pub(crate) fn one_of(self, steps: u64) -> Self {
        let lambda = OnLambda {
            asked: self.lambda.asked.div_ceil(steps),
            service_us: self.lambda.service_us.div_ceil(steps),
            most: self.lambda.most,
        };
        let (asked, service_us) = (self.asked.div_ceil(steps), self.service_us.div_ceil(steps));
        Self { asked, service_us, lambda }
    }

    /// Returns how long one takes on average; `None` when nothing was asked.
    pub(crate) fn mean_us(self) -> Option<f64> {
        (0 < self.asked).then(|| self.service_us as f64 / self.asked as f64)
    }
}
