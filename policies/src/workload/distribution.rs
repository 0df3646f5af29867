//! Times that vary, as people write them.

use std::time::Duration;

use super::read::one_of;
use crate::{
    spec::{
        fields::{Fields, WordOrFields},
        scalar::{self, Scalar, Shape},
    },
    units,
};

/// A distribution of times. None of them is above a day.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// Always the same, from 0.
    Fixed(Duration),
    /// Exponential.
    Exponential {
        /// Its mean, above 0.
        mean: Duration,
    },
    /// Log-normal.
    Lognormal {
        /// Its mean, above 0: of the times, not of their logarithms.
        mean: Duration,
        /// Its coefficient of variation, standard deviation / mean: 0 to 100.
        cv: f64,
    },
    /// By its quantiles: pairs of a probability (0 to 1) and the time that such a share of requests does not exceed.
    /// At least two; probabilities rise, times do not fall. Straight between them, flat before the first and after the
    /// last.
    Quantiles(Vec<(f64, Duration)>),
}

/// What may be written, one of them.
pub(super) const FORMS: [&str; 4] = ["fixed", "exponential", "lognormal", "quantiles"];

/// Longest time that may be written. Lambda ends requests after 15 minutes, and a day of them in a container is a job.
const LONGEST: Duration = Duration::from_hours(24);

const TIME: Scalar<Duration> = scalar::scalar(time, scalar::DURATION.shape);
const MEAN: Scalar<Duration> = scalar::scalar(mean, scalar::DURATION.shape);
const CV: Scalar<f64> = scalar::scalar(|text| super::read::number(text, 0.0, 100.0), Shape::Number);
/// One word where a distribution is due: always a mistake.
const NO_DISTRIBUTION: Scalar<()> = scalar::scalar(
    |text| {
        let fix = time(text).map_or(String::new(), |_| format!("; write `{{ fixed: {text} }}`"));
        Err(format!(
            "expected a distribution such as `{{ lognormal: {{ mean: 200ms, cv: 1 }} }}`, got `{text}`{fix}"
        ))
    },
    Shape::Text,
);
const NO_EXPONENTIAL: Scalar<()> = scalar::scalar(
    |text| Err(format!("expected its mean such as `{{ mean: 200ms }}`, got `{text}`")),
    Shape::Text,
);
const NO_LOGNORMAL: Scalar<()> = scalar::scalar(
    |text| {
        Err(format!(
            "expected its mean and its coefficient of variation such as `{{ mean: 200ms, cv: 1 }}`, got `{text}`"
        ))
    },
    Shape::Text,
);

impl Distribution {
    /// Reads the field `name`; `None` when nothing is written, or nothing sound.
    pub(super) fn read(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<Self> {
        let WordOrFields::Fields(mut forms) = fields.word_or_fields(name, NO_DISTRIBUTION) else {
            return None;
        };
        let distribution = Self::form(&mut forms);
        forms.done();
        distribution
    }

    fn form(forms: &mut Fields<'_, '_>) -> Option<Self> {
        let fixed = forms.value("fixed", TIME).map(|time| Self::Fixed(time.value));
        let exponential = exponential(forms);
        let lognormal = lognormal(forms);
        let quantiles = quantiles(forms);
        one_of(forms, &FORMS, "such as `fixed: 200ms` or `lognormal: { mean: 200ms, cv: 1 }`")?;
        fixed.or(exponential).or(lognormal).or(quantiles)
    }
}

fn exponential(forms: &mut Fields<'_, '_>) -> Option<Distribution> {
    let WordOrFields::Fields(mut fields) = forms.word_or_fields("exponential", NO_EXPONENTIAL)
    else {
        return None;
    };
    let mean = fields.value("mean", MEAN);
    if !fields.has_value("mean") {
        fields.missing("mean", "write `mean: 200ms`");
    }
    fields.done();
    Some(Distribution::Exponential { mean: mean?.value })
}

fn lognormal(forms: &mut Fields<'_, '_>) -> Option<Distribution> {
    let WordOrFields::Fields(mut fields) = forms.word_or_fields("lognormal", NO_LOGNORMAL) else {
        return None;
    };
    let (mean, cv) = (fields.value("mean", MEAN), fields.value("cv", CV));
    for (name, fix) in [
        ("mean", "write `mean: 200ms`"),
        ("cv", "write standard deviation / mean, such as `cv: 1`"),
    ] {
        if !fields.has_value(name) {
            fields.missing(name, fix);
        }
    }
    fields.done();
    Some(Distribution::Lognormal { mean: mean?.value, cv: cv?.value })
}

fn quantiles(forms: &mut Fields<'_, '_>) -> Option<Distribution> {
    let sink = forms.sink;
    let before = sink.count();
    let mut points = vec![];
    for (key, time) in forms.conditions("quantiles", TIME) {
        match (probability(&key.value), time) {
            (Ok(probability), Some(time)) => points.push((probability, time, key)),
            (Ok(_), None) => key.problem(sink, "missing; write a duration such as `200ms`"),
            (Err(message), _) => key.problem(sink, message),
        }
    }
    if !forms.has_value("quantiles") || before < sink.count() {
        return None;
    }
    points.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    for pair in points.windows(2) {
        let [(p0, time0, low), (p1, time1, high)] = pair else { continue };
        let (low, show) = (&low.value, units::show_duration);
        if p1 <= p0 {
            high.problem(sink, format!("`{low}` is the same quantile; keep one of them"));
        } else if time1 < time0 {
            let (below, above) = (show(*time0), show(*time1));
            high.problem(
                sink,
                format!(
                    "times must not fall: `{low}` is {below} and `{}` {above}; swap or correct them",
                    high.value
                ),
            );
        }
    }
    if points.len() < 2 {
        forms.sink.add(
            forms.place.clone(),
            forms.path_of("quantiles"),
            "expected at least two, such as `{ p50: 100ms, p99: 2s }`; one time for all requests is `fixed: 200ms`",
        );
    }
    let quantiles = points.into_iter().map(|(probability, time, _)| (probability, time));
    Some(Distribution::Quantiles(quantiles.collect()))
}

/// Reads `p99.9` as 0.999.
fn probability(text: &str) -> Result<f64, String> {
    let share = text.strip_prefix('p').map(|number| units::percent(&format!("{number}%")));
    share.and_then(Result::ok).ok_or_else(|| {
        format!("expected a quantile from `p0` to `p100`, such as `p50` or `p99.9`, got `{text}`")
    })
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        time if LONGEST < time => Err(format!("expected a time from `0s` to `1d`, got `{text}`")),
        time => Ok(time),
    }
}

fn mean(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err(format!(
            "expected more than no time, got `{text}`; for no time write `fixed: 0ms` instead"
        )),
        mean => Ok(mean),
    }
}
