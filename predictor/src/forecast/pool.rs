//! Sparse routes forecast together.
//!
//! A route with a request in ten minutes has no rhythm that could be learned from it; fifty of them have. So their sum
//! is forecast, and shared out by what each had of it lately (a Dirichlet prior, forgotten exponentially). A route that
//! has never been seen gets a little: the prior is one request for all routes together. Routes come and go.

use super::Quantiles;

/// After how many seconds a request counts half: a day.
const HALF_LIFE_S: f32 = 86_400.0;

/// Requests that all routes together are taken to have had before any came.
const PRIOR: f32 = 1.0;

/// What each route of a group had of its requests.
#[derive(Debug, Clone)]
pub struct Pool {
    counts: Vec<f32>,
    /// Numbers that no route has.
    free: Vec<usize>,
    total: f32,
    /// What a request of the next step weighs; it grows, instead of all counts being made smaller.
    gain: f32,
    /// By how much it grows in a step.
    growth: f32,
}

impl Pool {
    /// Makes a pool of `routes` routes, which learns steps of `step_s` seconds.
    pub fn new(routes: usize, step_s: u64) -> Self {
        Self {
            counts: vec![0.0; routes],
            free: Vec::new(),
            total: 0.0,
            gain: 1.0,
            growth: 2.0_f32.powf(step_s as f32 / HALF_LIFE_S),
        }
    }

    /// Adds a route of which nothing is known, and returns its number.
    pub fn add(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.counts.push(0.0);
            self.counts.len() - 1
        })
    }

    /// Takes a route out: what it had is nobody's, and its number may be given to the next one.
    pub fn remove(&mut self, route: usize) {
        if let Some(count) = self.counts.get_mut(route).filter(|_| !self.free.contains(&route)) {
            *count = 0.0;
            self.total = self.counts.iter().sum();
            self.free.push(route);
        }
    }

    /// Learns a step: the counts of the routes that had any, by number. Returns the sum, for the group's forecaster.
    /// Routes that the pool does not have are left out.
    pub fn observe(&mut self, counts: &[(usize, u64)]) -> u64 {
        let mut sum = 0_u64;
        for &(route, count) in counts {
            let Some(known) = self.counts.get_mut(route) else { continue };
            let weight = self.gain * count as f32;
            *known += weight;
            self.total += weight;
            sum = sum.saturating_add(count);
        }
        self.gain *= self.growth;
        if 1e6 < self.gain {
            let by = 1.0 / self.gain;
            self.counts.iter_mut().for_each(|count| *count *= by);
            // Summed again, as a total that is only added to and scaled drifts away from its parts.
            self.total = self.counts.iter().sum();
            self.gain = 1.0;
        }
        sum
    }

    /// Returns the share that a route has of the group's requests, above 0; 0 for one that the pool does not have.
    pub fn share(&self, route: usize) -> f32 {
        if self.free.contains(&route) {
            return 0.0;
        }
        let prior = PRIOR * self.gain;
        let each = prior / (self.counts.len() - self.free.len()).max(1) as f32;
        self.counts.get(route).map_or(0.0, |count| (count + each) / (self.total + prior))
    }

    /// Returns the forecast of a route, given that of the group. Routes of a group are taken to be independent of each
    /// other.
    pub fn forecast(&self, group: &Quantiles, route: usize) -> Quantiles {
        group.share(self.share(route), 1.0)
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution as _, Poisson};
    use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng as _};

    use super::*;

    #[test]
    fn shares_follow_what_each_route_has_and_add_up() {
        let mut pool = Pool::new(3, 60);
        assert!((pool.share(0) - 1.0 / 3.0).abs() < 1e-6);
        for _ in 0..1_000 {
            assert_eq!(pool.observe(&[(0, 3), (1, 1), (7, 100)]), 4);
        }
        let shares = [0, 1, 2, 3].map(|route| pool.share(route));
        assert!((shares[0] - 0.75).abs() < 0.001 && (shares[1] - 0.25).abs() < 0.001, "{shares:?}");
        assert!(0.0 < shares[2] && shares[2] < 0.001 && shares[3] == 0.0, "{shares:?}");
        // After five days of another route the first one's share is nearly gone; three weeks scale the counts down.
        for _ in 0..21 * 1_440 {
            pool.observe(&[(2, 4)]);
        }
        assert!(
            0.999 < pool.share(2) && (0..3).map(|route| pool.share(route)).sum::<f32>() < 1.0001
        );
    }

    #[test]
    fn routes_come_and_go_and_shares_still_add_up() {
        let mut pool = Pool::new(2, 10);
        (0..500).for_each(|_| {
            pool.observe(&[(0, 6), (1, 2)]);
        });
        let late = pool.add();
        assert!(late == 2 && pool.share(late) < 0.01, "{}", pool.share(late));
        (0..500).for_each(|_| {
            pool.observe(&[(0, 6), (late, 6)]);
        });
        pool.remove(0);
        pool.remove(0);
        let [gone, one, other] = [0, 1, late].map(|route| pool.share(route));
        assert!(gone == 0.0 && one < other && (one + other - 1.0).abs() < 1e-4, "{one} {other}");
        assert_eq!(pool.add(), 0, "its number is free");
        let shares: f32 = (0..3).map(|route| pool.share(route)).sum();
        assert!(pool.share(0) < 0.001 && (shares - 1.0).abs() < 1e-4, "nothing is left of it");
    }

    #[test]
    fn quantiles_of_sparse_routes_hold_as_often_as_they_say() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
        let rates = [0.01, 0.1, 0.5, 2.0, 5.0];
        let total: f64 = rates.iter().sum();
        let group = Quantiles::new([total as f32; super::super::LEVELS.len()]);
        let mut pool = Pool::new(rates.len(), 60);
        let (mut held, mut below) = ([0_u32; 5], [0_u32; 5]);
        let steps = 20_000;
        for n in 0..steps + 2_000 {
            let counts: Vec<(usize, u64)> = rates
                .iter()
                .map(|rate| Poisson::new(*rate).unwrap().sample(&mut random) as u64)
                .enumerate()
                .collect();
            for &(route, count) in counts.iter().filter(|_| 2_000 <= n) {
                let quantile = pool.forecast(&group, route).at(0.95);
                held[route] += u32::from(count as f32 <= quantile);
                below[route] += u32::from((count as f32) < quantile);
            }
            pool.observe(&counts);
        }
        // Counts are whole: the quantile is the least count that holds in 95 % of steps, the one below it does not.
        for route in 0..rates.len() {
            let [held, below] =
                [held[route], below[route]].map(|n| f64::from(n) / f64::from(steps));
            assert!(0.94 < held && below < 0.96, "route {route}: {below} {held}");
        }
    }
}
