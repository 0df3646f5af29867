//! Who changed what: each change of policy, mode and capacity, and each order to freeze, in a file that is only added to.
//!
//! A line is a JSON object. With a directory as `state` they go to `audit.jsonl` there, which is put aside as
//! `audit.jsonl.1` when it has grown; otherwise to the log alone, where every one of them goes too. The last ones are kept
//! for `/audit`. What cannot be written is told once and is in the log: a full disk stops nobody.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions, rename},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
    thread::JoinHandle,
    time::SystemTime,
};

use serde_json::{Value, json};
use tracing::{info, warn};

use super::freeze::Order;
use crate::telemetry::access_log::rfc3339;

/// Entries that are kept for `/audit`.
const KEPT: usize = 1000;

/// Lines that wait for the disk; more than a gateway changes in an hour.
const WAITING_MAX: usize = 1000;

/// Bytes of a file before it is put aside: some fifty thousand lines.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// One change.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// When.
    pub(crate) at: SystemTime,
    /// Who: `operator (token)`, `pacer`, `file`.
    pub(crate) who: String,
    /// Of which kind: policy, mode, freeze, thaw, or that of a change of capacity.
    pub(crate) kind: &'static str,
    /// The service, where it is about one.
    pub(crate) service: Option<String>,
    /// What was changed, and why.
    pub(crate) what: String,
    /// Why it did not come about.
    pub(crate) error: Option<String>,
}

impl Entry {
    /// Returns it as it is written and shown.
    pub(crate) fn shown(&self) -> Value {
        json!({
            "at": rfc3339(self.at),
            "who": self.who,
            "kind": self.kind,
            "service": self.service,
            "what": self.what,
            "error": self.error,
        })
    }
}

impl Entry {
    /// An order to freeze, or to go on, that was given to `whom`.
    pub(crate) fn of_order(order: &Order, whom: &str) -> Self {
        let (kind, what) = if order.frozen {
            ("freeze", "capacity stays as it is")
        } else {
            ("thaw", "capacity follows the plans again")
        };
        let reason =
            if order.reason.is_empty() { String::new() } else { format!(": {}", order.reason) };
        Self {
            at: order.at(),
            who: order.by.to_string(),
            kind,
            service: None,
            what: format!("{what}{reason} (told to {whom})"),
            error: None,
        }
    }

    /// A policy that was read again: in force, or refused for its problems.
    pub(crate) fn of_policy(hash: &str, what: &str, problems: Option<&str>) -> Self {
        Self {
            at: SystemTime::now(),
            who: "policy file".to_owned(),
            kind: "policy",
            service: None,
            what: format!("{what} {hash}").trim_end().to_owned(),
            error: problems.map(str::to_owned),
        }
    }

    /// A service that another policy has in another mode.
    pub(crate) fn of_mode(service: &str, from: &str, to: &str) -> Self {
        Self {
            at: SystemTime::now(),
            who: "policy file".to_owned(),
            kind: "mode",
            service: Some(service.to_owned()),
            what: format!("{from} -> {to}"),
            error: None,
        }
    }
}

/// The last entries, and who writes them.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    entries: VecDeque<Entry>,
    writer: Option<SyncSender<String>>,
}

impl Audit {
    /// Writes to `audit.jsonl` in `directory` from the next entry on, on a thread of its own: disks may hang. The thread ends
    /// with this, when all is written.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn keep_in(&mut self, directory: &Path) -> io::Result<JoinHandle<()>> {
        let (sender, lines) = sync_channel(WAITING_MAX);
        let mut file = AuditFile { path: directory.join("audit.jsonl"), open: None, failed: false };
        let writer = std::thread::Builder::new().name("audit".to_owned());
        let writer = writer.spawn(move || lines.iter().for_each(|line: String| file.add(&line)))?;
        self.writer = Some(sender);
        Ok(writer)
    }

    /// Notes a change.
    pub(crate) fn add(&mut self, entry: Entry) {
        let Entry { who, kind, service, what, error, .. } = &entry;
        let (service, error) = (service.as_deref(), error.as_deref());
        info!(target: "pacer::audit", who, kind, service, error, "{what}");
        if let Some(writer) = &self.writer
            && writer.try_send(format!("{}\n", entry.shown())).is_err()
        {
            warn!("the disk is too slow for the audit log; a line is in this log alone");
        }
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// Returns the last `limit` entries, newest first.
    pub(crate) fn last(&self, limit: usize) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev().take(limit)
    }
}

/// The file, on its thread.
#[derive(Debug)]
struct AuditFile {
    path: PathBuf,
    /// Open, and how long it is.
    open: Option<(File, u64)>,
    failed: bool,
}

impl AuditFile {
    fn add(&mut self, line: &str) {
        match self.write(line) {
            Ok(()) => self.failed = false,
            Err(error) => {
                self.open = None;
                if !std::mem::replace(&mut self.failed, true) {
                    let path = self.path.display();
                    warn!(%path, %error, "the audit log cannot be written; its lines are in this log meanwhile");
                }
            }
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let (mut file, size) = match self.open.take() {
            Some((file, size)) if size < FILE_MAX => (file, size),
            Some(_) => {
                rename(&self.path, self.path.with_extension("jsonl.1"))?;
                (open(&self.path)?, 0)
            }
            None => {
                let file = open(&self.path)?;
                let size = file.metadata()?.len();
                (file, size)
            }
        };
        file.write_all(line.as_bytes())?;
        self.open = Some((file, size + line.len() as u64));
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn entry(what: &str) -> Entry {
        Entry {
            at: UNIX_EPOCH,
            who: "operator (token)".to_owned(),
            kind: "freeze",
            service: None,
            what: what.to_owned(),
            error: None,
        }
    }

    /// Adds entries to `audit.jsonl` in a directory, and waits until they are written.
    fn write(directory: &Path, whats: &[&str]) -> Audit {
        let mut audit = Audit::default();
        let writer = audit.keep_in(directory).unwrap();
        for what in whats {
            audit.add(entry(what));
        }
        audit.writer = None;
        writer.join().unwrap();
        audit
    }

    fn written(directory: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(directory.join("audit.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["what"].clone())
            .collect()
    }

    #[test]
    fn entries_are_added_to_the_file_and_the_last_are_shown() {
        let directory = tempfile::tempdir().unwrap();
        let audit = write(directory.path(), &["a \"reason\"\nof two lines", "b"]);
        write(directory.path(), &["after a restart"]);
        assert_eq!(
            written(directory.path()),
            ["a \"reason\"\nof two lines", "b", "after a restart"]
        );
        let last: Vec<_> = audit.last(1).map(|entry| &*entry.what).collect();
        assert_eq!(last, ["b"]);
    }

    #[test]
    fn a_place_that_cannot_be_written_loses_no_entry_that_is_shown_and_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("file");
        std::fs::write(&place, "").unwrap();
        assert_eq!(write(&place, &["a", "b"]).last(9).count(), 2);
        let mut file = AuditFile { path: place.join("audit.jsonl"), open: None, failed: false };
        file.add("{}\n");
        assert!(file.failed);
        std::fs::remove_file(&place).unwrap();
        file.add("{\"what\":\"c\"}\n");
        assert!(!file.failed);
        assert_eq!(written(&place), ["c"]);
    }

    #[test]
    fn what_is_kept_in_memory_is_bounded() {
        let mut audit = Audit::default();
        for number in 0..KEPT + 10 {
            audit.add(entry(&number.to_string()));
        }
        assert_eq!(audit.last(usize::MAX).count(), KEPT);
    }
}
