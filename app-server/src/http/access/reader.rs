//! Access to the port for readers of the metrics. It knows no users and no pages: a reader sends the token of the settings, if
//! they have one.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use skein_config::ServerConfig;
use skein_config::access::Digest;

use super::super::acceptor::Visitor;
use super::super::routes::WebState;
use super::head::{self, Entrance, RequestHead, Sender};
use super::refusal::{AccessRefusal, RefusalReason};
use super::{Asker, PeerKey, begins, entrance, headers, refused};

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
    let head = begins(&rules.web, &visitor).and_then(|()| rules.head(&config, &visitor, &parts));
    let answer = match head.and_then(|head| judge(rules.token, &head)) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => {
            let asker = Asker { peer: PeerKey::of(visitor.peer(), None), page: None };
            refused(&rules.web, &asker, refusal)
        }
    };
    headers::finish(answer, None, false)
}

impl ReaderRules {
    /// The head of a request. With a token every name of the port is served: a page of a name that somebody led here has no token.
    fn head(
        &self,
        config: &ServerConfig,
        visitor: &Visitor,
        parts: &Parts,
    ) -> Result<RequestHead, AccessRefusal> {
        let asked = self.token.and_then(|_| head::name_of(&parts.headers));
        let entrance = entrance(config, visitor);
        RequestHead::read(Entrance { name: asked.as_deref().or(entrance.name), ..entrance }, parts)
    }
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
