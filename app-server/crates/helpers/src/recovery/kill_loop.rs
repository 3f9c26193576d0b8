//! Kills every process that a predicate selects, also a chain of them of which each lives only until it has started the next.
//!
//! A walk over `/proc` alone misses such a chain: the walk takes longer than a link lives. So after one walk the loop goes through
//! the pids that the kernel gave out since (the newest is the last number of `/proc/loadavg`). It takes the newest first, which is
//! the live link: on a busy machine the chain grows faster than its dead links can be looked at. Such rounds come before the walk,
//! too, as each dead link lengthens it. A round takes microseconds, and proves that no selected process is left:
//!
//! - The loop kills a selected process at once, before it looks at the next. A fork that is under way then fails, so a killed
//!   process has no child that was not there before.
//! - The loop is over after a round in which each new pid was a live process that is not selected. A selected process that lived at
//!   the beginning of that round was there at the walk, or the kernel gave its pid out since. In both cases the loop looked at it
//!   while it lived, and killed it. A pid whose process was gone before the loop could look may have been a link: one more round.
//!
//! Not covered: root may give a process a pid of its choice, which is none of the newest.

use std::collections::HashSet;
use std::fs;

use nix::unistd::Pid;
use rustix::process::Signal;
use skein_base::clock::Clock;
use skein_base::system::ProcessHandle;
use skein_base::system::proc::{self, Process};
use tokio::time::Instant;

use crate::policy;

/// The result of a kill loop.
#[derive(Debug, Default)]
pub(crate) struct Killed {
    /// Processes that were selected and killed, with their start times; some may still be exiting.
    pub(crate) processes: HashSet<(Pid, u64)>,
    /// No other selected process was left at the end.
    pub(crate) sure: bool,
}

/// The owner of a pid.
enum Found {
    /// A live process that is not selected, or a thread of a process.
    Other,
    /// A selected process, now killed. The number is its start time.
    Killed(u64),
    /// No process that could still be looked at.
    Gone,
}

/// How long a clean-up goes on: as long as it meets new processes, within limits, and a little longer for those that it killed.
#[derive(Debug)]
pub(crate) struct Patience {
    until: Instant,
    most: Instant,
    passes_without_news: u32,
}

impl Patience {
    /// From `now` on.
    pub(crate) fn from(now: Instant) -> Self {
        Self { until: now + policy::ORPHANS_LIMIT, most: now + policy::ORPHANS_MOST, passes_without_news: 0 }
    }

    /// Whether to give up after a pass. The pass had news if it met a process for the first time, or cannot be sure that it met all.
    pub(crate) fn is_over(&mut self, now: Instant, news: bool) -> bool {
        if news {
            (self.until, self.passes_without_news) = (now + policy::ORPHANS_LIMIT, 0);
        } else {
            self.passes_without_news += 1;
        }
        now >= self.most || (now >= self.until && self.passes_without_news >= policy::ORPHANS_PASSES)
    }
}

/// Kills until no process that `is_selected` accepts is left, or time is over. Holds a process by a descriptor
/// while it calls `is_selected` with the pid. Never looks at those of `spared`.
///
/// `None` if this process cannot even see itself, as without `/proc`: nothing is known then, and another try is no better.
pub(crate) fn kill_all(spared: &HashSet<Pid>, is_selected: impl Fn(Pid) -> bool) -> Option<Killed> {
    let mut killed = Killed::default();
    if let Some(newest) = newest() {
        let recent = newest.saturating_sub(policy::KILL_LOOP_RECENT).max(0);
        kill_new(recent, spared, &is_selected, &mut killed);
    }
    // Before the walk: a process that starts during the walk is new.
    let seen = newest();
    kill_present(spared, &is_selected, &mut killed)?;
    killed.sure = match seen {
        Some(seen) => kill_new(seen, spared, &is_selected, &mut killed),
        // The system does not say which pids are new, such as macOS or a `/proc` with `subset=pid`. A walk that found none has
        // to do.
        None => killed.processes.is_empty(),
    };
    Some(killed)
}

/// Kills selected processes among those born after `seen`, round by round, until a round meets only others, which it returns, or
/// [`policy::KILL_LOOP_LIMIT`] is over.
fn kill_new(
    mut seen: i32,
    spared: &HashSet<Pid>,
    is_selected: &impl Fn(Pid) -> bool,
    killed: &mut Killed,
) -> bool {
    let deadline = Clock.now() + policy::KILL_LOOP_LIMIT;
    while let Some(newest) = newest() {
        let Some(pids) = born_between(seen, newest) else { return false };
        let mut quiet = true;
        for pid in pids.rev().filter(|pid| !spared.contains(pid)) {
            match meet(pid, is_selected) {
                Found::Other => {}
                Found::Gone => quiet = false,
                Found::Killed(started) => {
                    quiet = false;
                    killed.processes.insert((pid, started));
                }
            }
        }
        if quiet || Clock.now() >= deadline {
            return quiet;
        }
        seen = newest;
    }
    false
}

/// Walks over all processes and kills those that are selected. `None` if the walk does not come by this process.
fn kill_present(
    spared: &HashSet<Pid>,
    is_selected: &impl Fn(Pid) -> bool,
    killed: &mut Killed,
) -> Option<()> {
    let mut sees_itself = false;
    for process in proc::all() {
        sees_itself |= process.pid == Pid::this();
        if process.zombie || spared.contains(&process.pid) {
            continue;
        }
        if let Found::Killed(started) = meet(process.pid, is_selected) {
            killed.processes.insert((process.pid, started));
        }
    }
    sees_itself.then_some(())
}

/// Kills the process that has `pid`, if it is selected.
fn meet(pid: Pid, is_selected: &impl Fn(Pid) -> bool) -> Found {
    let Some(handle) = ProcessHandle::on(pid) else {
        return if is_thread(pid) { Found::Other } else { Found::Gone };
    };
    if handle.has_ended() {
        return Found::Gone;
    }
    // Pinned before the look: the selected process is the one that the descriptor holds, or that one is gone.
    if !is_selected(pid) {
        return if handle.has_ended() { Found::Gone } else { Found::Other };
    }
    // Read before the signal: the process may be gone right after, and counts all the same.
    let Some(process) = Process::read(pid).filter(|_| !handle.has_ended()) else { return Found::Gone };
    match handle.signal(Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => Found::Gone,
        // Another error means that the process is another user's, which the caller's count shows.
        Ok(()) | Err(_) => Found::Killed(process.started),
    }
}

/// Whether this is the number of a thread that does not lead its process.
fn is_thread(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let leader = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    leader.is_some_and(|leader| leader.trim() != pid.to_string())
}

/// The newest pid.
pub(crate) fn newest() -> Option<i32> {
    fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// The pids after `last`, up to `newest`, oldest first: numbers rise, and begin anew after the highest. `None` when there are too
/// many for one round.
pub(crate) fn born_between(last: i32, newest: i32) -> Option<impl DoubleEndedIterator<Item = Pid> + use<>> {
    let most = || fs::read_to_string("/proc/sys/kernel/pid_max").ok()?.trim().parse().ok();
    let (highest, again) = if newest >= last { (newest, 0) } else { (most().unwrap_or(last), newest) };
    usize::try_from(highest - last + again)
        .is_ok_and(|count| count <= policy::KILL_LOOP_ROUND)
        .then(|| (last + 1..=highest).chain(1..=again).map(Pid::from_raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::start::sleeper;

    #[test]
    fn new_pids_come_in_the_order_in_which_the_kernel_gave_them_out() {
        let pids = |last, newest| {
            let pids = born_between(last, newest)?;
            Some(pids.map(Pid::as_raw).collect::<Vec<_>>())
        };
        assert_eq!(pids(7, 7), Some(vec![]));
        assert_eq!(pids(7, 10), Some(vec![8, 9, 10]));
        let highest: i32 = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
        assert_eq!(pids(highest - 2, 3), Some(vec![highest - 1, highest, 1, 2, 3]));
        assert_eq!(pids(1, 1_000_000), None);
    }

    #[test]
    fn a_clean_up_goes_on_while_it_has_news_and_gives_up_in_bounded_time() {
        let start = Clock.now();
        let mut patience = Patience::from(start);
        let late = start + policy::ORPHANS_LIMIT * 2;
        assert!(!patience.is_over(late, true), "it met new ones");
        assert!(!patience.is_over(late + policy::ORPHANS_LIMIT, false), "it waited for its turn that long");
        assert!(!patience.is_over(late + policy::ORPHANS_LIMIT, false));
        assert!(patience.is_over(late + policy::ORPHANS_LIMIT, false), "only the kernel holds what is left");
        assert!(!patience.is_over(late + policy::ORPHANS_LIMIT, true));
        assert!(patience.is_over(start + policy::ORPHANS_MOST, true), "whatever it meets");
    }

    #[test]
    fn a_live_process_that_is_not_selected_is_left_alone() {
        // Other tests start processes all the time, some of which are gone before the look.
        while !kill_all(&HashSet::new(), |_| false).is_some_and(|killed| {
            assert!(killed.processes.is_empty(), "{killed:?}");
            killed.sure
        }) {}
        assert!(matches!(meet(Pid::this(), &|_| false), Found::Other));
    }

    #[test]
    fn the_newest_processes_are_looked_at_first() {
        let mut children: Vec<_> = (0..3).map(|_| sleeper().unwrap()).collect();
        let pids: Vec<i32> = children.iter().map(|child| child.id().try_into().unwrap()).collect();
        let looked = std::cell::RefCell::new(Vec::new());
        let look = |pid: Pid| {
            let new = pids.contains(&pid.as_raw()) && !looked.borrow().contains(&pid.as_raw());
            looked.borrow_mut().extend(new.then_some(pid.as_raw()));
            false
        };
        kill_new(pids[0] - 1, &HashSet::new(), &look, &mut Killed::default());
        children.iter_mut().for_each(|child| {
            child.kill().unwrap();
            child.wait().unwrap();
        });
        assert!(looked.borrow().iter().rev().eq(&pids), "{looked:?} of {pids:?}");
    }

    #[test]
    fn a_killed_process_counts_however_soon_it_is_gone() {
        let mut children: Vec<_> = (0..50).map(|_| sleeper().unwrap()).collect();
        let pids: HashSet<i32> = children.iter().map(|child| child.id().try_into().unwrap()).collect();
        let killed = kill_all(&HashSet::new(), |pid| pids.contains(&pid.as_raw())).unwrap();
        children.iter_mut().for_each(|child| drop(child.wait()));
        let killed: HashSet<i32> = killed.processes.iter().map(|(pid, _)| pid.as_raw()).collect();
        assert_eq!(killed, pids);
    }

    #[test]
    fn a_thread_does_not_count_as_a_process_that_is_gone() {
        let number = std::thread::scope(|scope| {
            let found = scope.spawn(|| meet(nix::unistd::gettid(), &|_| false));
            found.join().unwrap()
        });
        assert!(matches!(number, Found::Other));
    }
}
