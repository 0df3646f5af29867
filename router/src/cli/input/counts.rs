//! Counts by step: rows of a trace put in order, added up, scaled, and held to what can be reckoned with.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use predictor::{
    replay::{
        arrivals::{Scaled, Step},
        load::Load,
    },
    trace::{Count, Grid},
};

/// Rows that are kept, 24 bytes each.
const ROWS_MAX: usize = 100_000_000;

/// Requests of a load: five years at 6,000 a second. Beyond, counts are no longer exact, and hardly meant.
const REQUESTS_MAX: u128 = 1_000_000_000_000;

/// Longest step: a plan that is made by the second cannot be judged by counts of days.
const STEP_MAX_US: u64 = 86_400_000_000;

/// Longest time from the first to the last arrival.
const SPAN_MAX_US: u64 = 50 * 366 * 86_400_000_000;

/// Rows as they come.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: Vec<(u64, u32, u64)>,
    names: BTreeMap<String, u32>,
}

/// What a step without a row is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gaps {
    /// A step in which nothing came.
    Empty,
    /// A step of which nothing is known.
    Unknown,
}

/// Loads by whose they are, and what a reader of the report should know.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    pub(crate) by_name: BTreeMap<String, Load>,
    pub(crate) notes: Vec<String>,
}

impl Rows {
    /// Takes a row in; `name` is whose it is.
    pub(crate) fn push(&mut self, name: &str, count: &Count<'_>) -> anyhow::Result<()> {
        let next = self.names.len() as u32;
        let id = match self.names.get(name) {
            Some(id) => *id,
            None => *self.names.entry(name.to_owned()).or_insert(next),
        };
        if let Some((at_us, last, sum)) = self.rows.last_mut()
            && (*at_us, *last) == (count.at_us, id)
            && let Some(both) = sum.checked_add(count.count)
        {
            *sum = both;
            return Ok(());
        }
        ensure!(self.rows.len() < ROWS_MAX, "there are more than {ROWS_MAX} rows of counts");
        self.rows.push((count.at_us, id, count.count));
        Ok(())
    }

    /// Tells whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Makes loads of them, every count times `scale`; `gaps` is what their reader takes missing steps for.
    pub(crate) fn finish(mut self, scale: f64, gaps: Gaps) -> anyhow::Result<Loads> {
        self.rows.sort_unstable();
        let total: u128 = self.rows.iter().map(|row| u128::from(row.2)).sum();
        check_requests(total, scale)?;
        if let (Some(first), Some(last)) = (self.rows.first(), self.rows.last()) {
            check_span(first.0, last.0)?;
        }
        let mut grid: Grid<(u32, u64)> = Grid::default();
        let mut rows: Vec<Vec<(u64, u64)>> = vec![Vec::new(); self.names.len()];
        let mut pass = |grid: &mut Grid<(u32, u64)>| {
            while let Some((at_us, (id, count))) = grid.pop() {
                rows[id as usize].push((at_us, count));
            }
        };
        for (at_us, id, count) in self.rows.drain(..) {
            grid.push(at_us, (id, count));
            pass(&mut grid);
        }
        grid.finish();
        pass(&mut grid);
        let mut notes = Vec::new();
        if grid.off() != 0 {
            notes.push(format!(
                "{} rows do not fit the trace's steps and were left out",
                grid.off()
            ));
        }
        if grid.missing() != 0 {
            let taken = match gaps {
                Gaps::Empty => "empty",
                Gaps::Unknown => "not known",
            };
            notes.push(format!("{} steps are missing and taken as {taken}", grid.missing()));
        }
        let step_us = match grid.step_us() {
            Some(us) if us <= STEP_MAX_US => us,
            Some(us) => bail!(
                "its rows are {} days apart, but a step can be a day at most: are its timestamps right?",
                us / STEP_MAX_US
            ),
            None if self.names.is_empty() => 1_000_000,
            None => {
                notes.push("one row tells no step: it is taken as a second".to_owned());
                1_000_000
            }
        };
        let by_name = self.names.into_iter().map(|(name, id)| {
            let rows = std::mem::take(&mut rows[id as usize]);
            (name, Load::new(steps(rows, step_us, scale)))
        });
        Ok(Loads { by_name: by_name.collect(), notes })
    }
}

/// Refuses more requests than can be reckoned with.
pub(crate) fn check_requests(total: u128, scale: f64) -> anyhow::Result<()> {
    let scaled = total as f64 * scale;
    ensure!(
        scaled <= REQUESTS_MAX as f64,
        "{scaled:.1e} requests are more than {REQUESTS_MAX}, the most that can be reckoned with"
    );
    Ok(())
}

/// Refuses a trace that is longer than anything that was meant.
pub(crate) fn check_span(first_us: u64, last_us: u64) -> anyhow::Result<()> {
    let span_us = last_us.saturating_sub(first_us);
    ensure!(
        span_us <= SPAN_MAX_US,
        "its first and its last arrival are {} years apart, but 50 are the most: are its timestamps right?",
        span_us / (365 * 86_400_000_000)
    );
    Ok(())
}

/// Adds up rows of the same time, and scales them.
fn steps(rows: Vec<(u64, u64)>, us: u64, scale: f64) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(rows.len());
    for (at_us, count) in rows {
        match steps.last_mut() {
            Some(last) if last.at_us == at_us => last.count = last.count.saturating_add(count),
            _ => steps.push(Step { at_us, us, count }),
        }
    }
    Scaled::new(steps.into_iter(), scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[(u64, u64)]) -> Rows {
        let mut all = Rows::default();
        for &(second, count) in rows {
            let count = Count { at_us: second * 1_000_000, count, ..Count::default() };
            all.push("", &count).unwrap();
        }
        all
    }

    fn wrong(of: &[(u64, u64)], scale: f64) -> String {
        rows(of).finish(scale, Gaps::Empty).expect_err("it is absurd").to_string()
    }

    #[test]
    fn rows_stand_where_their_time_is_whenever_they_came() {
        let day = 86_400;
        let loads = rows(&[(day, 1), (day + 60, 2), (0, 3), (60, 4), (day, 5)])
            .finish(1.0, Gaps::Empty)
            .unwrap();
        let counts: Vec<_> = loads.by_name[""]
            .steps()
            .iter()
            .map(|step| (step.at_us / 1_000_000, step.count))
            .collect();
        assert_eq!(counts, [(0, 3), (60, 4), (day, 6), (day + 60, 2)]);
    }

    #[test]
    fn what_is_absurd_is_refused_with_a_reason() {
        assert!(wrong(&[(0, u64::MAX), (0, 5), (60, 3)], 1.0).contains("more than 1000000000000"));
        assert!(wrong(&[(0, 1_000_000), (60, 3)], 1e7).contains("more than 1000000000000"));
        let told = wrong(&[(0, 100), (10 * 365 * 86_400, 100)], 1.0);
        assert!(told.contains("3650 days apart"), "{told}");
        let told = wrong(&[(0, 1), (1, 1), (90 * 365 * 86_400, 1)], 1.0);
        assert!(told.contains("90 years apart"), "{told}");
    }

    #[test]
    fn one_row_is_a_second_and_says_so() {
        let loads = rows(&[(5, 7)]).finish(1.0, Gaps::Empty).unwrap();
        assert_eq!(loads.by_name[""].span_us(), Some((5_000_000, 6_000_000)));
        assert!(loads.notes[0].contains("taken as a second"));
    }
}
