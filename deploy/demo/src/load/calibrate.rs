//! How much of the load this machine can take.
//!
//! The demo shows routing, not overload: if the machine cannot do the work of the trace's crowd, the demo sends a
//! share of it and says so. Measured, not guessed from a core count: a debug build is ten times slower.

use std::{hint::black_box, time::Instant};

use super::{arrivals::Trace, mix};
use crate::work;

/// Part of all cores that the crowd may keep busy with image work, 0 to 1. The rest is for the gateway, the local cloud, process starts and the
/// client itself, all on this machine; at twice this the demo would measure its own queues.
const BUSY: f64 = 0.4;
/// Cost of passing one request through client, gateway, local cloud and adapter, in seconds of a core: a little above
/// what a laptop of 2023 needs.
const PASSAGE: f64 = 0.001;
/// Trace seconds over which the crowd is taken: shorter bursts are what queues are for.
const CROWD: usize = 60;

/// What the calibration found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Share of the trace's arrivals that is sent, above 0 and at most 1.
    pub share: f64,
    /// Time of one frame of a film on this machine, in seconds.
    pub frame: f64,
    /// Requests a second in the trace's busiest minute, sped up, before the share is taken.
    pub crowd_rate: f64,
}

/// Measures the work on this machine and returns the pace for `trace` at `speed` times its own, on `cores` cores.
///
/// Takes some 0.2 s in a release build. Blocks: call it on a thread that may.
///
/// # Errors
/// When the work itself fails.
pub fn measure(trace: &Trace, speed: f64, cores: usize) -> Result<Pace, work::Error> {
    let posted = work::scene(320, 240)?;
    let photo = work::photo()?;
    let costs = mix::Costs {
        thumb: least_of_three(|| work::thumbnail(&posted, 96))?,
        resize_64: least_of_three(|| work::resize(&photo, 64))?,
        resize_1024: least_of_three(|| work::resize(&photo, 1024))?,
        frame: least_of_three(|| work::render(5, || false))? / 5.0,
    };
    Ok(pace(trace, speed, cores, costs.mean(), costs.frame))
}

/// `share = cores x BUSY / (crowd_rate x (mean_cost + PASSAGE))`, at most 1: 2 x 0.4 / (137/s x 8.3 ms) = 0.70.
fn pace(trace: &Trace, speed: f64, cores: usize, mean_cost: f64, frame: f64) -> Pace {
    let seconds = CROWD.min(trace.counts.len()) as f64;
    let crowd_rate = f64::from(trace.crowd(CROWD).1) / seconds * speed;
    let share = (cores as f64 * BUSY / (crowd_rate * (mean_cost + PASSAGE))).min(1.0);
    Pace { share, frame, crowd_rate }
}

/// Returns the time of the fastest of three runs, in seconds: the others met a cold cache or a busy neighbour.
fn least_of_three(job: impl Fn() -> Result<Vec<u8>, work::Error>) -> Result<f64, work::Error> {
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let began = Instant::now();
        black_box(job()?);
        least = least.min(began.elapsed().as_secs_f64());
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_gets_a_share_and_a_fast_one_all() {
        let trace = Trace { start: 0, counts: vec![5; 120] };
        assert!((pace(&trace, 20.0, 2, 0.004, 0.01).crowd_rate - 100.0).abs() < 1e-9);
        assert!((pace(&trace, 20.0, 2, 0.004, 0.01).share - 1.0).abs() < 1e-9);
        assert!((pace(&trace, 20.0, 2, 0.039, 0.01).share - 0.2).abs() < 1e-9);
    }

    #[test]
    fn the_work_is_measured() {
        let trace = Trace { start: 0, counts: vec![1] };
        let pace = measure(&trace, 1.0, 1).unwrap();
        assert!(0.0 < pace.frame && pace.frame.is_finite() && 0.0 < pace.share);
    }
}
