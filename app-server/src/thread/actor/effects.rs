//! Carries out the machine's effects. Nothing here decides, and nothing waits.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::event::ThreadClosedNotification;
use skein_protocol::extension::{SkeinThreadUnloadResponse, UnloadOutcome};
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::ThreadClosed;
use skein_protocol::table::Recipients;
use skein_store::history::History;
use skein_store::index::moment::Listed;
use skein_store::rollout::Keep;

use super::cleanup::settle_queue;
use super::log::{Log, Send};
use super::questions::resolved;
use super::relocation::{announce_move, answer_move, mend_index, record_of, refuse_move};
use super::{Child, Owner, ThreadParts, settings};
use crate::outbox::CloseReason;
use crate::thread::Context;
use crate::thread::catalog::AnnouncedTo;
use crate::thread::command::Command;
use crate::thread::effect::{Effect, ResumeFailure, SubscriptionEnd, UnloadRefusal};
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, TurnKept, WaiterId};
use crate::thread::journal::Saved;
use crate::thread::machine::Persistence;
use crate::thread::outgoing::{Due, LateAnswer, Notice};
use crate::thread::subscribers::Ticket;
use crate::thread::writer::Written;

impl Owner {
    /// Carries out an effect. Returns its event, if that comes at once.
    pub(super) fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Load => return self.load(),
            Effect::BeginTurn(who) => return self.begin_turn(who),
            Effect::EndHelpers => return self.end_helpers(),
            Effect::CloseRollout => return self.close_rollout(),
            Effect::Move(to) => return self.move_rollout(to),
            Effect::StartHelpers => self.parts().start_helpers(),
            Effect::AnswerResume(who) => self.answer_waiting(who),
            Effect::FailResume(who, why) => {
                if let Some(command) = self.waiters.take(who) {
                    fail_resume(&self.services, self.id, command, why);
                }
            }
            Effect::SteerTurn(who) => self.steer_turn(who),
            Effect::DeferInput(who) => self.waiters.take(who).into_iter().for_each(|input| self.defer(input)),
            Effect::StopTurn => self.turns.stop(),
            Effect::LeaveTurn => self.leave_turn(),
            Effect::KillHelpers => self.helpers.kill(),
            Effect::AbandonRollout => self.abandon_rollout(),
            Effect::LeaveAsker(who) => {
                if let Some(asker) = self.waiters.asker(who) {
                    let _left = self.services.subscribers.leave(asker, self.id);
                }
            }
            Effect::AnswerUnload(who) => self.answer_unload(who, None),
            Effect::RefuseUnload(who, why) => self.answer_unload(who, Some(why)),
            Effect::AnswerMove(who) => answer_move(&self.log, self.waiters.take(who)),
            Effect::RefuseMove(who, why) => {
                refuse_move(&self.services, &self.log, self.waiters.take(who), why)
            }
            Effect::AnnounceMove(to) => announce_move(&self.services, &self.log, to),
            Effect::EndSubscriptions(why) => self.end_subscriptions(why),
            Effect::AnnounceNotLoaded => {
                self.parts().show_unloaded();
                // The owner ends with this step, so the publish queue must be empty.
                self.send(Send::All);
            }
            Effect::AnnounceClosed => self.announce_closed(),
        }
        None
    }

    fn end_subscriptions(&self, why: SubscriptionEnd) {
        match why {
            SubscriptionEnd::Moved => {}
            // The servers of these clients bring them there.
            SubscriptionEnd::Taken => {
                self.services.subscribers.close_links(self.id, CloseReason::OwnerLeft);
            }
        }
        self.services.subscribers.end_thread(self.id);
    }

    fn announce_closed(&mut self) {
        if !self.repair.is_alone() {
            announce_closed(&self.services, &self.log);
        }
        self.close_listeners_of_lost();
    }

    /// Closes the connections of subscribers that outlive an unload which has lost records: they know what the next load does not.
    pub(super) fn close_listeners_of_lost(&mut self) {
        if self.log.takes_loss() {
            self.services.subscribers.close_listeners(self.id, CloseReason::Fault);
        }
    }

    fn end_helpers(&mut self) -> Option<Event> {
        // Questions of a turn end with the turn.
        resolved(&self.services, &mut self.log, self.questions.drop_of(None));
        let Some(set) = self.helpers.end() else { return Some(Event::HelpersEnded) };
        self.children
            .spawn(format!("end-helpers/{}", self.id), async move { Child::HelpersEnded(set.stop().await) });
        None
    }

    /// Drops the running turn, without a record and a notification: it goes on with the next load.
    fn leave_turn(&mut self) {
        self.turns.abort();
        self.repair.let_pass();
        // A client whose answer is still in the publish queue joins before the thread is unloaded, and has to be asked.
        self.services.questions.close(&self.questions.numbers());
    }

    fn close_rollout(&mut self) -> Option<Event> {
        let destination = self.waiters.destination();
        if let Some(record) = destination.and_then(record_of) {
            self.log.record_one(record, Keep::Power);
        }
        // The next start finds a turn that has to work.
        let is_left_open = self.parts().turn_kept() == TurnKept::Yes;
        let keeps_marker = self.parts().is_owed_a_load();
        if self.log.close(is_left_open) {
            return None;
        }
        // A move sets the row and releases the thread itself.
        if destination.is_none() {
            let marker = self.services.store.open_marker(self.id);
            self.services.store.release(self.id);
            if self.machine.is_materialised() && self.log.is_open() && !keeps_marker {
                let mended = mend_index(Arc::clone(&self.services), self.id, self.log.row(), marker);
                self.services.tasks.spawn(format!("mend-index/{}", self.id), mended);
            }
        }
        Some(Event::RolloutClosed)
    }

    fn abandon_rollout(&mut self) {
        // The turn only: the unload still waits for the helpers.
        if self.parts().turn_kept() == TurnKept::No {
            self.turns.abort();
            resolved(&self.services, &mut self.log, self.questions.clear());
        } else {
            self.leave_turn();
        }
        if self.slot.handle.is_lost() {
            // The next owner may find more of the records than this one knows are saved, and its clients get what it finds.
            let why = "another server may have the thread".to_owned();
            settle_queue(&self.services, &mut self.log, &ThreadError::NotKept { id: self.id, why }.to_wire());
        } else {
            // Clients with a queued answer see the abandoned records, as the subscribers do.
            self.send(Send::All);
        }
        self.log.give_up();
        self.log.show(|snapshot| snapshot.unsaved = false);
        self.services.store.release(self.id);
    }

    /// Takes a report of the writer.
    pub(super) fn written(&mut self, written: &Written) {
        let waited = self.log.waits_for_store();
        let is_last = self.log.take(written);
        match written {
            Written::UpTo(_, listed) if is_last => {
                // Before another owner can change the rollout.
                let marker = self.services.store.open_marker(self.id);
                if self.waiters.destination().is_none() {
                    self.services.store.release(self.id);
                    if *listed == Listed::Yes && !self.parts().is_owed_a_load() {
                        // A full queue only leaves the marker for the next start, which finds the end closed.
                        self.services.closed_rollouts.try_send(marker).ok();
                    }
                }
                self.step(Event::RolloutClosed);
            }
            Written::UpTo(..) => self.unpark(),
            Written::Failed(error) if error.is_final() => self.step(Event::Fenced),
            Written::Failed(error) if error.away().is_some() => self.hold(waited),
            Written::Failed(error) if self.turns.fail(&error.to_string()) => self.step(Event::Interrupt),
            Written::Failed(_) => self.parts().fail_unsaved_turns(),
        }
        if self.log.waits_for_store() != waited {
            self.log.show(|snapshot| snapshot.unsaved = !waited);
            // A message that may become a turn now keeps the thread, too.
            self.note_queue();
            self.step(Event::Unsaved(!waited));
        }
    }

    /// The storage is away, and `waited` says whether that is known. Tells the clients once, as they hear nothing of what waits.
    fn hold(&mut self, waited: bool) {
        if waited || !self.machine.is_loaded() {
            return;
        }
        let (Some(why), Some(refusal)) = (self.log.failure(), self.log.refusal()) else { return };
        let message = format!("{why}; the thread goes on, and what is new in it comes when it is saved");
        self.log.warn_at_once(message);
        // No view that events could continue is there before that.
        for (ticket, answer) in self.log.take_joins() {
            refuse_join(&self.services, ticket, answer, &refusal.to_wire());
        }
        self.recount();
    }

    fn answer_unload(&mut self, who: WaiterId, refusal: Option<UnloadRefusal>) {
        let Some(command) = self.waiters.take(who) else { return };
        let id = self.id;
        let error = match refusal {
            None => None,
            Some(UnloadRefusal::Active) => Some(ThreadError::Active { id }),
            Some(UnloadRefusal::Subscribed) => Some(ThreadError::Subscribed { id }),
        };
        match (command, error) {
            (Command::Repair(done), error) => self.repair.answer(done, error.is_none(), self.log.failure()),
            (Command::Unload(unload), None) => {
                unload.reply.ok(&SkeinThreadUnloadResponse { state: UnloadOutcome::Unloaded });
            }
            (command, Some(error)) => command.refuse(&self.services, &error.to_wire()),
            // No other command asks the machine for an unload.
            (command, None) => drop(command),
        }
    }

    /// Sends entries of the publish queue.
    pub(super) fn send(&mut self, which: Send) {
        loop {
            if which == Send::Ready {
                let parts = self.parts();
                parts.log.show_history(parts.turns.id(), || parts.status());
            }
            let mut joined = false;
            while let Some((due, saved)) = self.log.send_next(which) {
                joined |= matches!(due, Due::Join { .. } | Due::CatchUp(_));
                self.send_due(due, saved);
            }
            if !joined || which == Send::All {
                return;
            }
            self.recount();
        }
    }

    fn send_due(&mut self, due: Due, saved: Saved) {
        let Self { services, catch_ups, log, questions, helpers, .. } = self;
        let joined = match due {
            Due::Join { ticket, role, answer, items, is_resume: _ } => {
                catch_ups.join(log, (ticket, role), answer, &items, saved)
            }
            Due::CatchUp(resume) => {
                catch_ups.begin(log, questions, *resume, saved);
                None
            }
            Due::JoinAt(catch_up, items) => catch_ups.join_at(log, questions, (catch_up, &items), saved),
            Due::Ask(number) => {
                let creator = log.history().and_then(History::originator);
                return questions.put(number, &helpers.audience(&services.subscribers, creator));
            }
        };
        if let Some(connection) = joined {
            let creator = log.history().and_then(History::originator);
            questions.put_again(connection, &helpers.audience(&services.subscribers, creator));
        }
    }
}

/// Refuses a subscription that waits in the publish queue.
pub(super) fn refuse_join(services: &Context, ticket: Ticket, answer: LateAnswer, error: &WireError) {
    services.subscribers.end_resume(ticket);
    let (Ok(answer) | Err(answer)) = answer(None);
    answer.replace_with(error).send();
}

impl ThreadParts<'_> {
    /// Starts the helpers of the configuration and the thread, without waiting for them.
    pub(super) fn start_helpers(&mut self) {
        if self.helpers.started().is_some() || !self.log.is_open() {
            return;
        }
        let cwd = settings::of(self.log, self.helpers).cwd.into();
        let set = self.helpers.start(self.services, cwd);
        self.log.show(|snapshot| snapshot.helpers = Some(set));
    }
}

fn fail_resume(services: &Context, id: ThreadId, command: Command, why: ResumeFailure) {
    let error = match (why, &command) {
        (ResumeFailure::LoadFailed(error), _) => error,
        // Its records may be written already, and then it is in the lists.
        (ResumeFailure::Shutdown, Command::Fork(fork)) if !fork.params.ephemeral => {
            let (id, why) = (fork.params.thread_id, "its server stops".to_owned());
            ThreadError::ForkUnknown { id, why }.to_wire()
        }
        (ResumeFailure::Shutdown, _) => ThreadError::Stopping { id }.to_wire(),
        (ResumeFailure::Archived, _) => ThreadError::ArchivedMeanwhile { id }.to_wire(),
        (ResumeFailure::Deleted, _) => ThreadError::NotFound { id }.to_wire(),
        (ResumeFailure::Withdrawn, _) => ThreadError::Withdrawn { id }.to_wire(),
    };
    command.refuse(services, &error);
}

/// Publishes that the thread is closed to connections that are not subscribed.
pub(super) fn announce_closed(services: &Context, log: &Log) {
    let params = ThreadClosedNotification { thread_id: log.id(), skein: None };
    let notice = Notice::new::<ThreadClosed>(Recipients::All, &params, log.wall(), None);
    match log.persistence() {
        Persistence::Durable => {
            services.subscribers.announce(log.announced(), &notice.broadcast, AnnouncedTo::Unsubscribed)
        }
        Persistence::Ephemeral => {}
    }
}
