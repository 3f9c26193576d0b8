//! Measures what searches cost in a large home, and prints the figures.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::MultiProgress;
use skein_integration_tests::bench::{Plan, searches};
use skein_integration_tests::fixture::Size;
use skein_integration_tests::paths;

/// Measures searches for a text that is everywhere, in one old thread, and nowhere, by looking at every thread and with the
/// text index, in one run, and prints a table in Markdown. The home is made once and stays; each run adds a turn to its
/// oldest thread and makes the text index anew.
#[derive(Debug, Parser)]
#[command(name = "bench-search")]
struct Arguments {
    /// The size of the home.
    #[arg(long, value_enum, default_value = "thousands")]
    size: Size,
    /// Where the homes stay.
    #[arg(long, value_name = "DIR", env = "SKEIN_BENCH_HOME", default_value = "target/bench-store")]
    cache: PathBuf,
    /// The server's program; the one that was built with this one when nothing is said.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let server = arguments.server.map_or_else(paths::skein, Ok)?;
    let cache = std::path::absolute(&arguments.cache).context("--cache names no place")?;
    let plan = Plan::new(vec![arguments.size], cache, server, false);
    let figures = searches::run(&plan, arguments.size, &MultiProgress::new()).await?;
    write!(std::io::stdout(), "{figures}")?;
    Ok(())
}
