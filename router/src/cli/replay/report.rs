//! What a load came to under each planner, and what follows from it.

use policies::cost::{Group, MONTH_US, PicoUsd};
use predictor::replay::compare::{Baseline, Bench, Run, ServiceRun};

use super::loaded::Loaded;

/// One load, replayed.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) bench: Bench<'a>,
    /// As written, in the order of [`Baseline::ALL`].
    pub(super) runs: Vec<Run>,
    /// With other numbers of requests a task: what matters most and is known least.
    pub(super) slots: Vec<OtherSlots>,
}

/// The same with half, or twice, as many requests a task.
#[derive(Debug)]
pub(super) struct OtherSlots {
    pub(super) factor: Factor,
    pub(super) runs: Vec<Run>,
}

/// How many times as many requests a task serves at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Factor {
    Half,
    Double,
}

impl Factor {
    pub(super) const ALL: [Self; 2] = [Self::Half, Self::Double];

    /// Returns so many times `slots`; `None` when that is no whole number of at least one.
    pub(super) fn times(self, slots: u32) -> Option<u32> {
        match self {
            Self::Half => (2 <= slots).then_some(slots / 2),
            Self::Double => Some(slots.saturating_mul(2)),
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Half => "half",
            Self::Double => "double",
        }
    }
}

/// Planners whose cost is told with other numbers of requests a task.
pub(super) const SLOTS_MATTER: [Baseline; 2] = [Baseline::TargetTracking, Baseline::Pacer];

/// What a month would cost less.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saving {
    /// What is compared with.
    pub(super) from_usd: f64,
    /// What it comes to.
    pub(super) to_usd: f64,
}

impl Saving {
    pub(super) fn usd(self) -> f64 {
        self.from_usd - self.to_usd
    }

    /// Returns the share that is saved; below 0 when it costs more.
    pub(super) fn share(self) -> f64 {
        if self.from_usd <= 0.0 { 0.0 } else { self.usd() / self.from_usd }
    }
}

/// Whether a gateway pays for itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Worth {
    /// From this bill a month on.
    From(f64),
    /// At no bill: without the gateway's own cost it would save nothing either.
    Never,
}

impl Report<'_> {
    /// Returns the run of `baseline`, if it was asked for.
    pub(super) fn run(&self, baseline: Baseline) -> Option<&Run> {
        self.runs.iter().find(|run| run.baseline == baseline)
    }

    /// How long the load lasted, in microseconds.
    pub(super) fn span_us(&self) -> u64 {
        let (start, end) = self.bench.span_us();
        end - start
    }

    /// Returns what a month of such a load would cost, when the load costs `usd`.
    pub(super) fn monthly(&self, usd: f64) -> f64 {
        usd * MONTH_US as f64 / self.span_us().max(1) as f64
    }

    /// Returns what the load cost as it was run, at the policy's sizes.
    pub(super) fn observed_cost(&self) -> Option<PicoUsd> {
        let observed = self.loaded.observed.as_ref()?;
        let bill = self.bench.book.bill(&observed.usage, self.span_us(), self.bench.terms);
        Some(bill.total())
    }

    /// Returns what a month would cost under `baseline`, if it was asked for.
    pub(super) fn month(&self, baseline: Baseline) -> Option<f64> {
        self.run(baseline).map(|run| self.monthly(run.bill.total().as_usd()))
    }

    /// Returns what a month would cost less with Pacer than in containers that AWS scales.
    pub(super) fn saving(&self) -> Option<Saving> {
        let from_usd = self.month(Baseline::TargetTracking)?;
        Some(Saving { from_usd, to_usd: self.month(Baseline::Pacer)? })
    }

    /// Returns what of that comes from using both lanes, by the simplest plan for them, and what from the forecast; and what a
    /// perfect forecast would save on top.
    pub(super) fn parts(&self) -> Option<[f64; 3]> {
        let Saving { from_usd, to_usd } = self.saving()?;
        let simple = self.month(Baseline::LastValueNewsvendor)?;
        let perfect = self.month(Baseline::PerfectForecast)?;
        Some([from_usd - simple, simple - to_usd, to_usd - perfect])
    }

    /// Returns what a month would cost less with Pacer than as it was run, where the log tells that.
    pub(super) fn saving_from_observed(&self) -> Option<Saving> {
        let from_usd = self.monthly(self.observed_cost()?.as_usd());
        Some(Saving { from_usd, to_usd: self.month(Baseline::Pacer)? })
    }

    /// Returns what each service would cost less in a month, without the gateway: in the order of the services.
    pub(super) fn services(&self) -> Vec<(&str, Saving)> {
        let (Some(from), Some(to)) =
            (self.run(Baseline::TargetTracking), self.run(Baseline::Pacer))
        else {
            return Vec::new();
        };
        let month = |run: &ServiceRun| self.monthly(run.cost.as_usd());
        let saving = |(from, to): (&_, &_)| Saving { from_usd: month(from), to_usd: month(to) };
        let pairs = from.services.iter().zip(&to.services);
        pairs.map(|pair| (&*pair.0.name, saving(pair))).collect()
    }

    /// Returns what the gateway itself costs in a month, and from which bill on it pays for itself.
    pub(super) fn worth(&self) -> Option<(f64, Worth)> {
        let saving = self.saving()?;
        let run = self.run(Baseline::Pacer)?;
        let own = self.monthly(run.bill.subtotal(Group::Pacer).as_usd());
        let share = Saving { to_usd: saving.to_usd - own, ..saving }.share();
        Some((own, if share <= 0.0 { Worth::Never } else { Worth::From(own / share) }))
    }

    /// Returns what the result rests on without anybody knowing it, a clause each.
    pub(super) fn unsure(&self) -> Vec<String> {
        let mut unsure = self.loaded.unsure.clone();
        let slots = self.bench.parts.iter().filter(|part| part.site.service.container.is_some());
        let mut slots: Vec<u32> = slots.map(|part| part.site.task.slots).collect();
        slots.sort_unstable();
        slots.dedup();
        let planner = Baseline::Pacer;
        let cost = |runs: &[Run]| {
            let run = runs.iter().find(|run| run.baseline == planner)?;
            Some(self.monthly(run.bill.total().as_usd()))
        };
        let others: Vec<String> = self
            .slots
            .iter()
            .filter_map(|other| {
                let usd = charts::format::usd(cost(&other.runs)?);
                Some(format!("{usd} a month at {}", other.factor.as_str()))
            })
            .collect();
        if !others.is_empty() {
            let written = match &slots[..] {
                [one] => format!("requests_per_task {one}"),
                _ => "requests_per_task as written".to_owned(),
            };
            unsure.push(format!("{written} ({})", others.join(", ")));
        }
        unsure
    }
}
