//! The report as JSON; its shape is a promise, see docs/forecast.md.

use predictor::forecast::{LEVELS, Quantiles};
use serde_json::{Map, Value, json};

use super::{
    Found,
    score::{Level, Score},
    series::Series,
    simple::Simple,
};

/// Writes the whole report.
pub(super) fn report(series: &Series, found: &Found) -> String {
    let mut report = json!({
        "version": 1,
        "name": series.name,
        "requests": series.total(),
        "from": series.start_s,
        "step_s": series.step_s,
        "steps": series.counts.len(),
        "notes": series.notes,
    });
    match found {
        Found::Ahead { ahead, horizons_s } => {
            let horizon = |horizon_s: &u64| {
                let mut told = quantiles(&ahead.forecast(*horizon_s));
                told.insert("horizon_s".to_owned(), (*horizon_s).into());
                told.insert("target".to_owned(), (ahead.origin_s + horizon_s).into());
                Value::from(told)
            };
            report["origin"] = ahead.origin_s.into();
            report["forecast"] = horizons_s.iter().map(horizon).collect();
        }
        Found::Back(back) => {
            report["backtest"] = json!({
                "origins": back.origins(),
                "every_s": back.settings.every_s,
                "warm_up": back.settings.warm_up,
                "horizons": back.scores.iter().map(score).collect::<Vec<_>>(),
            });
        }
    }
    format!("{report:#}\n")
}

fn level_name(level: f32) -> String {
    format!("q{:02.0}", level * 100.0)
}

fn quantiles(forecast: &Quantiles) -> Map<String, Value> {
    let levels = LEVELS.map(level_name).into_iter().zip(forecast.counts);
    let named = levels.chain([("mean".to_owned(), forecast.mean)]);
    // Thousandths: the digits of a 64-bit number beyond those of a 32-bit one would be noise.
    let rounded = |count: f32| (f64::from(count) * 1e3).round() / 1e3;
    named.map(|(name, count)| (name, rounded(count).into())).collect()
}

fn score(score: &Score) -> Value {
    let levels = LEVELS.iter().zip(&score.levels);
    let levels: Map<_, _> =
        levels.map(|(at, level)| (level_name(*at), self::level(level))).collect();
    json!({ "horizon_s": score.horizon_s, "forecasts": score.forecasts, "levels": levels })
}

fn level(level: &Level) -> Value {
    let simple: Map<String, Value> = Simple::ALL
        .into_iter()
        .zip(level.simple)
        .map(|(method, loss)| (method.as_str().replace(' ', "_"), loss.into()))
        .collect();
    json!({ "pinball": level.loss, "covered": level.covered, "pinball_of_simple": simple })
}
