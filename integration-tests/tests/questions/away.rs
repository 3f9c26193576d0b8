//! Questions and lost connections: asked while nobody was there, answered too late, answered by a dialog of yesterday.

use anyhow::{Context, Result};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::requests::user_text;
use skein_integration_tests::view::{Kind, Leave, View, Window};
use skein_protocol::ids::TurnId;
use skein_protocol::notifications::ThreadStatusChanged;
use skein_protocol::server_requests::ItemToolRequestUserInput as Question;
use skein_protocol::thread::{ThreadActiveFlag, ThreadStatus};
use skein_protocol::turn::TurnStatus;

use super::{ASK, answer, answer_next, resolved};

async fn until_end(window: &mut Window, turn: &TurnId) -> Result<()> {
    window.until("the end of the turn", |view: &View| view.has_ended(turn) && view.questions.is_empty()).await
}

#[tokio::test]
async fn a_question_that_was_asked_while_nobody_was_there_is_put_to_whoever_resumes() -> Result<()> {
    let home = Home::start().await?;
    let mut control = home.client().await?;
    for kind in [Kind::Numbered, Kind::Plain] {
        let mut window = Window::start(kind, home.address()).await?;
        let thread = window.thread();
        // The question comes behind the stream, when the window is gone.
        let turn = window.start_turn("/stream 300 8 1000").await?;
        assert_eq!(window.start_turn("/ask Anybody?").await?, turn, "added to the turn that runs");
        window.leave(Leave::Reset).await?;
        control.until_status("nobody", |status| status.threads.subscriptions == 0).await?;
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
            "{kind:?}: what asks is known before the question"
        );
        window.answer("somebody").await?;
        until_end(&mut window, &turn).await?;
        assert_eq!(window.view.last_text().as_deref(), Some("somebody"), "{kind:?}");
        drop(window);
        control.thread_closed(thread).await?;
        home.until_zero(PATIENCE).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn an_answer_after_the_end_of_its_turn_answers_nothing() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(1, ASK).await?;
    let client = &mut clients[0];
    let (late, params) = client.next_request::<Question>().await?;
    client.interrupt(thread, &turn).await?;
    resolved(client, &late).await?;
    client.turn_end(&turn).await?;
    let again = client.start_turn(thread, "/ask And this one?").await?;
    let (id, _) = client.next_request::<Question>().await?;
    client.answer_request::<Question>(&late, &answer(&params.questions[0].id, "late")).await?;
    client.refuse_request(&late, "late, too").await?;
    client.quiesce().await?;
    assert_eq!(client.status().await?.turns.running, 1, "it waits for its own answer");
    client.answer_request::<Question>(&id, &answer(&params.questions[0].id, "in time")).await?;
    client.turn_end(&again).await?;
    assert_eq!(client.said(&again)?.as_deref(), Some("in time"));
    home.finish().await
}

#[tokio::test]
async fn a_dialog_from_before_a_kill_answers_nothing_of_the_next_server() -> Result<()> {
    let mut home = Home::start().await?;
    let mut window = Window::start(Kind::Numbered, home.address()).await?;
    let cut_off = window.start_turn("/ask Before the kill?").await?;
    window.until("the question", |view| view.open_question().is_some()).await?;
    let (old, _) = window.view.open_question().context("the old dialog")?;
    let old = old.clone();
    home.kill().await?;
    home.start_again().await?;
    window.leave(Leave::Drop).await?;
    window.come_back(home.address()).await?;
    assert!(window.view.questions.is_empty(), "the old dialog is void");
    until_end(&mut window, &cut_off).await?;
    let status = window.view.turns.last().map(|turn| turn.status);
    assert_eq!(status, Some(TurnStatus::Interrupted));
    let turn = window.start_turn("/ask After the kill?").await?;
    window.until("the new question", |view| view.open_question().is_some()).await?;
    let (new, question) = window.view.open_question().context("the new dialog")?;
    assert_ne!(*new, old);
    let yes = answer(&question.questions[0].id, "yes to the old one");
    let client = window.client()?;
    client.answer_request::<Question>(&old, &yes).await?;
    client.quiesce().await?;
    assert_eq!(client.status().await?.turns.running, 1, "the new question waits");
    window.answer("yes to the new one").await?;
    until_end(&mut window, &turn).await?;
    assert_eq!(window.view.last_text().as_deref(), Some("yes to the new one"));
    home.finish().await
}

#[tokio::test]
async fn an_error_before_the_connection_is_lost_does_not_stop_the_answer_after_it() -> Result<()> {
    let (home, mut clients, thread, turn) = Home::with_turn(2, ASK).await?;
    let (id, _) = clients[0].next_request::<Question>().await?;
    clients[0].refuse_request(&id, "the page is being left").await?;
    clients[0].quiesce().await?;
    drop(clients.remove(0));
    let mut back = home.client().await?;
    back.resume(thread).await?;
    assert_eq!(answer_next(&mut back, "here again").await?, id);
    clients[0].turn_end(&turn).await?;
    assert_eq!(clients[0].said(&turn)?.as_deref(), Some("here again"));
    home.finish().await
}

#[tokio::test]
async fn nobody_answers_the_question_of_another_thread() -> Result<()> {
    let home = Home::start().await?;
    let mut windows = [
        Window::start(Kind::Numbered, home.address()).await?,
        Window::start(Kind::Numbered, home.address()).await?,
    ];
    // Each answers the question of the other's thread: nobody was asked that.
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
        client.answer_request::<Question>(id, &answer(name, "not mine")).await?;
        client.quiesce().await?;
        assert_eq!(client.status().await?.turns.running, 2, "both wait");
    }
    for (window, turn) in windows.iter_mut().zip(&turns) {
        window.answer("mine").await?;
        until_end(window, turn).await?;
        assert_eq!(window.view.last_text().as_deref(), Some("mine"));
    }
    home.finish().await
}
