//! What the tests stand on: the processes under test, and the two ends of the wire around them.
//!
//! Both ends speak HTTP by hand ([`wire`]), so that a test can misbehave at any byte, and so that nothing here shares
//! code with what is tested.

pub(crate) mod cloud;
pub(crate) mod gateway;
pub(crate) mod process;
pub(crate) mod upstream;
pub(crate) mod wire;

pub(crate) use cloud::Cloud;
pub(crate) use gateway::Gateway;
pub(crate) use upstream::Upstream;
pub(crate) use wire::Wire;

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take to happen on a busy machine. Only a failing test waits so long; an ECS task of the local
/// cloud, listed every 5 s, is the slowest thing waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Time between two looks of [`until`].
const LOOK: Duration = Duration::from_millis(10);

/// Waits for `work`, which is called `what` when it does not end.
#[track_caller]
pub(crate) fn within<F: Future>(what: &str, work: F) -> impl Future<Output = F::Output> + use<F> {
    let what = what.to_owned();
    let place = std::panic::Location::caller();
    async move {
        let output = timeout(PATIENCE, work).await;
        output.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}, at {place}"))
    }
}

/// Looks until `condition` gives something.
#[track_caller]
pub(crate) fn until<T, C: AsyncFnMut() -> Option<T>>(
    what: &str,
    mut condition: C,
) -> impl Future<Output = T> + use<T, C> {
    let what = what.to_owned();
    let place = std::panic::Location::caller();
    async move {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(value) = condition().await {
                return value;
            }
            // Between two looks, not instead of one.
            sleep(LOOK).await;
        }
        panic!("not within {PATIENCE:?}: {what}, at {place}")
    }
}
