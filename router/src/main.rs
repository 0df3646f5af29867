//! `pacer`: the gateway and its command line, in one program.
//!
//! Modules in reading order: [`serve`] accepts, [`proxy`] is the life of one request, [`lane`] is where it runs; what they
//! read is one [`world`], which [`control`] makes; [`telemetry`] and [`admin`] tell what happened; [`app`] wires it all.

use std::process::ExitCode;

mod admin;
mod app;
mod cli;
mod control;
mod files;
#[cfg(test)]
mod fixture;
mod history;
mod lane;
mod ledger;
mod proxy;
mod serve;
mod socket;
mod telemetry;
mod world;

/// A request allocates some ten times, among them read buffers of 8 KiB, which the C library serves from its slow path: 3 %
/// of the container lane's CPU.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
