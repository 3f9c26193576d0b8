//! Text in flight is on disk within a second, each piece once.

use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::{ItemAgentMessageDelta, ItemCompleted, TurnCompleted};
use skein_protocol::turn::{Turn, TurnStatus};

use super::*;
use crate::policy;

fn text(turn: &Turn) -> String {
    let texts = turn.items.iter().filter_map(|item| {
        let ThreadItemBody::AgentMessage(message) = &item.body else { return None };
        Some(message.text.as_str())
    });
    texts.collect()
}

const KIND: &str = "item.checkpoint";

#[tokio::test(start_paused = true)]
async fn after_a_kill_an_interrupted_message_keeps_what_was_read_a_second_before() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    for (written, word) in [(1, "one "), (2, "two ")] {
        strings.say(word).await;
        client.notified::<ItemAgentMessageDelta>().await;
        bench.within("a checkpoint", bench.disk.until_written(KIND, written)).await;
    }
    strings.say("lost").await;
    client.notified::<ItemAgentMessageDelta>().await;
    assert_eq!(bench.disk.count(KIND), 2);
    let after = bench.after_a_kill();
    let response = after.client().resume(thread).await;
    let turn = response.thread.turns.last().unwrap();
    assert_eq!((text(turn).as_str(), turn.status), ("one two ", TurnStatus::Interrupted));
    strings.end();
    client.notified::<TurnCompleted>().await;
    after.finish().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_changes_nothing_for_listeners_and_is_written_only_for_new_text() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    strings.say("one ").await;
    client.notified::<ItemAgentMessageDelta>().await;
    bench.within("a checkpoint", bench.disk.until_written(KIND, 1)).await;
    let more = tokio::time::timeout(policy::CHECKPOINT * 10, bench.disk.until_written(KIND, 2)).await;
    assert!(more.is_err(), "silence was written");
    let response = bench.client().resume(thread).await;
    assert_eq!(text(response.thread.turns.last().unwrap()), "one ");
    strings.say("two").await;
    strings.end();
    client.notified::<TurnCompleted>().await;
    let done = client.log.iter().rev().find_map(Message::params::<ItemCompleted>).unwrap();
    assert!(matches!(done.item.body, ThreadItemBody::AgentMessage(message) if message.text == "one two"));
    bench.finish().await;
}
