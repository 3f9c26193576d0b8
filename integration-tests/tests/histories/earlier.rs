//! A home from an earlier version, killed in the middle of a turn, shows the same and works.
//! `scripts/lib/earlier-home.py` made it with the last single-crate build.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use skein_integration_tests::home::Home;
use skein_integration_tests::paths::run_skein;
use skein_protocol::extension::RepairState;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadGoalGet, ThreadList, ThreadRead};
use skein_protocol::thread::{ThreadGoalGetParams, ThreadListParams, ThreadReadParams};

const LEFT: &[u8] = include_bytes!("earlier-home.tar.gz");

/// The earlier version's answers for its threads, by their names; null for a deleted thread.
fn answers(home: &Home) -> Result<Map<String, Value>> {
    let text = fs::read_to_string(home.beside().join("answers.json"))?;
    let path = home.path().display().to_string();
    Ok(serde_json::from_str(&text.replace("HOME", &path))?)
}

/// The thread without the time at which a reader closed a turn that the kill had left open.
fn without_closing_time(thread: &Value) -> Value {
    let mut thread = thread.clone();
    let turns = thread["turns"].as_array_mut().into_iter().flatten();
    for turn in turns.filter(|turn| turn["status"] == "interrupted") {
        (turn["completedAt"], turn["durationMs"]) = (Value::Null, Value::Null);
    }
    thread
}

/// Every rollout below `folder`, with its bytes.
fn rollouts(folder: &Path) -> Result<Vec<(std::path::PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(rollouts(&path)?);
        } else {
            found.push((path.clone(), fs::read(&path)?));
        }
    }
    Ok(found)
}

#[tokio::test]
async fn a_home_of_an_earlier_version_shows_the_same_and_works() -> Result<()> {
    let (mut home, mut client) = Home::setup().left_by_another(LEFT).start_with_client().await?;
    let before = rollouts(&home.path().join("threads"))?;
    let answers = answers(&home)?;
    // A read during the repair shows a thread that is being loaded.
    client
        .until_status("the repair is complete", |status| status.repair.state == RepairState::Complete)
        .await?;
    for (name, shown) in &answers {
        let Some(id) = shown["id"].as_str() else { continue };
        let id: ThreadId = serde_json::from_value(id.into())?;
        let read = client.call::<ThreadRead>(ThreadReadParams { include_turns: true, thread_id: id }).await?;
        let read = serde_json::to_value(read.thread)?;
        assert_eq!(without_closing_time(&read), without_closing_time(shown), "thread {name}");
    }
    for archived in [false, true] {
        let params = ThreadListParams { archived: Some(archived), ..ThreadListParams::default() };
        let listed = client.call::<ThreadList>(params).await?.data;
        assert_eq!(listed.len(), if archived { 1 } else { 6 }, "archived: {archived}");
    }
    let named: ThreadId = serde_json::from_value(answers["named"]["id"].clone())?;
    let goal = client.call::<ThreadGoalGet>(ThreadGoalGetParams { thread_id: named }).await?.goal;
    assert_eq!(goal.context("the goal is lost")?.objective, "an aim");
    for name in ["named", "large", "fork", "damaged", "open"] {
        let id: ThreadId = serde_json::from_value(answers[name]["id"].clone())?;
        client.resume(id).await?;
        assert_eq!(client.say(id, "and on").await?, "and on", "thread {name}");
    }
    for (path, bytes) in before {
        assert!(fs::read(&path)?.starts_with(&bytes), "{} was rewritten", path.display());
    }
    drop(client);
    home.stop().await?;
    // Only the damage was made.
    let found = run_skein(&home.path(), ["fsck"]).await?;
    let found = String::from_utf8(found.stdout)?;
    let damaged = answers["damaged"]["id"].as_str().context("an id")?;
    let others: Vec<&str> =
        found.lines().filter(|line| !line.contains(damaged) && !line.contains(" rollouts with ")).collect();
    assert_eq!(others, [""; 0], "{found}");
    home.finish_with_faults().await
}
