//! `skein export`: writes one thread's history for programs or people.

use std::fs::OpenOptions;
use std::io::{BufWriter, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use skein_app_server::export::{self, ExportError, Exported, Format};
use skein_app_server::telemetry::{self, Stderr};
use skein_protocol::ids::ThreadId;
use skein_store::home::FILE_MODE;

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
        let home = home(self.home.as_ref())?;
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
                let done = export::run(&home, self.thread, format, &mut file).await;
                if done.is_err() {
                    // An incomplete export is removed; the error gives the reason.
                    std::fs::remove_file(path).ok();
                }
                done
            }
            None => export::run(&home, self.thread, format, &mut Foreign::stdout()).await,
        };
        drop(waiting);
        report(done)
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
