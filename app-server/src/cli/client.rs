//! A connection to a running server, for one person at one terminal.

use std::path::Path;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::value::RawValue;
use skein_app_server::home::Home;
use skein_app_server::policy::CLIENT_HANDSHAKE;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::error::WireError;
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{Initialize, Initialized};
use skein_protocol::server::{ClientInfo, InitializeParams, InitializedParams};
use skein_protocol::table::Method;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::{Where, home};

/// An open and initialised connection.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: i64,
}

/// What came instead of a result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server's refusal.
    #[error("{0}")]
    Refused(WireError),
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] anyhow::Error),
}

impl Client {
    /// Connects to the server that `target` means and shakes hands.
    pub async fn open(target: &Where) -> anyhow::Result<Self> {
        let (url, hint) = match &target.url {
            Some(url) => (url.clone(), String::new()),
            None => find(&home(target.home.as_ref())?)?,
        };
        let opened = tokio::time::timeout(CLIENT_HANDSHAKE, Self::connect(&url));
        let opened =
            opened.await.unwrap_or_else(|_| bail!("no handshake within {} s", CLIENT_HANDSHAKE.as_secs()));
        opened.with_context(|| format!("no server answers at {url}{hint}"))
    }

    async fn connect(url: &str) -> anyhow::Result<Self> {
        // Answers may be as large as the server's own limit lets them be.
        let unlimited = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let (socket, _response) = connect_async_with_config(url, Some(unlimited), true).await?;
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

    /// Calls `method` and waits for its answer, however long that takes. Everything else that arrives meanwhile is
    /// shown to `other`.
    pub async fn call(
        &mut self,
        method: &str,
        params: Option<&RawValue>,
        mut other: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> Result<Box<RawValue>, CallError> {
        self.last_id += 1;
        let mine = RequestId::Integer(self.last_id);
        let request = serde_json::json!({"id": self.last_id, "method": method, "params": params});
        self.send(request.to_string()).await?;
        loop {
            let Some(text) = self.next().await? else {
                let reason = "the server closed the connection before it answered";
                return Err(CallError::Broken(anyhow::anyhow!(reason)));
            };
            match envelope::parse(&text) {
                Ok(Incoming::Response { id, result }) if id == mine => return Ok(result.to_owned()),
                Ok(Incoming::Error { id, error }) if id == mine => return Err(CallError::Refused(error)),
                Ok(_) => other(&text)?,
                Err(bad) => return Err(CallError::Broken(bad.error.into())),
            }
        }
    }

    /// The next message of the server; none when the server has closed the connection.
    pub async fn next(&mut self) -> anyhow::Result<Option<String>> {
        while let Some(message) = self.socket.next().await {
            match message.context("the connection broke")? {
                Message::Text(text) => return Ok(Some(text.to_string())),
                Message::Close(_) => return Ok(None),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(None)
    }

    /// Says goodbye, so that the server need not find out.
    pub async fn close(mut self) {
        // The server may have closed first; there is nobody left to tell.
        let _ = self.socket.close(None).await;
    }

    async fn send(&mut self, text: String) -> anyhow::Result<()> {
        self.socket.send(Message::text(text)).await.context("the connection broke")
    }
}

/// The address of the server on `home`, and what to say when nobody answers there.
fn find(home: &Path) -> anyhow::Result<(String, String)> {
    let start = format!("start one with: skein serve --home {}", home.display());
    let serving = Home::read_server_json(home)?;
    let Some(serving) = serving else {
        bail!("no server is running on {}; {start}", home.display());
    };
    let Some(url) = serving.addresses.into_iter().find(|address| address.starts_with("ws://")) else {
        bail!("the server on {} (process {}) has no websocket address", home.display(), serving.pid);
    };
    Ok((url, format!(", where process {} served {}; {start}", serving.pid, home.display())))
}
