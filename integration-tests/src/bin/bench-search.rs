//! Measures searches in a large home, and prints the figures.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use indicatif::MultiProgress;
use skein_integration_tests::bench::{Plan, searches};
use skein_integration_tests::fixture::Size;
use skein_integration_tests::paths;

/// Measures searches for a frequent text, for a text in one old thread, and for an absent text. Each runs
/// without and with the text index. Prints a table in Markdown. The home is cached; each run adds a turn to
/// its oldest thread and rebuilds the text index.
#[derive(Debug, Parser)]
#[command(name = "bench-search")]
struct Arguments {
    /// Size of the home.
    #[arg(long, value_enum, default_value = "thousands")]
    size: Size,
    /// Folder with the cached homes.
    #[arg(long, value_name = "DIR", env = "SKEIN_BENCH_HOME", default_value = "target/bench-store")]
    cache: PathBuf,
    /// Program of the server; default: the program built together with this one.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let server = arguments.server.map_or_else(paths::skein, Ok)?;
    let cache = std::path::absolute(&arguments.cache).context("--cache is not a path")?;
    let plan = Plan::new(vec![arguments.size], cache, server, false);
    let figures = searches::run(&plan, arguments.size, &MultiProgress::new()).await?;
    write!(std::io::stdout(), "{figures}")?;
    Ok(())
}
