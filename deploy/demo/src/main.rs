//! `pacer-demo`: the demo workload as a program of its own.

use clap::Parser;

/// An image service to route requests to: thumbnails, resized photos, rendered films.
#[derive(Parser)]
#[command(name = "pacer-demo", version)]
struct Cli {
    #[command(flatten)]
    args: pacer_demo::Args,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    // One thread takes requests; the image work has threads of its own.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(pacer_demo::run(cli.args))
}
