//! What 10,000 services cost a gateway that plans for them: memory, and the time of one look at all of them. Goals: 1 GiB, and
//! a second on one core.
//!
//! Each keeps what the live planner does: forecasts of minutes that begin every ten seconds, nine days of them behind it, the
//! history of the last hour, and the plan. Tasks start in 60 s, the least that is usual: those that take four minutes and more
//! are forecast by every sixth look.

use std::{fs, hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use predictor::plan::{Forecasts, History, Inputs, Pacer, Plan, Planner as _, Shape, Why};

/// Services.
const SERVICES: u64 = 10_000;

/// Seconds between looks, and looks in a day.
const LOOK_S: u64 = 10;
const DAY: u64 = 86_400 / LOOK_S;

/// What one service has.
#[derive(Clone)]
struct Service {
    planner: Pacer<Forecasts>,
    history: History,
    plan: Plan,
}

fn shape() -> Shape {
    Shape {
        slots_per_task: 4,
        break_even: 0.3,
        patience: 0.0,
        start_us: 60_000_000,
        paid_start_us: 40_000_000,
        least_paid_us: 60_000_000,
        min_tasks: 0,
        max_tasks: 100,
        warm: None,
        spot: None,
    }
}

/// Requests of a look: a rhythm of the day with some unevenness, between 20 and 140, without a generator that would be timed
/// along.
fn load(look: u64) -> f64 {
    let of_day = look % DAY;
    (20 + of_day.min(DAY - of_day) / 54 + look.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 41) as f64
}

impl Service {
    fn new() -> Self {
        Self {
            planner: Pacer::new(Forecasts::new(&shape())),
            history: History::new(LOOK_S * 1_000_000, 360),
            plan: Plan::tasks(1, Why::Fixed),
        }
    }

    /// Learns and plans at the end of the look.
    fn look(&mut self, shape: &Shape, look: u64, asked: f64) {
        // Requests of a quarter of a second.
        let busy = asked / LOOK_S as f64 * 0.25;
        self.history.push(busy, busy, 8.0);
        let inputs = Inputs {
            now_us: (look + 1) * LOOK_S * 1_000_000,
            history: &self.history,
            asked,
            mean_service_us: 250_000.0,
            ready: self.plan.tasks,
            starting: 0,
            busy: busy as u32,
            waiting: 0,
            shape,
            truth: None,
            lambda: predictor::plan::OnLambda::default(),
        };
        self.plan = self.planner.plan(&inputs, &self.plan);
    }
}

/// Bytes of this process that are in memory.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1_024)
}

fn services(c: &mut Criterion) {
    let shape = shape();
    let mut one = Service::new();
    (0..9 * DAY).for_each(|look| one.look(&shape, look, load(look)));

    let mut group = c.benchmark_group("plan");
    let mut look = 9 * DAY;
    group.bench_function("one service, a look", |b| {
        b.iter(|| {
            one.look(&shape, look, load(look));
            look += 1;
            black_box(one.plan.tasks)
        });
    });

    let before = resident();
    let mut all = vec![one; SERVICES as usize];
    let held = resident().zip(before).map(|(after, before)| after.saturating_sub(before));
    if let Some(bytes) = held {
        println!(
            "{SERVICES} services hold {:.0} MiB resident, {:.1} kB each",
            bytes as f64 / 1_048_576.0,
            bytes as f64 / 1e3 / SERVICES as f64
        );
    }
    group.throughput(Throughput::Elements(SERVICES)).sample_size(10);
    group.measurement_time(Duration::from_secs(10));
    group.bench_function("10,000 services, a look", |b| {
        b.iter(|| {
            let mut tasks = 0;
            for (n, service) in all.iter_mut().enumerate() {
                service.look(&shape, look, load(look + n as u64));
                tasks += service.plan.tasks;
            }
            look += 1;
            tasks
        });
    });
    group.finish();

    // Four weeks of one service, as a gateway reads them when it starts.
    let mut group = c.benchmark_group("recall");
    group.sample_size(10).bench_function("28 days of one service", |b| {
        b.iter(|| {
            let mut forecasts = Forecasts::new(&shape);
            forecasts.recall((0..28 * DAY).map(|look| (look * LOOK_S, load(look))));
            black_box(forecasts)
        });
    });
    group.finish();
}

criterion_group!(benches, services);
criterion_main!(benches);
