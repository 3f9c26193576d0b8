//! How a session begins: by which revision of MCP, found out by asking.
//!
//! Up to 2025-11-25 a session begins with `initialize`; from 2026-07-28 there is no handshake, and `server/discover` tells
//! what a helper can do. Nothing but an answer says which of them a helper speaks, so the question matters:
//!
//! - `initialize` comes first, always. A server of 2026-07-28 refuses it like any method that it does not know, and is asked
//!   `server/discover` in the same breath. The other way round would be the end of many: servers made with older rmcp exit
//!   when the first message is a stranger.
//! - A helper that says nothing for [`policy::HELPER_ERA_PATIENCE`] is asked `server/discover` as well, and `initialize` is not
//!   taken back: it may be slow (one that `npx` has to fetch first) or drop what it does not know. Whichever is answered
//!   with a result first wins, however late; a refusal of one only leaves the other.
//! - A slow helper of the older kind may take that second message for a reason to exit. It is started again, and is asked
//!   only `initialize` from then on ([`OpeningAttempts`]), so that nobody is judged by being slow.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rmcp::model::{
    ClientConfig, ClientJsonRpcMessage, ClientNotification, ClientRequest, ClientResult, DiscoverRequest,
    DiscoverRequestParams, DiscoverResult, ErrorCode, ErrorData, InitializeRequest, InitializeResult,
    InitializedNotification, JsonRpcMessage, NumberOrString, ProtocolVersion, RequestId, RequestMetaObject,
    ServerJsonRpcMessage, ServerPeerInfo, ServerRequest, ServerResult, SubscriptionFilter,
};
use rmcp::service::{ServiceError, serve_directly};
use rmcp::transport::Transport;
use rmcp::{ClientHandler, RoleClient};
use skein_base::tasks::Tasks;
use tokio::sync::Notify;

use crate::mcp::activity::Activity;
use crate::mcp::http::HttpTransport;
use crate::mcp::stdio::LineTransport;
use crate::mcp::{Client, Line, Session, Wire, reread};
use crate::policy;

#[cfg(test)]
mod tests;

/// Ids of the two questions: texts, as rmcp counts its own requests from 0.
const INITIALIZE: &str = "skein-initialize";
const DISCOVER: &str = "skein-discover";

/// The code of a question that could not be asked.
pub(crate) const UNASKED: ErrorCode = ErrorCode(0);

/// The questions to a helper in its starts so far, and their results.
#[derive(Debug, Default)]
pub(crate) struct OpeningAttempts {
    /// `server/discover` was sent to a helper that had said nothing, and it has not answered that.
    in_doubt: AtomicBool,
    only_initialize: AtomicBool,
}

impl OpeningAttempts {
    /// To be called when the helper has ended by itself before it was ready: whether it may have done so because it was asked
    /// `server/discover`. From then on it is not.
    pub(crate) fn was_too_much(&self) -> bool {
        let too_much = self.in_doubt.swap(false, Ordering::Relaxed);
        self.only_initialize.fetch_or(too_much, Ordering::Relaxed);
        too_much
    }
}

impl Session {
    /// Finds out how to speak with the helper. Takes as long as the helper does.
    ///
    /// # Errors
    /// The reason, for the user.
    pub(crate) async fn open(
        wire: Wire,
        line: Line,
        tasks: Tasks,
        asked: &OpeningAttempts,
    ) -> Result<Self, String> {
        match wire {
            Wire::Pipes(pipes) => {
                Self::open_over(LineTransport::new(pipes, line.clone()), line, tasks, asked).await
            }
            Wire::Web(web, url) => {
                let trouble = web.trouble();
                let transport = HttpTransport::new(web, &url, line.clone());
                let session = Self::open_over(transport, line, tasks, asked).await?;
                Ok(Self { trouble: Some(trouble), ..session })
            }
        }
    }

    async fn open_over<T: Transport<RoleClient> + 'static>(
        mut transport: T,
        line: Line,
        tasks: Tasks,
        asked: &OpeningAttempts,
    ) -> Result<Self, String> {
        let changed = Arc::new(Notify::new());
        let client = Client::new(Arc::clone(&changed), line.clone());
        let greeting =
            Greeting { transport: &mut transport, about: client.get_info(), asked, refused: [None, None] };
        let about = greeting.run().await.map_err(|wrong| {
            // The first reason that the line has counts: what is wrong here may only follow from it.
            line.close(wrong.map(|wrong| format!("the MCP handshake failed: {wrong}")));
            line.why()
        })?;
        let info = about.server_info.as_ref().and_then(reread);
        let capabilities = serde_json::to_value(&about.capabilities).ok();
        let version = about.protocol_version.clone();
        let instructions = about.instructions.clone();
        let service = serve_directly(client, transport, Some(about));
        let peer = service.peer().clone();
        let session = Self {
            peer,
            _service: service,
            line,
            tasks,
            changed,
            rest_until: Mutex::default(),
            info,
            instructions,
            capabilities,
            version,
            trouble: None,
            activity: Activity::default(),
        };
        let (version, ping) = (session.protocol_version(), session.has_ping());
        tracing::debug!(version, ping, "a session with a helper has begun");
        if !ping {
            session.listen();
        }
        Ok(session)
    }

    /// Without a handshake a helper tells of changes only where it is asked to.
    fn listen(&self) {
        let may_change = |list: &str| {
            self.capabilities.as_ref().is_some_and(|offered| offered[list]["listChanged"] == true)
        };
        let mut wanted = SubscriptionFilter::new();
        wanted.tools_list_changed = may_change("tools").then_some(true);
        wanted.resources_list_changed = may_change("resources").then_some(true);
        if wanted == SubscriptionFilter::new() {
            return;
        }
        let (peer, changed, closed) =
            (self.peer.clone(), Arc::clone(&self.changed), self.line.closed.clone());
        self.tasks.spawn("helper-listens", async move {
            let mut pause = policy::HELPER_HTTP_RETRY_FIRST;
            for _ in 0..=policy::HELPER_HTTP_RETRIES {
                let listened = async {
                    let mut listening = peer.listen(wanted.clone()).await?;
                    while listening.next().await?.is_some() {
                        changed.notify_one();
                    }
                    Ok::<_, ServiceError>(())
                };
                tokio::select! {
                    () = closed.cancelled() => return,
                    listened = listened => tracing::debug!(?listened, "a helper reports no more changes"),
                }
                tokio::select! {
                    () = closed.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(policy::HELPER_HTTP_RETRY_MOST),
                }
            }
        });
    }

    /// The revision of MCP that is spoken.
    pub(crate) fn protocol_version(&self) -> &str {
        self.version.as_str()
    }

    /// Whether this revision has `ping`: those without a handshake do not.
    pub(crate) fn has_ping(&self) -> bool {
        self.version.has_initialize()
    }
}

/// The questions, until one of them is answered.
struct Greeting<'a, T> {
    transport: &'a mut T,
    about: ClientConfig,
    asked: &'a OpeningAttempts,
    /// How `initialize` and `server/discover` were refused.
    refused: [Option<ErrorData>; 2],
}

impl<T: Transport<RoleClient>> Greeting<'_, T> {
    /// The error is what went wrong, or `None` when the line is closed.
    async fn run(mut self) -> Result<ServerPeerInfo, Option<String>> {
        let initialize = ClientRequest::InitializeRequest(InitializeRequest::new(self.about.clone()));
        self.send(ClientJsonRpcMessage::request(initialize, id(INITIALIZE))).await?;
        let mut patience = pin!(tokio::time::sleep(policy::HELPER_ERA_PATIENCE));
        let mut discover = self.asked.only_initialize.load(Ordering::Relaxed);
        loop {
            let message = tokio::select! {
                biased;
                message = self.transport.receive() => message.ok_or(None)?,
                () = &mut patience, if !discover => {
                    discover = true;
                    self.asked.in_doubt.store(true, Ordering::Relaxed);
                    self.discover().await?;
                    continue;
                }
            };
            if let Some(about) = self.handle(message).await? {
                return Ok(about);
            }
            match &self.refused {
                [Some(wrong), Some(_)] => return Err(Some(words(wrong))),
                [Some(_), None] if !discover => {
                    discover = true;
                    self.discover().await?;
                }
                [Some(wrong), None] if self.asked.only_initialize.load(Ordering::Relaxed) => {
                    return Err(Some(words(wrong)));
                }
                [_, _] => {}
            }
        }
    }

    /// Handles a message during the start. The result is the helper's description, once a question has its answer.
    async fn handle(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> Result<Option<ServerPeerInfo>, Option<String>> {
        match message {
            JsonRpcMessage::Response(answer) => match (name(&answer.id), answer.result) {
                (Some(INITIALIZE), ServerResult::InitializeResult(result)) => {
                    self.shake(result).await.map(Some)
                }
                (Some(DISCOVER), ServerResult::DiscoverResult(result)) => self.pick(result).map(Some),
                (Some(question), _) => {
                    Err(Some(format!("its answer to {question} is not what was asked for")))
                }
                (None, _) => Ok(None),
            },
            JsonRpcMessage::Error(error) => {
                // A helper that cannot read the id leaves it out; only the first question may be unreadable.
                let question = error.id.as_ref().map_or(Some(INITIALIZE), name);
                if let Some(question) = question {
                    self.refused[usize::from(question == DISCOVER)] = Some(error.error);
                }
                if question == Some(DISCOVER) {
                    self.asked.in_doubt.store(false, Ordering::Relaxed);
                }
                Ok(None)
            }
            JsonRpcMessage::Request(request) => {
                let answer = match matches!(request.request, ServerRequest::PingRequest(_)) {
                    true => ClientJsonRpcMessage::response(ClientResult::empty(()), request.id),
                    false => ClientJsonRpcMessage::error(too_early(), Some(request.id)),
                };
                self.send(answer).await.map(|()| None)
            }
            JsonRpcMessage::Notification(_) => Ok(None),
        }
    }

    /// The end of a handshake, in whatever revision the helper has chosen.
    async fn shake(&mut self, result: InitializeResult) -> Result<ServerPeerInfo, Option<String>> {
        let initialized = ClientNotification::InitializedNotification(InitializedNotification::default());
        self.send(ClientJsonRpcMessage::notification(initialized)).await?;
        Ok(result.into())
    }

    fn pick(&self, result: DiscoverResult) -> Result<ServerPeerInfo, Option<String>> {
        self.asked.in_doubt.store(false, Ordering::Relaxed);
        let ours = ProtocolVersion::V_2026_07_28;
        if result.supported_versions.contains(&ours) {
            return Ok(ServerPeerInfo::from_discover_result(ours, result));
        }
        let theirs: Vec<&str> = result.supported_versions.iter().map(ProtocolVersion::as_str).collect();
        Err(Some(format!("it speaks {}, and Skein does not", theirs.join(", "))))
    }

    async fn discover(&mut self) -> Result<(), Option<String>> {
        let mut discover = DiscoverRequest::new(DiscoverRequestParams {});
        discover.extensions.insert(RequestMetaObject::with_client_context(
            ProtocolVersion::V_2026_07_28,
            self.about.client_info.clone(),
            self.about.capabilities.clone(),
        ));
        self.send(ClientJsonRpcMessage::request(ClientRequest::DiscoverRequest(discover), id(DISCOVER))).await
    }

    async fn send(&mut self, message: ClientJsonRpcMessage) -> Result<(), Option<String>> {
        self.transport.send(message).await.map_err(|error| Some(error.to_string()))
    }
}

fn id(question: &str) -> RequestId {
    NumberOrString::String(question.into())
}

fn name(id: &RequestId) -> Option<&'static str> {
    [INITIALIZE, DISCOVER].into_iter().find(|question| *id == self::id(question))
}

/// A refusal for people; one of our own has no code.
fn words(refused: &ErrorData) -> String {
    match refused.code {
        UNASKED => refused.message.to_string(),
        _ => refused.to_string(),
    }
}

/// The answer to what a helper may not ask before the session is there.
fn too_early() -> ErrorData {
    ErrorData::new(ErrorCode::INVALID_REQUEST, "the session has not begun yet", None)
}
