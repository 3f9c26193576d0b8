//! Questions of a turn to the user: put to every subscriber, put again to whoever resumes, settled by the first real
//! answer.

use std::collections::{BTreeMap, HashSet};

use skein_protocol::approval::{
    ToolRequestUserInputParams, ToolRequestUserInputQuestion, ToolRequestUserInputResponse,
};
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::event::ServerRequestResolvedNotification;
use skein_protocol::ids::{ConnectionId, ItemId, RequestId, TurnId};
use skein_protocol::notifications::ServerRequestResolved;
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::table::Scope;
use tokio::sync::oneshot;

use super::Owner;
use crate::connection::outbox::{Frame, Outbox};
use crate::thread::event::Event;
use crate::thread::outgoing::{Notice, Outgoing};
use crate::thread::questions::{Asked, Verdict};
use crate::thread::registry::ClientAnswer;
use crate::turn::Answered;

/// The id of the one question in the request.
const QUESTION: &str = "q1";

/// A question that waits for an answer.
pub(super) struct Question {
    /// Its request id, for every client the same.
    pub number: i64,
    frame: Frame,
    asked: Asked,
    /// Whether its turn in the line has come.
    put: bool,
    answer: oneshot::Sender<Answered>,
}

impl Owner {
    /// A turn asks. The question stands in line behind what it refers to.
    pub(super) fn ask(&mut self, item: ItemId, text: String, answer: oneshot::Sender<Answered>) {
        let Some(turn) = self.turn.as_ref().map(|turn| turn.id.clone()) else { return };
        let number = self.services.questions.open(self.id);
        let params = self.question(turn, item, text);
        let frame =
            envelope::server_request::<ItemToolRequestUserInput>(&RequestId::Integer(number), &params);
        let asked = Asked::default();
        self.questions.push(Question { number, frame: frame.into(), asked, put: false, answer });
        self.tell_status();
        if let Some(journal) = &mut self.journal {
            journal.publish(Outgoing::Ask(number));
        }
        self.step(Event::Questions(self.questions.len()));
    }

    fn question(&self, turn_id: TurnId, item_id: ItemId, text: String) -> ToolRequestUserInputParams {
        let question = ToolRequestUserInputQuestion {
            header: "Question".to_owned(),
            id: QUESTION.to_owned(),
            is_other: true,
            is_secret: false,
            options: None,
            question: text,
        };
        ToolRequestUserInputParams {
            auto_resolution_ms: None,
            is_blocking: true,
            item_id,
            questions: vec![question],
            thread_id: self.id,
            turn_id,
        }
    }

    /// The question's place in the line has come: everyone who is subscribed is asked.
    pub(super) fn put_question(&mut self, number: i64) {
        let outboxes = self.services.subscribers.askable(self.id);
        if let Some(question) = self.questions.iter_mut().find(|question| question.number == number) {
            question.put = true;
            for outbox in outboxes {
                question.put_to(&outbox);
            }
        }
    }

    /// A connection has joined: it is asked what is open, under the same ids.
    pub(super) fn ask_again(&mut self, connection: ConnectionId) {
        let outboxes = self.services.subscribers.askable(self.id);
        let Some(outbox) = outboxes.into_iter().find(|outbox| outbox.connection() == connection) else {
            return;
        };
        for question in self.questions.iter_mut().filter(|question| question.put) {
            question.put_to(&outbox);
        }
    }

    /// A connection has been told that these are still open: its answer counts as if they had been put to it again.
    pub(super) fn may_answer(&mut self, connection: ConnectionId, numbers: &[i64]) {
        for question in self.questions.iter_mut().filter(|question| numbers.contains(&question.number)) {
            question.asked.ask(connection);
        }
    }

    /// A client has answered. Only those who were asked count; the first real answer settles.
    pub(super) fn answered(&mut self, by: ConnectionId, number: i64, answer: ClientAnswer) {
        let Some(question) = self.questions.iter_mut().find(|question| question.number == number) else {
            return;
        };
        match (question.asked.judge(by), answer) {
            (Verdict::NotAsked, _) => {}
            (Verdict::Counts, Ok(raw)) => match envelope::result::<ToolRequestUserInputResponse>(&raw) {
                Ok(response) => self.settle_question(number, Answered::Text(text_of(&response))),
                Err(error) => question.asked.refuse(by, error),
            },
            (Verdict::Counts, Err(error)) => question.asked.refuse(by, error),
        }
    }

    /// Questions that everyone who is left has refused.
    pub(super) fn settle_refused_questions(&mut self) {
        if self.questions.is_empty() {
            return;
        }
        // Also those who are still told what they missed.
        let still: HashSet<ConnectionId> = self.services.subscribers.subscribed(self.id);
        let refused: Vec<(i64, WireError)> = self
            .questions
            .iter()
            .filter_map(|question| Some((question.number, question.asked.refused(&still)?.clone())))
            .collect();
        for (number, error) in refused {
            self.settle_question(number, Answered::Refused(error.message));
        }
    }

    /// The turn has ended: nobody has to answer any more.
    pub(super) fn drop_questions(&mut self) {
        for question in std::mem::take(&mut self.questions) {
            self.resolved(question.number);
        }
    }

    fn settle_question(&mut self, number: i64, answered: Answered) {
        let Some(at) = self.questions.iter().position(|question| question.number == number) else { return };
        let question = self.questions.swap_remove(at);
        // A turn that is over does not want it any more.
        question.answer.send(answered).ok();
        self.resolved(number);
        self.tell_status();
        self.step(Event::Questions(self.questions.len()));
    }

    fn resolved(&mut self, number: i64) {
        self.services.questions.close(number);
        self.put_in_line(self.resolved_notice(number));
    }

    /// Tells that a question needs no answer any more.
    pub(super) fn resolved_notice(&self, number: i64) -> Notice {
        let params =
            ServerRequestResolvedNotification { request_id: RequestId::Integer(number), thread_id: self.id };
        let at = self.services.clock.wall();
        Notice::new::<ServerRequestResolved>(Scope::Subscribers, &params, at, None)
    }

    /// The questions that wait for an answer.
    pub(super) fn question_numbers(&self) -> Vec<i64> {
        self.questions.iter().map(|question| question.number).collect()
    }
}

impl Question {
    fn put_to(&mut self, outbox: &Outbox) {
        self.asked.ask(outbox.connection());
        outbox.push(self.frame.clone());
    }
}

/// The user's words, a line for each answer.
fn text_of(response: &ToolRequestUserInputResponse) -> String {
    let by_question: BTreeMap<_, _> = response.answers.iter().collect();
    let texts: Vec<&str> =
        by_question.values().flat_map(|answer| answer.answers.iter().map(String::as_str)).collect();
    texts.join("\n")
}
