//! JSON-RPC messages as lines over a helper's pipes. rmcp's own reader skips lines that are too long or no JSON, and a call that waits for
//! such an answer would wait for ever; this reader closes the line with the reason. rmcp starts a task for each message, so it gets only
//! awaited messages and a bounded number of requests.

pub(super) mod message;
mod pace;

use std::io;

use bytes::Bytes;
use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId, ServerJsonRpcMessage,
};
use rmcp::transport::Transport;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value, json};
use skein_base::clock::Clock;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::time::Instant;

use crate::mcp::Line;
use crate::mcp::client::too_long;
use crate::process::start::Pipes;

use crate::mcp::outstanding::{HelperRequests, Outstanding, SendWhen};
use crate::mcp::progress::words;
use crate::policy;
use crate::process::input::{Closed, HelperInput};
use message::Message;
use pace::Pace;

/// Lines over pipes, for rmcp.
#[derive(Debug)]
pub(crate) struct LineTransport {
    lines: Lines,
    input: Option<HelperInput>,
    /// Our open requests.
    outstanding: Outstanding,
    /// Open requests of the helper.
    asked: HelperRequests,
    pace: Pace,
    rest_until: Option<Instant>,
    others_first: bool,
    /// A message without room in the queue, and the time until which it waits.
    unsent: Option<(Bytes, Instant)>,
    /// There was no room in time, and none since.
    not_reading: bool,
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
            line.note_activity();
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

impl Lines {
    /// Whether the pipe has bytes, also ones that the runtime has not noticed yet.
    fn has_unread(&self) -> bool {
        let mut pipe = [PollFd::new(self.stdout.get_ref(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut pipe, Some(&now)).is_ok() && pipe.iter().any(|pipe| pipe.revents().contains(PollFlags::IN))
    }
}

impl LineTransport {
    /// Takes over both pipes. `line` tells why they closed.
    pub(crate) fn new(pipes: Pipes, line: Line) -> Self {
        Self {
            lines: Lines { stdout: BufReader::new(pipes.stdout), partial: Vec::new() },
            input: Some(pipes.stdin),
            outstanding: Outstanding::default(),
            asked: HelperRequests::default(),
            pace: Pace::default(),
            rest_until: None,
            others_first: false,
            unsent: None,
            not_reading: false,
            open: false,
            line,
        }
    }

    /// Waits for room for an unsent message, yields to other helpers, and slows a flood down. Cancel-safe.
    async fn throttle(&mut self) {
        if let (Some((bytes, until)), Some(input)) = (&self.unsent, &self.input) {
            let room = tokio::time::timeout_at(*until, input.room_for_notice(bytes.len())).await;
            self.not_reading = !(room.is_ok() && input.notify(bytes.clone()));
        }
        self.unsent = None;
        if std::mem::take(&mut self.others_first) {
            tokio::task::yield_now().await;
        }
        if let Some(until) = self.rest_until {
            tokio::time::sleep_until(until).await;
            self.rest_until = None;
        }
    }

    /// The next line; the error is why there is none. An answer that the helper wrote before it closed its input still counts.
    async fn next_line(&mut self) -> Result<Vec<u8>, Option<String>> {
        loop {
            let refused = async {
                match &self.input {
                    Some(input) => input.refused().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                line = self.lines.next(&self.line) => return line,
                () = refused => {
                    if !self.lines.has_unread() {
                        // Said by the input's writer. The reason of its end, if it ended, says more.
                        self.line.suspect("it closed its input");
                        return Err(None);
                    }
                }
            }
            // The bytes are in the pipe, and the runtime has not noticed them yet.
            tokio::task::yield_now().await;
        }
    }

    /// Handles a line; the result goes to rmcp.
    fn handle_line(&mut self, line: &[u8]) -> Result<Option<ServerJsonRpcMessage>, String> {
        self.others_first = self.pace.count();
        let mut awaited = false;
        let mut asked = None;
        let wanted = match message::parse(line)? {
            Message::Answer(id) => {
                self.open = true;
                self.line.callers.is_answered(&id);
                awaited = self.outstanding.answered(&id);
                awaited
            }
            Message::Request { id, method } => {
                asked = Some(id.clone());
                self.is_to_be_answered(id, &method, line.len())
            }
            Message::Progress(progress) => {
                if self.outstanding.progress(&progress.progress_token, || words(&progress)) {
                    return Ok(None);
                }
                false
            }
            Message::Cancelled(id) => self.asked.withdrawn(&id),
            Message::PageCompleted(id) => {
                self.line.pages.completed(&id);
                false
            }
            Message::Changed => {
                // One is as good as a thousand.
                self.rest_until = self.pace.stray(Clock.now());
                true
            }
            Message::Nothing => false,
        };
        if wanted {
            match serde_json::from_slice(line) {
                Ok(message) => return Ok(Some(message)),
                // The awaiting call would wait for ever.
                Err(_) if awaited => return Err(message::garbage(line)),
                Err(_) => asked.into_iter().for_each(|id| self.is_unreadable(id)),
            }
        }
        self.rest_until = self.pace.stray(Clock.now());
        Ok(None)
    }

    /// A request that is to be answered and is none of MCP: that is the answer.
    fn is_unreadable(&mut self, id: RequestId) {
        self.asked.withdrawn(&id);
        self.refuse(&id, "this is no request of MCP");
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
        self.refuse(&id, &refusal);
        false
    }

    fn refuse(&mut self, id: &RequestId, why: &str) {
        let error = json!({ "code": rmcp::model::ErrorCode::INVALID_REQUEST.0, "message": why });
        self.notify(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
    }

    /// Tells the helper something that no task of ours waits to tell. When it does not read it is waited for, not for
    /// long, before more is read of it; then it is not told.
    fn notify(&mut self, message: &Value) {
        let bytes = line_of(message.to_string());
        let Some(input) = &self.input else { return };
        if input.notify(bytes.clone()) {
            self.not_reading = false;
        } else if self.not_reading {
            tracing::debug!("a helper that does not read missed a message");
        } else {
            self.unsent = Some((bytes, Clock.now() + policy::HELPER_NOTICE_PATIENCE));
        }
    }

    /// How a message of ours goes out.
    fn turn_of(&mut self, message: &ClientJsonRpcMessage) -> SendWhen {
        match message {
            JsonRpcMessage::Request(request) => self.outstanding.ask(request),
            JsonRpcMessage::Notification(notification) => {
                let ClientNotification::CancelledNotification(cancelled) = &notification.notification else {
                    return SendWhen::Waits;
                };
                let Some(id) = &cancelled.params.request_id else { return SendWhen::Never };
                let turn = self.outstanding.give_up(id);
                if matches!(turn, SendWhen::Never) {
                    self.line.callers.is_answered(id);
                }
                turn
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
        self.line.callers.watch(&message);
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
            self.throttle().await;
            let handled = match self.next_line().await {
                Ok(line) => self.handle_line(&line).map_err(Some),
                Err(why) => Err(why),
            };
            match handled {
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::process::input::input;

    /// The answers to a helper that prints these lines, closes its output and only then reads; and the reason why the line closed.
    async fn answers(lines: &[impl AsRef<str>]) -> (Vec<String>, String) {
        let (read, write) = io::pipe().unwrap();
        let text: String = lines.iter().flat_map(|line| [line.as_ref(), "\n"]).collect();
        let mut output = pipe::Sender::from_owned_fd(OwnedFd::from(write)).unwrap();
        let stdout = pipe::Receiver::from_owned_fd(OwnedFd::from(read)).unwrap();
        let (stdin, mut end) = input();
        let line = Line::new("/".into());
        let mut transport = LineTransport::new(Pipes { stdin, stdout }, line.clone());
        let print = async {
            output.write_all(text.as_bytes()).await.unwrap();
            drop(output);
        };
        let read = async { while transport.receive().await.is_some() {} };
        tokio::join!(print, read);
        drop(transport);
        let mut answers = Vec::new();
        while let Some(message) = end.next().await {
            answers.push(String::from_utf8(message.bytes.to_vec()).unwrap());
        }
        (answers, line.why())
    }

    #[tokio::test]
    async fn an_answer_that_was_written_before_the_input_closed_is_read() {
        let (read, mut write) = io::pipe().unwrap();
        // The runtime has not looked at this pipe when the writer says that the input is closed.
        writeln!(write, r#"{{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}}"#).unwrap();
        write!(write, r#"{{"jsonrpc":"2.0","#).unwrap();
        let stdout = pipe::Receiver::from_owned_fd(OwnedFd::from(read)).unwrap();
        let (stdin, end) = input();
        end.refuse();
        let line = Line::new("/".into());
        let mut transport = LineTransport::new(Pipes { stdin, stdout }, line.clone());
        assert!(transport.receive().await.is_some());
        // Half a line is not waited for.
        assert!(transport.receive().await.is_none());
        assert_eq!(line.why(), "it closed its input");
    }

    #[tokio::test]
    async fn a_request_that_cannot_be_read_is_refused_and_the_line_goes_on() {
        let (answers, why) = answers(&[
            r#"{"jsonrpc":"2.0","id":"skein-initialize","result":{}}"#,
            r#"{"id":1,"method":"roots/list"}"#,
            r#"{"jsonrpc":"1.0","id":2,"method":"roots/list"}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"elicitation/create","params":7}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":7}"#,
            r#"{"method":"notifications/tools/list_changed"}"#,
            r#"{"jsonrpc":"2.0","id":4,"method":"ping"}"#,
        ])
        .await;
        assert_eq!(why, "it closed its output");
        assert!(
            answers.iter().any(|answers| answers.contains(r#""id":1"#) && answers.contains("error")),
            "{answers:?}"
        );
        assert!(
            answers.iter().any(|answers| answers.contains(r#""id":2"#) && answers.contains("error")),
            "{answers:?}"
        );
        assert!(answers.last().is_some_and(|answers| answers.contains(r#""id":4"#)), "{answers:?}");
    }

    #[tokio::test]
    async fn a_helper_that_is_held_up_misses_none_of_thousands_of_refusals() {
        let asks: Vec<String> =
            (0..5_000).map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"roots/list"}}"#)).collect();
        let (answers, _) = answers(&asks).await;
        let refused = |(id, answer): (usize, &String)| answer.contains(&format!(r#""id":{id},"#));
        assert_eq!(answers.len(), asks.len());
        assert!(answers.iter().enumerate().all(refused), "each of them, in their order");
    }
}
