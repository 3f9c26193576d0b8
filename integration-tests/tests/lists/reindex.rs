//! `skein reindex` rebuilds the list while no server serves the home.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::home::Home;
use skein_integration_tests::paths::run_skein;
use skein_protocol::thread::ThreadListParams;

use super::list;

#[tokio::test]
async fn reindex_rebuilds_the_list_from_the_histories() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    for text in ["one", "two", "three"] {
        client.start_thread_with(text).await?;
    }
    let before = list(&mut client, ThreadListParams::default()).await?;
    home.stop().await?;
    fs::remove_dir_all(home.path().join("index-3"))?;

    let done = run_skein(&home.path(), ["reindex", "--json"]).await?;
    let output = String::from_utf8(done.stdout)?;
    assert!(done.status.success(), "{output}{}", String::from_utf8_lossy(&done.stderr));
    let lines: Vec<Value> = output.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines.first(), Some(&json!({ "done": 0, "total": 3 })));
    let last = lines.last().context("a last line")?;
    assert_eq!((&last["complete"], &last["threads"]), (&json!(true), &json!(3)));
    assert!(home.path().join("index-3").is_dir());

    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(list(&mut client, ThreadListParams::default()).await?, before);
    assert_eq!(client.status().await?.store.reads_total, 0, "the server trusts the index");
    home.stop().await?;
    let done = run_skein(&home.path(), ["reindex"]).await?;
    assert!(done.status.success() && String::from_utf8(done.stdout)?.contains("3 histories"));
    home.finish().await
}

#[tokio::test]
async fn reindex_refuses_a_served_home_and_names_its_server() -> Result<()> {
    let home = Home::in_files()?.start().await?;
    let refused = run_skein(&home.path(), ["reindex", "--json"]).await?;
    assert_eq!(refused.status.code(), Some(3));
    let output = String::from_utf8(refused.stderr)?;
    assert!(output.contains(&home.pid().to_string()) && output.contains(home.address()), "{output}");
    let control = home.path().join("control.sock");
    let by = json!({
        "pid": home.pid(),
        "doing": "serve",
        "address": home.address(),
        "controlSocket": control,
    });
    let report: Value = serde_json::from_slice(&refused.stdout)?;
    assert_eq!(report, json!({ "complete": false, "servedBy": by }));
    let nowhere = run_skein(&home.beside().join("nowhere"), ["reindex"]).await?;
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(!home.beside().join("nowhere").exists(), "a mistyped folder does not become a home");
    home.finish().await
}
