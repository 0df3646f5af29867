//! A directory as a store: one redb file, in which every service's hour is a record, and every memo.
//!
//! redb because it is a plain crate without C, writes a batch whole or not at all (a process that is killed, or a machine
//! that loses power, leaves the last batch that was committed), and holds the file by a lock that ends with its process.
//! It is checked whole when it is opened: redb trusts the pages of a file that was closed well, and a disk may not have
//! kept them.
//!
//! How large it grows: an hour of a service is 3.6 kB at worst, 1.5 kB at a steady rate (`an_hour_is_small`), and 35 days
//! are 841 hours: see `what_is_kept_is_bounded` for what that makes with redb's pages.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableHandle};

use policies::cost::PicoUsd;

use super::{
    DAYS, Loaded,
    batch::{Batch, Merge, Merged, merge},
    bytes::Unread,
    hour::{HOUR_S, Hour},
    memo::{self, Kind, Memos, Take},
};

/// The file's name in the directory.
pub(crate) const FILE: &str = "history.redb";

/// Hour since 1970 and service: the steps. The hour comes first, so that what is too old is one range.
const HOURS: TableDefinition<(u64, &str), &[u8]> = TableDefinition::new("hours");

/// Kind and name of a memo: what is remembered.
const MEMOS: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("memos");

/// What the file says of itself.
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("pacer-history");

/// How this file is laid out.
const VERSION: u64 = 1;

/// Bytes of pages that are held in memory: a minute's records are some pages, and the whole is read once.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// The open file.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// `None` once it is closed.
    database: Option<Database>,
}

/// Why a directory is no store, now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Another process has it.
    #[error(
        "{0} is held open by another pacer: give each gateway a `state` of its own, or end the other one"
    )]
    Held(String),
    /// A newer Pacer wrote it.
    #[error(
        "{0} is of version {1}, which a newer pacer wrote, and is left alone; this one reads version {VERSION}"
    )]
    Newer(String, u64),
    /// It is not what was written.
    #[error("{0} is damaged, or no history of pacer: {1}")]
    Damaged(String, String),
    /// It cannot be read or written.
    #[error("{0}: {1}")]
    Io(String, String),
}

impl Directory {
    /// Opens the store of `directory`, and makes one where there is none.
    pub(crate) fn open(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(FILE);
        let name = path.display().to_string();
        let io = |error: io::Error| Failure::Io(name.clone(), error.to_string());
        fs::create_dir_all(directory).map_err(io)?;
        let database = guarded(&name, || {
            let mut database = Database::builder().set_cache_size(CACHE_BYTES).create(&path)?;
            database.check_integrity()?;
            begin(&name, &database)?;
            Ok(database)
        })?;
        Ok(Self { path, database: Some(database) })
    }

    /// Puts the file of `directory` aside, so that another can be made. Returns its new name.
    pub(crate) fn set_aside(directory: &Path, now_s: u64) -> io::Result<PathBuf> {
        let path = directory.join(FILE);
        let aside = (0..).map(|again: u32| {
            let number = if again == 0 { String::new() } else { format!("-{again}") };
            directory.join(format!("{FILE}.damaged-{now_s}{number}"))
        });
        let aside = aside.into_iter().find(|path| !path.exists()).expect("there are names enough");
        fs::rename(&path, &aside).map(|()| aside)
    }

    /// Returns the file's name, for messages.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads the hours from `from` to `until`, both included.
    pub(crate) fn load(&self, from: u64, until: u64) -> Result<Loaded, Failure> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(HOURS)?;
            let mut loaded = Loaded { complete: true, ..Loaded::default() };
            for record in table.range((from, "")..(until + 1, ""))? {
                let (key, record) = record?;
                let (hour, service) = key.value();
                loaded.take_in(service, hour, record.value());
            }
            for record in database.begin_read()?.open_table(MEMOS)?.iter()? {
                let (key, record) = record?;
                let (kind, name) = key.value();
                if let Some(kind) = Kind::named(kind) {
                    loaded.take_in_memo(kind, name, record.value());
                }
            }
            Ok(loaded)
        })
    }

    /// Writes memos on `day`, all or none. One that a newer Pacer wrote is left alone.
    pub(crate) fn keep(&self, memos: &Memos, day: u64) -> Result<(), Failure> {
        self.with(|database| {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(MEMOS)?;
                for ((kind, name), memo) in memos {
                    let key = (kind.as_str(), &**name);
                    let is_newer = table.get(key)?.is_some_and(|record| {
                        matches!(memo::decode(record.value()), Err(Unread::Newer(..)))
                    });
                    if !is_newer {
                        table.insert(key, &*memo::encode(day, memo))?;
                    }
                }
            }
            write.commit()?;
            Ok(())
        })
    }

    /// Takes from a budget; what is given is on the disk as taken when this returns.
    pub(crate) fn take(&self, take: &Take, day: u64) -> Result<PicoUsd, Failure> {
        self.with(|database| {
            let write = database.begin_write()?;
            let given = {
                let mut table = write.open_table(MEMOS)?;
                let key = (Kind::Spend.as_str(), &*take.name);
                let taken = take.from(table.get(key)?.as_ref().map(redb::AccessGuard::value));
                let (memo, given) = taken.map_err(|why| match why {
                    Unread::Newer(version, _) => Failure::Newer(self.name(), version),
                    damaged @ Unread::Damaged(_) => {
                        Failure::Damaged(self.name(), damaged.to_string())
                    }
                })?;
                table.insert(key, &*memo::encode(day, &memo))?;
                given
            };
            write.commit()?;
            Ok(given)
        })
    }

    /// Writes a batch, whole or not at all; it is on the disk when this returns.
    pub(crate) fn merge(&self, batch: &Batch, how: Merge) -> Result<Merged, Failure> {
        self.with(|database| {
            let write = database.begin_write()?;
            let mut all = Merged::default();
            {
                let mut table = write.open_table(HOURS)?;
                for (number, service, hour) in batch.hours() {
                    let key = (number, &**service);
                    let mut damaged = 0;
                    let stored = match table.get(key)? {
                        None => None,
                        Some(record) => match Hour::decode(record.value()) {
                            Ok(stored) => Some(stored),
                            Err(Unread::Damaged(_)) => {
                                damaged = 1;
                                None
                            }
                            Err(Unread::Newer(version, _)) => {
                                return Err(Failure::Newer(self.name(), version).into());
                            }
                        },
                    };
                    let mut stored = stored.unwrap_or_default();
                    all += Merged { damaged, ..merge(&mut stored, hour, how) };
                    table.insert(key, &*stored.encode())?;
                }
            }
            write.commit()?;
            Ok(all)
        })
    }

    /// Forgets what is before hour `before`, and memos of that age.
    pub(crate) fn prune(&self, before: u64) -> Result<(), Failure> {
        self.with(|database| {
            let write = database.begin_write()?;
            write.open_table(HOURS)?.retain_in((0, "")..(before, ""), |_, _| false)?;
            let today = before / 24 + DAYS;
            write.open_table(MEMOS)?.retain(|_, record| !memo::is_forgotten(record, today))?;
            write.commit()?;
            Ok(())
        })
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, Trouble>) -> Result<T, Failure> {
        let database = self.database.as_ref().expect("it is closed when it is dropped");
        guarded(&self.name(), || work(database))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let database = self.database.take();
        // What a broken file makes of closing it is told when it is opened again.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}

/// Returns the first hour that is kept at `now_s`, when `days` are.
pub(super) fn first_hour(now_s: u64, days: u64) -> u64 {
    (now_s / HOUR_S).saturating_sub(days * 24)
}

/// Says in a new file what it is, and asks a known one.
fn begin(name: &str, database: &Database) -> Result<(), Trouble> {
    let write = database.begin_write()?;
    let tables: Vec<String> = write.list_tables()?.map(|table| table.name().to_owned()).collect();
    // First of all: what tables a newer version has is not known here.
    if tables.iter().any(|table| table == ABOUT.name())
        && let Some(newer) = write.open_table(ABOUT)?.get("version")?.map(|version| version.value())
        && VERSION < newer
    {
        return Err(Failure::Newer(name.to_owned(), newer).into());
    }
    let known = [HOURS.name(), MEMOS.name(), ABOUT.name()];
    let foreign = tables.iter().any(|table| !known.contains(&&**table));
    if foreign || write.list_multimap_tables()?.next().is_some() {
        return Err(
            Failure::Damaged(name.to_owned(), "it has tables of another program".into()).into()
        );
    }
    {
        let mut about = write.open_table(ABOUT)?;
        let version = about.get("version")?.map(|version| version.value());
        match version {
            None => {
                about.insert("version", VERSION)?;
            }
            Some(VERSION) => {}
            Some(newer) => return Err(Failure::Newer(name.to_owned(), newer).into()),
        }
        write.open_table(HOURS)?;
        write.open_table(MEMOS)?;
    }
    write.commit()?;
    Ok(())
}

/// What redb says, or we.
enum Trouble {
    Ours(Failure),
    Redb(redb::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Ours(failure)
    }
}

macro_rules! from_redb {
    ($($error:ident)*) => {
        $(impl From<redb::$error> for Trouble {
            fn from(error: redb::$error) -> Self {
                Self::Redb(error.into())
            }
        })*
    };
}

from_redb! { DatabaseError TransactionError TableError StorageError CommitError }

/// Runs work on a file whose pages may be anything: redb asserts what only a damaged file breaks.
fn guarded<T>(name: &str, work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Failure> {
    let damaged = |what: String| Failure::Damaged(name.to_owned(), what);
    let trouble = match catch_unwind(AssertUnwindSafe(work)) {
        Err(_) => return Err(damaged("its pages contradict each other".to_owned())),
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(Trouble::Ours(failure))) => return Err(failure),
        Ok(Err(Trouble::Redb(error))) => error,
    };
    Err(match trouble {
        redb::Error::DatabaseAlreadyOpen => Failure::Held(name.to_owned()),
        redb::Error::UpgradeRequired(version) => {
            damaged(format!("its pages are of redb's format {version}"))
        }
        // How redb says that a file does not begin as its files do, or ends early.
        redb::Error::Io(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            damaged(error.to_string())
        }
        redb::Error::Corrupted(_)
        | redb::Error::RepairAborted
        | redb::Error::ValueTooLarge(_)
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableIsNotMultimap(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::LockPoisoned(_) => damaged(trouble.to_string()),
        other => Failure::Io(name.to_owned(), other.to_string()),
    })
}
