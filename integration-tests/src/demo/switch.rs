//! One switch: resume a thread, run a turn with its helper, leave the thread.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use skein_protocol::ids::ThreadId;
use skein_protocol::item::{McpToolCallStatus, ThreadItemBody};
use skein_protocol::notifications::ItemCompleted;

use super::{HELPER, Plan, Switch};
use crate::client::Client;
use crate::home::Home;
use crate::process::{resident, wait_until};

/// Limit of the wait until all processes stop. After it, the switch counts as one that left a process.
const PATIENCE: Duration = Duration::from_secs(10);

/// Resumes `thread` over a new websocket, lets its helper work, closes, and counts.
pub(super) async fn measure(
    home: &Home,
    control: &mut Client,
    plan: &Plan,
    number: usize,
    thread: ThreadId,
) -> Result<Switch> {
    let mut client = home.client().await?;
    client.resume(thread).await?;
    work(&mut client, plan, thread).await?;
    let open = home.family();
    ensure!(!open.helpers.is_empty(), "the helper has worked, but is not among the processes");
    let open_bytes = open.memory();

    let closing = Instant::now();
    let (closed, until_stopped) = tokio::join!(
        async {
            client.close().await?;
            control.thread_closed(thread).await?;
            anyhow::Ok(milliseconds(closing))
        },
        until_stopped(home, closing),
    );
    let left = home.family();
    Ok(Switch {
        number,
        helpers_open: open.helpers.len(),
        guards_open: open.guards.len(),
        bytes_open: open_bytes,
        loaded_after: control.loaded().await?.len(),
        helpers_after: left.helpers.len(),
        guards_after: left.guards.len(),
        bytes_after: left.memory(),
        stopped_after_ms: until_stopped,
        closed_after_ms: closed?,
        server_bytes: resident(home.pid()).context("the server has no memory")?,
    })
}

/// Runs one turn that calls the helper's tool. The call must succeed.
pub(super) async fn work(client: &mut Client, plan: &Plan, thread: ThreadId) -> Result<()> {
    let text = format!("/tool {HELPER} {} {}", plan.tool, plan.arguments);
    let turn = client.turn(thread, &text).await?;
    for item in client.received::<ItemCompleted>()? {
        if let ThreadItemBody::McpToolCall(call) = item.item.body
            && item.turn_id == turn.id
        {
            ensure!(call.status == McpToolCallStatus::Completed, "the tool has failed: {call:?}");
            return Ok(());
        }
    }
    anyhow::bail!("the turn has ended without a call of its tool: {turn:?}")
}

/// Milliseconds from `since` until no helper and no guard is left; `None` if one stays.
pub(super) async fn until_stopped(home: &Home, since: Instant) -> Option<u64> {
    let none = || (home.family().count() == 0).then_some(());
    wait_until("no process", PATIENCE, none).await.ok().map(|()| milliseconds(since))
}

pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
