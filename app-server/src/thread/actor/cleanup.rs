//! The cleanup after a panic of an owner: a hard shutdown of its thread without its machine and its journal, because both may
//! be wrong. Nothing is recorded. The next load closes an open turn as after a crash. The registry keeps the owner until
//! everything has stopped, so that no load begins beside the remains.

use skein_protocol::error::WireError;

use super::Owner;
use super::effects::{announce_closed, refuse_join};
use super::log::{Log, Send};
use super::questions::resolved;
use crate::thread::Context;
use crate::thread::error::ThreadError;
use crate::thread::event::TurnKept;
use crate::thread::journal::Saved;
use crate::thread::machine::Phase;
use crate::thread::outgoing::{Due, Outgoing};

impl Owner {
    /// Stops everything that the owner has started, and answers the requests that it held.
    pub(super) async fn clean_up_after_panic(&mut self) {
        tracing::error!(thread = %self.id, "the owner of this thread panicked; unloading the thread");
        let began = self.machine.unload_began().unwrap_or(self.services.clock.now());
        show(&self.log, Phase::Unloading);
        let error = ThreadError::BrokeOff { id: self.id }.to_wire();
        // Requests in the mailbox go to the next owner.
        for command in self.waiters.drain() {
            command.refuse(&self.services, &error);
        }
        tokio::join!(self.helpers.end_all(), self.children.end());
        // The next load puts the questions of such a turn again.
        let is_kept = self.parts().turn_kept() != TurnKept::No;
        self.turns.abort();
        self.log.break_off().await;
        self.services.store.release(self.id);
        self.give_up();
        settle_queue(&self.services, &mut self.log, &error);
        // Without a journal, notifications do not wait for the disk.
        self.log.forget();
        let questions = self.questions.clear();
        if is_kept {
            self.services.questions.close(&questions);
        } else {
            resolved(&self.services, &mut self.log, questions);
        }
        drop(self.catch_ups.unpark());
        show(&self.log, Phase::Gone);
        self.parts().show_unloaded();
        self.send(Send::All);
        if !self.repair.is_alone() {
            announce_closed(&self.services, &self.log);
        }
        // An owner that panics behind its last step has counted the unload there.
        if !self.machine.is_gone() {
            let took = self.services.clock.now().saturating_duration_since(began);
            self.services.counters.unloads.add(took);
        }
    }
}

fn show(log: &Log, phase: Phase) {
    log.show(|snapshot| {
        snapshot.phase = phase;
        (snapshot.turn, snapshot.works) = (None, false);
        snapshot.idle_since = None;
        snapshot.open_items.clear();
        if phase == Phase::Gone {
            snapshot.helpers = None;
        }
    });
}

/// Sends saved entries of the publish queue. Refuses the others with this error, or drops them.
pub(super) fn settle_queue(services: &Context, log: &mut Log, error: &WireError) {
    let refuse = |ticket, answer| refuse_join(services, ticket, answer, error);
    for (outgoing, saved) in log.drain() {
        match (outgoing, saved) {
            (outgoing @ Outgoing::Acknowledge(_), _) | (outgoing @ Outgoing::Notify(_), Saved::Yes) => {
                log.send(outgoing, saved);
            }
            (Outgoing::Due(Due::Join { ticket, answer, .. }), _) => refuse(ticket, answer),
            (Outgoing::Due(Due::CatchUp(resume)), _) => refuse(resume.ticket, resume.answer),
            // Answered already: the drop closes the connection, and the client resumes by number.
            (Outgoing::Due(Due::JoinAt(catch_up, _)), _) => drop(catch_up),
            (Outgoing::Notify(_), Saved::No) | (Outgoing::Due(Due::Ask(_)), _) => {}
        }
    }
}
