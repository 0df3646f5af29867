//! A task's life, from its start lag to after the end of its process.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::{Order, Status, Task, container};
use crate::{Shared, config::Network, ecs::health, process::Process};

/// Parts of the start lag: PROVISIONING (the network interface), PENDING (the image), and ACTIVATING for the rest, in
/// which the process runs already.
const PROVISIONING_SHARE: f64 = 0.3;
const PENDING_SHARE: f64 = 0.6;
/// From the order to stop a task to its SIGTERM, divided by the time scale. ECS deregisters the task from load balancers
/// meanwhile; where there is none, as here, it takes about a second. It lets a gateway that polls fast see it coming.
const DEACTIVATING: Duration = Duration::from_secs(1);
/// How long the network interface of a task that has ended takes to be gone, divided by the time scale.
const DEPROVISIONING: Duration = Duration::from_secs(1);

impl Task {
    /// Lives the task's life: lag, process, end. Cluster and service name faults and logs.
    pub(crate) async fn live(&self, shared: &Shared, of: (&str, &str), delay: Duration) {
        let mut orders = self.order.subscribe();
        let lag = self.definition.start_lag + shared.faults.extra_lag(of.0, of.1);
        let lag = shared.scale.shrink(lag);
        let lagged = async {
            tokio::time::sleep(delay + lag.mul_f64(PROVISIONING_SHARE)).await;
            self.update(|state| {
                state.status = Status::Pending;
                state.pull_started = Some(SystemTime::now());
            });
            tokio::time::sleep(lag.mul_f64(PENDING_SHARE)).await;
        };
        tokio::select! {
            () = lagged => {}
            _ = order(&mut orders, |o| o != Order::Live) => return self.over(shared, None).await,
        }
        let (process, address, env) = match container::start(self, shared, of) {
            Ok(started) => started,
            Err(error) => {
                tracing::warn!(task = self.arn, %error, "a task did not start");
                let reason = format!("CannotStartContainerError: {error}");
                self.no_longer_wanted("TaskFailedToStart", &reason);
                return self.over(shared, None).await;
            }
        };
        self.update(|state| {
            state.status = Status::Activating;
            state.pull_stopped = Some(SystemTime::now());
            state.address = Some(address);
            state.pid = Some(process.pid);
        });
        let running = async {
            let activating = 1.0 - PROVISIONING_SHARE - PENDING_SHARE;
            tokio::time::sleep(lag.mul_f64(activating)).await;
            tracing::info!(task = self.arn, %address, pid = process.pid, "a task runs");
            self.update(|state| {
                state.status = Status::Running;
                state.started = Some(SystemTime::now());
            });
            health::watch(shared, self, &env).await
        };
        let ordered = tokio::select! {
            _ = process.exited() => Order::Kill,
            order = order(&mut orders, |o| o != Order::Live) => order,
            never = running => match never {},
        };
        let exit_code = self.end(shared, &process, ordered, &mut orders).await;
        self.over(shared, Some(exit_code)).await;
    }

    /// Ends the process as it was ordered. Returns its exit code.
    async fn end(
        &self,
        shared: &Shared,
        process: &Process,
        ordered: Order,
        orders: &mut watch::Receiver<Order>,
    ) -> i32 {
        if ordered == Order::Kill {
            process.kill();
            let exit = process.exited().await;
            self.no_longer_wanted("EssentialContainerExited", "Essential container in task exited");
            return exit.code;
        }
        self.update(|state| state.status = Status::Deactivating);
        // The notice of an interruption and SIGTERM come together.
        if ordered != Order::Interrupt {
            tokio::select! {
                () = tokio::time::sleep(shared.scale.shrink(DEACTIVATING)) => {}
                _ = process.exited() => {}
            }
        }
        self.update(|state| {
            state.status = Status::Stopping;
            state.stopping = Some(SystemTime::now());
        });
        process.stop(shared.scale.shrink(self.definition.content.stop_timeout));
        let exit = tokio::select! {
            exit = process.exited() => exit,
            _ = order(orders, |o| o == Order::Kill) => {
                process.kill();
                process.exited().await
            }
        };
        exit.code
    }

    /// Its process has ended, or never was.
    async fn over(&self, shared: &Shared, exit_code: Option<i32>) {
        let now = SystemTime::now();
        self.update(|state| {
            state.stopping = state.stopping.or(Some(now));
            state.execution_stopped = Some(now);
            state.exit_code = exit_code;
            state.pid = None;
            if state.address.is_some() && self.definition.content.network == Network::Awsvpc {
                state.status = Status::Deprovisioning;
            }
        });
        if self.status() == Status::Deprovisioning {
            tokio::time::sleep(shared.scale.shrink(DEPROVISIONING)).await;
        }
        self.update(|state| {
            state.status = Status::Stopped;
            state.stopped = Some(SystemTime::now());
            state.lived = Some(self.born.elapsed());
        });
        let state = self.state();
        tracing::info!(
            task = self.arn,
            code = state.stop_code,
            reason = state.stopped_reason,
            "a task ended"
        );
    }
}

/// Waits for an order that `is` asked about.
async fn order(orders: &mut watch::Receiver<Order>, is: impl Fn(Order) -> bool) -> Order {
    // The task holds the sender, and outlives whoever waits here.
    orders.wait_for(|o| is(*o)).await.map_or(Order::Kill, |o| *o)
}
