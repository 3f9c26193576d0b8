//! Ends the orphans of a guard that died before its helper: the server inherits them.

use std::collections::HashSet;

use nix::unistd::Pid;
use skein_base::clock::Clock;
use skein_base::system::proc::{self, Process};
use skein_base::tasks::{BlockingPool, Tasks};

use crate::containment::cgroup::Group;
use crate::containment::tag::ProcessTag;
use crate::policy;
use crate::recovery::children::{Children, reap};
use crate::recovery::kill_loop::{Killed, Patience, kill_all};

/// Tells the orphans of a guard from other children of this process.
#[derive(Debug)]
pub(crate) struct Orphans<'a> {
    /// Every process of the helper carries it, unless the process shed it.
    pub(crate) tag: ProcessTag,
    /// The guard and the helper itself; both lead sessions.
    pub(crate) leaders: Vec<Pid>,
    /// Their cgroup.
    pub(crate) group: Option<&'a Group>,
}

/// The result of one pass.
struct OrphanPass {
    /// Processes that are still there.
    left: usize,
    /// The pass met an orphan, dead or alive.
    met: bool,
}

impl Orphans<'_> {
    /// Kills and reaps until no orphan is left, or `Patience` is over. Returns how many are left.
    pub(crate) async fn end(&self, children: &Children, tasks: &Tasks) -> usize {
        // Counted before the first pass: from then on the reaper leaves zombies to this task.
        let _cleanup = children.cleanups.one_more();
        let mut patience = Patience::from(Clock.now());
        let (mut victims, mut quiet, mut none_is_tagged) = (HashSet::new(), 0, false);
        loop {
            if let Some(group) = self.group {
                group.kill();
            }
            let (before, mut news) = (victims.len(), false);
            let mut tagged = 0;
            // Once none is left, nobody is there who could start another one.
            if !none_is_tagged {
                let Killed { processes, sure } = self.kill_tagged(tasks).await;
                tagged = processes.len().max(usize::from(!sure));
                none_is_tagged = tagged == 0;
                news = !sure;
                victims.extend(processes);
            }
            let OrphanPass { left, met } = self.kill_and_reap(children, &mut victims);
            // Twice: a chain of forks that shed its tag can slip through one pass, but each of its links leaves a zombie to the
            // next.
            quiet = if met || !none_is_tagged { 0 } else { quiet + 1 };
            news |= victims.len() > before;
            if patience.is_over(Clock.now(), news) || quiet == 2 {
                return left.max(tagged);
            }
            tokio::time::sleep(policy::ORPHANS_PAUSE).await;
        }
    }

    /// Kills what carries the tag, also a chain of forks that goes on faster than a pass over all processes.
    async fn kill_tagged(&self, tasks: &Tasks) -> Killed {
        let tag = self.tag;
        let carries = move |pid| ProcessTag::carried_by(pid).any(|carried| carried == tag);
        let kill = move || kill_all(&HashSet::new(), carries);
        let killed = tasks.blocking("orphans of a helper", BlockingPool::Cleanups, kill).await;
        // Without a look, or after a panic, which was logged, another try is no better: what `kill_and_reap` finds has to do.
        killed.ok().flatten().unwrap_or(Killed { processes: HashSet::new(), sure: true })
    }

    /// One pass. `victims` remembers killed processes: a zombie shows neither its environment nor its former parent.
    fn kill_and_reap(&self, children: &Children, victims: &mut HashSet<(Pid, u64)>) -> OrphanPass {
        let guards = children.guards();
        let own = Pid::this();
        let group = nix::unistd::getpgrp();
        let (mut left, mut met) = (0, false);
        let mut family = HashSet::new();
        for process in proc::all() {
            let child = process.parent == own && !guards.contains(&process.pid.as_raw());
            let name = (process.pid, process.started);
            let ours = child && (victims.contains(&name) || self.adopted(children, &process));
            if !ours && !family.contains(&process.parent) {
                continue;
            }
            met = true;
            if process.zombie {
                left += usize::from(child && !reap(process.pid));
            } else {
                family.insert(process.pid);
                victims.insert(name);
                process.kill_with_group(group);
                left += 1;
            }
        }
        OrphanPass { left, met }
    }

    fn adopted(&self, children: &Children, process: &Process) -> bool {
        children.only_helpers
            || self.leaders.contains(&process.session)
            // The tag of any helper: orphans of a live guard fall to that guard.
            || children.start.is_carried_by(process.pid)
            || self.group.is_some_and(|group| group.has(process.pid))
    }
}
