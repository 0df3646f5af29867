//! Whether a service that only observes could be let act: what has to hold, and in words what does not yet.

use super::{lasting, number, plain};

/// How long its load has to be seen, in seconds: a day with its night, unless the past is known.
const SEEN_S: f64 = 86_400.0;

/// For how long its plan has to be steady, in seconds, and how often it may turn round within that: tasks that come and go
/// pay for their starts.
const STEADY_S: f64 = 3_600.0;
const TURNS: u32 = 4;

/// What is known of a service that observes.
#[derive(Debug, Clone, Default)]
pub struct Readiness<'a> {
    /// Why its tasks or its function cannot be read.
    pub trouble: Option<&'a str>,
    /// Why it could not be acted on as it is set up; `None` when a reading found nothing in the way.
    pub hindered: Option<&'a str>,
    /// What would be changed was read: it is there, and may be read.
    pub checked: bool,
    /// For how long its load was seen, in seconds.
    pub seen_s: f64,
    /// Its past was recalled from `state`.
    pub recalled: bool,
    /// How often the plan turned from more tasks to fewer, or back, within the last hour.
    pub turns: u32,
    /// What it runs costs an hour, in dollars, on average since it was looked at.
    pub costs_usd: f64,
    /// What the plan would have cost.
    pub planned_usd: f64,
}

/// Whether it is ready, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// It may be let act.
    pub ready: bool,
    /// Why, or what is missing, in one sentence.
    pub says: String,
}

/// Tells whether a service is ready to act.
pub fn readiness(known: &Readiness<'_>) -> Ready {
    let not = |says: String| Ready { ready: false, says: format!("not yet: {says}") };
    if let Some(trouble) = known.trouble {
        return not(format!("it cannot be read without trouble: {trouble}"));
    }
    if let Some(hindered) = known.hindered {
        return not(format!("it cannot be acted on as it is set up: {hindered}"));
    }
    if !known.checked {
        return not("what would be changed was not read yet".to_owned());
    }
    let seen_s = number(known.seen_s);
    if seen_s < SEEN_S && !known.recalled || seen_s < STEADY_S {
        let wanted = if known.recalled { STEADY_S } else { SEEN_S };
        let (seen, wanted) = (lasting(seen_s), lasting(wanted));
        return not(format!("its load was seen for {seen} of {wanted}"));
    }
    if TURNS < known.turns {
        let turns = known.turns;
        return not(format!("its plan turned round {turns} times within the last hour"));
    }
    let (costs, planned) = (number(known.costs_usd), number(known.planned_usd));
    let saves = costs - planned;
    if saves <= 0.0 {
        return not(format!(
            "the plan would save nothing: what runs costs ${costs:.4} an hour, what is planned ${planned:.4}"
        ));
    }
    let past = if known.recalled { "its past is known" } else { "a day of its load was seen" };
    let says = format!(
        "it is read without trouble, {past}, its plan is steady, and would save {} % of ${costs:.4} an hour; \
         that Pacer may change it shows only once it does: compare `pacer iam`",
        plain(100.0 * saves / costs),
    );
    Ready { ready: true, says }
}
