//! Tasks that Spot takes back, as events tell: how many of late says how pressed Spot is.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Fleet;

/// Interruptions that are remembered: more of one service within minutes change nothing any more.
const KEPT: usize = 1_000;

/// The latest interruptions of a service's tasks: which, and when it was told. A task is told of several times.
#[derive(Debug, Default)]
pub(super) struct Interruptions(VecDeque<(Arc<str>, Instant)>);

impl Fleet {
    /// Notes the tasks that Spot takes back: those whose name `is_taken` is true of.
    pub(crate) fn take_back(&mut self, is_taken: impl Fn(&Arc<str>) -> bool, now: Instant) {
        let known = &mut self.interruptions.0;
        for member in &self.members {
            let name = &member.task.name;
            if !is_taken(name) || known.iter().any(|(before, _)| before == name) {
                continue;
            }
            if known.len() == KEPT {
                known.pop_front();
            }
            known.push_back((name.clone(), now));
        }
    }

    /// Returns how many tasks Spot took back within the last `within`.
    pub(crate) fn taken_back(&self, within: Duration, now: Instant) -> u32 {
        let of_late = |(_, at): &&(Arc<str>, Instant)| now.duration_since(*at) <= within;
        self.interruptions.0.iter().filter(of_late).count() as u32
    }
}
