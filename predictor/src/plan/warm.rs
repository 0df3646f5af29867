//! How many of a function's environments to have warm, so that what goes to Lambda finds one.
//!
//! A cold start happens when more requests are on Lambda at once than environments are there. So these are held:
//!
//! - what the lane's own forecast says at its upper end (`ahead`);
//! - each environment that was used until holding it has cost what the cold start is worth that it saves when it is needed
//!   again (`COLD_START_USD`): ski rental, at worst twice what the best would cost who knows when that will be;
//! - as many as the same time a day ago; and where containers stand before Lambda, what they are forecast to leave over.
//!
//! Both of the first two are needed: of recorded bursts by steps of five minutes, what is forecast leaves 20 % of the cold
//! starts, six days' peaks leave 6 % for twelve times the money, and three days' peaks and the forecast 4 % for eight.
//!
//! By warm-up invokes, `spend` bounds it all. By provisioned concurrency only what is busy for longer than that costs is
//! held, or as much as said where the objective asks for it.

mod ahead;

use std::{collections::VecDeque, time::Duration};

use policies::{
    cost::{FunctionSize, PriceBook, Terms, Usage},
    policy::{Arch, ColdStart},
};

use self::ahead::Ahead;
use super::{Inputs, erlang, hold::Hold};

/// What environments may be held, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Warm {
    /// Environments at least.
    pub min: u32,
    /// At most.
    pub max: u32,
    /// US dollars that warm-up invokes may cost a day; `None` without a bound.
    pub spend_usd: Option<f64>,
    /// What one warm-up invoke costs, in US dollars: see [`invoke_usd`].
    pub invoke_usd: f64,
    /// After how long without a request an environment is taken down, in microseconds. AWS does not say.
    pub keep_alive_us: u64,
    /// They are held by provisioned concurrency.
    pub provisioned: Option<Provisioned>,
}

/// Holds environments by provisioned concurrency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Provisioned {
    /// Share of time that one must be busy to cost no more than on demand: see [`provisioned_break_even`].
    pub break_even: f64,
    /// Cold starts are to be avoided at its price, too, not only where it pays.
    pub always: bool,
}

/// What was asked of Lambda since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OnLambda {
    /// Requests that began there.
    pub asked: f64,
    /// How long they ran on average, in microseconds; 0 without any.
    pub mean_us: f64,
    /// Most at once; without warm-up invokes.
    pub most: u32,
}

/// Length of the stretches whose most is remembered.
const STRETCH_US: u64 = 600_000_000;

/// Stretches that are remembered: a day and the next stretch.
const STRETCHES: usize = 145;

/// Deviations of a Poisson distribution that there is room for: of 30,000 moments one finds more.
const DEVIATIONS: f64 = 4.0;

/// Shortest time that provisioned concurrency is paid for, in microseconds (AWS Lambda pricing).
const PROVISIONED_LEAST_US: u64 = 300_000_000;

/// What it is worth, in US dollars, that a request does not wait for an environment to start. It holds an environment of
/// 1769 MiB for three days by invokes. With twice as much, for six: of recorded bursts that saves another 1.7 % of the cold
/// starts, for half as much again.
const COLD_START_USD: f64 = 0.01;

/// For how long an environment is held that is not used: at least, and however little that costs.
const HELD_LEAST_US: f64 = 1.8e9;
const HELD_MOST_US: f64 = 14.0 * 86_400e6;

/// What is known of one service's Lambda lane.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    /// Most at once in stretches of ten minutes, the newest last; and which stretch that is.
    most: VecDeque<u32>,
    stretch: u64,
    /// Stretches after which there never was as much again, with their most: falling, the newest last.
    peaks: VecDeque<(u64, u32)>,
    /// Tens of kB: only where there is a pool.
    ahead: Option<Box<Ahead>>,
    /// Busy environments on average, over an hour or so.
    busy: f64,
    hold: Hold,
}

impl Pool {
    /// Learns what was asked of Lambda; `demand` is the most that containers are reckoned to be asked for, in busy slots.
    /// Returns environments to have warm by invokes, and by provisioned concurrency.
    pub(super) fn plan(&mut self, inputs: &Inputs<'_>, demand: f64, step_us: u64) -> (u32, u32) {
        let Some(warm) = inputs.shape.warm else { return (0, 0) };
        self.learn(inputs, step_us);
        let wanted = self.wanted(inputs, demand, held_us(&warm));
        let (least, most) = (warm.min.min(warm.max), warm.max);
        let Some(Provisioned { break_even, always }) = warm.provisioned else {
            return (wanted.min(affordable(&warm)).clamp(least, most), 0);
        };
        let pays = erlang::worthwhile_tasks(&[(self.busy, 1.0)], 1, break_even, 0.0, most);
        let wanted = if always { pays.max(wanted) } else { pays }.clamp(least, most);
        let held = self.hold.held(inputs.now_us, wanted, u32::MAX, PROVISIONED_LEAST_US);
        (0, held.clamp(least, most))
    }

    fn learn(&mut self, inputs: &Inputs<'_>, step_us: u64) {
        let OnLambda { asked, mean_us, most } = inputs.lambda;
        let stretch = inputs.now_us / STRETCH_US;
        // Stretches of which nothing was told had nothing; a clock that is set back tells of the newest.
        let passed = stretch.saturating_sub(self.stretch).min(STRETCHES as u64);
        for _ in 0..if self.most.is_empty() { 1 } else { passed } {
            if self.most.len() == STRETCHES {
                self.most.pop_front();
            }
            self.most.push_back(0);
        }
        self.stretch = stretch;
        if let Some(newest) = self.most.back_mut() {
            *newest = most.max(*newest);
        }
        // Those that a clock that was set back has yet to reach are forgotten.
        while self.peaks.pop_back_if(|(at, before)| *before <= most || stretch < *at).is_some() {}
        if self.peaks.back().is_none_or(|(at, _)| *at != stretch) {
            self.peaks.push_back((stretch, most));
        }
        self.ahead.get_or_insert_default().look(inputs.now_us, most);
        let busy = asked * mean_us / step_us.max(1) as f64;
        if busy.is_finite() {
            self.busy += (busy.max(0.0) - self.busy) * (step_us as f64 / 3.6e9).min(1.0);
        }
    }

    /// Returns how many environments may be in use at once in the next ten minutes.
    fn wanted(&mut self, inputs: &Inputs<'_>, demand: f64, held_us: f64) -> u32 {
        let oldest = self.stretch.saturating_sub((held_us / STRETCH_US as f64) as u64);
        while self.peaks.pop_front_if(|(at, _)| *at < oldest).is_some() {}
        let peak = self.peaks.front().map_or(0, |(_, most)| *most);
        let newest = self.most.len();
        let at = |ago: usize| newest.checked_sub(ago).and_then(|place| self.most.get(place));
        // Those around the same time a day ago.
        let day_ago = [143, 144, 145].into_iter().filter_map(at).max().copied();
        let most = day_ago.unwrap_or_default().max(peak);
        let slots = f64::from(inputs.ready) * f64::from(inputs.shape.slots_per_task);
        let spilled = (with_room(demand) - slots).max(0.0);
        let ahead = self.ahead.as_ref().map_or(0.0, |ahead| ahead.most());
        // A float that is too large for it becomes the largest integer.
        with_room(f64::from(most).max(self.busy)).max(spilled).max(ahead).ceil() as u32
    }
}

/// Returns the most at once that chance makes of so many on average.
fn with_room(mean: f64) -> f64 {
    mean + DEVIATIONS * mean.max(0.0).sqrt()
}

/// Returns for how long an environment is held that is not used: until that has cost as much as a cold start is worth. Of
/// provisioned concurrency, which costs two hundred times as much as invokes, that is the least.
fn held_us(warm: &Warm) -> f64 {
    if warm.provisioned.is_some() {
        return HELD_LEAST_US;
    }
    let keep_alive_us = warm.keep_alive_us.max(1_000_000) as f64;
    (COLD_START_USD / warm.invoke_usd * keep_alive_us).clamp(HELD_LEAST_US, HELD_MOST_US)
}

/// Returns how many environments may be held all day: each needs an invoke whenever it would be taken down.
fn affordable(warm: &Warm) -> u32 {
    const DAY_US: f64 = 86_400e6;
    let Some(spend) = warm.spend_usd else { return u32::MAX };
    let each = warm.invoke_usd * DAY_US / warm.keep_alive_us.max(1_000_000) as f64;
    if 0.0 < each { (spend / each) as u32 } else { u32::MAX }
}

/// Returns what one warm-up invoke costs, in US dollars, that starts an environment and holds it, together for `billed`.
///
/// With SnapStart the restore of a snapshot is charged for by its memory: 0.000242 dollars of 1769 MiB, twenty times what a
/// plain start of 400 ms costs.
pub fn invoke_usd(
    book: &PriceBook,
    function: FunctionSize,
    cold_start: ColdStart,
    billed: Duration,
    terms: Terms,
) -> f64 {
    const MANY: u64 = 1_000_000;
    let mut usage = Usage::default();
    if cold_start == ColdStart::SnapStart {
        usage.lambda.snapstart_restored_mb = u128::from(function.memory_mib) * u128::from(MANY);
    }
    usage.lambda.add(function, MANY, (billed.as_secs_f64() * 1e3 * MANY as f64) as u64);
    book.bill(&usage, 0, terms).total().as_usd() / MANY as f64
}

/// Returns the share of time that an environment of provisioned concurrency must be busy to cost what it would on demand.
///
/// It costs its own rate all the time and a lower one while busy: 3.33 / (13.33 - 7.78) = 0.6 on Arm.
pub fn provisioned_break_even(book: &PriceBook, arch: Arch) -> f64 {
    let lambda = &book.lambda;
    let idle = lambda.provisioned_gb_second.of(arch).as_usd();
    let busy = lambda.provisioned_duration_gb_second.of(arch).as_usd();
    idle / (lambda.first_tier(arch).as_usd() - busy).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{History, Shape};

    const SECOND: u64 = 1_000_000;
    const DAY_S: u64 = 86_400;

    const WARM: Warm = Warm {
        min: 1,
        max: 100,
        spend_usd: None,
        invoke_usd: 1.2e-5,
        keep_alive_us: 600 * SECOND,
        provisioned: None,
    };

    /// Has a pool look every ten seconds until `until_s`, at `most` requests at once of a second each; returns what it last
    /// has warm and provisioned.
    fn held(warm: Warm, until_s: u64, most: impl Fn(u64) -> u32, demand: f64) -> (u32, u32) {
        let shape = Shape {
            slots_per_task: 4,
            break_even: 0.5,
            patience: 0.0,
            start_us: 60 * SECOND,
            paid_start_us: 60 * SECOND,
            least_paid_us: 60 * SECOND,
            min_tasks: 0,
            max_tasks: 10,
            warm: Some(warm),
            spot: None,
        };
        let (history, mut pool) = (History::new(10 * SECOND, 6), Pool::default());
        let mut held = (0, 0);
        for at_s in (0..=until_s).step_by(10) {
            let busy = f64::from(most(at_s));
            let inputs = Inputs {
                now_us: at_s * SECOND,
                history: &history,
                asked: 0.0,
                mean_service_us: 1e6,
                ready: 5,
                starting: 0,
                busy: 0,
                waiting: 0,
                lambda: OnLambda { asked: busy * 10.0, mean_us: 1e6, most: most(at_s) },
                shape: &shape,
                truth: None,
            };
            held = pool.plan(&inputs, demand, 10 * SECOND);
        }
        held
    }

    #[test]
    fn a_peak_is_held_with_room_for_chance_until_that_has_cost_a_cold_start() {
        let crowd = |at_s: u64| if (3_600..3_900).contains(&at_s) { 25 } else { 0 };
        assert_eq!(held(WARM, 3_500, crowd, 0.0), (1, 0), "the least");
        assert_eq!(held(WARM, 3_700, crowd, 0.0), (45, 0), "25 and four times its root");
        // A cent is 833 invokes of 12 millionths of a dollar, one each ten minutes: half a million seconds.
        assert_eq!(held(WARM, 500_000, crowd, 0.0), (45, 0));
        assert!(held(WARM, 510_000, crowd, 0.0).0 < 10);
        let dearer = Warm { invoke_usd: 0.24e-3, ..WARM };
        assert_eq!(held(dearer, 28_000, crowd, 0.0), (45, 0));
        assert!(held(dearer, 60_000, crowd, 0.0).0 < 25);
        assert_eq!(held(dearer, 3_600 + DAY_S - 300, crowd, 0.0), (45, 0), "as it came yesterday");
        assert!(held(dearer, DAY_S + 1_800, crowd, 0.0).0 < 25, "not yet");
        assert_eq!(held(WARM, 3_700, |_| 900, 0.0), (100, 0), "the most that there may be");
    }

    #[test]
    fn of_several_peaks_the_highest_is_let_go_first_when_it_is_the_oldest() {
        let falling = |at_s: u64| match at_s {
            3_600..3_900 => 25,
            20_000..20_300 => 9,
            _ => 0,
        };
        let dearer = Warm { invoke_usd: 0.24e-3, ..WARM };
        assert_eq!(held(dearer, 28_000, falling, 0.0), (45, 0));
        let then = held(dearer, 40_000, falling, 0.0).0;
        assert!((21..45).contains(&then), "{then}: 9 and four times its root, or what is forecast");
        assert!(held(dearer, 80_000, falling, 0.0).0 < 21);
    }

    #[test]
    fn what_is_forecast_beyond_the_slots_is_held() {
        // Twenty slots; 36 busy ones and four times the root of that are 60.
        assert_eq!(held(WARM, 100, |_| 0, 36.0), (40, 0));
        assert_eq!(held(WARM, 100, |_| 0, 4.0), (1, 0));
        assert_eq!(held(WARM, 100, |_| 0, f64::NAN), (1, 0));
    }

    #[test]
    fn spending_is_bounded_by_the_rate_at_which_environments_are_taken_down() {
        // An environment that nobody uses needs 144 invokes a day: a cent is enough for 5.8 of them.
        let bounded = Warm { spend_usd: Some(0.01), ..WARM };
        assert_eq!(held(bounded, 100, |_| 25, 0.0), (5, 0));
        let nothing = Warm { spend_usd: Some(0.0), min: 0, ..WARM };
        assert_eq!(held(nothing, 100, |_| 25, 0.0), (0, 0));
    }

    #[test]
    fn provisioned_concurrency_is_for_what_is_busy_long_enough() {
        let book = PriceBook::fallback();
        let break_even = provisioned_break_even(book, Arch::Arm64);
        assert!((break_even - 0.6).abs() < 1e-3, "{break_even}");
        let provisioned =
            |always| Warm { provisioned: Some(Provisioned { break_even, always }), ..WARM };
        // Of 25 busy on average, over hours: of one more than those, half of the time is idle.
        let (warm, pays) = held(provisioned(false), 6 * 3_600, |_| 25, 0.0);
        assert!(warm == 0 && (20..=25).contains(&pays), "{pays}");
        assert_eq!(held(provisioned(true), 6 * 3_600, |_| 25, 0.0), (0, 45));
        let once = |at_s: u64| if at_s < 60 { 25 } else { 0 };
        assert_eq!(held(provisioned(true), 1_500, once, 0.0), (0, 45));
        assert!(
            held(provisioned(true), 9_000, once, 0.0).1 < 45,
            "half an hour costs a cold start"
        );
        assert_eq!(held(provisioned(false), 3_600, once, 0.0), (0, 1), "a minute does not pay");
    }

    #[test]
    fn an_invoke_costs_its_time_and_with_snapstart_its_restore() {
        let (book, terms) = (PriceBook::fallback(), Terms::default());
        let function = FunctionSize { arch: Arch::Arm64, memory_mib: 1769 };
        let cost = |kind| invoke_usd(book, function, kind, Duration::from_millis(500), terms);
        // 0.5 s x 1.7275 GB x 0.0000133334 + 0.0000002; 1.7275 GB x 0.0001397998 more.
        assert!((cost(ColdStart::Plain) - 1.1717e-5).abs() < 1e-8, "{}", cost(ColdStart::Plain));
        let restored = cost(ColdStart::SnapStart) - cost(ColdStart::Plain);
        assert!((restored - 2.415e-4).abs() < 1e-7, "{restored}");
    }
}
