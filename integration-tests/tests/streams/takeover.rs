//! When the server of a home ends, in any way and during any work, one of its bridges becomes the server.
//! Each client continues where it was.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::process::{Family, Process, freeze, wait_until};
use skein_integration_tests::requests::{resume_params, turn_params};
use skein_integration_tests::streams::Streams;
use skein_protocol::extension::{EVENTS_EXTENSION, EVENTS_VERSION, SkeinStatusParams};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::{
    McpServerToolCall, SkeinStatus, ThreadList, ThreadRead, ThreadResume, ThreadStart, TurnInterrupt,
    TurnStart,
};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ItemStarted, ServerRequestResolved, ThreadClosed, ThreadStarted, TurnCompleted,
};
use skein_protocol::server::InitializeCapabilities;
use skein_protocol::table::{Method, Notification};
use skein_protocol::thread::{ThreadListParams, ThreadReadParams, ThreadStartParams};
use skein_protocol::turn::{TurnInterruptParams, TurnStartParams, TurnStatus};

use super::HANGS;

/// Work in progress when the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    Idle,
    Streaming,
    ToolCall,
    /// A question of the turn.
    Question,
    /// A question of a helper, in a call of the turn.
    HelperQuestion,
}

const ALL: [Busy; 5] = [Busy::Idle, Busy::Streaming, Busy::ToolCall, Busy::Question, Busy::HelperQuestion];

/// A home whose server has stopped.
async fn unserved() -> Result<Home> {
    let helper = Helper::with("helper", &["--stubborn"])?;
    let mut home = Home::setup().set("shutdown.drain", "50ms").helper(helper).start().await?;
    home.stop().await?;
    Ok(home)
}

/// Capabilities of a client that asks for event numbers.
fn numbers() -> Option<InitializeCapabilities> {
    let wish = json!({"extensions": {EVENTS_EXTENSION: {"version": EVENTS_VERSION}}});
    serde_json::from_value(wish).ok()
}

/// A thread with one finished turn.
async fn used_thread(streams: &mut Streams) -> Result<ThreadId> {
    let thread = streams.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
    say(streams, thread).await?;
    Ok(thread)
}

/// Runs a turn from start to end.
async fn say(streams: &mut Streams, thread: ThreadId) -> Result<()> {
    let turn = streams.call::<TurnStart>(turn_params(thread, "words")).await?.turn.id;
    let ended = streams.next::<TurnCompleted>(|ended| ended.turn.id == turn).await?;
    ensure!(ended.turn.status == TurnStatus::Completed, "{ended:?}");
    Ok(())
}

fn helper_asks() -> String {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    let params = json!({"mode": "form", "message": "Who are you?", "requestedSchema": schema});
    format!("/tool helper ask {}", json!({"request": {"method": "elicitation/create", "params": params}}))
}

/// Starts the work, and waits until it is in progress.
async fn begin(
    streams: &mut Streams,
    thread: ThreadId,
    busy: Busy,
) -> Result<Option<(TurnId, Option<Value>)>> {
    let text = match busy {
        Busy::Idle => return Ok(None),
        Busy::Streaming => "/stream 1000000 8 20".to_owned(),
        Busy::ToolCall => HANGS.to_owned(),
        Busy::Question => "/ask Which colour?".to_owned(),
        Busy::HelperQuestion => helper_asks(),
    };
    let turn = streams.call::<TurnStart>(turn_params(thread, &text)).await?.turn.id;
    let question = match busy {
        Busy::Idle => None,
        Busy::Streaming => {
            streams.next::<ItemAgentMessageDelta>(|_| true).await?;
            None
        }
        Busy::ToolCall => {
            streams.next::<ItemStarted>(|started| json!(started.item)["type"] == "mcpToolCall").await?;
            None
        }
        Busy::Question | Busy::HelperQuestion => Some(streams.question().await?["id"].clone()),
    };
    Ok(Some((turn, question)))
}

/// The pid of the serving process, from its status.
async fn server_of(streams: &mut Streams) -> Result<u32> {
    Ok(streams.call::<SkeinStatus>(SkeinStatusParams {}).await?.pid)
}

/// Checks that no notification came twice, and none that the client did not ask for.
fn is_clean(record: &[Value], numbers: bool) -> Result<()> {
    let mut seen = Vec::new();
    let mut last = 0;
    for message in record {
        let stamp = message["seq"].as_u64();
        ensure!(numbers || stamp.is_none() && message["params"]["skein"].is_null(), "a number: {message}");
        if let Some(number) = stamp {
            ensure!(number > last, "{number} after {last}: {message}");
            last = number;
        }
        let id = [&message["params"]["item"]["id"], &message["params"]["turn"]["id"]];
        let what = (message["method"].clone(), id.map(Clone::clone));
        let tells = message["method"].is_string() && id.iter().any(|id| id.is_string());
        ensure!(!tells || !seen.contains(&what), "twice: {message}");
        seen.push(what);
    }
    Ok(())
}

/// Checks that the user learns that the server's end, not a user, interrupted the turn.
async fn ends_with_its_server(streams: &mut Streams, turn: &TurnId) -> Result<()> {
    let ended = streams.next::<TurnCompleted>(|ended| ended.turn.id == *turn).await?.turn;
    let why = ended.error.context("no error about the server")?.message;
    assert_eq!((ended.status, &*why), (TurnStatus::Interrupted, "the server ended while this turn ran"));
    Ok(())
}

/// Checks that the turn goes on to its end.
async fn completes(streams: &mut Streams, turn: &TurnId) -> Result<()> {
    let ended = streams.next::<TurnCompleted>(|ended| ended.turn.id == *turn).await?.turn;
    ensure!(ended.status == TurnStatus::Completed, "{ended:?}");
    Ok(())
}

/// One life: A serves, B and C are bridges, B is busy, A ends.
async fn change_of_servers(signal: Signal, busy: Busy, with_numbers: bool) -> Result<Duration> {
    let home = unserved().await?;
    let a = Streams::start(&home.path()).await?;
    let wishes = || if with_numbers { numbers() } else { None };
    let mut b = Streams::start_as(&home.path(), wishes()).await?;
    let mut c = Streams::start_as(&home.path(), wishes()).await?;
    let (first, others) = (a.pid()?, [b.pid()?, c.pid()?]);
    assert_eq!(server_of(&mut b).await?, first);
    let (thread, other_thread) = (used_thread(&mut b).await?, used_thread(&mut c).await?);
    let turn = begin(&mut b, thread, busy).await?;

    let family = Family::of(first, home.tag());
    let since = Instant::now();
    a.signal(signal)?;
    match (turn, busy) {
        (Some((turn, None)), _) => ends_with_its_server(&mut b, &turn).await?,
        (Some((turn, Some(question))), Busy::Question) => {
            // The client has the question still.
            let blue = json!({"answers": {"q1": {"answers": ["blue"]}}});
            b.say(&json!({"id": question, "result": blue})).await?;
            completes(&mut b, &turn).await?;
        }
        (Some((turn, Some(question))), _) => {
            // The helper's question ends with the helper, and its call is in doubt.
            b.next::<ServerRequestResolved>(|settled| json!(settled.request_id) == question).await?;
            let doubt = b.question().await?;
            ensure!(doubt["params"]["_meta"]["skein"]["mayHaveRun"] == true, "{doubt}");
            b.say(&json!({"id": doubt["id"], "result": {"action": "decline"}})).await?;
            completes(&mut b, &turn).await?;
        }
        (None, _) => {}
    }
    b.call::<ThreadRead>(ThreadReadParams { include_turns: false, thread_id: thread }).await?;
    let pause = since.elapsed();
    a.exit(PATIENCE).await?;
    say(&mut b, thread).await?;
    say(&mut c, other_thread).await?;
    let (one, other) = (server_of(&mut b).await?, server_of(&mut c).await?);
    assert!(one == other && others.contains(&one), "{one} and {other} of {others:?} serve");
    is_clean(b.record(), with_numbers).with_context(|| format!("{:#?}", b.record()))?;
    is_clean(c.record(), with_numbers)?;

    let nothing = || (!family.all().any(Process::lives)).then_some(());
    wait_until("no process of the first server left", PATIENCE, nothing).await?;
    // The helper of the new server works, and stops with it.
    b.hanging_turn(HANGS).await?;
    let (b, c) = (tokio::spawn(b.end(PATIENCE)), tokio::spawn(c.end(PATIENCE)));
    b.await??;
    c.await??;
    // The end of the one that served may take longer than its limit on a busy machine. The guards finish it then.
    let nothing = || (Family::of(one, home.tag()).count() == 0).then_some(());
    wait_until("no process of the second server left", PATIENCE, nothing).await?;
    home.finish().await?;
    Ok(pause)
}

async fn for_everything(signal: Signal) -> Result<()> {
    for busy in ALL {
        let pause = change_of_servers(signal, busy, busy == Busy::Streaming).await;
        let pause = pause.with_context(|| format!("{signal} while {busy:?}"))?;
        eprintln!("{signal} while {busy:?}: a pause of {} ms", pause.as_millis());
    }
    Ok(())
}

#[tokio::test]
async fn a_client_sees_a_pause_when_the_server_is_killed() -> Result<()> {
    for_everything(Signal::SIGKILL).await
}

#[tokio::test]
async fn a_client_sees_a_pause_when_the_server_is_terminated() -> Result<()> {
    for_everything(Signal::SIGTERM).await
}

#[tokio::test]
async fn a_client_sees_a_pause_when_the_server_crashes() -> Result<()> {
    for_everything(Signal::SIGABRT).await
}

#[tokio::test]
async fn one_of_many_bridges_becomes_the_server_each_time() -> Result<()> {
    let home = unserved().await?;
    let mut all = Vec::new();
    for _ in 0..5 {
        let mut streams = Streams::start(&home.path()).await?;
        let thread = used_thread(&mut streams).await?;
        all.push((streams, thread));
    }
    while all.len() > 1 {
        let server = server_of(&mut all[0].0).await?;
        let at = all.iter().position(|(streams, _)| streams.pid().is_ok_and(|pid| pid == server));
        let (streams, _) = all.remove(at.context("one of them serves")?);
        streams.signal(Signal::SIGKILL)?;
        streams.exit(PATIENCE).await?;
        let mut servers = Vec::new();
        for (streams, thread) in &mut all {
            say(streams, *thread).await?;
            servers.push(server_of(streams).await?);
        }
        servers.dedup();
        assert_eq!(servers.len(), 1, "{servers:?}");
        assert_ne!(servers[0], server);
    }
    for (streams, _) in all {
        streams.end(PATIENCE).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn a_bridge_takes_over_the_home_of_any_server() -> Result<()> {
    let mut home = Home::start().await?;
    let mut streams = Streams::start(&home.path()).await?;
    let thread = used_thread(&mut streams).await?;
    home.stop().await?;
    say(&mut streams, thread).await?;
    assert_eq!(server_of(&mut streams).await?, streams.pid()?);
    let server = streams.pid()?;
    streams.end(PATIENCE).await?;
    assert_eq!(Family::of(server, home.tag()).count(), 0);
    home.finish().await
}

#[tokio::test]
async fn pending_requests_are_answered_after_the_server_ends() -> Result<()> {
    let home = unserved().await?;
    let a = Streams::start(&home.path()).await?;
    let mut b = Streams::start(&home.path()).await?;
    let thread = used_thread(&mut b).await?;
    let (turn, _) = begin(&mut b, thread, Busy::Streaming).await?.context("a turn")?;
    let call = json!({"server": "helper", "threadId": thread, "tool": "hang"});
    let call = b.ask::<McpServerToolCall>(serde_json::from_value(call)?).await?;
    let server = a.pid()?;
    let runs = || (!Family::of(server, home.tag()).helpers.is_empty()).then_some(());
    wait_until("a helper", PATIENCE, runs).await?;
    // From now on the server reads no requests.
    freeze(server).await?;
    let list = b.ask::<ThreadList>(ThreadListParams::default()).await?;
    let unnamed = b.ask::<TurnStart>(turn_params(thread, "unnamed")).await?;
    let named =
        TurnStartParams { client_user_message_id: Some("m-1".to_owned()), ..turn_params(thread, "named") };
    let named = b.ask::<TurnStart>(named).await?;
    let interrupt = TurnInterruptParams { thread_id: thread, turn_id: turn.clone() };
    let interrupt = b.ask::<TurnInterrupt>(interrupt).await?;
    a.signal(Signal::SIGKILL)?;

    let answer = b.answer(list).await?;
    assert!(answer["result"]["data"].is_array(), "{answer}");
    let answer = b.answer(call).await?;
    let text = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(text.contains(McpServerToolCall::INFO.wire) && text.contains("may have been called"), "{answer}");
    assert_eq!(answer["error"]["data"]["reason"], "serverEnded");
    let answer = b.answer(interrupt).await?;
    assert_eq!(answer["result"], json!({}), "{answer}");
    let mut under_way = BTreeSet::from([turn.to_string()]);
    for id in [unnamed, named] {
        let answer = b.answer(id).await?;
        under_way.insert(answer["result"]["turn"]["id"].as_str().context("a turn")?.to_owned());
    }
    // One turn may have taken both inputs, or each has its own.
    while !under_way.is_empty() {
        let ended = b.next::<TurnCompleted>(|_| true).await?;
        under_way.remove(ended.turn.id.as_str());
    }
    let client_ids = |text: &str| {
        let is = |message: &&Value| message["params"]["item"]["content"][0]["text"] == text;
        let turns =
            b.record().iter().filter(|message| message["method"] == ItemStarted::INFO.wire).filter(is);
        turns.map(|message| message["params"]["item"]["clientId"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (client_ids("unnamed"), client_ids("named")),
        (vec![Value::Null], vec![json!("m-1")]),
        "each input is taken once"
    );
    a.exit(PATIENCE).await?;
    b.end(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_thread_without_messages_survives_a_takeover() -> Result<()> {
    let home = unserved().await?;
    let a = Streams::start(&home.path()).await?;
    let mut b = Streams::start(&home.path()).await?;
    let thread = b.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
    a.signal(Signal::SIGKILL)?;
    a.exit(PATIENCE).await?;
    say(&mut b, thread).await?;
    let about = |method: &str| b.record().iter().filter(|message| message["method"] == method).count();
    assert_eq!((about(ThreadStarted::INFO.wire), about(ThreadClosed::INFO.wire)), (1, 0));
    b.end(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_thread_in_memory_only_is_announced_as_closed() -> Result<()> {
    let home = unserved().await?;
    let a = Streams::start(&home.path()).await?;
    let mut b = Streams::start(&home.path()).await?;
    let params = ThreadStartParams { ephemeral: Some(true), ..ThreadStartParams::default() };
    let thread = b.call::<ThreadStart>(params).await?.thread.id;
    let (turn, _) = begin(&mut b, thread, Busy::Streaming).await?.context("a turn")?;
    a.signal(Signal::SIGKILL)?;
    ends_with_its_server(&mut b, &turn).await?;
    b.next::<ThreadClosed>(|closed| closed.thread_id == thread).await?;
    a.exit(PATIENCE).await?;
    b.end(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn each_client_gets_missed_events_once() -> Result<()> {
    let home = unserved().await?;
    let a = Streams::start(&home.path()).await?;
    let mut b = Streams::start_as(&home.path(), numbers()).await?;
    let mut c = Streams::start(&home.path()).await?;
    let thread = used_thread(&mut b).await?;
    c.call::<ThreadResume>(resume_params(thread)).await?;
    a.signal(Signal::SIGKILL)?;
    say(&mut c, thread).await?;
    let turns = |record: &[Value]| {
        let ends = record.iter().filter(|message| message["method"] == TurnCompleted::INFO.wire);
        ends.map(|end| end["params"]["turn"]["id"].clone()).collect::<Vec<_>>()
    };
    let last = turns(c.record()).last().cloned().context("a turn")?;
    if turns(b.record()).last() != Some(&last) {
        b.next::<TurnCompleted>(|ended| json!(ended.turn.id) == last).await?;
    }
    is_clean(b.record(), true)?;
    a.exit(PATIENCE).await?;
    let (b, c) = (tokio::spawn(b.end(PATIENCE)), tokio::spawn(c.end(PATIENCE)));
    b.await??;
    c.await??;
    home.finish().await
}
