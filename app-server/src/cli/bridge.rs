//! Between standard streams and a websocket: a line is a message, in both directions, and nothing is read into it. A side that
//! does not take its messages is not read from either.

use std::fmt;

use anyhow::Context;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use skein_app_server::policy;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::ids::RequestId;
use skein_protocol::methods::SkeinConnectionLeave;
use skein_protocol::table::Method;
use tokio::io::{AsyncWriteExt, Stdin, Stdout};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::client::Link;

/// The id of our own request. No client knows it, so none has it.
const LEAVE: &str = "skein-bridge-leave";

/// Why a bridge has ended.
#[derive(Debug)]
pub enum Ended {
    /// Nobody speaks, or listens, any more, or a signal came; the server has been told.
    Input,
    /// The server has closed the connection, for this reason.
    Server(Reason),
}

/// What a server says when it closes a connection; nothing when it just ends.
#[derive(Debug)]
pub struct Reason(Option<String>);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// Carries lines of at most `longest` bytes until an end, or until `stopped`.
pub async fn run(
    link: Box<dyn Link>,
    longest: usize,
    stopped: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    let (mut to_server, mut from_server) = link.split();
    let mut lines = FramedRead::new(tokio::io::stdin(), LinesCodec::new_with_max_length(longest));
    let mut out = tokio::io::stdout();
    let ended = tokio::select! {
        input = pass_on(&mut lines, &mut to_server) => input.map(|()| Ended::Input)?,
        output = show(&mut from_server, &mut out) => output?,
        () = stopped => Ended::Input,
    };
    if matches!(ended, Ended::Input) {
        // Bounded, whatever server and client do. What is left is the server's business then.
        let leave = leave(&mut to_server, &mut from_server, &mut out);
        tokio::time::timeout(policy::LEAVE_LIMIT + policy::LEAVE_MARGIN, leave).await.ok();
    }
    Ok(ended)
}

/// Sends each line, until the last.
async fn pass_on(
    lines: &mut FramedRead<Stdin, LinesCodec>,
    to_server: &mut SplitSink<Box<dyn Link>, Message>,
) -> anyhow::Result<()> {
    while let Some(line) = lines.next().await {
        let line = match line {
            Ok(line) => line,
            Err(LinesCodecError::MaxLineLengthExceeded) => {
                anyhow::bail!(
                    "a message has more than limits.message_bytes ({} bytes)",
                    lines.decoder().max_length()
                )
            }
            Err(LinesCodecError::Io(error)) => return Err(error).context("standard input"),
        };
        if !line.trim().is_empty() && to_server.send(Message::text(line)).await.is_err() {
            // Why the connection broke is told to who reads it.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

/// Prints each message, until the server closes or nobody reads.
async fn show(from_server: &mut SplitStream<Box<dyn Link>>, out: &mut Stdout) -> anyhow::Result<Ended> {
    while let Some(message) = from_server.next().await {
        match message {
            Ok(Message::Text(text)) => {
                if print(out, &text).await.is_err() {
                    return Ok(Ended::Input);
                }
            }
            Ok(Message::Close(frame)) => {
                return Ok(Ended::Server(Reason(frame.map(|frame| frame.reason.to_string()))));
            }
            Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Err(error) => return Ok(Ended::Server(Reason(Some(error.to_string())))),
        }
    }
    Ok(Ended::Server(Reason(None)))
}

async fn print(out: &mut Stdout, text: &str) -> std::io::Result<()> {
    out.write_all(text.as_bytes()).await?;
    out.write_all(b"\n").await?;
    out.flush().await
}

/// Tells the server that the user is gone, and waits until what only this user had has ended.
async fn leave(
    to_server: &mut SplitSink<Box<dyn Link>, Message>,
    from_server: &mut SplitStream<Box<dyn Link>>,
    out: &mut Stdout,
) {
    let request = serde_json::json!({"id": LEAVE, "method": SkeinConnectionLeave::INFO.wire, "params": {}});
    if to_server.send(Message::text(request.to_string())).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = from_server.next().await {
        let Message::Text(text) = message else { continue };
        let ours = |id: &RequestId| matches!(id, RequestId::String(id) if id == LEAVE);
        match envelope::parse(&text) {
            // The error: it was not even initialised.
            Ok(Incoming::Response { id, .. } | Incoming::Error { id, .. }) if ours(&id) => break,
            // Somebody may still listen.
            Ok(_) | Err(_) => drop(print(out, &text).await),
        }
    }
    // It has been told all; that it is gone already is fine.
    to_server.close().await.ok();
}
