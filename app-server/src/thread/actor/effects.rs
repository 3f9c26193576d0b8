//! Carries out what the machine wants. Nothing here decides, and nothing waits.

use std::sync::Arc;

use skein_helpers::ExitReport;
use skein_protocol::event::{ThreadClosedNotification, ThreadStartedNotification};
use skein_protocol::extension::{SkeinThreadUnloadResponse, UnloadOutcome};
use skein_protocol::notifications::{ThreadClosed, ThreadStarted};
use skein_protocol::table::Recipients;
use skein_protocol::thread::ThreadStatus;
use skein_store::index::moment::Listed;
use skein_store::rollout::Keep;

use super::elsewhere::{mend_index, record_of};
use super::log::Send;
use super::waiters::Waiter;
use super::{Child, Owner};
use crate::thread::effect::{Effect, ResumeFailure, UnloadRefusal};
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, Materialised, WaiterId};
use crate::thread::journal::Saved;
use crate::thread::machine::{Persistence, Phase};
use crate::thread::outgoing::{Due, Notice};
use crate::thread::writer::Written;

impl Owner {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Load => self.load(),
            Effect::StartHelpers => self.start_helpers(),
            Effect::AnswerResume(who) => self.answer_waiting(who),
            Effect::FailResume(who, why) => self.fail_resume(who, why),
            Effect::BeginTurn => self.begin_turn(),
            Effect::SteerTurn => self.steer_turn(),
            Effect::DeferInput => self.defer_input(),
            Effect::StopTurn => self.turns.stop(),
            Effect::EndHelpers => self.end_helpers(),
            Effect::KillHelpers => self.helpers.kill(),
            Effect::CloseRollout => self.close_rollout(),
            Effect::AbandonRollout => self.abandon_rollout(),
            Effect::LeaveAsker(who) => self.leave_asker(who),
            Effect::AnswerUnload(who) => self.answer_unload(who, Ok(UnloadOutcome::Unloaded)),
            Effect::RefuseUnload(who, why) => {
                let id = self.id;
                let error = match why {
                    UnloadRefusal::Active => ThreadError::Active { id },
                    UnloadRefusal::Subscribed => ThreadError::Subscribed { id },
                };
                self.answer_unload(who, Err(error));
            }
            Effect::Move(to) => self.move_rollout(to),
            Effect::AnswerMove(who) => self.answer_move(who),
            Effect::RefuseMove(who, why) => self.refuse_move(who, why),
            Effect::AnnounceMove(to) => self.announce_move(to),
            Effect::EndSubscriptions => self.services.subscribers.end_thread(self.id),
            Effect::AnnounceNotLoaded => self.announce_not_loaded(),
            Effect::AnnounceClosed => self.announce_closed(),
            Effect::Forget => self.count_unload(),
        }
    }

    /// Starts the helpers that the configuration and the thread name. Nobody waits for them.
    pub(super) fn start_helpers(&mut self) {
        if self.helpers.started().is_some() || !self.log.is_open() {
            return;
        }
        let cwd = self.settings().cwd.into();
        let set = self.helpers.start(&self.services, cwd);
        self.log.show(|snapshot| snapshot.helpers = Some(set));
    }

    fn end_helpers(&mut self) {
        self.unload_began = Some(self.services.clock.now());
        // Questions of a turn end with the turn.
        self.drop_questions_of(None);
        match self.helpers.end() {
            Some(set) => {
                self.children.spawn(format!("end-helpers/{}", self.id), async move {
                    Child::HelpersEnded(set.stop().await)
                });
            }
            None => self.follow_ups.push_back(Event::HelpersEnded),
        }
    }

    pub(super) fn helpers_ended(&mut self, reports: &[ExitReport]) {
        for report in reports {
            tracing::debug!(thread = %self.id, ?report, "helper ended");
        }
        self.helpers.ended();
        self.log.show(|snapshot| snapshot.helpers = None);
        self.step(Event::HelpersEnded);
    }

    fn close_rollout(&mut self) {
        let destination = self.waiters.destination();
        if let Some(record) = destination.and_then(record_of) {
            self.log.record_one(record, Keep::Power);
        }
        if self.log.close() {
            return;
        }
        // What is put elsewhere gets its row, and is released, there.
        if destination.is_none() {
            let mark = self.services.store.open_marker(self.id);
            self.services.store.release(self.id);
            if self.is_materialised() && self.log.is_open() {
                let mended = mend_index(Arc::clone(&self.services), self.id, self.log.row(), mark);
                self.services.tasks.spawn(format!("mend-index/{}", self.id), mended);
            }
        }
        self.follow_ups.push_back(Event::RolloutClosed);
    }

    fn abandon_rollout(&mut self) {
        // Only the turn: the helpers' end is still waited for.
        self.turns.abort();
        self.drop_questions();
        // Whose answer stands in the line is shown what is given up, like those who listen.
        self.send_all();
        self.log.give_up();
        self.services.store.release(self.id);
    }

    /// The writer has written, or could not.
    pub(super) fn written(&mut self, written: &Written) {
        let is_last = self.log.take(written);
        match written {
            Written::UpTo(_, listed) if is_last => self.rollout_closed(*listed),
            Written::UpTo(..) => self.unpark(),
            Written::Failed(error) if self.turns.fail(&error.to_string()) => self.step(Event::Interrupt),
            Written::Failed(_) => self.fail_unsaved_turns(),
        }
    }

    fn rollout_closed(&mut self, listed: Listed) {
        // Before somebody else may change the rollout.
        let mark = self.services.store.open_marker(self.id);
        if self.waiters.destination().is_none() {
            self.services.store.release(self.id);
            if listed == Listed::Yes {
                // A full queue only leaves the mark for the next start, which finds the end closed.
                self.services.closed_rollouts.try_send(mark).ok();
            }
        }
        self.step(Event::RolloutClosed);
    }

    fn leave_asker(&mut self, who: WaiterId) {
        if let Some(connection) = self.waiters.asker(who) {
            let _left = self.services.subscribers.leave(connection, self.id);
        }
    }

    fn answer_unload(&mut self, who: WaiterId, outcome: Result<UnloadOutcome, ThreadError>) {
        let unload = match self.waiters.take(who) {
            Some(Waiter::Unload(unload)) => unload,
            Some(Waiter::Repair(repair)) => return self.answer_repair(repair, outcome.is_ok()),
            Some(Waiter::Start(_) | Waiter::Resume(_) | Waiter::Fork(_) | Waiter::PutElsewhere(_)) | None => {
                return;
            }
        };
        let response = outcome.map(|state| SkeinThreadUnloadResponse { state });
        unload.reply.send(response.map_err(|error| error.to_wire()));
    }

    fn fail_resume(&mut self, who: WaiterId, why: ResumeFailure) {
        let Some(waiter) = self.waiters.take(who) else { return };
        let id = self.id;
        let error = match why {
            ResumeFailure::LoadFailed => {
                self.load_error.as_ref().unwrap_or(&ThreadError::NotFound { id }).to_wire()
            }
            ResumeFailure::Shutdown => ThreadError::Stopping { id }.to_wire(),
            ResumeFailure::Archived => ThreadError::ArchivedMeanwhile { id }.to_wire(),
            ResumeFailure::Deleted => ThreadError::NotFound { id }.to_wire(),
            ResumeFailure::Withdrawn => ThreadError::Withdrawn { id }.to_wire(),
        };
        waiter.refuse(&self.services, &error);
    }

    /// Counts a hard shutdown that has reached its zero.
    pub(super) fn count_unload(&mut self) {
        let Some(began) = self.unload_began.take() else { return };
        let took = self.services.clock.now().saturating_duration_since(began);
        self.services.counters.unloads.add(took);
    }

    pub(super) fn announce_not_loaded(&mut self) {
        self.log.show_status(ThreadStatus::NotLoaded);
        // The owner ends with this step: nothing may be left in the line.
        self.send_all();
    }

    pub(super) fn announce_closed(&mut self) {
        if self.unheard {
            return;
        }
        let at = self.services.clock.wall();
        let params = ThreadClosedNotification { thread_id: self.id, skein: None };
        let notice = Notice::new::<ThreadClosed>(Recipients::All, &params, at, None);
        match self.log.persistence() {
            Persistence::Durable => {
                self.services.subscribers.publish_to_strangers(self.id, &notice.broadcast);
            }
            Persistence::Ephemeral => {}
        }
    }

    /// Publishes that there is a new thread.
    pub(super) fn announce_started(&mut self) {
        if self.log.is_open() {
            let thread = self.log.thread(self.status());
            self.log.notify::<ThreadStarted>(&ThreadStartedNotification { thread, skein: None }, None);
        }
    }

    /// What clients are told of the thread now.
    pub(super) fn status(&self) -> ThreadStatus {
        match self.machine.phase() {
            Phase::Gone | Phase::Loading => ThreadStatus::NotLoaded,
            Phase::Idle | Phase::Running | Phase::Unloading
                if self.turns.id().is_some() || !self.questions.is_empty() =>
            {
                ThreadStatus::Active { active_flags: self.questions.flags() }
            }
            Phase::Idle | Phase::Running | Phase::Unloading if self.turns.has_failed() => {
                ThreadStatus::SystemError
            }
            Phase::Idle | Phase::Running | Phase::Unloading => ThreadStatus::Idle,
        }
    }

    /// Sends everything whose records are durable.
    pub(super) fn send_ready(&mut self) {
        loop {
            self.log.show_history(self.turns.id(), || self.status());
            let mut joined = false;
            while let Some((due, saved)) = self.log.send_next(Send::Ready) {
                joined |= matches!(due, Due::Join { .. } | Due::CatchUp(_));
                self.carry_out_due(due, saved);
            }
            if !joined {
                return;
            }
            self.recount();
        }
    }

    /// Sends everything that is queued, saved or not.
    pub(super) fn send_all(&mut self) {
        while let Some((due, saved)) = self.log.send_next(Send::All) {
            self.carry_out_due(due, saved);
        }
    }

    fn carry_out_due(&mut self, due: Due, saved: Saved) {
        let Self { catch_ups, log, questions, .. } = self;
        let joined = match due {
            Due::Join { ticket, role, answer, items } => {
                catch_ups.join(log, (ticket, role), answer, &items, saved)
            }
            Due::CatchUp(resume) => {
                catch_ups.begin(log, questions, *resume, saved);
                None
            }
            Due::JoinAt(catch_up, items) => catch_ups.join_at(log, questions, (catch_up, &items), saved),
            Due::Ask(number) => return self.questions.put(number, &self.audience()),
        };
        if let Some(connection) = joined {
            let audience = self.audience();
            self.questions.put_again(connection, &audience);
        }
    }

    pub(super) fn is_materialised(&self) -> bool {
        match self.machine.materialised() {
            Materialised::Yes => true,
            Materialised::No => false,
        }
    }
}
