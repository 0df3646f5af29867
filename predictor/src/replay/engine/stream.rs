//! Requests that are decided about together, and what is learned of them while their load is replayed.

use std::{borrow::Cow, cmp::Reverse, collections::BinaryHeap};

use policies::{
    decide::Belief,
    policy::{Lanes, Route, Service},
};

use super::super::{distribution::Distribution, site};
use crate::{
    plan::Routing,
    profile::{BUCKETS, HALF_LIFE, Histogram, Profile},
};

/// How often what ended is taken in: as often as the gateway does.
const LEARN_EVERY_US: u64 = 1_000_000;

/// One stream while it runs.
pub(super) struct Stream<'a> {
    pub(super) route: Cow<'a, Route>,
    pub(super) service_time: &'a Distribution,
    prior: &'a Belief,
    learned: Option<Box<Learned>>,
}

/// What is learned of requests whose class policy leaves open.
#[derive(Debug)]
struct Learned {
    belief: Belief,
    profile: Profile,
    /// Ends that are yet to come, and how long those requests will have taken: nothing is learned ahead of its time.
    ends: BinaryHeap<Reverse<(u64, u32)>>,
    totals: Histogram<u64>,
    sprinter_up_to_us: u32,
    looked_us: u64,
}

impl<'a> Stream<'a> {
    pub(super) fn new(spec: &'a site::Stream, service: &Service, routing: Routing) -> Self {
        let mut route = Cow::Borrowed(&spec.route);
        if routing == Routing::ContainerOnly && spec.route.lanes != Lanes::BOTH {
            // Which lanes a route may use is Pacer's to obey: without it a load balancer sends everything to containers.
            route.to_mut().lanes = Lanes::BOTH;
        }
        let learns =
            routing == Routing::Hybrid && spec.route.class.is_none() && service.mode.learns();
        let us = |time: std::time::Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let learned = learns.then(|| {
            Box::new(Learned {
                belief: spec.belief,
                profile: Profile::default(),
                ends: BinaryHeap::new(),
                totals: Histogram::default(),
                sprinter_up_to_us: us(spec.route.auto.sprinter_up_to),
                looked_us: 0,
            })
        });
        Self { route, service_time: &spec.service_time, prior: &spec.belief, learned }
    }

    /// Takes in what has ended until `now_us`, once a second.
    pub(super) fn learn(&mut self, now_us: u64) {
        if let Some(learned) = &mut self.learned
            && learned.looked_us + LEARN_EVERY_US <= now_us
        {
            learned.look(now_us);
        }
    }

    /// Returns what is believed.
    pub(super) fn belief(&self) -> &Belief {
        self.learned.as_ref().map_or(self.prior, |learned| &learned.belief)
    }

    /// Notes a request that will have run for `us` when it ends.
    pub(super) fn ran(&mut self, end_us: u64, us: u64) {
        if let Some(learned) = &mut self.learned {
            learned.ends.push(Reverse((end_us, u32::try_from(us).unwrap_or(u32::MAX))));
        }
    }
}

impl Learned {
    /// Takes in what has ended until `now_us`.
    fn look(&mut self, now_us: u64) {
        let keep = 0.5_f64.powf((now_us - self.looked_us) as f64 / HALF_LIFE.as_micros() as f64);
        self.looked_us = now_us;
        let mut any = false;
        while let Some(&Reverse((end_us, us))) = self.ends.peek()
            && end_us <= now_us
        {
            self.ends.pop();
            *self.totals.bucket_mut(us) += 1;
            any = true;
        }
        if any {
            self.profile.update(self.totals.counters().copied().take(BUCKETS), keep);
            self.belief = self.profile.belief(self.sprinter_up_to_us);
        }
    }
}
