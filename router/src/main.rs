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
mod lane;
mod proxy;
mod serve;
mod socket;
mod telemetry;
mod world;

fn main() -> ExitCode {
    cli::main()
}
