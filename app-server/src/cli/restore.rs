//! `skein restore`: restores a backup into a home.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use skein_app_server::telemetry::{self, Stderr};
use skein_store::backup::restore::{self, Restored};
use skein_store::backup::{BackupProgress, check};

use super::outputs::RestoreOutcome;
use super::progress::ProgressDisplay;
use super::{home, home_alone, print_json, print_line};

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup, as `skein backup` wrote it.
    file: PathBuf,
    /// The home; created if missing [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Add the missing threads to a home that is not empty; existing data stays unchanged.
    #[arg(long)]
    force: bool,
    /// Print the progress, and at the end the outcome, as a line of JSON each.
    #[arg(long)]
    json: bool,
}

impl Restore {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::start(Stderr::Direct);
        let root = home(self.home.as_ref())?;
        restore::may(&root, self.force)?;
        let mut shown = ProgressDisplay::in_steps("files", self.json);
        // The total is known only at the end.
        let checked = check::check(&self.file, &mut |done| shown.at_step("checked", done, done))?;
        let mut home = match home_alone::take(&root, restore::DOING, self.json)? {
            Ok(home) => home,
            Err(code) => return Ok(code),
        };
        let mut step = |what, BackupProgress { done, total }| shown.at_step(what, done, total);
        let restored = restore::put(&mut home, &self.file, &checked, self.force, &mut step).await?;
        drop(shown);
        self.report(&restored)?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, restored: &Restored) -> anyhow::Result<()> {
        let Restored { threads, there, config, resumed } = restored;
        if self.json {
            let (threads, there, config, resumed) = (*threads, *there, *config, *resumed);
            return print_json(&RestoreOutcome { complete: true, threads, there, config, resumed });
        }
        let settings = if *config { "the settings came with them" } else { "settings were left as they are" };
        let earlier = if *resumed { "an earlier restore was brought to its end: " } else { "" };
        print_line(&format!(
            "{earlier}{threads} threads were restored, {there} were there already; {settings}"
        ))
    }
}
