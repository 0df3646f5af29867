//! What Lambda's API says of one function, as far as the gateway acts on it or shows it.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_lambda::types;
use policies::policy::{Arch, Lambda};

use crate::lane::lambda::Offer;

/// The state of the version that is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Not read, or not one that is known here: nothing is concluded from it.
    #[default]
    Unread,
    /// It runs.
    Active,
    /// It is made, or its snapshot is.
    Pending,
    /// Its snapshot or other resources were taken back; a call has them made again.
    Inactive,
    /// It could not be made.
    Failed,
    /// It is switched off, or about to be, or about to be deleted.
    Deactivated,
    /// There is no such function, version or alias.
    Absent,
}

impl State {
    /// All states.
    pub(crate) const ALL: [Self; 7] = [
        Self::Unread,
        Self::Active,
        Self::Pending,
        Self::Inactive,
        Self::Failed,
        Self::Deactivated,
        Self::Absent,
    ];

    /// Returns its name in metrics and pages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Deactivated => "deactivated",
            Self::Absent => "absent",
        }
    }

    /// Returns what requests may be sent to it that have another lane.
    pub(super) const fn offer(self) -> Offer {
        match self {
            Self::Unread | Self::Active => Offer::All,
            // Nothing but a call wakes it (developer guide, "Lambda function states").
            Self::Inactive => Offer::One,
            Self::Pending | Self::Failed | Self::Deactivated | Self::Absent => Offer::None,
        }
    }

    fn of(state: Option<&types::State>) -> Self {
        match state {
            Some(types::State::Active) => Self::Active,
            Some(types::State::Pending) => Self::Pending,
            Some(types::State::Inactive) => Self::Inactive,
            Some(types::State::Failed) => Self::Failed,
            Some(
                types::State::ActiveNonInvocable
                | types::State::Deactivated
                | types::State::Deactivating
                | types::State::Deleting,
            ) => Self::Deactivated,
            _ => Self::Unread,
        }
    }
}

/// SnapStart of the version that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapStart {
    /// Not configured.
    Off,
    /// Configured, but this version has no snapshot: it is `$LATEST`, or older than the setting.
    NotOptimised,
    /// Its environments are restored from a snapshot.
    On,
}

impl SnapStart {
    /// Returns its name in pages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NotOptimised => "not-optimised",
            Self::On => "on",
        }
    }
}

/// Provisioned concurrency of the version or alias that is called, in environments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Provisioned {
    /// Ordered.
    pub(crate) requested: u32,
    /// There.
    pub(crate) allocated: u32,
    /// There and idle.
    pub(crate) available: u32,
}

/// Reserved concurrency of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// Not read.
    #[default]
    Unread,
    /// None: it shares what the account does not reserve.
    Nothing,
    /// So many at once, and no more.
    Only(u32),
}

/// What GetFunctionConfiguration says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Configuration {
    /// The version's state.
    pub(crate) state: State,
    /// Its number, or `$LATEST`.
    pub(crate) version: Option<String>,
    /// Its last change is under way; calls go to what was before.
    pub(crate) updating: bool,
    /// Its last change failed; calls go to what was before.
    pub(crate) update_failed: bool,
    /// Whether it is restored from a snapshot.
    pub(crate) snap_start: Option<SnapStart>,
    /// Its memory.
    pub(crate) memory_mib: Option<u32>,
    /// Its own timeout.
    pub(crate) timeout: Option<Duration>,
    /// Its architecture.
    pub(crate) arch: Option<Arch>,
}

/// What one call told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fact {
    Configuration(Configuration),
    /// There is no such function, version or alias.
    Absent,
    /// The versions behind the alias, and the share of calls that each gets.
    Targets(BTreeMap<String, f64>),
    Provisioned(Option<Provisioned>),
    Reserved(Reserved),
    /// Concurrency of the account that no function reserves.
    Unreserved(u32),
}

/// All that is known of a function. What could not be read stays as it was read last.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Known {
    /// The version that is called; of a weighted alias, its first.
    pub(crate) configuration: Configuration,
    /// The versions behind the alias, and the share of calls that each gets.
    pub(crate) targets: BTreeMap<String, f64>,
    /// Provisioned concurrency, when there is any.
    pub(crate) provisioned: Option<Provisioned>,
    /// Whether there is any was read.
    pub(crate) provisioned_read: bool,
    /// Reserved concurrency.
    pub(crate) reserved: Reserved,
}

impl Known {
    /// Takes in what a call told of the function.
    pub(super) fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Configuration(configuration) => self.configuration = configuration,
            // What it was like is of use until it is back: its timeout, for one.
            Fact::Absent => self.configuration.state = State::Absent,
            Fact::Targets(targets) => self.targets = targets,
            Fact::Provisioned(provisioned) => {
                (self.provisioned, self.provisioned_read) = (provisioned, true);
            }
            Fact::Reserved(reserved) => self.reserved = reserved,
            Fact::Unreserved(_) => {}
        }
    }

    /// Tells whether something is under way, so that it is worth looking again soon.
    pub(super) fn is_changing(&self) -> bool {
        let settled = matches!(self.configuration.state, State::Unread | State::Active);
        let provisioning = self.provisioned.is_some_and(|p| p.allocated < p.requested);
        !settled || self.configuration.updating || provisioning
    }

    /// Returns how many calls Lambda lets run at once; `unreserved` is what the account's functions share.
    pub(super) fn concurrency(&self, unreserved: Option<u32>) -> Option<u32> {
        match self.reserved {
            Reserved::Only(reserved) => Some(reserved),
            Reserved::Nothing => unreserved,
            // It may have more of its own than the others share.
            Reserved::Unread => None,
        }
    }

    /// Returns the lane that the policy declares, with what was read in the place of what it assumes.
    pub(super) fn real(&self, declared: &Lambda, unreserved: Option<u32>) -> Lambda {
        let Configuration { memory_mib, timeout, arch, .. } = self.configuration;
        let concurrency = self.concurrency(unreserved).unwrap_or(u32::MAX);
        Lambda {
            memory_mib: memory_mib.unwrap_or(declared.memory_mib),
            timeout: timeout.unwrap_or(declared.timeout),
            arch: arch.unwrap_or(declared.arch),
            max_in_flight: declared.max_in_flight.min(concurrency),
            ..declared.clone()
        }
    }
}

impl From<&aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput>
    for Configuration
{
    fn from(
        output: &aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput,
    ) -> Self {
        let snap_start = output.snap_start().map(|snap_start| {
            let applies =
                snap_start.apply_on() == Some(&types::SnapStartApplyOn::PublishedVersions);
            let on = types::SnapStartOptimizationStatus::On;
            match (applies, snap_start.optimization_status() == Some(&on)) {
                (_, true) => SnapStart::On,
                (true, false) => SnapStart::NotOptimised,
                (false, false) => SnapStart::Off,
            }
        });
        let arch = output.architectures().first().and_then(|arch| match arch {
            types::Architecture::Arm64 => Some(Arch::Arm64),
            types::Architecture::X8664 => Some(Arch::X86_64),
            _ => None,
        });
        let update = output.last_update_status();
        Self {
            state: State::of(output.state()),
            version: output.version().map(str::to_owned),
            updating: update == Some(&types::LastUpdateStatus::InProgress),
            update_failed: update == Some(&types::LastUpdateStatus::Failed),
            snap_start,
            memory_mib: positive(output.memory_size()),
            timeout: positive(output.timeout()).map(|s| Duration::from_secs(s.into())),
            arch,
        }
    }
}

/// Returns a number that AWS means to be positive.
fn positive(number: Option<i32>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok()).filter(|number| 0 < *number)
}
