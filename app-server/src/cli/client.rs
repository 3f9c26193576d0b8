//! A connection to a running server, for one command at a terminal.

use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use nix::unistd::geteuid;
use serde_json::value::RawValue;
use skein_app_server::policy::CLIENT_HANDSHAKE;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::error::WireError;
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{Initialize, Initialized};
use skein_protocol::server::{ClientInfo, InitializeParams, InitializedParams};
use skein_protocol::table::Method;
use skein_store::home::socket::SocketPath;
use skein_store::home::{Home, HomeError, HomePaths, SERVE, UNIX, holder};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as TransportError, Message};
use tokio_tungstenite::{client_async_with_config, connect_async_with_config};

use super::progress::Waiting;
use super::{Where, home};

/// The URL of a control socket's websocket; the server requires a host that is this machine.
const CONTROL: &str = "ws://localhost/";

/// A websocket over any transport.
pub(super) trait MessageStream:
    Stream<Item = Result<Message, TransportError>> + Sink<Message, Error = TransportError> + Unpin + Send
{
}

impl<L> MessageStream for L where
    L: Stream<Item = Result<Message, TransportError>> + Sink<Message, Error = TransportError> + Unpin + Send
{
}

/// Answers may be as large as the server's own limit.
pub(super) fn unlimited() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(None).max_frame_size(None)
}

async fn dial(url: &str) -> anyhow::Result<impl MessageStream + 'static> {
    Ok(connect_async_with_config(url, Some(unlimited()), true).await?.0)
}

/// The result of talking to a server, or an error after [`CLIENT_HANDSHAKE`].
pub(super) async fn in_time<T>(opened: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let opened = tokio::time::timeout(CLIENT_HANDSHAKE, opened).await;
    opened.unwrap_or_else(|_| bail!("no handshake within {} s", CLIENT_HANDSHAKE.as_secs()))
}

/// An open and initialised connection.
pub(super) struct CliClient {
    socket: Box<dyn MessageStream>,
    last_id: i64,
}

/// The reason for a call without a result.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// The server's refusal.
    #[error("{0}")]
    Refused(WireError),
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

impl CliClient {
    /// Connects to the server of `target`, at its home's control socket or at a websocket, and shakes hands. With `json`
    /// nothing shows that it waits.
    pub(super) async fn open(target: &Where, json: bool) -> anyhow::Result<Self> {
        let _waiting = Waiting::of("waiting for the server", json);
        let Some(url) = &target.url else {
            let root = std::path::absolute(home(target.home.as_ref())?).context("the home's path")?;
            return Self::open_home(&root).await;
        };
        let opened = in_time(async { Self::greet(Box::new(dial(url).await?)).await }).await;
        opened.with_context(|| format!("no server answers at {url}"))
    }

    /// Connects to the server of a home and shakes hands.
    pub(super) async fn open_home(root: &Path) -> anyhow::Result<Self> {
        let link = link(root).await?;
        in_time(Self::greet(link)).await.with_context(|| silence(&HomePaths::new(root)))
    }

    /// Shakes hands over an open link.
    ///
    /// # Errors
    /// The server refuses, or is gone.
    pub(super) async fn greet(socket: Box<dyn MessageStream>) -> anyhow::Result<Self> {
        let mut client = Self { socket, last_id: 0 };
        let client_info = ClientInfo {
            name: "skein-cli".to_owned(),
            title: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let params = serde_json::to_string(&InitializeParams { capabilities: None, client_info })?;
        let hello = RawValue::from_string(params)?;
        client.call(Initialize::INFO.wire, Some(&hello), |_| Ok(())).await?;
        client.send(envelope::client_notification::<Initialized>(&InitializedParams::default())).await?;
        Ok(client)
    }

    /// Calls `method` and waits for its answer without a limit. All other messages go to `other`.
    pub(super) async fn call(
        &mut self,
        method: &str,
        params: Option<&RawValue>,
        mut other: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> Result<Box<RawValue>, RequestError> {
        self.last_id += 1;
        let mine = RequestId::Integer(self.last_id);
        let request = serde_json::json!({"id": self.last_id, "method": method, "params": params});
        self.send(request.to_string()).await?;
        loop {
            let Some(text) = self.next().await? else {
                let reason = "the server closed the connection before it answered";
                return Err(RequestError::Broken(anyhow::anyhow!(reason)));
            };
            match envelope::parse(&text) {
                Ok(Incoming::Response { id, result }) if id == mine => return Ok(result.to_owned()),
                Ok(Incoming::Error { id, error }) if id == mine => return Err(RequestError::Refused(error)),
                Ok(_) => other(&text)?,
                Err(bad) => return Err(RequestError::Broken(bad.error.into())),
            }
        }
    }

    /// The next message of the server; `None` once the server has closed the connection.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<String>> {
        while let Some(message) = self.socket.next().await {
            match message.context("the connection broke")? {
                Message::Text(text) => return Ok(Some(text.to_string())),
                Message::Close(_) => return Ok(None),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(None)
    }

    /// Closes the connection cleanly.
    pub(super) async fn close(mut self) {
        // The server may have closed first.
        let _ = self.socket.close().await;
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn send(&mut self, text: String) -> anyhow::Result<()> {
        self.socket.send(Message::text(text)).await.context("the connection broke")
    }
}

/// An open websocket to the server of a home, before the handshake.
pub(super) async fn link(root: &Path) -> anyhow::Result<Box<dyn MessageStream>> {
    let paths = HomePaths::new(root);
    let opened = in_time(async {
        match knock(&paths).await {
            Ok(stream) => Ok(Box::new(over(stream).await?) as Box<dyn MessageStream>),
            Err(error) => match websocket(root)? {
                None => Err(error).context("control.sock"),
                Some(url) => Ok(Box::new(dial(&url).await.context(url)?) as Box<dyn MessageStream>),
            },
        }
    });
    opened.await.with_context(|| silence(&paths))
}

/// A websocket over a connection to a control socket, before the handshake of the protocol.
///
/// # Errors
/// The server refuses, or the connection broke.
pub(super) async fn over(stream: UnixStream) -> anyhow::Result<impl MessageStream + 'static> {
    Ok(client_async_with_config(CONTROL, stream, Some(unlimited())).await?.0)
}

/// A connection to the control socket of a home's server.
pub(super) async fn stream(root: &Path) -> anyhow::Result<UnixStream> {
    let paths = HomePaths::new(root);
    let opened = in_time(async { knock(&paths).await.context("control.sock") });
    opened.await.with_context(|| silence(&paths))
}

async fn knock(paths: &HomePaths) -> io::Result<UnixStream> {
    let reach = SocketPath::of(paths)?;
    let stream = UnixStream::connect(reach.path()).await?;
    // Any other listener could read the client's messages and answer in the server's name.
    if stream.peer_cred()?.uid() == geteuid().as_raw() {
        return Ok(stream);
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user's program listens there"))
}

/// The websocket of a server without a control socket.
fn websocket(root: &Path) -> anyhow::Result<Option<String>> {
    let addresses = Home::read_server_json(root)?.map(|serving| serving.addresses).unwrap_or_default();
    // A server with a control socket would listen there; without a listener it has ended, and its port may be another
    // server's.
    if addresses.iter().any(|address| address.starts_with(UNIX)) {
        return Ok(None);
    }
    Ok(addresses.into_iter().find(|address| address.starts_with("ws://")))
}

/// The reason why no server answers for a home, and the remedy.
fn silence(paths: &HomePaths) -> String {
    let home = paths.root().display();
    let start = format!("start one with: skein serve --home {home}");
    if let Some(holder) = holder(paths) {
        let pid = holder.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        let doing = holder.doing.unwrap_or_else(|| SERVE.to_owned());
        return format!(
            "process {pid} (skein {doing}) has {home} and does not answer; wait until it has started or ended"
        );
    }
    match Home::read_server_json(paths.root()) {
        Ok(Some(gone)) => {
            format!("no server is running on {home}: process {} that served it has ended; {start}", gone.pid)
        }
        Err(HomeError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            format!(
                "this user cannot see whether a server is running on {home}; ask as the owner of the home"
            )
        }
        Ok(None) | Err(_) => format!("no server is running on {home}; {start}"),
    }
}
