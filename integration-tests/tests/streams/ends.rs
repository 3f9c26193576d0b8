//! How programs on standard streams start and end together.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::paths;
use skein_integration_tests::process::{Family, Process, wait_until};
use skein_integration_tests::streams::Streams;
use skein_protocol::extension::SkeinStatusParams;
use skein_protocol::methods::SkeinStatus;
use tokio::process::Command;

use super::{HANGS, unserved};

/// Bridges end within 1.5 s; a machine under test is slow.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn one_of_many_concurrent_starts_becomes_the_server() -> Result<()> {
    let home = unserved().await?;
    let path = home.path();
    let starts = (0..8).map(|_| {
        let path = path.clone();
        tokio::spawn(async move { Streams::start(&path).await })
    });
    let mut all = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        all.push(start.await??);
    }
    let mut servers = Vec::new();
    for streams in &mut all {
        servers.push(streams.call::<SkeinStatus>(SkeinStatusParams {}).await?.pid);
    }
    servers.dedup();
    let [server] = servers[..] else { anyhow::bail!("{servers:?}") };
    assert!(all.iter().any(|streams| streams.pid().is_ok_and(|pid| pid == server)));
    let ends: Vec<_> = all.into_iter().map(|streams| tokio::spawn(streams.end(PATIENCE))).collect();
    for end in ends {
        end.await??;
    }
    assert_eq!(Family::of(server, home.tag()).count(), 0);
    home.finish().await
}

#[tokio::test]
async fn a_server_with_a_full_stderr_works_and_stops_on_a_signal() -> Result<()> {
    let home = unserved().await?;
    for signal in [None, Some(Signal::SIGTERM)] {
        let mut streams = Streams::start(&home.path()).await?;
        let server = streams.pid()?;
        streams.close_errors();
        streams.hanging_turn(HANGS).await?;
        if let Some(signal) = signal {
            streams.signal(signal)?;
            // The server's input is still open.
            wait_until("the end of the server", PATIENCE, || Process::read(server).is_none().then_some(()))
                .await?;
        }
        streams.end(PATIENCE).await.with_context(|| format!("{signal:?}"))?;
        assert_eq!(Family::of(server, home.tag()).count(), 0);
    }
    home.finish().await
}

#[tokio::test]
async fn a_bridge_whose_input_ends_during_a_takeover_ends_soon() -> Result<()> {
    let home = unserved().await?;
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let a = Streams::start(&home.path()).await?;
        let mut b = Streams::start(&home.path()).await?;
        b.hanging_turn(HANGS).await?;
        let (first, second) = (a.pid()?, b.pid()?);
        a.signal(signal)?;
        b.end(SOON).await.with_context(|| format!("{signal}"))?;
        a.exit(PATIENCE).await?;
        for pid in [first, second] {
            let nothing = || (Family::of(pid, home.tag()).count() == 0).then_some(());
            wait_until("no process left", PATIENCE, nothing).await?;
            assert_eq!(Process::read(pid), None);
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_kill_of_any_program_leaves_no_process() -> Result<()> {
    let home = unserved().await?;
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let a = Streams::start(&home.path()).await?;
        let mut b = Streams::start(&home.path()).await?;
        b.hanging_turn(HANGS).await?;
        let (first, second) = (a.pid()?, b.pid()?);
        b.signal(signal)?;
        b.exit(PATIENCE).await?;
        a.signal(signal)?;
        a.exit(PATIENCE).await?;
        for pid in [first, second] {
            let nothing = || (Family::of(pid, home.tag()).count() == 0).then_some(());
            wait_until("no process left", PATIENCE, nothing).await?;
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_terminated_server_does_not_wait_for_other_clients() -> Result<()> {
    let home = unserved().await?;
    let a = Streams::start(&home.path()).await?;
    let mut b = Streams::start(&home.path()).await?;
    a.signal(Signal::SIGTERM)?;
    let (code, output) = a.exit(PATIENCE).await?;
    assert_eq!(code, Some(0), "{output}");
    let server = b.call::<SkeinStatus>(SkeinStatusParams {}).await?.pid;
    assert_eq!(server, b.pid()?);
    b.end(PATIENCE).await?;
    home.finish().await
}

/// Output of a `skein` command.
async fn skein(home: &Path, command: &str, json: bool) -> Result<String> {
    let mut skein = Command::new(paths::skein()?);
    skein.args([command, "--home"]).arg(home).args(json.then_some("--json")).env_remove("SKEIN_HOME");
    // Its counters have the address as a word of a table.
    skein.args((command == "status" && !json).then_some("--all"));
    Ok(String::from_utf8(skein.output().await?.stdout)?)
}

#[tokio::test]
async fn a_server_on_standard_streams_reports_its_address() -> Result<()> {
    let home = unserved().await?;
    let streams = Streams::start(&home.path()).await?;
    let socket = home.path().join("control.sock");
    let place = format!("stdio, control socket {}", socket.display());
    let output = skein(&home.path(), "status", false).await?;
    assert!(output.lines().any(|line| line.starts_with("address") && line.ends_with(&place)), "{output}");
    let report: Value = serde_json::from_str(&skein(&home.path(), "status", true).await?)?;
    assert_eq!((&report["address"], &report["controlSocket"]), (&json!("stdio://"), &json!(socket)));
    let output = skein(&home.path(), "doctor", false).await?;
    assert!(output.contains(&format!("has the home on {place}")), "{output}");
    let report: Value = serde_json::from_str(&skein(&home.path(), "doctor", true).await?)?;
    let server = &report["server"];
    assert_eq!((&server["address"], &server["controlSocket"]), (&json!("stdio://"), &json!(socket)));
    streams.end(PATIENCE).await?;
    home.finish().await
}
