//! All URLs, each with its methods and its need.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router as HttpRouter, middleware};
use skein_config::access::{Admission, Door};
use skein_protocol::access::Access;
use skein_protocol::extension::NodeStanding;

use super::acceptor::{Visitor, note_request};
use super::access::{self, AccessRefusal, Need, RefusalLog, RefusalReason, SUBPROTOCOL, WrongCredentials};
use super::metrics::{self, Scrape};
use super::pairing::Pairings;
use super::places::{ConnectRates, Places};
use super::{auth, page};
use crate::app::App;
use crate::connection::{self, Connections};
use crate::router::Router;

/// The state of the routes.
pub(crate) struct WebState {
    pub(crate) services: Arc<App>,
    /// The handlers of the method table.
    pub(super) router: Arc<Router>,
    pub(super) connections: Connections,
    pub(super) wrong_credentials: WrongCredentials,
    pub(super) pairings: Pairings,
    places: Arc<Places>,
    pub(super) connect_rates: ConnectRates,
    pub(super) refusal_log: RefusalLog,
    /// Cleared when the server begins to stop.
    pub(crate) ready: AtomicBool,
}

impl WebState {
    /// The state of a server that is ready.
    pub(crate) fn new(services: Arc<App>, router: Router) -> Self {
        Self {
            services,
            router: Arc::new(router),
            connections: Connections::default(),
            wrong_credentials: WrongCredentials::default(),
            pairings: Pairings::default(),
            places: Arc::default(),
            connect_rates: ConnectRates::default(),
            refusal_log: RefusalLog::default(),
            ready: AtomicBool::new(true),
        }
    }
}

/// The websocket of clients of unix sockets that ask for a path, as the peer's terminal client does.
const RPC: &str = "/rpc";

/// The health check. A page that is not allowed sees that the server is there, whatever the answer.
pub(super) const HEALTH: &str = "/healthz";

/// A page's session.
const SESSION: &str = "/auth/session";
const SESSION_METHODS: &str = "GET, POST, DELETE";
/// Tickets for pages.
const TICKET: &str = "/auth/ticket";
/// Pairings of a phone: a ticket whose page waits for consent, and the consent.
const PAIR: &str = "/auth/pair";
const PAIRING: &str = "/auth/pair/";

/// The routes: the websocket, the page, health checks and metrics. All have the same access control.
pub(crate) fn routes(web: Arc<WebState>) -> IntoMakeServiceWithConnectInfo<HttpRouter, Visitor> {
    HttpRouter::new()
        .route("/", get(root))
        .route(RPC, get(root))
        .route("/assets/{*path}", get(page::asset))
        .route(HEALTH, get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .route(SESSION, get(auth::show).post(auth::redeem).delete(auth::end))
        .route(TICKET, post(auth::ticket))
        .route(PAIR, post(auth::pair))
        .route("/auth/pair/{id}", get(auth::paired).post(auth::decide_pairing))
        .layer(middleware::from_fn_with_state(Arc::clone(&web), access::guard))
        .layer(middleware::from_fn_with_state(web.services.tasks.clone(), note_request))
        .with_state(web)
        .into_make_service_with_connect_info::<Visitor>()
}

/// The need of a request.
///
/// # Errors
/// 404 for an unknown path, 405 for a method that the path does not have.
pub(crate) fn need(door: Door, parts: &Parts) -> Result<Need, AccessRefusal> {
    let (need, methods) = match parts.uri.path() {
        "/" if is_upgrade(&parts.headers) => (Need::Access(Access::Read), "GET"),
        "/" => (Need::Page, "GET, HEAD"),
        RPC if door == Door::Unix => (Need::Access(Access::Read), "GET"),
        HEALTH | "/readyz" => (Need::Open, "GET, HEAD"),
        path if page::is_asset(path) => (Need::Open, "GET, HEAD"),
        "/metrics" => (Need::Access(Access::Read), "GET, HEAD"),
        SESSION if parts.method == Method::POST => (Need::Ticket, SESSION_METHODS),
        SESSION => (Need::Bearer, SESSION_METHODS),
        TICKET => (Need::NoBrowser, "POST"),
        // Only a program with full access at a socket of the server's user asks a person.
        PAIR if door == Door::Unix => (Need::Access(Access::Admin), "POST"),
        path if path.starts_with(PAIRING) && door == Door::Unix => (Need::Access(Access::Admin), "GET, POST"),
        _ => return Err(RefusalReason::NotFound.refusal("there is nothing here; the websocket is at /")),
    };
    if methods.split(", ").any(|method| method == parts.method.as_str()) {
        return Ok(need);
    }
    Err(AccessRefusal::method(methods))
}

/// Whether a request asks for another protocol on this connection.
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

async fn ready(State(web): State<Arc<WebState>>) -> (StatusCode, &'static str) {
    if !web.ready.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    let standing = web.services.cluster.as_ref().map(|cluster| cluster.standing(web.services.clock.now()));
    match standing.unwrap_or_default() {
        NodeStanding::Sure => (StatusCode::OK, "ready\n"),
        NodeStanding::Doubtful => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
        NodeStanding::Lost => {
            (StatusCode::SERVICE_UNAVAILABLE, "other servers may have the threads of this one\n")
        }
    }
}

pub(super) async fn numbers(State(web): State<Arc<WebState>>, headers: HeaderMap) -> Response {
    match Scrape::of(&web.services).text() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::kind(&headers))], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The websocket for an upgrade, the page for a browser; else three lines for a person who has opened the address.
async fn root(
    State(web): State<Arc<WebState>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    Extension(admission): Extension<Admission>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !is_upgrade(&headers) {
        return if page::is_wanted(&headers) { page::document(&headers) } else { no_upgrade() };
    }
    let Ok(upgrade) = upgrade else {
        return RefusalReason::Upgrade.refusal("this is no websocket handshake of RFC 6455").into_response();
    };
    websocket(web, visitor, admission, upgrade)
}

fn no_upgrade() -> Response {
    let text = "Skein: a websocket app-server for threads with an agent.\nClients connect to this address with a \
                websocket; for the page in a browser, skein url prints the address.\nThe methods: METHODS.md, or the method rpc.discover.\n";
    let headers = [(header::UPGRADE, "websocket"), (header::CONNECTION, "close")];
    (StatusCode::UPGRADE_REQUIRED, headers, text).into_response()
}

fn websocket(
    web: Arc<WebState>,
    visitor: Visitor,
    admission: Admission,
    upgrade: WebSocketUpgrade,
) -> Response {
    let limits = web.services.config().limits;
    let place = match web.places.take(&admission, &limits) {
        Ok(place) => place,
        Err(refusal) => return refusal.into_response(),
    };
    let admission = Arc::new(admission);
    connection::sized(upgrade, &limits).protocols([SUBPROTOCOL]).on_upgrade(move |socket| {
        let socket = Box::new(socket);
        async move {
            let services = Arc::clone(&web.services);
            let tasks = services.tasks.clone();
            let serving = tasks.spawn("connection", async move {
                let _place = place;
                let router = Arc::clone(&web.router);
                let lane =
                    web.connections.serve(services, router, socket, visitor.come_in(), admission).await;
                // The lane has threads of a low priority, and the client need not wait for them. A panic in it was logged.
                let (_, ()) = tokio::join!(lane, visitor.linger());
            });
            // The tracker has logged a panic and closed the socket.
            serving.await.ok();
        }
    })
}
