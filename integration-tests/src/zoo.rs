//! Every kind of badly behaved helper at every isolation level through every ending: how many processes are
//! left, and how soon none is left.
//!
//! The kinds are modes of `mcp-helper` (`--zoo`). A [`Batch`] runs many kinds side by side under one server,
//! so that the whole matrix needs some ten servers, not hundreds.

mod levels;
mod modes;
mod pipes;
mod report;
mod spread;
mod watch;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_protocol::ids::ThreadId;

pub use self::levels::{LEVELS, available, available_to_pid_one, has_namespaces};
pub use self::modes::{MODES, Up};
use self::pipes::Pipes;
pub use self::report::{HEAD, table};
pub use self::spread::spread;
use self::watch::Watch;
use crate::client::Client;
use crate::home::{Exit, Home, PATIENCE, Setup};
use crate::process::{self, Process, wait_until};

/// For all helpers of a mode to be at it. Beside other batches, each with helpers that fork without pause, every look at `/proc` is slow,
/// and a start waits for some.
const UP_WITHIN: Duration = PATIENCE.saturating_mul(3);

/// The cause of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client unloads the thread.
    Unload,
    /// The client disconnects.
    Disconnect,
    /// SIGTERM to the server.
    Terminate,
    /// SIGINT to the server.
    Interrupt,
    /// SIGKILL to the server.
    KillServer,
    /// SIGKILL to every guard.
    KillGuards,
    /// SIGKILL to the server and every guard at the same moment, then a restart.
    KillBoth,
    /// A panic that kills the server without unwinding.
    Panic,
    /// A panic of the thread's owner. The server survives it.
    OwnerPanic,
}

impl Ending {
    /// All endings, with their names on the command line.
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

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, ending)| *ending == self).map_or("", |(name, _)| name)
    }

    /// Promised limit until no process is left. After `KillBoth`, the time counts from the restart.
    pub fn bound(self) -> Duration {
        match self {
            Self::Unload | Self::Disconnect | Self::OwnerPanic => Duration::from_millis(1500),
            Self::Terminate | Self::Interrupt | Self::KillBoth => Duration::from_secs(5),
            Self::KillServer | Self::KillGuards | Self::Panic => Duration::from_secs(2),
        }
    }
}

/// Helpers of some modes under one server, and their ending.
#[derive(Debug, Clone)]
pub struct Batch {
    /// One of [`LEVELS`].
    pub level: &'static str,
    /// The cause of the end.
    pub ending: Ending,
    /// Names of [`MODES`].
    pub modes: Vec<&'static str>,
}

/// Result for the helper of one mode.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its mode.
    pub mode: &'static str,
    /// One of [`LEVELS`].
    pub level: &'static str,
    /// The cause of the end.
    pub ending: Ending,
    /// Number of processes left behind.
    pub left: usize,
    /// Time until the last process was gone.
    pub stopped_after: Duration,
}

impl Batch {
    /// Starts a server with this setup, brings the end, and counts. Leftover processes are not an error; the
    /// result counts them.
    ///
    /// # Errors
    /// Fails if a step fails.
    pub async fn run(&self, setup: Setup) -> Result<Vec<Outcome>> {
        // A debug build takes long to name the frames of a panic; that is not part of the end.
        let mut setup = setup.set("helpers.containment", self.level).env("RUST_BACKTRACE", "0");
        let mut pipes = Pipes::new(&self.modes)?;
        for mode in &self.modes {
            setup = setup.zoo_with_pipe(mode, &pipes.file(mode))?;
        }
        let mut home = setup.start().await?;
        let mut client = home.client().await?;
        let thread = client.start_thread_with("hello").await?;
        self.until_up(&home, &mut pipes).await?;
        let (watch, client) = self.end(&mut home, client, thread, pipes).await?;
        let outcomes = self.outcomes(&watch);
        drop(client);
        // The leftovers are counted; dropping the home ends them.
        if outcomes.iter().all(|outcome| outcome.left == 0) {
            home.finish().await?
        } else {
            drop(home)
        }
        Ok(outcomes)
    }

    /// Waits until each helper does what its mode is about.
    async fn until_up(&self, home: &Home, pipes: &mut Pipes) -> Result<()> {
        for (mode, up) in MODES.into_iter().filter(|(mode, _)| self.modes.contains(mode)) {
            let tag = Setup::zoo_tag(home.tag(), mode);
            let is_up = || {
                let signs = pipes.signs(mode);
                let up = match up {
                    Up::Processes(count) => process::tagged(&tag).len() == count,
                    Up::Forks => signs.held && !process::tagged(&tag).is_empty(),
                    Up::AtIt => signs.at_it > 0,
                    Up::Again => signs.starts > 1,
                };
                up.then_some(())
            };
            let waited = wait_until(mode, UP_WITHIN, is_up).await;
            waited.with_context(|| format!("{:?} {:#?}", pipes.signs(mode), process::tagged(&tag)))?;
        }
        Ok(())
    }

    /// Brings the end and watches it. Returns the client if its connection is still open.
    async fn end(
        &self,
        home: &mut Home,
        client: Client,
        thread: ThreadId,
        pipes: Pipes,
    ) -> Result<(Watch, Option<Client>)> {
        let mut client = Some(client);
        // Processes started from now on do not hold the pipes.
        pipes.unlink()?;
        if self.ending == Ending::KillBoth {
            drop(client.take());
            home.kill_with_guards().await?;
        }
        let mut watch = Watch::new(home.tag(), pipes);
        let guards = home.family().guards;
        if self.ending == Ending::KillGuards {
            watch.spare_what_starts_again(&guards);
        }
        let (brought, ()) =
            tokio::join!(self.bring(home, &mut client, thread, &guards), watch.until_drained());
        watch.count_from(brought?);
        if matches!(self.ending, Ending::Terminate | Ending::Interrupt) {
            home.exited(PATIENCE).await?;
        }
        Ok((watch, client))
    }

    /// Brings the end. Returns its time.
    async fn bring(
        &self,
        home: &mut Home,
        client: &mut Option<Client>,
        thread: ThreadId,
        guards: &[Process],
    ) -> Result<Instant> {
        let began = Instant::now();
        let connected = client.as_mut().context("the client is connected");
        match self.ending {
            Ending::Unload => drop(connected?.unload(thread, true).await?),
            Ending::OwnerPanic => connected?.break_off(thread).await?,
            Ending::Panic => {
                // The server may send the answer before it dies, or not.
                drop(connected?.start_turn(thread, "/panic process").await);
                let exit = home.exited(PATIENCE).await?;
                ensure!(
                    exit == Exit::Signal(Signal::SIGABRT as i32),
                    "the server did not die of a panic: {exit:?}"
                );
                // Writing the panic message and the core file is not part of the end.
                return Ok(Instant::now());
            }
            Ending::Disconnect => {
                client.take().context("the client is connected")?.close().await?;
            }
            Ending::Terminate => home.signal(Signal::SIGTERM)?,
            Ending::Interrupt => home.signal(Signal::SIGINT)?,
            Ending::KillServer => home.kill().await?,
            Ending::KillGuards => {
                for guard in guards {
                    // A helper that ended by itself may be taking this guard with it.
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
            level: self.level,
            ending: self.ending,
            left: watch.left.get(mode).copied().unwrap_or_default(),
            stopped_after: watch.seen.get(mode).copied().unwrap_or_default(),
        };
        self.modes.iter().map(outcome).collect()
    }
}
