//! Kills every process that a predicate knows, also a chain of them of which each lives only until it has started the next.
//!
//! A walk over `/proc` alone misses such a chain: it takes longer than a link lives. So after one walk the hunt goes by the
//! pids that were given out since (the newest is the last number of `/proc/loadavg`), in the order in which they were. That
//! takes microseconds, and says when nobody is left, instead of hoping so:
//!
//! - Whoever is known is killed at once, before the next is looked at. A fork that is under way then fails, so whoever was
//!   killed has no child that was not there before.
//! - It is over after a round in which each new pid was somebody who lives and is not wanted. Had a wanted process lived at
//!   the beginning of that round, then it was there at the walk, or its pid was given out since: in both cases it was looked
//!   at while it lived, and killed. A pid whose owner was gone before it could be asked may have been a link: one more round.
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

/// What a hunt came to.
#[derive(Debug, Default)]
pub(crate) struct Hunt {
    /// Who was known and killed; they may be on their way out.
    pub(crate) killed: HashSet<(Pid, u64)>,
    /// When it ended nobody else was left.
    pub(crate) sure: bool,
}

/// Who has a pid.
enum Found {
    /// Somebody who lives and is not wanted, or no process at all but a thread of one.
    Other,
    /// It was killed. The number is its start time.
    Wanted(u64),
    /// Nobody who could still be asked.
    Gone,
}

/// Until nobody whom `wanted` knows is left, or `deadline`. `wanted` is asked while the process with this pid is held by a
/// descriptor. Those of `spared` are not asked for.
pub(crate) fn kill_all(spared: &HashSet<Pid>, deadline: Instant, wanted: impl Fn(Pid) -> bool) -> Hunt {
    let mut hunt = Hunt::default();
    // Before the walk: who is born behind it is new.
    let mut seen = newest();
    for process in proc::all().filter(|process| !process.zombie && !spared.contains(&process.pid)) {
        if let Found::Wanted(started) = meet(process.pid, &wanted) {
            hunt.killed.insert((process.pid, started));
        }
    }
    if cfg!(not(target_os = "linux")) {
        // Nobody tells which pids are new. A walk that found nobody has to do.
        hunt.sure = hunt.killed.is_empty();
        return hunt;
    }
    while let (Some(last), Some(newest)) = (seen, newest()) {
        let Some(pids) = born_between(last, newest) else { return hunt };
        let mut quiet = true;
        for pid in pids.filter(|pid| !spared.contains(pid)) {
            match meet(pid, &wanted) {
                Found::Other => {}
                Found::Gone => quiet = false,
                Found::Wanted(started) => {
                    quiet = false;
                    hunt.killed.insert((pid, started));
                }
            }
        }
        if quiet {
            hunt.sure = true;
            return hunt;
        }
        if Clock.now() >= deadline {
            return hunt;
        }
        seen = Some(newest);
    }
    hunt
}

/// Kills the process that has `pid`, if it is wanted.
fn meet(pid: Pid, wanted: &impl Fn(Pid) -> bool) -> Found {
    let Some(handle) = ProcessHandle::on(pid) else {
        return if is_thread(pid) { Found::Other } else { Found::Gone };
    };
    // Pinned before it is asked: who is wanted is whom the descriptor holds, or that one is gone.
    if !wanted(pid) {
        return if handle.has_ended() { Found::Gone } else { Found::Other };
    }
    // Read before the signal: it may be gone right behind it, and counts all the same.
    let Some(process) = Process::read(pid).filter(|_| !handle.has_ended()) else { return Found::Gone };
    match handle.signal(Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => Found::Gone,
        // Another error says that it is another user's, which those who count what is left find out.
        Ok(()) | Err(_) => Found::Wanted(process.started),
    }
}

/// Whether this is the number of a thread that does not lead its process.
fn is_thread(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let leader = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    leader.is_some_and(|leader| leader.trim() != pid.to_string())
}

/// The pid that was given out last.
fn newest() -> Option<i32> {
    fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// The pids that were given out after `last`, up to `newest`, oldest first: numbers rise, and begin anew above the highest.
/// `None` when there are too many to ask.
fn born_between(last: i32, newest: i32) -> Option<impl Iterator<Item = Pid>> {
    let most = || fs::read_to_string("/proc/sys/kernel/pid_max").ok()?.trim().parse().ok();
    let (highest, again) = if newest >= last { (newest, 0) } else { (most().unwrap_or(last), newest) };
    usize::try_from(highest - last + again)
        .is_ok_and(|count| count <= policy::HUNT_ROUND)
        .then(|| (last + 1..=highest).chain(1..=again).map(Pid::from_raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::start::sleeper;

    #[test]
    fn the_pids_since_then_come_in_the_order_in_which_they_were_given_out() {
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
    fn who_lives_and_is_not_wanted_is_left_alone() {
        let deadline = Clock.now() + policy::ORPHANS_LIMIT;
        let hunt = kill_all(&HashSet::new(), deadline, |_| false);
        assert!(hunt.sure && hunt.killed.is_empty(), "{hunt:?}");
        assert!(matches!(meet(Pid::this(), &|_| false), Found::Other));
    }

    #[test]
    fn whoever_is_killed_is_counted_however_soon_it_is_gone() {
        let mut children: Vec<_> = (0..50).map(|_| sleeper().unwrap()).collect();
        let pids: HashSet<i32> = children.iter().map(|child| child.id().try_into().unwrap()).collect();
        let deadline = Clock.now() + policy::ORPHANS_LIMIT;
        let hunt = kill_all(&HashSet::new(), deadline, |pid| pids.contains(&pid.as_raw()));
        children.iter_mut().for_each(|child| drop(child.wait()));
        let killed: HashSet<i32> = hunt.killed.iter().map(|(pid, _)| pid.as_raw()).collect();
        assert_eq!(killed, pids);
    }

    #[test]
    fn a_thread_is_no_process_that_is_gone() {
        let number = std::thread::scope(|scope| {
            let found = scope.spawn(|| meet(nix::unistd::gettid(), &|_| false));
            found.join().unwrap()
        });
        assert!(matches!(number, Found::Other));
    }
}
