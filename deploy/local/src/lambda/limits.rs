//! How many invocations may run at once: the account's concurrency and how functions share it.
//!
//! As Lambda has it ("Lambda function scaling" and "Understanding concurrency", developer guide, read 2026-11): reserved
//! concurrency is a limit of one function and taken from the account's; provisioned concurrency is taken from the
//! function's reservation, or from the account's; what is left is shared by all functions that reserve nothing. With
//! concurrency goes a rate: ten requests a second for each.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use tokio::time::Instant;

use crate::{
    bucket::{Bucket, Rate},
    clock::Scale,
    config::{self, Config},
    faults::ThrottleReason,
    tasks::lock,
};

/// Concurrency that no reservation may take from the functions that reserve nothing.
const UNRESERVED_MIN: u32 = 100;
/// Requests a second for each concurrent invocation of a quota.
const REQUESTS_PER_CONCURRENCY: f64 = 10.0;
/// New environments a function may start at once, and each second after: 1,000 in 10 s.
const STARTS: Rate = Rate { burst: 1000.0, per_second: 100.0 };

/// The account's concurrency.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) account: u32,
    scale: Scale,
    shares: Mutex<BTreeMap<String, Share>>,
    /// Requests of all functions that reserve nothing.
    requests: Bucket,
}

/// One function's part.
#[derive(Debug)]
struct Share {
    reserved: Option<u32>,
    /// Provisioned concurrency, all qualifiers together.
    provisioned: u32,
    /// In flight, but those in provisioned environments.
    on_demand: u32,
    requests: Bucket,
    starts: Bucket,
}

impl Limits {
    pub(crate) fn new(config: &Config, scale: Scale, now: Instant) -> Self {
        let share = |(name, function): (&String, &config::Function)| {
            let share = Share {
                reserved: function.reserved_concurrency,
                provisioned: 0,
                on_demand: 0,
                requests: Bucket::new(now),
                starts: Bucket::new(now),
            };
            (name.clone(), share)
        };
        Self {
            account: config.account_concurrency,
            scale,
            shares: Mutex::new(config.functions.iter().map(share).collect()),
            requests: Bucket::new(now),
        }
    }

    /// Takes room for one invocation outside of provisioned environments, until the slot is dropped.
    ///
    /// # Errors
    /// The reason for a 429 when there is no room.
    pub(crate) fn enter(self: &Arc<Self>, function: &str) -> Result<Slot, ThrottleReason> {
        let mut shares = lock(&self.shares);
        let free = self.unreserved(&shares);
        let others: u32 =
            shares.values().filter(|s| s.reserved.is_none()).map(|s| s.on_demand).sum();
        let share = shares.get_mut(function);
        let share = share.ok_or(ThrottleReason::ConcurrentInvocationLimitExceeded)?;
        let (room, used, reason) = match share.reserved {
            Some(reserved) => (
                reserved.saturating_sub(share.provisioned),
                share.on_demand,
                ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded,
            ),
            None => (free, others, ThrottleReason::ConcurrentInvocationLimitExceeded),
        };
        if room <= used {
            return Err(reason);
        }
        share.on_demand += 1;
        Ok(Slot { limits: self.clone(), function: function.to_owned() })
    }

    /// Counts a request against the rate that goes with the function's concurrency.
    ///
    /// # Errors
    /// The reason for a 429 when there were too many.
    pub(crate) fn request(&self, function: &str, now: Instant) -> Result<(), ThrottleReason> {
        let shares = lock(&self.shares);
        let share = shares.get(function);
        let reserved = share.and_then(|s| Some((s, s.reserved?)));
        let (bucket, concurrency, reason) = match reserved {
            Some((share, reserved)) => (
                &share.requests,
                reserved,
                ThrottleReason::ReservedFunctionInvocationRateLimitExceeded,
            ),
            None => {
                (&self.requests, self.account, ThrottleReason::FunctionInvocationRateLimitExceeded)
            }
        };
        let per_second = REQUESTS_PER_CONCURRENCY * f64::from(concurrency);
        // A second's worth at once. Load is scaled with the clock, and so is what it is held to.
        let rate = Rate { burst: per_second, per_second: per_second * self.scale.0 };
        bucket.take(rate, now).then_some(()).ok_or(reason)
    }

    /// Takes a new environment's start; false when the function started too many lately.
    pub(crate) fn start(&self, function: &str, now: Instant) -> bool {
        let rate = Rate { per_second: STARTS.per_second * self.scale.0, ..STARTS };
        lock(&self.shares).get(function).is_some_and(|share| share.starts.take(rate, now))
    }

    pub(crate) fn reserved(&self, function: &str) -> Option<u32> {
        lock(&self.shares).get(function)?.reserved
    }

    /// What the functions that reserve nothing may use, as GetAccountSettings says it: provisioned concurrency is not
    /// taken off.
    pub(crate) fn account_unreserved(&self) -> u32 {
        let reserved = lock(&self.shares).values().filter_map(|s| s.reserved).sum();
        self.account.saturating_sub(reserved)
    }

    /// Sets or removes a function's reservation.
    ///
    /// # Errors
    /// AWS's message when too little would be left for the others, or less than is provisioned.
    pub(crate) fn reserve(&self, function: &str, reserved: Option<u32>) -> Result<(), String> {
        let refusal = |least: &str| {
            format!(
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{least}]."
            )
        };
        self.change(function, |share| {
            if let Some(reserved) = reserved
                && reserved < share.provisioned
            {
                return Err(format!(
                    "ReservedConcurrentExecutions {reserved} should not be lower than function's total provisioned concurrency [{}].",
                    share.provisioned
                ));
            }
            share.reserved = reserved;
            Ok(())
        }, refusal)
    }

    /// Sets what is provisioned of a function, all its qualifiers together.
    ///
    /// # Errors
    /// AWS's message when it is more than the reservation, or leaves too little for the others.
    pub(crate) fn provision(&self, function: &str, provisioned: u32) -> Result<(), String> {
        let refusal = |least: &str| {
            format!(
                "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{least}]."
            )
        };
        self.change(function, |share| {
            if share.reserved.is_some_and(|reserved| reserved < provisioned) {
                return Err("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function".into());
            }
            share.provisioned = provisioned;
            Ok(())
        }, refusal)
    }

    /// Changes a share, unless that takes more than the others can spare.
    fn change(
        &self,
        function: &str,
        change: impl FnOnce(&mut Share) -> Result<(), String>,
        refusal: impl FnOnce(&str) -> String,
    ) -> Result<(), String> {
        let mut shares = lock(&self.shares);
        let before = self.unreserved(&shares);
        let share = shares.get_mut(function).ok_or("there is no such function")?;
        let old = (share.reserved, share.provisioned);
        change(share)?;
        let after = self.unreserved(&shares);
        // What the configuration took before counts as given.
        if after < before && after < UNRESERVED_MIN {
            if let Some(share) = shares.get_mut(function) {
                (share.reserved, share.provisioned) = old;
            }
            return Err(refusal(&UNRESERVED_MIN.to_string()));
        }
        Ok(())
    }

    fn unreserved(&self, shares: &BTreeMap<String, Share>) -> u32 {
        let taken = shares.values().map(|s| s.reserved.unwrap_or(s.provisioned)).sum();
        self.account.saturating_sub(taken)
    }
}

/// Room for one invocation; given back on drop.
#[derive(Debug)]
pub(crate) struct Slot {
    limits: Arc<Limits>,
    function: String,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(share) = lock(&self.limits.shares).get_mut(&self.function) {
            share.on_demand -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account of `account` with functions `f` and `g`, of which `f` may reserve.
    fn limits(account: u32, reserved: Option<u32>) -> Arc<Limits> {
        let mut config = Config { account_concurrency: account, ..Config::new() };
        let mut function = config::Function::new(vec!["app".into()]);
        config.functions.insert("g".into(), function.clone());
        function.reserved_concurrency = reserved;
        config.functions.insert("f".into(), function);
        Arc::new(Limits::new(&config, Scale(1.0), Instant::now()))
    }

    #[test]
    fn a_slot_is_given_back_when_it_is_dropped() {
        let limits = limits(10, Some(1));
        let slot = limits.enter("f").unwrap();
        let refused = limits.enter("f").unwrap_err();
        assert_eq!(refused, ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded);
        drop(slot);
        assert!(limits.enter("f").is_ok());
    }

    #[test]
    fn what_is_reserved_or_provisioned_is_taken_from_the_others() {
        let limits = limits(200, None);
        assert_eq!(limits.reserve("f", Some(90)), Ok(()));
        assert!(limits.reserve("f", Some(101)).unwrap_err().contains("minimum value of [100]"));
        assert_eq!(limits.reserved("f"), Some(90));
        assert_eq!(limits.account_unreserved(), 110);
        // Out of its own reservation: nothing more is taken.
        assert_eq!(limits.provision("f", 80), Ok(()));
        assert!(limits.provision("f", 91).unwrap_err().contains("reservedConcurrentExecution"));
        assert!(limits.reserve("f", Some(79)).unwrap_err().contains("[80]"));
        let slots: Vec<_> = (0..20).map_while(|_| limits.enter("f").ok()).collect();
        assert_eq!(slots.len(), 10);
        assert_eq!(limits.provision("g", 10), Ok(()));
        assert!(limits.provision("g", 11).unwrap_err().contains("minimum value of [100]"));
        let slots: Vec<_> = (0..200).map_while(|_| limits.enter("g").ok()).collect();
        assert_eq!(slots.len(), 100);
    }

    #[test]
    fn with_concurrency_goes_a_rate() {
        let limits = limits(2, Some(1));
        let now = Instant::now();
        let count = |name: &str| (0..100).filter(|_| limits.request(name, now).is_ok()).count();
        assert_eq!((count("f"), count("g")), (10, 20));
        assert_eq!(
            limits.request("f", now),
            Err(ThrottleReason::ReservedFunctionInvocationRateLimitExceeded)
        );
        assert_eq!(
            limits.request("g", now),
            Err(ThrottleReason::FunctionInvocationRateLimitExceeded)
        );
    }
}
