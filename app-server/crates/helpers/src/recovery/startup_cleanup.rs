//! Ends processes that a former server of this home left because its guards died with it. Finds them by their tag, and ends them
//! before the first helper of this server starts. Serving does not wait for it.
//!
//! The holder of the home's lock is its only server, so a process with the home's tag and another start's number is a leftover. No list
//! is kept and no pid is remembered: a process is held by a descriptor before its tag is read. The tag of a home is made of its lock
//! file's place on the disk and its birth, so a copy of a home has another one (`containment/tag.rs`). A guard that survived its server
//! gets the time for its stages first, as a user of that helper would want.
//!
//! A process that has reset its limits (which takes root), cleared its environment and left its cgroup is not found. If a parent of the
//! server has limited these limits already, and the server is not root, only environment and cgroup are left.

use std::collections::HashSet;
use std::time::Duration;

use nix::unistd::Pid;
use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use skein_base::system::proc::{self, Process};
use skein_base::tasks::{BlockingPool, Tasks};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::containment::cgroup;
use crate::containment::tag::{self, ProcessTag, StartTag};
use crate::policy;
use crate::recovery::kill_loop::{Killed, Patience, kill_all};

/// The progress of the start-up clean-up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// The clean-up is over; helpers start only then.
    pub done: bool,
    /// Processes of a former server that were ended.
    pub ended: usize,
    /// Processes that could not be ended. 0 unless the kernel holds them, or they belong to another user.
    pub left: usize,
    /// Time from the start of the clean-up to its end.
    pub took: Duration,
}

/// The clean-up of one start.
#[derive(Debug)]
pub(crate) struct StartupCleanup {
    pub(crate) start: StartTag,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    /// Time that a guard needs to end its helper after its server is gone.
    pub(crate) guard_time: Duration,
    /// The server stops. Its next start cleans up what is left.
    pub(crate) closing: CancellationToken,
}

/// The result of one pass.
#[derive(Debug, Default)]
struct CleanupPass {
    /// Every leftover that lives, or was just killed, with its start time.
    found: HashSet<(Pid, u64)>,
    /// Cgroups of former servers.
    groups: usize,
    /// No other leftover exists.
    sure: bool,
}

/// The end of a clean-up.
struct CleanupEnd {
    /// Leftovers that the last pass met.
    left: usize,
    /// Leftovers that any pass met.
    met: usize,
    /// The server stops before it is over.
    cut_short: bool,
}

impl StartupCleanup {
    /// Runs until nothing is left, the server stops, or `Patience` is over, then publishes the result.
    pub(crate) async fn run(self, result: watch::Sender<Leftovers>) {
        let start = self.clock.now();
        let CleanupEnd { left, met, cut_short } = self.until_none_is_left(start).await;
        let took = self.clock.now() - start;
        let ended = met.saturating_sub(left);
        if cut_short {
            tracing::info!(
                left,
                ended,
                ?took,
                "the start-up clean-up ends with its server; the next start goes on"
            );
        } else if left > 0 {
            tracing::error!(left, ended, ?took, "processes of a former server's helpers cannot be ended");
        } else if ended > 0 {
            tracing::warn!(ended, ?took, "processes of a former server's helpers were left and are ended");
        }
        // The receivers may be gone with the server.
        let _ = result.send(Leftovers { done: true, ended, left, took });
    }

    async fn until_none_is_left(&self, start: Instant) -> CleanupEnd {
        let guards_until = start + self.guard_time;
        let mut patience = Patience::from(start);
        let mut met = HashSet::new();
        loop {
            let kill = self.clock.now() >= guards_until;
            let mine = self.start;
            let look = move || pass(mine, kill);
            // Without `/proc`, or after a panic, which was logged. Helpers must start all the same.
            let looked = self.tasks.blocking("leftovers of helpers", BlockingPool::Cleanups, look).await;
            let Some(pass) = looked.unwrap_or_default() else {
                tracing::error!(
                    "processes of a former server's helpers may be left: the processes of this machine cannot be looked at"
                );
                return CleanupEnd { left: 0, met: met.len(), cut_short: false };
            };
            let (left, before) = (pass.found.len(), met.len());
            met.extend(pass.found);
            let news = !pass.sure || met.len() > before;
            let gives_up = patience.is_over(self.clock.now(), news);
            // A killed process is met again until it is gone.
            let over = pass.sure && left == 0 && pass.groups == 0;
            let cut_short = !over && self.closing.is_cancelled();
            if gives_up && !pass.sure && !cut_short {
                tracing::error!(
                    "processes of a former server's helpers may be left: the start-up clean-up ran out of time"
                );
            }
            if over || gives_up || cut_short {
                return CleanupEnd { left, met: met.len(), cut_short };
            }
            tokio::time::sleep(policy::ORPHANS_PAUSE).await;
        }
    }
}

/// The number of processes that carry the tag of this home now: guards, helpers and their descendants. Signals none of them.
pub fn tagged_processes(home: HomeTag) -> usize {
    let carries = |process: &Process| ProcessTag::carried_by(process.pid).any(|tag| tag.start.home == home);
    let spared = self_and_ancestors();
    proc::all().filter(|one| !one.zombie && !spared.contains(&one.pid) && carries(one)).count()
}

/// Kills every leftover, unless a guard is at work and `kill` does not say that its time is over. `None` if no processes can be
/// seen.
fn pass(mine: StartTag, kill: bool) -> Option<CleanupPass> {
    let spared = self_and_ancestors();
    let is_left =
        |pid| ProcessTag::carried_by(pid).any(|tag| tag.start.home == mine.home && tag.start != mine);
    let others = || proc::all().filter(|process| !process.zombie && !spared.contains(&process.pid));
    let works =
        |process: &Process| !process.stopped && process.is_named(tag::GUARD_NAME) && is_left(process.pid);
    if !kill && others().any(|process| works(&process)) {
        let found = others().filter(|process| is_left(process.pid));
        return Some(CleanupPass {
            found: found.map(|process| (process.pid, process.started)).collect(),
            ..CleanupPass::default()
        });
    }
    let Killed { processes, sure } = kill_all(&spared, is_left, || None)?;
    // Cgroups after the kill loop, so that their processes were counted.
    Some(CleanupPass { found: processes, groups: cgroup::end_former(mine), sure })
}

/// This process and those above it: a server may have been started below a helper of its predecessor.
fn self_and_ancestors() -> HashSet<Pid> {
    let above = |pid: &Pid| Process::read(*pid).map(|process| process.parent).filter(|pid| pid.as_raw() > 0);
    std::iter::successors(Some(Pid::this()), above).collect()
}
