//! The text index only makes searches faster: in any state of the index, a search finds the same.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::paths::run_skein;
use skein_integration_tests::requests::search_params;
use skein_protocol::extension::{TextsCounts, TextsState};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadDelete, ThreadFork, ThreadRevert, ThreadSearch};
use skein_protocol::thread::{ThreadDeleteParams, ThreadForkParams, ThreadRevertParams, ThreadSearchParams};

use super::{found, name};

/// Waits until the text index is complete and searches use it.
async fn ready(client: &mut Client) -> Result<TextsCounts> {
    ready_but_for(client, 0).await
}

/// Like [`ready`], with `open` threads whose last turn never ended. The index leaves them out.
pub(super) async fn ready_but_for(client: &mut Client, open: u64) -> Result<TextsCounts> {
    client.call::<ThreadSearch>(search_params("the first search starts it")).await?;
    let settled = |texts: &TextsCounts| texts.state == TextsState::Ready && texts.behind == open;
    let status = client.until_status("the text index is complete", |status| settled(&status.texts)).await?;
    Ok(status.texts)
}

fn folder(home: &Home) -> PathBuf {
    home.path().join("search-1")
}

/// Unloaded threads with a number each, newest first.
async fn talked(client: &mut Client, count: usize) -> Result<Vec<ThreadId>> {
    let mut threads = Vec::new();
    for number in 0..count {
        let thread = client.start_thread_with(&format!("needle number-{number}")).await?;
        client.unload(thread, true).await?;
        threads.insert(0, thread);
    }
    Ok(threads)
}

#[tokio::test]
async fn the_first_search_starts_the_index_and_without_searches_there_is_none() -> Result<()> {
    let (mut home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let threads = talked(&mut client, 3).await?;
    assert_eq!(client.status().await?.texts, TextsCounts::default());
    assert!(!folder(&home).exists());
    let texts = ready(&mut client).await?;
    ensure!(texts.done == 3 && texts.disk_bytes > 0, "it has three threads: {texts:?}");
    assert_eq!(found(&mut client, "needle").await?, threads);
    assert_eq!(found(&mut client, "NUMBER-1").await?, [threads[1]]);
    // The next server uses the index from its first search on, after a comparison.
    home.restart().await?;
    let mut client = home.client().await?;
    assert_eq!(client.status().await?.texts, TextsCounts::default());
    assert_eq!(found(&mut client, "number-1").await?, [threads[1]]);
    home.finish().await
}

#[tokio::test]
async fn a_server_without_a_text_index_by_settings_makes_none() -> Result<()> {
    let (home, mut client) = Home::setup().set("search.index", false).start_with_client().await?;
    let threads = talked(&mut client, 2).await?;
    assert_eq!(found(&mut client, "needle").await?, threads);
    assert_eq!(client.status().await?.texts, TextsCounts::default());
    assert!(!folder(&home).exists());
    home.finish().await
}

/// Such a text is in a file beside the rollout.
#[tokio::test]
async fn a_text_too_large_for_a_line_is_found_with_and_without_the_index() -> Result<()> {
    for index in [true, false] {
        let (home, mut client) =
            Home::setup().in_files().set("search.index", index).start_with_client().await?;
        let thread = client.start_thread_with(&format!("{} needle", "hay ".repeat(100_000))).await?;
        client.unload(thread, true).await?;
        ensure!(home.path().join("blobs").is_dir(), "the text is in its own file");
        if index {
            ready(&mut client).await?;
        }
        assert_eq!(found(&mut client, "needle").await?, [thread], "index: {index}");
        assert_eq!(found(&mut client, "pin").await?, [], "index: {index}");
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn searches_read_only_threads_that_may_contain_the_text() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let threads = talked(&mut client, 20).await?;
    ready(&mut client).await?;
    let before = client.status().await?.store.reads_total;
    assert_eq!(found(&mut client, "nowhere").await?, []);
    assert_eq!(client.status().await?.store.reads_total, before, "no file is opened");
    assert_eq!(found(&mut client, "number-7").await?, [threads[12]]);
    let reads = client.status().await?.store.reads_total - before;
    assert!(reads < 10, "one thread is read, not twenty: {reads}");
    home.finish().await
}

#[tokio::test]
async fn changes_are_found_at_once_even_those_behind_the_index() -> Result<()> {
    let (home, mut client) = Home::setup().set("durability", "process").start_with_client().await?;
    let threads = talked(&mut client, 4).await?;
    ready(&mut client).await?;
    client.resume(threads[3]).await?;
    let turn = client.turn(threads[3], "about clouds").await?.id;
    for loaded in [true, false] {
        assert_eq!(found(&mut client, "clouds").await?, [threads[3]], "loaded: {loaded}");
        client.unload(threads[3], true).await?;
    }
    name(&mut client, threads[2], "Wolken").await?;
    client.unload(threads[2], true).await?;
    assert_eq!(found(&mut client, "WOLKEN").await?, [threads[2]]);
    let fork = client.call::<ThreadFork>(ThreadForkParams::of(threads[3])).await?.thread.id;
    client.unload(fork, true).await?;
    assert_eq!(found(&mut client, "clouds").await?, [fork, threads[3]]);
    let revert = ThreadRevertParams { before_turn_id: turn, thread_id: threads[3] };
    client.call::<ThreadRevert>(revert).await?;
    client.call::<ThreadDelete>(ThreadDeleteParams { thread_id: threads[0] }).await?;
    for settled in [false, true] {
        assert_eq!(found(&mut client, "clouds").await?, [fork], "settled: {settled}");
        assert_eq!(found(&mut client, "wolken").await?, [threads[2]]);
        assert_eq!(found(&mut client, "number-3").await?, [], "the thread was deleted");
        assert_eq!(found(&mut client, "number-2").await?, [threads[1]]);
        ready(&mut client).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn pages_are_complete_with_the_index() -> Result<()> {
    let (home, mut client) =
        Home::setup().set("durability", "process").set("search.page_time", "0s").start_with_client().await?;
    let threads = talked(&mut client, 7).await?;
    ready(&mut client).await?;
    let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let params = ThreadSearchParams { cursor, limit: Some(100), ..search_params("needle") };
        let page = client.call::<ThreadSearch>(params).await?;
        seen.extend(page.data.into_iter().map(|found| found.thread.id));
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (threads, 7));
    home.finish().await
}

#[tokio::test]
async fn searches_find_the_same_after_a_kill_with_any_remains_of_the_index() -> Result<()> {
    // The index is in the home of the server that searches.
    let setup = Home::setup().alone().set("durability", "process");
    let (mut home, mut client) = setup.start_with_client().await?;
    let mut threads = talked(&mut client, 12).await?;
    for round in 0..8 {
        // The first search of this server starts the index; the kill comes during its work, or later.
        assert_eq!(found(&mut client, "needle").await?, threads, "round {round}");
        if round % 3 == 2 {
            ready(&mut client).await?;
        }
        if round % 2 == 0 {
            let thread = client.start_thread_with(&format!("needle round-{round}")).await?;
            client.unload(thread, true).await?;
            threads.insert(0, thread);
        }
        home.kill().await?;
        match round {
            3 => fs::remove_dir_all(folder(&home))?,
            5 => {
                for entry in fs::read_dir(folder(&home))? {
                    fs::write(entry?.path(), "not a database, despite its name ".repeat(500))?;
                }
            }
            _ => {}
        }
        home.start_again().await?;
        client = home.client().await?;
    }
    ready(&mut client).await?;
    assert_eq!(found(&mut client, "needle").await?, threads);
    assert_eq!(found(&mut client, "round-4").await?.len(), 1);
    home.finish().await
}

#[tokio::test]
async fn fsck_ignores_the_text_index_and_a_backup_leaves_it_out() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    let threads = talked(&mut client, 2).await?;
    ready(&mut client).await?;
    home.stop().await?;
    let file = home.beside().join("backup.tar.gz");
    let run = async |arguments: &[&str]| {
        let ended = run_skein(&home.path(), arguments).await?;
        anyhow::Ok((ended.status.code(), String::from_utf8_lossy(&ended.stdout).into_owned()))
    };
    let (code, output) = run(&["fsck"]).await?;
    assert_eq!(code, Some(0), "{output}");
    let (code, output) = run(&["backup", &file.display().to_string(), "--json"]).await?;
    assert_eq!(code, Some(0), "{output}");
    let listed = tokio::process::Command::new("tar").arg("tzf").arg(&file).output().await?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("threads/") && !listed.contains("search"), "{listed}");
    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(found(&mut client, "needle").await?, threads);
    home.finish().await
}
