//! A turn is answered before its first notification, ends in exactly one way, and is recorded.

mod again;
mod echo;
mod faults;
mod steer;

use anyhow::Result;
use skein_integration_tests::client::Received;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{Wire, agent_text, turn_params, user_text};
use skein_protocol::methods::{TurnInterrupt, TurnStart};
use skein_protocol::notifications::{
    Error, ItemAgentMessageDelta, ItemCompleted, ItemStarted, ThreadStatusChanged, ThreadTokenUsageUpdated,
    TurnCompleted, TurnStarted,
};
use skein_protocol::thread::ThreadStatus;
use skein_protocol::turn::{TurnInterruptParams, TurnStartParams, TurnStatus, UserInput};

#[tokio::test]
async fn the_answer_to_a_turn_always_precedes_its_first_notification() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let thread = client.start_thread().await?.id;
    client.quiesce().await?;
    for number in 0..1_000 {
        client.take_all();
        let from = client.record().len();
        let turn = client.start_turn(thread, "x").await?;
        client.turn_end(&turn).await?;
        let first = &client.record()[from];
        assert!(first.method().is_none(), "turn {number} begins with {}", first.text);
    }
    let status = home.status().await?;
    assert_eq!((status.turns.started_total, status.turns.completed_total), (1_000, 1_000));
    home.finish().await
}

#[tokio::test]
async fn notifications_of_a_turn_come_in_the_expected_order() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    client.quiesce().await?;
    let from = client.record().len();
    let turn = client.turn(thread, "one two").await?;
    client.quiesce().await?;
    let methods: Vec<&str> = client.record()[from..].iter().filter_map(Received::method).collect();
    let wanted = [
        ThreadStatusChanged::WIRE,
        TurnStarted::WIRE,
        ItemStarted::WIRE,
        ItemCompleted::WIRE,
        ItemStarted::WIRE,
        ItemAgentMessageDelta::WIRE,
        ItemAgentMessageDelta::WIRE,
        ItemCompleted::WIRE,
        ThreadTokenUsageUpdated::WIRE,
        ThreadStatusChanged::WIRE,
        TurnCompleted::WIRE,
    ];
    let methods: Vec<&str> = methods.into_iter().filter(|method| wanted.contains(method)).collect();
    assert_eq!(methods, wanted);
    let statuses: Vec<ThreadStatus> =
        client.received::<ThreadStatusChanged>()?.into_iter().map(|changed| changed.status).collect();
    let active = ThreadStatus::Active { active_flags: Vec::new() };
    assert!(statuses.ends_with(&[active, ThreadStatus::Idle]), "{statuses:?}");
    assert_eq!(turn.status, TurnStatus::Completed);
    assert!(turn.completed_at.is_some() && turn.duration_ms.is_some());
    home.finish().await
}

#[tokio::test]
async fn a_history_from_disk_equals_the_live_one() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let mut other = home.client().await?;
    let thread = client.start_thread_with("first words").await?;
    client.turn(thread, "second words").await?;
    let live = client.read_thread(thread).await?;
    client.close().await?;
    other.thread_closed(thread).await?;
    let cold = other.read_thread(thread).await?;
    assert_eq!(live.turns, cold.turns, "a thread reads the same whether it is loaded or not");
    let reply: Vec<_> = cold.turns.iter().flat_map(|turn| &turn.items).collect();
    let users: Vec<_> = reply.iter().filter_map(|item| user_text(item)).collect();
    let agents: Vec<_> = reply.iter().filter_map(|item| agent_text(item)).collect();
    assert_eq!(users, ["first words", "second words"]);
    assert_eq!(agents, ["first words", "second words"]);
    assert_eq!(other.resume(thread).await?.thread.turns, cold.turns, "a resume shows the same");
    home.finish().await
}

#[tokio::test]
async fn an_interrupt_ends_the_turn_and_keeps_its_text() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turn = client.start_turn(thread, "/stream 100000 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("3 ")).await?;
    client.interrupt(thread, &turn).await?;
    let end = client.turn_end(&turn).await?;
    assert_eq!((end.status, end.error), (TurnStatus::Interrupted, None));
    let reply = client.reply_text(&turn)?.unwrap();
    assert!(reply.contains("3 "), "{reply}");
    assert_eq!(client.say(thread, "and on").await?, "and on", "the thread continues");
    home.finish().await
}

#[tokio::test]
async fn an_interrupt_of_the_wrong_turn_names_the_running_one() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let named = |turn: &str| TurnInterruptParams { thread_id: thread, turn_id: turn.into() };
    let error = client.refusal::<TurnInterrupt>(named("x")).await?;
    assert_eq!(error.reason(), "noTurn");
    let turn = client.start_turn(thread, "/hang").await?;
    let error = client.refusal::<TurnInterrupt>(named("x")).await?;
    assert_eq!(error.reason(), "otherTurn");
    assert_eq!(error.data.unwrap().active_turn_id, Some(turn.clone()));
    client.interrupt_and_wait(thread, &turn).await?;
    home.finish().await
}

#[tokio::test]
async fn an_interrupt_without_a_turn_ends_the_running_one() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let any = || TurnInterruptParams { thread_id: thread, turn_id: "".into() };
    client.call::<TurnInterrupt>(any()).await?;
    let turn = client.start_turn(thread, "/hang").await?;
    client.call::<TurnInterrupt>(any()).await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Interrupted);
    client.call::<TurnInterrupt>(any()).await?;
    home.finish().await
}

#[tokio::test]
async fn a_repeated_message_starts_no_turn_and_gets_the_same_answer() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let message = |id: &str| TurnStartParams {
        client_user_message_id: Some(id.to_owned()),
        ..turn_params(thread, "once")
    };
    let first = client.call::<TurnStart>(message("m1")).await?.turn;
    // During the turn or after it: the same turn.
    assert_eq!(client.call::<TurnStart>(message("m1")).await?.turn.id, first.id);
    client.turn_end(&first.id).await?;
    assert_eq!(client.call::<TurnStart>(message("m1")).await?.turn.id, first.id);
    let second = client.call::<TurnStart>(message("m2")).await?.turn;
    assert_ne!(second.id, first.id);
    client.turn_end(&second.id).await?;
    client.unload(thread, false).await?;
    // The same after the thread was loaded again.
    client.resume(thread).await?;
    assert_eq!(client.call::<TurnStart>(message("m1")).await?.turn.id, first.id);
    assert_eq!(client.read_thread(thread).await?.turns.len(), 2);
    home.finish().await
}

#[tokio::test]
async fn a_failed_turn_has_a_reason_and_the_thread_shows_the_failure_until_the_next_turn() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turn = client.turn(thread, "/fail no money").await?;
    assert_eq!(turn.status, TurnStatus::Failed);
    assert!(turn.error.unwrap().message.contains("no money"));
    let error = client.next::<Error>(|error| error.turn_id == turn.id).await?;
    assert!(!error.will_retry && error.error.message.contains("no money"));
    assert_eq!(client.resume(thread).await?.thread.status, ThreadStatus::SystemError);
    client.turn(thread, "better").await?;
    assert_eq!(client.resume(thread).await?.thread.status, ThreadStatus::Idle);
    home.finish().await
}

#[tokio::test]
async fn tokens_are_counted_for_the_turn_and_for_the_thread() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("one two three").await?;
    client.turn(thread, "four").await?;
    client.unload(thread, false).await?;
    client.resume(thread).await?;
    client.turn(thread, "five six").await?;
    let usage = client.received::<ThreadTokenUsageUpdated>()?;
    let counted: Vec<_> =
        usage.iter().map(|u| (u.token_usage.last.total_tokens, u.token_usage.total.total_tokens)).collect();
    assert_eq!(
        counted,
        [(6, 6), (2, 8), (2, 8), (4, 12)],
        "input and output; a resume shows the last numbers"
    );
    home.finish().await
}

#[tokio::test]
async fn a_turn_without_input_is_refused() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    for input in [Vec::new(), vec![UserInput::text("")], vec![UserInput::text(" \n"), UserInput::text("\t")]]
    {
        let empty = TurnStartParams { input, ..turn_params(thread, "") };
        let error = client.refusal::<TurnStart>(empty).await?;
        assert_eq!(error.reason(), "emptyInput");
        assert_eq!(error.data.unwrap().path.as_deref(), Some("input"));
    }
    home.finish().await
}
