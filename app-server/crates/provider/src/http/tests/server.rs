//! A provider on loopback that answers as a test wants it to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use skein_base::tasks::Tasks;

/// One answer: what is written, and what becomes of the connection.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    text: String,
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Close,
    Hold,
}

impl Reply {
    /// A stream of events that ends.
    pub(super) fn events(events: &str) -> Self {
        Self::with("200 OK", "content-type: text/event-stream; charset=utf-8\r\n", events)
    }

    /// An answer with a status, headers (each with its end) and a body.
    pub(super) fn with(status: &str, headers: &str, body: &str) -> Self {
        let text = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}");
        Self { text, then: Then::Close }
    }

    /// The same, and then nothing more: the connection stays open.
    pub(super) fn hold(self) -> Self {
        Self { then: Then::Hold, ..self }
    }
}

/// An observation of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A request: head and body.
    Request(String),
    /// The client closed a connection that was held.
    Closed,
}

/// The server; it ends with its last handle.
pub(super) struct Server {
    pub base_url: String,
    seen: mpsc::Receiver<Seen>,
}

impl Server {
    /// Gives one reply for each connection, in this order.
    pub(super) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (seen_by, seen) = mpsc::channel(64);
        let replies: Vec<Reply> = replies.into_iter().collect();
        let replies = Arc::new(Mutex::new(replies.into_iter()));
        let tasks = Tasks::new();
        tasks.clone().spawn("fake provider", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let reply = replies.lock().unwrap().next();
                let Some(reply) = reply else { break };
                tasks.spawn("fake answer", serve(stream, reply, seen_by.clone()));
            }
        });
        Self { base_url, seen }
    }

    /// The next observation.
    pub(super) async fn next(&mut self) -> Seen {
        self.seen.recv().await.expect("something to see")
    }

    /// The next request.
    pub(super) async fn request(&mut self) -> String {
        match self.next().await {
            Seen::Request(text) => text,
            Seen::Closed => panic!("a connection was closed"),
        }
    }

    /// Whether nothing was seen since.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.seen.try_recv().is_err()
    }
}

async fn serve(mut stream: TcpStream, reply: Reply, seen_by: mpsc::Sender<Seen>) {
    let request = read(&mut stream).await;
    seen_by.send(Seen::Request(request)).await.unwrap();
    stream.write_all(reply.text.as_bytes()).await.unwrap();
    if reply.then == Then::Hold {
        // Ends when the client does.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
        seen_by.send(Seen::Closed).await.ok();
    }
}

/// A request with its body, whose length its head tells.
async fn read(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await.unwrap();
        text.extend_from_slice(&piece[..length]);
        let shown = String::from_utf8_lossy(&text);
        let Some((head, body)) = shown.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) || length == Some(0) {
            return shown.into_owned();
        }
    }
}
