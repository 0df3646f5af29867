//! What is told of a service: from when to when, how much, where it has holes, and how long its requests take.

use std::{fmt::Write as _, time::Duration};

use policies::{policy::Policy, units::show_duration};

use super::{
    steps::{Came, Gaps, Steps},
    time::show,
};
use crate::history::{STEP_S, Step};

/// How long a service's requests take, and who says so.
pub(super) struct ServiceTime {
    /// Of those that do not tell their own.
    mean_us: u32,
    /// They tell their own.
    own: bool,
    source: String,
}

impl ServiceTime {
    pub(super) fn of(
        policy: &Policy,
        service: &str,
        steps: &Steps,
        given: Option<Duration>,
    ) -> Self {
        let us = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        if let Some(given) = given {
            let source = format!("{} (--service-time)", show_duration(given));
            return Self { mean_us: us(given), own: false, source };
        }
        let (timed, sum_us) = steps.iter().fold((0, 0), |(timed, sum), (_, came)| {
            (timed + came.timed, sum + u128::from(came.service_us))
        });
        if timed != 0 {
            let mean = Duration::from_micros((sum_us / u128::from(timed)) as u64);
            let source = format!(
                "{} on average (the trace's durations)",
                show_duration(Duration::from_millis(mean.as_millis() as u64))
            );
            return Self { mean_us: us(mean), own: true, source };
        }
        let mut routes = policy.routes.iter();
        let route = routes.find(|route| *policy.service(route.service).name == *service);
        match route.map(|route| route.auto.prior) {
            Some(prior) => Self {
                mean_us: us(prior),
                own: false,
                source: format!(
                    "{} (the prior of its route; --service-time says it better)",
                    show_duration(prior)
                ),
            },
            None => {
                Self { mean_us: 0, own: false, source: "not known: no route leads to it".into() }
            }
        }
    }

    pub(super) fn step(&self, came: Came) -> Step {
        if self.own && came.timed != 0 {
            let mean_us = came.service_us / came.timed;
            return Step {
                mean_us: u32::try_from(mean_us).unwrap_or(u32::MAX),
                ..Step::new(came.requests, 0)
            };
        }
        Step { mean_us: self.mean_us, ..Step::new(came.requests, 0) }
    }
}

/// Tells what came of a service.
pub(super) fn summary(service: &str, steps: &Steps, time: &ServiceTime) -> String {
    let mut out = String::new();
    let Some((from, until)) = steps.span() else { return out };
    let requests = steps.iter().fold(0_u64, |sum, (_, came)| sum.saturating_add(came.requests));
    let largest = steps.iter().max_by_key(|(at_s, came)| (came.requests, u64::MAX - at_s));
    let (at_s, largest) = largest.map_or((from, 0), |(at_s, came)| (at_s, came.requests));
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{service}: {} to {}", show(from), show(until));
    let _ = writeln!(
        out,
        "  {requests} requests in {} steps of {STEP_S} s; at most {largest} in one, at {}",
        steps.len(),
        show(at_s)
    );
    let Gaps { count, seconds, longest } = steps.gaps();
    let shown = |seconds| show_duration(Duration::from_secs(seconds));
    let _ = match longest {
        None => writeln!(out, "  no gaps"),
        Some((at_s, longest)) => writeln!(
            out,
            "  {count} gaps, {} in all; the longest {} from {}",
            shown(seconds),
            shown(longest),
            show(at_s)
        ),
    };
    let _ = writeln!(out, "  service time: {}", time.source);
    out
}
