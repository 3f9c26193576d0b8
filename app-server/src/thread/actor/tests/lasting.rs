//! A disk that is full or slow for a while, with real files: lists answer, other threads go on, no message is doubled, and
//! clients see the state on disk.

use std::time::Duration;

use skein_protocol::ids::ThreadId;
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::thread::ThreadResumeResponse;
use skein_protocol::turn::{TurnStartResponse, TurnStatus};
use skein_store::index::ThreadFilter;
use skein_store::rollout::file::fault::Lasting;

use super::*;
use crate::thread::event::Force;

/// The threads that a list shows, in the order of their ids.
async fn listed(bench: &Bench) -> Vec<ThreadId> {
    let page = bench.services.index.list(ThreadFilter::default(), None, 100).await.unwrap();
    let mut threads: Vec<ThreadId> = page.rows.iter().map(|row| row.id).collect();
    threads.sort();
    threads
}

/// The turns in the answer of a resume.
fn shown(resumed: &ThreadResumeResponse) -> serde_json::Value {
    serde_json::to_value(&resumed.thread.turns).unwrap()
}

/// How often the history has the user's message.
fn messages(turns: &serde_json::Value) -> usize {
    let items = turns.as_array().into_iter().flatten().filter_map(|turn| turn["items"].as_array()).flatten();
    items.filter(|item| item["type"] == "userMessage" && item["content"][0]["text"] == "words").count()
}

/// Sends a message until the disk takes it.
async fn resent(client: &mut Client, thread: ThreadId) {
    let mut tries = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..1_000 {
        tries.tick().await;
        let request = client.input_as(thread, "words", Some("m-1"));
        match client.answer::<TurnStartResponse>(request).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error.data.unwrap().reason, "notSaved"),
        }
    }
    panic!("the thread does not recover");
}

#[tokio::test]
async fn a_disk_that_stays_full_shows_what_it_has_and_takes_a_message_once_when_there_is_room() {
    let bench = Bench::on_files();
    let stored = bench.stored().await;
    let (mut client, thread) = bench.materialised().await;
    let before = bench.kinds(thread).await;
    let mut threads = [stored, thread];
    threads.sort();
    bench.layer.be(Some(Lasting::Full), "");
    for _ in 0..3 {
        let request = client.input_as(thread, "words", Some("m-1"));
        assert_eq!(client.refusal(request).await, "notSaved");
        let name = client.set_name(thread, "a name");
        assert_eq!(client.refusal(name).await, "notSaved");
    }
    assert_eq!(listed(&bench).await, threads);
    let mut other = bench.client();
    assert_eq!(other.resume(stored).await.thread.turns.len(), 1, "another thread is read");
    assert_eq!(bench.kinds(thread).await, before, "a reader sees what was saved, and no half of a line");

    bench.layer.be(None, "");
    resent(&mut client, thread).await;
    while client.notified::<TurnCompleted>().await.turn.status != TurnStatus::Completed {}
    let warm = shown(&bench.client().resume(thread).await);
    assert_eq!(messages(&warm), 1, "the message stands there once: {warm:#}");
    assert_eq!(other.turn(stored, "on").await.turn.status, TurnStatus::Completed);
    client.unload(thread, Force::Yes);
    bench.gone(thread).await;
    assert_eq!(shown(&bench.client().resume(thread).await), warm, "the disk has the published events");
    assert_eq!(listed(&bench).await, threads);
    bench.finish().await;
}

#[tokio::test]
async fn a_disk_that_is_slow_for_one_thread_keeps_nobody_else_waiting_and_loses_nothing() {
    let bench = Bench::on_files();
    let (mut client, thread) = bench.materialised().await;
    let (mut other, unharmed) = bench.materialised().await;
    let mut threads = [thread, unharmed];
    threads.sort();
    // Longer than any test, so that nothing waits for it.
    bench.layer.be(Some(Lasting::Slow(Duration::from_secs(3_600))), &thread.to_string());
    let request = client.input(thread, "words");
    for text in ["one", "two"] {
        assert_eq!(other.turn(unharmed, text).await.turn.status, TurnStatus::Completed);
    }
    assert_eq!(listed(&bench).await, threads);
    bench.layer.be(Some(Lasting::Slow(Duration::from_millis(20))), "");
    client.answer::<TurnStartResponse>(request).await.unwrap();
    client.notified::<TurnCompleted>().await;
    let completed = client.turn(thread, "more").await;
    assert_eq!((completed.turn.status, completed.skein), (TurnStatus::Completed, None));
    assert_eq!(other.turn(unharmed, "three").await.turn.status, TurnStatus::Completed);
    let warm = shown(&bench.client().resume(thread).await);
    assert_eq!(warm.as_array().unwrap().len(), 3);
    client.unload(thread, Force::Yes);
    bench.gone(thread).await;
    assert_eq!(shown(&bench.client().resume(thread).await), warm, "the disk has the published events");
    bench.layer.be(None, "");
    bench.finish().await;
}
