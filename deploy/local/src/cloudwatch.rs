//! CloudWatch: metrics that are put and read, so that a gateway can learn what a load balancer was asked before it came.
//!
//! Values are kept by second, as sums and counts: what Sum, SampleCount and Average need. No alarms, no metric maths, no
//! percentiles, no Minimum and Maximum.

pub(crate) mod api;
mod cbor;
mod metrics;

pub(crate) use metrics::CloudWatch;
