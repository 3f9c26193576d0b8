//! `skein stop`: ends the server of a home, and waits for its end.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_base::clock::Clock;
use skein_store::home::{Holder, HomePaths, SERVE, holder};

use super::outputs::StopOutcome;
use super::progress::Waiting;
use super::status::counted;
use super::{home, print_json, print_line, say, state};

#[derive(Debug, Args)]
pub(super) struct StopServer {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print the outcome as JSON, on one line.
    #[arg(long)]
    json: bool,
}

impl StopServer {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let root = std::path::absolute(home(self.home.as_ref())?).context("the home's path")?;
        let paths = HomePaths::new(&root);
        let Some(server) = holder(&paths) else {
            if self.json {
                print_json(&StopOutcome { stopped: None, ms: None, waited_for: None })?;
            }
            say(format_args!("no server is running on {}: there is nothing to stop", root.display()));
            return Ok(ExitCode::FAILURE);
        };
        let pid = process(&root, &server)?;
        let work = work(&root).await;
        let began = Clock.now();
        end(pid, &root)?;
        let waiting = Waiting::of(&format!("process {pid} ends"), self.json);
        while holder(&paths).is_some_and(|holder| holder.pid == server.pid) || lives(pid) {
            tokio::time::sleep(skein_store::policy::HOME_LOOK).await;
        }
        drop(waiting);
        let took = Clock.now() - began;
        if self.json {
            let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            print_json(&StopOutcome { stopped: Some(pid.as_raw()), ms: Some(ms), waited_for: Some(work) })?;
        } else {
            print_line(&outcome(pid, &root, took, &work))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The process of the home's server.
fn process(root: &Path, server: &Holder) -> anyhow::Result<Pid> {
    let pid =
        server.pid.context("the system does not say which process serves the home; end it by its pid")?;
    if let Some(doing) = server.doing.as_deref().filter(|doing| *doing != SERVE) {
        bail!("process {pid} (skein {doing}) has {}, and is no server; wait for its end", root.display());
    }
    Ok(Pid::from_raw(i32::try_from(pid).context("the pid of the server")?))
}

fn end(pid: Pid, root: &Path) -> anyhow::Result<()> {
    match kill(pid, Signal::SIGTERM) {
        // It has ended meanwhile.
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(Errno::EPERM) => {
            bail!("process {pid} serves {} for another user; ask that user to stop it", root.display())
        }
        Err(error) => bail!("process {pid} cannot be stopped: {}", error.desc()),
    }
}

/// Whether the process exists and is no zombie.
fn lives(pid: Pid) -> bool {
    skein_base::system::proc::Process::read(pid).is_some_and(|process| !process.zombie)
}

/// The work of the server that a stop waits for, as phrases.
async fn work(root: &Path) -> Vec<String> {
    // A server that does not answer can be stopped.
    let Ok(status) = state::ask(root).await else { return Vec::new() };
    let counts = [
        (status.turns.running, "running turn"),
        (status.threads.loaded, "loaded thread"),
        (status.helpers.alive, "helper"),
    ];
    counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, thing)| counted(count, thing)).collect()
}

fn outcome(pid: Pid, root: &Path, took: Duration, work: &[String]) -> String {
    let seconds = took.as_secs_f64();
    let waited = if work.is_empty() { "nothing".to_owned() } else { work.join(", ") };
    format!("process {pid} of {} has ended after {seconds:.1} s; it waited for: {waited}", root.display())
}
