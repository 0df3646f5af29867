//! How far trouble is, and how objectives are kept.

use std::collections::BTreeMap;

use predictor::radar::Kind;

use super::{
    super::{ERROR_BUDGET_BURN, ERROR_BUDGET_LEFT, RADAR_SECONDS, READY_TO_ACT},
    Page,
};
use crate::control::radar::RadarState;

/// Names of the windows, in the order of [`predictor::radar::WINDOWS_S`].
pub(crate) const WINDOWS: [&str; 4] = ["5m", "30m", "1h", "6h"];

/// Adds what the radar shows.
pub(super) fn add(page: &mut Page, radar: &RadarState) {
    page.family(&RADAR_SECONDS, |family| {
        for (service, state) in &radar.services {
            // Of one kind there may be two warnings: the nearer one counts.
            let mut nearest: BTreeMap<Kind, f64> = BTreeMap::new();
            for warning in &state.warnings {
                let seconds = nearest.entry(warning.kind).or_insert(warning.seconds);
                *seconds = seconds.min(warning.seconds);
            }
            for (kind, seconds) in nearest {
                family.add(&[service, kind.as_str()], seconds);
            }
        }
    });
    page.family(&ERROR_BUDGET_LEFT, |family| {
        for (service, state) in &radar.services {
            if let Some(budget) = &state.budget {
                family.add(&[service], budget.left);
            }
        }
    });
    page.family(&ERROR_BUDGET_BURN, |family| {
        for (service, state) in &radar.services {
            let Some(budget) = &state.budget else { continue };
            for (window, rate) in WINDOWS.into_iter().zip(budget.burn) {
                family.add(&[service, window], rate);
            }
        }
    });
    page.family(&READY_TO_ACT, |family| {
        for (service, state) in &radar.services {
            if let Some(ready) = &state.ready {
                family.add(&[service], if ready.ready { 1.0 } else { 0.0 });
            }
        }
    });
}
