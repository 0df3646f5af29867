//! The policy's files and variables, from the disk and the environment.
//!
//! What a pattern matches is told by `policies`, so that a test in memory and the disk agree; here it is only walked, one
//! directory at a time. Links are followed.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use policies::load::{Loaded, Source, glob_matches, load};
use policies::problem::Problems;

mod reading;

pub(crate) use reading::{Reading, Stamp};

/// Bytes of one policy file: a policy of 1,000 routes has some 200 KB. Reading a wrong path, such as a log, must not fill
/// the memory.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// Reads from the disk and from the process's environment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FileSource;

/// A policy, and what it was read from.
#[derive(Debug)]
pub(crate) struct ReadPolicy {
    /// The policy.
    pub(crate) loaded: Loaded,
    /// What it was read from.
    pub(crate) reading: Reading,
}

/// Loads the policy `main` from `source`, and remembers what it was read from: also when it has problems, because what
/// mends them is a change of those files.
pub(crate) fn read_policy(
    main: &str,
    source: &dyn Source,
) -> Result<ReadPolicy, (Problems, Reading)> {
    let recorder = reading::Recorder::new(source);
    let result = load(main, &recorder);
    let reading = recorder.finish(main);
    match result {
        Ok(loaded) => Ok(ReadPolicy { loaded, reading }),
        Err(problems) => Err((problems, reading)),
    }
}

impl Source for FileSource {
    fn read(&self, name: &str) -> io::Result<String> {
        let metadata = fs::metadata(name)?;
        if metadata.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "it is a directory; name the policy's main file",
            ));
        }
        if FILE_MAX < metadata.len() {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it is larger than {FILE_MAX} bytes"),
            ));
        }
        fs::read_to_string(name)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let mut found = Vec::new();
        let root = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::new() };
        let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
        walk(&root, &parts, &mut found);
        found.sort_unstable();
        found
    }

    fn env(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }
}

/// Adds the files below `directory` whose path matches `parts`.
fn walk(directory: &Path, parts: &[&str], found: &mut Vec<String>) {
    let Some((part, rest)) = parts.split_first() else { return };
    if !part.contains(['*', '?']) {
        step(&directory.join(part), rest, found);
        return;
    }
    let here = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    // A directory that cannot be read matches nothing; loading then says that the pattern found no file.
    for entry in fs::read_dir(here).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if glob_matches(part, name) {
            step(&directory.join(name), rest, found);
        }
    }
}

fn step(path: &Path, rest: &[&str], found: &mut Vec<String>) {
    if !rest.is_empty() {
        walk(path, rest, found);
    } else if path.is_file()
        && let Some(path) = path.to_str()
    {
        found.push(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_finds_files_in_order_and_no_directories() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["teams/b/x.yaml", "teams/a/x.yaml", "teams/a/y.txt", "teams/.hidden/x.yaml"] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "").unwrap();
        }
        fs::create_dir(at("teams/a/z.yaml")).unwrap();
        let found = FileSource.glob(at("teams/*/*.yaml").to_str().unwrap());
        let expected: Vec<_> = ["teams/a/x.yaml", "teams/b/x.yaml"]
            .map(|name| at(name).to_str().unwrap().to_owned())
            .into();
        assert_eq!(found, expected);
        assert!(FileSource.glob(at("nowhere/*.yaml").to_str().unwrap()).is_empty());
        let error = FileSource.read(at("teams").to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("directory"), "{error}");
    }
}
