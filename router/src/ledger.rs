//! What was used, by whom, day by day, and what that costs; and what the same load would have cost otherwise.
//!
//! Usage is added up in integers ([`row`]), from the workers' counters ([`counted`]) and from what ECS and Lambda say of
//! tasks and environments that are held ([`held`]). Dollars are derived when somebody asks ([`statement`]), so that a bill
//! can be priced again and its lines add up. Other planners run beside the gateway on the same load ([`instead`]), by the
//! model that `pacer replay` goes by. Days are those of UTC, as on AWS's bill. No I/O.

pub(crate) mod counted;
pub(crate) mod csv;
pub(crate) mod held;
pub(crate) mod instead;
mod kept;
pub(crate) mod row;
pub(crate) mod statement;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use policies::{
    cost::{PriceBook, TaskSize},
    policy::{Arch, Policy, State},
};
use predictor::replay::compare::OWN_TASK;

pub(crate) use self::row::{Instead, Key, Part, Row};
use self::{counted::Counted, held::Held, instead::Alternatives};
use crate::{
    control::{FunctionState, capacity::Clock, pace::random},
    telemetry::series::Series,
    world::World,
};

/// Days that are kept: those of the store.
pub(crate) const DAYS: u64 = crate::history::DAYS;

/// Seconds of a day.
pub(crate) const DAY_S: u64 = 86_400;

/// Longest time between two looks that is believed: of more nobody knows what was held meanwhile.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// What was used on one day.
pub(crate) type Day = BTreeMap<Key, Row>;

/// The books.
#[derive(Debug)]
pub(crate) struct Ledger {
    book: &'static PriceBook,
    /// By days since 1970: what this life of the gateway keeps in its own rows.
    days: BTreeMap<u64, Day>,
    /// What other lives have kept in theirs.
    others: BTreeMap<u64, Day>,
    /// What tells this life's rows from others' in a store that several write.
    life: String,
    /// What was kept before is known: rows are kept whole, so that none is before that.
    recalled: bool,
    /// Rows that changed since they were last kept.
    changed: BTreeSet<(u64, Key)>,
    /// Since the gateway started: what counters for Prometheus are made of.
    total: Day,
    counted: Counted,
    held: Held,
    alternatives: Alternatives,
    looked: Option<SystemTime>,
}

/// What the ledger looks at.
pub(crate) struct View<'a> {
    /// The world in force.
    pub(crate) world: &'a World,
    /// What was counted by route.
    pub(crate) series: &'a Series,
    /// What is known of functions.
    pub(crate) functions: &'a BTreeMap<Arc<str>, FunctionState>,
    /// Of several gateways this one books what is the service's and not a request's: tasks, environments, alternatives.
    pub(crate) leads: bool,
}

impl Ledger {
    /// Empty books of the services of `policy`, whose plans go by `clock`.
    pub(crate) fn new(policy: &Policy, clock: Clock) -> Self {
        let book = policy.region.as_deref().and_then(PriceBook::builtin);
        Self {
            book: book.unwrap_or_else(PriceBook::fallback),
            days: BTreeMap::new(),
            others: BTreeMap::new(),
            life: match &policy.state {
                Some(State::S3 { .. }) => format!("{:016x}", random()),
                Some(State::Directory(_)) | None => String::new(),
            },
            recalled: false,
            changed: BTreeSet::new(),
            total: Day::new(),
            counted: Counted::default(),
            held: Held::new(clock.scale()),
            alternatives: Alternatives::new(clock),
            looked: None,
        }
    }

    /// Books what was used since the last look. To be called about once a second.
    pub(crate) fn look(&mut self, view: &View<'_>, now: SystemTime) {
        let before = self.looked.replace(now);
        // A clock that was set back books nothing twice: time goes on from where it stands now.
        let passed = before.and_then(|before| now.duration_since(before).ok()).unwrap_or_default();
        let passed = if PAUSE_MAX < passed { Duration::ZERO } else { passed };
        let day = day_of(now);
        let mut rows = Vec::new();
        self.counted.look(view, |key, row| rows.push((key, row)));
        self.held.look(view, now, passed, |key, row| rows.push((key, row)));
        self.alternatives.look(view, self.book, now, |key, row| rows.push((key, row)));
        rows.push((Key::own(), own(passed)));
        for (key, row) in rows {
            self.add(day, key, &row);
        }
        let oldest = day.saturating_sub(DAYS);
        self.days.retain(|day, _| oldest < *day);
        self.others.retain(|day, _| oldest < *day);
        self.changed.retain(|(day, _)| oldest < *day);
    }

    /// Takes in what ECS says of a service's tasks.
    pub(crate) fn tasks(&mut self, service: &Arc<str>, lives: Vec<held::Life>) {
        self.held.tasks(service, lives);
    }

    /// Books a warm-up invoke, or several together.
    pub(crate) fn warmed(&mut self, service: &Arc<str>, arch: Arch, used: Row, now: SystemTime) {
        let row = Row { arch, ..used };
        self.add(day_of(now), Key::new(service.clone(), Part::Warm), &row);
    }

    fn add(&mut self, day: u64, key: Key, row: &Row) {
        if row.is_empty() {
            return;
        }
        *self.days.entry(day).or_default().entry(key.clone()).or_default() += row;
        *self.total.entry(key.clone()).or_default() += row;
        self.changed.insert((day, key));
    }

    /// Takes in what was kept before this gateway started: names and bytes of rows. Returns how many could not be read.
    pub(crate) fn recall<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a Arc<str>, &'a [u8])>,
        complete: bool,
    ) -> usize {
        if self.recalled || !complete {
            return 0;
        }
        self.recalled = true;
        let mut unread = 0;
        for (name, bytes) in rows {
            let (Some((day, life, key)), Some(row)) =
                (kept::read_name(name), kept::read_numbers(bytes))
            else {
                unread += 1;
                continue;
            };
            let days = if life == self.life { &mut self.days } else { &mut self.others };
            *days.entry(day).or_default().entry(key).or_default() += &row;
        }
        unread
    }

    /// Returns the rows that changed since this was last asked for, each whole, as they are to be kept.
    pub(crate) fn take_changed(&mut self) -> Vec<(Arc<str>, Vec<u8>)> {
        if !self.recalled {
            return Vec::new();
        }
        let changed = std::mem::take(&mut self.changed);
        let row = |(day, key): (u64, Key)| {
            let row = self.days.get(&day)?.get(&key)?;
            Some((kept::name(day, &self.life, &key).into(), kept::numbers(row)))
        };
        changed.into_iter().filter_map(row).collect()
    }

    /// Returns the days that something is known of, by days since 1970, oldest first.
    pub(crate) fn days(&self) -> BTreeMap<u64, Day> {
        let mut days = self.days.clone();
        for (day, rows) in &self.others {
            let day = days.entry(*day).or_default();
            for (key, row) in rows {
                *day.entry(key.clone()).or_default() += row;
            }
        }
        days
    }

    /// Returns what was used since the gateway started.
    pub(crate) fn total(&self) -> &Day {
        &self.total
    }

    /// Returns the prices that it reckons with.
    pub(crate) fn book(&self) -> &'static PriceBook {
        self.book
    }
}

/// Returns the day of a moment, in days since 1970.
pub(crate) fn day_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / DAY_S
}

/// Returns what this gateway itself used in a while, as a task of the size that it asks for.
fn own(passed: Duration) -> Row {
    let mut row = Row::default();
    row.hold(OWN_TASK, false, u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
    row
}

/// Returns the size of a service's tasks, as its policy has it.
fn size_of(container: &policies::policy::Container) -> TaskSize {
    TaskSize::from(container)
}
