//! One load as a series: a count for each step, from the first to the last.
//!
//! A step without a row is not known when the file has counts of one load, which leave nothing out; it is empty when the
//! file has single requests, or counts by function, which list only those that were called.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use predictor::{
    forecast::STEP_S_MAX,
    trace::{Count, Record, Request},
};

use super::{
    super::input::{
        counts::{Gaps, Rows, check_span},
        traces::{self, Place},
    },
    shown,
};

/// Steps of a series, 16 bytes each: 15 months by the second, 76 years by the minute.
const STEPS_MAX: u64 = 40_000_000;

/// Most functions that a message lists.
const NAMES_MAX: usize = 5;

const SECOND_US: u64 = 1_000_000;

/// A load.
#[derive(Debug)]
pub(super) struct Series {
    /// Its name in reports.
    pub(super) name: String,
    /// When the first step began, in seconds since 1970.
    pub(super) start_s: u64,
    /// How long a step is.
    pub(super) step_s: u64,
    /// The count of each; `None` is not known.
    pub(super) counts: Vec<Option<u64>>,
    /// What was found in the files that a reader should know, a sentence each.
    pub(super) notes: Vec<String>,
}

impl Series {
    /// Returns how many requests it has.
    pub(super) fn total(&self) -> u64 {
        self.counts.iter().flatten().fold(0, |total, count| total.saturating_add(*count))
    }

    /// Returns the step that begins at `at_s`.
    pub(super) fn step_at(&self, at_s: u64) -> usize {
        (at_s.saturating_sub(self.start_s) / self.step_s) as usize
    }

    /// Returns when a step begins.
    pub(super) fn at_s(&self, step: usize) -> u64 {
        self.start_s + step as u64 * self.step_s
    }

    /// Writes how long it lasts.
    pub(super) fn lasts(&self) -> String {
        let seconds = self.counts.len() as u64 * self.step_s;
        if seconds < 2 * 86_400 {
            return shown(seconds);
        }
        format!("{:.1} days", seconds as f64 / 86_400.0)
    }
}

/// What is asked of the files.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// What the load is called.
    pub(super) name: String,
    /// Only this function's requests.
    pub(super) function: Option<&'a str>,
    /// By how much single requests are counted; a second unless said.
    pub(super) step_s: Option<u64>,
}

/// Reads the files as one series.
pub(super) fn read(places: &[Place], asked: &Asked<'_>) -> anyhow::Result<Series> {
    let step_s = asked.step_s.unwrap_or(1);
    ensure!(step_s <= STEP_S_MAX, "--step is {}, but a day is the longest", shown(step_s));
    let mut reader = Reader { function: asked.function, step_s, ..Reader::default() };
    let summary = traces::read(places, |_, record| reader.take(&record))?;
    let mut notes = summary.notes();
    let told = |problem: &str| {
        let all = std::iter::once(problem).chain(notes.iter().map(String::as_str));
        format!("{}: {}", asked.name, all.collect::<Vec<_>>().join("; "))
    };
    ensure!(
        reader.rows.is_empty() || reader.single == 0,
        told("some of it are requests, and some counts of them: forecast them apart")
    );
    ensure!(
        !reader.rows.is_empty() || reader.single != 0,
        told("there are no requests in it, nor counts of them")
    );
    reader.check_function().with_context(|| asked.name.clone())?;
    let function = reader.functions_note();
    let series = if reader.rows.is_empty() {
        reader.of_requests(&mut notes)
    } else {
        ensure!(
            asked.step_s.is_none(),
            "--step is for single requests, and {} has counts: they come in steps of their own, leave it out",
            asked.name
        );
        reader.of_counts(&mut notes)
    };
    let (start_s, step_s, counts) = series.with_context(|| asked.name.clone())?;
    notes.extend(function);
    let name = match asked.function {
        Some(function) => format!("{function} of {}", asked.name),
        None => asked.name.clone(),
    };
    Ok(Series { name, start_s, step_s, counts, notes })
}

/// When a series begins, how long its steps are, and their counts.
type Parts = (u64, u64, Vec<Option<u64>>);

/// Records while they are read.
#[derive(Debug, Default)]
struct Reader<'a> {
    function: Option<&'a str>,
    step_s: u64,
    /// Counts by step.
    rows: Rows,
    /// Single requests, by the number of their step.
    steps: BTreeMap<u64, u64>,
    single: u64,
    /// Requests of each function that was named.
    functions: BTreeMap<String, u64>,
}

impl Reader<'_> {
    fn take(&mut self, record: &Record<'_>) -> anyhow::Result<()> {
        match record {
            Record::Count(count) => {
                let Count { at_us, count: requests, function, .. } = *count;
                let is_asked = self.is_asked(function, requests);
                // The others' rows count nothing, but tell the step, and that nothing was left out.
                let row =
                    Count { at_us, count: if is_asked { requests } else { 0 }, ..Count::default() };
                self.rows.push("", &row)
            }
            Record::Request(request) => {
                self.single += 1;
                let Request { at_us, function, .. } = *request;
                let is_asked = self.is_asked(function, 1);
                *self.steps.entry(at_us / SECOND_US / self.step_s).or_default() +=
                    u64::from(is_asked);
                Ok(())
            }
            Record::Profile(_) => {
                bail!("it tells of functions, not of their requests: give the file of those")
            }
        }
    }

    /// Tells whether requests of `function` are asked for, and counts them.
    fn is_asked(&mut self, function: Option<&str>, requests: u64) -> bool {
        let Some(function) = function else { return self.function.is_none() };
        match self.functions.get_mut(function) {
            Some(known) => *known = known.saturating_add(requests),
            None => {
                self.functions.insert(function.to_owned(), requests);
            }
        }
        self.function.is_none_or(|asked| asked == function)
    }

    /// Refuses a function that is not there.
    fn check_function(&self) -> anyhow::Result<()> {
        let Some(asked) = self.function else { return Ok(()) };
        ensure!(
            !self.functions.is_empty(),
            "its requests do not say which function they are for: leave --function out"
        );
        if !self.functions.contains_key(asked) {
            bail!("there is no function `{asked}`; the busiest are {}", self.busiest());
        }
        Ok(())
    }

    fn functions_note(&self) -> Option<String> {
        (self.function.is_none() && 1 < self.functions.len()).then(|| {
            format!(
                "requests of {} functions are added up; --function NAME takes one, the busiest are {}",
                self.functions.len(),
                self.busiest()
            )
        })
    }

    fn busiest(&self) -> String {
        let mut functions: Vec<_> = self.functions.iter().collect();
        functions.sort_by_key(|(name, requests)| (u64::MAX - **requests, *name));
        let names = functions.iter().take(NAMES_MAX).map(|(name, _)| name.as_str());
        names.collect::<Vec<_>>().join(", ")
    }

    /// Makes a series of single requests.
    fn of_requests(self, notes: &mut Vec<String>) -> anyhow::Result<Parts> {
        let Self { steps, step_s, .. } = self;
        let (Some((first, _)), Some((last, _))) = (steps.first_key_value(), steps.last_key_value())
        else {
            bail!("there are no requests in it");
        };
        let (first, last) = (*first, *last);
        let mut counts = empty(first, last, step_s, Some(0))?;
        for (step, count) in steps {
            counts[(step - first) as usize] = Some(count);
        }
        if step_s == 1 {
            return Ok((first, step_s, counts));
        }
        // A log begins and ends within a step: what of it was logged would be taken for all of it.
        ensure!(
            2 < counts.len(),
            "the requests span {} steps of {}, of which the first and the last may not be whole: lower --step",
            counts.len(),
            shown(step_s)
        );
        counts.pop();
        counts.remove(0);
        notes.push("the first and the last step may not be whole, and are left out".to_owned());
        Ok(((first + 1) * step_s, step_s, counts))
    }

    /// Makes a series of counts.
    fn of_counts(self, notes: &mut Vec<String>) -> anyhow::Result<Parts> {
        let gaps = if self.functions.is_empty() { Gaps::Unknown } else { Gaps::Empty };
        let mut loads = self.rows.finish(1.0, gaps)?;
        notes.append(&mut loads.notes);
        let load = loads.by_name.into_values().next().unwrap_or_default();
        let (Some(first), Some(last)) = (load.steps().first(), load.steps().last()) else {
            bail!("there are no counts in it");
        };
        let us = first.us;
        ensure!(
            us.is_multiple_of(SECOND_US),
            "its rows are {} s apart, but a step is of whole seconds, one at least",
            us as f64 / SECOND_US as f64
        );
        let unknown = match gaps {
            Gaps::Unknown => None,
            Gaps::Empty => Some(0),
        };
        let mut counts = empty(first.at_us / us, last.at_us / us, us / SECOND_US, unknown)?;
        for step in load.steps() {
            counts[((step.at_us - first.at_us) / us) as usize] = Some(step.count);
        }
        Ok((first.at_us / SECOND_US, us / SECOND_US, counts))
    }
}

/// Returns the steps from number `first` to number `last`, as many as can be held.
fn empty(
    first: u64,
    last: u64,
    step_s: u64,
    filled: Option<u64>,
) -> anyhow::Result<Vec<Option<u64>>> {
    let [first_us, last_us] =
        [first, last].map(|step| step.saturating_mul(step_s).saturating_mul(SECOND_US));
    check_span(first_us, last_us)?;
    let steps = last - first + 1;
    ensure!(
        steps <= STEPS_MAX,
        "it spans {steps} steps of {}, but {STEPS_MAX} are the most: give less of it, or requests by a longer --step",
        shown(step_s)
    );
    Ok(vec![filled; steps as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(at_s: u64, function: Option<&'static str>, count: u64) -> Record<'static> {
        Record::Count(Count { at_us: at_s * SECOND_US, count, function, trigger: None })
    }

    fn request(at_s: u64, function: Option<&'static str>) -> Record<'static> {
        Record::Request(Request { at_us: at_s * SECOND_US + 5, function, ..Request::default() })
    }

    fn reader<'a>(function: Option<&'a str>, step_s: u64, records: &[Record<'_>]) -> Reader<'a> {
        let mut reader = Reader { function, step_s, ..Reader::default() };
        for record in records {
            reader.take(record).unwrap();
        }
        reader
    }

    #[test]
    fn a_step_without_a_row_is_not_known() {
        let rows = [60, 120, 180, 300].map(|at_s| count(at_s, None, at_s / 10));
        let mut notes = Vec::new();
        let series = reader(None, 1, &rows).of_counts(&mut notes).unwrap();
        assert_eq!(series, (60, 60, vec![Some(6), Some(12), Some(18), None, Some(30)]));
        assert_eq!(notes, ["1 steps are missing and taken as not known"]);
    }

    #[test]
    fn a_function_that_was_not_called_has_no_row_and_no_requests() {
        let rows = [
            count(60, Some("a"), 1),
            count(60, Some("b"), 10),
            count(120, Some("b"), 20),
            count(240, Some("a"), 4),
        ];
        for (function, counts) in [(None, [11, 20, 0, 4]), (Some("a"), [1, 0, 0, 4])] {
            let series = reader(function, 1, &rows).of_counts(&mut Vec::new()).unwrap();
            assert_eq!(series, (60, 60, counts.map(Some).to_vec()));
        }
        let told = reader(Some("c"), 1, &rows).check_function().unwrap_err().to_string();
        assert_eq!(told, "there is no function `c`; the busiest are b, a");
        assert!(reader(None, 1, &rows).functions_note().unwrap().contains("2 functions"));
    }

    #[test]
    fn requests_are_counted_and_steps_that_may_not_be_whole_left_out() {
        let rows = [130, 65, 121, 240, 65, 300].map(|at_s| request(at_s, None));
        let series = reader(None, 60, &rows).of_requests(&mut Vec::new()).unwrap();
        assert_eq!(series, (120, 60, [2, 0, 1].map(Some).to_vec()));
        let (start_s, step_s, counts) =
            reader(None, 1, &rows).of_requests(&mut Vec::new()).unwrap();
        assert_eq!((start_s, step_s, counts.len(), counts[0]), (65, 1, 236, Some(2)));
        let short = reader(None, 3_600, &rows).of_requests(&mut Vec::new());
        assert!(short.unwrap_err().to_string().contains("lower --step"));
    }

    #[test]
    fn what_spans_too_much_is_refused() {
        let rows = [request(0, None), request(2 * 366 * 86_400, None)];
        let told = reader(None, 1, &rows).of_requests(&mut Vec::new()).unwrap_err().to_string();
        assert!(told.contains("longer --step"), "{told}");
        assert!(reader(None, 60, &rows).of_requests(&mut Vec::new()).is_ok());
        let rows = [count(0, None, 1), count(60 * 366 * 86_400, None, 1)];
        let told = reader(None, 1, &rows).of_counts(&mut Vec::new()).unwrap_err().to_string();
        assert!(told.contains("years apart"), "{told}");
    }
}
