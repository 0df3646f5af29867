//! A DynamoDB table of the configuration.

use serde::Deserialize;

use super::Problems;

/// A DynamoDB table that is there from the start. Its keys are strings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The attribute that is the partition key.
    pub hash: String,
    /// The attribute that is the sort key, if there is one.
    #[serde(default)]
    pub range: Option<String>,
}

impl Table {
    pub(super) fn check(&self, name: &str, problems: &mut Problems) {
        let at = format!("tables.{name}");
        problems.unless(
            is_table_name(name),
            format!("{at}: a table's name has 3 to 255 letters, digits, -, _ and ."),
        );
        for key in [Some(&self.hash), self.range.as_ref()].into_iter().flatten() {
            problems.unless(
                (1..=255).contains(&key.len()),
                format!("{at}: a key's name has 1 to 255 bytes, not {}", key.len()),
            );
        }
        problems.unless(
            Some(&self.hash) != self.range.as_ref(),
            format!("{at}: `{}` is both hash and range", self.hash),
        );
    }
}

/// Whether a table may be called this (DynamoDB API reference, `CreateTable`).
pub(crate) fn is_table_name(text: &str) -> bool {
    (3..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
