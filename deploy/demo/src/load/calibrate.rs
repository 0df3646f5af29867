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
    /// Share of the trace's thumbnails and photos that is sent, above 0 and at most 1.
    pub share: f64,
    /// Share of its films that is sent, above 0 and at most 1.
    pub films: f64,
    /// What requests cost on this machine.
    pub costs: mix::Costs,
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
    Ok(pace(trace, speed, cores, costs))
}

/// Least share that is sent: a hundredth, so that there is something to see.
const SHARE_MIN: f64 = 0.01;

/// Films may take half of `cores x BUSY`, the rest what is left: with 74/s in the crowd, of which 8 % are films of 37 ms, on
/// two cores 5.9/s x 38 ms = 0.22 of 0.8, all of them; then (0.8 - 0.22) / (68/s x 4 ms) = 2.1, all of the rest, too.
fn pace(trace: &Trace, speed: f64, cores: usize, costs: mix::Costs) -> Pace {
    let seconds = CROWD.min(trace.counts.len()) as f64;
    let crowd_rate = f64::from(trace.crowd(CROWD).1) / seconds * speed;
    let (budget, films) = (cores as f64 * BUSY, mix::Route::Render.share());
    let of_films = crowd_rate * films * (costs.film() + PASSAGE);
    let of_rest = crowd_rate * (1.0 - films) * (costs.other() + PASSAGE);
    let films = (budget / 2.0 / of_films).clamp(SHARE_MIN, 1.0);
    let share = ((budget - films * of_films) / of_rest).clamp(SHARE_MIN, 1.0);
    Pace { share, films, costs, crowd_rate }
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
        // Films of next to nothing: 8 of 100 requests a second, of which each passes through for 1 ms.
        let pace = |cost: f64, film: f64| {
            let frame = film / 74.5;
            let costs = mix::Costs { thumb: cost, resize_64: cost, resize_1024: cost, frame };
            pace(&trace, 20.0, 2, costs)
        };
        let fast = pace(0.004, 0.0);
        assert!((fast.crowd_rate - 100.0).abs() < 1e-9);
        assert!((fast.share - 1.0).abs() < 1e-9 && (fast.films - 1.0).abs() < 1e-9);
        // 0.8 cores less 0.008 for films; 92 requests a second of 40 ms.
        let slow = pace(0.039, 0.0);
        assert!((slow.share - 0.792 / 3.68).abs() < 1e-9 && (slow.films - 1.0).abs() < 1e-9);
        // Films of 100 ms would take all of it: half of them leaves half of it.
        let heavy = pace(0.039, 0.099);
        assert!((heavy.films - 0.5).abs() < 1e-9 && (heavy.share - 0.4 / 3.68).abs() < 1e-9);
    }

    #[test]
    fn the_work_is_measured() {
        let trace = Trace { start: 0, counts: vec![1] };
        let pace = measure(&trace, 1.0, 1).unwrap();
        assert!(
            0.0 < pace.costs.frame
                && pace.costs.frame.is_finite()
                && 0.0 < pace.share
                && 0.0 < pace.films
        );
    }
}
