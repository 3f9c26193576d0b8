//! When a guard dies without having ended its helper, the server inherits what is left, and ends it here.

use std::collections::HashSet;

use nix::unistd::Pid;
use rustix::process::WaitOptions;
use skein_base::system::proc::{self, Process};

use crate::containment::cgroup::Group;
use crate::policy;
use crate::process::host::ProcessHost;

/// How to tell the orphans of a guard from processes that are none of ours.
#[derive(Debug)]
pub(crate) struct Orphans<'a> {
    /// The guard and the helper itself; both lead sessions.
    pub(crate) leaders: Vec<Pid>,
    /// Their cgroup.
    pub(crate) group: Option<&'a Group>,
}

/// What one look found.
struct Pass {
    /// Processes that are still there.
    left: usize,
    /// Any, a zombie included.
    met: bool,
}

impl Orphans<'_> {
    /// Kills and reaps until none is left, or the time for it is over. Returns how many are left.
    pub(crate) async fn end(&self, host: &ProcessHost) -> usize {
        // Told before the first look: from then on nobody else reaps what is looked for.
        let _hunt = host.counters.hunts.one_more();
        let clock = host.options.clock;
        let deadline = clock.now() + policy::ORPHANS_LIMIT;
        let (mut victims, mut quiet) = (HashSet::new(), 0);
        loop {
            if let Some(group) = self.group {
                group.kill();
            }
            let Pass { left, met } = self.kill_and_reap(host, &mut victims);
            // Twice: a chain of forks can slip through one look, but each of its links leaves a zombie to the next.
            quiet = if met { 0 } else { quiet + 1 };
            if quiet == 2 || clock.now() >= deadline {
                return left;
            }
            tokio::time::sleep(policy::ORPHANS_PAUSE).await;
        }
    }

    /// One pass. `victims` remembers whom it killed: a zombie shows no environment, and not whose child it was.
    fn kill_and_reap(&self, host: &ProcessHost, victims: &mut HashSet<(Pid, u64)>) -> Pass {
        let guards = host.guards();
        let own = Pid::this();
        let group = nix::unistd::getpgrp();
        let (mut left, mut met) = (0, false);
        let mut family = HashSet::new();
        for process in proc::all() {
            let child = process.parent == own && !guards.contains(&process.pid.as_raw());
            let name = (process.pid, process.started);
            let ours = child && (victims.contains(&name) || self.adopted(host, &process));
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
        Pass { left, met }
    }

    fn adopted(&self, host: &ProcessHost, process: &Process) -> bool {
        host.only_helpers
            || self.leaders.contains(&process.session)
            // Of whichever helper: orphans of a guard that lives come to that one.
            || host.start.is_carried_by(process.pid)
            || self.group.is_some_and(|group| group.has(process.pid))
    }
}

/// Reaps the zombie `pid`. `false` when there is none.
pub(crate) fn reap(pid: Pid) -> bool {
    rustix::process::Pid::from_raw(pid.as_raw())
        .is_some_and(|pid| matches!(rustix::process::waitpid(Some(pid), WaitOptions::NOHANG), Ok(Some(_))))
}
