//! The one record that a finished request leaves behind.
//!
//! Metrics, the access log, profiles and recent decisions are all fed from it, so that they cannot disagree. It is a
//! plain `Copy` value of numbers and indices: building one allocates nothing.

use std::{ops::AddAssign, time::Duration};

use policies::{
    decide::{Decision, Lane},
    policy::RouteId,
};

/// What became of one request.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// Which policy `route` is an index of: they are counted from 0, and each reload brings another.
    pub policy: u32,
    /// Route it matched; `None` when no route did, or when it was malformed.
    pub route: Option<RouteId>,
    /// What was decided; `None` when it ended before that.
    pub decision: Option<Decision>,
    /// Lane that gave the response, or was tried last.
    pub lane: Option<Lane>,
    /// Why it left the lane that was decided.
    pub spill: Option<Spill>,
    /// When its head had been read, in microseconds of Unix time.
    pub arrived_us: u64,
    /// Time spent waiting for a slot, in microseconds.
    pub queue_wait_us: u32,
    /// From the request sent to the last byte of the response, in microseconds; 0 when no lane was reached.
    pub service_us: u32,
    /// From the head read to the last byte answered, in microseconds.
    pub total_us: u32,
    /// Status that the client was sent; 0 when it went away before.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// How it ended.
    pub end: End,
    /// How many times it was sent again.
    pub retries: u8,
    /// Power of two of the route's size hint, see `auto.size_by`; 0 without one.
    pub size: u8,
    /// What it used.
    pub usage: Usage,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The whole response of a lane was sent.
    Complete,
    /// The gateway answered by itself: no route, too large, malformed.
    Refused,
    /// No lane could take it.
    Unavailable,
    /// The lane failed: before its head, or in the middle of its body.
    LaneFailed,
    /// A timeout of the policy ran out.
    TimedOut,
    /// The client went away first. What the lane would have taken is not known: censored.
    ClientGone,
}

impl End {
    /// All of them, in the order of [`End::index`].
    pub const ALL: [Self; 6] = [
        Self::Complete,
        Self::Refused,
        Self::Unavailable,
        Self::LaneFailed,
        Self::TimedOut,
        Self::ClientGone,
    ];

    /// Returns the name used in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::LaneFailed => "lane-failed",
            Self::TimedOut => "timed-out",
            Self::ClientGone => "client-gone",
        }
    }

    /// Returns its place in [`End::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Why a request left the lane that was decided for it, after that lane was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spill {
    /// No slot came free in time.
    QueueTimeout,
    /// Too many were waiting already.
    QueueFull,
    /// No connection could be opened.
    Connect,
    /// The task answered that it is busy.
    Busy,
    /// Lambda throttled the call.
    Throttled,
    /// Lambda could not start the function: snapshot not ready, network not ready, and the like.
    NotReady,
    /// The lane found the request or its event too large.
    TooLarge,
    /// The lane is misconfigured: no such function, access denied.
    Misconfigured,
    /// The lane failed in a way that may have run; the request may be repeated.
    Failed,
}

impl Spill {
    /// All of them, in the order of [`Spill::index`].
    pub const ALL: [Self; 9] = [
        Self::QueueTimeout,
        Self::QueueFull,
        Self::Connect,
        Self::Busy,
        Self::Throttled,
        Self::NotReady,
        Self::TooLarge,
        Self::Misconfigured,
        Self::Failed,
    ];

    /// Returns the name used in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueTimeout => "queue-timeout",
            Self::QueueFull => "queue-full",
            Self::Connect => "connect",
            Self::Busy => "busy",
            Self::Throttled => "throttled",
            Self::NotReady => "not-ready",
            Self::TooLarge => "too-large",
            Self::Misconfigured => "misconfigured",
            Self::Failed => "failed",
        }
    }

    /// Returns its place in [`Spill::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What a request used, in integers, so that bills are exact and can be repriced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Milliseconds that Lambda bills, as the adapter reports them, or the observed time rounded up.
    pub billed_ms: u32,
    /// Memory of the function in MB; 0 when Lambda was not used.
    pub memory_mb: u32,
    /// Whether `billed_ms` was estimated here for want of a report.
    pub estimated: bool,
    /// Whether a new environment was started for it; `None` when not reported.
    pub cold_start: Option<bool>,
    /// Invocations that ran: Lambda bills each.
    pub runs: u8,
    /// Whether it ran on provisioned concurrency, whose time has a price of its own.
    pub provisioned: bool,
}

impl Usage {
    /// Returns what a run of `took` uses, as far as it can be told from outside: Lambda bills whole milliseconds.
    pub fn estimate(took: Duration, memory_mb: u32) -> Self {
        let billed_ms = u32::try_from(took.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        Self { billed_ms, memory_mb, estimated: true, runs: 1, ..Self::default() }
    }
}

impl AddAssign for Usage {
    /// Adds another run of the same request.
    fn add_assign(&mut self, run: Self) {
        *self = Self {
            billed_ms: self.billed_ms.saturating_add(run.billed_ms),
            memory_mb: run.memory_mb,
            estimated: self.estimated || run.estimated,
            cold_start: run.cold_start.or(self.cold_start),
            runs: self.runs.saturating_add(run.runs),
            provisioned: run.provisioned,
        };
    }
}
