use serde_json::json;
use skein_protocol::event::TokenUsageBreakdown;
use skein_protocol::ids::{EventSeq, ItemId, TurnId};
use skein_protocol::question::QuestionKind;
use skein_protocol::turn::TurnStatus;

use super::*;
use crate::rollout::record::{
    AnswerPart, AnsweredBy, AnsweredCall, ModelAnswer, QuestionAsked, Record, RecordBody, TurnStarted,
    TurnUsage,
};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A history that grows by records of one turn after the other.
struct Grown {
    history: History,
    at: WallMs,
    turn: TurnId,
    total: i64,
}

impl Grown {
    fn new() -> Self {
        let (history, at) = (History::default(), WallMs(10 * DAY));
        let mut grown = Self { history, at, turn: TurnId::from("t0".to_owned()), total: 0 };
        grown.turn("t1");
        grown
    }

    fn add(&mut self, body: impl Into<RecordBody>) {
        let seq = EventSeq(self.history.seq().0 + 1);
        self.history.apply(&Record { seq, at: self.at, body: body.into() });
    }

    fn turn(&mut self, id: &str) {
        self.turn = TurnId::from(id.to_owned());
        let turn_id = self.turn.clone();
        self.add(TurnStarted { turn_id, input: Vec::new(), item_id: None, client_id: None, terms: None });
    }

    fn asked(&mut self, tokens: i64) {
        self.add(ModelAsked { turn_id: self.turn.clone(), tokens });
    }

    fn used(&mut self, tokens: i64) {
        self.total += tokens;
        let of = |total_tokens| TokenUsageBreakdown { total_tokens, ..TokenUsageBreakdown::default() };
        let usage = ThreadTokenUsage { last: of(tokens), total: of(self.total), model_context_window: None };
        self.add(TurnUsage { turn_id: self.turn.clone(), usage });
    }

    fn ends(&mut self) {
        let end = self.history.turn_completed_record(self.turn.clone(), TurnStatus::Completed, None);
        self.add(end);
    }

    fn asks(&mut self, scope: &str) {
        let state = json!({ "scope": scope, "limit": 10, "used": 12, "unit": "tokens", "more": 10 });
        let params = json!({ "_meta": { "skein": { "budget": state } }, "mode": "form" }).to_string();
        self.add(QuestionAsked {
            id: 7,
            kind: QuestionKind::Budget,
            turn_id: self.turn.clone(),
            item_id: None,
            method: "m".to_owned(),
            params,
            tool: None,
            client: None,
        });
        assert!(self.history.open_turn_waits(), "it waits for nothing else");
    }

    fn answers(&mut self, scope: &str, action: &str) {
        self.asks(scope);
        self.answered(action);
    }

    fn answered(&mut self, action: &str) {
        let (id, turn_id) = (7, self.turn.clone());
        let by = AnsweredBy { client: "c".to_owned(), scope: "chat".to_owned() };
        let answer = Some(json!({ "action": action }).to_string());
        self.add(QuestionAnswered { id, turn_id, by, answer });
    }

    fn tokens(&self) -> (i64, i64, i64) {
        let spending = self.history.spending();
        (spending.turn.tokens, spending.spent.tokens, spending.spent.day.tokens)
    }
}

#[test]
fn usage_takes_the_place_of_its_estimate_and_an_estimate_without_usage_stays() {
    let mut grown = Grown::new();
    grown.asked(100);
    assert_eq!(grown.tokens(), (100, 100, 100));
    grown.used(30);
    assert_eq!(grown.tokens(), (30, 30, 30));
    // This one breaks off, and the next is reported.
    grown.asked(50);
    grown.asked(60);
    grown.used(70);
    assert_eq!(grown.tokens(), (150, 150, 150));
    // Without an estimate, as where no limit holds.
    grown.used(5);
    assert_eq!(grown.tokens(), (155, 155, 155));
}

#[test]
fn a_new_estimate_of_the_context_is_no_usage() {
    let mut grown = Grown::new();
    grown.used(30);
    grown.asked(10);
    let last = TokenUsageBreakdown { total_tokens: 500, ..TokenUsageBreakdown::default() };
    let usage = ThreadTokenUsage { last, ..*grown.history.usage().unwrap() };
    grown.add(TurnUsage { turn_id: grown.turn.clone(), usage });
    assert_eq!(grown.tokens(), (40, 40, 40));
}

#[test]
fn a_turn_begins_with_nothing_and_so_does_a_day() {
    let mut grown = Grown::new();
    grown.used(30);
    grown.ends();
    grown.turn("t2");
    grown.used(5);
    assert_eq!(grown.tokens(), (5, 35, 35));
    grown.at = WallMs(11 * DAY);
    grown.used(1);
    assert_eq!(grown.tokens(), (6, 36, 1));
    assert_eq!(grown.history.spending().on(12), DaySpent { day: 12, tokens: 0, more: 0 });
}

#[test]
fn an_estimate_of_the_day_before_takes_nothing_from_a_new_day() {
    let mut grown = Grown::new();
    grown.asked(100);
    grown.at = WallMs(grown.at.0 + DAY);
    grown.used(60);
    assert_eq!(grown.tokens(), (60, 60, 0));
    grown.used(5);
    assert_eq!(grown.tokens(), (65, 65, 5));
}

#[test]
fn the_limit_of_a_day_is_raised_for_the_day_of_the_question() {
    let mut grown = Grown::new();
    let today = DaySpent::day_of(grown.at);
    grown.asks("day");
    grown.at = WallMs(grown.at.0 + DAY);
    grown.answered("accept");
    assert_eq!(
        (grown.history.spending().on(today + 1).more, grown.history.spending().on(today).more),
        (0, 0)
    );
    grown.answers("day", "accept");
    assert_eq!(grown.history.spending().on(today + 1).more, 10);
}

#[test]
fn a_reader_of_the_last_header_knows_the_same() {
    let mut grown = Grown::new();
    grown.asked(40);
    grown.answers("thread", "accept");
    grown.answers("day", "accept");
    grown.ends();
    let header = grown.history.header();
    let mut reader = Grown::new();
    let end = grown.history.turn_completed_record(grown.turn.clone(), TurnStatus::Completed, None);
    reader.add(end);
    assert_eq!(reader.history.spending().spent, grown.history.spending().spent);
    assert_eq!(header.spent, Some(grown.history.spending().spent));
}

#[test]
fn readers_of_a_header_of_an_earlier_version_know_the_same_wherever_they_begin() {
    let mut old = Grown::new();
    old.used(9);
    let RecordBody::TurnCompleted(mut end) =
        old.history.turn_completed_record(old.turn.clone(), TurnStatus::Completed, None)
    else {
        panic!("an end")
    };
    end.header.spent = None;
    let mut reader = Grown::new();
    reader.add(RecordBody::TurnCompleted(end.clone()));
    assert_eq!(reader.history.spending().spent.tokens, 9);
    // One that has read the turn before, with its usage.
    old.add(RecordBody::TurnCompleted(end));
    assert_eq!(old.history.spending().spent, reader.history.spending().spent);
}

#[test]
fn an_accept_adds_to_its_limit_and_everything_else_stops_the_turn() {
    for (scope, expected) in [
        ("turn", [10, 0, 0, 0]),
        ("rounds", [0, 10, 0, 0]),
        ("thread", [0, 0, 10, 0]),
        ("day", [0, 0, 0, 10]),
    ] {
        let mut grown = Grown::new();
        grown.answers(scope, "accept");
        let Spending { spent, turn } = *grown.history.spending();
        assert_eq!([turn.more, turn.more_rounds, spent.more, spent.day.more], expected, "{scope}");
        assert_eq!(turn.stopped, None);
    }
    for action in ["decline", "cancel"] {
        let mut grown = Grown::new();
        grown.answers("turn", action);
        assert_eq!(grown.history.spending().turn.stopped, Some(BudgetScope::Turn), "{action}");
        grown.ends();
        grown.turn("t2");
        assert_eq!(grown.history.spending().turn, TurnSpent::default());
    }
}

#[test]
fn an_answer_with_a_call_is_a_round() {
    let mut grown = Grown::new();
    let answer = |parts| ModelAnswer {
        turn_id: TurnId::from("t1".to_owned()),
        provider: "p".to_owned(),
        model: "m".to_owned(),
        parts,
        cut_by: None,
    };
    let call = AnsweredCall {
        item_id: Some(ItemId::from("i".to_owned())),
        refused: None,
        id: "1".to_owned(),
        name: "n".to_owned(),
        arguments: "{}".to_owned(),
        more: serde_json::Map::new(),
    };
    grown.add(answer(vec![AnswerPart::Call(Box::new(call))]));
    grown.add(answer(Vec::new()));
    assert_eq!(grown.history.spending().turn.rounds, 1);
}
