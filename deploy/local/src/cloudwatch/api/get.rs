//! GetMetricData.

use std::{collections::BTreeSet, time::SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Dimension, dimensions, invalid, refusal};
use crate::{
    Shared,
    aws_json::Refusal,
    cloudwatch::metrics::{Metric, Query, Statistic},
};

/// Most queries, and most values of one answer (CloudWatch API reference, `GetMetricData`).
const QUERIES_MAX: usize = 500;
const DATAPOINTS_MAX: usize = 100_800;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetMetricData {
    metric_data_queries: Vec<MetricDataQuery>,
    start_time: f64,
    end_time: f64,
    next_token: Option<String>,
    scan_by: Option<ScanBy>,
    max_datapoints: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum ScanBy {
    TimestampAscending,
    #[default]
    TimestampDescending,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MetricDataQuery {
    id: String,
    metric_stat: Option<MetricStat>,
    label: Option<String>,
    return_data: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MetricStat {
    metric: AskedMetric,
    period: u64,
    stat: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AskedMetric {
    namespace: String,
    metric_name: String,
    dimensions: Option<Vec<Dimension>>,
}

pub(super) fn get(shared: &Shared, ask: GetMetricData, now: SystemTime) -> Result<Value, Refusal> {
    check(&ask)?;
    let max = ask.max_datapoints.unwrap_or(DATAPOINTS_MAX);
    if !(1..=DATAPOINTS_MAX).contains(&max) {
        return Err(wrong(format!("MaxDatapoints {max} is not within 1 to {DATAPOINTS_MAX}")));
    }
    // How many values the pages before had, of all queries in a row.
    let before = match &ask.next_token {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| {
            refusal("InvalidNextToken", "InvalidNextToken;Sender", "The NextToken is invalid")
        })?,
    };
    let (start, end) = (ask.start_time as u64, ask.end_time.ceil() as u64);
    let scan_by = ask.scan_by.unwrap_or_default();
    let (mut skip, mut room) = (before, max);
    let mut more = false;
    let mut results = Vec::new();
    for asked in ask.metric_data_queries {
        let (id, label) = (asked.id.clone(), asked.label.clone());
        let told = asked.return_data.unwrap_or(true);
        let query = query(asked, start, end)?;
        if !told {
            continue;
        }
        let mut points = shared.cloudwatch.read(&query, now);
        if scan_by == ScanBy::TimestampDescending {
            points.reverse();
        }
        let total = points.len();
        let first = skip.min(total);
        let last = first + room.min(total - first);
        let (at, values): (Vec<u64>, Vec<f64>) = points[first..last].iter().copied().unzip();
        results.push(json!({
            "Id": id,
            "Label": label.unwrap_or(query.metric.name),
            "Timestamps": at,
            "Values": values,
            "StatusCode": if last < total { "PartialData" } else { "Complete" },
        }));
        more |= last < total;
        skip -= first;
        room -= last - first;
    }
    let mut answer = json!({ "MetricDataResults": results, "Messages": [] });
    if more {
        answer["NextToken"] = json!((before + max).to_string());
    }
    Ok(answer)
}

fn check(ask: &GetMetricData) -> Result<(), Refusal> {
    if ask.start_time < 0.0 || ask.end_time <= ask.start_time {
        return Err(wrong("The parameter StartTime must be less than the parameter EndTime."));
    }
    if !(1..=QUERIES_MAX).contains(&ask.metric_data_queries.len()) {
        return Err(wrong(format!("MetricDataQueries has 1 to {QUERIES_MAX} entries")));
    }
    let mut ids = BTreeSet::new();
    for MetricDataQuery { id, .. } in &ask.metric_data_queries {
        let is_id = id.starts_with(|first: char| first.is_ascii_lowercase())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_id || !ids.insert(id) {
            return Err(wrong(format!(
                "The id `{id}` must be unique, begin with a lowercase letter, and have letters, digits and underscores only"
            )));
        }
    }
    Ok(())
}

fn query(asked: MetricDataQuery, start: u64, end: u64) -> Result<Query, Refusal> {
    let id = &asked.id;
    let stat = asked.metric_stat;
    let stat = stat.ok_or_else(|| wrong(format!("the query `{id}` has no MetricStat")))?;
    let statistic = Statistic::of(&stat.stat).ok_or_else(|| {
        let asked = &stat.stat;
        wrong(format!("the local cloud has Sum, SampleCount and Average, not `{asked}`"))
    })?;
    if stat.period == 0 || !stat.period.is_multiple_of(60) {
        let period = stat.period;
        return Err(wrong(format!(
            "Period {period} is not a multiple of 60; the local cloud keeps minutes"
        )));
    }
    let metric = Metric {
        namespace: stat.metric.namespace,
        name: stat.metric.metric_name,
        dimensions: dimensions(stat.metric.dimensions)?,
    };
    Ok(Query { metric, start, end, period: stat.period, statistic })
}

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal { query_code: Some("ValidationError;Sender"), ..invalid(message) }
}
