//! Text becomes a policy here, and nowhere else.
//!
//! Files are read through a [`Source`], so that loading stays free of I/O: the gateway gives it the disk, tests give it
//! memory, a dry run may give it both. Everything that is wrong is collected before anything is refused.

mod build;
mod inherit;
mod source;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

pub use self::source::{MemorySource, Source, glob_matches};
use crate::{
    node,
    policy::Policy,
    problem::{Place, Problem, Problems},
    spec::{
        self, Spec,
        fields::{Sink, Written},
    },
};

/// A policy, and what loading it found.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// What is legal but probably not meant, ordered by place.
    pub warnings: Vec<Problem>,
    /// All files that were read, the main one first.
    pub files: Vec<String>,
    /// Where the gateway's own fields are written, by path.
    places: BTreeMap<&'static str, Place>,
}

impl Loaded {
    /// Returns where the gateway's own field `field` is written; the main file when it is not.
    pub(crate) fn place(&self, field: &str) -> Place {
        let main = || Place { file: self.files[0].as_str().into(), line: 0, column: 0 };
        self.places.get(field).cloned().unwrap_or_else(main)
    }
}

/// Files that one policy may consist of; more is a pattern gone wrong.
const FILES_MAX: usize = 1_000;

/// Loads the policy whose main file is `main`.
///
/// # Errors
///
/// All problems of all its files, at least one, ordered by file and place. Only what hides behind another problem (the
/// rest of a file that is not YAML, checks between a field and one that cannot be read) is left for the next run.
pub fn load(main: &str, source: &dyn Source) -> Result<Loaded, Problems> {
    let mut gathering = Gathering::new(source);
    let spec = gathering.gather(main);
    let Gathering { sink, warnings, files, incomplete, .. } = gathering;
    let places = spec.global.places();
    let policy = build::build(spec, main, incomplete, &sink, &warnings);
    let problems = sink.into_problems(&files);
    match policy {
        Some(policy) if problems.is_empty() => {
            Ok(Loaded { policy, warnings: warnings.into_problems(&files), files, places })
        }
        _ => {
            debug_assert!(!problems.is_empty(), "a policy is only missing for a reason");
            Err(Problems(problems))
        }
    }
}

/// All files of a policy on their way into one specification.
struct Gathering<'s> {
    source: &'s dyn Source,
    sink: Sink,
    warnings: Sink,
    /// Names of the files in the order they were read.
    files: Vec<String>,
    seen: HashSet<String>,
    /// A file could not be read as YAML: names that seem unknown may stand in it.
    incomplete: bool,
}

impl<'s> Gathering<'s> {
    fn new(source: &'s dyn Source) -> Self {
        Self {
            source,
            sink: Sink::default(),
            warnings: Sink::default(),
            files: vec![],
            seen: HashSet::new(),
            incomplete: false,
        }
    }

    /// Reads `main` and everything it includes.
    fn gather(&mut self, main: &str) -> Spec {
        let mut all = self.file(main, true, None).unwrap_or_default();
        let mut pending: Vec<Written<String>> = std::mem::take(&mut all.include);
        pending.reverse();
        while let Some(include) = pending.pop() {
            for name in self.included(&include) {
                if self.seen.contains(&name) {
                    continue;
                }
                if self.files.len() == FILES_MAX {
                    include.problem(
                        &self.sink,
                        format!("more than {FILES_MAX} files; narrow the pattern"),
                    );
                    return all;
                }
                let Some(spec) = self.file(&name, false, Some(&include)) else { continue };
                pending.extend(spec.include.into_iter().rev());
                all.services.extend(spec.services);
                all.routes.extend(spec.routes);
                all.events.extend(spec.events);
            }
        }
        all
    }

    /// Returns the names of the files that an `include` entry stands for; relative to the file that holds it.
    fn included(&self, include: &Written<String>) -> Vec<String> {
        let folder =
            include.place.file.rfind('/').map_or("", |slash| &include.place.file[..=slash]);
        let pattern = match &*include.value {
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            relative => without_dots(&format!("{folder}{relative}")),
        };
        if !pattern.contains(['*', '?']) {
            return vec![pattern];
        }
        let names = self.source.glob(&pattern);
        if names.is_empty() {
            include.problem(&self.warnings, format!("no file matches `{pattern}`"));
        }
        names
    }

    /// Reads one file; notes what is wrong with it.
    fn file(&mut self, name: &str, main: bool, include: Option<&Written<String>>) -> Option<Spec> {
        self.seen.insert(name.to_owned());
        let file: Arc<str> = name.into();
        let text = match self.source.read(name) {
            Ok(text) => text,
            Err(error) => {
                self.incomplete = true;
                if let Some(include) = include {
                    include.problem(&self.sink, format!("cannot read `{name}`: {error}"));
                } else {
                    let place = Place { file, line: 0, column: 0 };
                    self.sink.add(place, "", format!("cannot be read: {error}"));
                }
                return None;
            }
        };
        self.files.push(name.to_owned());
        let mut root = match node::parse(&file, &text) {
            Ok(root) => root,
            Err(problem) => {
                self.incomplete = true;
                self.sink.push(problem);
                return None;
            }
        };
        let mut unset = vec![];
        node::expand(&mut root, "", &|name| self.source.env(name), &mut unset);
        for problem in unset {
            self.sink.push(problem);
        }
        Some(spec::read(&root, main, &self.sink))
    }
}

/// Resolves `.` and `..` in a file name by its text, so that a file has one name and is read once.
fn without_dots(name: &str) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in name.split('/') {
        match (part, parts.last()) {
            (".", _) => {}
            ("..", Some(&parent)) if parent != ".." && !parent.is_empty() => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
