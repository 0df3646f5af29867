//! What outlives a restart: what each service was asked, 35 days in steps of ten seconds, and [`memo`]s of what was learned,
//! spent and set.
//!
//! A record is an hour of a service ([`hour`]); a store keeps records and memos: a directory ([`directory`]) or a bucket
//! ([`bucket`]). Whoever learns from it holds a [`History`]: it takes steps in and hands them once a minute to a thread
//! of its own ([`writer`]), which alone waits for disks and networks. A store that is broken, full, held by another or
//! out of reach costs memory of the past and nothing else: it is told once, counted, and tried again.

mod batch;
mod bucket;
pub(crate) mod bytes;
mod day;
mod directory;
mod hour;
mod memo;
mod records;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use policies::{cost::PicoUsd, policy::State};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

pub(crate) use self::{
    batch::{Batch, Merge, Merged},
    hour::{HOUR_S, REQUESTS_MAX, STEP_S, Step},
    memo::{Kind, Take},
    writer::Store,
};
use self::{
    hour::Hour,
    memo::Memos,
    writer::{Command, Parcel, Writer},
};

/// Days that are kept: four whole weeks behind the one that is under way, which is what a rhythm of the week is learned
/// from, and a week to spare for backfills and gateways that stood still. Doubling it doubles disk and start.
pub(crate) const DAYS: u64 = 35;

/// Time between two flushes: what a gateway that is killed forgets.
const FLUSH_EVERY: Duration = Duration::from_mins(1);

/// Time between two flushes of what must not be forgotten, such as what was spent.
const FLUSH_SOON: Duration = Duration::from_secs(1);

/// How long a gateway that ends waits for its last steps to be written.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// How long is waited for something to be written at once: a bucket that is read and written, and somebody else's turn.
const NOTE_MAX: Duration = Duration::from_secs(10);

/// What each service was asked, on its way to a store.
#[derive(Debug)]
pub(crate) struct History {
    /// `None` without a store.
    writer: Option<mpsc::Sender<Command>>,
    /// What no writer has yet.
    pending: Batch,
    memos: Memos,
    back: Vec<Take>,
    leads: bool,
    lost: u64,
    /// When what is to be kept was last gathered, and when it was last handed over.
    flushed: Instant,
    handed: Instant,
    /// There is something that should be kept within a second.
    urgent: bool,
    health: Arc<Mutex<Health>>,
}

/// Has something written at once, and waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Notary(mpsc::Sender<Command>);

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
    memos: Memos,
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
        Ok((Self { writer, flushed, handed: flushed, health, ..Self::none() }, Loading(loading)))
    }

    /// Keeps nothing.
    pub(crate) fn none() -> Self {
        Self {
            writer: None,
            pending: Batch::default(),
            memos: Memos::new(),
            back: Vec::new(),
            leads: false,
            lost: 0,
            flushed: Instant::now(),
            handed: Instant::now(),
            urgent: false,
            health: Arc::default(),
        }
    }

    /// Returns what has something written at once; `None` without a store.
    pub(crate) fn notary(&self) -> Option<Notary> {
        self.writer.clone().map(Notary)
    }

    /// Knows whether this gateway leads: of a bucket that several share, that one forgets what is too old.
    pub(crate) fn leads(&mut self, leads: bool) {
        self.leads = leads;
    }

    /// Takes in what `service` was asked in the step at `at_s`, seconds since 1970. Given again, a step replaces the first.
    pub(crate) fn append(&mut self, service: &str, at_s: u64, step: Step) {
        if self.writer.is_some() {
            self.pending.set(service, at_s, step);
        }
    }

    /// Takes in memos, each in the place of an earlier one of its name.
    pub(crate) fn remember(
        &mut self,
        kind: Kind,
        memos: impl IntoIterator<Item = (Arc<str>, Vec<u8>)>,
    ) {
        if self.writer.is_some() {
            self.memos.extend(memos.into_iter().map(|(name, memo)| ((kind, name), memo)));
        }
    }

    /// Takes in what is left of budgets that were taken from: it is given back when this is closed.
    pub(crate) fn give_back(&mut self, left: impl IntoIterator<Item = Take>) {
        self.back.extend(left);
    }

    /// Tells whether there is a store, and the next flush hands something over to it.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.writer.is_some() && self.flushed + FLUSH_EVERY <= now
    }

    /// Hands over what was taken in, once a minute; to be called at any pace. Never waits: what cannot be handed over now
    /// goes with the next.
    pub(crate) fn flush(&mut self, now: Instant) {
        let soon = self.urgent && self.handed + FLUSH_SOON <= now;
        if self.flushed + FLUSH_EVERY <= now {
            self.flushed = now;
        } else if !soon {
            return;
        }
        (self.handed, self.urgent) = (now, false);
        self.hand_over();
    }

    /// Has what was taken in handed over within a second. A bucket is written every five minutes all the same.
    pub(crate) fn hasten(&mut self) {
        self.urgent = true;
    }

    fn hand_over(&mut self) {
        let Some(writer) = self.writer.clone() else { return };
        if self.pending.is_empty() && self.memos.is_empty() {
            return;
        }
        let parcel = self.parcel();
        if let Err(back) = writer.try_send(Command::Save(parcel)) {
            let (mpsc::error::TrySendError::Full(back) | mpsc::error::TrySendError::Closed(back)) =
                back;
            let Command::Save(back) = back else { unreachable!("it was just made") };
            (self.pending, self.memos, self.back) = (back.batch, back.memos, back.back);
            self.lost += self.pending.limit(batch::HOURS_MAX);
        }
    }

    fn parcel(&mut self) -> Parcel {
        let (batch, memos) = (std::mem::take(&mut self.pending), std::mem::take(&mut self.memos));
        Parcel { batch, memos, back: std::mem::take(&mut self.back), leads: self.leads }
    }

    /// Returns how the store is.
    pub(crate) fn health(&self) -> Health {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        health.lost += self.lost;
        health
    }

    /// Has everything written, and what is left of budgets given back, and ends; within [`CLOSE_MAX`].
    pub(crate) async fn close(mut self) {
        let Some(writer) = self.writer.take() else { return };
        let (done, saved) = oneshot::channel();
        let last = async move {
            let parcel = self.parcel();
            writer.send(Command::Close(parcel, done)).await.is_ok() && saved.await.is_ok()
        };
        if timeout(CLOSE_MAX, last).await != Ok(true) {
            tracing::warn!(
                "what services were asked last could not be written to `state`, and is forgotten"
            );
        }
    }
}

impl Notary {
    /// Writes a memo. When this returns well it outlives this process, whatever becomes of it; if not, it is tried again.
    ///
    /// # Errors
    /// Says why it could not be written now.
    pub(crate) async fn note(
        &self,
        kind: Kind,
        name: Arc<str>,
        memo: Vec<u8>,
    ) -> Result<(), String> {
        self.ask(|done| Command::Note([((kind, name), memo)].into(), done)).await
    }

    /// Takes from a budget, and returns what was given: nothing when it is spent. What was given counts as spent for every
    /// gateway of this store, unless it is given back at the end.
    ///
    /// # Errors
    /// Says why nothing could be taken now.
    pub(crate) async fn take(&self, take: Take) -> Result<PicoUsd, String> {
        self.ask(|done| Command::Take(take, done)).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Command,
    ) -> Result<T, String> {
        let (done, told) = oneshot::channel();
        let asked = async {
            self.0.send(command(done)).await.ok()?;
            told.await.ok()
        };
        let answer = timeout(NOTE_MAX, asked).await;
        let silent = || Err(format!("`state` did not answer within {} s", NOTE_MAX.as_secs()));
        answer.ok().flatten().unwrap_or_else(silent)
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

    /// Takes in a memo, when it can be read.
    fn take_in_memo(&mut self, kind: Kind, name: &str, record: &[u8]) {
        match memo::decode(record) {
            Ok((_, memo)) => {
                self.memos.insert((kind, name.into()), memo.to_vec());
            }
            Err(why) => {
                let name = name.replace('\n', " ");
                self.notes.push(format!("what is remembered of {name} ({}): {why}", kind.as_str()));
                self.damaged += 1;
            }
        }
    }

    /// Returns the memos of a kind: name and bytes.
    pub(crate) fn memos(&self, kind: Kind) -> impl Iterator<Item = (&Arc<str>, &[u8])> {
        let of_kind = self.memos.iter().filter(move |((of, _), _)| *of == kind);
        of_kind.map(|((_, name), memo)| (name, &**memo))
    }

    /// Takes what there is of a service out of it.
    pub(crate) fn take(&mut self, service: &str) -> Option<Self> {
        let taken = self.services.remove_entry(service)?;
        Some(Self { services: BTreeMap::from([taken]), ..Self::default() })
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
