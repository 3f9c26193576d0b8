//! Questions and lost connections: questions without clients, late answers, and answers from before a
//! restart.

use anyhow::{Context, Result};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::requests::{user_answer, user_text};
use skein_integration_tests::view::{Kind, Leave, View, Window};
use skein_protocol::ids::TurnId;
use skein_protocol::notifications::ThreadStatusChanged;
use skein_protocol::server_requests::ItemToolRequestUserInput as Question;
use skein_protocol::thread::{ThreadActiveFlag, ThreadStatus};

use super::ASK;

async fn until_end(window: &mut Window, turn: &TurnId) -> Result<()> {
    window.until("the end of the turn", |view: &View| view.has_ended(turn) && view.questions.is_empty()).await
}

#[tokio::test]
async fn a_question_without_clients_reaches_the_next_client_that_resumes() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    for kind in [Kind::Numbered, Kind::Plain] {
        let mut window = Window::start(kind, home.address()).await?;
        let thread = window.thread();
        // The question follows the stream, when the window is gone.
        let turn = window.start_turn("/stream 300 8 1000").await?;
        assert_eq!(window.start_turn("/ask Anybody?").await?, turn, "added to the running turn");
        window.leave(Leave::Reset).await?;
        control.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
        let waits = ThreadStatus::Active { active_flags: vec![ThreadActiveFlag::WaitingOnUserInput] };
        control
            .next::<ThreadStatusChanged>(|changed| changed.thread_id == thread && changed.status == waits)
            .await?;
        window.come_back(home.address()).await?;
        assert_eq!(window.view.status, waits, "{kind:?}");
        window.until("the question", |view| view.open_question().is_some()).await?;
        let asks = window.view.turns.last().context("a turn")?.items.iter().filter_map(user_text).next_back();
        assert_eq!(
            asks.as_deref(),
            Some("/ask Anybody?"),
            "{kind:?}: the asking item is known before the question"
        );
        window.answer("somebody").await?;
        until_end(&mut window, &turn).await?;
        assert_eq!(window.view.last_text().as_deref(), Some("somebody"), "{kind:?}");
        drop(window);
        control.thread_closed(thread).await?;
        home.until_drained(PATIENCE).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn an_answer_after_the_end_of_its_turn_has_no_effect() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let client = &mut clients[0];
    let (late, params) = client.next_request::<Question>().await?;
    client.interrupt(thread, &turn).await?;
    client.resolved(&late).await?;
    client.turn_end(&turn).await?;
    let again = client.start_turn(thread, "/ask And this one?").await?;
    let (id, _) = client.next_request::<Question>().await?;
    client.answer_request::<Question>(&late, &user_answer(&params.questions[0].id, "late")).await?;
    client.refuse_request(&late, "late, too").await?;
    client.quiesce().await?;
    assert_eq!(home.status().await?.turns.running, 1, "the new question waits for its own answer");
    client.answer_request::<Question>(&id, &user_answer(&params.questions[0].id, "in time")).await?;
    client.turn_end(&again).await?;
    assert_eq!(client.reply_text(&again)?.as_deref(), Some("in time"));
    home.finish().await
}

#[tokio::test]
async fn a_question_from_before_a_kill_is_answered_after_it_and_an_old_one_is_not() -> Result<()> {
    let mut home = Home::start().await?;
    let mut window = Window::start(Kind::Numbered, home.address()).await?;
    let asks = window.start_turn("/ask Before the kill?").await?;
    window.until("the question", |view| view.open_question().is_some()).await?;
    let (old, question) = window.view.open_question().context("the old question")?;
    let (old, name) = (old.clone(), question.questions[0].id.clone());
    home.restart_after_kill().await?;
    window.leave(Leave::Drop).await?;
    window.come_back(home.address()).await?;
    window.until("the same question", |view| view.open_question().is_some()).await?;
    assert_eq!(window.view.open_question().map(|(id, _)| id), Some(&old));
    window.answer("yes to the old one").await?;
    until_end(&mut window, &asks).await?;
    assert_eq!(window.view.last_text().as_deref(), Some("yes to the old one"));
    let turn = window.start_turn("/ask After the kill?").await?;
    window.until("the new question", |view| view.open_question().is_some()).await?;
    let (new, _) = window.view.open_question().context("the new question")?;
    assert_ne!(*new, old);
    let client = window.client()?;
    client.answer_request::<Question>(&old, &user_answer(&name, "yes to the old one, again")).await?;
    client.quiesce().await?;
    assert_eq!(home.status().await?.turns.running, 1, "the new question waits");
    window.answer("yes to the new one").await?;
    until_end(&mut window, &turn).await?;
    assert_eq!(window.view.last_text().as_deref(), Some("yes to the new one"));
    home.finish().await
}

#[tokio::test]
async fn an_error_before_a_disconnect_does_not_block_a_later_answer() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(2, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[0].refuse_request(&id, "the page is being left").await?;
    clients[0].quiesce().await?;
    drop(clients.remove(0));
    let mut back = home.client().await?;
    back.resume(thread).await?;
    assert_eq!(back.answer_next("here again").await?, id);
    clients[0].turn_end(&turn).await?;
    assert_eq!(clients[0].reply_text(&turn)?.as_deref(), Some("here again"));
    home.finish().await
}

#[tokio::test]
async fn an_answer_for_another_thread_has_no_effect() -> Result<()> {
    let home = Home::start().await?;
    let mut windows = [
        Window::start(Kind::Numbered, home.address()).await?,
        Window::start(Kind::Numbered, home.address()).await?,
    ];
    // Each client answers the question of the other's thread, which it did not get.
    let mut turns = Vec::new();
    for window in &mut windows {
        turns.push(window.start_turn("/ask Mine?").await?);
        window.until("the question", |view| view.open_question().is_some()).await?;
    }
    let asked: Vec<_> = windows.iter().filter_map(|window| window.view.open_question()).collect();
    let ids: Vec<_> =
        asked.iter().map(|(id, question)| ((*id).clone(), question.questions[0].id.clone())).collect();
    for (window, (id, name)) in windows.iter_mut().zip(ids.iter().rev()) {
        let client = window.client()?;
        client.answer_request::<Question>(id, &user_answer(name, "not mine")).await?;
        client.quiesce().await?;
        assert_eq!(home.status().await?.turns.running, 2, "both questions wait");
    }
    for (window, turn) in windows.iter_mut().zip(&turns) {
        window.answer("mine").await?;
        until_end(window, turn).await?;
        assert_eq!(window.view.last_text().as_deref(), Some("mine"));
    }
    home.finish().await
}
