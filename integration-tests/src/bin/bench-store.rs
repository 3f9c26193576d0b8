//! Measures what a large history costs, and prints the figures.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use indicatif::MultiProgress;
use skein_integration_tests::bench::{self, Plan};
use skein_integration_tests::fixture::Size;
use skein_integration_tests::paths;
use tokio::signal::unix::{SignalKind, signal};

/// Measures starts, lists, resumes and appends with histories of several sizes, and prints tables in Markdown. Homes are
/// made once and stay in a folder; each run adds a few threads to them.
#[derive(Debug, Parser)]
#[command(name = "bench-store")]
struct Arguments {
    /// Sizes of homes, beside an empty one.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["small", "medium", "large"])]
    sizes: Vec<Size>,
    /// Fewer rounds: orders of magnitude.
    #[arg(long)]
    quick: bool,
    /// Print every figure as one JSON document.
    #[arg(long)]
    json: bool,
    /// Where the homes stay.
    #[arg(long, value_name = "DIR", env = "SKEIN_BENCH_HOME", default_value = "target/bench-store")]
    cache: PathBuf,
    /// The server's program; the one that was built with this one when nothing is said.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
}

/// Waits for Ctrl-C or SIGTERM, and names it.
async fn told_to_end() -> Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ctrl_c = tokio::signal::ctrl_c() => ctrl_c.map(|()| "Ctrl-C").context("no word of Ctrl-C"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let server = arguments.server.map_or_else(paths::skein, Ok)?;
    let cache = std::path::absolute(&arguments.cache).context("--cache names no place")?;
    let plan = Plan::new(arguments.sizes, cache, server, arguments.quick);
    let bars = MultiProgress::new();
    let report = tokio::select! {
        report = bench::run(&plan, &bars) => report?,
        // What is dropped then ends its server.
        said = told_to_end() => bail!("ended by {}; homes that are whole stay", said?),
    };
    let mut out = std::io::stdout();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}
