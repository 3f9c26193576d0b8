//! The next server repairs the home of a killed one. It opens only unfinished threads, and serves clients
//! meanwhile.

use std::fs;

use anyhow::{Context, Result};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_protocol::extension::{IndexState, RepairCounts, RepairState};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::ThreadList;
use skein_protocol::notifications::{SkeinRepairUpdated, TurnStarted};
use skein_protocol::thread::ThreadListParams;
use skein_protocol::turn::TurnStatus;

/// Closed threads whose last turn completed, failed or was interrupted.
async fn ended_threads(client: &mut Client) -> Result<Vec<ThreadId>> {
    let mut threads = Vec::new();
    for _ in 0..4 {
        for text in ["words", "/fail words", "/hang"] {
            let thread = client.start_thread().await?.id;
            let turn = client.start_turn(thread, text).await?;
            client.next::<TurnStarted>(|started| started.turn.id == turn).await?;
            if text == "/hang" {
                client.interrupt(thread, &turn).await?;
            }
            client.turn_end(&turn).await?;
            client.unload(thread, true).await?;
            threads.push(thread);
        }
    }
    Ok(threads)
}

/// All listed threads, once the list is complete.
async fn listed(client: &mut Client) -> Result<Vec<ThreadId>> {
    client.until_status("a complete index", |status| status.index.state == IndexState::Ready).await?;
    let page = client.call::<ThreadList>(ThreadListParams::default()).await?;
    assert_eq!(page.skein.and_then(|details| details.indexing), None);
    let mut threads: Vec<ThreadId> = page.data.into_iter().map(|thread| thread.id).collect();
    threads.sort();
    Ok(threads)
}

#[tokio::test]
async fn a_repair_opens_only_unfinished_threads_and_reports_its_progress() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    let mut threads = ended_threads(&mut client).await?;
    client.until_status("no open marker", |status| status.store.open_markers == 0).await?;
    let idle = client.start_thread_with("idle").await?;
    let cut = client.start_thread().await?.id;
    // It writes nothing more, so that the kill finds the same records on each machine.
    let turn = client.start_turn(cut, "/hang").await?;
    client.next::<TurnStarted>(|started| started.turn.id == turn).await?;
    threads.extend([idle, cut]);
    home.restart_after_kill().await?;

    let mut client = home.client().await?;
    let is_complete = |update: &RepairCounts| update.state == RepairState::Complete;
    let update = client.next::<SkeinRepairUpdated>(|update| is_complete(&update.repair)).await?.repair;
    let expected = RepairCounts { state: RepairState::Complete, done: 2, total: 2, mended: 1, failed: 0 };
    assert_eq!(update, expected);
    let status = client.until_status("no open marker", |status| status.store.open_markers == 0).await?;
    assert_eq!((status.repair, status.store.loads_total, status.threads.loaded), (expected, 2, 0));
    // For its row, each of the two threads may be read at its beginning and at its end.
    assert!(status.store.reads_total <= 4, "more threads are read than were open: {:?}", status.store);
    assert_eq!(client.read_thread(cut).await?.turns[0].status, TurnStatus::Interrupted);
    let end = fs::read_to_string(home.rollout(cut))?;
    assert!(end.lines().last().context("a line")?.contains("thread.closed"), "{end}");
    threads.sort();
    assert_eq!(listed(&mut client).await?, threads);

    home.restart().await?;
    let mut client = home.client().await?;
    let status = client.status().await?;
    assert_eq!((status.repair.total, status.store.loads_total, status.store.reads_total), (0, 0, 0));
    home.finish().await
}

#[tokio::test]
async fn a_damaged_index_is_rebuilt_while_threads_are_served() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    let mut threads = ended_threads(&mut client).await?;
    threads.push(client.start_thread_with("words").await?);
    threads.sort();
    home.kill().await?;
    let index = home.path().join("index-3");
    for entry in fs::read_dir(&index)? {
        let path = entry?.path();
        if path.is_file() {
            fs::write(path, vec![0x5a; 100_000])?;
        }
    }
    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(client.resume(threads[0]).await?.thread.id, threads[0]);
    assert_eq!(listed(&mut client).await?, threads);
    let status = client.status().await?;
    assert!(status.index.open_ms.is_some() && status.index.disk_percent.is_some(), "{:?}", status.index);
    home.finish().await
}
