//! Every occurrence in one thread.

use anyhow::{Context, Result};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{occurrences_params, turns_params};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadRevert, ThreadSearchOccurrences, ThreadStart, ThreadTurnsList};
use skein_protocol::thread::{
    SortDirection, ThreadRevertParams, ThreadSearchOccurrence, ThreadSearchOccurrencesParams,
    ThreadStartParams, ThreadTurnsListParams,
};
use uuid::Uuid;

/// The hits on all pages of this length, and the number of pages.
async fn all(
    client: &mut Client,
    thread: ThreadId,
    term: &str,
    limit: u32,
) -> Result<(Vec<ThreadSearchOccurrence>, usize)> {
    let (mut hits, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let params =
            ThreadSearchOccurrencesParams { cursor, limit: Some(limit), ..occurrences_params(thread, term) };
        let page = client.call::<ThreadSearchOccurrences>(params).await?;
        assert!(page.data.len() <= limit as usize);
        hits.extend(page.data);
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok((hits, pages));
        }
    }
}

/// The part of the snippet that a hit's range selects.
fn cut_out(hit: &ThreadSearchOccurrence) -> Result<String> {
    let units: Vec<u16> = hit.snippet.encode_utf16().collect();
    let range = hit.snippet_match_range;
    let cut = units.get(range.start as usize..range.end as usize).context("the range is in the snippet")?;
    Ok(String::from_utf16(cut)?)
}

#[tokio::test]
async fn every_hit_comes_once_oldest_first_with_any_page_length() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let mut turns = Vec::new();
    for text in ["😀 Needle, NEEDLE", "hay", "one needle"] {
        turns.push(client.turn(thread, text).await?.id);
    }
    let (hits, pages) = all(&mut client, thread, "needle", 100).await?;
    assert_eq!(pages, 1);
    // The echo repeats each text.
    let found: Vec<_> = hits.iter().map(|hit| hit.turn_id.clone()).collect();
    assert_eq!(found, [&turns[0], &turns[0], &turns[0], &turns[0], &turns[2], &turns[2]].map(Clone::clone));
    let cuts = hits.iter().map(cut_out).collect::<Result<Vec<_>>>()?;
    assert_eq!(cuts, ["Needle", "NEEDLE", "Needle", "NEEDLE", "needle", "needle"]);
    assert_eq!((hits[0].snippet_match_range.start, hits[0].item_id == hits[1].item_id), (3, true));
    assert!(hits[1].item_id != hits[2].item_id);
    client.unload(thread, true).await?;
    for limit in [1, 2, 4, 5] {
        assert_eq!(all(&mut client, thread, "needle", limit).await?.0, hits, "pages of {limit}");
    }
    assert_eq!(all(&mut client, thread, "nowhere", 1).await?, (Vec::new(), 1));
    home.finish().await
}

#[tokio::test]
async fn pages_without_time_find_the_same() -> Result<()> {
    let (home, mut client) =
        Home::setup().set("durability", "process").set("search.page_time", "0s").start_with_client().await?;
    let thread = client.start_thread().await?.id;
    for number in 0..40 {
        client.turn(thread, if number % 20 == 7 { "needle" } else { "hay" }).await?;
    }
    let (hits, pages) = all(&mut client, thread, "needle", 100).await?;
    assert_eq!(hits.len(), 4);
    assert!(pages > 1, "each page ends after a few turns: {pages}");
    home.finish().await
}

#[tokio::test]
async fn the_cursor_of_a_hit_reads_from_its_turn_in_both_directions() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let mut turns = Vec::new();
    for text in ["one", "two", "the needle", "four", "five"] {
        turns.push(client.turn(thread, text).await?.id);
    }
    let hit = all(&mut client, thread, "needle", 1).await?.0.remove(0);
    assert_eq!(hit.turn_id, turns[2]);
    let table = [
        (SortDirection::Asc, turns[2..].to_vec()),
        (SortDirection::Desc, {
            let mut older = turns[..3].to_vec();
            older.reverse();
            older
        }),
    ];
    for (direction, expected) in table {
        let params = ThreadTurnsListParams {
            cursor: Some(hit.turn_cursor.clone()),
            sort_direction: Some(direction),
            ..turns_params(thread)
        };
        let page = client.call::<ThreadTurnsList>(params).await?;
        assert_eq!(page.data.into_iter().map(|turn| turn.id).collect::<Vec<_>>(), expected);
    }
    home.finish().await
}

#[tokio::test]
async fn a_revert_between_pages_removes_its_hits_and_moves_no_other() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let thread = client.start_thread_with("needle 1").await?;
    let second = client.turn(thread, "needle 2").await?.id;
    let params = ThreadSearchOccurrencesParams { limit: Some(3), ..occurrences_params(thread, "needle") };
    let first = client.call::<ThreadSearchOccurrences>(params.clone()).await?;
    assert_eq!(first.data.last().map(|hit| &hit.turn_id), Some(&second));
    client.call::<ThreadRevert>(ThreadRevertParams { before_turn_id: second, thread_id: thread }).await?;
    let third = client.turn(thread, "needle 3").await?.id;
    let rest = ThreadSearchOccurrencesParams { cursor: first.next_cursor.clone(), ..params.clone() };
    let rest = client.call::<ThreadSearchOccurrences>(rest).await?;
    assert_eq!(rest.data.iter().map(|hit| &hit.turn_id).collect::<Vec<_>>(), [&third, &third]);
    assert_eq!(all(&mut client, thread, "needle", 100).await?.0.len(), 4);
    // A cursor of another thread, or an invalid cursor, is refused.
    let other = client.start_thread_with("needle").await?;
    for (thread, cursor) in [(other, first.next_cursor), (thread, Some("nonsense".to_owned()))] {
        let bad = ThreadSearchOccurrencesParams { cursor, ..occurrences_params(thread, "needle") };
        assert_eq!(client.refusal::<ThreadSearchOccurrences>(bad).await?.reason(), "badCursor");
    }
    home.finish().await
}

#[tokio::test]
async fn a_missing_or_unwritten_thread_is_reported_as_such() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let unknown = ThreadId::new(Uuid::now_v7());
    let error = client.refusal::<ThreadSearchOccurrences>(occurrences_params(unknown, "x")).await?;
    assert_eq!(error.reason(), "threadNotFound");
    let silent = client.start_thread().await?.id;
    assert_eq!(all(&mut client, silent, "x", 1).await?, (Vec::new(), 1));
    let params = ThreadStartParams { ephemeral: Some(true), ..ThreadStartParams::default() };
    let ephemeral = client.call::<ThreadStart>(params).await?.thread.id;
    client.turn(ephemeral, "x").await?;
    let error = client.refusal::<ThreadSearchOccurrences>(occurrences_params(ephemeral, "x")).await?;
    assert_eq!(error.reason(), "ephemeral");
    home.finish().await
}
