//! `pacer forecast`: what comes after a recorded load, or how well it would have been forecast all along.

mod json;
mod page;
mod score;
mod series;
mod simple;
mod table;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use policies::units::{self, show_duration};
use predictor::forecast::{
    Config, STEP_S_MAX,
    backtest::{self, Ahead, Row, Settings, forecast_step_s},
};

use self::{score::Score, series::Series};
use super::input::traces;

/// Horizons unless others are asked for: those of them that fit the step.
const HORIZONS_S: [u64; 4] = [60, 300, 900, 1_800];

/// Without any that fits: so many steps.
const HORIZONS: [u64; 3] = [1, 2, 4];

/// Tell what recorded load will be like next, or how well that would have been told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Access logs (ALB, Common, Combined) or CSVs of one load; gzip, folders and `-` too
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Only the requests of this function [default: those of all, added up]
    #[arg(long, value_name = "NAME")]
    function: Option<String>,

    /// Count single requests by so much [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    step: Option<u64>,

    /// How far ahead [default: of 60s,300s,900s,1800s those that fit the step]
    #[arg(long, value_name = "TIMES", value_delimiter = ',', value_parser = seconds)]
    horizons: Vec<u64>,

    /// Forecast again and again on the way, and compare with what came
    #[arg(long)]
    backtest: bool,

    /// From one forecast of a backtest to the next [default: 900s]
    #[arg(long, value_name = "TIME", requires = "backtest", value_parser = seconds)]
    every: Option<u64>,

    /// First part of a backtest, in which is only learned [default: 50%]
    #[arg(long, value_name = "SHARE", requires = "backtest", value_parser = units::percent)]
    warm_up: Option<f64>,

    /// Write each forecast of a backtest, and what came, to this file as CSV
    #[arg(long, value_name = "FILE", requires = "backtest")]
    out: Option<PathBuf>,

    /// Write everything to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a page with pictures to this file, to be sent on
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Reads a time of whole seconds, one at least.
fn seconds(text: &str) -> Result<u64, String> {
    let time = units::duration(text)?;
    if time.subsec_nanos() != 0 || time.is_zero() {
        return Err(format!("expected whole seconds, `1s` at least, got `{text}`"));
    }
    Ok(time.as_secs())
}

/// Writes a time for people.
fn shown(seconds: u64) -> String {
    show_duration(Duration::from_secs(seconds))
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let places = traces::find(&args.files)?;
    let asked = series::Asked {
        name: name(&args.files),
        function: args.function.as_deref(),
        step_s: args.step,
    };
    let mut series = series::read(&places, &asked)?;
    let (horizons_s, note) = horizons(&args.horizons, series.step_s)?;
    series.notes.extend(note);
    let settings = Settings {
        horizons_s,
        warm_up: args.warm_up.unwrap_or(0.5),
        every_s: args.every.unwrap_or(900),
        config: Config::default(),
    };
    let found = if args.backtest {
        Found::Back(back(&series, settings)?)
    } else {
        let ahead = Ahead::new(series.start_s, series.step_s, &series.counts, &settings);
        let step = forecast_step_s(series.step_s);
        let ahead = ahead.with_context(|| {
            format!("{}: not one step of {} is over: give a longer load", series.name, shown(step))
        })?;
        Found::Ahead { ahead: Box::new(ahead), horizons_s: settings.horizons_s }
    };
    print!("{}", table::table(&series, &found));
    if let (Some(file), Found::Back(back)) = (&args.out, &found) {
        csv(file, &back.rows)?;
    }
    if let Some(file) = &args.json {
        write(file, &json::report(&series, &found))?;
    }
    if let Some(file) = &args.html {
        write(file, &page::page(&series, &found))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was found out.
#[derive(Debug)]
enum Found {
    /// What comes after the end.
    Ahead { ahead: Box<Ahead>, horizons_s: Vec<u64> },
    /// What would have been forecast, and what came.
    Back(Back),
}

/// A backtest.
#[derive(Debug)]
struct Back {
    settings: Settings,
    rows: Vec<Row>,
    /// How good the forecasts of each horizon were.
    scores: Vec<Score>,
}

impl Back {
    /// Returns how many origins there were.
    fn origins(&self) -> usize {
        self.rows.chunk_by(|a, b| a.origin_s == b.origin_s).count()
    }
}

fn back(series: &Series, mut settings: Settings) -> anyhow::Result<Back> {
    let step_s = forecast_step_s(series.step_s);
    // As the backtest itself does it, so that reports tell the truth.
    settings.every_s = (settings.every_s - settings.every_s % step_s).max(step_s);
    let rows = backtest::run(series.start_s, series.step_s, &series.counts, &settings);
    ensure!(
        !rows.is_empty(),
        "{}: after the warm-up of {:.0} % no step is left whose count is known: lower --warm-up, or give a longer load",
        series.name,
        settings.warm_up * 100.0
    );
    let scores = score::all(series, &rows, &settings);
    Ok(Back { settings, rows, scores })
}

/// Returns the horizons that are asked for and fit the step, and a note of those that do not.
fn horizons(asked: &[u64], series_step_s: u64) -> anyhow::Result<(Vec<u64>, Option<String>)> {
    let step_s = forecast_step_s(series_step_s);
    let examples = || {
        let fit = HORIZONS.map(|steps| steps * step_s).into_iter().filter(|s| *s <= STEP_S_MAX);
        fit.map(|horizon_s| format!("{horizon_s}s")).collect::<Vec<_>>().join(",")
    };
    let wrong = asked.iter().find(|asked_s| !(step_s..=STEP_S_MAX).contains(*asked_s));
    if let Some(wrong_s) = wrong {
        let by = if step_s == series_step_s { "" } else { ", by which seconds are forecast" };
        let why = if *wrong_s < step_s {
            format!("is shorter than the step of {}{by}", shown(step_s))
        } else {
            "is longer than a day".to_owned()
        };
        bail!("a horizon of {} {why}; give others: --horizons {}", shown(*wrong_s), examples());
    }
    let given = if asked.is_empty() { &HORIZONS_S[..] } else { asked };
    let (mut fit, left): (Vec<u64>, Vec<u64>) =
        given.iter().partition(|horizon_s| horizon_s.is_multiple_of(step_s));
    if fit.is_empty() && asked.is_empty() {
        let steps = HORIZONS.map(|steps| steps * step_s);
        fit = steps.into_iter().filter(|horizon_s| *horizon_s <= STEP_S_MAX).collect();
    }
    ensure!(
        !fit.is_empty(),
        "no horizon is a multiple of the step of {}; give others: --horizons {}",
        shown(step_s),
        examples()
    );
    fit.sort_unstable();
    fit.dedup();
    let left: Vec<_> = left.into_iter().map(shown).collect();
    let note = (!left.is_empty()).then(|| {
        format!(
            "left out, no multiples of the step of {}: horizons of {}",
            shown(step_s),
            left.join(", ")
        )
    });
    Ok((fit, note))
}

/// Returns what the load is called.
fn name(files: &[PathBuf]) -> String {
    match files {
        [one] if one == Path::new("-") => "standard input".to_owned(),
        [one] => one
            .file_name()
            .map_or_else(|| one.display(), |name| Path::new(name).display())
            .to_string(),
        several => format!("{} traces", several.len()),
    }
}

fn csv(file: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let told = || format!("cannot write {}", file.display());
    let mut out = BufWriter::new(File::create(file).with_context(told)?);
    writeln!(out, "{}", Row::HEADER).with_context(told)?;
    for row in rows {
        writeln!(out, "{row}").with_context(told)?;
    }
    out.flush().with_context(told)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn horizons_that_fit_are_taken_and_the_others_told() {
        assert_eq!(horizons(&[], 60).unwrap(), (HORIZONS_S.to_vec(), None));
        let (fit, note) = horizons(&[], 300).unwrap();
        assert_eq!(fit, [300, 900, 1_800]);
        assert!(note.unwrap().contains("step of 5m: horizons of 1m"));
        assert_eq!(horizons(&[], 3_600).unwrap().0, [3_600, 7_200, 14_400]);
        assert_eq!(horizons(&[], 86_400).unwrap().0, [86_400]);
        assert_eq!(horizons(&[600, 300, 600], 300).unwrap(), (vec![300, 600], None));
    }

    #[test]
    fn a_horizon_that_cannot_be_forecast_is_told_with_ones_that_can() {
        for (asked, step_s, said) in [
            (60, 300, "1m is shorter than the step of 5m; give others: --horizons 300s,600s,1200s"),
            (30, 1, "shorter than the step of 1m, by which seconds are forecast"),
            (90_000, 60, "25h is longer than a day"),
            (400, 300, "no horizon is a multiple of the step of 5m"),
        ] {
            let told = horizons(&[asked], step_s).unwrap_err().to_string();
            assert!(told.contains(said), "{told}");
        }
    }
}
