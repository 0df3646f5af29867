//! Prints a page with every kind of picture, of made-up data:
//!
//!     cargo run -p pacer-charts --example sample > sample.html

use charts::{
    Band, Block, Cell, Colour, Column, Curve, Curves, Goal, Grouped, Key, Lines, Page, Reference,
    Row, Section, Series, Shape, Split, StackedBars, Stroke, Table, Tile, format,
};

/// 14 Nov 2026, 00:00 UTC.
const START_US: u64 = 1_794_614_400_000_000;
const MINUTE_US: u64 = 60_000_000;

/// A planner, and what it is made to have come to.
struct Planner {
    name: &'static str,
    lambda: [f64; 2],
    fargate: [f64; 2],
    pacer: f64,
    p50_us: f64,
    p99_us: f64,
    failed: f64,
    in_goal: f64,
    on_lambda: f64,
}

#[rustfmt::skip]
const PLANNERS: [Planner; 9] = [
    Planner { name: "all-lambda", lambda: [128.9, 2.23], fargate: [0.0, 0.0], pacer: 0.0, p50_us: 231e3, p99_us: 2.5e6, failed: 0.0, in_goal: 0.993, on_lambda: 1.0 },
    Planner { name: "static-peak", lambda: [0.0, 0.0], fargate: [793.0, 156.0], pacer: 0.0, p50_us: 229e3, p99_us: 2.45e6, failed: 0.0, in_goal: 0.994, on_lambda: 0.0 },
    Planner { name: "best-static", lambda: [35.1, 0.6], fargate: [50.4, 9.9], pacer: 3.2, p50_us: 230e3, p99_us: 2.5e6, failed: 0.0, in_goal: 0.993, on_lambda: 0.31 },
    Planner { name: "target-tracking", lambda: [0.0, 0.0], fargate: [47.6, 9.4], pacer: 0.0, p50_us: 240e3, p99_us: 59.8e6, failed: 0.0071, in_goal: 0.931, on_lambda: 0.0 },
    Planner { name: "knative", lambda: [0.0, 0.0], fargate: [68.5, 13.5], pacer: 0.0, p50_us: 236e3, p99_us: 28.8e6, failed: 0.0, in_goal: 0.958, on_lambda: 0.0 },
    Planner { name: "predictive-scaling", lambda: [0.0, 0.0], fargate: [52.6, 10.4], pacer: 0.0, p50_us: 238e3, p99_us: 18.5e6, failed: 0.000_04, in_goal: 0.964, on_lambda: 0.0 },
    Planner { name: "spock", lambda: [36.4, 0.7], fargate: [53.1, 10.5], pacer: 3.2, p50_us: 230e3, p99_us: 2.5e6, failed: 0.0, in_goal: 0.993, on_lambda: 0.29 },
    Planner { name: "last-value-newsvendor", lambda: [27.7, 0.5], fargate: [63.0, 12.4], pacer: 3.2, p50_us: 230e3, p99_us: 2.5e6, failed: 0.0, in_goal: 0.993, on_lambda: 0.24 },
    Planner { name: "perfect-forecast", lambda: [21.9, 0.4], fargate: [59.6, 11.8], pacer: 3.2, p50_us: 230e3, p99_us: 2.5e6, failed: 0.0, in_goal: 0.993, on_lambda: 0.19 },
];

/// The one that the sample's reader has to answer for.
const OWN: &str = "target-tracking";

fn main() {
    let page = Page {
        title: "What a week of launch-crowd would have cost".to_owned(),
        lead: "11,149,900 requests of 14 to 21 November 2026, run again under nine planners at list prices of us-east-1. \
               As you run it is the cheapest, and it keeps 7 % of the requests of a burst waiting for a minute."
            .to_owned(),
        notice: "Sample page: every number on it is made up.".to_owned(),
        tiles: vec![
            Tile::new("As you run it", "$57", "target tracking at 70 %, p99 59.8s"),
            Tile::new("Hybrid, no forecast", "$95", "all but 0.7 % within the goal of 3s"),
            Tile::new("Lower bound", "$31", "no plan can cost less"),
            Tile::new("Failed as you run it", "0.71%", "79,164 requests, none with Lambda behind"),
        ],
        sections: vec![launch(), forecast(), hostile()],
        footer: "Written by the example of pacer-charts, from made-up data, seed 7.".to_owned(),
    };
    print!("{}", page.html());
}

fn launch() -> Section {
    let row = |planner: &Planner, amounts: Vec<f64>| Row {
        name: planner.name.to_owned(),
        amounts,
        emphasis: planner.name == OWN,
    };
    let rows = |amounts: &dyn Fn(&Planner) -> Vec<f64>| {
        PLANNERS.iter().map(|planner| row(planner, amounts(planner))).collect()
    };
    let load = load(7 * 24 * 12, 5);
    let tasks = tracking(&load);
    let on_lambda: Vec<(u64, f64)> = load
        .iter()
        .zip(&tasks)
        .map(|(load, tasks)| (load.0, (load.1 - tasks.1).max(0.0)))
        .collect();
    let costs = StackedBars {
        title: "Cost of the week".to_owned(),
        note: "Containers for the peak cost 17 times as much as containers that follow the load."
            .to_owned(),
        format: format::usd,
        keys: vec![
            Key::new("Lambda duration", Colour::Orange),
            Key::new("Lambda requests", Colour::Yellow),
            Key::new("Fargate vCPU", Colour::Blue),
            Key::new("Fargate memory", Colour::Sky),
            Key::new("Pacer itself", Colour::Purple),
        ],
        rows: rows(&|planner| [&planner.lambda[..], &planner.fargate, &[planner.pacer]].concat()),
        reference: Some(Reference { name: "lower bound".to_owned(), amount: 31.2 }),
    };
    let over_time = Lines {
        title: "Load, and what was held ready for it".to_owned(),
        note: "Target tracking: a burst is over before the tasks for it are there.".to_owned(),
        unit: "requests at once".to_owned(),
        format: format::count,
        bands: Vec::new(),
        series: vec![
            Series {
                name: "load".to_owned(),
                colour: Colour::Grey,
                shape: Shape::Area,
                points: load,
            },
            Series {
                name: "slots ready".to_owned(),
                colour: Colour::Blue,
                shape: Shape::Steps,
                points: tasks,
            },
            Series {
                name: "without a slot".to_owned(),
                colour: Colour::Red,
                shape: Shape::Line,
                points: on_lambda,
            },
        ],
    };
    let latency = Curves {
        title: "How long requests took".to_owned(),
        note: "Where nothing stands behind the containers, one request in twenty waits for tasks to start.".to_owned(),
        curves: PLANNERS.iter().enumerate().map(|(at, planner)| curve(at, planner)).collect(),
        goal: Some(Goal { name: "goal".to_owned(), quantile: 0.99, latency_us: 3e6 }),
    };
    let lanes = Split {
        title: "Where requests ran".to_owned(),
        note: String::new(),
        keys: vec![
            Key::new("lambda", Colour::Orange),
            Key::new("container", Colour::Blue),
            Key::new("failed", Colour::Red),
        ],
        rows: rows(&|planner| {
            let served = 1.0 - planner.failed;
            vec![planner.on_lambda * served, (1.0 - planner.on_lambda) * served, planner.failed]
        }),
    };
    let total = |planner: &Planner| {
        planner.lambda[0]
            + planner.lambda[1]
            + planner.fargate[0]
            + planner.fargate[1]
            + planner.pacer
    };
    let guess = Grouped {
        title: "Cost if a task holds fewer or more requests at once".to_owned(),
        note: "requests_per_task = 4 is a guess, and decides more than anything else.".to_owned(),
        format: format::usd,
        keys: vec![
            Key::new("2 a task", Colour::Orange),
            Key::new("4, as written", Colour::Ink),
            Key::new("8 a task", Colour::Blue),
        ],
        rows: rows(&|planner| {
            let fargate = planner.fargate[0] + planner.fargate[1];
            let rest = total(planner) - fargate;
            vec![rest * 1.08 + fargate * 1.9, total(planner), rest * 0.96 + fargate * 0.55]
        }),
    };
    let mut table = Table {
        caption: "Every planner on the same load".to_owned(),
        columns: vec![
            Column::words("planner"),
            Column::bars("cost", Colour::Blue),
            Column::numbers("of bound"),
            Column::numbers("p50"),
            Column::numbers("p99"),
            Column::numbers("in goal"),
            Column::numbers("failed"),
        ],
        rows: Vec::new(),
    };
    for planner in &PLANNERS {
        let cost = total(planner);
        let line = table.push([
            Cell::from(planner.name),
            Cell::bar(format::usd(cost), cost),
            format!("{:.2}", cost / 31.2).into(),
            format::duration_us(planner.p50_us).into(),
            format::duration_us(planner.p99_us).into(),
            format::percent(planner.in_goal).into(),
            format::percent(planner.failed).into(),
        ]);
        line.emphasis = planner.name == OWN;
    }
    let notes = Block::Notes(vec![
        "Not sure: durations end at the first byte.".to_owned(),
        "Not sure: requests_per_task is a guess; see below for half and double.".to_owned(),
        "Pacer's own two tasks are a line of every hybrid's bill.".to_owned(),
    ]);
    Section {
        heading: "launch-crowd".to_owned(),
        blocks: vec![
            table.into(),
            notes,
            costs.into(),
            over_time.into(),
            latency.into(),
            lanes.into(),
            guess.into(),
        ],
    }
}

/// Since the start, with what was forecast half an hour before.
fn forecast() -> Section {
    let actual: Vec<(u64, f64)> = load(24 * 12, 5)
        .into_iter()
        .map(|(at_us, value)| (at_us - START_US, value * 4.0))
        .collect();
    let smooth = |at: usize| {
        let from = at.saturating_sub(9);
        actual[from..=at].iter().map(|point| point.1).sum::<f64>() / (at - from + 1) as f64
    };
    let expected: Vec<(u64, f64)> =
        (0..actual.len()).map(|at| (actual[at].0, smooth(at.saturating_sub(3)))).collect();
    let band = |name: &str, lower: f64, upper: f64| Band {
        name: name.to_owned(),
        colour: Colour::Blue,
        points: expected
            .iter()
            .map(|(at_us, value)| (*at_us, value * lower, value * upper + 2.0))
            .collect(),
    };
    let mut torn = actual.clone();
    // An hour that was not recorded.
    for point in &mut torn[200..212] {
        point.1 = f64::NAN;
    }
    let fan = Lines {
        title: "Forecast half an hour ahead, and what came".to_owned(),
        note: String::new(),
        unit: "requests per second".to_owned(),
        format: format::count,
        bands: vec![band("p5 to p95", 0.55, 1.6), band("p25 to p75", 0.8, 1.22)],
        series: vec![
            Series {
                name: "forecast".to_owned(),
                colour: Colour::Blue,
                shape: Shape::Dashed,
                points: expected,
            },
            Series {
                name: "actual".to_owned(),
                colour: Colour::Ink,
                shape: Shape::Line,
                points: torn,
            },
        ],
    };
    Section { heading: "Forecast".to_owned(), blocks: vec![fan.into()] }
}

/// What must not break the page.
fn hostile() -> Section {
    let name = "<script>alert(1)</script> \"quoted\" & 'named' \u{202e}\u{7}";
    let bars = StackedBars {
        title: format!("A service named {name}"),
        note: name.to_owned(),
        format: format::usd,
        keys: vec![Key::new(name, Colour::Green), Key::new("not a number", Colour::Red)],
        rows: vec![
            Row::new(name, [0.0021, 0.0]),
            Row::new("nothing", [0.0, f64::NAN]),
            Row::new("名前が長いサービス名前が長いサービス", [0.0011]),
        ],
        reference: None,
    };
    let nothing = Lines {
        title: "Nothing was recorded".to_owned(),
        note: String::new(),
        unit: String::new(),
        format: format::count,
        bands: Vec::new(),
        series: Vec::new(),
    };
    Section {
        heading: "What must not break a page".to_owned(),
        blocks: vec![
            Block::Text("Hostile names, missing numbers, no data.".to_owned()),
            bars.into(),
            nothing.into(),
        ],
    }
}

/// Days with a noon and a night, noise, and a crowd on the third.
fn load(steps: u64, minutes: u64) -> Vec<(u64, f64)> {
    let mut state = 7_u64;
    let mut noise = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64 - 0.5
    };
    let value = |step: u64, noise: f64| {
        let day = (step * minutes) as f64 / 1440.0;
        let noon = 1.0 - (day * std::f64::consts::TAU).cos();
        let crowd =
            if (2.55..2.62).contains(&day) { 46.0 * (1.0 - (day - 2.55) / 0.07) } else { 0.0 };
        let weekend = if (1.0..=2.0).contains(&day) { 0.55 } else { 1.0 };
        ((6.0 + 9.0 * noon) * weekend * (1.0 + 0.25 * noise) + crowd).max(0.0)
    };
    (0..steps).map(|step| (START_US + step * minutes * MINUTE_US, value(step, noise()))).collect()
}

/// What followed the load at a distance, in steps of a task.
fn tracking(load: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let slots = |at: usize| {
        let seen = &load[at.saturating_sub(5)..=at.saturating_sub(1)];
        let most = seen.iter().map(|point| point.1).fold(0.0, f64::max);
        (most / 0.8 / 4.0).ceil() * 4.0
    };
    load.iter().enumerate().map(|(at, point)| (point.0, slots(at))).collect()
}

/// A lognormal body up to p95; beyond, up to what the planner's p99 says.
fn curve(at: usize, planner: &Planner) -> Curve {
    let tail = |quantile: f64| {
        let nines = -(1.0 - quantile).log10();
        let starts = if planner.on_lambda == 0.0 {
            0.0
        } else {
            0.3 * planner.on_lambda * (nines - 1.0).clamp(0.0, 1.5)
        };
        let body = planner.p50_us * ((nines - 0.3) * (1.42 - 0.09 * (nines - 0.3)) + starts).exp();
        let waiting =
            (planner.p99_us / 2.6e6).max(1.0).ln() * ((nines - 1.1) / 0.9).clamp(0.0, 1.0);
        (body * waiting.exp()).min(61e6)
    };
    let waits = 3e6 < planner.p99_us;
    Curve {
        name: planner.name.to_owned(),
        colour: if planner.name == OWN {
            Colour::Ink
        } else if waits {
            [Colour::Purple, Colour::Red][at % 2]
        } else {
            Colour::ALL[at % 5]
        },
        stroke: [Stroke::Solid, Stroke::Dashed, Stroke::Dotted]
            [if planner.name == OWN { 0 } else { at % 3 }],
        emphasis: planner.name == OWN,
        points: Curves::QUANTILES.iter().map(|quantile| (*quantile, tail(*quantile))).collect(),
        requests: 11_149_900,
    }
}
