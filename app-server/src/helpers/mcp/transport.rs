//! JSON-RPC messages as lines over a helper's pipes. rmcp's own reader passes over lines that are too long or no JSON,
//! and whoever waits for the answer in them waits for ever; this one closes the line and says why. What nobody waits for
//! never reaches rmcp, which starts a task for each message; what the helper asks is bounded.

use std::io;

use bytes::Bytes;
use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::time::Instant;

use super::super::Pipes;
use super::Line;
use super::client::too_long;
use super::heard::{self, Heard};
use super::outstanding::{Incoming, Outstanding, Turn};
use super::pace::Pace;
use super::progress::words;
use crate::clock::Clock;
use crate::helpers::input::{Closed, Input};
use crate::policy;

/// Lines over pipes, for rmcp.
#[derive(Debug)]
pub struct LineTransport {
    lines: Lines,
    input: Option<Input>,
    /// What we have asked.
    outstanding: Outstanding,
    /// What the helper has asked.
    asked: Incoming,
    pace: Pace,
    rest_until: Option<Instant>,
    others_first: bool,
    /// What there was no room for: until when room for it is waited for.
    untold: Option<(Bytes, Instant)>,
    /// There was no room in time, and none since.
    deaf: bool,
    /// The helper has answered once: before that it may ask nothing but pings.
    open: bool,
    line: Line,
}

/// The helper's output, line by line.
#[derive(Debug)]
struct Lines {
    stdout: BufReader<pipe::Receiver>,
    /// The line so far; a read that is cancelled goes on from here.
    partial: Vec<u8>,
}

impl Lines {
    /// The next line without its end; the error is what is wrong with it, or `None` at the end of the output. `line` hears
    /// each part of it. Can be cancelled without loss.
    async fn next(&mut self, line: &Line) -> Result<Vec<u8>, Option<String>> {
        loop {
            let read = self
                .stdout
                .fill_buf()
                .await
                .map_err(|error| format!("its output cannot be read: {error}"))?;
            if read.is_empty() {
                return Err(None);
            }
            line.hear();
            let end = read.iter().position(|byte| *byte == b'\n');
            let (text, used) = end.map_or((read, read.len()), |end| (&read[..end], end + 1));
            if self.partial.len() + text.len() > policy::HELPER_LONGEST_LINE {
                return Err(Some(format!(
                    "it printed a line longer than {} bytes",
                    policy::HELPER_LONGEST_LINE
                )));
            }
            self.partial.extend_from_slice(text);
            self.stdout.consume(used);
            if end.is_some() {
                return Ok(std::mem::take(&mut self.partial));
            }
        }
    }
}

impl LineTransport {
    /// Takes over both pipes. `line` tells why they closed.
    pub fn new(pipes: Pipes, line: Line) -> Self {
        Self {
            lines: Lines { stdout: BufReader::new(pipes.stdout), partial: Vec::new() },
            input: Some(pipes.stdin),
            outstanding: Outstanding::default(),
            asked: Incoming::default(),
            pace: Pace::default(),
            rest_until: None,
            others_first: false,
            untold: None,
            deaf: false,
            open: false,
            line,
        }
    }

    /// Lets others have a turn, and a flood wait, also for the helper's own ears. Can be cancelled without loss.
    async fn breathe(&mut self) {
        if let (Some((bytes, until)), Some(input)) = (&self.untold, &self.input) {
            let room = tokio::time::timeout_at(*until, input.room_for_notice(bytes.len())).await;
            self.deaf = !(room.is_ok() && input.notify(bytes.clone()));
        }
        self.untold = None;
        if std::mem::take(&mut self.others_first) {
            tokio::task::yield_now().await;
        }
        if let Some(until) = self.rest_until {
            tokio::time::sleep_until(until).await;
            self.rest_until = None;
        }
    }

    /// The next line; the error is why there is none.
    async fn next_line(&mut self) -> Result<Vec<u8>, Option<String>> {
        let refused = async {
            match &self.input {
                Some(input) => input.refused().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            line = self.lines.next(&self.line) => line,
            // Said by who was to be told something. Why it ended, if it did, says more.
            () = refused => {
                self.line.suspect("it closed its input");
                Err(None)
            }
        }
    }

    /// What rmcp is to hear of a line.
    fn sift(&mut self, line: &[u8]) -> Result<Option<ServerJsonRpcMessage>, String> {
        self.others_first = self.pace.heard();
        let wanted = match heard::hear(line)? {
            Heard::Answer(id) => {
                self.open = true;
                self.outstanding.answered(&id)
            }
            Heard::Request { id, method } => self.is_to_be_answered(id, &method, line.len()),
            Heard::Progress(progress) => {
                if self.outstanding.progress(&progress.progress_token, || words(&progress)) {
                    return Ok(None);
                }
                false
            }
            Heard::Cancelled(id) => self.asked.withdrawn(&id),
            Heard::Changed => true,
            Heard::Nothing => false,
        };
        if wanted {
            return serde_json::from_slice(line).map(Some).map_err(|_| heard::garbage(line));
        }
        self.rest_until = self.pace.stray(Clock.now());
        Ok(None)
    }

    /// Whether a request of the helper goes on to our handler. Everything else is answered here.
    fn is_to_be_answered(&mut self, id: RequestId, method: &str, bytes: usize) -> bool {
        let refusal = match method {
            "ping" => {
                self.notify(&json!({ "jsonrpc": "2.0", "id": id, "result": {} }));
                return false;
            }
            _ if !self.open => "nothing may be asked before initialize is answered".to_owned(),
            _ if bytes > policy::HELPER_LONGEST_REQUEST => too_long(),
            _ => match self.asked.admit(&id) {
                Ok(()) => return true,
                Err(refusal) => refusal,
            },
        };
        let error = json!({ "code": rmcp::model::ErrorCode::INVALID_REQUEST.0, "message": refusal });
        self.notify(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        false
    }

    /// Tells the helper something that no task of ours waits to tell. When it does not read it is waited for, not for
    /// long, before more is read of it; then it is not told.
    fn notify(&mut self, message: &Value) {
        let bytes = line_of(message.to_string());
        let Some(input) = &self.input else { return };
        if input.notify(bytes.clone()) {
            self.deaf = false;
        } else if self.deaf {
            tracing::debug!("a helper that does not read was not told something");
        } else {
            self.untold = Some((bytes, Clock.now() + policy::HELPER_NOTICE_PATIENCE));
        }
    }

    /// How a message of ours goes out.
    fn turn_of(&mut self, message: &ClientJsonRpcMessage) -> Turn {
        match message {
            JsonRpcMessage::Request(request) => self.outstanding.ask(request),
            JsonRpcMessage::Notification(notification) => {
                let ClientNotification::CancelledNotification(cancelled) = &notification.notification else {
                    return Turn::Waits;
                };
                cancelled.params.request_id.as_ref().map_or(Turn::Never, |id| self.outstanding.give_up(id))
            }
            JsonRpcMessage::Response(answer) => self.asked.answered(Some(&answer.id)),
            JsonRpcMessage::Error(error) => self.asked.answered(error.id.as_ref()),
        }
    }
}

impl Transport<RoleClient> for LineTransport {
    type Error = io::Error;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        // Registered before the helper can answer.
        let turn = self.turn_of(&message);
        let input = self.input.clone();
        async move {
            let input = input.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, Closed))?;
            let bytes = line_of(serde_json::to_string(&message)?);
            drop(message);
            let sent = turn.take(&input, bytes).await;
            sent.map_err(|closed| io::Error::new(io::ErrorKind::NotConnected, closed))
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            self.breathe().await;
            let sifted = match self.next_line().await {
                Ok(line) => self.sift(&line).map_err(Some),
                Err(why) => Err(why),
            };
            match sifted {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(why) => {
                    self.line.close(why);
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.input = None;
        self.line.close(None);
        Ok(())
    }
}

impl Drop for LineTransport {
    fn drop(&mut self) {
        self.line.close(None);
    }
}

fn line_of(message: String) -> Bytes {
    let mut bytes = message.into_bytes();
    bytes.push(b'\n');
    bytes.into()
}
