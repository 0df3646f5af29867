//! Pacer's own planner: tasks for the load to come, as long as the next one is expected to pay.
//!
//! A task is worth having while the share of its slots that it is expected to keep busy, over all demands that are possible
//! by the time that one asked for now could serve, is above the break-even with Lambda ([`erlang::worthwhile_tasks`]).
//! Two rules keep that from running after every ripple:
//!
//! - **One more** has its start to pay for, too: that is spread over a use of [`USED_FOR`] as long.
//! - **One less** must be one less for as long as a start is paid for: then what idling cost is what starting it again
//!   would, and at worst twice the best is paid (ski rental). What is still needed now is not taken back either.
//!
//! What will be asked for a [`Sight`] tells: forecasts, or the truth, by which the same planner is what the best forecast of
//! all would come to. Sums of what a task gains over the time to come were tried in the place of both rules: they had tasks
//! come and go by the thousand, or, held back, cost more wherever starts take minutes.

mod outlook;
mod sight;
mod watch;

use self::watch::Watch;
pub use self::{
    sight::{Forecasts, Truth},
    watch::Second,
};
use super::{
    Inputs, Plan, Planner, Shape, Why,
    basis::{Basis, Seen, quantile},
    erlang,
    event::{self, Event},
    hold::Hold,
    warm::Pool,
};
use crate::forecast::{LEVELS, Quantiles};

/// How often it looks, in seconds.
const LOOK_S: u64 = 10;

/// For how long a task more is expected to be used, in paid starts. With 3, with 7 and without any end, five of the loads of
/// `tests/sim` cost the same within 3 %.
const USED_FOR: f64 = 7.0;

/// Quantile of the demand that warm environments are held for, beyond what slots there are.
const WARM_LEVEL: f64 = 0.99;

/// Quantile of the demand that is nearly certain: tasks for it are not left to Spot.
const CERTAIN_LEVEL: f64 = 0.1;

/// Demands (busy slots), and how likely each is.
pub type Demands = Vec<(f64, f64)>;

/// Tells what will be asked for.
pub trait Sight {
    /// Learns what was asked for since the last look.
    fn look(&mut self, inputs: &Inputs<'_>);

    /// Returns what may be asked for when a task asked for now could serve; nothing while too little is known.
    fn demands(&self, inputs: &Inputs<'_>) -> Option<Demands>;

    /// Returns what may be asked for in `in_s` seconds, also beyond what is planned for; nothing where that is not known.
    fn outlook(&self, _: &Inputs<'_>, _in_s: u64) -> Option<Demands> {
        None
    }

    /// Whether it may be wrong, and is to be watched.
    fn may_err(&self) -> bool {
        true
    }

    /// The name of the planner that goes by it.
    fn planner(&self) -> &'static str;
}

/// The plan of one service.
#[derive(Debug, Clone)]
pub struct Pacer<S> {
    sight: S,
    hold: Hold,
    events: Vec<Event>,
    watch: Watch,
    pool: Pool,
    /// What was asked since the last look, and when that was.
    asked: f64,
    looked_us: Option<u64>,
    /// What the last plan went by, with its tasks and the service it was for.
    seen: Option<(Seen, u32, Shape)>,
}

/// How many tasks are wanted, and why.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    tasks: u32,
    why: Why,
}

impl<S: Sight> Pacer<S> {
    /// Goes by what `sight` tells.
    pub fn new(sight: S) -> Self {
        Self {
            asked: 0.0,
            looked_us: None,
            sight,
            hold: Hold::default(),
            events: Vec::new(),
            watch: Watch::default(),
            pool: Pool::default(),
            seen: None,
        }
    }

    /// Knows what was announced, from now on: these events and no others.
    pub fn set_events(&mut self, events: Vec<Event>) {
        self.events = events;
    }

    /// Learns what this gateway alone has counted since it counted last, a second or so ago, before the look that it will be
    /// told in is over. Returns whether the load has left its forecast just now: [`Pacer::replan`] sizes for that.
    pub fn second(&mut self, second: Second) -> bool {
        self.sight.may_err() && self.watch.second(second)
    }

    /// Knows that other gateways have come or gone: its own share of all requests is not known until the next look.
    pub fn forget_share(&mut self) {
        self.watch.forget_share();
    }

    /// Plans between two looks, from what the last one learned and what [`Pacer::second`] was told since. What is not on
    /// `previous`' way to more tasks stays as it is.
    pub fn replan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan {
        let mean_service_us = number(inputs.mean_service_us);
        let plan = self.decide(&Inputs { mean_service_us, ..*inputs }, previous, Moment::Between);
        let &Plan { warm, provisioned, .. } = previous;
        Plan { warm, provisioned, ..plan }
    }

    /// Learns what was asked for since the last look, unless an event had a part in it. Who asks for a plan more often than
    /// it looks gets one for what is busy by then; what was asked is kept for the next look.
    fn look(&mut self, inputs: &Inputs<'_>) {
        const LOOK_US: u64 = LOOK_S * 1_000_000;
        self.asked += inputs.asked;
        let since_us = match self.looked_us {
            // The clock may be set back.
            Some(at_us) if at_us <= inputs.now_us => inputs.now_us - at_us,
            Some(_) | None => LOOK_US,
        };
        if since_us < LOOK_US {
            return;
        }
        // After a pause, as if it had come evenly.
        let asked = std::mem::take(&mut self.asked) / (since_us as f64 / LOOK_US as f64);
        self.looked_us = Some(inputs.now_us);
        let mut inputs = Inputs { asked, ..*inputs };
        if self.sight.may_err() {
            self.watch.look(&inputs);
        }
        if event::any(&self.events, inputs.now_us.saturating_sub(since_us), inputs.now_us) {
            inputs.asked = f64::NAN;
        }
        self.sight.look(&inputs);
    }

    /// Returns the requests, of `service_us` each, of the minute that was planned for last; nothing while nothing is forecast.
    /// Like the demands that they are worked out of, quantiles tell what the rate is not known by: chance comes on top, as
    /// [`Quantiles::share`] has it.
    pub fn requests(&self, service_us: f64) -> Option<Quantiles> {
        let (Seen { demands, .. }, ..) = self.seen.as_ref()?;
        let known = !demands.is_empty() && 0.0 < service_us && service_us.is_finite();
        let count = |slots: f64| (slots / service_us * 60e6) as f32;
        known.then(|| Quantiles {
            counts: LEVELS.map(|level| count(quantile(demands, f64::from(level)))),
            mean: count(demands.iter().map(|(slots, share)| slots * share).sum()),
        })
    }

    /// Returns what the last plan went by; nothing before the first. [`words`](super::words) makes a sentence of it.
    pub fn basis(&self) -> Option<Basis> {
        self.seen.as_ref().map(|(seen, tasks, shape)| seen.basis(*tasks, shape))
    }
}

impl Wanted {
    /// Returns how many tasks pay, of those that are `asked` for already and beyond.
    fn of(shape: &Shape, asked: u32, seen: &Seen) -> Self {
        let now = worthwhile(shape, &[(seen.now, 1.0)], 1.0);
        if seen.demands.is_empty() {
            return Self::within(shape, now, Why::Forecast);
        }
        let more = worthwhile(shape, &seen.demands, 1.0 + 1.0 / USED_FOR);
        let kept = worthwhile(shape, &seen.demands, 1.0).min(asked);
        let needed = now.min(asked);
        if more.max(kept) < needed {
            return Self::within(shape, needed, Why::Needed);
        }
        Self::within(shape, more.max(kept), Why::Forecast)
    }

    /// Keeps `tasks` to what the operator allows.
    fn within(shape: &Shape, tasks: u32, why: Why) -> Self {
        let (least, most) = (shape.min_tasks.min(shape.max_tasks), shape.max_tasks);
        if most < tasks {
            return Self { tasks: most, why: Why::Most };
        }
        if tasks < least {
            return Self { tasks: least, why: Why::Least };
        }
        Self { tasks, why }
    }
}

/// Returns how many tasks are busy for at least `times` the break-even: up to one more than there may be.
fn worthwhile(shape: &Shape, demands: &[(f64, f64)], times: f64) -> u32 {
    let &Shape { slots_per_task, patience, max_tasks, .. } = shape;
    let break_even = shape.next_break_even();
    let most = max_tasks.saturating_add(1);
    // A share that is none is of no prices: nothing is known to pay.
    if break_even.is_nan() {
        return 0;
    }
    erlang::worthwhile_tasks(demands, slots_per_task, break_even * times, number(patience), most)
}

/// Busy slots that are reckoned with at most: more than all that there are.
const MOST: f64 = 1e12;

/// Returns a number to reckon with: 0 for what is none.
fn number(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, MOST) }
}

impl Pacer<Forecasts> {
    /// Learns what was asked in the past, before the first look: see [`Forecasts::recall`].
    pub fn recall(&mut self, steps: impl Iterator<Item = (u64, f64)>) {
        let watch = &mut self.watch;
        self.sight.recall(steps.inspect(|(at_s, asked)| watch.recall(*at_s, *asked)));
    }

    /// Tells whether it forecasts what `shape` asks for: see [`Forecasts::fits`].
    pub fn fits(&self, shape: &Shape) -> bool {
        self.sight.fits(shape)
    }

    /// Makes one that does: see [`Forecasts::relearned`].
    #[must_use]
    pub fn relearned(&self, shape: &Shape) -> Self {
        Self { sight: self.sight.relearned(shape), ..self.clone() }
    }

    /// Goes by what another one has learned; what it knows of now stays.
    pub fn succeed(&mut self, learned: Self) {
        self.sight = learned.sight;
        self.watch.succeed(learned.watch);
    }
}

impl<S: Sight> Pacer<S> {
    /// Plans for what is known by now.
    fn decide(&mut self, inputs: &Inputs<'_>, previous: &Plan, moment: Moment) -> Plan {
        let shape = inputs.shape;
        let at_us = inputs.now_us.saturating_add(shape.start_us);
        let now = number(inputs.history.demand_over(60_000_000));
        let mut demands = self.sight.demands(inputs).unwrap_or_default();
        if demands.is_empty() && event::any(&self.events, at_us, at_us.saturating_add(1)) {
            // What was announced holds also while nothing else is forecast. What comes in an event has its part of it.
            let runs = event::any(&self.events, inputs.now_us, inputs.now_us.saturating_add(1));
            demands.push((if runs { 0.0 } else { now }, 1.0));
        }
        for (demand, _) in &mut demands {
            *demand = number(*demand);
        }
        let event = event::apply(&self.events, at_us, inputs.mean_service_us, &mut demands);
        let mut burst = None;
        if self.sight.may_err() {
            if moment == Moment::Look {
                self.watch.expect(at_us, inputs.mean_service_us, &demands);
            }
            burst = self.watch.reckon(inputs.mean_service_us, &mut demands);
        }
        let mut seen = Seen { demands, at_us, now, ..Seen::default() };
        let wanted = Wanted::of(shape, previous.tasks, &seen);
        let hold_us = shape.paid_start_us.max(shape.least_paid_us);
        let held = self.hold.held(inputs.now_us, wanted.tasks, previous.tasks, hold_us);
        (seen.would_do, seen.until_us) = (wanted.tasks, self.hold.until_us(hold_us));
        let plan = if wanted.tasks < held {
            Plan::tasks(held, Why::Held)
        } else if let Some(now) = burst
            && matches!(wanted.why, Why::Forecast | Why::Needed)
        {
            seen.now = now;
            Plan::tasks(wanted.tasks, Why::Burst)
        } else if event && wanted.why == Why::Forecast {
            Plan::tasks(wanted.tasks, Why::Event)
        } else if wanted.why == Why::Forecast && wanted.tasks == previous.tasks {
            Plan::tasks(wanted.tasks, Why::Unchanged)
        } else {
            Plan::tasks(wanted.tasks, wanted.why)
        };
        let spot = shape.spot.map_or(0, |spot| {
            let low = [(quantile(&seen.demands, CERTAIN_LEVEL).min(seen.now), 1.0)];
            spot.tasks(plan.tasks, worthwhile(shape, &low, 1.0).max(shape.min_tasks))
        });
        self.seen = Some((seen, plan.tasks, shape.clone()));
        Plan { spot, ..plan }
    }
}

/// When a plan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// When it was just learned what was asked.
    Look,
    /// Between two looks.
    Between,
}

impl<S: Sight + Send> Planner for Pacer<S> {
    fn plan(&mut self, inputs: &Inputs<'_>, previous: &Plan) -> Plan {
        // What is no number is nothing: of a policy that was not checked, of a division by no requests.
        let mean_service_us = number(inputs.mean_service_us);
        let inputs = &Inputs { mean_service_us, ..*inputs };
        self.look(inputs);
        let plan = self.decide(inputs, previous, Moment::Look);
        let demands = self.seen.as_ref().map_or(&[][..], |(seen, ..)| &seen.demands);
        // What may be busy at once, of what containers are asked for now or then.
        let busiest = quantile(demands, WARM_LEVEL).max(number(inputs.history.last()));
        let (warm, provisioned) = self.pool.plan(inputs, busiest, inputs.history.step_us());
        Plan { warm, provisioned, ..plan }
    }

    fn places_spot(&self) -> bool {
        true
    }

    fn every_us(&self) -> u64 {
        LOOK_S * 1_000_000
    }

    fn name(&self) -> &'static str {
        self.sight.planner()
    }
}

#[cfg(test)]
mod tests;
