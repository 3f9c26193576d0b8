//! `skein backup`: what a home holds, in one file, whether it is served or not.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use skein_app_server::backup::Progress;
use skein_app_server::backup::make::{self, Made, Order};

use super::{home, print_line};

/// Steps of the progress that `--json` prints, at most.
const STEPS: u64 = 100;

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
    /// Print the progress, and at the end the outcome, as a line of JSON each.
    #[arg(long)]
    json: bool,
}

impl Backup {
    pub fn run(self) -> anyhow::Result<()> {
        let home = home(self.home.as_ref())?;
        let order = Order { home: &home, file: &self.file, force: self.force };
        let mut told = Told::new(self.json);
        let made = make::make(order, |at| told.at("saved", at))?;
        told.end();
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

/// Progress: a bar on stderr where that is a terminal, or lines of JSON on stdout.
pub struct Told {
    bar: ProgressBar,
    json: bool,
    last: Option<(&'static str, Option<u64>)>,
}

impl Told {
    pub fn new(json: bool) -> Self {
        let bar = if json { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let template = "{wide_bar} {human_pos} of {human_len} files {msg}, {eta} to go";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, json, last: None }
    }

    pub fn at(&mut self, what: &'static str, Progress { done, total }: Progress) {
        let step = (what, (done * STEPS).checked_div(total));
        if self.json && self.last != Some(step) {
            // A reader that went away does not stop the work.
            print_line(&json!({ "step": what, "done": done, "total": total }).to_string()).ok();
        }
        self.last = Some(step);
        self.bar.set_message(what);
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
