//! What a former server of this home left when its guards died with it: found by its mark, and ended before the first
//! helper of this one starts. Serving does not wait for it.
//!
//! Whoever has the home's lock is its only server; so what carries the home's mark and not this start's is a leftover.
//! No list is kept and no pid is remembered. A guard that lives on is given the time that it needs to end its helper in
//! stages, as a user of that helper would want.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::unistd::Pid;
use rustix::process::Signal;
use tokio::sync::watch;

use super::mark::{Mark, StartMark};
use super::proc::{self, Process};
use super::{cgroup, guard};
use crate::clock::Clock;
use crate::policy;
use crate::tasks::{Pool, Tasks};

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
pub struct Sweep {
    pub mine: StartMark,
    pub clock: Clock,
    pub tasks: Tasks,
    /// What a guard takes to end its helper when its server is gone.
    pub guards_need: Duration,
}

/// What one pass over all processes found.
#[derive(Debug, Default)]
struct Pass {
    /// Every leftover that lives.
    found: HashSet<(Pid, u64)>,
    /// One of them is a guard at work.
    guard_works: bool,
    /// Groups of former servers.
    groups: usize,
}

impl Sweep {
    /// Until nothing is left, or the time for it is over; tells `told` then.
    pub async fn run(self, told: watch::Sender<Leftovers>) {
        let start = self.clock.now();
        let (deadline, patience) = (start + policy::ORPHANS_LIMIT, start + self.guards_need);
        let (mut met, mut quiet) = (HashSet::new(), 0);
        let left = loop {
            let kill = self.clock.now() >= patience;
            let mine = self.mine;
            let look = move || pass(mine, kill);
            // Its panic was logged; helpers must start all the same.
            let Ok(pass) = self.tasks.blocking("leftovers of helpers", Pool::Processes, look).await else {
                break 0;
            };
            quiet = if pass.found.is_empty() && pass.groups == 0 { quiet + 1 } else { 0 };
            let left = pass.found.len();
            met.extend(pass.found);
            // More than once, since a process can be born behind the place where a look has got to; more often where
            // there was any, as a fast chain of forks may be among them.
            let enough = if met.is_empty() { 2 } else { policy::LEFTOVERS_LOOKS };
            if quiet >= enough || self.clock.now() >= deadline {
                break left;
            }
            if !met.is_empty() {
                tokio::time::sleep(policy::ORPHANS_PAUSE).await;
            }
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

/// One look at all processes. Kills what it finds, unless a guard is at work and `kill` does not say that its time is over.
fn pass(mine: StartMark, kill: bool) -> Pass {
    let mut pass = Pass::default();
    let spared = self_and_ancestors();
    let mut held: Vec<(Process, OwnedFd)> = Vec::new();
    for process in proc::all().filter(|process| !process.zombie && !spared.contains(&process.pid)) {
        // Pinned before its mark is read: whoever has the mark is whom the descriptor holds, or that one is gone.
        if let Some(handle) = proc::open(process.pid)
            && Mark::carried_by(process.pid).any(|mark| mark.start.home == mine.home && mark.start != mine)
        {
            pass.guard_works |= !process.stopped && process.is_named(guard::NAME);
            pass.found.insert((process.pid, process.started));
            held.push((process, handle));
        }
    }
    if pass.guard_works && !kill {
        return pass;
    }
    // Stopped first, so that none of them can fork while others are killed.
    for signal in [Signal::STOP, Signal::KILL] {
        for (_, handle) in &held {
            // An error says that it is gone, or that it is another user's, which the count of those left tells.
            let _ = rustix::process::pidfd_send_signal(handle, signal);
        }
    }
    pass.groups = cgroup::end_former(mine);
    pass
}

/// This process and those above it: a server may have been started below a helper of its predecessor.
fn self_and_ancestors() -> HashSet<Pid> {
    let above = |pid: &Pid| Process::read(*pid).map(|process| process.parent).filter(|pid| pid.as_raw() > 0);
    std::iter::successors(Some(Pid::this()), above).collect()
}
