//! What requests used, from the counters of their routes: by service, route, class and lane.
//!
//! Counters never fall while a route is known, so what was used is the difference between two looks.

use std::{collections::HashMap, sync::Arc};

use policies::{
    decide::{Class, Lane},
    policy::{Arch, ColdStart, Service},
};

use super::{Key, Part, Row, View, size_of};
use crate::telemetry::{
    series::{NONE, RouteSeries},
    shard::Used,
};

/// Lanes that requests use, by their index among counters.
const LANES: [Lane; 2] = [Lane::Lambda, Lane::Container];

/// What a lane's counters of one class showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    requests: u64,
    runs: u64,
    mb_ms: u64,
    provisioned_mb_ms: u64,
    estimated_mb_ms: u64,
    cold_starts: u64,
    streamed: u64,
    slot_us: u64,
}

impl Seen {
    fn of<'a>(all: impl Iterator<Item = &'a Used>) -> Self {
        all.fold(Self::default(), |sum, used| Self {
            requests: sum.requests + used.requests.get(),
            runs: sum.runs + used.runs.get(),
            mb_ms: sum.mb_ms + used.mb_ms.get(),
            provisioned_mb_ms: sum.provisioned_mb_ms + used.provisioned_mb_ms.get(),
            estimated_mb_ms: sum.estimated_mb_ms + used.estimated_mb_ms.get(),
            cold_starts: sum.cold_starts + used.cold_starts.get(),
            streamed: sum.streamed + used.streamed.get(),
            slot_us: sum.slot_us + used.slot_us.get(),
        })
    }

    /// Returns what came since `before`. Counters that fell are of a route that was forgotten and begun anew.
    fn since(self, before: Self) -> Self {
        let less = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        Self {
            requests: less(self.requests, before.requests),
            runs: less(self.runs, before.runs),
            mb_ms: less(self.mb_ms, before.mb_ms),
            provisioned_mb_ms: less(self.provisioned_mb_ms, before.provisioned_mb_ms),
            estimated_mb_ms: less(self.estimated_mb_ms, before.estimated_mb_ms),
            cold_starts: less(self.cold_starts, before.cold_starts),
            streamed: less(self.streamed, before.streamed),
            slot_us: less(self.slot_us, before.slot_us),
        }
    }
}

/// What of a service decides what its counters mean.
#[derive(Debug, Clone, Copy, Default)]
struct Terms {
    arch: Arch,
    task: Option<(policies::cost::TaskSize, u32)>,
    /// Memory of a restored environment, where snapshots are.
    snapshot_mib: u32,
}

impl Terms {
    fn of(service: &Service) -> Self {
        let lambda = service.lambda.as_ref();
        let snapstart = lambda.filter(|lambda| lambda.cold_start == ColdStart::SnapStart);
        Self {
            arch: lambda.map_or_else(Arch::default, |lambda| lambda.arch),
            task: service.container.as_ref().map(|own| (size_of(own), own.requests_per_task)),
            snapshot_mib: snapstart.map_or(0, |lambda| lambda.memory_mib),
        }
    }

    fn row(&self, seen: Seen, lane: Lane) -> Row {
        let mut row = Row {
            requests: seen.requests,
            runs: seen.runs,
            arch: self.arch,
            mb_ms: seen.mb_ms.saturating_sub(seen.provisioned_mb_ms),
            estimated_mb_ms: seen.estimated_mb_ms,
            provisioned_run_mb_ms: seen.provisioned_mb_ms,
            restored_mb: seen.cold_starts * u64::from(self.snapshot_mib),
            streamed: seen.streamed,
            ..Row::default()
        };
        if let (Lane::Container, Some((size, slots))) = (lane, self.task) {
            // A slot's part of its task. What is cut off is less than a microsecond of a task a look.
            let part = |units: u32| {
                let all = u128::from(seen.slot_us) * u128::from(units);
                u64::try_from(all / (1000 * u128::from(slots.max(1)))).unwrap_or(u64::MAX)
            };
            row.task_arch = size.arch;
            (row.task_us, row.cpu_unit_ms, row.mib_ms) =
                (part(1000), part(size.cpu_units), part(size.memory_mib));
        }
        row
    }
}

/// What a route's counters showed, by lane and class.
type ByLane = [[Seen; 2]; 2];

/// What the counters showed at the last look.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// By service and route.
    seen: HashMap<(Arc<str>, Arc<str>), ByLane>,
}

impl Counted {
    /// Tells `book` of what was used since the last look.
    pub(super) fn look(&mut self, view: &View<'_>, mut book: impl FnMut(Key, Row)) {
        let policy = &view.world.policy;
        let terms: HashMap<&str, Terms> =
            policy.services.iter().map(|service| (&*service.name, Terms::of(service))).collect();
        for series in view.series.list().iter().filter(|series| &*series.route != NONE) {
            let name = (series.service.clone(), series.route.clone());
            let before = self.seen.entry(name).or_default();
            // Of a service that left the policy nothing is known but what it used: its last requests are Lambda's or nobody's.
            let terms = terms.get(&*series.service).copied().unwrap_or_default();
            for (place, lane) in LANES.into_iter().enumerate() {
                for class in Class::ALL {
                    let now = Seen::of(used(series, place, class));
                    let before = &mut before[place][class as usize];
                    if now == *before {
                        continue;
                    }
                    let new = now.since(std::mem::replace(before, now));
                    let part =
                        Part::Route { route: series.route.clone(), tenant: "".into(), class, lane };
                    book(Key::new(series.service.clone(), part), terms.row(new, lane));
                }
            }
        }
    }
}

fn used(series: &RouteSeries, lane: usize, class: Class) -> impl Iterator<Item = &Used> {
    series.workers.iter().map(move |lanes| &lanes[lane].used[class as usize])
}
