use skein_base::clock::WallMs;
use skein_protocol::ids::{ItemId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::turn::UserInput;

use super::*;
use crate::rollout::record::{ItemText, Record, RecordBody, ThreadNamed};

fn looks_for(text: &'static str) -> MayHold {
    Arc::new(move |line| memmem::find(line, text.as_bytes()).is_some())
}

fn began(turn: &str, text: &str) -> RecordBody {
    let (turn_id, input) = (TurnId::from(turn), vec![UserInput::text(text)]);
    TurnStarted { turn_id, input, item_id: Some(ItemId::from("said")), client_id: None, terms: None }.into()
}

fn message(turn: &str, text: &str) -> RecordBody {
    ItemCompleted { turn_id: TurnId::from(turn), item: ThreadItem::agent_message("message", text) }.into()
}

fn ran(turn: &str, text: &str) -> RecordBody {
    let item = ThreadItem::mcp_tool_call("call", "helper", "tool", text.into());
    ItemCompleted { turn_id: TurnId::from(turn), item }.into()
}

fn piece(turn: &str, added: &str) -> RecordBody {
    let (item_id, to, added) = (ItemId::from("message"), ItemText::Body, added.to_owned());
    ItemCheckpoint { turn_id: TurnId::from(turn), item_id, to, added }.into()
}

fn ended(turn: &str) -> RecordBody {
    let status = skein_protocol::turn::TurnStatus::Completed;
    crate::history::History::default().turn_completed_record(TurnId::from(turn), status, None)
}

fn named(name: &str) -> RecordBody {
    ThreadNamed { name: Some(name.to_owned()) }.into()
}

/// The prefilter's answer to records with the numbers 1, 2, ...
fn sifted(bodies: Vec<RecordBody>, text: &'static str, after: u64) -> Option<u64> {
    let may_hold = looks_for(text);
    let mut prefilter = Prefilter::new(&may_hold, EventSeq(after));
    for (seq, body) in (1..).zip(bodies) {
        let mut bytes = Vec::new();
        line::encode(&Record { seq: EventSeq(seq), at: WallMs(0), body }, &mut bytes).unwrap();
        if let Some(turn) = prefilter.take(&bytes) {
            return Some(turn.0);
        }
    }
    prefilter.end().map(|turn| turn.0)
}

#[test]
fn a_line_is_glanced_at_by_its_head_alone() {
    let mut bytes = Vec::new();
    line::encode(&Record { seq: EventSeq(17), at: WallMs(0), body: began("t", "x") }, &mut bytes).unwrap();
    let head = line::LineHeader { seq: EventSeq(17), kind: b"turn.started", is_all: true };
    assert_eq!(line::peek_header(&bytes), Some(head));
    assert_eq!(line::peek_header(&bytes[..90]), Some(head));
    for other in [
        &b""[..],
        b"{",
        br#"{"v":1,"seq":,"at":"#,
        br#"{"seq":1,"v":1}"#,
        br#"{"v":1,"seq":99999999999999999999,"#,
    ] {
        assert_eq!(line::peek_header(other), None);
    }
}

#[test]
fn messages_are_kept_and_everything_else_is_passed_over() {
    let story =
        || vec![named("a"), began("t", "question"), ran("t", "needle"), message("t", "answer"), ended("t")];
    assert_eq!(sifted(story(), "question", 0), Some(2));
    assert_eq!(sifted(story(), "answer", 0), Some(2));
    assert_eq!(sifted(story(), "needle", 0), None, "what a tool was told");
    assert_eq!(sifted(vec![named("needle")], "needle", 0), None);
}

#[test]
fn it_names_the_beginning_of_the_turn_and_goes_on_behind_a_record() {
    let story = || {
        vec![began("t", "one"), message("t", "needle"), ended("t"), began("u", "x"), message("u", "needle")]
    };
    assert_eq!(sifted(story(), "needle", 0), Some(1));
    assert_eq!(sifted(story(), "needle", 3), Some(4));
    assert_eq!(sifted(story(), "needle", 5), None);
}

#[test]
fn a_text_across_two_pieces_is_found_unless_the_turn_has_ended() {
    let pieces = || vec![began("t", "x"), piece("t", "nee"), piece("t", "dle")];
    assert_eq!(sifted(pieces(), "needle", 0), Some(1));
    let ends = [pieces(), vec![message("t", "something else"), ended("t")]].concat();
    assert_eq!(sifted(ends, "needle", 0), None);
}

#[test]
fn a_line_of_another_form_is_not_passed_over() {
    let may_hold = looks_for("needle");
    let mut prefilter = Prefilter::new(&may_hold, EventSeq(0));
    assert_eq!(prefilter.take(br#"{"seq":1,"text":"needle"}"#), Some(EventSeq(0)));
    assert_eq!(prefilter.take(br#"{"seq":1,"text":"hay"}"#), None);
}
