//! One hour of one service: 360 steps of ten seconds, each with what was asked in it, or not known.
//!
//! As bytes it is a version, then runs of steps that are known (how many are not known before it, how many it has, its
//! steps), then the seal. Requests and mean service times are written as differences to the step before: neighbouring
//! steps are alike, so that a step of a steady service takes two to four bytes. See `an_hour_is_small` for figures.

use super::bytes::{self, Unread};

/// How long a step is, in seconds: what the control loop plans by.
pub(crate) const STEP_S: u64 = 10;

/// Seconds of an hour.
pub(crate) const HOUR_S: u64 = 3_600;

/// Steps of an hour.
pub(crate) const STEPS: usize = (HOUR_S / STEP_S) as usize;

/// Most requests of a step, a billion a second: beyond is no load, but a counter that was read wrong.
pub(crate) const REQUESTS_MAX: u64 = 1_000_000_000 * STEP_S;

/// Most bytes of an hour: 360 steps of five bytes each for requests and time, one run, version and seal.
#[cfg(test)]
pub(crate) const BYTES_MAX: usize = STEPS * 10 + 8;

/// How these bytes are laid out.
const VERSION: u64 = 1;

/// A step that is not known.
const UNKNOWN: u64 = u64::MAX;

/// What a service was asked in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Requests; [`REQUESTS_MAX`] at most.
    pub(crate) requests: u64,
    /// Their mean service time in microseconds; 0 when there were none, or it is not known.
    pub(crate) mean_us: u32,
}

impl Step {
    /// Makes a step of requests, and the sum of their service times in microseconds.
    pub(crate) fn new(requests: u64, service_us: u64) -> Self {
        let mean_us = service_us.checked_div(requests).unwrap_or(0);
        let mean_us = u32::try_from(mean_us).unwrap_or(u32::MAX);
        Self { requests: requests.min(REQUESTS_MAX), mean_us }
    }
}

/// The steps of an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hour {
    requests: [u64; STEPS],
    mean_us: [u32; STEPS],
}

impl Default for Hour {
    /// An hour of which nothing is known.
    fn default() -> Self {
        Self { requests: [UNKNOWN; STEPS], mean_us: [0; STEPS] }
    }
}

impl Hour {
    /// Returns a step; `None` when it is not known.
    pub(crate) fn get(&self, step: usize) -> Option<Step> {
        let requests = self.requests[step];
        (requests != UNKNOWN).then_some(Step { requests, mean_us: self.mean_us[step] })
    }

    /// Writes a step down, in the place of what was known of it.
    pub(crate) fn set(&mut self, step: usize, to: Step) {
        self.requests[step] = to.requests.min(REQUESTS_MAX);
        self.mean_us[step] = if to.requests == 0 { 0 } else { to.mean_us };
    }

    /// Returns the steps that are known, by their place in the hour.
    pub(crate) fn known(&self) -> impl Iterator<Item = (usize, Step)> {
        (0..STEPS).filter_map(|step| self.get(step).map(|known| (step, known)))
    }

    /// Takes in the steps of `newer`, in the place of its own. Returns how many steps it had itself.
    pub(crate) fn replace(&mut self, newer: &Self) -> usize {
        let mut had = 0;
        for (step, known) in newer.known() {
            had += usize::from(self.get(step).is_some());
            self.set(step, known);
        }
        had
    }

    /// Takes in the steps of `other` that are not known here. Returns how many steps it had itself.
    pub(crate) fn fill(&mut self, other: &Self) -> usize {
        let mut had = 0;
        for (step, known) in other.known() {
            if self.get(step).is_some() {
                had += 1;
            } else {
                self.set(step, known);
            }
        }
        had
    }

    /// Writes it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(STEPS * 4);
        bytes::put(&mut out, VERSION);
        let (mut requests, mut mean_us) = (0, 0);
        let mut step = 0;
        while step < STEPS {
            let run = |from: usize, known: bool| {
                let steps = self.requests[from..].iter();
                steps.take_while(|requests| (**requests != UNKNOWN) == known).count()
            };
            let unknown = run(step, false);
            let known = run(step + unknown, true);
            if known == 0 {
                break;
            }
            bytes::put(&mut out, unknown as u64);
            bytes::put(&mut out, known as u64);
            step += unknown;
            for place in step..step + known {
                bytes::put_difference(&mut out, requests, self.requests[place]);
                requests = self.requests[place];
                if requests != 0 {
                    let to = u64::from(self.mean_us[place]);
                    bytes::put_difference(&mut out, mean_us, to);
                    mean_us = to;
                }
            }
            step += known;
        }
        bytes::seal(&mut out);
        out
    }

    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are not those of an hour, or of a version that came later.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unread> {
        let mut rest = bytes::unseal(bytes)?;
        match bytes::take(&mut rest)? {
            VERSION => {}
            newer => return Err(Unread::Newer(newer, VERSION)),
        }
        let mut hour = Self::default();
        let (mut requests, mut mean_us, mut step) = (0, 0, 0);
        while !rest.is_empty() {
            let (unknown, known) = (bytes::take(&mut rest)?, bytes::take(&mut rest)?);
            let fits = |count: u64| usize::try_from(count).ok().filter(|count| *count <= STEPS);
            let (Some(unknown), Some(known)) = (fits(unknown), fits(known)) else {
                return Err(Unread::Damaged("an hour has 360 steps"));
            };
            step += unknown;
            if known == 0 || STEPS < step + known {
                return Err(Unread::Damaged("an hour has 360 steps"));
            }
            for place in step..step + known {
                requests = bytes::take_difference(&mut rest, requests)?;
                if REQUESTS_MAX < requests {
                    return Err(Unread::Damaged("a step has more requests than can be"));
                }
                if requests != 0 {
                    mean_us = bytes::take_difference(&mut rest, mean_us)?;
                }
                let mean = u32::try_from(mean_us);
                let mean_us = mean.map_err(|_| Unread::Damaged("a service time is absurd"))?;
                hour.set(place, Step { requests, mean_us });
            }
            step += known;
        }
        Ok(hour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look like chance, and are the same each time.
    fn chance(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        }
    }

    fn check(hour: &Hour) -> usize {
        let bytes = hour.encode();
        assert_eq!(Hour::decode(&bytes).as_ref(), Ok(hour));
        assert!(bytes.len() <= BYTES_MAX, "{}", bytes.len());
        bytes.len()
    }

    #[test]
    fn every_hour_comes_back_and_zeros_are_not_gaps() {
        let mut hour = Hour::default();
        assert_eq!(check(&hour), 5);
        hour.set(0, Step::new(0, 0));
        hour.set(7, Step::new(3, 3_000));
        hour.set(359, Step { requests: REQUESTS_MAX, mean_us: u32::MAX });
        check(&hour);
        assert_eq!(hour.get(0), Some(Step::default()));
        assert_eq!(hour.get(1), None);
        for seed in 0..200 {
            let mut next = chance(seed);
            let (share, scale) = (next() % 5, 1 << (next() % 34));
            let mut hour = Hour::default();
            for step in 0..STEPS {
                if next() % 4 < share {
                    let mean_us = next() as u32;
                    hour.set(step, Step { requests: next() % scale, mean_us });
                }
            }
            check(&hour);
        }
    }

    #[test]
    fn an_hour_is_small() {
        // What was asked at a rate, with the chance of arrivals and of service times around 200 ms.
        let at = |rate: u64| {
            let (mut hour, mut next) = (Hour::default(), chance(rate));
            for step in 0..STEPS {
                let spread = (rate as f64).sqrt() * 2.0;
                let off = (next() % 1000) as f64 / 1000.0 - 0.5;
                let requests = (rate as f64 + spread * off).max(0.0) as u64;
                hour.set(step, Step { requests, mean_us: 190_000 + (next() % 20_000) as u32 });
            }
            check(&hour)
        };
        let sizes = [0, 10, 1_000, 100_000].map(at);
        assert!(
            sizes[0] < 400 && sizes[1] < 1_500 && sizes[2] < 1_700 && sizes[3] < 2_200,
            "{sizes:?}"
        );
        // The largest there is: every step far from the one before.
        let mut worst = Hour::default();
        for step in 0..STEPS {
            let (requests, mean_us) = if step % 2 == 0 { (REQUESTS_MAX, u32::MAX) } else { (1, 0) };
            worst.set(step, Step { requests, mean_us });
        }
        assert_eq!(check(&worst), BYTES_MAX);
        let mut backfilled = Hour::default();
        (0..STEPS).for_each(|step| backfilled.set(step, Step { requests: 50, mean_us: 200_000 }));
        assert!(check(&backfilled) < 740);
    }

    #[test]
    fn what_came_later_replaces_and_what_is_missing_is_filled() {
        let (mut old, mut new) = (Hour::default(), Hour::default());
        old.set(1, Step::new(1, 0));
        new.set(1, Step::new(2, 0));
        new.set(2, Step::new(3, 0));
        let mut replaced = old.clone();
        assert_eq!(replaced.replace(&new), 1);
        assert_eq!(replaced.get(1), Some(Step::new(2, 0)));
        assert_eq!(old.fill(&new), 1);
        assert_eq!((old.get(1), old.get(2)), (Some(Step::new(1, 0)), Some(Step::new(3, 0))));
    }

    #[test]
    fn what_is_no_hour_is_told() {
        let sealed = |body: &[u8]| {
            let mut bytes = body.to_vec();
            bytes::seal(&mut bytes);
            Hour::decode(&bytes).expect_err("it is no hour").to_string()
        };
        assert!(sealed(&[2]).contains("version 2, which a newer pacer wrote"));
        assert!(sealed(&[1, 0, 0]).contains("360 steps"));
        assert!(sealed(&[1, 200, 3, 1]).contains("360 steps"));
        assert!(sealed(&[1, 0, 2, 2]).contains("ends early"));
        assert!(sealed(&[]).contains("ends early"));
        assert!(Hour::decode(&[1, 2, 3, 4, 5, 6]).is_err());
    }

    #[test]
    fn a_mean_is_of_the_requests_there_were() {
        assert_eq!(Step::new(4, 1_000), Step { requests: 4, mean_us: 250 });
        assert_eq!(Step::new(0, 1_000), Step::default());
        assert_eq!(Step::new(1, u64::MAX).mean_us, u32::MAX);
        assert_eq!(Step::new(u64::MAX, 0).requests, REQUESTS_MAX);
    }
}
