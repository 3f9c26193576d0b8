//! The server's own end, in the middle of turns, while helpers run.

use std::time::Instant;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use skein_protocol::ids::ThreadId;

use super::switch::{milliseconds, until_stopped, work};
use super::{Killed, Plan, Terminated};
use crate::client::Client;
use crate::home::{Exit, Home, PATIENCE};

/// Number of busy threads when the server ends.
const AT_WORK: usize = 3;

/// Sends SIGTERM to the server while threads are busy.
pub(super) async fn terminate(home: &mut Home, plan: &Plan, threads: &[ThreadId]) -> Result<Terminated> {
    let _clients = busy(home, plan, threads).await?;
    let before = home.family().count();
    let began = Instant::now();
    home.signal(Signal::SIGTERM)?;
    let exit = home.exited(PATIENCE).await?;
    let after_ms = milliseconds(began);
    let left = home.family().count();
    Ok(Terminated { before, exit_code: exit_code(exit), after_ms, left })
}

/// Kills the server with SIGKILL while threads are busy.
pub(super) async fn kill(home: &mut Home, plan: &Plan, threads: &[ThreadId]) -> Result<Killed> {
    let _clients = busy(home, plan, threads).await?;
    let before = home.family().count();
    let began = Instant::now();
    home.kill().await?;
    let stopped_after_ms = until_stopped(home, began).await;
    let left = home.family().count();
    Ok(Killed { before, stopped_after_ms, left })
}

/// Clients of threads whose helpers have worked and whose next turn does not end by itself.
async fn busy(home: &Home, plan: &Plan, threads: &[ThreadId]) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for &thread in threads.iter().take(AT_WORK) {
        let mut client = home.client().await?;
        client.resume(thread).await?;
        work(&mut client, plan, thread).await?;
        client.start_turn(thread, "/hang").await?;
        clients.push(client);
    }
    ensure!(home.family().count() >= clients.len() * 2, "each thread has a helper and its guard");
    Ok(clients)
}

fn exit_code(exit: Exit) -> Option<i32> {
    match exit {
        Exit::Code(code) => Some(code),
        Exit::Signal(_) => None,
    }
}
