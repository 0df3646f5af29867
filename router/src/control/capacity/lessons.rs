//! What planners learn beside the loop: their past, and the same again for other horizons.
//!
//! A lesson takes tenths of a second up to seconds of a core, so that it runs on a thread of its own, and only some at a
//! time: a gateway of a thousand services must not have a thousand threads learn when it starts.

use std::{collections::VecDeque, sync::Arc};

use predictor::plan::{Forecasts, Pacer, Shape};

use super::service::Planned;
use crate::history::Loaded;

/// Lessons under way at most. They share the machine with the workers, which come first.
const AT_ONCE: usize = 2;

/// Something for a service's planner to learn.
#[derive(Debug)]
pub(crate) struct Lesson {
    service: Arc<str>,
    shape: Shape,
    of: What,
}

#[derive(Debug)]
enum What {
    /// What was asked before the gateway started; let go once it is learned.
    Past(Loaded),
    /// What this planner remembers, for what its service has become.
    Remembered(Box<Pacer<Forecasts>>),
}

/// A planner that has learned.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(super) service: Arc<str>,
    pub(super) planner: Pacer<Forecasts>,
    /// It knows the past.
    pub(super) past: bool,
}

impl Lesson {
    /// Learns.
    pub(crate) fn run(self) -> Learned {
        let Self { service, shape, of } = self;
        let (planner, past) = match of {
            What::Past(past) => (Planned::recalling(&shape, past.steps(&service)), true),
            What::Remembered(planner) => (planner.relearned(&shape), false),
        };
        Learned { service, planner, past }
    }
}

/// The lessons to come, the first one first.
#[derive(Debug, Default)]
pub(super) struct Lessons {
    waiting: VecDeque<Lesson>,
    under_way: usize,
}

impl Lessons {
    /// Has a service's planner learn its past.
    pub(super) fn recall(&mut self, service: Arc<str>, shape: Shape, past: Loaded) {
        self.waiting.push_back(Lesson { service, shape, of: What::Past(past) });
    }

    /// Has a service's planner learn what it remembers again, for another shape.
    pub(super) fn relearn(&mut self, service: Arc<str>, shape: Shape, planner: &Pacer<Forecasts>) {
        let of = What::Remembered(Box::new(planner.clone()));
        self.waiting.push_back(Lesson { service, shape, of });
    }

    /// Returns the next one, if it may begin; [`Lessons::ended`] must be told of its end.
    pub(super) fn next(&mut self) -> Option<Lesson> {
        let next = if self.under_way < AT_ONCE { self.waiting.pop_front() } else { None };
        self.under_way += usize::from(next.is_some());
        next
    }

    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}
