//! Capacity providers, and the rules of a strategy of them, to which the API holds its callers too.

use serde::Deserialize;

/// A capacity provider of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityProvider {
    /// Which one.
    pub provider: Provider,
    /// Tasks that run on it before weights count. Only one provider of a strategy may have a base.
    #[serde(default)]
    pub base: u32,
    /// Its share of the tasks beyond the base, beside the others' weights.
    #[serde(default = "default_weight")]
    pub weight: u32,
}

/// Fargate's capacity providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Provider {
    /// On demand.
    Fargate,
    /// Spare capacity, which may be taken back with two minutes' notice.
    FargateSpot,
}

fn default_weight() -> u32 {
    1
}

impl Provider {
    /// As ECS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fargate => "FARGATE",
            Self::FargateSpot => "FARGATE_SPOT",
        }
    }

    /// The provider of this name.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Fargate, Self::FargateSpot].into_iter().find(|provider| provider.name() == name)
    }
}

/// Checks what ECS asks of a capacity provider strategy (API reference, `CapacityProviderStrategyItem`).
///
/// # Errors
/// Says which rule is broken.
pub(crate) fn strategy(items: &[CapacityProvider]) -> Result<(), &'static str> {
    let twice = |(i, item): (usize, &CapacityProvider)| {
        items[..i].iter().any(|other| other.provider == item.provider)
    };
    if items.iter().enumerate().any(twice) {
        return Err("a provider is named twice");
    }
    if 1 < items.iter().filter(|item| 0 < item.base).count() {
        return Err("only one provider may have a base");
    }
    if items.iter().any(|item| 1000 < item.weight || 100_000 < item.base) {
        return Err("a weight is at most 1000, a base at most 100000");
    }
    if !items.is_empty() && items.iter().all(|item| item.weight == 0) {
        return Err("one provider must have a weight above 0");
    }
    Ok(())
}
