//! What a former server of this home left when its guards died with it: found by its mark, and ended before the first
//! helper of this one starts. Serving does not wait for it.
//!
//! Whoever has the home's lock is its only server; so what carries the home's mark and not this start's is a leftover.
//! No list is kept and no pid is remembered. A guard that lives on is given the time that it needs to end its helper in
//! stages, as a user of that helper would want.
//!
//! If server and guard are killed at the same moment, nobody is left to end a helper. So the next server on the home ends every process
//! that carries the home's mark and not its own start's (`containment/tag.rs`), before its first helper starts and without keeping anybody else
//! waiting. No pid is remembered: whoever has the home's lock is its only server, and a process is held by a descriptor before its
//! mark is read. The mark of a home is made of its lock file's place on the disk and its birth, so a copy of a home has another one.
//! A guard that survived its server gets the time for its stages first.
//!
//! A process that has reset its limits (which takes root), cleared its environment and left its cgroup is not found. Where somebody
//! above the server has limited these limits already, and the server is not root, only environment and cgroup are left.

use std::collections::HashSet;
use std::time::Duration;

use nix::unistd::Pid;
use skein_base::clock::Clock;
use skein_base::home_tag::HomeTag;
use skein_base::system::proc::{self, Process};
use skein_base::tasks::{Pool, Tasks};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::containment::cgroup;
use crate::containment::tag::{Mark, StartMark};
use crate::policy;
use crate::process::control;
use crate::recovery::kill_loop::{Hunt, kill_all};

/// How far the clean-up is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// No helper is started before.
    pub done: bool,
    /// Processes of a former server that were found and are gone.
    pub ended: usize,
    /// Processes that could not be ended. 0 unless the kernel holds them, or they belong to another user.
    pub left: usize,
    /// How long it took.
    pub took: Duration,
}

/// What the clean-up is made from.
#[derive(Debug)]
pub(crate) struct Sweep {
    pub(crate) mine: StartMark,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    /// What a guard takes to end its helper when its server is gone.
    pub(crate) guards_need: Duration,
}

/// What one pass found.
#[derive(Debug, Default)]
struct Pass {
    /// Every leftover that lives, or was just killed.
    found: HashSet<(Pid, u64)>,
    /// Groups of former servers.
    groups: usize,
    /// Nobody but those found is left.
    sure: bool,
}

impl Sweep {
    /// Until nothing is left, or the time for it is over; tells `told` then.
    pub(crate) async fn run(self, told: watch::Sender<Leftovers>) {
        let start = self.clock.now();
        let (deadline, patience) = (start + policy::ORPHANS_LIMIT, start + self.guards_need);
        let mut met = HashSet::new();
        let left = loop {
            let kill = self.clock.now() >= patience;
            let mine = self.mine;
            let look = move || pass(mine, kill, deadline);
            // Its panic was logged; helpers must start all the same.
            let Ok(pass) = self.tasks.blocking("leftovers of helpers", Pool::Processes, look).await else {
                break 0;
            };
            let left = pass.found.len();
            met.extend(pass.found);
            // What was killed is met again until it is gone.
            let over = pass.sure && left == 0 && pass.groups == 0;
            if over || self.clock.now() >= deadline {
                if !pass.sure {
                    tracing::error!("it is not sure that nothing of a former server's helpers is left");
                }
                break left;
            }
            tokio::time::sleep(policy::ORPHANS_PAUSE).await;
        };
        let took = self.clock.now() - start;
        let ended = met.len().saturating_sub(left);
        if left > 0 {
            tracing::error!(left, ended, ?took, "processes of a former server's helpers cannot be ended");
        } else if ended > 0 {
            tracing::warn!(ended, ?took, "processes of a former server's helpers were left and are ended");
        }
        // Whoever waits for it may be gone with the server.
        let _ = told.send(Leftovers { done: true, ended, left, took });
    }
}

/// Processes that carry the mark of this home now: guards, and what helpers have. Signals none of them.
#[must_use]
pub fn carriers(home: HomeTag) -> usize {
    let carries = |process: &Process| Mark::carried_by(process.pid).any(|mark| mark.start.home == home);
    let spared = self_and_ancestors();
    proc::all().filter(|one| !one.zombie && !spared.contains(&one.pid) && carries(one)).count()
}

/// Kills every leftover there is, unless a guard is at work and `kill` does not say that its time is over.
fn pass(mine: StartMark, kill: bool, deadline: Instant) -> Pass {
    let spared = self_and_ancestors();
    let is_left = |pid| Mark::carried_by(pid).any(|mark| mark.start.home == mine.home && mark.start != mine);
    let others = || proc::all().filter(|process| !process.zombie && !spared.contains(&process.pid));
    let works =
        |process: &Process| !process.stopped && process.is_named(control::NAME) && is_left(process.pid);
    if !kill && others().any(|process| works(&process)) {
        let found = others().filter(|process| is_left(process.pid));
        return Pass {
            found: found.map(|process| (process.pid, process.started)).collect(),
            ..Pass::default()
        };
    }
    let Hunt { killed, sure } = kill_all(&spared, deadline, is_left);
    // Behind it, so that those in a group were counted.
    Pass { found: killed, groups: cgroup::end_former(mine), sure }
}

/// This process and those above it: a server may have been started below a helper of its predecessor.
fn self_and_ancestors() -> HashSet<Pid> {
    let above = |pid: &Pid| Process::read(*pid).map(|process| process.parent).filter(|pid| pid.as_raw() > 0);
    std::iter::successors(Some(Pid::this()), above).collect()
}
