//! All URLs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router as HttpRouter, middleware};

use super::metrics::{self, Scrape};
use super::{Visitor, access};
use crate::access::{Admission, Door};
use crate::app::App;
use crate::connection::Connections;
use crate::policy;
use crate::router::Router;

/// The state of the routes.
pub(crate) struct WebState {
    pub(crate) services: Arc<App>,
    /// The handlers of the method table.
    pub(crate) router: Arc<Router>,
    pub(crate) connections: Connections,
    /// Cleared when the server begins to stop.
    pub(crate) ready: AtomicBool,
}

/// The routes: the websocket at `/`, health checks and metrics. All have the same access control.
pub(crate) fn routes(web: Arc<WebState>) -> IntoMakeServiceWithConnectInfo<HttpRouter, Visitor> {
    HttpRouter::new()
        .route("/", get(websocket))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .layer(middleware::from_fn(access::only_local))
        .with_state(web)
        .into_make_service_with_connect_info::<Visitor>()
}

async fn ready(State(web): State<Arc<WebState>>) -> (StatusCode, &'static str) {
    if web.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}

async fn numbers(State(web): State<Arc<WebState>>, headers: HeaderMap) -> Response {
    match Scrape::of(&web.services).text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::kind(&headers))], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn websocket(
    State(web): State<Arc<WebState>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let most = web.services.config().limits.message_bytes;
    let upgrade = upgrade.max_message_size(most).max_frame_size(most).read_buffer_size(policy::READ_BUFFER);
    upgrade.on_upgrade(move |socket| async move {
        let services = Arc::clone(&web.services);
        let tasks = services.tasks.clone();
        let serving = tasks.spawn("connection", async move {
            let router = Arc::clone(&web.router);
            let admission = Admission::local(Door::Loopback);
            web.connections.serve(services, router, socket, visitor.come_in(), admission).await;
        });
        // The tracker has logged a panic and closed the socket.
        serving.await.ok();
    })
}
