//! The living helpers of one server, and which of them a process or a socket belongs to.
//!
//! The chain of parents comes first: guards are subreapers, so no process below a guard leaves it while the guard lives. The
//! process tag is for the orphans of a dead guard; a process can lower its own limits and clear its environment. Both keep out
//! the ordinary tools of a helper. They are no wall against a program that asks another service to connect for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::Pid;
use skein_base::home_tag::HomeTag;
use skein_base::system;
use skein_base::system::proc::{self, Process};

use crate::containment::tag::{ProcessTag, StartTag};
use crate::policy;
use crate::process::host::ProcessHost;
use crate::process::table::ProcessTable;
use crate::spec::HelperSpec;

/// A helper of which a process is, or may be, left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LivingHelper {
    pub(crate) name: String,
    pub(crate) may_connect: bool,
    /// The guard above all its processes.
    pub(crate) guard: Option<Process>,
}

/// A process that belongs to a helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Belonging {
    To(LivingHelper),
    /// A helper that has ended, or one of a former server of this home.
    Former,
}

/// The living helpers, by their tags.
#[derive(Debug, Default)]
pub(crate) struct Living {
    helpers: Arc<Mutex<HashMap<ProcessTag, LivingHelper>>>,
    /// The table of the last complete look.
    last: Mutex<Option<LastTable>>,
}

/// The processes of a machine.
trait ProcessSource {
    /// As [`proc::born`].
    fn born(&self) -> Option<u64>;
    /// All processes.
    fn table(&self) -> ProcessTable;
    /// The process that has `pid` now.
    fn process(&self, pid: Pid) -> Option<Process>;
    /// The tag of a helper of this home that a process carries.
    fn tag(&self, pid: Pid, home: HomeTag) -> Option<ProcessTag>;
    /// Whether a process holds the socket with this inode.
    fn holds(&self, pid: Pid, inode: u64) -> bool;

    /// Whether exactly this process runs.
    fn lives(&self, process: &Process) -> bool {
        self.process(process.pid).is_some_and(|now| now.started == process.started && !now.zombie)
    }
}

/// This machine.
struct SystemProcesses;

impl ProcessSource for SystemProcesses {
    fn born(&self) -> Option<u64> {
        proc::born()
    }

    fn table(&self) -> ProcessTable {
        ProcessTable::take()
    }

    fn process(&self, pid: Pid) -> Option<Process> {
        Process::read(pid)
    }

    fn tag(&self, pid: Pid, home: HomeTag) -> Option<ProcessTag> {
        ProcessTag::carried_by(pid).find(|tag| tag.start.home == home)
    }

    fn holds(&self, pid: Pid, inode: u64) -> bool {
        system::sockets(pid).contains(&inode)
    }
}

/// A table of processes that serves again while no process is born and no child of this process ends.
#[derive(Debug)]
struct LastTable {
    born: u64,
    guards: HashSet<Option<Process>>,
    table: Arc<ProcessTable>,
}

impl LastTable {
    fn is_current(
        &self,
        source: &impl ProcessSource,
        born: Option<u64>,
        living: &HashMap<ProcessTag, LivingHelper>,
    ) -> bool {
        // The end of a guard takes its helper off the list. The other children are orphans, and few.
        born == Some(self.born)
            && self.guards == guards(living)
            && self
                .table
                .children_of(Pid::this())
                .filter(|child| !self.guards.iter().flatten().any(|guard| guard.pid == child.pid))
                .all(|child| source.lives(&child))
    }
}

fn guards(living: &HashMap<ProcessTag, LivingHelper>) -> HashSet<Option<Process>> {
    living.values().map(|helper| helper.guard).collect()
}

/// Whether this is the guard of a living helper.
fn is_guard(process: &Process, living: &HashMap<ProcessTag, LivingHelper>) -> bool {
    let is_it = |guard: Process| (guard.pid, guard.started) == (process.pid, process.started);
    living.values().filter_map(|helper| helper.guard).any(is_it)
}

/// Keeps one of them listed until it is dropped.
#[derive(Debug)]
pub(crate) struct ListedHelper {
    all: Arc<Mutex<HashMap<ProcessTag, LivingHelper>>>,
    tag: ProcessTag,
}

impl Drop for ListedHelper {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.tag);
    }
}

impl Living {
    /// Lists a helper that is about to start.
    pub(crate) fn list(&self, tag: ProcessTag, spec: &HelperSpec, guard: Option<Process>) -> ListedHelper {
        let may_connect = spec.stdio().is_some_and(|stdio| stdio.may_connect);
        let helper = LivingHelper { name: spec.name.clone(), may_connect, guard };
        lock(&self.helpers).insert(tag, helper);
        ListedHelper { all: Arc::clone(&self.helpers), tag }
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.helpers).is_empty()
    }

    fn all(&self) -> HashMap<ProcessTag, LivingHelper> {
        lock(&self.helpers).clone()
    }

    /// The table of the last look, or a new one.
    fn table(
        &self,
        source: &impl ProcessSource,
        born: Option<u64>,
        living: &HashMap<ProcessTag, LivingHelper>,
    ) -> Arc<ProcessTable> {
        let last = lock(&self.last);
        let current = last.as_ref().filter(|last| last.is_current(source, born, living));
        current.map_or_else(|| Arc::new(source.table()), |last| Arc::clone(&last.table))
    }

    fn keep_table(
        &self,
        born: Option<u64>,
        living: &HashMap<ProcessTag, LivingHelper>,
        table: Arc<ProcessTable>,
    ) {
        let kept = born.map(|born| LastTable { born, guards: guards(living), table });
        *lock(&self.last) = kept;
    }

    fn forget_table(&self) {
        *lock(&self.last) = None;
    }

    /// A process that is born during a look may hold the socket: its parent may have ended unread. So this looks at the processes
    /// that are new, until none is born during a look. A process that ends leaves nothing behind but children that were born before.
    fn belonging_of_socket(
        &self,
        source: &impl ProcessSource,
        start: StartTag,
        inode: u64,
    ) -> Option<Belonging> {
        let mut look = SocketLook { source, inode, start, read: HashSet::new() };
        for _ in 0..policy::SOCKET_LOOKS {
            let living = self.all();
            if living.is_empty() {
                return None;
            }
            let born = source.born();
            let table = self.table(source, born, &living);
            // It lists everybody: none was born while it was read, and no parent of another one is missing.
            let is_whole = born.is_some() && born == source.born() && !table.has_gaps();
            match look.look(&living, &table) {
                LookOutcome::Socket(found) => return Some(found),
                LookOutcome::Nothing | LookOutcome::NothingNew if is_whole && born == source.born() => {
                    self.keep_table(born, &living, table);
                    return None;
                }
                LookOutcome::NothingNew if is_whole => return None,
                LookOutcome::Nothing | LookOutcome::NothingNew | LookOutcome::Vanished => self.forget_table(),
            }
        }
        None
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // The map is consistent whenever the lock is free, also after a panic.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProcessHost {
    /// The helper that a process belongs to. Reads a few files of `/proc`.
    pub(crate) fn belonging_of_process(&self, pid: Pid) -> Option<Belonging> {
        let living = self.living.all();
        let by_chain = guard_above(pid, &living).map(|helper| Belonging::To(helper.clone()));
        by_chain.or_else(|| by_tag(&SystemProcesses, pid, self.children.start, &living))
    }

    /// The helper of which a process holds the socket with this inode. Blocks: reads the process table and the descriptors of
    /// helpers' processes. Reads nothing while no helper lives.
    pub(crate) fn belonging_of_socket(&self, inode: u64) -> Option<Belonging> {
        self.living.belonging_of_socket(&SystemProcesses, self.children.start, inode)
    }
}

/// Goes from a process up to a guard.
fn guard_above(pid: Pid, living: &HashMap<ProcessTag, LivingHelper>) -> Option<&LivingHelper> {
    if living.is_empty() {
        return None;
    }
    let guards: HashMap<Pid, (u64, &LivingHelper)> = living
        .values()
        .filter_map(|helper| Some((helper.guard?.pid, (helper.guard?.started, helper))))
        .collect();
    let guard = |at: &Process| match guards.get(&at.pid) {
        Some((started, helper)) if *started == at.started => Some(Some(*helper)),
        // Nothing above this process is a guard.
        _ => (at.pid == Pid::this()).then_some(None),
    };
    proc::find_above(pid, guard).flatten()
}

/// The helper whose tag a process carries.
fn by_tag(
    source: &impl ProcessSource,
    pid: Pid,
    start: StartTag,
    living: &HashMap<ProcessTag, LivingHelper>,
) -> Option<Belonging> {
    let tag = source.tag(pid, start.home)?;
    Some(living.get(&tag).cloned().map_or(Belonging::Former, Belonging::To))
}

/// The search for the holder of a socket among the processes of helpers, in one look or several.
struct SocketLook<'m, M> {
    source: &'m M,
    inode: u64,
    start: StartTag,
    /// The processes that did not hold it, by pid and start.
    read: HashSet<(Pid, u64)>,
}

/// The outcome of one look.
enum LookOutcome {
    Socket(Belonging),
    /// A child of this process ended before its tag was read. Its children, who may be a helper's, are ours now.
    Vanished,
    /// No process that is new since the look before holds it.
    Nothing,
    /// Every process was read in an earlier look.
    NothingNew,
}

impl<M: ProcessSource> SocketLook<'_, M> {
    /// Reads the descriptors of the processes that are new.
    fn look(&mut self, living: &HashMap<ProcessTag, LivingHelper>, table: &ProcessTable) -> LookOutcome {
        let mut seen = LookOutcome::NothingNew;
        for helper in living.values() {
            let below = helper.guard.map(|guard| table.processes_below(&guard)).unwrap_or_default();
            if self.holds(&below, &mut seen) {
                return LookOutcome::Socket(Belonging::To(helper.clone()));
            }
        }
        // The orphans of a dead guard fell to this process.
        for orphan in table.children_of(Pid::this()).filter(|child| !is_guard(child, living)) {
            let Some(belonging) = by_tag(self.source, orphan.pid, self.start, living) else {
                if !self.source.lives(&orphan) {
                    seen = LookOutcome::Vanished;
                }
                continue;
            };
            let mut tree = table.processes_below(&orphan);
            tree.push(orphan);
            if self.holds(&tree, &mut seen) {
                return LookOutcome::Socket(belonging);
            }
        }
        seen
    }

    /// Whether a new one of these processes holds the socket.
    fn holds(&mut self, processes: &[Process], seen: &mut LookOutcome) -> bool {
        for process in processes {
            if !self.read.insert((process.pid, process.started)) {
                continue;
            }
            if self.source.holds(process.pid, self.inode) {
                return true;
            }
            if matches!(seen, LookOutcome::NothingNew) {
                *seen = LookOutcome::Nothing;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
