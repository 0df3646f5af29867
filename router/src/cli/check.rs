//! `pacer check`: tells everything that is wrong with a policy, or what is in it.
//!
//! Problems and warnings go to standard output, a line each, so that editors and CI can read `file:line:column`; or as
//! one JSON document for programs.

use std::{
    fmt::{self, Write},
    process::ExitCode,
};

use policies::{
    decide::Class,
    load::{Loaded, Source, load},
    policy::{Policy, Route},
    problem::{Problem, Problems},
};
use serde_json::{Value, json};

use crate::{admin::lanes, files::FileSource};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy's main file.
    #[arg(value_name = "FILE")]
    file: String,
    /// Show the routes in the order in which they win.
    #[arg(long)]
    routes: bool,
    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines for people, as `FILE:LINE:COLUMN FIELD: MESSAGE`.
    Human,
    /// One JSON document.
    Json,
}

/// Checks a policy; the exit code is 1 when it has problems, or warnings that shall count.
pub(super) fn run(args: &Args) -> ExitCode {
    let (text, ok) = report(args, &FileSource);
    print!("{text}");
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns what is to be printed, and whether the policy passes.
fn report(args: &Args, source: &dyn Source) -> (String, bool) {
    let result = load(&args.file, source);
    let warned = result.as_ref().is_ok_and(|loaded| !loaded.warnings.is_empty());
    let ok = result.is_ok() && !(args.strict && warned);
    if args.format == Format::Json {
        return (format!("{:#}\n", document(&result, ok, args.routes)), ok);
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match &result {
        Ok(loaded) => summary(&mut text, loaded, args.routes, ok),
        Err(problems) => {
            write!(text, "{problems}\n{}\n", counted(problems.0.len(), "problem"))
        }
    };
    (text, ok)
}

/// Returns all that was found, for programs.
fn document(result: &Result<Loaded, Problems>, ok: bool, routes: bool) -> Value {
    let found = |problems: &[Problem]| -> Value {
        let found = problems.iter().map(|Problem { place, field, message }| {
            json!({
                "file": &*place.file,
                "line": place.line,
                "column": place.column,
                "field": field,
                "message": message,
            })
        });
        found.collect()
    };
    match result {
        Err(problems) => json!({ "ok": ok, "problems": found(&problems.0), "warnings": [] }),
        Ok(Loaded { policy, warnings, files, .. }) => {
            let mut document = json!({
                "ok": ok,
                "problems": [],
                "warnings": found(warnings),
                "files": files,
                "services": policy.services.iter().map(|service| &*service.name).collect::<Vec<_>>(),
            });
            if routes {
                let route = |route: &Route| {
                    let service = policy.service(route.service);
                    json!({
                        "name": &*route.name,
                        "service": &*service.name,
                        "class": route.class.map_or("auto", Class::as_str),
                        "lanes": lanes(route, service),
                        "place": &*route.place,
                    })
                };
                document["routes"] = policy.routes.iter().map(route).collect();
            }
            document
        }
    }
}

fn summary(text: &mut String, loaded: &Loaded, routes: bool, ok: bool) -> fmt::Result {
    let Loaded { policy, warnings, .. } = loaded;
    for warning in warnings {
        writeln!(text, "warning: {warning}")?;
    }
    if routes {
        table(text, policy)?;
    }
    let services = counted(policy.services.len(), "service");
    let verdict = if ok { "ok" } else { "not ok (--strict)" };
    write!(text, "{verdict}: {services}, {}", counted(policy.routes.len(), "route"))?;
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
pub(super) fn counted(n: usize, noun: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{s}")
}

#[cfg(test)]
mod tests;
