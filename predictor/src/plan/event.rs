//! What was announced, and what it does to a forecast.
//!
//! A forecast knows what was before; of a sale that begins on Friday it knows nothing. So what is forecast for a moment in an
//! event is multiplied, or raised, as the operator says. What is observed while one runs is not learned from: neither the
//! day after it nor the same day a week later is like it.

use policies::policy::Expect;

/// Something announced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// When it begins, in microseconds since 1970.
    pub from_us: u64,
    /// When it is over.
    pub until_us: u64,
    /// What comes while it lasts.
    pub expect: Expect,
}

/// How far the forecast may be multiplied: what a policy may say.
const TIMES: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// Whether any of `events` runs at some time from one moment to another.
pub(super) fn any(events: &[Event], from_us: u64, until_us: u64) -> bool {
    events.iter().any(|event| event.from_us < until_us && from_us < event.until_us)
}

/// Has `demands`, of requests that take `service_us`, be those of `at_us`: of several events the largest counts. Returns
/// whether there is one.
pub(super) fn apply(
    events: &[Event],
    at_us: u64,
    service_us: f64,
    demands: &mut [(f64, f64)],
) -> bool {
    let (mut times, mut least, mut found) = (None::<f64>, 0.0_f64, false);
    for event in events {
        if at_us < event.from_us || event.until_us <= at_us {
            continue;
        }
        found = true;
        match event.expect {
            Expect::Times(more) if more.is_finite() => {
                let more = more.clamp(*TIMES.start(), *TIMES.end());
                times = Some(times.map_or(more, |times| times.max(more)));
            }
            Expect::PerSecond(rate) if rate.is_finite() => {
                least = least.max(rate * service_us / 1e6);
            }
            Expect::Times(_) | Expect::PerSecond(_) => {}
        }
    }
    for (demand, _) in demands {
        *demand = (*demand * times.unwrap_or(1.0)).max(least);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_is_multiplied_and_raised_while_an_event_lasts() {
        let event = |from_us, until_us, expect| Event { from_us, until_us, expect };
        let events = [
            event(100, 200, Expect::Times(4.0)),
            event(150, 300, Expect::Times(2.0)),
            event(250, 400, Expect::PerSecond(30.0)),
            event(500, 600, Expect::Times(f64::NAN)),
            event(500, 600, Expect::PerSecond(f64::INFINITY)),
        ];
        // Of half a second: thirty a second keep 15 slots busy.
        for (at_us, expected) in [
            (99, [5.0, 10.0]),
            (100, [20.0, 40.0]),
            (199, [20.0, 40.0]),
            (200, [10.0, 20.0]),
            (299, [15.0, 20.0]),
            (300, [15.0, 15.0]),
            (400, [5.0, 10.0]),
            (550, [5.0, 10.0]),
        ] {
            let mut demands = [(5.0, 0.5), (10.0, 0.5)];
            apply(&events, at_us, 5e5, &mut demands);
            assert_eq!(
                demands.map(|(demand, _)| demand as i32),
                expected.map(|e| e as i32),
                "{at_us}"
            );
        }
        assert!(any(&events, 0, 101) && !any(&events, 0, 100) && any(&events, 399, 450));
        assert!(!any(&events, 400, 500));
    }
}
