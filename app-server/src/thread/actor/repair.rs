//! An owner that the start-up repair has made. It loads, which closes an interrupted turn, and unloads at once unless a client
//! has come meanwhile.

use tokio::sync::oneshot;

use super::Owner;
use crate::thread::command::{Command, Repaired};
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, Force};
use crate::thread::machine::{CommandAdmission, Needs};

/// The repair that has made this owner.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// Set until the load has ended.
    done: Option<oneshot::Sender<Repaired>>,
    /// Whether the load has found something to mend.
    mended: bool,
    /// Whether this owner has had no other command. Then clients are not notified of its end.
    alone: bool,
}

impl Repair {
    pub(super) fn begin(&mut self, done: oneshot::Sender<Repaired>) {
        *self = Self { done: Some(done), mended: false, alone: true };
    }

    /// Notes a command.
    pub(super) fn note(&mut self, command: &Command) {
        self.alone &= matches!(command, Command::Repair(_) | Command::Fence(_));
    }

    /// Notes whether the load has found something to mend.
    pub(super) fn note_mended(&mut self, mended: bool) {
        self.mended |= mended && self.done.is_some();
    }

    /// Whether only the repair has used this owner.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Answers the repair: the thread is unloaded, or a client keeps it. `unsaved` says why the disk does not take its records.
    pub(super) fn answer(&self, done: oneshot::Sender<Repaired>, unloaded: bool, unsaved: Option<&str>) {
        let repaired = match unsaved {
            Some(why) => Repaired::Failed(why.to_owned()),
            None if !unloaded => Repaired::Owned,
            None if self.mended => Repaired::Mended,
            None => Repaired::Whole,
        };
        // The repair may have stopped waiting.
        done.send(repaired).ok();
    }

    /// Answers the repair: the thread cannot be loaded.
    pub(super) fn fail(&mut self, error: &ThreadError) {
        let Some(done) = self.done.take() else { return };
        let missing = matches!(error, ThreadError::NotFound { .. });
        let repaired = if missing { Repaired::Missing } else { Repaired::Failed(error.to_string()) };
        done.send(repaired).ok();
    }
}

impl Owner {
    /// Unloads the thread of a repair after its load, unless a client uses it by now.
    pub(super) fn settle_repair(&mut self) {
        let Some(done) = self.repair.done.take() else { return };
        match self.machine.admission(Needs::EndOfLoad) {
            CommandAdmission::Now => {
                let others = self.counts().subscribers;
                let waiter = self.waiters.add(Command::Repair(done));
                self.step(Event::Unload { waiter, force: Force::No, others });
            }
            CommandAdmission::ByTheNextOwner => self.repair.answer(done, true, self.log.failure()),
            // The thread was unloaded already, and is loaded again for a client.
            CommandAdmission::Later | CommandAdmission::Never => {
                self.repair.answer(done, false, self.log.failure())
            }
        }
    }
}
