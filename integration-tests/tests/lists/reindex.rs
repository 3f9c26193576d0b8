//! `skein reindex`: the list, made anew while no server has the home.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::home::Home;
use skein_integration_tests::paths;
use skein_protocol::thread::ThreadListParams;
use tokio::process::Command;

use super::list;

async fn reindex(home: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(paths::skein()?);
    Ok(command.arg("reindex").arg("--home").arg(home).args(arguments).output().await?)
}

#[tokio::test]
async fn a_list_is_made_anew_from_the_histories() -> Result<()> {
    let mut home = Home::start().await?;
    let mut client = home.client().await?;
    for text in ["one", "two", "three"] {
        client.start_said_thread(text).await?;
    }
    let before = list(&mut client, ThreadListParams::default()).await?;
    home.stop().await?;
    fs::remove_dir_all(home.path().join("index-3"))?;

    let done = reindex(&home.path(), &["--json"]).await?;
    let said = String::from_utf8(done.stdout)?;
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    let lines: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines.first(), Some(&json!({ "done": 0, "total": 3 })));
    let last = lines.last().context("a last line")?;
    assert_eq!((&last["complete"], &last["threads"]), (&json!(true), &json!(3)));
    assert!(home.path().join("index-3").is_dir());

    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(list(&mut client, ThreadListParams::default()).await?, before);
    assert_eq!(client.status().await?.store.reads_total, 0, "the server believes it");
    home.stop().await?;
    let done = reindex(&home.path(), &[]).await?;
    assert!(done.status.success() && String::from_utf8(done.stdout)?.contains("3 histories"));
    home.finish().await
}

#[tokio::test]
async fn a_served_home_is_left_to_its_server_which_is_named() -> Result<()> {
    let home = Home::start().await?;
    let refused = reindex(&home.path(), &["--json"]).await?;
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8(refused.stderr)?;
    assert!(said.contains(&home.pid().to_string()) && said.contains(home.address()), "{said}");
    let control = home.path().join("control.sock");
    let by = json!({
        "pid": home.pid(),
        "doing": "serve",
        "address": home.address(),
        "controlSocket": control,
    });
    let told: Value = serde_json::from_slice(&refused.stdout)?;
    assert_eq!(told, json!({ "complete": false, "servedBy": by }));
    let nowhere = reindex(&home.beside().join("nowhere"), &[]).await?;
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(!home.beside().join("nowhere").exists(), "no home is made of a folder that was named by mistake");
    home.finish().await
}
