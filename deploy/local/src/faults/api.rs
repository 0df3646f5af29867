//! Faults of an API as a whole: down, throttled, or hanging, whatever is called, until faults are cleared.
//!
//! What the API's service does meanwhile goes on: tasks live, schedules fire. Who calls the API must be able to stand still.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Deserialize;
use tokio::sync::watch;

/// A fault of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ApiOrder {
    /// Every call is refused.
    Down {
        /// 500 or 503.
        #[serde(default = "super::unavailable")]
        status: u16,
    },
    /// Every call is throttled, as when others use up the account's rate.
    Throttle {},
    /// No call is answered before faults are cleared; then it is carried out, if its caller is still there.
    Hang {},
}

/// The APIs that can have such a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Api {
    Ecs,
    Autoscaling,
    Scheduler,
    Dynamodb,
    S3,
    Cloudwatch,
}

impl Api {
    /// Its key in an order of faults.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Autoscaling => "autoscaling",
            Self::Scheduler => "scheduler",
            Self::Dynamodb => "dynamodb",
            Self::S3 => "s3",
            Self::Cloudwatch => "cloudwatch",
        }
    }
}

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiFault {
    Down(StatusCode),
    Throttled,
}

/// What goes wrong with one API. Being down hides being throttled.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    down: Option<StatusCode>,
    throttled: bool,
    hanging: bool,
}

/// The faults of all APIs.
#[derive(Debug, Default)]
pub(crate) struct ApiFaults(watch::Sender<BTreeMap<Api, State>>);

impl ApiFaults {
    /// Places `order`.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub(crate) fn place(&self, api: Api, order: ApiOrder) -> Result<(), String> {
        let change: fn(&mut State, StatusCode) = match order {
            ApiOrder::Down { .. } => |state, status| state.down = Some(status),
            ApiOrder::Throttle {} => |state, _| state.throttled = true,
            ApiOrder::Hang {} => |state, _| state.hanging = true,
        };
        let status = match order {
            ApiOrder::Down { status: 500 } => StatusCode::INTERNAL_SERVER_ERROR,
            ApiOrder::Down { status: 503 } | ApiOrder::Throttle {} | ApiOrder::Hang {} => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ApiOrder::Down { status } => {
                return Err(format!("{}.down.status: {status} is not 500 or 503", api.name()));
            }
        };
        self.0.send_modify(|states| change(states.entry(api).or_default(), status));
        Ok(())
    }

    /// Waits as long as calls of `api` hang; then tells what they meet.
    pub(crate) async fn meet(&self, api: Api) -> Option<ApiFault> {
        let mut states = self.0.subscribe();
        let hangs = |states: &BTreeMap<Api, State>| states.get(&api).is_some_and(|s| s.hanging);
        // The sender is ours, so that waiting for it cannot fail.
        let _ = states.wait_for(|states| !hangs(states)).await;
        self.now(api)
    }

    /// What a call meets that does not wait. One that would hang is as good as lost to whoever cannot.
    pub(crate) fn now(&self, api: Api) -> Option<ApiFault> {
        let state = self.0.borrow().get(&api).copied().unwrap_or_default();
        let hanging = state.hanging.then_some(StatusCode::SERVICE_UNAVAILABLE);
        let throttled = state.throttled.then_some(ApiFault::Throttled);
        state.down.or(hanging).map(ApiFault::Down).or(throttled)
    }

    pub(crate) fn clear(&self) {
        self.0.send_replace(BTreeMap::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_hangs_until_faults_are_cleared_and_other_apis_do_not() {
        let faults = ApiFaults::default();
        faults.place(Api::Scheduler, ApiOrder::Hang {}).unwrap();
        assert_eq!(faults.meet(Api::Ecs).await, None);
        let day = std::time::Duration::from_hours(24);
        let met = tokio::time::timeout(day, faults.meet(Api::Scheduler)).await;
        assert!(met.is_err(), "it never comes back: {met:?}");
        let (met, ()) = tokio::join!(faults.meet(Api::Scheduler), async { faults.clear() });
        assert_eq!(met, None);
    }

    #[test]
    fn down_hides_throttled_and_a_wrong_status_is_refused() {
        let faults = ApiFaults::default();
        faults.place(Api::Ecs, ApiOrder::Throttle {}).unwrap();
        assert_eq!(faults.now(Api::Ecs), Some(ApiFault::Throttled));
        faults.place(Api::Ecs, ApiOrder::Down { status: 500 }).unwrap();
        let down = Some(ApiFault::Down(StatusCode::INTERNAL_SERVER_ERROR));
        assert_eq!(faults.now(Api::Ecs), down);
        let refused = faults.place(Api::Scheduler, ApiOrder::Down { status: 404 }).unwrap_err();
        assert!(refused.starts_with("scheduler.down.status: 404"), "{refused}");
        assert_eq!(faults.now(Api::Scheduler), None);
    }
}
