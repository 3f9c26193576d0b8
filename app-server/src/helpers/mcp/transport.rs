//! JSON-RPC messages as lines over a helper's pipes. rmcp's own reader passes over lines that are too long or no JSON,
//! and whoever waits for the answer in them waits for ever; this one closes the line and says why.

use std::io;

use bytes::Bytes;
use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::super::Pipes;
use super::Line;
use super::progress::Sinks;
use crate::policy;

/// Lines over pipes, for rmcp.
#[derive(Debug)]
pub struct LineTransport {
    stdout: BufReader<pipe::Receiver>,
    /// The line so far; a read that is cancelled goes on from here.
    partial: Vec<u8>,
    stdin: Option<mpsc::Sender<Bytes>>,
    sinks: Sinks,
    line: Line,
}

impl LineTransport {
    /// Takes over both pipes. `line` tells why they closed.
    pub fn new(pipes: Pipes, line: Line) -> Self {
        Self {
            stdout: BufReader::new(pipes.stdout),
            partial: Vec::new(),
            stdin: Some(pipes.stdin),
            sinks: Sinks::default(),
            line,
        }
    }

    /// The next line without its end; the error is what is wrong with it, or `None` at the end of the output. Can be
    /// cancelled without loss.
    async fn next_line(&mut self) -> Result<Vec<u8>, Option<String>> {
        loop {
            let read = self
                .stdout
                .fill_buf()
                .await
                .map_err(|error| format!("its output cannot be read: {error}"))?;
            if read.is_empty() {
                return Err(None);
            }
            self.line.hear();
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

impl Transport<RoleClient> for LineTransport {
    type Error = io::Error;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        // Registered before the helper can answer.
        self.sinks.watch(&message);
        let stdin = self.stdin.clone();
        async move {
            let closed = || io::Error::new(io::ErrorKind::NotConnected, "the helper takes no more input");
            let mut bytes = serde_json::to_vec(&message)?;
            bytes.push(b'\n');
            stdin.ok_or_else(closed)?.send(bytes.into()).await.map_err(|_| closed())
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let parsed = self.next_line().await.and_then(|line| parse(&line).map_err(Some));
            match parsed {
                Ok(Some(message)) => {
                    self.sinks.heed(&message);
                    return Some(message);
                }
                Ok(None) => {}
                Err(why) => {
                    self.line.close(why);
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.stdin = None;
        self.line.close(None);
        Ok(())
    }
}

impl Drop for LineTransport {
    fn drop(&mut self) {
        self.line.close(None);
    }
}

/// One line as a message; `None` for what may be passed over: an empty line, a notification that nobody knows.
fn parse(line: &[u8]) -> Result<Option<ServerJsonRpcMessage>, String> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(line).map(Some).or_else(|_| match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(object)) if object.contains_key("method") && !object.contains_key("id") => Ok(None),
        Ok(_) | Err(_) => {
            let shown = &line[..line.len().min(policy::HELPER_GARBAGE_SHOWN)];
            Err(format!("it printed what is no MCP message: {:?}", String::from_utf8_lossy(shown)))
        }
    })
}

#[cfg(test)]
mod tests {
    use rmcp::model::JsonRpcMessage;

    use super::*;

    #[test]
    fn messages_are_read_strangers_are_passed_over_and_garbage_is_refused() {
        assert!(matches!(
            parse(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            Ok(Some(JsonRpcMessage::Response(_)))
        ));
        assert!(matches!(parse(b" \r"), Ok(None)));
        assert!(parse(br#"{"jsonrpc":"2.0","method":"notifications/progress","params":7}"#).is_ok());
        for garbage in [&b"Listening on stdio"[..], b"[]", b"{}", b"\xff\xfe", br#"{"level":"info"}"#] {
            let refused = parse(garbage).expect_err("no message");
            assert!(refused.starts_with("it printed what is no MCP message: \""), "{refused}");
        }
        let refused = parse(&[b'x'; 5000]).expect_err("no message");
        assert!(refused.len() < 300, "{}", refused.len());
    }
}
