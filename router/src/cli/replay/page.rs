//! The report as one HTML page, to be sent on.

use charts::{
    Block, Cell, Colour, Column, Curve, Curves, Goal, Grouped, Key, Lines, Page, Reference, Row,
    Section, Series, Shape, Split, StackedBars, Stroke, Table, Tile, format,
};
use policies::cost::{Item, PriceBook};
use predictor::replay::{
    compare::{Baseline, Mode, Run},
    latency::Latencies,
    series::Point,
};

use super::report::{Factor, Report, SLOTS_MATTER, Worth};

/// Whose load and capacity are drawn over time.
const OVER_TIME: [Baseline; 2] = [Baseline::TargetTracking, Baseline::Pacer];

/// Writes the whole report.
pub(super) fn page(book: &PriceBook, seed: u64, reports: &[Report<'_>]) -> String {
    let title = match reports {
        [one] => format!("What {} would have cost", one.loaded.name),
        several => format!("What {} loads would have cost", several.len()),
    };
    let own = if book.own.is_empty() { "" } else { " with own prices laid over them" };
    let page = Page {
        title,
        lead: lead(reports),
        notice: String::new(),
        tiles: match reports {
            [one] => tiles(one),
            _ => Vec::new(),
        },
        sections: reports.iter().map(|report| section(report, 1 < reports.len())).collect(),
        footer: format!(
            "Simulated by pacer {} from recorded load, at list prices of {}{own}; seed {seed}. \
             The same command gives the same page.",
            env!("CARGO_PKG_VERSION"),
            book.region
        ),
    };
    page.html()
}

fn lead(reports: &[Report<'_>]) -> String {
    let requests: u64 = reports.iter().map(|report| report.bench.requests()).sum();
    let requests = format::thousands(requests as f64);
    let planners = reports.first().map_or(0, |report| report.runs.len());
    format!(
        "{requests} recorded requests, run again under {planners} ways to hold capacity ready: on AWS Lambda alone, in containers \
         that scale as AWS scales them, and on both."
    )
}

fn tiles(report: &Report<'_>) -> Vec<Tile> {
    let month = |usd: f64| format::usd(report.monthly(usd));
    let mut tiles = Vec::new();
    if let (Some(observed), Some(cost)) = (&report.loaded.observed, report.observed_cost()) {
        let p99 = format::duration_us(observed.latencies.quantile_us(0.99));
        let note = format!("{} servers seen in the log; p99 {p99}", observed.servers);
        tiles.push(Tile::new("As you ran it, a month", month(cost.as_usd()), note));
    }
    for (baseline, label) in [
        (Baseline::TargetTracking, "Containers that AWS scales, a month"),
        (Baseline::Pacer, "Pacer, a month"),
        (Baseline::PerfectForecast, "With a perfect forecast, a month"),
    ] {
        let Some(run) = report.run(baseline) else { continue };
        let tally = &run.outcome.tally;
        let share = |count: u64| format::percent(count as f64 / tally.requests.max(1) as f64);
        let note = format!(
            "{} in the goal, {} failed",
            share(tally.within_objective),
            share(tally.failures())
        );
        tiles.push(Tile::new(label, month(run.bill.total().as_usd()), note));
    }
    let bound = report.bench.lower_bound_usd();
    tiles.push(Tile::new(
        "Lower bound",
        month(bound),
        "no plan that serves every request costs less",
    ));
    tiles
}

fn section(report: &Report<'_>, one_of_many: bool) -> Section {
    let mut blocks = Vec::new();
    if one_of_many {
        blocks.push(Block::Tiles(tiles(report)));
    }
    blocks.push(planners(report).into());
    let verdict = super::table::verdict(report);
    if !verdict.is_empty() {
        blocks.push(Block::Notes(verdict));
    }
    let unsure = report.unsure();
    if !unsure.is_empty() {
        let told = unsure.into_iter().map(|unsure| format!("Not sure: {unsure}"));
        blocks.push(Block::Notes(told.collect()));
    }
    blocks.push(costs(report).into());
    blocks.extend(
        OVER_TIME
            .iter()
            .filter_map(|baseline| report.run(*baseline))
            .map(|run| over_time(run).into()),
    );
    blocks.push(latencies(report).into());
    blocks.push(lanes(report).into());
    blocks.extend(slots(report).map(Into::into));
    blocks.extend(services(report).map(Into::into));
    let mut notes = report.loaded.notes.clone();
    if !report.loaded.assumed.is_empty() {
        notes.push(format!("assumed, for nobody wrote it: {}", report.loaded.assumed.join(", ")));
    }
    if let Some((own, Worth::From(bill))) = report.worth() {
        notes.push(format!(
            "the gateway's own cost, {} a month, is part of every figure of both lanes; below a bill of {} a month it eats the saving",
            format::usd(own),
            format::usd(bill)
        ));
    }
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    Section { heading: heading(report), blocks }
}

fn heading(report: &Report<'_>) -> String {
    let requests = format::thousands(report.bench.requests() as f64);
    let days = report.span_us() as f64 / 86_400e6;
    let how = match report.loaded.mode {
        Mode::Events => "",
        Mode::Counts => ", reckoned by step",
    };
    format!("{}: {requests} requests in {days:.1} days{how}", report.loaded.name)
}

/// Every planner in a row.
fn planners(report: &Report<'_>) -> Table {
    let bound = report.bench.lower_bound_usd();
    let mut table = Table {
        caption: "Every planner on the same load".to_owned(),
        columns: vec![
            Column::words("planner"),
            Column::bars("cost", Colour::Blue),
            Column::numbers("of the bound"),
            Column::numbers("p50"),
            Column::numbers("p99"),
            Column::numbers("in goal"),
            Column::numbers("failed"),
            Column::numbers("cold starts"),
            Column::numbers("slots used"),
        ],
        rows: Vec::new(),
    };
    for run in &report.runs {
        let tally = &run.outcome.tally;
        let cost = run.bill.total().as_usd();
        let share = |count: u64| format::percent(count as f64 / tally.requests.max(1) as f64);
        let used = tally.utilisation().map_or_else(|| "-".to_owned(), format::percent);
        let of_bound = if bound <= 0.0 { "-".to_owned() } else { format!("{:.2}", cost / bound) };
        let line = table.push([
            Cell::from(run.baseline.as_str()),
            Cell::bar(format::usd(cost), cost),
            of_bound.into(),
            format::duration_us(tally.latencies.quantile_us(0.5)).into(),
            format::duration_us(tally.latencies.quantile_us(0.99)).into(),
            share(tally.within_objective).into(),
            share(tally.failures()).into(),
            share(tally.cold).into(),
            used.into(),
        ]);
        line.emphasis = run.baseline == Baseline::Pacer;
    }
    table
}

fn rows(report: &Report<'_>, amounts: impl Fn(&Run) -> Vec<f64>) -> Vec<Row> {
    let row = |run: &Run| Row::new(run.baseline.as_str(), amounts(run));
    report.runs.iter().map(row).collect()
}

fn costs(report: &Report<'_>) -> StackedBars {
    let items: Vec<Item> = report
        .runs
        .first()
        .map_or(Vec::new(), |run| run.bill.lines().map(|(item, _)| item).collect());
    StackedBars {
        title: "Cost by item".to_owned(),
        note: "Each dollar belongs to one line of the bill.".to_owned(),
        format: format::usd,
        keys: items.iter().map(|item| Key::new(item.title(), colour(*item))).collect(),
        rows: rows(report, |run| run.bill.lines().map(|(_, amount)| amount.as_usd()).collect()),
        reference: Some(Reference {
            name: "lower bound".to_owned(),
            amount: report.bench.lower_bound_usd(),
        }),
    }
}

const fn colour(item: Item) -> Colour {
    match item {
        Item::LambdaDuration | Item::LambdaProvisionedDuration => Colour::Orange,
        Item::LambdaRequests | Item::LambdaStreaming => Colour::Yellow,
        Item::LambdaProvisionedIdle | Item::SnapstartCache | Item::LambdaStorage => Colour::Red,
        Item::SnapstartRestore | Item::PublicIpv4 => Colour::Grey,
        Item::FargateVcpu | Item::FargateSpotVcpu => Colour::Blue,
        Item::FargateMemory | Item::FargateSpotMemory | Item::FargateStorage => Colour::Sky,
        Item::Pacer => Colour::Purple,
    }
}

fn over_time(run: &Run) -> Lines {
    let of = |value: fn(&Point) -> f64| {
        run.outcome.series.points().map(|(at_us, point)| (at_us, value(point))).collect()
    };
    let series =
        |name: &str, colour, shape, points| Series { name: name.to_owned(), colour, shape, points };
    let mut drawn = vec![
        series("slots asked for", Colour::Grey, Shape::Area, of(Point::demand)),
        series("slots ready", Colour::Blue, Shape::Steps, of(Point::slots)),
    ];
    if run.outcome.tally.by_lane[0] != 0 {
        let on_lambda = of(Point::on_lambda);
        drawn.push(series("on Lambda", Colour::Orange, Shape::Line, on_lambda));
    }
    Lines {
        title: format!("Load and capacity over time: {}", run.baseline.as_str()),
        note: String::new(),
        unit: "requests at once".to_owned(),
        format: format::count,
        bands: Vec::new(),
        series: drawn,
    }
}

fn latencies(report: &Report<'_>) -> Curves {
    let points = |latencies: &Latencies| {
        Curves::QUANTILES.iter().map(|q| (*q, latencies.quantile_us(*q))).collect()
    };
    let curve = |run: &Run| {
        let (colour, stroke, emphasis) = match run.baseline {
            Baseline::Pacer => (Colour::Blue, Stroke::Solid, true),
            Baseline::TargetTracking => (Colour::Orange, Stroke::Solid, true),
            Baseline::AllLambda => (Colour::Red, Stroke::Dashed, false),
            Baseline::PerfectForecast => (Colour::Green, Stroke::Dashed, false),
            Baseline::Knative => (Colour::Purple, Stroke::Dotted, false),
            Baseline::PredictiveScaling => (Colour::Sky, Stroke::Dotted, false),
            Baseline::StaticPeak
            | Baseline::BestStatic
            | Baseline::Spock
            | Baseline::LastValueNewsvendor => (Colour::Grey, Stroke::Dotted, false),
        };
        let latencies = &run.outcome.tally.latencies;
        Curve {
            name: run.baseline.as_str().to_owned(),
            colour,
            stroke,
            emphasis,
            points: points(latencies),
            requests: latencies.count(),
        }
    };
    let mut curves: Vec<Curve> = report.runs.iter().map(curve).collect();
    if let Some(observed) = &report.loaded.observed {
        curves.push(Curve {
            name: "as you ran it".to_owned(),
            colour: Colour::Ink,
            stroke: Stroke::Solid,
            emphasis: true,
            points: points(&observed.latencies),
            requests: observed.latencies.count(),
        });
    }
    // Services may promise different things: a goal is drawn where it is one.
    let streams = report.bench.parts.iter().flat_map(|part| &part.site.streams);
    let mut goals: Vec<u64> = streams.map(|stream| stream.objective_us).collect();
    goals.dedup();
    let goal = match goals[..] {
        [us] => Some(Goal { name: "goal".to_owned(), quantile: 0.99, latency_us: us as f64 }),
        _ => None,
    };
    Curves {
        title: "How long requests took".to_owned(),
        note: "From arrival to the end: waits and starts included.".to_owned(),
        curves,
        goal,
    }
}

fn lanes(report: &Report<'_>) -> Split {
    Split {
        title: "Where requests ran".to_owned(),
        note: String::new(),
        keys: vec![
            Key::new("lambda", Colour::Orange),
            Key::new("container", Colour::Blue),
            Key::new("nowhere", Colour::Red),
        ],
        rows: rows(report, |run| {
            let tally = &run.outcome.tally;
            let [lambda, container] = tally.by_lane;
            let nowhere = tally.requests - lambda - container;
            [lambda, container, nowhere].map(|count| count as f64).to_vec()
        }),
    }
}

/// What half, and twice, as many requests a task come to.
fn slots(report: &Report<'_>) -> Option<Grouped> {
    if report.slots.is_empty() {
        return None;
    }
    let cost = |runs: &[Run], baseline| {
        let run = runs.iter().find(|run| run.baseline == baseline)?;
        Some(run.bill.total().as_usd())
    };
    let other = |factor: Factor, baseline| {
        let other = report.slots.iter().find(|other| other.factor == factor)?;
        cost(&other.runs, baseline)
    };
    let drawn: Vec<Factor> = Factor::ALL
        .into_iter()
        .filter(|factor| report.slots.iter().any(|other| other.factor == *factor))
        .collect();
    let mut keys = vec![Key::new("as written", Colour::Ink)];
    keys.extend(drawn.iter().map(|factor| {
        let colour = if *factor == Factor::Half { Colour::Orange } else { Colour::Blue };
        Key::new(factor.as_str(), colour)
    }));
    let rows = SLOTS_MATTER.into_iter().filter_map(|baseline| {
        let mut amounts = vec![cost(&report.runs, baseline)?];
        amounts.extend(drawn.iter().filter_map(|factor| other(*factor, baseline)));
        Some(Row::new(baseline.as_str(), amounts))
    });
    Some(Grouped {
        title: "Cost if a task serves fewer, or more, requests at once".to_owned(),
        note: "requests_per_task decides more than anything else, and is rarely measured. Durations are taken to stay as they are."
            .to_owned(),
        format: format::usd,
        keys,
        rows: rows.collect(),
    })
}

/// What each service comes to, when there are several.
fn services(report: &Report<'_>) -> Option<Table> {
    let savings = report.services();
    if savings.len() < 2 {
        return None;
    }
    let run = report.run(Baseline::Pacer)?;
    let mut table = Table {
        caption: "By service, a month, without the gateway's own cost".to_owned(),
        columns: vec![
            Column::words("service"),
            Column::numbers("requests"),
            Column::bars("containers that AWS scales", Colour::Orange),
            Column::bars("pacer", Colour::Blue),
            Column::numbers("saved"),
            Column::numbers("p99"),
            Column::numbers("failed"),
        ],
        rows: Vec::new(),
    };
    let mut rows: Vec<_> = savings.into_iter().zip(&run.services).collect();
    rows.sort_by(|a, b| b.0.1.from_usd.total_cmp(&a.0.1.from_usd));
    for ((name, saving), service) in rows.into_iter().take(SERVICES) {
        let failed = service.failures as f64 / service.requests.max(1) as f64;
        table.push([
            Cell::from(name),
            format::thousands(service.requests as f64).into(),
            Cell::bar(format::usd(saving.from_usd), saving.from_usd),
            Cell::bar(format::usd(saving.to_usd), saving.to_usd),
            format!("{:.0}%", saving.share() * 100.0).into(),
            format::duration_us(service.p99_us).into(),
            format::percent(failed).into(),
        ]);
    }
    Some(table)
}

/// Services that the table tells apart: those that cost most.
const SERVICES: usize = 50;
