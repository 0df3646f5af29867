//! Text becomes a policy here, and nowhere else.

use std::io;

use crate::{
    policy::Policy,
    problem::{Place, Problem, Problems},
};

/// Where a policy's files and variables come from: the disk in the gateway, memory in tests.
pub trait Source {
    /// Returns the text of the file `name`.
    fn read(&self, name: &str) -> io::Result<String>;
    /// Returns the names of the files that match `pattern`, sorted; none when nothing does.
    fn glob(&self, pattern: &str) -> Vec<String>;
    /// Returns the environment variable `name`.
    fn env(&self, name: &str) -> Option<String>;
}

/// A policy, and what loading it found.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// What is legal but probably not meant.
    pub warnings: Vec<Problem>,
    /// All files that were read, the main one first: what to watch for a reload.
    pub files: Vec<String>,
}

/// Loads the policy whose main file is `main`.
///
/// # Errors
///
/// All problems of all its files, ordered by place.
pub fn load(main: &str, source: &dyn Source) -> Result<Loaded, Problems> {
    let place = Place { file: main.into(), line: 0, column: 0 };
    let problem =
        |message: String| Problems(vec![Problem { place, field: String::new(), message }]);
    match source.read(main) {
        Err(error) => Err(problem(format!("cannot be read: {error}"))),
        Ok(_) => Err(problem("loading follows in the next commit".to_owned())),
    }
}
