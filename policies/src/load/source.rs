//! Where a policy's files and variables come from.
//!
//! The gateway implements [`Source`] over the disk; the one here holds everything in memory, for tests and dry runs.

use std::{collections::BTreeMap, io};

/// Where a policy's files and variables come from.
pub trait Source {
    /// Returns the text of the file `name`.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being read; the message is shown to the operator.
    fn read(&self, name: &str) -> io::Result<String>;

    /// Returns the names of the files that `pattern` matches (see [`glob_matches`]), sorted; none when nothing does.
    fn glob(&self, pattern: &str) -> Vec<String>;

    /// Returns the value of the environment variable `name`.
    fn env(&self, name: &str) -> Option<String>;
}

/// Files and variables in memory.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    /// Texts by file name.
    pub files: BTreeMap<String, String>,
    /// Values by variable name.
    pub env: BTreeMap<String, String>,
}

impl MemorySource {
    /// Returns a source with one file.
    pub fn file(name: &str, text: &str) -> Self {
        Self::default().with_file(name, text)
    }

    /// Adds a file.
    #[must_use]
    pub fn with_file(mut self, name: &str, text: &str) -> Self {
        self.files.insert(name.to_owned(), text.to_owned());
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }
}

impl Source for MemorySource {
    fn read(&self, name: &str) -> io::Result<String> {
        self.files
            .get(name)
            .cloned()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        self.files.keys().filter(|name| glob_matches(pattern, name)).cloned().collect()
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }
}

/// Tells whether `pattern` matches the whole of `name`: `*` stands for any characters but `/`, `?` for one of them.
///
/// As in a shell, neither matches a dot at the beginning of a file name: an editor's backup is no policy.
pub fn glob_matches(pattern: &str, name: &str) -> bool {
    let (patterns, names) = (pattern.split('/'), name.split('/'));
    patterns.clone().count() == names.clone().count()
        && patterns
            .zip(names)
            .all(|(pattern, name)| segment_matches(pattern.as_bytes(), name.as_bytes()))
}

/// Matches greedily, going back to the last `*` only: linear in the product of the lengths, never exponential.
fn segment_matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&wanted) if wanted == b'?' || wanted == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star_p, star_n)) = star else { return false };
                star = Some((star_p, star_n + 1));
                p = star_p + 1;
                n = star_n + 1;
            }
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_within_their_folder() {
        assert!(glob_matches("services/*.yaml", "services/a.yaml"));
        assert!(glob_matches("*/x-?.yaml", "team/x-1.yaml"));
        assert!(glob_matches("a*b*c", "aXbXbc"));
        assert!(!glob_matches("services/*.yaml", "services/deep/a.yaml"));
        assert!(!glob_matches("services/*.yaml", "services/.a.yaml"));
        assert!(!glob_matches("a*b", "ac"));
        assert!(!glob_matches("?", ""));
    }
}
