//! What each route of a service will be asked: its share of what the service is forecast.
//!
//! One forecaster a service, and shares by what each route had of late ([`Pool`]: half a day's requests weigh as much as
//! those of the day before): a route with a request in ten minutes has no rhythm of its own to be learned, and routes add up
//! to their service, whatever is announced of it or bursts. With several gateways the shares are those of what this one was
//! asked, as gateways tell each other of services only.

use std::{collections::BTreeMap, sync::Arc};

use predictor::forecast::{Quantiles, pool::Pool};

use super::STEP_S;

/// Seconds that a forecast is of.
const MINUTE_S: f32 = 60.0;

/// The routes of one service.
#[derive(Debug, Clone)]
pub(crate) struct Routes {
    pool: Pool,
    /// By name, which outlives a policy.
    known: BTreeMap<Arc<str>, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// Its number in the pool.
    number: usize,
    /// How long its requests take on average, in real microseconds.
    mean_us: f64,
}

/// What a route was asked in a step.
#[derive(Debug, Clone)]
pub(super) struct RouteStep {
    pub(super) route: Arc<str>,
    pub(super) asked: u64,
    /// How long its requests take on average, in real microseconds.
    pub(super) mean_us: f64,
}

/// What is expected of a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RouteForecast {
    /// Requests a second of the plans' clock, on average over a minute.
    pub(crate) expected_per_s: f64,
    /// The same, not exceeded with nine chances in ten.
    pub(crate) p90_per_s: f64,
    /// Slots that are kept busy by those that are expected.
    pub(crate) expected_slots: f64,
}

impl Default for Routes {
    fn default() -> Self {
        Self { pool: Pool::new(0, STEP_S), known: BTreeMap::new() }
    }
}

impl Routes {
    /// Learns what each route was asked in a step. Those that are not told of any more are forgotten.
    pub(super) fn learn(&mut self, steps: &[RouteStep]) {
        let mut before = std::mem::take(&mut self.known);
        let mut counts = Vec::with_capacity(steps.len());
        for RouteStep { route, asked, mean_us } in steps {
            let number = before.remove(route).map(|known| known.number);
            let number = number.unwrap_or_else(|| self.pool.add());
            counts.push((number, *asked));
            self.known.insert(route.clone(), Known { number, mean_us: *mean_us });
        }
        for gone in before.into_values() {
            self.pool.remove(gone.number);
        }
        self.pool.observe(&counts);
    }

    /// Returns the forecast of a route, given the requests of its service in a minute; `scale` is how much faster than real
    /// the plans' time passes.
    pub(crate) fn forecast(
        &self,
        service: &Quantiles,
        route: &str,
        scale: f64,
    ) -> Option<RouteForecast> {
        let Known { number, mean_us } = *self.known.get(route)?;
        let minute = self.pool.forecast(service, number);
        let expected_per_s = f64::from(minute.mean / MINUTE_S);
        Some(RouteForecast {
            expected_per_s,
            p90_per_s: f64::from(minute.at(0.9) / MINUTE_S),
            expected_slots: expected_per_s * mean_us * scale / 1e6,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(asked: &[(&str, u64)]) -> Vec<RouteStep> {
        let step = |(route, asked): &(&str, u64)| RouteStep {
            route: (*route).into(),
            asked: *asked,
            mean_us: 500_000.0,
        };
        asked.iter().map(step).collect()
    }

    /// A service of 1,200 requests in the minute to come, give or take a sixth.
    fn service() -> Quantiles {
        let counts = [900.0, 1_100.0, 1_200.0, 1_300.0, 1_400.0, 1_450.0, 1_600.0];
        Quantiles { counts, mean: 1_200.0 }
    }

    fn check(routes: &Routes, expected: &[(&str, f64)]) {
        let of = |route: &str| routes.forecast(&service(), route, 1.0).unwrap();
        for &(route, per_s) in expected {
            let forecast = of(route);
            assert!(
                (forecast.expected_per_s - per_s).abs() < 0.02 * per_s + 0.02,
                "{route}: {forecast:?}"
            );
            assert!((forecast.expected_slots - forecast.expected_per_s / 2.0).abs() < 1e-6);
            let often = 0.1 < per_s;
            assert!(!often || per_s < forecast.p90_per_s, "{route}: {forecast:?}");
        }
        let sum: f64 = expected.iter().map(|(route, _)| of(route).expected_per_s).sum();
        assert!((sum - 20.0).abs() < 1e-3, "{sum} of 20 a second");
    }

    #[test]
    fn routes_add_up_to_their_service_as_they_come_and_go() {
        let mut routes = Routes::default();
        (0..600).for_each(|_| routes.learn(&steps(&[("a", 90), ("b", 9), ("c", 1)])));
        check(&routes, &[("a", 18.0), ("b", 1.8), ("c", 0.2)]);
        // One appears, one is gone.
        routes.learn(&steps(&[("a", 90), ("c", 1), ("d", 0)]));
        check(&routes, &[("a", 19.78), ("c", 0.22), ("d", 0.0)]);
        assert_eq!(routes.forecast(&service(), "b", 1.0), None);
        (0..600).for_each(|_| routes.learn(&steps(&[("a", 90), ("b", 90)])));
        // The latest steps count a little more than the first ones.
        check(&routes, &[("a", 13.23), ("b", 6.77)]);
    }

    #[test]
    fn a_sparse_route_varies_by_chance() {
        let mut routes = Routes::default();
        (0..600).for_each(|_| routes.learn(&steps(&[("a", 1_000), ("b", 1)])));
        // 1.2 requests in the minute: three are not exceeded with nine chances in ten.
        let sparse = routes.forecast(&service(), "b", 1.0).unwrap();
        assert!((sparse.p90_per_s - 3.0 / 60.0).abs() < 1e-6, "{sparse:?}");
    }
}
