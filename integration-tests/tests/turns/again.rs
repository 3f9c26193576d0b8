//! A client that does not know whether its input has arrived sends it again; the server takes it once.

use anyhow::Result;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{turn_params, user_text};
use skein_integration_tests::view::{Kind, Leave, Window};
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::TurnStart;
use skein_protocol::turn::{TurnStartParams, TurnStatus};

fn message(thread: ThreadId, id: &str, text: &str) -> TurnStartParams {
    TurnStartParams { client_user_message_id: Some(id.to_owned()), ..turn_params(thread, text) }
}

/// Sends a message over the window's connection, and returns the turn.
async fn send(window: &mut Window, id: &str, text: &str) -> Result<TurnId> {
    let params = message(window.thread(), id, text);
    Ok(window.client()?.call::<TurnStart>(params).await?.turn.id)
}

/// The user's texts in the server's history.
async fn texts_of(window: &mut Window) -> Result<Vec<String>> {
    let thread = window.thread();
    let read = window.client()?.read_thread(thread).await?;
    Ok(read.turns.iter().flat_map(|turn| &turn.items).filter_map(user_text).collect())
}

#[tokio::test]
async fn a_message_with_a_lost_answer_is_taken_once() -> Result<()> {
    let home = Home::start().await?;
    let mut window = Window::start(Kind::Numbered, home.address()).await?;
    let mut control = home.client_at_owner().await?;
    let first = send(&mut window, "m0", "the first").await?;
    window.until("the first turn", |view| view.has_ended(&first)).await?;
    for round in 1..20 {
        let params = message(window.thread(), &format!("m{round}"), &format!("text {round}"));
        // The client disconnects at once, so the message may have arrived or not.
        let _unanswered = window.client()?.start_call::<TurnStart>(&params).await?;
        window.leave([Leave::Drop, Leave::Reset][round % 2]).await?;
        window.come_back(home.address()).await?;
        let turn = send(&mut window, &format!("m{round}"), &format!("text {round}")).await?;
        assert_eq!(send(&mut window, &format!("m{round}"), &format!("text {round}")).await?, turn);
        window.until("the turn", |view| view.has_ended(&turn)).await?;
        assert_eq!(window.view.last_text(), Some(format!("text {round}")));
    }
    let texts: Vec<String> =
        ["the first".to_owned()].into_iter().chain((1..20).map(|round| format!("text {round}"))).collect();
    assert_eq!(texts_of(&mut window).await?, texts);
    assert_eq!(control.status().await?.turns.started_total, 20);
    home.finish().await
}

#[tokio::test]
async fn a_message_with_a_lost_answer_is_taken_once_beside_many_others() -> Result<()> {
    let home = Home::start().await?;
    let mut window = Window::start(Kind::Numbered, home.address()).await?;
    let thread = window.thread();
    let turn = send(&mut window, "mine", "the first").await?;
    window.until("the first turn", |view| view.has_ended(&turn)).await?;
    window.leave(Leave::Drop).await?;
    let mut others = home.client().await?;
    others.resume(thread).await?;
    for number in 0..100 {
        let started = others.call::<TurnStart>(message(thread, &format!("m{number}"), "another")).await?;
        others.turn_end(&started.turn.id).await?;
    }
    window.come_back(home.address()).await?;
    assert_eq!(send(&mut window, "mine", "the first").await?, turn);
    home.finish().await
}

#[tokio::test]
async fn a_message_taken_before_a_kill_is_not_taken_again() -> Result<()> {
    let mut home = Home::start().await?;
    let mut window = Window::start(Kind::Numbered, home.address()).await?;
    let whole = send(&mut window, "whole", "words").await?;
    window.until("the first turn", |view| view.has_ended(&whole)).await?;
    let cut_off = send(&mut window, "cut off", "/stream 100000 8 100").await?;
    window.until("text", |view| view.last_text().is_some_and(|text| text.starts_with("0 "))).await?;
    home.restart_after_kill().await?;
    window.leave(Leave::Drop).await?;
    window.come_back(home.address()).await?;
    assert_eq!(send(&mut window, "whole", "words").await?, whole);
    let params = message(window.thread(), "cut off", "/stream 100000 8 100");
    let again = window.client()?.call::<TurnStart>(params).await?.turn;
    assert_eq!(
        (again.id, again.status),
        (cut_off, TurnStatus::Interrupted),
        "the client sees how the turn ended"
    );
    assert_eq!(texts_of(&mut window).await?, ["words", "/stream 100000 8 100"]);
    let next = send(&mut window, "next", "and on").await?;
    window.until("the next turn", |view| view.has_ended(&next)).await?;
    assert_eq!(home.status().await?.turns.started_total, 1, "only the turns of this server count");
    home.finish().await
}

#[tokio::test]
async fn repeated_input_to_a_turn_is_added_once_also_after_a_reload() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turn = client.call::<TurnStart>(message(thread, "begin", "/ask More?")).await?.turn.id;
    // Input that comes before the question is in the first request.
    let asked = client.next_question().await?;
    for _ in 0..3 {
        assert_eq!(client.call::<TurnStart>(message(thread, "more", "and more")).await?.turn.id, turn);
    }
    client.answer_question(&asked, "no").await?;
    client.turn_end(&turn).await?;
    assert_eq!(client.reply_text(&turn)?.as_deref(), Some("and more"));
    client.unload(thread, false).await?;
    client.resume(thread).await?;
    assert_eq!(client.call::<TurnStart>(message(thread, "more", "and more")).await?.turn.id, turn);
    let read = client.read_thread(thread).await?;
    let users: Vec<String> = read.turns.iter().flat_map(|turn| &turn.items).filter_map(user_text).collect();
    assert_eq!(users, ["/ask More?", "and more"]);
    home.finish().await
}
