//! Helpers of every bad kind, held by every means, through every ending: what is left, and how soon nothing is.
//!
//! The kinds are modes of `mcp-helper` (`--zoo`). A [`Batch`] has many kinds beside each other under one server, so that
//! the whole matrix is some ten servers and not hundreds.

mod modes;
mod pipes;
mod report;
mod rungs;
mod spread;
mod watch;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_protocol::ids::ThreadId;

pub use self::modes::{MODES, Up};
use self::pipes::Pipes;
pub use self::report::{HEAD, table};
pub use self::rungs::{RUNGS, available, available_to_pid_one, has_namespaces};
pub use self::spread::spread;
use self::watch::Watch;
use crate::client::Client;
use crate::home::{Exit, Home, PATIENCE, Setup};
use crate::process::{self, Process, wait_until};

/// What brings the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The thread is unloaded.
    Unload,
    /// The client is gone.
    Disconnect,
    /// SIGTERM to the server.
    Terminate,
    /// SIGINT to the server.
    Interrupt,
    /// SIGKILL to the server.
    KillServer,
    /// SIGKILL to every guard.
    KillGuards,
    /// SIGKILL to the server and every guard at the same moment, and another start.
    KillBoth,
    /// A panic of which the server dies, with nothing unwound.
    Panic,
    /// A panic of the thread's owner, which the server survives.
    OwnerPanic,
}

impl Ending {
    /// All of them, with the names that the command line has.
    pub const ALL: [(&str, Self); 9] = [
        ("unload", Self::Unload),
        ("disconnect", Self::Disconnect),
        ("sigterm", Self::Terminate),
        ("sigint", Self::Interrupt),
        ("kill-server", Self::KillServer),
        ("kill-guards", Self::KillGuards),
        ("kill-both", Self::KillBoth),
        ("panic", Self::Panic),
        ("owner-panic", Self::OwnerPanic),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, ending)| *ending == self).map_or("", |(name, _)| name)
    }

    /// How soon nothing may be left: what is promised. From the restart on when both were killed.
    #[must_use]
    pub fn bound(self) -> Duration {
        match self {
            Self::Unload | Self::Disconnect | Self::OwnerPanic => Duration::from_millis(1500),
            Self::Terminate | Self::Interrupt | Self::KillBoth => Duration::from_secs(5),
            Self::KillServer | Self::KillGuards | Self::Panic => Duration::from_secs(2),
        }
    }
}

/// Helpers of some modes under one server, and their end.
#[derive(Debug, Clone)]
pub struct Batch {
    /// One of [`RUNGS`].
    pub rung: &'static str,
    /// What brings the end.
    pub ending: Ending,
    /// Names of [`MODES`].
    pub modes: Vec<&'static str>,
}

/// What became of the helper of one mode.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its mode.
    pub mode: &'static str,
    /// One of [`RUNGS`].
    pub rung: &'static str,
    /// What brought the end.
    pub ending: Ending,
    /// Processes that are left for good.
    pub left: usize,
    /// When the last was gone.
    pub zero_after: Duration,
}

impl Batch {
    /// Starts a server, brings the end, and counts. What is left is no error but a number.
    ///
    /// # Errors
    /// When something does not work at all.
    pub async fn run(&self) -> Result<Vec<Outcome>> {
        self.run_from(Home::setup()).await
    }

    /// The same with a server of this setup.
    ///
    /// # Errors
    /// When something does not work at all.
    pub async fn run_from(&self, setup: Setup) -> Result<Vec<Outcome>> {
        // What a debug build takes to name the frames of a panic is none of its end.
        let mut setup = setup.set("helpers.containment", self.rung).env("RUST_BACKTRACE", "0");
        let mut pipes = Pipes::new(&self.modes)?;
        for mode in &self.modes {
            setup = setup.zoo_with_pipe(mode, &pipes.file(mode))?;
        }
        let mut home = setup.start().await?;
        let mut client = home.client().await?;
        let thread = client.start_said_thread("hello").await?;
        self.until_up(&home, &mut pipes).await?;
        let (watch, client) = self.end(&mut home, client, thread, pipes).await?;
        let outcomes = self.outcomes(&watch);
        drop(client);
        // What is left was counted; dropping the home ends it.
        if outcomes.iter().all(|outcome| outcome.left == 0) {
            home.finish().await?
        } else {
            drop(home)
        }
        Ok(outcomes)
    }

    /// Until each does what its mode is about.
    async fn until_up(&self, home: &Home, pipes: &mut Pipes) -> Result<()> {
        for (mode, up) in MODES.into_iter().filter(|(mode, _)| self.modes.contains(mode)) {
            let mark = Setup::zoo_mark(home.mark(), mode);
            let is_up = || {
                let told = pipes.told(mode);
                let up = match up {
                    Up::Processes(count) => process::marked(&mark).len() == count,
                    Up::Forks => told.held && !process::marked(&mark).is_empty(),
                    Up::AtIt => told.at_it > 0,
                    Up::Again => told.starts > 1,
                };
                up.then_some(())
            };
            let waited = wait_until(mode, PATIENCE, is_up).await;
            waited.with_context(|| format!("{:?} {:#?}", pipes.told(mode), process::marked(&mark)))?;
        }
        Ok(())
    }

    /// Brings the end and watches it. The client is given back where it still has its connection.
    async fn end(
        &self,
        home: &mut Home,
        client: Client,
        thread: ThreadId,
        pipes: Pipes,
    ) -> Result<(Watch, Option<Client>)> {
        let mut client = Some(client);
        // Who is started from now on does not hold them.
        pipes.unlink()?;
        if self.ending == Ending::KillBoth {
            drop(client.take());
            home.kill_with_guards().await?;
        }
        let mut watch = Watch::new(home.mark(), pipes);
        let guards = home.family().guards;
        if self.ending == Ending::KillGuards {
            watch.spare_what_starts_again(&guards);
        }
        let (brought, ()) = tokio::join!(self.bring(home, &mut client, thread, &guards), watch.until_zero());
        watch.count_from(brought?);
        if matches!(self.ending, Ending::Terminate | Ending::Interrupt) {
            home.exited(PATIENCE).await?;
        }
        Ok((watch, client))
    }

    /// When the end came.
    async fn bring(
        &self,
        home: &mut Home,
        client: &mut Option<Client>,
        thread: ThreadId,
        guards: &[Process],
    ) -> Result<Instant> {
        let began = Instant::now();
        let connected = client.as_mut().context("it is there");
        match self.ending {
            Ending::Unload => drop(connected?.unload(thread, true).await?),
            Ending::OwnerPanic => connected?.break_off(thread).await?,
            Ending::Panic => {
                // Whether the answer is sent before the end is left open.
                drop(connected?.start_turn(thread, "/panic process").await);
                let exit = home.exited(PATIENCE).await?;
                ensure!(exit == Exit::Signal(Signal::SIGABRT as i32), "not of a panic: {exit:?}");
                // What it wrote about its panic, and its core where there is one, are none of the end.
                return Ok(Instant::now());
            }
            Ending::Disconnect => {
                client.take().context("it is there")?.close().await?;
            }
            Ending::Terminate => home.signal(Signal::SIGTERM)?,
            Ending::Interrupt => home.signal(Signal::SIGINT)?,
            Ending::KillServer => home.kill().await?,
            Ending::KillGuards => {
                for guard in guards {
                    // One whose helper ended by itself may just be going.
                    kill(Pid::from_raw(guard.pid.cast_signed()), Signal::SIGKILL).ok();
                }
            }
            Ending::KillBoth => home.start_again().await?,
        }
        Ok(began)
    }

    fn outcomes(&self, watch: &Watch) -> Vec<Outcome> {
        let outcome = |mode: &&'static str| Outcome {
            mode,
            rung: self.rung,
            ending: self.ending,
            left: watch.left.get(mode).copied().unwrap_or_default(),
            zero_after: watch.seen.get(mode).copied().unwrap_or_default(),
        };
        self.modes.iter().map(outcome).collect()
    }
}
