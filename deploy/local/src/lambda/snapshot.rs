//! SnapStart's snapshot of one published version: when it is there, and when it is not.
//!
//! Its states are those of the version (developer guide, "Activating and managing Lambda SnapStart" and
//! "Troubleshooting SnapStart errors", read 2026-11): Pending while it is made, then Active or Failed; Inactive, and
//! deleted, after fourteen days without an invocation. No memory is kept: a process is started to see whether it can
//! be, and ended.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use http::StatusCode;
use tokio::time::Instant;

use crate::{
    Shared,
    clock::{self, Scale},
    lambda::{
        environment::{Environment, InitType, LONG_INIT, StartError},
        error::ServiceError,
        function::Function,
        version::Version,
    },
    tasks::lock,
};

/// A snapshot nobody used for so long is deleted.
const UNUSED_MAX: Duration = Duration::from_hours(14 * 24);

/// The state of a version, as the API names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Active,
    Inactive,
    /// With `StateReasonCode` and `StateReason`.
    Failed(&'static str, String),
}

impl State {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Active => "Active",
            Self::Inactive => "Inactive",
            Self::Failed(..) => "Failed",
        }
    }

    /// `StateReasonCode` and `StateReason`, where there are any.
    pub(crate) fn reason(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Pending => Some(("Creating", "The function is being created.")),
            Self::Inactive => Some(("Idle", "The function is idle.")),
            Self::Failed(code, reason) => Some((code, reason)),
            Self::Active => None,
        }
    }
}

/// The snapshot of one version.
#[derive(Debug)]
pub(crate) struct Snapshot(Mutex<Phase>);

#[derive(Debug)]
struct Phase {
    state: State,
    used: Instant,
    /// It is made again, after it was deleted.
    again: bool,
}

impl Snapshot {
    /// One that is about to be made, or is there already.
    pub(crate) fn new(state: State) -> Self {
        Self(Mutex::new(Phase { state, used: Instant::now(), again: false }))
    }

    /// Its state now.
    pub(crate) fn state(&self, scale: Scale) -> State {
        let mut phase = lock(&self.0);
        if phase.state == State::Active && scale.shrink(UNUSED_MAX) < phase.used.elapsed() {
            phase.state = State::Inactive;
        }
        phase.state.clone()
    }

    /// Deletes the snapshot, as Lambda does from time to time; the next invocation has it made again.
    pub(crate) fn deactivate(&self) {
        lock(&self.0).state = State::Inactive;
    }

    fn set(&self, state: State) {
        *lock(&self.0) = Phase { state, used: Instant::now(), again: false };
    }

    /// Notes an invocation. True when the snapshot has to be made again.
    ///
    /// # Errors
    /// The refusal when there is no snapshot.
    fn enter(&self, scale: Scale) -> Result<(), (ServiceError, bool)> {
        let state = self.state(scale);
        let mut phase = lock(&self.0);
        let not_ready = || {
            ServiceError::new(
                StatusCode::CONFLICT,
                "SnapStartNotReadyException",
                "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.",
            )
        };
        match state {
            State::Active => {
                phase.used = Instant::now();
                Ok(())
            }
            State::Inactive => {
                (phase.state, phase.again) = (State::Pending, true);
                Err((not_ready(), true))
            }
            State::Pending if phase.again => Err((not_ready(), false)),
            State::Pending | State::Failed(..) => Err((
                ServiceError::conflict(format!(
                    "The operation cannot be performed at this time. The function is currently in the following state: {}",
                    state.name()
                )),
                false,
            )),
        }
    }
}

/// Admits an invocation to a version, whose snapshot is made again if it was deleted.
///
/// # Errors
/// 409 while there is no snapshot.
pub(crate) fn enter(
    shared: &Arc<Shared>,
    function: &Arc<Function>,
    version: &Arc<Version>,
) -> Result<(), ServiceError> {
    let Some(snapshot) = &version.snapshot else { return Ok(()) };
    snapshot.enter(shared.scale).map_err(|(refusal, make)| {
        if make {
            shared.work.spawn(make_snapshot(shared.clone(), function.clone(), version.clone()));
        }
        refusal
    })
}

/// Makes the snapshot of `version`: after a lag, a process must come up.
pub(crate) async fn make_snapshot(
    shared: Arc<Shared>,
    function: Arc<Function>,
    version: Arc<Version>,
) {
    let Some(snapshot) = &version.snapshot else { return };
    tokio::time::sleep(shared.scale.shrink(version.settings.snapshot_lag)).await;
    let budget = version.settings.timeout.max(LONG_INIT);
    let id = clock::request_id();
    let started =
        Environment::start(&shared, &function, &version, InitType::SnapStart, &id, budget).await;
    let state = match started {
        Ok(_) => State::Active,
        Err(StartError::Function(error) | StartError::Restore(error)) => {
            State::Failed("FunctionError.RuntimeInitError", error.message())
        }
        Err(StartError::Timeout | StartError::RestoreTimeout) => {
            let now = clock::timestamp(SystemTime::now());
            State::Failed("FunctionError.InitTimeout", format!("{now} the init phase timed out"))
        }
    };
    snapshot.set(state);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_nobody_used_for_two_weeks_is_made_again() {
        let snapshot = Snapshot::new(State::Active);
        assert_eq!(snapshot.enter(Scale(1.0)), Ok(()));
        // So fast that two weeks are over in less than a nanosecond.
        let fast = Scale(1e18);
        assert_eq!(snapshot.state(fast), State::Inactive);
        let (refusal, make) = snapshot.enter(fast).unwrap_err();
        assert_eq!((refusal.kind.as_str(), make), ("SnapStartNotReadyException", true));
        let (refusal, make) = snapshot.enter(Scale(1.0)).unwrap_err();
        assert_eq!((refusal.kind.as_str(), make), ("SnapStartNotReadyException", false));
        snapshot.set(State::Active);
        assert_eq!(snapshot.enter(Scale(1.0)), Ok(()));
    }

    #[test]
    fn a_version_that_is_not_ready_for_the_first_time_is_a_conflict() {
        for state in [State::Pending, State::Failed("FunctionError.InitTimeout", String::new())] {
            let (refusal, make) = Snapshot::new(state).enter(Scale(1.0)).unwrap_err();
            assert_eq!((refusal.kind.as_str(), make), ("ResourceConflictException", false));
        }
    }
}
