//! Who descends from whom, and signalling a process without ever hitting another that got its pid.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ffi::CStr;

use nix::unistd::Pid;
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::ProcessHandle;

/// A process at one moment. The pid and the start time together name it for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its id, which another process may get once this one is reaped.
    pub pid: Pid,
    /// The id of its parent.
    pub parent: Pid,
    /// The id of its process group.
    pub group: Pid,
    /// The id of its session.
    pub session: Pid,
    /// When, in the system's own unit.
    pub started: u64,
    /// It has ended and waits to be reaped.
    pub zombie: bool,
    /// It was stopped by a signal, or is traced.
    pub stopped: bool,
}

impl Process {
    /// The process that has `pid` now.
    pub fn read(pid: Pid) -> Option<Self> {
        super::process(pid)
    }

    /// Whether the kernel calls it so now.
    pub fn is_named(&self, name: &CStr) -> bool {
        super::name(self.pid).is_some_and(|known| known == name.to_bytes())
    }

    /// A hold on exactly this process. `None` when it is gone.
    pub(crate) fn pin(&self) -> Option<ProcessHandle> {
        // The hold pins whoever has the pid now; only then does the start time tell whether that is still ours.
        ProcessHandle::on(self.pid)
            .filter(|_| Self::read(self.pid).is_some_and(|now| now.started == self.started))
    }

    /// Sends `signal` to exactly this process. `false` when it is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        self.pin().is_some_and(|handle| handle.signal(signal).is_ok())
    }

    /// SIGKILL to this process and to its process group, in one step for the whole group where that can be done: a member
    /// that is about to fork cannot get away. `spare` is a group that is never killed (the caller's own).
    pub fn kill_with_group(&self, spare: Pid) {
        let Some(handle) = self.pin() else { return };
        // At once: a link of a chain of forks lives for milliseconds, and while it is stopped it is a member of its group.
        // An error says that it is gone.
        let _ = handle.signal(Signal::STOP);
        if self.group != spare && self.group.as_raw() > 1 && !self.kill_group() {
            self.kill_members();
        }
        // It may have ended meanwhile.
        let _ = handle.signal(Signal::KILL);
    }

    /// Whether it lives and is in its group. While that is so the number of the group is given to nobody else.
    fn is_member(&self) -> bool {
        let now = Self::read(self.pid);
        now.is_some_and(|now| now.started == self.started && now.group == self.group && !now.zombie)
    }

    /// SIGKILL to the whole group of this process by a hold on its leader. `false` where that cannot be done: the
    /// leader is gone, or the kernel is older than 6.9.
    fn kill_group(&self) -> bool {
        // Opened before the look: while this is a member the number, and so the hold, is its leader's.
        ProcessHandle::on(self.group).is_some_and(|leader| self.is_member() && leader.kill_group())
    }

    /// The same one by one: every member is stopped, so that it cannot fork, until a look finds no new one.
    fn kill_members(&self) {
        let mut held = HashMap::new();
        loop {
            let before = held.len();
            for member in all().filter(|other| other.group == self.group && !other.zombie) {
                let Entry::Vacant(new) = held.entry((member.pid, member.started)) else { continue };
                // In this order: when the last holds, the number has been this group's all the time.
                if let Some(handle) = member.pin()
                    && member.is_member()
                    && self.is_member()
                {
                    // It may have ended meanwhile.
                    let _ = handle.signal(Signal::STOP);
                    new.insert(handle);
                }
            }
            if held.len() == before {
                break;
            }
        }
        for handle in held.values() {
            // It may have ended meanwhile.
            let _ = handle.signal(Signal::KILL);
        }
    }
}

/// Visits every living descendant of `root`, and only those. Most are visited within microseconds of being read, so
/// that a visitor that kills has a chance against processes that come and go.
pub fn descendants(root: Pid, mut visit: impl FnMut(&Process)) {
    let mut family = HashSet::from([root]);
    let mut others = Vec::new();
    // Pids come in rising order, and parents mostly have lower ones than their children: one pass finds most.
    for process in all() {
        if family.contains(&process.parent) {
            family.insert(process.pid);
            visit_living(&process, &mut visit);
        } else {
            others.push(process);
        }
    }
    while let Some(at) = others.iter().position(|process| family.contains(&process.parent)) {
        let process = others.swap_remove(at);
        family.insert(process.pid);
        visit_living(&process, &mut visit);
    }
}

fn visit_living(process: &Process, visit: &mut impl FnMut(&Process)) {
    if !process.zombie {
        visit(process);
    }
}

/// Every process that this one may see.
pub fn all() -> impl Iterator<Item = Process> {
    super::pids().filter_map(Process::read)
}

/// Whether this process has children, zombies included.
pub fn has_children() -> bool {
    peek().is_ok()
}

/// Whether any child has ended. Reaps none; an error says that there are no children.
pub fn peek() -> rustix::io::Result<Option<WaitIdStatus>> {
    waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_and_its_parent_has_it_as_a_descendant() {
        let me = Process::read(Pid::this()).expect("this process is in /proc");
        assert!(!me.zombie);
        assert_eq!(me.parent, Pid::parent());
        let mut found = false;
        descendants(Pid::parent(), |process| found |= *process == me);
        assert!(found);
    }

    #[test]
    fn a_process_of_another_start_time_is_never_signalled() {
        let me = Process::read(Pid::this()).expect("this process is in /proc");
        let former = Process { started: me.started + 1, ..me };
        assert!(!former.signal(Signal::KILL));
    }

    #[test]
    fn a_leader_whose_number_another_process_has_now_does_not_cost_that_one_its_group() {
        let me = Process::read(Pid::this()).expect("this process is in /proc");
        let former = Process { started: me.started + 1, ..me };
        // This process and its whole group would be gone.
        assert!(!former.kill_group());
        former.kill_members();
        former.kill_with_group(Pid::from_raw(i32::MAX));
    }
}
