//! Input during a running turn is added to it.

use anyhow::Result;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{steer_params, user_text};
use skein_protocol::methods::TurnSteer;
use skein_protocol::notifications::{ItemAgentMessageDelta, ItemCompleted, TurnCompleted};
use skein_protocol::turn::{TurnStatus, TurnSteerParams, UserInput};

#[tokio::test]
async fn input_while_a_turn_runs_is_added_to_it() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    // The turn runs until its question has an answer. Input that comes before the question is in the first request.
    let turn = client.start_turn(thread, "/ask More?").await?;
    let asked = client.next_question().await?;
    assert_eq!(client.start_turn(thread, "one more thing").await?, turn, "the same turn");
    client.answer_question(&asked, "no").await?;
    assert_eq!(client.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("one more thing"));
    let users: Vec<String> =
        client.received::<ItemCompleted>()?.iter().filter_map(|item| user_text(&item.item)).collect();
    assert_eq!(users, ["/ask More?", "one more thing"]);
    assert_eq!(client.read_thread(thread).await?.turns.len(), 1);
    home.finish().await
}

#[tokio::test]
async fn a_steer_reaches_only_the_turn_that_it_names() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("begin").await?;
    let early = client.refusal::<TurnSteer>(steer_params(thread, "no-turn", "too early")).await?;
    assert_eq!(early.reason(), "noTurn");
    let turn = client.start_turn(thread, "/stream 100000 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.turn_id == turn).await?;
    let wrong = client.refusal::<TurnSteer>(steer_params(thread, "another", "wrong")).await?;
    assert_eq!(wrong.reason(), "otherTurn");
    let mut params = steer_params(thread, &turn.to_string(), "/hang");
    params.client_user_message_id = Some("once".to_owned());
    assert_eq!(client.call::<TurnSteer>(params.clone()).await?.turn_id, turn);
    assert_eq!(
        client.call::<TurnSteer>(params.clone()).await?.turn_id,
        turn,
        "a repeated steer adds nothing"
    );
    client.interrupt_and_wait(thread, &turn).await?;
    assert_eq!(client.call::<TurnSteer>(params).await?.turn_id, turn, "also after the turn has ended");
    let late = client.refusal::<TurnSteer>(steer_params(thread, &turn.to_string(), "too late")).await?;
    assert_eq!(late.reason(), "noTurn");
    for input in [Vec::new(), vec![UserInput::text("   ")]] {
        let empty = TurnSteerParams { input, ..steer_params(thread, &turn.to_string(), "") };
        assert_eq!(client.refusal::<TurnSteer>(empty).await?.reason(), "emptyInput");
    }
    let turns = client.read_thread(thread).await?.turns;
    let users: Vec<String> = turns.iter().flat_map(|turn| &turn.items).filter_map(user_text).collect();
    assert_eq!(users, ["begin", "/stream 100000 8 100", "/hang"]);
    home.finish().await
}

#[tokio::test]
async fn input_at_the_very_end_of_a_turn_is_never_lost() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let thread = client.start_thread().await?.id;
    for number in 0..100 {
        let first = client.start_turn(thread, "a b c").await?;
        let text = format!("more {number}");
        let second = client.start_turn(thread, &text).await?;
        client.turn_end(&first).await?;
        if second != first {
            client.turn_end(&second).await?;
        }
        let reply = client.reply_text(&second)?;
        assert_eq!(reply.as_deref(), Some(text.as_str()), "round {number}");
    }
    let ends = client.received::<TurnCompleted>()?;
    assert!(ends.iter().all(|end| end.turn.status == TurnStatus::Completed));
    home.finish().await
}

#[tokio::test]
async fn concurrent_requests_of_several_clients_run_one_turn_at_a_time() -> Result<()> {
    let (home, mut one) = Home::setup().set("durability", "process").start_with_client().await?;
    let mut two = home.client().await?;
    let thread = one.start_thread_with("begin").await?;
    two.resume(thread).await?;
    for round in 0..50 {
        let (first, second) =
            tokio::join!(one.start_turn(thread, "from one"), two.start_turn(thread, "from two"));
        let (first, second) = (first?, second?);
        one.turn_end(&first).await?;
        two.turn_end(&second).await?;
        if first != second {
            one.turn_end(&second).await?;
            two.turn_end(&first).await?;
        }
        let status = one.until_status("idle", |status| status.threads.running == 0).await?;
        assert_eq!(status.turns.started_total, status.turns.completed_total, "round {round}");
    }
    home.finish().await
}
