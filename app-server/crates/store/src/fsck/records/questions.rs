//! Checks of the questions and calls of the open turn.

use skein_protocol::ids::{ItemId, TurnId};

use super::{Defect, RecordCheck};
use crate::history::CallState;
use crate::rollout::record::{CallBegun, CallPaused, QuestionAsked, RecordBody, TurnResumed};

impl RecordCheck {
    pub(super) fn judge_open_turn(&mut self, body: &RecordBody) {
        if let RecordBody::QuestionAsked(asked) = body {
            self.asked(asked);
        } else if let RecordBody::QuestionAnswered(answered) = body {
            self.ends(answered.id, &answered.turn_id, "answered");
        } else if let RecordBody::QuestionClosed(closed) = body {
            self.ends(closed.id, &closed.turn_id, "closed");
        } else if let RecordBody::CallBegun(begun) = body {
            self.begun(begun);
        } else if let RecordBody::CallPaused(paused) = body {
            self.paused(paused);
        } else if let RecordBody::TurnResumed(resumed) = body {
            self.resumed(resumed);
        }
    }

    fn asked(&mut self, asked: &QuestionAsked) {
        if let Some(item) = &asked.item_id {
            self.is_open(&asked.turn_id, item, "a question about");
        } else {
            self.in_turn(&asked.turn_id, "a question");
        }
        if self.whole && self.history.open_questions().iter().any(|open| open.asked.id == asked.id) {
            self.says(Defect::Question, format!("question {} is asked twice", asked.id));
        }
        if let Some(turn) = &mut self.turn {
            turn.questions.insert(asked.id);
        }
    }

    /// A question that ends has to be open.
    fn ends(&mut self, id: i64, turn: &TurnId, how: &str) {
        let is_left = self.in_turn(turn, "an answer").is_some_and(|turn| turn.questions.remove(&id));
        let is_open = self.history.open_questions().iter().any(|open| open.asked.id == id);
        if self.whole && !is_left && !is_open {
            self.says(Defect::Question, format!("question {id} is {how}, and it is not open"));
        }
    }

    fn begun(&mut self, begun: &CallBegun) {
        self.is_open(&begun.turn_id, &begun.item_id, "a call of");
        let state = self.history.open_call(&begun.item_id).map(|call| &call.state);
        let waits = matches!(state, Some(CallState::Asked(_)));
        if self.whole && waits {
            let item = &begun.item_id;
            self.says(Defect::Question, format!("call {item} begins before its question is answered"));
        }
    }

    /// A helper answers only a call that it has.
    fn paused(&mut self, paused: &CallPaused) {
        self.is_open(&paused.turn_id, &paused.item_id, "a pause of");
        let state = self.history.open_call(&paused.item_id).map(|call| &call.state);
        if self.whole && !matches!(state, Some(CallState::Begun { .. })) {
            let item = &paused.item_id;
            self.says(Defect::Question, format!("call {item} is paused before it begins"));
        }
    }

    fn resumed(&mut self, resumed: &TurnResumed) {
        self.in_turn(&resumed.turn_id, "the resumption");
    }

    fn is_open(&mut self, turn: &TurnId, item: &ItemId, what: &str) {
        let Some(open) = self.in_turn(turn, what) else { return };
        if !open.items.contains(item) {
            self.says(Defect::Item, format!("{what} item {item}, which is not open"));
        }
    }
}
