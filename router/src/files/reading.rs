//! What a policy was read from: which files, in which state, and a hash over all of it.
//!
//! The state of a file is its identity, times and size as the system tells them: following links, so that a file behind a
//! link that now leads elsewhere (as Kubernetes swaps a ConfigMap) is another, and so is one that an editor put in its
//! place under the same name.

use std::{
    cell::RefCell, collections::BTreeMap, fmt::Write as _, fs, io, os::unix::fs::MetadataExt,
};

use policies::load::Source;
use sha2::{Digest, Sha256};

use super::FileSource;

/// Hex digits of a policy's hash that are shown: as many as people are used to from git.
const HASH_DIGITS: usize = 12;

/// What a policy was read from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    /// The main file, as it was asked for.
    pub(crate) main: String,
    /// Over the names and texts of all files and the variables used: equal when the policy is the same.
    pub(crate) hash: String,
    /// In which state that was.
    pub(crate) stamp: Stamp,
}

impl Reading {
    /// Looks at the same files and patterns again.
    pub(crate) fn look(&self) -> Stamp {
        Stamp {
            files: self
                .stamp
                .files
                .keys()
                .map(|name| (name.clone(), FileStamp::of(name)))
                .collect(),
            globs: self
                .stamp
                .globs
                .keys()
                .map(|pattern| (pattern.clone(), FileSource.glob(pattern)))
                .collect(),
        }
    }
}

/// The state of some files and patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// By name; `None` for what is not there.
    files: BTreeMap<String, Option<FileStamp>>,
    /// What each pattern matches.
    globs: BTreeMap<String, Vec<String>>,
}

/// The state of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Set by the system on every change of content or name, and by nobody else.
    changed: (i64, i64),
}

impl FileStamp {
    fn of(name: &str) -> Option<Self> {
        let metadata = fs::metadata(name).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Reads from another source and remembers what.
pub(super) struct Recorder<'s> {
    source: &'s dyn Source,
    record: RefCell<(Stamp, Sha256)>,
}

impl<'s> Recorder<'s> {
    pub(super) fn new(source: &'s dyn Source) -> Self {
        Self { source, record: RefCell::default() }
    }

    pub(super) fn finish(self, main: &str) -> Reading {
        let (stamp, hash) = self.record.into_inner();
        let mut hex = String::new();
        for byte in &hash.finalize()[..HASH_DIGITS / 2] {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Reading { main: main.to_owned(), hash: hex, stamp }
    }

    fn hash(&self, parts: [&str; 2]) {
        for part in parts {
            // With its length, so that no two lists of parts run together into one text.
            let hash = &mut self.record.borrow_mut().1;
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
}

impl Source for Recorder<'_> {
    fn read(&self, name: &str) -> io::Result<String> {
        // Before reading: a change in between is then seen as one that comes after.
        let stamp = FileStamp::of(name);
        self.record.borrow_mut().0.files.insert(name.to_owned(), stamp);
        let text = self.source.read(name)?;
        self.hash([name, &text]);
        Ok(text)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let names = self.source.glob(pattern);
        self.record.borrow_mut().0.globs.insert(pattern.to_owned(), names.clone());
        names
    }

    fn env(&self, name: &str) -> Option<String> {
        let value = self.source.env(name);
        self.hash([name, value.as_deref().unwrap_or_default()]);
        value
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, path::Path};

    use super::*;
    use crate::files::read_policy;

    const POLICY: &str = "version: 1\nservices: { a: { container: { upstreams: [http://a], requests_per_task: 1 } } }\n\
                          routes: [{ match: {}, service: a }]\n";

    fn read(main: &Path) -> Reading {
        match read_policy(main.to_str().unwrap(), &FileSource) {
            Ok(read) => read.reading,
            Err((_, reading)) => reading,
        }
    }

    #[test]
    fn every_way_to_change_a_policy_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let main = at("policy.yaml");
        fs::create_dir_all(at("v1")).unwrap();
        fs::create_dir_all(at("v2")).unwrap();
        symlink(at("v1"), at("data")).unwrap();
        fs::write(&main, format!("{POLICY}include: [data/*.yaml, gone.yaml]\n")).unwrap();
        let mut reading = read(&main);
        let mut changed = |what: &str| {
            assert_ne!(reading.look(), reading.stamp, "{what}");
            reading = read(&main);
            assert_eq!(reading.look(), reading.stamp, "{what}: looked at twice");
        };
        let text = fs::read_to_string(&main).unwrap();
        fs::write(&main, &text).unwrap();
        changed("written in place, with the same text");
        fs::write(at("new"), &text).unwrap();
        fs::rename(at("new"), &main).unwrap();
        changed("another file under its name");
        fs::write(at("v1/a.yaml"), "").unwrap();
        changed("a file that the pattern now matches");
        fs::write(at("v2/a.yaml"), "").unwrap();
        symlink(at("v2"), at("tmp")).unwrap();
        fs::rename(at("tmp"), at("data")).unwrap();
        changed("a link that leads elsewhere");
        fs::write(at("gone.yaml"), "").unwrap();
        changed("a file that was missing");
        fs::remove_file(at("v2/a.yaml")).unwrap();
        changed("a file that went");
    }

    #[test]
    fn the_hash_is_that_of_the_text() {
        let directory = tempfile::tempdir().unwrap();
        let main = directory.path().join("policy.yaml");
        fs::write(&main, POLICY).unwrap();
        let first = read(&main);
        assert_eq!(first.hash.len(), HASH_DIGITS);
        fs::write(&main, POLICY).unwrap();
        assert_eq!(read(&main).hash, first.hash);
        fs::write(&main, format!("{POLICY}# more\n")).unwrap();
        assert_ne!(read(&main).hash, first.hash);
    }
}
