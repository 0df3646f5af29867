//! What is believed about a request before it runs.
//!
//! Plain numbers: the predictor produces them from outcomes, off the hot path; a decision only compares them.

use std::time::Duration;

use crate::{
    cost::{PicoUsd, Prices},
    policy::{Auto, Service},
};

/// What is believed about requests like this one: durations in service, without queue and cold start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Belief {
    /// How many outcomes it rests on; fewer than [`super::MIN_SEEN`] and the prior is used instead.
    pub seen: u32,
    /// Mean duration in microseconds.
    pub mean_us: u32,
    /// Median duration in microseconds.
    pub p50_us: u32,
    /// 95th percentile of duration in microseconds.
    pub p95_us: u32,
    /// Probability, 0 to 1, that it takes longer than the route's `sprinter_up_to`.
    pub p_long: f32,
    /// Expected cost on Lambda at list price; zero where the service has no such lane.
    pub cost_lambda: PicoUsd,
    /// Expected cost in a container at list price; zero where the service has no such lane.
    pub cost_container: PicoUsd,
}

impl Belief {
    /// Returns what is believed before anything was seen: every request takes `auto.prior`.
    pub fn prior(auto: &Auto, service: &Service, prices: &Prices) -> Self {
        let us = u32::try_from(auto.prior.as_micros()).unwrap_or(u32::MAX);
        let p_long = if auto.prior <= auto.sprinter_up_to { 0.0 } else { 1.0 };
        let prior =
            Self { seen: 0, mean_us: us, p50_us: us, p95_us: us, p_long, ..Self::default() };
        prior.with_costs(service, prices)
    }

    /// Returns the belief with the expected costs that follow from its mean duration.
    #[must_use]
    pub fn with_costs(mut self, service: &Service, prices: &Prices) -> Self {
        let mean = Duration::from_micros(u64::from(self.mean_us));
        self.cost_lambda = service
            .lambda
            .as_ref()
            .map_or(PicoUsd::ZERO, |lambda| prices.lambda_request(lambda, mean));
        self.cost_container = service
            .container
            .as_ref()
            .map_or(PicoUsd::ZERO, |container| prices.container_request(container, mean));
        self
    }
}
