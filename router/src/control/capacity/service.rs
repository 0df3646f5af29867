//! The plan of one service: its forecasts, what it goes by, and what is shown of it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use predictor::{
    forecast::Quantiles,
    plan::{
        Event, Forecasts, History, Inputs, OnLambda, Pacer, Plan, Planner, Second, Shape, Why, utc,
        words,
    },
    radar::Ahead,
};

use super::{
    Clock, STEP_S,
    lessons::Learned,
    routes::{RouteForecast, Routes},
};
use crate::{
    control::asked::Step,
    history,
    lane::container::{TaskState, Tasks},
};

/// How much of what was asked the planner may look back at beside forecasts: ten minutes.
const HISTORY: usize = 60;

/// How many environments a service's function should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environments {
    /// Warm, by warm-up invokes.
    pub(crate) warm: u32,
    /// By provisioned concurrency.
    pub(crate) provisioned: u32,
    /// Why, in words.
    pub(crate) why: String,
}

/// Steps after which a planner that knows the past has seen the present, too: a minute.
const LOOKS_AFTER_RECALL: u32 = 6;

/// Steps after which one that knows no past has something to go by: five minutes.
const LOOKS_ALONE: u32 = 30;

/// One service's planner and what it was last told.
#[derive(Debug)]
pub(super) struct Planned {
    planner: Pacer<Forecasts>,
    history: History,
    plan: Plan,
    shape: Shape,
    step: Step,
    end_s: u64,
    /// When it was planned, in microseconds of the plans' clock: between looks, too.
    made_us: u64,
    /// How long requests take in the plans' time, in microseconds.
    mean_service_us: f64,
    /// It is about to learn something, beside the loop.
    pub(super) learning: bool,
    /// It has learned from its past.
    recalled: bool,
    /// Steps that it has seen itself.
    looks: u32,
    outlook: Vec<Ahead>,
}

/// What is planned for a service, to be shown.
#[derive(Debug, Clone)]
pub(crate) struct PlanState {
    /// Tasks that it should have; `None` without containers.
    pub(crate) tasks: Option<u32>,
    /// Of these, how many may be on Spot.
    pub(crate) spot: u32,
    /// Environments that its function should have, where any are planned for.
    pub(crate) environments: Option<Environments>,
    /// Why so many, in words.
    pub(crate) why: String,
    /// When it was planned, in real time.
    pub(crate) at: SystemTime,
    /// Slots that were kept busy by what was asked in the last step, wherever it ran.
    pub(crate) demand: f64,
    /// Share of its slots that a task must keep busy to cost no more than Lambda.
    pub(crate) break_even: f64,
    /// How far ahead it looks: what 95 of 100 starts do not exceed, in the plans' time.
    pub(crate) start: Duration,
    /// When that will be, in real time.
    pub(crate) due: SystemTime,
    /// Slots that are expected to be busy then, and those that nine chances in ten do not exceed.
    pub(crate) expected: (f64, f64),
    /// Requests that are expected in the minute that is planned for; `None` while nothing is forecast.
    pub(crate) requests: Option<Quantiles>,
    /// What each route has of them.
    pub(crate) routes: Arc<Routes>,
    /// How much faster than real the plans' time passes.
    pub(crate) scale: f64,
    /// What may be asked for within the hour, in order of time: the first is now.
    pub(crate) outlook: Vec<Ahead>,
    /// It knows what was asked before this gateway started.
    pub(crate) recalled: bool,
}

impl PlanState {
    /// Returns what is expected of a route.
    pub(crate) fn route(&self, route: &str) -> Option<RouteForecast> {
        self.routes.forecast(self.requests.as_ref()?, route, self.scale)
    }
}

impl Planned {
    pub(super) fn new(shape: &Shape) -> Self {
        Self {
            planner: Pacer::new(Forecasts::new(shape)),
            history: History::new(STEP_S * 1_000_000, HISTORY),
            plan: Plan::tasks(shape.min_tasks, Why::Fixed),
            shape: shape.clone(),
            step: Step::default(),
            end_s: 0,
            made_us: 0,
            mean_service_us: 0.0,
            learning: false,
            recalled: false,
            looks: 0,
            outlook: Vec::new(),
        }
    }

    /// Makes a planner that has learned from what was asked before: steps by their start, in order of time.
    pub(super) fn recalling(
        shape: &Shape,
        steps: impl Iterator<Item = (u64, history::Step)>,
    ) -> Pacer<Forecasts> {
        let mut planner = Pacer::new(Forecasts::new(shape));
        planner.recall(steps.map(|(at_s, step)| (at_s, step.requests as f64)));
        planner
    }

    /// Goes by what was learned beside the loop; what was planned last stays until it is planned anew.
    pub(super) fn succeed(&mut self, learned: Learned) {
        self.planner.succeed(learned.planner);
        self.recalled |= learned.past;
        self.learning = false;
    }

    pub(super) fn planner(&self) -> &Pacer<Forecasts> {
        &self.planner
    }

    /// Returns when the step ended that was planned for last.
    pub(super) fn end_s(&self) -> u64 {
        self.end_s
    }

    /// Knows that gateways have come or gone.
    pub(super) fn forget_share(&mut self) {
        self.planner.forget_share();
    }

    /// Returns how long requests took on average when any were asked last, in real microseconds.
    pub(super) fn mean_us(&self) -> Option<f64> {
        self.step.mean_us()
    }

    /// Tells whether it knows enough to take something back: a gateway that has just started has seen no load yet, which is not
    /// the same as that there is none.
    pub(super) fn may_take_back(&self) -> bool {
        let enough = if self.recalled { LOOKS_AFTER_RECALL } else { LOOKS_ALONE };
        enough <= self.looks
    }

    /// Knows what was announced.
    pub(super) fn announce(&mut self, events: Vec<Event>) {
        self.planner.set_events(events);
    }

    /// Takes in what was asked in the step that ended at `end_s`, of requests that take `mean_us`, and plans anew. The
    /// plans' time passes `scale` times as fast as real.
    pub(super) fn look(
        &mut self,
        end_s: u64,
        step: Step,
        mean_us: f64,
        scale: f64,
        shape: Shape,
        tasks: Option<&Tasks>,
    ) {
        let mean_us = mean_us * scale;
        let on_lambda_us = step.lambda.service_us as f64 / step.lambda.asked.max(1) as f64;
        let lambda = OnLambda {
            asked: step.lambda.asked as f64,
            mean_us: on_lambda_us * scale,
            most: step.lambda.most,
        };
        let demand = step.asked as f64 * mean_us / (STEP_S * 1_000_000) as f64;
        let room = tasks.map(Tasks::room).unwrap_or_default();
        let busy = room.slots.saturating_sub(room.free);
        self.history.push(demand, f64::from(busy), f64::from(room.slots));
        (self.shape, self.end_s, self.mean_service_us) = (shape, end_s, mean_us);
        let now_us = end_s * 1_000_000;
        let inputs =
            inputs(now_us, &self.history, (step.asked as f64, mean_us), &self.shape, tasks);
        self.plan = self.planner.plan(&Inputs { lambda, ..inputs }, &self.plan);
        self.outlook = self.planner.outlook(&inputs);
        self.looks = self.looks.saturating_add(1);
        self.made_us = now_us;
        if 0 < step.asked {
            self.step = step;
        }
    }

    /// Takes in what this gateway counted since it counted last, and plans anew if the load has left its forecast with that.
    /// Returns whether it has.
    pub(super) fn second(&mut self, second: Second, tasks: Option<&Tasks>) -> bool {
        if !self.planner.second(second) {
            return false;
        }
        let asked = (0.0, self.mean_service_us);
        let inputs = inputs(second.until_us, &self.history, asked, &self.shape, tasks);
        self.plan = self.planner.replan(&inputs, &self.plan);
        self.made_us = second.until_us;
        true
    }

    /// Returns how many environments its function should have, when any may be held.
    fn environments(&self) -> Option<Environments> {
        let bounds = self.shape.warm?;
        let (warm, provisioned) = (self.plan.warm, self.plan.provisioned);
        let (count, kind) = match bounds.provisioned {
            Some(_) => (provisioned, "provisioned"),
            None => (warm, "warm"),
        };
        let because = if count == bounds.min {
            format!("at the least of {count} (warm_pool.min)")
        } else if count == bounds.max {
            format!("at the most of {count} (warm_pool.max)")
        } else if bounds.provisioned.is_some_and(|provisioned| !provisioned.always) {
            "as many as are busy for long enough to pay".to_owned()
        } else {
            "as many as may be in use at once, or `spend` allows".to_owned()
        };
        let plural = if count == 1 { "" } else { "s" };
        let why = format!("{count} environment{plural} {kind}: {because}");
        Some(Environments { warm, provisioned, why })
    }

    /// Tells whether it has containers.
    fn has_tasks(&self) -> bool {
        self.shape.max_tasks != 0
    }

    /// Returns what is shown of it.
    pub(super) fn state(&self, clock: Clock, routes: Arc<Routes>) -> PlanState {
        let basis = self.planner.basis();
        let environments = self.environments();
        let tasks = self.has_tasks().then_some(self.plan.tasks);
        let why = match &environments {
            Some(environments) if tasks.is_none() => environments.why.clone(),
            _ => words(&self.plan, basis.as_ref(), utc),
        };
        PlanState {
            tasks,
            spot: self.plan.spot,
            environments,
            why,
            at: clock.real_time_of(Duration::from_micros(self.made_us)),
            demand: self.history.last(),
            break_even: self.shape.break_even,
            start: Duration::from_micros(self.shape.start_us),
            due: clock.real_time_of(Duration::from_micros(self.made_us + self.shape.start_us)),
            expected: basis.map_or((0.0, 0.0), |basis| (basis.expected, basis.p90)),
            requests: self.planner.requests(self.mean_service_us),
            routes,
            scale: clock.scale(),
            outlook: self.outlook.clone(),
            recalled: self.recalled,
        }
    }
}

/// Returns what a planner may know at a moment: `asked` are requests since the last look, and how long they take.
fn inputs<'a>(
    now_us: u64,
    history: &'a History,
    (asked, mean_service_us): (f64, f64),
    shape: &'a Shape,
    tasks: Option<&Tasks>,
) -> Inputs<'a> {
    let room = tasks.map(Tasks::room).unwrap_or_default();
    let starting = |list: &Tasks| {
        list.list().iter().filter(|task| task.state() == TaskState::Unproven).count() as u32
    };
    Inputs {
        now_us,
        history,
        asked,
        mean_service_us,
        ready: room.ready,
        starting: tasks.map_or(0, starting),
        busy: room.slots.saturating_sub(room.free),
        waiting: tasks.map_or(0, Tasks::waiting),
        lambda: OnLambda::default(),
        shape,
        truth: None,
    }
}
