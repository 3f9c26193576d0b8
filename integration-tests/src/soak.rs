//! A long time of random use: people switch between threads, lose connections, helpers crash, guards are killed, settings are
//! read again. Between them everybody goes away, and it is looked what the server then has: that must not grow.
//!
//! | room | question it answers |
//! | --- | --- |
//! | `mod` | what happens, and what is sampled |
//! | [`flat`] | whether a figure grows: pure |
//! | [`plot`] | the picture |
//! | [`silent`] | whether a call that says nothing for minutes is cut |

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

/// Threads that are switched between.
const THREADS: usize = 12;

/// How long, and how often it is looked.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// All of it.
    pub length: Duration,
    /// Between two samples.
    pub every: Duration,
}

/// What the server has when nobody uses it.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Seconds after the begin.
    pub at: f64,
    /// Open descriptors.
    pub descriptors: f64,
    /// Resident memory, MiB.
    pub memory: f64,
    /// Tasks.
    pub tasks: f64,
    /// Processes of helpers and guards right before everybody left; afterwards there are none.
    pub processes: f64,
}

/// What has happened.
#[derive(Debug, Default)]
pub struct Soaked {
    /// By time.
    pub samples: Vec<Sample>,
    /// How often each [`Deed`] was done, by the order of [`Deed::ALL`].
    pub deeds: [usize; Deed::ALL.len()],
}

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Goes to another thread and lets a helper work there.
    Switch,
    /// Loses the connection and comes back.
    Reconnect,
    /// A helper ends in the middle of a call.
    Crash,
    /// A guard is killed.
    KillGuard,
    /// The settings are read again.
    Reload,
}

impl Deed {
    /// All of them, with their names and how often in a hundred.
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

/// Everything that takes part.
struct Stage {
    home: Home,
    control: Client,
    threads: Vec<ThreadId>,
    seed: Seed,
    /// Who shows a thread now.
    shown: Option<(Client, ThreadId)>,
    /// How the last reload was asked for.
    by_signal: bool,
}

/// Plays it. Nothing may be left whenever everybody has gone, nor in the end.
///
/// # Errors
/// When something is left, or does not answer.
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
            let thread = control.start_said_thread(&format!("This is thread {number}.")).await?;
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
                    // Its helper may have crashed, and it may just be going.
                    kill(Pid::from_raw(self.seed.one_of(&guards).pid.cast_signed()), Signal::SIGKILL).ok();
                }
                Ok(())
            }
            Deed::Reload => self.reload().await,
        }
    }

    /// Whoever is there leaves, politely or not.
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

    /// It has to end, and need not go well: its helper may be dead.
    async fn turn(&mut self, text: &str) -> Result<()> {
        let Some((client, thread)) = &mut self.shown else { return Ok(()) };
        client.turn(*thread, text).await.map(drop)
    }

    /// By a request and by a signal in turns.
    async fn reload(&mut self) -> Result<()> {
        self.by_signal = !self.by_signal;
        if self.by_signal {
            return self.home.signal(Signal::SIGHUP);
        }
        self.control.call::<ConfigMcpServerReload>(ConfigMcpServerReloadParams).await.map(drop)
    }

    /// Everybody goes, nothing may be left, and it is looked what the server has then.
    async fn rest(&mut self, began: Instant) -> Result<Sample> {
        let processes = self.home.family().count();
        self.leave().await?;
        self.home.until_zero(PATIENCE).await?;
        let is_quiet = |now: &skein_protocol::extension::SkeinStatusResponse| {
            now.threads.loaded == 0 && now.helpers.alive == 0 && now.connections == 1
        };
        let status = self.control.until_status("nobody is there", is_quiet).await?;
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
