//! Finds the step of counted arrivals, and holds the rest of the trace to it.
//!
//! A row says when its step began and not how long it is. The first rows are held until their distances tell; then each
//! row has to lie on the grid. A step without a row has no arrivals: rows of zeros are not made up, they are counted, so
//! that a gap of ten years costs nothing.

use std::collections::VecDeque;

/// How many distances between neighbouring steps tell the step.
const DISTANCES: usize = 1024;

/// How many rows are held for them at most: those of many functions share a time.
const HELD_MAX: usize = 1 << 20;

/// A distance is common when it is at least one in this many; rarer ones are strays, and do not make the step shorter.
const COMMON: usize = 32;

/// Passes on the rows that lie on the grid; they have to come in order of time, see [`super::Sorter`].
#[derive(Debug)]
pub struct Grid<T> {
    step: Step,
    held: VecDeque<(u64, T)>,
    /// Distances between the different times that are held.
    distances: Vec<u64>,
    newest_us: Option<u64>,
    /// The step that was passed on last.
    last_us: Option<u64>,
    missing: u64,
    repeated: u64,
    off: u64,
    first_off_us: Option<u64>,
}

/// What is known of the step.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// More rows are needed.
    Learning,
    /// Steps begin at `phase_us` and every `step_us` from there.
    Known { step_us: u64, phase_us: u64 },
    /// All rows share one time.
    Single,
}

impl<T> Default for Grid<T> {
    fn default() -> Self {
        Self {
            step: Step::Learning,
            held: VecDeque::new(),
            distances: Vec::new(),
            newest_us: None,
            last_us: None,
            missing: 0,
            repeated: 0,
            off: 0,
            first_off_us: None,
        }
    }
}

impl<T> Grid<T> {
    /// Takes a row in. [`Grid::pop`] is to be called until it is empty before the next one.
    pub fn push(&mut self, at_us: u64, row: T) {
        self.held.push_back((at_us, row));
        if !matches!(self.step, Step::Learning) {
            return;
        }
        if let Some(newest_us) = self.newest_us
            && newest_us < at_us
        {
            self.distances.push(at_us - newest_us);
        }
        self.newest_us = self.newest_us.max(Some(at_us));
        let enough = self.distances.len() == DISTANCES || self.held.len() == HELD_MAX;
        if enough && !self.distances.is_empty() {
            self.learn();
        }
    }

    /// Says that no more will come.
    pub fn finish(&mut self) {
        if matches!(self.step, Step::Learning) {
            self.learn();
        }
    }

    /// Takes out the next row, once the step is known. Rows off the grid are counted and left out.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        if matches!(self.step, Step::Learning) {
            return None;
        }
        loop {
            let (at_us, row) = self.held.pop_front()?;
            if let Step::Known { step_us, phase_us } = self.step {
                if at_us % step_us != phase_us
                    || self.last_us.is_some_and(|last_us| at_us < last_us)
                {
                    self.off += 1;
                    self.first_off_us.get_or_insert(at_us);
                    continue;
                }
                if let Some(last_us) = self.last_us.filter(|last_us| *last_us < at_us) {
                    self.missing += (at_us - last_us) / step_us - 1;
                }
            }
            self.repeated += u64::from(self.last_us == Some(at_us));
            self.last_us = Some(at_us);
            return Some((at_us, row));
        }
    }

    /// Takes as the step what all common distances are multiples of, and as its phase that of most rows.
    fn learn(&mut self) {
        self.distances.sort_unstable();
        let rare = self.distances.len() / COMMON;
        let common = self
            .distances
            .chunk_by(u64::eq)
            .filter(|equal| rare <= equal.len())
            .map(|equal| equal[0]);
        let step_us = common.fold(0, greatest_common_divisor);
        // When no two rows are equally far apart, there is nothing to call a stray.
        let step_us = if step_us == 0 {
            self.distances.iter().copied().fold(0, greatest_common_divisor)
        } else {
            step_us
        };
        self.distances = Vec::new();
        if step_us == 0 {
            self.step = Step::Single;
            return;
        }
        let mut phases: Vec<u64> = self.held.iter().map(|(at_us, _)| at_us % step_us).collect();
        phases.sort_unstable();
        let most = phases.chunk_by(u64::eq).max_by_key(|equal| equal.len());
        self.step = Step::Known { step_us, phase_us: most.map_or(0, |equal| equal[0]) };
    }

    /// Returns how long a step is; `None` before it is known, and when all rows share one time.
    pub fn step_us(&self) -> Option<u64> {
        match self.step {
            Step::Known { step_us, .. } => Some(step_us),
            Step::Learning | Step::Single => None,
        }
    }

    /// Returns how many steps between the first and the last had no row: they have no arrivals.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Returns how many rows had the time of the one before them: their arrivals add up. Of rows by function that is
    /// as it should be; else files may overlap.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Returns how many rows are left out because their time is not on the grid.
    pub fn off(&self) -> u64 {
        self.off
    }

    /// Returns the time of the first of them.
    pub fn first_off_us(&self) -> Option<u64> {
        self.first_off_us
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Passes times through a grid, and returns it beside what came out.
    fn pass(times: impl IntoIterator<Item = u64>) -> (Vec<u64>, Grid<()>) {
        let mut grid = Grid::default();
        let mut out = Vec::new();
        for at_us in times {
            grid.push(at_us, ());
            out.extend(std::iter::from_fn(|| grid.pop()).map(|(at_us, ())| at_us));
        }
        grid.finish();
        out.extend(std::iter::from_fn(|| grid.pop()).map(|(at_us, ())| at_us));
        (out, grid)
    }

    fn check(times: &[u64], step_us: Option<u64>, [missing, repeated, off]: [u64; 3]) {
        let (out, grid) = pass(times.iter().copied());
        assert_eq!(grid.step_us(), step_us, "{times:?}");
        assert_eq!(
            [grid.missing(), grid.repeated(), grid.off()],
            [missing, repeated, off],
            "{times:?}"
        );
        assert_eq!(out.len() as u64 + off, times.len() as u64);
    }

    #[test]
    fn the_step_is_found_in_the_rows() {
        check(&[0, 60, 120, 180], Some(60), [0, 0, 0]);
        check(&[53, 353, 653], Some(300), [0, 0, 0]);
        check(&[0, 60], Some(60), [0, 0, 0]);
        check(&[10, 70, 70, 130, 130, 130], Some(60), [0, 3, 0]);
        // A log that lists only minutes with requests.
        check(&[0, 120, 180, 360, 480], Some(60), [4, 0, 0]);
    }

    #[test]
    fn one_time_has_no_step() {
        check(&[], None, [0, 0, 0]);
        check(&[5], None, [0, 0, 0]);
        check(&[5, 5], None, [0, 1, 0]);
    }

    #[test]
    fn a_row_off_the_grid_is_counted_and_left_out() {
        // Among the rows that tell the step, the first of all included, and behind them.
        let times = [7]
            .into_iter()
            .chain((1..100).map(|n| n * 60))
            .chain([6_010])
            .chain((102..3000).map(|n| n * 60));
        let times: Vec<u64> = times.chain([200_001, 200_040]).collect();
        let (out, grid) = pass(times.iter().copied());
        assert_eq!((grid.step_us(), grid.off(), grid.first_off_us()), (Some(60), 3, Some(7)));
        assert_eq!(grid.missing(), 2 + (200_040 - 2999 * 60) / 60 - 1);
        assert_eq!(out.len(), times.len() - 3);
    }

    #[test]
    fn ten_years_without_a_row_cost_nothing() {
        let (out, grid) = pass((0..2000).chain([315_000_000]));
        assert_eq!(
            (out.len(), grid.step_us(), grid.missing()),
            (2001, Some(1), 315_000_000 - 2000)
        );
    }

    #[test]
    fn rows_of_many_functions_share_their_times() {
        let (out, grid) = pass((0..3_000_000_u64).map(|n| n / 1_500_000 * 60));
        assert_eq!((out.len(), grid.step_us()), (3_000_000, Some(60)));
    }

    proptest! {
        #[test]
        fn rows_are_conserved(mut times in prop::collection::vec(0..10_000_u64, 0..100)) {
            times.sort_unstable();
            let (out, grid) = pass(times.iter().copied());
            prop_assert_eq!(out.len() as u64 + grid.off(), times.len() as u64);
            prop_assert!(out.is_sorted());
        }
    }
}
