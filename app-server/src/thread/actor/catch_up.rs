//! How a connection comes to hear of the thread: with the whole picture, or by number. Either way the step in which it
//! joins has a place in the line: it knows everything before it, and receives everything behind it.

use skein_protocol::extension::{GapReason, ThreadPicture};
use skein_protocol::ids::EventSeq;
use skein_protocol::thread::{ThreadResumeParams, ThreadResumeResponse};

use super::Owner;
use crate::outbox::reply::Reply;
use crate::thread::catch_up::{self, CatchUp, Continuation};
use crate::thread::command::{Command, Resume};
use crate::thread::error::ThreadError;
use crate::thread::events;
use crate::thread::journal::Saved;
use crate::thread::machine::Phase;
use crate::thread::outgoing::{LateAnswer, Notice, Outgoing, ResumeByNumber};
use crate::thread::pages;
use crate::thread::pictures;
use crate::thread::subscribers::{Broadcast, Role, Ticket};

impl Owner {
    /// Puts the answer of a resume in the line: the whole picture, or the word that events follow.
    pub(super) fn answer_resume(&mut self, resume: Resume) {
        let Resume { params, role, ticket, reply, .. } = resume;
        self.tell_status();
        let continuation = self.continuation(&params);
        // Those who only watch are asked nothing.
        let open_questions =
            if role.keeps_loaded() { self.questions_for(ticket.connection) } else { Vec::new() };
        let response = self.resume_response(continuation, &params, &open_questions);
        let answer = self.late_answer(reply, response);
        let mut items: Vec<Broadcast> = self.usage_so_far().into_iter().chain([self.goal_now()]).collect();
        if params.exclude_turns {
            items.extend(self.open_items());
        }
        let epoch = self.picture().epoch;
        let outgoing = match continuation {
            Continuation::Whole | Continuation::Gap(_) => Outgoing::Join { ticket, role, answer, items },
            Continuation::From(seq) => {
                let from = ThreadPicture { seq, epoch };
                Outgoing::CatchUp(Box::new(ResumeByNumber { ticket, role, answer, from, open_questions }))
            }
        };
        if let Some(journal) = &mut self.journal {
            journal.publish(outgoing);
        }
    }

    /// The answer, with the numbers that hold when its place in the line has come.
    fn late_answer(
        &self,
        reply: Reply<ThreadResumeResponse>,
        mut response: ThreadResumeResponse,
    ) -> LateAnswer {
        let (id, most) = (self.id, self.services.config().limits.answer_bytes);
        Box::new(move |on_disk| {
            if let (Some(end), Some(picture)) = (on_disk, &mut response.skein) {
                picture.replay_to =
                    picture.replay_to.map(|replay_to| replay_to.min(end.seq).max(picture.seq));
                (picture.seq, picture.epoch) = (picture.seq.min(end.seq), end.epoch);
            }
            let frame = reply.frame(&response);
            if frame.len() > most {
                return Err(reply.prepare_err(&ThreadError::AnswerTooLarge { id, most }.to_wire()));
            }
            Ok(reply.hold(frame))
        })
    }

    /// The last record on disk, where not everything before this place in the line is.
    fn end_on_disk(&self, saved: Saved) -> Option<ThreadPicture> {
        let journal = self.journal.as_ref()?;
        match saved {
            Saved::Yes => None,
            Saved::No => {
                let seq = journal.durable();
                Some(ThreadPicture { seq, epoch: journal.epoch_at(seq) })
            }
        }
    }

    fn continuation(&self, params: &ThreadResumeParams) -> Continuation {
        let most = self.services.config().limits.replay;
        let seen = self.journal.as_ref().map_or(EventSeq(0), |journal| journal.history.hole());
        let hole = seen.max(self.services.holes.last(self.id));
        let continuation = catch_up::continuation(params.skein.as_ref(), self.picture(), hole, most);
        let stored = self.journal.as_ref().is_some_and(super::Journal::is_stored);
        let continuation = match continuation {
            Continuation::From(_) if !stored => Continuation::Gap(GapReason::NotStored),
            Continuation::From(_) | Continuation::Gap(_) | Continuation::Whole => continuation,
        };
        if matches!(continuation, Continuation::Gap(_)) {
            self.services.counters.gaps.add_one();
        }
        continuation
    }

    fn resume_response(
        &self,
        continuation: Continuation,
        params: &ThreadResumeParams,
        open_questions: &[i64],
    ) -> ThreadResumeResponse {
        let now = self.picture();
        let mut response = pictures::resumed(&self.settings(), self.thread(), now);
        response.instruction_sources = self.helpers.sources(&self.settings().cwd);
        let told = self.journal.as_ref().map_or(now.seq, |journal| journal.history.told());
        response.skein = Some(catch_up::picture(continuation, now, told, open_questions));
        match (continuation, &self.journal) {
            (Continuation::Whole | Continuation::Gap(_), Some(journal)) => {
                let most = self.services.config().limits.answer_bytes;
                pages::show(&mut response, &journal.history, params, most);
            }
            (Continuation::Whole | Continuation::Gap(_) | Continuation::From(_), _) => {}
        }
        response
    }

    /// What the conversation has cost so far, for somebody who comes; nothing where no model has said it.
    pub(super) fn usage_so_far(&self) -> Option<Broadcast> {
        let history = &self.journal.as_ref()?.history;
        events::usage(history, self.services.clock.wall())
    }

    fn open_items(&self) -> Vec<Broadcast> {
        let at = self.services.clock.wall();
        self.journal.as_ref().map(|journal| events::open_items(&journal.history, at)).unwrap_or_default()
    }

    /// The place of a picture has come.
    pub(super) fn join(
        &mut self,
        (ticket, role): (Ticket, Role),
        answer: LateAnswer,
        items: &[Broadcast],
        saved: Saved,
    ) {
        let answer = match answer(self.end_on_disk(saved)) {
            Ok(answer) => answer,
            Err(refusal) => {
                self.services.subscribers.end_resume(ticket);
                return refusal.send();
            }
        };
        if !self.services.subscribers.join(ticket, self.id, role) {
            let error = ThreadError::Withdrawn { id: self.id }.to_wire();
            return answer.replace_with(&error).send();
        }
        answer.send();
        for item in items {
            self.services.subscribers.publish_to(ticket.connection, item);
        }
        self.ask_again(ticket.connection);
    }

    /// The place of a resume by number has come.
    pub(super) fn begin_catch_up(&mut self, resume: ResumeByNumber, saved: Saved) {
        let ResumeByNumber { ticket, role, answer, from, open_questions } = resume;
        // It has no turns, and is never too large.
        let (Ok(answer) | Err(answer)) = answer(self.end_on_disk(saved));
        match CatchUp::begin(&self.services, self.id, (ticket, role), from, open_questions) {
            Some(catch_up) => {
                // Its user may see them still, and may answer before they are put again.
                self.questions.may_answer(ticket.connection, &catch_up.open_questions);
                answer.send();
                self.read_on(catch_up);
            }
            None => {
                let error = ThreadError::Withdrawn { id: self.id }.to_wire();
                answer.replace_with(&error).send();
            }
        }
    }

    /// Has a task tell what is on disk. It comes back as [`Command::CaughtUp`].
    fn read_on(&mut self, catch_up: Box<CatchUp>) {
        let Some(end) = self.journal.as_ref().map(super::Journal::durable) else { return };
        self.services.tasks.spawn(format!("catch-up/{}", self.id), catch_up::run(catch_up, end));
    }

    /// A client has been told what was on disk. It joins when its place in the line comes.
    pub(super) fn caught_up(&mut self, catch_up: Box<CatchUp>) {
        match self.machine.phase() {
            Phase::Loading | Phase::Unloading => self.defer(Command::CaughtUp(catch_up)),
            Phase::Gone => self.deferred.push_back(Command::CaughtUp(catch_up)),
            Phase::Idle | Phase::Running => {
                // One that has left, or knows another history, is dropped: that sends it away.
                let items = self.open_items();
                if let Some(journal) = &mut self.journal
                    && catch_up.is_wanted()
                    && journal.continues(catch_up.knows())
                {
                    journal.publish(Outgoing::JoinAt(catch_up, items));
                }
            }
        }
    }

    /// The place of a client that has caught up has come. It joins, unless the disk has to be read again: more
    /// happened meanwhile than is in memory, or what happened is not on disk yet.
    pub(super) fn join_at(&mut self, catch_up: Box<CatchUp>, items: &[Broadcast], saved: Saved) {
        let Some(journal) = &self.journal else { return self.park(*catch_up) };
        if saved == Saved::No || journal.failure.is_some() {
            return self.park(*catch_up);
        }
        let Some(missing) = journal.recent.after(catch_up.at) else { return self.read_on(catch_up) };
        if !catch_up.join() {
            return;
        }
        for event in missing.chain(items) {
            catch_up.receiver.tell(event);
        }
        let open = self.questions_for(catch_up.ticket.connection);
        let settled = catch_up.open_questions.iter().filter(|number| !open.contains(number));
        for number in settled {
            catch_up.receiver.tell(&self.resolved_notice(*number).broadcast);
        }
        self.ask_again(catch_up.ticket.connection);
    }

    /// Keeps a client until the disk works again; those that have left meanwhile, or begun anew, go.
    fn park(&mut self, catch_up: CatchUp) {
        self.parked.retain(CatchUp::is_wanted);
        self.parked.push(catch_up);
    }

    /// The disk takes records again, or the thread is loaded again.
    pub(super) fn unpark(&mut self) {
        for catch_up in std::mem::take(&mut self.parked) {
            self.caught_up(Box::new(catch_up));
        }
    }

    /// Keeps what was told for those who catch up.
    pub(super) fn remember(&mut self, notice: &Notice, saved: Saved) {
        let (Some(seq), Some(journal)) = (notice.number, &mut self.journal) else { return };
        match saved {
            Saved::Yes => journal.recent.push(seq, notice.broadcast.clone()),
            Saved::No => journal.recent.skip(seq),
        }
    }
}
