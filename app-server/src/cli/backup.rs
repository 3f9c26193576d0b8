//! `skein backup`: writes a home into one file, served or not.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use skein_store::backup::BackupProgress;
use skein_store::backup::make::{self, BackupRequest, MadeBackup, OmittedFile};

use super::outputs::BackupOutcome;
use super::progress::ProgressDisplay;
use super::{home, print_json, print_line, say};

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The file to write: a tar archive under gzip.
    file: PathBuf,
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// Add the secrets that clients gave with threads (`config`): protect the file like those. Without this, such
    /// helpers start only once a client names the secrets again.
    #[arg(long)]
    with_secrets: bool,
    /// Print the progress, and at the end the outcome, as a line of JSON each.
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let home = home(self.home.as_ref())?;
        let order =
            BackupRequest { home: &home, file: &self.file, force: self.force, secrets: self.with_secrets };
        let mut shown = ProgressDisplay::in_steps("files", self.json);
        let made = make::make(order, |BackupProgress { done, total }| shown.at_step("saved", done, total))?;
        drop(shown);
        for OmittedFile { path, why } in &made.left_out {
            say(format_args!("{} is not in the backup: {why}", path.display()));
        }
        self.report(&made)?;
        Ok(if made.left_out.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn report(&self, made: &MadeBackup) -> anyhow::Result<()> {
        let MadeBackup { threads, files, bytes, size, left_out } = made;
        if self.json {
            let (threads, files, bytes, size) = (*threads, *files, *bytes, *size);
            let complete = left_out.is_empty();
            return print_json(&BackupOutcome { complete, threads, files, bytes, size, left_out });
        }
        let file = self.file.display();
        let rest = match left_out.len() {
            0 => String::new(),
            count => format!("; {count} files are not"),
        };
        print_line(&format!("{threads} threads, {bytes} bytes, are in {file} ({size} bytes){rest}"))
    }
}
