//! The queue: messages that become turns, once each and in their order.

mod ends;

use skein_config::QueueOrphans;
use skein_protocol::error::WireError;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::{ItemStarted, ThreadQueueChanged, TurnCompleted, TurnStarted};
use skein_protocol::thread::{
    QueuedSubmission, ThreadForkParams, ThreadQueueAddParams, ThreadQueueAddResponse,
    ThreadQueueDeleteResponse, ThreadQueueReorderResponse, ThreadQueueStartResponse, ThreadQueueUpdateParams,
    ThreadQueueUpdateResponse,
};
use skein_protocol::turn::{TurnStartResponse, TurnStatus, UserInput};
use skein_store::history::History;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::policy;
use crate::repair;
use crate::thread::command::{Edit, QueueEdit};

fn params(thread: ThreadId, text: &str) -> ThreadQueueAddParams {
    ThreadQueueAddParams {
        client_user_message_id: format!("m-{text}"),
        input: vec![UserInput::text(text)],
        responsesapi_client_metadata: None,
        thread_id: thread,
    }
}

async fn add_as(client: &mut Client, params: ThreadQueueAddParams) -> Result<QueuedSubmission, WireError> {
    let thread = params.thread_id;
    let request = client.edit(thread, |reply| Edit::Queue(QueueEdit::Add(params, reply)));
    client.answer::<ThreadQueueAddResponse>(request).await.map(|answer| answer.queued_submission)
}

pub(super) async fn add(client: &mut Client, thread: ThreadId, text: &str) -> TurnId {
    add_as(client, params(thread, text)).await.unwrap().id
}

async fn start(client: &mut Client, thread: ThreadId, message: Option<&TurnId>) -> Result<TurnId, WireError> {
    let message = message.cloned();
    let request = client.edit(thread, |reply| Edit::Queue(QueueEdit::Start(message, reply)));
    client.answer::<ThreadQueueStartResponse>(request).await.map(|answer| answer.turn.id)
}

pub(super) async fn delete(client: &mut Client, thread: ThreadId, message: &TurnId) -> bool {
    let (message, by) = (message.clone(), "ada".to_owned());
    let request = client.edit(thread, |reply| Edit::Queue(QueueEdit::Delete(message, by, reply)));
    client.answer::<ThreadQueueDeleteResponse>(request).await.unwrap().deleted
}

async fn reorder(client: &mut Client, thread: ThreadId, order: &[&TurnId]) -> Result<(), WireError> {
    let order = order.iter().map(|id| (*id).clone()).collect();
    let request = client.edit(thread, |reply| Edit::Queue(QueueEdit::Reorder(order, reply)));
    client.answer::<ThreadQueueReorderResponse>(request).await.map(|_| ())
}

async fn update(
    client: &mut Client,
    thread: ThreadId,
    message: &TurnId,
    text: &str,
) -> Result<(), WireError> {
    let params = ThreadQueueUpdateParams {
        input: vec![UserInput::text(text)],
        queued_submission_id: message.clone(),
        responsesapi_client_metadata: None,
        thread_id: thread,
    };
    let request = client.edit(thread, |reply| Edit::Queue(QueueEdit::Update(params, reply)));
    client.answer::<ThreadQueueUpdateResponse>(request).await.map(|_| ())
}

/// The messages that wait, as the disk has them.
async fn waiting(bench: &Bench, thread: ThreadId) -> Vec<TurnId> {
    let history = History::read_end(bench.disk.as_ref(), thread, 0).await.unwrap();
    history.queue().messages().map(|message| message.id.clone()).collect()
}

/// The turns on disk, with the text of each message.
async fn turns(bench: &Bench, thread: ThreadId) -> Vec<(TurnId, Vec<String>)> {
    let history = History::read(bench.disk.as_ref(), thread).await.unwrap();
    let texts = |turn: &Turn| {
        let messages = turn.items.iter().filter_map(|item| {
            let ThreadItemBody::UserMessage(message) = &item.body else { return None };
            message.content.first()?.as_text().map(str::to_owned)
        });
        messages.collect()
    };
    history.held_turns().iter().map(|held| (held.turn.id.clone(), texts(&held.turn))).collect()
}

fn reason(refused: Result<impl std::fmt::Debug, WireError>) -> String {
    refused.unwrap_err().reason().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_message_for_an_idle_thread_becomes_a_turn_at_once() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let message = add(&mut client, thread, "hello").await;
    assert_eq!(client.notified::<TurnStarted>().await.turn.id, message);
    let ThreadItemBody::UserMessage(said) = client.notified::<ItemStarted>().await.item.body else {
        panic!()
    };
    assert_eq!(said.client_id.as_deref(), Some("m-hello"));
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    let answered = client.log.iter().position(|message| message.answers(2)).unwrap();
    let started = client.log.iter().position(Message::is::<TurnStarted>).unwrap();
    assert!(answered < started, "the answer comes before the turn");
    assert_eq!(waiting(&bench, thread).await, []);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_the_running_turn_and_run_in_their_order_behind_earlier_input() {
    let bench = Bench::in_memory();
    let (mut client, thread, _strings) = bench.running().await;
    let first = add(&mut client, thread, "first").await;
    let second = add(&mut client, thread, "second").await;
    assert_eq!(waiting(&bench, thread).await, [first.clone(), second.clone()]);
    let steer = client.input(thread, "steered");
    client.answer::<TurnStartResponse>(steer).await.unwrap();
    while client.notified::<TurnCompleted>().await.turn.id != second {}
    let turns = turns(&bench, thread).await;
    let texts: Vec<&[String]> = turns.iter().map(|(_, texts)| texts.as_slice()).collect();
    assert_eq!(texts[1].last().unwrap(), "steered", "input of a running turn is never queued");
    assert_eq!(texts[2..], [["first".to_owned()], ["second".to_owned()]]);
    assert_eq!([&turns[2].0, &turns[3].0], [&first, &second]);
    // One for each message, and one for each that became a turn.
    assert_eq!(client.count(Message::is::<ThreadQueueChanged>), 4);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_turn_holds_the_queue_until_it_is_started() {
    let bench = Bench::in_memory();
    let (mut client, thread, _strings) = bench.running().await;
    let (first, second) = (add(&mut client, thread, "first").await, add(&mut client, thread, "second").await);
    let running = client.notified::<TurnStarted>().await.turn.id;
    assert_eq!(reason(start(&mut client, thread, None).await), "turnRuns");
    client.interrupt(thread, &running);
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Interrupted);
    assert!(client.fence(thread).await);
    assert_eq!(waiting(&bench, thread).await, [first.clone(), second.clone()]);
    assert_eq!(start(&mut client, thread, Some(&second)).await, Ok(second.clone()));
    for expected in [&second, &first] {
        assert_eq!(client.notified::<TurnStarted>().await.turn.id, *expected);
        client.notified::<TurnCompleted>().await;
    }
    assert_eq!(start(&mut client, thread, Some(&second)).await, Ok(second), "it became that turn");
    assert_eq!(reason(start(&mut client, thread, None).await), "queueEmpty");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_of_the_user_that_completes_ends_the_hold() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let message = add(&mut client, thread, "queued").await;
    drop(strings);
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Failed);
    assert!(client.fence(thread).await);
    assert_eq!(waiting(&bench, thread).await, std::slice::from_ref(&message));
    client.turn(thread, "go on").await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.id, message);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_message_is_added_once_whatever_became_of_it() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let message = add(&mut client, thread, "queued").await;
    assert_eq!(add(&mut client, thread, "queued").await, message, "it waits");
    let other = ThreadQueueAddParams { input: vec![UserInput::text("other")], ..params(thread, "queued") };
    let other = add_as(&mut client, other).await.unwrap().id;
    assert_eq!(waiting(&bench, thread).await, [message.clone(), other.clone()], "other input, other message");
    strings.end();
    while client.notified::<TurnCompleted>().await.turn.id != other {}
    assert_eq!(add(&mut client, thread, "queued").await, message, "it became a turn");
    assert!(client.fence(thread).await);
    assert_eq!(turns(&bench, thread).await.len(), 4);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn messages_are_changed_ordered_and_deleted_and_those_that_are_gone_are_named() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(add(&mut client, thread, text).await);
    }
    let [one, two, three] = &ids[..] else { panic!() };
    reorder(&mut client, thread, &[three]).await.unwrap();
    assert_eq!(waiting(&bench, thread).await, [three.clone(), one.clone(), two.clone()]);
    assert_eq!(reason(reorder(&mut client, thread, &[one, one]).await), "queuedTwice");
    assert_eq!(reason(reorder(&mut client, thread, &[two, &"none".into()]).await), "queuedGone");
    assert_eq!(waiting(&bench, thread).await, [three.clone(), one.clone(), two.clone()], "nothing moved");
    update(&mut client, thread, three, "third").await.unwrap();
    assert!(delete(&mut client, thread, one).await && !delete(&mut client, thread, one).await);
    let gone = update(&mut client, thread, one, "again").await.unwrap_err();
    assert!(gone.message.contains(r#"the client "ada" has deleted it"#), "{}", gone.message);
    strings.end();
    while client.notified::<TurnCompleted>().await.turn.id != *two {}
    let texts: Vec<String> = turns(&bench, thread).await.into_iter().flat_map(|(_, texts)| texts).collect();
    assert_eq!(texts[2..], ["third", "two"]);
    let gone = update(&mut client, thread, two, "again").await.unwrap_err();
    let turn = gone.data.as_ref().and_then(|data| data.turn_id.as_ref());
    assert_eq!((gone.reason(), turn), ("queuedGone", Some(two)));
    assert!(!delete(&mut client, thread, two).await);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded_by_its_messages_and_their_bytes() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let large = "x".repeat(policy::QUEUE_BYTES / 2);
    let first = add(&mut client, thread, &large).await;
    let second = ThreadQueueAddParams { client_user_message_id: "2".to_owned(), ..params(thread, &large) };
    assert_eq!(reason(add_as(&mut client, second).await), "queueFull");
    for number in 1..policy::QUEUE_MESSAGES {
        add(&mut client, thread, &number.to_string()).await;
    }
    assert_eq!(reason(add_as(&mut client, params(thread, "last")).await), "queueFull");
    assert_eq!(add(&mut client, thread, &large).await, first, "a known message needs no room");
    update(&mut client, thread, &first, "small").await.unwrap();
    assert!(delete(&mut client, thread, &first).await);
    add(&mut client, thread, "last").await;
    drop(strings);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_an_orphan_runs_to_its_end_and_then_the_thread_is_unloaded() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let (first, second) = (add(&mut client, thread, "first").await, add(&mut client, thread, "second").await);
    client.disconnect();
    strings.end();
    bench.gone(thread).await;
    let turns = turns(&bench, thread).await;
    assert_eq!(turns[2..].iter().map(|(id, _)| id).collect::<Vec<_>>(), [&first, &second]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn with_the_setting_hold_messages_wait_for_a_subscriber() {
    let bench = Bench::with(|config| config.orphans.queue = QueueOrphans::Hold);
    let (mut client, thread, strings) = bench.running().await;
    let message = add(&mut client, thread, "queued").await;
    client.disconnect();
    strings.end();
    bench.gone(thread).await;
    assert_eq!(waiting(&bench, thread).await, std::slice::from_ref(&message));
    let mut other = bench.client();
    let later = add(&mut other, thread, "later").await;
    bench.gone(thread).await;
    assert_eq!(
        waiting(&bench, thread).await,
        [message.clone(), later.clone()],
        "an unloaded thread keeps them"
    );
    other.resume(thread).await;
    for expected in [message, later] {
        assert_eq!(other.notified::<TurnCompleted>().await.turn.id, expected);
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_is_not_loaded_runs_a_message_without_a_resume() {
    let bench = Bench::in_memory();
    let (thread, _) = talked_and_left(&bench, &["hello"]).await;
    let mut client = bench.client();
    let message = add(&mut client, thread, "queued").await;
    bench.gone(thread).await;
    assert_eq!(turns(&bench, thread).await.last().unwrap().0, message);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_interrupts_the_turn_and_holds_the_queue() {
    let first = Bench::in_memory();
    let (mut client, thread, strings) = first.running().await;
    let message = add(&mut client, thread, "queued").await;
    strings.say("so f").await;
    assert!(client.fence(thread).await);
    let bench = first.after_a_kill();
    let mut client = bench.client();
    client.resume(thread).await;
    assert!(client.fence(thread).await);
    assert_eq!(waiting(&bench, thread).await, std::slice::from_ref(&message));
    assert_eq!(start(&mut client, thread, None).await, Ok(message.clone()));
    assert_eq!(client.notified::<TurnCompleted>().await.turn.id, message);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_next_start_runs_a_queue_that_nothing_holds() {
    let first = Bench::with(|config| config.orphans.queue = QueueOrphans::Hold);
    let (thread, _) = talked_and_left(&first, &["hello"]).await;
    let message = add(&mut first.client(), thread, "queued").await;
    first.gone(thread).await;
    let bench = first.after_a_kill();
    bench.repair.schedule(1);
    let (services, repair) = (bench.services.clone(), bench.repair.clone());
    repair::run(services, repair, vec![thread], CancellationToken::new()).await;
    bench.gone(thread).await;
    assert_eq!(turns(&bench, thread).await.last().unwrap().0, message);
    assert_eq!(waiting(&bench, thread).await, []);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_ephemeral_thread_has_a_queue_that_ends_with_it() {
    let bench = Bench::in_memory();
    let mut client = bench.client();
    let thread = client.start_ephemeral().await;
    client.input(thread, model::PUPPET);
    let strings = bench.strings().await;
    let message = add(&mut client, thread, "queued").await;
    let seen = bench.services.registry.handle(thread).unwrap().snapshot();
    assert_eq!(seen.queue.iter().map(|message| &message.id).collect::<Vec<_>>(), [&message]);
    strings.end();
    while client.notified::<TurnCompleted>().await.turn.id != message {}
    client.input(thread, model::PUPPET);
    let _strings = bench.strings().await;
    add(&mut client, thread, "never").await;
    client.disconnect();
    bench.gone(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_fork_takes_no_queue_along() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    add(&mut client, thread, "queued").await;
    let params: ThreadForkParams = serde_json::from_value(serde_json::json!({ "threadId": thread })).unwrap();
    let fork = client.fork(params).await.thread.id;
    assert!(client.fence(fork).await);
    assert_eq!(waiting(&bench, fork).await, []);
    assert_eq!(waiting(&bench, thread).await.len(), 1);
    drop(strings);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_a_queue_to_the_next_start() {
    let first = Bench::in_memory();
    let (mut client, thread, strings) = first.running().await;
    let message = add(&mut client, thread, "queued").await;
    first.drain();
    strings.end();
    client.notified::<TurnCompleted>().await;
    let store = first.disk.inner();
    first.finish().await;
    let bench = Bench::on_store(store, |_| {});
    assert_eq!(bench.kinds(thread).await.last().map(String::as_str), Some("thread.closed"));
    let open = bench.services.store.open_markers().await.unwrap();
    assert_eq!(open, [thread]);
    bench.repair.schedule(1);
    repair::run(bench.services.clone(), bench.repair.clone(), open, CancellationToken::new()).await;
    bench.gone(thread).await;
    assert_eq!(turns(&bench, thread).await.last().unwrap().0, message);
    assert_eq!(bench.waiting_open_markers().iter().map(|marker| marker.thread).collect::<Vec<_>>(), [thread]);
    bench.finish().await;
}
