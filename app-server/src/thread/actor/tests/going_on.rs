//! Turns that outlive their server: questions keep their ids, calls are made once or asked about, and the turn goes on.

mod drains;
mod ends;
mod parks;
mod starts;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use skein_config::{RestartTurns, ServerConfig};
use skein_helpers::testing::{Fakes, Tools};
use skein_helpers::{HelperSpec, Isolation};
use skein_protocol::ids::{RequestId, ThreadId, TurnId};
use skein_protocol::item::{DynamicToolCallStatus, McpToolCallStatus, ThreadItem, ThreadItemBody};
use skein_protocol::notifications::{
    ItemCompleted, ServerRequestResolved, ThreadClosed, ThreadStatusChanged, TurnCompleted, TurnStarted,
};
use skein_protocol::thread::{ThreadActiveFlag, ThreadResumeResponse, ThreadStatus};
use skein_protocol::turn::{Turn, TurnStatus};
use skein_store::rollout::RolloutStore;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::repair;
use crate::thread::command::Edit;
use crate::thread::event::Force;

const WRITES: &str = "remove";
const READS: &str = "look";

/// A server with one helper. Its tools need the user's consent each time.
fn with_helper(first: Option<&Bench>) -> (Bench, Fakes) {
    match first {
        Some(first) => Bench::on_store(first.disk.inner(), settings),
        None => Bench::with(settings),
    }
    .with_fakes(tools("as before"))
}

fn settings(config: &mut ServerConfig) {
    let mut spec = HelperSpec { isolation: Isolation::Thread, ..HelperSpec::new("helper", "program") };
    let prompt = serde_json::from_value(json!("prompt")).unwrap();
    spec.tool_approvals = [WRITES, READS].map(|tool| (tool.to_owned(), prompt)).into();
    config.helpers = BTreeMap::from([(spec.name.clone(), spec)]);
}

fn tools(description: &str) -> Tools {
    let tool = |name: &str, reads: bool| {
        let annotations = json!({ "readOnlyHint": reads });
        let tool = json!({
            "name": name, "description": description, "inputSchema": {}, "annotations": annotations,
        });
        (name.to_owned(), serde_json::from_value(tool).unwrap())
    };
    [tool(WRITES, false), tool(READS, true)].into()
}

fn call(tool: &str) -> String {
    format!("/tool helper {tool} {{\"path\":\"a\"}}")
}

/// The params of this question, at this client.
fn params(client: &Client, question: i64) -> Value {
    let asked = client.log.iter().rev().find_map(|message| match message {
        Message::Question { id, params, .. } if *id == question => Some(params.clone()),
        Message::Question { .. } | Message::Answer { .. } | Message::Notice { .. } => None,
    });
    asked.expect("the question")
}

fn answer(client: &Client, question: i64, action: &str) {
    client.say_raw(question, Ok(to_raw_value(&json!({ "action": action })).unwrap()));
}

/// The turns of a resume.
fn last_turn(resumed: &ThreadResumeResponse) -> &Turn {
    resumed.thread.turns.last().expect("a turn")
}

fn helper_call(items: &[ThreadItem]) -> (McpToolCallStatus, Option<String>) {
    let call = items.iter().find_map(|item| {
        let ThreadItemBody::McpToolCall(call) = &item.body else { return None };
        Some(call)
    });
    let call = call.expect("a call of a helper");
    (call.status, call.error.as_ref().map(|error| error.message.clone()))
}

fn text_of(item: &ThreadItem) -> Option<&str> {
    let ThreadItemBody::AgentMessage(message) = &item.body else { return None };
    Some(&message.text)
}

/// The last text that the model has said.
fn words(client: &Client) -> String {
    let items = client.log.iter().filter_map(Message::params::<ItemCompleted>);
    let mut texts = items.filter_map(|done| {
        let ThreadItemBody::AgentMessage(message) = done.item.body else { return None };
        Some(message.text)
    });
    texts.next_back().expect("an answer")
}

/// Waits until the turn has ended. Returns its end and its items.
async fn ended(client: &mut Client, thread: ThreadId) -> (TurnStatus, Vec<ThreadItem>) {
    let turn = client.notified::<TurnCompleted>().await.turn;
    let resumed = client.resume(thread).await;
    (turn.status, last_turn(&resumed).items.clone())
}

/// A client whose new thread waits for the answer to this question.
async fn asking(bench: &Bench, input: &str) -> (Client, ThreadId, i64) {
    let (mut client, thread) = bench.materialised().await;
    client.input(thread, input);
    let question = client.asked().await;
    (client, thread, question)
}

/// A server that was killed while this thread waited for the answer to this question.
async fn killed_while(input: &str) -> (Bench, Fakes, ThreadId, i64, Value) {
    let (bench, fakes) = with_helper(None);
    let (client, thread, question) = asking(&bench, input).await;
    let params = params(&client, question);
    (bench, fakes, thread, question, params)
}

#[tokio::test(start_paused = true)]
async fn a_question_is_put_again_after_a_kill_under_its_id_and_the_same_turn_goes_on() {
    let (first, _fakes, thread, question, before) = killed_while(&call(WRITES)).await;
    let (bench, mut fakes) = with_helper(Some(&first));
    let mut client = bench.client();
    let resumed = client.resume(thread).await;
    let (turn, status) = (last_turn(&resumed).clone(), resumed.thread.status.clone());
    assert_eq!(turn.status, TurnStatus::InProgress);
    assert_eq!(status, ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnApproval] });
    assert_eq!(resumed.skein.unwrap().pending_requests, [RequestId::Integer(question)]);
    assert_eq!(client.asked().await, question);
    assert_eq!(params(&client, question), before);
    assert_eq!(fakes.reached(), [] as [Value; 0]);
    answer(&client, question, "accept");
    let (status, items) = ended(&mut client, thread).await;
    assert_eq!((status, helper_call(&items).0), (TurnStatus::Completed, McpToolCallStatus::Completed));
    assert_eq!(fakes.reached().len(), 1);
    assert!(!words(&client).is_empty(), "the model reads the result");
    let ends = client.log.iter().filter_map(Message::params::<TurnCompleted>);
    assert!(ends.into_iter().all(|end| end.turn.id == turn.id));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_kill_ends_the_call_or_the_turn() {
    for (action, status) in [("decline", TurnStatus::Completed), ("cancel", TurnStatus::Interrupted)] {
        let (first, _fakes, thread, question, _) = killed_while(&call(WRITES)).await;
        let (bench, mut fakes) = with_helper(Some(&first));
        let mut client = bench.client();
        client.resume(thread).await;
        assert_eq!(client.asked().await, question);
        answer(&client, question, action);
        let (ended, items) = ended(&mut client, thread).await;
        assert_eq!((ended, helper_call(&items).0), (status, McpToolCallStatus::Failed), "{action}");
        assert_eq!(fakes.reached().len(), 0);
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_has_changed_meanwhile_is_asked_about_anew() {
    let (first, _fakes, thread, question, _) = killed_while(&call(WRITES)).await;
    let (bench, mut fakes) = with_helper(Some(&first));
    fakes.list(tools("another tool now"));
    let mut client = bench.client();
    client.resume(thread).await;
    client.asked().await;
    answer(&client, question, "accept");
    let anew = client.asked().await;
    assert!(anew > question, "under a new id");
    assert_eq!(fakes.reached().len(), 0);
    answer(&client, anew, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(fakes.reached().len(), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_deny_or_allow_the_call_meanwhile_decide_instead_of_the_user() {
    for (mode, status, reached) in
        [("deny", McpToolCallStatus::Failed, 0), ("approve", McpToolCallStatus::Completed, 1)]
    {
        let (first, _fakes, thread, question, _) = killed_while(&call(WRITES)).await;
        let tune = |config: &mut ServerConfig| {
            settings(config);
            let spec = config.helpers.get_mut("helper").unwrap();
            spec.tool_approvals.insert(WRITES.to_owned(), serde_json::from_value(json!(mode)).unwrap());
        };
        let (bench, mut fakes) = Bench::on_store(first.disk.inner(), tune).with_fakes(tools("as before"));
        let mut client = bench.client();
        let resumed = client.resume(thread).await;
        assert_eq!(resumed.skein.unwrap().pending_requests, [], "{mode}");
        let (ended, items) = ended(&mut client, thread).await;
        assert_eq!((ended, helper_call(&items).0), (TurnStatus::Completed, status), "{mode}");
        assert_eq!(fakes.reached().len(), reached, "{mode}");
        assert_eq!(client.count(|message| matches!(message, Message::Question { .. })), 0);
        assert_eq!(bench.services.questions.thread(question), None);
        bench.finish().await;
    }
}

/// A server that was killed while a helper worked on a call that the user had allowed.
async fn killed_in_a_call(tool: &str) -> (Bench, Fakes, ThreadId) {
    let (bench, fakes) = with_helper(None);
    let (mut client, thread, question) = asking(&bench, &call(tool)).await;
    fakes.fall_silent();
    answer(&client, question, "accept");
    client.notified::<ServerRequestResolved>().await;
    assert!(client.fence(thread).await);
    let kinds = bench.kinds(thread).await;
    assert_eq!(kinds.last().map(String::as_str), Some("call.begun"), "{kinds:?}");
    (bench, fakes, thread)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_been_done_is_asked_about_and_not_repeated_silently() {
    for (action, status, reached) in [
        ("accept", McpToolCallStatus::Completed, 1),
        ("decline", McpToolCallStatus::Failed, 0),
        ("cancel", McpToolCallStatus::Failed, 0),
    ] {
        let (first, _fakes, thread) = killed_in_a_call(WRITES).await;
        let (bench, mut fakes) = with_helper(Some(&first));
        let mut client = bench.client();
        client.resume(thread).await;
        let question = client.asked().await;
        let asked = params(&client, question);
        assert_eq!(asked["_meta"]["skein"]["mayHaveRun"], true, "{asked}");
        assert_eq!(asked["_meta"]["skein"]["attempt"], 1);
        assert_eq!(asked["_meta"]["persist"], Value::Null, "an answer holds for this call only");
        assert_eq!(asked["_meta"]["tool_params"], json!({ "path": "a" }));
        assert_eq!(fakes.reached().len(), 0);
        answer(&client, question, action);
        let (ended, items) = ended(&mut client, thread).await;
        let (found, error) = helper_call(&items);
        assert_eq!((found, fakes.reached().len()), (status, reached), "{action}");
        assert_eq!(ended == TurnStatus::Interrupted, action == "cancel");
        assert_eq!(error.is_some_and(|error| error.contains("may have been done")), action == "decline");
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_about_a_call_in_doubt_allows_no_later_call() {
    let (first, _fakes, thread) = killed_in_a_call(WRITES).await;
    // An answer about a call of this tool could last for the session.
    let tune = |config: &mut ServerConfig| {
        settings(config);
        config.helpers.get_mut("helper").unwrap().tool_approvals.clear();
    };
    let (bench, mut fakes) = Bench::on_store(first.disk.inner(), tune).with_fakes(tools("as before"));
    let mut client = bench.client();
    client.resume(thread).await;
    let doubt = client.asked().await;
    let lasting = json!({ "action": "accept", "_meta": { "persist": "session" } });
    client.say_raw(doubt, Ok(to_raw_value(&lasting).unwrap()));
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    client.input(thread, &call(WRITES));
    let question = client.asked().await;
    assert_eq!(params(&client, question)["_meta"]["persist"], json!(["session", "always"]), "it could last");
    assert_eq!(fakes.reached().len(), 1);
    answer(&client, question, "decline");
    client.notified::<TurnCompleted>().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_only_reads_is_made_again_without_a_question() {
    let (first, _fakes, thread) = killed_in_a_call(READS).await;
    let (bench, mut fakes) = with_helper(Some(&first));
    let mut client = bench.client();
    client.resume(thread).await;
    let (status, items) = ended(&mut client, thread).await;
    assert_eq!((status, helper_call(&items).0), (TurnStatus::Completed, McpToolCallStatus::Completed));
    assert_eq!(fakes.reached().len(), 1);
    assert_eq!(client.count(|message| matches!(message, Message::Question { .. })), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn where_the_policy_forbids_questions_a_call_in_doubt_is_not_made_again() {
    let (first, _fakes, thread) = killed_in_a_call(WRITES).await;
    let mut client = first.client();
    client.resume(thread).await;
    let params = json!({ "threadId": thread, "approvalPolicy": "never" });
    let update = serde_json::from_value(params).unwrap();
    let request = client.edit(thread, |reply| Edit::Settings(update, reply));
    client.answer::<Value>(request).await.unwrap();
    let (bench, mut fakes) = with_helper(Some(&first));
    let mut client = bench.client();
    client.resume(thread).await;
    let (status, items) = ended(&mut client, thread).await;
    let (call, error) = helper_call(&items);
    assert_eq!((status, call), (TurnStatus::Completed, McpToolCallStatus::Failed));
    assert!(error.is_some_and(|error| error.contains("may have been done")));
    assert_eq!(fakes.reached().len(), 0);
    assert_eq!(client.count(|message| matches!(message, Message::Question { .. })), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_policy_of_a_resume_does_not_hold_for_a_turn_that_goes_on() {
    let (first, _fakes, thread) = killed_in_a_call(WRITES).await;
    let tune = |config: &mut ServerConfig| {
        settings(config);
        config.approval_policy = serde_json::from_value(json!("never")).unwrap();
    };
    let (bench, mut fakes) = Bench::on_store(first.disk.inner(), tune).with_fakes(tools("as before"));
    let mut client = bench.client();
    client.resume_with_settings(thread, json!({ "approvalPolicy": "never" })).await;
    assert!(client.asked().await > 0, "the policy of the turn is that of its thread");
    assert_eq!(fakes.reached().len(), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_helper_gets_the_answer_to_its_question_once_that_is_on_disk() {
    let (bench, mut fakes) = with_helper(None);
    let (mut client, thread) = bench.materialised().await;
    client.input(thread, &format!("/tool helper {WRITES} {{\"ask\":\"sure?\"}}"));
    let consent = client.asked().await;
    answer(&client, consent, "accept");
    let question = client.asked().await;
    assert_eq!(params(&client, question)["message"], "sure?");
    assert_eq!(fakes.reached().len(), 1, "the call");
    bench.disk.hold_appends();
    answer(&client, question, "accept");
    assert!(client.fence(thread).await);
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(fakes.reached(), Vec::<Value>::new(), "the answer is not on disk");
    bench.disk.release_appends();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(fakes.reached(), [json!({ "action": "accept" })]);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn parallel_calls_go_on_each_from_its_own_state() {
    let (bench, mut fakes) = with_helper(None);
    let (mut client, thread) = bench.materialised().await;
    client.input(thread, &format!("{}\n{}", call(WRITES), call(READS)));
    let (one, two) = (client.asked().await, client.asked().await);
    let of_reads = if params(&client, one)["_meta"]["tool_name"] == READS { one } else { two };
    let of_writes = if of_reads == one { two } else { one };
    answer(&client, of_reads, "accept");
    client.notified::<ServerRequestResolved>().await;
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(fakes.reached().len(), 1, "one of them is done");
    let (bench, mut fakes) = with_helper(Some(&bench));
    let mut client = bench.client();
    let resumed = client.resume(thread).await;
    assert_eq!(resumed.skein.unwrap().pending_requests, [RequestId::Integer(of_writes)]);
    client.asked().await;
    answer(&client, of_writes, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(fakes.reached().len(), 1, "and the other one is made once");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_users_words_and_a_clients_tool_are_waited_for_over_a_kill() {
    let first = Bench::in_memory();
    let (_client, thread, question) = asking(&first, "/ask who?").await;
    let bench = first.after_a_kill();
    let mut client = bench.client();
    client.resume(thread).await;
    assert_eq!(client.asked().await, question);
    client.say(question, Ok("me"));
    let (status, items) = ended(&mut client, thread).await;
    let said: Vec<&str> = items.iter().filter_map(text_of).collect();
    assert_eq!(
        (status, said),
        (TurnStatus::Completed, vec!["me"]),
        "the message that has asked is the answer"
    );

    let pay =
        json!({ "type": "function", "name": "pay", "description": "", "inputSchema": { "type": "object" } });
    let thread = client.start_with(json!({ "dynamicTools": [pay] })).await;
    client.turn(thread, "hello").await;
    client.input(thread, "/call pay");
    let question = client.asked().await;
    let last = bench.after_a_kill();
    let mut client = last.client();
    client.resume(thread).await;
    assert_eq!(client.asked().await, question);
    client.carries_out(question, "paid");
    let (status, items) = ended(&mut client, thread).await;
    let done = items.iter().any(|item| {
        let ThreadItemBody::DynamicToolCall(call) = &item.body else { return false };
        call.status == DynamicToolCallStatus::Completed
    });
    assert!(done && status == TurnStatus::Completed, "{items:?}");
    assert_eq!(words(&client), "paid");
    last.finish().await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_waits_can_be_interrupted_steered_and_archived_after_a_kill() {
    let (first, _fakes, thread, question, _) = killed_while(&call(WRITES)).await;
    let (bench, _fakes) = with_helper(Some(&first));
    let mut client = bench.client();
    let turn = last_turn(&client.resume(thread).await).id.clone();
    assert_eq!(client.asked().await, question);
    client.input(thread, "and be quick");
    client.interrupt(thread, &turn);
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Interrupted);
    assert_eq!(client.count(Message::is::<ServerRequestResolved>), 1);
    client.turn(thread, "again").await;
    bench.finish().await;

    let (first, _fakes, thread, question, _) = killed_while(&call(WRITES)).await;
    let (bench, _fakes) = with_helper(Some(&first));
    let mut client = bench.client();
    let archived = client.archive(thread);
    client.answer::<Value>(archived).await.unwrap();
    bench.gone(thread).await;
    assert_eq!(bench.services.questions.thread(question), None);
    let page = bench.kinds(thread).await;
    assert!(page.iter().any(|kind| kind == "archived"), "{page:?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_turn_that_waits_after_a_kill_is_a_steer() {
    let (first, _fakes, thread, question, _) = killed_while(&call(WRITES)).await;
    let (bench, _fakes) = with_helper(Some(&first));
    let mut client = bench.client();
    let turn: TurnId = last_turn(&client.resume(thread).await).id.clone();
    client.asked().await;
    client.input(thread, "and be quick");
    let said = client.notified::<ItemCompleted>().await;
    assert_eq!(said.turn_id, turn);
    answer(&client, question, "accept");
    let (status, items) = ended(&mut client, thread).await;
    assert_eq!((status, helper_call(&items).0), (TurnStatus::Completed, McpToolCallStatus::Completed));
    assert!(words(&client).contains("and be quick"), "the model reads it");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_turn_that_goes_on_is_read_once_and_behind_the_results() {
    let (first, _fakes) = with_helper(None);
    let mut client = first.client();
    let thread = client.start_with(json!({ "modelProvider": model::LISTENER, "model": "any" })).await;
    client.input(thread, &call(WRITES));
    let question = client.asked().await;
    let (bench, _fakes) = with_helper(Some(&first));
    let mut client = bench.client();
    client.resume(thread).await;
    client.asked().await;
    let steer = client.input(thread, "and be quick");
    client.answer::<Value>(steer).await.unwrap();
    answer(&client, question, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    let read: Vec<String> =
        bench.listener.last_asked().history.iter().map(|entry| format!("{entry:?}")).collect();
    let steers = read.iter().filter(|entry| entry.contains("and be quick")).count();
    assert_eq!((steers, bench.listener.times_asked()), (1, 1), "{read:#?}");
    assert!(read.last().unwrap().contains("and be quick"), "{read:#?}");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_helpers_that_a_client_has_named_are_there_for_a_turn_that_goes_on() {
    let (first, _fakes) = Bench::in_memory().with_fakes(tools("as before"));
    let mut client = first.client();
    let helper = json!({ "command": "/bin/true", "default_tools_approval_mode": "prompt" });
    let config = json!({ "mcp_servers": { "helper": helper } });
    let thread = client.start_with_config(json!({}), config).await;
    client.input(thread, &call(WRITES));
    let question = client.asked().await;
    let (bench, mut fakes) = first.after_a_kill().with_fakes(tools("as before"));
    let mut client = bench.client();
    client.resume(thread).await;
    assert_eq!(client.asked().await, question);
    answer(&client, question, "accept");
    let (status, items) = ended(&mut client, thread).await;
    assert_eq!((status, helper_call(&items).0), (TurnStatus::Completed, McpToolCallStatus::Completed));
    assert_eq!(fakes.reached().len(), 1);
    bench.finish().await;
}
