//! What a recorded load would have cost, and how fast it would have been.
//!
//! A load runs through the gateway's own decision and a planner against models of Lambda and Fargate. Two ways, which agree:
//! [`engine`] follows every request; [`counts`] works on whole steps, for loads of hundreds of millions.

pub mod arrivals;
pub mod compare;
pub mod counts;
pub mod distribution;
pub mod engine;
pub mod fargate;
pub mod lambda;
pub mod latency;
pub mod load;
pub mod random;
mod rate;
pub mod scenario;
pub mod series;
pub mod site;
pub mod tally;

#[cfg(test)]
mod laws;
