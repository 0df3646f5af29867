//! Steps on their way to a store, by hour and service; and what a store had to say of them.

use std::{collections::BTreeMap, sync::Arc};

use super::hour::{HOUR_S, Hour, STEP_S, Step};

/// Most hours of services that wait to be written, 4.4 KB each. A gateway of a hundred services reaches it four days after
/// its store broke; then the oldest go.
pub(super) const HOURS_MAX: usize = 10_000;

/// Steps to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    hours: BTreeMap<u64, BTreeMap<Arc<str>, Box<Hour>>>,
}

/// What is done with steps that a store has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// They are replaced.
    Replace,
    /// They stay as they are.
    Fill,
}

/// What came of writing a batch, in steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Of the batch.
    pub(crate) steps: u64,
    /// Of these, the store had so many before.
    pub(crate) had: u64,
    /// Records of the store that could not be read, and were written anew.
    pub(crate) damaged: u64,
}

impl std::ops::AddAssign for Merged {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.had += other.had;
        self.damaged += other.damaged;
    }
}

impl Batch {
    /// Takes a step in, in the place of what it had of that time; `at_s` is anywhere in the step.
    pub(crate) fn set(&mut self, service: &str, at_s: u64, step: Step) {
        let services = self.hours.entry(at_s / HOUR_S).or_default();
        let place = (at_s % HOUR_S / STEP_S) as usize;
        if let Some(hour) = services.get_mut(service) {
            hour.set(place, step);
        } else {
            let mut hour = Box::<Hour>::default();
            hour.set(place, step);
            services.insert(service.into(), hour);
        }
    }

    /// Takes in all of `newer`, in the place of what it had itself.
    pub(crate) fn take_in(&mut self, newer: Self) {
        for (number, services) in newer.hours {
            let own = self.hours.entry(number).or_default();
            for (service, hour) in services {
                match own.get_mut(&service) {
                    Some(known) => {
                        known.replace(&hour);
                    }
                    None => {
                        own.insert(service, hour);
                    }
                }
            }
        }
    }

    /// Tells whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.hours.is_empty()
    }

    /// Returns every hour: its number since 1970, its service, its steps.
    pub(crate) fn hours(&self) -> impl Iterator<Item = (u64, &Arc<str>, &Hour)> {
        self.hours.iter().flat_map(|(number, services)| {
            services.iter().map(|(service, hour)| (*number, service, &**hour))
        })
    }

    /// Takes out what is of one day, counted since 1970.
    pub(super) fn take_day(&mut self, day: u64) -> Self {
        let mut later = self.hours.split_off(&(day * 24));
        let mut after = later.split_off(&((day + 1) * 24));
        self.hours.append(&mut after);
        Self { hours: later }
    }

    /// Returns the first day of which it has anything.
    pub(super) fn first_day(&self) -> Option<u64> {
        self.hours.first_key_value().map(|(number, _)| number / 24)
    }

    /// Leaves out the oldest hours beyond `limit`, and returns how many steps that cost.
    pub(super) fn limit(&mut self, limit: usize) -> u64 {
        let mut hours: usize = self.hours.values().map(BTreeMap::len).sum();
        let mut lost = 0;
        while limit < hours {
            let Some((_, oldest)) = self.hours.pop_first() else { break };
            hours -= oldest.len();
            lost += oldest.values().map(|hour| hour.known().count() as u64).sum::<u64>();
        }
        lost
    }
}

/// Merges `new` into what a store has of that hour.
pub(super) fn merge(stored: &mut Hour, new: &Hour, how: Merge) -> Merged {
    let steps = new.known().count() as u64;
    let had = match how {
        Merge::Replace => stored.replace(new),
        Merge::Fill => stored.fill(new),
    };
    Merged { steps, had: had as u64, damaged: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(steps: &[(&str, u64, u64)]) -> Batch {
        let mut batch = Batch::default();
        for &(service, at_s, requests) in steps {
            batch.set(service, at_s, Step::new(requests, 0));
        }
        batch
    }

    #[test]
    fn later_steps_replace_earlier_ones() {
        let mut all = batch(&[("a", 0, 1), ("a", 10, 2)]);
        all.take_in(batch(&[("a", 10, 3), ("a", 3_600, 4), ("b", 0, 5)]));
        assert_eq!(all, batch(&[("a", 0, 1), ("a", 19, 3), ("a", 3_600, 4), ("b", 0, 5)]));
    }

    #[test]
    fn a_day_is_taken_out_whole() {
        let steps = [("a", 86_390, 1), ("a", 86_400, 2), ("b", 172_799, 3), ("a", 172_800, 4)];
        let mut all = batch(&steps);
        assert_eq!(all.take_day(1), batch(&steps[1..3]));
        assert_eq!(all, batch(&[steps[0], steps[3]]));
        assert_eq!(all.first_day(), Some(0));
        all.take_day(0);
        all.take_day(2);
        assert!(all.is_empty() && all.first_day().is_none());
    }

    #[test]
    fn the_oldest_hours_go_first() {
        let mut all = batch(&[("a", 0, 1), ("a", 10, 1), ("b", 0, 1), ("a", 3_600, 1)]);
        assert_eq!(all.limit(1), 3);
        assert_eq!(all, batch(&[("a", 3_600, 1)]));
        assert_eq!(all.limit(1), 0);
    }
}
