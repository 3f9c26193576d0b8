//! Settings, read state and goal: changes are published, and hold after a reload.

use serde_json::json;
use skein_protocol::ids::EventSeq;
use skein_protocol::notifications::{
    ThreadGoalCleared, ThreadGoalUpdated, ThreadReadStateChanged, ThreadSettingsUpdated,
};
use skein_protocol::settings::{ModeKind, ReasoningSummary};
use skein_protocol::thread::{
    ThreadGoalClearResponse, ThreadGoalSetParams, ThreadGoalSetResponse, ThreadGoalStatus, ThreadReadState,
    ThreadReadStateOperation, ThreadReadStateUpdateParams, ThreadReadStateUpdateResponse,
    ThreadSettingsUpdateParams, ThreadSettingsUpdateResponse, ThreadUnreadPosition,
};
use skein_store::history::History;
use skein_store::rollout::RolloutStore;
use skein_store::rollout::record::RecordBody;

use super::*;
use crate::thread::command::{Command, Edit, Input};
use crate::thread::dispatch;

async fn stored(bench: &Bench, thread: ThreadId) -> History {
    History::read_end(bench.disk.as_ref(), thread, 0).await.unwrap()
}

fn set_read_state(
    client: &mut Client,
    thread_id: ThreadId,
    operation: ThreadReadStateOperation,
    revision: &str,
) -> i64 {
    let expected_revision = revision.to_owned();
    let params = ThreadReadStateUpdateParams { expected_revision, operation, thread_id };
    client.edit(thread_id, |reply| Edit::ReadState(params, reply))
}

fn from(turn: &TurnId) -> Option<ThreadUnreadPosition> {
    Some(ThreadUnreadPosition::Turn { turn_id: turn.clone() })
}

#[tokio::test(start_paused = true)]
async fn a_thread_is_unread_from_its_first_turn_until_a_client_reads_it() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one"]).await;
    let mut other = bench.client();
    let first = client.notified::<ThreadReadStateChanged>().await.read_state;
    assert_eq!(first.first_unread, from(&turns[0]));
    let read = ThreadReadStateOperation::Read;
    let request = set_read_state(&mut client, thread, read, &first.revision);
    let now = client.answer::<ThreadReadStateUpdateResponse>(request).await.unwrap().read_state;
    assert_eq!(now.first_unread, None);
    let received: ThreadReadState = other.notified::<ThreadReadStateChanged>().await.read_state;
    assert!([&first, &now].contains(&&received), "every client is notified: {received:?}");
    // Another turn ends meanwhile: a client that has not seen it cannot set it as read.
    let two = client.turn(thread, "two").await.turn.id;
    let stale = set_read_state(&mut client, thread, read, &now.revision);
    assert_eq!(client.refusal(stale).await, "readStateConflict");
    let seen = stored(&bench, thread).await.read_position().state();
    assert_eq!(seen.first_unread, from(&two));
    client.turn(thread, "three").await;
    assert_eq!(stored(&bench, thread).await.read_position().state().first_unread, from(&two));
    client.disconnect();
    bench.gone(thread).await;
    assert_eq!(stored(&bench, thread).await.row().read_state().first_unread, from(&two));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_is_marked_as_unread_from_its_last_turn_on_and_what_is_taken_back_is_not_unread() {
    let bench = Bench::in_memory();
    let (mut client, thread, turns) = talked(&bench, &["one", "two"]).await;
    for (operation, first_unread) in [
        (ThreadReadStateOperation::Unread, from(&turns[0])),
        (ThreadReadStateOperation::Read, None),
        (ThreadReadStateOperation::Read, None),
        (ThreadReadStateOperation::Unread, from(&turns[1])),
    ] {
        let revision = stored(&bench, thread).await.read_position().state().revision;
        let request = set_read_state(&mut client, thread, operation, &revision);
        let now = client.answer::<ThreadReadStateUpdateResponse>(request).await.unwrap().read_state;
        assert_eq!(now.first_unread, first_unread, "{operation:?}");
    }
    client.revert(thread, &turns[1]).await;
    assert_eq!(stored(&bench, thread).await.read_position().first_unread, None);
    bench.finish().await;
}

fn goal(thread_id: ThreadId, objective: Option<&str>) -> ThreadGoalSetParams {
    let objective = objective.map(str::to_owned);
    ThreadGoalSetParams { objective, origin: None, status: None, thread_id, token_budget: None }
}

#[tokio::test(start_paused = true)]
async fn a_goals_budget_stays_until_null_takes_it_away() {
    let bench = Bench::in_memory();
    let (mut client, thread, _) = talked(&bench, &["one"]).await;
    for (named, token_budget) in [
        (json!({ "objective": "the moon", "tokenBudget": 7 }), Some(7)),
        (json!({ "objective": "the moon" }), Some(7)),
        (json!({ "tokenBudget": null }), None),
        (json!({ "tokenBudget": 9 }), Some(9)),
        (json!({ "objective": "the sun" }), None),
    ] {
        let mut params = named.clone();
        params["threadId"] = json!(thread);
        let params = serde_json::from_value(params).unwrap();
        let request = client.edit(thread, |reply| Edit::SetGoal(params, reply));
        let goal = client.answer::<ThreadGoalSetResponse>(request).await.unwrap().goal;
        assert_eq!(goal.token_budget, token_budget, "{named}");
    }
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_goal_is_kept_and_published_and_a_turn_counts_towards_it() {
    let bench = Bench::in_memory();
    let (mut client, thread, _) = talked(&bench, &["one"]).await;
    let none = client.edit(thread, |reply| Edit::SetGoal(goal(thread, None), reply));
    assert_eq!(client.refusal(none).await, "noGoal");
    let request = client.edit(thread, |reply| Edit::SetGoal(goal(thread, Some("the moon")), reply));
    let set = client.answer::<ThreadGoalSetResponse>(request).await.unwrap().goal;
    assert_eq!((set.objective.as_str(), set.status), ("the moon", ThreadGoalStatus::Active));
    assert_eq!(client.notified::<ThreadGoalUpdated>().await.goal, set);
    let turn = client.turn(thread, "two").await.turn.id;
    let nearer = client.notified::<ThreadGoalUpdated>().await;
    assert_eq!(nearer.turn_id, Some(turn));
    let paused = ThreadGoalSetParams { status: Some(ThreadGoalStatus::Paused), ..goal(thread, None) };
    let request = client.edit(thread, |reply| Edit::SetGoal(paused, reply));
    let paused = client.answer::<ThreadGoalSetResponse>(request).await.unwrap().goal;
    assert_eq!((paused.status, paused.created_at), (ThreadGoalStatus::Paused, set.created_at));
    client.disconnect();
    bench.gone(thread).await;
    let kept = stored(&bench, thread).await.goal().cloned().unwrap();
    assert_eq!((kept.objective.as_str(), kept.status), ("the moon", ThreadGoalStatus::Paused));
    let mut client = bench.client();
    client.resume(thread).await;
    assert_eq!(client.notified::<ThreadGoalUpdated>().await.goal, paused);
    client.disconnect();
    bench.gone(thread).await;
    // Loaded or not.
    let mut client = bench.client();
    for cleared in [true, false] {
        let request = client.edit(thread, Edit::ClearGoal);
        assert_eq!(client.answer::<ThreadGoalClearResponse>(request).await.unwrap().cleared, cleared);
    }
    assert_eq!(stored(&bench, thread).await.goal(), None);
    client.resume(thread).await;
    assert_eq!(client.notified::<ThreadGoalCleared>().await.thread_id, thread);
    assert_eq!(client.count(Message::is::<ThreadGoalCleared>), 1, "it was not subscribed when that was done");
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn changed_settings_are_published_and_hold_from_then_on() {
    let bench = Bench::in_memory();
    let (mut client, thread, _) = talked(&bench, &["one"]).await;
    let mode = serde_json::json!({ "mode": "plan", "settings": {
        "model": "deep", "reasoning_effort": "high", "developer_instructions": "Plan only." } });
    let params = serde_json::json!({
        "threadId": thread, "personality": "friendly", "summary": "concise", "effort": "low",
        "serviceTier": "flex", "collaborationMode": mode,
    });
    let params: Box<ThreadSettingsUpdateParams> = serde_json::from_value(params).unwrap();
    for changes in [1, 0] {
        let params = params.clone();
        let before = client.count(Message::is::<ThreadSettingsUpdated>);
        let request = client.edit(thread, |reply| Edit::Settings(params, reply));
        client.answer::<ThreadSettingsUpdateResponse>(request).await.unwrap();
        client.fence(thread).await;
        let received = client.count(Message::is::<ThreadSettingsUpdated>);
        assert_eq!(received - before, changes, "settings without a change are not published");
    }
    let shown = client.notified::<ThreadSettingsUpdated>().await.thread_settings;
    assert_eq!((shown.model.as_str(), shown.effort.as_deref()), ("deep", Some("high")), "the mode wins");
    assert_eq!(shown.summary, Some(ReasoningSummary::Concise));
    assert_eq!(shown.collaboration_mode.mode, ModeKind::Plan);
    client.disconnect();
    bench.gone(thread).await;
    let kept = stored(&bench, thread).await.settings().clone();
    assert_eq!((kept.model.as_str(), kept.mode_instructions()), ("deep", Some("Plan only.")));
    assert_eq!((kept.service_tier.as_deref(), kept.reasoning_summary), (Some("flex"), shown.summary));
    let resumed = bench.client().resume(thread).await;
    assert_eq!(resumed.collaboration_mode, Some(shown.collaboration_mode));
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn context_that_a_client_adds_to_a_turn_is_kept_for_the_model_within_that_turn() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let (_, command) = client.input_command(thread, "look", None);
    let Command::Input(input) = command else { unreachable!() };
    let Input { mut params, reply } = *input;
    let context = serde_json::json!({
        "editor": { "kind": "application", "value": "main.rs is open" },
        "page": { "kind": "untrusted", "name": "a page", "value": "do as I say" },
    });
    params.additional_context = Some(serde_json::from_value(context).unwrap());
    dispatch::deliver(&bench.services, thread, Command::Input(Box::new(Input { params, reply })));
    client.notified::<skein_protocol::notifications::TurnCompleted>().await;
    let records = bench.disk.read_after(thread, EventSeq(0), usize::MAX).await.unwrap().records;
    let kinds: Vec<&str> = records.iter().map(|record| record.body.kind()).collect();
    let at = kinds.iter().position(|kind| *kind == "items.injected").unwrap();
    assert_eq!(kinds[at - 1..=at + 1], ["turn.started", "items.injected", "item.started"]);
    let RecordBody::ItemsInjected(injected) = &records[at].body else { unreachable!() };
    let injected_at = |at: usize| (&injected.items[at]["role"], &injected.items[at]["content"][0]["text"]);
    assert_eq!(injected_at(0), (&"developer".into(), &"editor:\nmain.rs is open".into()));
    assert_eq!(injected_at(1), (&"user".into(), &"a page:\ndo as I say".into()));
    bench.finish().await;
}
