//! What to call next about a function's environments, and what warm-up invokes may cost. Pure.

use std::time::Duration;

use policies::{
    cost::{FunctionSize, PicoUsd, PriceBook, Terms, Usage},
    policy::{ColdStart, Lambda},
};

use crate::control::functions::{Known, SnapStart};

/// A change of provisioned concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Have so many environments: 1 or more.
    Set { from: u32, to: u32 },
    /// Have none.
    Remove { from: u32 },
}

/// Returns the change that gives a function the `planned` environments of provisioned concurrency.
///
/// # Errors
/// Says why it is left as it is, and what mends that.
pub(super) fn order(
    planned: u32,
    lambda: &Lambda,
    known: &Known,
) -> Result<Option<Order>, &'static str> {
    if lambda.qualifier.as_deref().is_none_or(|qualifier| qualifier == "$LATEST") {
        return Err(
            "provisioned concurrency is of a version or an alias: write one after the function's name, such as `thumb:live`",
        );
    }
    if known.configuration.version.is_none() {
        return Ok(None); // not read yet
    }
    if !known.provisioned_read {
        return Err(
            "its provisioned concurrency cannot be read: permit lambda:GetProvisionedConcurrencyConfig",
        );
    }
    if known.configuration.snap_start == Some(SnapStart::On) {
        return Err(
            "AWS refuses provisioned concurrency beside SnapStart: write `cold_start: snapstart`, or publish a version without it",
        );
    }
    let from = known.provisioned.map_or(0, |provisioned| provisioned.requested);
    Ok(match (from, planned) {
        (from, to) if from == to => None,
        (from, 0) => Some(Order::Remove { from }),
        (from, to) => Some(Order::Set { from, to }),
    })
}

/// What a round of warm-up invokes is decided by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// Environments to have warm.
    pub(super) planned: u32,
    /// Requests in flight: their environments need no invoke.
    pub(super) in_use: u32,
    /// The function has answered as the adapter does.
    pub(super) proven: bool,
    /// Invokes that may still be paid for today.
    pub(super) affordable: u32,
}

/// Returns how many warm-up invokes to send at once: one only until it is known that the adapter answers them.
pub(super) fn invokes(situation: Situation) -> u32 {
    let Situation { planned, in_use, proven, affordable } = situation;
    let missing = planned.saturating_sub(in_use);
    let wanted = if proven { missing } else { missing.min(1) };
    wanted.min(affordable)
}

/// Returns for how long each of `invokes` holds its environment: until the last of them has been sent and has arrived, or
/// an environment would be given two and another none.
pub(super) fn hold(invokes: u32) -> Duration {
    HOLD_LEAST + PAUSE * (invokes / AT_ONCE)
}

/// How long an environment is held at least. Invokes that are sent at once arrive some tens of milliseconds apart, each on
/// a connection of its own that may have to be opened first.
const HOLD_LEAST: Duration = Duration::from_millis(150);

/// Invokes that are sent without a pause, and the pause after them: a throttle stops those that come after it.
pub(super) const AT_ONCE: u32 = 10;
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// Parts into which a day's budget is divided: what a gateway that is killed may lose of it.
const PARTS: u128 = 20;

/// What was spent on warm-up invokes on one UTC day of the plans' time, and what may be.
///
/// Where there is a store, what may be spent is taken from the day's budget there, some at a time and before it is spent, so
/// that nothing is spent twice: neither by a gateway that was killed and starts again, nor by another that takes over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spend {
    day: u64,
    spent: PicoUsd,
    /// What was taken from the day's budget to be spent; all of it, where there is no store.
    given: Option<PicoUsd>,
    /// The dearest invoke so far, or what one is reckoned at beforehand.
    each: PicoUsd,
}

impl Spend {
    /// Has spent nothing; one invoke is reckoned at `each`. `stored`: the budget is in a store.
    pub(super) fn new(each: PicoUsd, stored: bool) -> Self {
        Self { day: 0, spent: PicoUsd::ZERO, given: stored.then_some(PicoUsd::ZERO), each }
    }

    /// Begins anew when `day` is another, counted since 1970; returns whether it is.
    pub(super) fn on(&mut self, day: u64) -> bool {
        let other = self.day != day;
        if other {
            let given = self.given.map(|_| PicoUsd::ZERO);
            *self = Self { day, spent: PicoUsd::ZERO, given, ..*self };
        }
        other
    }

    /// Returns the day.
    pub(super) fn day(&self) -> u64 {
        self.day
    }

    /// Returns what to take from the day's budget so that `invokes` can be paid for; `None` when they can be.
    pub(super) fn missing(&self, invokes: u32, limit: PicoUsd) -> Option<PicoUsd> {
        let given = self.given?;
        let lacking = self.spent + self.each.times(invokes.into()) - given;
        (lacking != PicoUsd::ZERO).then(|| lacking.max(PicoUsd(limit.0 / PARTS)))
    }

    /// Takes in what was given from the budget of `day`.
    pub(super) fn take(&mut self, day: u64, given: PicoUsd) {
        if let Some(all) = self.given.as_mut().filter(|_| self.day == day) {
            *all = *all + given;
        }
    }

    /// Returns what was taken and is not spent.
    pub(super) fn left(&self) -> PicoUsd {
        self.given.unwrap_or_default() - self.spent
    }

    /// Returns how many invokes fit within `limit`, each as dear as the dearest so far.
    pub(super) fn affordable(&self, limit: Option<PicoUsd>) -> u32 {
        let Some(limit) = limit else { return u32::MAX };
        let limit = self.given.map_or(limit, |given| given.min(limit));
        let fit = (limit - self.spent).0.checked_div(self.each.0).unwrap_or(u128::MAX);
        u32::try_from(fit).unwrap_or(u32::MAX)
    }

    /// Counts what an invoke cost.
    pub(super) fn add(&mut self, cost: PicoUsd) {
        self.spent = self.spent + cost;
        self.each = self.each.max(cost);
    }

    /// Returns what was spent today.
    pub(super) fn spent(&self) -> PicoUsd {
        self.spent
    }
}

/// Returns what an invoke costs that was billed `billed` at most; `cold` started an environment.
pub(super) fn cost(book: &PriceBook, lambda: &Lambda, billed: Duration, cold: bool) -> PicoUsd {
    let function = FunctionSize { arch: lambda.arch, memory_mib: lambda.memory_mib };
    let mut usage = Usage::default();
    if cold && lambda.cold_start == ColdStart::SnapStart {
        usage.lambda.snapstart_restored_mb = u128::from(function.memory_mib);
    }
    let billed_ms = billed.as_micros().div_ceil(1_000);
    usage.lambda.add(function, 1, u64::try_from(billed_ms).unwrap_or(u64::MAX));
    book.bill(&usage, 0, Terms::default()).total()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn lambda() -> Lambda {
        fixture::policy(fixture::POLICY).services[0].lambda.clone().unwrap()
    }

    fn known(requested: Option<u32>, snap_start: Option<SnapStart>) -> Known {
        let mut known = Known { provisioned_read: true, ..Known::default() };
        known.configuration.version = Some("1".to_owned());
        known.configuration.snap_start = snap_start;
        if let Some(requested) = requested {
            known.provisioned.get_or_insert_default().requested = requested;
        }
        known
    }

    #[test]
    fn provisioned_concurrency_is_changed_only_where_it_differs() {
        let decide = |planned, requested| order(planned, &lambda(), &known(requested, None));
        assert_eq!(decide(3, None), Ok(Some(Order::Set { from: 0, to: 3 })));
        assert_eq!(decide(3, Some(3)), Ok(None));
        assert_eq!(decide(2, Some(3)), Ok(Some(Order::Set { from: 3, to: 2 })));
        assert_eq!(decide(0, Some(3)), Ok(Some(Order::Remove { from: 3 })));
        assert_eq!(decide(0, None), Ok(None));
    }

    #[test]
    fn what_cannot_be_provisioned_is_left_alone_and_the_fix_is_named() {
        let refused = |lambda: &Lambda, known: &Known| order(3, lambda, known).unwrap_err();
        let snapped = known(None, Some(SnapStart::On));
        assert!(refused(&lambda(), &snapped).contains("`cold_start: snapstart`"));
        assert!(order(3, &lambda(), &known(None, Some(SnapStart::Off))).unwrap().is_some());
        let unpublished = Lambda { qualifier: None, ..lambda() };
        assert!(refused(&unpublished, &known(None, None)).contains("alias"));
        let unread = Known { provisioned_read: false, ..known(None, None) };
        assert!(refused(&lambda(), &unread).contains("permit"));
        assert_eq!(order(3, &lambda(), &Known::default()), Ok(None), "nothing is known yet");
    }

    #[test]
    fn those_in_use_need_no_invoke_and_what_is_not_proven_gets_one() {
        let all = Situation { planned: 5, in_use: 0, proven: true, affordable: u32::MAX };
        assert_eq!(invokes(all), 5);
        assert_eq!(invokes(Situation { in_use: 2, ..all }), 3);
        assert_eq!(invokes(Situation { in_use: 9, ..all }), 0);
        assert_eq!(invokes(Situation { proven: false, ..all }), 1);
        assert_eq!(invokes(Situation { proven: false, in_use: 5, ..all }), 0);
        assert_eq!(invokes(Situation { affordable: 3, ..all }), 3);
        assert_eq!(invokes(Situation { affordable: 0, ..all }), 0);
    }

    #[test]
    fn a_hold_outlasts_the_sending_of_all() {
        assert_eq!(hold(3), Duration::from_millis(150));
        assert_eq!(hold(200), Duration::from_millis(350));
    }

    #[test]
    fn what_is_spent_a_day_is_bounded_to_the_last_invoke() {
        let (book, lambda) = (PriceBook::fallback(), lambda());
        let each = cost(book, &lambda, Duration::from_millis(500), false);
        // 0.5 s x 1.7275 GB x 0.0000133334 + 0.0000002.
        assert_eq!(each.0 / 1_000_000, 11, "{each:?}");
        let limit = Some(each.times(10));
        let mut spend = Spend::new(each, false);
        spend.on(20_000);
        assert_eq!((spend.affordable(limit), spend.affordable(None)), (10, u32::MAX));
        (0..9).for_each(|_| spend.add(each));
        assert_eq!(spend.affordable(limit), 1);
        spend.add(each.times(2));
        assert_eq!((spend.affordable(limit), spend.spent()), (0, each.times(11)));
        spend.on(20_000);
        assert_eq!(spend.affordable(limit), 0, "the same day");
        spend.on(20_001);
        assert_eq!(spend.affordable(limit), 5, "another day, and one may be as dear as the last");
    }

    #[test]
    fn with_a_store_only_what_was_taken_from_the_budget_is_spent() {
        let (each, limit) = (PicoUsd(10), PicoUsd(1_000));
        let mut spend = Spend::new(each, true);
        assert!(spend.on(7) && !spend.on(7));
        assert_eq!((spend.affordable(Some(limit)), spend.affordable(None)), (0, u32::MAX));
        assert_eq!(spend.missing(3, limit), Some(PicoUsd(50)), "a twentieth at least");
        assert_eq!(spend.missing(9, limit), Some(PicoUsd(90)));
        spend.take(6, PicoUsd(50));
        assert_eq!(spend.affordable(Some(limit)), 0, "that was of yesterday's");
        spend.take(7, PicoUsd(50));
        assert_eq!((spend.affordable(Some(limit)), spend.missing(5, limit)), (5, None));
        // One was dearer than was reckoned: the next are reckoned so, too.
        spend.add(PicoUsd(20));
        assert_eq!((spend.left(), spend.affordable(Some(limit))), (PicoUsd(30), 1));
        assert_eq!(spend.missing(2, limit), Some(PicoUsd(50)));
        spend.on(8);
        assert_eq!((spend.left(), spend.affordable(Some(limit))), (PicoUsd::ZERO, 0));
    }

    #[test]
    fn a_restored_environment_costs_its_restore() {
        let book = PriceBook::fallback();
        let snapped = Lambda { cold_start: ColdStart::SnapStart, ..lambda() };
        let at = |cold| cost(book, &snapped, Duration::from_millis(500), cold).as_usd();
        assert!((at(true) - at(false) - 2.415e-4).abs() < 1e-7, "{}", at(true));
        assert!((at(false) - 1.1717e-5).abs() < 1e-8);
    }
}
