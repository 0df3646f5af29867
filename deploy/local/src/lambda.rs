//! Lambda: functions with versions and aliases, their environments, and who gets which.
//!
//! Nothing is ever queued: a synchronous invocation has a warm environment, starts one, or is throttled.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicUsize},
};

use tokio::time::Instant;

use crate::{clock::Scale, config::Config};

pub(crate) mod api;
mod cut;
pub(crate) mod environment;
mod error;
mod event;
mod faulty;
pub(crate) mod function;
mod function_error;
mod invoke;
pub(crate) mod limits;
mod name;
mod pool;
pub(crate) mod provisioned;
mod report;
mod run;
mod runtime_api;
mod snapshot;
mod stream;
mod streamed;
pub(crate) mod usage;
mod version;

use error::ServiceError;
use function::Function;
use limits::Limits;
use name::Name;

/// All functions of the account.
#[derive(Debug)]
pub(crate) struct Lambda {
    pub(crate) functions: BTreeMap<String, Arc<Function>>,
    pub(crate) limits: Arc<Limits>,
    /// Asynchronous events that have not been worked on yet.
    pub(crate) events_waiting: Arc<AtomicUsize>,
}

impl Lambda {
    pub(crate) fn new(config: &Config, scale: Scale) -> Self {
        let limits = Arc::new(Limits::new(config, scale, Instant::now()));
        let functions = config.functions.iter().map(|(name, settings)| {
            (name.clone(), Arc::new(Function::new(name, settings, config, limits.clone())))
        });
        Self { functions: functions.collect(), limits, events_waiting: Arc::default() }
    }

    /// The function that `name` means.
    ///
    /// # Errors
    /// 404 when it is not in this account and region.
    pub(crate) fn find(&self, name: &Name) -> Result<Arc<Function>, ServiceError> {
        let function = self.functions.get(&name.function).filter(|f| f.arn == name.arn);
        function.cloned().ok_or_else(|| name.not_found())
    }

    /// Kills environment `id` and returns whether there is one.
    pub(crate) fn kill(&self, id: &str) -> bool {
        let mut all = self.functions.values().flat_map(|f| f.environments());
        all.find(|(_, e)| e.id == id).inspect(|(_, e)| e.process.kill()).is_some()
    }

    /// Deletes the snapshot of a version.
    ///
    /// # Errors
    /// Says that there is none.
    pub(crate) fn deactivate(&self, function: &str, version: u32) -> Result<(), String> {
        let found =
            self.functions.get(function).ok_or(format!("function: there is no `{function}`"))?;
        let version = found.published().versions.get(&version).cloned();
        let snapshot = version.as_ref().and_then(|v| v.snapshot.as_ref());
        snapshot.ok_or("version: has no snapshot")?.deactivate();
        Ok(())
    }
}
