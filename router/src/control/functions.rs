//! What Lambda's API says of the policy's functions: read every half a minute, beside all traffic.
//!
//! Memory, timeout, architecture and concurrency that were read take the place of what the policy assumes, in the policy
//! that workers get; a version that cannot run is not offered what has another lane. What may not be read is assumed, and
//! what cannot be read for now stays as it was read last: nothing here ever stops traffic.

mod known;
mod read;
mod warn;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use policies::policy::{Lambda, Policy};
use tokio::time::Instant;
use tracing::{info, warn};

use self::known::{Fact, Reserved};
pub(crate) use self::{
    known::{Known, SnapStart, State},
    read::{Answer, Ask},
};
use super::{aws::Aws, pace::Pace, rate::Rate};
use crate::lane::lambda::Offer;

/// Time between two readings of a function: a deployment is followed within it, and its new version runs well enough
/// meanwhile by what was known of the old one.
const READ_EVERY: Duration = Duration::from_secs(30);

/// Time between two readings while something changes: how long a version that became Active stays unused at most, and
/// the first pause after a reading that failed.
const READ_SOON: Duration = Duration::from_secs(2);

/// Time between two readings of which none is permitted.
const ASK_AGAIN: Duration = Duration::from_mins(5);

/// Readings that fail in a row before the function is called unreadable: one that is throttled is no news.
const BROKEN_AFTER: u32 = 3;

/// Calls that may be made at once, and each second after that: a third of what Lambda allows an account for all calls
/// that are neither invocations nor GetFunction ("Lambda quotas": 15 a second), so that deployments have room.
const BURST: f64 = 15.0;
const PER_SECOND: f64 = 5.0;

/// The functions of all services.
#[derive(Debug)]
pub(crate) struct Functions {
    /// By service.
    followed: BTreeMap<Arc<str>, Followed>,
    /// Concurrency of the account that no function reserves.
    unreserved: Option<u32>,
    /// Calls that were denied and told of.
    denied: BTreeSet<&'static str>,
    rate: Arc<Rate>,
}

/// One service's function.
#[derive(Debug)]
struct Followed {
    /// As the policy has it.
    declared: Lambda,
    /// The longest that a request for it may take, and the route of that request.
    longest: Option<(Arc<str>, Duration)>,
    known: Known,
    pace: Pace,
    error: Option<String>,
    warnings: Vec<String>,
}

/// What is known of one service's function, for the admin API and metrics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FunctionState {
    /// What was read.
    pub(crate) known: Known,
    /// As the gateway treats it: what was read in the place of what the policy assumes.
    pub(crate) real: Lambda,
    /// How many calls Lambda lets run at once, if that is known.
    pub(crate) concurrency: Option<u32>,
    /// Why something could not be read.
    pub(crate) error: Option<String>,
    /// Why it could not be read several times in a row, though that is permitted.
    pub(crate) broken: Option<String>,
    /// Where policy and function do not agree.
    pub(crate) warnings: Vec<String>,
}

impl FunctionState {
    /// Tells whether it shares the concurrency that the account's functions do not reserve.
    pub(crate) fn shares(&self) -> bool {
        self.known.reserved == Reserved::Nothing
    }
}

impl Functions {
    /// Knows nothing yet of the functions of `policy`.
    pub(super) fn new(policy: &Policy, now: Instant) -> Self {
        let mut functions = Self {
            followed: BTreeMap::new(),
            unreserved: None,
            denied: BTreeSet::new(),
            rate: Arc::new(Rate::new(BURST, PER_SECOND)),
        };
        functions.follow(policy, now);
        functions
    }

    /// Goes on with another policy, as it was written: what is known of a function that is still called is kept.
    pub(super) fn follow(&mut self, policy: &Policy, now: Instant) {
        let mut old = std::mem::take(&mut self.followed);
        for (index, service) in policy.services.iter().enumerate() {
            let Some(declared) = &service.lambda else { continue };
            let routes = policy
                .routes
                .iter()
                .filter(|route| usize::from(route.service.0) == index && route.lanes.lambda);
            let longest = routes.max_by_key(|route| route.timeouts.total);
            let longest = longest.map(|route| (route.name.clone(), route.timeouts.total));
            let same = |old: &Followed| name_of(&old.declared) == name_of(declared);
            let mut followed = old.remove(&service.name).filter(same).unwrap_or_else(|| Followed {
                declared: declared.clone(),
                longest: None,
                known: Known::default(),
                pace: Pace::new(true, now),
                error: None,
                warnings: Vec::new(),
            });
            (followed.declared, followed.longest) = (declared.clone(), longest);
            followed.warn(&service.name, self.unreserved);
            self.followed.insert(service.name.clone(), followed);
        }
    }

    /// Has all functions read at once; those that could not be read wait all the same.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.followed.values_mut().for_each(|followed| followed.pace.hasten(now));
    }

    /// Returns the readings that are due. Each must be reported to [`Functions::heard`].
    pub(super) fn due(&mut self, aws: &Aws, now: Instant) -> Vec<Ask> {
        let mut asks = Vec::new();
        // The account is read along with the first function.
        let mut account = true;
        for (service, followed) in &mut self.followed {
            if followed.pace.is_due(now) {
                let lambda = followed.declared.clone();
                asks.push(Ask::new(aws, self.rate.clone(), service.clone(), lambda, account));
            }
            account = false;
        }
        asks
    }

    /// Takes in what a reading found. Returns whether anything changed.
    pub(super) fn heard(&mut self, answer: Answer, now: Instant) -> bool {
        let before = self.states();
        // Nobody wants to know of a function that another policy does not call any more.
        let Some(followed) = self.followed.get_mut(&answer.service) else { return false };
        if name_of(&followed.declared) != answer.name {
            // The turn was that of the function before it, whose pace went with it.
            return false;
        }
        let nothing = answer.facts.is_empty();
        for fact in answer.facts {
            if let Fact::Unreserved(unreserved) = fact {
                self.unreserved = Some(unreserved);
            }
            followed.known.learn(fact);
        }
        let had_failed = followed.pace.failures() != 0;
        if answer.broken.is_some() {
            followed.pace.failed(READ_SOON, now);
        } else if nothing {
            followed.pace.succeeded(ASK_AGAIN, now);
        } else {
            let changing = followed.known.is_changing();
            followed.pace.succeeded(if changing { READ_SOON } else { READ_EVERY }, now);
        }
        let refused = (!answer.denied.is_empty())
            .then(|| format!("not permitted: {}", answer.denied.join(", ")));
        followed.error = answer.broken.clone().or(refused);
        self.tell(&answer.service, &answer.name, answer.broken, &answer.denied, had_failed);
        for (service, followed) in &mut self.followed {
            followed.warn(service, self.unreserved);
        }
        before != self.states()
    }

    /// Writes to the log what is new of what cannot be read, once for all functions.
    fn tell(
        &mut self,
        service: &Arc<str>,
        function: &str,
        broken: Option<String>,
        denied: &[&'static str],
        had_failed: bool,
    ) {
        let others = self.followed.iter().filter(|(name, _)| *name != service);
        let first = others.into_iter().all(|(_, followed)| followed.pace.failures() == 0);
        if let Some(error) = broken.filter(|_| first && !had_failed) {
            warn!(function, error, "cannot read functions; what is known of them stays");
        } else if first && had_failed && self.followed[service].pace.failures() == 0 {
            info!(function, "functions are read again");
        }
        let new: Vec<_> = denied.iter().filter(|call| !self.denied.contains(*call)).collect();
        if !new.is_empty() {
            warn!(
                function,
                calls = ?new,
                "not permitted to read functions, so the policy's `assume` holds; `pacer iam --role control` prints the permissions"
            );
        }
        self.denied.extend(denied);
    }

    /// Returns `policy`, which was written or is in force, with what was read in the place of what it assumes.
    pub(super) fn real(&self, policy: &Policy) -> Policy {
        policy.with_functions(|service| {
            let followed = self.followed.get(&service.name)?;
            Some(followed.known.real(&followed.declared, self.unreserved))
        })
    }

    /// Returns what was read of the function of a service.
    pub(super) fn known(&self, service: &str) -> Option<&Known> {
        self.followed.get(service).map(|followed| &followed.known)
    }

    /// Returns what may be offered to the function of a service.
    pub(super) fn offer(&self, service: &str) -> Offer {
        let followed = self.followed.get(service);
        followed.map_or(Offer::All, |followed| followed.known.configuration.state.offer())
    }

    /// Returns what is known, by service.
    pub(super) fn states(&self) -> BTreeMap<Arc<str>, FunctionState> {
        let state = |followed: &Followed| FunctionState {
            known: followed.known.clone(),
            real: followed.known.real(&followed.declared, self.unreserved),
            concurrency: followed.known.concurrency(self.unreserved),
            error: followed.error.clone(),
            broken: followed.error.clone().filter(|_| BROKEN_AFTER <= followed.pace.failures()),
            warnings: followed.warnings.clone(),
        };
        let states = self.followed.iter().map(|(name, followed)| (name.clone(), state(followed)));
        states.collect()
    }
}

impl Followed {
    /// Notes where policy and function do not agree, and tells of what is new.
    fn warn(&mut self, service: &str, unreserved: Option<u32>) {
        let concurrency = self.known.concurrency(unreserved);
        let warnings =
            warn::warnings(&self.declared, &self.known, concurrency, self.longest.as_ref());
        for warning in warnings.iter().filter(|warning| !self.warnings.contains(warning)) {
            warn!(service, "{warning}");
        }
        self.warnings = warnings;
    }
}

/// Returns function and qualifier as one name.
pub(crate) fn name_of(lambda: &Lambda) -> String {
    let qualifier =
        lambda.qualifier.as_ref().map_or_else(String::new, |qualifier| format!(":{qualifier}"));
    format!("{}{qualifier}", lambda.function)
}
