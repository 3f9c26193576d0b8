//! An owner that the repair has made: it loads as any other does, so that what was cut off is closed, and unloads at once
//! unless somebody has come meanwhile.

use tokio::sync::oneshot;

use super::Owner;
use super::waiters::Waiter;
use crate::thread::command::Repaired;
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, Force};
use crate::thread::machine::Phase;

/// A repair under way.
#[derive(Debug)]
pub(super) struct Repairing {
    done: oneshot::Sender<Repaired>,
    /// The load has found something to mend.
    mended: bool,
}

impl Owner {
    /// The repair has claimed the thread.
    pub(super) fn begin_repair(&mut self, done: oneshot::Sender<Repaired>) {
        self.repair = Some(Repairing { done, mended: false });
        self.unheard = true;
    }

    /// The load has found something to mend, or nothing.
    pub(super) fn note_mended(&mut self, mended: bool) {
        if let Some(repair) = &mut self.repair {
            repair.mended = mended;
        }
    }

    /// The load has ended: nothing keeps the thread, unless somebody uses it by now.
    pub(super) fn settle_repair(&mut self) {
        let Some(repair) = self.repair.take() else { return };
        match self.machine.phase() {
            Phase::Idle | Phase::Running | Phase::Unloading => {
                let others = self.counts().subscribers;
                let waiter = self.waiters.add(Waiter::Repair(repair));
                self.step(Event::Unload { waiter, force: Force::No, others });
            }
            Phase::Gone => self.answer_repair(repair, true),
            // It was unloaded already, and is loaded again for somebody.
            Phase::Loading => self.answer_repair(repair, false),
        }
    }

    /// The thread is unloaded, or somebody keeps it.
    pub(super) fn answer_repair(&self, repair: Repairing, unloaded: bool) {
        let repaired = match self.log.failure() {
            Some(why) => Repaired::Failed(why.to_owned()),
            None if !unloaded => Repaired::Owned,
            None if repair.mended => Repaired::Mended,
            None => Repaired::Whole,
        };
        // A repair that does not wait any more does not want to know.
        repair.done.send(repaired).ok();
    }

    /// The thread cannot be loaded.
    pub(super) fn fail_repair(&mut self, error: &ThreadError) {
        let Some(repair) = self.repair.take() else { return };
        let missing = matches!(error, ThreadError::NotFound { .. });
        let repaired = if missing { Repaired::Missing } else { Repaired::Failed(error.to_string()) };
        repair.done.send(repaired).ok();
    }
}
