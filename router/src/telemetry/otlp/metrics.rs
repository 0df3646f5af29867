//! What `/metrics` shows, as OTLP: the same families, names and labels, at the same moment.

use std::time::SystemTime;

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
        metric::Data, number_data_point,
    },
};

use super::{span::text, unix_nanos};
use crate::telemetry::{
    self, Kind,
    exposition::{Sample, Samples, Value},
    shard::LATENCY_BOUNDS_US,
};

/// Translates `families`, which count since `started` and were read at `now`.
pub(super) fn translate(families: &[Samples], started: SystemTime, now: SystemTime) -> Vec<Metric> {
    let times = (unix_nanos(started), unix_nanos(now));
    let metric = |family: &Samples| Metric {
        name: family.metric.name.to_owned(),
        description: family.metric.help.to_owned(),
        data: Some(data(family, times)),
        ..Metric::default()
    };
    families.iter().map(metric).collect()
}

fn data(Samples { metric, samples }: &Samples, (started, now): (u64, u64)) -> Data {
    let numbers = |started| {
        let point = |sample| number(metric, sample, started, now);
        samples.iter().filter_map(point).collect()
    };
    let cumulative = AggregationTemporality::Cumulative.into();
    match metric.kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(started),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        // It is of a moment: it began nowhere.
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers(0) }),
        Kind::Histogram => {
            let point = |sample| histogram(metric, sample, started, now);
            Data::Histogram(Histogram {
                data_points: samples.iter().filter_map(point).collect(),
                aggregation_temporality: cumulative,
            })
        }
    }
}

fn number(
    metric: &telemetry::Metric,
    sample: &Sample,
    started: u64,
    now: u64,
) -> Option<NumberDataPoint> {
    let Value::Number(value) = sample.value else { return None };
    Some(NumberDataPoint {
        attributes: labels(metric, sample),
        start_time_unix_nano: started,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    })
}

fn histogram(
    metric: &telemetry::Metric,
    sample: &Sample,
    started: u64,
    now: u64,
) -> Option<HistogramDataPoint> {
    let Value::Latency { buckets, seconds } = &sample.value else { return None };
    Some(HistogramDataPoint {
        attributes: labels(metric, sample),
        start_time_unix_nano: started,
        time_unix_nano: now,
        count: buckets.iter().sum(),
        sum: Some(*seconds),
        bucket_counts: buckets.clone(),
        explicit_bounds: LATENCY_BOUNDS_US.iter().map(|us| f64::from(*us) / 1e6).collect(),
        ..HistogramDataPoint::default()
    })
}

fn labels(metric: &telemetry::Metric, sample: &Sample) -> Vec<KeyValue> {
    let pairs = metric.labels.iter().zip(&sample.labels);
    pairs.map(|(name, value)| text(name, value)).collect()
}
