//! How a connection joins a thread: with a view of the whole thread, or by number. Either way the join has a place in the
//! publish queue: the client knows everything before it, and receives everything behind it.

use std::sync::Arc;

use skein_protocol::extension::{GapReason, ThreadPicture};
use skein_protocol::ids::{ConnectionId, EventSeq, ThreadId};
use skein_protocol::thread::{Thread, ThreadResumeParams, ThreadResumeResponse};
use skein_store::history::History;

use super::helper_side::HelperSide;
use super::log::Log;
use super::open_questions::Questions;
use super::questions::resolved_notice;
use super::{budget, settings, user_state};
use crate::outbox::reply::Reply;
use crate::thread::catch_up::{self, CatchUp, Continuation};
use crate::thread::command::Resume;
use crate::thread::error::ThreadError;
use crate::thread::journal::Saved;
use crate::thread::outgoing::{Due, LateAnswer, Outgoing, ResumeByNumber};
use crate::thread::subscribers::{Broadcast, Role, Ticket};
use crate::thread::{Context, pages, views};

/// Clients that join a thread, or catch up first.
pub(super) struct CatchUps {
    services: Arc<Context>,
    thread: ThreadId,
    /// Clients that have caught up with a failing disk, and wait for it.
    parked: Vec<CatchUp>,
}

impl CatchUps {
    pub(super) fn new(services: Arc<Context>, thread: ThreadId) -> Self {
        Self { services, thread, parked: Vec::new() }
    }

    /// The place of a view has come. Returns the connection that has joined.
    pub(super) fn join(
        &self,
        log: &Log,
        (ticket, role): (Ticket, Role),
        answer: LateAnswer,
        items: &[Broadcast],
        saved: Saved,
    ) -> Option<ConnectionId> {
        let answer = match answer(end_on_disk(log, saved)) {
            Ok(answer) => answer,
            Err(refusal) => {
                self.services.subscribers.end_resume(ticket);
                refusal.send();
                return None;
            }
        };
        if !self.services.subscribers.join(ticket, self.thread, role) {
            let error = ThreadError::Withdrawn { id: self.thread }.to_wire();
            answer.replace_with(&error).send();
            return None;
        }
        answer.send();
        for item in items {
            self.services.subscribers.publish_to(ticket.connection, item);
        }
        Some(ticket.connection)
    }

    /// The place of a resume by number has come. A task sends the client the events on disk.
    pub(super) fn begin(&self, log: &Log, questions: &mut Questions, resume: ResumeByNumber, saved: Saved) {
        let ResumeByNumber { ticket, role, answer, from, open_questions } = resume;
        // Without turns, the answer is never too large.
        let (Ok(answer) | Err(answer)) = answer(end_on_disk(log, saved));
        match CatchUp::begin(&self.services, self.thread, (ticket, role), from, open_questions) {
            Some(catch_up) => {
                // The client may still show these questions, and answer before they are put again.
                questions.may_answer(ticket.connection, &catch_up.open_questions);
                answer.send();
                self.read_on(log, catch_up);
            }
            None => {
                let error = ThreadError::Withdrawn { id: self.thread }.to_wire();
                answer.replace_with(&error).send();
            }
        }
    }

    /// Starts a task that sends the events on disk, and returns with a command.
    fn read_on(&self, log: &Log, catch_up: Box<CatchUp>) {
        let Some(end) = log.end_on_disk() else { return };
        self.services.tasks.spawn(format!("catch-up/{}", self.thread), catch_up::run(catch_up, end.seq));
    }

    /// The place of a client that has caught up has come. It joins, unless the ring of recent events has dropped some that it
    /// misses, or the disk fails. Returns the connection that has joined.
    pub(super) fn join_at(
        &mut self,
        log: &Log,
        questions: &Questions,
        (catch_up, items): (Box<CatchUp>, &[Broadcast]),
        saved: Saved,
    ) -> Option<ConnectionId> {
        if saved == Saved::No || !log.is_open() || log.failure().is_some() {
            self.park(*catch_up);
            return None;
        }
        let Some(missing) = log.recent(catch_up.at) else {
            self.read_on(log, catch_up);
            return None;
        };
        if !catch_up.join() {
            return None;
        }
        for event in missing.chain(items) {
            catch_up.receiver.send(event);
        }
        let connection = catch_up.ticket.connection;
        let open = questions
            .open_for(&catch_up.receiver.askable(), &self.services.subscribers.subscribed(self.thread));
        let settled = catch_up.open_questions.iter().filter(|number| !open.contains(number));
        for number in settled {
            catch_up.receiver.send(&resolved_notice(log, *number).broadcast);
        }
        Some(connection)
    }

    /// Keeps a client until the disk works again. Drops clients that have left or resumed again.
    fn park(&mut self, catch_up: CatchUp) {
        self.parked.retain(CatchUp::is_wanted);
        self.parked.push(catch_up);
    }

    /// Takes the clients that waited for the disk.
    pub(super) fn unpark(&mut self) -> Vec<CatchUp> {
        std::mem::take(&mut self.parked).into_iter().filter(CatchUp::is_wanted).collect()
    }
}

/// Queues the join of a client that has caught up. A client that has left or knows another history is dropped, which closes
/// its connection.
pub(super) fn queue(log: &mut Log, catch_up: Box<CatchUp>) {
    let items = log.open_items();
    if catch_up.is_wanted() && log.continues(catch_up.knows()) {
        log.publish(Outgoing::Due(Due::JoinAt(catch_up, items)));
    }
}

/// The last record on disk, unless every record before this place in the publish queue is saved.
fn end_on_disk(log: &Log, saved: Saved) -> Option<ThreadPicture> {
    match saved {
        Saved::Yes => None,
        Saved::No => log.end_on_disk(),
    }
}

/// How a resume continues from the client's state.
fn continuation(services: &Context, log: &Log, params: &ThreadResumeParams) -> Continuation {
    let seen = log.history().map_or(EventSeq(0), History::last_lost);
    let last_gap = seen.max(services.gaps.last(log.id()));
    let most = services.config().limits.replay;
    let continuation = match catch_up::continuation(params.skein.as_ref(), log.end(), last_gap, most) {
        Continuation::From(_) if !log.is_stored() => Continuation::Gap(GapReason::NotStored),
        continuation @ (Continuation::From(_) | Continuation::Gap(_) | Continuation::Whole) => continuation,
    };
    if matches!(continuation, Continuation::Gap(_)) {
        services.counters.gaps.add_one();
    }
    continuation
}

fn response(
    services: &Context,
    (log, helpers): (&Log, &HelperSide),
    thread: Thread,
    continuation: Continuation,
    params: &ThreadResumeParams,
    open_questions: &[i64],
) -> ThreadResumeResponse {
    let now = budget::now(services, log, helpers);
    let settings = settings::of(log, helpers);
    let mut response = views::resumed(&settings, thread, now.clone());
    response.instruction_sources = helpers.sources(&settings.cwd);
    let last = log.history().map_or(now.seq, History::last_event);
    response.skein = Some(catch_up::view(continuation, now, last, open_questions));
    match (continuation, log.history()) {
        (Continuation::Whole | Continuation::Gap(_), Some(history)) => {
            pages::show(&mut response, history, params, log.config().limits.answer_bytes);
        }
        (Continuation::Whole | Continuation::Gap(_) | Continuation::From(_), _) => {}
    }
    response
}

/// The answer, with the numbers that hold when its place in the publish queue has come.
fn late_answer(
    (id, most): (ThreadId, usize),
    reply: Reply<ThreadResumeResponse>,
    mut response: ThreadResumeResponse,
) -> LateAnswer {
    Box::new(move |on_disk| {
        if let (Some(end), Some(view)) = (on_disk, &mut response.skein) {
            view.replay_to = view.replay_to.map(|replay_to| replay_to.min(end.seq).max(view.seq));
            (view.seq, view.epoch) = (view.seq.min(end.seq), end.epoch);
        }
        let frame = reply.frame(&response);
        if frame.len() > most {
            return Err(reply.prepare_err(&ThreadError::AnswerTooLarge { id, most }.to_wire()));
        }
        Ok(reply.hold(frame))
    })
}

/// The answer of a resume: a view of the whole thread, or the notice that events follow.
pub(super) fn answer(
    services: &Context,
    (log, helpers): (&Log, &HelperSide),
    thread: Thread,
    resume: Resume,
    open_questions: Vec<i64>,
) -> Due {
    let Resume { params, role, ticket, reply, .. } = resume;
    let continuation = continuation(services, log, &params);
    let response = response(services, (log, helpers), thread, continuation, &params, &open_questions);
    let answer = late_answer((log.id(), log.config().limits.answer_bytes), reply, response);
    match continuation {
        Continuation::Whole | Continuation::Gap(_) => {
            let mut items: Vec<Broadcast> = log.usage_so_far().into_iter().collect();
            items.push(user_state::goal_now(log));
            if params.exclude_turns {
                items.extend(log.open_items());
            }
            Due::Join { ticket, role, answer, items, is_resume: true }
        }
        Continuation::From(seq) => {
            let from = ThreadPicture { seq, epoch: log.end().epoch };
            Due::CatchUp(Box::new(ResumeByNumber { ticket, role, answer, from, open_questions }))
        }
    }
}

#[cfg(test)]
mod tests;
