//! Terminal signals to the process of one client that also serves others.

use std::{fs, io};

use anyhow::{Context, Result};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::setsid;
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::process::{is_stopped, wait_until};
use skein_integration_tests::streams::Streams;
use skein_protocol::extension::SkeinStatusParams;
use skein_protocol::methods::{SkeinStatus, ThreadList};
use skein_protocol::notifications::Warning;
use skein_protocol::thread::ThreadListParams;

use super::unserved;

/// Whether a process ignores a signal.
fn is_ignored(pid: u32, signal: Signal) -> Result<bool> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).context("no SigIgn")?;
    Ok(u64::from_str_radix(mask.trim(), 16)? & (1 << (signal as u32 - 1)) != 0)
}

/// Makes a process the leader of a session. No process outside its group can continue it.
fn in_a_session() -> io::Result<()> {
    Ok(setsid().map(drop)?)
}

fn without_ctrl_z() -> io::Result<()> {
    // SAFETY: ignoring a signal runs no code of ours.
    Ok(unsafe { signal(Signal::SIGTSTP, SigHandler::SigIgn) }.map(drop)?)
}

#[tokio::test]
async fn a_client_is_warned_while_its_server_is_stopped_and_notified_when_it_continues() -> Result<()> {
    let home = unserved().await?;
    // Only the server's process has this setting.
    let mut a = Streams::start_with(&home.path(), &["connections.heartbeat=1s"]).await?;
    let mut b = Streams::start(&home.path()).await?;
    a.signal(Signal::SIGSTOP)?;
    b.next::<Warning>(|update| update.message.contains("has said nothing for 3 s")).await?;
    let list = b.ask::<ThreadList>(ThreadListParams::default()).await?;
    a.signal(Signal::SIGCONT)?;
    b.next::<Warning>(|update| update.message.contains("goes on")).await?;
    assert!(b.answer(list).await?["error"].is_null());
    a.call::<ThreadList>(ThreadListParams::default()).await?;
    b.end(PATIENCE).await?;
    a.end(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn ctrl_z_in_the_terminal_of_one_client_stops_no_other() -> Result<()> {
    let home = unserved().await?;
    let mut a = Streams::start(&home.path()).await?;
    let mut b = Streams::start(&home.path()).await?;
    let server = b.call::<SkeinStatus>(SkeinStatusParams {}).await?.pid;
    assert_eq!(server, a.pid()?);
    for signal in [Signal::SIGTTIN, Signal::SIGTTOU, Signal::SIGTSTP] {
        a.signal(signal)?;
        b.call::<ThreadList>(ThreadListParams::default()).await.with_context(|| signal.to_string())?;
        Streams::start(&home.path()).await?.end(PATIENCE).await?;
        assert!(!is_stopped(server)?, "{signal}");
    }
    // The bridge has no other clients: it stops, and later continues where it was.
    let bridge = b.pid()?;
    b.signal(Signal::SIGTSTP)?;
    let stops = || is_stopped(bridge).unwrap_or(false).then_some(());
    wait_until("a stopped bridge", PATIENCE, stops).await?;
    b.signal(Signal::SIGCONT)?;
    b.call::<ThreadList>(ThreadListParams::default()).await?;
    b.end(PATIENCE).await?;

    // A server without other clients stops too, once it knows that it has none.
    loop {
        let connected = a.call::<SkeinStatus>(SkeinStatusParams {}).await?.connections;
        if connected == 1 {
            break;
        }
    }
    a.signal(Signal::SIGTSTP)?;
    let stops = || is_stopped(server).unwrap_or(false).then_some(());
    wait_until("a stopped server", PATIENCE, stops).await?;
    a.signal(Signal::SIGCONT)?;
    a.call::<ThreadList>(ThreadListParams::default()).await?;
    a.end(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn ctrl_z_stops_only_a_process_that_its_parent_can_continue() -> Result<()> {
    let home = unserved().await?;
    let mut alone = Streams::start_after(&home.path(), in_a_session).await?;
    for _ in 0..2 {
        alone.signal(Signal::SIGTSTP)?;
        alone.logs("SIGTSTP").await?;
        alone.call::<ThreadList>(ThreadListParams::default()).await?;
    }
    alone.end(PATIENCE).await?;

    let started_so = Streams::start_after(&home.path(), without_ctrl_z).await?;
    assert!(is_ignored(started_so.pid()?, Signal::SIGTSTP)?);
    started_so.end(PATIENCE).await?;
    home.finish().await
}
