//! The table: three calls of DynamoDB a round.
//!
//! Items of one group share its name as hash key, `group`; the range key, `item`, is `beat#ID` or `lease`. The lease is
//! written and deleted under conditions only. Whatever ends without an answer may have happened, and is treated so.

use std::{
    collections::HashMap,
    error::Error,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata,
    primitives::Blob,
    types::AttributeValue::{self, B, Bool, N, S},
};
use policies::policy;
use tokio::time::{Instant, timeout};

use super::{
    beat::{Beat, Load},
    division::View,
    lease::{Item, Write, Written},
};
use crate::control::aws::{Aws, reason};

/// How long each step of a round may take; DynamoDB answers in some 5 ms. Both together end before the lease's margin begins.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Pages of 1 MB that are read of a group: thousands of gateways.
const PAGES_MAX: usize = 16;

/// How long a beat stays in the table that nobody takes away, where its time to live is enabled on `expires`.
const EXPIRES_AFTER: Duration = Duration::from_hours(1);

const LEASE: &str = "lease";
const BEAT: &str = "beat#";

/// A group's part of a table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    client: Client,
    name: Arc<str>,
    group: Arc<str>,
}

/// What a gateway writes and reads every two seconds.
#[derive(Debug)]
pub(crate) struct Round {
    pub(super) table: Table,
    pub(super) beat: Beat,
    pub(super) lease: Option<Write>,
}

/// How a round ended.
#[derive(Debug)]
pub(crate) struct Done {
    /// A moment before anything was written.
    pub(super) sent: (Instant, SystemTime),
    pub(super) lease: Option<(Write, Written)>,
    /// The view of the beat that was written.
    pub(super) beat: Result<Option<View>, String>,
    pub(super) seen: Result<Seen, String>,
}

/// What the table had.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) lease: Option<Item>,
    pub(super) beats: Vec<Beat>,
}

/// What a gateway takes out of the table when it stops.
#[derive(Debug)]
pub(crate) struct Leave {
    pub(super) table: Table,
    /// Whose beat is deleted.
    pub(super) beat: Arc<str>,
    pub(super) lease: Option<Write>,
}

impl Round {
    /// Writes the lease if it is to be, and the beat; then reads.
    pub(crate) async fn run(self) -> Done {
        let sent = (Instant::now(), SystemTime::now());
        let Self { table, beat, lease } = self;
        let write = async {
            let write = lease?;
            let how = table.write(&write).await;
            Some((write, how))
        };
        let (lease, written) = tokio::join!(write, table.beat(&beat));
        let seen = table.read().await;
        Done { sent, lease, beat: written.map(|()| beat.view), seen }
    }
}

impl Leave {
    /// Deletes them. What fails is left to others' patience.
    pub(crate) async fn run(self) {
        if let Some(write) = &self.lease
            && let Written::Unknown(error) = self.table.write(write).await
        {
            tracing::debug!(error, "the lease was not given up; it runs out");
        }
        let item = format!("{BEAT}{}", self.beat);
        let delete = self.table.client.delete_item().table_name(&*self.table.name);
        let delete = delete.key("group", text(&self.table.group)).key("item", S(item));
        if let Err(error) = answer("DeleteItem", &self.table.name, delete.send()).await {
            tracing::debug!(
                error,
                "this gateway's beat was not deleted; it is dead in ten seconds"
            );
        }
    }
}

impl Table {
    pub(super) fn new(aws: &Aws, config: &policy::Gateways) -> Self {
        let client = Client::new(aws.config());
        Self { client, name: config.table.clone(), group: config.group.clone() }
    }

    async fn write(&self, write: &Write) -> Written {
        let key = [("group", text(&self.group)), ("item", S(LEASE.to_owned()))];
        let key = key
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<HashMap<_, _>>();
        let condition = match write.over {
            Some(_) => "#version = :seen",
            None => "attribute_not_exists(#version)",
        };
        let seen =
            write.over.as_ref().map(|version| HashMap::from([(":seen".to_owned(), text(version))]));
        let error = if let Some(item) = &write.item {
            let mut attributes = key;
            attributes.insert("holder".to_owned(), text(&item.holder));
            attributes.insert("version".to_owned(), text(&item.version));
            attributes.insert("length_ms".to_owned(), number(&item.length.as_millis()));
            let put = self.client.put_item().table_name(&*self.name).set_item(Some(attributes));
            let put = put
                .condition_expression(condition)
                .expression_attribute_names("#version", "version");
            let put = put.set_expression_attribute_values(seen).send();
            match timeout(CALL_TIMEOUT, put).await {
                Ok(Ok(_)) => return Written::Yes,
                Ok(Err(error)) => match error.as_service_error() {
                    Some(refused) if refused.is_conditional_check_failed_exception() => {
                        return Written::Refused;
                    }
                    _ => reason(&error),
                },
                Err(_) => late(),
            }
        } else {
            let delete = self.client.delete_item().table_name(&*self.name).set_key(Some(key));
            let delete = delete
                .condition_expression(condition)
                .expression_attribute_names("#version", "version");
            let delete = delete.set_expression_attribute_values(seen).send();
            match timeout(CALL_TIMEOUT, delete).await {
                Ok(Ok(_)) => return Written::Yes,
                Ok(Err(error)) => match error.as_service_error() {
                    Some(refused) if refused.is_conditional_check_failed_exception() => {
                        return Written::Refused;
                    }
                    _ => reason(&error),
                },
                Err(_) => late(),
            }
        };
        Written::Unknown(said("writing the lease", &self.name, &error))
    }

    async fn beat(&self, beat: &Beat) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let put = self.client.put_item().table_name(&*self.name);
        let put = put
            .item("group", text(&self.group))
            .item("item", S(format!("{BEAT}{}", beat.id)))
            .item("sequence", number(&beat.sequence))
            .item("started", number(&beat.started_s))
            .item("host", text(&beat.host))
            .item("address", text(&beat.address))
            .item("drains", Bool(beat.drains))
            .item("view", S(beat.view.as_ref().map_or_else(String::new, View::text)))
            .item("load", B(Blob::new(beat.load.pack())))
            .item("expires", number(&(now + EXPIRES_AFTER).as_secs()));
        answer("PutItem", &self.name, put.send()).await.map(drop)
    }

    async fn read(&self) -> Result<Seen, String> {
        let mut seen = Seen::default();
        let mut from = None;
        for _ in 0..PAGES_MAX {
            let query = self.client.query().table_name(&*self.name).consistent_read(true);
            let query = query
                .key_condition_expression("#group = :group")
                .expression_attribute_names("#group", "group")
                .expression_attribute_values(":group", text(&self.group))
                .set_exclusive_start_key(from.take());
            let page = answer("Query", &self.name, query.send()).await?;
            for item in page.items() {
                let Some(name) = string(item, "item") else { continue };
                if name == LEASE {
                    seen.lease = lease(item);
                } else if let Some(id) = name.strip_prefix(BEAT) {
                    seen.beats.extend(beat(id, item));
                }
            }
            match page.last_evaluated_key() {
                None => break,
                Some(key) => from = Some(key.clone()),
            }
        }
        Ok(seen)
    }
}

/// Waits for what DynamoDB says, for [`CALL_TIMEOUT`] at most.
async fn answer<T, E: ProvideErrorMetadata + Error>(
    call: &str,
    table: &str,
    sent: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(CALL_TIMEOUT, sent).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(said(call, table, &reason(&error))),
        Err(_) => Err(said(call, table, &late())),
    }
}

fn said(call: &str, table: &str, error: &str) -> String {
    format!("DynamoDB {call} in the table `{table}`: {error}")
}

fn late() -> String {
    format!("no answer within {CALL_TIMEOUT:?}")
}

fn text(text: &Arc<str>) -> AttributeValue {
    S(text.to_string())
}

fn number(number: &impl ToString) -> AttributeValue {
    N(number.to_string())
}

type Attributes = HashMap<String, AttributeValue>;

fn string<'a>(item: &'a Attributes, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn integer(item: &Attributes, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Reads the lease. One of another make is kept as long as it does not change, as any other.
fn lease(item: &Attributes) -> Option<Item> {
    Some(Item {
        holder: string(item, "holder").unwrap_or_default().into(),
        version: string(item, "version")?.into(),
        length: integer(item, "length_ms").map_or(super::lease::LENGTH, Duration::from_millis),
    })
}

/// Reads a beat. Who beats is there, also when a newer version says the rest in a way that this one does not read.
fn beat(id: &str, item: &Attributes) -> Option<Beat> {
    let load = item.get("load").and_then(|load| load.as_b().ok());
    let view = string(item, "view").filter(|view| !view.is_empty());
    Some(Beat {
        id: id.into(),
        sequence: integer(item, "sequence")?,
        started_s: integer(item, "started").unwrap_or(0),
        host: string(item, "host").unwrap_or_default().into(),
        address: string(item, "address").unwrap_or_default().into(),
        drains: item
            .get("drains")
            .and_then(|drains| drains.as_bool().ok())
            .copied()
            .unwrap_or(false),
        view: view.map(View::read),
        load: load.and_then(|load| Load::unpack(load.as_ref())).unwrap_or_default(),
    })
}
