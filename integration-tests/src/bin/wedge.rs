//! Measures calls beside stuck helpers, and prints a table. This benchmark sets no limits.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use skein_integration_tests::wedge::figures::{Plan, run};
use skein_integration_tests::wedge::report::{GOAL, page, table, worst};

/// Asks a server for its status, its loaded threads and turns, beside helpers that are stuck with a call in
/// flight, and beside the same helpers when they work. Both take turns.
#[derive(Debug, Parser)]
#[command(name = "wedge")]
struct Arguments {
    /// Numbers of stuck helpers, one measurement each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
    helpers: Vec<usize>,
    /// Calls of each kind in a block.
    #[arg(long, default_value_t = 1000)]
    calls: usize,
    /// Number of blocks without and with stuck helpers.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Also write the page to this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { helpers, calls, rounds, write } = Arguments::parse();
    let plan = Plan { counts: helpers, calls, rounds };
    let progress = ProgressBar::new(0);
    progress.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {elapsed}")?);
    let figures = run(&plan, &progress).await?;
    progress.finish_and_clear();
    let mut out = std::io::stdout();
    writeln!(out, "{}\nthe worst p99 ratio: {:.2} (goal: below {GOAL})", table(&figures), worst(&figures))?;
    if let Some(file) = write {
        std::fs::write(file, page(&plan, &figures))?;
    }
    Ok(())
}
