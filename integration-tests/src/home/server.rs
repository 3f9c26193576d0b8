//! One server process, from start to exit.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{Setup, edge, pid_one};
use crate::users::OpenProgram;
use crate::{paths, process};

/// File beside the home with the server's log.
pub(super) const LOG: &str = "server.log";

/// Limit from the start of the program to its ready line.
const START_BOUND: Duration = Duration::from_secs(60);

/// A started server.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub(super) pid: u32,
    /// Each address, the first port first.
    pub(super) addresses: Vec<String>,
    exit: Option<Exit>,
}

/// The command for the server. The server's environment has the tag of this test; its parents' has not.
fn command(setup: &Setup, folder: &Path, skein: &Path) -> anyhow::Result<Command> {
    if let Some(seen) = &setup.edge {
        let mut command = edge::server(seen, folder, skein);
        command.env(process::TAG, &setup.tag);
        return Ok(command);
    }
    if setup.pid_one {
        let [first, rest @ ..] = &pid_one::server(&setup.tag)?[..] else { bail!("no program") };
        let mut command = Command::new(first);
        command.args(rest).env_remove(process::TAG);
        return Ok(command);
    }
    let limit = |which: &str, most: u64| -> anyhow::Result<Command> {
        let mut shell = Command::new("sh");
        let script = format!("ulimit {which} \"$0\" && exec \"$@\"");
        shell.args(["-c", &script, &most.to_string()]).arg(skein);
        Ok(shell)
    };
    let mut command = match (setup.soft_files, setup.hard_files) {
        (None, None) => Command::new(skein),
        (Some(soft), None) => limit("-Sn", soft)?,
        (_, Some(hard)) => limit("-n", hard)?,
    };
    command.env(process::TAG, &setup.tag);
    Ok(command)
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

/// The ready line of a server.
#[derive(Debug, Deserialize)]
struct Ready {
    addresses: Vec<String>,
    pid: u32,
}

impl Server {
    /// Starts a server on the home in `folder`, and waits until it accepts connections.
    pub(super) async fn start(setup: &Setup, folder: &Path) -> anyhow::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(folder.join(LOG))?;
        let program = setup.program.clone().map_or_else(paths::skein, Ok)?;
        let opened = setup.user.map(|_| OpenProgram::open(&program)).transpose()?;
        let mut command = command(setup, folder, &opened.as_ref().map_or(program, OpenProgram::path))?;
        command
            .args(["serve", "--test-fences", "--home"])
            .arg(folder.join("home"))
            .args(setup.listen.iter().flat_map(|address| ["--listen", address]))
            .args(&setup.arguments)
            .env_remove("SKEIN_HOME")
            .env_remove("ANTHROPIC_API_KEY")
            .env_remove("OPENAI_API_KEY")
            .envs(&setup.env)
            .current_dir(setup.edge.as_ref().map_or(folder, |seen| &seen.working))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some(user) = setup.user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn().context("the server does not start")?;
        drop(opened);
        let stdout = child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START_BOUND, lines.next_line()).await;
        let line = line.with_context(|| format!("the server does not accept within {START_BOUND:?}"))??;
        let Some(line) = line else {
            let exit = child.wait().await?;
            let log = std::fs::read_to_string(folder.join(LOG)).unwrap_or_default();
            bail!("the server has ended at its start with {exit}:\n{log}");
        };
        let ready: Ready =
            serde_json::from_str(&line).with_context(|| format!("not the ready line: {line}"))?;
        let child_pid = child.id().context("the server has ended")?;
        let (pid, own_pid) = if setup.pid_one {
            let first = process::all().into_iter().find(|process| process.parent == child_pid);
            (first.context("the namespace is empty")?.pid, 1)
        } else {
            (child_pid, child_pid)
        };
        anyhow::ensure!(ready.pid == own_pid, "the server reports pid {}", ready.pid);
        Ok(Self { child, pid, addresses: ready.addresses, exit: None })
    }

    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        // An ended child keeps its pid until it is reaped, so the signal cannot reach another process. Our
        // child reaps PID 1 of a namespace, and ends then.
        self.child.id().context("the server has ended")?;
        let pid = self.pid;
        kill(Pid::from_raw(pid.cast_signed()), signal).with_context(|| format!("{signal} to {pid}"))
    }

    pub(super) async fn exited(&mut self, bound: Duration) -> anyhow::Result<Exit> {
        let status = tokio::time::timeout(bound, self.child.wait()).await;
        let status = status.with_context(|| format!("the server has not ended within {bound:?}"))??;
        let exit = exit(status)?;
        self.exit = Some(exit);
        Ok(exit)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.exit.is_some()
    }

    /// Whether the server ended by itself, and well.
    pub(super) fn has_stopped(&self) -> bool {
        self.exit == Some(Exit::Code(0))
    }

    /// Kills the server and waits for its end, without a runtime. PID 1 of a namespace ends with its parent.
    pub(super) fn kill_now(&mut self) {
        if let Some(pid) = self.child.id() {
            let pid = Pid::from_raw(pid.cast_signed());
            // The server may have ended by itself; either way it is gone afterwards.
            kill(pid, Signal::SIGKILL).ok();
            waitpid(pid, None).ok();
        }
    }
}

fn exit(status: ExitStatus) -> anyhow::Result<Exit> {
    let exit = status.code().map(Exit::Code).or(status.signal().map(Exit::Signal));
    exit.with_context(|| format!("neither code nor signal: {status}"))
}
