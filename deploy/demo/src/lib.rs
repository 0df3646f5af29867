//! The demo workload: real image work, short, long and in between.
