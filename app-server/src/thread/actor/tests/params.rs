//! Each honoured param that is a setting holds from its request on, also after a reload. The tests walk the table of params,
//! so that a new row needs a place here.

use serde_json::{Map, Value, json};
use skein_protocol::methods::{ThreadFork, ThreadResume, ThreadStart, TurnStart};
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::params::{self, Treatment};
use skein_protocol::table::Method;
use skein_store::history::History;

use super::*;
use crate::thread::command::{Command, Input};
use crate::thread::dispatch;

/// Honoured params that are no settings. Each has its own tests.
const NO_SETTINGS: &[&str] = &[
    "additionalContext",
    "beforeTurnId",
    "clientUserMessageId",
    "dynamicTools",
    "ephemeral",
    "excludeTurns",
    "initialTurnsPage",
    "input",
    "lastTurnId",
    "outputSchema",
    "serviceTierForTurn",
    "threadId",
    "threadSource",
];

/// A value for a param, and the name of its setting.
fn setting(param: &str) -> Option<(&'static str, Value)> {
    let mode = json!({ "mode": "plan", "settings": {
        "model": "another", "reasoning_effort": "high", "developer_instructions": "Plan." } });
    Some(match param {
        "approvalPolicy" => ("approvalPolicy", json!("on-request")),
        "baseInstructions" => ("baseInstructions", json!("base")),
        "collaborationMode" => ("collaborationMode", mode),
        "config" => ("config", json!({ "features": { "default_mode_request_user_input": false } })),
        "cwd" => ("cwd", json!("/")),
        "developerInstructions" => ("developerInstructions", json!("beside")),
        "effort" => ("reasoningEffort", json!("high")),
        "model" => ("model", json!("another")),
        "modelProvider" => ("modelProvider", json!("elsewhere")),
        "personality" => ("personality", json!("friendly")),
        "sandbox" | "sandboxPolicy" => ("sandbox", json!({ "type": "readOnly", "networkAccess": false })),
        "serviceTier" => ("serviceTier", json!("flex")),
        "summary" => ("reasoningSummary", json!("detailed")),
        _ => return None,
    })
}

/// Params of `M` with every honoured setting, and the expected settings of the thread.
fn all<M: Method>() -> (Map<String, Value>, Map<String, Value>) {
    let (mut asked, mut wanted) = (Map::new(), Map::new());
    let honoured =
        |treatment: Treatment| matches!(treatment, Treatment::Honoured | Treatment::HonouredFor(_));
    for row in params::of(M::INFO.wire).filter(|row| honoured(row.treatment)) {
        match setting(row.name) {
            Some((name, value)) => {
                wanted.insert(name.to_owned(), value.clone());
                // The name of this policy.
                let is_word = row.name == "sandbox";
                asked.insert(row.name.to_owned(), if is_word { json!("read-only") } else { value });
            }
            None => assert!(NO_SETTINGS.contains(&row.name), "{} {} has no test", M::INFO.wire, row.name),
        }
    }
    assert!(wanted.len() > 7, "{wanted:?}");
    (asked, wanted)
}

async fn hold(bench: &Bench, thread: ThreadId, wanted: &Map<String, Value>) {
    let history = History::read_end(bench.disk.as_ref(), thread, 0).await.unwrap();
    let settings = serde_json::to_value(history.settings()).unwrap();
    for (name, value) in wanted {
        assert_eq!(&settings[name], value, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_that_come_with_a_turn_hold() {
    let bench = Bench::in_memory();
    let (mut client, thread) = bench.started().await;
    let (_, command) = client.input_command(thread, "words", None);
    let Command::Input(input) = command else { unreachable!() };
    let Input { params, reply } = *input;
    let (asked, wanted) = all::<TurnStart>();
    let mut json = serde_json::to_value(params).unwrap();
    json.as_object_mut().unwrap().extend(asked);
    let params = serde_json::from_value(json).unwrap();
    dispatch::deliver(&bench.services, thread, Command::Input(Box::new(Input { params, reply })));
    client.notified::<TurnCompleted>().await;
    hold(&bench, thread, &wanted).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_come_with_a_start_a_resume_or_a_fork_hold() {
    let bench = Bench::in_memory();
    let (thread, _) = talked_and_left(&bench, &["words"]).await;
    let mut client = bench.client();
    let (asked, wanted) = all::<ThreadFork>();
    let mut json = json!({ "threadId": thread });
    json.as_object_mut().unwrap().extend(asked);
    let fork = client.fork(serde_json::from_value(json).unwrap()).await.thread.id;
    hold(&bench, fork, &wanted).await;
    let (asked, wanted) = all::<ThreadResume>();
    client.resume_with_settings(thread, asked.into()).await;
    client.fence(thread).await;
    hold(&bench, thread, &wanted).await;
    // A new thread is on disk with its first turn, and a turn needs a model.
    let (mut asked, mut wanted) = all::<ThreadStart>();
    for params in [&mut asked, &mut wanted] {
        params.remove("modelProvider");
    }
    let (_, started) = client.ask_start(serde_json::from_value(asked.into()).unwrap());
    client.turn(started, "words").await;
    hold(&bench, started, &wanted).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_config_of_a_request_sets_the_answers_and_a_param_wins_over_it() {
    let bench = Bench::in_memory();
    let (thread, _) = talked_and_left(&bench, &["words"]).await;
    let config = json!({
        "model": "said", "model_reasoning_effort": "low", "model_reasoning_summary": "concise",
        "instructions": "other", "developer_instructions": "more", "personality": "pragmatic",
        "service_tier": "slow", "approval_policy": "never", "sandbox_mode": "read-only",
    });
    let mut client = bench.client();
    let asked = json!({ "config": config, "serviceTier": "flex" });
    let mut fork = asked.clone();
    fork["threadId"] = json!(thread);
    let fork = client.fork(serde_json::from_value(fork).unwrap()).await.thread.id;
    client.resume_with_settings(thread, asked).await;
    client.fence(thread).await;
    let wanted = json!({
        "model": "said", "reasoningEffort": "low", "reasoningSummary": "concise", "baseInstructions": "other",
        "developerInstructions": "more", "personality": "pragmatic", "serviceTier": "flex",
        "approvalPolicy": "never", "sandbox": { "type": "readOnly", "networkAccess": false },
    });
    hold(&bench, thread, wanted.as_object().unwrap()).await;
    hold(&bench, fork, wanted.as_object().unwrap()).await;
    bench.finish().await;
}
