//! Which request is due when: the arrivals of a trace, each with what it asks for.
//!
//! Films and the rest are drawn apart, as a machine that cannot do all of the work is spared thumbnails and photos first:
//! films mostly wait. What containers are asked is then the same on a slow machine as on a fast one.

use std::{iter::Peekable, time::Duration};

use super::{
    arrivals::{Arrivals, Trace},
    calibrate::Pace,
    draw::Draw,
    mix::{Ask, Route},
};

/// The requests that are due, in order, without end.
#[derive(Debug)]
pub struct Due<'a> {
    films: Peekable<Arrivals<'a>>,
    rest: Peekable<Arrivals<'a>>,
    film: Draw,
    other: Draw,
}

impl<'a> Due<'a> {
    /// Starts at the first second of `trace`, `speed` times as fast, with as much of it as `pace` tells; that grows evenly
    /// from nothing over the first `fade_in` (of our time). The parts go by seeds of their own, counted on from `seed`.
    pub fn new(trace: &'a Trace, speed: f64, pace: &Pace, fade_in: Duration, seed: u64) -> Self {
        let films = Route::Render.share();
        let arrivals =
            |share: f64, seed| Arrivals::new(trace, speed, share, fade_in, seed).peekable();
        Self {
            films: arrivals(films * pace.films, seed),
            rest: arrivals((1.0 - films) * pace.share, seed + 1),
            film: Draw::new(seed + 2),
            other: Draw::new(seed + 3),
        }
    }
}

impl Iterator for Due<'_> {
    type Item = (Duration, Ask);

    fn next(&mut self) -> Option<Self::Item> {
        // Neither ends: both shares are above 0.
        if self.films.peek()? < self.rest.peek()? {
            return Some((self.films.next()?, Ask::film(&mut self.film)));
        }
        Some((self.rest.next()?, Ask::other(&mut self.other)))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::mix::Costs, *};

    fn asked(share: f64) -> Vec<(Duration, Ask)> {
        let costs = Costs { thumb: 0.001, resize_64: 0.005, resize_1024: 0.04, frame: 0.0005 };
        let pace = Pace { share, films: 1.0, costs, crowd_rate: 100.0 };
        let trace = Trace { start: 0, counts: vec![5000; 2] };
        let due = Due::new(&trace, 1.0, &pace, Duration::ZERO, 3);
        due.take_while(|(at, _)| *at < Duration::from_secs(2)).collect()
    }

    fn count(due: &[(Duration, Ask)], route: Route) -> usize {
        due.iter().filter(|(_, ask)| ask.route() == route).count()
    }

    #[test]
    fn requests_come_in_order_and_follow_the_shares() {
        let due = asked(1.0);
        assert!(due.is_sorted_by_key(|(at, _)| *at));
        for route in Route::ALL {
            let share = count(&due, route) as f64 / 10_000.0;
            assert!((share - route.share()).abs() < 0.015, "{route:?}: {share}");
        }
    }

    #[test]
    fn a_machine_that_is_spared_gets_the_same_films() {
        let (all, few) = (asked(1.0), asked(0.1));
        let films = |due: &[(Duration, Ask)]| {
            due.iter().copied().filter(|(_, ask)| ask.route() == Route::Render).collect::<Vec<_>>()
        };
        assert_eq!(films(&all), films(&few));
        let (thumbs, fewer) = (count(&all, Route::Thumb), count(&few, Route::Thumb));
        assert!((0.08..0.12).contains(&(fewer as f64 / thumbs as f64)), "{fewer} of {thumbs}");
    }
}
