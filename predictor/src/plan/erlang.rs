//! Erlang's formulas: how often all slots are busy.
//!
//! `a` is the offered load in busy slots (arrival rate times mean service time), `slots` how many there are. Arrivals are
//! Poisson; [`blocked`] holds for any distribution of service times, [`waits`] for exponential ones. Source: A. K. Erlang,
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

/// Returns the busy slots, on average, that find no room among `slots`: the load that goes elsewhere.
pub fn overflow(slots: u32, a: f64) -> f64 {
    a * blocked(slots, a)
}

/// Returns the fewest tasks of `slots_per_task` such that one more would have less than the share `break_even` of its slots
/// busy, at most `most`.
///
/// What a task more takes away from the overflow falls with each task, so the first that does not pay ends the search.
pub fn worthwhile_tasks(a: f64, slots_per_task: u32, break_even: f64, most: u32) -> u32 {
    if a <= 0.0 || 1.0 <= break_even || slots_per_task == 0 {
        return 0;
    }
    let mut inverse = 1.0;
    let mut slots = 0_u32;
    let mut left = a;
    for tasks in 0..most {
        for _ in 0..slots_per_task {
            slots += 1;
            inverse = 1.0 + f64::from(slots) / a * inverse;
        }
        let next = if inverse.is_finite() { a / inverse } else { 0.0 };
        if left - next < break_even * f64::from(slots_per_task) {
            return tasks;
        }
        left = next;
    }
    most
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
    fn tasks_pay_until_the_next_would_be_idle_too_long() {
        for (a, slots_per_task, break_even) in [(5.0, 1, 0.476), (20.0, 4, 0.12), (100.0, 2, 0.24)]
        {
            let tasks = worthwhile_tasks(a, slots_per_task, break_even, 10_000);
            let gain = |tasks: u32| {
                let less = overflow(tasks * slots_per_task, a);
                (less - overflow((tasks + 1) * slots_per_task, a)) / f64::from(slots_per_task)
            };
            assert!(gain(tasks) < break_even && break_even <= gain(tasks - 1), "{tasks} at {a}");
        }
        assert_eq!(worthwhile_tasks(50.0, 1, 1.2, 100), 0, "Lambda is cheaper whatever the load");
        assert_eq!(worthwhile_tasks(1e4, 1, 0.5, 100), 100);
    }
}
