//! The thread that waits for the store, so that nobody else does.
//!
//! It has a runtime of its own: a disk that hangs, and a bucket that answers slowly, hold up this thread and nothing of
//! the control loop's. A directory is written with every batch, a bucket every five minutes and at the end (a `PUT` is
//! billed, and writes the whole day). What failed is kept, in bounds, and tried again with a growing pause.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use anyhow::Context;
use aws_config::SdkConfig;
use policies::{cost::PicoUsd, policy::State};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};
use tracing::{info, warn};

use super::{
    DAYS, Health, Loaded,
    batch::{Batch, HOURS_MAX, Merge, Merged},
    bucket::Bucket,
    directory::{Directory, Failure, first_hour},
    hour::HOUR_S,
    memo::{Memos, Take},
};
use crate::control::pace::Pace;

/// Time between two writes to a bucket: what a task that dies without a signal forgets. An hour of a service's day is
/// written twelve times then, at 0.000005 USD a `PUT`: 4 cents a month.
const PUT_EVERY: Duration = Duration::from_mins(5);

/// How long a start may wait for a bucket.
const LOAD_MAX: Duration = Duration::from_secs(30);

/// Pause after the first failure; it doubles up to a minute.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How far the clock may run ahead of the time that passed before nothing is forgotten by it any more.
const CLOCK_AHEAD_S: u64 = 3_600;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    /// To be written.
    Save(Parcel),
    /// A memo to be written at once, and whom to tell how that went.
    Note(Memos, oneshot::Sender<Result<(), String>>),
    /// A budget to take from, and whom to tell what was given.
    Take(Take, oneshot::Sender<Result<PicoUsd, String>>),
    /// The last to be written, and whom to tell.
    Close(Parcel, oneshot::Sender<()>),
}

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    pub(super) batch: Batch,
    pub(super) memos: Memos,
    /// What is left of budgets that were taken from.
    pub(super) back: Vec<Take>,
    /// This gateway leads: of a bucket, it forgets what is too old.
    pub(super) leads: bool,
}

/// A place where history is kept, to be read and written at once; commands use it without a thread.
#[derive(Debug)]
pub(crate) enum Store {
    /// A directory, and its file when that is open.
    Directory(PathBuf, Option<Directory>),
    /// A bucket.
    Bucket(Bucket),
}

impl Store {
    /// Makes the store of a policy. Nothing is opened yet.
    ///
    /// # Errors
    /// When it is a bucket, and `aws` is not given.
    pub(crate) fn new(state: &State, aws: Option<&SdkConfig>) -> anyhow::Result<Self> {
        Ok(match state {
            State::Directory(path) => Self::Directory(path.clone(), None),
            State::S3 { bucket, prefix } => {
                let aws = aws.context("a bucket as `state` needs AWS settings")?;
                Self::Bucket(Bucket::new(aws, bucket, prefix))
            }
        })
    }

    /// Returns its name, for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Directory(path, _) => path.join(super::directory::FILE).display().to_string(),
            Self::Bucket(bucket) => bucket.name(),
        }
    }

    /// Opens it, when that is not done yet. A damaged file is set aside, and a new one begun; told, and returned as a note.
    pub(crate) fn open(&mut self) -> Result<(), Failure> {
        let Self::Directory(path, open) = self else { return Ok(()) };
        if open.is_some() {
            return Ok(());
        }
        let opened = match Directory::open(path) {
            Err(damaged @ Failure::Damaged(..)) => {
                let io =
                    |error: std::io::Error| Failure::Io(damaged.to_string(), error.to_string());
                let aside = Directory::set_aside(path, now_s()).map_err(io)?;
                warn!(error = %damaged, aside = %aside.display(), "history is set aside, and begun anew");
                Directory::open(path)?
            }
            opened => opened?,
        };
        *open = Some(opened);
        Ok(())
    }

    /// Reads the hours from `from` to `until`, both included.
    pub(crate) async fn load(&mut self, from: u64, until: u64) -> Result<Loaded, String> {
        self.open().map_err(|failure| failure.to_string())?;
        match self {
            Self::Directory(_, open) => {
                let directory = open.as_ref().expect("it was opened just now");
                let loaded = directory.load(from, until);
                loaded.map_err(|failure| self.failed(&failure))
            }
            Self::Bucket(bucket) => bucket.load(from / 24..=until / 24).await,
        }
    }

    /// Writes a batch. What could not be written is in the batch again.
    pub(crate) async fn save(&mut self, batch: &mut Batch, how: Merge) -> Result<Merged, String> {
        self.open().map_err(|failure| failure.to_string())?;
        let mut all = Merged::default();
        match self {
            Self::Directory(_, open) => {
                let directory = open.as_ref().expect("it was opened just now");
                match directory.merge(batch, how) {
                    Ok(merged) => {
                        all = merged;
                        *batch = Batch::default();
                    }
                    Err(failure) => return Err(self.failed(&failure)),
                }
            }
            Self::Bucket(bucket) => {
                while let Some(day) = batch.first_day() {
                    let part = batch.take_day(day);
                    match bucket.merge(day, &part, how, now_s()).await {
                        Ok(merged) => all += merged,
                        Err(error) => {
                            batch.take_in(part);
                            return Err(error);
                        }
                    }
                }
            }
        }
        Ok(all)
    }

    /// Writes memos.
    async fn keep(&mut self, memos: &Memos) -> Result<(), String> {
        self.open().map_err(|failure| failure.to_string())?;
        match self {
            Self::Directory(_, open) => {
                let directory = open.as_ref().expect("it was opened just now");
                let kept = directory.keep(memos, today());
                kept.map_err(|failure| self.failed(&failure))
            }
            Self::Bucket(bucket) => bucket.keep(memos, today()).await,
        }
    }

    /// Takes from a budget, and returns what was given: it counts as spent from now on, whatever becomes of this process.
    async fn take(&mut self, take: &Take) -> Result<PicoUsd, String> {
        self.open().map_err(|failure| failure.to_string())?;
        match self {
            Self::Directory(_, open) => {
                let directory = open.as_ref().expect("it was opened just now");
                let taken = directory.take(take, today());
                taken.map_err(|failure| self.failed(&failure))
            }
            Self::Bucket(bucket) => bucket.take(take, today()).await,
        }
    }

    /// Forgets what is before hour `before`.
    async fn prune(&mut self, before: u64) -> Result<(), String> {
        match self {
            Self::Directory(_, None) => Ok(()),
            Self::Directory(_, Some(open)) => {
                let pruned = open.prune(before);
                pruned.map_err(|failure| self.failed(&failure))
            }
            Self::Bucket(bucket) => {
                // What is too old harms nobody: it is tried again tomorrow, and what is new is kept all the same.
                match bucket.prune(before / 24).await {
                    Ok(0) => {}
                    Ok(days) => info!(store = bucket.name(), days, "old history is deleted"),
                    Err(error) => warn!(
                        error,
                        "old history is not deleted; `pacer iam --role control` prints the permission"
                    ),
                }
                Ok(())
            }
        }
    }

    /// Closes a file that failed: redb refuses all that follows an error, and opening it again looks what it is worth.
    fn failed(&mut self, failure: &Failure) -> String {
        if let Self::Directory(_, open) = self {
            *open = None;
        }
        failure.to_string()
    }
}

/// What the thread owns.
#[derive(Debug)]
pub(super) struct Writer {
    store: Store,
    /// `None` once all was read.
    loading: Option<mpsc::Sender<Loaded>>,
    first: bool,
    unsaved: Batch,
    memos: Memos,
    leads: bool,
    pace: Pace,
    health: Arc<Mutex<Health>>,
    started: (Instant, u64),
    /// The hour before which all is forgotten.
    pruned: u64,
}

impl Writer {
    pub(super) fn new(
        store: Store,
        loading: mpsc::Sender<Loaded>,
        health: Arc<Mutex<Health>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            store,
            loading: Some(loading),
            first: true,
            unsaved: Batch::default(),
            memos: Memos::new(),
            leads: false,
            pace: Pace::new(true, now),
            health,
            started: (now, now_s()),
            pruned: 0,
        }
    }

    /// Starts the thread. It ends with its last command, or with whoever could give one.
    pub(super) fn start(self, commands: mpsc::Receiver<Command>) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || runtime.block_on(self.run(commands)))
            .context("starting thread history")?;
        Ok(())
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            if self.pace.is_due(Instant::now()) {
                self.turn().await;
            }
            let command = tokio::select! {
                command = commands.recv() => command,
                () = sleep_until(self.pace.at().expect("there is always a next turn")) => continue,
            };
            match command {
                Some(Command::Save(parcel)) => {
                    self.take_in(parcel).await;
                    let lost = self.unsaved.limit(HOURS_MAX);
                    self.health().lost += lost;
                    if matches!(self.store, Store::Directory(..)) {
                        self.pace.hasten(Instant::now());
                    }
                }
                Some(Command::Note(memos, done)) => {
                    let kept = self.store.keep(&memos).await;
                    if kept.is_err() {
                        self.memos.extend(memos);
                    }
                    let _ = done.send(kept);
                }
                Some(Command::Take(take, done)) => {
                    let _ = done.send(self.store.take(&take).await);
                }
                Some(Command::Close(parcel, done)) => {
                    self.take_in(parcel).await;
                    self.turn().await;
                    // Closed before it is told: the next gateway may open it then.
                    drop(self);
                    let _ = done.send(());
                    return;
                }
                None => return,
            }
        }
    }

    async fn take_in(&mut self, Parcel { batch, memos, back, leads }: Parcel) {
        self.unsaved.take_in(batch);
        self.memos.extend(memos);
        self.leads = leads;
        for take in back {
            if let Err(error) = self.store.take(&take).await {
                warn!(error, "what is left of a day's budget could not be given back");
            }
        }
    }

    /// Reads what was not read yet, and writes what waits.
    async fn turn(&mut self) {
        let loaded = self.load().await;
        let saved = self.save().await;
        let now = Instant::now();
        match loaded.and(saved) {
            Ok(()) => {
                self.pace.succeeded(PUT_EVERY, now);
                if let Some(error) = self.health().error.take() {
                    info!(store = self.store.name(), after = error, "history is written again");
                }
            }
            Err(error) => {
                self.pace.failed(AGAIN_AFTER, now);
                let before = {
                    let mut health = self.health();
                    health.failures += 1;
                    health.error.replace(error.clone())
                };
                if before.is_none_or(|before| before != error) {
                    warn!(
                        error,
                        "what services are asked is not kept now; requests are served, and it is tried again"
                    );
                }
            }
        }
        // Nobody waits longer than for the first turn.
        if std::mem::replace(&mut self.first, false)
            && let Some(told) = &self.loading
        {
            let _ = told.try_send(Loaded::default());
        }
    }

    async fn load(&mut self) -> Result<(), String> {
        let Some(told) = &self.loading else { return Ok(()) };
        let now = now_s();
        let load = self.store.load(first_hour(now, DAYS), now / HOUR_S);
        let result = timeout(LOAD_MAX, load).await.unwrap_or_else(|_| {
            let (name, seconds) = (self.store.name(), LOAD_MAX.as_secs());
            Err(format!("{name} could not be read within {seconds} s"))
        });
        let loaded = result?;
        for note in &loaded.notes {
            warn!(store = self.store.name(), "left out of history: {note}");
        }
        self.health().damaged += loaded.damaged;
        // Whoever waited for it may be gone.
        let _ = told.try_send(loaded);
        self.loading = None;
        Ok(())
    }

    async fn save(&mut self) -> Result<(), String> {
        if !self.unsaved.is_empty() {
            let merged = self.store.save(&mut self.unsaved, Merge::Replace).await?;
            let mut health = self.health();
            health.saved = Some(SystemTime::now());
            health.damaged += merged.damaged;
        }
        if !self.memos.is_empty() {
            self.store.keep(&self.memos).await?;
            self.memos.clear();
            self.health().saved = Some(SystemTime::now());
        }
        let mut before = first_hour(self.trusted_s(), DAYS);
        if matches!(self.store, Store::Bucket(_)) {
            // Once a day, and by one gateway of all: each delete is a call.
            before = if self.leads { before / 24 * 24 } else { 0 };
        }
        if self.pruned < before {
            self.store.prune(before).await?;
            self.pruned = before;
        }
        Ok(())
    }

    /// Returns the time by which is forgotten: a clock that jumps ahead while this runs must not cost a month.
    fn trusted_s(&self) -> u64 {
        let (start, start_s) = self.started;
        now_s().min(start_s + start.elapsed().as_secs() + CLOCK_AHEAD_S)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the day, counted since 1970.
fn today() -> u64 {
    now_s() / 86_400
}

/// Returns the time in seconds since 1970.
fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
