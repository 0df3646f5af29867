//! The planners that a load is compared under.

use super::{Bench, Part};
use crate::plan::{
    Forecasts, Knative, KnownAhead, LambdaOnly, Newsvendor, Pacer, Planner, Predictive, Spock,
    StaticTasks, TargetTracking,
};

/// The planners that a load is compared under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Everything on Lambda.
    AllLambda,
    /// Tasks for the peak, no Lambda.
    StaticPeak,
    /// The number of tasks that turned out best, with Lambda for the rest.
    BestStatic,
    /// Application Auto Scaling at 70 %.
    TargetTracking,
    /// Knative's autoscaler.
    Knative,
    /// AWS's hourly forecast beside target tracking.
    PredictiveScaling,
    /// Target tracking, with Lambda while tasks boot.
    Spock,
    /// Last value and newsvendor: the simplest hybrid worth the name.
    LastValueNewsvendor,
    /// Pacer's own.
    Pacer,
    /// The same with the demand known.
    PerfectForecast,
}

impl Baseline {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 10] = [
        Self::AllLambda,
        Self::StaticPeak,
        Self::BestStatic,
        Self::TargetTracking,
        Self::Knative,
        Self::PredictiveScaling,
        Self::Spock,
        Self::LastValueNewsvendor,
        Self::Pacer,
        Self::PerfectForecast,
    ];

    /// Returns the name that reports give it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllLambda => "all-lambda",
            Self::StaticPeak => "static-peak",
            Self::BestStatic => "best-static",
            Self::TargetTracking => "target-tracking",
            Self::Knative => "knative",
            Self::PredictiveScaling => "predictive-scaling",
            Self::Spock => "spock",
            Self::LastValueNewsvendor => "last-value-newsvendor",
            Self::Pacer => "pacer",
            Self::PerfectForecast => "perfect-forecast",
        }
    }

    /// Returns the baseline of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|baseline| baseline.as_str() == name)
    }

    /// Tells whether it uses both lanes, and so needs a gateway.
    pub(super) const fn uses_both(self) -> bool {
        match self {
            Self::AllLambda
            | Self::StaticPeak
            | Self::TargetTracking
            | Self::Knative
            | Self::PredictiveScaling => false,
            Self::BestStatic
            | Self::Spock
            | Self::LastValueNewsvendor
            | Self::Pacer
            | Self::PerfectForecast => true,
        }
    }

    /// Returns the planner of one service. A service of one lane stays there, whatever the baseline says of the other.
    pub(super) fn planner(self, part: &Part, bench: &Bench<'_>) -> Box<dyn Planner> {
        let slots = part.site.shape.slots_per_task;
        let (lambda, container) = part.lanes();
        if !container {
            let shape = &part.site.shape;
            return match (self, &shape.warm) {
                (Self::Pacer, Some(_)) => Box::new(Pacer::new(Forecasts::new(shape))),
                _ => Box::new(LambdaOnly),
            };
        }
        let possible = match self {
            Self::BestStatic if !lambda => Self::StaticPeak,
            Self::AllLambda
            | Self::Spock
            | Self::LastValueNewsvendor
            | Self::Pacer
            | Self::PerfectForecast
                if !lambda =>
            {
                Self::TargetTracking
            }
            own => own,
        };
        match possible {
            Self::AllLambda => Box::new(LambdaOnly),
            Self::StaticPeak => Box::new(StaticTasks::peak(part.peak_demand(false), slots)),
            Self::BestStatic => Box::new(StaticTasks::hindsight(bench.best_static(part))),
            Self::TargetTracking => Box::new(TargetTracking::new(0.7)),
            Self::Knative => Box::new(Knative::default()),
            Self::PredictiveScaling => Box::new(Predictive::new(0.7)),
            Self::Spock => Box::new(Spock::new(0.7)),
            Self::LastValueNewsvendor => Box::new(Newsvendor::default()),
            Self::Pacer => Box::new(Pacer::new(Forecasts::new(&part.site.shape))),
            Self::PerfectForecast => Box::new(Pacer::new(KnownAhead)),
        }
    }
}
