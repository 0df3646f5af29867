//! Erlang's formulas: how often all slots are busy.
//!
//! `a` is the offered load in busy slots (arrival rate times mean service time), `slots` how many there are. Arrivals are
//! Poisson; [`blocked`] holds for any distribution of service times, [`waits`] and [`sent_away`] for exponential ones. Source: A. K. Erlang,
//! 1917; the recursion is `B(n) = a B(n-1) / (n + a B(n-1))`.

/// Returns the probability that all slots are busy when those who find them so go away (Erlang B).
pub fn blocked(slots: u32, a: f64) -> f64 {
    if a <= 0.0 {
        return f64::from(u8::from(slots == 0));
    }
    // By its inverse: 1/B(n) = 1 + n/a * 1/B(n-1), which cannot underflow.
    let mut inverse = 1.0;
    for n in 1..=slots {
        inverse = 1.0 + f64::from(n) / a * inverse;
        if 1e300 < inverse {
            return 0.0;
        }
    }
    1.0 / inverse
}

/// Returns the probability of having to wait when those who find all slots busy wait (Erlang C); 1 when they never all
/// get served.
pub fn waits(slots: u32, a: f64) -> f64 {
    let n = f64::from(slots);
    if n <= a {
        return 1.0;
    }
    let b = blocked(slots, a);
    n * b / (n - a * (1.0 - b))
}

/// Returns the probability of being sent away when as many may wait as `patience`, in mean service times, lets the slots
/// serve: `patience x slots` places. `blocked` is Erlang's B of the same slots and load.
///
/// M/M/n/n+k: with `r = a / n`, `B r^k / (1 + B (r + r^2 + ... + r^k))`. Ten slots offered 7 of 100 ms each, with 200 ms of
/// patience: 20 may wait, and of 100 requests 0.008 are sent away in the place of 7.9.
pub fn sent_away(slots: f64, a: f64, blocked: f64, patience: f64) -> f64 {
    let places = slots * patience;
    if places <= 0.0 || blocked <= 0.0 || slots <= 0.0 {
        return blocked;
    }
    let r = a / slots;
    let full = r.powf(places);
    let waiting = if (r - 1.0).abs() < 1e-9 { places } else { r * (1.0 - full) / (1.0 - r) };
    if !full.is_finite() {
        // Far more is asked than can be served: what is not served is sent away.
        return 1.0 - 1.0 / r;
    }
    (blocked * full / (1.0 + blocked * waiting)).clamp(0.0, 1.0)
}

/// Returns the busy slots, on average, that find no room among `slots`: the load that goes elsewhere.
pub fn overflow(slots: u32, a: f64, patience: f64) -> f64 {
    a * sent_away(f64::from(slots), a, blocked(slots, a), patience)
}

/// A pool of tasks that is being sized: what each task more takes away from the load that goes elsewhere.
///
/// The load may be a mixture: demands that are each as likely as its share says, as a forecast has it.
#[derive(Debug, Clone)]
struct Growing<'a> {
    /// Demand and share.
    demands: &'a [(f64, f64)],
    /// `1 / B` of each.
    inverse: Vec<f64>,
    slots: u32,
    patience: f64,
    /// What goes elsewhere.
    left: f64,
}

impl<'a> Growing<'a> {
    /// A pool without slots, for `demands` that are each as likely as its share.
    fn new(demands: &'a [(f64, f64)], patience: f64) -> Self {
        let left = demands.iter().map(|(a, share)| a * share).sum();
        Self { demands, inverse: vec![1.0; demands.len()], slots: 0, patience, left }
    }

    /// Adds a task of so many slots; returns how many of them are expected to be busy that were not before.
    fn add(&mut self, slots: u32) -> f64 {
        self.grow(slots);
        let left = self.overflow();
        std::mem::replace(&mut self.left, left) - left
    }

    fn overflow(&self) -> f64 {
        let each = self.demands.iter().zip(&self.inverse).map(|(&(a, share), inverse)| {
            let blocked = if inverse.is_finite() { 1.0 / inverse } else { 0.0 };
            share * a * sent_away(f64::from(self.slots), a, blocked, self.patience)
        });
        each.sum()
    }

    fn grow(&mut self, slots: u32) {
        for _ in 0..slots {
            self.slots += 1;
            for (inverse, (a, _)) in self.inverse.iter_mut().zip(self.demands) {
                if 0.0 < *a {
                    *inverse = 1.0 + f64::from(self.slots) / a * *inverse;
                }
            }
        }
    }
}

/// Returns the fewest tasks of `slots_per_task` such that one more would have less than the share `break_even` of its slots
/// busy, at most `most`: for `demands` that are each as likely as its share.
///
/// What a task more takes away from the overflow falls with each task (nearly: with waiting it rises a little at first), so
/// the first that does not pay, beyond those that the mean demand fills, ends the search.
pub fn worthwhile_tasks(
    demands: &[(f64, f64)],
    slots_per_task: u32,
    break_even: f64,
    patience: f64,
    most: u32,
) -> u32 {
    let all: f64 = demands.iter().map(|(a, share)| a * share).sum();
    if all <= 0.0 || 1.0 <= break_even || slots_per_task == 0 {
        return 0;
    }
    let mut pool = Growing::new(demands, patience);
    let pays = break_even * f64::from(slots_per_task);
    (0..most).find(|_| pool.add(slots_per_task) < pays).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-6
    }

    #[test]
    fn known_values_come_out() {
        assert!(close(blocked(10, 7.0), 0.078_741), "{}", blocked(10, 7.0));
        assert!(close(waits(10, 7.0), 0.221_732) && close(waits(20, 17.0), 0.385_056));
        assert!(close(waits(50, 45.0), 0.363_864) && close(waits(2, 1.0), 1.0 / 3.0));
        assert!(close(blocked(0, 3.0), 1.0) && close(blocked(5, 0.0), 0.0));
        assert!(close(waits(3, 3.0), 1.0));
        assert!(blocked(5000, 10.0) <= 0.0, "it does not overflow");
    }

    #[test]
    fn who_may_wait_is_sent_away_less() {
        // M/M/10/30 and M/M/1/2, by hand: (1 - r) r^k / (1 - r^(k + 1)).
        let away = |slots: u32, a: f64, patience: f64| {
            sent_away(f64::from(slots), a, blocked(slots, a), patience)
        };
        assert!(close(away(10, 7.0, 0.0), 0.078_741));
        assert!(close(away(1, 0.5, 1.0), 0.5 * 0.25 / (1.0 - 0.125)), "{}", away(1, 0.5, 1.0));
        assert!(away(10, 7.0, 2.0) < 1e-4);
        assert!(close(away(10, 10.0, 3.0), 1.0 / (1.0 / blocked(10, 10.0) + 30.0)));
        // Twice what can be served: half is sent away, however long they wait.
        assert!((away(10, 20.0, 1e6) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn tasks_pay_until_the_next_would_be_idle_too_long() {
        for (a, slots_per_task, break_even) in [(5.0, 1, 0.476), (20.0, 4, 0.12), (100.0, 2, 0.24)]
        {
            let tasks = worthwhile_tasks(&[(a, 1.0)], slots_per_task, break_even, 0.0, 10_000);
            let gain = |tasks: u32| {
                let less = overflow(tasks * slots_per_task, a, 0.0);
                (less - overflow((tasks + 1) * slots_per_task, a, 0.0)) / f64::from(slots_per_task)
            };
            assert!(gain(tasks) < break_even && break_even <= gain(tasks - 1), "{tasks} at {a}");
        }
        assert_eq!(worthwhile_tasks(&[(50.0, 1.0)], 1, 1.2, 0.0, 100), 0, "Lambda is cheaper");
        assert_eq!(worthwhile_tasks(&[(1e4, 1.0)], 1, 0.5, 0.0, 100), 100);
        let unsure = worthwhile_tasks(&[(5.0, 0.5), (50.0, 0.5)], 1, 0.2, 0.0, 100);
        assert!((40..60).contains(&unsure), "{unsure}: half of the time 50 slots are busy");
        let patient = worthwhile_tasks(&[(50.0, 1.0)], 1, 0.476, 1.0, 100);
        let impatient = worthwhile_tasks(&[(50.0, 1.0)], 1, 0.476, 0.0, 100);
        assert!(patient <= impatient, "{patient} and {impatient}");
    }
}
