//! Faults that wait for the invocations they were ordered for, and those that last.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use http::StatusCode;

use super::kinds::{EXCEPTIONS, FUNCTION_ERRORS, PayloadFault, StreamFault, ThrottleReason, When};
use crate::{clock, tasks::lock};

/// Most faults that wait to happen, all functions together; more is a test that has lost count.
const PENDING_MAX: usize = 100_000;

/// What goes wrong with one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InvokeFault {
    Refuse(Refusal),
    FunctionError { kind: String, message: String, handled: bool },
    Payload(PayloadFault),
    Stream(StreamFault),
    Hang,
    Drop(When),
}

/// A refusal of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Throttle(ThrottleReason),
    Exception { status: StatusCode, kind: String },
}

impl Refusal {
    /// The exception `kind` with this status, or its own.
    ///
    /// # Errors
    /// When the status is none of an error, or not known.
    pub(crate) fn exception(kind: String, status: Option<u16>) -> Result<Self, String> {
        if kind == "TooManyRequestsException" && status.is_none_or(|status| status == 429) {
            return Ok(Self::Throttle(ThrottleReason::CallerRateLimitExceeded));
        }
        let known = EXCEPTIONS.iter().find(|(name, _)| *name == kind).map(|(_, status)| *status);
        let status = status.or(known).ok_or_else(|| {
            format!("type: `{kind}` is no exception of Invoke; write its status too")
        })?;
        let status = StatusCode::from_u16(status).ok();
        let status = status.filter(|s| s.is_client_error() || s.is_server_error());
        let status = status.ok_or("status: is not within 400 to 599")?;
        Ok(Self::Exception { status, kind })
    }
}

impl InvokeFault {
    /// The function error that [`FUNCTION_ERRORS`] has under `name`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn function_error(name: &str) -> Result<Self, String> {
        let row = FUNCTION_ERRORS.iter().find(|row| row.0 == name);
        let Some((_, kind, message, handled)) = row else {
            let names: Vec<&str> = FUNCTION_ERRORS.iter().map(|row| row.0).collect();
            return Err(format!("kind: `{name}` is none of {}", names.join(", ")));
        };
        Ok(Self::FunctionError {
            kind: (*kind).to_owned(),
            message: (*message).to_owned(),
            handled: *handled,
        })
    }
}

/// The faults that wait to happen, and those that last.
#[derive(Debug, Default)]
pub(crate) struct LambdaFaults(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    /// By function: a fault and how many more times.
    invocations: BTreeMap<String, VecDeque<(InvokeFault, usize)>>,
    /// Of calls that are no invocations.
    calls: VecDeque<(Refusal, usize)>,
    storm: Option<(ThrottleReason, u8)>,
    down: Option<StatusCode>,
    clock_ahead: Duration,
}

impl LambdaFaults {
    /// Queues `fault` for the next `count` invocations of `function`.
    ///
    /// # Errors
    /// When too many faults wait.
    pub(crate) fn on_invoke(
        &self,
        function: &str,
        fault: InvokeFault,
        count: usize,
    ) -> Result<(), String> {
        let mut pending = lock(&self.0);
        pending.room(count)?;
        if 0 < count {
            pending.invocations.entry(function.to_owned()).or_default().push_back((fault, count));
        }
        Ok(())
    }

    /// Queues `refusal` for the next `count` calls that are no invocations.
    ///
    /// # Errors
    /// When too many faults wait.
    pub(crate) fn on_call(&self, refusal: Refusal, count: usize) -> Result<(), String> {
        let mut pending = lock(&self.0);
        pending.room(count)?;
        if 0 < count {
            pending.calls.push_back((refusal, count));
        }
        Ok(())
    }

    /// Takes the fault that the next invocation of `function` meets.
    pub(crate) fn take(&self, function: &str) -> Option<InvokeFault> {
        let mut pending = lock(&self.0);
        if let Some(fault) = pending.invocations.get_mut(function).and_then(take) {
            return Some(fault);
        }
        let (reason, percent) = pending.storm?;
        let meets = clock::draw() * 100.0 < f64::from(percent);
        meets.then_some(InvokeFault::Refuse(Refusal::Throttle(reason)))
    }

    /// Takes the refusal that the next call meets that is no invocation.
    pub(crate) fn take_call(&self) -> Option<Refusal> {
        take(&mut lock(&self.0).calls)
    }

    pub(crate) fn set_storm(&self, reason: ThrottleReason, percent: u8) {
        lock(&self.0).storm = Some((reason, percent));
    }

    pub(crate) fn set_down(&self, status: StatusCode) {
        lock(&self.0).down = Some(status);
    }

    pub(crate) fn down(&self) -> Option<StatusCode> {
        lock(&self.0).down
    }

    pub(crate) fn set_clock_ahead(&self, ahead: Duration) {
        lock(&self.0).clock_ahead = ahead;
    }

    pub(crate) fn clock_ahead(&self) -> Duration {
        lock(&self.0).clock_ahead
    }

    /// Forgets all faults.
    pub(crate) fn clear(&self) {
        *lock(&self.0) = Pending::default();
    }
}

impl Pending {
    fn room(&self, count: usize) -> Result<(), String> {
        let invocations = self.invocations.values().flatten().map(|(_, n)| *n);
        let waiting: usize = invocations.chain(self.calls.iter().map(|(_, n)| *n)).sum();
        if PENDING_MAX < waiting.saturating_add(count) {
            return Err(format!(
                "count: {count} more than the {waiting} that wait is above {PENDING_MAX}; clear some"
            ));
        }
        Ok(())
    }
}

/// Takes the next of a queue in which each fault is as often as it was ordered.
fn take<T: Clone>(queue: &mut VecDeque<(T, usize)>) -> Option<T> {
    let (fault, left) = queue.front_mut()?;
    let fault = fault.clone();
    *left -= 1;
    if *left == 0 {
        queue.pop_front();
    }
    Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_in_order_and_as_often_as_ordered() {
        let faults = LambdaFaults::default();
        let garbage = InvokeFault::Payload(PayloadFault::Garbage);
        faults.on_invoke("f", garbage.clone(), 2).unwrap();
        faults.on_invoke("f", InvokeFault::Hang, 1).unwrap();
        assert_eq!(faults.take("g"), None);
        assert_eq!(faults.take("f"), Some(garbage.clone()));
        assert_eq!(faults.take("f"), Some(garbage));
        assert_eq!(faults.take("f"), Some(InvokeFault::Hang));
        assert_eq!(faults.take("f"), None);
        assert!(faults.on_invoke("f", InvokeFault::Hang, PENDING_MAX + 1).is_err());
    }

    #[test]
    fn a_storm_lasts_until_it_is_cleared() {
        let faults = LambdaFaults::default();
        faults.set_storm(ThrottleReason::default(), 100);
        assert!((0..100).all(|_| faults.take("f").is_some()));
        faults.clear();
        assert_eq!(faults.take("f"), None);
    }

    #[test]
    fn an_exception_has_its_own_status_unless_another_is_ordered() {
        let status = |kind: &str, status| match Refusal::exception(kind.into(), status) {
            Ok(Refusal::Exception { status, .. }) => status.as_u16(),
            Ok(Refusal::Throttle(_)) => 429,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(status("EFSIOException", None), 410);
        assert_eq!(status("EFSIOException", Some(500)), 500);
        assert_eq!(status("TooManyRequestsException", None), 429);
        assert!(Refusal::exception("Mood".into(), None).is_err());
        assert!(Refusal::exception("Mood".into(), Some(200)).is_err());
        assert!(EXCEPTIONS.is_sorted());
    }
}
