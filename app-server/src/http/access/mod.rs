//! Access control for every route: reads the head, gathers facts, decides, and answers requests that do not pass.

mod admit;
mod facts;
mod head;
mod headers;
mod limiter;
mod refusal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub(crate) use admit::Need;
pub(crate) use head::{RequestHead, SUBPROTOCOL};
pub(crate) use limiter::WrongCredentials;
pub(crate) use refusal::{AccessRefusal, RefusalReason};

use self::limiter::PeerKey;
use super::acceptor::{Peer, Visitor};
use super::routes::{self, WebState};
use crate::access::{Admission, Identity, WebOrigin};
use crate::app::App;
use crate::config::{LocalPrograms, ServerConfig};

/// Passes a request on with its admission, or refuses it.
pub(crate) async fn guard(
    State(web): State<Arc<WebState>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let seen_by_all = parts.uri.path() == routes::HEALTH;
    let head = match RequestHead::read(visitor.door(), &parts) {
        Ok(head) => head,
        Err(refusal) => {
            let listed = |origin: &WebOrigin| web.services.config().browser.allows(origin);
            let page = head::origin(&parts.headers).filter(listed);
            return headers::finish(refused(&web, &visitor, None, refusal), page.as_ref(), seen_by_all);
        }
    };
    if head.is_worker_script {
        return headers::finish(no_worker(), None, seen_by_all);
    }
    let page = allowed_page(&web, &head);
    let answer = match decide(&web, &visitor, &head, &parts).await {
        Ok(None) => headers::preflight(),
        Ok(Some(admission)) => {
            parts.extensions.insert(admission);
            parts.extensions.insert(head);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => refused(&web, &visitor, Some(&head), refusal),
    };
    headers::finish(answer, page.as_ref(), seen_by_all)
}

/// The admission; `None` for a preflight of an allowed page.
async fn decide(
    web: &Arc<WebState>,
    visitor: &Visitor,
    head: &RequestHead,
    parts: &Parts,
) -> Result<Option<Admission>, AccessRefusal> {
    let config = web.services.config();
    let rules = rules(&config);
    let need = routes::need(visitor.door(), parts);
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
            return Err(admit::admit(rules, (visitor.door(), Need::Open), head, nobody)
                .err()
                .unwrap_or(refusal));
        }
    };
    let facts = facts::gather(web, visitor, (rules, need), head).await;
    let admission = admit::admit(rules, (visitor.door(), need), head, facts)?;
    // Only now: a stolen credential that is refused must not live longer for it.
    if let Identity::Bearer(grant) = &admission.identity {
        web.services.credentials.record_use(grant.id);
    }
    Ok(Some(admission))
}

/// The rules of the settings. A token of `--ws-auth` is for every program, as with the peer.
fn rules(config: &ServerConfig) -> admit::AccessRules<'_> {
    let local = if config.capability.is_some() { LocalPrograms::Token } else { config.auth.local };
    admit::AccessRules { local, browser: &config.browser }
}

/// The origin of the page that sends the request, if the settings allow it.
fn allowed_page(web: &WebState, head: &RequestHead) -> Option<WebOrigin> {
    let config = web.services.config();
    let rules = rules(&config);
    head.sender.page().filter(|origin| admit::is_allowed(rules, head, origin)).cloned()
}

/// The answer to a refused request, after log and counters.
pub(super) fn refused(
    web: &WebState,
    visitor: &Visitor,
    head: Option<&RequestHead>,
    refusal: AccessRefusal,
) -> Response {
    let services = &web.services;
    count(services, head, &refusal);
    let peer = match visitor.peer() {
        Peer::Unix(peer) => PeerKey::User(peer.uid),
        Peer::Tcp { peer, .. } => PeerKey::Address(peer.ip()),
    };
    web.wrong_credentials.limit(peer, refusal, services.clock.now()).into_response()
}

/// Counts a refusal, and logs those that a person has to know of.
fn count(services: &App, head: Option<&RequestHead>, refusal: &AccessRefusal) {
    let refusals = &services.refusals;
    let reason = refusal.reason;
    if reason == RefusalReason::Origin {
        let origin = head.and_then(|head| head.sender.page());
        refusals.refuse_origin(origin, services.clock.wall());
        tracing::warn!("a page is refused: {}", refusal.message);
    } else if reason == RefusalReason::Helper {
        refusals.helpers.add_one();
        tracing::warn!("a helper is refused: {}", refusal.message);
    } else if reason.is_about_credentials() {
        refusals.credentials.add_one();
        tracing::debug!(reason = refusal.word(), "a request without a right credential is refused");
    }
}

/// Ends a service worker that another program left on this port: its origin is ours now.
fn no_worker() -> Response {
    let mut response = StatusCode::NOT_FOUND.into_response();
    response
        .headers_mut()
        .insert(HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"storage\""));
    response
}
