//! Processes as the kernel reports them: ancestry, test tags, and memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::MissedTickBehavior;

use crate::home::PATIENCE;

/// The variable with the tag of every process of one test, from the server to the children of helpers.
pub const TAG: &str = "SKEIN_TEST_TAG";

/// The variable of helpers and guards. Its value begins with the id of their home.
const OF_HELPER: &str = "SKEIN_HELPER";
/// Length of the home's id in that variable, digits.
const HOME_DIGITS: usize = 16;

/// Homes of the helpers seen so far, by the tag of those helpers.
static HOMES: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Pause between two looks at the kernel's tables.
const LOOK: Duration = Duration::from_millis(2);

/// A living process. A zombie is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Process id of the parent.
    pub parent: u32,
    /// Start, in ticks since the system's. With the id it identifies the process; the id alone may be another's later.
    pub started: u64,
    /// Name in the kernel, at most 15 bytes.
    pub name: String,
    /// Arguments, the program first.
    pub command: Vec<String>,
}

impl Process {
    /// Reads one process; `None` if it does not live.
    pub fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses and may contain parentheses itself.
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let mut fields = tail.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        // A process whose first thread alone has ended looks like a zombie.
        let threads: u32 = fields.nth(15)?.parse().ok()?;
        if matches!(state, "Z" | "X") && threads <= 1 {
            return None;
        }
        let started = fields.nth(1)?.parse().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = command.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let command = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        Some(Self { pid, parent, started, name, command })
    }

    /// Whether it still lives. Its id may be another process's by now.
    pub fn lives(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started)
    }

    /// Whether this is a guard.
    pub fn is_guard(&self) -> bool {
        self.name == "skein-guard"
    }

    /// Whether the environment has `TAG=tag`, or an argument is the tag, optionally followed by a dot and
    /// more text. Processes can clear their environment.
    pub fn carries(&self, tag: &str) -> bool {
        let is_tag = |word: &String| {
            word.strip_prefix(tag).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if self.command.iter().any(is_tag) {
            return true;
        }
        self.variable(TAG).is_some_and(|value| value == tag)
    }

    /// A variable of the environment at the start of the process.
    pub fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        let value =
            variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Id of the home of the server that owns this helper or guard.
    fn home(&self) -> Option<String> {
        self.variable(OF_HELPER).map(|tag| tag.chars().take(HOME_DIGITS).collect())
    }
}

/// Every living process.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Every descendant of `ancestor`, which is not included.
pub fn descendants(ancestor: u32) -> Vec<Process> {
    let mut all = all();
    let found = below(&all, vec![ancestor]);
    all.retain(|process| found.contains(&process.pid));
    all
}

/// Ids of the processes in `all` that descend from `ancestors`, which are not included.
pub fn below(all: &[Process], ancestors: Vec<u32>) -> HashSet<u32> {
    let mut by_parent: HashMap<u32, Vec<u32>> = HashMap::new();
    for process in all {
        by_parent.entry(process.parent).or_default().push(process.pid);
    }
    let (mut found, mut next) = (HashSet::new(), ancestors);
    while let Some(parent) = next.pop() {
        for child in by_parent.remove(&parent).unwrap_or_default() {
            next.push(child);
            found.insert(child);
        }
    }
    found
}

/// Every process with the tag, whatever its parent is, and the guards of homes whose helpers had the tag. A
/// guard does not inherit the server's variables.
pub fn tagged(tag: &str) -> Vec<Process> {
    let all = all();
    let mut homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = homes.entry(tag.to_owned()).or_default();
    let named = all.iter().filter(|process| process.variable(TAG).is_some_and(|value| value == tag));
    known.extend(named.filter_map(Process::home));
    let guards =
        |process: &Process| process.is_guard() && process.home().is_some_and(|home| known.contains(&home));
    all.into_iter().filter(|process| process.carries(tag) || guards(process)).collect()
}

/// The file of the program that a process runs.
fn program(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// The processes that a server started: its descendants, and the processes with its tag.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// Guards of helpers, also those that have not got their name yet.
    pub guards: Vec<Process>,
    /// Helpers and their children.
    pub helpers: Vec<Process>,
}

impl Family {
    /// Finds all processes that `server` started. The server itself, alive or not, is not included.
    pub fn of(server: u32, tag: &str) -> Self {
        let mut seen = HashSet::new();
        let all = descendants(server).into_iter().chain(tagged(tag));
        let program = program(server);
        // A guard is the server's program, and a child of it, until it has its name.
        let becomes_guard = |process: &Process| {
            process.parent == server && program.is_some() && self::program(process.pid) == program
        };
        let (guards, helpers) = all
            .filter(|process| process.pid != server && seen.insert(process.pid))
            .partition(|process| process.is_guard() || becomes_guard(process));
        Self { guards, helpers }
    }

    /// Number of processes.
    pub fn count(&self) -> usize {
        self.guards.len() + self.helpers.len()
    }

    /// All processes.
    pub fn all(&self) -> impl Iterator<Item = &Process> {
        self.guards.iter().chain(&self.helpers)
    }

    /// Memory of all of them, bytes.
    pub fn memory(&self) -> u64 {
        self.all().filter_map(|process| memory(process.pid)).sum()
    }
}

/// Memory of a process, bytes: the proportional share of shared pages if the kernel reports it
/// (`smaps_rollup`), else the resident memory.
pub fn memory(pid: u32) -> Option<u64> {
    kilobytes(format!("/proc/{pid}/smaps_rollup").into(), "Pss:")
        .or_else(|| kilobytes(format!("/proc/{pid}/status").into(), "VmRSS:"))
        .map(|kilobytes| kilobytes * 1024)
}

/// Resident memory of a process, bytes.
pub fn resident(pid: u32) -> Option<u64> {
    kilobytes(format!("/proc/{pid}/status").into(), "VmRSS:").map(|kilobytes| kilobytes * 1024)
}

fn kilobytes(path: PathBuf, field: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether a signal has stopped all threads of the process.
///
/// # Errors
/// Fails if there is no such process.
pub fn is_stopped(pid: u32) -> anyhow::Result<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(task?.path().join("stat"))?;
        if !stat.rsplit_once(") ").context("no state")?.1.starts_with('T') {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Stops a process, and waits until none of its threads runs: a signal alone stops it some time later.
///
/// # Errors
/// Fails if there is no such process.
pub async fn freeze(pid: u32) -> anyhow::Result<()> {
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGSTOP)?;
    // One that has ended meanwhile does nothing either.
    let stops = || (Process::read(pid).is_none() || is_stopped(pid).unwrap_or(false)).then_some(());
    wait_until("the process is stopped", PATIENCE, stops).await
}

/// Polls until `holds` returns a value.
///
/// # Errors
/// Fails if it returns none within `bound`. The error names `what`.
pub async fn wait_until<T>(
    what: &str,
    bound: Duration,
    mut holds: impl FnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let look = async {
        loop {
            looks.tick().await;
            if let Some(found) = holds() {
                return found;
            }
        }
    };
    let found = tokio::time::timeout(bound, look).await;
    found.with_context(|| format!("not within {bound:?}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_its_parent_and_memory() {
        let me = Process::read(std::process::id()).unwrap();
        assert_eq!(me.parent, std::os::unix::process::parent_id());
        assert!(!me.command.is_empty() && !me.is_guard());
        assert!(memory(me.pid).unwrap() > 100_000 && resident(me.pid).unwrap() > 100_000);
        assert!(descendants(me.parent).iter().any(|process| process.pid == me.pid));
    }

    #[tokio::test]
    async fn a_failed_wait_names_the_missing_event() {
        let error = wait_until("a miracle", Duration::from_millis(5), || None::<()>).await.unwrap_err();
        assert!(error.to_string().contains("a miracle"), "{error}");
        assert_eq!(wait_until("now", Duration::from_millis(5), || Some(7)).await.unwrap(), 7);
    }
}
