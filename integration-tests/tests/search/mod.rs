//! Searches find names and messages in their current state, page by page, within a bounded time.

mod histories;
mod occurrences;
mod pages;
mod texts;

use anyhow::Result;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::search_params;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    ThreadArchive, ThreadFork, ThreadNameSet, ThreadRevert, ThreadSearch, ThreadSearchOccurrences,
};
use skein_protocol::table::Method;
use skein_protocol::thread::{
    SortDirection, ThreadArchiveParams, ThreadForkParams, ThreadRevertParams, ThreadSearchParams,
    ThreadSearchSortKey, ThreadSetNameParams, ThreadSourceKind, ThreadStatus,
};

/// The threads on all pages of a search, each with its snippet.
async fn search(client: &mut Client, params: &ThreadSearchParams) -> Result<Vec<(ThreadId, String)>> {
    let (mut found, mut cursor) = (Vec::new(), params.cursor.clone());
    loop {
        let page = client.call::<ThreadSearch>(ThreadSearchParams { cursor, ..params.clone() }).await?;
        assert_eq!(page.skein, None, "the search is complete");
        found.extend(page.data.into_iter().map(|found| (found.thread.id, found.snippet)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// The threads that contain a text.
async fn found(client: &mut Client, term: &str) -> Result<Vec<ThreadId>> {
    Ok(search(client, &search_params(term)).await?.into_iter().map(|(thread, _)| thread).collect())
}

async fn name(client: &mut Client, thread: ThreadId, name: &str) -> Result<()> {
    let params = ThreadSetNameParams { name: name.to_owned(), thread_id: thread };
    client.call::<ThreadNameSet>(params).await?;
    Ok(())
}

#[tokio::test]
async fn threads_are_found_by_their_messages_newest_first() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let first = client.start_thread_with("How do trees grow?").await?;
    let second = client.start_thread_with("about rivers").await?;
    let third = client.start_thread_with("TREES again").await?;
    client.unload(second, false).await?;
    assert_eq!(
        search(&mut client, &search_params("trees")).await?,
        [(third, "TREES again".to_owned()), (first, "How do trees grow?".to_owned())]
    );
    assert_eq!(found(&mut client, "rivers").await?, [second], "in an unloaded thread too");
    assert_eq!(found(&mut client, "mountains").await?, []);
    // A new message is found at once, and moves its thread up in the order of use.
    client.turn(first, "and what of mountains?").await?;
    assert_eq!(found(&mut client, "MOUNTAINS").await?, [first]);
    assert_eq!(found(&mut client, "trees").await?, [third, first]);
    let by_change =
        ThreadSearchParams { sort_key: Some(ThreadSearchSortKey::UpdatedAt), ..search_params("trees") };
    let threads = search(&mut client, &by_change).await?;
    assert_eq!(threads.iter().map(|(thread, _)| *thread).collect::<Vec<_>>(), [first, third]);
    let oldest_first = ThreadSearchParams {
        sort_key: Some(ThreadSearchSortKey::CreatedAt),
        sort_direction: Some(SortDirection::Asc),
        ..search_params("r")
    };
    let threads = search(&mut client, &oldest_first).await?;
    assert_eq!(threads.iter().map(|(thread, _)| *thread).collect::<Vec<_>>(), [first, second, third]);
    let shown = client.call::<ThreadSearch>(search_params("rivers")).await?.data.remove(0).thread;
    assert_eq!((shown.status, shown.turns.len()), (ThreadStatus::NotLoaded, 0));
    home.finish().await
}

#[tokio::test]
async fn a_name_is_found_and_shown() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("invoice number 7").await?;
    name(&mut client, thread, "Ärger mit Rechnungen (Invoice)").await?;
    let shown = [(thread, "Ärger mit Rechnungen (Invoice)".to_owned())];
    assert_eq!(search(&mut client, &search_params("invoice")).await?, shown);
    assert_eq!(search(&mut client, &search_params("ÄRGER")).await?, shown);
    client.unload(thread, true).await?;
    assert_eq!(search(&mut client, &search_params("ärger MIT")).await?, shown);
    // An earlier name is not found.
    name(&mut client, thread, "Erledigt").await?;
    assert_eq!(found(&mut client, "ärger").await?, []);
    assert_eq!(
        search(&mut client, &search_params("invoice")).await?,
        [(thread, "invoice number 7".to_owned())]
    );
    home.finish().await
}

#[tokio::test]
async fn texts_are_found_whatever_their_encoding_in_the_file() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let text = "he said \"no\\yes\"\n\tin Zürich: Straße → 😀\u{1b}[0m (50 % of a_b*c)";
    let thread = client.start_thread_with(text).await?;
    client.start_thread_with("hay").await?;
    let terms = [
        "\"NO\\YES\"",
        "\"\n\tin",
        "\n",
        "ZÜRICH",
        "strasse",
        "STRAẞE",
        "→ 😀",
        "\u{1b}[0M",
        "50 % of a_b*c",
        "d \"no",
    ];
    for term in terms {
        assert_eq!(found(&mut client, term).await?, [thread], "{term:?}");
    }
    // The encoded forms of the file are not texts of a message.
    for term in
        ["\\n\\tin", "\\u001b", "no\\\\yes", "50%", "aXbYc", "zurich", "item.completed", "agentMessage"]
    {
        assert_eq!(found(&mut client, term).await?, [], "{term:?}");
    }
    home.finish().await
}

#[tokio::test]
async fn only_messages_are_searched_not_tools_and_settings() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("/tool helper echo {\"text\": \"needle\"}").await?;
    client.unload(thread, true).await?;
    // The call is part of the user's message, and the echo repeats its result.
    assert_eq!(found(&mut client, "echo {\"text\"").await?, [thread]);
    assert_eq!(found(&mut client, "mcpToolCall").await?, []);
    assert_eq!(found(&mut client, home.path().to_str().unwrap_or_default()).await?, []);
    home.finish().await
}

#[tokio::test]
async fn a_search_has_the_filters_of_a_list() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let (kept, aside) =
        (client.start_thread_with("one word").await?, client.start_thread_with("two words").await?);
    client.call::<ThreadArchive>(ThreadArchiveParams { thread_id: aside }).await?;
    assert_eq!(found(&mut client, "word").await?, [kept]);
    let archived = ThreadSearchParams { archived: Some(true), ..search_params("word") };
    assert_eq!(search(&mut client, &archived).await?, [(aside, "two words".to_owned())]);
    let from = |kinds: &[ThreadSourceKind]| ThreadSearchParams {
        source_kinds: Some(kinds.to_vec()),
        ..search_params("word")
    };
    let vscode = from(&[ThreadSourceKind::Vscode, ThreadSourceKind::Exec]);
    assert_eq!(search(&mut client, &vscode).await?.len(), 1);
    assert_eq!(search(&mut client, &from(&[ThreadSourceKind::Exec])).await?, []);
    home.finish().await
}

#[tokio::test]
async fn reverted_turns_are_not_found_and_a_fork_keeps_its_copy() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("about trees").await?;
    let second = client.turn(thread, "about rivers").await?.id;
    let fork = ThreadForkParams::of(thread);
    let fork = client.call::<ThreadFork>(fork).await?.thread.id;
    assert_eq!(found(&mut client, "rivers").await?, [fork, thread]);
    let revert = ThreadRevertParams { before_turn_id: second, thread_id: thread };
    client.call::<ThreadRevert>(revert).await?;
    client.turn(fork, "about stones").await?;
    client.turn(thread, "about clouds").await?;
    for restarted in [false, true] {
        assert_eq!(found(&mut client, "rivers").await?, [fork], "restarted: {restarted}");
        assert_eq!(found(&mut client, "stones").await?, [fork]);
        assert_eq!(found(&mut client, "clouds").await?, [thread]);
        assert_eq!(found(&mut client, "trees").await?, [fork, thread]);
        home.restart_after_kill().await?;
        client = home.client().await?;
    }
    home.finish().await
}

#[tokio::test]
async fn invalid_search_terms_are_refused() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let refused = |error: skein_protocol::error::WireError| {
        let path = error.data.as_ref().and_then(|data| data.path.clone());
        (error.reason().to_owned(), path)
    };
    let empty = refused(client.refusal::<ThreadSearch>(search_params("")).await?);
    assert_eq!(empty, ("emptySearch".to_owned(), Some("searchTerm".to_owned())));
    let long = refused(client.refusal::<ThreadSearch>(search_params(&"x".repeat(5000))).await?);
    assert_eq!(long, ("searchTooLong".to_owned(), Some("searchTerm".to_owned())));
    let params = skein_integration_tests::requests::occurrences_params(thread, "");
    assert_eq!(client.refusal::<ThreadSearchOccurrences>(params).await?.reason(), "emptySearch");
    let without = client.call_raw(ThreadSearch::INFO.wire, &serde_json::json!({})).await?;
    assert!(without.is_err(), "{without:?}");
    home.finish().await
}
