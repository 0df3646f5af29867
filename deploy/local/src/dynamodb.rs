//! DynamoDB: tables of items, with conditional writes that are atomic.
//!
//! What a gateway keeps leases and beats in, and no more: keys are strings, reads are always consistent, there are no
//! indexes, sets or transactions. A table that is created is active at once. The time-to-live attribute is accepted and
//! never enforced: AWS takes up to days for it, so that nobody may rely on it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::{config::Config, tasks::lock};

pub(crate) mod api;
mod attribute;
mod expression;
mod number;
mod refusal;
mod table;
mod token;

use table::{Schema, Table};

/// All tables of the account, by name.
#[derive(Debug)]
pub(crate) struct Dynamo {
    tables: Mutex<BTreeMap<String, Arc<Table>>>,
}

impl Dynamo {
    pub(crate) fn new(config: &Config) -> Self {
        let table = |(name, table): (&String, &crate::config::Table)| {
            let schema = Schema { hash: table.hash.clone(), range: table.range.clone() };
            (name.clone(), Arc::new(Table::new(name, schema)))
        };
        Self { tables: Mutex::new(config.tables.iter().map(table).collect()) }
    }

    fn table(&self, name: &str) -> Option<Arc<Table>> {
        lock(&self.tables).get(name).cloned()
    }
}
