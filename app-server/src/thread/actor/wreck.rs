//! What an owner leaves that broke off by a panic: the hard shutdown of its thread without its machine and its book, which
//! may both be wrong now. Nothing is recorded any more; the next load closes an open turn as after a crash. Until the
//! zero the registry keeps the owner, so that nobody loads the thread beside what is left of it.

use super::Owner;
use crate::thread::error::ThreadError;
use crate::thread::journal::Saved;
use crate::thread::machine::Phase;
use crate::thread::outgoing::{Due, Outgoing};

impl Owner {
    /// Ends everything that the owner began, and tells those whom it concerns.
    pub(super) async fn settle_wreck(&mut self) {
        tracing::error!(thread = %self.id, "the owner of this thread broke off; the thread is unloaded");
        self.unload_began.get_or_insert(self.services.clock.now());
        self.publish_wreck(Phase::Unloading);
        self.refuse_callers();
        tokio::join!(self.helpers.end_all(), self.children.end());
        self.turns.abort();
        self.log.break_off().await;
        self.services.store.release(self.id);
        self.settle_line();
        // Without a journal nothing waits for the disk any more.
        self.log.forget();
        self.drop_questions();
        drop(self.catch_ups.unpark());
        self.publish_wreck(Phase::Gone);
        self.announce_not_loaded();
        self.announce_closed();
        self.count_unload();
    }

    fn publish_wreck(&mut self, phase: Phase) {
        self.log.show(|snapshot| {
            snapshot.phase = phase;
            snapshot.turn = None;
            snapshot.idle_since = None;
            snapshot.open_items.clear();
            if phase == Phase::Gone {
                snapshot.helpers = None;
            }
        });
    }

    /// Those whose request the owner had in its hands. What it had not looked at goes to the next owner.
    fn refuse_callers(&mut self) {
        let error = ThreadError::BrokeOff { id: self.id }.to_wire();
        if let Some(input) = self.input.take() {
            input.reply.err(&error);
        }
        for waiter in self.waiters.drain() {
            waiter.refuse(&self.services, &error);
        }
    }

    /// What waits in the line: what is saved is told, everything else is an error or left out.
    fn settle_line(&mut self) {
        let error = ThreadError::BrokeOff { id: self.id }.to_wire();
        for (outgoing, saved) in self.log.drain() {
            match (outgoing, saved) {
                (Outgoing::Due(Due::Join { ticket, answer, .. }), _) => {
                    self.services.subscribers.end_resume(ticket);
                    let (Ok(answer) | Err(answer)) = answer(None);
                    answer.replace_with(&error).send();
                }
                (outgoing @ Outgoing::Acknowledge(_), _) | (outgoing @ Outgoing::Notify(_), Saved::Yes) => {
                    self.log.send(outgoing, saved);
                }
                (Outgoing::Due(Due::CatchUp(resume)), _) => {
                    self.services.subscribers.end_resume(resume.ticket);
                    let (Ok(answer) | Err(answer)) = (resume.answer)(None);
                    answer.replace_with(&error).send();
                }
                // It was answered long ago: its connection is closed, and it comes back by number.
                (Outgoing::Due(Due::JoinAt(catch_up, _)), _) => drop(catch_up),
                (Outgoing::Notify(_), Saved::No) | (Outgoing::Due(Due::Ask(_)), _) => {}
            }
        }
    }
}
