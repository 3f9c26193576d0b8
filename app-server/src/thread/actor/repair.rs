//! An owner that the start-up repair has made. It loads, which closes an interrupted turn, and unloads at once unless a client
//! has come meanwhile.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use skein_turn::Turnstile;

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
    /// Cancelled by the first other command.
    followed: CancellationToken,
    /// The place of this thread's turn among those that work at once.
    permit: Option<OwnedSemaphorePermit>,
}

impl Repair {
    pub(super) fn begin(&mut self, done: oneshot::Sender<Repaired>) {
        *self = Self { done: Some(done), alone: true, ..Self::default() };
    }

    /// Notes that the turn works.
    pub(super) fn works_with(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    /// The turn does not work now: another one may.
    pub(super) fn let_pass(&mut self) {
        self.permit = None;
    }

    /// Notes a command.
    pub(super) fn note(&mut self, command: &Command) {
        if !matches!(command, Command::Repair(_) | Command::Fence(_)) {
            self.alone = false;
            self.followed.cancel();
        }
    }

    /// Notes whether the load has found something to mend.
    pub(super) fn note_mended(&mut self, mended: bool) {
        self.mended |= mended && self.done.is_some();
    }

    /// Limits the turns that work at once after a start to `places`. A turn that a client follows does not wait.
    pub(super) fn turnstile(&self, places: &Arc<Semaphore>) -> Option<Turnstile> {
        let (places, followed) = (Arc::clone(places), self.followed.clone());
        self.alone.then_some(Turnstile { places, followed })
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
        let repaired = if matches!(error, ThreadError::NotFound { .. }) {
            Repaired::Missing
        } else if matches!(error, ThreadError::OwnerUnreachable { .. }) {
            Repaired::Owned
        } else {
            Repaired::Failed(error.to_string())
        };
        done.send(repaired).ok();
    }
}

impl Owner {
    /// Unloads the thread of a repair after its load, unless a client uses it by now.
    pub(super) fn settle_repair(&mut self) {
        let Some(done) = self.repair.done.take() else { return };
        match self.machine.admission(Needs::EndOfLoad) {
            CommandAdmission::Now => {
                let others = self.parts().counts().subscribers;
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

#[cfg(test)]
mod tests {
    use skein_protocol::ids::ThreadId;

    use super::*;

    const THREAD: ThreadId = ThreadId::new(uuid::Uuid::nil());

    /// A repair under way, and its answer.
    fn begun() -> (Repair, oneshot::Receiver<Repaired>) {
        let (mut repair, (done, answer)) = (Repair::default(), oneshot::channel());
        repair.begin(done);
        (repair, answer)
    }

    #[test]
    fn the_answer_names_the_disk_first_then_another_user_then_the_mending() {
        let answered = |mended, unloaded, unsaved| {
            let (mut repair, _) = begun();
            repair.note_mended(mended);
            let (done, mut answer) = oneshot::channel();
            repair.answer(done, unloaded, unsaved);
            answer.try_recv().unwrap()
        };
        assert!(matches!(answered(true, false, Some("full")), Repaired::Failed(why) if why == "full"));
        assert!(matches!(answered(true, false, None), Repaired::Owned));
        assert!(matches!(answered(true, true, None), Repaired::Mended));
        assert!(matches!(answered(false, true, None), Repaired::Whole));
    }

    #[test]
    fn a_load_that_fails_is_answered_once_and_a_rollout_that_is_missing_or_anothers_is_no_failure() {
        let (mut repair, mut answer) = begun();
        repair.fail(&ThreadError::NotFound { id: THREAD });
        repair.fail(&ThreadError::BrokeOff { id: THREAD });
        assert!(matches!(answer.try_recv(), Ok(Repaired::Missing)));
        let (mut repair, mut answer) = begun();
        repair.fail(&ThreadError::OwnerUnreachable { id: THREAD, owner: "another".to_owned() });
        assert!(matches!(answer.try_recv(), Ok(Repaired::Owned)));
        let (mut repair, mut answer) = begun();
        repair.fail(&ThreadError::BrokeOff { id: THREAD });
        assert!(matches!(answer.try_recv(), Ok(Repaired::Failed(_))));
    }

    #[test]
    fn only_a_command_of_somebody_else_ends_its_being_alone() {
        let (mut repair, _answer) = begun();
        repair.note(&Command::Repair(oneshot::channel().0));
        repair.note(&Command::Fence(oneshot::channel().0));
        assert!(repair.is_alone());
        repair.note(&Command::Helpers(oneshot::channel().0));
        repair.note(&Command::Repair(oneshot::channel().0));
        assert!(!repair.is_alone());
        assert!(!Repair::default().is_alone(), "an owner that no repair has made");
    }

    #[test]
    fn a_later_mending_is_not_counted_for_the_repair() {
        let (mut repair, _answer) = begun();
        repair.fail(&ThreadError::BrokeOff { id: THREAD });
        repair.note_mended(true);
        let (done, mut answer) = oneshot::channel();
        repair.answer(done, true, None);
        assert!(matches!(answer.try_recv(), Ok(Repaired::Whole)));
    }
}
