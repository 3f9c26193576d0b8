//! A typed client over a real websocket.
//!
//! The client reads only while a test waits for a message, so the test decides how slow a client is. All
//! received messages stay in [`Client::record`], in order. Each message satisfies at most one wait. Every
//! wait has a bound. Its error names the expected message and the messages that came instead.

mod message;
mod questions;
mod transcript;
mod wait;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures_util::SinkExt;
use serde_json::Value;
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::extension::{EVENTS_EXTENSION, EVENTS_VERSION};
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{Initialize, Initialized};
use skein_protocol::server::{
    ClientInfo, InitializeCapabilities, InitializeParams, InitializeResponse, InitializedParams,
};
use skein_protocol::table::Method;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::{Error as HandshakeError, Message};

pub use self::message::Received;
use self::transcript::{Author, Transcript};

/// The server's `Retry-After` of a busy handshake.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const BUSY_TRIES: usize = 10;
/// Limit of every wait of a client. A request to the disk takes seconds where other programs keep the processors busy,
/// since the threads for it have a low priority.
pub const BOUND: Duration = Duration::from_secs(60);

/// Receive buffer of a narrow client, bytes. The kernel doubles this number.
const NARROW: u32 = 4096;

/// Ids of requests, unique over all clients of this process, so that a transcript of several clients is
/// unambiguous.
static NEXT_ID: AtomicI64 = AtomicI64::new(1);

/// One connection.
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    address: String,
    record: Vec<Received>,
    /// Places in the record that no wait has taken yet.
    untaken: Vec<usize>,
    end: Option<End>,
    /// The text of the server's close frame.
    close_text: Option<String>,
    transcript: Option<Transcript>,
}

/// A refused handshake.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    body: String,
}

impl Refused {
    fn is_busy(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

impl std::error::Error for Refused {}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status, self.body)
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a close frame of this code; `None` when the frame has none.
    Close(Option<u16>),
    /// Without a close frame.
    Broken,
}

/// A request that was sent and has no answer yet.
#[derive(Debug)]
#[must_use = "the answer is taken with `Client::answer`"]
pub struct Pending<M> {
    id: RequestId,
    method: PhantomData<M>,
}

impl<M> Pending<M> {
    /// The id of the request.
    pub fn id(&self) -> &RequestId {
        &self.id
    }
}

impl Client {
    /// Connects to `ws://ADDRESS:PORT` and sends nothing yet.
    ///
    /// # Errors
    /// Fails if nothing listens there, or the websocket is refused.
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        Self::connect_with(address, &[]).await
    }

    /// Connects with these headers in the handshake, and sends nothing yet. Tries again while the server asks for that: beside
    /// many new processes it cannot say whether a helper connects.
    ///
    /// # Errors
    /// Fails like [`Client::connect`].
    pub async fn connect_with(address: &str, headers: &[(&str, &str)]) -> anyhow::Result<Self> {
        let is_v6 = address.starts_with("ws://[");
        let socket = || if is_v6 { TcpSocket::new_v6() } else { TcpSocket::new_v4() };
        let mut tries = tokio::time::interval(RETRY_AFTER);
        for _ in 0..BUSY_TRIES {
            tries.tick().await;
            match Self::connect_through(socket()?, address, headers).await {
                Err(error) if error.downcast_ref::<Refused>().is_some_and(Refused::is_busy) => {}
                connected => return connected,
            }
        }
        Self::connect_through(socket()?, address, headers).await
    }

    /// Connects with a small receive buffer and initialises. Unread messages soon wait at the server.
    ///
    /// # Errors
    /// Fails if one of these steps fails.
    pub async fn narrow(address: &str) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(NARROW)?;
        let mut client = Self::connect_through(socket, address, &[]).await?;
        client.initialize().await?;
        Ok(client)
    }

    /// Connects and initialises as a client that asks for numbers on durable notifications.
    ///
    /// # Errors
    /// Fails if one of these steps fails, or the server does not offer numbers.
    pub async fn numbered(address: &str) -> anyhow::Result<Self> {
        Self::numbered_without(address, &[]).await
    }

    /// As [`Self::numbered`], without these notifications.
    ///
    /// # Errors
    /// As [`Self::numbered`].
    pub async fn numbered_without(address: &str, unwanted: &[&str]) -> anyhow::Result<Self> {
        let mut client = Self::connect(address).await?;
        let wish = serde_json::json!({ "version": EVENTS_VERSION });
        let extensions = serde_json::Map::from_iter([(EVENTS_EXTENSION.to_owned(), wish)]);
        let capabilities = InitializeCapabilities {
            extensions: Some(extensions),
            opt_out_notification_methods: Some(unwanted.iter().map(|method| (*method).to_owned()).collect()),
            ..InitializeCapabilities::default()
        };
        let response = client.initialize_with(Some(capabilities)).await?;
        let granted = response.skein.is_some_and(|skein| skein.extensions.contains_key(EVENTS_EXTENSION));
        ensure!(granted, "the server offers no event numbers");
        Ok(client)
    }

    async fn connect_through(
        socket: TcpSocket,
        address: &str,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let host =
            address.strip_prefix("ws://").with_context(|| format!("{address} is not a ws:// address"))?;
        let mut handshake = address.into_client_request()?;
        for (name, value) in headers {
            handshake.headers_mut().append(HeaderName::try_from(*name)?, HeaderValue::try_from(*value)?);
        }
        let connect = async {
            let stream = socket.connect(host.parse()?).await?;
            stream.set_nodelay(true)?;
            match tokio_tungstenite::client_async(handshake, stream).await {
                Ok((socket, _)) => anyhow::Ok(socket),
                Err(HandshakeError::Http(refused)) => {
                    let body = refused.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                    Err(Refused { status: refused.status(), body: body.into_owned() }.into())
                }
                Err(error) => Err(error.into()),
            }
        };
        let socket = tokio::time::timeout(BOUND, connect).await;
        let socket = socket
            .with_context(|| format!("no handshake at {address} within {BOUND:?}"))?
            .with_context(|| format!("cannot connect to {address}"))?;
        Ok(Self {
            socket,
            address: address.to_owned(),
            record: Vec::new(),
            untaken: Vec::new(),
            end: None,
            close_text: None,
            transcript: Transcript::from_environment()?,
        })
    }

    /// Connects and initialises.
    ///
    /// # Errors
    /// Fails if one of these steps fails.
    pub async fn ready(address: &str) -> anyhow::Result<Self> {
        let mut client = Self::connect(address).await?;
        client.initialize().await?;
        Ok(client)
    }

    /// Sends `initialize` without capabilities, then `initialized`.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn initialize(&mut self) -> anyhow::Result<InitializeResponse> {
        self.initialize_with(None).await
    }

    /// Sends `initialize` with these capabilities, then `initialized`.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn initialize_with(
        &mut self,
        capabilities: Option<InitializeCapabilities>,
    ) -> anyhow::Result<InitializeResponse> {
        let response = self.call::<Initialize>(introduction(capabilities)).await?;
        self.send(
            &envelope::client_notification::<Initialized>(&InitializedParams::default()),
            Author::Types,
        )
        .await?;
        Ok(response)
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// The server's [`WireError`], or what is wrong with the connection.
    pub async fn call<M: Method>(&mut self, params: M::Params) -> anyhow::Result<M::Response> {
        let pending = self.start_call::<M>(&params).await?;
        self.answer(pending).await?.with_context(|| format!("{} is refused", M::INFO.wire))
    }

    /// Calls a method that the server must refuse.
    ///
    /// # Errors
    /// Fails if the server answers the request.
    pub async fn refusal<M: Method>(&mut self, params: M::Params) -> anyhow::Result<WireError> {
        let pending = self.start_call::<M>(&params).await?;
        match self.answer(pending).await? {
            Ok(_) => bail!("{} was answered, but the server should refuse it", M::INFO.wire),
            Err(error) => Ok(error),
        }
    }

    /// Sends a request. [`Client::answer`] takes the answer later.
    ///
    /// # Errors
    /// Fails if the connection has ended.
    pub async fn start_call<M: Method>(&mut self, params: &M::Params) -> anyhow::Result<Pending<M>> {
        let id = RequestId::Integer(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        self.send(&envelope::request::<M>(&id, params), Author::Types).await?;
        Ok(Pending { id, method: PhantomData })
    }

    /// Waits for the answer to an earlier request.
    ///
    /// # Errors
    /// Fails if no answer comes, or an answer of another shape. A refusal is in the inner result.
    pub async fn answer<M: Method>(
        &mut self,
        pending: Pending<M>,
    ) -> anyhow::Result<Result<M::Response, WireError>> {
        let what = format!("the answer to {} ({})", M::INFO.wire, pending.id);
        let received = self.until(&what, |message| message.answers(&pending.id)).await?;
        received.into_answer().with_context(|| format!("{what} has another shape"))
    }

    /// Sends a text frame without changes.
    ///
    /// # Errors
    /// Fails if the connection has ended.
    pub async fn send_raw(&mut self, text: &str) -> anyhow::Result<()> {
        self.send(text, Author::Test).await
    }

    async fn send(&mut self, text: &str, author: Author) -> anyhow::Result<()> {
        if let Some(transcript) = &mut self.transcript {
            transcript.sent(text, author)?;
        }
        self.send_message(Message::text(text)).await
    }

    /// Sends any websocket message.
    ///
    /// # Errors
    /// Fails if the connection has ended, or does not take the message.
    pub async fn send_message(&mut self, message: Message) -> anyhow::Result<()> {
        let sent = tokio::time::timeout(BOUND, self.socket.send(message)).await;
        sent.with_context(|| format!("{} accepts no message within {BOUND:?}", self.address))??;
        Ok(())
    }

    /// Sends a raw request under a new id.
    ///
    /// # Errors
    /// Fails if no answer comes. A refusal is in the inner result.
    pub async fn call_raw(
        &mut self,
        method: &str,
        params: &Value,
    ) -> anyhow::Result<Result<Value, WireError>> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        self.send_raw(&serde_json::json!({ "id": id, "method": method, "params": params }).to_string())
            .await?;
        self.answer_to(&RequestId::Integer(id)).await
    }

    /// Waits for the answer to an earlier raw request.
    ///
    /// # Errors
    /// Fails if no answer comes. A refusal is in the inner result.
    pub async fn answer_to(&mut self, id: &RequestId) -> anyhow::Result<Result<Value, WireError>> {
        let what = format!("the answer to request {id}");
        self.until(&what, |message| message.answers(id)).await?.into_answer()
    }

    /// Every received message, in order.
    pub fn record(&self) -> &[Received] {
        &self.record
    }

    /// Takes every message received so far. Later waits find only new messages.
    pub fn take_all(&mut self) {
        self.untaken.clear();
    }

    /// How the connection ended, as far as this client has read.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// The text of the server's close frame, as far as this client has read.
    pub fn close_text(&self) -> Option<&str> {
        self.close_text.as_deref()
    }

    /// Resets the connection, like a machine whose process was killed. Unread data is lost, and the server
    /// gets no close frame.
    ///
    /// # Errors
    /// Fails if the socket refuses the option.
    pub fn reset(self) -> anyhow::Result<()> {
        Ok(self.socket.get_ref().set_zero_linger()?)
    }

    /// Sends a close frame and waits for the server's close frame.
    ///
    /// # Errors
    /// Fails if the connection does not end.
    pub async fn close(mut self) -> anyhow::Result<End> {
        // After the server has closed the connection, sending a close frame fails.
        self.socket.close(None).await.ok();
        self.until_end().await
    }
}

/// The params of this client's `initialize`.
pub fn introduction(capabilities: Option<InitializeCapabilities>) -> InitializeParams {
    InitializeParams {
        capabilities,
        client_info: ClientInfo {
            name: "skein-tests".to_owned(),
            title: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
    }
}
