//! Processes as the kernel sees them: who descends from whom, who carries a mark, and what memory they take.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::time::MissedTickBehavior;

/// The variable whose value marks every process of one test, from the server to the helpers' own children.
pub const MARK: &str = "SKEIN_TEST_MARK";

/// The variable that helpers and guards carry, which begins with their home.
const OF_HELPER: &str = "SKEIN_HELPER";
/// Digits of a home in it.
const HOME_DIGITS: usize = 16;

/// Homes whose helpers have been seen, by the mark that these carried.
static HOMES: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Between two looks at the kernel's tables.
const LOOK: Duration = Duration::from_millis(2);

/// A process that lives: one that has ended and waits to be reaped is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's id.
    pub parent: u32,
    /// What the kernel calls it, at most 15 bytes.
    pub name: String,
    /// Its arguments, the program first.
    pub command: Vec<String>,
}

impl Process {
    /// Reads one process; `None` when there is none that lives.
    #[must_use]
    pub fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses, and may contain any.
        let (head, tail) = stat.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let mut fields = tail.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        // A process whose first thread alone has ended looks like one that has.
        let threads: u32 = fields.nth(15)?.parse().ok()?;
        if matches!(state, "Z" | "X") && threads <= 1 {
            return None;
        }
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = command.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        let command = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        Some(Self { pid, parent, name, command })
    }

    /// Whether it guards a helper.
    #[must_use]
    pub fn is_guard(&self) -> bool {
        self.name == "skein-guard"
    }

    /// Whether its environment carries `MARK=mark`, or an argument the mark, or what follows a dot behind it: an
    /// environment can be cleared.
    #[must_use]
    pub fn carries(&self, mark: &str) -> bool {
        let is_mark = |word: &String| {
            word.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if self.command.iter().any(is_mark) {
            return true;
        }
        self.variable(MARK).is_some_and(|value| value == mark)
    }

    /// A variable of its environment, as it was when it began.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let mut variables = environment.split(|byte| *byte == 0);
        let value =
            variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The home of the server whose helper, or guard, it is.
    fn home(&self) -> Option<String> {
        self.variable(OF_HELPER).map(|mark| mark.chars().take(HOME_DIGITS).collect())
    }
}

/// Every process that lives.
#[must_use]
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Every process that descends from `ancestor`, itself not included.
#[must_use]
pub fn descendants(ancestor: u32) -> Vec<Process> {
    let mut all = all();
    let found = below(&all, vec![ancestor]);
    all.retain(|process| found.contains(&process.pid));
    all
}

/// The ids of those among `all` that descend from one of `ancestors`, which are not included.
#[must_use]
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

/// Every process that carries the mark, wherever it descends from now, and the guards of homes whose helpers carried it: a
/// guard has no variables of its server's.
#[must_use]
pub fn marked(mark: &str) -> Vec<Process> {
    let all = all();
    let mut homes = HOMES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = homes.entry(mark.to_owned()).or_default();
    let named = all.iter().filter(|process| process.variable(MARK).is_some_and(|value| value == mark));
    known.extend(named.filter_map(Process::home));
    let guards =
        |process: &Process| process.is_guard() && process.home().is_some_and(|home| known.contains(&home));
    all.into_iter().filter(|process| process.carries(mark) || guards(process)).collect()
}

/// The processes of a server and of everything it started: those that descend from it and those that carry its mark.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// Guards of helpers.
    pub guards: Vec<Process>,
    /// Helpers, and what they started.
    pub helpers: Vec<Process>,
}

impl Family {
    /// Looks for everything that `server` started; the server itself, alive or not, is not part of it.
    #[must_use]
    pub fn of(server: u32, mark: &str) -> Self {
        let mut seen = HashSet::new();
        let all = descendants(server).into_iter().chain(marked(mark));
        let (guards, helpers) = all
            .filter(|process| process.pid != server && seen.insert(process.pid))
            .partition(Process::is_guard);
        Self { guards, helpers }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.guards.len() + self.helpers.len()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Process> {
        self.guards.iter().chain(&self.helpers)
    }

    /// Bytes of memory that they take together.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.all().filter_map(|process| memory(process.pid)).sum()
    }
}

/// Bytes of memory that a process takes: its proportional share of what it has in common with others where the
/// kernel tells (`smaps_rollup`), else what is resident.
#[must_use]
pub fn memory(pid: u32) -> Option<u64> {
    kilobytes(format!("/proc/{pid}/smaps_rollup").into(), "Pss:")
        .or_else(|| kilobytes(format!("/proc/{pid}/status").into(), "VmRSS:"))
        .map(|kilobytes| kilobytes * 1024)
}

/// Bytes of a process that are resident.
#[must_use]
pub fn resident(pid: u32) -> Option<u64> {
    kilobytes(format!("/proc/{pid}/status").into(), "VmRSS:").map(|kilobytes| kilobytes * 1024)
}

fn kilobytes(path: PathBuf, field: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Whether a process is stopped by a signal.
///
/// # Errors
/// When there is no such process.
pub fn is_stopped(pid: u32) -> anyhow::Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(stat.rsplit_once(") ").context("no state")?.1.starts_with('T'))
}

/// Looks until `holds` gives something.
///
/// # Errors
/// When it gives nothing within `bound`; names `what`.
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
    fn this_process_is_found_with_its_parent_and_memory() {
        let me = Process::read(std::process::id()).unwrap();
        assert_eq!(me.parent, std::os::unix::process::parent_id());
        assert!(!me.command.is_empty() && !me.is_guard());
        assert!(memory(me.pid).unwrap() > 100_000 && resident(me.pid).unwrap() > 100_000);
        assert!(descendants(me.parent).iter().any(|process| process.pid == me.pid));
    }

    #[tokio::test]
    async fn a_wait_names_what_did_not_come() {
        let error = wait_until("a miracle", Duration::from_millis(5), || None::<()>).await.unwrap_err();
        assert!(error.to_string().contains("a miracle"), "{error}");
        assert_eq!(wait_until("now", Duration::from_millis(5), || Some(7)).await.unwrap(), 7);
    }
}
