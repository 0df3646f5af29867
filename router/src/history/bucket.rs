//! A bucket as a store: an object a day, `<prefix>/history/YYYY-MM-DD`, and one for each kind of memo, `<prefix>/memory/KIND`.
//!
//! An object can only be written whole, so every write reads first what is there, merges, and puts it back under the
//! condition that nobody wrote meanwhile (`If-Match`; `If-None-Match` for the day's first): what was not read is never
//! overwritten. Where a service ignores conditions, two gateways that write in the same second may lose one's last steps.
//! Days that are not kept any more are deleted by the gateway that leads, some at a time; nothing else is.

#[cfg(test)]
mod tests;

use std::{fmt::Display, ops::RangeInclusive};

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::{
    Client,
    config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation},
    error::ProvideErrorMetadata,
    primitives::ByteStream,
};
use lambda_event::time::Utc;
use tokio::{task::JoinSet, time::Duration};

use policies::cost::PicoUsd;

use super::{
    Loaded,
    batch::{Batch, Merge, Merged},
    bytes::Unread,
    day::Day,
    memo::{self, Kind, Memos, Take},
    records::{self, Records},
};
use crate::control::aws::reason;

/// How long one call may take: a day of a thousand services is some 40 MB.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of an object that are read: a day of a thousand services is 87 MB at worst (`hour::BYTES_MAX`).
const OBJECT_MAX: i64 = 256 * 1024 * 1024;

/// Objects that are read at once: 36 of some 40 KB each come in well below a second then, and memory stays small.
const AT_ONCE: usize = 8;

/// How often a write begins again because somebody else wrote meanwhile.
const AGAIN: usize = 5;

/// Objects that are deleted at a time, which is once a day: a bucket that was never pruned is caught up with in days.
const DELETED_MAX: usize = 40;

/// What the object of a kind of memo begins with.
const MEMORY: &[u8] = b"pacer-memory\n";

/// Where the objects are.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    client: Client,
    name: String,
    /// Without `/` at either end; may be empty.
    prefix: String,
}

/// An object as it was read.
struct Object {
    bytes: Vec<u8>,
    etag: Option<String>,
}

impl Bucket {
    /// Makes a client for a bucket.
    pub(crate) fn new(config: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        // Buckets as names of hosts need a domain that resolves them, which only AWS's own endpoints have.
        let own = std::env::var("AWS_ENDPOINT_URL_S3").is_ok_and(|url| !url.is_empty());
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CALL_TIMEOUT / 4)
            .operation_attempt_timeout(CALL_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT);
        let config = Builder::from(config)
            .force_path_style(own || config.endpoint_url().is_some())
            // Objects have a seal of their own, and not every S3 knows the newer checksums.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build());
        let client = Client::from_conf(config.build());
        Self { client, name: bucket.to_owned(), prefix: prefix.to_owned() }
    }

    /// Returns its name, for messages.
    pub(crate) fn name(&self) -> String {
        format!("s3://{}/{}", self.name, self.folder())
    }

    fn folder(&self) -> String {
        self.below("history/")
    }

    fn below(&self, name: &str) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{}{slash}{name}", self.prefix)
    }

    fn memory(&self, kind: Kind) -> String {
        self.below(&format!("memory/{}", kind.as_str()))
    }

    fn key(&self, day: u64) -> String {
        let Utc { year, month, day, .. } = Utc::from_unix(day * 86_400);
        format!("{}{year:04}-{month:02}-{day:02}", self.folder())
    }

    /// Reads the days, counted since 1970. Objects that cannot be read are noted and left out.
    ///
    /// # Errors
    /// When S3 does not give what it lists.
    pub(crate) async fn load(&self, days: RangeInclusive<u64>) -> Result<Loaded, String> {
        let there = self.list().await?;
        let mut wanted = days.filter_map(|day| {
            let key = self.key(day);
            there.contains(&key).then_some((day, key))
        });
        let mut loaded = Loaded { complete: true, ..Loaded::default() };
        let mut reading = JoinSet::new();
        loop {
            while reading.len() < AT_ONCE
                && let Some((day, key)) = wanted.next()
            {
                let bucket = self.clone();
                reading.spawn(async move { (day, bucket.get(&key).await, key) });
            }
            let Some(read) = reading.join_next().await else { break };
            let (day, object, key) = read.map_err(|error| error.to_string())?;
            // One that is listed and not there was deleted in between.
            let Some(object) = object? else { continue };
            match Day::decode(&object.bytes) {
                Ok(records) => {
                    for (hour, service, record) in records.records() {
                        loaded.take_in(&service, day * 24 + hour, &record);
                    }
                }
                Err(why) => loaded.notes.push(format!("s3://{}/{key}: {why}", self.name)),
            }
        }
        for kind in Kind::ALL {
            let key = self.memory(kind);
            let Some(object) = self.get(&key).await? else { continue };
            match records::decode(MEMORY, &object.bytes) {
                Ok(memos) => memos
                    .iter()
                    .for_each(|((_, name), record)| loaded.take_in_memo(kind, name, record)),
                Err(why) => loaded.notes.push(format!("s3://{}/{key}: {why}", self.name)),
            }
        }
        Ok(loaded)
    }

    /// Writes memos on `day`. One that a newer Pacer wrote is left alone.
    ///
    /// # Errors
    /// When an object could not be read, or not be written: it is as it was.
    pub(crate) async fn keep(&self, memos: &Memos, day: u64) -> Result<(), String> {
        for kind in Kind::ALL {
            if !memos.keys().any(|(of, _)| *of == kind) {
                continue;
            }
            let change = |mut kept: Records| -> Result<_, Unread> {
                kept.retain(|_, record| !memo::is_forgotten(record, day));
                for ((_, name), memo) in memos.iter().filter(|((of, _), _)| *of == kind) {
                    let record = kept.entry((0, name.clone())).or_default();
                    if !matches!(memo::decode(record), Err(Unread::Newer(..))) {
                        *record = memo::encode(day, memo);
                    }
                }
                Ok((kept, ()))
            };
            self.change_memory(kind, day, change).await?;
        }
        Ok(())
    }

    /// Takes from a budget; what is given is in the bucket as taken when this returns.
    ///
    /// # Errors
    /// When nothing could be taken.
    pub(crate) async fn take(&self, take: &Take, day: u64) -> Result<PicoUsd, String> {
        let change = |mut kept: Records| -> Result<_, Unread> {
            kept.retain(|_, record| !memo::is_forgotten(record, day));
            let key = (0, take.name.clone());
            let (memo, given) = take.from(kept.get(&key).map(|record| &**record))?;
            kept.insert(key, memo::encode(day, &memo));
            Ok((kept, given))
        };
        self.change_memory(Kind::Spend, day, change).await
    }

    async fn change_memory<T>(
        &self,
        kind: Kind,
        day: u64,
        change: impl Fn(Records) -> Result<(Records, T), Unread>,
    ) -> Result<T, String> {
        let rewritten = |object: Option<&[u8]>| -> Result<_, Unread> {
            let kept = object.map(|object| records::decode(MEMORY, object)).transpose()?;
            let (kept, came) = change(kept.unwrap_or_default())?;
            Ok((Some(records::encode(MEMORY, &kept)), came))
        };
        self.rewrite(&self.memory(kind), day * 86_400, rewritten).await
    }

    /// Deletes days before `before`, counted since 1970, the oldest first: [`DELETED_MAX`] at most. Returns how many.
    ///
    /// # Errors
    /// When the bucket could not be listed, or an object not be deleted.
    pub(crate) async fn prune(&self, before: u64) -> Result<usize, String> {
        let (folder, first) = (self.folder(), self.key(before));
        let is_day = |key: &String| {
            let name = key.strip_prefix(&folder).unwrap_or_default();
            // A day that was damaged and set aside goes when it would have gone.
            let day = name.split_once(".damaged-").map_or(name, |(day, _)| day);
            let shape = |(place, byte): (usize, u8)| match place {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            };
            day.len() == 10 && day.bytes().enumerate().all(shape)
        };
        let mut old: Vec<_> = self.list().await?;
        old.retain(|key| is_day(key) && *key < first);
        old.sort();
        old.truncate(DELETED_MAX);
        for key in &old {
            let delete = self.client.delete_object().bucket(&self.name).key(key).send().await;
            delete.map_err(|error| self.said(&format!("DeleteObject {key}"), reason(&error)))?;
        }
        Ok(old.len())
    }

    /// Merges a batch into the object of `day`, of which all of it is.
    ///
    /// # Errors
    /// When the object could not be read, or not be written: it is as it was.
    pub(crate) async fn merge(
        &self,
        day: u64,
        batch: &Batch,
        how: Merge,
        now_s: u64,
    ) -> Result<Merged, String> {
        let rewritten = |object: Option<&[u8]>| -> Result<_, Unread> {
            let stored = object.map(Day::decode).transpose()?;
            let mut merged = stored.clone().unwrap_or_default();
            let came = merged.merge(batch, how)?;
            let changed = stored.is_none_or(|stored| stored != merged);
            Ok((changed.then(|| merged.encode()), came))
        };
        self.rewrite(&self.key(day), now_s, rewritten).await
    }

    /// Writes an object anew from what is in it, as `change` says, unless that is nothing; again when somebody else wrote
    /// meanwhile. One that is damaged is set aside, and begun anew.
    async fn rewrite<T>(
        &self,
        key: &str,
        now_s: u64,
        change: impl Fn(Option<&[u8]>) -> Result<(Option<Vec<u8>>, T), Unread>,
    ) -> Result<T, String> {
        let name = || format!("s3://{}/{key}", self.name);
        let refused = |why: Unread| format!("{}: {why}", name());
        for _ in 0..AGAIN {
            let object = self.get(key).await?;
            let (new, came) = match change(object.as_ref().map(|object| &*object.bytes)) {
                Err(Unread::Damaged(why)) => {
                    if let Some(object) = &object {
                        let aside = format!("{key}.damaged-{now_s}");
                        self.put(&aside, object.bytes.clone(), None).await?;
                        tracing::warn!(
                            object = name(),
                            why,
                            aside,
                            "an object of history is damaged, and set aside"
                        );
                    }
                    change(None).map_err(refused)?
                }
                changed => changed.map_err(refused)?,
            };
            let Some(new) = new else { return Ok(came) };
            let condition = match &object {
                None => Condition::New,
                Some(Object { etag: Some(etag), .. }) => Condition::Still(etag.clone()),
                Some(_) => Condition::Any,
            };
            if self.put(key, new, Some(condition)).await? {
                return Ok(came);
            }
        }
        Err(format!("{}: others write it all the time", name()))
    }

    /// Lists the keys of all days.
    async fn list(&self) -> Result<Vec<String>, String> {
        let mut keys = Vec::new();
        let mut from = None;
        loop {
            let list = self.client.list_objects_v2().bucket(&self.name).prefix(self.folder());
            let page = list.set_continuation_token(from).send().await;
            let page = page.map_err(|error| self.said("ListObjectsV2", reason(&error)))?;
            keys.extend(
                page.contents().iter().filter_map(|object| object.key().map(str::to_owned)),
            );
            from = page.next_continuation_token().map(str::to_owned);
            if from.is_none() {
                return Ok(keys);
            }
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, String> {
        let said = |why: String| self.said(&format!("GetObject {key}"), why);
        let got = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(got) => got,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(said(reason(&error))),
        };
        let length = got.content_length().unwrap_or(0);
        if OBJECT_MAX < length {
            return Err(said(format!("it has {length} bytes, which is no day of history")));
        }
        let etag = got.e_tag().map(str::to_owned);
        let bytes = tokio::time::timeout(CALL_TIMEOUT, got.body.collect()).await;
        let bytes =
            bytes.map_err(|_| said(format!("its body did not come within {CALL_TIMEOUT:?}")))?;
        let bytes = bytes.map_err(|error| said(error.to_string()))?.to_vec();
        Ok(Some(Object { bytes, etag }))
    }

    /// Writes an object; returns whether the condition held.
    async fn put(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Option<Condition>,
    ) -> Result<bool, String> {
        let put = self.client.put_object().bucket(&self.name).key(key);
        let put = put.content_type("application/octet-stream").body(ByteStream::from(bytes));
        let put = match condition {
            Some(Condition::New) => put.if_none_match("*"),
            Some(Condition::Still(etag)) => put.if_match(etag),
            Some(Condition::Any) | None => put,
        };
        match put.send().await {
            Ok(_) => Ok(true),
            // Somebody wrote, or is just writing (S3 User Guide, conditional writes).
            Err(error)
                if matches!(
                    error.code(),
                    Some("PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey")
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(self.said(&format!("PutObject {key}"), reason(&error))),
        }
    }

    fn said(&self, call: &str, why: impl Display) -> String {
        format!("S3 {call} in bucket {}: {why}", self.name)
    }
}

/// When an object is written.
enum Condition {
    /// If there is none.
    New,
    /// If it still is the one that was read.
    Still(String),
    /// Always: it was read, but S3 gave no tag by which to tell.
    Any,
}
