//! Calls of a client's tool: one connection at a time carries them out.

use serde_json::json;
use serde_json::value::to_raw_value;
use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::{ServerRequestResolved, TurnCompleted};
use skein_protocol::turn::TurnStatus;

use super::*;
use crate::outbox::OutboxLimits;
use crate::thread::subscribers::ClientWishes;

/// A client with a thread with the tool `pay`, and another client that has resumed it.
async fn two(bench: &Bench) -> (Client, Client, ThreadId) {
    let mut client = bench.client();
    let pay =
        json!({ "type": "function", "name": "pay", "description": "", "inputSchema": { "type": "object" } });
    let thread = client.start_with(json!({ "dynamicTools": [pay] })).await;
    client.turn(thread, "hello").await;
    let mut other = bench.client();
    other.resume(thread).await;
    (client, other, thread)
}

/// Carries the call out.
fn pay(client: &Client, question: i64) {
    let paid = json!({ "contentItems": [{ "type": "inputText", "text": "paid" }], "success": true });
    client.say_raw(question, Ok(to_raw_value(&paid).unwrap()));
}

fn times_asked(client: &mut Client) -> usize {
    client.count(|message| matches!(message, Message::Question { .. }))
}

#[tokio::test(start_paused = true)]
async fn only_the_client_that_brought_the_tool_carries_out_its_call() {
    let bench = Bench::in_memory();
    let (mut client, mut other, thread) = two(&bench).await;
    client.input(thread, "/call pay");
    let question = client.asked().await;
    assert!(other.fence(thread).await);
    let mut late = bench.client();
    let view = late.resume(thread).await.skein.unwrap();
    assert_eq!(view.pending_requests, [], "it is not theirs to answer");
    pay(&other, question);
    assert!(other.fence(thread).await);
    assert_eq!(client.count(Message::is::<ServerRequestResolved>), 0, "nobody has asked the other");
    client.resume(thread).await;
    assert_eq!(client.asked().await, question, "the client that acts is asked again");
    pay(&client, question);
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    other.notified::<ServerRequestResolved>().await;
    assert_eq!((times_asked(&mut other), times_asked(&mut late)), (0, 0));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_next_client_is_asked_after_an_error_and_the_call_fails_after_the_last() {
    let bench = Bench::in_memory();
    let (mut client, mut other, thread) = two(&bench).await;
    let mut late = bench.client();
    late.resume(thread).await;
    client.input(thread, "/call pay");
    let question = client.asked().await;
    client.say(question, Err("not I"));
    assert_eq!(late.asked().await, question, "who has joined last comes next");
    assert!(other.fence(thread).await);
    assert_eq!(times_asked(&mut other), 0);
    late.say(question, Err("nor I"));
    assert_eq!(other.asked().await, question);
    assert_eq!(client.count(Message::is::<ServerRequestResolved>), 0);
    other.say(question, Err("nor I"));
    client.notified::<ServerRequestResolved>().await;
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_next_client_is_asked_when_the_one_that_was_asked_has_left() {
    let bench = Bench::in_memory();
    let (mut client, mut other, thread) = two(&bench).await;
    client.input(thread, "/call pay");
    let question = client.asked().await;
    client.disconnect();
    assert_eq!(other.asked().await, question);
    let mut back = bench.client();
    back.resume(thread).await;
    assert_eq!(times_asked(&mut back), 0, "another client does it now");
    pay(&other, question);
    other.notified::<TurnCompleted>().await;
    bench.finish().await;
}

fn named(bench: &Bench, name: &str) -> Client {
    let limits = OutboxLimits {
        waiting_bytes: 1 << 24,
        most_bytes: 1 << 26,
        pause_bytes: 1 << 23,
        merge_bytes: 1 << 23,
    };
    bench.client_as(ClientWishes { name: name.to_owned(), ..ClientWishes::default() }, limits)
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_the_call_waits_for_the_client_that_may_have_begun_it() {
    let first = Bench::in_memory();
    let mut page = named(&first, "page");
    let tool =
        json!({ "type": "function", "name": "pay", "description": "", "inputSchema": { "type": "object" } });
    let thread = page.start_with(json!({ "dynamicTools": [tool] })).await;
    page.turn(thread, "hello").await;
    page.input(thread, "/call pay");
    let question = page.asked().await;
    let bench = first.after_a_kill();
    let (mut editor, mut page) = (named(&bench, "editor"), named(&bench, "page"));
    let view = editor.resume(thread).await.skein.unwrap();
    assert_eq!(view.pending_requests, [], "the page may have begun");
    page.resume(thread).await;
    assert_eq!(page.asked().await, question);
    page.disconnect();
    assert!(editor.fence(thread).await);
    assert_eq!(times_asked(&mut editor), 0);
    let mut back = named(&bench, "page");
    back.resume(thread).await;
    assert_eq!(back.asked().await, question);
    back.say(question, Err("not I"));
    assert_eq!(editor.asked().await, question, "the page has done nothing");
    pay(&editor, question);
    assert_eq!(back.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}
