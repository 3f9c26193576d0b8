//! Looks at what helpers of the zoo have left, until that is nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::pipes::Pipes;
use crate::home::Setup;
use crate::process::{self, Process};

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(2);
/// Looks in a row that find nothing. A look at `/proc` may miss a process; one that holds a pipe it does not.
const EMPTY_LOOKS: u32 = 20;
/// What is there after so long is left for good.
const LEFT_AFTER: Duration = Duration::from_secs(10);

/// Looks at the processes of all modes.
#[derive(Debug)]
pub(super) struct Watch {
    since: Instant,
    pipes: Pipes,
    marks: BTreeMap<&'static str, String>,
    /// Guards that are killed, where others are spared with all below them: a helper whose guard is killed is started again.
    killed: Option<Vec<u32>>,
    /// When a process of a mode was seen last.
    pub(super) seen: BTreeMap<&'static str, Duration>,
    pub(super) left: BTreeMap<&'static str, usize>,
}

impl Watch {
    /// The time counts from now.
    pub(super) fn new(mark: &str, pipes: Pipes) -> Self {
        let marks = pipes.modes().map(|mode| (mode, Setup::zoo_mark(mark, mode))).collect();
        let (seen, left) = (BTreeMap::new(), BTreeMap::new());
        Self { since: Instant::now(), pipes, marks, killed: None, seen, left }
    }

    /// Counts only what is not below a living guard other than these.
    pub(super) fn spare_what_starts_again(&mut self, killed: &[Process]) {
        self.killed = Some(killed.iter().map(|guard| guard.pid).collect());
    }

    /// The end came later than this began to look.
    pub(super) fn count_from(&mut self, end: Instant) {
        let before = end.saturating_duration_since(self.since);
        self.seen.values_mut().for_each(|seen| *seen = seen.saturating_sub(before));
    }

    pub(super) async fn until_zero(&mut self) {
        let mut looks = tokio::time::interval(LOOK);
        // A look may take longer than the time between two; what brings the end beside it has to be polled all the same.
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
        let all: HashMap<u32, Process> =
            process::all().into_iter().map(|process| (process.pid, process)).collect();
        self.left.clear();
        for (mode, mark) in &self.marks {
            let known = |process: &&Process| process.command.contains(mark);
            let killed = self.killed.as_deref();
            let seen = all.values().filter(known).filter(|process| !is_spared(process, &all, killed)).count();
            let alive = seen.max(usize::from(self.pipes.told(mode).held));
            if alive > 0 {
                self.left.insert(mode, alive);
                self.seen.insert(mode, self.since.elapsed());
            }
        }
    }
}

/// Whether it is below a guard that is none of the `killed`.
fn is_spared(process: &Process, all: &HashMap<u32, Process>, killed: Option<&[u32]>) -> bool {
    let Some(killed) = killed else { return false };
    let mut next = all.get(&process.parent);
    while let Some(ancestor) = next {
        if ancestor.is_guard() {
            return !killed.contains(&ancestor.pid);
        }
        next = all.get(&ancestor.parent);
    }
    false
}
