//! What the demo plays: recorded arrivals, and what of them this machine can do.

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use pacer_demo::load::{
    arrivals::Trace,
    calibrate::{self, Pace},
    mix::Route,
};

use super::{FADE_IN, past};

/// Trace seconds before and after the moment when the crowd comes: it takes half a minute to be there.
const RISE: usize = 60;
/// Trace seconds that count as the crowd: the six minutes from 18:20:44 on.
const CROWD: u64 = 360;
/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// The recorded arrivals, and what of them this machine can take.
pub(super) struct Recording {
    /// Their day is yesterday: what is kept of what was asked is forgotten after five weeks. The time of day is theirs.
    pub(super) trace: Trace,
    /// What of them is sent.
    pub(super) pace: Pace,
    cores: usize,
    /// How many times faster than real they are sent.
    speed: f64,
}

impl Recording {
    /// Reads the shipped arrivals, and measures what this machine can do of them at `speed` times their own.
    ///
    /// # Errors
    /// When the workload itself fails.
    pub(super) async fn measure(speed: f64) -> anyhow::Result<Self> {
        let mut trace = Trace::read(pacer_demo::TRACE)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let yesterday = (now.as_secs() / DAY_S).saturating_sub(1);
        trace.start = yesterday * DAY_S + trace.start % DAY_S;
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let measure = tokio::task::spawn_blocking(move || {
            let pace = calibrate::measure(&trace, speed, cores);
            (trace, pace)
        });
        let (trace, pace) = measure.await.context("the measurement of this machine ended early")?;
        Ok(Self { trace, pace: pace?, cores, speed })
    }

    /// Says what will be sent, what of it this machine cannot take, and where the gateway's knowledge of the past comes from.
    pub(super) fn programme(&self, knows_past: bool) -> Vec<String> {
        let Self { pace, cores, speed, .. } = self;
        let shares = Route::ALL
            .map(|route| format!("{} {:.0}%", route.path(), route.share() * 100.0))
            .join(", ");
        let mut load = format!(
            "load: arrivals of Kennedy Space Center's web site on 13 July 1995, a launch day, {} times as fast, growing over {} s ({shares})",
            speed,
            FADE_IN.as_secs()
        );
        if pace.share < 1.0 || pace.films < 1.0 {
            let _ = write!(
                load,
                "; only {:.0}% of thumbnails and photos and {:.0}% of films: {cores} cores at {:.1} ms of work a request could not do the crowd's {:.0}/s",
                pace.share * 100.0,
                pace.films * 100.0,
                (Route::Render.share() * pace.costs.film()
                    + (1.0 - Route::Render.share()) * pace.costs.other())
                    * 1000.0,
                pace.crowd_rate
            );
        }
        let mut lines = vec![load];
        if knows_past {
            lines.push(format!(
                "past: {} days of it, shipped: made from the same half hour, not recorded on those days",
                past::DAYS
            ));
        }
        lines
    }

    /// Returns when the crowd comes and goes, if it comes within the demo.
    pub(super) fn crowd(&self, duration: Duration) -> Option<(Duration, Duration)> {
        let from = self.trace.rise(RISE) as u64;
        let at = |seconds: u64| Duration::from_secs_f64(seconds as f64 / self.speed);
        let from_until = (at(from), at(from + CROWD));
        (from_until.0 < duration).then_some(from_until)
    }
}
