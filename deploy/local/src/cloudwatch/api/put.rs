//! PutMetricData.
//!
//! Unlike AWS, which fills them itself, namespaces that begin with `AWS/` are open, and so is the past: how else would a
//! test have a load balancer that was asked something last week.

use std::time::SystemTime;

use serde::Deserialize;

use super::{Dimension, dimensions, invalid, refusal};
use crate::{
    Shared,
    aws_json::Refusal,
    clock,
    cloudwatch::metrics::{Metric, Values},
};

/// Most data of one call, and most values of one datum (CloudWatch API reference, `PutMetricData`).
const DATA_MAX: usize = 1000;
const VALUES_MAX: usize = 150;
/// How far ahead a value's time may be, in seconds (the same page).
const AHEAD_MAX: f64 = 7200.0;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutMetricData {
    namespace: String,
    metric_data: Vec<Datum>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Datum {
    metric_name: String,
    dimensions: Option<Vec<Dimension>>,
    timestamp: Option<f64>,
    value: Option<f64>,
    values: Option<Vec<f64>>,
    counts: Option<Vec<f64>>,
    statistic_values: Option<StatisticSet>,
    /// Who reads names no unit, and gets values of all units.
    #[serde(rename = "Unit")]
    _unit: Option<String>,
    /// Periods of less than a minute cannot be read, so that nobody can tell.
    #[serde(rename = "StorageResolution")]
    _storage_resolution: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatisticSet {
    sample_count: f64,
    sum: f64,
    /// Of no statistic that can be read.
    #[serde(rename = "Minimum")]
    _minimum: f64,
    #[serde(rename = "Maximum")]
    _maximum: f64,
}

/// Puts all data, or none of them if one is wrong.
pub(super) fn put(shared: &Shared, ask: PutMetricData, now: SystemTime) -> Result<(), Refusal> {
    if ask.namespace.is_empty() || 255 < ask.namespace.len() {
        return Err(invalid("The parameter Namespace must be 1 to 255 characters long"));
    }
    if DATA_MAX < ask.metric_data.len() {
        return Err(invalid(format!("MetricData has more than {DATA_MAX} entries")));
    }
    let now = clock::epoch_seconds(now);
    let mut data = Vec::new();
    for (at, datum) in ask.metric_data.into_iter().enumerate() {
        let member = format!("MetricData.member.{}", at + 1);
        let values = values(&datum).map_err(|problem| invalid(format!("{member}: {problem}")))?;
        let second = datum.timestamp.unwrap_or(now);
        if !(0.0..=now + AHEAD_MAX).contains(&second) {
            return Err(invalid(format!(
                "The parameter {member}.Timestamp must specify a time no more than two hours ahead"
            )));
        }
        if datum.metric_name.is_empty() || 255 < datum.metric_name.len() {
            return Err(invalid(format!(
                "The parameter {member}.MetricName must be 1 to 255 characters long"
            )));
        }
        let metric = Metric {
            namespace: ask.namespace.clone(),
            name: datum.metric_name,
            dimensions: dimensions(datum.dimensions)?,
        };
        data.push((metric, second as u64, values));
    }
    for (metric, second, values) in data {
        if !shared.cloudwatch.put(metric, second, values) {
            let message = "the local cloud keeps no more metrics; start it again";
            return Err(refusal("LimitExceededFault", "LimitExceeded;Sender", message));
        }
    }
    Ok(())
}

fn values(datum: &Datum) -> Result<Values, String> {
    match (datum.value, &datum.values, &datum.statistic_values) {
        (Some(sum), None, None) if datum.counts.is_none() => Ok(Values { sum, count: 1.0 }),
        (None, Some(values), None) => {
            let counts = datum.counts.clone().unwrap_or_else(|| vec![1.0; values.len()]);
            if values.is_empty() || VALUES_MAX < values.len() || values.len() != counts.len() {
                return Err(format!("Values has 1 to {VALUES_MAX} entries, and Counts as many"));
            }
            let sum = values.iter().zip(&counts).map(|(value, count)| value * count).sum();
            Ok(Values { sum, count: counts.iter().sum() })
        }
        (None, None, Some(set)) if datum.counts.is_none() => {
            Ok(Values { sum: set.sum, count: set.sample_count })
        }
        _ => Err("give one of Value, Values with Counts, and StatisticValues".into()),
    }
}
