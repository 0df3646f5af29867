//! `pacer-adapter`: any HTTP app as a Lambda function. See the library for what it does.

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Runs any HTTP app as a Lambda function; outside Lambda it becomes the app.
#[derive(Debug, Parser)]
#[command(name = "pacer-adapter", version)]
struct Cli {
    #[command(flatten)]
    args: pacer_adapter::Args,
}

// One thread: an environment answers one request at a time, and a start is billed.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    pacer_adapter::run(Cli::parse().args).await
}
