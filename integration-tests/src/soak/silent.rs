//! A helper that works for minutes without a word: its call is not cut, and its thread stays.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::turn::TurnStatus;

use crate::home::Home;

/// How long is listened before it is looked whether the call is over.
const LISTEN: Duration = Duration::from_millis(500);
/// What it may take longer than the helper does.
const SLACK: Duration = Duration::from_secs(30);

/// Calls a tool that answers after `length`, on a server of its own with default settings.
///
/// # Errors
/// When it is answered otherwise, or sooner, or not.
pub async fn call(length: Duration) -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let began = Instant::now();
    let order = format!("/tool helper sleep {{\"ms\":{}}}", length.as_millis());
    let turn = client.start_turn(thread, &order).await?;
    let ended = loop {
        client.listen_for(LISTEN).await?;
        let ends = client.heard::<TurnCompleted>()?;
        if let Some(end) = ends.into_iter().find(|end| end.turn.id == turn) {
            break end.turn;
        }
        ensure!(client.end().is_none(), "the connection has ended: {:?}", client.end());
        ensure!(began.elapsed() < length + SLACK, "no answer after {:?}", began.elapsed());
    };
    ensure!(ended.status == TurnStatus::Completed, "the turn has ended so: {ended:?}");
    let said = client.said(&turn)?;
    ensure!(said.as_deref() == Some("slept"), "the helper's answer has become {said:?}");
    ensure!(began.elapsed() >= length, "it is answered after {:?} already", began.elapsed());
    home.finish().await
}
