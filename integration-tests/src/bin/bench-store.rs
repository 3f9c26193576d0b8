//! Measures what a large history costs, and prints the figures.

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use indicatif::MultiProgress;
use serde::Serialize;
use skein_integration_tests::bench::texts::{self, Messages};
use skein_integration_tests::bench::{self, Plan};
use skein_integration_tests::fixture::Size;
use skein_integration_tests::paths;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Measures starts, lists, resumes and appends with histories of several sizes, and prints tables in Markdown. Homes are
/// made once and stay in a folder; each run adds a few threads to them.
#[derive(Debug, Parser)]
#[command(name = "bench-store")]
struct Arguments {
    /// Sizes of homes, beside an empty one.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["small", "medium", "large"])]
    sizes: Vec<Size>,
    /// Only threads of large messages: with their texts in the lines of the rollout, and beside it.
    #[arg(long, conflicts_with = "sizes")]
    texts: bool,
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

/// What a user says in a thread of large messages.
const MESSAGES: Messages = Messages { count: 40, bytes: 2 << 20 };

/// The signals that end it.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    /// From here on they end nothing by themselves.
    fn taken() -> Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)? })
    }

    /// Waits for one, and names it.
    async fn come(mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let server = arguments.server.map_or_else(paths::skein, Ok)?;
    let cache = std::path::absolute(&arguments.cache).context("--cache names no place")?;
    let plan = Plan::new(arguments.sizes, cache, server, arguments.quick);
    let bars = MultiProgress::new();
    // Before the first server, which would outlive a benchmark that a signal ends.
    let ends = Ends::taken()?;
    let print = arguments.json;
    let measured = async {
        if arguments.texts {
            in_words(&texts::measure(&plan, MESSAGES).await?, print)
        } else {
            in_words(&bench::run(&plan, &bars).await?, print)
        }
    };
    let words = tokio::select! {
        words = measured => words?,
        // What is dropped then ends its server.
        said = ends.come() => bail!("ended by {said}; homes that are whole stay"),
    };
    write!(std::io::stdout(), "{words}")?;
    Ok(())
}

/// Figures as a table, or all of them as JSON.
fn in_words(figures: &(impl Display + Serialize), json: bool) -> Result<String> {
    Ok(if json { format!("{}\n", serde_json::to_string_pretty(figures)?) } else { figures.to_string() })
}
