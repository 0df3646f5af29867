//! `pacer check`: tells everything that is wrong with a policy, or what is in it.
//!
//! Problems and warnings go to standard output, a line each, so that editors and CI can read `file:line:column`.

use std::{
    fmt::{self, Write},
    process::ExitCode,
};

use policies::{
    decide::Class,
    load::{Loaded, Source, load},
    policy::Policy,
};

use crate::{admin::lanes, files::FileSource};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy's main file.
    #[arg(value_name = "FILE")]
    file: String,
    /// Show the routes in the order in which they win.
    #[arg(long)]
    routes: bool,
}

/// Checks a policy; the exit code is 1 when it has problems.
pub(super) fn run(args: &Args) -> ExitCode {
    let (text, ok) = report(&args.file, &FileSource, args.routes);
    print!("{text}");
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns what is to be printed, and whether the policy can be used.
fn report(file: &str, source: &dyn Source, routes: bool) -> (String, bool) {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let ok = match load(file, source) {
        Ok(loaded) => {
            let _ = summary(&mut text, &loaded, routes);
            true
        }
        Err(problems) => {
            let _ = write!(text, "{problems}\n{}\n", counted(problems.0.len(), "problem"));
            false
        }
    };
    (text, ok)
}

fn summary(text: &mut String, loaded: &Loaded, routes: bool) -> fmt::Result {
    let Loaded { policy, warnings, .. } = loaded;
    for warning in warnings {
        writeln!(text, "warning: {warning}")?;
    }
    if routes {
        table(text, policy)?;
    }
    let services = counted(policy.services.len(), "service");
    write!(text, "ok: {services}, {}", counted(policy.routes.len(), "route"))?;
    if !warnings.is_empty() {
        write!(text, ", {}", counted(warnings.len(), "warning"))?;
    }
    writeln!(text)
}

/// Writes the routes, first match first.
fn table(text: &mut String, policy: &Policy) -> fmt::Result {
    let width = policy.routes.iter().map(|route| route.name.chars().count()).max().unwrap_or(0);
    for (index, route) in policy.routes.iter().enumerate() {
        let service = policy.service(route.service);
        let class = route.class.map_or("auto", Class::as_str);
        let (name, lanes, place) = (&route.name, lanes(route, service).join("+"), &route.place);
        let service = &service.name;
        writeln!(text, "{:>4}  {name:width$}  -> {service}  {class}  {lanes}  {place}", index + 1)?;
    }
    Ok(())
}

/// Returns a number with its noun: `1 route`, `2 routes`.
fn counted(n: usize, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{s}")
}

#[cfg(test)]
mod tests;
