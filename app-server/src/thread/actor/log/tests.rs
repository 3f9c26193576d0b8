//! Decisions of the event log: entries that wait for the disk, statuses that are published once, checkpoints.

use std::time::Duration;

use skein_protocol::error::WireError;
use skein_protocol::item::ThreadItem;
use skein_store::home::Term;
use skein_store::rollout::record::{ItemStarted, ThreadNamed, TurnStarted};
use skein_store::rollout::{AppendError, StoreAway};
use tokio::sync::oneshot;

use super::*;
use crate::thread::actor::tests::bench::Bench;

const THREAD: ThreadId = ThreadId::new(uuid::Uuid::nil());
const LEASE: Lease = Lease { thread: THREAD, term: Term(1) };
const START: ThreadPicture = ThreadPicture { seq: EventSeq(0), epoch: Epoch(1) };

/// The open log of a thread without records, and its snapshot.
fn log(persistence: Persistence, materialised: Materialised) -> (Bench, Log, watch::Receiver<Snapshot>) {
    let bench = Bench::in_memory();
    let (publish, seen) = watch::channel(Snapshot::loading(persistence));
    let mut log = Log::new(Arc::clone(&bench.services), THREAD, persistence, publish);
    log.open(LEASE, History::of(THREAD), START, materialised);
    (bench, log, seen)
}

fn name() -> RecordBody {
    ThreadNamed { name: Some("a".to_owned()) }.into()
}

/// Queues an answer. The receiver learns whether the records before it are saved.
fn acknowledged(log: &mut Log) -> oneshot::Receiver<Result<(), WireError>> {
    let (saved, answered) = oneshot::channel();
    log.publish(Outgoing::Acknowledge(Box::new(move |result| drop(saved.send(result)))));
    answered
}

fn sent(log: &mut Log) -> Option<(i64, Saved)> {
    log.send_next(Send::Ready).map(|(due, saved)| match due {
        Due::Ask(number) => (number, saved),
        Due::Join { .. } | Due::CatchUp(_) | Due::JoinAt(..) => panic!("nobody joins"),
    })
}

#[tokio::test(start_paused = true)]
async fn an_entry_leaves_the_queue_behind_its_records_and_in_order() {
    let (_bench, mut log, _seen) = log(Persistence::Durable, Materialised::Yes);
    log.record_one(name(), Keep::Power);
    let mut answered = acknowledged(&mut log);
    log.publish(Outgoing::Due(Due::Ask(1)));
    assert_eq!(sent(&mut log), None);
    assert!(answered.try_recv().is_err(), "the record is not on disk");
    assert_eq!(log.queued().count(), 1);

    let written = log.inbox().recv().await.unwrap();
    assert!(!log.take(&written), "the rollout is still open");
    assert_eq!(sent(&mut log), Some((1, Saved::Yes)));
    assert_eq!(answered.try_recv(), Ok(Ok(())));
    assert_eq!(log.end_on_disk(), Some(log.end()));
}

#[tokio::test(start_paused = true)]
async fn while_the_disk_fails_entries_leave_as_not_saved_and_nothing_new_is_taken() {
    let (_bench, mut log, _seen) = log(Persistence::Durable, Materialised::Yes);
    assert!(log.refusal().is_none());
    log.record_one(name(), Keep::Power);
    let mut answered = acknowledged(&mut log);
    log.publish(Outgoing::Due(Due::Ask(1)));
    log.take(&Written::Failed(AppendError::Unknown { thread: THREAD, reason: "full".to_owned() }));
    assert!(matches!(log.refusal(), Some(ThreadError::NotSaved { .. })));
    assert_eq!(sent(&mut log), Some((1, Saved::No)));
    assert!(answered.try_recv().unwrap().is_err());
    log.take(&Written::UpTo(log.end().seq, skein_store::index::moment::Listed::Yes));
    assert!(log.refusal().is_none(), "the disk takes records again");
}

#[tokio::test(start_paused = true)]
async fn while_the_storage_is_away_new_input_is_refused_with_a_time_to_try_again() {
    let (_bench, mut log, _seen) = log(Persistence::Durable, Materialised::Yes);
    let why = StoreAway { reason: "the database starts".to_owned(), retry_after: Duration::from_secs(1) };
    log.take(&Written::Failed(AppendError::Away { thread: THREAD, why }));
    let refused = log.refusal().unwrap().to_wire();
    assert_eq!((refused.code, refused.reason()), (-32001, "storeUnavailable"));
    assert_eq!(refused.data.and_then(|data| data.retry_after_ms), Some(1_000));
    log.take(&Written::Failed(AppendError::Unknown { thread: THREAD, reason: "full".to_owned() }));
    assert!(matches!(log.refusal(), Some(ThreadError::NotSaved { .. })));
    log.take(&Written::UpTo(log.end().seq, skein_store::index::moment::Listed::Yes));
    assert!(log.refusal().is_none());
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_the_disk_in_a_thread_that_is_only_in_memory() {
    for (persistence, unwritten) in [(Persistence::Durable, true), (Persistence::Ephemeral, false)] {
        let (_bench, mut log, _seen) = log(persistence, Materialised::No);
        log.record_one(name(), Keep::Power);
        log.publish(Outgoing::Due(Due::Ask(1)));
        assert_eq!(sent(&mut log), Some((1, Saved::Yes)));
        assert_eq!((log.is_stored(), log.is_unwritten(), log.close(false)), (false, unwritten, false));
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_takes_the_writers_last_report_as_its_close() {
    let (_bench, mut log, _seen) = log(Persistence::Durable, Materialised::Yes);
    assert!(!log.close(false), "nothing was written");
    log.forget();
    log.open(LEASE, History::of(THREAD), START, Materialised::Yes);
    log.record_one(name(), Keep::Power);
    assert!(log.close(false));
    let mut last = false;
    while let Some(written) = log.inbox().recv().await {
        last = log.take(&written);
        if last {
            break;
        }
    }
    assert!(last);
}

#[tokio::test(start_paused = true)]
async fn a_status_is_published_when_it_changes() {
    let (_bench, mut log, seen) = log(Persistence::Durable, Materialised::No);
    for status in [ThreadStatus::Idle, ThreadStatus::Idle, ThreadStatus::SystemError] {
        log.show_status(status);
    }
    assert_eq!(seen.borrow().status, ThreadStatus::SystemError);
    assert_eq!(log.drain().len(), 2);
}

/// Begins a turn with an open message, and shows it.
fn begin_message(log: &mut Log) -> ItemId {
    let turn_id = TurnId::from("t".to_owned());
    let started = TurnStarted {
        turn_id: turn_id.clone(),
        input: Vec::new(),
        item_id: None,
        client_id: None,
        terms: None,
    };
    let item = ThreadItem::agent_message("i", "");
    let id = item.id().clone();
    log.record(vec![started.into(), ItemStarted { turn_id, item }.into()], Keep::Process);
    log.show_history(None, || ThreadStatus::Idle);
    id
}

fn text(item: &ThreadItem) -> &str {
    let ThreadItemBody::AgentMessage(message) = &item.body else { panic!("{item:?}") };
    &message.text
}

#[tokio::test(start_paused = true)]
async fn readers_and_checkpoints_share_the_text_in_flight_instead_of_copying_it() {
    let (_bench, mut log, seen) = log(Persistence::Durable, Materialised::No);
    let id = begin_message(&mut log);
    log.append(&id, "half");
    let place = Arc::as_ptr(&seen.borrow().open_items[0]);
    log.append(&id, " a word");
    let read = seen.borrow().clone();
    let before = log.end().seq;
    log.checkpoint();
    log.show_history(None, || ThreadStatus::Idle);
    assert_eq!(seen.borrow().seq, before.next());
    for shown in [&read, &seen.borrow()] {
        assert_eq!((Arc::as_ptr(&shown.open_items[0]), text(&shown.open_items[0])), (place, "half a word"));
    }
    log.append(&id, "s");
    assert_eq!(text(&read.open_items[0]), "half a word", "a reader keeps its view");
    assert_eq!(text(&seen.borrow().open_items[0]), "half a words");
}

#[tokio::test(start_paused = true)]
async fn text_in_flight_is_shown_at_once_and_written_within_a_second() {
    let (bench, mut log, seen) = log(Persistence::Durable, Materialised::No);
    let id = begin_message(&mut log);
    assert_eq!(log.checkpoint_at(), None);

    let now = bench.services.clock.now();
    log.append(&id, "half");
    tokio::time::advance(policy::CHECKPOINT / 2).await;
    log.append(&id, " a word");
    assert_eq!(log.checkpoint_at(), Some(now + policy::CHECKPOINT), "counted from the first piece");
    assert_eq!(text(&seen.borrow().open_items[0]), "half a word");

    let before = log.end().seq;
    log.checkpoint();
    assert_eq!((log.end().seq, log.checkpoint_at()), (before.next(), None));
    log.checkpoint();
    assert_eq!(log.end().seq, before.next(), "nothing was added");
}
