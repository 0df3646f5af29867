//! The load of the demo: when requests are sent, what they ask for, and what came of them.
//!
//! Open loop: requests leave at the times of the trace whether or not earlier ones were answered, and latency counts
//! from the time a request was due. A client that waits for answers would hide every stall it meets.

pub mod arrivals;
pub mod calibrate;
pub mod client;
pub mod draw;
pub mod due;
pub mod mix;
pub mod tally;
