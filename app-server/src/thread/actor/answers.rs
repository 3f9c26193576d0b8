//! Answers that show the thread.

use skein_protocol::event::ThreadStartedNotification;
use skein_protocol::extension::TurnDetails;
use skein_protocol::ids::TurnId;
use skein_protocol::notifications::ThreadStarted;
use skein_protocol::thread::{
    SessionSource, Thread, ThreadCompactStartResponse, ThreadQueueStartResponse, ThreadStatus,
};
use skein_protocol::turn::{Turn, TurnItemsView, TurnStartResponse, TurnSteerResponse};
use skein_store::rollout::record::ThreadCreated;

use super::helper_side::HelperSide;
use super::log::Log;
use super::{Owner, ThreadParts, budget, catch_up, fork, settings};
use crate::thread::command::{Command, InputReply, Resume, Start};
use crate::thread::event::WaiterId;
use crate::thread::outgoing::{Due, LateAnswer, Outgoing};
use crate::thread::questions::Askable;
use crate::thread::subscribers::Role;
use crate::thread::{Context, views};

impl Owner {
    /// Queues the answer of a start, a resume or a fork. The subscription begins when the answer's place in the publish queue
    /// comes, so that the connection receives exactly the events behind the view.
    pub(super) fn answer_waiting(&mut self, who: WaiterId) {
        let status = self.parts().status();
        let (parts, thread) = ((&self.log, &self.helpers), self.log.thread(status));
        let join = match self.waiters.take(who) {
            Some(Command::Start(start)) => answer_start(&self.services, parts, thread, *start),
            Some(Command::Fork(new)) => fork::answer(&self.services, parts, thread, *new),
            Some(Command::Resume(resume)) => return self.parts().answer_resume(*resume),
            // No other command asks the machine for a subscription.
            Some(_) | None => return,
        };
        self.log.publish(Outgoing::Due(join));
        self.log.show(|snapshot| snapshot.status = ThreadStatus::Idle);
        let status = self.parts().status();
        let thread = self.log.thread(status);
        self.log.notify::<ThreadStarted>(&ThreadStartedNotification { thread, skein: None }, None);
    }
}

impl ThreadParts<'_> {
    /// Queues the answer of a resume: a view of the whole thread, or the notice that events follow.
    pub(super) fn answer_resume(&mut self, resume: Resume) {
        self.show_status();
        // Observers are asked nothing.
        let open_questions = match resume.role.keeps_loaded() {
            true => {
                let subscribed = self.services.subscribers.subscribed(self.id);
                let client = self.services.subscribers.client_name(resume.ticket.connection);
                let who = Askable { connection: resume.ticket.connection, client: &client };
                self.questions.open_for(&who, &subscribed)
            }
            false => Vec::new(),
        };
        let (parts, thread) = ((&*self.log, &*self.helpers), self.log.thread(self.status()));
        let due = catch_up::answer(self.services, parts, thread, resume, open_questions);
        self.log.publish(Outgoing::Due(due));
    }
}

fn answer_start(
    services: &Context,
    (log, helpers): (&Log, &HelperSide),
    thread: Thread,
    start: Start,
) -> Due {
    let Start { ticket, reply, .. } = start;
    let settings = settings::of(log, helpers);
    let mut response = views::response(&settings, thread, budget::now(services, log, helpers));
    response.instruction_sources = helpers.sources(&settings.cwd);
    let answer: LateAnswer = Box::new(move |_| Ok(reply.prepare(&response)));
    Due::Join { ticket, role: Role::Subscriber, answer, items: Vec::new(), is_resume: false }
}

/// The first record of a new thread.
pub(super) fn created(log: &Log, helpers: &HelperSide, start: &Start) -> ThreadCreated {
    ThreadCreated {
        id: log.id(),
        source: SessionSource::VsCode,
        thread_source: start.params.thread_source.clone(),
        originator: Some(start.originator.clone()),
        cli_version: env!("CARGO_PKG_VERSION").to_owned(),
        forked_from: None,
        git_info: None,
        settings: helpers.new_settings(&start.params, &log.config()),
    }
}

/// Answers new input, once its records are durable, with the turn that takes it. Such an answer has no `startedAt`.
pub(super) fn answer_input(log: &mut Log, reply: InputReply, turn: &TurnId) {
    let turn = Turn { started_at: None, ..shown_turn(log, turn) };
    acknowledge_input(log, reply, turn);
}

/// Answers input that an earlier request has brought already: the same turn, as it is now.
pub(super) fn answer_repeated_input(log: &mut Log, reply: InputReply, turn: &TurnId) {
    let turn = shown_turn(log, turn);
    acknowledge_input(log, reply, turn);
}

fn acknowledge_input(log: &mut Log, reply: InputReply, turn: Turn) {
    match reply {
        InputReply::Start(reply) => {
            let skein = log.owner().map(|owner| TurnDetails { owner });
            log.acknowledge(reply, TurnStartResponse { turn, skein });
        }
        InputReply::Steer(_, reply) => log.acknowledge(reply, TurnSteerResponse { turn_id: turn.id }),
        InputReply::Compact(reply) => log.acknowledge(reply, ThreadCompactStartResponse {}),
        InputReply::Queued(_, reply) => log.acknowledge(reply, ThreadQueueStartResponse { turn }),
    }
}

/// The turn without items.
pub(super) fn shown_turn(log: &Log, id: &TurnId) -> Turn {
    let found = log.turn(id).cloned();
    let turn = found.unwrap_or_else(|| Turn::new(id.clone(), 0));
    Turn { items: Vec::new(), items_view: TurnItemsView::NotLoaded, ..turn }
}
