//! `skein reindex`: rebuilds the list of threads of a home from its histories.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use skein_app_server::telemetry::{self, Stderr};
use skein_store::index::Indexing;
use skein_store::reindex::{self, ReindexError, Reindexed};

use super::outputs::ReindexOutcome;
use super::progress::ProgressDisplay;
use super::{home, home_alone, print_json, print_line};

#[derive(Debug, Args)]
pub(super) struct Reindex {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print the progress, and at the end the outcome, as a line of JSON each.
    #[arg(long)]
    json: bool,
}

impl Reindex {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::start(Stderr::Direct);
        let home = home(self.home.as_ref())?;
        let mut shown = ProgressDisplay::of("histories", self.json);
        let done = reindex::run(&home, |Indexing { done, total }| shown.at(done, total)).await;
        drop(shown);
        match done {
            Ok(done) => {
                self.report(&done)?;
                Ok(ExitCode::SUCCESS)
            }
            Err(ReindexError::Home(error)) => home_alone::refused(error, self.json),
            Err(error) => Err(error.into()),
        }
    }

    fn report(&self, done: &Reindexed) -> anyhow::Result<()> {
        let (threads, ms) = (done.threads, u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX));
        if self.json {
            return print_json(&ReindexOutcome { complete: true, threads, ms });
        }
        print_line(&format!("the list was made anew from {threads} histories in {ms} ms"))
    }
}
