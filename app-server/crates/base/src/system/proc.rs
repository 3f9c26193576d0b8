//! Finds descendants of processes, and signals a process without ever hitting another with the same pid.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::ops::ControlFlow;

use nix::unistd::Pid;
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::ProcessHandle;

/// Looks at a chain of parents that changes during the look, which it does as often as a parent ends.
const CHAIN_LOOKS: usize = 16;

/// A process at one moment. Pid and start time together identify it for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its pid, which another process may get once this one is reaped.
    pub pid: Pid,
    /// The pid of its parent.
    pub parent: Pid,
    /// The id of its process group.
    pub group: Pid,
    /// The id of its session.
    pub session: Pid,
    /// Its start, in the system's own unit.
    pub started: u64,
    /// Whether it has ended and waits to be reaped.
    pub zombie: bool,
    /// Whether a signal stopped it, or it is traced.
    pub stopped: bool,
}

impl Process {
    /// The process that has `pid` now.
    pub fn read(pid: Pid) -> Option<Self> {
        super::process(pid)
    }

    /// Whether the kernel knows it by this name now.
    pub fn is_named(&self, name: &CStr) -> bool {
        super::name(self.pid).is_some_and(|known| known == name.to_bytes())
    }

    /// A handle to exactly this process. `None` if it is gone.
    pub(crate) fn pin(&self) -> Option<ProcessHandle> {
        // The handle pins the pid's current process. Only then does the start time tell whether that is still this
        // one.
        ProcessHandle::on(self.pid)
            .filter(|_| Self::read(self.pid).is_some_and(|now| now.started == self.started))
    }

    /// Sends `signal` to exactly this process. `false` if it is gone.
    pub fn signal(&self, signal: Signal) -> bool {
        self.pin().is_some_and(|handle| handle.signal(signal).is_ok())
    }

    /// Sends SIGKILL to this process and its process group, if possible in one step for the whole group, so that a
    /// forking member cannot escape. Never kills the group `spare`, the caller's own.
    pub fn kill_with_group(&self, spare: Pid) {
        let Some(handle) = self.pin() else { return };
        // At once: a link of a chain of forks lives for milliseconds, and a stopped one stays a member of its group.
        // An error means that it is gone.
        let _ = handle.signal(Signal::STOP);
        if self.group != spare && self.group.as_raw() > 1 && !self.kill_group() {
            self.kill_members();
        }
        // It may have ended meanwhile.
        let _ = handle.signal(Signal::KILL);
    }

    /// Whether it lives and is in its group. Until then the group's number is not reused.
    fn is_member(&self) -> bool {
        let now = Self::read(self.pid);
        now.is_some_and(|now| now.started == self.started && now.group == self.group && !now.zombie)
    }

    /// Sends SIGKILL to this process's whole group through a handle to the leader. `false` if that is impossible: the
    /// leader is gone, or the kernel is older than 6.9.
    fn kill_group(&self) -> bool {
        // Opened before the check: while this process is a member, the number and the handle belong to its leader.
        ProcessHandle::on(self.group).is_some_and(|leader| self.is_member() && leader.kill_group())
    }

    /// Kills the group one by one: stops every member, so that it cannot fork, until a look finds no new one.
    fn kill_members(&self) {
        let mut held = HashMap::new();
        loop {
            let before = held.len();
            for member in all().filter(|other| other.group == self.group && !other.zombie) {
                let Entry::Vacant(new) = held.entry((member.pid, member.started)) else { continue };
                // The order matters: if the last check holds, the number was this group's all the time.
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

/// Processes change too fast to be sure of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Unsettled;

/// Climbs from a process up to the first one that can be seen, and returns the first find, which may be the process itself. `read`
/// is [`Process::read`]. Starts again, within limits, if a parent ends meanwhile: its children have another one then.
///
/// # Errors
/// Parents ended during each look.
pub fn find_above<T>(
    read: impl Fn(Pid) -> Option<Process>,
    pid: Pid,
    find: impl Fn(&Process) -> Option<T>,
) -> Result<Option<T>, Unsettled> {
    for _ in 0..CHAIN_LOOKS {
        let Some(process) = read(pid) else { return Ok(None) };
        match climb(&read, process, &find) {
            ControlFlow::Break(found) => return Ok(found),
            ControlFlow::Continue(()) => {}
        }
    }
    Err(Unsettled)
}

fn climb<T>(
    read: &impl Fn(Pid) -> Option<Process>,
    mut at: Process,
    find: &impl Fn(&Process) -> Option<T>,
) -> ControlFlow<Option<T>> {
    loop {
        if let Some(found) = find(&at) {
            return ControlFlow::Break(Some(found));
        }
        if at.parent.as_raw() <= 0 {
            return ControlFlow::Break(None);
        }
        match read(at.parent) {
            // A process that is younger than its child only has the number of the child's parent.
            Some(parent) if parent.started <= at.started => at = parent,
            // A parent that has ended would have left its child to another one by now: this one is hidden (`hidepid` of proc(5)).
            None if read(at.pid).is_some_and(|now| (now.started, now.parent) == (at.started, at.parent)) => {
                return ControlFlow::Break(None);
            }
            Some(_) | None => return ControlFlow::Continue(()),
        }
    }
}

/// Visits every living descendant of `root`, and only those. It visits most within microseconds of reading them, so
/// that a killing visitor has a chance against short-lived processes, also those that start during the walk.
pub fn descendants(root: Pid, mut visit: impl FnMut(&Process)) {
    let mut family = HashSet::from([root]);
    let mut others = Vec::new();
    // Pids rise, and parents mostly have lower ones than their children: one pass finds most.
    for process in super::pids().filter_map(Process::read) {
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

/// The number of processes and threads that the machine has started since its boot; `None` where the kernel does not say.
pub fn born() -> Option<u64> {
    super::born()
}

/// Every process that this one can see, without those that start during the walk: it ends also beside a chain of forks that goes on
/// faster.
pub fn all() -> impl Iterator<Item = Process> {
    present().into_iter().filter_map(Process::read)
}

/// The pids of every process that this one can see, also of those that wait to be reaped.
pub fn present() -> Vec<Pid> {
    super::pids().collect()
}

/// Whether this process has children, zombies included.
pub fn has_children() -> bool {
    peek().is_ok()
}

/// Whether any child has ended. Reaps none; an error means that there are no children.
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
    fn the_processes_above_this_one_are_found_up_to_the_first() {
        let is = |pid| move |at: &Process| (at.pid == pid).then_some(at.pid);
        for above in [Pid::this(), Pid::parent()] {
            assert_eq!(find_above(Process::read, Pid::this(), is(above)), Ok(Some(above)));
        }
        assert_eq!(find_above(Process::read, Pid::parent(), is(Pid::this())), Ok(None));
        let none = Pid::from_raw(i32::MAX);
        assert_eq!(find_above(Process::read, none, |_| Some(())), Ok(None), "there is no such process");
    }

    #[test]
    fn a_hidden_parent_is_the_top_of_a_chain_and_one_that_always_ends_leaves_it_unsettled() {
        let process = |pid, parent| {
            let [pid, parent] = [pid, parent].map(Pid::from_raw);
            Process { pid, parent, group: pid, session: pid, started: 1, zombie: false, stopped: false }
        };
        let nobody = |_: &Process| None::<()>;
        let child = Pid::from_raw(7);
        let hidden = |pid| (pid == child).then(|| process(7, 2));
        assert_eq!(find_above(hidden, child, nobody), Ok(None));
        let parent = std::cell::Cell::new(10);
        let ends = |pid| {
            parent.set(parent.get() + 1);
            (pid == child).then(|| process(7, parent.get()))
        };
        assert_eq!(find_above(ends, child, nobody), Err(Unsettled));
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
