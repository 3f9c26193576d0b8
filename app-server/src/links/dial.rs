//! Dials another server.

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use skein_postgres::node::LinkPlace;
use skein_postgres::standing::Neighbour;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as TransportError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Links;
use super::frames::{HelloEnd, LinkHello};
use crate::policy;

/// A link to another server.
pub(super) type PeerSocket = WebSocketStream<TlsStream<TcpStream>>;

/// Why there is no link to a server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// It takes none.
    #[error("it is of a version without links")]
    Unknown,
    /// Nobody answers there, or somebody else.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// TLS cannot be spoken.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// No websocket is spoken.
    #[error("{0}")]
    Websocket(#[from] Box<TransportError>),
    /// It does not answer in time.
    #[error("no answer within {} s", policy::LINK_OPEN.as_secs())]
    Late,
    /// It ends the link at once.
    #[error("it has ended the link")]
    Ended,
}

impl From<TransportError> for LinkError {
    fn from(error: TransportError) -> Self {
        Self::Websocket(Box::new(error))
    }
}

/// Opens a link, and returns it with the first message of the other server.
pub(super) async fn dial(
    links: &Links,
    to: &Neighbour,
    hello: HelloEnd,
) -> Result<(PeerSocket, String), LinkError> {
    let place = to.link.as_ref().ok_or(LinkError::Unknown)?;
    timeout(policy::LINK_OPEN, open(links, place, hello)).await.unwrap_or(Err(LinkError::Late))
}

async fn open(links: &Links, place: &LinkPlace, hello: HelloEnd) -> Result<(PeerSocket, String), LinkError> {
    let stream = TcpStream::connect(&place.address).await?;
    stream.set_nodelay(true)?;
    let connector = TlsConnector::from(links.key.dialing(place.key)?);
    // The key is the name.
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    let stream = connector.connect(name, stream).await?;
    let limits = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let limits = limits.read_buffer_size(policy::READ_BUFFER);
    let (mut socket, _) = client_async_with_config("wss://skein/", stream, Some(limits)).await?;
    let hello = LinkHello { node: links.place.node(), end: hello };
    let hello = serde_json::to_string(&hello).map_err(std::io::Error::from)?;
    socket.send(Message::text(hello)).await?;
    match first_text(&mut socket).await? {
        Some(text) => Ok((socket, text)),
        None => Err(LinkError::Ended),
    }
}

async fn first_text(socket: &mut PeerSocket) -> Result<Option<String>, TransportError> {
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) => return Ok(Some(text.as_str().to_owned())),
            Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            Message::Close(_) => return Ok(None),
        }
    }
    Ok(None)
}
