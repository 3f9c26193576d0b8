//! Limits of turns, threads and days: no request to a model begins at a limit, and nothing that was used is forgotten.

use std::sync::Arc;

use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use skein_config::ServerConfig;
use skein_protocol::budget::{
    BudgetScope, BudgetState, BudgetUnit, SkeinBudgetSetParams, SkeinBudgetSetResponse, ThreadBudget,
};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::notifications::{
    ServerRequestResolved, ThreadClosed, ThreadTokenUsageUpdated, TurnCompleted, Warning,
};
use skein_protocol::thread::ThreadResumeResponse;
use skein_protocol::turn::{CodexErrorInfo, Turn, TurnStartResponse, TurnStatus};
use skein_provider::{Callee, ModelEvent, TokenUsage, ToolCall};
use skein_store::rollout::record::DaySpent;

use super::*;
use crate::reload;
use crate::thread::command::Edit;
use crate::thread::day;
use tokio_util::sync::CancellationToken;

mod room;
mod summaries;

/// A server whose threads have these limits.
fn bench(first: Option<&Bench>, budget: ThreadBudget) -> Bench {
    let tune = |config: &mut ServerConfig| {
        config.model_provider = model::LISTENER.to_owned();
        config.budget = budget.over(config.budget);
    };
    let bench = match first {
        Some(first) => Bench::on_store(first.disk.inner(), tune),
        None => Bench::with(tune),
    };
    bench.services.day.complete();
    bench
}

fn limit(scope: BudgetScope, most: i64) -> ThreadBudget {
    let most = Some(most);
    let none = ThreadBudget::default();
    match scope {
        BudgetScope::Turn => ThreadBudget { turn_tokens: most, ..none },
        BudgetScope::Thread => ThreadBudget { thread_tokens: most, ..none },
        BudgetScope::Day => ThreadBudget { day_tokens: most, ..none },
        BudgetScope::Rounds => ThreadBudget { turn_rounds: most, ..none },
    }
}

fn without_questions(budget: ThreadBudget) -> ThreadBudget {
    ThreadBudget { ask: Some(false), ..budget }
}

fn usage(input: i64) -> ModelEvent {
    ModelEvent::Usage(TokenUsage { input, ..TokenUsage::default() })
}

fn call() -> ModelEvent {
    ModelEvent::ToolCall(ToolCall::new("1", Callee::Offered("none".into()), "{}"))
}

/// Prepares answers with a call each, of this usage.
fn will_call(bench: &Bench, usages: &[i64]) {
    for used in usages {
        bench.listener.will_say(Ok(vec![call(), usage(*used)]));
    }
}

fn exceeded(turn: &Turn) -> bool {
    let info = turn.error.as_ref().and_then(|error| error.codex_error_info.clone());
    turn.status == TurnStatus::Failed && info == Some(CodexErrorInfo::SessionBudgetExceeded)
}

fn answer(client: &Client, question: i64, action: &str) {
    client.say_raw(question, Ok(to_raw_value(&json!({ "action": action })).unwrap()));
}

fn params(client: &Client, question: i64) -> Value {
    let asked = client.log.iter().rev().find_map(|message| match message {
        Message::Question { id, params, .. } if *id == question => Some(params.clone()),
        Message::Question { .. } | Message::Answer { .. } | Message::Notice { .. } => None,
    });
    asked.expect("the question")
}

async fn set(client: &mut Client, thread: ThreadId, turn_tokens: i64) -> Vec<BudgetState> {
    let params = SkeinBudgetSetParams {
        thread_id: thread,
        turn_tokens: Some(turn_tokens),
        thread_tokens: None,
        turn_rounds: None,
    };
    let request = client.edit(thread, |reply| Edit::Budget(params, reply));
    client.answer::<SkeinBudgetSetResponse>(request).await.unwrap().budget
}

/// A client whose turn waits at the limit of 100 tokens.
async fn at_the_limit(bench: &Bench) -> (Client, ThreadId, i64) {
    will_call(bench, &[60, 60]);
    let (mut client, thread) = bench.started().await;
    client.input(thread, "one");
    let question = client.asked().await;
    (client, thread, question)
}

#[tokio::test(start_paused = true)]
async fn no_request_begins_at_the_limit_of_a_turn_and_the_next_turn_has_its_own() {
    let bench = bench(None, without_questions(limit(BudgetScope::Turn, 100)));
    will_call(&bench, &[60, 60]);
    let (mut client, thread) = bench.started().await;
    let ended = client.turn(thread, "one").await.turn;
    assert!(exceeded(&ended), "{:?}", ended.error);
    let message = ended.error.unwrap().message;
    assert!(message.starts_with("This turn has used 120 of 100 tokens (budget.turn_tokens). "), "{message}");
    assert_eq!(bench.listener.times_asked(), 2);
    assert_eq!(client.turn(thread, "two").await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_user_is_asked_at_a_limit_and_an_accept_adds_it_once_more() {
    let bench = bench(None, limit(BudgetScope::Turn, 100));
    let (mut client, _, question) = at_the_limit(&bench).await;
    let asked = params(&client, question);
    assert_eq!(asked["serverName"], "skein");
    assert_eq!(asked["requestedSchema"]["properties"], json!({}));
    let expected = json!({ "scope": "turn", "limit": 100, "used": 120, "unit": "tokens", "more": 100 });
    assert_eq!(asked["_meta"]["skein"]["budget"], expected);
    assert_eq!(bench.listener.times_asked(), 2, "nothing is asked meanwhile");
    will_call(&bench, &[90]);
    answer(&client, question, "accept");
    let again = client.asked().await;
    let expected = json!({ "scope": "turn", "limit": 200, "used": 210, "unit": "tokens", "more": 100 });
    assert_eq!(params(&client, again)["_meta"]["skein"]["budget"], expected);
    answer(&client, again, "accept");
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn everything_but_an_accept_stops_the_turn() {
    for action in ["decline", "cancel"] {
        let bench = bench(None, limit(BudgetScope::Turn, 100));
        let (mut client, _, question) = at_the_limit(&bench).await;
        answer(&client, question, action);
        let ended = client.notified::<TurnCompleted>().await.turn;
        assert!(exceeded(&ended), "{action}: {ended:?}");
        assert_eq!(bench.listener.times_asked(), 2, "{action}");
        bench.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_cannot_ask_its_user_stops_the_turn() {
    let bench = bench(None, limit(BudgetScope::Turn, 100));
    let (mut client, _, question) = at_the_limit(&bench).await;
    client.say(question, Err("no such request"));
    assert!(exceeded(&client.notified::<TurnCompleted>().await.turn));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_where_the_policy_forbids_questions() {
    let bench = bench(None, limit(BudgetScope::Turn, 100));
    will_call(&bench, &[60, 60]);
    let mut client = bench.client();
    let thread = client.start_with(json!({ "approvalPolicy": "never" })).await;
    assert!(exceeded(&client.turn(thread, "one").await.turn));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_question_outlives_the_server_and_so_does_its_answer() {
    for (action, status) in [("accept", TurnStatus::Completed), ("decline", TurnStatus::Failed)] {
        let first = bench(None, limit(BudgetScope::Turn, 100));
        let (client, thread, question) = at_the_limit(&first).await;
        let before = params(&client, question);
        let second = bench(Some(&first), limit(BudgetScope::Turn, 100));
        let mut client = second.client();
        let resumed = client.resume(thread).await;
        assert_eq!(resumed.skein.unwrap().pending_requests, [RequestId::Integer(question)], "{action}");
        assert_eq!(client.asked().await, question);
        assert_eq!(params(&client, question), before);
        second.drained().await;
        assert_eq!(second.listener.times_asked(), 0, "{action}: the turn waits");
        answer(&client, question, action);
        client.notified::<ServerRequestResolved>().await;
        let ended = client.notified::<TurnCompleted>().await.turn;
        assert_eq!((ended.status, exceeded(&ended)), (status, status == TurnStatus::Failed), "{action}");
        second.finish().await;
        drop(first);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thread_that_waits_at_a_limit_is_parked() {
    let bench = bench(None, limit(BudgetScope::Turn, 100));
    let mut bystander = bench.client();
    let (client, thread, question) = at_the_limit(&bench).await;
    client.disconnect();
    bench.gone(thread).await;
    bystander.notified::<ThreadClosed>().await;
    let (row, _) = bench.services.index.get(thread).await.unwrap().unwrap();
    assert_eq!(row.waiting.iter().map(|waiting| waiting.id).collect::<Vec<_>>(), [question]);
    let mut back = bench.client();
    back.resume(thread).await;
    assert_eq!(back.asked().await, question);
    answer(&back, question, "accept");
    assert_eq!(back.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_answers_the_question() {
    let bench = bench(None, limit(BudgetScope::Turn, 100));
    let (mut client, thread, question) = at_the_limit(&bench).await;
    let budget = set(&mut client, thread, 1_000).await;
    let turn = BudgetState { scope: BudgetScope::Turn, limit: 1_000, used: 120, unit: BudgetUnit::Tokens };
    assert!(budget.contains(&turn), "{budget:?}");
    let resolved = client.notified::<ServerRequestResolved>().await;
    assert_eq!(resolved.request_id, RequestId::Integer(question));
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_in_the_settings_answers_it_too() {
    let bench = bench(None, limit(BudgetScope::Turn, 100));
    let (mut client, _, _) = at_the_limit(&bench).await;
    let mut config = ServerConfig::clone(&bench.services.config());
    config.budget.turn_tokens = Some(0);
    reload::take(&bench.services, Ok(config)).unwrap();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_without_budget_begins_no_turn() {
    let bench = bench(None, limit(BudgetScope::Thread, 100));
    bench.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(150)]));
    let (mut client, thread) = bench.started().await;
    assert_eq!(client.turn(thread, "one").await.turn.status, TurnStatus::Completed);
    let request = client.input(thread, "two");
    assert_eq!(client.refusal(request).await, "budget");
    let request = client.compact(thread);
    assert_eq!(client.refusal(request).await, "budget");
    // The parent has used it.
    let params = serde_json::from_value(json!({ "threadId": thread })).unwrap();
    let fork = client.fork(params).await.thread.id;
    assert_eq!(client.turn(fork, "two").await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_queued_message_waits_for_the_budget_of_its_thread() {
    let bench = bench(None, limit(BudgetScope::Thread, 100));
    bench.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(150)]));
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    queue::add(&mut client, thread, "two").await;
    bench.drained().await;
    assert_eq!(bench.listener.times_asked(), 1);
    let params = SkeinBudgetSetParams {
        thread_id: thread,
        turn_tokens: None,
        thread_tokens: Some(0),
        turn_rounds: None,
    };
    let request = client.edit(thread, |reply| Edit::Budget(params, reply));
    client.answer::<SkeinBudgetSetResponse>(request).await.unwrap();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    assert_eq!(bench.listener.times_asked(), 2);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_usage_never_came_counts_by_its_estimate() {
    let budget = limit(BudgetScope::Thread, 1_000_000);
    let first = bench(None, budget);
    first.listener.will_hang_after(vec![ModelEvent::TextDelta("so".into())]);
    let (mut client, thread) = first.started().await;
    let request = client.input(thread, "one");
    client.answer::<TurnStartResponse>(request).await.unwrap();
    first.within("the answer", first.listener.hangs()).await;
    let estimate = first.listener.last_asked().estimated_tokens();
    assert!(estimate > 0);
    let second = bench(Some(&first), budget);
    let mut client = second.client();
    let resumed = client.resume(thread).await;
    let used = |resumed: ThreadResumeResponse| {
        let budget = resumed.skein.unwrap().budget;
        budget.into_iter().find(|state| state.scope == BudgetScope::Thread).unwrap().used
    };
    let so_far = used(resumed);
    assert!(so_far >= estimate && so_far <= estimate + 10, "{so_far} of about {estimate}");
    // A reported usage takes the place of its estimate.
    second.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(7)]));
    client.turn(thread, "two").await;
    assert_eq!(used(client.resume(thread).await), so_far + 7);
    second.finish().await;
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn the_threads_of_a_day_share_its_limit_also_over_a_restart() {
    let budget = without_questions(limit(BudgetScope::Day, 100));
    let first = bench(None, budget);
    first.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(70)]));
    let (mut client, one) = first.started().await;
    client.turn(one, "one").await;
    let two = client.start_ephemeral().await;
    first.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(50)]));
    assert_eq!(client.turn(two, "two").await.turn.status, TurnStatus::Completed);
    let three = client.start().await;
    let request = client.input(three, "three");
    assert_eq!(client.refusal(request).await, "budget");
    let index = Arc::clone(&first.services.index);
    client.disconnect();
    for thread in [one, three] {
        first.gone(thread).await;
    }
    let tune = |config: &mut ServerConfig| {
        config.model_provider = model::LISTENER.to_owned();
        config.budget = budget.over(config.budget);
    };
    let second = Bench::on_store(first.disk.inner(), tune).with_index(index);
    let (mut client, four) = second.started().await;
    // The ephemeral thread has gone with its server, so 70 of 100 are used.
    second.listener.will_say(Ok(vec![call(), usage(40)]));
    let request = client.input(four, "four");
    client.answer::<TurnStartResponse>(request).await.unwrap();
    second.drained().await;
    assert_eq!(second.listener.times_asked(), 0, "the turn waits until the day is known");
    day::read(&second.services).await;
    let ended = client.notified::<TurnCompleted>().await.turn;
    assert!(exceeded(&ended), "{ended:?}");
    assert!(ended.error.unwrap().message.contains("used 110 of 100 tokens"));
    second.finish().await;
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn the_user_is_warned_once_before_a_limit() {
    let bench = bench(None, limit(BudgetScope::Turn, 100));
    will_call(&bench, &[70, 15, 5]);
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    let warnings: Vec<String> =
        client.log.iter().filter_map(Message::params::<Warning>).map(|warning| warning.message).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("This turn has used 85 of 100 tokens (budget.turn_tokens)"));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_sees_the_budget_and_a_thread_keeps_its_own() {
    let bench = bench(None, limit(BudgetScope::Turn, 1_000));
    let mut client = bench.client();
    let own = json!({ "budget": { "turn_tokens": 200, "thread_tokens": 5000 } });
    let thread = client.start_with_config(json!({}), own).await;
    bench.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(60)]));
    client.turn(thread, "one").await;
    let shown = |budget: &[BudgetState]| -> Vec<(BudgetScope, i64, i64)> {
        budget.iter().map(|state| (state.scope, state.limit, state.used)).collect()
    };
    let expected =
        [(BudgetScope::Turn, 200, 60), (BudgetScope::Thread, 5000, 60), (BudgetScope::Rounds, 1000, 0)];
    let told = client.log.iter().filter_map(Message::params::<ThreadTokenUsageUpdated>).next_back().unwrap();
    assert_eq!(shown(&told.skein.unwrap().budget), expected);
    client.disconnect();
    bench.gone(thread).await;
    let mut client = bench.client();
    let resumed = client.resume(thread).await;
    assert_eq!(shown(&resumed.skein.unwrap().budget), expected);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_compaction_at_a_limit_fails_and_asks_nothing() {
    let bench = bench(None, limit(BudgetScope::Thread, 100));
    bench.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(90)]));
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    bench.listener.say_of_summaries("short");
    // The first request for a summary uses the rest; its answer is empty, so a second one is needed.
    bench.listener.say_of_summaries("");
    client.compact(thread);
    let ended = client.notified::<TurnCompleted>().await.turn;
    assert!(exceeded(&ended), "{ended:?}");
    assert_eq!(client.count(|message| matches!(message, Message::Question { .. })), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_queued_message_runs_once_a_reload_raises_the_limit() {
    let bench = bench(None, limit(BudgetScope::Thread, 100));
    bench.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(150)]));
    let (mut client, thread) = bench.started().await;
    client.turn(thread, "one").await;
    queue::add(&mut client, thread, "two").await;
    bench.drained().await;
    assert_eq!(bench.listener.times_asked(), 1);
    let mut config = ServerConfig::clone(&bench.services.config());
    config.budget.thread_tokens = Some(1_000);
    reload::take(&bench.services, Ok(config)).unwrap();
    assert_eq!(client.notified::<TurnCompleted>().await.turn.status, TurnStatus::Completed);
    bench.finish().await;
}

/// Lets threads go on that wait for a limit, until it is cancelled.
fn watching(bench: &Bench) -> CancellationToken {
    let stop = CancellationToken::new();
    bench.services.tasks.spawn("day", day::run(bench.services.clone(), stop.clone()));
    stop
}

/// Reloads the settings with a limit of a day.
fn raise_day(bench: &Bench, most: i64) {
    let mut config = ServerConfig::clone(&bench.services.config());
    config.budget.day_tokens = Some(most);
    reload::take(&bench.services, Ok(config)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_a_client_goes_on_once_its_limit_has_room_also_over_a_restart() {
    for restarts in [false, true] {
        let first = bench(None, limit(BudgetScope::Day, 100));
        first.listener.will_say(Ok(vec![ModelEvent::TextDelta("so".into()), usage(150)]));
        let (mut client, thread) = first.started().await;
        client.turn(thread, "one").await;
        queue::add(&mut client, thread, "two").await;
        client.disconnect();
        first.gone(thread).await;
        assert_eq!(first.kinds(thread).await.last().map(String::as_str), Some("thread.closed"));
        let index = Arc::clone(&first.services.index);
        let next = if restarts {
            bench(Some(&first), limit(BudgetScope::Day, 100)).with_index(index)
        } else {
            first
        };
        let stop = watching(&next);
        next.drained().await;
        assert_eq!(next.listener.times_asked(), usize::from(!restarts), "there is no room");
        raise_day(&next, 1_000);
        next.within("the turn", async {
            while next.kinds(thread).await.iter().filter(|kind| *kind == "turn.completed").count() < 2 {
                next.pass(std::time::Duration::from_millis(10)).await;
            }
        })
        .await;
        next.gone(thread).await;
        assert_eq!(next.waiting_open_markers().last().map(|marker| marker.thread), Some(thread));
        stop.cancel();
        next.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_parked_turn_goes_on_once_its_limit_has_room_and_not_before_the_day_is_known() {
    let first = bench(None, limit(BudgetScope::Day, 100));
    let (client, thread, question) = at_the_limit(&first).await;
    client.disconnect();
    first.gone(thread).await;
    let index = Arc::clone(&first.services.index);
    let tune = |config: &mut ServerConfig| {
        config.model_provider = model::LISTENER.to_owned();
        config.budget = limit(BudgetScope::Day, 100).over(config.budget);
    };
    let next = Bench::on_store(first.disk.inner(), tune).with_index(index);
    let mut client = next.client();
    client.resume(thread).await;
    assert_eq!(client.asked().await, question, "the day is not known");
    client.disconnect();
    next.gone(thread).await;
    let stop = watching(&next);
    next.drained().await;
    assert_eq!(next.listener.times_asked(), 0, "there is no room");
    raise_day(&next, 1_000);
    next.within("the turn", async {
        while !next.kinds(thread).await.contains(&"turn.completed".to_owned()) {
            next.pass(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    next.gone(thread).await;
    let kinds = next.kinds(thread).await;
    assert!(kinds.ends_with(&["turn.completed".to_owned(), "thread.closed".to_owned()]), "{kinds:?}");
    let (row, _) = next.services.index.get(thread).await.unwrap().unwrap();
    assert_eq!(row.waiting, []);
    stop.cancel();
    next.finish().await;
}
