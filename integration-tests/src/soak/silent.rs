//! A helper that works for minutes without output: its call survives, and its thread stays.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::turn::TurnStatus;

use crate::home::Home;

/// Pause between two checks whether the call has ended.
const LISTEN: Duration = Duration::from_millis(500);
/// Time that the call may take longer than the helper.
const SLACK: Duration = Duration::from_secs(30);

/// Calls a tool that answers after `length`, on its own server with default settings.
///
/// # Errors
/// Fails if the answer is wrong, early or missing.
pub async fn call(length: Duration) -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let began = Instant::now();
    let order = format!("/tool helper sleep {{\"ms\":{}}}", length.as_millis());
    let turn = client.start_turn(thread, &order).await?;
    let ended = loop {
        client.listen_for(LISTEN).await?;
        let ends = client.received::<TurnCompleted>()?;
        if let Some(end) = ends.into_iter().find(|end| end.turn.id == turn) {
            break end.turn;
        }
        ensure!(client.end().is_none(), "the connection has ended: {:?}", client.end());
        ensure!(began.elapsed() < length + SLACK, "no answer after {:?}", began.elapsed());
    };
    ensure!(ended.status == TurnStatus::Completed, "the turn did not complete: {ended:?}");
    let reply = client.reply_text(&turn)?;
    ensure!(reply.as_deref() == Some("slept"), "the helper's answer is {reply:?}");
    ensure!(began.elapsed() >= length, "it is answered early, after {:?}", began.elapsed());
    home.finish().await
}
