//! Carries out what the machine wants. Nothing here decides, and nothing waits.

use std::sync::Arc;

use skein_helpers::{ExitReport, HelperEvent};
use skein_protocol::event::{
    HelperMoment, McpServerStatusUpdatedNotification, ThreadClosedNotification, ThreadStartedNotification,
    ThreadStatusChangedNotification,
};
use skein_protocol::extension::{SkeinThreadUnloadResponse, UnloadOutcome};
use skein_protocol::helper::McpServerStartupState;
use skein_protocol::ids::{EventSeq, ItemId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    McpServerStartupStatusUpdated, ThreadClosed, ThreadStarted, ThreadStatusChanged,
};
use skein_protocol::table::{Notification, Scope};
use skein_protocol::thread::ThreadStatus;
use skein_store::index::moment::Listed;
use skein_store::index::rebuild;
use skein_store::rollout::OpenMark;

use super::waiters::Waiter;
use super::{Child, Owner};
use crate::thread::effect::{Effect, ResumeFailure, UnloadRefusal};
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, Materialised, WaiterId};
use crate::thread::journal::{Saved, reach};
use crate::thread::machine::{Persistence, Phase};
use crate::thread::outgoing::{Notice, Outgoing};
use crate::thread::pictures;
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
            Effect::StopTurn => self.stop_turn(),
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
        if self.helpers.started().is_some() || self.journal.is_none() {
            return;
        }
        let cwd = self.settings().cwd.into();
        let set = self.helpers.start(&self.services, cwd);
        self.seat.publish.send_modify(|snapshot| snapshot.helpers = Some(set));
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
        self.seat.publish.send_modify(|snapshot| snapshot.helpers = None);
        self.step(Event::HelpersEnded);
    }

    pub(super) fn helper_event(&mut self, event: HelperEvent) {
        let (name, status, error, state) = match event {
            HelperEvent::Startup { name, state, error } => (name, state, error, None),
            // For who knows no more than the peer tells it is there, as it was.
            HelperEvent::Liveness { name, state, message } => {
                (name, McpServerStartupState::Ready, message, Some(state))
            }
        };
        let params = McpServerStatusUpdatedNotification {
            error,
            failure_reason: None,
            name,
            status,
            thread_id: Some(self.id),
            skein: state.map(|state| HelperMoment { state }),
        };
        self.notify::<McpServerStartupStatusUpdated>(&params, None);
    }

    fn close_rollout(&mut self) {
        let destination = self.waiters.destination();
        destination.into_iter().for_each(|to| self.record_destination(to));
        let waits = self.journal.as_mut().is_some_and(super::Journal::close);
        if !waits {
            // What is put elsewhere gets its row, and is released, there.
            if destination.is_none() {
                let mark = self.services.store.mark(self.id);
                self.services.store.release(self.id);
                self.mend_index(mark);
            }
            self.follow_ups.push_back(Event::RolloutClosed);
        }
    }

    /// A load that wrote nothing has seen the whole rollout all the same: its row is mended, and where an earlier end
    /// of the server left the rollout marked open, the mark goes. Nobody waits for it.
    fn mend_index(&self, mark: OpenMark) {
        let Some(journal) = self.journal.as_ref().filter(|_| self.is_materialised()) else { return };
        let row = journal.history.is_materialised().then(|| (journal.history.row(), journal.seq()));
        let (services, id) = (Arc::clone(&self.services), self.id);
        self.services.tasks.spawn(format!("mend-index/{id}"), async move {
            let mended = match row {
                Some((row, as_of)) => rebuild::put_row(&*services.store, &*services.index, row, as_of).await,
                None => Ok(()),
            };
            match mended {
                // A full queue leaves the mark for the next load.
                Ok(()) => drop(services.closed_rollouts.try_send(mark)),
                Err(error) => tracing::warn!(thread = %id, %error, "this thread's row is not mended"),
            }
        });
    }

    fn abandon_rollout(&mut self) {
        // Only the turn: the helpers' end is still waited for.
        if let Some(task) = self.turn.take().and_then(|turn| turn.task) {
            task.abort();
        }
        self.drop_questions();
        // Whose answer stands in the line is shown what is given up, like those who listen.
        self.send_all();
        self.give_up_records();
        self.services.store.release(self.id);
    }

    /// The disk did not take the last records in time.
    pub(super) fn give_up_records(&mut self) {
        if self.journal.as_ref().is_some_and(super::Journal::lacks_a_revert) {
            // They were told that turns are gone, and these are on disk: let them come back, and see.
            self.services.subscribers.close_listeners(self.id);
        }
        let unsaved = self.journal.as_mut().map_or(0, super::Journal::abandon);
        tracing::error!(thread = %self.id, records = unsaved, "the disk did not take these records in time; they are lost");
        self.services.counters.unsaved_records.add(u64::try_from(unsaved).unwrap_or(u64::MAX));
    }

    /// The writer has written, or could not.
    pub(super) fn written(&mut self, written: &Written) {
        let Some(journal) = &mut self.journal else { return };
        journal.heard(written);
        match written {
            Written::UpTo(seq, listed)
                if self.machine.phase() == Phase::Unloading && *seq == journal.seq() =>
            {
                self.rollout_closed(*listed);
            }
            Written::UpTo(..) => self.unpark(),
            Written::Failed(error) => match &self.turn {
                Some(_) => self.fail_turn(&error.to_string()),
                None => self.fail_ended_turns(),
            },
        }
    }

    fn rollout_closed(&mut self, listed: Listed) {
        // Before somebody else may change the rollout.
        let mark = self.services.store.mark(self.id);
        if self.journal.as_ref().is_some_and(super::Journal::is_closed) {
            if self.waiters.destination().is_none() {
                self.services.store.release(self.id);
                if listed == Listed::Yes {
                    // A full queue only leaves the mark for the next start, which finds the end closed.
                    self.services.closed_rollouts.try_send(mark).ok();
                }
            }
            self.step(Event::RolloutClosed);
        }
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
        self.status_changed(ThreadStatus::NotLoaded);
        // The owner ends with this step: nothing may be left in the line.
        self.send_all();
    }

    pub(super) fn announce_closed(&mut self) {
        if self.unheard {
            return;
        }
        let at = self.services.clock.wall();
        let params = ThreadClosedNotification { thread_id: self.id, skein: None };
        let notice = Notice::new::<ThreadClosed>(Scope::All, &params, at, None);
        match self.persistence {
            Persistence::Durable => {
                self.services.subscribers.publish_to_strangers(self.id, &notice.broadcast);
            }
            Persistence::Ephemeral => {}
        }
    }

    /// Tells about a new thread.
    pub(super) fn announce_started(&mut self) {
        if self.journal.is_none() {
            return;
        }
        let params = ThreadStartedNotification { thread: self.thread(), skein: None };
        self.notify::<ThreadStarted>(&params, None);
    }

    /// What clients are told of the thread now.
    pub(super) fn status(&self) -> ThreadStatus {
        match self.machine.phase() {
            Phase::Gone | Phase::Loading => ThreadStatus::NotLoaded,
            Phase::Idle | Phase::Running | Phase::Unloading
                if self.turn.is_some() || !self.questions.is_empty() =>
            {
                ThreadStatus::Active { active_flags: self.questions.flags() }
            }
            Phase::Idle | Phase::Running | Phase::Unloading if self.faulted => ThreadStatus::SystemError,
            Phase::Idle | Phase::Running | Phase::Unloading => ThreadStatus::Idle,
        }
    }

    /// Publishes a status, if it is another than the last one.
    pub(super) fn status_changed(&mut self, status: ThreadStatus) {
        let changed = self.seat.publish.send_if_modified(|snapshot| {
            let changed = snapshot.status != status;
            snapshot.status = status.clone();
            changed
        });
        if changed {
            let params = ThreadStatusChangedNotification { status, thread_id: self.id, skein: None };
            self.notify::<ThreadStatusChanged>(&params, None);
        }
    }

    /// Puts a notification in the line.
    pub(super) fn notify<N: Notification>(&mut self, params: &N::Params, number: Option<EventSeq>) {
        let at = self.services.clock.wall();
        let scope = reach(N::INFO.scope, self.persistence);
        let epoch = self.journal.as_ref().map(super::Journal::epoch);
        self.put_in_line(Notice::new::<N>(scope, params, at, number.zip(epoch)));
    }

    /// Puts a notification in the line. Without a book there is nothing to wait for.
    pub(super) fn put_in_line(&mut self, notice: Notice) {
        match &mut self.journal {
            Some(journal) => journal.publish(Outgoing::Notify(notice)),
            None => self.send(Outgoing::Notify(notice), Saved::Yes),
        }
    }

    /// Sends everything whose records are durable.
    pub(super) fn send_ready(&mut self) {
        self.publish_journal();
        loop {
            let mut joined = false;
            while let Some((outgoing, saved)) = self.journal.as_mut().and_then(super::Journal::next_outgoing)
            {
                joined |= matches!(outgoing, Outgoing::Join { .. } | Outgoing::CatchUp(_));
                self.send(outgoing, saved);
            }
            if !joined {
                return;
            }
            self.recount();
        }
    }

    /// Sends everything that waits, saved or not.
    pub(super) fn send_all(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        let waiting = journal.drain();
        for (outgoing, saved) in waiting {
            self.send(outgoing, saved);
        }
    }

    pub(super) fn send(&mut self, outgoing: Outgoing, saved: Saved) {
        match outgoing {
            Outgoing::Notify(notice) => {
                let scope = notice.scope;
                self.remember(&notice, saved);
                let broadcast = match saved {
                    Saved::Yes => notice.broadcast,
                    Saved::No => notice.into_unsaved(),
                };
                match scope {
                    Scope::All => self.services.subscribers.publish_to_all(self.id, &broadcast),
                    Scope::Subscribers => self.services.subscribers.publish(self.id, &broadcast),
                }
            }
            Outgoing::Acknowledge(acknowledge) => {
                let why = self.journal.as_ref().and_then(|journal| journal.failure.clone());
                let result = match saved {
                    Saved::Yes => Ok(()),
                    Saved::No => {
                        let why = why.unwrap_or_else(|| "the rollout was given up".to_owned());
                        Err(ThreadError::NotKept { id: self.id, why }.to_wire())
                    }
                };
                acknowledge(result);
            }
            Outgoing::Join { ticket, role, answer, items } => {
                self.join((ticket, role), answer, &items, saved);
            }
            Outgoing::CatchUp(resume) => self.begin_catch_up(*resume, saved),
            Outgoing::JoinAt(catch_up, items) => self.join_at(catch_up, &items, saved),
            Outgoing::Ask(question) => self.put_question(question),
        }
    }

    /// Publishes where the thread is in its life.
    pub(super) fn publish_phase(&mut self) {
        let (phase, materialised) = (self.machine.phase(), self.machine.materialised());
        let idle_since = self.machine.idle_since();
        let mut can_go = false;
        self.seat.publish.send_if_modified(|snapshot| {
            can_go = snapshot.idle_since.is_none() && idle_since.is_some();
            let changed = (snapshot.phase, snapshot.materialised, snapshot.idle_since)
                != (phase, materialised, idle_since);
            snapshot.phase = phase;
            snapshot.materialised = materialised;
            snapshot.idle_since = idle_since;
            changed
        });
        if can_go {
            self.services.pressure.look();
        }
    }

    /// Publishes how far the history is.
    fn publish_journal(&mut self) {
        let Some(journal) = &self.journal else { return };
        let (seq, epoch) = (journal.seq(), journal.epoch());
        let turn = self.turn.as_ref().map(|turn| turn.id.clone());
        let behind = {
            let seen = self.seat.publish.borrow();
            seen.seq != seq || seen.turn != turn || seen.thread.is_none()
        };
        if behind {
            let thread = self.thread();
            let goal = journal.history.goal().map(|goal| pictures::goal(self.id, goal));
            let open_items: Vec<ThreadItem> = journal.history.open_items().cloned().collect();
            self.seat.publish.send_modify(|snapshot| {
                snapshot.seq = seq;
                snapshot.epoch = epoch;
                snapshot.turn = turn;
                snapshot.thread = Some(thread);
                snapshot.goal = goal;
                snapshot.open_items = open_items;
            });
        }
    }

    /// Adds to the text of an item in progress, as others see it.
    pub(super) fn append_to_snapshot(&mut self, item: &ItemId, text: &str) {
        self.seat.publish.send_modify(|snapshot| {
            let open = snapshot.open_items.iter_mut().find(|open| open.id() == item);
            match open.map(|open| &mut open.body) {
                Some(ThreadItemBody::AgentMessage(message)) => message.text.push_str(text),
                Some(ThreadItemBody::Plan(plan)) => plan.text.push_str(text),
                _ => {}
            }
        });
    }

    pub(super) fn is_materialised(&self) -> bool {
        match self.machine.materialised() {
            Materialised::Yes => true,
            Materialised::No => false,
        }
    }
}
