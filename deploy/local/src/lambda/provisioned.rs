//! Provisioned concurrency: environments that are started before they are needed, and kept.
//!
//! As AWS has it ("Configuring provisioned concurrency", developer guide, read 2026-11): of a published version or an
//! alias; in progress until all are there, and none is used before; what is beyond it runs on demand.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{task::JoinSet, time::Instant};

use crate::{
    Shared,
    bill::{FunctionUsage, ceil_ms},
    clock,
    lambda::{
        environment::{Environment, InitType, LONG_INIT},
        function::{Function, Published},
        version::Version,
    },
};

/// From the order to the first environment: AWS takes one to two minutes. Divided by the time scale.
const LAG: Duration = Duration::from_mins(1);
/// Environments that start at once: processes of one machine.
const STARTS_MAX: usize = 16;

/// An order of provisioned concurrency for one qualifier.
#[derive(Clone, Debug)]
pub(crate) struct Provisioned {
    pub(crate) requested: u32,
    pub(crate) modified: SystemTime,
    /// Since when it is billed.
    pub(crate) since: Instant,
    /// Why it failed, if it did.
    pub(crate) failed: Option<String>,
}

impl Provisioned {
    /// What is billed of it until now: memory times time, in MiB-milliseconds.
    pub(crate) fn mb_ms(&self, published: &Published, qualifier: &str) -> u64 {
        let memory = published.resolve(Some(qualifier), 1.0).map_or(0, |v| v.settings.memory);
        ceil_ms(self.since.elapsed()) * u64::from(memory) * u64::from(self.requested)
    }

    /// Bills it, before it changes.
    pub(crate) fn bill(&self, usage: &FunctionUsage, published: &Published, qualifier: &str) {
        FunctionUsage::count(&usage.provisioned_mb_ms, self.mb_ms(published, qualifier));
    }
}

/// Starts and replaces the provisioned environments of `function`; runs as long as the cloud does.
pub(crate) async fn keep(shared: Arc<Shared>, function: Arc<Function>) {
    let mut kept: BTreeMap<u32, Arc<Version>> = BTreeMap::new();
    loop {
        let targets = targets(&function);
        // Versions that are no longer provisioned give theirs up.
        kept.retain(|number, version| {
            let wanted = targets.contains_key(number);
            if !wanted {
                version.pool.trim_provisioned(0);
            }
            wanted
        });
        for (number, (version, target)) in targets {
            let first = kept.insert(number, version.clone()).is_none();
            let missing = version.pool.trim_provisioned(target);
            if 0 < missing {
                if first {
                    tokio::time::sleep(shared.scale.shrink(LAG)).await;
                }
                if let Err(error) = start(&shared, &function, &version, missing).await {
                    fail(&function, &version, &error);
                    continue;
                }
            }
            version.pool.open_provisioned();
        }
        tokio::select! {
            () = function.provisioning.notified() => {}
            () = death(kept.values()) => {}
        }
    }
}

/// Waits until one of the provisioned environments ends.
async fn death(versions: impl Iterator<Item = &Arc<Version>>) {
    let mut ends = JoinSet::new();
    for environment in versions.flat_map(|v| v.pool.all_provisioned()) {
        ends.spawn(async move { drop(environment.process.exited().await) });
    }
    if ends.join_next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// How many environments each version should have, all its qualifiers together.
fn targets(function: &Function) -> BTreeMap<u32, (Arc<Version>, usize)> {
    let published = function.published();
    let mut targets = BTreeMap::new();
    for (qualifier, order) in &published.provisioned {
        // An alias of two versions cannot be provisioned, so nothing is drawn.
        let version = published.resolve(Some(qualifier), 1.0);
        let Some((version, number)) = version.and_then(|v| Some((v.clone(), v.number?))) else {
            continue;
        };
        if order.failed.is_none() {
            targets.entry(number).or_insert((version, 0)).1 += order.requested as usize;
        }
    }
    targets
}

/// Starts `missing` environments.
async fn start(
    shared: &Arc<Shared>,
    function: &Arc<Function>,
    version: &Arc<Version>,
    missing: usize,
) -> Result<(), String> {
    let mut starting = JoinSet::new();
    let mut left = missing;
    while 0 < left || !starting.is_empty() {
        while 0 < left && starting.len() < STARTS_MAX {
            left -= 1;
            let (shared, function, version) = (shared.clone(), function.clone(), version.clone());
            starting.spawn(async move {
                let (id, init) = (clock::request_id(), InitType::Provisioned);
                Environment::start(&shared, &function, &version, init, &id, LONG_INIT).await
            });
        }
        match starting.join_next().await {
            Some(Ok(Ok((environment, _)))) => {
                version.pool.add_provisioned(Arc::new(environment));
            }
            Some(Ok(Err(error))) => return Err(format!("{error:?}")),
            Some(Err(_)) | None => return Err("the local cloud is stopping".into()),
        }
    }
    Ok(())
}

/// Notes why the orders for `version` failed.
fn fail(function: &Function, version: &Arc<Version>, error: &str) {
    tracing::warn!(function = function.name, version = version.name(), %error, "could not provision");
    let mut published = function.published();
    let qualifiers: Vec<String> = published.provisioned.keys().cloned().collect();
    for qualifier in qualifiers {
        let of = published.resolve(Some(&qualifier), 1.0);
        if of.is_some_and(|of| Arc::ptr_eq(&of, version))
            && let Some(order) = published.provisioned.get_mut(&qualifier)
        {
            order.failed = Some("FUNCTION_ERROR_INIT_FAILURE".into());
        }
    }
}
