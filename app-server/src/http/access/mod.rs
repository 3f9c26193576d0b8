//! Access control for every route: reads the head, gathers facts, decides, and answers requests that do not pass.

mod admit;
mod facts;
mod head;
mod headers;
mod limiter;
mod reader;
mod refusal;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(crate) use admit::Need;
pub(crate) use head::SUBPROTOCOL;
use head::{Entrance, RequestHead};
pub(crate) use limiter::{PeerKey, RefusalLog, WrongCredentials};
pub(crate) use reader::{ReaderRules, guard_reader};
pub(crate) use refusal::{AccessRefusal, RefusalReason};
use skein_config::access::{Admission, WebOrigin};
use skein_config::{LocalPrograms, PublicUrl, ServerConfig};

use self::facts::Gathered;
use super::acceptor::Visitor;
use super::routes::{self, WebState};

/// The sender of a request, as counts and logs of refusals know it.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    peer: PeerKey,
    /// The page, if one has sent its origin.
    page: Option<WebOrigin>,
}

impl Asker {
    /// The address of the client, where no kernel names its user.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.peer.address()
    }
}

/// Passes a request on with its admission, or refuses it.
pub(crate) async fn guard(
    State(web): State<Arc<WebState>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let seen_by_all = parts.uri.path() == routes::HEALTH;
    let config = web.services.config();
    let client = limiter::named_by_proxy(visitor.peer(), &parts.headers, &config.trusted_proxies);
    let peer = client.unwrap_or_else(|| PeerKey::of(visitor.peer(), None));
    let mut head = match read_head(&web, &config, &visitor, &parts) {
        Ok(head) => head,
        Err(refusal) => {
            let page = listed_page(&config, &visitor, &parts);
            let asker = Asker { peer, page: None };
            return headers::finish(refused(&web, &asker, refusal), page.as_ref(), seen_by_all);
        }
    };
    if head.is_worker_script {
        return headers::finish(no_worker(), None, seen_by_all);
    }
    let page = allowed_page(&web, &head);
    // The command that allows a page helps at a port only.
    let sent = head.sender.page().filter(|_| admit::takes_pages(head.door));
    let mut asker = Asker { peer, page: sent.cloned() };
    let decided = decide(&web, &visitor, &head, &parts, &mut asker).await;
    if let Some(client) = client {
        asker.peer = client;
    }
    // From here on nobody needs the secret.
    head.credential = None;
    head::remove_credential(&mut parts.headers);
    let answer = match decided {
        Ok(None) => headers::preflight(),
        Ok(Some(admission)) => {
            parts.extensions.insert(admission);
            parts.extensions.insert(asker);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refused(&web, &asker, refusal),
    };
    let answer = headers::finish(answer, page.as_ref(), seen_by_all);
    let is_secure = head.is_public && config.public_url.as_ref().is_some_and(PublicUrl::is_secure);
    if is_secure { headers::only_by_tls(answer) } else { answer }
}

/// Reads the head of a request; counts its connection at the first one.
fn read_head(
    web: &WebState,
    config: &ServerConfig,
    visitor: &Visitor,
    parts: &Parts,
) -> Result<RequestHead, AccessRefusal> {
    begins(web, visitor)?;
    RequestHead::read(entrance(config, visitor), parts)
}

fn entrance<'a>(config: &'a ServerConfig, visitor: &'a Visitor) -> Entrance<'a> {
    let (door, certificate) = (visitor.door(), visitor.peer().certificate());
    Entrance { door, certificate, public_url: config.public_url.as_ref(), name: visitor.peer().name() }
}

/// Counts a connection at its first request.
fn begins(web: &WebState, visitor: &Visitor) -> Result<(), AccessRefusal> {
    let services = &web.services;
    let counts = || web.connect_rates.begin(visitor.peer(), &services.config().limits, services.clock.now());
    if visitor.ask() { counts() } else { Ok(()) }
}

/// The page of a head that nobody may send, if the settings list it: it may read the refusal.
fn listed_page(config: &ServerConfig, visitor: &Visitor, parts: &Parts) -> Option<WebOrigin> {
    let listed = |origin: &WebOrigin| admit::takes_pages(visitor.door()) && config.browser.allows(origin);
    head::origin(&parts.headers).filter(listed)
}

/// The admission; `None` for a preflight of an allowed page.
async fn decide(
    web: &Arc<WebState>,
    visitor: &Visitor,
    head: &RequestHead,
    parts: &Parts,
    asker: &mut Asker,
) -> Result<Option<Admission>, AccessRefusal> {
    let config = web.services.config();
    let rules = rules(&config);
    let need = routes::need(head.door, parts);
    if let Err(refusal) = &need
        && headers::is_preflight(parts)
        && refusal.reason == RefusalReason::Method
        && allowed_page(web, head).is_some()
    {
        return Ok(None);
    }
    let need = match need {
        Ok(need) => need,
        // An unknown route says nothing to a foreign page either.
        Err(refusal) => {
            let nobody = facts::nobody();
            return Err(admit::admit(rules, Need::Open, head, nobody).err().unwrap_or(refusal));
        }
    };
    let Gathered { facts, uid } = facts::gather(web, visitor, (rules, need), head).await;
    asker.peer = PeerKey::of(visitor.peer(), uid);
    let admission = admit::admit(rules, need, head, facts)?;
    // Only now: a stolen credential that is refused must not live longer for it.
    if let Some(id) = admission.credential() {
        web.services.credentials.record_use(id);
    }
    Ok(Some(admission))
}

/// The rules of the settings. `--ws-auth` is for every program, as with the peer.
fn rules(config: &ServerConfig) -> admit::AccessRules<'_> {
    let local = if config.ws_auth.is_some() { LocalPrograms::Token } else { config.auth.local };
    admit::AccessRules { local, browser: &config.browser }
}

/// The origin of the page that sends the request, if the settings allow it and pages may use this door.
fn allowed_page(web: &WebState, head: &RequestHead) -> Option<WebOrigin> {
    let config = web.services.config();
    let rules = rules(&config);
    head.sender.page().filter(|origin| admit::is_allowed(rules, head, origin)).cloned()
}

/// The answer to a refused request, after log and counters.
pub(super) fn refused(web: &WebState, asker: &Asker, refusal: AccessRefusal) -> Response {
    count(web, asker, &refusal);
    web.wrong_credentials.limit(asker.peer, refusal, web.services.clock.now()).into_response()
}

/// The bytes of a refusal, for a socket whose request no route sees.
pub(super) fn bytes(refusal: AccessRefusal) -> Vec<u8> {
    let body = refusal.body();
    let answer = headers::finish(refusal.into_response(), None, false);
    let mut bytes = format!("HTTP/1.1 {}\r\n", answer.status()).into_bytes();
    for (name, value) in answer.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    bytes
}

/// Counts a refusal, and logs those that a person has to know of.
fn count(web: &WebState, asker: &Asker, refusal: &AccessRefusal) {
    let services = &web.services;
    let refusals = &services.refusals;
    let reason = refusal.reason;
    let is_news = || web.refusal_log.is_news(asker.peer, &refusal.message, services.clock.now());
    if reason == RefusalReason::Origin {
        refusals.refuse_origin(asker.page.as_ref(), services.clock.wall());
        if is_news() {
            tracing::warn!("a page is refused: {}", refusal.message);
        }
    } else if reason == RefusalReason::Helper {
        refusals.helpers.add_one();
        if is_news() {
            tracing::warn!("a helper is refused: {}", refusal.message);
        }
    } else if reason.is_about_credentials() {
        refusals.credentials.add_one();
        tracing::debug!(reason = refusal.word(), "a request without a right credential is refused");
    }
}

/// Ends a service worker that another program left on this port: its origin is ours now.
fn no_worker() -> Response {
    let mut response = RefusalReason::NotFound.refusal("no service worker has this address").into_response();
    response
        .headers_mut()
        .insert(HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"storage\""));
    response
}
