//! What the operator wants, and what it means.
//!
//! Pure: no I/O, no clock, no randomness. Text becomes a [`policy::Policy`] in [`load`], and nowhere else; a `Policy`
//! that exists is valid. The live gateway and the simulator ask the same [`decide::decide`] where a request goes.

pub mod units;

mod node;

mod spec;

pub mod problem;

pub mod load;

pub mod reload;

pub mod schema;

pub mod policy;

pub mod path;

pub mod route;

pub mod decide;

pub mod cost;

pub mod workload;

pub mod explain;

#[cfg(test)]
mod sample;
