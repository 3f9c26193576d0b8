//! The port for the links of the other servers of a cluster. It speaks TLS with the key of this start, and only with the servers whose
//! rows live, so no request needs a credential.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Router as HttpRouter, middleware};
use skein_config::access::Door;
use skein_postgres::standing::NodePlace;
use skein_protocol::extension::NodeStanding;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::acceptor::{Accept, Peer, TcpPeer, Visitor, note_request};
use super::doors::{ListenError, bind};
use super::routes::WebState;
use super::tls::ClientStream;
use crate::links::frames::{HelloEnd, LinkHello};
use crate::links::key::LinkKey;
use crate::policy;

/// The open port.
pub(crate) struct LinkDoor {
    listener: TcpListener,
    settings: Arc<rustls::ServerConfig>,
}

impl LinkDoor {
    /// Opens it.
    ///
    /// # Errors
    /// The address is not available.
    pub(crate) fn open(at: SocketAddr, key: &LinkKey) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Links { at, source };
        let settings = key.accepting().map_err(|error| failed(io::Error::other(error)))?;
        Ok(Self { listener: bind(at, false).map_err(failed)?, settings })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not know: a bug.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Its routes.
    pub(crate) fn routes(web: &Arc<WebState>) -> IntoMakeServiceWithConnectInfo<HttpRouter, Visitor> {
        HttpRouter::new()
            .route("/", get(link))
            .layer(middleware::from_fn_with_state(web.services.tasks.clone(), note_request))
            .with_state(Arc::clone(web))
            .into_make_service_with_connect_info::<Visitor>()
    }
}

impl Accept for LinkDoor {
    type Stream = ClientStream;

    async fn accept(&mut self) -> io::Result<(ClientStream, Peer)> {
        let (stream, peer): (TcpStream, SocketAddr) = self.listener.accept().await?;
        let local = stream.local_addr()?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let stream = ClientStream::with_settings(stream, Arc::clone(&self.settings));
        let (door, certificate, name) = (Door::Remote, None, None);
        Ok((stream, Peer::Tcp(TcpPeer { local, peer, door, certificate, name })))
    }
}

async fn link(
    State(web): State<Arc<WebState>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let most = usize::MAX;
    let upgrade = upgrade.max_message_size(most).max_frame_size(most).read_buffer_size(policy::READ_BUFFER);
    upgrade.on_upgrade(move |socket| {
        let mut socket = Box::new(socket);
        async move {
            let services = Arc::clone(&web.services);
            let tasks = services.tasks.clone();
            let serving = tasks.spawn("link of another server", async move {
                let life = visitor.come_in();
                let Some(hello) = hello(&mut socket).await else { return };
                // A server that has lost its threads serves no request about them, and the one that takes them is not known yet.
                let is_lost = |place: &NodePlace| place.standing(services.clock.now()) == NodeStanding::Lost;
                if matches!(hello.end, HelloEnd::Client(_)) && services.cluster.as_ref().is_some_and(is_lost)
                {
                    return;
                }
                let router = Arc::clone(&web.router);
                web.connections.serve_link(services, router, socket, life, hello).await;
            });
            // The tracker has logged a panic and closed the socket.
            serving.await.ok();
        }
    })
}

/// The first message. `None` if none comes in time, or another one.
async fn hello(socket: &mut WebSocket) -> Option<LinkHello> {
    let first = timeout(policy::LINK_OPEN, socket.recv()).await.ok()??;
    match first.ok()? {
        Message::Text(text) => serde_json::from_str(&text)
            .inspect_err(|error| tracing::warn!(%error, "another server says hello in an unknown form"))
            .ok(),
        Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_) => None,
    }
}
