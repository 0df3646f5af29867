//! What each service was asked, kept beyond a restart: 35 days in steps of ten seconds.
//!
//! A record is an hour of a service ([`hour`]); a store keeps records: a directory ([`directory`]) or a bucket
//! ([`bucket`]). Whoever learns from it holds a [`History`]: it takes steps in and hands them once a minute to a thread
//! of its own ([`writer`]), which alone waits for disks and networks. A store that is broken, full, held by another or
//! out of reach costs memory of the past and nothing else: it is told once, counted, and tried again.

mod batch;
mod bucket;
mod bytes;
mod day;
mod directory;
mod hour;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use policies::policy::State;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

pub(crate) use self::{
    batch::{Batch, Merge, Merged},
    hour::{HOUR_S, REQUESTS_MAX, STEP_S, Step},
    writer::Store,
};
use self::{
    hour::Hour,
    writer::{Command, Writer},
};

/// Days that are kept: four whole weeks behind the one that is under way, which is what a rhythm of the week is learned
/// from, and a week to spare for backfills and gateways that stood still. Doubling it doubles disk and start.
pub(crate) const DAYS: u64 = 35;

/// Time between two flushes: what a gateway that is killed forgets.
const FLUSH_EVERY: Duration = Duration::from_mins(1);

/// How long a gateway that ends waits for its last steps to be written.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// What each service was asked, on its way to a store.
#[derive(Debug)]
pub(crate) struct History {
    /// `None` without a store.
    writer: Option<mpsc::Sender<Command>>,
    /// What no writer has yet.
    pending: Batch,
    lost: u64,
    flushed: Instant,
    health: Arc<Mutex<Health>>,
}

/// How the store is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    /// Where it is: a file, or a bucket with a prefix. Empty without one.
    pub(crate) place: String,
    /// Why it is not written now; `None` when all is well.
    pub(crate) error: Option<String>,
    /// How often it failed since the start.
    pub(crate) failures: u64,
    /// Steps that were given up, because too many waited for a broken store.
    pub(crate) lost: u64,
    /// Records that could not be read.
    pub(crate) damaged: u64,
    /// When steps were last written.
    pub(crate) saved: Option<SystemTime>,
}

/// What a store had at the start. It comes when it has been read: see [`Loading::next`].
#[derive(Debug)]
pub(crate) struct Loading(mpsc::Receiver<Loaded>);

/// What a store has: records as bytes, of which a service's are made steps when they are asked for. A month of a service is
/// a megabyte as bytes, and five as steps.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    services: BTreeMap<Arc<str>, BTreeMap<u64, Box<[u8]>>>,
    /// All of it was read. If not, another [`Loaded`] comes once it can be.
    pub(crate) complete: bool,
    /// Records that could not be read.
    pub(crate) damaged: u64,
    /// What a reader should know, a sentence each.
    pub(crate) notes: Vec<String>,
}

impl History {
    /// Opens the store of a policy, beside the loop; `aws` is asked for when it is a bucket. Without a store, nothing is
    /// kept and nothing was.
    ///
    /// # Errors
    /// When no thread can be started, or a bucket is to be written without `aws`.
    pub(crate) fn open(
        state: Option<&State>,
        aws: Option<&SdkConfig>,
    ) -> anyhow::Result<(Self, Loading)> {
        let (told, loading) = mpsc::channel(2);
        let health = Arc::new(Mutex::new(Health::default()));
        let writer = match state {
            None => {
                let empty = Loaded { complete: true, ..Loaded::default() };
                told.try_send(empty).expect("the channel is new");
                None
            }
            Some(state) => {
                let store = Store::new(state, aws)?;
                health.lock().unwrap_or_else(PoisonError::into_inner).place = store.name();
                let (commands, received) = mpsc::channel(1);
                Writer::new(store, told, health.clone()).start(received)?;
                Some(commands)
            }
        };
        let flushed = Instant::now();
        let history = Self { writer, pending: Batch::default(), lost: 0, flushed, health };
        Ok((history, Loading(loading)))
    }

    /// Keeps nothing.
    pub(crate) fn none() -> Self {
        Self {
            writer: None,
            pending: Batch::default(),
            lost: 0,
            flushed: Instant::now(),
            health: Arc::default(),
        }
    }

    /// Takes in what `service` was asked in the step at `at_s`, seconds since 1970. Given again, a step replaces the first.
    pub(crate) fn append(&mut self, service: &str, at_s: u64, step: Step) {
        if self.writer.is_some() {
            self.pending.set(service, at_s, step);
        }
    }

    /// Hands over what was taken in, once a minute; to be called at any pace. Never waits: what cannot be handed over now
    /// goes with the next.
    pub(crate) fn flush(&mut self, now: Instant) {
        if self.flushed + FLUSH_EVERY <= now {
            self.flushed = now;
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let Some(writer) = self.writer.as_ref().filter(|_| !self.pending.is_empty()) else {
            return;
        };
        let batch = std::mem::take(&mut self.pending);
        if let Err(back) = writer.try_send(Command::Save(batch)) {
            let (mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) =
                back;
            self.pending = back.into_batch();
            self.lost += self.pending.limit(batch::HOURS_MAX);
        }
    }

    /// Returns how the store is.
    pub(crate) fn health(&self) -> Health {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        health.lost += self.lost;
        health
    }

    /// Has everything written, and ends; within [`CLOSE_MAX`].
    pub(crate) async fn close(mut self) {
        let Some(writer) = self.writer.take() else { return };
        let (done, saved) = oneshot::channel();
        let last = async move {
            let batch = std::mem::take(&mut self.pending);
            writer.send(Command::Close(batch, done)).await.is_ok() && saved.await.is_ok()
        };
        if timeout(CLOSE_MAX, last).await != Ok(true) {
            tracing::warn!(
                "what services were asked last could not be written to `state`, and is forgotten"
            );
        }
    }
}

impl Loading {
    /// Brings nothing, ever.
    pub(crate) fn nothing() -> Self {
        let (_, nothing) = mpsc::channel(1);
        Self(nothing)
    }

    /// Tells whether no more will come.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_closed() && self.0.is_empty()
    }

    /// Waits for what the store had. The first comes within half a minute, whatever is wrong with the store; when it is not
    /// [`complete`](Loaded::complete), a second comes once the store could be read, with what was flushed meanwhile in it.
    /// `None` when no more will come.
    pub(crate) async fn next(&mut self) -> Option<Loaded> {
        self.0.recv().await
    }
}

impl Loaded {
    /// Takes in a record, when it can be read.
    fn take_in(&mut self, service: &str, hour: u64, record: &[u8]) {
        if let Err(why) = Hour::decode(record) {
            if self.damaged == 0 {
                self.notes.push(format!("hour {hour} of service {service}: {why}"));
            }
            self.damaged += 1;
            return;
        }
        let record = record.into();
        match self.services.get_mut(service) {
            Some(hours) => {
                hours.insert(hour, record);
            }
            None => {
                self.services.insert(service.into(), BTreeMap::from([(hour, record)]));
            }
        }
    }

    /// Returns the services that there is anything of.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        self.services.keys()
    }

    /// Returns the steps of a service that are known, in order of time: seconds since 1970, and what was asked.
    pub(crate) fn steps(&self, service: &str) -> impl Iterator<Item = (u64, Step)> {
        let hours = self.services.get(service).into_iter().flatten();
        hours.flat_map(|(hour, record)| {
            let steps = Hour::decode(record).unwrap_or_default();
            let start_s = hour * HOUR_S;
            let known: Vec<_> = steps.known().collect();
            known.into_iter().map(move |(step, known)| (start_s + step as u64 * STEP_S, known))
        })
    }
}
