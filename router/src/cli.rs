//! The command line.
//!
//! Exit codes: 0 when all went well, 1 when something failed or a policy has problems, 2 when the command was not
//! understood. What a command finds goes to standard output; errors and logs go to standard error.

mod admin;
mod backfill;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod explain;
mod forecast;
mod freeze;
mod iam;
mod input;
mod ledger;
mod replay;
mod serve;
mod status;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::files::{FileSource, ReadPolicy, read_policy};

/// What is logged unless `PACER_LOG` says otherwise: the SDK tells its inner life at level INFO.
const LOG: &str = "info,aws_config=warn,aws_credential_types=warn,aws_runtime=warn,aws_smithy_runtime=warn,hyper=warn";

/// A hybrid workload router gateway: AWS Lambda and ECS behind one HTTP port.
#[derive(Debug, Parser)]
#[command(name = "pacer", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(serve::Args),
    /// Tell everything that is wrong with a policy.
    Check(check::Args),
    /// Print the JSON Schema of policies, for editors.
    Schema,
    /// Tell where a request would go, and why.
    Explain(explain::Args),
    /// Tell how a running gateway is.
    Status(status::Args),
    /// Tell what a running gateway has cost, and what it saved.
    Ledger(ledger::Args),
    /// Stop all changes of capacity at once, by every gateway of the group.
    Freeze(freeze::Args),
    /// Let plans be acted on again.
    Thaw(freeze::Args),
    /// Print the permissions that Pacer needs on AWS.
    Iam(iam::Args),
    /// Tell what recorded load would have cost, and how fast it would have been.
    Replay(replay::Args),
    /// Tell what recorded load will be like next, or how well that would have been told.
    Forecast(forecast::Args),
    /// Fill the history of a policy with what was asked before Pacer ran.
    Backfill(backfill::Args),
    /// Run gateway, cloud, workload and load on this machine.
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Run an AWS-shaped cloud on loopback.
    #[cfg(feature = "demo")]
    Local(pacer_local::Args),
    /// Run an HTTP app as a Lambda function.
    #[cfg(feature = "demo")]
    Adapter(pacer_adapter::Args),
    /// Run the demo's workload.
    #[cfg(feature = "demo")]
    DemoApp(pacer_demo::Args),
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    // Ends the process with code 2 when the command is not understood.
    let Cli { command } = Cli::parse();
    start_log();
    let result = match command {
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => Ok(check::run(&args)),
        Command::Schema => {
            println!("{:#}", policies::schema::schema());
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain(args) => explain::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Ledger(args) => ledger::run(&args),
        Command::Freeze(args) => freeze::run(&args, true),
        Command::Thaw(args) => freeze::run(&args, false),
        Command::Iam(args) => iam::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Forecast(args) => forecast::run(&args),
        Command::Backfill(args) => backfill::run(&args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args),
        #[cfg(feature = "demo")]
        Command::Local(args) => block_on(pacer_local::run(args, shutdown_signal())),
        #[cfg(feature = "demo")]
        Command::Adapter(args) => block_on(pacer_adapter::run(args)),
        #[cfg(feature = "demo")]
        Command::DemoApp(args) => block_on(pacer_demo::run(args)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("pacer: {error:#}");
        ExitCode::FAILURE
    })
}

/// Sends logs to standard error, filtered by `PACER_LOG`.
fn start_log() {
    let filter = EnvFilter::try_from_env("PACER_LOG").unwrap_or_else(|_| EnvFilter::new(LOG));
    // With more, the SDK writes the id of the access key with every call.
    let quiet = "aws_smithy_runtime=info".parse().expect("it is a target and a level");
    let filter = filter.add_directive(quiet);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// Reads how many times faster than real a clock passes.
fn time_scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.1..=1000.0).contains(&scale) {
        Ok(scale)
    } else {
        Err("is out of range; write 0.1 to 1000".to_owned())
    }
}

/// Loads the policy `file` from the disk; the error holds all its problems, a line each.
fn load_policy(file: &str) -> anyhow::Result<ReadPolicy> {
    read_policy(file, &FileSource)
        .map_err(|(problems, _)| anyhow::anyhow!("the policy cannot be used:\n{problems}"))
}

/// Runs one of the programs that are linked in.
#[cfg(feature = "demo")]
fn block_on(
    work: impl std::future::Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(work).map(|()| ExitCode::SUCCESS)
}

/// Makes a runtime on this thread, for a command that is one program.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")
}

/// Ends on SIGTERM or SIGINT. A closed terminal's SIGHUP is left to those.
#[cfg(feature = "demo")]
async fn shutdown_signal() {
    match serve::Signals::new() {
        Ok(mut signals) => {
            signals.stop(|| ()).await;
        }
        Err(error) => {
            // Without handlers the signals end the process by themselves.
            tracing::warn!(%error, "signals cannot be handled; they end this process at once");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// `.ci/run` runs this with the feature and without it.
    #[test]
    fn only_a_build_with_the_demo_has_its_commands() {
        let command = Cli::command();
        let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        for name in ["demo", "local", "adapter", "demo-app"] {
            assert_eq!(names.contains(&name), cfg!(feature = "demo"), "{name} among {names:?}");
        }
        for name in ["serve", "check", "schema", "explain", "status", "iam"] {
            assert!(names.contains(&name), "{name} among {names:?}");
        }
    }
}
