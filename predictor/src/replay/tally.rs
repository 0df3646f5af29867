//! What a run came to, in counts.

use super::latency::Latencies;

/// Why a request got no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failed {
    /// No lane could take it.
    Refused,
    /// It waited for a slot for as long as it may.
    QueueTimeout,
    /// Lambda throttled it, and no container could take it.
    Throttled,
    /// The function's timeout cut it off.
    FunctionTimeout,
    /// No lane that is left could ever take it: its body is too large for Lambda, or a rule keeps it from there.
    NotPossible,
    /// Its answer was larger than Lambda passes on.
    AnswerTooLarge,
    /// Its task was taken back by Spot before it was through.
    TaskLost,
}

impl Failed {
    /// All of them, in the order of [`Failed::index`].
    pub const ALL: [Self; 7] = [
        Self::Refused,
        Self::QueueTimeout,
        Self::Throttled,
        Self::FunctionTimeout,
        Self::NotPossible,
        Self::AnswerTooLarge,
        Self::TaskLost,
    ];

    /// Returns the name that reports give it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::QueueTimeout => "queue-timeout",
            Self::Throttled => "throttled",
            Self::FunctionTimeout => "function-timeout",
            Self::NotPossible => "not-possible",
            Self::AnswerTooLarge => "answer-too-large",
            Self::TaskLost => "task-lost",
        }
    }

    /// Returns its place in [`Failed::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Why a request ran on Lambda although containers are its home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpillCause {
    /// No task was ready.
    NoTasks,
    /// All slots were busy.
    SlotsFull,
    /// No slot came free in time.
    QueueTimeout,
    /// Lambda was at the cap of the policy: the other way round.
    Capped,
    /// Lambda throttled it: the other way round.
    Throttled,
}

impl SpillCause {
    /// All of them, in the order of [`SpillCause::index`].
    pub const ALL: [Self; 5] =
        [Self::NoTasks, Self::SlotsFull, Self::QueueTimeout, Self::Capped, Self::Throttled];

    /// Returns the name that reports give it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoTasks => "no-tasks",
            Self::SlotsFull => "slots-full",
            Self::QueueTimeout => "queue-timeout",
            Self::Capped => "lambda-capped",
            Self::Throttled => "throttled",
        }
    }

    /// Returns its place in [`SpillCause::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What became of the requests of one service under one planner.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Requests that arrived.
    pub requests: u64,
    /// Those that were served well.
    pub ok: u64,
    /// Those that failed, by why.
    pub failed: [u64; Failed::ALL.len()],
    /// From arrival to the end, of all that were served or failed.
    pub latencies: Latencies,
    /// Served well and within the objective.
    pub within_objective: u64,
    /// Five minutes in which anything was asked for, and those of them in which 99 of 100 were served well and within the
    /// objective.
    pub windows: [u64; 2],
    /// Served by Lambda, by containers.
    pub by_lane: [u64; 2],
    /// Requests that had to wait for an environment to start.
    pub cold: u64,
    /// What those waited, in microseconds.
    pub cold_us: u64,
    /// Requests that left their home, by why.
    pub spills: [u64; SpillCause::ALL.len()],
    /// Calls that Lambda throttled: account, reserved, scaling rate.
    pub throttled: [u64; 3],
    /// Environments started by warm-up invokes.
    pub warm_ups: u64,
    /// Times that the number of tasks was changed.
    pub scaling_actions: u64,
    /// Tasks that Spot took back.
    pub interruptions: u64,
    /// Busy slots times microseconds.
    pub busy_area: u128,
    /// Slots of ready tasks times microseconds.
    pub slot_area: u128,
    /// Requests in the system times microseconds.
    pub in_system_area: u128,
    /// Most tasks at once.
    pub most_tasks: u32,
    /// Most requests on Lambda at once.
    pub most_on_lambda: u32,
}

impl Tally {
    /// Adds another service's counts; peaks are added too, as if they fell together.
    pub fn add(&mut self, other: &Self) {
        fn each<const N: usize>(own: &mut [u64; N], other: &[u64; N]) {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        }
        self.requests += other.requests;
        self.ok += other.ok;
        each(&mut self.failed, &other.failed);
        self.latencies.merge(&other.latencies);
        self.within_objective += other.within_objective;
        each(&mut self.windows, &other.windows);
        each(&mut self.by_lane, &other.by_lane);
        self.cold += other.cold;
        self.cold_us += other.cold_us;
        each(&mut self.spills, &other.spills);
        each(&mut self.throttled, &other.throttled);
        self.warm_ups += other.warm_ups;
        self.scaling_actions += other.scaling_actions;
        self.interruptions += other.interruptions;
        self.busy_area += other.busy_area;
        self.slot_area += other.slot_area;
        self.in_system_area += other.in_system_area;
        self.most_tasks += other.most_tasks;
        self.most_on_lambda += other.most_on_lambda;
    }

    /// Returns how many failed.
    pub fn failures(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Returns the share of slots that were busy while they were there; `None` when there were none.
    pub fn utilisation(&self) -> Option<f64> {
        (self.slot_area != 0).then(|| self.busy_area as f64 / self.slot_area as f64)
    }

    /// Checks what must hold of every run, whatever the load.
    ///
    /// Each request is served or fails, once. Little's law: the time that requests spend in the system is the same summed
    /// over requests as over time, to the microsecond.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn check(&self) -> Result<(), String> {
        let ended = self.ok + self.failures();
        if ended != self.requests {
            return Err(format!("{} requests arrived, {ended} ended", self.requests));
        }
        if self.latencies.count() != self.requests {
            return Err(format!(
                "{} latencies of {} requests",
                self.latencies.count(),
                self.requests
            ));
        }
        if self.latencies.sum_us() != self.in_system_area {
            let (sum, area) = (self.latencies.sum_us(), self.in_system_area);
            return Err(format!(
                "requests spent {sum} us in the system, which held {area} request-us"
            ));
        }
        if self.slot_area < self.busy_area {
            return Err("more slots were busy than there were".to_owned());
        }
        Ok(())
    }
}

/// Length of a window in which the objective is met or not: five minutes.
pub(super) const WINDOW_US: u64 = 300_000_000;

/// The window that is under way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    number: u64,
    requests: f64,
    within: f64,
}

impl Window {
    /// Counts requests of which something became known at `now_us`, and so many of them within the objective.
    pub(super) fn count(&mut self, now_us: u64, requests: f64, within: f64, tally: &mut Tally) {
        let number = now_us / WINDOW_US;
        if number != self.number {
            self.close(tally);
            self.number = number;
        }
        self.requests += requests;
        self.within += within;
    }

    /// Ends the window.
    pub(super) fn close(&mut self, tally: &mut Tally) {
        if 0.0 < self.requests {
            tally.windows[0] += 1;
            tally.windows[1] += u64::from(0.99 * self.requests <= self.within);
        }
        (self.requests, self.within) = (0.0, 0.0);
    }
}
