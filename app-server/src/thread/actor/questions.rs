//! Questions to clients, of a turn or of a helper: put to every subscriber, put again to whoever resumes, settled by the
//! first real answer. The call of a client's tool goes to one connection at a time. What a helper asks outside of a turn ends with its call, or when nobody is there for too long.

use skein_helpers::HelperQuestion;
use skein_protocol::approval::{McpServerElicitationRequestParams, ToolRequestUserInputQuestion};
use skein_protocol::envelope;
use skein_protocol::event::ServerRequestResolvedNotification;
use skein_protocol::ids::{ConnectionId, ItemId, RequestId, TurnId};
use skein_protocol::notifications::ServerRequestResolved;
use skein_protocol::server_requests::McpServerElicitationRequest;
use tokio::sync::oneshot;

use super::consent::{Decision, without_ours};
use super::helper_side::{Changed, ToolOf};
use super::log::Log;
use super::open_questions::{Audience, Settled, Wants, declined};
use super::{Child, Owner};
use crate::outbox::Frame;
use crate::thread::event::Event;
use crate::thread::machine::Phase;
use crate::thread::outgoing::{Due, Notice, Outgoing};
use crate::thread::pictures;
use crate::thread::registry::ClientAnswer;
use crate::turn::Answered;
use crate::turn::approval::{Hints, lets_helpers_ask};

/// The id of the one question in the request.
const QUESTION: &str = "q1";

impl Owner {
    /// A turn asks. The question stands in line behind what it refers to.
    pub(super) fn ask(&mut self, item: ItemId, text: String, answer: oneshot::Sender<Answered>) {
        let Some(turn) = self.turns.id().cloned() else { return };
        let question = ToolRequestUserInputQuestion {
            header: "Question".to_owned(),
            id: QUESTION.to_owned(),
            is_other: true,
            is_secret: false,
            options: None,
            question: text,
        };
        self.put_questions(turn, item, vec![question], Wants::Words(answer));
    }

    /// A helper asks. Dropped, the question is cancelled: so is one that nobody wants answered any more.
    pub(super) fn helper_asks(&mut self, question: HelperQuestion) {
        let HelperQuestion { turn, server, request, answer, given_up } = question;
        let running = self.turns.id();
        let too_late = turn.is_some() && turn.as_ref() != running;
        let open = matches!(self.machine.phase(), Phase::Idle | Phase::Running) && self.log.is_open();
        if !open || too_late || given_up.is_cancelled() {
            return;
        }
        if !lets_helpers_ask(&pictures::approval_policy(&self.settings())) {
            return drop(answer.send(declined()));
        }
        let params = McpServerElicitationRequestParams {
            server_name: server,
            thread_id: self.id,
            turn_id: turn.clone(),
            request: without_ours(request),
        };
        let number = self.put(turn, Wants::Decision(answer), |id| {
            envelope::server_request::<McpServerElicitationRequest>(id, &params).into()
        });
        self.children.spawn(format!("question/{number}"), async move {
            given_up.cancelled().await;
            Child::GivenUp(number)
        });
    }

    /// Opens a question. Clients are asked when its place in the line comes.
    pub(super) fn put(
        &mut self,
        turn: Option<TurnId>,
        wants: Wants,
        frame: impl FnOnce(&RequestId) -> Frame,
    ) -> i64 {
        let number = self.services.questions.open(self.id);
        self.questions.open(number, frame(&RequestId::Integer(number)), turn, wants);
        self.show_status();
        self.log.publish(Outgoing::Due(Due::Ask(number)));
        self.count_questions();
        number
    }

    /// Those of the turn: while one waits, the turn does. A call of a client keeps the thread by itself.
    fn count_questions(&mut self) {
        self.step(Event::Questions(self.questions.of_turn()));
    }

    /// Subscribers have come or left.
    pub(super) fn pass_questions_on(&mut self) {
        if self.questions.can_pass() {
            let audience = self.audience();
            self.questions.pass_on(&audience);
        }
    }

    /// First the connection that has brought the thread's tools, then the others, the newest subscriber first.
    pub(super) fn audience(&self) -> Audience {
        let mut candidates = self.services.subscribers.askable(self.id);
        self.helpers.sort(&mut candidates);
        Audience { candidates, subscribed: self.services.subscribers.subscribed(self.id) }
    }

    /// A client has answered.
    pub(super) fn answered(&mut self, by: ConnectionId, number: i64, answer: ClientAnswer) {
        if let Some(settled) = self.questions.take_answer(by, number, answer) {
            self.settle_question(number, settled);
        }
    }

    /// Settles the questions that everyone who is left has refused.
    pub(super) fn settle_refused_questions(&mut self) {
        if self.questions.is_empty() {
            return;
        }
        // Also those who are still told what they missed.
        let subscribed = self.services.subscribers.subscribed(self.id);
        self.settle_all(self.questions.refused(&subscribed));
    }

    fn settle_all(&mut self, settled: Vec<(i64, Settled)>) {
        for (number, settled) in settled {
            self.settle_question(number, settled);
        }
    }

    /// Nobody has to answer any more.
    pub(super) fn drop_questions(&mut self) {
        for number in self.questions.clear() {
            self.resolved(number);
        }
    }

    /// The turn has ended: nobody has to answer its questions, or those of a helper that it called.
    pub(super) fn drop_questions_of(&mut self, turn: Option<&TurnId>) {
        for number in self.questions.drop_of(turn) {
            self.resolved(number);
        }
    }

    /// The call that a question was about has ended, or the helper has withdrawn it.
    pub(super) fn question_given_up(&mut self, number: i64) {
        if self.questions.take(number).is_some() {
            self.question_gone(number);
        }
    }

    /// Notes whether somebody is there to answer what is asked outside of turns. The machine does for turns.
    pub(super) fn look_for_somebody(&mut self) {
        let unanswerable = self.questions.wait_outside() && self.counts().subscribers == 0;
        self.questions.note_unanswerable(unanswerable, self.services.clock.now());
    }

    /// Nobody has come to answer them.
    pub(super) fn decline_unanswered(&mut self) {
        for number in self.questions.give_up_waiting() {
            self.settle_question(number, Settled::Decision(declined()));
        }
    }

    fn settle_question(&mut self, number: i64, settled: Settled) {
        let Some(wants) = self.questions.take(number) else { return };
        if let Some((deciding, decision)) = wants.answer(settled) {
            self.decided(deciding, decision);
        }
        self.question_gone(number);
    }

    /// The user has allowed this tool for as long as the thread is loaded: other calls of it that wait are made, too.
    pub(super) fn settle_calls_of(&mut self, tool: &ToolOf, hints: Hints) {
        for number in self.questions.about(tool, hints) {
            self.settle_question(number, Settled::Permission(Decision::Once));
        }
    }

    /// The settings have changed: what they decide about calls that the user is asked about needs no answer any more.
    pub(super) fn judge_open_questions(&mut self, changed: &Changed) {
        self.settle_all(self.questions.judged(changed));
    }

    fn question_gone(&mut self, number: i64) {
        self.resolved(number);
        self.show_status();
        self.count_questions();
    }

    fn resolved(&mut self, number: i64) {
        self.services.questions.close(number);
        self.log.put(resolved_notice(&self.log, number));
    }

    /// The open questions that are this connection's to answer.
    pub(super) fn questions_for(&self, connection: ConnectionId) -> Vec<i64> {
        self.questions.open_for(connection, &self.services.subscribers.subscribed(self.id))
    }
}

/// The notification that a question needs no answer any more.
pub(super) fn resolved_notice(log: &Log, number: i64) -> Notice {
    let params =
        ServerRequestResolvedNotification { request_id: RequestId::Integer(number), thread_id: log.id() };
    log.notice::<ServerRequestResolved>(&params)
}
