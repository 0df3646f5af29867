//! One table: its key, its items, and how they are read and written.

use std::{collections::BTreeMap, sync::Mutex, time::SystemTime};

use super::{
    attribute::{Attribute, Item, item_bytes},
    expression::Condition,
    refusal::{condition_failed, invalid, too_much},
};
use crate::{aws_json::Refusal, clock, tasks::lock};

/// Largest item, names included (DynamoDB developer guide, "Quotas", read 2026-11).
const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Longest partition key and sort key (the same page).
const HASH_BYTES_MAX: usize = 2048;
const RANGE_BYTES_MAX: usize = 1024;
/// What one query reads at once (the same page).
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// What a table holds. AWS has no such limit; the memory of this machine has.
const TABLE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Which attributes are the key. They are strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) hash: String,
    pub(crate) range: Option<String>,
}

impl Schema {
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.hash).chain(&self.range)
    }

    /// The key within an item that is to be written.
    fn key_within(&self, item: &Item) -> Result<Key, Refusal> {
        let wrong =
            |text: String| invalid(format!("One or more parameter values were invalid: {text}"));
        let part = |name: &String| match item.get(name) {
            None => Err(wrong(format!("Missing the key {name} in the item"))),
            Some(Attribute::Text(text)) => Ok(text.clone()),
            Some(other) => {
                let kind = other.kind();
                Err(wrong(format!("Type mismatch for key {name} expected: S actual: {kind}")))
            }
        };
        let hash = part(&self.hash)?;
        let range = self.range.as_ref().map(part).transpose()?;
        self.checked(Key { hash, range: range.unwrap_or_default() })
    }

    /// Reads a key as such: no attribute more or less.
    pub(crate) fn key(&self, item: &Item) -> Result<Key, Refusal> {
        let text = |name: &String| match item.get(name) {
            Some(Attribute::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let range = self.range.as_ref().map_or(Some(String::new()), text);
        let whole = item.len() == self.names().count();
        let key = text(&self.hash).zip(range).filter(|_| whole);
        let (hash, range) =
            key.ok_or_else(|| invalid("The provided key element does not match the schema"))?;
        self.checked(Key { hash, range })
    }

    fn checked(&self, key: Key) -> Result<Key, Refusal> {
        let range = self.range.as_ref().map(|name| (name, &key.range, RANGE_BYTES_MAX, "range"));
        let hash = (&self.hash, &key.hash, HASH_BYTES_MAX, "hash");
        for (name, text, max, what) in std::iter::once(hash).chain(range) {
            if text.is_empty() {
                return Err(invalid(format!(
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: {name}"
                )));
            }
            if max < text.len() {
                return Err(invalid(format!(
                    "One or more parameter values were invalid: Size of {what}key has exceeded the maximum size limit of{max} bytes"
                )));
            }
        }
        Ok(key)
    }

    /// The key's attributes.
    pub(crate) fn item(&self, key: &Key) -> Item {
        let mut item = Item::from([(self.hash.clone(), Attribute::Text(key.hash.clone()))]);
        if let Some(range) = &self.range {
            item.insert(range.clone(), Attribute::Text(key.range.clone()));
        }
        item
    }
}

/// What names one item. Without a sort key in the schema, that part is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) hash: String,
    pub(crate) range: String,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) schema: Schema,
    pub(crate) created: SystemTime,
    pub(crate) id: String,
    /// The attribute whose time would end an item, if one was named.
    pub(crate) ttl: Mutex<Option<String>>,
    stored: Mutex<Stored>,
}

#[derive(Debug, Default)]
struct Stored {
    /// In the order of queries.
    items: BTreeMap<Key, Item>,
    bytes: usize,
}

/// What a write did: the item before and after it.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) before: Option<Item>,
    pub(crate) after: Option<Item>,
}

/// What a query asks.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) hash: String,
    /// Holds for every item that is wanted.
    pub(crate) condition: Condition,
    pub(crate) forward: bool,
    /// The key after which it goes on.
    pub(crate) after: Option<Key>,
    pub(crate) limit: usize,
}

impl Table {
    pub(crate) fn new(name: &str, schema: Schema) -> Self {
        Self {
            name: name.to_owned(),
            schema,
            created: SystemTime::now(),
            id: clock::request_id(),
            ttl: Mutex::default(),
            stored: Mutex::default(),
        }
    }

    /// How many items it holds, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let stored = lock(&self.stored);
        (stored.items.len(), stored.bytes)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Item> {
        lock(&self.stored).items.get(key).cloned()
    }

    /// Puts what `change` makes of the item of `key`, or removes the item where it makes nothing, if `condition` holds:
    /// in one step, as seen by every other caller.
    pub(crate) fn write(
        &self,
        key: &Key,
        condition: Option<&Condition>,
        tell_item: bool,
        change: impl FnOnce(Option<&Item>) -> Result<Option<Item>, Refusal>,
    ) -> Result<Written, Refusal> {
        let mut stored = lock(&self.stored);
        let before = stored.items.get(key);
        if !condition.is_none_or(|condition| condition.holds(before.unwrap_or(&Item::new()))) {
            let told = before.filter(|_| tell_item);
            return Err(condition_failed(told.map(super::attribute::item_json)));
        }
        let after = change(before)?;
        let (old, new) = (before.map_or(0, item_bytes), after.as_ref().map_or(0, item_bytes));
        let bytes = stored.bytes - old + new;
        if TABLE_BYTES_MAX < bytes && old < new {
            return Err(too_much(format!(
                "a table of the local cloud holds {TABLE_BYTES_MAX} bytes; delete items"
            )));
        }
        stored.bytes = bytes;
        let before = match &after {
            Some(item) => stored.items.insert(key.clone(), item.clone()),
            None => stored.items.remove(key),
        };
        Ok(Written { before, after })
    }

    /// Reads the key within an item that is to be put, which must not be too large.
    pub(crate) fn key_of(&self, item: &Item) -> Result<Key, Refusal> {
        let key = self.schema.key_within(item)?;
        within_limit(item, "Item size has exceeded the maximum allowed size")?;
        Ok(key)
    }

    /// Items in the order of their sort keys, and the key to go on after if there may be more.
    pub(crate) fn query(&self, query: &Query) -> (Vec<Item>, Option<Key>) {
        let stored = lock(&self.stored);
        let first = Key { hash: query.hash.clone(), range: String::new() };
        let of_hash = stored.items.range(first..).take_while(|(key, _)| key.hash == query.hash);
        let mut found: Vec<(&Key, &Item)> =
            of_hash.filter(|(_, item)| query.condition.holds(item)).collect();
        if !query.forward {
            found.reverse();
        }
        if let Some(after) = &query.after {
            found.retain(|(key, _)| if query.forward { after < *key } else { *key < after });
        }
        let mut bytes = 0;
        let mut items = Vec::new();
        let mut last = None;
        for (key, item) in found {
            items.push(item.clone());
            bytes += item_bytes(item);
            // A page that is full has a next one, even if that turns out to be empty: so it is at AWS.
            if items.len() == query.limit || PAGE_BYTES_MAX <= bytes {
                last = Some(key.clone());
                break;
            }
        }
        (items, last)
    }
}

/// Checks an item that an update made.
pub(crate) fn updated_within_limit(item: &Item) -> Result<(), Refusal> {
    within_limit(item, "Item size to update has exceeded the maximum allowed size")
}

fn within_limit(item: &Item, message: &str) -> Result<(), Refusal> {
    if ITEM_BYTES_MAX < item_bytes(item) { Err(invalid(message)) } else { Ok(()) }
}
