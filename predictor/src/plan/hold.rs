//! What is taken back must stay back for a while: the most that was wanted lately is held.

use std::collections::VecDeque;

/// What was wanted lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Hold {
    /// When, and how many; only values that no later one exceeds.
    wanted: VecDeque<(u64, u32)>,
}

impl Hold {
    /// Learns that `wanted` tasks are wanted at `now_us`; returns the most that was within the last `for_us`, of those
    /// `asked` for.
    pub(super) fn held(&mut self, now_us: u64, wanted: u32, asked: u32, for_us: u64) -> u32 {
        while self.wanted.front().is_some_and(|(at, _)| at.saturating_add(for_us) < now_us) {
            self.wanted.pop_front();
        }
        // A clock that is set back must not have it hold until the time that was.
        while self.wanted.back().is_some_and(|(at, _)| now_us < *at) {
            self.wanted.pop_back();
        }
        while self.wanted.back().is_some_and(|(_, tasks)| *tasks <= wanted) {
            self.wanted.pop_back();
        }
        self.wanted.push_back((now_us, wanted));
        self.wanted.front().map_or(wanted, |(_, tasks)| *tasks).min(asked)
    }

    /// Returns until when what is held is held, for so long.
    pub(super) fn until_us(&self, for_us: u64) -> u64 {
        self.wanted.front().map_or(0, |(at, _)| at.saturating_add(for_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_late_is_held_and_no_more_than_was_asked_for() {
        let mut hold = Hold::default();
        assert_eq!(hold.held(0, 5, 9, 100), 5);
        assert_eq!((hold.held(10, 2, 9, 100), hold.until_us(100)), (5, 100));
        assert_eq!(hold.held(20, 3, 4, 100), 4, "one was not there");
        assert_eq!(hold.held(100, 1, 9, 100), 5);
        assert_eq!(hold.held(101, 1, 9, 100), 3);
        assert_eq!(hold.held(121, 1, 9, 100), 1);
    }
    #[test]
    fn a_clock_that_is_set_back_holds_nothing_until_then() {
        let mut hold = Hold::default();
        assert_eq!(hold.held(1_000, 9, 9, 100), 9);
        assert_eq!(hold.held(500, 2, 9, 100), 2);
        assert_eq!(hold.held(u64::MAX, 1, 9, u64::MAX), 2);
    }
}
