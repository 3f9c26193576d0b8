use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use skein_base::clock::WallMs;
use skein_base::tasks::Tasks;
use skein_store::home::{Home, HomePaths};
use skein_store::import;
use skein_store::rollout::file::FileStore;
use skein_store::rollout::file::layer::DiskLayer;
use skein_store::rollout::record::{AnsweredBy, QuestionAnswered, RecordBody, StoredSettings, ThreadMeta};
use skein_store::rollout::{Keep, Lease, LogEntry};
use skein_store::testing::peer;

use super::*;

const THREAD: &str = "01a1f9a4-f790-7202-b781-7c170e66903c";
const TOOLS: &str = "01a1f9a4-f928-7e70-ba37-371aab1fed25";

async fn exported(home: &Path, thread: &str, format: Format) -> Result<String, ExportError> {
    let (mut out, tasks) = (Vec::new(), Tasks::new());
    let store = FileStore::look(&HomePaths::new(home), Arc::new(DiskLayer), tasks.clone());
    run((&store, "the home"), thread.parse().unwrap(), format, &mut out).await?;
    tasks.finish().await;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn the_records_are_exported_as_the_rollout_has_them_while_the_home_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let (codex, root) = (dir.path().join("codex"), dir.path().join("home"));
    peer::lay(&codex).unwrap();
    import::run(&codex, &root, |_| {}).await.unwrap();
    let home = Home::open(&root).unwrap();
    // A fork in progress on a server.
    let part = home.paths().open_markers().join(format!("{THREAD}.part"));
    fs::write(&part, "half").unwrap();
    let rollout = home.paths().threads().join("3c").join(format!("{THREAD}.jsonl"));
    assert_eq!(exported(&root, THREAD, Format::Jsonl).await.unwrap(), fs::read_to_string(rollout).unwrap());
    assert!(part.exists(), "nothing of the server's is touched");
    let unknown = exported(&root, "00000000-0000-0000-0000-000000000001", Format::Jsonl).await;
    assert!(matches!(unknown, Err(ExportError::Unknown { .. })), "{unknown:?}");
}

#[tokio::test]
async fn secrets_of_a_rollout_of_an_earlier_version_are_masked() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let store = FileStore::open(home.paths(), Arc::new(DiskLayer), Tasks::new()).unwrap();
    let config = json!({ "mcp_servers": { "t": { "command": "t", "args": ["--token", "s3cret"], "env": { "T": "s3cret" } } } });
    // In clear text, as earlier versions wrote them.
    let settings =
        StoredSettings { config: config.as_object().unwrap().clone(), ..StoredSettings::default() };
    let body = RecordBody::from(ThreadMeta { settings: Some(settings), git_info: None });
    let (thread, record) = (THREAD.parse().unwrap(), Record { seq: EventSeq(1), at: WallMs(0), body });
    store
        .append(Lease { thread, term: home.term() }, EventSeq(0), LogEntry::of(vec![record], Keep::Power))
        .await
        .unwrap();
    let text = exported(dir.path(), THREAD, Format::Jsonl).await.unwrap();
    assert!(!text.contains("s3cret") && text.contains("--token") && text.contains("\"T\":\"***\""), "{text}");
}

#[tokio::test]
async fn answers_to_questions_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let store = FileStore::open(home.paths(), Arc::new(DiskLayer), Tasks::new()).unwrap();
    let by = AnsweredBy { client: "page".to_owned(), scope: "chat".to_owned() };
    let answer = Some(r#"{"action":"accept","content":{"pin":"7391"}}"#.to_owned());
    let body = QuestionAnswered { id: 1, turn_id: "t".to_owned().into(), by, answer };
    let (thread, record) =
        (THREAD.parse().unwrap(), Record { seq: EventSeq(1), at: WallMs(0), body: body.into() });
    store
        .append(Lease { thread, term: home.term() }, EventSeq(0), LogEntry::of(vec![record], Keep::Power))
        .await
        .unwrap();
    let text = exported(dir.path(), THREAD, Format::Jsonl).await.unwrap();
    assert!(!text.contains("7391") && text.contains(r#""answer":null"#), "{text}");
}

#[tokio::test]
async fn a_conversation_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let (codex, root) = (dir.path().join("codex"), dir.path().join("home"));
    peer::lay(&codex).unwrap();
    import::run(&codex, &root, |_| {}).await.unwrap();
    let text = exported(&root, THREAD, Format::Markdown).await.unwrap();
    assert!(text.starts_with("# A friendly talk\n\n- Thread: `01a1f9a4-"), "{text}");
    let parts = [
        "## User, 2026-",
        "say hello",
        "<details><summary>Thinking</summary>",
        "**Thinking** about it",
        "## Agent, 2026-",
        "Hello, world",
    ];
    let mut rest = text.as_str();
    for part in parts {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part:?} is not in order in {text}")).1;
    }
    let text = exported(&root, TOOLS, Format::Markdown).await.unwrap();
    for part in [
        "Command, exit code 3",
        "```sh\n/bin/bash -lc 'echo one; echo two; exit 3'\n```",
        "```\none\ntwo\n```",
        "Tool echo of helper",
        "echo: hi",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}
