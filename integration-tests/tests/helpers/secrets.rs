//! Secrets that a client passes with a thread: its helpers have them while the thread lives, and no other
//! output shows them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::paths;
use skein_integration_tests::process::TAG;
use skein_protocol::helper::McpServerStartupState;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{ThreadFork, ThreadStart};
use skein_protocol::notifications::McpServerStartupStatusUpdated;
use skein_protocol::thread::{ThreadForkParams, ThreadStartParams};
use tokio::process::Command;

const SECRET: &str = "ghp_TOPSECRET99999";

/// Every file below a folder that contains the secret.
fn files_with_it(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() && String::from_utf8_lossy(&std::fs::read(&path)?).contains(SECRET) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

async fn skein(arguments: &[&str]) -> Result<String> {
    let output = Command::new(paths::skein()?).args(arguments).output().await?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether the environment of the thread's helper has the secret.
async fn token(client: &mut Client, thread: ThreadId) -> Result<bool> {
    let reply = client.tool(thread, "own", "env", json!({})).await?;
    Ok(json!(reply).to_string().contains(SECRET))
}

#[tokio::test]
async fn secrets_of_helpers_survive_a_restart_and_are_in_no_rollout_export_or_plain_backup() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    let env = json!({ "TOKEN": SECRET, TAG: home.tag() });
    let own = json!({ "command": paths::mcp_helper()?, "env": env });
    let off = json!({ "command": "x", "args": ["--token", SECRET], "enabled": false });
    let config = json!({ "mcp_servers": { "own": own, "off": off } });
    let params = ThreadStartParams { config: config.as_object().cloned(), ..ThreadStartParams::default() };
    let thread = client.call::<ThreadStart>(params).await?.thread.id;
    assert_eq!(client.say(thread, "/tool own echo {\"text\":\"mine\"}").await?, "mine");
    let params = serde_json::from_value::<ThreadForkParams>(json!({ "threadId": thread }))?;
    let fork = client.call::<ThreadFork>(params).await?.thread.id;
    assert_eq!(client.say(fork, "/tool own echo {\"text\":\"ours\"}").await?, "ours");
    home.stop().await?;
    let found = files_with_it(&home.path())?;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|path| path.starts_with(home.path().join("secrets"))), "{found:?}");
    let root = home.path().display().to_string();
    for id in [thread, fork] {
        let text = skein(&["export", &id.to_string(), "--home", &root]).await?;
        assert!(text.contains("--token") && !text.contains(SECRET), "{text}");
    }
    let file = home.beside().join("backup.tar.gz").display().to_string();
    skein(&["backup", &file, "--home", &root]).await?;

    home.start_again().await?;
    let mut client = home.client().await?;
    client.resume(thread).await?;
    client.resume(fork).await?;
    assert!(token(&mut client, thread).await? && token(&mut client, fork).await?);

    let mut other = Home::in_files()?.start().await?;
    other.stop().await?;
    skein(&["restore", &file, "--home", &other.path().display().to_string(), "--force"]).await?;
    assert_eq!(files_with_it(&other.path())?, Vec::<PathBuf>::new());
    other.start_again().await?;
    let mut client = other.client().await?;
    client.resume(thread).await?;
    let failed = client
        .next::<McpServerStartupStatusUpdated>(|update| {
            update.name == "own" && update.status == McpServerStartupState::Failed
        })
        .await?;
    let why = failed.error.context("a reason")?;
    assert!(why.contains("TOKEN") && why.contains("--with-secrets"), "{why}");
    other.finish().await?;
    home.finish().await
}
