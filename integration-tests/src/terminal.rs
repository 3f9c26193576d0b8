//! A program in an invisible terminal: tests type into it and read its screen. It runs under tmux on a
//! private socket.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use crate::process::{TAG, tagged, wait_until};

/// Columns and lines. A test's whole output fits on one screen.
const SIZE: (u16, u16) = (100, 150);
/// Pause between two looks at the screen.
const LOOK: Duration = Duration::from_millis(50);
/// Pause before a key is pressed again that the program may have missed.
const PRESS_AGAIN: Duration = Duration::from_millis(300);

/// A terminal with one program. Drop ends the program and all its children.
#[derive(Debug)]
pub struct Terminal {
    /// Name of tmux's socket, and the tag of every process in the terminal.
    name: String,
    /// File with the program's exit code. tmux does not always notice the exit, so the shell writes it.
    exit: PathBuf,
}

impl Terminal {
    /// Starts a program with these variables in a folder.
    ///
    /// # Errors
    /// Fails if there is no tmux, or no such program.
    pub async fn start(
        command: &[&OsStr],
        variables: &[(&str, &OsStr)],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let name = format!("skein-{}", Uuid::now_v7().simple());
        let exit = std::env::temp_dir().join(format!("{name}.exit"));
        let terminal = Self { name, exit };
        let (columns, lines) = (SIZE.0.to_string(), SIZE.1.to_string());
        let mut tmux =
            terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &lines, "-c"]);
        tmux.arg(folder);
        for (name, value) in variables {
            let mut variable = OsStr::new(name).to_owned();
            variable.push("=");
            variable.push(value);
            tmux.arg("-e").arg(variable);
        }
        tmux.arg("-e").arg(format!("{TAG}={}", terminal.name)).args(["--", "sh", "-c"]);
        tmux.arg(r#""$@"; echo $? >"$0""#).arg(&terminal.exit).args(command);
        // Keep the program's last screen and its exit.
        tmux.args([";", "set-option", "-g", "remain-on-exit", "on"]);
        finished(tmux).await?;
        Ok(terminal)
    }

    /// Text of the screen. Lines wrapped by the terminal are joined.
    ///
    /// # Errors
    /// Fails if the terminal is gone.
    pub async fn screen(&self) -> anyhow::Result<String> {
        finished(self.tmux(&["capture-pane", "-p", "-J"])).await
    }

    /// Polls the screen until `holds` returns a value.
    ///
    /// # Errors
    /// Fails if it returns none within `bound`, or the program has ended. The error names `what` and shows
    /// the screen.
    pub async fn until<T>(
        &self,
        what: &str,
        bound: Duration,
        holds: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let from = Instant::now();
        loop {
            looks.tick().await;
            let screen = self.screen().await?;
            if let Some(found) = holds(&screen) {
                return Ok(found);
            }
            if let Some(exit) = self.exit()? {
                bail!(
                    "waiting for {what}: the program has ended with {exit}; its screen:\n{}",
                    shown(&screen)
                );
            }
            ensure!(from.elapsed() < bound, "not within {bound:?}: {what}; the screen:\n{}", shown(&screen));
        }
    }

    /// Types a text.
    ///
    /// # Errors
    /// Fails if the terminal is gone.
    pub async fn type_text(&self, text: &str) -> anyhow::Result<()> {
        finished(self.tmux(&["send-keys", "-l", "--", text])).await?;
        Ok(())
    }

    /// Presses a key (a tmux name such as `Enter`) until `taken` holds. A program may take a key right after
    /// a text as part of the text.
    ///
    /// # Errors
    /// Fails if that takes longer than `bound`.
    pub async fn press_until(
        &self,
        key: &str,
        bound: Duration,
        taken: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let from = Instant::now();
        loop {
            finished(self.tmux(&["send-keys", key])).await?;
            let what = format!("the effect of {key}");
            let pressed = self.until(&what, PRESS_AGAIN, |screen| taken(screen).then_some(())).await;
            match pressed {
                Ok(()) => return Ok(()),
                Err(error) if from.elapsed() > bound => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Presses a key until the program ends. Returns its exit.
    ///
    /// # Errors
    /// Fails if the program does not end within `bound`.
    pub async fn press_until_exit(&self, key: &str, bound: Duration) -> anyhow::Result<String> {
        let mut presses = tokio::time::interval(PRESS_AGAIN);
        presses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let from = Instant::now();
        loop {
            presses.tick().await;
            if let Some(exit) = self.exit()? {
                return Ok(exit);
            }
            ensure!(from.elapsed() < bound, "the program has not ended within {bound:?}");
            finished(self.tmux(&["send-keys", key])).await?;
        }
    }

    /// Exit of the program, once it has ended.
    ///
    /// # Errors
    /// Fails if the terminal is gone.
    pub fn exit(&self) -> anyhow::Result<Option<String>> {
        match fs::read_to_string(&self.exit) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            reply => Ok(Some(reply?.trim().to_owned()).filter(|exit| !exit.is_empty())),
        }
    }

    /// Ends the terminal, and waits until none of its processes is left.
    ///
    /// # Errors
    /// Fails if a process is left.
    pub async fn end(self, bound: Duration) -> anyhow::Result<()> {
        finished(self.tmux(&["kill-server"])).await?;
        let nobody = || tagged(&self.name).is_empty().then_some(());
        let left = wait_until("no process of the terminal", bound, nobody).await;
        left.with_context(|| format!("left: {:#?}", tagged(&self.name)))
    }

    fn tmux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        // The tmux server of this socket inherits the variable from the client that starts it.
        command.args(["-u", "-L", &self.name]).args(arguments).env(TAG, &self.name).env_remove("TMUX");
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        fs::remove_file(&self.exit).ok();
        for process in tagged(&self.name) {
            // The process carries the tag of this terminal; it may have ended by now.
            kill(Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL).ok();
        }
    }
}

/// The screen without empty lines.
pub fn shown(screen: &str) -> String {
    let lines = screen.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.map(|line| format!("  | {line}\n")).collect()
}

async fn finished(mut command: Command) -> anyhow::Result<String> {
    let Output { status, stdout, stderr } =
        command.output().await.context("tmux cannot be run; it is a package of that name")?;
    ensure!(status.success(), "tmux: {status}: {}", String::from_utf8_lossy(&stderr).trim());
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
