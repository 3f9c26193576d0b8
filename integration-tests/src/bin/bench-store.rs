//! Measures the cost of a large history, and prints the figures.

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

/// Measures starts, lists, resumes and appends with histories of several sizes, and prints tables in
/// Markdown. Homes are cached in a folder; each run adds a few threads to them.
#[derive(Debug, Parser)]
#[command(name = "bench-store")]
struct Arguments {
    /// Sizes of homes, beside an empty home.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["small", "medium", "large"])]
    sizes: Vec<Size>,
    /// Only threads of large messages: with texts inside the rollout, and beside it.
    #[arg(long, conflicts_with = "sizes")]
    texts: bool,
    /// Fewer rounds, for orders of magnitude.
    #[arg(long)]
    quick: bool,
    /// Print every figure as one JSON document.
    #[arg(long)]
    json: bool,
    /// Folder with the cached homes.
    #[arg(long, value_name = "DIR", env = "SKEIN_BENCH_HOME", default_value = "target/bench-store")]
    cache: PathBuf,
    /// Program of the server; default: the program built together with this one.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
}

/// The messages that a user sends in a thread of large messages.
const MESSAGES: Messages = Messages { count: 40, bytes: 2 << 20 };

/// The signals that end the benchmark.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    /// Takes over the signals. From now on they no longer end the program by themselves.
    fn taken() -> Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: signal(interrupt)?, terminate: signal(terminate)? })
    }

    /// Waits for a signal. Returns its name.
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
    let cache = std::path::absolute(&arguments.cache).context("--cache is not a path")?;
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
        // Dropping the measurement ends its server.
        signal = ends.come() => bail!("ended by {signal}; complete homes stay"),
    };
    write!(std::io::stdout(), "{words}")?;
    Ok(())
}

/// Figures as a table, or all of them as JSON.
fn in_words(figures: &(impl Display + Serialize), json: bool) -> Result<String> {
    Ok(if json { format!("{}\n", serde_json::to_string_pretty(figures)?) } else { figures.to_string() })
}
