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
//! - Beside other programs that start processes without pause, no round is like that. So a pid whose process was gone, or is dead and
//!   waits for another parent, counts as other if two things hold. This process is the heir of dead links, and has reaped none in that
//!   round. And the loop has met no selected process alive. For the parent of such a link was alive when it reaped it, so that parent
//!   is selected too: it was met alive, is of that round itself, or was dead by then and its children had fallen to this process.
//!
//! Not covered: root may give a process a pid of its choice, which is none of the newest.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;

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
    /// A process that may have been a link: selected when it ended, a dead child of this process, or one that nothing is known of.
    Unsure,
    /// No process that could still be looked at: another process has reaped it, or will.
    Gone,
}

/// The number of processes that this process has reaped, if it is the heir of dead links: none is reaped by anybody else once its
/// parent is dead. `None` if another process is the heir.
pub(crate) type Reaped = Option<u64>;

/// The new pids of one round that were no live processes of others.
#[derive(Debug, Default)]
struct Round {
    killed: usize,
    unsure: usize,
    gone: usize,
}

impl Round {
    /// Whether no selected process was left at its end. `any_met` is whether the loop has met one alive, `reaped` the count before and
    /// after the round.
    fn is_quiet(&self, any_met: bool, (before, after): (Reaped, Reaped)) -> bool {
        let were_others = !any_met && before.is_some() && before == after;
        self.killed == 0 && self.unsure == 0 && (self.gone == 0 || were_others)
    }
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
/// while it calls `is_selected` with the pid. Never looks at those of `spared`. `reaped` must wait for the end of a reaping under way.
///
/// `None` if this process cannot even see itself, as without `/proc`: nothing is known then, and another try is no better.
pub(crate) fn kill_all(
    spared: &HashSet<Pid>,
    is_selected: impl Fn(Pid) -> bool,
    reaped: impl Fn() -> Reaped,
) -> Option<Killed> {
    let mut killed = Killed::default();
    if let Some(newest) = newest() {
        let recent = newest.saturating_sub(policy::KILL_LOOP_RECENT).max(0);
        kill_new((recent, None, spared), &is_selected, &reaped, &mut killed);
    }
    // Before the walk: a process that starts during the walk is new.
    let (born, seen) = (proc::born(), newest());
    kill_present(spared, &is_selected, &mut killed)?;
    killed.sure = match seen {
        Some(seen) => kill_new((seen, born, spared), &is_selected, &reaped, &mut killed),
        // The system does not say which pids are new, such as macOS or a `/proc` with `subset=pid`. A walk that found none has
        // to do.
        None => killed.processes.is_empty(),
    };
    Some(killed)
}

/// Kills selected processes among those born after `seen`, round by round, until a round meets only others, which it returns, or
/// [`policy::KILL_LOOP_LIMIT`] is over. `born` is the count of births from before `seen` was read.
fn kill_new(
    (mut seen, born, spared): (i32, Option<u64>, &HashSet<Pid>),
    is_selected: &impl Fn(Pid) -> bool,
    reaped: &impl Fn() -> Reaped,
    killed: &mut Killed,
) -> bool {
    let deadline = Clock.now() + policy::KILL_LOOP_LIMIT;
    loop {
        let before = reaped();
        let Some(newest) = newest() else { return false };
        let looked = match killed.processes.is_empty() && before.is_some() {
            true => listed((seen, newest), may_have_lapped(born, proc::born), proc::present),
            false => born_between(seen, newest).map(|pids| (pids.rev().collect(), 0)),
        };
        let Some((pids, gone)) = looked else { return false };
        let mut round = Round { gone, ..Round::default() };
        for pid in pids.into_iter().filter(|pid| !spared.contains(pid)) {
            match meet(pid, is_selected) {
                Found::Other => {}
                Found::Gone => round.gone += 1,
                Found::Unsure => round.unsure += 1,
                Found::Killed(started) => {
                    round.killed += 1;
                    killed.processes.insert((pid, started));
                }
            }
        }
        let quiet = round.is_quiet(!killed.processes.is_empty(), (before, reaped()));
        if quiet || Clock.now() >= deadline {
            return quiet;
        }
        seen = newest;
    }
}

/// The pids of a round in which a pid without a process may count as another program's: newest first, and how many are left out. Of
/// many new ones it takes those that are `present`, since programs that start without pause use up pids faster than each can be asked
/// for. If the numbers have lapped, it takes every process. `None` if a round cannot tell.
fn listed(
    (last, newest): (i32, i32),
    lapped: bool,
    present: impl FnOnce() -> Vec<Pid>,
) -> Option<(Vec<Pid>, usize)> {
    let new = count_between(last, newest);
    if !lapped && new <= policy::KILL_LOOP_ASKED {
        return Some((born_between(last, newest)?.rev().collect(), 0));
    }
    let present = present();
    // Without this process the list is not whole, as when no descriptor is left.
    if !present.contains(&Pid::this()) {
        return None;
    }
    let is_new = |pid: &Pid| match newest >= last {
        _ if lapped => true,
        true => (last + 1..=newest).contains(&pid.as_raw()),
        false => pid.as_raw() > last || pid.as_raw() <= newest,
    };
    let mut pids: Vec<Pid> = present.into_iter().filter(is_new).collect();
    // Those behind the highest number come first.
    pids.sort_unstable_by_key(|pid| std::cmp::Reverse((pid.as_raw() <= newest, pid.as_raw())));
    let gone = new.saturating_sub(pids.len()).max(1);
    Some((pids, gone))
}

/// Whether the numbers of processes may have come round since `then` were born. With a margin, as count and number are not read in one
/// step.
fn may_have_lapped(then: Option<u64>, now: impl FnOnce() -> Option<u64>) -> bool {
    let Some(born) = then.and_then(|then| Some(now()?.saturating_sub(then))) else { return false };
    highest().is_some_and(|highest| born >= u64::from(highest.unsigned_abs() / 2))
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
        return if is_thread(pid) { Found::Other } else { unheld(pid) };
    };
    if handle.has_ended() {
        return ended(Process::read(pid));
    }
    // Pinned before the look: the selected process is the one that the descriptor holds, or that one is gone.
    if !is_selected(pid) {
        return if handle.has_ended() { ended(Process::read(pid)) } else { Found::Other };
    }
    // Read before the signal: the process may be gone right after, and counts all the same.
    let Some(process) = Process::read(pid).filter(|_| !handle.has_ended()) else { return Found::Unsure };
    match handle.signal(Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => Found::Unsure,
        // Another error means that the process is another user's, which the caller's count shows.
        Ok(()) | Err(_) => Found::Killed(process.started),
    }
}

/// A pid whose process gives no descriptor: there is none, or no descriptor is left.
fn unheld(pid: Pid) -> Found {
    let there = rustix::process::Pid::from_raw(pid.as_raw()).map(rustix::process::test_kill_process);
    match there {
        Some(Err(rustix::io::Errno::SRCH)) | None => Found::Gone,
        Some(Ok(()) | Err(_)) => Found::Unsure,
    }
}

/// A process that has ended before the look at it, unless it was reaped.
fn ended(process: Option<Process>) -> Found {
    match process {
        Some(process) if process.parent == Pid::this() => Found::Unsure,
        Some(_) | None => Found::Gone,
    }
}

/// Whether this is the number of a thread that does not lead its process.
fn is_thread(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let leader = status.lines().find_map(|line| line.strip_prefix("Tgid:"));
    leader.is_some_and(|leader| leader.trim() != pid.to_string())
}

/// The newest pid. `None` where the kernel does not say, or another file system shows that of another machine (lxcfs).
pub(crate) fn newest() -> Option<i32> {
    static IS_OURS: LazyLock<bool> = LazyLock::new(|| {
        let device = |path| fs::metadata(path).ok().map(|file| file.dev());
        device("/proc") == device("/proc/loadavg")
    });
    if !*IS_OURS {
        return None;
    }
    fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

/// The pids after `last`, up to `newest`, oldest first: numbers rise, and begin anew after the highest. `None` when there are too
/// many for one round.
pub(crate) fn born_between(last: i32, newest: i32) -> Option<impl DoubleEndedIterator<Item = Pid> + use<>> {
    let (highest, again) = ends_between(last, newest);
    (count_between(last, newest) <= policy::KILL_LOOP_ROUND)
        .then(|| (last + 1..=highest).chain(1..=again).map(Pid::from_raw))
}

/// How many pids that is.
fn count_between(last: i32, newest: i32) -> usize {
    let (highest, again) = ends_between(last, newest);
    usize::try_from(highest - last + again).unwrap_or(usize::MAX)
}

/// The last pid before the numbers began anew, and the last one behind that, or 0.
fn ends_between(last: i32, newest: i32) -> (i32, i32) {
    if newest >= last { (newest, 0) } else { (highest().unwrap_or(last), newest) }
}

/// The number at which the kernel begins anew.
fn highest() -> Option<i32> {
    fs::read_to_string("/proc/sys/kernel/pid_max").ok()?.trim().parse().ok()
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
    fn of_many_new_pids_those_that_are_there_are_looked_at_the_newest_first() {
        let (own, highest) = (Pid::this(), highest().unwrap());
        let look = |range, lapped| listed(range, lapped, proc::present);
        let (pids, gone) = look((0, highest), false).unwrap();
        assert!(pids.contains(&own) && pids.is_sorted_by(|newer, older| newer > older), "{pids:?}");
        assert!(gone > 0);
        // The numbers have begun anew, and come up to the one before this process.
        let newest = own.as_raw() - 1;
        let (pids, _) = look((own.as_raw(), newest), false).unwrap();
        let place = |pid: &Pid| (pid.as_raw() <= newest, pid.as_raw());
        assert!(
            !pids.contains(&own) && pids.is_sorted_by(|newer, older| place(newer) > place(older)),
            "{pids:?}"
        );
        // None is new, but the numbers may have come round.
        let none = (own.as_raw(), own.as_raw());
        assert_eq!(look(none, false), Some((Vec::new(), 0)));
        let (pids, gone) = look(none, true).unwrap();
        assert!(pids.contains(&own) && gone > 0, "{pids:?}");
        assert_eq!(listed((0, highest), false, Vec::new), None, "the list is not whole");
    }

    #[test]
    fn numbers_may_have_come_round_after_half_as_many_births_as_there_are_numbers() {
        let half = u64::from(highest().unwrap().unsigned_abs() / 2);
        for (then, now, expected) in [
            (Some(7), Some(6 + half), false),
            (Some(7), Some(7 + half), true),
            (Some(7), None, false),
            (None, Some(7 + half), false),
        ] {
            assert_eq!(may_have_lapped(then, || now), expected, "{then:?} {now:?}");
        }
    }

    #[test]
    fn a_pid_without_a_process_counts_as_another_programs_where_no_link_can_have_had_it() {
        let gone = Round { gone: 3, ..Round::default() };
        assert!(gone.is_quiet(false, (Some(7), Some(7))));
        for (any_met, reaped) in
            [(true, (Some(7), Some(7))), (false, (Some(7), Some(8))), (false, (None, None))]
        {
            assert!(!gone.is_quiet(any_met, reaped), "{any_met} {reaped:?}");
            assert!(Round::default().is_quiet(any_met, reaped), "all were live processes");
        }
        for round in [Round { unsure: 1, ..Round::default() }, Round { killed: 1, ..Round::default() }] {
            assert!(!round.is_quiet(false, (Some(7), Some(7))), "{round:?}");
        }
    }

    #[test]
    fn a_dead_child_of_this_process_may_be_a_link_and_one_of_another_process_is_none() {
        let never = |_| panic!("it has ended");
        let mut child = sleeper().unwrap();
        child.kill().unwrap();
        let own = Pid::from_raw(child.id().cast_signed());
        while Process::read(own).is_some_and(|process| !process.zombie) {
            std::thread::yield_now();
        }
        let dead = Process::read(own).unwrap();
        assert!(matches!(meet(own, &never), Found::Unsure));
        child.wait().unwrap();
        assert!(matches!(meet(own, &never), Found::Gone));
        let of_another = Process { parent: Pid::from_raw(0), ..dead };
        assert!(matches!(ended(Some(of_another)), Found::Gone));
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
        // Other tests start processes all the time, some of which are gone before the look, or dead children of this process.
        while !kill_all(&HashSet::new(), |_| false, || Some(0)).is_some_and(|killed| {
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
        kill_new((pids[0] - 1, None, &HashSet::new()), &look, &|| None, &mut Killed::default());
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
        let killed = kill_all(&HashSet::new(), |pid| pids.contains(&pid.as_raw()), || None).unwrap();
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
