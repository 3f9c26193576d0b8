//! Turns: answers, steers, interrupts and panics.

use serde_json::json;
use skein_config::{ModelConfig, ServerConfig};
use skein_protocol::item::ThreadItemBody;
use skein_protocol::methods::ThreadResume;
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ItemCompleted, ItemStarted, TurnCompleted, TurnStarted, Warning,
};
use skein_protocol::table::Method;
use skein_protocol::turn::{TurnStartResponse, TurnStatus};

use super::model::PANIC;
use super::*;
use crate::reload;
use crate::thread::actor::Owner;
use crate::thread::event::Force;
use crate::thread::machine::Persistence;
use crate::thread::registry::Claim;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_turns_start_goes_before_its_first_notification() {
    let bench = Bench::in_memory().in_real_time();
    let (mut client, thread) = bench.materialised().await;
    for number in 0..1_000 {
        client.received();
        let before = client.log.len();
        let request = client.input(thread, "quick");
        client.notified::<TurnCompleted>().await;
        assert!(client.log[before].answers(request), "turn {number}: {:?}", client.log[before]);
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_steer_is_an_item_of_the_running_turn_and_reaches_the_model() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    let running = client.notified::<TurnStarted>().await.turn.id;
    let request = client.input(thread, "and this");
    assert_eq!(client.answer::<TurnStartResponse>(request).await.unwrap().turn.id, running);
    let completed = client.notified::<TurnCompleted>().await;
    assert_eq!((completed.turn.id, completed.turn.status), (running.clone(), TurnStatus::Completed));
    let shown: Vec<String> = texts(&client, &running);
    assert_eq!(shown, [model::PUPPET, "and this", "and this"], "asked, added, echoed");
    assert!(strings.is_cut());
    bench.finish().await;
}

/// The texts of a turn's completed messages, the user's and the agent's.
fn texts(client: &Client, turn: &skein_protocol::ids::TurnId) -> Vec<String> {
    let items = client.log.iter().filter_map(Message::params::<ItemCompleted>);
    let items = items.filter(|done| done.turn_id == *turn);
    let texts = items.filter_map(|done| {
        if let ThreadItemBody::UserMessage(message) = &done.item.body {
            return message.content[0].as_text().map(str::to_owned);
        }
        let ThreadItemBody::AgentMessage(message) = done.item.body else { return None };
        Some(message.text)
    });
    texts.collect()
}

#[tokio::test(start_paused = true)]
async fn a_steer_that_comes_when_the_turn_takes_no_more_becomes_the_next_turn() {
    let bench = Bench::in_memory();
    let mut client = bench.client();
    let thread = bench.stored().await;
    let Claim::Claimed(slot) = bench.services.registry.claim(thread, Persistence::Durable) else {
        panic!("the thread has an owner")
    };
    // The test drives the owner by hand, so that nothing happens in between.
    let mut owner = Owner::new(std::sync::Arc::clone(&bench.services), *slot);
    let resume = client.resume_command(thread);
    owner.claimed_by(resume);
    step(&mut owner).await;
    let (first, command) = client.input_command(thread, model::PUPPET, None);
    owner.command(command);
    let strings = bench.strings().await;
    let before = bench.services.tasks.count();
    strings.end();
    while bench.services.tasks.count() == before {
        tokio::task::yield_now().await;
    }
    // The turn's task has ended, and its last reports wait for the owner. This comes in between.
    let (second, command) = client.input_command(thread, "too late", None);
    owner.command(command);
    while client.count(Message::is::<TurnCompleted>) < 2 {
        step(&mut owner).await;
    }
    let first = client.answer::<TurnStartResponse>(first).await.unwrap().turn.id;
    let second = client.answer::<TurnStartResponse>(second).await.unwrap().turn.id;
    assert_ne!(first, second);
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    let completed = client.notified::<TurnCompleted>().await;
    assert_eq!((completed.turn.id, completed.turn.status), (second, TurnStatus::Completed));
}

async fn step(owner: &mut Owner) {
    let wakeup = tokio::time::timeout(SOON, owner.next()).await.expect("something for the owner to do");
    owner.handle(wakeup);
    owner.send(crate::thread::actor::log::Send::Ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_is_never_lost_however_close_to_the_end_of_a_turn_it_comes() {
    let bench = Bench::in_memory().in_real_time();
    let (mut client, thread) = bench.started().await;
    for number in 0..500 {
        let text = format!("late-{number}");
        client.input(thread, "early");
        for _ in 0..number % 25 {
            tokio::task::yield_now().await;
        }
        let late = client.input(thread, &text);
        let turn = client.answer::<TurnStartResponse>(late).await.unwrap().turn.id;
        let echoed = |message: &Message| {
            message.params::<ItemCompleted>().is_some_and(
                |done| matches!(done.item.body, ThreadItemBody::AgentMessage(message) if message.text == text),
            )
        };
        client.take("the echo of what came late", echoed).await;
        loop {
            let completed = client.notified::<TurnCompleted>().await.turn;
            assert_eq!(completed.status, TurnStatus::Completed, "{:?}", completed.error);
            if completed.id == turn {
                break;
            }
        }
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_the_turn_with_the_text_so_far() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    strings.say("so far").await;
    client.take("the delta", Message::is::<ItemAgentMessageDelta>).await;
    client
        .take("the delta", |m| m.params::<ItemAgentMessageDelta>().is_some_and(|d| d.delta == "so far"))
        .await;
    let other = skein_protocol::ids::TurnId::from("another turn");
    client.interrupt(thread, &other);
    assert!(client.fence(thread).await);
    assert_eq!(client.count(Message::is::<TurnCompleted>), 1, "an interrupt of another turn ends nothing");
    let running = client.notified::<TurnStarted>().await.turn.id;
    client.interrupt(thread, &running);
    let completed = client.notified::<TurnCompleted>().await.turn;
    assert_eq!((&completed.id, completed.status), (&running, TurnStatus::Interrupted));
    assert_eq!(texts(&client, &running), [model::PUPPET, "so far"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_passes_a_full_mailbox() {
    let bench = Bench::in_memory();
    let (mut client, thread, _strings) = bench.running().await;
    let running = client.notified::<TurnStarted>().await.turn.id;
    let asked: Vec<i64> = (0..100).map(|_| client.set_name(thread, "again")).collect();
    client.interrupt(thread, &running);
    client.notified::<TurnCompleted>().await;
    let error = client.answer::<serde_json::Value>(asked[99]).await.unwrap_err();
    assert_eq!(error.code, skein_protocol::error::OVERLOADED);
    assert!(error.data.unwrap().retry_after_ms.is_some());
    client.answer::<serde_json::Value>(asked[0]).await.unwrap();
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_message_begins_one_turn_also_after_a_reload() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let first = client.input_as(thread, "once", Some("m1"));
    let again = client.input_as(thread, "once", Some("m1"));
    let first = client.answer::<TurnStartResponse>(first).await.unwrap().turn.id;
    assert_eq!(client.answer::<TurnStartResponse>(again).await.unwrap().turn.id, first);
    client.notified::<TurnCompleted>().await;
    client.disconnect();
    bench.gone(thread).await;
    let mut client = bench.client();
    client.resume(thread).await;
    let again = client.input_as(thread, "once", Some("m1"));
    assert_eq!(client.answer::<TurnStartResponse>(again).await.unwrap().turn.id, first);
    assert!(client.fence(thread).await);
    assert_eq!(client.count(Message::is::<TurnStarted>), 0);
    let other = client.input_as(thread, "twice", Some("m2"));
    assert_ne!(client.answer::<TurnStartResponse>(other).await.unwrap().turn.id, first);
    client.notified::<TurnCompleted>().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_panics_ends_its_turn_and_nothing_else() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    let failed = client.turn(thread, PANIC).await;
    assert_eq!(failed.turn.status, TurnStatus::Failed);
    assert!(failed.turn.error.is_some());
    assert_eq!(client.turn(thread, "and on").await.turn.status, TurnStatus::Completed);
    assert_eq!(client.count(Message::is::<ItemStarted>), client.count(Message::is::<ItemCompleted>));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn input_for_a_thread_that_is_not_loaded_is_an_error_that_says_to_resume() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut client = bench.client();
    let request = client.input(thread, "hello");
    let error = client.answer::<TurnStartResponse>(request).await.unwrap_err();
    assert_eq!(
        (error.message.as_str(), error.reason()),
        (&*format!("thread not found: {thread}"), "notLoaded")
    );
    assert!(error.to_string().contains(ThreadResume::INFO.wire), "{error}");
    assert_eq!(bench.disk.loads(), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_model_is_warned_of_once_per_load_with_the_setting_for_its_window() {
    let bench = Bench::with(|config| config.every_model.window = None);
    let mut client = bench.client();
    let thread = client.start_with(json!({ "model": "own-model" })).await;
    let warnings = |client: &mut Client| -> Vec<String> {
        client.received();
        let warnings = client.log.iter().filter_map(Message::params::<Warning>);
        warnings.map(|warning| warning.message).collect()
    };
    client.turn(thread, "one").await;
    client.turn(thread, "two").await;
    let received = warnings(&mut client);
    let [warning] = &received[..] else { panic!("{received:?}") };
    for part in ["own-model", "128000", "[models.\"own-model\"]", "context_window", "model_context_window"] {
        assert!(warning.contains(part), "{part} is not in {warning}");
    }
    client.unload(thread, Force::Yes);
    bench.gone(thread).await;
    client.resume(thread).await;
    client.turn(thread, "three").await;
    assert_eq!(warnings(&mut client).len(), 2);
    // The settings name it.
    let mut config = ServerConfig::clone(&bench.services.config());
    config.models.insert("said".to_owned(), ModelConfig { window: Some(9_000), ..ModelConfig::default() });
    reload::take(&bench.services, Ok(config)).unwrap();
    let thread = client.start_with(json!({ "model": "said" })).await;
    client.turn(thread, "four").await;
    assert_eq!(warnings(&mut client).len(), 2);
    bench.finish().await;
}
