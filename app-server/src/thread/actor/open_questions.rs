//! The open questions of a thread: the clients that were asked, the answers so far, and since when no client can answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use skein_protocol::envelope;
use skein_protocol::ids::{ConnectionId, ItemId, RequestId, TurnId};
use skein_protocol::table::ServerRequest;
use skein_protocol::thread::ThreadActiveFlag;
use skein_store::rollout::record::{AskedTool, QuestionAsked, QuestionKind};
use skein_turn::approval::Hints;
use skein_turn::asking::{GoesOn, Permission};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::budget::WaitingRequest;
use super::helper_side::{Changed, ToolOf};
use super::wants::{Settled, Wants};
use crate::outbox::Frame;
use crate::thread::questions::{Askable, Asked, Reach, Refusal, Verdict};
use crate::thread::registry::ClientAnswer;
use crate::thread::subscribers::Receiver;
use crate::thread::views;

struct Question {
    /// The request id, the same for every client.
    number: i64,
    kind: QuestionKind,
    /// The item that waits for the answer.
    item: Option<ItemId>,
    frame: Frame,
    asked: Asked,
    /// Whether its place in the publish queue has come.
    put: bool,
    /// The turn that the question ends with. `None`: it ends with its call.
    turn: Option<TurnId>,
    wants: Wants,
}

/// The clients of a thread that questions concern.
pub(super) struct Audience {
    /// The clients that can be asked, in the order of preference.
    pub(super) candidates: Vec<Arc<Receiver>>,
    /// Every subscriber, including those that catch up.
    pub(super) subscribed: HashSet<ConnectionId>,
}

impl Audience {
    fn known(&self) -> Vec<Askable<'_>> {
        self.candidates.iter().map(|candidate| candidate.askable()).collect()
    }
}

/// A question to put to clients.
pub(super) struct NewQuestion {
    pub(super) kind: QuestionKind,
    /// The turn that the question ends with.
    pub(super) turn: Option<TurnId>,
    /// The item that waits for the answer.
    pub(super) item: Option<ItemId>,
    method: String,
    /// As JSON text.
    params: String,
    tool: Option<AskedTool>,
    /// The name of the client that is to carry out a call of its own tool.
    client: Option<String>,
    pub(super) wants: Wants,
}

impl NewQuestion {
    pub(super) fn new<R: ServerRequest>(
        kind: QuestionKind,
        turn: Option<TurnId>,
        params: &R::Params,
        wants: Wants,
    ) -> Self {
        // Our params have no maps with keys that are no text.
        let params = serde_json::to_string(params).unwrap_or_else(|_| "{}".to_owned());
        let method = R::INFO.wire.to_owned();
        Self { kind, turn, item: None, method, params, tool: None, client: None, wants }
    }

    pub(super) fn about(self, item: ItemId) -> Self {
        Self { item: Some(item), ..self }
    }

    pub(super) fn of_tool(self, tool: AskedTool) -> Self {
        Self { tool: Some(tool), ..self }
    }

    /// Names the client that is to act, if only one is asked: the first of these.
    pub(super) fn acted_on_by(self, audience: impl FnOnce() -> Audience) -> Self {
        match Wants::reach(self.kind) {
            Reach::Everyone => self,
            Reach::OneAtATime => {
                let client = audience().candidates.first().map(|first| first.client().to_owned());
                Self { client, ..self }
            }
        }
    }

    /// A question of an earlier load.
    fn again(asked: QuestionAsked) -> Self {
        let QuestionAsked { id: _, kind, turn_id, item_id, method, params, tool, client } = asked;
        let wants = Wants::GoingOn(None, tool.clone());
        Self { kind, turn: Some(turn_id), item: item_id, method, params, tool, client, wants }
    }

    /// The record of the question; none if it belongs to no turn.
    pub(super) fn record(&self, id: i64) -> Option<QuestionAsked> {
        let Self { kind, turn, item, method, params, tool, client, wants: _ } = self;
        Some(QuestionAsked {
            id,
            kind: *kind,
            turn_id: turn.clone()?,
            item_id: item.clone(),
            method: method.clone(),
            params: params.clone(),
            tool: tool.clone(),
            client: client.clone(),
        })
    }

    /// A question without a subject.
    #[cfg(test)]
    pub(super) fn bare(kind: QuestionKind, turn: Option<TurnId>, wants: Wants) -> Self {
        let (method, params) = ("test".to_owned(), "{}".to_owned());
        Self { kind, turn, item: None, method, params, tool: None, client: None, wants }
    }

    fn frame(&self, number: i64) -> Frame {
        let params = RawValue::from_string(self.params.clone()).unwrap_or_default();
        envelope::printed_server_request(&RequestId::Integer(number), &self.method, &params).into()
    }
}

#[derive(Default)]
pub(super) struct Questions {
    open: Vec<Question>,
    /// Since when no client can answer a question outside of a turn.
    unanswerable_since: Option<Instant>,
}

impl Questions {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Opens a question. [`Questions::put`] sends it to clients.
    pub(super) fn open(&mut self, number: i64, new: NewQuestion) {
        let frame = new.frame(number);
        let NewQuestion { kind, turn, item, client, wants, .. } = new;
        let asked = Asked::new(Wants::reach(kind), client);
        self.open.push(Question { number, kind, item, frame, asked, put: false, turn, wants });
    }

    /// Opens a question of an earlier load again, under its id. Each client that joins gets it, and those that stayed may answer.
    pub(super) fn open_again(&mut self, asked: QuestionAsked, audience: &Audience) {
        let number = asked.id;
        self.open(number, NewQuestion::again(asked));
        if let Some(question) = self.open.last_mut() {
            question.put = true;
            question.asked.admit_earlier(&audience.known(), &audience.subscribed);
        }
    }

    /// Gives the turn of an earlier load the answer to the question about this item. Returns the channel if there is no such
    /// question.
    pub(super) fn attach(
        &mut self,
        item: &ItemId,
        answer: oneshot::Sender<GoesOn>,
    ) -> Option<oneshot::Sender<GoesOn>> {
        let about = self.open.iter_mut().find(|question| question.item.as_ref() == Some(item));
        match about.map(|question| &mut question.wants) {
            Some(Wants::GoingOn(waits, _)) => {
                *waits = Some(answer);
                None
            }
            _ => Some(answer),
        }
    }

    /// Gives the open question about a budget the request that waits. Returns the request if there is no such question.
    pub(super) fn wait_for_budget(&mut self, waiting: WaitingRequest) -> Option<WaitingRequest> {
        match self.open.iter_mut().find(|question| question.kind == QuestionKind::Budget) {
            Some(question) => {
                question.wants = Wants::Budget(waiting);
                None
            }
            None => Some(waiting),
        }
    }

    /// The questions about a budget.
    pub(super) fn about_budget(&self) -> Vec<i64> {
        let open = self.open.iter().filter(|question| question.kind == QuestionKind::Budget);
        open.map(|question| question.number).collect()
    }

    /// The kind of an open question.
    pub(super) fn kind_of(&self, number: i64) -> Option<QuestionKind> {
        self.open.iter().find(|question| question.number == number).map(|question| question.kind)
    }

    /// The turn of an open question.
    pub(super) fn turn_of(&self, number: i64) -> Option<&TurnId> {
        self.open.iter().find(|question| question.number == number)?.turn.as_ref()
    }

    /// The number of questions of the turn.
    pub(super) fn of_turn(&self) -> usize {
        self.open.iter().filter(|question| question.turn.is_some()).count()
    }

    /// The numbers of all open questions.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.open.iter().map(|question| question.number).collect()
    }

    /// Puts a question to clients for the first time.
    pub(super) fn put(&mut self, number: i64, audience: &Audience) {
        if let Some(question) = self.open.iter_mut().find(|question| question.number == number) {
            question.put = true;
            question.put_to_next(audience);
        }
    }

    /// Puts the open questions to a connection that has joined, under the same ids.
    pub(super) fn put_again(&mut self, connection: ConnectionId, audience: &Audience) {
        let is_joined = |candidate: &&Arc<Receiver>| candidate.outbox().connection() == connection;
        let Some(joined) = audience.candidates.iter().find(is_joined) else { return };
        let put = self.open.iter_mut().filter(|question| question.put);
        for question in put.filter(|question| question.asked.is_for(&joined.askable(), &audience.subscribed))
        {
            question.put_to(joined);
        }
    }

    /// Accepts answers of a connection to these questions, as if they had been put to it.
    pub(super) fn may_answer(&mut self, connection: ConnectionId, numbers: &[i64]) {
        for question in self.open.iter_mut().filter(|question| numbers.contains(&question.number)) {
            question.asked.admit(connection);
        }
    }

    /// Whether a question can pass from one connection to the next.
    pub(super) fn can_pass(&self) -> bool {
        self.open.iter().any(Question::passes)
    }

    /// Puts questions for one connection to the next one, if the last has left or cannot answer.
    pub(super) fn pass_on(&mut self, audience: &Audience) {
        for question in self.open.iter_mut().filter(|question| question.passes()) {
            question.put_to_next(audience);
        }
    }

    /// Takes a client's answer. Returns its outcome, if it settles the question. The answer of a client that was not asked does
    /// not count, and an error settles nothing by itself.
    pub(super) fn take_answer(
        &mut self,
        by: ConnectionId,
        number: i64,
        answer: ClientAnswer,
    ) -> Option<Settled> {
        let question = self.open.iter_mut().find(|question| question.number == number)?;
        let refusal = match (question.asked.judge(by), answer) {
            (Verdict::NotAsked, _) => return None,
            (Verdict::Counts, Ok(raw)) => match Settled::read(question.kind, &raw) {
                Ok(settled) => return Some(settled),
                Err(error) => Refusal::Unreadable(error.message),
            },
            (Verdict::Counts, Err(error)) => Refusal::Cannot(error.message),
        };
        question.asked.refuse(by, refusal);
        None
    }

    /// Questions that every remaining client has refused.
    pub(super) fn refused(&self, subscribed: &HashSet<ConnectionId>) -> Vec<(i64, Settled)> {
        let refused = |question: &Question| {
            let refusal = question.asked.refused(subscribed)?;
            Some((question.number, Settled::Refused(refusal.clone())))
        };
        self.open.iter().filter_map(refused).collect()
    }

    /// Questions about calls that changed settings decide.
    pub(super) fn judged(&self, changed: &Changed) -> Vec<(i64, Settled)> {
        let judged = |question: &Question| match &question.wants {
            Wants::Permission(deciding) => deciding.judge_again(changed),
            Wants::GoingOn(_, Some(tool)) => {
                let decision = changed.decision_about(&(tool.server.clone(), tool.name.clone()));
                // No setting allows to make a call twice.
                let is_once = question.kind == QuestionKind::MayHaveRun;
                decision.filter(|decision| !is_once || matches!(decision, Permission::Refused(_)))
            }
            Wants::Words(_)
            | Wants::Answers(_)
            | Wants::ToolOutput(_)
            | Wants::Decision(_)
            | Wants::Input(_)
            | Wants::Budget(_)
            | Wants::GoingOn(_, None) => None,
        };
        let settled = |question: &Question| Some((question.number, Settled::Judged(judged(question)?)));
        self.open.iter().filter_map(settled).collect()
    }

    /// Questions about other calls of a tool that the user has just allowed for longer.
    pub(super) fn about(&self, tool: &ToolOf, hints: Hints) -> Vec<i64> {
        let same = |question: &&Question| match &question.wants {
            Wants::Permission(deciding) => {
                deciding.lasting && deciding.tool == *tool && deciding.hints == hints
            }
            Wants::Words(_)
            | Wants::Answers(_)
            | Wants::ToolOutput(_)
            | Wants::Decision(_)
            | Wants::Input(_)
            | Wants::Budget(_)
            | Wants::GoingOn(..) => false,
        };
        self.open.iter().filter(same).map(|question| question.number).collect()
    }

    /// Removes a question. Returns its kind, its turn and its asker.
    pub(super) fn take(&mut self, number: i64) -> Option<(QuestionKind, Option<TurnId>, Wants)> {
        let at = self.open.iter().position(|question| question.number == number)?;
        let Question { kind, turn, wants, .. } = self.open.swap_remove(at);
        Some((kind, turn, wants))
    }

    /// Drops every question. Returns their numbers.
    pub(super) fn clear(&mut self) -> Vec<i64> {
        self.open.drain(..).map(|question| question.number).collect()
    }

    /// Drops the questions of a turn, or those outside of turns. Returns their numbers.
    pub(super) fn drop_of(&mut self, turn: Option<&TurnId>) -> Vec<i64> {
        let gone = self.open.extract_if(.., |question| question.turn.as_ref() == turn);
        gone.map(|question| question.number).collect()
    }

    /// Whether a question outside of turns is open.
    pub(super) fn wait_outside(&self) -> bool {
        self.open.iter().any(|question| question.turn.is_none())
    }

    /// Notes whether no client can answer a question outside of a turn.
    pub(super) fn note_unanswerable(&mut self, unanswerable: bool, now: Instant) {
        let since = self.unanswerable_since.unwrap_or(now);
        self.unanswerable_since = unanswerable.then_some(since);
    }

    /// When questions outside of turns are declined, because no client can answer them.
    pub(super) fn unanswerable_at(&self, grace: Duration) -> Option<Instant> {
        Some(self.unanswerable_since? + grace)
    }

    /// Ends the wait for a client. Returns the questions outside of turns.
    pub(super) fn give_up_waiting(&mut self) -> Vec<i64> {
        self.unanswerable_since = None;
        let outside = self.open.iter().filter(|question| question.turn.is_none());
        outside.map(|question| question.number).collect()
    }

    /// The questions that this connection can answer.
    pub(super) fn open_for(&self, who: &Askable<'_>, subscribed: &HashSet<ConnectionId>) -> Vec<i64> {
        let open = self.open.iter().filter(|question| question.asked.is_for(who, subscribed));
        open.map(|question| question.number).collect()
    }

    /// The flags that clients show for the open questions.
    pub(super) fn flags(&self) -> Vec<ThreadActiveFlag> {
        views::flags(self.open.iter().map(|question| question.kind))
    }
}

impl Question {
    fn passes(&self) -> bool {
        self.put && Wants::reach(self.kind) == Reach::OneAtATime
    }

    fn put_to_next(&mut self, audience: &Audience) {
        let next = self.asked.next(&audience.known(), &audience.subscribed);
        for candidate in audience.candidates.iter().filter(|candidate| next.contains(&candidate.askable())) {
            self.put_to(candidate);
        }
    }

    fn put_to(&mut self, receiver: &Receiver) {
        self.asked.ask(&receiver.askable());
        receiver.outbox().push(self.frame.clone());
    }
}

#[cfg(test)]
mod tests;
