//! `skein backup`: what a home holds, in one file, whether it is served or not.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use skein_app_server::backup::Progress;
use skein_app_server::backup::make::{self, Made, Order};

use super::progress::Shown;
use super::{home, print_line};

#[derive(Debug, Args)]
pub struct Backup {
    /// The file to write: a tar archive under gzip.
    file: PathBuf,
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// Add the secrets that clients gave with threads (`config`): keep the file as you keep those. Without this, such helpers start
    /// only once a client names the secrets again.
    #[arg(long)]
    with_secrets: bool,
    /// Print the progress, and at the end the outcome, as a line of JSON each.
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub fn run(self) -> anyhow::Result<()> {
        let home = home(self.home.as_ref())?;
        let order = Order { home: &home, file: &self.file, force: self.force, secrets: self.with_secrets };
        let mut shown = Shown::in_steps("files", self.json);
        let made = make::make(order, |Progress { done, total }| shown.at_step("saved", done, total))?;
        shown.end();
        for path in &made.left_out {
            eprintln!(
                "skein: {} has no whole record or is no regular file, and is not in the backup",
                path.display()
            );
        }
        self.tell(&made)
    }

    fn tell(&self, made: &Made) -> anyhow::Result<()> {
        let Made { threads, files, bytes, size, left_out } = made;
        if self.json {
            let outcome = json!({
                "complete": true, "threads": threads, "files": files, "bytes": bytes, "size": size, "leftOut": left_out,
            });
            return print_line(&outcome.to_string());
        }
        let file = self.file.display();
        print_line(&format!("{threads} threads, {bytes} bytes, are in {file} ({size} bytes)"))
    }
}
