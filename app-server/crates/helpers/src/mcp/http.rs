//! MCP over streamable HTTP: rmcp's worker over requests of ours, one worker for each of the two questions with which a
//! session begins, as a worker takes the first message that it is given for the revision that is spoken.
//!
//! Nobody dies here with a connection: a call whose request fails ends alone and says why, and the next one asks again. A
//! session that the server has forgotten is begun anew by the worker.

mod events;
mod fault;
mod listening;
mod refusal;
mod secrets;
mod token;
mod trouble;
mod web;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorCode, ErrorData, JsonRpcMessage, RequestId,
    ServerJsonRpcMessage, ServerNotification, ServerResult,
};
use rmcp::transport::Transport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransportConfig, StreamableHttpClientWorker, StreamableHttpError,
};
use rmcp::transport::worker::WorkerTransport;

use crate::mcp::Line;
use crate::mcp::open::UNASKED;
use crate::mcp::outstanding::{HelperRequests, SendWhen};
use crate::mcp::progress::Sinks;
use crate::mcp::stdio::message::PAGE_COMPLETED;
use crate::policy;

pub(crate) use fault::{Fault, request_error};
pub(crate) use trouble::Trouble;
pub(crate) use web::Web;

type Worker = WorkerTransport<StreamableHttpClientWorker<Web>>;
type Error = StreamableHttpError<Fault>;

/// Messages to and from a helper over HTTP, for rmcp.
pub(crate) struct HttpTransport {
    web: Web,
    url: Arc<str>,
    /// Asked `initialize`.
    first: Option<Worker>,
    /// Asked `server/discover`.
    second: Option<Worker>,
    /// How those questions got on their way: here and not with who asked, who waits for both answers.
    asking: FuturesUnordered<BoxFuture<'static, (RequestId, Result<(), Error>)>>,
    asked: [Option<RequestId>; 2],
    begun: bool,
    /// Open requests of the helper.
    incoming: HelperRequests,
    /// Refusals that are on their way to the helper.
    refusals: FuturesUnordered<BoxFuture<'static, Result<(), Error>>>,
    sinks: Sinks,
    line: Line,
}

/// The next incident.
enum Incident {
    Asked(RequestId, Result<(), Error>),
    /// From the worker that was asked the question of this number; `None`: it has ended.
    Received(usize, Option<Box<ServerJsonRpcMessage>>),
}

impl HttpTransport {
    /// Nothing is sent yet. `line` tells why it closed.
    pub(crate) fn new(web: Web, url: &str, line: Line) -> Self {
        Self {
            web,
            url: url.into(),
            first: None,
            second: None,
            asking: FuturesUnordered::new(),
            asked: [None, None],
            begun: false,
            incoming: HelperRequests::default(),
            refusals: FuturesUnordered::new(),
            sinks: Sinks::default(),
            line,
        }
    }

    /// A worker, which has the question as its first message.
    fn ask(&mut self, question: usize, id: RequestId, message: ClientJsonRpcMessage) {
        let mut config = StreamableHttpClientTransportConfig::with_uri(Arc::clone(&self.url));
        let mut retries = ExponentialBackoff::default();
        retries.max_times = Some(policy::HELPER_HTTP_RETRIES);
        retries.base_duration = policy::HELPER_HTTP_RETRY_FIRST;
        retries.max_delay = Some(policy::HELPER_HTTP_RETRY_MOST);
        config.retry_config = Arc::new(retries);
        config.max_concurrent_requests = policy::HELPER_HTTP_REQUESTS;
        config.custom_headers = HashMap::new();
        let worker = StreamableHttpClientWorker::new(self.web.clone(), config);
        let mut worker = Worker::spawn_with_ct(worker, self.web.stop());
        let sent = worker.send(message);
        self.asked[question] = Some(id.clone());
        self.asking.push(Box::pin(async move { (id, sent.await) }));
        *self.place(question) = Some(worker);
    }

    fn place(&mut self, question: usize) -> &mut Option<Worker> {
        if question == 0 { &mut self.first } else { &mut self.second }
    }

    /// A question that got no answer is answered with an error, so that the other one may be asked; what would go wrong
    /// with that one too closes the line.
    fn unanswered(&mut self, question: usize, wrong: &Error) -> Option<ServerJsonRpcMessage> {
        *self.place(question) = None;
        let words = fault::words(wrong);
        let other = matches!(wrong, StreamableHttpError::Client(fault) if fault.is_of_this_question());
        if !other {
            self.line.close(Some(words));
            return None;
        }
        let error = ErrorData::new(UNASKED, words, None);
        Some(ServerJsonRpcMessage::error(error, self.asked[question].clone()))
    }

    /// Handles a message of a worker.
    fn received(
        &mut self,
        question: usize,
        message: Option<ServerJsonRpcMessage>,
    ) -> Option<ServerJsonRpcMessage> {
        let Some(message) = message else {
            if self.begun {
                self.line.close(Some(self.web.trouble().why()));
                return None;
            }
            // It took the request and could not read the answer.
            let what = self.web.trouble().why();
            return self.unanswered(question, &StreamableHttpError::Client(Fault::NotMcp { what }));
        };
        if let JsonRpcMessage::Response(answer) = &message {
            if let ServerResult::InitializeResult(_) = answer.result {
                (self.begun, self.second) = (true, None);
            }
            if let ServerResult::DiscoverResult(_) = answer.result {
                (self.begun, self.first) = (true, None);
            }
        }
        match &message {
            JsonRpcMessage::Response(answer) => self.line.callers.is_answered(&answer.id),
            JsonRpcMessage::Error(error) => {
                error.id.iter().for_each(|id| self.line.callers.is_answered(id));
            }
            JsonRpcMessage::Notification(notification) => {
                if let ServerNotification::CustomNotification(own) = &notification.notification
                    && own.method == PAGE_COMPLETED
                    && let Some(id) = own.params.as_ref().and_then(|params| params["elicitationId"].as_str())
                {
                    self.line.pages.completed(id);
                }
            }
            JsonRpcMessage::Request(_) => {}
        }
        self.sinks.handle(&message);
        self.may_ask(&message).then_some(message)
    }

    /// Whether the helper may ask this, if it asks something. It is told when it may not, unless it lets that wait, too.
    fn may_ask(&mut self, message: &ServerJsonRpcMessage) -> bool {
        if let JsonRpcMessage::Notification(notification) = message
            && let ServerNotification::CancelledNotification(cancelled) = &notification.notification
            && let Some(id) = &cancelled.params.request_id
        {
            self.incoming.withdrawn(id);
        }
        let JsonRpcMessage::Request(request) = message else { return true };
        let Err(refusal) = self.incoming.admit(&request.id) else { return true };
        let error = ErrorData::new(ErrorCode::INVALID_REQUEST, refusal, None);
        let refusal = ClientJsonRpcMessage::error(error, Some(request.id.clone()));
        if self.refusals.len() < policy::HELPER_REQUESTS
            && let Some(worker) = self.first.as_mut().or(self.second.as_mut())
        {
            self.refusals.push(Box::pin(worker.send(refusal)));
        }
        false
    }

    /// An answer of ours, and its place among what the helper asks until it is sent.
    fn place_of(&mut self, message: &ClientJsonRpcMessage) -> Option<SendWhen> {
        match message {
            JsonRpcMessage::Response(answer) => Some(self.incoming.answered(Some(&answer.id))),
            JsonRpcMessage::Error(error) => Some(self.incoming.answered(error.id.as_ref())),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        }
    }
}

impl Transport<RoleClient> for HttpTransport {
    type Error = Error;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let question = match &message {
            JsonRpcMessage::Request(request) => {
                let asked = |is: bool, question: usize| is.then(|| (question, request.id.clone()));
                asked(matches!(request.request, ClientRequest::InitializeRequest(_)), 0)
                    .or_else(|| asked(matches!(request.request, ClientRequest::DiscoverRequest(_)), 1))
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Notification(_) | JsonRpcMessage::Error(_) => None,
        };
        let sent: BoxFuture<'static, Result<(), Error>> = match question {
            Some((question, id)) => {
                self.ask(question, id, message);
                Box::pin(async { Ok(()) })
            }
            None => {
                self.sinks.watch(&message);
                self.line.callers.watch(&message);
                let place = self.place_of(&message);
                match self.first.as_mut().or(self.second.as_mut()) {
                    Some(worker) => {
                        let sent = worker.send(message);
                        Box::pin(async move {
                            let sent = sent.await;
                            drop(place);
                            sent
                        })
                    }
                    None => Box::pin(async { Err(StreamableHttpError::TransportChannelClosed) }),
                }
            }
        };
        sent
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let incident = tokio::select! {
                biased;
                Some((id, sent)) = self.asking.next() => Incident::Asked(id, sent),
                Some(_told) = self.refusals.next() => continue,
                message = next(&mut self.first), if self.first.is_some() => Incident::Received(0, message.map(Box::new)),
                message = next(&mut self.second), if self.second.is_some() => Incident::Received(1, message.map(Box::new)),
                else => return None,
            };
            let message = match incident {
                Incident::Asked(_, Ok(())) => continue,
                Incident::Asked(id, Err(wrong)) => {
                    let question = usize::from(self.asked[1].as_ref() == Some(&id));
                    // Of one that is not waited for any more.
                    if self.place(question).is_none() {
                        continue;
                    }
                    self.unanswered(question, &wrong)
                }
                Incident::Received(question, Some(message)) => {
                    match self.received(question, Some(*message)) {
                        // It was none for us.
                        None => continue,
                        message => message,
                    }
                }
                Incident::Received(question, None) => self.received(question, None),
            };
            return message;
        }
    }

    async fn close(&mut self) -> Result<(), Error> {
        self.line.close(None);
        for worker in [&mut self.first, &mut self.second].into_iter().flatten() {
            worker.close().await?;
        }
        Ok(())
    }
}

impl Drop for HttpTransport {
    fn drop(&mut self) {
        self.line.close(None);
    }
}

async fn next(worker: &mut Option<Worker>) -> Option<ServerJsonRpcMessage> {
    match worker {
        Some(worker) => worker.receive().await,
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::process::shutdown::Shutdown;
    use crate::spec::HttpSpec;

    fn transport() -> HttpTransport {
        let spec = HttpSpec { url: "http://127.0.0.1/".to_owned(), ..HttpSpec::default() };
        let line = Line::new("/".into());
        let tasks = skein_base::tasks::Tasks::new();
        let web = Web::new(&spec, tasks, Shutdown::new(&CancellationToken::new()), line.clone());
        HttpTransport::new(web.expect("requests"), &spec.url, line)
    }

    fn message<T: serde::de::DeserializeOwned>(text: serde_json::Value) -> T {
        serde_json::from_value(text).expect("a message")
    }

    #[tokio::test]
    async fn the_end_of_a_page_reaches_the_call_that_waits_for_it() {
        let mut transport = transport();
        let awaited = transport.line.pages.await_all(["e".to_owned()].into_iter());
        let done = |id: &str| {
            let params = json!({ "elicitationId": id });
            message(
                json!({ "jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": params }),
            )
        };
        transport.received(0, Some(done("other")));
        assert!(futures_util::FutureExt::now_or_never(awaited.done()).is_none());
        transport.received(0, Some(done("e")));
        assert!(futures_util::FutureExt::now_or_never(awaited.done()).is_some());
    }

    #[tokio::test]
    async fn what_a_helper_asks_is_bounded_until_it_is_answered_or_withdrawn() {
        let mut transport = transport();
        let mut asks = |id: usize| {
            let asked = message(json!({ "jsonrpc": "2.0", "id": id, "method": "roots/list" }));
            transport.received(0, Some(asked)).is_some()
        };
        let passed_on = (0..2 * policy::HELPER_REQUESTS).filter(|id| asks(*id)).count();
        assert_eq!(passed_on, policy::HELPER_REQUESTS);
        assert!(!asks(0), "it has no answer yet");
        let answer = message(json!({ "jsonrpc": "2.0", "id": 0, "result": { "roots": [] } }));
        // Nobody is there to take it, which is the end of it as well.
        transport.send(answer).await.unwrap_err();
        let asked = message(json!({ "jsonrpc": "2.0", "id": 0, "method": "roots/list" }));
        assert!(transport.received(0, Some(asked)).is_some());
        let withdrawn =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
        assert!(transport.received(0, Some(message(withdrawn))).is_some());
        let asked = message(json!({ "jsonrpc": "2.0", "id": 1, "method": "roots/list" }));
        assert!(transport.received(0, Some(asked)).is_some());
    }
}
