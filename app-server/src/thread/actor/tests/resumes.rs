//! Resumes during a turn: the text in the answer and the deltas behind it have each piece once.

use std::time::Duration;

use serde_json::json;
use skein_protocol::event::AgentMessageDeltaNotification;
use skein_protocol::ids::ThreadId;
use skein_protocol::item::{ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ItemCompleted, ThreadSettingsUpdated, TurnCompleted,
};
use skein_protocol::settings::{AskForApproval, SandboxPolicy};
use skein_protocol::thread::ThreadResumeResponse;
use skein_store::rollout::file::fault::Op;

use super::*;
use crate::policy;
use crate::thread::outgoing::{Notice, Outgoing};

/// The agent's last message, as a client shows it after this answer.
fn shown(response: &ThreadResumeResponse, client: &Client) -> String {
    let open = response.thread.turns.last().and_then(|turn| turn.items.last());
    let mut text = open.and_then(agent_text).unwrap_or_default();
    let answer = client.log.iter().position(|m| matches!(m, Message::Answer { .. })).unwrap();
    let deltas = client.log[answer..].iter().filter_map(Message::params::<ItemAgentMessageDelta>);
    deltas.for_each(|delta| text.push_str(&delta.delta));
    text
}

fn agent_text(item: &ThreadItem) -> Option<String> {
    let ThreadItemBody::AgentMessage(message) = &item.body else { return None };
    Some(message.text.clone())
}

async fn last_text(client: &mut Client) -> String {
    client.notified::<TurnCompleted>().await;
    client
        .log
        .iter()
        .rev()
        .filter_map(Message::params::<ItemCompleted>)
        .find_map(|d| agent_text(&d.item))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_resume_in_mid_turn_has_the_text_so_far_and_later_deltas_continue_it() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    strings.say("one ").await;
    strings.say("two ").await;
    client.take("a delta", |m| m.params::<ItemAgentMessageDelta>().is_some_and(|d| d.delta == "two ")).await;
    let mut late = bench.client();
    let response = late.resume(thread).await;
    strings.say("three").await;
    strings.end();
    assert_eq!(last_text(&mut late).await, "one two three");
    assert_eq!(shown(&response, &late), "one two three");
    assert!(agent_text(response.thread.turns.last().unwrap().items.last().unwrap()).is_some());
    bench.finish().await;
}

/// Resumes at every point of a stream of 200 deltas, while the disk is held now and then.
#[tokio::test(start_paused = true)]
async fn nothing_is_shown_twice_and_nothing_is_missing_also_when_the_disk_is_slow() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.materialised().await;
    bench.disk.hold_appends();
    client.input(thread, model::PUPPET);
    let strings = bench.strings().await;
    let mut whole = String::new();
    let mut late: Vec<(Client, i64)> = Vec::new();
    for number in 0..200 {
        let text = format!("{number} ");
        strings.say(&text).await;
        whole.push_str(&text);
        if number % 10 == 0 {
            let mut resumed = bench.client();
            let request = resumed.ask_resume(thread, crate::thread::subscribers::Role::Subscriber);
            late.push((resumed, request));
        }
        match number {
            60 | 130 => bench.disk.release_appends(),
            100 => bench.disk.hold_appends(),
            _ => {}
        }
    }
    strings.end();
    for (mut resumed, request) in late {
        let response = resumed.answer::<ThreadResumeResponse>(request).await.unwrap();
        assert_eq!(last_text(&mut resumed).await, whole);
        assert_eq!(shown(&response, &resumed), whole);
    }
    assert_eq!(last_text(&mut client).await, whole);
    bench.finish().await;
}

#[tokio::test]
async fn deltas_behind_a_held_write_are_shown_once_to_who_was_there_and_who_comes() {
    let bench = Bench::on_files();
    let (mut client, thread) = bench.materialised().await;
    bench.layer.hold(Op::Sync);
    client.input(thread, model::PUPPET);
    let strings = bench.strings().await;
    strings.say("in the ").await;
    let mut late = bench.client();
    let request = late.ask_resume(thread, crate::thread::subscribers::Role::Subscriber);
    strings.say("meantime").await;
    assert!(client.fence(thread).await);
    assert_eq!(late.received().len(), 0, "answered before what it shows is on disk");
    bench.layer.release(Op::Sync);
    let response = late.answer::<ThreadResumeResponse>(request).await.unwrap();
    strings.end();
    last_text(&mut late).await;
    assert_eq!(shown(&response, &late), "in the meantime");
    bench.finish().await;
}

/// A whole history in an answer.
#[tokio::test(start_paused = true)]
async fn a_resume_of_a_stored_thread_shows_its_turns() {
    let bench = Bench::in_memory();
    let thread: ThreadId = bench.stored().await;
    let response = bench.client().resume(thread).await;
    assert_eq!(response.thread.id, thread);
    let texts: Vec<String> = response.thread.turns[0].items.iter().filter_map(agent_text).collect();
    assert_eq!(texts, ["hello"]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_a_slow_disk_waits_for_it_while_commands_are_answered() {
    let bench = Bench::in_memory();
    let (mut client, thread, strings) = bench.running().await;
    bench.disk.hold_appends();
    let mut pieces = 0;
    // The clock stands still while the turn takes deltas.
    while tokio::time::timeout(Duration::from_secs(1), strings.say("x")).await.is_ok() {
        pieces += 1;
    }
    assert!(client.fence(thread).await, "the owner waits for the disk");
    bench.disk.release_appends();
    strings.end();
    assert_eq!(last_text(&mut client).await.len(), pieces);
    let piece = client.log.iter().rev().find_map(Message::params::<ItemAgentMessageDelta>).unwrap();
    let piece = AgentMessageDeltaNotification { delta: "x".to_owned(), ..piece };
    let piece = Notice::text(piece, bench.services.clock.wall());
    let most = policy::PUBLICATIONS_WAITING / Outgoing::Notify(piece).bytes();
    // Those of the model and of the turn's reports wait behind them.
    let queues = policy::TURN_REPORTS + skein_turn::policy::MODEL_EVENTS + 16;
    assert!((most - 16..most + queues).contains(&pieces), "{pieces}, of which about {most} are publications");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_a_resume_names_is_taken_from_the_servers_own() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    let mut client = bench.client();
    let here = client.resume_with_settings(thread, json!({ "cwd": "beside" })).await.cwd;
    assert_eq!(std::path::Path::new(&here), std::env::current_dir().unwrap().join("beside"));
    bench.finish().await;
}

/// The params of a client with the policy that allows everything.
fn lax() -> serde_json::Value {
    json!({ "approvalPolicy": "never", "sandbox": "danger-full-access" })
}

#[tokio::test(start_paused = true)]
async fn a_resume_of_a_thread_in_use_changes_no_settings_and_is_answered_with_those_in_force() {
    let bench = Bench::in_memory();
    let mut client = bench.client();
    let strict = json!({ "approvalPolicy": "untrusted", "sandbox": "read-only" });
    let thread = client.start_with(strict).await;
    let resumed = bench.client().resume_with_settings(thread, lax()).await;
    assert_eq!(resumed.approval_policy, AskForApproval::Untrusted, "the thread is idle");
    client.turn(thread, "hello").await;
    client.input(thread, model::PUPPET);
    let strings = bench.strings().await;
    let resumed = bench.client().resume_with_settings(thread, lax()).await;
    assert_eq!(resumed.approval_policy, AskForApproval::Untrusted, "a turn runs");
    assert_eq!(resumed.sandbox, SandboxPolicy::ReadOnly { network_access: false });
    strings.end();
    client.notified::<TurnCompleted>().await;
    assert_eq!(client.count(Message::is::<ThreadSettingsUpdated>), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_resume_of_a_load_names_the_settings_and_those_that_join_it_do_not() {
    let bench = Bench::in_memory();
    let thread = bench.stored().await;
    bench.disk.hold_loads();
    let (mut first, mut second) = (bench.client(), bench.client());
    let of_first = first.ask_resume_with_settings(thread, json!({ "approvalPolicy": "untrusted" }));
    let of_second = second.ask_resume_with_settings(thread, lax());
    bench.disk.release_loads();
    for (client, request) in [(&mut first, of_first), (&mut second, of_second)] {
        let resumed: ThreadResumeResponse = client.answer(request).await.unwrap();
        assert_eq!(resumed.approval_policy, AskForApproval::Untrusted);
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_only_a_rename_has_loaded_takes_the_settings_of_a_resume() {
    let bench = Bench::with(|config| config.unload.grace = Duration::from_hours(1));
    let thread = bench.stored().await;
    let mut client = bench.client();
    let name = client.set_name(thread, "renamed");
    client.answer::<serde_json::Value>(name).await.unwrap();
    let resumed = client.resume_with_settings(thread, json!({ "approvalPolicy": "untrusted" })).await;
    assert_eq!(resumed.approval_policy, AskForApproval::Untrusted);
    bench.finish().await;
}
