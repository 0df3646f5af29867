//! Prometheus' text format, version 0.0.4, written as it goes.
//!
//! A policy of 1,000 routes has tens of thousands of samples. Each is written once, into one text: there is no model of
//! it in between, but for who writes them in a form of their own. What a family holds is up to [`super`].

use std::fmt::Write as _;

use super::super::{Kind, Metric, shard::LATENCY_BOUNDS_US};

/// What a write into a `String` may be expected to do.
const TAKES_ALL: &str = "a String takes any text";

/// All metrics while they are put together.
pub(super) enum Page {
    /// As the answer to a scrape.
    Text {
        text: String,
        /// Upper bounds of histograms, as they are written.
        bounds: Box<[String]>,
    },
    /// As they are.
    Samples(Vec<Samples>),
}

/// A metric and its samples.
#[derive(Debug)]
pub(crate) struct Samples {
    /// What they are of.
    pub(crate) metric: Metric,
    /// One at least.
    pub(crate) samples: Vec<Sample>,
}

/// One sample.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Values of the metric's labels, in their order.
    pub(crate) labels: Vec<String>,
    /// What was counted or measured.
    pub(crate) value: Value,
}

/// What a sample says.
#[derive(Debug)]
pub(crate) enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram of [`LATENCY_BOUNDS_US`]: counts by bucket, not cumulative, the last above all bounds; and the sum.
    Latency { buckets: Vec<u64>, seconds: f64 },
}

impl Page {
    /// Begins one with room for what `routes` routes come to.
    pub(super) fn new(routes: usize) -> Self {
        /// What else there is on a page, and what one route of two lanes has on it.
        const REST_BYTES: usize = 16 * 1024;
        const ROUTE_BYTES: usize = 5 * 1024;
        Self::Text {
            text: String::with_capacity(REST_BYTES + routes * ROUTE_BYTES),
            bounds: LATENCY_BOUNDS_US.map(|us| (f64::from(us) / 1e6).to_string()).into(),
        }
    }

    /// Begins one that keeps samples as they are.
    pub(super) const fn of_samples() -> Self {
        Self::Samples(Vec::new())
    }

    /// Adds a metric and lets `fill` add its samples; without samples it is left out.
    pub(super) fn family(&mut self, metric: &Metric, fill: impl FnOnce(&mut Family<'_>)) {
        let (text, bounds) = match self {
            Self::Text { text, bounds } => (text, bounds),
            Self::Samples(families) => {
                let mut samples = Vec::new();
                fill(&mut Family { metric, to: To::Samples(&mut samples) });
                if !samples.is_empty() {
                    families.push(Samples { metric: *metric, samples });
                }
                return;
            }
        };
        let before = text.len();
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let Metric { name, help, .. } = metric;
        write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n").expect(TAKES_ALL);
        let head = text.len();
        fill(&mut Family { metric, to: To::Text(Written { metric, text, bounds }) });
        if text.len() == head {
            text.truncate(before);
        }
    }

    /// Adds a metric of one sample.
    pub(super) fn one(&mut self, metric: &Metric, labels: &[&str], value: f64) {
        self.family(metric, |family| family.add(labels, value));
    }

    /// Returns the whole text; nothing where samples were kept.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Text { text, .. } => text.into_bytes(),
            Self::Samples(_) => Vec::new(),
        }
    }

    /// Returns the samples; none where text was written.
    pub(super) fn families(self) -> Vec<Samples> {
        match self {
            Self::Text { .. } => Vec::new(),
            Self::Samples(families) => families,
        }
    }
}

/// One metric while its samples are added.
pub(super) struct Family<'a> {
    metric: &'a Metric,
    to: To<'a>,
}

/// Where samples go.
enum To<'a> {
    Text(Written<'a>),
    Samples(&'a mut Vec<Sample>),
}

impl Family<'_> {
    /// Adds a sample.
    pub(super) fn add(&mut self, labels: &[&str], value: f64) {
        match &mut self.to {
            To::Text(written) => written.add(labels, value),
            To::Samples(samples) => keep(samples, self.metric, labels, Value::Number(value)),
        }
    }

    /// Adds a sample unless it is zero.
    pub(super) fn add_counted(&mut self, labels: &[&str], value: f64) {
        if value != 0.0 {
            self.add(labels, value);
        }
    }

    /// Adds a histogram from its counts by bucket, not cumulative, unless all are zero.
    pub(super) fn add_latency(&mut self, labels: &[&str], buckets: &[u64], seconds: f64) {
        if buckets.iter().all(|n| *n == 0) {
            return;
        }
        match &mut self.to {
            To::Text(written) => written.add_latency(labels, buckets, seconds),
            To::Samples(samples) => {
                let value = Value::Latency { buckets: buckets.into(), seconds };
                keep(samples, self.metric, labels, value);
            }
        }
    }
}

fn keep(samples: &mut Vec<Sample>, metric: &Metric, labels: &[&str], value: Value) {
    debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    samples.push(Sample { labels, value });
}

/// One metric while its samples are written.
struct Written<'a> {
    metric: &'a Metric,
    text: &'a mut String,
    bounds: &'a [String],
}

impl Written<'_> {
    fn add(&mut self, labels: &[&str], value: f64) {
        self.text.push_str(self.metric.name);
        self.labels(labels);
        self.value(value);
    }

    fn add_latency(&mut self, labels: &[&str], buckets: &[u64], sum_seconds: f64) {
        let total: u64 = buckets.iter().sum();
        // All buckets have the same labels but `le`: they are written once, and copied from there.
        let name = self.metric.name;
        let mut head = format!("{name}_bucket");
        let at = head.len();
        write_labels(&mut head, self.metric.labels, labels);
        head.pop();
        head.push_str(if labels.is_empty() { "le=\"" } else { ",le=\"" });
        let mut below = 0;
        for (bound, n) in self.bounds.iter().zip(buckets) {
            below += n;
            self.text.push_str(&head);
            self.text.push_str(bound);
            writeln!(self.text, "\"}} {below}").expect(TAKES_ALL);
        }
        writeln!(self.text, "{head}+Inf\"}} {total}").expect(TAKES_ALL);
        for (suffix, value) in [("_sum", sum_seconds), ("_count", total as f64)] {
            self.text.push_str(&head[..at - "_bucket".len()]);
            self.text.push_str(suffix);
            self.labels(labels);
            self.value(value);
        }
    }

    fn labels(&mut self, values: &[&str]) {
        write_labels(self.text, self.metric.labels, values);
    }

    fn value(&mut self, value: f64) {
        // The sum of no floating-point numbers at all is -0, which looks odd on a page of counts.
        writeln!(self.text, " {}", value + 0.0).expect(TAKES_ALL);
    }
}

/// Writes `{name="value",…}`, and nothing without labels.
fn write_labels(text: &mut String, names: &[&str], values: &[&str]) {
    debug_assert_eq!(names.len(), values.len(), "{names:?}");
    for (place, (name, value)) in names.iter().zip(values).enumerate() {
        text.push(if place == 0 { '{' } else { ',' });
        text.push_str(name);
        text.push_str("=\"");
        write_value(text, value);
        text.push('"');
    }
    if !values.is_empty() {
        text.push('}');
    }
}

/// Writes a label's value; what would end it is escaped.
fn write_value(text: &mut String, value: &str) {
    let mut rest = value;
    while let Some(at) = rest.find(['\\', '"', '\n']) {
        text.push_str(&rest[..at]);
        text.push_str(match rest.as_bytes()[at] {
            b'\\' => r"\\",
            b'"' => "\\\"",
            _ => r"\n",
        });
        rest = &rest[at + 1..];
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(kind: Kind, labels: &'static [&'static str]) -> Metric {
        Metric { name: "pacer_x", kind, labels, help: "Help." }
    }

    fn written(metric: &Metric, fill: impl FnOnce(&mut Family<'_>)) -> String {
        let mut page = Page::new(0);
        page.family(metric, fill);
        String::from_utf8(page.finish()).unwrap()
    }

    #[test]
    fn a_family_has_its_head_and_its_samples() {
        let text = written(&metric(Kind::Counter, &["a", "b"]), |family| {
            family.add(&["1", "two"], 3.0);
            family.add_counted(&["1", "none"], 0.0);
            family.add(&["2", ""], 1_795_295_703.25);
            family.add(&["3", ""], -0.0);
        });
        assert_eq!(
            text,
            "# HELP pacer_x Help.\n# TYPE pacer_x counter\npacer_x{a=\"1\",b=\"two\"} 3\n\
             pacer_x{a=\"2\",b=\"\"} 1795295703.25\npacer_x{a=\"3\",b=\"\"} 0\n"
        );
        assert_eq!(
            written(&metric(Kind::Gauge, &[]), |family| family.add(&[], 0.5)),
            "# HELP pacer_x Help.\n# TYPE pacer_x gauge\npacer_x 0.5\n"
        );
    }

    #[test]
    fn without_samples_there_is_no_family() {
        assert_eq!(written(&metric(Kind::Counter, &["a"]), |_| ()), "");
        let nothing = |family: &mut Family<'_>| {
            family.add_latency(&[], &[0; LATENCY_BOUNDS_US.len() + 1], 0.0);
        };
        assert_eq!(written(&metric(Kind::Histogram, &[]), nothing), "");
    }

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        let text = written(&metric(Kind::Gauge, &["route"]), |family| {
            family.add(&["/a\"} 1\nup{x=\"\\"], 1.0);
        });
        assert!(text.ends_with("\npacer_x{route=\"/a\\\"} 1\\nup{x=\\\"\\\\\"} 1\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
