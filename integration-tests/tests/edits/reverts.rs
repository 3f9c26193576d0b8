//! Reverts of turns.

use anyhow::{Context, Result};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{items_params, resume_params, turns_params};
use skein_integration_tests::view::{Kind, View, Window};
use skein_protocol::extension::GapReason;
use skein_protocol::methods::{
    ThreadItemsList, ThreadList, ThreadResume, ThreadRevert, ThreadRollback, ThreadTurnsList,
};
use skein_protocol::notifications::ThreadReverted;
use skein_protocol::thread::{
    ThreadItemsListCursor, ThreadItemsListParams, ThreadListParams, ThreadResumeParams, ThreadRevertParams,
    ThreadRollbackParams, ThreadTurnsListParams,
};

use super::{converse, ids};

#[tokio::test]
async fn a_subscribed_client_and_a_later_client_show_the_same_after_a_revert() -> Result<()> {
    let home = Home::start().await?;
    let mut window = Window::start(Kind::Numbered, home.address()).await?;
    let thread = window.thread();
    let mut turns = Vec::new();
    for text in ["one", "two", "three"] {
        turns.push(window.start_turn(text).await?);
        let last = turns.last().context("one")?.clone();
        window.until("its end", |view| view.has_ended(&last)).await?;
    }
    let mut other = home.client().await?;
    let revert = ThreadRevertParams { before_turn_id: turns[1].clone(), thread_id: thread };
    let response = other.call::<ThreadRevert>(revert).await?;
    window.until("the revert", |view| view.turns.len() == 1).await?;
    let again = window.start_turn("four").await?;
    window.until("its end", |view| view.has_ended(&again) && view.is_at_rest()).await?;
    let late = View::new(Kind::Plain, &other.resume(thread).await?)?;
    window.view.same_as(&late)?;
    assert_eq!(window.view.at.1, response.skein.context("a snapshot")?.epoch);
    // A new number can be resumed.
    window.resume().await?;
    assert_eq!(window.view.gaps, 0);
    home.finish().await
}

#[tokio::test]
async fn old_numbers_and_cursors_do_not_reach_reverted_turns() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let (thread, turns) = converse(&mut client, &["one", "two", "three"]).await?;
    let whole = ThreadResumeParams { exclude_turns: true, ..resume_params(thread) };
    let before = client.call::<ThreadResume>(whole).await?;
    let page = ThreadTurnsListParams { limit: Some(1), ..turns_params(thread) };
    let page = client.call::<ThreadTurnsList>(page).await?;
    client.unload(thread, true).await?;
    let revert = ThreadRevertParams { before_turn_id: turns[1].clone(), thread_id: thread };
    let response = client.call::<ThreadRevert>(revert).await?;
    assert_eq!(client.loaded().await?, [], "the thread is not loaded");
    for cursor in [before.turns_backwards_cursor.clone(), page.next_cursor, page.backwards_cursor] {
        let params = ThreadTurnsListParams { cursor, ..turns_params(thread) };
        assert_eq!(client.refusal::<ThreadTurnsList>(params).await?.reason(), "badCursor");
    }
    let cursor = before.items_backwards_cursor.map(ThreadItemsListCursor::Page);
    let params = ThreadItemsListParams { cursor, ..items_params(thread) };
    assert_eq!(client.refusal::<ThreadItemsList>(params).await?.reason(), "badCursor");
    let cursor = response.turns_backwards_cursor;
    let shown =
        client.call::<ThreadTurnsList>(ThreadTurnsListParams { cursor, ..turns_params(thread) }).await?;
    assert_eq!(ids(&shown.data), turns[..1]);
    let snapshot = before.skein.context("a snapshot")?;
    let skein = Some(skein_protocol::extension::ResumeOptions {
        observe: false,
        after_seq: Some(snapshot.seq),
        epoch: Some(snapshot.epoch),
    });
    let resumed = client.call::<ThreadResume>(ThreadResumeParams { skein, ..resume_params(thread) }).await?;
    let gap = resumed.skein.and_then(|snapshot| snapshot.gap).context("a gap")?;
    assert_eq!(gap.reason, GapReason::OtherEpoch);
    assert_eq!(ids(&resumed.thread.turns), turns[..1]);
    home.finish().await
}

#[tokio::test]
async fn a_revert_survives_a_kill_and_lists_show_it() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let (thread, turns) = converse(&mut client, &["the first", "the second"]).await?;
    let revert = ThreadRevertParams { before_turn_id: turns[0].clone(), thread_id: thread };
    client.call::<ThreadRevert>(revert).await?;
    home.restart_after_kill().await?;
    let mut client: Client = home.client().await?;
    assert_eq!(client.resume(thread).await?.thread.turns, []);
    let listed = client.call::<ThreadList>(ThreadListParams::default()).await?.data;
    assert_eq!((listed.len(), listed[0].preview.as_str()), (1, "the first"));
    client.turn(thread, "another beginning").await?;
    client.unload(thread, true).await?;
    let listed = client.call::<ThreadList>(ThreadListParams::default()).await?.data;
    assert_eq!(listed[0].preview, "the first");
    home.finish().await
}

#[tokio::test]
async fn clients_of_earlier_versions_revert_by_count() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let (thread, turns) = converse(&mut client, &["one", "two", "three"]).await?;
    let mut other = home.client().await?;
    other.resume(thread).await?;
    let rollback = |num_turns| ThreadRollbackParams { num_turns, thread_id: thread };
    let response = client.call::<ThreadRollback>(rollback(2)).await?;
    assert_eq!(ids(&response.thread.turns), turns[..1]);
    other.next::<ThreadReverted>(|reverted| reverted.thread_id == thread).await?;
    assert_eq!(client.refusal::<ThreadRollback>(rollback(0)).await?.reason(), "noTurns");
    let running = client.start_turn(thread, "/hang").await?;
    assert_eq!(client.refusal::<ThreadRollback>(rollback(1)).await?.reason(), "active");
    client.interrupt_and_wait(thread, &running).await?;
    assert_eq!(ids(&client.call::<ThreadRollback>(rollback(1)).await?.thread.turns), turns[..1]);
    home.finish().await
}
