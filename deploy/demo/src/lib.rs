//! The demo workload: real image work, short, long and in between; and the load that drives it.
//!
//! Three routes stand for what Pacer tells apart: a thumbnail is a sprinter, a rendered film a marathon runner, and a
//! resized photo is either, as the request says. The load is the arrivals of a real crowd. Both live here, away
//! from the gateway, so that a production image holds neither, and so that each is tested without the other.

pub mod app;
pub mod load;
pub mod runs;
pub mod work;

pub use app::{Args, run};

/// The policy that `pacer demo` runs when none is given.
///
/// Its variables are `PACER_DEMO_CLOUD` (base URL of the local cloud), `PACER_DEMO_PORT` (data port),
/// `PACER_DEMO_ADMIN_PORT`, `PACER_DEMO_METRICS_PORT`, and `PACER_DEMO_STATE` (directory of what was asked before).
pub const POLICY: &str = include_str!("../demo.yaml");

/// The arrivals of the demo: requests a second to the web site of the Kennedy Space Center, half an hour of the afternoon of
/// 13 July 1995, a launch day: six quiet minutes, then a crowd. Source and licence: `traces/README.md`.
pub const TRACE: &str = include_str!("../traces/nasa-launch-day.csv");
