//! Archive, unarchive and delete: threads move completely, in every state, and for every client at once.

mod deleted;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use skein_integration_tests::client::Client;
use skein_integration_tests::fixture::remove_index;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::resume_params;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::methods::{
    ThreadArchive, ThreadDelete, ThreadList, ThreadResume, ThreadStart, ThreadUnarchive,
};
use skein_protocol::notifications::{ThreadArchived, ThreadClosed, ThreadUnarchived, TurnCompleted};
use skein_protocol::thread::{
    ThreadArchiveParams, ThreadDeleteParams, ThreadListParams, ThreadStartParams, ThreadStatus,
    ThreadUnarchiveParams,
};
use skein_protocol::turn::{Turn, TurnStatus};

async fn archive(client: &mut Client, thread: ThreadId) -> Result<()> {
    client.call::<ThreadArchive>(ThreadArchiveParams { thread_id: thread }).await?;
    Ok(())
}

async fn unarchive(client: &mut Client, thread: ThreadId) -> Result<()> {
    let shown = client.call::<ThreadUnarchive>(ThreadUnarchiveParams { thread_id: thread }).await?.thread;
    assert_eq!((shown.id, shown.status), (thread, ThreadStatus::NotLoaded));
    Ok(())
}

async fn delete(client: &mut Client, thread: ThreadId) -> Result<()> {
    client.call::<ThreadDelete>(ThreadDeleteParams { thread_id: thread }).await?;
    Ok(())
}

/// The ordinary list, and the archived one.
async fn lists(client: &mut Client) -> Result<[Vec<ThreadId>; 2]> {
    let mut lists = [Vec::new(), Vec::new()];
    for (list, archived) in lists.iter_mut().zip([None, Some(true)]) {
        let params = ThreadListParams { archived, ..ThreadListParams::default() };
        let listed = client.call::<ThreadList>(params).await?.data;
        list.extend(listed.into_iter().map(|thread| thread.id));
    }
    Ok(lists)
}

/// The turns of a thread, and the event number of that snapshot.
async fn history(client: &mut Client, thread: ThreadId) -> Result<(Vec<Turn>, EventSeq)> {
    let resumed = client.resume(thread).await?;
    Ok((resumed.thread.turns, resumed.skein.context("a snapshot")?.seq))
}

/// Path of an archived rollout.
fn aside(home: &Home, thread: ThreadId) -> PathBuf {
    let name = thread.to_string();
    home.path().join("archived").join(&name[name.len() - 2..]).join(format!("{name}.jsonl"))
}

/// The path of the rollout in every view: in lists, in a read, and in a resume.
async fn place(client: &mut Client, thread: ThreadId, archived: bool) -> Result<PathBuf> {
    let params = ThreadListParams { archived: Some(archived), ..ThreadListParams::default() };
    let listed = client.call::<ThreadList>(params).await?.data;
    let listed = listed.into_iter().find(|row| row.id == thread).context("the thread is listed")?.path;
    assert_eq!(client.read_thread(thread).await?.path, listed);
    assert_eq!(client.resume(thread).await?.thread.path, listed);
    Ok(listed.context("a path")?.into())
}

#[tokio::test]
async fn the_path_of_a_thread_is_its_rollout_also_in_the_archive() -> Result<()> {
    let (home, mut client) = Home::in_files()?.start_with_client().await?;
    let params = ThreadStartParams { ephemeral: Some(true), ..ThreadStartParams::default() };
    assert_eq!(client.call::<ThreadStart>(params).await?.thread.path, None);
    let thread = client.start_thread_with("words").await?;
    let shown = place(&mut client, thread, false).await?;
    assert_eq!(shown, home.rollout(thread));
    archive(&mut client, thread).await?;
    let shown = place(&mut client, thread, true).await?;
    assert!(shown.iter().any(|part| part == "archived_sessions"), "{shown:?}");
    assert_eq!(shown.canonicalize()?, aside(&home, thread).canonicalize()?);
    unarchive(&mut client, thread).await?;
    assert_eq!(place(&mut client, thread, false).await?, home.rollout(thread));
    home.finish().await
}

#[tokio::test]
async fn an_archived_thread_is_in_one_list_only_and_returns_unchanged() -> Result<()> {
    let home = Home::in_files()?.start().await?;
    let [mut client, mut other] = home.clients().await?;
    let kept = client.start_thread_with("kept").await?;
    let thread = client.start_thread_with("put aside").await?;
    other.resume(thread).await?;
    let (turns, seq) = history(&mut client, thread).await?;
    archive(&mut client, thread).await?;
    other.next::<ThreadArchived>(|archived| archived.thread_id == thread).await?;
    assert_eq!(lists(&mut other).await?, [vec![kept], vec![thread]]);
    assert!(aside(&home, thread).exists() && !home.rollout(thread).exists());
    assert_eq!(client.loaded().await?, [kept]);
    assert_eq!(other.received::<ThreadClosed>()?, [], "a client that shows the thread stays subscribed");

    // The thread can be read and used in the archive.
    assert_eq!(client.read_thread(thread).await?.turns, turns);
    assert_eq!(history(&mut client, thread).await?.0, turns);
    client.turn(thread, "still there").await?;
    assert_eq!(lists(&mut client).await?, [vec![kept], vec![thread]]);

    unarchive(&mut client, thread).await?;
    other.next::<ThreadUnarchived>(|back| back.thread_id == thread).await?;
    assert_eq!(lists(&mut other).await?, [vec![thread, kept], vec![]]);
    let (again, later) = history(&mut client, thread).await?;
    assert_eq!((&again[..1], again.len()), (&turns[..], 2));
    ensure!(later > seq, "numbers continue: {later} after {seq}");
    home.finish().await
}

#[tokio::test]
async fn a_running_thread_is_archived_and_leaves_no_process() -> Result<()> {
    let home = Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start().await?;
    let [mut client, mut other] = home.clients().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    other.resume(thread).await?;
    let turn = client.start_turn(thread, "/tool helper hang").await?;
    home.until_helpers(2).await?;
    archive(&mut other, thread).await?;
    assert_eq!(home.family().count(), 0, "{:#?}", home.family());
    let ended = client.next::<TurnCompleted>(|completed| completed.turn.id == turn).await?;
    assert_eq!(ended.turn.status, TurnStatus::Interrupted);
    client.next::<ThreadArchived>(|archived| archived.thread_id == thread).await?;
    assert_eq!(lists(&mut client).await?, [vec![], vec![thread]]);
    let turns = client.read_thread(thread).await?.turns;
    assert_eq!(turns.last().map(|turn| turn.status), Some(TurnStatus::Interrupted));
    home.finish().await
}

#[tokio::test]
async fn two_clients_archive_at_once_while_a_third_resumes() -> Result<()> {
    let home = Home::start().await?;
    let mut clients = [home.client().await?, home.client().await?, home.client().await?];
    for round in 0..10 {
        let thread = clients[0].start_thread_with(&format!("round {round}")).await?;
        clients[0].unload(thread, true).await?;
        let [one, two, three] = &mut clients;
        let params = ThreadArchiveParams { thread_id: thread };
        let resuming = three.start_call::<ThreadResume>(&resume_params(thread)).await?;
        let first = one.start_call::<ThreadArchive>(&params).await?;
        let second = two.start_call::<ThreadArchive>(&params).await?;
        let resumed = three.answer(resuming).await?;
        one.answer(first).await??;
        two.answer(second).await??;
        if let Err(refused) = resumed {
            let reason = refused.data.context("a reason")?.reason;
            assert_eq!(reason, "archivedMeanwhile", "round {round}");
        }
        one.next::<ThreadArchived>(|archived| archived.thread_id == thread).await?;
        assert!(lists(two).await?[1].contains(&thread), "round {round}");
        assert_eq!(three.resume(thread).await?.thread.turns.len(), 1, "round {round}");
        three.unload(thread, true).await?;
    }
    assert_eq!(lists(&mut clients[0]).await?[0], []);
    home.finish().await
}

#[tokio::test]
async fn an_archived_thread_stays_archived_after_a_kill() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let threads = [client.start_thread_with("one").await?, client.start_thread_with("two").await?];
    let before = history(&mut client, threads[0]).await?.0;
    for thread in threads {
        archive(&mut client, thread).await?;
    }
    unarchive(&mut client, threads[1]).await?;
    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    assert_eq!(lists(&mut client).await?, [vec![threads[1]], vec![threads[0]]]);
    assert_eq!(client.resume(threads[0]).await?.thread.turns, before);
    // The same after the index is rebuilt.
    home.stop().await?;
    remove_index(&home.path())?;
    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(lists(&mut client).await?, [vec![threads[1]], vec![threads[0]]]);
    home.finish().await
}

/// A server killed between record and rename, or a user who moved the file.
#[tokio::test]
async fn the_location_of_the_file_decides_not_its_records() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    let [moved, back] = [client.start_thread_with("moved").await?, client.start_thread_with("back").await?];
    archive(&mut client, back).await?;
    home.kill().await?;
    let place = aside(&home, moved);
    fs::create_dir_all(place.parent().context("a folder")?)?;
    fs::rename(home.rollout(moved), place)?;
    fs::rename(aside(&home, back), home.rollout(back))?;
    home.start_again().await?;
    let mut client = home.client().await?;
    for thread in [moved, back] {
        client.resume(thread).await?;
        client.unload(thread, true).await?;
    }
    assert_eq!(lists(&mut client).await?, [vec![back], vec![moved]]);
    home.finish_with_faults().await
}
