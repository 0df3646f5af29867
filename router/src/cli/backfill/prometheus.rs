//! Counts from Prometheus, or what speaks its HTTP API (Thanos, Mimir, VictoriaMetrics): `query_range`, page by page.
//!
//! The query says how many requests came in the step that **ends** at a point's time, as `increase(...[1m])` does with
//! `--step 60s`. What is no count (NaN, infinite, negative) is refused with its place: a rhythm that is learned from a
//! counter that was read wrong plans wrongly for weeks.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use policies::policy::Policy;
use serde::Deserialize;

use super::{Asked, Gathered, http::Server, time::show};

/// Points of a series in one answer; Prometheus refuses more than 11,000 (`web/api/v1`, query_range).
const POINTS: u64 = 10_000;

/// The label by which series name services.
const LABEL: &str = "service";

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    #[serde(default)]
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// A series while its pages come.
#[derive(Debug, Default)]
struct Reading {
    /// What of a request was not counted yet: points are rounded, their sum is not.
    rest: f64,
    service: Option<String>,
}

/// Asks for every point, and gathers what its series say of services.
pub(super) async fn gather(
    server: &Server,
    query: &str,
    step_s: u64,
    asked: &Asked<'_>,
) -> anyhow::Result<Gathered> {
    let mut gathered = Gathered::default();
    let mut series = BTreeMap::new();
    // A point at `t` is what came from `t - step` on.
    let (mut first, last) =
        (asked.from_s.next_multiple_of(step_s) + step_s, asked.until_s / step_s * step_s);
    ensure!(first <= last, "there is no whole step of {step_s} s between --from and --until");
    while first <= last {
        let until = last.min(first + (POINTS - 1) * step_s);
        let (start, end, step) = (first.to_string(), until.to_string(), step_s.to_string());
        let page = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
        let (status, body) = server.get("/api/v1/query_range", &page).await?;
        let Ok(answer) = serde_json::from_slice::<Answer>(&body) else {
            bail!(
                "it answered {status}, and not as Prometheus's API does: is the URL that of its root?"
            );
        };
        ensure!(answer.status == "success", "it answered {status}: {}", answer.error);
        let data = answer.data.context("its answer has no data")?;
        ensure!(
            data.result_type == "matrix",
            "its answer is a {}, not a series of numbers by time",
            data.result_type
        );
        for warning in answer.warnings {
            if !gathered.notes.contains(&warning) {
                gathered.notes.push(warning);
            }
        }
        for one in data.result {
            let name = named(&one.metric);
            let place = || format!("series {name}");
            if !series.contains_key(&name) {
                let service =
                    service_of(&one.metric, asked, &mut gathered.notes).with_context(place)?;
                let twice = service.is_some()
                    && series.values().any(|known: &Reading| known.service == service);
                ensure!(
                    !twice,
                    "{} is the second for service {}: put `sum(...)` around the query, or `sum by (service) (...)`",
                    place(),
                    service.unwrap_or_default()
                );
                series.insert(name.clone(), Reading { rest: 0.0, service });
            }
            let reading = series.get_mut(&name).expect("it was put there just now");
            let Some(service) = reading.service.clone() else { continue };
            let steps = gathered.services.entry(service).or_default();
            for (at, value) in one.values {
                let place = || format!("{} at {}: {value}", place(), show(at.max(0.0) as u64));
                ensure!(
                    at.is_finite() && 0.0 <= at && (first as f64..=until as f64).contains(&at),
                    "{} is of a time that was not asked for",
                    place()
                );
                let at_s = at as u64;
                let count = reading.whole(&value).with_context(place)?;
                steps
                    .count((at_s - step_s) * 1_000_000, step_s * 1_000_000, count)
                    .with_context(place)?;
            }
        }
        first = until + step_s;
    }
    ensure!(
        !series.is_empty(),
        "the query gives no series between {} and {}: try it in Prometheus's own page",
        show(asked.from_s),
        show(asked.until_s)
    );
    Ok(gathered)
}

impl Reading {
    /// Makes a count of a point.
    fn whole(&mut self, value: &str) -> anyhow::Result<u64> {
        let value: f64 = value.parse().context("is no number")?;
        ensure!(!value.is_nan(), "is not a number: does the query divide by nothing?");
        ensure!(value.is_finite(), "is infinite: does the query divide by nothing?");
        ensure!(
            0.0 <= value,
            "is negative: `increase` of a counter never is, `delta` and `deriv` may be"
        );
        let exact = value + self.rest;
        let whole = (exact + 0.5).floor().max(0.0);
        self.rest = exact - whole;
        Ok(whole as u64)
    }
}

/// Returns whose requests a series counts; `None` when they are of a service that the policy does not have.
fn service_of(
    labels: &BTreeMap<String, String>,
    asked: &Asked<'_>,
    notes: &mut Vec<String>,
) -> anyhow::Result<Option<String>> {
    if let Some(service) = &asked.service {
        return Ok(Some(service.clone()));
    }
    let has =
        |policy: &Policy, name: &str| policy.services.iter().any(|service| *service.name == *name);
    match labels.get(LABEL) {
        Some(name) if has(asked.policy, name) => Ok(Some(name.clone())),
        Some(name) => {
            notes
                .push(format!("left out: requests of `{name}`, which is no service of the policy"));
            Ok(None)
        }
        None => asked.only().map(Some),
    }
}

/// Writes a series as Prometheus does.
fn named(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_rounded_and_their_sum_is_kept() {
        let mut reading = Reading::default();
        let counts: Vec<_> = (0..10).map(|_| reading.whole("1.25").unwrap()).collect();
        let sum = counts.iter().sum::<u64>();
        assert!((12..=13).contains(&sum), "twelve and a half: {sum}");
        assert!(counts.iter().all(|count| (1..=2).contains(count)), "{counts:?}");
        let mut reading = Reading::default();
        assert_eq!([reading.whole("0.5").unwrap(), reading.whole("0").unwrap()], [1, 0]);
        assert_eq!(reading.whole("1e3").unwrap(), 999 + 1);
    }

    #[test]
    fn what_is_no_count_is_refused() {
        for (value, why) in
            [("NaN", "not a number"), ("+Inf", "infinite"), ("-1", "negative"), ("x", "no number")]
        {
            let told = Reading::default().whole(value).unwrap_err().to_string();
            assert!(told.contains(why), "{value}: {told}");
        }
    }
}
