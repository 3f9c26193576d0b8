//! A server whose websocket has the sizes, the reader, the writer and the end of a connection, and echoes each text.

use std::future::pending;
use std::net::SocketAddr;
use std::pin::pin;

use axum::Router as HttpRouter;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use skein_base::tasks::Tasks;
use tokio::net::TcpListener;

use super::super::*;
use super::BOUND;

/// A server on this machine.
pub(super) struct EchoServer {
    pub(super) address: SocketAddr,
    tasks: Tasks,
    stop: CancellationToken,
}

impl EchoServer {
    /// Serves on this port, or on any for 0.
    pub(super) async fn start(port: u16) -> Self {
        let (tasks, stop) = (Tasks::new(), CancellationToken::new());
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = HttpRouter::new().route("/", get(echo)).with_state(tasks.clone());
        // As the doors do.
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        let server = axum::serve(listener, routes)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        tasks.spawn("echo-server", server);
        Self { address, tasks, stop }
    }

    /// Stops it, and waits for its connections, which all have ended.
    pub(super) async fn finish(self) {
        self.stop.cancel();
        let finished = tokio::time::timeout(BOUND, self.tasks.finish()).await;
        assert!(finished.is_ok(), "{} tasks of the echo server are left", self.tasks.count());
        assert_eq!(self.tasks.panics(), 0);
    }
}

async fn echo(State(tasks): State<Tasks>, upgrade: WebSocketUpgrade) -> Response {
    sized(upgrade, &Limits::default()).on_upgrade(move |socket| async move {
        tasks.spawn("echo", serve(socket)).await.ok();
    })
}

async fn serve(socket: WebSocket) {
    let outbox = Outbox::new(ConnectionId(1), OutboxLimits::of(&Limits::default()));
    exchange(Box::new(socket), &outbox, |text| outbox.push(text.into()), pin!(pending()), ()).await;
}
