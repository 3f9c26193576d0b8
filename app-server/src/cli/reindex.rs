//! `skein reindex`: the list of threads of a home, made anew from its histories.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use skein_app_server::index::Indexing;
use skein_app_server::reindex::{self, ReindexError, Reindexed};
use skein_app_server::telemetry;

use super::{home, home_alone, print_line};

/// Steps of the progress that `--json` prints, at most.
const STEPS: u64 = 100;

#[derive(Debug, Args)]
pub struct Reindex {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print the progress, and at the end the outcome, as a line of JSON each.
    #[arg(long)]
    json: bool,
}

impl Reindex {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::start();
        let home = home(self.home.as_ref())?;
        let outcome = if self.json { told_as_json(&home).await } else { told_as_a_bar(&home).await };
        match outcome {
            Ok(done) => {
                self.tell(&done)?;
                Ok(ExitCode::SUCCESS)
            }
            Err(ReindexError::Home(error)) => home_alone::refused(error, self.json),
            Err(error) => Err(error.into()),
        }
    }

    fn tell(&self, done: &Reindexed) -> anyhow::Result<()> {
        let (threads, ms) = (done.threads, u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX));
        if self.json {
            return print_line(&json!({ "complete": true, "threads": threads, "ms": ms }).to_string());
        }
        print_line(&format!("the list was made anew from {threads} histories in {ms} ms"))
    }
}

async fn told_as_json(home: &std::path::Path) -> Result<Reindexed, ReindexError> {
    let mut last = None;
    let told = |Indexing { done, total }: Indexing| {
        let step = (done * STEPS).checked_div(total);
        if step != last {
            last = step;
            // A reader that went away does not stop the work.
            print_line(&json!({ "done": done, "total": total }).to_string()).ok();
        }
    };
    reindex::run(home, told).await
}

/// A bar on stderr, where that is a terminal.
async fn told_as_a_bar(home: &std::path::Path) -> Result<Reindexed, ReindexError> {
    let bar = ProgressBar::no_length();
    if let Ok(style) =
        ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} histories, {eta} to go")
    {
        bar.set_style(style);
    }
    let told = |Indexing { done, total }: Indexing| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let done = reindex::run(home, told).await;
    bar.finish_and_clear();
    done
}
