//! `skein fsck`: checks a home, repairs whatever it can without loss, and removes unreferenced texts. Threads in a database are only
//! checked.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use skein_app_server::telemetry::{self, Stderr};
use skein_base::tasks::Tasks;
use skein_postgres::lines::PgLines;
use skein_protocol::ids::ThreadId;
use skein_store::fsck::blobs::Unnamed;
use skein_store::fsck::finding::{FsckSummary, IndexLook};
use skein_store::fsck::{self, FsckNotice, FsckRequest, Gc, Mend};

use super::database::{self, NamedDatabase};
use super::out::causes;
use super::outputs::{FsckOutcome, UnnamedLine};
use super::progress::ProgressDisplay;
use super::{home, print_json, print_line, say};

/// The exit code for a check that could not run.
const OPERATIONAL: u8 = 8;
/// The exit code for wrong arguments.
pub(super) const USAGE: u8 = 16;

#[derive(Debug, Args)]
pub(super) struct Fsck {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The PostgreSQL database of `skein serve --store`, which is only read [default: $SKEIN_STORE, store.url in config.toml, or the
    /// one that the home was last served with]. Servers may go on.
    #[arg(long, value_name = "URL", conflicts_with_all = ["repair", "gc"])]
    store: Option<String>,
    /// Repair what can be repaired without loss. No server may have the home.
    #[arg(long)]
    repair: bool,
    /// Remove texts in blobs/ that no rollout names, such as those of purged threads, and incomplete files of a
    /// killed server. No server may have the home.
    #[arg(long, conflicts_with = "threads")]
    gc: bool,
    /// Print each finding, and at the end a summary, as a line of JSON.
    #[arg(long)]
    json: bool,
    /// Check only these threads.
    #[arg(value_name = "THREAD")]
    threads: Vec<ThreadId>,
}

impl Fsck {
    /// Exit codes are those of fsck(8).
    pub(super) async fn run(self) -> ExitCode {
        telemetry::start(Stderr::Direct);
        match self.check().await {
            Ok(summary) => ExitCode::from(summary.exit_code()),
            Err(error) => {
                say(causes(&error));
                ExitCode::from(OPERATIONAL)
            }
        }
    }

    async fn check(self) -> anyhow::Result<FsckSummary> {
        let database = NamedDatabase::of(self.home.as_ref(), self.store.as_ref())?;
        let (shown, place) = match &database {
            Some(database) => (ProgressDisplay::of("threads", self.json), Some(database.place.clone())),
            None => (ProgressDisplay::in_bytes("histories", self.json), None),
        };
        let mut output = FsckOutput { shown, json: self.json, place, printed: Ok(()), beside: None };
        let done = match database {
            Some(database) => self.check_database(database, &mut output).await,
            None => self.check_home(&mut output).await,
        };
        output.finish(done)
    }

    async fn check_home(&self, output: &mut FsckOutput) -> anyhow::Result<FsckSummary> {
        let home = home(self.home.as_ref())?;
        let mend = if self.repair { Mend::Yes } else { Mend::No };
        let gc = if self.gc { Gc::Yes } else { Gc::No };
        let order = FsckRequest { mend, gc, threads: self.only() };
        Ok(fsck::run(&home, &order, &mut |told| output.take(told)).await?)
    }

    /// Checks the threads of a database, as they are now.
    async fn check_database(
        &self,
        database: NamedDatabase,
        output: &mut FsckOutput,
    ) -> anyhow::Result<FsckSummary> {
        let place = database.place.clone();
        if self.repair || self.gc {
            bail!(
                "{place} has the threads, and is only read; docs/postgresql.md says what to do about each fault"
            );
        }
        let tasks = Tasks::new();
        let checked = async {
            let snapshot = Arc::new(database.open().await?.snapshot().await?);
            let (store, index) = database::threads(&snapshot, &tasks).await?;
            let lines = PgLines::new(store, index);
            let done = fsck::lines::run(lines.snapshot(), &self.only(), &mut |told| output.take(told)).await;
            anyhow::Ok(done?)
        };
        let checked = checked.await;
        tasks.finish().await;
        checked.context(place)
    }

    fn only(&self) -> BTreeSet<ThreadId> {
        self.threads.iter().copied().collect()
    }
}

/// The output of a check while it runs.
struct FsckOutput {
    shown: ProgressDisplay,
    json: bool,
    /// The database, which the command may have found by itself.
    place: Option<String>,
    /// The outcome of the first print that failed.
    printed: anyhow::Result<()>,
    /// The server of the home, which keeps its list of threads from being compared.
    beside: Option<String>,
}

impl FsckOutput {
    fn take(&mut self, told: FsckNotice<'_>) {
        match told {
            FsckNotice::Served(served) => self.beside = Some(served.to_string()),
            FsckNotice::Progress(done, total) => self.shown.bar_at(done, total),
            FsckNotice::Finding(finding) => {
                self.print(&if self.json { json_line(finding) } else { finding.to_string() });
            }
            FsckNotice::Unnamed(unnamed) => {
                let json = || json_line(&UnnamedLine { unnamed });
                self.print(&if self.json { json() } else { unnamed_in_words(unnamed) });
            }
        }
    }

    fn print(&mut self, text: &str) {
        let now = self.shown.above(|| print_line(text));
        if self.printed.is_ok() {
            self.printed = now;
        }
    }

    /// Prints the summary.
    fn finish(self, done: anyhow::Result<FsckSummary>) -> anyhow::Result<FsckSummary> {
        drop(self.shown);
        let summary = done?;
        self.printed?;
        match self.json {
            true => print_json(&FsckOutcome { summary: &summary })?,
            false => print_line(&in_words(&summary, self.place.as_deref()))?,
        }
        self.beside.iter().for_each(|served| not_compared(served));
        Ok(summary)
    }
}

/// A line of the output, with its members in the order of their names.
fn json_line<T: Serialize + JsonSchema>(line: &T) -> String {
    // These types have names for members, and no other reason to fail.
    json!(line).to_string()
}

/// Names the part that a check beside a server leaves out.
fn not_compared(served: &str) {
    let served = served.split("; stop it").next().unwrap_or_default();
    say(format_args!(
        "not compared: the list of threads, because {served}; skein stop, then skein fsck compares it"
    ));
}

fn unnamed_in_words(unnamed: &Unnamed) -> String {
    let Unnamed { path, bytes, removed } = unnamed;
    let outcome = if *removed { " (removed)" } else { "" };
    format!("{}: named by no rollout, {bytes} bytes{outcome}", path.display())
}

fn in_words(summary: &FsckSummary, database: Option<&str>) -> String {
    let FsckSummary { rollouts, records, blobs, findings, mended, left, .. } = summary;
    let read = format!("{rollouts} rollouts with {records} records");
    let found = if *findings == 0 { "clean".to_owned() } else { format!("{mended} mended, {left} not") };
    let unnamed = blobs.unnamed - blobs.removed;
    let bytes = blobs.unnamed_bytes - blobs.removed_bytes;
    let place = database.map_or(String::new(), |place| format!("{place}: "));
    let mut words = format!("{place}{read}: {found}");
    if blobs.removed > 0 {
        words += &format!(
            "; {} texts that no rollout names removed, {} bytes",
            blobs.removed, blobs.removed_bytes
        );
    }
    if summary.index == IndexLook::NotCompared {
        words += "; the index was not compared: its folder cannot be written";
    }
    if unnamed > 0 {
        let way_out = if database.is_some() { "a server removes them" } else { "--gc removes them" };
        words += &format!("; {unnamed} texts that no rollout names, {bytes} bytes: {way_out}");
    }
    words
}
