//! Pages of histories.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{agent_text, items_params, resume_params, turns_params, user_text};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadItemsList, ThreadRead, ThreadResume, ThreadStart, ThreadTurnsList};
use skein_protocol::notifications::ItemAgentMessageDelta;
use skein_protocol::table::Method;
use skein_protocol::thread::{
    SortDirection, ThreadHistoryMode, ThreadItemEntry, ThreadItemsListCursor, ThreadItemsListParams,
    ThreadReadParams, ThreadResumeInitialTurnsPageParams, ThreadResumeParams, ThreadStartParams,
    ThreadTurnsListParams,
};
use skein_protocol::turn::{TurnItemsView, TurnStatus};
use uuid::Uuid;

/// A thread whose turns have the texts `turn 0`, `turn 1` and so on.
async fn converse(client: &mut Client, turns: usize) -> Result<ThreadId> {
    let thread = client.start_thread().await?.id;
    for number in 0..turns {
        client.turn(thread, &format!("turn {number}")).await?;
    }
    Ok(thread)
}

/// The texts of these items, from users and agents.
fn texts_of(entries: &[ThreadItemEntry]) -> Vec<String> {
    entries.iter().filter_map(|entry| user_text(&entry.item).or_else(|| agent_text(&entry.item))).collect()
}

#[tokio::test]
async fn turns_are_read_newest_first_while_new_ones_are_added() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let thread = converse(&mut client, 5).await?;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let params = ThreadTurnsListParams {
            cursor: cursor.take(),
            limit: Some(2),
            items_view: Some(TurnItemsView::Full),
            ..turns_params(thread)
        };
        let page = client.call::<ThreadTurnsList>(params).await?;
        assert!(page.data.len() <= 2 && page.skein.is_some());
        seen.extend(page.data.iter().filter_map(|turn| user_text(turn.items.first()?)));
        client.turn(thread, "meanwhile").await?;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["turn 4", "turn 3", "turn 2", "turn 1", "turn 0"]);
    home.finish().await
}

#[tokio::test]
async fn items_of_a_thread_or_a_turn_are_read_oldest_first_without_a_load() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = converse(&mut client, 3).await?;
    client.unload(thread, false).await?;
    let first = ThreadItemsListParams { limit: Some(4), ..items_params(thread) };
    let first = client.call::<ThreadItemsList>(first).await?;
    assert_eq!(texts_of(&first.data), ["turn 0", "turn 0", "turn 1", "turn 1"]);
    assert!(first.data.iter().all(|entry| entry.started_at_ms.is_some() && entry.completed_at_ms.is_some()));
    let cursor = Some(ThreadItemsListCursor::Page(first.next_cursor.context("there is more")?));
    let rest =
        client.call::<ThreadItemsList>(ThreadItemsListParams { cursor, ..items_params(thread) }).await?;
    assert_eq!((texts_of(&rest.data), rest.next_cursor), (vec!["turn 2".to_owned(); 2], None));
    let turn_id = Some(first.data[2].turn_id.clone());
    let of_turn = ThreadItemsListParams { turn_id, ..items_params(thread) };
    assert_eq!(texts_of(&client.call::<ThreadItemsList>(of_turn).await?.data), ["turn 1", "turn 1"]);
    assert_eq!(client.loaded().await?, []);
    home.finish().await
}

#[tokio::test]
async fn cursors_from_a_resume_read_the_history_backwards() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = converse(&mut client, 3).await?;
    let mut other = home.client().await?;
    let initial_turns_page =
        Some(ThreadResumeInitialTurnsPageParams { items_view: None, limit: Some(2), sort_direction: None });
    let params = ThreadResumeParams { exclude_turns: true, initial_turns_page, ..resume_params(thread) };
    let resumed = other.call::<ThreadResume>(params).await?;
    assert_eq!(resumed.thread.history_mode, ThreadHistoryMode::Paginated);
    let page = resumed.initial_turns_page.context("the page was requested")?;
    assert_eq!((page.data.len(), page.next_cursor.is_some()), (2, true));
    // Events carry everything newer than the resume.
    client.turn(thread, "newer").await?;
    let backwards = ThreadItemsListParams {
        cursor: resumed.items_backwards_cursor.map(ThreadItemsListCursor::Page),
        limit: Some(3),
        sort_direction: Some(SortDirection::Desc),
        ..items_params(thread)
    };
    let page = other.call::<ThreadItemsList>(backwards).await?;
    assert_eq!(texts_of(&page.data), ["turn 2", "turn 2", "turn 1"]);
    let backwards = ThreadTurnsListParams { cursor: resumed.turns_backwards_cursor, ..turns_params(thread) };
    let page = other.call::<ThreadTurnsList>(backwards).await?;
    assert_eq!((page.data.len(), page.next_cursor), (3, None));
    assert!(page.data.iter().all(|turn| turn.items_view == TurnItemsView::Summary && turn.items.len() == 2));
    home.finish().await
}

#[tokio::test]
async fn an_item_in_progress_is_listed_with_its_text_so_far() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turn = client.start_turn(thread, "/stream 100000 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("3 ")).await?;
    let mut other = home.client().await?;
    let page = other.call::<ThreadItemsList>(items_params(thread)).await?;
    let text = page.data.iter().find_map(|entry| agent_text(&entry.item)).context("the open message")?;
    assert!(text.starts_with("0 ") && text.contains("3 "), "{text}");
    let turns = other.call::<ThreadTurnsList>(turns_params(thread)).await?.data;
    assert_eq!(turns[0].status, TurnStatus::InProgress);
    assert!(turns[0].items.iter().filter_map(agent_text).any(|text| text.contains("3 ")));
    client.interrupt_and_wait(thread, &turn).await?;
    let ids: Vec<_> = other
        .call::<ThreadItemsList>(items_params(thread))
        .await?
        .data
        .iter()
        .map(|entry| entry.item.id().clone())
        .collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "each once");
    home.finish().await
}

#[tokio::test]
async fn late_pages_from_a_resume_leave_out_everything_in_its_events() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = converse(&mut client, 1).await?;
    let turn = client.start_turn(thread, "/stream 100000 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("3 ")).await?;
    let mut other = home.client().await?;
    let resumed = other
        .call::<ThreadResume>(ThreadResumeParams { exclude_turns: true, ..resume_params(thread) })
        .await?;
    let from_here = ThreadItemsListParams {
        cursor: resumed.items_backwards_cursor.map(ThreadItemsListCursor::Page),
        sort_direction: Some(SortDirection::Desc),
        ..items_params(thread)
    };
    let shown = ["/stream 100000 8 100", "turn 0", "turn 0"];
    assert_eq!(texts_of(&other.call::<ThreadItemsList>(from_here.clone()).await?.data), shown);
    client.interrupt_and_wait(thread, &turn).await?;
    client.turn(thread, "newer").await?;
    assert_eq!(texts_of(&other.call::<ThreadItemsList>(from_here.clone()).await?.data), shown);
    // A turn's status is current: its end may have been announced long ago.
    let cursor = resumed.turns_backwards_cursor.context("a cursor of a full snapshot")?;
    let turns = |cursor| ThreadTurnsListParams { cursor: Some(cursor), ..turns_params(thread) };
    let page = other.call::<ThreadTurnsList>(turns(cursor.clone())).await?;
    let [last, _] = page.data.as_slice() else { bail!("{page:?}") };
    assert_eq!((&last.id, last.status, last.items.len()), (&turn, TurnStatus::Interrupted, 1));
    assert!(last.completed_at.is_some());
    let of_another_epoch = turns(cursor.replace(r#""epoch":1"#, r#""epoch":2"#));
    assert_eq!(other.refusal::<ThreadTurnsList>(of_another_epoch).await?.reason(), "badCursor");
    // Page by page too. A cursor in the other direction shows the newer items.
    let first = ThreadItemsListParams { limit: Some(1), ..from_here };
    let first = other.call::<ThreadItemsList>(first).await?;
    let page = |cursor: Option<String>, direction| ThreadItemsListParams {
        cursor: cursor.map(ThreadItemsListCursor::Page),
        sort_direction: Some(direction),
        ..items_params(thread)
    };
    let rest = other.call::<ThreadItemsList>(page(first.next_cursor, SortDirection::Desc)).await?;
    assert_eq!(texts_of(&rest.data), shown[1..]);
    let newer = other.call::<ThreadItemsList>(page(first.backwards_cursor, SortDirection::Asc)).await?;
    assert_eq!(texts_of(&newer.data).last().map(String::as_str), Some("newer"));
    home.finish().await
}

#[tokio::test]
async fn a_page_ends_before_its_answer_is_too_large() -> Result<()> {
    let (home, mut client) = Home::setup().set("limits.answer_bytes", 65_536).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    for _ in 0..4 {
        client.turn(thread, &"x".repeat(10_000)).await?;
    }
    let error =
        client.refusal::<ThreadRead>(ThreadReadParams { include_turns: true, thread_id: thread }).await?;
    assert_eq!(
        (error.reason(), error.data.as_ref().and_then(|data| data.thread_id)),
        ("answerTooLarge", Some(thread))
    );
    assert!(error.message.contains(ThreadTurnsList::INFO.wire), "{error}");
    let resumed = client.call::<ThreadResume>(resume_params(thread)).await?;
    let older = resumed.skein.and_then(|snapshot| snapshot.older_turns);
    assert!((1..4).contains(&resumed.thread.turns.len()) && older.is_some(), "as many as fit");
    let (mut seen, mut cursor) = (0, None);
    loop {
        let items_view = Some(TurnItemsView::Full);
        let params = ThreadTurnsListParams { cursor: cursor.take(), items_view, ..turns_params(thread) };
        let page = client.call::<ThreadTurnsList>(params).await?;
        seen += page.data.len();
        let Some(next) = page.next_cursor else { break };
        cursor = Some(next);
    }
    assert_eq!(seen, 4);
    // A turn that exceeds the limit by itself is read item by item.
    client.turn(thread, &"x".repeat(40_000)).await?;
    let params = ThreadTurnsListParams { items_view: Some(TurnItemsView::Full), ..turns_params(thread) };
    let error = client.refusal::<ThreadTurnsList>(params).await?;
    assert!(error.message.contains(ThreadItemsList::INFO.wire), "{error}");
    let params = ThreadItemsListParams { sort_direction: Some(SortDirection::Desc), ..items_params(thread) };
    assert_eq!(client.call::<ThreadItemsList>(params).await?.data.len(), 1);
    home.finish().await
}

#[tokio::test]
async fn the_first_page_of_a_resume_has_as_many_turns_as_fit() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    for _ in 0..2 {
        client.turn(thread, &"x".repeat(400_000)).await?;
    }
    let initial_turns_page =
        Some(ThreadResumeInitialTurnsPageParams { items_view: None, limit: None, sort_direction: None });
    let params = ThreadResumeParams { exclude_turns: true, initial_turns_page, ..resume_params(thread) };
    let page = home.client().await?.call::<ThreadResume>(params).await?.initial_turns_page;
    let page = page.context("the page was requested")?;
    assert_eq!((page.data.len(), page.next_cursor.is_some()), (1, true));
    home.finish().await
}

#[tokio::test]
async fn a_turn_that_no_server_runs_is_shown_as_interrupted() -> Result<()> {
    let (mut home, mut client, thread) = Home::with_thread().await?;
    client.start_turn(thread, "/stream 100000 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("3 ")).await?;
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    let read = ThreadReadParams { include_turns: true, thread_id: thread };
    let [turn] = client.call::<ThreadRead>(read).await?.thread.turns.try_into().unwrap();
    assert_eq!(turn.status, TurnStatus::Interrupted);
    let listed = client.call::<ThreadTurnsList>(turns_params(thread)).await?.data;
    assert_eq!(listed[0].status, TurnStatus::Interrupted);
    let items = client.call::<ThreadItemsList>(items_params(thread)).await?.data;
    assert!(items.iter().all(|entry| entry.completed_at_ms.is_some()), "{items:?}");
    home.finish().await
}

#[tokio::test]
async fn a_thread_in_memory_only_has_an_empty_history_or_none() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turns = client.call::<ThreadTurnsList>(turns_params(thread)).await?;
    assert_eq!((turns.data, turns.next_cursor, turns.backwards_cursor), (Vec::new(), None, None));
    assert_eq!(client.call::<ThreadItemsList>(items_params(thread)).await?.data, []);
    let params = ThreadStartParams { ephemeral: Some(true), ..ThreadStartParams::default() };
    let ephemeral = client.call::<ThreadStart>(params).await?.thread.id;
    assert_eq!(client.refusal::<ThreadTurnsList>(turns_params(ephemeral)).await?.reason(), "ephemeral");
    let read = |include_turns| ThreadReadParams { include_turns, thread_id: ephemeral };
    assert!(client.call::<ThreadRead>(read(false)).await?.thread.ephemeral);
    assert_eq!(client.refusal::<ThreadRead>(read(true)).await?.reason(), "ephemeral");
    let nobody = ThreadId::new(Uuid::now_v7());
    assert_eq!(client.refusal::<ThreadItemsList>(items_params(nobody)).await?.reason(), "threadNotFound");
    let cursor = Some("nonsense".to_owned());
    let bad = ThreadTurnsListParams { cursor, ..turns_params(thread) };
    let error = client.refusal::<ThreadTurnsList>(bad).await?;
    assert_eq!((error.reason(), error.data.as_ref().unwrap().path.as_deref()), ("badCursor", Some("cursor")));
    let malformed = json!({ "threadId": thread, "cursor": { "item": "x" } });
    let error = client.call_raw(ThreadItemsList::INFO.wire, &malformed).await?.unwrap_err();
    assert!(error.message.contains(r#"{"type": "item", "itemId": ID}"#), "{error}");
    home.finish().await
}
