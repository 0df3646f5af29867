//! What the local cloud counts, and what that costs.
//!
//! Asked over HTTP as any user may ask it. It knows the truth about environments and tasks, where the gateway has to
//! estimate; usage comes in integers and is priced here, with the list that decisions are made with.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use pacer_demo::load::client;
use policies::{
    cost::Prices,
    policy::{Arch, Policy},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::{interval, timeout};

use super::{
    ahead::{self, Plan, Service, Tasks},
    view::Cost,
};

/// What the local cloud counts, over all functions and services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Function environments alive now.
    pub environments: u64,
    /// Those that work on a request now.
    pub busy: u64,
    /// Environments started for a request so far.
    pub cold_starts: u64,
    /// Requests refused for want of concurrency so far.
    pub throttles: u64,
    /// Tasks whose process runs.
    pub tasks_running: u64,
    /// Tasks on their way there.
    pub tasks_starting: u64,
    /// Tasks that there shall be.
    pub tasks_desired: u64,
}

/// Asks the local cloud at `address`; what it does not answer in time is `None`.
pub(crate) async fn look(address: SocketAddr, policy: &Policy) -> (Option<Counts>, Option<Cost>) {
    let (state, bill) =
        tokio::join!(document(address, "/_local/state"), document(address, "/_local/bill"));
    (state.map(|state: State| state.counts()), bill.map(|bill: Bill| bill.cost(policy)))
}

/// Asks the local cloud at `address` and the gateway's admin API how many tasks there are, and for the gateway's plan; `None`
/// for what is not answered in time.
pub(crate) async fn tasks(
    address: SocketAddr,
    admin: Option<SocketAddr>,
) -> (Option<Tasks>, Option<Plan>) {
    let services = async {
        let services: Vec<Service> = document(admin?, "/services").await?;
        Some(ahead::read(services))
    };
    let (state, services) = tokio::join!(document(address, "/_local/state"), services);
    let counts = state.map(|state: State| state.counts());
    let (ready, plan) = services.map_or((None, None), |(ready, plan)| (Some(ready), plan));
    let tasks = |counts: Counts| Tasks {
        desired: counts.tasks_desired,
        // Without an admin API those whose process runs, which is a little earlier.
        ready: ready.unwrap_or(counts.tasks_running),
    };
    (counts.map(tasks), plan)
}

/// Waits until all tasks of the local cloud at `address` run, but no longer than `within`.
pub(crate) async fn tasks_run(address: SocketAddr, within: Duration) {
    /// Between two looks: a twentieth of what a person notices as waiting.
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    let all_run = async {
        let mut ticks = interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let state: Option<State> = document(address, "/_local/state").await;
            if state.is_some_and(|state| state.counts().tasks_starting == 0) {
                return;
            }
        }
    };
    // Too late is said by the load itself: its first requests spill.
    let _late = timeout(within, all_run).await;
}

async fn document<T: DeserializeOwned>(address: SocketAddr, path: &str) -> Option<T> {
    let body = client::get(address, path).await.ok()?;
    serde_json::from_slice(&body).ok()
}

/// The part of `/_local/state` that is shown.
#[derive(Debug, Deserialize)]
struct State {
    functions: BTreeMap<String, FunctionState>,
    services: BTreeMap<String, ServiceState>,
}

#[derive(Debug, Deserialize)]
struct FunctionState {
    environments: Vec<serde::de::IgnoredAny>,
    in_flight: u64,
    cold_starts: u64,
    throttles: u64,
}

#[derive(Debug, Deserialize)]
struct ServiceState {
    desired: u64,
    running: u64,
    pending: u64,
}

impl State {
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for function in self.functions.values() {
            counts.environments += function.environments.len() as u64;
            counts.busy += function.in_flight;
            counts.cold_starts += function.cold_starts;
            counts.throttles += function.throttles;
        }
        for service in self.services.values() {
            counts.tasks_running += service.running;
            counts.tasks_starting += service.pending;
            counts.tasks_desired += service.desired;
        }
        counts
    }
}

/// The part of `/_local/bill` that is priced.
#[derive(Debug, Deserialize)]
struct Bill {
    functions: BTreeMap<String, FunctionBill>,
    services: BTreeMap<String, ServiceBill>,
}

#[derive(Debug, Deserialize)]
struct FunctionBill {
    requests: u64,
    mb_ms: u64,
}

#[derive(Debug, Deserialize)]
struct ServiceBill {
    task_ms: u64,
    vcpu_milli: u32,
    memory_mib: u32,
}

impl Bill {
    /// Prices the usage at the list of the policy's region, or of the fallback region when that has none built in.
    ///
    /// By real milliseconds, whatever the time scale. Fargate's least bill of one minute a task is left out: at 20 times
    /// the speed of the trace, a minute of the demo stands for twenty.
    fn cost(&self, policy: &Policy) -> Cost {
        let prices =
            policy.region.as_deref().and_then(Prices::builtin).unwrap_or_else(Prices::fallback);
        let function_arch = |name: &str| {
            let lambdas = policy.services.iter().filter_map(|service| service.lambda.as_ref());
            let mut named =
                lambdas.filter(|lambda| lambda.function.rsplit(':').next() == Some(name));
            named.next().map_or_else(Arch::default, |lambda| lambda.arch)
        };
        let service_arch = policy
            .services
            .iter()
            .find_map(|service| Some(service.container.as_ref()?.arch))
            .unwrap_or_default();
        let function = |(name, used): (&String, &FunctionBill)| {
            prices.lambda(function_arch(name), used.requests, used.mb_ms)
        };
        let service = |used: &ServiceBill| {
            prices.fargate(
                service_arch,
                f64::from(used.vcpu_milli) / 1000.0,
                used.memory_mib,
                used.task_ms,
            )
        };
        Cost {
            lambda: self.functions.iter().map(function).sum(),
            fargate: self.services.values().map(service).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_added_up() {
        let text = r#"{
            "functions": {
                "a": {"environments": [{"id": "x"}, {"id": "y"}], "in_flight": 1, "cold_starts": 3, "throttles": 0},
                "b": {"environments": [], "in_flight": 0, "cold_starts": 1, "throttles": 4}
            },
            "services": {"demo/a": {"desired": 2, "running": 1, "pending": 1, "tasks": []}}
        }"#;
        let counts = serde_json::from_str::<State>(text).unwrap().counts();
        let expected = Counts {
            environments: 2,
            busy: 1,
            cold_starts: 4,
            throttles: 4,
            tasks_running: 1,
            tasks_starting: 1,
            tasks_desired: 2,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn usage_is_priced_by_the_list() {
        let text = r#"{
            "functions": {"photos": {"requests": 2, "billed_ms": 1000, "mb_ms": 1769000, "init_ms": 0, "memory_mib": 1769}},
            "services": {"demo/photos": {"task_ms": 3600000, "vcpu_milli": 1000, "memory_mib": 2048}}
        }"#;
        let bill: Bill = serde_json::from_str(text).unwrap();
        let policy = super::super::stage::built_in_policy();
        let prices = Prices::fallback();
        let lambda = prices.lambda(Arch::Arm64, 2, 1_769_000);
        assert_eq!(
            bill.cost(&policy),
            Cost { lambda, fargate: prices.fargate(Arch::Arm64, 1.0, 2048, 3_600_000) }
        );
    }
}
