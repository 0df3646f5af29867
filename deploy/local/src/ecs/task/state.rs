//! What is told of a task: where it is in its life, its health, and when what happened.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

/// Where a task is in its life, in ECS's words and order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl Status {
    /// As ECS writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// What the container's health check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// There is no check, or none has counted yet.
    Unknown,
    Healthy,
    Unhealthy,
}

impl Health {
    /// As ECS writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

/// What is told of a task.
#[derive(Clone, Debug)]
pub(crate) struct TaskState {
    pub(crate) status: Status,
    /// `desiredStatus` RUNNING.
    pub(crate) wanted: bool,
    pub(crate) health: Health,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) pid: Option<u32>,
    pub(crate) pull_started: Option<SystemTime>,
    pub(crate) pull_stopped: Option<SystemTime>,
    pub(crate) started: Option<SystemTime>,
    pub(crate) stopping: Option<SystemTime>,
    pub(crate) execution_stopped: Option<SystemTime>,
    pub(crate) stopped: Option<SystemTime>,
    pub(crate) stop_code: Option<&'static str>,
    pub(crate) stopped_reason: Option<String>,
    pub(crate) exit_code: Option<i32>,
    /// Until when scale-in must spare it.
    pub(crate) protected: Option<(Instant, SystemTime)>,
    /// Counts its changes.
    pub(crate) version: u64,
    /// How long it lived, once it is over.
    pub(super) lived: Option<Duration>,
}

impl TaskState {
    /// Of a task that was just made.
    pub(super) fn new() -> Self {
        Self {
            status: Status::Provisioning,
            wanted: true,
            health: Health::Unknown,
            address: None,
            pid: None,
            pull_started: None,
            pull_stopped: None,
            started: None,
            stopping: None,
            execution_stopped: None,
            stopped: None,
            stop_code: None,
            stopped_reason: None,
            exit_code: None,
            protected: None,
            version: 1,
            lived: None,
        }
    }
}
