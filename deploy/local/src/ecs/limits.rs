//! How often the API may be called: token buckets by group of calls, for account and region.
//!
//! "Request throttling for the Amazon ECS API", ECS API reference, read 2026-11. In real time whatever the time scale:
//! callers wait in real time.

use tokio::time::Instant;

use crate::bucket::{Bucket, Rate};

/// The calls that share a bucket, and its rate.
const GROUPS: [(&[&str], Rate); 8] = [
    (&["UpdateService"], Rate { burst: 50.0, per_second: 5.0 }),
    (&["DescribeServices", "ListServices"], Rate { burst: 100.0, per_second: 20.0 }),
    (&["DescribeTasks", "ListTasks"], Rate { burst: 100.0, per_second: 20.0 }),
    (&["RunTask", "StopTask"], Rate { burst: 100.0, per_second: 40.0 }),
    (&["DescribeClusters", "ListClusters"], Rate { burst: 50.0, per_second: 20.0 }),
    (&["RegisterTaskDefinition"], Rate { burst: 20.0, per_second: 1.0 }),
    (&["DescribeTaskDefinition", "ListTaskDefinitions"], Rate { burst: 50.0, per_second: 20.0 }),
    (&["GetTaskProtection", "UpdateTaskProtection"], Rate { burst: 200.0, per_second: 80.0 }),
];

/// The buckets of all groups.
#[derive(Debug)]
pub(crate) struct Limits([Bucket; GROUPS.len()]);

impl Limits {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self(std::array::from_fn(|_| Bucket::new(now)))
    }

    /// Takes one of `call`'s bucket; false when the call must be throttled. What is no call is not limited.
    pub(crate) fn take(&self, call: &str, now: Instant) -> bool {
        let group = GROUPS.iter().position(|(calls, _)| calls.contains(&call));
        group.is_none_or(|group| self.0[group].take(GROUPS[group].1, now))
    }

    /// The calls there are.
    pub(crate) fn calls() -> Vec<&'static str> {
        GROUPS.iter().flat_map(|(calls, _)| calls.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_group_has_its_burst_and_refills() {
        let limits = Limits::new();
        let now = Instant::now();
        let taken = |call: &str, at| (0..300).filter(|_| limits.take(call, at)).count();
        assert_eq!(taken("DescribeTasks", now), 100);
        assert_eq!(taken("ListTasks", now), 0, "both read tasks");
        assert_eq!(taken("DescribeServices", now), 100, "services are another group");
        assert_eq!(taken("ListTasks", now + Duration::from_secs(2)), 40);
        assert_eq!(taken("UpdateService", now), 50);
        assert_eq!(taken("UpdateService", now + Duration::from_secs(1)), 5);
    }
}
