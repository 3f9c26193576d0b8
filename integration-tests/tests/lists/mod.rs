//! Lists of threads, reads of threads, and their names.

mod catalog;
mod folders;
mod names;
mod pages;
mod reindex;

use anyhow::{Context, Result};
use skein_integration_tests::client::Client;
use skein_integration_tests::fixture::remove_index;
use skein_integration_tests::home::Home;
use skein_protocol::extension::ListOptions;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadList, ThreadLoadedList, ThreadRead, ThreadStart};
use skein_protocol::thread::{
    SessionSource, SortDirection, Thread, ThreadListCwdFilter, ThreadListParams, ThreadLoadedListParams,
    ThreadReadParams, ThreadSortKey, ThreadStartParams, ThreadStatus,
};
use uuid::Uuid;

async fn list(client: &mut Client, params: ThreadListParams) -> Result<Vec<ThreadId>> {
    Ok(client.call::<ThreadList>(params).await?.data.into_iter().map(|thread| thread.id).collect())
}

async fn listed(client: &mut Client, thread: ThreadId) -> Result<Thread> {
    let threads = client.call::<ThreadList>(ThreadListParams::default()).await?.data;
    threads.into_iter().find(|listed| listed.id == thread).context("the thread is not listed")
}

/// Makes a thread in a folder and runs a turn.
async fn make(client: &mut Client, cwd: &str, text: &str) -> Result<ThreadId> {
    let params = ThreadStartParams { cwd: Some(cwd.to_owned()), ..ThreadStartParams::default() };
    let thread = client.call::<ThreadStart>(params).await?.thread.id;
    client.turn(thread, text).await?;
    Ok(thread)
}

#[tokio::test]
async fn a_list_has_all_threads_on_disk_newest_first() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    assert_eq!(list(&mut client, ThreadListParams::default()).await?, []);
    let first = client.start_thread_with("about trees").await?;
    let second = client.start_thread_with("about rivers").await?;
    let third = client.start_thread_with("about stones").await?;
    let _unmaterialised = client.start_thread().await?;
    client.unload(second, false).await?;
    assert_eq!(list(&mut client, ThreadListParams::default()).await?, [third, second, first]);
    // The first thread stays the oldest by creation, and becomes the newest by use.
    client.turn(first, "again about trees").await?;
    let by = |sort_key| ThreadListParams { sort_key: Some(sort_key), ..ThreadListParams::default() };
    for params in [ThreadListParams::default(), by(ThreadSortKey::CreatedAt)] {
        assert_eq!(list(&mut client, params).await?, [third, second, first]);
    }
    assert_eq!(list(&mut client, by(ThreadSortKey::UpdatedAt)).await?, [first, third, second]);
    let oldest_first =
        ThreadListParams { sort_direction: Some(SortDirection::Asc), ..by(ThreadSortKey::CreatedAt) };
    assert_eq!(list(&mut client, oldest_first).await?, [first, second, third]);
    home.finish().await
}

#[tokio::test]
async fn a_listed_thread_has_its_preview_and_status_and_no_turns() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("about trees").await?;
    let shown = listed(&mut client, thread).await?;
    assert_eq!((shown.preview.as_str(), shown.turns.len()), ("about trees", 0));
    assert_eq!((shown.status, shown.source), (ThreadStatus::Idle, SessionSource::VsCode));
    assert!(shown.created_at > 1_600_000_000 && shown.updated_at >= shown.created_at);
    let turn = client.start_turn(thread, "/hang").await?;
    let active = ThreadStatus::Active { active_flags: Vec::new() };
    assert_eq!(listed(&mut client, thread).await?.status, active);
    client.interrupt_and_wait(thread, &turn).await?;
    client.unload(thread, false).await?;
    assert_eq!(listed(&mut client, thread).await?.status, ThreadStatus::NotLoaded);
    home.finish().await
}

#[tokio::test]
async fn a_list_is_filtered_by_folder_text_and_exclusion() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let (one, two) = (home.beside().join("one"), home.beside().join("two"));
    for folder in [&one, &two] {
        std::fs::create_dir(folder)?;
    }
    let (one, two) = (one.to_string_lossy().into_owned(), two.to_string_lossy().into_owned());
    let trees = make(&mut client, &one, "about Trees").await?;
    let rivers = make(&mut client, &two, "about rivers").await?;
    let in_one =
        ThreadListParams { cwd: Some(ThreadListCwdFilter::One(one.clone())), ..ThreadListParams::default() };
    assert_eq!(list(&mut client, in_one).await?, [trees]);
    let in_both = ThreadListParams {
        cwd: Some(ThreadListCwdFilter::Several(vec![one, two])),
        ..ThreadListParams::default()
    };
    assert_eq!(list(&mut client, in_both).await?, [rivers, trees]);
    let search = ThreadListParams { search_term: Some("tREES".to_owned()), ..ThreadListParams::default() };
    assert_eq!(list(&mut client, search).await?, [trees]);
    let without = ThreadListParams { excluded_thread_ids: Some(vec![rivers]), ..ThreadListParams::default() };
    assert_eq!(list(&mut client, without).await?, [trees]);
    let archived = ThreadListParams { archived: Some(true), ..ThreadListParams::default() };
    assert_eq!(list(&mut client, archived).await?, []);
    let other_folder =
        ThreadListParams { model_providers: Some(vec!["nobody".to_owned()]), ..ThreadListParams::default() };
    assert_eq!(list(&mut client, other_folder).await?, []);
    home.finish().await
}

#[tokio::test]
async fn a_list_is_filtered_by_time() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("about trees").await?;
    let Thread { created_at, updated_at, .. } = listed(&mut client, thread).await?;
    let within = |options: ListOptions| ThreadListParams { skein: Some(options), ..Default::default() };
    let since = ListOptions {
        created_since: Some(created_at),
        updated_since: Some(updated_at),
        ..ListOptions::default()
    };
    assert_eq!(list(&mut client, within(since)).await?, [thread]);
    for outside in [
        ListOptions { created_before: Some(created_at), ..ListOptions::default() },
        ListOptions { updated_before: Some(updated_at), ..ListOptions::default() },
        ListOptions { created_since: Some(created_at + 3_600), ..ListOptions::default() },
        ListOptions { updated_since: Some(i64::MAX), ..ListOptions::default() },
    ] {
        assert_eq!(list(&mut client, within(outside)).await?, []);
    }
    home.finish().await
}

#[tokio::test]
async fn pages_have_no_gap_and_no_repetition_while_threads_are_added() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let mut made = Vec::new();
    for number in 0..7 {
        made.push(client.start_thread_with(&format!("thread {number}")).await?);
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let params =
            ThreadListParams { limit: Some(3), cursor: cursor.take(), ..ThreadListParams::default() };
        let page = client.call::<ThreadList>(params).await?;
        assert!(page.data.len() <= 3);
        seen.extend(page.data.into_iter().map(|thread| thread.id));
        // Newer than every listed thread, so it must not shift the pages.
        client.start_thread_with("meanwhile").await?;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    made.reverse();
    assert_eq!(seen, made);
    let bad = ThreadListParams { cursor: Some("nonsense".to_owned()), ..ThreadListParams::default() };
    let error = client.refusal::<ThreadList>(bad).await?;
    assert_eq!((error.reason(), error.data.as_ref().unwrap().path.as_deref()), ("badCursor", Some("cursor")));
    home.finish().await
}

#[tokio::test]
async fn lists_and_histories_survive_a_restart_and_a_kill() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    for number in 0..4 {
        client.start_thread_with(&format!("thread {number}")).await?;
    }
    let before = list(&mut client, ThreadListParams::default()).await?;
    let read = client.read_thread(before[0]).await?.turns;
    home.restart().await?;
    let mut client = home.client().await?;
    assert_eq!(list(&mut client, ThreadListParams::default()).await?, before);
    assert_eq!(client.read_thread(before[0]).await?.turns, read);
    let newest = client.start_thread_with("the newest").await?;
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    let after = list(&mut client, ThreadListParams::default()).await?;
    assert_eq!((after[0], &after[1..]), (newest, before.as_slice()));
    home.finish().await
}

#[tokio::test]
async fn a_lost_index_is_rebuilt() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    for number in 0..3 {
        client.start_thread_with(&format!("thread {number}")).await?;
    }
    let before = list(&mut client, ThreadListParams::default()).await?;
    home.stop().await?;
    remove_index(&home.path())?;
    home.start_again().await?;
    let mut client = home.client().await?;
    let page = client.call::<ThreadList>(ThreadListParams::default()).await?;
    let ids: Vec<ThreadId> = page.data.into_iter().map(|thread| thread.id).collect();
    // The list is correct, or marked as incomplete; never empty without that note.
    if page.skein.and_then(|skein| skein.indexing).is_none() {
        assert_eq!(ids, before);
    }
    home.finish().await
}

#[tokio::test]
async fn reading_a_thread_does_not_load_it() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    client.unload(thread, false).await?;
    let params = |turns| ThreadReadParams { include_turns: turns, thread_id: thread };
    let without = client.call::<ThreadRead>(params(false)).await?;
    assert_eq!((without.thread.turns.len(), without.thread.status), (0, ThreadStatus::NotLoaded));
    let with = client.call::<ThreadRead>(params(true)).await?;
    assert_eq!(with.thread.turns.len(), 1);
    assert!(with.skein.is_some());
    assert_eq!(client.loaded().await?, []);
    let unknown = ThreadReadParams { include_turns: false, thread_id: ThreadId::new(Uuid::now_v7()) };
    assert_eq!(client.refusal::<ThreadRead>(unknown).await?.reason(), "threadNotFound");
    home.finish().await
}

#[tokio::test]
async fn a_thread_is_read_in_the_middle_of_its_turn() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turn = client.start_turn(thread, "/stream 100000 8 100").await?;
    client
        .next::<skein_protocol::notifications::ItemAgentMessageDelta>(|delta| delta.delta.starts_with("3 "))
        .await?;
    let mut other = home.client().await?;
    let read = other.read_thread(thread).await?;
    let text = read.turns[0].items.iter().find_map(skein_integration_tests::requests::agent_text);
    assert!(text.is_some_and(|text| text.contains("3 ")), "the open message with its text so far");
    client.interrupt_and_wait(thread, &turn).await?;
    home.finish().await
}

#[tokio::test]
async fn the_list_of_loaded_threads_has_pages_too() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(client.start_thread().await?.id);
    }
    made.sort();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let params = ThreadLoadedListParams { limit: Some(2), cursor: cursor.take() };
        let page = client.call::<ThreadLoadedList>(params).await?;
        let details = page.skein.unwrap().threads;
        assert_eq!(details.iter().map(|thread| thread.thread_id).collect::<Vec<_>>(), page.data);
        seen.extend(page.data);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, made);
    home.finish().await
}
