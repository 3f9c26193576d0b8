//! The short conversation of every row.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::process::{Family, is_stopped, wait_until};
use skein_integration_tests::requests::{turn_params, user_text};
use skein_integration_tests::streams::Streams;
use skein_protocol::ids::ThreadId;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::methods::{ThreadArchive, ThreadRead, ThreadUnarchive, TurnStart};
use skein_protocol::notifications::{ItemAgentMessageDelta, ItemCompleted};
use skein_protocol::thread::{Thread, ThreadArchiveParams, ThreadReadParams, ThreadUnarchiveParams};
use skein_protocol::turn::TurnStatus;

use super::place::Place;

/// The first message.
pub(super) const WORDS: &str = "words that stay";
/// A call of the helper.
const CALL: &str = "/tool helper echo {\"text\":\"words\"}";
/// A turn that is long enough for the signals in it.
const STREAM: &str = "/stream 30 8 100";

/// A thread and its texts.
pub(super) struct Transcript {
    pub thread: ThreadId,
    texts: Vec<&'static str>,
}

/// Starts a thread, runs turns, and archives and unarchives it.
pub(super) async fn have(client: &mut Client, place: &Place, server: u32) -> Result<Transcript> {
    let thread = client.start_thread().await?.id;
    ensure!(client.say(thread, WORDS).await? == WORDS, "no echo");
    let mut texts = vec![WORDS];
    if place.has_helper {
        texts.push(CALL);
        let turn = client.turn(thread, CALL).await?;
        ensure!(turn.status == TurnStatus::Completed, "{turn:?}");
        let called = client
            .received::<ItemCompleted>()?
            .into_iter()
            .any(|done| matches!(done.item.body, ThreadItemBody::McpToolCall(call) if call.error.is_none()));
        ensure!(called, "the helper was not called");
        ensure!(Family::of(server, &place.tag).count() > 0, "no process of the helper is visible");
    }
    if !place.signals.is_empty() {
        texts.push(STREAM);
        interrupted_by_signals(client, place, server, thread).await?;
    }
    client.call::<ThreadArchive>(ThreadArchiveParams { thread_id: thread }).await?;
    client.call::<ThreadUnarchive>(ThreadUnarchiveParams { thread_id: thread }).await?;
    let transcript = Transcript { thread, texts };
    transcript.is_in(&client.read_thread(thread).await?)?;
    Ok(transcript)
}

/// A turn in which the server gets the signals of the row.
async fn interrupted_by_signals(
    client: &mut Client,
    place: &Place,
    server: u32,
    thread: ThreadId,
) -> Result<()> {
    let turn = client.start_turn(thread, STREAM).await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.turn_id == turn).await?;
    for signal in place.signals {
        kill(Pid::from_raw(server.cast_signed()), *signal)?;
        if *signal == Signal::SIGSTOP {
            let stops = || is_stopped(server).unwrap_or(false).then_some(());
            wait_until("a stopped server", PATIENCE, stops).await?;
        }
    }
    let ended = client.turn_end(&turn).await?;
    ensure!(ended.status == TurnStatus::Completed, "{ended:?}");
    Ok(())
}

/// Checks that a restarted server has the thread and continues it.
pub(super) async fn is_there(client: &mut Client, transcript: &Transcript) -> Result<()> {
    transcript.is_in(&client.read_thread(transcript.thread).await?)?;
    client.resume(transcript.thread).await?;
    ensure!(client.say(transcript.thread, "again").await? == "again", "no echo");
    Ok(())
}

/// Runs a turn that must be refused. Returns the error text.
pub(super) async fn refused_turn(client: &mut Client) -> Result<String> {
    let thread = client.start_thread().await?.id;
    Ok(client.refusal::<TurnStart>(turn_params(thread, WORDS)).await?.message)
}

impl Transcript {
    /// Checks that a read of the thread has every text.
    fn is_in(&self, thread: &Thread) -> Result<()> {
        ensure!(thread.turns.len() >= self.texts.len(), "there are {} turns", thread.turns.len());
        for (text, turn) in self.texts.iter().zip(&thread.turns) {
            let shown = turn.items.iter().find_map(user_text).context("no message in a turn")?;
            ensure!(shown == *text && turn.status == TurnStatus::Completed, "{text:?} is {turn:?}");
        }
        Ok(())
    }

    /// Checks that a read on standard streams has every text.
    pub(super) async fn is_read_by(&self, streams: &mut Streams) -> Result<()> {
        let params = ThreadReadParams { include_turns: true, thread_id: self.thread };
        self.is_in(&streams.call::<ThreadRead>(params).await?.thread)
    }
}
