//! `pacer freeze` and `pacer thaw`: the brake on all changes of capacity.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use super::{admin::post, status::address};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Why, for whoever looks at it next.
    reason: Vec<String>,
    /// Where the gateway's admin API is; any gateway of the group will do.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9900")]
    admin: String,
}

/// Stops all changes of capacity, or lets plans be acted on again.
///
/// # Errors
/// When no gateway answers there, or it refuses.
pub(super) fn run(args: &Args, freeze: bool) -> anyhow::Result<ExitCode> {
    let admin = address(&args.admin)?;
    let path = if freeze { "/freeze" } else { "/thaw" };
    let body = json!({ "reason": args.reason.join(" ") });
    let answer = post(admin, path, &body).context("nothing was changed")?;
    let answer: Value =
        serde_json::from_slice(&answer).context("its answer is not that of a gateway")?;
    match answer["frozen"]["since"].as_str() {
        Some(since) => println!(
            "frozen since {since}: no gateway of the group changes capacity; `pacer thaw` lets it go on"
        ),
        None => println!("not frozen: plans are acted on"),
    }
    Ok(ExitCode::SUCCESS)
}
