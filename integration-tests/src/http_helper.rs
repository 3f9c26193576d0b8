//! An MCP server over streamable HTTP in this process. The name of each tool says how it behaves. The server
//! records each request.

mod answers;
mod speech;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use crate::process::wait_until;

/// Behaviour of a server towards every client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Speaks MCP up to 2025-11-25, with sessions.
    Handshake,
    /// Like `Handshake`, but an unknown session does not get its own status.
    HandshakeLoosely,
    /// Speaks MCP of 2026-07-28, without sessions.
    Stateless,
    /// Answers each request with this status and text.
    Status(u16, String),
    /// Answers each request with an HTML page.
    Page,
    /// Redirects each request to this address.
    RedirectsTo(String),
    /// Accepts each request and answers none.
    Mute,
}

/// A request as received.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `POST`, `GET` or `DELETE`.
    pub verb: String,
    /// Headers; names are in lower case.
    pub headers: BTreeMap<String, String>,
    /// The JSON body; null if there is none.
    pub body: Value,
}

impl Seen {
    /// The MCP method.
    pub fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }
}

/// A running server. Drop ends it with all its connections.
#[derive(Debug)]
pub struct HttpHelper {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// An address reserved for a server. Until the server starts, connections are refused.
#[derive(Debug)]
pub struct Place(TcpSocket);

#[derive(Debug)]
struct Shared {
    manner: Manner,
    token: Mutex<Option<String>>,
    seen: Mutex<Vec<Seen>>,
    sessions: Mutex<Vec<String>>,
    notifications: broadcast::Sender<&'static str>,
    /// Answers to the server's own requests.
    answers: broadcast::Sender<Value>,
    open: AtomicUsize,
    /// Listening streams to refuse before the next one is accepted.
    refused_streams: AtomicUsize,
    ignores_pings: AtomicBool,
}

impl HttpHelper {
    /// Listens on loopback. If there is a `token`, a request without it gets 401.
    ///
    /// # Errors
    /// Fails if no port is free.
    pub async fn start(manner: Manner, token: Option<&str>) -> anyhow::Result<Self> {
        let this = Self::listen(TcpListener::bind("127.0.0.1:0").await?, manner)?;
        *this.shared.token() = token.map(ToOwned::to_owned);
        Ok(this)
    }

    /// Listens at the address of an earlier server.
    ///
    /// # Errors
    /// Fails if the address is in use.
    pub async fn start_at(address: SocketAddr, manner: Manner) -> anyhow::Result<Self> {
        Self::listen(TcpListener::bind(address).await?, manner)
    }

    /// Reserves an address on which nothing listens yet.
    ///
    /// # Errors
    /// Fails if no port is free.
    pub fn place() -> anyhow::Result<Place> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok(Place(socket))
    }

    fn listen(listener: TcpListener, manner: Manner) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            manner,
            token: Mutex::default(),
            seen: Mutex::default(),
            sessions: Mutex::default(),
            notifications: broadcast::channel(16).0,
            answers: broadcast::channel(16).0,
            open: AtomicUsize::new(0),
            refused_streams: AtomicUsize::new(0),
            ignores_pings: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        let serving = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(speech::serve(socket, Arc::clone(&serving)));
            }
        });
        Ok(Self { address, shared, tasks })
    }

    /// Address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, requests need this token.
    pub fn wants(&self, token: &str) {
        *self.shared.token() = Some(token.to_owned());
    }

    /// From now on, requests need no token.
    pub fn open_to_all(&self) {
        *self.shared.token() = None;
    }

    /// Address of the server, as a helper's `url`.
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen()
    }

    /// Number of open connections.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Waits for a request that fits.
    ///
    /// # Errors
    /// Fails if none comes within `bound`.
    pub async fn until_seen(&self, bound: Duration, fits: impl Fn(&Seen) -> bool) -> anyhow::Result<Seen> {
        wait_until("a request to the helper", bound, || self.seen().into_iter().find(&fits)).await
    }

    /// Waits until no connection is open, except for the stream of change notifications.
    ///
    /// # Errors
    /// Fails if another connection is open after `bound`.
    pub async fn until_quiet(&self, bound: Duration) -> anyhow::Result<()> {
        wait_until("the end of all calls' connections", bound, || (self.open() <= 1).then_some(())).await
    }

    /// Waits until no connection is open.
    ///
    /// # Errors
    /// Fails if a connection is open after `bound`.
    pub async fn until_alone(&self, bound: Duration) -> anyhow::Result<()> {
        wait_until("the end of all connections", bound, || (self.open() == 0).then_some(())).await
    }

    /// Forgets all sessions.
    pub fn forget(&self) {
        self.shared.sessions().clear();
    }

    /// Notifies every listening client that the tools have changed.
    pub fn change_tools(&self) {
        // No client may be listening.
        let _ = self.shared.notifications.send("notifications/tools/list_changed");
    }

    /// Ends the streams of change notifications, and answers the next `refused` requests for such a stream
    /// with 503.
    pub fn break_streams(&self, refused: usize) {
        self.shared.refused_streams.store(refused, Ordering::SeqCst);
        // No client may be listening.
        let _ = self.shared.notifications.send(speech::END);
    }

    /// Ends the server immediately.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Place {
    /// The reserved address, as a helper's `url`.
    ///
    /// # Errors
    /// Fails if the system does not report the address.
    pub fn url(&self) -> anyhow::Result<String> {
        Ok(url(self.0.local_addr()?))
    }

    /// Starts a server at this address.
    ///
    /// # Errors
    /// Fails if the server cannot listen.
    pub fn start(self, manner: Manner) -> anyhow::Result<HttpHelper> {
        HttpHelper::listen(self.0.listen(16)?, manner)
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/mcp")
}

impl Shared {
    fn token(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
