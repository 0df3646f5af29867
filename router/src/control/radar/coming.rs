//! Tasks that were asked for and do not take requests yet, and since when.

use std::collections::VecDeque;

use predictor::radar;

/// Groups of tasks that are told apart: those asked for at one look. Beyond, the newest join the last group.
const GROUPS: usize = 64;

/// The tasks that are to come, those asked for first in front.
#[derive(Debug, Default)]
pub(super) struct Coming(VecDeque<(u32, f64)>);

impl Coming {
    /// Takes in that so many are missing at `shown_s` of the plans' clock. More than before were asked for just now; of fewer,
    /// those asked for first have come.
    pub(super) fn follow(&mut self, missing: u32, shown_s: f64) {
        let known: u32 = self.0.iter().map(|(tasks, _)| tasks).sum();
        if known < missing {
            let full = self.0.len() == GROUPS;
            match self.0.back_mut().filter(|_| full) {
                Some(last) => last.0 += missing - known,
                None => self.0.push_back((missing - known, shown_s)),
            }
        }
        let mut come = known.saturating_sub(missing);
        while let Some(first) = self.0.front_mut().filter(|_| 0 < come) {
            let some = come.min(first.0);
            come -= some;
            first.0 -= some;
            if first.0 == 0 {
                self.0.pop_front();
            }
        }
    }

    /// Returns them as they are at `shown_s`.
    pub(super) fn at(&self, shown_s: f64) -> Vec<radar::Coming> {
        let coming = |(tasks, asked_s): &(u32, f64)| radar::Coming {
            tasks: *tasks,
            since_s: (shown_s - asked_s).max(0.0),
        };
        self.0.iter().map(coming).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_asked_for_are_the_first_to_come() {
        let mut coming = Coming::default();
        let told = |coming: &Coming| -> Vec<_> {
            coming.at(100.0).iter().map(|coming| (coming.tasks, coming.since_s as u64)).collect()
        };
        coming.follow(2, 10.0);
        coming.follow(5, 40.0);
        assert_eq!(told(&coming), [(2, 90), (3, 60)]);
        coming.follow(4, 60.0);
        assert_eq!(told(&coming), [(1, 90), (3, 60)]);
        coming.follow(2, 70.0);
        assert_eq!(told(&coming), [(2, 60)]);
        coming.follow(0, 80.0);
        assert!(told(&coming).is_empty());
    }
}
