//! Counts from CloudWatch: the sum of a metric by period, as GetMetricData gives it.
//!
//! CloudWatch keeps periods of a minute for 15 days and of five minutes for 63 (its user guide, metrics retention), so what
//! is older is asked for by five minutes. A load balancer without a request reports nothing: what is missing is zero,
//! unless `--missing unknown` says otherwise.

use anyhow::{Context, bail, ensure};
use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_cloudwatch::{
    Client,
    config::Builder,
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy},
};

use super::{Asked, Gathered, time::show};
use crate::control::aws::reason;

/// For how long a period of a minute is kept; an hour less, for clocks and for the time that the answer takes.
const MINUTES_KEPT_S: u64 = 15 * 86_400 - 3_600;

/// How long a call may take.
const CALL_TIMEOUT: std::time::Duration = std::time::Duration::from_mins(1);

/// Pages of an answer: a hundred thousand points each.
const PAGES_MAX: usize = 1_000;

/// Which metric.
#[derive(Debug)]
pub(super) struct Named {
    namespace: String,
    metric: String,
    dimensions: Vec<(String, String)>,
}

impl Named {
    /// Takes apart `AWS/ApplicationELB/RequestCount` and `LoadBalancer=app/web/50dc6c495c0c9188`.
    pub(super) fn new(metric: &str, dimensions: &[String]) -> anyhow::Result<Self> {
        let whole = "expected NAMESPACE/METRIC such as AWS/ApplicationELB/RequestCount";
        let (namespace, name) =
            metric.rsplit_once('/').with_context(|| format!("{whole}, got `{metric}`"))?;
        ensure!(!namespace.is_empty() && !name.is_empty(), "{whole}, got `{metric}`");
        let dimension = |text: &String| {
            let pair =
                text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
            let (name, value) = pair.with_context(|| {
                format!("expected a dimension such as LoadBalancer=app/web/50dc6c495c0c9188, got `{text}`")
            })?;
            Ok((name.to_owned(), value.to_owned()))
        };
        let dimensions = dimensions.iter().map(dimension).collect::<anyhow::Result<_>>()?;
        Ok(Self { namespace: namespace.to_owned(), metric: name.to_owned(), dimensions })
    }

    fn asked(&self, period_s: u64) -> MetricDataQuery {
        let dimensions = self
            .dimensions
            .iter()
            .map(|(name, value)| Dimension::builder().name(name).value(value).build());
        let metric = Metric::builder()
            .namespace(&self.namespace)
            .metric_name(&self.metric)
            .set_dimensions(Some(dimensions.collect()))
            .build();
        let stat = MetricStat::builder().metric(metric).period(period_s as i32).stat("Sum").build();
        MetricDataQuery::builder().id("requests").metric_stat(stat).build()
    }
}

/// Returns the parts of a time that are asked for, each with its period.
fn parts(from_s: u64, until_s: u64, now_s: u64, step_s: Option<u64>) -> Vec<(u64, u64, u64)> {
    let whole = |from: u64, until: u64, period: u64| {
        (from.next_multiple_of(period), until / period * period, period)
    };
    let parts = if let Some(period) = step_s {
        vec![whole(from_s, until_s, period)]
    } else {
        let border = now_s.saturating_sub(MINUTES_KEPT_S).next_multiple_of(300);
        let border = border.clamp(from_s, until_s.max(from_s));
        let old = whole(from_s, border, 300);
        vec![old, whole(if from_s < border { old.1 } else { from_s }, until_s, 60)]
    };
    parts.into_iter().filter(|(from, until, _)| from < until).collect()
}

/// Asks for every point.
pub(super) async fn gather(
    config: &SdkConfig,
    named: &Named,
    step_s: Option<u64>,
    asked: &Asked<'_>,
) -> anyhow::Result<Gathered> {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(CALL_TIMEOUT);
    let config = Builder::from(config)
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts.build());
    let client = Client::from_conf(config.build());
    let service = asked.only()?;
    let mut gathered = Gathered::default();
    let (mut points, place) = (0_u64, format!("{}/{}", named.namespace, named.metric));
    for (from_s, until_s, period_s) in parts(asked.from_s, asked.until_s, asked.now_s, step_s) {
        let mut next = None;
        for page in 0.. {
            ensure!(page < PAGES_MAX, "CloudWatch gave more than {PAGES_MAX} pages");
            let call = client
                .get_metric_data()
                .metric_data_queries(named.asked(period_s))
                .start_time(DateTime::from_secs(from_s.cast_signed()))
                .end_time(DateTime::from_secs(until_s.cast_signed()))
                .scan_by(ScanBy::TimestampAscending)
                .set_next_token(next);
            let answer = call.send().await;
            let answer = answer
                .map_err(|error| anyhow::anyhow!("CloudWatch GetMetricData: {}", reason(&error)))?;
            for result in answer.metric_data_results() {
                for message in result.messages() {
                    gathered
                        .notes
                        .push(format!("CloudWatch: {}", message.value().unwrap_or_default()));
                }
                for (at, &value) in result.timestamps().iter().zip(result.values()) {
                    let Ok(at_s) = u64::try_from(at.secs()) else {
                        bail!("{place}: a point before 1970")
                    };
                    let place = || format!("{place} at {}: {value}", show(at_s));
                    ensure!(
                        value.is_finite() && 0.0 <= value,
                        "{} is no count of requests: is it the right metric?",
                        place()
                    );
                    let steps = gathered.services.entry(service.clone()).or_default();
                    let us = period_s * 1_000_000;
                    steps.count(at_s * 1_000_000, us, value.round() as u64).with_context(place)?;
                    points += 1;
                }
            }
            next = answer.next_token().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
    }
    ensure!(
        points != 0,
        "CloudWatch has no points of {place} between {} and {}: are region, metric and every dimension right?",
        show(asked.from_s),
        show(asked.until_s)
    );
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_a_namespace_and_a_name() {
        let dimension = ["LoadBalancer=app/web/50=dc".to_owned()];
        let named = Named::new("AWS/ApplicationELB/RequestCount", &dimension).unwrap();
        assert_eq!((&*named.namespace, &*named.metric), ("AWS/ApplicationELB", "RequestCount"));
        assert_eq!(named.dimensions[0], ("LoadBalancer".to_owned(), "app/web/50=dc".to_owned()));
        assert!(Named::new("RequestCount", &[]).is_err());
        assert!(Named::new("AWS/X", &["LoadBalancer".to_owned()]).is_err());
    }

    #[test]
    fn what_is_older_than_a_fortnight_comes_by_five_minutes() {
        const DAY: u64 = 86_400;
        let now = 100 * DAY;
        assert_eq!(
            parts(72 * DAY, now, now, None),
            [(72 * DAY, 85 * DAY + 3_600, 300), (85 * DAY + 3_600, now, 60)]
        );
        assert_eq!(parts(99 * DAY + 7, now, now, None), [(99 * DAY + 60, now, 60)]);
        assert_eq!(parts(70 * DAY, 71 * DAY, now, None), [(70 * DAY, 71 * DAY, 300)]);
        assert_eq!(parts(72 * DAY, now, now, Some(300)), [(72 * DAY, now, 300)]);
        assert!(parts(now - 30, now, now, None).is_empty());
    }
}
