//! The open turn, and how the next load goes on with it. Pure.
//!
//! A load goes on with a turn in which somebody was asked something. Each open call of the turn has a state, and the last
//! record about the call defines it. The model is asked again about an answer that broke off.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skein_base::clock::WallMs;
use skein_protocol::ids::{ItemId, TurnId};
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use uuid::Uuid;

use super::History;
use crate::policy;
use crate::rollout::record::{
    AnswerPart, AskedTool, CallBegun, CallPaused, ModelAnswer, QuestionAnswered, QuestionAsked,
    QuestionClosed, QuestionKind, ThreadOpened, TurnResumed, TurnStarted, TurnTerms,
};

#[cfg(test)]
mod tests;

/// The open turns that a load goes on with. It interrupts the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RestartTurns {
    /// Turns in which somebody was asked something.
    #[default]
    Asked,
    /// Every turn that a message began.
    All,
    /// No turn.
    None,
}

/// The state of an open call.
#[derive(Debug, Clone, PartialEq)]
pub enum CallState {
    /// Nobody has decided about it.
    Begins,
    /// It waits for the answer to the question with this id.
    Asked(i64),
    /// A client has answered, and nothing has happened since.
    Answered(Box<AnsweredQuestion>),
    /// A helper may have heard of it.
    Begun {
        /// Whether the tool says that it only reads.
        repeatable: bool,
        /// When.
        at: WallMs,
    },
    /// Its helper wants to know something, and no question about that is open.
    Paused,
}

/// An open call.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnCall {
    item: ItemId,
    /// Its state.
    pub state: CallState,
    /// How often a helper may have heard of it.
    pub attempts: u32,
    /// When a helper may have heard of it last.
    begun_at: Option<WallMs>,
    /// The tool that the user was asked about last.
    pub tool: Option<AskedTool>,
    /// The helper's questions, until the call is made again.
    pub paused: Option<Box<PausedCall>>,
    /// How often its helper has wanted to know something.
    pub pauses: u32,
}

/// A call whose helper wants to know something.
#[derive(Debug, Clone, PartialEq)]
pub struct PausedCall {
    /// The record of it.
    pub wants: CallPaused,
    /// The results in the users' answers so far, as JSON text, in the order of the questions; none for a question that nobody
    /// has answered.
    pub answers: Vec<Option<String>>,
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredQuestion {
    /// The subject.
    pub kind: QuestionKind,
    /// The tool, for a question about a call.
    pub tool: Option<AskedTool>,
    /// The scope of the client that answered. The answer reaches as far.
    pub scope: String,
    /// The result in the answer, as JSON text; none for a secret.
    pub answer: Option<String>,
}

/// An open question.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnQuestion {
    /// The question.
    pub asked: QuestionAsked,
    /// When it was asked.
    pub at: WallMs,
}

/// The open turn, as its records define it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct OpenTurnRecords {
    terms: TurnTerms,
    /// Whether somebody was asked something.
    asked: bool,
    questions: Vec<TurnQuestion>,
    calls: Vec<TurnCall>,
    /// Items since the last whole answer or message of the user.
    fresh: Vec<ItemId>,
    /// Whether the last answer is whole and calls nothing.
    done: bool,
    /// How often loads have gone on with the turn since it has last come further: with a whole answer of the model, the
    /// end of a call, or words of the user.
    resumed: u32,
}

/// The treatment of the open turn by a load.
#[derive(Debug, Clone, PartialEq)]
pub enum NextLoad {
    /// No turn is open.
    Nothing,
    /// It interrupts the turn.
    Interrupt,
    /// It fails the turn, which has ended the server again and again.
    Fail,
    /// It goes on with the turn.
    GoOn(Box<KeptTurn>),
}

/// A turn that goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptTurn {
    /// The turn.
    pub id: TurnId,
    /// The client's wishes for this turn only.
    pub terms: TurnTerms,
    /// The calls that have no result, and a message that waits for the user's answer; in the order of their start.
    pub calls: Vec<ThreadItem>,
    /// The questions to put again.
    pub questions: Vec<QuestionAsked>,
    /// The questions of helpers, which have ended with the helpers.
    pub gone: Vec<i64>,
    /// Items of an answer that broke off. Models are not told of them.
    pub dropped: Vec<ItemId>,
    /// Whether the turn has only to be ended: its last answer is whole.
    pub is_done: bool,
    /// Whether nothing goes on before a client answers.
    pub waits: bool,
}

impl OpenTurnRecords {
    pub(super) fn of(started: &TurnStarted) -> Self {
        Self { terms: started.terms.as_deref().cloned().unwrap_or_default(), ..Self::default() }
    }

    pub(super) fn item_started(&mut self, item: &ThreadItem) {
        self.done = false;
        if let ThreadItemBody::UserMessage(_) = &item.body {
            self.resumed = 0;
            // The answer before a message counts, even if the message has cut it short.
            self.fresh.clear();
        } else {
            self.fresh.push(item.id().clone());
        }
    }

    /// `began` says whether a record has its beginning.
    pub(super) fn item_completed(&mut self, item: &ItemId, began: bool) {
        if self.calls.extract_if(.., |call| call.item == *item).count() > 0 {
            self.resumed = 0;
            self.fresh.retain(|fresh| fresh != item);
        } else if !began {
            // Damage has taken its beginning. It belongs to the answer that follows the last whole one.
            self.fresh.push(item.clone());
            self.done = false;
        }
        self.questions.retain(|question| question.asked.item_id.as_ref() != Some(item));
    }

    pub(super) fn answered(&mut self, answer: &ModelAnswer) {
        self.resumed = 0;
        let calls = answer.parts.iter().filter_map(|part| match part {
            AnswerPart::Call(call) => Some(call),
            AnswerPart::Text { .. } | AnswerPart::Raw { .. } | AnswerPart::Thought { .. } => None,
        });
        let before = self.calls.len();
        let mut called = false;
        for call in calls {
            called = true;
            self.calls.extend(call.item_id.clone().map(TurnCall::begins));
        }
        self.done = !called && self.calls.len() == before;
        self.fresh.clear();
    }

    pub(super) fn question_asked(&mut self, asked: &QuestionAsked, at: WallMs) {
        self.asked = true;
        if let Some(item) = &asked.item_id {
            let call = self.call(item);
            call.state = CallState::Asked(asked.id);
            call.tool = asked.tool.clone().or(call.tool.take());
        }
        self.questions.push(TurnQuestion { asked: asked.clone(), at });
    }

    /// Returns the question.
    pub(super) fn question_answered(&mut self, answered: &QuestionAnswered) -> Option<TurnQuestion> {
        self.resumed = 0;
        let question = self.take(answered.id)?;
        let asked = &question.asked;
        if let Some(item) = &asked.item_id {
            let (kind, tool) = (asked.kind, asked.tool.clone());
            let (scope, answer) = (answered.by.scope.clone(), answered.answer.clone());
            let call = self.call(item);
            if !call.take_input(asked, answer.clone()) {
                let answered = AnsweredQuestion { kind, tool, scope, answer };
                call.state = CallState::Answered(Box::new(answered));
            }
        }
        Some(question)
    }

    pub(super) fn question_closed(&mut self, closed: &QuestionClosed) {
        let Some(TurnQuestion { asked, .. }) = self.take(closed.id) else { return };
        let Some(item) = &asked.item_id else { return };
        let call = self.call(item);
        if call.take_input(&asked, None) {
            return;
        }
        call.state = match (asked.kind, call.begun_at) {
            // Without an answer the call is in doubt as before.
            (QuestionKind::MayHaveRun, Some(at)) => CallState::Begun { repeatable: false, at },
            _ => CallState::Begins,
        };
    }

    pub(super) fn call_begun(&mut self, begun: &CallBegun, at: WallMs) {
        let call = self.call(&begun.item_id);
        call.state = CallState::Begun { repeatable: begun.repeatable, at };
        (call.attempts, call.begun_at, call.paused) = (begun.attempt, Some(at), None);
    }

    pub(super) fn call_paused(&mut self, paused: &CallPaused) {
        self.asked = true;
        self.resumed = 0;
        let call = self.call(&paused.item_id);
        call.state = CallState::Paused;
        call.paused = Some(Box::new(PausedCall { wants: paused.clone(), answers: Vec::new() }));
        call.pauses += 1;
    }

    pub(super) fn turn_resumed(&mut self, resumed: &TurnResumed) {
        self.resumed += 1;
        self.fresh.retain(|item| !resumed.dropped.contains(item));
    }

    /// Behind a restore: the home that the backup is of may have made each call.
    pub(super) fn opened(&mut self, opened: &ThreadOpened, at: WallMs) {
        if opened.boot_id != Uuid::nil() {
            return;
        }
        for call in &mut self.calls {
            let is_told = |paused: &PausedCall| paused.answers.len() == paused.wants.inputs.len();
            let is_decided = match &call.state {
                CallState::Answered(answered) => answered.kind.is_about_a_call(),
                CallState::Begins => true,
                CallState::Paused => call.paused.as_deref().is_some_and(is_told),
                CallState::Asked(_) | CallState::Begun { .. } => false,
            };
            if is_decided {
                call.state = CallState::Begun { repeatable: false, at };
                (call.begun_at, call.paused) = (Some(at), None);
            }
        }
    }

    fn take(&mut self, id: i64) -> Option<TurnQuestion> {
        let at = self.questions.iter().position(|question| question.asked.id == id)?;
        Some(self.questions.remove(at))
    }

    fn call(&mut self, item: &ItemId) -> &mut TurnCall {
        let there = self.calls.iter().position(|call| call.item == *item);
        let at = there.unwrap_or_else(|| {
            self.calls.push(TurnCall::begins(item.clone()));
            self.calls.len() - 1
        });
        &mut self.calls[at]
    }
}

impl TurnCall {
    fn begins(item: ItemId) -> Self {
        Self {
            item,
            state: CallState::Begins,
            attempts: 0,
            begun_at: None,
            tool: None,
            paused: None,
            pauses: 0,
        }
    }

    /// Takes the end of a question of its helper. Returns whether it was one.
    fn take_input(&mut self, asked: &QuestionAsked, answer: Option<String>) -> bool {
        match &mut self.paused {
            Some(paused) if asked.kind == QuestionKind::Elicitation => paused.answers.push(answer),
            Some(_) | None => return false,
        }
        self.state = CallState::Paused;
        true
    }
}

impl History {
    /// The open questions, oldest first.
    pub fn open_questions(&self) -> &[TurnQuestion] {
        &self.open_turn_records.questions
    }

    /// An open call of the open turn, or a message that waits for the user's answer.
    pub fn open_call(&self, item: &ItemId) -> Option<&TurnCall> {
        self.open_turn_records.calls.iter().find(|call| call.item == *item)
    }

    /// The treatment of the open turn by the next load.
    pub fn next_load(&self, rule: RestartTurns) -> NextLoad {
        match self.open_turn() {
            None => NextLoad::Nothing,
            Some(_) if !self.goes_on(rule) => NextLoad::Interrupt,
            // A turn that waits for its user ends no server.
            Some(_) if self.in_vain() && !self.open_turn_waits() => NextLoad::Fail,
            Some(turn) => NextLoad::GoOn(Box::new(self.going_on(turn.id.clone()))),
        }
    }

    fn in_vain(&self) -> bool {
        self.open_turn_records.resumed >= policy::RESUMED_IN_VAIN
    }

    /// Whether the next load goes on with the open turn, or fails it.
    pub fn goes_on(&self, rule: RestartTurns) -> bool {
        let by_message = |item: &ThreadItem| matches!(item.body, ThreadItemBody::UserMessage(_));
        let Some(turn) = self.open_turn() else { return false };
        let goes_on = match rule {
            RestartTurns::Asked => self.open_turn_records.asked,
            RestartTurns::All => turn.items.iter().any(by_message),
            RestartTurns::None => false,
        };
        goes_on && !self.is_copied()
    }

    /// Whether the open turn waits for answers only: nothing goes on before a client answers.
    pub fn open_turn_waits(&self) -> bool {
        let records = &self.open_turn_records;
        let is_asked = |item: &ThreadItem| {
            matches!(self.open_call(item.id()).map(|call| &call.state), Some(CallState::Asked(_)))
        };
        let at_limit = records.questions.iter().any(|question| question.asked.kind == QuestionKind::Budget);
        // Its next request waits for the answer, and a load begins it anew.
        let is_held =
            |item: &ThreadItem| at_limit && matches!(item.body, ThreadItemBody::ContextCompaction(_));
        !records.questions.is_empty()
            && self.open_items().all(|item| is_asked(item) || is_held(item))
            && records.questions.iter().all(|question| question.asked.outlives_helpers())
    }

    fn going_on(&self, id: TurnId) -> KeptTurn {
        let records = &self.open_turn_records;
        let (questions, gone): (Vec<_>, Vec<_>) =
            records.questions.iter().map(|open| &open.asked).partition(|asked| asked.outlives_helpers());
        let has_state = |item: &ItemId| records.calls.iter().any(|call| call.item == *item);
        let calls: Vec<ThreadItem> = self.open_items().filter(|item| has_state(item.id())).cloned().collect();
        let is_dropped = |item: &&ItemId| !has_state(item);
        KeptTurn {
            id,
            terms: records.terms.clone(),
            questions: questions.into_iter().cloned().collect(),
            gone: gone.into_iter().map(|asked| asked.id).collect(),
            dropped: records.fresh.iter().filter(is_dropped).cloned().collect(),
            is_done: records.done && calls.is_empty(),
            waits: self.open_turn_waits(),
            calls,
        }
    }
}
