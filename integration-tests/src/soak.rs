//! Random use over a long time: people switch threads and lose connections, helpers crash, guards are killed,
//! settings are reloaded. At intervals all clients leave, and the soak samples the server. The samples must
//! not grow.
//!
//! | room | question it answers |
//! | --- | --- |
//! | `mod` | which actions happen, and which figures are sampled |
//! | [`flat`] | whether a figure grows (pure) |
//! | [`plot`] | how the samples are drawn |
//! | [`silent`] | whether a silent call survives for minutes |

pub mod flat;
pub mod plot;
pub mod silent;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_protocol::config::ConfigMcpServerReloadParams;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::ConfigMcpServerReload;

use crate::client::Client;
use crate::home::{Helper, Home, PATIENCE};
use crate::process;
use crate::seed::Seed;

/// Number of threads.
const THREADS: usize = 12;

/// Length and sampling interval of a run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Total length.
    pub length: Duration,
    /// Time between two samples.
    pub every: Duration,
}

/// Figures of an unused server.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Seconds since the start.
    pub at: f64,
    /// Open descriptors.
    pub descriptors: f64,
    /// Resident memory, MiB.
    pub memory: f64,
    /// Tasks.
    pub tasks: f64,
    /// Processes of helpers and guards just before all clients leave. Afterwards there are none.
    pub processes: f64,
}

/// Result of a run.
#[derive(Debug, Default)]
pub struct Soaked {
    /// Samples, by time.
    pub samples: Vec<Sample>,
    /// Count of each [`Deed`], in the order of [`Deed::ALL`].
    pub deeds: [usize; Deed::ALL.len()],
}

/// An action of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Switches to another thread and calls a helper there.
    Switch,
    /// Loses the connection and comes back.
    Reconnect,
    /// Crashes a helper in the middle of a call.
    Crash,
    /// Kills a guard.
    KillGuard,
    /// Reloads the settings.
    Reload,
}

impl Deed {
    /// All actions, with their names and percentages.
    pub const ALL: [(Self, &'static str, u64); 5] = [
        (Self::Switch, "switches", 55),
        (Self::Reconnect, "reconnects", 15),
        (Self::Crash, "crashes of helpers", 12),
        (Self::KillGuard, "kills of guards", 9),
        (Self::Reload, "reloads", 9),
    ];

    fn drawn(seed: &mut Seed) -> (usize, Self) {
        let mut drawn = seed.below(100);
        for (at, (deed, _, share)) in Self::ALL.into_iter().enumerate() {
            match drawn.checked_sub(share) {
                None => return (at, deed),
                Some(rest) => drawn = rest,
            }
        }
        (0, Self::Switch)
    }
}

/// State of the run.
struct Stage {
    home: Home,
    control: Client,
    threads: Vec<ThreadId>,
    seed: Seed,
    /// The client that shows a thread, and the thread.
    shown: Option<(Client, ThreadId)>,
    /// Whether the last reload came by signal.
    by_signal: bool,
}

/// Runs the soak. No process may be left when all clients have gone, or at the end.
///
/// # Errors
/// Fails if a process is left, or the server does not answer.
pub async fn run(plan: Plan, seed: Seed, progress: &ProgressBar) -> Result<Soaked> {
    let began = Instant::now();
    let mut stage = Stage::new(seed).await?;
    let mut soaked = Soaked::default();
    let mut next = plan.every;
    progress.set_length(plan.length.as_secs());
    while began.elapsed() < plan.length {
        let (at, deed) = Deed::drawn(&mut stage.seed);
        stage.does(deed).await.with_context(|| format!("{deed:?}, after {:?}", began.elapsed()))?;
        soaked.deeds[at] += 1;
        if began.elapsed() >= next {
            let sample = stage.rest(began).await.with_context(|| format!("after {:?}", began.elapsed()))?;
            soaked.samples.push(sample);
            next = began.elapsed() + plan.every;
        }
        progress.set_position(began.elapsed().as_secs());
    }
    soaked.samples.push(stage.rest(began).await?);
    stage.control.close().await?;
    stage.home.finish().await?;
    Ok(soaked)
}

impl Stage {
    async fn new(seed: Seed) -> Result<Self> {
        let stubborn = Helper::with("stubborn", &["--stubborn"])?;
        let setup = Home::setup().set("helpers.stop_grace", "100ms");
        let home = setup.helper(Helper::named("polite")?).helper(stubborn).start().await?;
        let mut control = home.client().await?;
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let thread = control.start_thread_with(&format!("This is thread {number}.")).await?;
            control.unload(thread, false).await?;
            threads.push(thread);
        }
        Ok(Self { home, control, threads, seed, shown: None, by_signal: false })
    }

    async fn does(&mut self, deed: Deed) -> Result<()> {
        match deed {
            Deed::Switch => {
                self.leave().await?;
                let thread = *self.seed.one_of(&self.threads);
                self.show(thread).await?;
                self.turn("/tool polite echo {\"text\":\"hello\"}").await
            }
            Deed::Reconnect => {
                let Some((client, thread)) = self.shown.take() else { return Ok(()) };
                client.reset()?;
                self.show(thread).await
            }
            Deed::Crash => self.turn("/tool polite crash").await,
            Deed::KillGuard => {
                let guards = self.home.family().guards;
                if !guards.is_empty() {
                    // A helper that has just crashed may be taking this guard with it.
                    kill(Pid::from_raw(self.seed.one_of(&guards).pid.cast_signed()), Signal::SIGKILL).ok();
                }
                Ok(())
            }
            Deed::Reload => self.reload().await,
        }
    }

    /// The current client leaves, with or without a close frame.
    async fn leave(&mut self) -> Result<()> {
        match self.shown.take() {
            Some((client, _)) if self.seed.percent(50) => client.reset(),
            Some((client, _)) => client.close().await.map(drop),
            None => Ok(()),
        }
    }

    async fn show(&mut self, thread: ThreadId) -> Result<()> {
        let mut client = self.home.client().await?;
        client.resume(thread).await?;
        self.shown = Some((client, thread));
        Ok(())
    }

    /// Runs a turn to its end. The turn may fail, because its helper may be dead.
    async fn turn(&mut self, text: &str) -> Result<()> {
        let Some((client, thread)) = &mut self.shown else { return Ok(()) };
        client.turn(*thread, text).await.map(drop)
    }

    /// Reloads alternately by request and by signal.
    async fn reload(&mut self) -> Result<()> {
        self.by_signal = !self.by_signal;
        if self.by_signal {
            return self.home.signal(Signal::SIGHUP);
        }
        self.control.call::<ConfigMcpServerReload>(ConfigMcpServerReloadParams).await.map(drop)
    }

    /// All clients leave, no process may be left, and the server is sampled.
    async fn rest(&mut self, began: Instant) -> Result<Sample> {
        let processes = self.home.family().count();
        self.leave().await?;
        self.home.until_drained(PATIENCE).await?;
        let is_quiet = |now: &skein_protocol::extension::SkeinStatusResponse| {
            now.threads.loaded == 0 && now.helpers.alive == 0 && now.connections == 1
        };
        let status = self.control.until_status("no client and no thread", is_quiet).await?;
        self.control.take_all();
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.home.pid()))?.count();
        let memory = process::resident(self.home.pid()).context("the server has no memory")?;
        Ok(Sample {
            at: began.elapsed().as_secs_f64(),
            descriptors: figure(descriptors),
            memory: figure(usize::try_from(memory)?) / f64::from(1 << 20),
            tasks: figure(usize::try_from(status.tasks)?),
            processes: figure(processes),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes of one process are far below 2^52")]
fn figure(count: usize) -> f64 {
    count as f64
}
