//! The part of HTTP that a helper needs: one request per connection.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::answers::{self, Answer};
use super::{Seen, Shared};

/// Sent to listening streams, it ends them.
pub(super) const END: &str = "";

/// Counts a connection while it is open.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Serves one connection.
pub(super) async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    shared.open.fetch_add(1, Ordering::SeqCst);
    let open = Open(shared);
    let mut socket = BufReader::new(socket);
    // A client that breaks off gets no answer.
    let Ok(seen) = read(&mut socket).await else { return };
    open.0.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
    let answer = answers::answer(&open.0, &seen);
    let mut socket = socket.into_inner();
    let (mut from, mut to) = socket.split();
    let mut nothing = [0; 1];
    tokio::select! {
        // The client has closed its side; the helper stops at once.
        _ = from.read(&mut nothing) => {}
        _ = write(&mut to, &open.0, answer) => {}
    }
}

async fn read(socket: &mut BufReader<TcpStream>) -> io::Result<Seen> {
    let mut line = String::new();
    socket.read_line(&mut line).await?;
    let verb = line.split(' ').next().unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        if socket.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await?;
    Ok(Seen { verb, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

async fn write(to: &mut (impl AsyncWriteExt + Unpin), shared: &Shared, answer: Answer) -> io::Result<()> {
    match answer {
        Answer::Whole { status, kind, headers, body } => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
            );
            to.write_all(head.as_bytes()).await?;
            to.write_all(body.as_bytes()).await?;
            to.shutdown().await
        }
        Answer::Endless { kind, begin, more } => {
            head(to, kind).await?;
            to.write_all(begin.as_bytes()).await?;
            let more = more.repeat(64 << 10);
            loop {
                to.write_all(more.as_bytes()).await?;
            }
        }
        Answer::Events { events, then_stall } => {
            head(to, "text/event-stream").await?;
            for event in events {
                to.write_all(format!("data: {event}\n\n").as_bytes()).await?;
            }
            if then_stall {
                std::future::pending::<()>().await;
            }
            to.shutdown().await
        }
        Answer::Ask { request, call } => ask(to, shared, &request, &call).await,
        Answer::Slow { comments, event } => slowly(to, comments, &event).await,
        Answer::Listen(id) => {
            let mut notifications = shared.notifications.subscribe();
            head(to, "text/event-stream").await?;
            let about = json!({ "io.modelcontextprotocol/subscriptionId": id });
            if !id.is_null() {
                let params = json!({ "_meta": about, "notifications": { "toolsListChanged": true } });
                let method = "notifications/subscriptions/acknowledged";
                event(to, &json!({ "jsonrpc": "2.0", "method": method, "params": params })).await?;
            }
            while let Ok(method) = notifications.recv().await {
                if method == END {
                    return to.shutdown().await;
                }
                let params = if id.is_null() { json!({}) } else { json!({ "_meta": about }) };
                event(to, &json!({ "jsonrpc": "2.0", "method": method, "params": params })).await?;
            }
            Ok(())
        }
        Answer::Never => std::future::pending().await,
    }
}

async fn ask(
    to: &mut (impl AsyncWriteExt + Unpin),
    shared: &Shared,
    request: &Value,
    call: &Value,
) -> io::Result<()> {
    let mut answers = shared.answers.subscribe();
    head(to, "text/event-stream").await?;
    event(to, request).await?;
    while let Ok(answer) = answers.recv().await {
        if answer["id"] == request["id"] {
            let outcome = if answer["error"].is_null() { &answer["result"] } else { &answer["error"] };
            let content = json!({ "content": [{ "type": "text", "text": outcome.to_string() }] });
            event(to, &json!({ "jsonrpc": "2.0", "id": call, "result": content })).await?;
            return to.shutdown().await;
        }
    }
    Ok(())
}

async fn slowly(to: &mut (impl AsyncWriteExt + Unpin), comments: u32, event: &str) -> io::Result<()> {
    head(to, "text/event-stream").await?;
    let mut beat = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..comments {
        beat.tick().await;
        to.write_all(b": still at it\n\n").await?;
    }
    to.write_all(format!("data: {event}\n\n").as_bytes()).await?;
    to.shutdown().await
}

async fn event(to: &mut (impl AsyncWriteExt + Unpin), message: &Value) -> io::Result<()> {
    to.write_all(format!("data: {message}\n\n").as_bytes()).await
}

async fn head(to: &mut (impl AsyncWriteExt + Unpin), kind: &str) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
    to.write_all(head.as_bytes()).await
}
