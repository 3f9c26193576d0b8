//! Watches the processes of zoo helpers until none is left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::pipes::Pipes;
use crate::home::Setup;
use crate::process::{self, Process};

/// Pause between two looks at the processes.
const LOOK: Duration = Duration::from_millis(2);
/// Consecutive looks that must find nothing. A look at `/proc` may miss a process, but not one that holds a
/// pipe.
const EMPTY_LOOKS: u32 = 20;
/// A process that lives this long after the end counts as left.
const LEFT_AFTER: Duration = Duration::from_mins(1);

/// Ancestors that are asked for: far more than a process has, as some end meanwhile.
const ANCESTORS: u32 = 1_000;

/// Watches the processes of all modes.
#[derive(Debug)]
pub(super) struct Watch {
    since: Instant,
    pipes: Pipes,
    tags: BTreeMap<&'static str, String>,
    /// The killed guards, each with its start, as a later guard may have its id. Other guards and all processes below them are
    /// ignored, because a helper restarts after its guard was killed.
    killed: Option<Vec<(u32, u64)>>,
    /// Time when a process of each mode was last seen.
    pub(super) seen: BTreeMap<&'static str, Duration>,
    pub(super) left: BTreeMap<&'static str, usize>,
}

impl Watch {
    /// Starts the clock.
    pub(super) fn new(tag: &str, pipes: Pipes) -> Self {
        let tags = pipes.modes().map(|mode| (mode, Setup::zoo_tag(tag, mode))).collect();
        let (seen, left) = (BTreeMap::new(), BTreeMap::new());
        Self { since: Instant::now(), pipes, tags, killed: None, seen, left }
    }

    /// Ignores processes below a living guard other than these.
    pub(super) fn spare_what_starts_again(&mut self, killed: &[Process]) {
        self.killed = Some(killed.iter().map(|guard| (guard.pid, guard.started)).collect());
    }

    /// Restarts the clock at a later end.
    pub(super) fn count_from(&mut self, end: Instant) {
        let before = end.saturating_duration_since(self.since);
        self.seen.values_mut().for_each(|seen| *seen = seen.saturating_sub(before));
    }

    pub(super) async fn until_drained(&mut self) {
        let mut looks = tokio::time::interval(LOOK);
        // A look may take longer than the pause; the concurrent ending must be polled all the same.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut empty = 0;
        while self.since.elapsed() < LEFT_AFTER {
            looks.tick().await;
            self.look();
            empty = if self.left.is_empty() { empty + 1 } else { 0 };
            if empty == EMPTY_LOOKS {
                return;
            }
        }
    }

    fn look(&mut self) {
        let all = process::all();
        self.left.clear();
        for (mode, tag) in &self.tags {
            let known = |process: &&Process| process.command.contains(tag);
            let killed = self.killed.as_deref();
            let seen = all.iter().filter(known).filter(|process| !is_spared(process.pid, killed)).count();
            let alive = seen.max(usize::from(self.pipes.signs(mode).held));
            if alive > 0 {
                self.left.insert(mode, alive);
                self.seen.insert(mode, self.since.elapsed());
            }
        }
    }
}

/// Whether the process is below a guard that is not in `killed`, or has ended by now. Asks for each ancestor anew: one may end during
/// the look, and its child has another parent then.
fn is_spared(pid: u32, killed: Option<&[(u32, u64)]>) -> bool {
    let Some(killed) = killed else { return false };
    let mut next = pid;
    for _ in 0..ANCESTORS {
        next = match Process::read(next) {
            Some(guard) if guard.is_guard() => return !killed.contains(&(guard.pid, guard.started)),
            Some(process) => process.parent,
            None if next == pid => return true,
            None => pid,
        };
    }
    false
}
