//! Sees within seconds that more comes than was forecast, and tells what comes instead.
//!
//! A forecast is made of minutes; a flood fills every slot in seconds. So counts of short pieces of time are held against
//! the forecast by cumulative sums of log-likelihood ratios (CUSUM, Page 1954): does the load have the rate that was
//! forecast at most, or `RATIOS` times as much? For each of these, `S <- max(0, S + llr)`, and the first `S` at
//! `ln(3 x pieces)` is an alarm. While the forecast is true, alarms of one sum are three times `pieces` apart on average, or
//! further, whatever the rate is (Lorden 1971), and so all of them together are `pieces` apart: that is the rate of false
//! alarms, and a choice. Counts are Poisson, or negative binomial where they come in bunches: with a variance of `d` times
//! the mean, `llr = count x (ln ratio - ln u) - expected x ln u / (d - 1)`, where `u = 1 + (ratio - 1) x (d - 1) / d`;
//! for `d = 1`, `count x ln ratio - expected x (ratio - 1)`. Worked: at a look a second and one false alarm in 30 days,
//! the bound is ln(3 x 2,592,000) = 15.9; where 10 requests a second are expected and 30 come, each second adds 30 x 1.10 -
//! 20 = 13 to the sum for three times as much, and the second one is an alarm.
//!
//! Seconds until an alarm, of 400 floods each, played at random after two minutes of two thirds of what is forecast at most:
//!
//! | forecast at most | comes | dispersion | median | 95 of 100 | slowest |
//! | --- | --- | --- | --- | --- | --- |
//! | 10/s | 2 times | 1 | 5 | 8 | 10 |
//! | 10/s | 3 times | 1 | 2 | 3 | 5 |
//! | 10/s | 5 times | 1 | 1 | 1 | 2 |
//! | 10/s | 10 times | 1 | 1 | 1 | 1 |
//! | 5/s | 3 times | 1 | 3 | 5 | 8 |
//! | 1/s | 10 times | 1 | 3 | 4 | 5 |
//! | 50/s | 2 times | 1 | 2 | 2 | 3 |
//! | 50/s | 3 times | 3 | 1 | 2 | 3 |
//!
//! That is near what any test can do: less than fifteen nats of evidence are more false alarms. Over months of seconds as
//! high as forecast at most, all the time (2 and 20 a second; 20 in bunches, of a dispersion of 3), there was no false alarm.

use std::{collections::VecDeque, time::Duration};

/// The rates that are looked for, as multiples of what is forecast at most, the least first. A load below the first one's
/// middle, 1.23 times the forecast, is never seen; with that one closer to 1, a flood would be seen later.
const RATIOS: [f32; 3] = [1.5, 3.0, 8.0];

/// How many requests a flood has at least: fewer at once are a page with its pictures, where none were forecast.
const FEWEST: f32 = 25.0;

/// For how long what comes is remembered, to size for the most of it: Knative's panic window is as short as 6 s, a start
/// takes ten times that.
const MEMORY_S: u64 = 60;

/// What comes is averaged over windows of so many seconds, and one counts from so many on: of single seconds, the most of a
/// minute is half as much again as comes, by chance.
const WINDOW_S: f32 = 10.0;
const WINDOW_LEAST_S: f32 = 3.0;

/// What is always expected, in requests per second: one a minute is no flood. Without it single requests, where none are
/// forecast, would add up over days.
const LEAST_PER_S: f32 = 1.0 / 60.0;

/// What was counted in a piece of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// When it began, in seconds since 1970.
    pub at_s: u64,
    /// How long it was: above 0.
    pub seconds: f32,
    /// Requests that came.
    pub count: u64,
    /// Requests per second that were forecast at most, of all: a high quantile.
    pub expected_per_s: f32,
    /// Share of all requests that is counted here, up to 1.
    pub share: f32,
}

/// Watches one series.
#[derive(Debug, Clone)]
pub struct Guard {
    /// What a sum comes to for an alarm.
    bound: f32,
    sums: [Sum; RATIOS.len()],
    active: bool,
    /// What came since the load left its forecast.
    windows: VecDeque<Window>,
}

/// The evidence for one of [`RATIOS`].
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    of: f32,
    /// Requests that were counted since it was nothing, and seconds: those of all requests, times the share counted.
    count: f32,
    seconds: f32,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    at_s: u64,
    /// Like those of a [`Sum`].
    count: f32,
    seconds: f32,
    /// How long it is.
    long_s: f32,
}

impl Window {
    fn per_s(&self) -> f32 {
        self.count / self.seconds
    }
}

impl Guard {
    /// Watches pieces of `piece_s` seconds (1 or more), at one false alarm in `apart` on average, or fewer. Pieces may be
    /// longer: then there are fewer of them, and fewer false alarms.
    pub fn new(piece_s: u64, apart: Duration) -> Self {
        let pieces = (apart.as_secs() / piece_s.max(1)).max(2);
        Self {
            bound: (pieces as f32 * RATIOS.len() as f32).ln(),
            sums: [Sum::default(); RATIOS.len()],
            active: false,
            windows: VecDeque::new(),
        }
    }

    /// Learns what came. The variance of counts is `dispersion` (1 or more) times their mean, apart from what the forecast
    /// knows: what a roll-up of short steps into ten minutes tells. Returns whether reality is out of the forecast, until
    /// every sum has come back to nothing.
    ///
    /// On half a week of a small site (0.9 requests a second) with the 0.95 quantile of the minute to come and one
    /// false alarm asked for in 30 days, steps of 10 s gave one alarm; with the 0.99 quantile none. With the dispersion
    /// of single seconds instead, which says nothing of bunches longer than that, there were seven and three.
    pub fn observe(&mut self, piece: Piece, dispersion: f32) -> bool {
        let share = if 0.0 < piece.share { piece.share.min(1.0) } else { 1.0 };
        let long_s = if piece.seconds.is_finite() { piece.seconds.max(1e-3) } else { 1.0 };
        let count = piece.count as f32;
        let seconds = long_s * share;
        let expected = piece.expected_per_s;
        let expected = if expected.is_finite() { expected.max(LEAST_PER_S) } else { LEAST_PER_S };
        // Of bunches that are shared out by chance, each is smaller.
        let dispersion = if dispersion.is_finite() { dispersion.max(1.0) } else { 1.0 };
        let dispersion = (dispersion - 1.0).mul_add(share, 1.0);
        for (sum, ratio) in self.sums.iter_mut().zip(RATIOS) {
            if sum.of <= 0.0 {
                *sum = Sum::default();
            }
            sum.count += count;
            sum.seconds += seconds;
            let told = evidence(count, expected * seconds, ratio, dispersion);
            // Not above the bound: what has lasted for an hour is not to last an hour longer once it is over.
            sum.of = (sum.of + told).clamp(0.0, self.bound);
        }
        let alarm = |sum: &&Sum| self.bound <= sum.of && FEWEST <= sum.count;
        if self.active {
            self.active = self.sums.iter().any(|sum| 0.0 < sum.of);
            self.note(piece.at_s, Window { at_s: piece.at_s, count, seconds, long_s });
        } else if let Some(sum) = self.sums.iter().rev().find(alarm) {
            self.active = true;
            // The largest that is seen has the least in it of what came before.
            let &Sum { count, seconds, .. } = sum;
            self.windows.clear();
            self.windows.push_back(Window {
                at_s: piece.at_s,
                count,
                seconds,
                long_s: seconds / share,
            });
        }
        if !self.active {
            self.windows.clear();
        }
        self.active
    }

    fn note(&mut self, now_s: u64, window: Window) {
        let old =
            |window: &Window| window.at_s.saturating_add(MEMORY_S) <= now_s || now_s < window.at_s;
        while self.windows.front().is_some_and(old) {
            self.windows.pop_front();
        }
        match self.windows.back_mut() {
            Some(last) if last.long_s + window.long_s <= WINDOW_S => {
                last.count += window.count;
                last.seconds += window.seconds;
                last.long_s += window.long_s;
            }
            _ => self.windows.push_back(window),
        }
    }

    /// Whether reality is out of the forecast.
    pub fn active(&self) -> bool {
        self.active
    }

    /// Returns requests per second to be ready for, of all: `forecast`, or while reality is out of it the most of the last
    /// minute, if that is more.
    pub fn rate(&self, forecast: f32) -> f32 {
        let counts = |window: &&Window| WINDOW_LEAST_S <= window.long_s;
        let long = self.windows.iter().filter(counts).map(Window::per_s).reduce(f32::max);
        // In its first seconds there is but what told of it.
        let most = long.or_else(|| self.windows.front().map(Window::per_s));
        most.filter(|_| self.active).map_or(forecast, |most| most.max(forecast))
    }
}

/// Returns the logarithm of how many times as likely a count is of `ratio` times the mean than of the mean itself.
fn evidence(count: f32, mean: f32, ratio: f32, dispersion: f32) -> f32 {
    let beyond = dispersion - 1.0;
    if beyond < 1e-3 {
        return count * ratio.ln() - mean * (ratio - 1.0);
    }
    let wider = ((ratio - 1.0) * beyond / dispersion).ln_1p();
    count * (ratio.ln() - wider) - mean * wider / beyond
}

#[cfg(test)]
mod tests;
