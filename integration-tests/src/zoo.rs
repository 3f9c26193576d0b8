//! Helpers of every bad kind, held by every means, through every ending: what is left, and how soon nothing is.
//!
//! The kinds are modes of `mcp-helper` (`--zoo`). A [`Batch`] has many kinds beside each other under one server, so that
//! the whole matrix is some ten servers and not hundreds.

mod report;

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_protocol::ids::ThreadId;

pub use self::report::{HEAD, table};
use crate::client::Client;
use crate::home::{Home, PATIENCE, Setup};
use crate::process::{self, wait_until};

/// Every mode, and how many processes it has once it is up, the helper itself included.
pub const MODES: [(&str, usize); 15] = [
    ("polite", 1),
    ("ignores-term", 1),
    ("ignores-eof", 1),
    ("ignores-both", 1),
    ("double-fork", 2),
    ("own-session", 2),
    ("own-group", 2),
    ("no-environment", 2),
    ("twenty", 21),
    ("daemon", 2),
    ("stopped", 1),
    ("zombies", 2),
    ("fork-chain", 2),
    // Their trees are ended as soon as they are seen to be gone.
    ("exits-at-start", 0),
    ("exits-after-initialize", 0),
];
/// Every means by which helpers can be held, as `helpers.containment` has them.
pub const RUNGS: [&str; 4] = ["auto", "guard", "cgroup", "namespace"];

/// Whether the last of them can be had. The sandbox of Bazel, which sets this variable for every test, lets nobody mount a
/// `/proc` of its own; says so.
#[must_use]
pub fn has_namespaces() -> bool {
    let sandboxed = std::env::var_os("TEST_TMPDIR").is_some();
    if sandboxed {
        eprintln!(
            "SKIPPED: there are no namespaces in this sandbox, so the rung \"namespace\" was not tested"
        );
    }
    !sandboxed
}

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(2);
/// Looks in a row that find nothing: one may miss a chain of forks, whose links live as long as a look takes.
const EMPTY_LOOKS: u32 = 50;
/// What is there after so long is left for good.
const LEFT_AFTER: Duration = Duration::from_secs(10);

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
}

impl Ending {
    /// All of them, with the names that the command line has.
    pub const ALL: [(&str, Self); 7] = [
        ("unload", Self::Unload),
        ("disconnect", Self::Disconnect),
        ("sigterm", Self::Terminate),
        ("sigint", Self::Interrupt),
        ("kill-server", Self::KillServer),
        ("kill-guards", Self::KillGuards),
        ("kill-both", Self::KillBoth),
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
            Self::Unload | Self::Disconnect => Duration::from_millis(1500),
            Self::Terminate | Self::Interrupt | Self::KillBoth => Duration::from_secs(5),
            Self::KillServer | Self::KillGuards => Duration::from_secs(2),
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
        let mut setup = Home::setup().set("helpers.containment", self.rung);
        for mode in &self.modes {
            setup = setup.zoo(mode)?;
        }
        let mut home = setup.start().await?;
        let mut client = home.client().await?;
        let thread = client.start_said_thread("hello").await?;
        self.until_up(&home).await?;
        let (watch, client) = self.end(&mut home, client, thread).await?;
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

    async fn until_up(&self, home: &Home) -> Result<()> {
        for (mode, count) in MODES.into_iter().filter(|(mode, _)| self.modes.contains(mode)) {
            let mark = Setup::zoo_mark(home.mark(), mode);
            let up = || {
                let now = process::marked(&mark).len();
                // A chain of forks is seen with one process more or less.
                (now == count || mode == "fork-chain" && now > 0).then_some(())
            };
            wait_until(mode, PATIENCE, up).await.with_context(|| format!("{:#?}", process::marked(&mark)))?;
        }
        Ok(())
    }

    /// Brings the end and watches it. The client is given back where it still has its connection.
    async fn end(
        &self,
        home: &mut Home,
        client: Client,
        thread: ThreadId,
    ) -> Result<(Watch, Option<Client>)> {
        let mut client = Some(client);
        if self.ending == Ending::KillBoth {
            drop(client.take());
            home.kill_with_guards().await?;
        }
        let guards = home.family().guards.iter().map(|guard| guard.pid).collect();
        let mut watch = Watch::new(home.mark(), &self.modes, guards);
        let (brought, ()) = {
            let guards = watch.guards.clone();
            tokio::join!(self.bring(home, &mut client, thread, &guards), watch.until_zero())
        };
        brought?;
        if matches!(self.ending, Ending::Terminate | Ending::Interrupt) {
            home.exited(PATIENCE).await?;
        }
        Ok((watch, client))
    }

    async fn bring(
        &self,
        home: &mut Home,
        client: &mut Option<Client>,
        thread: ThreadId,
        guards: &HashSet<u32>,
    ) -> Result<()> {
        match self.ending {
            Ending::Unload => {
                client.as_mut().context("it is there")?.unload(thread, true).await?;
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
                    kill(Pid::from_raw(guard.cast_signed()), Signal::SIGKILL).ok();
                }
            }
            Ending::KillBoth => home.start_again().await?,
        }
        Ok(())
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

/// Looks at the processes of all modes until there are none.
#[derive(Debug)]
struct Watch {
    since: Instant,
    marks: BTreeMap<&'static str, String>,
    /// Those that there were before the end. A helper whose guard was killed is started again, below another one, and is no
    /// part of what must be gone.
    guards: HashSet<u32>,
    /// When a process of a mode was seen last.
    seen: BTreeMap<&'static str, Duration>,
    left: BTreeMap<&'static str, usize>,
}

impl Watch {
    fn new(mark: &str, modes: &[&'static str], guards: HashSet<u32>) -> Self {
        let marks = modes.iter().map(|mode| (*mode, Setup::zoo_mark(mark, mode))).collect();
        Self { since: Instant::now(), marks, guards, seen: BTreeMap::new(), left: BTreeMap::new() }
    }

    async fn until_zero(&mut self) {
        let mut looks = tokio::time::interval(LOOK);
        let mut empty = 0;
        while self.since.elapsed() < LEFT_AFTER {
            looks.tick().await;
            let mut all = process::all();
            let new = all.iter().filter(|one| one.is_guard() && !self.guards.contains(&one.pid));
            let again = process::below(&all, new.map(|guard| guard.pid).collect());
            all.retain(|process| !again.contains(&process.pid));
            self.left.clear();
            for (mode, mark) in &self.marks {
                let alive = all.iter().filter(|process| process.command.contains(mark)).count();
                if alive > 0 {
                    self.left.insert(mode, alive);
                    self.seen.insert(mode, self.since.elapsed());
                }
            }
            empty = if self.left.is_empty() { empty + 1 } else { 0 };
            if empty == EMPTY_LOOKS {
                return;
            }
        }
    }
}
