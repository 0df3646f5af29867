//! When requests are sent: a real trace, sped up.
//!
//! The trace says how many requests came in each second; within the second they are spread at random, as a Poisson
//! process is once its count is known. A share below 1 drops requests at random: the shape stays, the rate falls.

use std::time::Duration;

use super::draw::Draw;

/// Arrivals a second, from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Epoch seconds (UTC) of the first step.
    pub start: u64,
    /// Arrivals of each second.
    pub counts: Vec<u32>,
}

/// Why a trace could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A line is not `timestamp,count`.
    #[error("line {line} of the trace is `{text}`, not `timestamp,count`")]
    Line {
        /// Line in the file, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A second is missing, or out of order.
    #[error("line {line} of the trace does not follow the line before by one second")]
    Step {
        /// Line in the file, from 1.
        line: usize,
    },
    /// There is no arrival in it.
    #[error("the trace has no arrival")]
    Empty,
}

impl Trace {
    /// Reads CSV with the header `timestamp,count` and a row for each second.
    ///
    /// # Errors
    /// When a line cannot be read, a second is missing, or nothing arrives.
    pub fn read(csv: &str) -> Result<Self, Error> {
        let mut trace = Self { start: 0, counts: Vec::new() };
        for (index, text) in csv.lines().enumerate().skip(1) {
            let line = index + 1;
            let row = text.split_once(',').and_then(|(at, count)| {
                Some((at.parse::<u64>().ok()?, count.parse::<u32>().ok()?))
            });
            let Some((at, count)) = row else {
                return Err(Error::Line { line, text: text.to_owned() });
            };
            if trace.counts.is_empty() {
                trace.start = at;
            } else if trace.start + trace.counts.len() as u64 != at {
                return Err(Error::Step { line });
            }
            trace.counts.push(count);
        }
        if trace.counts.iter().all(|&count| count == 0) {
            return Err(Error::Empty);
        }
        Ok(trace)
    }

    /// Returns where a crowd comes, in seconds from the start: where the `seconds` that follow have more arrivals than those
    /// before by most. 0 for a trace that is too short to tell.
    pub fn rise(&self, seconds: usize) -> usize {
        let sum = |from: usize| {
            self.counts[from..from + seconds].iter().map(|&count| i64::from(count)).sum::<i64>()
        };
        let last = self.counts.len().saturating_sub(seconds);
        // The first of equals: `max_by_key` alone would take the last.
        let places = (seconds.max(1)..=last).rev();
        places.max_by_key(|&at| sum(at) - sum(at - seconds)).unwrap_or_default()
    }

    /// Returns where the busiest `seconds` begin, in seconds from the start, and the arrivals in them.
    pub fn crowd(&self, seconds: usize) -> (usize, u32) {
        let width = seconds.clamp(1, self.counts.len().max(1));
        let sums = self.counts.windows(width).map(|window| window.iter().sum::<u32>()).enumerate();
        // The first of equals: `max_by_key` alone would take the last.
        sums.rev().max_by_key(|&(_, sum)| sum).unwrap_or_default()
    }
}

/// The times at which requests are due, from the first on, without end: after its last second the trace begins again.
#[derive(Debug)]
pub struct Arrivals<'a> {
    trace: &'a Trace,
    /// Trace seconds in one of ours.
    speed: f64,
    share: f64,
    fade_in: Duration,
    draw: Draw,
    /// The second whose arrivals are in `due`, counted on through all repeats.
    second: u64,
    /// Its arrivals still to come, latest first, as fractions of the second.
    due: Vec<f64>,
}

impl<'a> Arrivals<'a> {
    /// Starts at the first second of `trace`, `speed` times as fast, keeping `share` (above 0, at most 1) of it; the share
    /// grows evenly from 0 over the first `fade_in` (of our time).
    pub fn new(trace: &'a Trace, speed: f64, share: f64, fade_in: Duration, seed: u64) -> Self {
        let mut arrivals = Self {
            trace,
            speed,
            share,
            fade_in,
            draw: Draw::new(seed),
            second: 0,
            due: Vec::new(),
        };
        arrivals.fill();
        arrivals
    }

    fn fill(&mut self) {
        let count = self.trace.counts[(self.second % self.trace.counts.len() as u64) as usize];
        for _ in 0..count {
            let (at, keep) = (self.draw.unit(), self.draw.unit());
            let since = (self.second as f64 + at) / self.speed;
            // Compared first: without a fade-in the quotient could be 0 / 0.
            let faded = if self.fade_in.as_secs_f64() <= since {
                1.0
            } else {
                since / self.fade_in.as_secs_f64()
            };
            if keep < self.share * faded {
                self.due.push(at);
            }
        }
        self.due.sort_by(|a, b| b.total_cmp(a));
    }
}

impl Iterator for Arrivals<'_> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // Ends for any share above 0: `Trace::read` refuses a trace without an arrival.
        loop {
            if let Some(at) = self.due.pop() {
                return Some(Duration::from_secs_f64((self.second as f64 + at) / self.speed));
            }
            self.second += 1;
            self.fill();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Trace {
        Trace::read(crate::TRACE).unwrap()
    }

    #[test]
    fn the_shipped_trace_is_what_its_readme_says() {
        let trace = shipped();
        assert_eq!((trace.start, trace.counts.len()), (805_659_300, 1800));
        assert_eq!(
            (trace.counts.iter().sum::<u32>(), trace.counts.iter().max().copied()),
            (3553, Some(12))
        );
        let (crowd, arrivals) = trace.crowd(60);
        assert!((6 * 60 - 5..6 * 60 + 5).contains(&crowd), "the busiest minute is at {crowd} s");
        assert!(214 <= arrivals, "{arrivals}");
        let rise = trace.rise(60);
        assert!((6 * 60 - 20..6 * 60).contains(&rise), "just before 18:21: {rise} s");
    }

    #[test]
    fn the_crowd_comes_where_the_load_rises_most() {
        let trace = |counts: &[u32]| Trace { start: 0, counts: counts.to_vec() };
        assert_eq!(trace(&[5, 5, 1, 1, 9, 9, 8]).rise(2), 4);
        assert_eq!(trace(&[1, 9]).rise(1), 1);
        assert_eq!(trace(&[1, 9]).rise(2), 0);
    }

    #[test]
    fn arrivals_keep_the_counts_of_the_trace() {
        let trace = Trace { start: 0, counts: vec![3, 0, 5] };
        let seconds: Vec<_> = Arrivals::new(&trace, 1.0, 1.0, Duration::ZERO, 7)
            .take(16)
            .map(|at| at.as_secs())
            .collect();
        assert_eq!(seconds, [0, 0, 0, 2, 2, 2, 2, 2, 3, 3, 3, 5, 5, 5, 5, 5]);
    }

    #[test]
    fn arrivals_are_in_order_and_repeat_with_the_seed() {
        let trace = shipped();
        let times: Vec<_> =
            Arrivals::new(&trace, 20.0, 1.0, Duration::ZERO, 7).take(4_000).collect();
        assert!(times.is_sorted());
        assert!(
            times
                .iter()
                .copied()
                .eq(Arrivals::new(&trace, 20.0, 1.0, Duration::ZERO, 7).take(4_000))
        );
        assert!(
            !times
                .iter()
                .copied()
                .eq(Arrivals::new(&trace, 20.0, 1.0, Duration::ZERO, 8).take(4_000))
        );
        // 3,553 arrivals take the half hour, 90 s at 20 times the speed.
        assert!(times[3552] < Duration::from_secs(90) && Duration::from_secs(90) <= times[3553]);
    }

    #[test]
    fn a_share_thins_the_load_without_changing_its_span() {
        let trace = shipped();
        let half = Arrivals::new(&trace, 20.0, 0.5, Duration::ZERO, 7)
            .take_while(|at| *at < Duration::from_secs(90))
            .count();
        assert!((1650..1900).contains(&half), "{half}");
    }

    #[test]
    fn the_load_fades_in() {
        let trace = Trace { start: 0, counts: vec![1000] };
        let arrivals = || Arrivals::new(&trace, 1.0, 1.0, Duration::from_secs(4), 7);
        let within = |from, until| {
            let seconds = Duration::from_secs(from)..Duration::from_secs(until);
            arrivals().take_while(|at| *at < seconds.end).filter(|at| seconds.contains(at)).count()
        };
        // A triangle: half of 4 x 1000 in all, a quarter of that in its first half.
        assert!((420..580).contains(&within(0, 2)) && (1900..2100).contains(&within(0, 4)));
        assert_eq!(within(4, 5), 1000);
    }

    #[test]
    fn a_broken_trace_is_refused_at_its_line() {
        let broken = |csv| Trace::read(csv).unwrap_err();
        assert_eq!(
            broken("timestamp,count\n1,2\n2,x\n"),
            Error::Line { line: 3, text: "2,x".to_owned() }
        );
        assert_eq!(broken("timestamp,count\n1,2\n3,2\n"), Error::Step { line: 3 });
        assert_eq!(broken("timestamp,count\n1,0\n"), Error::Empty);
        assert_eq!(broken(""), Error::Empty);
    }
}
