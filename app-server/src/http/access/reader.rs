//! Access to the port for readers of the metrics. It knows no users and no pages: a reader sends the token of the settings, if
//! they have one.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use skein_config::access::Digest;

use super::super::acceptor::Visitor;
use super::super::routes::WebState;
use super::head::{RequestHead, Sender};
use super::refusal::{AccessRefusal, RefusalReason};
use super::{Asker, PeerKey, headers, read_head, refused};

/// The rules of that port.
pub(crate) struct ReaderRules {
    pub(crate) web: Arc<WebState>,
    pub(crate) token: Option<Digest>,
}

/// Passes a request of a reader on, or refuses it.
pub(crate) async fn guard_reader(
    State(rules): State<Arc<ReaderRules>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let config = rules.web.services.config();
    let head = read_head(&rules.web, &config, &visitor, &parts);
    let answer = match head.and_then(|head| judge(rules.token, &head)) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => {
            let asker = Asker { peer: PeerKey::of(visitor.peer(), None), page: None };
            refused(&rules.web, &asker, refusal)
        }
    };
    headers::finish(answer, None, false)
}

fn judge(token: Option<Digest>, head: &RequestHead) -> Result<(), AccessRefusal> {
    match &head.sender {
        Sender::Page(origin) => return Err(AccessRefusal::origin(Some(origin))),
        Sender::MalformedPage => return Err(AccessRefusal::origin(None)),
        Sender::Program | Sender::Browser => {}
    }
    let Some(token) = token else { return Ok(()) };
    match &head.credential {
        Some(sent) if Digest::of(sent.expose()) == token => Ok(()),
        Some(_) => Err(RefusalReason::Unknown.refusal("this is not the token in metrics.token_file")),
        None => {
            Err(RefusalReason::Missing
                .refusal("send the token in metrics.token_file (Authorization: Bearer)"))
        }
    }
}
