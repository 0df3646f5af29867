//! Puts records that are nearly in order of time in order.
//!
//! Logs are written when a request ends, and by several servers at once, so arrivals stand a little out of order. A
//! record is held until nothing within the window can come before it. What is in order is only appended and taken off
//! again; a heap holds the rest.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

/// Sorts items by their time, holding back no more than a window of them.
#[derive(Debug)]
pub struct Sorter<T> {
    window_us: u64,
    held_max: usize,
    /// The latest time seen, not counting `ahead`.
    high_us: u64,
    /// The time that was last given out: nothing may be given out before it.
    present_us: u64,
    /// What came in order.
    run: VecDeque<Held<T>>,
    /// What did not.
    heap: BinaryHeap<Reverse<Held<T>>>,
    /// What came more than a window ahead of all before: believed when the next one comes near it or beyond.
    ahead: Option<Held<T>>,
    pushed: u64,
    finished: bool,
    late: u64,
    late_us_max: u64,
}

/// Ordered by time, then by when it came.
#[derive(Debug)]
struct Held<T> {
    at_us: u64,
    number: u64,
    item: T,
}

impl<T> Held<T> {
    fn key(&self) -> (u64, u64) {
        (self.at_us, self.number)
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Held<T> {}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> Default for Sorter<T> {
    fn default() -> Self {
        Self::new(Self::WINDOW_US, Self::HELD_MAX)
    }
}

impl<T> Sorter<T> {
    /// Ten minutes: twice what a load balancer's file is about, and longer than most requests take.
    pub const WINDOW_US: u64 = 600_000_000;

    /// A million items: the window of 1,700 requests a second. At higher rates the window is shorter.
    pub const HELD_MAX: usize = 1 << 20;

    /// Starts a trace whose items stand out of order by `window_us` at most, of which no more than `held_max` are held.
    pub fn new(window_us: u64, held_max: usize) -> Self {
        Self {
            window_us,
            held_max,
            high_us: 0,
            present_us: 0,
            run: VecDeque::new(),
            heap: BinaryHeap::new(),
            ahead: None,
            pushed: 0,
            finished: false,
            late: 0,
            late_us_max: 0,
        }
    }

    /// Takes an item in. [`Sorter::pop`] is to be called until it is empty before the next one, or more is held.
    pub fn push(&mut self, at_us: u64, item: T) {
        self.pushed += 1;
        let held = Held { at_us, number: self.pushed, item };
        if let Some(ahead) = self.ahead.take() {
            // Else one clock was wrong once: the item waits for its time, and time does not go with it.
            if ahead.at_us <= at_us.saturating_add(self.window_us) {
                self.high_us = self.high_us.max(ahead.at_us);
            }
            self.hold(ahead);
        }
        if self.high_us.saturating_add(self.window_us) < at_us {
            self.ahead = Some(held);
        } else {
            self.high_us = self.high_us.max(at_us);
            self.hold(held);
        }
    }

    fn hold(&mut self, mut held: Held<T>) {
        if held.at_us < self.present_us {
            self.late += 1;
            self.late_us_max = self.late_us_max.max(self.present_us - held.at_us);
            held.at_us = self.present_us;
        }
        if self.run.back().is_none_or(|last| *last < held) {
            self.run.push_back(held);
        } else {
            self.heap.push(Reverse(held));
        }
    }

    /// Says that no more will come: all that is held can be taken.
    pub fn finish(&mut self) {
        self.finished = true;
        if let Some(ahead) = self.ahead.take() {
            self.hold(ahead);
        }
    }

    /// Takes out the next item, if it is certain by now which that is.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        let from_run = match (self.run.front(), self.heap.peek()) {
            (Some(run), Some(Reverse(heap))) => run < heap,
            (run, _) => run.is_some(),
        };
        let next =
            if from_run { self.run.front() } else { self.heap.peek().map(|Reverse(held)| held) }?;
        let certain = next.at_us.saturating_add(self.window_us) <= self.high_us;
        if !certain && !self.finished && self.held() <= self.held_max {
            return None;
        }
        let held = if from_run {
            self.run.pop_front()
        } else {
            self.heap.pop().map(|Reverse(held)| held)
        }?;
        self.present_us = held.at_us;
        Some((held.at_us, held.item))
    }

    /// Returns how many items are held.
    pub fn held(&self) -> usize {
        self.run.len() + self.heap.len() + usize::from(self.ahead.is_some())
    }

    /// Returns how many items came after their time: they were moved to the present, so that none is lost.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Returns by how much the latest of them was moved.
    pub fn late_us_max(&self) -> u64 {
        self.late_us_max
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sorts with a window of 10 and returns times and items, how many were late, and the most that was held.
    fn sort(times: &[u64], held_max: usize) -> (Vec<(u64, usize)>, u64, usize) {
        let mut sorter = Sorter::new(10, held_max);
        let mut out = Vec::new();
        let mut most = 0;
        for (item, at_us) in times.iter().enumerate() {
            sorter.push(*at_us, item);
            out.extend(std::iter::from_fn(|| sorter.pop()));
            most = most.max(sorter.held());
        }
        sorter.finish();
        out.extend(std::iter::from_fn(|| sorter.pop()));
        assert_eq!(sorter.held(), 0);
        (out, sorter.late(), most)
    }

    fn check(times: &[u64], expected: &[(u64, usize)], late: u64) {
        let (out, found, _) = sort(times, 100);
        assert_eq!((out, found), (expected.to_vec(), late), "{times:?}");
    }

    #[test]
    fn what_is_out_of_order_within_the_window_comes_out_in_order() {
        check(&[], &[], 0);
        check(&[5], &[(5, 0)], 0);
        check(&[3, 1, 2], &[(1, 1), (2, 2), (3, 0)], 0);
        check(&[105, 100, 112, 103], &[(100, 1), (103, 3), (105, 0), (112, 2)], 0);
    }

    #[test]
    fn equal_times_keep_their_order() {
        check(&[5, 5, 3, 5, 3], &[(3, 2), (3, 4), (5, 0), (5, 1), (5, 3)], 0);
    }

    #[test]
    fn what_comes_too_late_comes_at_the_present() {
        // At 30, all up to 20 is out; 5 comes then.
        check(&[8, 20, 30, 5, 31], &[(8, 0), (20, 1), (20, 3), (30, 2), (31, 4)], 1);
        let mut sorter = Sorter::new(10, 100);
        for at_us in [20, 30] {
            assert_eq!(sorter.pop(), None);
            sorter.push(at_us, ());
        }
        assert_eq!(sorter.pop(), Some((20, ())));
        sorter.push(5, ());
        assert_eq!((sorter.late(), sorter.late_us_max()), (1, 15));
    }

    #[test]
    fn one_clock_far_ahead_does_not_take_time_with_it() {
        check(
            &[1, 2, 9_000, 4, 3, 6, 5],
            &[(1, 0), (2, 1), (3, 4), (4, 3), (5, 6), (6, 5), (9_000, 2)],
            0,
        );
        // The first of all is no different.
        check(&[9_000, 2, 1], &[(1, 2), (2, 1), (9_000, 0)], 0);
        // And a pause in the traffic is no clock that is wrong.
        check(&[1, 9_000, 9_001, 20_000], &[(1, 0), (9_000, 1), (9_001, 2), (20_000, 3)], 0);
    }

    #[test]
    fn no_more_is_held_than_allowed() {
        let times: Vec<u64> = (0..1000).map(|n| 1000 + n % 7).collect();
        let (out, late, most) = sort(&times, 50);
        assert_eq!(out.len(), 1000);
        assert!(most <= 50 && 0 < late, "{most} {late}");
    }

    proptest! {
        #[test]
        fn all_come_out_once_in_order(times in prop::collection::vec(0..200_u64, 0..200), held_max in 0..50_usize) {
            let (out, late, most) = sort(&times, held_max);
            prop_assert!(most <= held_max + 1);
            prop_assert!(out.is_sorted_by_key(|(at_us, _)| *at_us));
            let mut items: Vec<usize> = out.iter().map(|(_, item)| *item).collect();
            items.sort_unstable();
            prop_assert_eq!(items, (0..times.len()).collect::<Vec<_>>());
            let moved = out.iter().filter(|(at_us, item)| *at_us != times[*item]).count();
            prop_assert_eq!(moved as u64, late);
        }

        #[test]
        fn what_is_out_of_order_by_less_than_the_window_is_never_late(
            times in prop::collection::vec((0..1000_u64, 0..10_u64), 0..200),
        ) {
            let mut times = times;
            times.sort_unstable();
            let jittered: Vec<u64> = times.iter().map(|(at_us, late)| at_us + 10 - late).collect();
            let (out, late, _) = sort(&jittered, 1000);
            let mut sorted = jittered;
            sorted.sort_unstable();
            prop_assert_eq!(out.iter().map(|(at_us, _)| *at_us).collect::<Vec<_>>(), sorted);
            prop_assert_eq!(late, 0);
        }
    }
}
