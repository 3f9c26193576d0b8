//! Requests to a helper over HTTP: its headers, what they may cost, and what went wrong with them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use skein_base::masks::{Hidden, shown_url};
use skein_base::tasks::Tasks;
use skein_base::web::{self, ClientOptions};
use sse_stream::Sse;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::process::shutdown::Shutdown;

use crate::mcp::Line;
use crate::mcp::http::Error;
use crate::mcp::http::events::{events, whole};
use crate::mcp::http::fault::Fault;
use crate::mcp::http::listening::{Events, NoStream, listening};
use crate::mcp::http::refusal::{HttpRefusal, SessionRefusal};
use crate::mcp::http::secrets::{credentials, headers, secrets};
use crate::mcp::http::token::{Token, TokenFile};
use crate::mcp::http::trouble::Trouble;
use crate::policy;
use crate::spec::HttpSpec;

const SESSION: &str = "mcp-session-id";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
/// Requests of one helper, for rmcp.
#[derive(Debug, Clone)]
pub(crate) struct Web(Arc<WebSession>);

#[derive(Debug)]
struct WebSession {
    client: Client,
    origin: String,
    headers: HeaderMap,
    /// A token that may be another one at each request.
    token: Option<TokenFile>,
    credentials: String,
    hidden: Hidden,
    shutdown: Shutdown,
    trouble: Trouble,
    /// Hears of every byte that comes.
    line: Line,
    /// Streams that were asked for again since the last event.
    again: AtomicU32,
    /// Each stream that listens has one more of it.
    listening: Arc<()>,
    /// A session that the helper has forgotten, while the next request is still to begin another one.
    lost: Mutex<Option<Arc<str>>>,
    _done: DropGuard,
}

impl Web {
    /// The requests of `spec`. An order to stop ends them, but for the one that ends the session; the end is done with the last
    /// of them. `line` hears whatever comes.
    ///
    /// # Errors
    /// The mistake in the settings, for the user.
    pub(crate) fn new(spec: &HttpSpec, tasks: Tasks, shutdown: Shutdown, line: Line) -> Result<Self, String> {
        let headers = headers(spec)?;
        let hidden = Hidden::new(secrets(spec, &headers));
        Ok(Self(Arc::new(WebSession {
            client: client(spec)?,
            origin: spec.origin(),
            headers,
            token: spec.bearer_token_file.clone().map(|path| TokenFile::new(path, tasks)),
            credentials: credentials(spec),
            hidden,
            _done: shutdown.done_on_drop(),
            shutdown,
            trouble: Trouble::of(spec),
            line,
            again: AtomicU32::new(0),
            listening: Arc::default(),
            lost: Mutex::default(),
        })))
    }

    /// Whether these settings can be used at all.
    ///
    /// # Errors
    /// The mistake in the settings, for the user.
    pub(crate) fn check(spec: &HttpSpec) -> Result<(), String> {
        headers(spec)?;
        client(spec).map(drop)
    }

    /// The last failure.
    pub(crate) fn trouble(&self) -> Trouble {
        self.0.trouble.clone()
    }

    /// Cancelled when nothing more is to be asked.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.0.shutdown.stop_token()
    }

    /// Notes what went wrong, as rmcp wants to have it.
    fn wrong(&self, fault: Fault) -> Error {
        self.0.trouble.note(Some(fault.clone()));
        StreamableHttpError::Client(fault)
    }

    /// Sends a request, and takes the head of its answer. One that is refused for a token that was renewed is sent once more: the
    /// helper has refused it unread.
    async fn send(
        &self,
        request: RequestBuilder,
        session: Option<&str>,
        own: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Response, Fault> {
        let Some(file) = &self.0.token else { return self.send_as(None, request, session, own).await };
        let token = self.unless_stopped(file.token()).await?.map_err(|why| Fault::NoToken { why })?;
        let again = request.try_clone();
        let sent = self.send_as(Some(&token), request, session, own.clone()).await;
        let (Some(again), Err(Fault::NotAllowed { status: 401, .. })) = (again, &sent) else { return sent };
        match self.unless_stopped(file.renewed(&token)).await? {
            Some(renewed) => self.send_as(Some(&renewed), again, session, own).await,
            None => sent,
        }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Fault> {
        tokio::select! {
            biased;
            () = self.0.shutdown.stopping() => Err(Fault::Stopped),
            done = work => Ok(done),
        }
    }

    async fn send_as(
        &self,
        token: Option<&Token>,
        request: RequestBuilder,
        session: Option<&str>,
        own: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Response, Fault> {
        let mut headers = self.0.headers.clone();
        headers.extend(token.map(|token| (Some(AUTHORIZATION), token.header.clone())));
        headers.extend(own.into_iter().map(|(name, value)| (Some(name), value)));
        if let Some(session) = session.and_then(|session| HeaderValue::from_str(session).ok()) {
            headers.insert(SESSION, session);
        }
        let sent = self.unless_stopped(request.headers(headers).send()).await?;
        let response = sent.map_err(|error| Fault::of(&error, &self.0.origin))?;
        self.0.line.note_activity();
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            return Err(Fault::Moved { to: shown_url(to) });
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let credentials = self.0.credentials.clone();
            return Err(Fault::NotAllowed { status: status.as_u16(), credentials });
        }
        Ok(response)
    }

    /// A body whole.
    async fn body(&self, response: Response, limit: usize) -> Result<Vec<u8>, Fault> {
        tokio::select! {
            biased;
            () = self.0.shutdown.stopping() => Err(Fault::Stopped),
            body = whole(response, limit, &self.0.origin, &self.0.line) => body,
        }
    }

    /// An answer that is no success: an error of MCP for the request, or one of HTTP. `session` is that of the request.
    async fn refused(
        &self,
        message: &ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        response: Response,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let (status, is_json) = (response.status(), is(&response, JSON));
        let body = self.body(response, policy::HELPER_HTTP_ERROR_BYTES).await.unwrap_or_default();
        let error = match serde_json::from_slice::<ServerJsonRpcMessage>(&body) {
            Ok(JsonRpcMessage::Error(error)) if is_json => Some(error),
            Ok(_) | Err(_) => None,
        };
        let refusal = HttpRefusal { status, error: error.as_ref(), body: &body };
        match session.and_then(|session| Some((refusal.about_session(message)?, session))) {
            Some((SessionRefusal::LostUnread, _)) => return Err(StreamableHttpError::SessionExpired),
            Some((SessionRefusal::Lost, session)) => self.0.note_lost(session),
            None => {}
        }
        if let (Some(error), JsonRpcMessage::Request(request)) = (error, message) {
            // A server that refuses a request unread cannot name it.
            let error = ServerJsonRpcMessage::error(error.error, Some(request.id.clone()));
            return Ok(StreamableHttpPostResponse::Json(error, None));
        }
        Err(self.wrong(Fault::Status { status: status.as_u16(), body: self.shown(&body) }))
    }

    /// The beginning of a body that is meant for people, with a colon before it; nothing of a page.
    fn shown(&self, body: &[u8]) -> String {
        let text = self.0.shown(&String::from_utf8_lossy(body));
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.chars().next() {
            None | Some('<') => String::new(),
            Some(_) => format!(": {}", line.chars().take(policy::HELPER_GARBAGE_SHOWN).collect::<String>()),
        }
    }

    async fn post(
        &self,
        uri: &str,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        own: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Error> {
        if session.as_ref().is_some_and(|session| self.0.take_lost(session)) {
            return Err(StreamableHttpError::SessionExpired);
        }
        let body = serde_json::to_vec(&message)?;
        let request = self.0.client.post(uri).body(body);
        let request = request.header(CONTENT_TYPE, JSON).header(ACCEPT, format!("{JSON}, {EVENTS}"));
        let response =
            self.send(request, session.as_deref(), own).await.map_err(|fault| self.wrong(fault))?;
        let awaited = matches!(message, JsonRpcMessage::Request(_));
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT => {
                // An answer may come on the stream that listens, and nowhere else.
                if awaited && Arc::strong_count(&self.0.listening) == 1 {
                    let what = format!("it answered HTTP {} without a result", response.status().as_u16());
                    return Err(self.wrong(Fault::NotMcp { what }));
                }
                return Ok(StreamableHttpPostResponse::Accepted);
            }
            status if !status.is_success() => return self.refused(&message, session, response).await,
            _ if !awaited => return Ok(StreamableHttpPostResponse::Accepted),
            _ => {}
        }
        let begun = response.headers().get(SESSION).and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
        if is(&response, EVENTS) {
            // An earlier failure is not the reason for the end of this stream.
            self.0.trouble.note(None);
            return Ok(StreamableHttpPostResponse::Sse(self.events(response), begun));
        }
        let answer = self.answer(response).await.map_err(|fault| self.wrong(fault))?;
        Ok(StreamableHttpPostResponse::Json(answer, begun))
    }

    /// An answer that is one message.
    async fn answer(&self, response: Response) -> Result<ServerJsonRpcMessage, Fault> {
        if !is(&response, JSON) {
            let kind =
                response.headers().get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
            let kind = kind.as_deref().unwrap_or("nothing that it names").to_owned();
            return Err(Fault::NotMcp { what: format!("it answered with {kind}") });
        }
        let body = self.body(response, policy::HELPER_LONGEST_LINE).await?;
        serde_json::from_slice(&body)
            .map_err(|_| Fault::NotMcp { what: format!("it answered with other JSON{}", self.shown(&body)) })
    }

    fn events(&self, response: Response) -> BoxStream<'static, Result<Sse, SseError>> {
        let (trouble, shared) = (self.0.trouble.clone(), Arc::downgrade(&self.0));
        let noted = move |wrong: Option<String>| match (wrong, shared.upgrade()) {
            (Some(why), Some(shared)) => {
                let why = shared.shown(&why);
                trouble.note(Some(Fault::Broke { origin: shared.origin.clone(), why }));
            }
            (None, Some(shared)) => shared.again.store(0, Ordering::Relaxed),
            (_, None) => {}
        };
        let line = self.0.line.clone();
        let bytes = response.bytes_stream().inspect(move |chunk| {
            if chunk.is_ok() {
                line.note_activity();
            }
        });
        events(bytes, noted)
    }

    /// Waits before the stream of a call is asked for again, the longer the more often that was in vain.
    async fn pace(&self) {
        let again = self.0.again.fetch_add(1, Ordering::Relaxed);
        let pause = policy::HELPER_HTTP_RETRY_FIRST.saturating_mul(2_u32.saturating_pow(again));
        tokio::time::sleep(pause.min(policy::HELPER_HTTP_RETRY_MOST)).await;
    }
}

impl StreamableHttpClient for Web {
    type Error = Fault;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _no_token: Option<String>,
        own: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Error> {
        self.post(&uri, message, session, own).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        _no_token: Option<String>,
        own: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Error> {
        let mut headers = self.0.headers.clone();
        if let Some(file) = &self.0.token {
            // Known by now; without it the helper forgets the session by itself.
            let token = file.token().await.ok();
            headers.extend(token.map(|token| (Some(AUTHORIZATION), token.header)));
        }
        headers.extend(own.into_iter().map(|(name, value)| (Some(name), value)));
        let request = self.0.client.delete(&*uri).headers(headers).header(SESSION, &*session);
        // Not ended by `stop`: it is a part of the end. Any answer will do.
        let asked = request.timeout(policy::HELPER_HTTP_GOODBYE).send().await;
        asked.map(drop).map_err(|error| StreamableHttpError::Client(Fault::of(&error, &self.0.origin)))
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _no_token: Option<String>,
        own: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Error> {
        if last_event.is_some() {
            // The stream of a call goes on.
            self.pace().await;
            return self.get(&uri, session.as_deref(), last_event, own).await;
        }
        let first = match self.get(&uri, session.as_deref(), None, own.clone()).await {
            Ok(events) => Some(events),
            Err(StreamableHttpError::Client(fault)) if fault.is_nobody_there() => None,
            Err(error) => return Err(error),
        };
        let web = self.clone();
        Ok(listening(first, move |last| {
            let (web, uri, session, own) = (web.clone(), Arc::clone(&uri), session.clone(), own.clone());
            async move {
                let events = web.get(&uri, session.as_deref(), last, own).await;
                events.map_err(|error| web.no_stream(&error, session))
            }
        }))
    }
}

impl Web {
    /// Asks for a stream of events.
    async fn get(
        &self,
        uri: &str,
        session: Option<&str>,
        last_event: Option<String>,
        own: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Events, Error> {
        let mut request = self.0.client.get(uri).header(ACCEPT, EVENTS);
        if let Some(last) = last_event {
            request = request.header("last-event-id", last);
        }
        let response = self.send(request, session, own).await.map_err(StreamableHttpError::Client)?;
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
            status if !status.is_success() => Err(StreamableHttpError::Client(Fault::Status {
                status: status.as_u16(),
                body: String::new(),
            })),
            _ if !is(&response, EVENTS) => Err(StreamableHttpError::ServerDoesNotSupportSse),
            _ => {
                let listens = Arc::clone(&self.0.listening);
                let events = self.events(response).map(move |event| {
                    let _listens = &listens;
                    event
                });
                Ok(events.boxed())
            }
        }
    }

    /// The consequence of a listening stream that cannot be resumed.
    fn no_stream(&self, error: &Error, session: Option<Arc<str>>) -> NoStream {
        match (error, session) {
            (StreamableHttpError::ServerDoesNotSupportSse, _)
            | (StreamableHttpError::Client(Fault::Stopped), _) => NoStream::Never,
            (StreamableHttpError::Client(Fault::Status { status: 404, .. }), Some(session)) => {
                self.0.note_lost(session);
                NoStream::Forgotten
            }
            _ => NoStream::Yet,
        }
    }
}

impl WebSession {
    /// A text of the helper without our secrets.
    fn shown(&self, text: &str) -> String {
        let text = self.hidden.text(text);
        self.token.as_ref().map_or_else(|| text.clone(), |file| file.hide(&text))
    }

    fn note_lost(&self, session: Arc<str>) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    /// Whether the session is to be begun anew; each loss is told once.
    fn take_lost(&self, session: &Arc<str>) -> bool {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.take_if(|lost| lost == session).is_some()
    }
}

fn is(response: &Response, kind: &str) -> bool {
    let body = response.headers().get(CONTENT_TYPE).and_then(|body| body.to_str().ok()).unwrap_or_default();
    body.get(..kind.len()).is_some_and(|body| body.eq_ignore_ascii_case(kind))
}

/// Of a helper, not of all: what one does to its connections is its own affair.
fn client(spec: &HttpSpec) -> Result<Client, String> {
    let (connect, redirects) = (policy::HELPER_HTTP_CONNECT, policy::HELPER_HTTP_REDIRECTS);
    web::client(&spec.url, ClientOptions { connect, redirects })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, header: Option<(&str, &str)>) -> Option<String> {
        let mut spec = HttpSpec { url: url.to_owned(), ..HttpSpec::default() };
        spec.http_headers.0.extend(header.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Web::new(&spec, Tasks::new(), Shutdown::new(&CancellationToken::new()), Line::new("/".into())).err()
    }

    #[test]
    fn settings_that_cannot_be_used_are_named_without_their_secrets() {
        assert_eq!(refusal("http://127.0.0.1/mcp?key=s3cret", Some(("X-Key", "s3cret"))), None);
        for (url, header, named) in [
            ("s3cret", None, "url"),
            ("ftp://me:s3cret@host/", None, "ftp:"),
            ("http://host/", Some(("Mcp-Session-Id", "s3cret")), "Mcp-Session-Id"),
            ("http://host/", Some(("X Key", "s3cret")), "X Key"),
            ("http://host/", Some(("X-Key", "s3cret\n")), "X-Key"),
        ] {
            let body = refusal(url, header).expect("a refusal");
            assert!(body.contains(named) && !body.contains("s3cret"), "{body}");
        }
    }

    #[test]
    fn what_a_server_says_back_has_no_secret_in_it() {
        let url = "http://me:pass-s3cret@127.0.0.1/mcp?key=query%2Ds3cret&v=1".to_owned();
        let mut spec = HttpSpec { url, ..HttpSpec::default() };
        spec.http_headers.0.insert("X-Key".to_owned(), "Token header-s3cret".to_owned());
        let shutdown = Shutdown::new(&CancellationToken::new());
        let web = Web::new(&spec, Tasks::new(), shutdown, Line::new("/".into())).expect("requests");
        let body = b"no header-s3cret, pass-s3cret, query-s3cret or query%2Ds3cret: v=1";
        assert_eq!(web.shown(body), ": no ***, ***, *** or ***: v=1");
    }

    #[tokio::test]
    async fn the_last_request_that_is_over_tells_so() {
        let shutdown = Shutdown::new(&CancellationToken::new());
        let spec = HttpSpec { url: "http://127.0.0.1/".to_owned(), ..HttpSpec::default() };
        let web = Web::new(&spec, Tasks::new(), shutdown.clone(), Line::new("/".into())).expect("requests");
        let other = web.clone();
        drop(web);
        assert!(!shutdown.is_done());
        drop(other);
        assert!(shutdown.is_done());
    }
}
