//! Searches through histories from other servers, whole and broken: a search finds exactly the texts that a
//! read shows.

use std::collections::BTreeMap;

use anyhow::Result;
use skein_integration_tests::client::Client;
use skein_integration_tests::fixture::Size;
use skein_integration_tests::fixture::kind::Ending;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::{agent_text, occurrences_params, search_params, user_text};
use skein_protocol::extension::{IndexState, RepairState};
use skein_protocol::ids::ThreadId;
use skein_protocol::item::ThreadItem;
use skein_protocol::methods::ThreadSearchOccurrences;
use skein_protocol::notifications::ItemAgentMessageDelta;
use skein_protocol::thread::{ThreadListParams, ThreadSearchOccurrencesParams};

use super::texts::ready_but_for;
use super::{found, search};

/// The texts of every thread as a read shows them, oldest first.
async fn shown(client: &mut Client) -> Result<BTreeMap<ThreadId, Vec<String>>> {
    let mut shown = BTreeMap::new();
    for thread in client.list_all(ThreadListParams::default()).await? {
        let items = client.read_thread(thread.id).await?.turns.into_iter().flat_map(|turn| turn.items);
        let is_message = |item: &ThreadItem| !item.id().as_str().starts_with("damage-");
        let texts =
            items.filter(is_message).filter_map(|item| user_text(&item).or_else(|| agent_text(&item)));
        shown.insert(thread.id, texts.collect());
    }
    Ok(shown)
}

async fn hits(client: &mut Client, thread: ThreadId, term: &str) -> Result<usize> {
    let (mut hits, mut cursor) = (0, None);
    loop {
        let params = ThreadSearchOccurrencesParams { cursor, ..occurrences_params(thread, term) };
        let page = client.call::<ThreadSearchOccurrences>(params).await?;
        hits += page.data.len();
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(hits);
        }
    }
}

#[tokio::test]
async fn a_search_finds_exactly_the_texts_of_a_read_in_damaged_histories_too() -> Result<()> {
    for index in [false, true] {
        let home = Home::setup().histories(Size::Tiny, 42).set("search.index", index).start().await?;
        all_that_is_shown_is_found(&home, index).await?;
        home.finish().await?;
    }
    Ok(())
}

async fn all_that_is_shown_is_found(home: &Home, index: bool) -> Result<()> {
    let mut client = home.client().await?;
    client
        .until_status("the index is complete, and open threads are repaired", |status| {
            status.index.state == IndexState::Ready
                && status.index.indexing.is_none()
                && status.repair.state == RepairState::Complete
        })
        .await?;
    if index {
        // No marker says that these threads need a repair, and no client has loaded them.
        let open = home.histories()?.ending(Ending::NeverEndedUnmarked).len();
        ready_but_for(&mut client, u64::try_from(open)?).await?;
    }
    let shown = shown(&mut client).await?;
    for term in ["zürich", "INVOICE", "rounded twice", "→", "e", ".\n\n", "cannot be read", "damage", "took="]
    {
        let found: Vec<ThreadId> =
            search(&mut client, &search_params(term)).await?.into_iter().map(|(thread, _)| thread).collect();
        let folded = term.to_lowercase();
        for (thread, texts) in &shown {
            let count: usize = texts.iter().map(|text| text.to_lowercase().matches(&folded).count()).sum();
            assert_eq!(found.contains(thread), count > 0, "{term:?} in {thread}");
            assert_eq!(hits(&mut client, *thread, term).await?, count, "{term:?} in {thread}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_thread_is_searched_while_it_is_written() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("before").await?;
    let turn = client.start_turn(thread, "/stream 100000 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("3 ")).await?;
    let mut other = home.client().await?;
    assert_eq!(found(&mut other, "/STREAM 100000").await?, [thread], "the user's text in the running turn");
    assert_eq!(found(&mut other, "before").await?, [thread]);
    assert_eq!(hits(&mut other, thread, "/stream").await?, 1);
    client.interrupt_and_wait(thread, &turn).await?;
    home.finish().await
}
