use skein_protocol::item::ThreadItem;
use skein_protocol::turn::{TurnStatus, UserInput};
use uuid::Uuid;

use super::*;
use crate::fsck::tests::{life, record, thread};
use crate::home::Term;
use crate::rollout::record::{
    ItemStarted, QuestionAsked, QuestionClosed, QuestionEnd, QuestionKind, RecordBody, Reverted,
    ThreadClosed, ThreadNamed,
};

/// The defects of these records, each with its offset, which is the record's number here.
fn judged(records: &[Record]) -> Vec<(Defect, u64)> {
    let mut story = RecordCheck::of(thread(1));
    records.iter().for_each(|record| story.take(record, Some(LineAt { offset: record.seq.0, added: 0 })));
    story.end().wrong.into_iter().map(|wrong| (wrong.kind, wrong.seq.0)).collect()
}

/// A life with a change, and with rising numbers.
fn changed(change: impl FnOnce(&mut Vec<Record>)) -> Vec<Record> {
    let mut records = life(thread(1), 2);
    // The offsets are those of the test: one byte a line.
    let mut begun = 0;
    for record in &mut records {
        if matches!(record.body, RecordBody::TurnStarted(_)) {
            begun = record.seq.0;
        }
        if let RecordBody::TurnCompleted(completed) = &mut record.body
            && let Some(place) = &mut completed.place
        {
            place.turn_at = begun;
        }
    }
    change(&mut records);
    for (seq, record) in (1..).zip(&mut records) {
        record.seq = EventSeq(seq);
    }
    records
}

fn at(records: &[Record], kind: &str) -> usize {
    records.iter().position(|record| record.body.kind() == kind).unwrap()
}

fn completed(records: &mut [Record]) -> &mut TurnCompleted {
    let at = at(records, "turn.completed");
    let RecordBody::TurnCompleted(completed) = &mut records[at].body else { panic!() };
    completed
}

fn opened(term: u64, epoch: u64) -> RecordBody {
    ThreadOpened { boot_id: Uuid::from_u128(1), term: Term(term), epoch: Epoch(epoch) }.into()
}

fn asked(id: i64) -> RecordBody {
    let question = QuestionAsked {
        id,
        kind: QuestionKind::Approval,
        turn_id: "turn 0".into(),
        item_id: Some("answer 0".into()),
        method: "m".to_owned(),
        params: "{}".to_owned(),
        tool: None,
        client: None,
    };
    question.into()
}

fn question_closed(id: i64) -> RecordBody {
    QuestionClosed { id, turn_id: "turn 0".into(), why: QuestionEnd::Interrupted }.into()
}

/// An interrupted turn ends its items before its questions.
#[test]
fn a_question_ends_once_and_only_if_it_was_asked() {
    let is_wrong = |behind: &[i64]| {
        let records = changed(|records| {
            let (before, after) = (at(records, "item.completed"), at(records, "turn.completed"));
            records.splice(after..after, behind.iter().map(|id| record(0, question_closed(*id))));
            records.insert(before, record(0, asked(7)));
        });
        judged(&records).iter().any(|(kind, _)| *kind == Defect::Question)
    };
    assert!(!is_wrong(&[7]));
    for wrong in [&[7, 7][..], &[7, 8], &[8]] {
        assert!(is_wrong(wrong), "{wrong:?}");
    }
}

#[test]
fn a_place_in_a_file_means_nothing_where_records_are_no_file() {
    let records = changed(|records| completed(records).place.as_mut().unwrap().turn_at = 1);
    assert_eq!(judged(&records).first().map(|(kind, _)| *kind), Some(Defect::Place));
    let mut check = RecordCheck::of(thread(1));
    records.iter().for_each(|record| check.take(record, None));
    assert_eq!(check.end().wrong, []);
}

#[test]
fn a_life_as_owners_write_it_has_nothing_wrong() {
    assert_eq!(judged(&changed(|_| ())), []);
    let again = changed(|records| {
        records.push(record(0, opened(4, 1)));
        records.push(record(0, ThreadNamed { name: Some("again".to_owned()) }));
    });
    assert_eq!(judged(&again), []);
}

type Change = fn(&mut Vec<Record>);

/// A change, the kind that names it, and its effect on a life.
const WRONG: [(Change, Defect, &str); 15] = [
    (|records| drop(records.remove(0)), Defect::Beginning, "it does not begin with thread.opened"),
    (
        |records| {
            let RecordBody::ThreadCreated(created) = &mut records[1].body else { panic!() };
            created.id = thread(2);
        },
        Defect::Identity,
        "another thread",
    ),
    (|records| records.push(record(0, opened(2, 1))), Defect::Term, "an earlier ownership"),
    (|records| records.push(record(0, opened(9, 0))), Defect::Epoch, "an earlier epoch"),
    (
        |records| records.push(record(0, ThreadNamed { name: None })),
        Defect::Close,
        "something behind the end",
    ),
    (
        |records| records.insert(at(records, "turn.completed"), record(0, ThreadClosed {})),
        Defect::Close,
        "closed within a turn",
    ),
    (
        |records| {
            let input = vec![UserInput::text("twice")];
            let (item_id, client_id) = (None, None);
            let begun = TurnStarted { turn_id: "other".into(), input, item_id, client_id, terms: None };
            records.insert(at(records, "turn.completed"), record(0, begun));
        },
        Defect::Turn,
        "a turn within a turn",
    ),
    (
        |records| drop(records.remove(at(records, "turn.started"))),
        Defect::Turn,
        "items of a turn that did not begin",
    ),
    (
        |records| {
            let item = ThreadItem::agent_message("new", String::new());
            let begun = ItemStarted { turn_id: "nobody's".into(), item };
            records.insert(at(records, "turn.completed"), record(0, begun));
        },
        Defect::Turn,
        "an item of another turn",
    ),
    (
        |records| {
            let at = at(records, "item.started");
            let twice = records[at].clone();
            records.insert(at, twice);
        },
        Defect::Item,
        "an item that begins twice",
    ),
    (|records| drop(records.remove(at(records, "item.started"))), Defect::Item, "an end without a start"),
    (|records| drop(records.remove(at(records, "item.completed"))), Defect::Item, "a start without an end"),
    (|records| completed(records).header.name = Some("no".to_owned()), Defect::Header, "another name"),
    (
        |records| completed(records).started_at_ms = Some(1),
        Defect::Header,
        "another time for the start of the turn",
    ),
    (
        |records| {
            completed(records).place.as_mut().unwrap().turn_at = 1;
        },
        Defect::Place,
        "a place where no turn begins",
    ),
];

#[test]
fn each_thing_that_no_owner_writes_is_named_where_it_stands() {
    for (change, kind, what) in WRONG {
        let wrong = judged(&changed(change));
        assert!(wrong.iter().any(|(found, _)| *found == kind), "{what}: {kind:?} is not in {wrong:?}");
    }
}

#[test]
fn missing_records_get_the_benefit_of_the_doubt() {
    let whole = changed(|_| ());
    for from in 0..whole.len() {
        for to in from + 1..whole.len() {
            let left: Vec<Record> = [&whole[..from], &whole[to..]].concat();
            let wrong = judged(&left);
            assert!(wrong.is_empty(), "without records {from} to {to}: {wrong:?}");
        }
    }
}

#[test]
fn a_turn_that_fails_says_the_same_of_its_thread() {
    let failed = changed(|records| completed(records).status = TurnStatus::Failed);
    assert_eq!(judged(&failed), []);
}

/// Adds turns and reverts: `true` is a turn, `false` reverts the last one.
fn talked(said: &[bool]) -> Vec<Record> {
    let mut records = life(thread(1), 0);
    let mut history = History::of(thread(1));
    records.pop();
    records.iter().for_each(|record| history.apply(record));
    let mut say = |history: &mut History, body: RecordBody| {
        let next = record(history.seq().0 + 1, body);
        history.apply(&next);
        records.push(next);
    };
    for (number, is_turn) in said.iter().enumerate() {
        if let (false, Some(last)) = (is_turn, history.held_turns().last()) {
            let (before_turn_id, from) = (last.turn.id.clone(), Some(last.at));
            let epoch = Epoch(history.epoch().0 + 1);
            say(&mut history, Reverted { before_turn_id, from, epoch }.into());
        } else if *is_turn {
            let id: TurnId = format!("turn {number}").into();
            let input = vec![UserInput::text(format!("message {number}"))];
            let (turn_id, item_id) = (id.clone(), Some(format!("user {number}").into()));
            say(&mut history, TurnStarted { turn_id, input, item_id, client_id: None, terms: None }.into());
            let done = history.turn_completed_record(id, TurnStatus::Completed, None);
            say(&mut history, done);
        }
    }
    records
}

#[test]
fn a_first_message_that_was_taken_back_is_nothing_wrong() {
    assert_eq!(judged(&talked(&[true, false, true, true])), []);
    for bits in 0_u32..256 {
        let said: Vec<bool> = (0..8).map(|bit| bits & (1 << bit) != 0).collect();
        assert_eq!(judged(&talked(&said)), [], "{said:?}");
    }
}

/// Headers of an earlier version have all settings, and name no record with them.
#[test]
fn settings_are_compared_with_the_record_that_a_header_names() {
    let mut records = talked(&[true; 4]);
    let mut headers: Vec<&mut TurnCompleted> = Vec::new();
    let mut seqs = Vec::new();
    for record in &mut records {
        if let RecordBody::TurnCompleted(completed) = &mut record.body {
            headers.push(completed);
            seqs.push(record.seq);
        }
    }
    let settings = headers[0].header.settings.clone();
    for completed in &mut headers[..2] {
        (completed.header.settings, completed.header.settings_at) = (settings.clone(), None);
    }
    headers[2].header.settings_at = Some(seqs[0]);
    headers[3].header.settings_at = Some(seqs[1]);
    assert_eq!(judged(&records), []);
    let named_wrong = |records: &mut [Record]| {
        let RecordBody::TurnCompleted(last) = &mut records.last_mut().unwrap().body else { panic!() };
        last.header.settings_at = Some(EventSeq(1));
    };
    named_wrong(&mut records);
    assert_eq!(judged(&records), [(Defect::Header, seqs[3].0)]);
    completed(&mut records).header.settings.as_mut().unwrap().model = "another".to_owned();
    assert!(judged(&records).contains(&(Defect::Header, seqs[0].0)));
}
