//! Threads move between Codex and Skein: `skein import` and `skein export`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::home::Home;
use skein_integration_tests::paths::{self, run_skein};
use skein_integration_tests::requests::{resume_params, search_params};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadList, ThreadRead, ThreadResume, ThreadSearch};
use skein_protocol::thread::{
    ThreadListParams, ThreadReadParams, ThreadResumeParams, ThreadSearchParams, ThreadSourceKind,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use uuid::Uuid;

const THREADS: u128 = 400;

async fn import(home: &Path, from: &Path) -> Result<(Option<i32>, Value, String)> {
    let done = run_skein(home, ["import".as_ref(), from.as_os_str(), "--json".as_ref()]).await?;
    let last =
        done.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).context("no outcome")?;
    Ok((done.status.code(), serde_json::from_slice(last)?, String::from_utf8(done.stderr)?))
}

fn id(number: u128) -> ThreadId {
    ThreadId::new(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 | number))
}

/// A home of Codex with threads in its format before pages, each with a question and an answer.
fn codex(beside: &Path) -> Result<PathBuf> {
    let home = beside.join("codex");
    let folder = home.join("sessions/2026/01/02");
    fs::create_dir_all(&folder)?;
    for number in 0..THREADS {
        let event = |second: u32, kind: &str, text: &str| {
            let payload = json!({ "type": kind, "message": text });
            json!({ "timestamp": format!("2026-01-02T03:04:{second:02}Z"), "type": "event_msg", "payload": payload })
        };
        let meta = json!({
            "id": id(number), "timestamp": "2026-01-02T03:04:05Z", "cwd": "/w", "originator": "codex_cli_rs",
            "cli_version": "0.50.0", "source": "cli", "model_provider": "openai",
        });
        let mut lines =
            vec![json!({ "timestamp": "2026-01-02T03:04:05Z", "type": "session_meta", "payload": meta })];
        for turn in 0..10 {
            lines.push(event(6 + turn, "user_message", &format!("question {turn} of {number}")));
            lines.push(event(6 + turn, "agent_message", &format!("answer {turn} of {number}")));
        }
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(folder.join(format!("rollout-2026-01-02T03-04-05-{}.jsonl", id(number))), text)?;
    }
    Ok(home)
}

#[tokio::test]
async fn a_killed_import_can_be_continued_and_its_threads_work() -> Result<()> {
    let mut home = Home::in_files()?.start().await?;
    home.stop().await?;
    let codex = codex(home.beside())?;
    let mut command = Command::new(paths::skein()?);
    command.arg("import").arg(&codex).arg("--json").arg("--home").arg(home.path());
    let mut running = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(running.stdout.take().context("no stdout")?).lines();
    while let Some(line) = lines.next_line().await? {
        let report: Value = serde_json::from_str(&line)?;
        assert_eq!(report["complete"], Value::Null, "the import ended before the kill");
        if report["done"].as_u64() > Some(8) {
            break;
        }
    }
    running.kill().await?;

    let (code, report, _) = import(&home.path(), &codex).await?;
    let count = |name: &str| report[name].as_u64().unwrap_or_default();
    assert_eq!((code, count("imported") + count("unchanged")), (Some(0), 400), "{report}");
    assert!(count("unchanged") >= 8 && count("imported") > 0, "{report}");
    let (code, report, _) = import(&home.path(), &codex).await?;
    assert_eq!((code, &report["imported"], &report["unchanged"]), (Some(0), &json!(0), &json!(THREADS)));

    home.start_again().await?;
    let mut client = home.client().await?;
    let pages = ThreadListParams { limit: Some(100), ..ThreadListParams::default() };
    let listed: BTreeSet<ThreadId> = client.list_all(pages).await?.iter().map(|thread| thread.id).collect();
    assert_eq!(listed, (0..THREADS).map(id).collect());
    let read = ThreadReadParams { include_turns: true, thread_id: id(7) };
    let thread = client.call::<ThreadRead>(read).await?.thread;
    assert_eq!((thread.turns.len(), thread.preview.as_str()), (10, "question 0 of 7"));
    // The provider in the thread may have another name here, or be missing.
    let resume = ThreadResumeParams { model_provider: Some("echo".to_owned()), ..resume_params(id(7)) };
    assert_eq!(client.call::<ThreadResume>(resume).await?.thread.turns.len(), 10);
    client.turn(id(7), "and now").await?;
    let read = ThreadReadParams { include_turns: true, thread_id: id(7) };
    assert_eq!(client.call::<ThreadRead>(read).await?.thread.turns.len(), 11);
    home.finish().await
}

#[tokio::test]
async fn an_import_reports_a_served_home_and_a_bad_file_with_an_exit_code() -> Result<()> {
    let mut home = Home::in_files()?.start().await?;
    let codex = codex(home.beside())?;
    let (code, report, stderr) = import(&home.path(), &codex).await?;
    assert_eq!((code, &report["servedBy"]["pid"]), (Some(3), &json!(home.pid())));
    assert!(stderr.contains(&home.pid().to_string()) && stderr.contains(home.address()), "{stderr}");
    home.stop().await?;
    let bad = codex.join("sessions/2026/01/02").join(format!("rollout-2026-01-02T03-04-05-{}.jsonl", id(3)));
    let text = fs::read_to_string(&bad)?;
    fs::write(&bad, text.replacen('\n', "\n{ not json\n", 1))?;
    let (code, report, _) = import(&home.path(), &codex).await?;
    assert_eq!((code, &report["imported"], &report["complete"]), (Some(1), &json!(THREADS), &json!(false)));
    assert_eq!((&report["problems"][0]["file"], &report["problems"][0]["line"]), (&json!(bad), &json!(2)));
    let nothing =
        run_skein(&home.path(), ["import".as_ref(), home.beside().join("nowhere").as_os_str()]).await?;
    assert_eq!(nothing.status.code(), Some(1));
    home.finish().await
}

#[tokio::test]
async fn an_export_has_everything_that_the_server_acknowledged() -> Result<()> {
    let (home, mut client) = Home::in_files()?.start_with_client().await?;
    let thread = client.start_thread_with("hello ``` there").await?;
    let id = thread.to_string();
    let done = run_skein(&home.path(), ["export", id.as_ref()]).await?;
    let lines: Vec<Value> =
        String::from_utf8(done.stdout)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(done.status.code(), Some(0));
    assert!(lines.iter().any(|line| line["type"] == "turn.completed"), "{lines:?}");
    let out = home.beside().join("thread.md");
    let options = ["export", &id, "--format", "markdown", "--out"].map(OsStr::new);
    let markdown: Vec<&OsStr> = options.into_iter().chain([out.as_os_str()]).collect();
    assert_eq!(run_skein(&home.path(), &markdown).await?.status.code(), Some(0));
    assert!(fs::read_to_string(&out)?.contains("\nhello ``` there\n"));
    let again = run_skein(&home.path(), &markdown).await?;
    assert_eq!(again.status.code(), Some(1), "an existing file is not overwritten");
    let unknown = run_skein(&home.path(), ["export", "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b"]).await?;
    assert_eq!(unknown.status.code(), Some(4));
    assert!(String::from_utf8(unknown.stderr)?.contains("there is no thread 0199a8f0"));
    home.finish().await
}

#[tokio::test]
async fn threads_of_agents_and_scripts_are_listed_only_on_request() -> Result<()> {
    let mut home = Home::in_files()?.start().await?;
    home.stop().await?;
    let folder = home.beside().join("codex/sessions/2026/01/02");
    fs::create_dir_all(&folder)?;
    let sources =
        [json!("exec"), json!({ "subagent": "review" }), json!("cli"), json!("vscode"), Value::Null];
    for (number, source) in sources.into_iter().enumerate() {
        let id = id(u128::try_from(number)?);
        let line = |kind: &str, payload: Value| json!({ "timestamp": "2026-01-02T03:04:05Z", "type": kind, "payload": payload });
        let mut meta = json!({ "id": id, "timestamp": "2026-01-02T03:04:05Z", "cwd": "/w" });
        if !source.is_null() {
            meta["source"] = source;
        }
        let stderr = line("event_msg", json!({ "type": "user_message", "message": "words" }));
        let text = format!("{}\n{stderr}\n", line("session_meta", meta));
        fs::write(folder.join(format!("rollout-2026-01-02T03-04-05-{id}.jsonl")), text)?;
    }
    let (code, report, _) = import(&home.path(), &home.beside().join("codex")).await?;
    assert_eq!((code, &report["imported"]), (Some(0), &json!(5)), "{report}");
    home.start_again().await?;
    let mut client = home.client().await?;
    let interactive = BTreeSet::from([2, 3, 4].map(id));
    for (kinds, expected) in [
        (None, interactive.clone()),
        (Some(vec![]), interactive.clone()),
        (Some(vec![ThreadSourceKind::Cli, ThreadSourceKind::Vscode]), interactive),
        (Some(vec![ThreadSourceKind::Exec, ThreadSourceKind::SubAgent]), BTreeSet::from([0, 1].map(id))),
    ] {
        let params = ThreadListParams { source_kinds: kinds.clone(), ..ThreadListParams::default() };
        let listed = client.call::<ThreadList>(params).await?.data;
        assert_eq!(listed.iter().map(|thread| thread.id).collect::<BTreeSet<_>>(), expected, "{kinds:?}");
        let params = ThreadSearchParams { source_kinds: kinds.clone(), ..search_params("words") };
        let found = client.call::<ThreadSearch>(params).await?.data;
        assert_eq!(found.iter().map(|found| found.thread.id).collect::<BTreeSet<_>>(), expected, "{kinds:?}");
    }
    home.finish().await
}
