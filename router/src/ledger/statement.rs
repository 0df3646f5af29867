//! Rows, priced: what a day cost, by service, and what was saved.

use std::{collections::BTreeMap, sync::Arc};

use policies::{
    cost::{Item, PicoUsd, PriceBook, Terms},
    decide::Lane,
};

use super::{Day, Instead, Part, Row};

/// How savings are known, in a sentence for everybody who reads the number.
pub(crate) const METHOD: &str = "list prices, no free tier; saved is against the cheaper of all-lambda and target-tracking that \
would have served the same requests well (at most 0.1 % failed, 1 % late), simulated by the model of `pacer replay` beside the traffic";

/// What one service cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServiceCost {
    /// Requests that ended on a lane.
    pub(crate) requests: u64,
    /// Its bill, by item, of all that is paid for but warm-up invokes.
    pub(crate) items: BTreeMap<Item, PicoUsd>,
    /// All that its function cost.
    pub(crate) lambda: PicoUsd,
    /// The part of that which warm-up invokes cost.
    pub(crate) warm: PicoUsd,
    /// All that its tasks cost.
    pub(crate) container: PicoUsd,
    /// The part of that for which nobody used them.
    pub(crate) idle: PicoUsd,
    /// By route and lane: invocations there, or what of the tasks was used.
    pub(crate) routes: BTreeMap<(Arc<str>, Lane), PicoUsd>,
    /// What the same requests would have cost otherwise; empty where there is no otherwise.
    pub(crate) instead: BTreeMap<Instead, Otherwise>,
    /// Memory times time that Lambda billed, and the part of it that was estimated.
    pub(crate) billed_mb_ms: (u64, u64),
    /// Microseconds of tasks that were held, and that were used.
    pub(crate) task_us: (u64, u64),
}

impl ServiceCost {
    /// Returns all that it cost.
    pub(crate) fn total(&self) -> PicoUsd {
        self.lambda + self.container
    }

    /// Returns the cheapest way that needs no gateway and would have served well, and what it would have cost; when none would
    /// have, that of Lambda, which is never full before the account is.
    pub(crate) fn cheapest_other(&self) -> Option<(Instead, PicoUsd)> {
        let plain = [Instead::AllLambda, Instead::TargetTracking];
        let others = plain.into_iter().filter_map(|way| Some((way, *self.instead.get(&way)?)));
        let good =
            others.filter(|(_, other)| other.serves_well()).map(|(way, other)| (way, other.cost));
        let all_lambda = || Some((Instead::AllLambda, self.instead.get(&Instead::AllLambda)?.cost));
        good.min_by_key(|(_, cost)| *cost).or_else(all_lambda)
    }

    /// Returns what was saved, in dollars, before the gateway's own cost; less than nothing where it cost more.
    pub(crate) fn saved_usd(&self) -> Option<f64> {
        let (_, other) = self.cheapest_other()?;
        Some(other.as_usd() - self.total().as_usd())
    }

    /// Returns how busy its tasks were, 0 to 1; `None` without any.
    pub(crate) fn utilisation(&self) -> Option<f64> {
        let (held, used) = self.task_us;
        (0 < held).then(|| (used as f64 / held as f64).min(1.0))
    }
}

/// The same requests, run otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Otherwise {
    /// What that would have cost.
    pub(crate) cost: PicoUsd,
    /// Requests that there were.
    pub(crate) asked: u64,
    /// Those of them that would have failed.
    pub(crate) failed: u64,
    /// Those that would have waited for longer than their objective.
    pub(crate) late: u64,
}

impl Otherwise {
    /// Tells whether it would have been an alternative: who leaves requests unserved is cheap.
    pub(crate) fn serves_well(&self) -> bool {
        let share = |part: u64, most: f64| part as f64 <= most * self.asked as f64;
        share(self.failed, 0.001) && share(self.failed + self.late, 0.01)
    }
}

/// What everything cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Statement {
    /// By service.
    pub(crate) services: BTreeMap<Arc<str>, ServiceCost>,
    /// The gateway itself.
    pub(crate) own: PicoUsd,
}

impl Statement {
    /// Prices the rows of a day.
    pub(crate) fn of(rows: &Day, book: &PriceBook) -> Self {
        let mut statement = Self::default();
        for (key, row) in rows {
            if key.part == Part::Own {
                statement.own = statement.own + row.cost(book);
                continue;
            }
            let service = statement.services.entry(key.service.clone()).or_default();
            service.enter(&key.part, row, book);
        }
        for service in statement.services.values_mut() {
            service.settle();
        }
        statement
    }

    /// Returns all that was paid, the gateway included.
    pub(crate) fn total(&self) -> PicoUsd {
        self.services.values().map(ServiceCost::total).sum::<PicoUsd>() + self.own
    }

    /// Returns what was saved over all services that could have been run otherwise, less what the gateway costs, in dollars;
    /// `None` when there is nothing to compare.
    pub(crate) fn saved_usd(&self) -> Option<f64> {
        let mut known = self.services.values().filter_map(ServiceCost::saved_usd).peekable();
        known.peek()?;
        Some(known.sum::<f64>() - self.own.as_usd())
    }
}

impl ServiceCost {
    fn enter(&mut self, part: &Part, row: &Row, book: &PriceBook) {
        let cost = row.cost(book);
        let billed = row.mb_ms + row.provisioned_run_mb_ms;
        self.billed_mb_ms.0 += billed;
        self.billed_mb_ms.1 += row.estimated_mb_ms;
        match part {
            Part::Instead(way) => {
                let Row { requests, failed, late, .. } = *row;
                self.instead.insert(*way, Otherwise { cost, asked: requests, failed, late });
                // Nobody pays it.
                self.billed_mb_ms.0 -= billed;
                return;
            }
            Part::Route { route, lane, .. } => {
                self.requests += row.requests;
                let of_route = self.routes.entry((route.clone(), *lane)).or_default();
                *of_route = *of_route + cost;
                if *lane == Lane::Container {
                    // A part of what is held, which is paid for as a whole.
                    self.task_us.1 += row.task_us;
                    self.idle = self.idle + cost;
                    return;
                }
                self.lambda = self.lambda + cost;
            }
            Part::Held => {
                self.task_us.0 += row.task_us;
                self.container = self.container + cost;
            }
            Part::Warm => {
                self.warm = self.warm + cost;
                self.lambda = self.lambda + cost;
                return;
            }
            Part::Provisioned | Part::Cache => self.lambda = self.lambda + cost,
            Part::Own => {}
        }
        for (item, amount) in book.bill(&row.usage(), 0, Terms::default()).lines() {
            if amount != PicoUsd::ZERO {
                let sum = self.items.entry(item).or_default();
                *sum = *sum + amount;
            }
        }
    }

    /// Works out what was idle, once all that was used is known: requests that ran while nobody had told yet of their task
    /// make it less than nothing for a moment, and nothing is what is shown.
    fn settle(&mut self) {
        self.idle = self.container - self.idle;
    }
}
