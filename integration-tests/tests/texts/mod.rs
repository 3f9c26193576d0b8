//! A text too large for a line of a rollout is in one file beside it. Reads show it as part of the rollout. A
//! lost text leaves a placeholder, and an unreferenced text is deleted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::paths::run_skein;
use skein_integration_tests::process::wait_until;
use skein_integration_tests::requests::{turns_params, user_text};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadArchive, ThreadDelete, ThreadFork, ThreadTurnsList};
use skein_protocol::thread::{ThreadArchiveParams, ThreadDeleteParams, ThreadForkParams};
use skein_protocol::turn::Turn;

/// A message of about this many bytes with a short answer. It contains text that looks like a reference.
fn message(bytes: usize) -> String {
    let like = json!({ "blobs": [{ "at": "/item", "sha256": "00", "bytes": 1 }] });
    let unit = "«ein Satz» \u{1F9F5} ";
    format!("/stream 3\n{like}\n{}", unit.repeat(bytes / unit.len() + 1))
}

/// The user's texts, turn by turn.
fn texts_of(turns: &[Turn]) -> Vec<String> {
    turns.iter().flat_map(|turn| &turn.items).filter_map(user_text).collect()
}

/// The same texts, read page by page like a client that shows the thread from its end.
async fn paged(client: &mut Client, thread: ThreadId) -> Result<Vec<String>> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let params = skein_protocol::thread::ThreadTurnsListParams {
            limit: Some(1),
            cursor,
            items_view: Some(skein_protocol::turn::TurnItemsView::Full),
            ..turns_params(thread)
        };
        let page = client.call::<ThreadTurnsList>(params).await?;
        found.extend(texts_of(&page.data));
        cursor = page.next_cursor;
        if cursor.is_none() {
            found.reverse();
            return Ok(found);
        }
    }
}

/// The files of texts.
fn texts(home: &Home) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in fs::read_dir(home.path().join("blobs")).into_iter().flatten() {
        for file in fs::read_dir(folder?.path())? {
            found.push(file?.path());
        }
    }
    Ok(found)
}

async fn skein(home: &Path, arguments: &[&str]) -> Result<(i32, Vec<Value>)> {
    let output = run_skein(home, arguments).await?;
    let lines = String::from_utf8(output.stdout)?;
    let lines = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.code().context("a signal")?, lines.context(stderr)?))
}

/// The exit code, the total of texts, the unreferenced files, and the kinds of findings.
async fn fsck(home: &Home, arguments: &[&str]) -> Result<(i32, Value, Vec<Value>, Vec<String>)> {
    let (code, lines) = skein(&home.path(), &[&["fsck", "--json"], arguments].concat()).await?;
    let summary = lines.iter().rev().find_map(|line| line.get("summary")).context("no summary")?;
    let unnamed = lines.iter().filter_map(|line| line.get("unnamed").cloned()).collect();
    let kinds = lines.iter().filter_map(|line| Some(line.get("kind")?.as_str()?.to_owned())).collect();
    Ok((code, summary["blobs"].clone(), unnamed, kinds))
}

async fn deleted(home: &Home, client: &mut Client, thread: ThreadId) -> Result<()> {
    client.call::<ThreadDelete>(ThreadDeleteParams { thread_id: thread }).await?;
    let trash = home.path().join("trash");
    let empty = || (fs::read_dir(&trash).map_or(0, Iterator::count) == 0).then_some(());
    wait_until("an empty trash", PATIENCE, empty).await
}

#[tokio::test]
async fn a_message_of_10_mib_works_like_any_other_and_is_deleted_with_its_last_thread() -> Result<()> {
    let (mut home, mut client) = Home::setup().in_files().set("trash.keep", "0s").start_with_client().await?;
    let text = message(10 << 20);
    let thread = client.start_thread_with(&text).await?;
    let shared = client.start_thread_with(&text).await?;
    client.turn(thread, "and after it").await?;
    let both = [text.clone(), "and after it".to_owned()];
    assert_eq!(paged(&mut client, thread).await?, both);
    let fork = client.call::<ThreadFork>(ThreadForkParams::of(thread)).await?.thread.id;
    assert_eq!(texts(&home)?.len(), 1, "the text is stored once");
    for thread in [thread, shared, fork] {
        let bytes = fs::metadata(home.rollout(thread))?.len();
        ensure!(bytes < 32 << 10, "the rollout of {thread} has {bytes} bytes");
    }

    home.restart_after_kill().await?;
    let mut client = home.client().await?;
    let resumed = client.resume(thread).await?.thread.turns;
    assert!(both.ends_with(&texts_of(&resumed)) && !resumed.is_empty(), "{} turns", resumed.len());
    assert_eq!(paged(&mut client, fork).await?, both);
    assert_eq!(texts_of(&client.read_thread(shared).await?.turns), both[..1]);
    client.call::<ThreadArchive>(ThreadArchiveParams { thread_id: thread }).await?;
    assert_eq!(paged(&mut client, thread).await?, both);

    for gone in [thread, fork] {
        deleted(&home, &mut client, gone).await?;
    }
    let (refused, ..) = skein(&home.path(), &["fsck", "--gc", "--json"]).await?;
    assert_eq!(refused, 8, "the server may be about to reference a text");
    home.stop().await?;
    let (code, blobs, unnamed, kinds) = fsck(&home, &["--gc"]).await?;
    assert_eq!(
        (code, &blobs["files"], &blobs["removed"], unnamed),
        (0, &json!(1), &json!(0), vec![]),
        "{kinds:?}"
    );
    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(paged(&mut client, shared).await?, both[..1]);
    deleted(&home, &mut client, shared).await?;
    home.stop().await?;

    let (code, blobs, unnamed, kinds) = fsck(&home, &[]).await?;
    assert_eq!((code, &blobs["unnamedBytes"], unnamed.len()), (0, &json!(text.len()), 1), "{kinds:?}");
    assert_eq!(texts(&home)?.len(), 1, "fsck without --repair deletes nothing");
    let (code, blobs, ..) = fsck(&home, &["--gc"]).await?;
    assert_eq!((code, &blobs["removed"], &blobs["removedBytes"]), (0, &json!(1), &json!(text.len())));
    assert_eq!(texts(&home)?.len(), 0);
    home.finish().await
}

#[tokio::test]
async fn a_lost_text_leaves_a_placeholder_and_returns_when_it_is_sent_again() -> Result<()> {
    let harms: [fn(&Path) -> std::io::Result<()>; 2] = [
        |path| fs::remove_file(path),
        |path| {
            let mut bytes = fs::read(path)?;
            bytes[4711] ^= 1;
            fs::write(path, bytes)
        },
    ];
    for harm in harms {
        let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
        let text = message(1 << 20);
        let thread = client.start_thread_with(&text).await?;
        client.turn(thread, "and after it").await?;
        home.stop().await?;
        harm(&texts(&home)?[0])?;
        let (code, _, _, kinds) = fsck(&home, &[]).await?;
        assert_eq!(
            (code, kinds.iter().all(|kind| kind == "lostText"), kinds.len()),
            (4, true, 3),
            "{kinds:?}"
        );

        home.start_again().await?;
        let mut client = home.client().await?;
        let turns = client.resume(thread).await?.thread.turns;
        let words = texts_of(&turns);
        assert_eq!((turns.len(), &words[1..]), (2, &["and after it".to_owned()][..]));
        let placeholder = format!("[A text of {} bytes that belongs here cannot be read: ", text.len());
        ensure!(words[0].starts_with(&placeholder), "{words:?}");
        assert_eq!(turns[0].items.len(), 2, "the answer is still there");
        assert_eq!(paged(&mut client, thread).await?, words);

        let again = client.start_thread_with(&text).await?;
        assert_eq!(paged(&mut client, again).await?, std::slice::from_ref(&text));
        client.unload(thread, true).await?;
        assert_eq!(paged(&mut client, thread).await?[0], text);
        home.stop().await?;
        // The row was made from the readable part.
        let (code, _, _, kinds) = fsck(&home, &["--repair"]).await?;
        ensure!(code <= 1 && kinds.iter().all(|kind| kind == "staleRow"), "{code}: {kinds:?}");
        home.finish().await?;
    }
    Ok(())
}

/// A rollout of Codex with this text from the user.
fn codex(beside: &Path, id: ThreadId, text: &str) -> Result<PathBuf> {
    let folder = beside.join("codex/sessions/2026/01/02");
    fs::create_dir_all(&folder)?;
    let meta = json!({
        "id": id, "timestamp": "2026-01-02T03:04:05Z", "cwd": "/w", "originator": "codex_cli_rs",
        "cli_version": "0.50.0", "source": "cli", "model_provider": "openai",
    });
    let event = |kind: &str, text: &str| json!({ "type": kind, "message": text });
    let lines = [
        ("session_meta", meta),
        ("event_msg", event("user_message", text)),
        ("event_msg", event("agent_message", "an answer")),
    ];
    let line =
        |(kind, payload)| json!({ "timestamp": "2026-01-02T03:04:06Z", "type": kind, "payload": payload });
    let lines: Vec<String> = lines.into_iter().map(|of| format!("{}\n", line(of))).collect();
    fs::write(folder.join(format!("rollout-2026-01-02T03-04-05-{id}.jsonl")), lines.concat())?;
    Ok(beside.join("codex"))
}

#[tokio::test]
async fn backups_exports_and_imports_have_whole_texts() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    let text = message(1 << 20);
    let thread = client.start_thread_with(&text).await?;
    let file = home.beside().join("backup.tar.gz").display().to_string();
    assert_eq!(skein(&home.path(), &["backup", &file, "--json"]).await?.0, 0);
    let (code, records) = skein(&home.path(), &["export", &thread.to_string()]).await?;
    let words = records.iter().filter_map(|record| record["input"][0]["text"].as_str());
    assert_eq!((code, words.collect::<Vec<_>>()), (0, vec![text.as_str()]));
    ensure!(records.iter().all(|record| record["v"] == 1), "an export needs no other file");

    let mut other = Home::in_files()?.start().await?;
    other.stop().await?;
    let imported = ThreadId::new(uuid::Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0001));
    let (longer, from) = (message(2 << 20), other.beside().to_owned());
    let from = codex(&from, imported, &longer)?.display().to_string();
    assert_eq!(skein(&other.path(), &["import", &from, "--json"]).await?.0, 0);
    assert_eq!(skein(&other.path(), &["restore", &file, "--force", "--json"]).await?.0, 0);
    assert_eq!(texts(&other)?.len(), 2);
    // The texts of a home that is restored again already exist.
    fs::remove_file(other.rollout(thread))?;
    assert_eq!(skein(&other.path(), &["restore", &file, "--force", "--json"]).await?.0, 0);
    let (code, _, _, kinds) = fsck(&other, &[&thread.to_string()]).await?;
    assert_eq!(code, 0, "{kinds:?}");
    other.start_again().await?;
    let mut client = other.client().await?;
    assert_eq!(paged(&mut client, thread).await?, [text]);
    assert_eq!(paged(&mut client, imported).await?, [longer]);
    home.stop().await?;
    home.finish().await?;
    other.finish().await
}
