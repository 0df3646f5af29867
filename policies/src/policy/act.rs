//! What a service in `mode: act` may do to its capacity, and what it goes by.
//!
//! Bounds, never targets: how many tasks and environments there are between them is planned, from what is asked and what
//! was announced. They may be written for a service that only observes, whose plan then shows what it would have done.

use std::{path::PathBuf, sync::Arc};

use super::ServiceId;
use crate::cost::PicoUsd;

/// Where what outlives a restart is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In a directory of this machine.
    Directory(PathBuf),
    /// In S3, as objects of a bucket.
    S3 {
        /// The bucket's name.
        bucket: Arc<str>,
        /// What the objects' keys begin with, without `/` at either end; may be empty.
        prefix: Arc<str>,
    },
}

/// Where the gateways of one policy find each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateways {
    /// DynamoDB table.
    pub table: Arc<str>,
    /// Those of one group plan together; several groups may share a table.
    pub group: Arc<str>,
}

/// How many of a function's environments may be held warm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmPool {
    /// Always, whatever is expected.
    pub min: u32,
    /// At most; `min` or more.
    pub max: u32,
    /// What may be spent on it, a day of 24 hours.
    pub spend: Option<PicoUsd>,
}

/// How many tasks a service may have.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLimits {
    /// At least, also when nothing is asked.
    pub min: u32,
    /// At most; `min` or more, and 1 or more.
    pub max: u32,
    /// What the count goes back to when no gateway has renewed its plan; from `min` to `max`. Always there in
    /// [`Mode::Act`](super::Mode::Act).
    pub fallback: Option<u32>,
    /// Share of the tasks that may run on Fargate Spot, 0 to 1.
    pub spot: f64,
    /// ARN of the IAM role by which EventBridge Scheduler sets the count to `fallback`. Always there in
    /// [`Mode::Act`](super::Mode::Act) with [`ScaleBy::DesiredCount`].
    pub scheduler_role: Option<Arc<str>>,
}

/// How a service's count of tasks is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScaleBy {
    /// By the desired count of the ECS service: nobody else may set it.
    #[default]
    DesiredCount,
    /// By the least that Application Auto Scaling may go down to; its own policies still add tasks.
    AutoscalingFloor,
}

/// Something announced that changes what will be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Of which service.
    pub service: ServiceId,
    /// When it begins, in seconds since 1970 (UTC).
    pub from_s: u64,
    /// When it is over; after `from_s`.
    pub until_s: u64,
    /// What is expected of it.
    pub expect: Expect,
    /// Where in the policy's files it stands, as `file:line`.
    pub place: Arc<str>,
}

/// What is expected while an event lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Expect {
    /// So many times what would come without it: 0.01 to 100.
    Times(f64),
    /// So many requests a second, on average: above 0.
    PerSecond(f64),
}
