//! Makes a home with histories, for tests and benchmarks.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use skein_integration_tests::fixture::{self, Force, Order, Size};

/// Makes a home with histories: finished, failed, interrupted, unfinished, torn and damaged ones, and ones
/// without their beginning. The same seed gives the same bytes.
#[derive(Debug, Parser)]
#[command(name = "skein-fixture")]
struct Arguments {
    /// The home; a new or empty folder.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// Size of the home.
    #[arg(long, value_enum)]
    size: Size,
    /// Seed of every choice.
    #[arg(long, value_name = "N", default_value_t = fixture::SEED)]
    seed: u64,
    /// Delete the existing histories, open markers and index of the home.
    #[arg(long)]
    force: bool,
    /// Print a summary as one JSON document.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let order = Order {
        home: arguments.home,
        size: arguments.size,
        seed: arguments.seed,
        force: if arguments.force { Force::Yes } else { Force::No },
    };
    let progress = ProgressBar::no_length();
    let style = "{bar:30} {human_pos} of {human_len} events, {eta} to go";
    progress.set_style(ProgressStyle::with_template(style)?);
    let summary = fixture::build(&order, &progress)?;
    let mut out = std::io::stdout();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;
    } else {
        write!(out, "{summary}")?;
    }
    Ok(())
}
