//! All that is known of the demo at one moment, as text: a few live lines, and the table at the end.
//!
//! Pure text from a [`View`]; nothing here is estimated. What was not measured, for instance because the local cloud did
//! not answer, is left out rather than shown as zero.

use std::{fmt::Write as _, time::Duration};

use pacer_demo::{
    load::{mix::Route, tally::Tally},
    runs::Seen,
};
use policies::cost::PicoUsd;

use super::{
    ahead::{Plan, Story},
    cloud::Counts,
    replayed::{Compared, Outcome},
};

/// All that is known at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Since the first request was due, or since the start when there is no load.
    pub elapsed: Duration,
    /// How long requests are sent; `None` when there is no load.
    pub duration: Option<Duration>,
    /// Where in the demo the crowd is: from, until.
    pub crowd: Option<(Duration, Duration)>,
    /// The results so far.
    pub tally: Tally,
    /// Each route's p99 objective, in the order of [`Route::ALL`].
    pub goals: [Option<Duration>; 3],
    /// How often requests ran.
    pub seen: Seen,
    /// What the local cloud counts; `None` when it did not answer.
    pub counts: Option<Counts>,
    /// What its usage costs at list price; `None` when it did not answer.
    pub cost: Option<Cost>,
    /// How the count of tasks went.
    pub story: Story,
    /// What the gateway plans; `None` before its first plan, and without an admin API.
    pub plan: Option<Plan>,
    /// How many times faster than real the recording passes.
    pub time_scale: f64,
    /// The same load otherwise; `None` before the end, and where it cannot be told.
    pub compared: Option<Compared>,
}

/// What the usage costs at list price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Requests and durations of functions.
    pub lambda: PicoUsd,
    /// Tasks, from their start on.
    pub fargate: PicoUsd,
}

impl View {
    /// Returns the live lines.
    pub(crate) fn live(&self) -> Vec<String> {
        let mut lines = vec![self.clock()];
        if self.duration.is_some() {
            lines.extend(self.routes());
        }
        lines.extend(self.capacity());
        lines.extend(self.plan.as_ref().map(|plan| format!("  plan: {}", plan.why)));
        lines.extend(self.duration.is_some().then(|| self.troubles()));
        lines.extend(self.bill());
        lines
    }

    /// Returns one line with the essence, for logs and pipes.
    pub(crate) fn line(&self) -> String {
        let mut line = self.clock();
        for route in Route::ALL {
            let results = self.tally.route(route);
            if let Some(p99) = results.latency.quantile(0.99) {
                let lanes = lanes(results.lambda, results.container);
                let _ = write!(line, " | {} {} p99 {}", route.path(), lanes, milliseconds(p99));
            }
        }
        // Without load there is nothing to have gone wrong, and the cloud is all there is to see.
        if self.duration.is_none() {
            if let Some(capacity) = self.capacity() {
                let _ = write!(line, " | {}", capacity.trim_start());
            }
            return line;
        }
        if let Some(tasks) = self.tasks() {
            let _ = write!(line, " | {tasks}");
        }
        let _ = write!(line, " | {}", self.troubles().trim_start());
        if let Some(plan) = &self.plan {
            let _ = write!(line, " | plan: {}", plan.why);
        }
        line
    }

    /// Returns the table at the end.
    pub(crate) fn end(&self) -> Vec<String> {
        let (sent, ok, failed) = self.tally.totals();
        let mut first = format!(
            "END: {} sent = {} ok + {} failed",
            thousands(sent),
            thousands(ok),
            thousands(failed)
        );
        let unfinished = sent.saturating_sub(ok + failed);
        if 0 < unfinished {
            let _ = write!(first, " + {} in flight when stopped", thousands(unfinished));
        }
        let _ = write!(first, " | {} run twice", thousands(self.seen.twice));
        // Reports are datagrams: fewer runs than answers means that some were lost, and `run twice` is a least.
        if self.seen.once < ok {
            let _ = write!(first, " (of {} whose run was reported)", thousands(self.seen.once));
        }
        let mut lines = vec![
            first,
            "  route         sent        ok  failed  lambda/container      p50      p99   p99 goal"
                .to_owned(),
        ];
        lines.extend(self.routes_table());
        lines.extend(self.reasons());
        if 0 < failed {
            lines.push(format!("  failures: {}", failures_text(&self.tally.failures())));
        }
        lines.extend(self.rise());
        lines.extend(self.capacity());
        lines.extend(self.bill());
        lines.extend(self.otherwise());
        lines
    }

    fn clock(&self) -> String {
        let elapsed = self.elapsed.as_secs();
        let Some(duration) = self.duration else { return format!("demo  {elapsed}s, no load") };
        // The last answers may come after the last request.
        let elapsed = elapsed.min(duration.as_secs());
        let done = if duration.is_zero() {
            1.0
        } else {
            (self.elapsed.as_secs_f64() / duration.as_secs_f64()).min(1.0)
        };
        let bar: String =
            (0..10).map(|tenth| if f64::from(tenth) < done * 10.0 { '#' } else { '.' }).collect();
        let crowd = match self.crowd {
            Some((from, _)) if self.elapsed < from => {
                let ready = self.plan.as_ref().map(|plan| {
                    format!(" (forecast p90 {:.1} busy slots, ready for {})", plan.p90, plan.slots)
                });
                let left = from.saturating_sub(self.elapsed).as_secs() + 1;
                format!("  crowd in {left}s{}", ready.unwrap_or_default())
            }
            Some((_, until)) if self.elapsed < until => "  the crowd is here".to_owned(),
            Some((_, until)) => {
                format!("  crowd gone since {}s", self.elapsed.saturating_sub(until).as_secs())
            }
            None => String::new(),
        };
        format!("demo  {elapsed}s/{}s {bar}{crowd}", duration.as_secs())
    }

    fn routes(&self) -> Vec<String> {
        let line = |route: Route| {
            let results = self.tally.route(route);
            let quantile = |share| {
                results.latency.quantile(share).map_or_else(|| "-".to_owned(), milliseconds)
            };
            format!(
                "  {:<8} {:>7} ok {:>4} failed  {:<26} p50 {:>7}  p99 {:>7}{}",
                route.path(),
                thousands(results.ok),
                thousands(results.failed),
                lanes(results.lambda, results.container),
                quantile(0.5),
                quantile(0.99),
                self.goals[route.index()]
                    .map(|goal| format!("  goal {}", milliseconds(goal)))
                    .unwrap_or_default(),
            )
        };
        Route::ALL.into_iter().map(line).collect()
    }

    fn routes_table(&self) -> Vec<String> {
        let line = |route: Route| {
            let results = self.tally.route(route);
            let quantile = |share| {
                results.latency.quantile(share).map_or_else(|| "-".to_owned(), milliseconds)
            };
            let goal = match (self.goals[route.index()], results.latency.quantile(0.99)) {
                (Some(goal), Some(p99)) if p99 <= goal => format!("{} met", milliseconds(goal)),
                (Some(goal), Some(_)) => format!("{} MISSED", milliseconds(goal)),
                (Some(goal), None) => milliseconds(goal),
                (None, _) => "-".to_owned(),
            };
            let decided = results.lambda + results.container;
            let split = match decided {
                0 => "-".to_owned(),
                _ => format!(
                    "{} / {}",
                    percent(results.lambda, decided),
                    percent(results.container, decided)
                ),
            };
            format!(
                "  {:<10} {:>7} {:>9} {:>7}  {:>16} {:>8} {:>8}   {goal}",
                route.path(),
                thousands(results.sent),
                thousands(results.ok),
                thousands(results.failed),
                split,
                quantile(0.5),
                quantile(0.99),
            )
        };
        Route::ALL.into_iter().map(line).collect()
    }

    fn reasons(&self) -> Option<String> {
        let reasons = self.tally.reasons();
        let total: u64 = reasons.iter().map(|(_, count)| count).sum();
        let share = |&(reason, count): &(&str, u64)| format!("{reason} {}", percent(count, total));
        let text: Vec<_> = reasons.iter().map(share).collect();
        (0 < total).then(|| format!("  why: {}", text.join("  ")))
    }

    fn capacity(&self) -> Option<String> {
        let counts = self.counts?;
        let (_, ok, _) = self.tally.totals();
        let share = if ok == 0 {
            String::new()
        } else {
            format!(" ({} of requests)", percent(counts.cold_starts, ok))
        };
        let tasks = self.tasks()?;
        Some(format!(
            "  {tasks} | environments {} ({} busy) | cold starts {}{share} | throttled {}",
            counts.environments, counts.busy, counts.cold_starts, counts.throttles,
        ))
    }

    /// How many tasks run, how many there shall be, and how many are on their way.
    fn tasks(&self) -> Option<String> {
        let counts = self.counts?;
        let mut text = format!("tasks {}", counts.tasks_running);
        if counts.tasks_desired != counts.tasks_running {
            let _ = write!(text, " -> {}", counts.tasks_desired);
        }
        if 0 < counts.tasks_starting {
            let _ = write!(text, " ({} starting)", counts.tasks_starting);
        }
        Some(text)
    }

    /// How tasks rose ahead of the crowd.
    fn rise(&self) -> Option<String> {
        let (crowd, _) = self.crowd.filter(|(crowd, _)| *crowd < self.elapsed)?;
        let rise = self.story.rise(crowd)?;
        let seconds = |real: Duration| real.as_secs_f64() * self.time_scale;
        let raised = rise.ahead.map_or_else(
            || "not raised before the crowd".to_owned(),
            |ahead| format!("raised from {:.0}s before the crowd on", seconds(ahead)),
        );
        let start = self.plan.as_ref().map(|plan| format!("; a start takes {:.0}s", plan.start_s));
        Some(format!(
            "  tasks: {} in the quiet, {raised}, {} ready when it came, {} at most (time of the recording{})",
            rise.quiet,
            rise.ready,
            rise.most,
            start.unwrap_or_default()
        ))
    }

    /// What the same load costs otherwise.
    fn otherwise(&self) -> Option<String> {
        let Compared { all_lambda, tracking, pacer } = self.compared?;
        let told = |name: &str, outcome: Outcome| {
            let mut text = format!("{name} {} p99 {}", outcome.cost, milliseconds(outcome.p99));
            if 0 < outcome.failed {
                let _ = write!(text, ", {} failed", thousands(outcome.failed));
            }
            text
        };
        Some(format!(
            "  same load, replayed (simulated): {} | {} | {}",
            told("all on lambda", all_lambda),
            told("target tracking 70%", tracking),
            told("pacer", pacer),
        ))
    }

    fn troubles(&self) -> String {
        let reasons = self.tally.reasons();
        let spills: Vec<_> = reasons
            .iter()
            .filter_map(|&(reason, count)| Some((reason.strip_prefix("spill-")?, count)))
            .collect();
        let spilled: u64 = spills.iter().map(|(_, count)| count).sum();
        let why = if spilled == 0 { String::new() } else { format!(" ({})", counts_text(&spills)) };
        let failures = self.tally.failures();
        let failed: u64 = failures.iter().map(|(_, count)| count).sum();
        let what =
            if failed == 0 { String::new() } else { format!(" ({})", failures_text(&failures)) };
        format!("  spilled {}{why} | failed {}{what}", thousands(spilled), thousands(failed))
    }

    fn bill(&self) -> Option<String> {
        let cost = self.cost?;
        let all = cost.lambda + cost.fargate;
        Some(format!(
            "  {all} so far at list price (lambda {}, fargate {})",
            cost.lambda, cost.fargate
        ))
    }
}

fn lanes(lambda: u64, container: u64) -> String {
    let decided = lambda + container;
    match (lambda, container) {
        (0, 0) => "-".to_owned(),
        (_, 0) => "lambda".to_owned(),
        (0, _) => "container".to_owned(),
        _ => {
            format!("lambda {} container {}", percent(lambda, decided), percent(container, decided))
        }
    }
}

fn counts_text(counts: &[(&str, u64)]) -> String {
    let text: Vec<_> =
        counts.iter().map(|(what, count)| format!("{what} {}", thousands(*count))).collect();
    text.join(", ")
}

fn failures_text(failures: &[(&str, u64)]) -> String {
    let text: Vec<_> =
        failures.iter().map(|(what, count)| format!("{} x {what}", thousands(*count))).collect();
    text.join(", ")
}

/// Whole percents; tenths below ten and next to a hundred, so that a rare thing is not shown as none.
fn percent(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    if part == 0 || part == whole || (9.95..99.0).contains(&percent) {
        return format!("{percent:.0}%");
    }
    // Cut, not rounded: 99.96 is not all.
    let tenths = if 99.0 <= percent { (percent * 10.0).floor() / 10.0 } else { percent };
    format!("{tenths:.1}%")
}

fn milliseconds(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1000.0;
    match ms {
        ms if ms < 9.95 => format!("{ms:.1}ms"),
        ms if ms < 999.5 => format!("{ms:.0}ms"),
        ms => format!("{:.1}s", ms / 1000.0),
    }
}

fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if 0 < index && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
