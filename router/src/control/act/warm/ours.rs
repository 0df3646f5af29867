//! Whose provisioned concurrency it is: what Pacer has set it takes away again when the policy does not ask for it any more,
//! and nothing else.
//!
//! What was set is remembered by function, in the store before the call is made, so that it is known after a restart. Where
//! Lambda says another number than was set, somebody else has set it since: that is left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use policies::policy::{ColdStart, Lambda, Mode, Service};
use tracing::warn;

use super::{Done, WarmCall, Warmed, decide::Order};
use crate::{
    control::functions::{Functions, name_of},
    history::{Kind, Loaded, Notary, bytes},
    world::World,
};

/// What Pacer has set, by function and qualifier.
#[derive(Debug, Default)]
pub(super) struct Ours {
    set: BTreeMap<Arc<str>, u32>,
    /// The policy under which was told what stays.
    told: Option<u32>,
}

/// What stands of a function that is to have none by its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// Nothing of ours, or the policy asks for it.
    Nothing,
    /// It is not read yet.
    Unread,
    /// What Pacer set.
    Ours,
    /// Nothing, or what somebody else set after Pacer.
    Others,
}

impl Ours {
    /// Takes in what was remembered; what is known by itself stays.
    pub(super) fn recall(&mut self, past: &Loaded) {
        for (name, mut memo) in past.memos(Kind::Provisioned) {
            match bytes::take(&mut memo).map(u32::try_from) {
                Ok(Ok(0)) => {}
                Ok(Ok(set)) => {
                    self.set.entry(name.clone()).or_insert(set);
                }
                _ => warn!(function = &**name, "what was set of it is not remembered: damaged"),
            }
        }
    }

    /// Returns what stands of the function of `service`.
    pub(super) fn stands(
        &self,
        service: &Service,
        lambda: &Lambda,
        functions: &Functions,
    ) -> Stands {
        if is_asked_for(lambda) {
            return Stands::Nothing;
        }
        let Some(&set) = self.set.get(&*name_of(lambda)) else { return Stands::Nothing };
        let known = functions.known(&service.name).filter(|known| known.provisioned_read);
        let Some(known) = known else { return Stands::Unread };
        match known.provisioned.map_or(0, |provisioned| provisioned.requested) {
            requested if requested == set => Stands::Ours,
            requested => {
                if requested != 0 {
                    let function = name_of(lambda);
                    warn!(
                        function,
                        "its provisioned concurrency is {requested}, not the {set} that Pacer set: it is left as it is"
                    );
                }
                Stands::Others
            }
        }
    }

    /// Returns how many were set of a function; 0 when none were.
    pub(super) fn set(&self, function: &str) -> u32 {
        self.set.get(function).copied().unwrap_or(0)
    }

    /// Takes in that an order was carried out.
    pub(super) fn ordered(&mut self, function: &str, order: Order) {
        match order {
            Order::Set { to, .. } => {
                self.set.insert(function.into(), to);
            }
            Order::Remove { .. } => {
                self.set.remove(function);
            }
        }
    }

    /// Takes a function's for not ours; returns the call that has that written.
    pub(super) fn forget(&mut self, function: &str, notary: Option<Notary>) -> Option<WarmCall> {
        let (function, _) = self.set.remove_entry(function)?;
        let notary = notary?;
        Some(Box::pin(async move {
            note(Some(&notary), &function, 0).await;
            Warmed { service: function, done: Done::Forgotten }
        }))
    }

    /// Tells what stays of functions that this policy lets nobody act on, once for each policy.
    pub(super) fn tell_of_what_stays(&mut self, world: &World) {
        if self.told.replace(world.generation) == Some(world.generation) {
            return;
        }
        let acting = world.policy.services.iter().filter(|service| service.mode == Mode::Act);
        let acting = acting.filter_map(|service| service.lambda.as_ref());
        let acting: BTreeSet<_> = acting.map(name_of).collect();
        for (name, set) in self.set.iter().filter(|(name, _)| !acting.contains(&***name)) {
            let (function, qualifier) = name.rsplit_once(':').unwrap_or((name, ""));
            warn!(
                "{set} environments of {name} stay provisioned, and are billed: Pacer set them, and its service is not in `mode: act` any more. To delete them: aws lambda delete-provisioned-concurrency-config --function-name {function} --qualifier {qualifier}"
            );
        }
    }
}

/// Tells whether a policy asks for provisioned concurrency.
fn is_asked_for(lambda: &Lambda) -> bool {
    lambda.warm_pool.is_some() && lambda.cold_start == ColdStart::Provisioned
}

/// Writes down how many are set of a function; it is tried again by the store itself.
pub(super) async fn note(notary: Option<&Notary>, function: &str, set: u32) {
    let Some(notary) = notary else { return };
    let mut memo = Vec::new();
    bytes::put(&mut memo, set.into());
    if let Err(error) = notary.note(Kind::Provisioned, function.into(), memo).await {
        warn!(function, error, "how many environments were provisioned is not in `state` yet");
    }
}
