//! Capacity provider strategies: on which provider the next task runs, and from which one a task is taken first.
//!
//! As ECS documents it: a provider's base is filled first, then tasks go to the providers in the ratio of their weights.
//! Base 2 on FARGATE with weights 1 : 3 makes of six tasks 2 + (1, 3).

use crate::config::{CapacityProvider, Provider};

/// The provider of the next task beside those of `running`; `None` without a strategy.
pub(crate) fn next(strategy: &[CapacityProvider], running: &[Provider]) -> Option<Provider> {
    let count = |item: &CapacityProvider| running.iter().filter(|p| **p == item.provider).count();
    if let Some(item) = strategy.iter().find(|item| count(item) < item.base as usize) {
        return Some(item.provider);
    }
    let weighted = strategy.iter().filter(|item| 0 < item.weight);
    weighted
        .min_by(|a, b| fill(a, count(a) + 1).total_cmp(&fill(b, count(b) + 1)))
        .map(|i| i.provider)
}

/// How far `provider` is above its share with `running`: whoever is highest gives up a task first.
pub(crate) fn excess(
    strategy: &[CapacityProvider],
    provider: Option<Provider>,
    running: &[Provider],
) -> f64 {
    let Some(item) = strategy.iter().find(|item| Some(item.provider) == provider) else {
        // A provider that the strategy does not name (any more) has no share at all; without a strategy all are equal.
        return if strategy.is_empty() { 0.0 } else { f64::INFINITY };
    };
    fill(item, running.iter().filter(|p| **p == item.provider).count())
}

/// Tasks beyond the base, for each unit of weight.
fn fill(item: &CapacityProvider, count: usize) -> f64 {
    let beyond = count.saturating_sub(item.base as usize) as f64;
    if item.weight == 0 && 0.0 < beyond {
        f64::INFINITY
    } else {
        beyond / f64::from(item.weight.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Provider::{Fargate, FargateSpot};

    fn item(provider: Provider, base: u32, weight: u32) -> CapacityProvider {
        CapacityProvider { provider, base, weight }
    }

    fn spread(strategy: &[CapacityProvider], tasks: usize) -> (usize, usize) {
        let mut running = Vec::new();
        for _ in 0..tasks {
            running.extend(next(strategy, &running));
        }
        let count = |provider| running.iter().filter(|p| **p == provider).count();
        (count(Fargate), count(FargateSpot))
    }

    #[test]
    fn bases_are_filled_first_and_weights_share_the_rest() {
        let strategy = [item(Fargate, 2, 1), item(FargateSpot, 0, 3)];
        assert_eq!(spread(&strategy, 1), (1, 0));
        assert_eq!(spread(&strategy, 6), (3, 3));
        assert_eq!(spread(&strategy, 14), (5, 9));
        assert_eq!(spread(&[item(Fargate, 1, 0), item(FargateSpot, 0, 1)], 4), (1, 3));
        assert_eq!(next(&[], &[]), None);
    }

    #[test]
    fn whoever_is_furthest_above_its_share_gives_up_a_task() {
        let strategy = [item(Fargate, 2, 1), item(FargateSpot, 0, 3)];
        let running = [Fargate, Fargate, FargateSpot];
        let of = |provider| excess(&strategy, Some(provider), &running);
        assert!(of(Fargate) < of(FargateSpot), "the base stays");
        let running = [Fargate, Fargate, Fargate, FargateSpot];
        let of = |provider| excess(&strategy, Some(provider), &running);
        assert!(of(FargateSpot) < of(Fargate));
    }
}
