//! Watches whether what comes is what tasks were asked for, and tells what to reckon with when it is not.
//!
//! What comes is held against what was forecast for it when tasks that could serve it had to be asked for: a start ago.
//! While [`Guard`] says that reality has left that, the demand a start ahead is one of two: what is forecast, or as much as
//! comes now. How often bursts of this service outlasted a start tells how likely the second is: tasks for a burst that is
//! over when they come are paid for and idle.
//!
//! Each look of ten seconds tells what was asked of all gateways. Who counts by the second tells that too ([`Second`]), of
//! its own share, and a flood is seen between two looks: with one gateway, one that is five times what is forecast at
//! most in two seconds at ten requests a second, three times in three, twice in eight (95 of 100 floods; see
//! [`Guard`]'s tests, which also play months without any). Which share of all the own requests are is known of the last
//! look only. A share may double meanwhile, when another gateway leaves, so that of several gateways each sees a flood
//! only that is beyond twice the forecast; and with the next look, its seconds are told again with the share that they
//! were. What was called a flood and was none lasts as long as that takes: ten to fifteen seconds.

use std::{collections::VecDeque, time::Duration};

use super::LOOK_S;
use crate::{
    forecast::{
        burst::{Guard, Piece},
        rollup::Rollup,
    },
    plan::{Inputs, basis::quantile},
};

/// One false alarm in so long, or fewer, while the forecast is true.
const APART: Duration = Duration::from_hours(24 * 30);

/// Length over which it is learned how unevenly requests come, in seconds. Of single seconds it would be told nothing of
/// bunches that are longer.
const DISPERSION_S: u64 = 600;

/// Quantile of the forecast that counts are held against. At 0.95, forecasts that are a little off by day are alarms.
const LEVEL: f64 = 0.99;

/// Most forecasts that are kept: a day of looks, which no start takes.
const FORECASTS: usize = (86_400 / LOOK_S) as usize;

/// Most seconds that are kept: of a look, and of the time that other gateways are waited for, twice over.
const SECONDS: usize = 30;

/// What is believed of a service none of whose bursts was seen: one of three lasted. Each burst seen counts as much.
const LASTED: (f64, f64) = (1.0, 3.0);

/// Share by which a burst that counts as lasting may have shrunk.
const SHRUNK: f64 = 0.8;

/// From which share on a gateway is as good as alone.
const ALONE: f32 = 0.95;

/// How many times its share of the last look a gateway may have of the next one.
const SHARE_GROWS: f32 = 2.0;

/// Which part of a look has to be told by seconds for these to stand for it: not all, as they end when somebody counts, which
/// may be some seconds after the look's end or before it, where time is made to run fast.
const TOLD: f64 = 0.5;

/// What this gateway counted since it counted last: of a second or so, and before its look is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Second {
    /// When it ended, in microseconds since 1970, and how long it was.
    pub until_us: u64,
    /// See `until_us`.
    pub long_us: u64,
    /// Requests.
    pub count: u64,
    /// When the look ends that this is counted in, in microseconds since 1970.
    pub look_us: u64,
}

/// The watch over one service.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    guard: Guard,
    /// What the guard was at the end of the last look.
    settled: Guard,
    /// What was told since.
    seconds: VecDeque<Second>,
    /// The part of the last look's requests that was counted here; `None` when that is not known.
    share: Option<f32>,
    rollup: Rollup,
    /// Requests per second that were forecast at most, and for when; one a look, the nearest first.
    forecast: VecDeque<(u64, f32)>,
    /// That of the last look.
    expected: Option<f32>,
    /// Rates that were called bursts, and when it is known whether they lasted.
    open: VecDeque<(u64, f64)>,
    lasted: (f64, f64),
}

impl Default for Watch {
    fn default() -> Self {
        let guard = Guard::new(1, APART);
        Self {
            settled: guard.clone(),
            guard,
            seconds: VecDeque::new(),
            share: None,
            rollup: Rollup::new(LOOK_S, DISPERSION_S),
            forecast: VecDeque::new(),
            expected: None,
            open: VecDeque::new(),
            lasted: LASTED,
        }
    }
}

impl Watch {
    /// Learns how unevenly requests came before the first look: those of the ten seconds from `at_s` on.
    pub(super) fn recall(&mut self, at_s: u64, asked: f64) {
        if asked.is_finite() {
            self.rollup.add(at_s, asked.round() as u64);
        }
    }

    /// Knows how unevenly requests come from one that has learned it of the past.
    pub(super) fn succeed(&mut self, learned: Self) {
        self.rollup = learned.rollup;
    }

    /// Other gateways have come or gone: what its share is will be known of the next look.
    pub(super) fn forget_share(&mut self) {
        self.share = None;
    }

    /// Learns what was counted since the last second. Returns whether the load has left its forecast just now.
    pub(super) fn second(&mut self, second: Second) -> bool {
        if self.seconds.len() == SECONDS {
            self.seconds.pop_front();
        }
        self.seconds.push_back(second);
        let before = self.guard.active();
        self.provisional(second);
        !before && self.guard.active()
    }

    /// Holds a second of a look that is not over against its forecast.
    fn provisional(&mut self, second: Second) {
        let began_us = second.until_us.saturating_sub(second.long_us);
        let forecast = self.forecast.iter().take_while(|(at_us, _)| *at_us <= began_us).last();
        let expected = forecast.map(|(_, rate)| *rate).or(self.expected);
        let (Some(expected), Some(share)) = (expected, self.share) else { return };
        let share = if share < ALONE { (share * SHARE_GROWS).min(1.0) } else { share };
        self.guard.observe(piece(second, expected, share), self.rollup.dispersion());
    }

    /// Learns what was asked since the last look, of all gateways.
    pub(super) fn look(&mut self, inputs: &Inputs<'_>) {
        let began_us = inputs.now_us.saturating_sub(LOOK_S * 1_000_000);
        let began_s = began_us / 1_000_000;
        let own = self.take_seconds(inputs.now_us);
        if !inputs.asked.is_finite() {
            return;
        }
        let count = inputs.asked.round() as u64;
        self.rollup.add(began_s, count);
        let mut expected = None;
        while let Some((at_us, rate)) = self.forecast.front()
            && *at_us <= began_us
        {
            expected = Some(*rate);
            self.forecast.pop_front();
        }
        self.expected = expected;
        let told_us: u64 = own.iter().map(|second| second.long_us).sum();
        let counted: u64 = own.iter().map(|second| second.count).sum();
        let whole = TOLD * (LOOK_S * 1_000_000) as f64 <= told_us as f64;
        self.share = match (counted, count) {
            _ if !whole => None,
            (0, 0) => Some(1.0),
            (0, _) => None,
            _ => Some((counted as f32 / count as f32).min(1.0)),
        };
        let Some(rate) = expected else {
            self.guard = self.settled.clone();
            return;
        };
        let before = self.settled.active();
        let dispersion = self.rollup.dispersion();
        if let Some(share) = self.share {
            for second in own {
                self.settled.observe(piece(second, rate, share), dispersion);
            }
        } else {
            let (seconds, share) = (LOOK_S as f32, 1.0);
            let piece = Piece { at_s: began_s, seconds, count, expected_per_s: rate, share };
            self.settled.observe(piece, dispersion);
        }
        let active = self.settled.active();
        self.guard = self.settled.clone();
        // What came since the look ended, as long as other gateways were waited for.
        for place in 0..self.seconds.len() {
            self.provisional(self.seconds[place]);
        }
        if active && !before {
            let per_s = inputs.asked / LOOK_S as f64;
            self.open.push_back((inputs.now_us.saturating_add(inputs.shape.start_us), per_s));
        }
        while let Some((due_us, then)) = self.open.front()
            && *due_us <= inputs.now_us
        {
            let lasted = f64::from(self.settled.rate(rate)) >= then * SHRUNK;
            self.lasted.0 += f64::from(u8::from(lasted));
            self.lasted.1 += 1.0;
            self.open.pop_front();
        }
    }

    /// Takes out the seconds of the look that ended at `now_us`, and forgets those of a clock that has been set back.
    fn take_seconds(&mut self, now_us: u64) -> Vec<Second> {
        let mut own = Vec::new();
        let next_us = now_us.saturating_add(2 * LOOK_S * 1_000_000);
        self.seconds.retain(|second| {
            if second.look_us <= now_us {
                own.push(*second);
            }
            now_us < second.look_us && second.look_us <= next_us
        });
        own
    }

    /// Learns what is forecast for `at_us`.
    pub(super) fn expect(&mut self, at_us: u64, service_us: f64, demands: &[(f64, f64)]) {
        if demands.is_empty() || service_us.is_nan() || service_us <= 0.0 {
            return;
        }
        let most = quantile(demands, LEVEL) / service_us * 1e6;
        if self.forecast.back().is_some_and(|(last, _)| at_us <= *last) {
            // The clock was set back, or tasks start faster now.
            self.forecast.clear();
        }
        if self.forecast.len() == FORECASTS {
            self.forecast.pop_front();
        }
        self.forecast.push_back((at_us, most as f32));
    }

    /// Has `demands` reckon with a burst that goes on. Returns the busy slots of a burst.
    pub(super) fn reckon(&self, service_us: f64, demands: &mut Vec<(f64, f64)>) -> Option<f64> {
        if demands.is_empty() || service_us.is_nan() || service_us <= 0.0 || !self.guard.active() {
            return None;
        }
        let now = f64::from(self.guard.rate(0.0)) * service_us / 1e6;
        let likely = self.lasted.0 / self.lasted.1;
        if now <= quantile(demands, 0.5) {
            return None;
        }
        for (demand, share) in demands.iter_mut() {
            if *demand < now {
                *share *= 1.0 - likely;
            }
        }
        let left: f64 = demands.iter().map(|(_, share)| share).sum();
        let place = demands.partition_point(|(demand, _)| *demand < now);
        demands.insert(place, (now, (1.0 - left).max(0.0)));
        Some(now)
    }
}

fn piece(second: Second, expected_per_s: f32, share: f32) -> Piece {
    Piece {
        at_s: second.until_us.saturating_sub(second.long_us) / 1_000_000,
        seconds: second.long_us as f32 / 1e6,
        count: second.count,
        expected_per_s,
        share,
    }
}
