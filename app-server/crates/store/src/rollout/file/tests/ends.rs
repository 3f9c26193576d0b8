//! A load reads the end of a rollout of any length, and knows the whole from it.

use skein_base::clock::WallMs;
use skein_protocol::ids::Epoch;
use skein_protocol::item::ThreadItem;
use skein_protocol::turn::{TurnStatus, UserInput};
use uuid::Uuid;

use super::*;
use crate::home::Term;
use crate::rollout::record::{
    Compacted, ItemCompleted, KeptMessages, RecordBody, StoredSettings, ThreadHeader, ThreadOpened,
    TurnCompleted, TurnStarted,
};

const OPENED: ThreadOpened = ThreadOpened { boot_id: Uuid::from_u128(1), term: Term(7), epoch: Epoch(3) };

fn record(seq: u64, body: impl Into<RecordBody>) -> Record {
    Record { seq: EventSeq(seq), at: WallMs(0), body: body.into() }
}

/// Three records: a turn whose answer has this many characters.
fn turn(first: u64, length: usize, opened: Option<ThreadOpened>) -> Vec<Record> {
    let turn_id = format!("t{first}");
    let (item_id, input) = (Some("user".into()), vec![UserInput::text("hello")]);
    let header = ThreadHeader {
        name: None,
        settings: Some(StoredSettings::default()),
        settings_at: None,
        usage: None,
        spent: None,
        epoch: Epoch(3),
        git_info: None,
        opened,
        updated_at_ms: None,
        taken_back: Vec::new(),
        read: None,
        goal: None,
        queue: None,
        forked: None,
        preview: None,
    };
    let (status, turn) = (TurnStatus::Completed, || turn_id.as_str().into());
    vec![
        record(first, TurnStarted { turn_id: turn(), input, item_id, client_id: None, terms: None }),
        record(
            first + 1,
            ItemCompleted { turn_id: turn(), item: ThreadItem::agent_message("answer", "x".repeat(length)) },
        ),
        record(
            first + 2,
            TurnCompleted {
                turn_id: turn(),
                started_at_ms: None,
                status,
                error: None,
                unsaved: false,
                header,
                place: None,
            },
        ),
    ]
}

/// A rollout of turns of 100,000 bytes each. The last turn is open.
fn long(turns: u64, opened: Option<ThreadOpened>) -> Vec<Record> {
    let mut records = vec![record(1, OPENED)];
    for number in 0..turns {
        records.extend(turn(2 + 3 * number, 100_000, opened));
    }
    let last = turn(2 + 3 * turns, 10, opened);
    records.extend(last.into_iter().take(2));
    records
}

/// A store with that rollout, written as the server writes it.
async fn stored(records: Vec<Record>) -> (Fixture, ThreadId) {
    let (mut fixture, id) = (Fixture::new(), thread(1));
    let lease = Lease { thread: id, term: Term(9) };
    fixture.store.append(lease, EventSeq(0), LogEntry::of(records, Keep::Power)).await.unwrap();
    fixture.restart();
    (fixture, id)
}

#[tokio::test]
async fn a_load_reads_from_the_last_header_and_goes_on_from_there() {
    let records = long(30, Some(OPENED));
    let head = records.last().unwrap().seq;
    let (fixture, id) = stored(records.clone()).await;
    let before = fixture.layer.bytes_read();
    let loaded = fixture.store.load(id).await.unwrap();
    let read = fixture.layer.bytes_read() - before;
    assert!(read < 300_000, "{read} bytes were read of {}", fs::metadata(fixture.path(id)).unwrap().len());
    let seqs: Vec<EventSeq> = loaded.end.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [EventSeq(head.0 - 2), EventSeq(head.0 - 1), head]);
    assert_eq!((loaded.head, loaded.repair.clone()), (head, crate::rollout::LoadRepair::default()));
    assert_eq!(loaded.next_epoch(Uuid::from_u128(1)), Epoch(3), "the same start goes on");
    assert_eq!(loaded.next_epoch(Uuid::from_u128(2)), Epoch(4), "another one cannot know what was told");
    // The header's term and offsets hold.
    let low = Lease { thread: id, term: Term(6) };
    let refused = fixture
        .store
        .append(low, head, LogEntry::of(vec![named(head.next().0, "late")], Keep::Process))
        .await;
    assert!(matches!(refused.unwrap_err(), AppendError::Fenced { term: Term(7), .. }));
    let end = turn(head.0 - 1, 10, Some(OPENED)).remove(2);
    let lease = Lease { thread: id, term: Term(7) };
    fixture.store.append(lease, head, LogEntry::of(vec![end], Keep::Process)).await.unwrap();
    assert_eq!(place_of_last_turn(&fixture, id).await, Some(offset_of(&fixture, id, head.0 - 1)));
}

#[tokio::test]
async fn without_such_a_header_everything_is_read() {
    let records = long(3, None);
    let (fixture, id) = stored(records.clone()).await;
    let loaded = fixture.store.load(id).await.unwrap();
    assert_eq!(loaded.end.len(), records.len());
    let refused = fixture.store.append(
        Lease { thread: id, term: Term(6) },
        loaded.head,
        LogEntry::of(Vec::new(), Keep::Power),
    );
    assert!(matches!(refused.await.unwrap_err(), AppendError::Fenced { term: Term(7), .. }));
}

#[tokio::test]
async fn damage_at_the_end_is_found_and_damage_before_it_is_not_looked_for() {
    let (fixture, id) = stored(long(5, Some(OPENED))).await;
    let mut bytes = fs::read(fixture.path(id)).unwrap();
    let early = usize::try_from(offset_of(&fixture, id, 5)).unwrap();
    bytes[early + 20] ^= 1;
    bytes.extend_from_slice(b"torn");
    fixture.write(id, &bytes);
    let loaded = fixture.store.load(id).await.unwrap();
    assert_eq!((loaded.repair.cut, loaded.repair.damage.len()), (4, 0));
    assert_eq!(fs::metadata(fixture.path(id)).unwrap().len(), bytes.len() as u64 - 4);
    // The last header itself is damaged: the header before it is the base, and the damage is behind that.
    let last = usize::try_from(offset_of(&fixture, id, loaded.head.0 - 2)).unwrap();
    let mut bytes = fs::read(fixture.path(id)).unwrap();
    bytes[last + 20] ^= 1;
    fixture.write(id, &bytes);
    let loaded = fixture.store.load(id).await.unwrap();
    assert_eq!(loaded.end.len(), 5);
    assert_eq!((loaded.repair.damage.len(), loaded.repair.damage[0].lines), (1, 1));
    assert_eq!(loaded.next_epoch(Uuid::from_u128(1)), Epoch(4), "acknowledged lines are lost");
}

#[tokio::test]
async fn the_place_of_the_last_summary_is_carried_from_header_to_header() {
    let mut records = long(0, Some(OPENED));
    let next = records.len() as u64 + 1;
    records.push(record(
        next,
        Compacted { turn_id: "t2".into(), summary: "all".to_owned(), kept: KeptMessages::Messages },
    ));
    let end = turn(next - 1, 10, Some(OPENED)).remove(2);
    records.push(end);
    let (fixture, id) = stored(records).await;
    let at = offset_of(&fixture, id, next);
    let head = fixture.store.load(id).await.unwrap().head;
    let lease = Lease { thread: id, term: Term(9) };
    fixture
        .store
        .append(lease, head, LogEntry::of(turn(head.next().0, 10, Some(OPENED)), Keep::Power))
        .await
        .unwrap();
    let last = fixture.store.read_back(id, None, 1).await.unwrap().records.remove(0);
    let RecordBody::TurnCompleted(completed) = last.body else { panic!() };
    assert_eq!(completed.place.and_then(|place| place.compacted_at), Some(at));
}

async fn place_of_last_turn(fixture: &Fixture, id: ThreadId) -> Option<u64> {
    let last = fixture.store.read_back(id, None, 1).await.unwrap().records.remove(0);
    let RecordBody::TurnCompleted(completed) = last.body else { panic!() };
    completed.place.map(|place| place.turn_at)
}

/// The offset of a record's line.
fn offset_of(fixture: &Fixture, id: ThreadId, seq: u64) -> u64 {
    let text = String::from_utf8_lossy(&fs::read(fixture.path(id)).unwrap()).into_owned();
    text.find(&format!("{{\"v\":1,\"seq\":{seq},")).unwrap() as u64
}

#[tokio::test]
async fn a_rollout_that_an_editor_has_saved_with_other_line_ends_loses_nothing() {
    let records = long(3, Some(OPENED));
    let (fixture, id) = stored(records.clone()).await;
    let text = String::from_utf8(fs::read(fixture.path(id)).unwrap()).unwrap();
    fixture.write(id, text.replace('\n', "\r\n").as_bytes());
    let loaded = fixture.store.load(id).await.unwrap();
    assert_eq!(
        (loaded.head, loaded.repair),
        (records.last().unwrap().seq, crate::rollout::LoadRepair::default())
    );
    assert_eq!(fixture.store.read_back(id, None, 99).await.unwrap().records.len(), records.len());
    assert_eq!(fixture.store.read_after(id, EventSeq(4), 99).await.unwrap().records.len(), records.len() - 4);
    let next = named(loaded.head.next().0, "next");
    let lease = Lease { thread: id, term: Term(7) };
    fixture.store.append(lease, loaded.head, LogEntry::of(vec![next.clone()], Keep::Power)).await.unwrap();
    fixture.store.release(id);
    assert_eq!(fixture.store.load(id).await.unwrap().end.last(), Some(&next));
}

#[tokio::test]
async fn a_rollout_that_was_only_begun_goes_with_its_marker() {
    let fixture = Fixture::new();
    let [empty, torn, whole] = [1, 2, 3].map(thread);
    let long = [b"{\"v\":1,".as_slice(), &[b'x'; 10_000]].concat();
    fixture.write(empty, b"");
    fixture.write(torn, &long);
    fixture.write(whole, &[&long[..], b"\n"].concat());
    for id in [empty, torn, whole, thread(4)] {
        fixture.store.set_open_marker(id).await.unwrap();
    }
    let before = fixture.store.open_marker(torn);
    fixture.store.set_open_marker(torn).await.unwrap();
    assert_eq!(fixture.store.clear_open_markers(vec![before]).await.unwrap(), 0);
    assert!(fixture.path(torn).exists(), "it was changed since");
    let markers = [empty, torn, whole, thread(4)].map(|id| fixture.store.open_marker(id));
    assert_eq!(fixture.store.clear_open_markers(markers.to_vec()).await.unwrap(), 4);
    assert_eq!([empty, torn, whole].map(|id| fixture.path(id).exists()), [false, false, true]);
}
