//! Loads: once for all waiting requests, and without a trace if nothing is written.

use skein_protocol::extension::GapReason;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::item::{McpToolCallStatus, ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{ItemCompleted, ThreadClosed, ThreadNameUpdated, TurnCompleted};
use skein_protocol::thread::{ThreadReadResponse, ThreadResumeResponse, ThreadStatus};
use skein_protocol::turn::TurnStatus;
use skein_store::home::Term;
use skein_store::rollout::record::{ItemStarted, Record, RecordBody};
use skein_store::rollout::{Keep, Lease, LogEntry, RolloutStore};

use super::*;
use crate::thread::dispatch;
use crate::thread::error::ThreadError;
use crate::thread::subscribers::{Left, Role};

/// The machine's boot, which a kill does not end.
const BOOT: uuid::Uuid = uuid::Uuid::from_u128(1);

#[tokio::test]
async fn a_load_that_writes_nothing_leaves_the_file_and_the_store_untouched() {
    let bench = Bench::on_files();
    let thread = bench.stored().await;
    let before = bench.file(thread);
    for _ in 0..3 {
        let mut client = bench.client();
        client.resume(thread).await;
        client.disconnect();
        bench.gone(thread).await;
    }
    assert_eq!(bench.file(thread), before);
    assert_eq!(bench.disk.held(), [], "its file stays open in the store");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn fifty_resumes_at_once_are_one_load() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut clients: Vec<Client> = (0..50).map(|_| bench.client()).collect();
    let asked: Vec<i64> = clients.iter_mut().map(|c| c.ask_resume(thread, Role::Subscriber)).collect();
    for (client, request) in clients.iter_mut().zip(asked) {
        client.answer::<ThreadResumeResponse>(request).await.unwrap();
    }
    assert_eq!(bench.disk.loads(), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn requests_to_an_unloaded_thread_are_answered_in_their_order() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let mut client = bench.client();
    let named = client.set_name(thread, "first");
    let resumed = client.ask_resume(thread, Role::Subscriber);
    let input = client.input(thread, "third");
    client.fence(thread).await;
    bench.disk.release_loads();
    let mut places = Vec::new();
    for request in [named, resumed, input] {
        places.push(client.take("an answer", |message| message.answers(request)).await);
    }
    assert!(places.is_sorted(), "answered in another order: {places:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_during_a_load_leaves_nothing_subscribed_and_the_thread_unloads() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let mut client = bench.client();
    client.ask_resume(thread, Role::Subscriber);
    client.fence(thread).await;
    client.disconnect();
    client.fence(thread).await;
    bench.disk.release_loads();
    bench.gone(thread).await;
    assert_eq!(bench.services.subscribers.totals().1, crate::thread::event::Counts::default());
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unsubscribe_withdraws_a_waiting_resume_which_is_answered() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let (mut client, mut other) = (bench.client(), bench.client());
    let withdrawn = client.ask_resume(thread, Role::Subscriber);
    let kept = other.ask_resume(thread, Role::Subscriber);
    client.fence(thread).await;
    assert_eq!(client.unsubscribe(thread), Left::WaitingResume);
    assert_eq!(client.refusal(withdrawn).await, "withdrawn", "answered before the load is done");
    bench.disk.release_loads();
    other.answer::<ThreadResumeResponse>(kept).await.unwrap();
    assert_eq!(bench.services.subscribers.counts(thread).subscribers, 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_is_withdrawn_before_its_turn_came_is_answered_without_waiting_for_the_load() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let (mut first, mut client) = (bench.client(), bench.client());
    first.ask_resume(thread, Role::Subscriber);
    first.fence(thread).await;
    let withdrawn = client.ask_resume(thread, Role::Subscriber);
    client.unsubscribe(thread);
    assert_eq!(client.refusal(withdrawn).await, "withdrawn");
    bench.disk.release_loads();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_does_not_exist_is_one_clear_error_for_everybody_and_closes_nothing() {
    let bench = Bench::in_memory();
    let mut watcher = bench.client();
    let mut client = bench.client();
    let unknown = ThreadId::new(bench.services.clock.new_id());
    let asked = [
        client.ask_resume(unknown, Role::Subscriber),
        client.set_name(unknown, "name"),
        client.ask_resume(unknown, Role::Observer),
        client.set_name(unknown, "name"),
        client.ask_resume(unknown, Role::Subscriber),
    ];
    for request in asked {
        assert_eq!(client.refusal(request).await, "threadNotFound");
    }
    bench.gone(unknown).await;
    assert!(bench.disk.loads() <= asked.len());
    assert_eq!(watcher.count(Message::is::<ThreadClosed>), 0);
    let input = client.input(unknown, "hello");
    assert_eq!(client.refusal(input).await, "notLoaded");
    assert_eq!(client.unsubscribe(unknown), Left::Nothing, "a refused resume does not wait any more");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_name_for_an_unloaded_thread_is_written_and_published_and_the_thread_unloads_again() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut client = bench.client();
    let request = client.set_name(thread, "a name");
    client.answer::<serde_json::Value>(request).await.unwrap();
    assert_eq!(client.notified::<ThreadNameUpdated>().await.thread_name.as_deref(), Some("a name"));
    bench.gone(thread).await;
    let kinds = bench.kinds(thread).await;
    assert_eq!(kinds[kinds.len() - 3..], ["thread.opened", "thread.named", "thread.closed"]);
    assert_eq!(bench.client().resume(thread).await.thread.name.as_deref(), Some("a name"));
    bench.finish().await;
}

/// Leaves a thread as a kill during a turn does: with partial text, and a tool call under way.
pub(super) async fn cut_off_in_a_turn(bench: &Bench) -> ThreadId {
    let (client, thread, strings) = bench.running().await;
    strings.say("so f").await;
    assert!(client.fence(thread).await);
    let page = bench.disk.read_after(thread, EventSeq(0), 1_000).await.unwrap();
    let head = page.records.last().unwrap().seq;
    let turn_id = page
        .records
        .iter()
        .rev()
        .find_map(|record| {
            let RecordBody::TurnStarted(started) = &record.body else { return None };
            Some(started.turn_id.clone())
        })
        .unwrap();
    let item = ThreadItem::mcp_tool_call("call", "server", "tool", serde_json::json!({}));
    let body = ItemStarted { turn_id, item }.into();
    let record = Record { seq: head.next(), at: bench.services.clock.wall(), body };
    let lease = Lease { thread, term: Term(1) };
    bench.disk.append(lease, head, LogEntry::of(vec![record], Keep::Power)).await.unwrap();
    thread
}

#[tokio::test(start_paused = true)]
async fn a_load_that_finds_an_open_turn_closes_it_and_shows_it_closed() {
    let first = Bench::in_memory();
    let thread = cut_off_in_a_turn(&first).await;
    let bench = first.after_a_kill();
    let mut client = bench.client();
    let response = client.resume(thread).await;
    let turn = response.thread.turns.last().unwrap();
    assert_eq!(turn.status, TurnStatus::Interrupted);
    let call = turn.items.iter().find_map(|item| {
        let ThreadItemBody::McpToolCall(call) = &item.body else { return None };
        Some(call.status)
    });
    assert_eq!(call, Some(McpToolCallStatus::Failed));
    assert!(turn.items.iter().all(|item| item.completed_at_ms.is_some()));
    assert_eq!(response.thread.status, ThreadStatus::Idle);
    let kinds = bench.kinds(thread).await;
    assert_eq!(kinds.last().map(String::as_str), Some("turn.completed"));
    assert_eq!(client.count(Message::is::<TurnCompleted>), 0, "the answer shows it already");
    assert!(response.skein.unwrap().epoch > skein_protocol::ids::Epoch(1), "numbers may have been lost");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_how_a_load_closes_an_open_turn() {
    let first = Bench::in_memory();
    let thread = cut_off_in_a_turn(&first).await;
    let bench = first.after_a_kill();
    let mut observer = bench.client();
    observer.observe(thread).await;
    bench.client().resume(thread).await;
    assert_eq!(observer.notified::<TurnCompleted>().await.turn.status, TurnStatus::Interrupted);
    let closed = observer.count(Message::is::<ItemCompleted>);
    assert!(closed >= 1, "items are closed before their turn");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_resume_of_a_full_mailbox_is_refused_and_does_not_wait_any_more() {
    let bench = Bench::with(|config| config.limits.mailbox = 4);
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let mut client = bench.client();
    let asked: Vec<i64> = (0..9).map(|_| client.ask_resume(thread, Role::Subscriber)).collect();
    let error = client.answer::<ThreadReadResponse>(asked[8]).await.unwrap_err();
    assert_eq!(error.code, skein_protocol::error::OVERLOADED);
    let mut refused = bench.client();
    for number in 0..9 {
        client.set_name(thread, &number.to_string());
    }
    let request = refused.ask_resume(thread, Role::Subscriber);
    assert_eq!(refused.refusal(request).await, "busy");
    assert_eq!(refused.unsubscribe(thread), Left::Nothing);
    bench.disk.release_loads();
    client.answer::<ThreadResumeResponse>(asked[0]).await.unwrap();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_for_helpers_to_a_full_mailbox_is_refused_at_once() {
    let bench = Bench::with(|config| config.limits.mailbox = 4);
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let mut client = bench.client();
    let asked = client.ask_resume(thread, Role::Subscriber);
    for number in 0..9 {
        client.set_name(thread, &number.to_string());
    }
    let handle = bench.services.registry.handle(thread).unwrap();
    let before = bench.services.counters.overloaded.get();
    let refused = dispatch::helpers(&bench.services, &handle).await.unwrap_err();
    assert!(matches!(refused, ThreadError::Busy { id } if id == thread), "{refused}");
    assert_eq!(bench.services.counters.overloaded.get(), before + 1);
    bench.disk.release_loads();
    client.answer::<ThreadResumeResponse>(asked).await.unwrap();
    assert!(dispatch::helpers(&bench.services, &handle).await.is_ok());
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_load_that_panics_is_an_error_and_the_next_one_is_another() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.set_trap();
    let mut client = bench.client();
    let request = client.ask_resume(thread, Role::Subscriber);
    assert_eq!(client.refusal(request).await, "brokeOff");
    bench.gone(thread).await;
    assert_eq!(client.resume(thread).await.thread.turns.len(), 1);
    bench.finish().await;
}

/// Its records end with a header that a later load begins to read from.
#[tokio::test(start_paused = true)]
async fn the_epoch_that_a_load_begins_is_that_of_the_next_one_too() {
    let before = Bench::in_memory();
    let thread = cut_off_in_a_turn(&before).await;
    let bench = before.after_a_kill();
    let mut client = bench.client();
    let first = client.resume(thread).await.skein.unwrap();
    client.disconnect();
    bench.gone(thread).await;
    let mut again = bench.client();
    let second = again.resume(thread).await.skein.unwrap();
    assert_eq!((first.epoch, second.epoch), (Epoch(2), Epoch(2)));
    bench.finish().await;
}

/// No epoch gives a number that a client has seen to another event. This holds even if the record is damaged, and the load
/// that finds the damage writes nothing.
#[tokio::test]
async fn a_number_whose_record_is_damaged_is_not_given_out_again_after_loads_that_write_nothing() {
    let first = Bench::on_files();
    first.disk.set_life(BOOT);
    let (mut client, thread) = first.materialised().await;
    let named = client.set_name(thread, "seen");
    client.answer::<serde_json::Value>(named).await.unwrap();
    client.notified::<ThreadNameUpdated>().await;
    let seen = client.log.iter().rev().find_map(Message::seq).unwrap();
    first.disk.hold_appends();
    let mut bytes = first.file(thread);
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    first.overwrite(thread, &bytes);

    let bench = first.after_a_crash();
    bench.disk.set_life(BOOT);
    for _ in 0..2 {
        let mut other = bench.client();
        let received = other.resume(thread).await.skein.unwrap();
        assert!(received.epoch > Epoch(1), "published events are lost");
        other.disconnect();
        bench.gone(thread).await;
    }
    let mut other = bench.client();
    let named = other.set_name(thread, "another");
    other.answer::<serde_json::Value>(named).await.unwrap();
    let mut back = bench.client();
    let received = back.resume_from(thread, (seen, Epoch(1))).await.skein.unwrap();
    assert_eq!(received.gap.map(|gap| gap.reason), Some(GapReason::OtherEpoch));
    back.disconnect();
    bench.gone(thread).await;
    bench.finish().await;
}
