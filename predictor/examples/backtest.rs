//! Forecasts a recorded series from origin to origin, and prints a row for each forecast.
//!
//! `cargo run --release -p predictor --example backtest -- SERIES.csv > FORECASTS.csv`; the series has the columns
//! `timestamp,count` (seconds since 1970, requests) and even steps.

use std::{env, error::Error, fs, io::Write as _};

use predictor::forecast::backtest::{self, Row, Settings};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("which series? a CSV of timestamp,count")?;
    let text = fs::read_to_string(&path)?;
    let mut series = Vec::new();
    for line in text.lines().skip(1) {
        let (at_s, count) = line.split_once(',').ok_or_else(|| format!("no comma in `{line}`"))?;
        series.push((at_s.trim().parse::<u64>()?, count.trim().parse::<u64>()?));
    }
    let [(start_s, _), (second_s, _), ..] = series[..] else {
        return Err("two rows tell a step".into());
    };
    let step_s =
        second_s.checked_sub(start_s).filter(|step_s| 0 < *step_s).ok_or("rows out of order")?;
    // A step without a row is not known.
    let last_s = series.last().map_or(start_s, |(at_s, _)| *at_s);
    let mut counts = vec![None; (last_s.saturating_sub(start_s) / step_s + 1) as usize];
    for (at_s, count) in series {
        let step = at_s.checked_sub(start_s).ok_or("rows out of order")? / step_s;
        *counts.get_mut(step as usize).ok_or("rows out of order")? = Some(count);
    }
    let rows = backtest::run(start_s, step_s, &counts, &Settings::default());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", Row::HEADER)?;
    for row in rows {
        writeln!(out, "{row}")?;
    }
    Ok(())
}
