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
use skein_base::system::proc::{self, Process, Unsettled};

use crate::containment::tag::{ProcessTag, StartTag};
use crate::policy;
use crate::process::host::ProcessHost;
use crate::process::table::ProcessTable;
use crate::recovery::kill_loop::{born_between, newest};
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
    /// As [`newest`].
    fn newest(&self) -> Option<i32>;
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

    fn newest(&self) -> Option<i32> {
        newest()
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

/// The helper below this guard.
fn below_guard<'m>(
    process: &Process,
    living: &'m HashMap<ProcessTag, LivingHelper>,
) -> Option<&'m LivingHelper> {
    let is_it = |guard: Process| (guard.pid, guard.started) == (process.pid, process.started);
    living.values().find(|helper| helper.guard.is_some_and(is_it))
}

/// Keeps one of them listed until it is dropped.
#[derive(Debug)]
pub(crate) struct ListedHelper {
    all: Arc<Mutex<HashMap<ProcessTag, LivingHelper>>>,
    tag: ProcessTag,
}

impl ListedHelper {
    /// The tag that its processes carry.
    pub(crate) fn tag(&self) -> ProcessTag {
        self.tag
    }
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

    /// The table and the count of births are from before the look. Keeps the table if it lists everybody.
    fn keep_table(
        &self,
        source: &impl ProcessSource,
        born: Option<u64>,
        living: &HashMap<ProcessTag, LivingHelper>,
        table: Arc<ProcessTable>,
    ) {
        let is_whole = born == source.born() && table.strays().next().is_none();
        let kept = born.filter(|_| is_whole).map(|born| LastTable { born, guards: guards(living), table });
        *lock(&self.last) = kept;
    }

    fn belonging_of_socket(
        &self,
        source: &impl ProcessSource,
        start: StartTag,
        inode: u64,
    ) -> Result<Option<Belonging>, Unsettled> {
        let living = self.all();
        if living.is_empty() {
            return Ok(None);
        }
        // Both before the table: a process that starts meanwhile is new.
        let (newest, born) = (source.newest(), source.born());
        let table = self.table(source, born, &living);
        let look = SocketLook { source, inode, start, living: &living };
        if let Some(found) = look.in_table(&table)? {
            return Ok(Some(found));
        }
        let found = look.among_new(newest)?;
        self.keep_table(source, born, &living, table);
        Ok(found)
    }
}

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // The map is consistent whenever the lock is free, also after a panic.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProcessHost {
    /// The helper that a process belongs to. Reads a few files of `/proc`.
    ///
    /// # Errors
    /// Its parents end too fast to tell.
    pub(crate) fn belonging_of_process(&self, pid: Pid) -> Result<Option<Belonging>, Unsettled> {
        belonging(&SystemProcesses, pid, self.children.start, &self.living.all())
    }

    /// The helper of which a process holds the socket with this inode. Blocks: reads the process table and the descriptors of
    /// helpers' processes. Reads nothing while no helper lives.
    ///
    /// # Errors
    /// Processes begin too fast to tell.
    pub(crate) fn belonging_of_socket(&self, inode: u64) -> Result<Option<Belonging>, Unsettled> {
        self.living.belonging_of_socket(&SystemProcesses, self.children.start, inode)
    }
}

/// Goes from a process up to a guard, or to an orphan of a guard that is dead, which shows it by its tag.
fn belonging(
    source: &impl ProcessSource,
    pid: Pid,
    start: StartTag,
    living: &HashMap<ProcessTag, LivingHelper>,
) -> Result<Option<Belonging>, Unsettled> {
    let find = |at: &Process| {
        if let Some(helper) = below_guard(at, living) {
            return Some(Some(Belonging::To(helper.clone())));
        }
        // Nothing above this process is a guard.
        let is_last = at.parent == Pid::this() || at.pid == Pid::this();
        is_last.then(|| by_tag(source, at.pid, start, living))
    };
    let above = proc::find_above(|pid| source.process(pid), pid, find)?.flatten();
    Ok(above.or_else(|| by_tag(source, pid, start, living)))
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

/// The search for the holder of a socket among the processes of helpers.
///
/// A process has the socket from its parent, so only the children of a holder are new holders, and a guard's descendants stay below
/// the guard. A look at all processes misses those that are born meanwhile. So rounds over the pids that the kernel gave out
/// since follow, until two of them find no new pid: two, since a process may have its pid before it can be seen. A process that ends
/// before its round leaves nothing behind but children, whose pids come later.
struct SocketLook<'m, S> {
    source: &'m S,
    inode: u64,
    start: StartTag,
    living: &'m HashMap<ProcessTag, LivingHelper>,
}

impl<S: ProcessSource> SocketLook<'_, S> {
    /// The holder in the table.
    fn in_table(&self, table: &ProcessTable) -> Result<Option<Belonging>, Unsettled> {
        for helper in self.living.values() {
            let below = helper.guard.map(|guard| table.processes_below(&guard)).unwrap_or_default();
            if below.iter().any(|process| self.source.holds(process.pid, self.inode)) {
                return Ok(Some(Belonging::To(helper.clone())));
            }
        }
        // The orphans of a dead guard fell to this process, and the table does not show what is above a stray.
        let orphans =
            table.children_of(Pid::this()).filter(|child| below_guard(child, self.living).is_none());
        for root in orphans.chain(table.strays()) {
            let pids = std::iter::once(root.pid).chain(table.pids_below(&root));
            if let Some(found) = self.first(pids)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The holder among the processes that are newer than this pid.
    fn among_new(&self, newest: Option<i32>) -> Result<Option<Belonging>, Unsettled> {
        let mut last = newest.ok_or(Unsettled)?;
        let mut before = last;
        for _ in 0..policy::SOCKET_ROUNDS {
            let newest = self.source.newest().ok_or(Unsettled)?;
            if newest == before {
                return Ok(None);
            }
            if let Some(found) = self.first(born_between(before, newest).ok_or(Unsettled)?)? {
                return Ok(Some(found));
            }
            (before, last) = (last, newest);
        }
        Err(Unsettled)
    }

    /// The helper of the first of these processes that holds the socket and is a helper's.
    fn first(&self, pids: impl Iterator<Item = Pid>) -> Result<Option<Belonging>, Unsettled> {
        for pid in pids.filter(|pid| self.source.holds(*pid, self.inode)) {
            if let Some(found) = belonging(self.source, pid, self.start, self.living)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
