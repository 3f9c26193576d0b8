//! An MCP server over streamable HTTP, in this process: does what its tools are called, and remembers what it was sent.

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

/// How a server behaves to everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Speaks MCP up to 2025-11-25, with sessions.
    Handshake,
    /// The same, and does not say by the status that a session is unknown.
    HandshakeLoosely,
    /// Speaks MCP of 2026-07-28, without.
    Stateless,
    /// Answers each request with a status and this text.
    Status(u16, String),
    /// Answers each request with a page.
    Page,
    /// Sends each request to this address.
    Elsewhere(String),
    /// Takes each request and answers none.
    Mute,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `POST`, `GET` or `DELETE`.
    pub verb: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Null where there is none.
    pub body: Value,
}

impl Seen {
    /// The method of MCP.
    #[must_use]
    pub fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }
}

/// A running server. It ends when it is dropped, with all of its connections.
#[derive(Debug)]
pub struct HttpHelper {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// Where a server will listen: who connects before is refused.
#[derive(Debug)]
pub struct Place(TcpSocket);

#[derive(Debug)]
struct Shared {
    manner: Manner,
    token: Mutex<Option<String>>,
    seen: Mutex<Vec<Seen>>,
    sessions: Mutex<Vec<String>>,
    told: broadcast::Sender<&'static str>,
    /// What was answered to its own requests.
    answers: broadcast::Sender<Value>,
    open: AtomicUsize,
    /// Streams that listen and are refused before one is begun again.
    refused_streams: AtomicUsize,
    ignores_pings: AtomicBool,
}

impl HttpHelper {
    /// Listens on loopback. With a `token`, who does not have it gets 401.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(manner: Manner, token: Option<&str>) -> anyhow::Result<Self> {
        let this = Self::listen(TcpListener::bind("127.0.0.1:0").await?, manner)?;
        *this.shared.token() = token.map(ToOwned::to_owned);
        Ok(this)
    }

    /// Listens at the address of one that has ended.
    ///
    /// # Errors
    /// When somebody else does.
    pub async fn start_at(address: SocketAddr, manner: Manner) -> anyhow::Result<Self> {
        Self::listen(TcpListener::bind(address).await?, manner)
    }

    /// A place at which nobody listens yet, and nobody else will.
    ///
    /// # Errors
    /// When no port can be had.
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
            told: broadcast::channel(16).0,
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes nobody without this token from now on.
    pub fn wants(&self, token: &str) {
        *self.shared.token() = Some(token.to_owned());
    }

    /// Takes everybody from now on.
    pub fn open_to_all(&self) {
        *self.shared.token() = None;
    }

    /// Its address, as a helper's `url`.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// All requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen()
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Until it has seen a request like that.
    ///
    /// # Errors
    /// When none comes within `bound`.
    pub async fn until_seen(&self, bound: Duration, fits: impl Fn(&Seen) -> bool) -> anyhow::Result<Seen> {
        wait_until("a request to the helper", bound, || self.seen().into_iter().find(&fits)).await
    }

    /// Until no connection is open but, where there is one, the stream on which it tells what changes.
    ///
    /// # Errors
    /// When one is after `bound`.
    pub async fn until_quiet(&self, bound: Duration) -> anyhow::Result<()> {
        wait_until("the end of all calls' connections", bound, || (self.open() <= 1).then_some(())).await
    }

    /// Until no connection is open.
    ///
    /// # Errors
    /// When one is after `bound`.
    pub async fn until_alone(&self, bound: Duration) -> anyhow::Result<()> {
        wait_until("the end of all connections", bound, || (self.open() == 0).then_some(())).await
    }

    /// Forgets all sessions.
    pub fn forget(&self) {
        self.shared.sessions().clear();
    }

    /// Tells whoever listens that the tools have changed.
    pub fn change_tools(&self) {
        // Nobody may listen.
        let _ = self.shared.told.send("notifications/tools/list_changed");
    }

    /// Ends the streams on which it tells what changes, and answers the next `refused` requests for one with 503.
    pub fn break_streams(&self, refused: usize) {
        self.shared.refused_streams.store(refused, Ordering::SeqCst);
        // Nobody may listen.
        let _ = self.shared.told.send(speech::END);
    }

    /// Ends it, in whatever it does.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Place {
    /// Its address, as a helper's `url`.
    ///
    /// # Errors
    /// When the system does not know it.
    pub fn url(&self) -> anyhow::Result<String> {
        Ok(url(self.0.local_addr()?))
    }

    /// Listens there.
    ///
    /// # Errors
    /// When that cannot be.
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
