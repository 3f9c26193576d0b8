//! The living helpers of one server, and which of them a process or a socket belongs to.
//!
//! The chain of parents comes first: guards are subreapers, so no process below a guard leaves it while the guard lives. The
//! process tag is for the orphans of a dead guard; a process can lower its own limits and clear its environment. Both keep out
//! the ordinary tools of a helper. They are no wall against a program that asks another service to connect for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::Pid;
use skein_base::system::proc::{self, Process};

use crate::containment::tag::{ProcessTag, StartTag};
use crate::policy;
use crate::process::host::ProcessHost;
use crate::process::liveness::sockets;
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

/// A table of processes that serves again while no process is born and no child of this process ends.
#[derive(Debug)]
struct LastTable {
    born: u64,
    guards: HashSet<Option<Process>>,
    table: Arc<ProcessTable>,
}

impl LastTable {
    fn is_current(&self, born: Option<u64>, living: &HashMap<ProcessTag, LivingHelper>) -> bool {
        let lives = |child: &Process| {
            Process::read(child.pid).is_some_and(|now| now.started == child.started && !now.zombie)
        };
        // The end of a guard takes its helper off the list. The other children are orphans, and few.
        born == Some(self.born)
            && self.guards == guards(living)
            && self
                .table
                .children_of(Pid::this())
                .filter(|child| !self.guards.iter().flatten().any(|guard| guard.pid == child.pid))
                .all(|child| lives(&child))
    }
}

fn guards(living: &HashMap<ProcessTag, LivingHelper>) -> HashSet<Option<Process>> {
    living.values().map(|helper| helper.guard).collect()
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
    fn table(&self, born: Option<u64>, living: &HashMap<ProcessTag, LivingHelper>) -> Arc<ProcessTable> {
        let last = lock(&self.last);
        let current = last.as_ref().filter(|last| last.is_current(born, living));
        current.map_or_else(|| Arc::new(ProcessTable::take()), |last| Arc::clone(&last.table))
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
        by_chain.or_else(|| by_tag(pid, self.children.start, &living))
    }

    /// The helper of which a process holds the socket with this inode. Blocks: reads the process table and the descriptors of
    /// helpers' processes. Reads nothing while no helper lives.
    ///
    /// A process that is born during a look may hold the socket, and so may a child whose parent ended unread. So it looks at the
    /// processes that are new, until there are none.
    pub(crate) fn belonging_of_socket(&self, inode: u64) -> Option<Belonging> {
        let mut look = SocketLook { inode, start: self.children.start, read: HashSet::new() };
        for _ in 0..policy::SOCKET_LOOKS {
            let living = self.living.all();
            if living.is_empty() {
                return None;
            }
            let born = proc::born();
            let table = self.living.table(born, &living);
            // It lists everybody: none was born while it was read, and no parent of another one is missing.
            let is_whole = born.is_some() && born == proc::born() && !table.has_gaps();
            match look.look(&living, &table) {
                LookOutcome::Socket(found) => return Some(found),
                LookOutcome::Nothing | LookOutcome::NothingNew if is_whole && born == proc::born() => {
                    self.living.keep_table(born, &living, table);
                    return None;
                }
                LookOutcome::NothingNew if is_whole => return None,
                LookOutcome::Nothing | LookOutcome::NothingNew | LookOutcome::Vanished => {
                    self.living.forget_table()
                }
            }
        }
        None
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
fn by_tag(pid: Pid, start: StartTag, living: &HashMap<ProcessTag, LivingHelper>) -> Option<Belonging> {
    let tag = ProcessTag::carried_by(pid).find(|tag| tag.start.home == start.home)?;
    Some(living.get(&tag).cloned().map_or(Belonging::Former, Belonging::To))
}

/// The search for the holder of a socket among the processes of helpers, in one look or several.
struct SocketLook {
    inode: u64,
    start: StartTag,
    /// The processes that did not hold it, by pid and start.
    read: HashSet<(Pid, u64)>,
}

/// The outcome of one look.
enum LookOutcome {
    Socket(Belonging),
    /// A process ended before it was read: a child of it may hold the socket now.
    Vanished,
    /// No process that is new since the look before holds it.
    Nothing,
    /// Every process was read in an earlier look.
    NothingNew,
}

impl SocketLook {
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
        for orphan in table.children_of(Pid::this()) {
            let Some(belonging) = by_tag(orphan.pid, self.start, living) else { continue };
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
            if self.read.contains(&(process.pid, process.started)) {
                continue;
            }
            if sockets(process.pid).any(|held| held == self.inode) {
                return true;
            }
            let lives =
                Process::read(process.pid).is_some_and(|now| now.started == process.started && !now.zombie);
            if !lives {
                *seen = LookOutcome::Vanished;
                continue;
            }
            self.read.insert((process.pid, process.started));
            if matches!(seen, LookOutcome::NothingNew) {
                *seen = LookOutcome::Nothing;
            }
        }
        false
    }
}
