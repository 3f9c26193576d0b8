//! `skein export`: writes one thread's history for programs or people.

use std::fs::OpenOptions;
use std::io::{BufWriter, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};
use skein_app_server::export::{self, ExportError, Exported, Format};
use skein_app_server::telemetry::{self, Stderr};
use skein_base::tasks::Tasks;
use skein_protocol::ids::ThreadId;
use skein_store::home::{FILE_MODE, existing};
use skein_store::rollout::RolloutStore;
use skein_store::rollout::file::FileStore;
use skein_store::rollout::file::layer::DiskLayer;

use super::database::{self, NamedDatabase};
use super::out::Foreign;
use super::progress::Waiting;
use super::{home, say};

/// The exit code for an unknown thread.
const UNKNOWN: u8 = 4;

#[derive(Debug, Args)]
pub(super) struct Export {
    /// The thread's id.
    thread: ThreadId,
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The PostgreSQL database of `skein serve --store` [default: $SKEIN_STORE, store.url in config.toml, or the one that the home
    /// was last served with].
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The records of the rollout, or a conversation for people.
    #[arg(long, default_value = "jsonl")]
    format: Words,
    /// A new file to write to, instead of stdout. A file gets the text unchanged; a terminal gets no control
    /// characters.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Words {
    Jsonl,
    Markdown,
}

impl Export {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        telemetry::start(Stderr::Direct);
        let source = self.source().await?;
        let format = match self.format {
            Words::Jsonl => Format::Jsonl,
            Words::Markdown => Format::Markdown,
        };
        // A terminal shows the lines themselves.
        let is_shown = self.out.is_none() && std::io::stdout().is_terminal();
        let waiting = Waiting::of(&format!("exporting thread {}", self.thread), is_shown);
        let done = match &self.out {
            Some(path) => {
                let mut options = OpenOptions::new();
                // Private, as in the home.
                let file = options.write(true).create_new(true).mode(FILE_MODE).open(path);
                let mut file = BufWriter::new(file.with_context(|| path.display().to_string())?);
                let done = export::run(source.parts(), self.thread, format, &mut file).await;
                if done.is_err() {
                    // An incomplete export is removed; the error gives the reason.
                    std::fs::remove_file(path).ok();
                }
                done
            }
            None => export::run(source.parts(), self.thread, format, &mut Foreign::stdout()).await,
        };
        drop(waiting);
        source.finish().await;
        report(done)
    }

    async fn source(&self) -> anyhow::Result<ExportedStore> {
        match NamedDatabase::of(self.home.as_ref(), self.store.as_ref())? {
            Some(database) => ExportedStore::database(database).await,
            None => ExportedStore::files(&home(self.home.as_ref())?),
        }
    }
}

/// A store that is read, and its place as errors name it.
struct ExportedStore {
    store: Box<dyn RolloutStore>,
    place: String,
    tasks: Tasks,
}

impl ExportedStore {
    fn files(home: &Path) -> anyhow::Result<Self> {
        let (paths, tasks) = (existing(home)?, Tasks::new());
        let store = FileStore::look(&paths, Arc::new(DiskLayer), tasks.clone());
        Ok(Self { store: Box::new(store), place: home.display().to_string(), tasks })
    }

    async fn database(database: NamedDatabase) -> anyhow::Result<Self> {
        let (place, tasks) = (database.place.clone(), Tasks::new());
        let database = Arc::new(database.open().await?);
        let (store, _index) = database::threads(&database, &tasks).await.with_context(|| place.clone())?;
        Ok(Self { store: Box::new(store), place, tasks })
    }

    fn parts(&self) -> (&dyn RolloutStore, &str) {
        (&*self.store, &self.place)
    }

    async fn finish(self) {
        drop(self.store);
        self.tasks.finish().await;
    }
}

fn report(done: Result<Exported, ExportError>) -> anyhow::Result<ExitCode> {
    match done {
        Ok(Exported { missing, lost, .. }) => {
            if missing > 0 {
                say(format_args!("{missing} records are missing, because their lines are damaged"));
            }
            if lost > 0 {
                say(format_args!("{lost} records lack a text, and say so in its place"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(unknown @ ExportError::Unknown { .. }) => {
            say(unknown);
            Ok(ExitCode::from(UNKNOWN))
        }
        Err(error) => Err(error.into()),
    }
}
