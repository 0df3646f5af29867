//! The report as one HTML page, to be sent on.

use charts::{
    Band, Block, Cell, Colour, Column, Lines, Page, Section, Series as Drawn, Shape, Table, Tile,
    format,
};
use predictor::forecast::{
    LEVELS, Quantiles,
    backtest::{Ahead, Row, forecast_step_s},
};

use super::{
    Back, Found,
    score::Score,
    series::Series,
    shown,
    table::{compared, heading, level_name, origins, utc},
};

/// Origins that a picture of a backtest shows: three days of quarters of an hour. More would hide the fan.
const ORIGINS_SHOWN: usize = 288;

/// How much of the past is drawn beside the fan: a day, and so many times the furthest horizon.
const DAY_S: u64 = 86_400;
const CLOSE: u64 = 4;

/// Writes the whole report.
pub(super) fn page(series: &Series, found: &Found) -> String {
    let (title, tiles, sections) = match found {
        Found::Ahead { ahead, horizons_s } => {
            let tile = |horizon_s: &u64| tile(series, ahead, *horizon_s);
            let tiles = horizons_s.iter().map(tile).collect();
            (format!("What comes after {}", series.name), tiles, comes(series, ahead, horizons_s))
        }
        Found::Back(back) => {
            (format!("How well {} is forecast", series.name), Vec::new(), came(series, back))
        }
    };
    let lead = match found {
        Found::Ahead { ahead, .. } => {
            format!("{}. Forecast from {} (UTC).", heading(series), utc(ahead.origin_s))
        }
        Found::Back(back) => {
            format!("{}. {}; each knows only what came before it.", heading(series), origins(back))
        }
    };
    let page = Page {
        title,
        lead,
        notice: String::new(),
        tiles,
        sections,
        footer: format!(
            "Forecast by pacer {}. The same command gives the same page.",
            env!("CARGO_PKG_VERSION")
        ),
    };
    page.html()
}

fn tile(series: &Series, ahead: &Ahead, horizon_s: u64) -> Tile {
    let count = |level| format::count(f64::from(ahead.forecast(horizon_s).at(level)));
    Tile::new(
        format!("In {}", shown(horizon_s)),
        count(0.5),
        format!(
            "requests in {}; with 90 % between {} and {}",
            shown(series.step_s),
            count(0.05),
            count(0.95)
        ),
    )
}

fn comes(series: &Series, ahead: &Ahead, horizons_s: &[u64]) -> Vec<Section> {
    let furthest_s = horizons_s.iter().copied().max().unwrap_or(series.step_s);
    let mut blocks = vec![after(ahead, horizons_s).into()];
    let close_s = CLOSE * furthest_s;
    if close_s < DAY_S / 2 {
        blocks.push(fan(series, ahead, furthest_s, close_s, "The end, and what comes").into());
    }
    let long_s = close_s.max(DAY_S);
    blocks.push(fan(series, ahead, furthest_s, long_s, "The last day, and what comes").into());
    vec![Section { heading: "Forecast".to_owned(), blocks: with_notes(blocks, series) }]
}

fn with_notes(mut blocks: Vec<Block>, series: &Series) -> Vec<Block> {
    if !series.notes.is_empty() {
        blocks.push(Block::Notes(series.notes.clone()));
    }
    blocks
}

fn after(ahead: &Ahead, horizons_s: &[u64]) -> Table {
    let levels = LEVELS.map(|level| Column::numbers(level_name(level)));
    let mut table = Table {
        caption: "Requests in a step, by how likely no more come".to_owned(),
        columns: vec![Column::words("after"), Column::words("at (UTC)")],
        rows: Vec::new(),
    };
    table.columns.extend(levels);
    table.columns.push(Column::numbers("mean"));
    for horizon_s in horizons_s {
        let forecast = ahead.forecast(*horizon_s);
        let words = [shown(*horizon_s), utc(ahead.origin_s + horizon_s)].map(Cell::from);
        let counts = forecast.counts.into_iter().chain([forecast.mean]);
        let counts = counts.map(|count| Cell::from(format::count(count.into())));
        table.push(words.into_iter().chain(counts));
    }
    table
}

/// The past `past_s` before the end, and the quantiles after it.
fn fan(series: &Series, ahead: &Ahead, furthest_s: u64, past_s: u64, title: &str) -> Lines {
    let origin = series.step_at(ahead.origin_s);
    let first = origin.saturating_sub((past_s / series.step_s) as usize);
    let actual = (first..=origin)
        .map(|step| (series.at_s(step), series.counts[step].map_or(f64::NAN, |count| count as f64)))
        .collect();
    let step_s = forecast_step_s(series.step_s);
    let points: Vec<_> = (1..=furthest_s / step_s)
        .map(|steps| (ahead.origin_s + steps * step_s, ahead.forecast(steps * step_s)))
        .collect();
    lines(series, title.to_owned(), actual, &points)
}

/// What came, and what had been forecast.
fn lines(
    series: &Series,
    title: String,
    actual: Vec<(u64, f64)>,
    forecasts: &[(u64, Quantiles)],
) -> Lines {
    let us = |at_s: u64| at_s.saturating_mul(1_000_000);
    let of = |level: f32| {
        forecasts.iter().map(|(at_s, said)| (us(*at_s), f64::from(said.at(level)))).collect()
    };
    let band = |lower: f32, upper: f32| Band {
        name: format!("{} to {}", level_name(lower), level_name(upper)),
        colour: Colour::Blue,
        points: forecasts
            .iter()
            .map(|(at_s, said)| (us(*at_s), said.at(lower).into(), said.at(upper).into()))
            .collect(),
    };
    Lines {
        title,
        note: "Half of all steps should be within the darker band, nine of ten within the lighter one, one of a hundred above p99."
            .to_owned(),
        unit: format!("requests in {}", shown(series.step_s)),
        format: format::count,
        bands: vec![band(0.05, 0.95), band(0.25, 0.75)],
        series: vec![
            Drawn {
                name: "p99".to_owned(),
                colour: Colour::Sky,
                shape: Shape::Dashed,
                points: of(0.99),
            },
            Drawn {
                name: "median".to_owned(),
                colour: Colour::Blue,
                shape: Shape::Dashed,
                points: of(0.5),
            },
            Drawn {
                name: "what came".to_owned(),
                colour: Colour::Ink,
                shape: Shape::Line,
                points: actual.into_iter().map(|(at_s, count)| (us(at_s), count)).collect(),
            },
        ],
    }
}

fn came(series: &Series, back: &Back) -> Vec<Section> {
    let good = vec![coverage(&back.scores).into(), losses(&back.scores).into()];
    let mut sections =
        vec![Section { heading: "How good".to_owned(), blocks: with_notes(good, series) }];
    for score in &back.scores {
        let rows: Vec<_> =
            back.rows.iter().filter(|row| row.horizon_s == score.horizon_s).collect();
        let rows = &rows[busiest(&rows)..];
        let rows = &rows[..rows.len().min(ORIGINS_SHOWN)];
        let actual = rows.iter().map(|row| (row.target_s, row.actual as f64)).collect();
        let forecasts: Vec<_> = rows.iter().map(|row| (row.target_s, row.forecast)).collect();
        let ahead = shown(score.horizon_s);
        let title = format!("What came, and what was forecast {ahead} before");
        sections.push(Section {
            heading: format!("{ahead} ahead"),
            blocks: vec![lines(series, title, actual, &forecasts).into()],
        });
    }
    sections
}

/// Returns where the busiest rows begin that fit into one picture.
fn busiest(rows: &[&Row]) -> usize {
    let sum = |rows: &[&Row]| rows.iter().fold(0_u128, |sum, row| sum + u128::from(row.actual));
    let shown = ORIGINS_SHOWN.min(rows.len());
    let (mut now, mut most) = (sum(&rows[..shown]), (0, sum(&rows[..shown])));
    for (first, (gone, new)) in (1..).zip(rows.iter().zip(&rows[shown..])) {
        now = now + u128::from(new.actual) - u128::from(gone.actual);
        if most.1 < now {
            most = (first, now);
        }
    }
    most.0
}

fn coverage(scores: &[Score]) -> Table {
    let levels = LEVELS.map(|level| Column::numbers(format!("at {}", level_name(level))));
    let mut table = Table {
        caption: "Forecasts that were not exceeded: at p90 it should be 90 % of them".to_owned(),
        columns: vec![Column::words("ahead"), Column::numbers("forecasts")],
        rows: Vec::new(),
    };
    table.columns.extend(levels);
    for score in scores {
        let first = [shown(score.horizon_s), format::thousands(score.forecasts as f64)];
        let covered = score.levels.iter().map(|level| format::percent(level.covered));
        table.push(first.into_iter().chain(covered).map(Cell::from));
    }
    table
}

fn losses(scores: &[Score]) -> Table {
    let mut table = Table {
        caption: "Pinball loss, and what it is of that of the best simple method (below 1: better)"
            .to_owned(),
        columns: vec![
            Column::words("ahead"),
            Column::words("level"),
            Column::numbers("loss"),
            Column::numbers("of simple's"),
            Column::words("best simple"),
        ],
        rows: Vec::new(),
    };
    for score in scores {
        for (at, level) in LEVELS.iter().zip(&score.levels) {
            let (skill, best) = compared(level);
            let loss = format::count(level.loss);
            let cells = [shown(score.horizon_s), level_name(*at), loss, skill, best.to_owned()];
            table.push(cells.map(Cell::from));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_part_is_shown() {
        let row = |n: u64| Row {
            origin_s: n * 900,
            target_s: n * 900 + 60,
            horizon_s: 60,
            actual: if (400..700).contains(&n) { 50 + n % 2 } else { n % 3 },
            forecast: Quantiles::default(),
        };
        let rows: Vec<_> = (0..1_000).map(row).collect();
        let rows: Vec<_> = rows.iter().collect();
        assert!((400..=412).contains(&busiest(&rows)), "{}", busiest(&rows));
        assert_eq!(busiest(&rows[..100]), 0);
    }
}
