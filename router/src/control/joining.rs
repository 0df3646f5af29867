//! The control loop among other gateways: it joins them, meets them every two seconds, and leaves them.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::{
    Control, Report, TICK,
    aws::Aws,
    discover::Fleet,
    gateways::{JOIN_MAX, LEAVE_MAX},
};

impl Control {
    /// Finds the other gateways and waits for this one's share of slots, for [`JOIN_MAX`] at most. Not at all when it is
    /// alone, or the table of gateways cannot be reached.
    pub(crate) async fn join(&mut self) {
        if self.gateways.divides() {
            self.load_aws().await;
        }
        let end = Instant::now() + JOIN_MAX;
        while let Some(aws) = self.aws.clone()
            && !self.gateways.is_in()
            && Instant::now() < end
        {
            let now = Instant::now();
            match self.gateways.due(&aws, BTreeMap::new, now) {
                Some(round) => {
                    let done = Box::pin(round.run()).await;
                    self.gateways.heard(done, Instant::now(), SystemTime::now());
                }
                None => sleep(TICK / 4).await,
            }
        }
        self.gateways.serves();
        self.divide();
        let state = self.gateways.state(Instant::now(), SystemTime::now());
        self.shared.stats().tell_gateways(state);
    }

    pub(super) async fn load_aws(&mut self) {
        if self.aws.is_some() || !Aws::is_needed(&self.policy) {
            return;
        }
        match Aws::load(&self.policy).await {
            Ok(aws) => self.aws = Some(Arc::new(aws)),
            // `first_world` loaded the same settings, so this is a file that changed in between.
            Err(error) => warn!(
                error = format!("{error:#}"),
                "no AWS settings: neither ECS nor new credentials until a restart"
            ),
        }
    }

    /// Starts a round with the other gateways when one is due.
    pub(super) fn meet(&mut self, now: Instant) {
        let Some(aws) = &self.aws else { return };
        let fleets = &self.fleets;
        let busy = || {
            let mut busy: BTreeMap<Arc<str>, u32> = BTreeMap::new();
            for (task, slots) in fleets.values().flat_map(Fleet::busy) {
                *busy.entry(task).or_default() += slots;
            }
            busy
        };
        if let Some(round) = self.gateways.due(aws, busy, now) {
            self.jobs.spawn(async move { Report::Met(Box::pin(round.run()).await) });
        }
    }

    /// Divides the slots of all tasks among gateways.
    pub(super) fn divide(&mut self) {
        let division = self.gateways.division();
        for fleet in self.fleets.values_mut() {
            fleet.divide(&division);
        }
    }

    /// Takes this gateway out of the table: its slots are the others' then.
    pub(super) async fn leave(&mut self) {
        // A round under way would write its beat again.
        self.jobs.shutdown().await;
        let leave = self.aws.as_ref().and_then(|aws| self.gateways.leave(aws));
        if let Some(leave) = leave
            && timeout(LEAVE_MAX, leave.run()).await.is_err()
        {
            warn!(
                "the table of gateways did not answer: this gateway's part of slots is free in ten seconds"
            );
        }
    }
}
