//! A helper's share of the server: its own configuration and an allow-list, three descriptors, the thread's
//! folder.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::process::resident;
use skein_protocol::config::ConfigReadParams;
use skein_protocol::helper::ListMcpServerStatusParams;
use skein_protocol::methods::{ConfigRead, McpServerStatusList, ThreadStart};
use skein_protocol::thread::ThreadStartParams;
use tokio::net::UnixDatagram;

use super::text;

#[tokio::test]
async fn the_servers_secrets_and_descriptors_stay_with_the_server() -> Result<()> {
    let named = vec!["BY_NAME", "NOT_SET_ANYWHERE", "TOKEN"];
    let helper = Helper::named("helper")?.set("env.TOKEN", "for the helper").set("env_vars", named);
    let home = Home::setup().helper(helper).env("SECRET_OF_THE_SERVER", "hidden");
    let (mut home, mut client) =
        home.env("BY_NAME", "s3cret of a helper").env("TOKEN", "hidden").start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let environment = text(&client.tool(thread, "helper", "env", json!({})).await?);
    let environment: HashMap<String, String> = serde_json::from_str(&environment)?;
    assert_eq!(environment.get("TOKEN").map(String::as_str), Some("for the helper"));
    assert!(environment.contains_key("PATH"));
    assert!(!environment.contains_key("SECRET_OF_THE_SERVER"));
    assert_eq!(environment.get("BY_NAME").map(String::as_str), Some("s3cret of a helper"));
    assert!(!environment.contains_key("NOT_SET_ANYWHERE"));
    home.until_line(&["NOT_SET_ANYWHERE"]).await?;
    let listed = client.call::<McpServerStatusList>(ListMcpServerStatusParams::default()).await?;
    let shown = format!(
        "{:?} {listed:?}",
        client
            .call::<ConfigRead>(ConfigReadParams { include_layers: true, ..ConfigReadParams::default() })
            .await?
    );
    assert!(shown.contains("BY_NAME") && !shown.contains("s3cret"), "{shown}");
    let guards = home.family().guards;
    assert_eq!(guards.len(), 1);
    for name in ["SECRET_OF_THE_SERVER", "BY_NAME", "TOKEN", "PATH"] {
        assert_eq!(guards[0].variable(name), None, "{name}");
    }
    let open = text(&client.tool(thread, "helper", "fds", json!({})).await?);
    assert_eq!(open, "[0,1,2]");
    let log = home.whole_log().await?;
    assert!(!log.contains("s3cret"), "{log}");
    home.finish().await
}

/// The soft and the hard limit of open files of a process, as the kernel prints them.
fn file_limits(pid: u32) -> Result<[String; 2]> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no such limit")?;
    let mut words = line.split_whitespace().map(str::to_owned);
    words.next().zip(words.next()).map(|(soft, hard)| [soft, hard]).context("no such limit")
}

#[tokio::test]
async fn the_variables_of_a_service_manager_stay_with_the_server_also_by_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let news = UnixDatagram::bind(folder.path().join("notify"))?;
    let path = folder.path().join("notify").display().to_string();
    let names = ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "KEPT"];
    let mut setup = Home::setup().helper(Helper::named("helper")?.set("env_vars", names.to_vec()));
    for name in &names[1..] {
        setup = setup.env(name, "1");
    }
    let (home, mut client) = setup.env(names[0], &path).start_with_client().await?;
    let mut message = [0; 100];
    let length = news.recv(&mut message).await?;
    assert!(message[..length].starts_with(b"READY=1"), "the server still has the address");
    let thread = client.start_thread().await?.id;
    let environment = text(&client.tool(thread, "helper", "env", json!({})).await?);
    let environment: HashMap<String, String> = serde_json::from_str(&environment)?;
    let found: Vec<&str> = names.into_iter().filter(|name| environment.contains_key(*name)).collect();
    assert_eq!(found, ["KEPT"]);
    home.finish().await
}

#[tokio::test]
async fn the_server_raises_its_own_file_limit_and_helpers_keep_the_users() -> Result<()> {
    let (home, mut client) =
        Home::setup().soft_files(256).helper(Helper::named("helper")?).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let pid = text(&client.tool(thread, "helper", "pid", json!({})).await?);
    let [soft, hard] = file_limits(home.pid())?;
    assert!(soft == hard || soft.parse::<u64>()? == 1 << 20, "{soft} of {hard}");
    assert_ne!(soft, "256");
    assert_eq!(file_limits(pid.parse()?)?, ["256".to_owned(), hard]);
    home.finish().await
}

#[tokio::test]
async fn a_helper_works_in_the_threads_folder() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let folder = home.beside().join("project");
    std::fs::create_dir(&folder)?;
    let cwd = folder.to_string_lossy().into_owned();
    let params = ThreadStartParams { cwd: Some(cwd.clone()), ..ThreadStartParams::default() };
    let thread = client.call::<ThreadStart>(params).await?.thread;
    assert_eq!(thread.cwd, cwd);
    assert_eq!(text(&client.tool(thread.id, "helper", "cwd", json!({})).await?), cwd);
    home.finish().await
}

#[tokio::test]
async fn a_flood_on_stderr_costs_the_server_nothing() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    client.tool(thread, "helper", "stderr_flood", json!({ "bytes": 1_000_000 })).await?;
    let before = resident(home.pid()).unwrap();
    client.tool(thread, "helper", "stderr_flood", json!({ "bytes": 200_000_000 })).await?;
    let more = resident(home.pid()).unwrap().saturating_sub(before);
    assert!(more < 20_000_000, "{more} bytes more for a ring of 256 KiB");
    home.finish().await
}
