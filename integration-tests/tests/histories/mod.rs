//! Histories from other servers: old, unfinished, torn, damaged, without a beginning. Each is listed, read
//! and resumed in its state.

mod bench;
mod earlier;
mod fsck;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use skein_integration_tests::client::Client;
use skein_integration_tests::fixture::Size;
use skein_integration_tests::fixture::kind::{Ending, Fault, Kind};
use skein_integration_tests::home::Home;
use skein_protocol::extension::{IndexState, RepairState, SkeinStatusResponse};
use skein_protocol::ids::{Epoch, ThreadId};
use skein_protocol::methods::ThreadList;
use skein_protocol::thread::{Thread, ThreadListParams};
use skein_protocol::turn::TurnStatus;

async fn tiny() -> Result<Home> {
    Home::setup().histories(Size::Tiny, 42).start().await
}

/// Every listed thread, page by page, newest first.
async fn listed(client: &mut Client) -> Result<Vec<Thread>> {
    let mut threads = Vec::new();
    let mut cursor = None;
    loop {
        let params = ThreadListParams { cursor, limit: Some(7), ..ThreadListParams::default() };
        let page = client.call::<ThreadList>(params).await?;
        let indexing = page.skein.context("the list has no state")?.indexing;
        ensure!(indexing.is_none(), "the list is not complete: {indexing:?}");
        threads.extend(page.data);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(threads);
        }
    }
}

fn last_turn(thread: &Thread) -> Result<TurnStatus> {
    Ok(thread.turns.last().with_context(|| format!("thread {} has no turn", thread.id))?.status)
}

#[tokio::test]
async fn every_history_is_listed_whatever_its_fault() -> Result<()> {
    let home = tiny().await?;
    let mut client = home.client().await?;
    let is_settled = |status: &SkeinStatusResponse| {
        status.index.state == IndexState::Ready
            && status.index.indexing.is_none()
            && status.repair.state == RepairState::Complete
    };
    client.until_status("the index is complete, and open threads are repaired", is_settled).await?;
    let listed = listed(&mut client).await?;
    let made: BTreeSet<ThreadId> = home.histories()?.examples(|_| true).into_iter().collect();
    assert_eq!(listed.iter().map(|thread| thread.id).collect::<BTreeSet<_>>(), made);
    assert_eq!(listed.len(), made.len());
    assert!(listed.is_sorted_by_key(|thread| std::cmp::Reverse(thread.updated_at)));
    assert!(listed.iter().all(|thread| !thread.preview.is_empty()));
    home.finish().await
}

#[tokio::test]
async fn a_history_keeps_its_ending_and_an_unfinished_turn_is_interrupted() -> Result<()> {
    let home = tiny().await?;
    let mut client = home.client().await?;
    let table = [
        (Ending::Finished, TurnStatus::Completed, Epoch(1)),
        (Ending::Failed, TurnStatus::Failed, Epoch(1)),
        (Ending::Interrupted, TurnStatus::Interrupted, Epoch(1)),
        // Another start of the machine wrote this history and did not close it, so some numbers may be lost.
        (Ending::NeverEnded, TurnStatus::Interrupted, Epoch(2)),
        (Ending::NeverEndedUnmarked, TurnStatus::Interrupted, Epoch(2)),
    ];
    for (ending, status, epoch) in table {
        for id in home.histories()?.ending(ending) {
            assert_eq!(last_turn(&client.read_thread(id).await?)?, status, "read, {ending:?}, {id}");
            let resumed = client.resume(id).await?;
            assert_eq!(last_turn(&resumed.thread)?, status, "resumed, {ending:?}, {id}");
            let snapshot = resumed.skein.context("a resume has a snapshot")?;
            assert_eq!(snapshot.epoch, epoch, "{ending:?}, {id}");
            client.unload(id, false).await?;
            let text = fs::read_to_string(home.rollout(id))?;
            let last = text.lines().last().unwrap_or_default();
            assert!(last.contains(r#""type":"thread.closed""#), "{ending:?}, {id}: {last}");
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_torn_end_is_cut_off_and_logged() -> Result<()> {
    let home = tiny().await?;
    let mut client = home.client().await?;
    for id in home.histories()?.fault(Fault::Torn) {
        let resumed = client.resume(id).await?;
        assert_eq!(last_turn(&resumed.thread)?, TurnStatus::Interrupted);
        assert!(fs::read(home.rollout(id))?.ends_with(b"\n"), "the end of thread {id} is still torn");
        home.until_line(&[&id.to_string(), "torn end was cut off"]).await?;
        assert_eq!(client.say(id, "and on").await?, "and on");
    }
    home.finish().await
}

#[tokio::test]
async fn damage_in_the_middle_is_shown_skipped_and_kept() -> Result<()> {
    let home = tiny().await?;
    let mut client = home.client().await?;
    for id in home.histories()?.fault(Fault::Damaged) {
        let before = fs::read(home.rollout(id))?;
        let read = client.read_thread(id).await?;
        let resumed = client.resume(id).await?;
        assert!(read.turns.len() > 1, "thread {id} has {} turns", read.turns.len());
        let items = read.turns.iter().flat_map(|turn| &turn.items);
        let shown = items.filter(|item| item.id().as_str().starts_with("damage-")).count();
        assert_eq!(shown, 1, "thread {id} shows where it is damaged");
        assert_eq!(resumed.thread.turns.len(), read.turns.len());
        assert_eq!(client.say(id, "and on").await?, "and on");
        assert!(fs::read(home.rollout(id))?.starts_with(&before), "the damage of thread {id} was touched");
        home.until_line(&[&id.to_string(), "damage"]).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn a_history_without_its_beginning_is_listed_and_continues() -> Result<()> {
    let home = tiny().await?;
    let mut client = home.client().await?;
    for id in home.histories()?.examples(|Kind { fault, .. }| fault == Fault::NoBeginning) {
        let text = fs::read_to_string(home.rollout(id))?;
        assert!(!text.contains("thread.created"), "thread {id} has its beginning");
        let resumed = client.resume(id).await?;
        assert_eq!(resumed.thread.id, id);
        assert!(!resumed.thread.turns.is_empty(), "nothing of thread {id} is left");
        assert_eq!(client.say(id, "and on").await?, "and on");
        client.unload(id, false).await?;
        let read = client.read_thread(id).await?;
        assert_eq!(read.turns.len(), resumed.thread.turns.len() + 1, "thread {id}");
    }
    home.finish().await
}
