//! Ends the orphans of a guard that died before its helper: the server inherits them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::Pid;
use skein_base::clock::Clock;
use skein_base::system::proc::{self, Process};
use skein_base::tasks::{BlockingPool, Tasks};

use crate::containment::cgroup::Group;
use crate::containment::tag::ProcessTag;
use crate::policy;
use crate::recovery::children::Children;
use crate::recovery::kill_loop::{Killed, Patience, kill_all};

/// Tells the orphans of a guard from other children of this process.
#[derive(Debug)]
pub(crate) struct Orphans {
    /// Every process of the helper carries it, unless the process shed it.
    pub(crate) tag: ProcessTag,
    /// The guard and the helper itself; both lead sessions.
    pub(crate) leaders: Vec<Pid>,
    /// Their cgroup.
    pub(crate) group: Option<Group>,
}

/// The search for them, pass by pass.
#[derive(Debug, Default)]
struct OrphanSearch {
    /// Killed processes: a zombie shows neither its environment nor its former parent.
    victims: HashSet<(Pid, u64)>,
    /// Passes in a row that were sure to kill none, and met none, dead or alive.
    quiet: u32,
    /// Orphans that the last pass left.
    left: usize,
}

/// The result of one look at all processes.
struct OrphanPass {
    /// Processes that are still there.
    left: usize,
    /// It met an orphan, dead or alive.
    met: bool,
}

impl Orphans {
    /// Kills and reaps until no orphan is left, or `Patience` is over. Returns how many are left.
    pub(crate) async fn end(self, children: &Arc<Children>, tasks: &Tasks) -> usize {
        // Counted before the first pass: from then on the reaper leaves zombies to this task.
        let _cleanup = children.cleanups.begin(self.tag, self.leaders.clone());
        let mut patience = Patience::from(Clock.now());
        let (orphans, search) = (Arc::new(self), Arc::new(Mutex::new(OrphanSearch::default())));
        loop {
            let pass = {
                let (orphans, search, children) =
                    (Arc::clone(&orphans), Arc::clone(&search), Arc::clone(children));
                move || orphans.pass(&children, &mut search.lock().unwrap_or_else(PoisonError::into_inner))
            };
            let passed = tasks.blocking("orphans of a helper", BlockingPool::Cleanups, pass).await;
            let OrphanSearch { quiet, left, .. } = *search.lock().unwrap_or_else(PoisonError::into_inner);
            // A panic was logged.
            let news = passed.unwrap_or(false);
            // Twice: a chain of forks that shed its tag can slip through one pass, but each of its links leaves a zombie to the
            // next.
            if patience.is_over(Clock.now(), news) || quiet == 2 {
                return left;
            }
            tokio::time::sleep(policy::ORPHANS_PAUSE).await;
        }
    }

    /// One pass. Returns whether it met a process for the first time, or cannot be sure that it met all.
    fn pass(&self, children: &Children, search: &mut OrphanSearch) -> bool {
        if let Some(group) = &self.group {
            group.kill();
        }
        let (before, mut killed, mut all_met) = (search.victims.len(), 0, true);
        // Behind a quiet pass, nobody was there who could start another one.
        if search.quiet == 0 {
            let Killed { processes, sure } = self.kill(children);
            (killed, all_met) = (processes.len().max(usize::from(!sure)), sure);
            search.victims.extend(processes);
        }
        let OrphanPass { left, met } = self.kill_and_reap(children, &mut search.victims);
        // A link of a chain that shed its tag may not have fallen to this process when it was looked at.
        search.quiet = if killed > 0 || met { 0 } else { search.quiet + 1 };
        search.left = left.max(killed);
        !all_met || search.victims.len() > before
    }

    /// Kills what fell to this process, and what carries the tag of any helper whose guard is dead, also a chain of forks that goes on
    /// faster than a pass over all processes: such a chain keeps every clean-up from its end, and its own may still wait for a
    /// thread.
    fn kill(&self, children: &Children) -> Killed {
        let selected = |pid| {
            ProcessTag::carried_by(pid).any(|tag| children.cleanups.now().contains_key(&tag))
                || Process::read(pid)
                    .is_some_and(|process| fell_to_us(children, &process) && self.adopted(children, &process))
        };
        // Without a look another try is no better: what `kill_and_reap` finds has to do.
        // This process is the heir of all that had the dead guard above them.
        let reaped = || Some(children.reaped());
        kill_all(&HashSet::new(), selected, reaped)
            .unwrap_or(Killed { processes: HashSet::new(), sure: true })
    }

    /// Reaps what fell to this process, and kills it with its descendants.
    fn kill_and_reap(&self, children: &Children, victims: &mut HashSet<(Pid, u64)>) -> OrphanPass {
        let group = nix::unistd::getpgrp();
        let (mut left, mut met) = (0, false);
        let mut family = HashSet::new();
        for process in proc::all() {
            let name = (process.pid, process.started);
            let fell = fell_to_us(children, &process);
            let own = victims.contains(&name) || (fell && self.adopted(children, &process));
            if !own && !family.contains(&process.parent) {
                // Those of other helpers lengthen every pass until their own clean-up has its turn.
                if fell && process.zombie && children.cleanups.has_session(process.session) {
                    children.reap(process.pid);
                }
                continue;
            }
            met = true;
            if process.zombie {
                left += usize::from(fell && !children.reap(process.pid));
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
            // The tag of any helper: orphans of a live guard fall to that guard. Zombies are left out: a chain of forks makes them
            // faster than their tags can be read.
            || (!process.zombie && children.start.is_carried_by(process.pid))
            || self.group.as_ref().is_some_and(|group| group.has(process.pid))
    }
}

/// Whether it is a child of this process and no guard.
fn fell_to_us(children: &Children, process: &Process) -> bool {
    // Locked after the look at the process: if it is a new guard it is listed by now.
    process.parent == Pid::this() && !children.guards().contains(&process.pid.as_raw())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use skein_base::home_tag::HomeTag;

    use super::*;
    use crate::containment::tag::{StartTag, VARIABLE};
    use crate::process::start::sleeper_with;

    fn orphans(tag: ProcessTag) -> Orphans {
        Orphans { tag, leaders: Vec::new(), group: None }
    }

    #[test]
    fn a_clean_up_ends_what_other_clean_ups_still_wait_for_and_nothing_of_a_live_guard() {
        let start = StartTag::new(HomeTag::of(&[b"clean-ups side by side"]), 1);
        let children = Children::new(start, false);
        let [own, live] = [1, 2].map(|helper| ProcessTag::new(start, helper));
        // Of another start: this process is its parent, too, but only the clean-up tells that it is to end.
        let other = ProcessTag::new(StartTag::new(start.home, 2), 1);
        let _cleanups = [own, other].map(|tag| children.cleanups.begin(tag, Vec::new()));
        let mut carriers = [own, other, live]
            .map(|tag| sleeper_with(|command| command.env(VARIABLE, tag.to_string())).unwrap());
        let pids = carriers.each_ref().map(|child| Pid::from_raw(child.id().cast_signed()));
        children.guards().insert(pids[2].as_raw());

        let Killed { processes, .. } = orphans(own).kill(&children);
        let lives = carriers[2].try_wait().unwrap().is_none();
        for carrier in &mut carriers {
            carrier.kill().unwrap();
            carrier.wait().unwrap();
        }
        let killed: HashSet<_> = processes.into_iter().map(|(pid, _)| pid).collect();
        assert_eq!(killed, HashSet::from([pids[0], pids[1]]));
        assert!(lives, "its guard lives");
    }

    /// A process that leads a session.
    fn leader() -> (std::process::Child, Pid) {
        let leader = sleeper_with(|command| {
            // SAFETY: setsid(2) may be called between fork and exec.
            unsafe { command.pre_exec(|| nix::unistd::setsid().map_err(Into::into).map(|_| ())) }
        })
        .unwrap();
        let pid = Pid::from_raw(leader.id().cast_signed());
        (leader, pid)
    }

    fn until_it_has_ended(pid: Pid) {
        while Process::read(pid).is_some_and(|process| !process.zombie) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_pass_that_meets_a_process_is_not_quiet_whatever_was_before() {
        let start = StartTag::new(HomeTag::of(&[b"a late orphan"]), 1);
        let children = Children::new(start, false);
        let (mut leader, pid) = leader();
        let orphans = Orphans { leaders: vec![pid], ..orphans(ProcessTag::new(start, 1)) };
        let _cleanup = children.cleanups.begin(orphans.tag, orphans.leaders.clone());
        let mut search = OrphanSearch { quiet: 1, ..OrphanSearch::default() };
        assert!(orphans.pass(&children, &mut search), "it is new");
        assert_eq!((search.quiet, search.left), (0, 1));
        until_it_has_ended(pid);
        orphans.pass(&children, &mut search);
        assert_eq!((search.quiet, search.left), (0, 0), "it met a zombie");
        leader.wait().unwrap_err();
    }

    #[test]
    fn a_pass_reaps_the_dead_of_every_clean_up() {
        let start = StartTag::new(HomeTag::of(&[b"zombies of another clean-up"]), 1);
        let children = Children::new(start, false);
        let (mut leader, pid) = leader();
        leader.kill().unwrap();
        until_it_has_ended(pid);
        let [own, other] = [1, 2].map(|helper| ProcessTag::new(start, helper));
        let _own = children.cleanups.begin(own, Vec::new());
        let mut victims = HashSet::new();
        orphans(own).kill_and_reap(&children, &mut victims);
        assert!(Process::read(pid).is_some() && children.reaped() == 0, "it is no helper's");
        let _other = children.cleanups.begin(other, vec![pid]);
        let OrphanPass { left, met } = orphans(own).kill_and_reap(&children, &mut victims);
        assert!(Process::read(pid).is_none() && left == 0 && !met, "it is the other's");
        assert_eq!(children.reaped(), 1);
        leader.wait().unwrap_err();
    }
}
