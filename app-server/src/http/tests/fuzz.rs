//! Whole connections of any bytes: a head, then frames with messages for a thread in memory. Nothing panics, each
//! answer is one of the protocol, and the server serves on.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use skein_base::clock::Clock;
use skein_base::tasks::Tasks;
use skein_config::LocalPrograms;
use skein_config::access::{CredentialFile, Credentials, Door, NewToken, Secret};
use skein_protocol::access::Access;
use skein_protocol::error::WireError;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{Initialize, SkeinStatus};
use skein_protocol::table::Method;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use super::super::acceptor::{Peer, TcpPeer};
use super::super::{Accept, Acceptor, WebState, routes};
use crate::fuzz::{Corpus, MESSAGES, ROUNDS, heads, play_rounds};
use crate::handlers;
use crate::thread::actor::tests::bench::Bench;

/// Room for all that a round sends and gets, in bytes.
const ROOM: usize = 4 << 20;
/// A pause of the client in paused time, longer than the head may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Rounds of `cargo test` that start a server each.
const SLOW_ROUNDS: u64 = 100;
const SCOPES: [Access; 3] = [Access::Read, Access::Chat, Access::Admin];

/// A listener whose clients are in this process.
struct Doors {
    clients: mpsc::Receiver<DuplexStream>,
    local: SocketAddr,
}

impl Accept for Doors {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Peer)> {
        let Some(stream) = self.clients.recv().await else { return pending().await };
        Ok((
            stream,
            Peer::Tcp(TcpPeer {
                local: self.local,
                peer: SocketAddr::from(([127, 0, 0, 1], 1)),
                door: Door::Loopback,
                certificate: None,
                name: None,
            }),
        ))
    }
}

/// A server with one loaded thread.
struct Server {
    bench: Bench,
    thread: ThreadId,
    /// A token of the server.
    token: Secret,
    dial: mpsc::Sender<DuplexStream>,
    _home: TempDir,
}

impl Server {
    async fn start(local: LocalPrograms, scope: Access) -> Self {
        let home = tempfile::tempdir().unwrap();
        let bench = Bench::with(|config| {
            config.auth.local = local;
            config.home = home.path().to_owned();
        });
        let (client, thread) = bench.started().await;
        client.disconnect();
        let file = CredentialFile::new(home.path().join("access.json"), Tasks::new());
        let credentials = Credentials::open(Arc::new(file), Clock).await.unwrap();
        let token = Secret::generate_token().unwrap();
        let (name, sha256) = ("fuzz".to_owned(), token.digest().to_hex());
        let token_of_fuzz = NewToken { name, sha256, origin: None, scope, expires_at: None };
        credentials.add_token(token_of_fuzz).await.unwrap();
        let web = Arc::new(WebState::new(bench.app_with(credentials), handlers::router()));
        let (dial, clients) = mpsc::channel(8);
        let doors = Doors { clients, local: SocketAddr::from(([127, 0, 0, 1], 4500)) };
        let serving = axum::serve(Acceptor::new(doors, Arc::new(|| true)), routes(web));
        // Not among the tasks of the bench, which have all ended at its end.
        Tasks::new().spawn("doors", async move { serving.await });
        Self { bench, thread, token, dial, _home: home }
    }

    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(ROOM);
        self.dial.try_send(theirs).unwrap();
        ours
    }

    /// A websocket with the token.
    async fn open(&self) -> WebSocketStream<DuplexStream> {
        let mut request = "ws://localhost/".into_client_request().unwrap();
        let bearer = format!("Bearer {}", self.token.expose()).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        tokio_tungstenite::client_async(request, self.connect()).await.unwrap().0
    }

    fn check(&self, seed: u64) {
        assert_eq!(self.bench.services.tasks.panics(), 0, "seed {seed}");
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn a_connection_of_any_bytes_is_answered_or_closed() {
    let runtime = runtime();
    let doors = [LocalPrograms::SameUser, LocalPrograms::Any];
    let servers = runtime.block_on(async {
        (Server::start(doors[0], Access::Read).await, Server::start(doors[1], Access::Read).await)
    });
    play_rounds("connections", ROUNDS, Corpus::heads(&heads()), |bytes, seed| {
        runtime.block_on(async {
            let (server, local) =
                if seed.is_multiple_of(2) { (&servers.0, doors[0]) } else { (&servers.1, doors[1]) };
            let mut client = server.connect();
            client.write_all(&sent(bytes)).await.unwrap();
            let mut answer = Vec::new();
            // The server closes what it refuses; a client that was served leaves.
            tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await.ok();
            drop(client);
            check_answer(&answer, local, seed);
            drop(server.open().await);
            server.check(seed);
        });
    });
    runtime.block_on(async {
        servers.0.bench.finish().await;
        servers.1.bench.finish().await;
    });
}

/// The bytes on the wire: lines end as in HTTP, and a head has an end.
fn sent(bytes: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for byte in bytes {
        if *byte == b'\n' {
            sent.push(b'\r');
        }
        sent.push(*byte);
    }
    sent.extend_from_slice(b"\r\n");
    sent
}

/// No answer at all, or one with a status of ours. A program that is nobody's gets no websocket.
fn check_answer(answer: &[u8], local: LocalPrograms, seed: u64) {
    let text = String::from_utf8_lossy(answer);
    let Some(first) = text.lines().next() else { return };
    let status: u16 = first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    let known = [101, 200, 204, 400, 401, 403, 404, 405, 413, 415, 421, 426, 429, 431, 503];
    assert!(known.contains(&status), "seed {seed}: {text}");
    assert!(status != 101 || local == LocalPrograms::Any, "seed {seed}: a stranger got in: {text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    assert!(!head.contains("skein.auth"), "seed {seed}: a secret is repeated: {text}");
    if let Some(refusal) = body.split("HTTP/1.1").next().filter(|body| body.starts_with("{\"reason\"")) {
        assert!(refusal.len() <= crate::policy::REFUSAL_BYTES, "seed {seed}: {text}");
        assert!(serde_json::from_str::<Value>(refusal).is_ok(), "seed {seed}: {text}");
    }
}

#[test]
fn messages_of_any_content_leave_the_connection_alive() {
    let entries: Vec<&str> = MESSAGES.split_inclusive('\n').collect();
    let corpus = [&[MESSAGES][..], &entries].concat();
    play_rounds("messages", SLOW_ROUNDS, Corpus::json(&corpus), |bytes, seed| {
        runtime().block_on(async {
            let scope = SCOPES[usize::try_from(seed % 3).unwrap()];
            let server = Server::start(LocalPrograms::SameUser, scope).await;
            let (mut sink, stream) = server.open().await.split();
            let sending = async {
                for frame in frames(bytes, server.thread, seed) {
                    // The server may have closed the connection.
                    if sink.send(frame).await.is_err() {
                        return;
                    }
                }
            };
            let reading = server.bench.within("the last answer, or the close", read(stream, scope, seed));
            tokio::join!(sending, reading);
            drop(sink);
            drop(server.open().await);
            server.check(seed);
            server.bench.finish().await;
        });
    });
}

const LAST: &str = "the last";

/// A greeting, a frame for each line, and a last request.
fn frames(bytes: &[u8], thread: ThreadId, seed: u64) -> Vec<Message> {
    let info = json!({ "name": "fuzz", "version": "1" });
    let hello = json!({ "id": "first", "method": Initialize::INFO.wire, "params": { "clientInfo": info } });
    let last = json!({ "id": LAST, "method": SkeinStatus::INFO.wire, "params": {} });
    let mut frames = vec![Message::text(hello.to_string())];
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = match std::str::from_utf8(line) {
            Ok(text) => text.replace("THREAD", &thread.to_string()).into_bytes(),
            Err(_) => line.to_vec(),
        };
        let middle = line.len() / 2;
        let piece = |data: &[u8], code, is_last| Message::Frame(Frame::message(data.to_vec(), code, is_last));
        if seed.is_multiple_of(5) {
            frames.push(piece(&line[..middle], OpCode::Data(Data::Text), false));
            frames.push(piece(&line[middle..], OpCode::Data(Data::Continue), true));
        } else {
            frames.push(piece(&line, OpCode::Data(Data::Text), true));
        }
    }
    frames.push(Message::text(last.to_string()));
    frames
}

/// Reads up to the last answer. Bytes that are no text close the connection.
async fn read(
    mut stream: futures_util::stream::SplitStream<WebSocketStream<DuplexStream>>,
    scope: Access,
    seed: u64,
) {
    while let Some(Ok(message)) = stream.next().await {
        let text = match &message {
            Message::Text(text) => text,
            Message::Close(Some(frame)) => {
                assert_eq!(frame.code, CloseCode::Invalid, "seed {seed}: {frame:?}");
                return;
            }
            Message::Close(None)
            | Message::Binary(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Frame(_) => panic!("seed {seed}: {message:?}"),
        };
        let message: Value = serde_json::from_str(text).unwrap();
        assert!(
            scope > Access::Read || message.get("method").is_none() || message.get("id").is_none(),
            "{text}"
        );
        if let Some(error) = message.get("error") {
            let error: WireError = serde_json::from_value(error.clone()).unwrap();
            assert!(!error.message.is_empty() && error.code < 0, "seed {seed}: {text}");
        }
        if message.get("id") == Some(&json!(LAST)) {
            assert!(message.get("result").is_some(), "seed {seed}: {text}");
            return;
        }
    }
    panic!("seed {seed}: the connection ended without an answer to the last request");
}
