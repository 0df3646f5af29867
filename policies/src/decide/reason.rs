//! Why a decision came out as it did: its reason, and what stood against each lane.
//!
//! Closed sets with stable kebab-case names: they are metric labels, log fields and dashboard legends.

use super::Lane;

/// What decided. Exactly one per decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The service has no other lane.
    OnlyLane,
    /// A rule excludes the other lane for this request or route.
    HardRule,
    /// Policy declares the class.
    Declared,
    /// Observed durations tell the class.
    Learned,
    /// Too little was seen, or nothing is learned: the policy's prior tells the class.
    Prior,
    /// Observed durations lie so near the bound that a share of the requests goes each way.
    Borderline,
    /// All slots were busy, and Lambda could take it.
    SpillSlotsFull,
    /// No task was ready, and Lambda could take it.
    SpillNoTasks,
    /// Lambda had its cap in flight, and a task was ready.
    SpillLambdaCapped,
    /// Lambda's circuit breaker was open, and a task was ready.
    SpillLambdaDown,
    /// No lane could take it.
    Refused,
}

impl Reason {
    /// All reasons, in the order of [`Reason::index`].
    pub const ALL: [Self; 11] = [
        Self::OnlyLane,
        Self::HardRule,
        Self::Declared,
        Self::Learned,
        Self::Prior,
        Self::Borderline,
        Self::SpillSlotsFull,
        Self::SpillNoTasks,
        Self::SpillLambdaCapped,
        Self::SpillLambdaDown,
        Self::Refused,
    ];

    /// Returns this reason's place in [`Reason::ALL`]: the index of its counter.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the name used in labels and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnlyLane => "only-lane",
            Self::HardRule => "hard-rule",
            Self::Declared => "declared",
            Self::Learned => "learned",
            Self::Prior => "prior",
            Self::Borderline => "borderline",
            Self::SpillSlotsFull => "spill-slots-full",
            Self::SpillNoTasks => "spill-no-tasks",
            Self::SpillLambdaCapped => "spill-lambda-capped",
            Self::SpillLambdaDown => "spill-lambda-down",
            Self::Refused => "refused",
        }
    }

    /// Tells whether the request went to the other lane than its class prefers, for want of room there.
    pub const fn is_spill(self) -> bool {
        matches!(
            self,
            Self::SpillSlotsFull
                | Self::SpillNoTasks
                | Self::SpillLambdaCapped
                | Self::SpillLambdaDown
        )
    }
}

/// Something that stands against a lane. Each belongs to one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The service has no Lambda lane.
    LambdaAbsent,
    /// The route does not allow Lambda.
    LambdaNotInRoute,
    /// The request asks for another protocol.
    Upgrade,
    /// The request is a gRPC call.
    Grpc,
    /// The request announces trailers.
    Trailers,
    /// The event would exceed [`super::LAMBDA_EVENT_MAX`].
    BodyTooLarge,
    /// The body is of unknown length and longer than the route's `buffer`.
    BodyStreaming,
    /// Such requests reach the function's timeout.
    TooLong,
    /// The service needs local storage.
    NeedsStorage,
    /// The service needs requests of one client on one task.
    NeedsAffinity,
    /// `max_in_flight` invocations are in flight.
    Capped,
    /// The circuit breaker is open.
    Down,
    /// The service has no container lane.
    ContainerAbsent,
    /// The route does not allow containers.
    ContainerNotInRoute,
    /// No task is ready.
    NoTasks,
    /// All slots of all ready tasks are busy.
    SlotsFull,
}

impl Cause {
    /// All causes, in the order of [`Cause::index`].
    pub const ALL: [Self; 16] = [
        Self::LambdaAbsent,
        Self::LambdaNotInRoute,
        Self::Upgrade,
        Self::Grpc,
        Self::Trailers,
        Self::BodyTooLarge,
        Self::BodyStreaming,
        Self::TooLong,
        Self::NeedsStorage,
        Self::NeedsAffinity,
        Self::Capped,
        Self::Down,
        Self::ContainerAbsent,
        Self::ContainerNotInRoute,
        Self::NoTasks,
        Self::SlotsFull,
    ];

    /// Returns this cause's place in [`Cause::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the lane that it stands against.
    pub const fn lane(self) -> Lane {
        match self {
            Self::ContainerAbsent | Self::ContainerNotInRoute | Self::NoTasks | Self::SlotsFull => {
                Lane::Container
            }
            Self::LambdaAbsent
            | Self::LambdaNotInRoute
            | Self::Upgrade
            | Self::Grpc
            | Self::Trailers
            | Self::BodyTooLarge
            | Self::BodyStreaming
            | Self::TooLong
            | Self::NeedsStorage
            | Self::NeedsAffinity
            | Self::Capped
            | Self::Down => Lane::Lambda,
        }
    }

    /// Tells whether the lane could not serve the request even with nothing else to do.
    pub const fn is_hard(self) -> bool {
        !matches!(self, Self::Capped | Self::Down | Self::NoTasks | Self::SlotsFull)
    }

    /// Tells whether the service lacks the lane altogether.
    pub const fn is_absent(self) -> bool {
        matches!(self, Self::LambdaAbsent | Self::ContainerAbsent)
    }

    /// Returns the name used in labels and logs; the lane is told beside it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LambdaAbsent | Self::ContainerAbsent => "absent",
            Self::LambdaNotInRoute | Self::ContainerNotInRoute => "not-in-route",
            Self::Upgrade => "upgrade",
            Self::Grpc => "grpc",
            Self::Trailers => "trailers",
            Self::BodyTooLarge => "body-too-large",
            Self::BodyStreaming => "body-streaming",
            Self::TooLong => "too-long",
            Self::NeedsStorage => "needs-storage",
            Self::NeedsAffinity => "needs-affinity",
            Self::Capped => "capped",
            Self::Down => "down",
            Self::NoTasks => "no-tasks",
            Self::SlotsFull => "slots-full",
        }
    }
}

/// The set of causes that stood against the lanes, as bits: cheap to copy, compare and log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RuledOut(u32);

impl RuledOut {
    /// Tells whether nothing stood against either lane.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Tells whether `cause` is in the set.
    pub const fn has(self, cause: Cause) -> bool {
        self.0 & (1 << cause.index()) != 0
    }

    /// Tells whether anything in the set stands against `lane`.
    pub fn has_lane(self, lane: Lane) -> bool {
        let mask = match lane {
            Lane::Lambda => LAMBDA_MASK,
            Lane::Container => CONTAINER_MASK,
        };
        self.0 & mask != 0
    }

    /// Tells whether anything in the set stands against `lane` whatever its state: it could never serve the request.
    pub const fn is_hard_for(self, lane: Lane) -> bool {
        let mask = match lane {
            Lane::Lambda => LAMBDA_MASK,
            Lane::Container => CONTAINER_MASK,
        };
        self.0 & mask & HARD_MASK != 0
    }

    /// Returns the causes with their lanes, in the order of [`Cause::ALL`].
    pub fn iter(self) -> impl Iterator<Item = (Lane, Cause)> {
        Cause::ALL
            .into_iter()
            .filter(move |cause| self.has(*cause))
            .map(|cause| (cause.lane(), cause))
    }

    /// Returns the causes against `lane`.
    pub fn of(self, lane: Lane) -> impl Iterator<Item = Cause> {
        self.iter().filter(move |(of, _)| *of == lane).map(|(_, cause)| cause)
    }

    /// Returns the set as bits, bit `n` for the cause of index `n`.
    pub const fn bits(self) -> u32 {
        self.0
    }

    pub(super) const fn set(&mut self, cause: Cause) {
        self.0 |= 1 << cause.index();
    }

    pub(super) const fn set_if(&mut self, holds: bool, cause: Cause) {
        // Without a branch: sixteen of them a decision, most of them unpredictable together.
        self.0 |= (holds as u32) << cause.index();
    }
}

const CONTAINER_MASK: u32 = (1 << Cause::ContainerAbsent.index())
    | (1 << Cause::ContainerNotInRoute.index())
    | (1 << Cause::NoTasks.index())
    | (1 << Cause::SlotsFull.index());
const LAMBDA_MASK: u32 = ((1 << Cause::ALL.len()) - 1) & !CONTAINER_MASK;
const HARD_MASK: u32 = {
    let (mut mask, mut index) = (0, 0);
    while index < Cause::ALL.len() {
        if Cause::ALL[index].is_hard() {
            mask |= 1 << index;
        }
        index += 1;
    }
    mask
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_masks_agree_with_the_lists() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason:?}");
        }
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), index, "{cause:?}");
            let mut set = RuledOut::default();
            set.set(cause);
            assert!(set.has_lane(cause.lane()), "{cause:?}");
            assert!(!set.has_lane(cause.lane().other()), "{cause:?}");
            assert_eq!(set.iter().collect::<Vec<_>>(), [(cause.lane(), cause)]);
            assert_eq!(set.is_hard_for(cause.lane()), cause.is_hard(), "{cause:?}");
            assert!(!set.is_hard_for(cause.lane().other()), "{cause:?}");
        }
    }

    #[test]
    fn names_are_distinct_within_a_lane() {
        let mut names: Vec<_> =
            Cause::ALL.iter().map(|cause| (cause.lane().as_str(), cause.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Cause::ALL.len());
    }
}
