//! Invalid ids, and files that are not rollouts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::resume_params;
use skein_protocol::error::{INTERNAL_ERROR, INVALID_PARAMS};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    McpServerStatusList, McpServerToolCall, SkeinThreadUnload, ThreadFork, ThreadItemsList, ThreadNameSet,
    ThreadRead, ThreadResume, ThreadTurnsList, ThreadUnsubscribe, TurnInterrupt, TurnStart,
};
use skein_protocol::table::Method;
use skein_protocol::thread::ThreadReadParams;
use uuid::Uuid;

#[tokio::test]
async fn an_invalid_id_never_becomes_a_path() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let uuid = Uuid::now_v7();
    let hostile = [
        String::new(),
        ".".to_owned(),
        "../../../etc/passwd".to_owned(),
        "/etc/passwd".to_owned(),
        "..%2f..%2fetc".to_owned(),
        "\0".to_owned(),
        "a".repeat(100_000),
        format!("{uuid}/../x"),
        format!("{uuid}\n"),
        uuid.simple().to_string(),
        format!("{{{uuid}}}"),
        format!("urn:uuid:{uuid}"),
    ];
    let methods = [
        ThreadResume::INFO.wire,
        ThreadUnsubscribe::INFO.wire,
        ThreadRead::INFO.wire,
        ThreadNameSet::INFO.wire,
        TurnStart::INFO.wire,
        TurnInterrupt::INFO.wire,
        McpServerStatusList::INFO.wire,
        McpServerToolCall::INFO.wire,
        SkeinThreadUnload::INFO.wire,
    ];
    for method in methods {
        for id in &hostile {
            let params = json!({
                "threadId": id, "input": [], "turnId": "x", "name": "x", "server": "x", "tool": "x",
            });
            let error = client.call_raw(method, &params).await?.unwrap_err();
            assert_eq!(error.code, INVALID_PARAMS, "{method}: {error}");
            assert_eq!(error.data.context("data")?.path.as_deref(), Some("threadId"));
            assert!(error.message.len() < 1_000, "{method} repeats {} bytes", error.message.len());
        }
    }
    client.quiesce().await?;
    assert_eq!(client.loaded().await?, []);
    home.finish().await
}

#[tokio::test]
async fn an_upper_case_id_is_the_same_thread() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let params = json!({ "threadId": thread.to_string().to_uppercase() });
    let read = client.call_raw(ThreadRead::INFO.wire, &params).await??;
    assert_eq!(read["thread"]["id"], thread.to_string());
    home.finish().await
}

#[tokio::test]
async fn only_a_regular_file_is_read_as_a_rollout() -> Result<()> {
    let (home, mut client) = Home::in_files()?.start_with_client().await?;
    let real = client.start_thread_with("a real one").await?;
    let (fifo, link, folder) = (new_id(), new_id(), new_id());
    for id in [fifo, link, folder] {
        fs::create_dir_all(home.rollout(id).parent().context("a folder")?)?;
    }
    mkfifo(&home.rollout(fifo), Mode::S_IRUSR | Mode::S_IWUSR)?;
    symlink(home.rollout(real), home.rollout(link))?;
    fs::create_dir(home.rollout(folder))?;
    for id in [fifo, link, folder] {
        let error = client.refusal::<ThreadResume>(resume_params(id)).await?;
        assert_eq!(error.data.as_ref().context("data")?.thread_id, Some(id), "{error}");
        // A file exists there, so a client must not begin a new thread in its place.
        assert!(!error.message.contains("not found"), "{error}");
        let read = ThreadReadParams { include_turns: true, thread_id: id };
        client.refusal::<ThreadRead>(read).await?;
    }
    assert_eq!(client.say(real, "undisturbed").await?, "undisturbed");
    assert_eq!(client.loaded().await?, [real]);
    home.finish_with_faults().await
}

/// Clients begin an empty thread in place of one that the server does not find.
#[tokio::test]
async fn a_thread_in_an_unreadable_folder_is_not_reported_as_missing() -> Result<()> {
    const WORDS: [&str; 3] = ["no rollout found", "not found", "thread not loaded"];
    let (home, mut client) = Home::in_files()?.start_with_client().await?;
    let thread = client.start_thread_with("some words").await?;
    client.unload(thread, true).await?;
    let folder = home.rollout(thread);
    let folder = folder.parent().and_then(Path::parent).context("the folder of threads")?;
    let kept = folder.with_extension("kept");
    fs::rename(folder, &kept)?;
    for is_file in [true, false] {
        if is_file {
            fs::write(folder, "")?
        } else {
            symlink(folder, folder)?
        }
        let methods = [
            (ThreadResume::INFO.wire, json!({ "threadId": thread })),
            (ThreadRead::INFO.wire, json!({ "threadId": thread, "includeTurns": true })),
            (ThreadFork::INFO.wire, json!({ "threadId": thread })),
            (ThreadTurnsList::INFO.wire, json!({ "threadId": thread })),
            (ThreadItemsList::INFO.wire, json!({ "threadId": thread })),
        ];
        for (method, params) in methods {
            let Err(error) = client.call_raw(method, &params).await? else { bail!("{method} was answered") };
            assert!(WORDS.iter().all(|words| !error.message.contains(words)), "{method}: {error}");
            let reason = error.data.as_ref().map(|data| data.reason.clone());
            assert_eq!((error.code, reason.as_deref()), (INTERNAL_ERROR, Some("unreadable")), "{method}");
        }
        fs::remove_file(folder)?;
    }
    fs::rename(kept, folder)?;
    client.resume(thread).await?;
    assert_eq!(client.say(thread, "still here").await?, "still here");
    home.finish().await
}

fn new_id() -> ThreadId {
    ThreadId::new(Uuid::now_v7())
}
