//! What is wrong with a policy: where, what, and how to mend it.
//!
//! A problem is text for a person. Loading collects all of them before it gives up, because mending one line at a time
//! and running again is what makes people hate configuration.

use std::{fmt, sync::Arc};

/// A place in one of the policy's files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was asked for.
    pub file: Arc<str>,
    /// Line, from 1; 0 when the file could not be read at all.
    pub line: u32,
    /// Column in characters, from 1; 0 when the file could not be read at all.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}", self.file),
            line => write!(out, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// One thing that is wrong, or that is legal but probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// Path of the field, such as `services.thumb.lambda.memory`; empty for the file as a whole.
    pub field: String,
    /// What is wrong, and the fix.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ", self.place)?;
        if !self.field.is_empty() {
            write!(out, "{}: ", self.field)?;
        }
        out.write_str(&self.message)
    }
}

/// All that is wrong with a policy: at least one problem, ordered by place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(out, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Returns the candidate that `word` was probably meant to be.
///
/// At most a third of the letters may differ, a swap of neighbours counting once: `memry` is `memory`, `spot` is nothing
/// like `ports`.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = word.chars().count().max(3) / 3;
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Counts the edits between two words: insertions, deletions, replacements, swaps of neighbours (optimal string
/// alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if 1 < i && 1 < j && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let fields = ["memory", "timeout", "arch", "function"];
        assert_eq!(did_you_mean("memry", fields), Some("memory"));
        assert_eq!(did_you_mean("tiemout", fields), Some("timeout"));
        assert_eq!(did_you_mean("arhc", fields), Some("arch"));
        assert_eq!(did_you_mean("fn", fields), None);
        assert_eq!(did_you_mean("colour", fields), None);
    }

    #[test]
    fn a_problem_without_a_line_names_the_file_alone() {
        let place = Place { file: "a.yaml".into(), line: 0, column: 0 };
        let problem = Problem { place, field: String::new(), message: "not found".into() };
        assert_eq!(problem.to_string(), "a.yaml not found");
    }
}
