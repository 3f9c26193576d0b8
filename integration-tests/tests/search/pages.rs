//! Pages of a search are bounded, and complete at the end.

use anyhow::{Context, Result};
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::search_params;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadDelete, ThreadList, ThreadSearch};
use skein_protocol::thread::{SortDirection, ThreadDeleteParams, ThreadListParams, ThreadSearchParams};

use super::{found, search};

fn page(term: &str, limit: u32, cursor: Option<String>) -> ThreadSearchParams {
    ThreadSearchParams { limit: Some(limit), cursor, ..search_params(term) }
}

#[tokio::test]
async fn pages_have_no_gap_and_no_repetition_while_threads_are_added() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let mut made = Vec::new();
    for number in 0..12 {
        let what = if number % 3 == 0 { "hay" } else { "needle" };
        let thread = client.start_thread_with(&format!("{what} {number}")).await?;
        if what == "needle" {
            made.insert(0, thread);
        }
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.call::<ThreadSearch>(page("needle", 3, cursor.take())).await?;
        assert!(page.data.len() <= 3);
        seen.extend(page.data.into_iter().map(|found| found.thread.id));
        // Newer than every found thread, so it must not shift the pages.
        client.start_thread_with("needle meanwhile").await?;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, made);
    home.finish().await
}

#[tokio::test]
async fn a_page_without_time_reads_one_thread_and_has_a_cursor() -> Result<()> {
    let (home, mut client) =
        Home::setup().set("durability", "process").set("search.page_time", "0s").start_with_client().await?;
    let mut made = Vec::new();
    for number in 0..6 {
        let text = if number == 1 { "needle" } else { "hay" };
        made.push(client.start_thread_with(text).await?);
    }
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.call::<ThreadSearch>(page("needle", 100, cursor.take())).await?;
        pages.push(page.data.iter().map(|found| found.thread.id).collect::<Vec<ThreadId>>());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    // Newest first, one each; the last but one has the text.
    assert_eq!(pages, [vec![], vec![], vec![], vec![], vec![made[1]], vec![]]);
    home.finish().await
}

#[tokio::test]
async fn a_search_can_go_back_from_the_start_of_a_page() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let mut made = Vec::new();
    for number in 0..5 {
        made.insert(0, client.start_thread_with(&format!("needle {number}")).await?);
    }
    let first = client.call::<ThreadSearch>(page("needle", 2, None)).await?;
    let second = client.call::<ThreadSearch>(page("needle", 2, first.next_cursor)).await?;
    let back = ThreadSearchParams {
        sort_direction: Some(SortDirection::Asc),
        ..page("needle", 9, Some(second.backwards_cursor.context("a way back")?))
    };
    let before: Vec<ThreadId> =
        search(&mut client, &back).await?.into_iter().map(|(thread, _)| thread).collect();
    assert_eq!(before, [made[1], made[0]]);
    let bad = page("needle", 2, Some("nonsense".to_owned()));
    assert_eq!(client.refusal::<ThreadSearch>(bad).await?.reason(), "badCursor");
    home.finish().await
}

#[tokio::test]
async fn a_thread_deleted_between_pages_is_not_found_and_hides_no_other() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let mut made = Vec::new();
    for number in 0..6 {
        made.insert(0, client.start_thread_with(&format!("needle {number}")).await?);
    }
    let first = client.call::<ThreadSearch>(page("needle", 2, None)).await?;
    // The thread in the cursor, and the one behind it.
    for thread in [made[1], made[2]] {
        client.call::<ThreadDelete>(ThreadDeleteParams { thread_id: thread }).await?;
    }
    let rest = search(&mut client, &page("needle", 2, first.next_cursor)).await?;
    assert_eq!(rest.into_iter().map(|(thread, _)| thread).collect::<Vec<_>>(), made[3..]);
    assert_eq!(found(&mut client, "needle").await?, [made[0], made[3], made[4], made[5]]);
    home.finish().await
}

/// A rollout removed without its server, and an invalid one: the other threads are found.
#[tokio::test]
async fn a_missing_or_invalid_file_hides_no_other_thread() -> Result<()> {
    let (home, mut client) = Home::in_files()?.start_with_client().await?;
    let mut made = Vec::new();
    for number in 0..4 {
        let thread = client.start_thread_with(&format!("needle {number}")).await?;
        client.unload(thread, true).await?;
        made.insert(0, thread);
    }
    std::fs::remove_file(home.rollout(made[1]))?;
    std::fs::write(home.rollout(made[2]), "needle\nneedle\n")?;
    assert_eq!(found(&mut client, "needle").await?, [made[0], made[3]]);
    home.finish_with_faults().await
}

#[tokio::test]
async fn other_clients_are_answered_during_a_search() -> Result<()> {
    let home = Home::setup().set("durability", "process").start().await?;
    let [mut searching, mut client] = home.clients().await?;
    let thread = client.start_thread_with("needle").await?;
    let mut pending = Vec::new();
    for _ in 0..32 {
        pending.push(searching.start_call::<ThreadSearch>(&search_params("needle")).await?);
    }
    client.call::<ThreadList>(ThreadListParams::default()).await?;
    client.read_thread(thread).await?;
    client.turn(thread, "goes on").await?;
    for search in pending {
        let found = searching.answer(search).await??;
        assert_eq!(found.data.len(), 1);
    }
    home.finish().await
}
