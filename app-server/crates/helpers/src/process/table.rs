//! The process table: the current processes of all helpers, in one walk. Must never signal one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use nix::unistd::Pid;
use skein_base::system;
use skein_base::system::proc::{self, Process};
use skein_protocol::extension::HelperProcess;
use tokio::sync::watch;

use crate::policy;
use crate::process::input::WeakInput;
use crate::process::report::ProcessStatus;
use crate::process::stderr::Ring;

/// The parts of a helper with a process that reports show.
#[derive(Debug, Clone)]
pub(crate) struct ProcessView {
    pub(crate) life: watch::Receiver<ProcessStatus>,
    /// The guard above all processes of the helper.
    pub(crate) guard: Option<Process>,
    pub(crate) stderr: Arc<Mutex<Ring>>,
    pub(crate) stdin: WeakInput,
}

impl ProcessView {
    /// The helper's main process, while it runs.
    pub(crate) fn pid(&self) -> Option<i32> {
        let life = self.life.borrow();
        life.pid.filter(|_| life.ended.is_none())
    }

    /// The number of queued messages.
    pub(crate) fn queued(&self) -> usize {
        self.stdin.queued()
    }

    /// The last lines of its stderr.
    pub(crate) fn stderr(&self) -> String {
        let ring = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        ring.tail(policy::HELPER_STDERR_TAIL_LINES, policy::HELPER_STDERR_TAIL_BYTES)
    }
}

/// All processes of the machine, at one moment.
#[derive(Debug)]
pub struct ProcessTable {
    found: HashMap<Pid, Process>,
    children: HashMap<Pid, Vec<Pid>>,
}

impl ProcessTable {
    /// Reads the table. Blocks.
    pub fn take() -> Self {
        Self::of(proc::all())
    }

    pub(crate) fn of(all: impl Iterator<Item = Process>) -> Self {
        let mut table = Self { found: HashMap::new(), children: HashMap::new() };
        for process in all.filter(|process| !process.zombie) {
            table.found.insert(process.pid, process);
            table.children.entry(process.parent).or_default().push(process.pid);
        }
        table
    }

    /// The processes whose parent is missing, or only has the number of the parent: that one ended while the table was read, and its
    /// child has another one now.
    pub(crate) fn strays(&self) -> impl Iterator<Item = Process> {
        let is_older = |child: &Process| {
            self.found.get(&child.parent).is_some_and(|parent| parent.started <= child.started)
        };
        self.found.values().copied().filter(move |child| child.parent.as_raw() > 0 && !is_older(child))
    }

    /// The descendants of `root`, parents before their children. Empty if another process has its pid by now.
    pub(crate) fn below(&self, root: &Process) -> Vec<HelperProcess> {
        self.pids_below(root).into_iter().filter_map(|pid| self.about(pid)).collect()
    }

    /// The pids of [`ProcessTable::below`].
    pub(crate) fn pids_below(&self, root: &Process) -> Vec<Pid> {
        if self.found.get(&root.pid).is_none_or(|found| found.started != root.started) {
            return Vec::new();
        }
        let mut pids = Vec::new();
        let mut next = vec![root.pid];
        while let Some(parent) = next.pop() {
            let children = self.children.get(&parent).map(Vec::as_slice).unwrap_or_default();
            next.extend(children.iter().rev());
            if parent != root.pid {
                pids.push(parent);
            }
        }
        pids
    }

    /// The processes of [`ProcessTable::below`].
    pub(crate) fn processes_below(&self, root: &Process) -> Vec<Process> {
        self.pids_below(root).into_iter().filter_map(|pid| self.found.get(&pid).copied()).collect()
    }

    /// The children of a process.
    pub(crate) fn children_of(&self, parent: Pid) -> impl Iterator<Item = Process> {
        let children = self.children.get(&parent).map(Vec::as_slice).unwrap_or_default();
        children.iter().filter_map(|pid| self.found.get(pid).copied())
    }

    /// `None` for a process that has ended since.
    fn about(&self, pid: Pid) -> Option<HelperProcess> {
        let parent = self.found.get(&pid)?.parent;
        let (name, memory_bytes) = (system::name(pid)?, system::resident(pid)?);
        Some(HelperProcess {
            pid: pid.as_raw(),
            parent: parent.as_raw(),
            name: String::from_utf8_lossy(&name).into_owned(),
            memory_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, started: u64) -> Process {
        let [pid, parent] = [pid, parent].map(Pid::from_raw);
        Process { pid, parent, group: pid, session: pid, started, zombie: false, stopped: false }
    }

    #[test]
    fn parents_come_before_their_children_and_others_not_at_all() {
        let zombie = Process { zombie: true, ..process(6, 2, 6) };
        // Pids wrap around: a child may have the lower one.
        let all = [
            process(2, 1, 1),
            process(3, 5, 9),
            process(4, 1, 2),
            process(5, 2, 3),
            process(7, 2, 4),
            zombie,
        ];
        let table = ProcessTable::of(all.into_iter());
        let pids = |root: &Process| table.pids_below(root).into_iter().map(Pid::as_raw).collect::<Vec<_>>();
        assert_eq!(pids(&process(2, 1, 1)), [5, 3, 7]);
        assert_eq!(pids(&process(2, 1, 8)), [0; 0], "its number is another's by now");
        assert_eq!(pids(&process(9, 1, 1)), [0; 0]);
    }

    #[test]
    fn the_child_of_a_missing_parent_is_a_stray() {
        let strays = |all: &[Process]| {
            ProcessTable::of(all.iter().copied()).strays().map(|stray| stray.pid.as_raw()).collect::<Vec<_>>()
        };
        assert_eq!(strays(&[process(1, 0, 1), process(2, 1, 2)]), [0; 0]);
        assert_eq!(
            strays(&[process(1, 0, 1), process(3, 2, 3), process(4, 3, 4)]),
            [3],
            "its parent has ended"
        );
        let zombie = Process { zombie: true, ..process(2, 1, 2) };
        assert_eq!(strays(&[process(1, 0, 1), zombie, process(3, 2, 3)]), [3], "so has a zombie");
        let another = process(2, 1, 4);
        assert_eq!(strays(&[process(1, 0, 1), another, process(3, 2, 3)]), [3], "another has its number");
    }
}
