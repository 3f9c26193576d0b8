//! `/auth/session`, `/auth/ticket` and `/auth/pair`: how a page comes to its credential, learns about it, and ends it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, Extension, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use skein_base::clock::WallMs;
use skein_config::access::{
    Admission, CredentialKind, Door, Grant, Identity, NewSession, RedeemError, Redeemed, Secret, SentSecret,
    TooManyTickets, WebOrigin,
};
use skein_protocol::access::Access;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::acceptor::Visitor;
use super::access::{self, AccessRefusal, Asker, RefusalReason};
use super::pairing::{self, PairingDevice};
use super::routes::WebState;
use crate::policy;

/// The body of `POST /auth/session`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketBody {
    ticket: String,
    /// The secret of the page's wait for a pairing.
    #[serde(default)]
    claim: Option<String>,
}

/// The body of `POST /auth/ticket`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeBody {
    scope: Option<Access>,
    /// Whether the page is for other machines, so that no user of this one is asked for.
    #[serde(default)]
    public: bool,
}

/// The body of `POST /auth/pair/ID`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsentBody {
    accept: bool,
}

/// A session or token, as its bearer sees it. Times are Unix seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionAnswer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
    scope: Access,
    origin: Option<&'a str>,
    expires_at: Option<i64>,
}

/// A new ticket. The time is Unix seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TicketAnswer<'a> {
    ticket: &'a str,
    expires_at: i64,
}

/// The parts of a request that all of these routes use.
type AuthRequest = (State<Arc<WebState>>, ConnectInfo<Visitor>, Extension<Admission>, Extension<Asker>);

/// `POST /auth/session`: a page redeems its ticket.
pub(super) async fn redeem(
    (State(web), _, Extension(admission), Extension(asker)): AuthRequest,
    request: Request,
) -> Response {
    let (name, device) = (label(request.headers()), pairing::device(agent(request.headers())));
    let redeemed = async {
        let TicketBody { ticket, claim } = body(request).await?;
        let ticket = Zeroizing::new(ticket);
        // `admit` lets only pages pass.
        let origin = admission.origin.ok_or_else(|| AccessRefusal::origin(None))?;
        let device = PairingDevice { name: device, address: asker.address() };
        let now = web.services.clock.now();
        if let Some(claim) = web.pairings.meet(&ticket, claim.as_deref(), device, now)? {
            return Ok(Redeeming::Waits(claim));
        }
        let credentials = &web.services.credentials;
        let redeemed = credentials
            .redeem(&ticket, NewSession { origin, name, is_other_user: admission.is_other_user })
            .map_err(not_redeemed)?;
        let writing = Arc::clone(credentials);
        // In a task of its own: a page that goes away does not break a write off.
        web.services.tasks.spawn("credentials", async move { writing.write().await }).await.ok();
        Ok(Redeeming::Done(redeemed))
    };
    match redeemed.await {
        Ok(Redeeming::Done(redeemed)) => {
            answer(Some(&redeemed.secret), &redeemed.grant, Some(redeemed.expires_at))
        }
        Ok(Redeeming::Waits(claim)) => {
            (StatusCode::ACCEPTED, Json(json!({ "claim": claim.expose() }))).into_response()
        }
        Err(refusal) => access::refused(&web, &asker, refusal),
    }
}

/// The outcome of a page's ticket.
enum Redeeming {
    /// It is a session now.
    Done(Redeemed),
    /// A person at a terminal is asked; the page asks again with this secret.
    Waits(SentSecret),
}

/// `POST /auth/pair`: a local program makes a ticket whose page waits for the consent of a person at a terminal.
pub(super) async fn pair(
    (State(web), _, Extension(admission), _): AuthRequest,
    request: Request,
) -> Response {
    let made = async {
        let ScopeBody { scope, public: _ } = body(request).await?;
        let life = skein_config::policy::PAIRING_LIFE;
        let (ticket, expires_at) = make_ticket(&web, &admission, (scope, Door::Remote), life)?;
        let id = web.pairings.open(ticket.digest(), &web.services.clock);
        Ok((id, ticket, expires_at))
    };
    match made.await {
        Ok((id, ticket, expires_at)) => {
            Json(json!({ "id": id, "ticket": ticket.expose(), "expiresAt": expires_at.seconds() }))
                .into_response()
        }
        Err(refusal) => AccessRefusal::into_response(refusal),
    }
}

/// The id in the address of a pairing, which anybody may have written.
type PairingId = Result<Path<Uuid>, PathRejection>;

fn pairing(id: PairingId) -> Result<Uuid, AccessRefusal> {
    let malformed = |_| RefusalReason::NotFound.refusal("this is no id of a pairing: skein pair makes one");
    id.map(|Path(id)| id).map_err(malformed)
}

/// `GET /auth/pair/ID`: the page that waits, if one does.
pub(super) async fn paired((State(web), _, _, _): AuthRequest, id: PairingId) -> Response {
    match pairing(id) {
        Ok(id) => Json(web.pairings.look(id, web.services.clock.now())).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// `POST /auth/pair/ID`: the person's decision about the page that waits.
pub(super) async fn decide_pairing(
    (State(web), _, _, _): AuthRequest,
    id: PairingId,
    request: Request,
) -> Response {
    let asked = async { Ok((pairing(id)?, body(request).await?)) };
    let (id, ConsentBody { accept }) = match asked.await {
        Ok(asked) => asked,
        Err(refusal) => return AccessRefusal::into_response(refusal),
    };
    match web.pairings.decide(id, accept, web.services.clock.now()) {
        Some(ticket) => {
            if !accept {
                web.services.credentials.withdraw_ticket(&ticket);
            }
            StatusCode::NO_CONTENT.into_response()
        }
        None => RefusalReason::NotFound.refusal("no page waits for this pairing").into_response(),
    }
}

/// `GET /auth/session`: the credential of the request.
pub(super) async fn show((State(web), _, Extension(admission), _): AuthRequest) -> Response {
    match bearer(&admission) {
        Ok(grant) => answer(None, grant, web.services.credentials.expiry(grant.id)),
        Err(refusal) => refusal.into_response(),
    }
}

/// `DELETE /auth/session`: ends the session of the request. A token ends by `skein token revoke`.
pub(super) async fn end((State(web), _, Extension(admission), _): AuthRequest) -> Response {
    let grant = match bearer(&admission) {
        Ok(grant) => grant,
        Err(refusal) => return refusal.into_response(),
    };
    if grant.kind != CredentialKind::Session {
        let message = "a token is no session: skein token revoke NAME ends it";
        return RefusalReason::Forbidden.refusal(message).into_response();
    }
    let (credentials, id) = (Arc::clone(&web.services.credentials), grant.id.to_string());
    // In a task of its own, which a page that goes away does not break off.
    let revoke = async move { credentials.revoke(&id).await.map(drop).map_err(|error| error.to_string()) };
    let revoked = web.services.tasks.spawn("revoke", revoke).await;
    match revoked.unwrap_or_else(|_| Err("the server failed; its log has more".to_owned())) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => RefusalReason::Busy.refusal(error).into_response(),
    }
}

/// `POST /auth/ticket`: a local program or a bearer makes a ticket for a page.
pub(super) async fn ticket(
    (State(web), _, Extension(admission), _): AuthRequest,
    request: Request,
) -> Response {
    let made = async {
        let ScopeBody { scope, public } = body(request).await?;
        let door = if public { Door::Remote } else { admission.door };
        make_ticket(&web, &admission, (scope, door), skein_config::policy::TICKET_LIFE)
    };
    match made.await {
        Ok((secret, expires_at)) => {
            let expires_at = expires_at.seconds();
            Json(TicketAnswer { ticket: secret.expose(), expires_at }).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn make_ticket(
    web: &WebState,
    admission: &Admission,
    (scope, door): (Option<Access>, Door),
    life: Duration,
) -> Result<(Secret, WallMs), AccessRefusal> {
    let scope = scope.unwrap_or(admission.access.min(Access::Chat));
    if scope > admission.access {
        let text = format!("a ticket has at most the scope of its maker, which is {}", admission.access);
        return Err(RefusalReason::Forbidden.refusal(text));
    }
    let maker = bearer(admission).ok().map(|grant| grant.id);
    let made = web.services.credentials.create_ticket(scope, door, maker, life);
    made.map_err(|error: TooManyTickets| RefusalReason::Busy.refusal(error.to_string()))
}

fn answer(secret: Option<&Secret>, grant: &Grant, expires: Option<WallMs>) -> Response {
    let body = SessionAnswer {
        session: secret.map(Secret::expose),
        scope: grant.access,
        origin: grant.origin.as_ref().map(WebOrigin::as_str),
        expires_at: expires.map(WallMs::seconds),
    };
    Json(body).into_response()
}

/// The credential of the request.
fn bearer(admission: &Admission) -> Result<&Grant, AccessRefusal> {
    match &admission.identity {
        Identity::Bearer(grant) | Identity::Helper { grant: Some(grant), .. } => Ok(grant),
        Identity::LocalProgram | Identity::Helper { grant: None, .. } | Identity::Anonymous => {
            Err(RefusalReason::Missing.refusal("send the session as Authorization: Bearer"))
        }
    }
}

fn not_redeemed(error: RedeemError) -> AccessRefusal {
    let reason = match error {
        RedeemError::Unknown => RefusalReason::Unknown,
        RedeemError::Used => RefusalReason::Used,
        RedeemError::Expired => RefusalReason::Expired,
        RedeemError::OtherUser => RefusalReason::User,
        RedeemError::System(_) => RefusalReason::Busy,
    };
    reason.refusal(error.to_string())
}

/// The label of a session: the browser, as it names itself.
fn label(headers: &HeaderMap) -> String {
    agent(headers).chars().take(skein_config::policy::SHOWN_STRANGER).collect()
}

fn agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("a page")
}

/// The refusal of a body that does not arrive.
fn unread(error: &(dyn std::error::Error + 'static)) -> AccessRefusal {
    if error.is::<LengthLimitError>() {
        let text = format!("the body is above {} bytes", policy::AUTH_BODY_BYTES);
        return RefusalReason::TooLarge.refusal(text);
    }
    RefusalReason::Body.refusal("the body broke off, or did not come in time")
}

/// Reads a body of JSON.
async fn body<T: DeserializeOwned>(request: Request<Body>) -> Result<T, AccessRefusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(RefusalReason::MediaType.refusal("send Content-Type: application/json"));
    }
    let body = Limited::new(request.into_body(), policy::AUTH_BODY_BYTES).collect().await;
    let bytes = body.map_err(|error| unread(error.as_ref()))?.to_bytes();
    // A list would be read as the members in their order.
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    let read = is_object.then(|| serde_json::from_slice(&bytes).ok()).flatten();
    read.ok_or_else(|| RefusalReason::Body.refusal("the body is not the expected JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(body: Body) -> Request<Body> {
        Request::post("/auth/session").header(header::CONTENT_TYPE, "application/json").body(body).unwrap()
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_not_called_too_large() {
        let cut = std::io::Error::other("cut");
        let broken = Body::from_stream(futures_util::stream::iter([Err::<Vec<u8>, _>(cut)]));
        let large = Body::from("a".repeat(policy::AUTH_BODY_BYTES + 1));
        for (sent, reason) in [(broken, RefusalReason::Body), (large, RefusalReason::TooLarge)] {
            let refused = body::<serde_json::Value>(post(sent)).await.unwrap_err();
            assert_eq!(refused.reason, reason);
        }
    }
}
