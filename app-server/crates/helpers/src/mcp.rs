//! One MCP session with a helper: its start, its offers and its calls.
//!
//! ```text
//! helper's stdout -> a line (16 MiB at most) -> by its head: an awaited answer, a request, a change -> rmcp
//!                                                            progress -> its call
//!                                                            anything else: counted and dropped
//! call -> waits for room (1 MiB) -> queue -> one writer -> helper's stdin
//! ```
//!
//! - `stdio/message.rs` classifies a line by the names of its members. Its content is read only if a call waits for it, so answers without
//!   a request, repeated answers and floods of notifications cost no memory and start no task. Lists that change are read once a
//!   second at most, in 1,000 pages and 32 MiB.
//! - An awaited answer that cannot be read ends the helper. A request that cannot be read is refused. After 64 messages other helpers
//!   get their turn; beyond 100,000 a second, messages for nobody wait in the helper's own pipe.
//! - Values of a helper's variables, headers and address are masked in its stderr and in output that is no message. Answers are not
//!   searched.
//! - A call that was given up before it was written is never written. Cancellations and answers to a helper that asks without end are
//!   left out where it does not read.
//! - A helper has at most 32 open requests, 8 of them questions to users. None of them holds up the reading of its answers.
//! - MCP of 2026-07-28 has no requests of a helper: it answers a call with questions, and `rounds.rs` makes the call again with their
//!   answers, ten times at most. The user of that call's thread is asked, also on a shared helper. Meanwhile nothing is outstanding
//!   at the helper, so nothing watches it.
//! - Before that revision a question goes to the thread whose call caused it (`callers.rs`). MCP names no call on stdio, so the thread
//!   is the only one with outstanding calls there. With none or several the helper gets an error. A cancelled call of another thread
//!   or turn counts as a doubt until the helper answers it, for ten minutes at most.
//! - A question ends with its answer, with its call, by the helper's `notifications/cancelled`, or with the line; then the helper
//!   gets `cancel`.
//! - A helper may refuse a call until the user has opened a page (-32042). `sign_in.rs` asks the user of that call and makes the call
//!   again after the acceptance, and once more when the helper reports that the page is done.

mod activity;
mod callers;
mod client;
mod http;
mod offers;
mod open;
mod outstanding;
mod progress;
mod rounds;
mod sign_in;
mod stdio;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use activity::Activity;
use callers::{Callers, Entered};
use client::Client;
use rmcp::model::{CallToolRequestParams, ClientRequest, ProtocolVersion, ServerResult};
use rmcp::service::{Peer, PeerRequestOptions, RequestHandle, RoleClient, RunningService, ServiceError};
pub(crate) use rounds::HelperAnswer;
use rounds::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sign_in::Pages;
use skein_base::clock::Clock;
use skein_base::masks::Hidden;
use skein_base::tasks::Tasks;
use skein_protocol::helper::{McpServerInfo, McpServerToolCallResponse};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::counters::Count;
use crate::policy;
use crate::process::start::Pipes;
use crate::questions::GivenInputs;

pub(crate) use callers::McpCaller;
pub(crate) use http::{Trouble, Web};
pub(crate) use offers::Offers;
pub(crate) use open::OpeningAttempts;

/// The transport of a session.
#[derive(Debug)]
pub(crate) enum Wire {
    /// Lines.
    Pipes(Pipes),
    /// Requests to this address.
    Web(Web, String),
}

/// A session that has begun. Dropping it closes the transport.
#[derive(Debug)]
pub(crate) struct Session {
    peer: Peer<RoleClient>,
    _service: RunningService<RoleClient, Client>,
    line: Line,
    tasks: Tasks,
    changed: Arc<Notify>,
    /// The time before which no other change is reported.
    rest_until: Mutex<Option<Instant>>,
    version: ProtocolVersion,
    /// The last failure of a helper over HTTP: there a call can fail alone.
    trouble: Option<Trouble>,
    activity: Activity,
    /// The helper's description of itself.
    pub(crate) info: Option<McpServerInfo>,
    /// The helper's instructions for its tools.
    pub(crate) instructions: Option<String>,
    /// The helper's capabilities.
    pub(crate) capabilities: Option<Value>,
}

/// The state of the line to a helper.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Cancelled when nothing more will come from the helper.
    pub(crate) closed: CancellationToken,
    why: Arc<OnceLock<String>>,
    suspected: Arc<OnceLock<&'static str>>,
    /// The number of reads with data.
    activity: Arc<AtomicU64>,
    /// The callers of outstanding calls.
    callers: Callers,
    /// Questions of the helper that its users have not answered.
    asking: Arc<Count>,
    /// Pages that its calls wait for.
    pages: Pages,
    hidden: Hidden,
    /// The folders that it is told as its roots; empty: the caller's.
    roots: Arc<[PathBuf]>,
}

/// How a call ended that got no result.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The caller gave up; a notification to the helper is under way.
    Cancelled,
    /// The line closed.
    Closed,
    /// The way to the helper failed this call only: why, for the user.
    Lost(String),
    /// The helper wants to know something first, and cannot be told: why, for the user.
    Unanswerable(String),
    /// The helper shows no sign of life, and the configuration says that its calls end then.
    Unresponsive,
    /// The helper answered with this error.
    Refused {
        /// Its JSON-RPC code.
        code: i32,
        message: String,
        /// Its additional data.
        data: Option<Value>,
    },
}

#[derive(Debug)]
pub(crate) struct McpToolCall {
    /// The tool's name.
    pub(crate) tool: String,
    pub(crate) arguments: Option<Map<String, Value>>,
    /// The caller's `_meta`.
    pub(crate) meta: Option<Map<String, Value>>,
    /// Where the helper's progress messages go. Full: they are left out.
    pub(crate) progress: Option<mpsc::Sender<String>>,
    pub(crate) caller: Option<McpCaller>,
    /// The answers to the helper's questions of the last time.
    pub(crate) given: Option<Box<GivenInputs>>,
}

impl Line {
    /// Of a helper that is started for this directory.
    pub(crate) fn new(home: PathBuf) -> Self {
        let (why, suspected, activity) = (Arc::default(), Arc::default(), Arc::default());
        let (callers, asking, pages) = (Callers::new(home), Arc::default(), Pages::default());
        let (closed, hidden) = (CancellationToken::new(), Hidden::default());
        Self { closed, why, suspected, activity, callers, asking, pages, hidden, roots: Arc::default() }
    }

    /// The same, with these roots, if there are any, in the place of its callers' folders.
    pub(crate) fn in_roots(self, roots: &[String]) -> Self {
        Self { roots: roots.iter().map(PathBuf::from).collect(), ..self }
    }

    /// The same, which shows none of these.
    pub(crate) fn hiding(self, hidden: Hidden) -> Self {
        Self { hidden, ..self }
    }

    /// Why the line closed.
    pub(crate) fn why(&self) -> String {
        let suspected = || (*self.suspected.get().unwrap_or(&"it closed its output")).to_owned();
        self.why.get().cloned().unwrap_or_else(suspected)
    }

    /// Sets the reason to report if no better one comes.
    fn suspect(&self, why: &'static str) {
        let _ = self.suspected.set(why);
    }

    /// Whether it just ended, without anything being wrong with what came over it.
    pub(crate) fn ended_quietly(&self) -> bool {
        self.why.get().is_none()
    }

    /// The number of reads with data so far: while it rises the helper is alive.
    pub(crate) fn activity(&self) -> u64 {
        self.activity.load(Ordering::Relaxed)
    }

    /// Whether the helper waits for a user's answer, and may be silent.
    pub(crate) fn waits_for_a_user(&self) -> bool {
        self.asking.now() > 0
    }

    /// Counts a read with data.
    fn note_activity(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the line, with the helper's mistake if there was one.
    pub(super) fn close(&self, wrong: Option<String>) {
        if let (Some(wrong), false) = (wrong, self.closed.is_cancelled()) {
            // The first reason is the cause, later ones are consequences.
            let _ = self.why.set(self.hidden.text(&wrong));
        }
        self.closed.cancel();
    }
}

impl Session {
    /// Calls a tool. Takes as long as the helper does; ends at once when `cancel` is, or when the line closes.
    ///
    /// # Errors
    /// [`CallError`]. A tool's own failure is a result with `is_error`. The call of a turn ends with the helper's questions where it
    /// has some for the user.
    pub(crate) async fn call(
        &self,
        call: McpToolCall,
        cancel: &CancellationToken,
    ) -> Result<HelperAnswer<McpServerToolCallResponse>, CallError> {
        let McpToolCall { tool, arguments, meta, progress, caller, given } = call;
        let is_of_turn = caller.as_ref().is_some_and(|caller| caller.turn.is_some());
        let mut params = CallToolRequestParams::new(tool);
        params.arguments = arguments;
        let request = match is_of_turn {
            true => Request::CallOfTurn(params, progress, given),
            false => Request::Call(params, progress),
        };
        self.ask(request, meta, caller, cancel).await
    }

    /// Waits until the helper reports a change of its tools or resources, at a limited rate. Cancel-safe.
    pub(crate) async fn changed(&self) {
        let rest_until = || self.rest_until.lock().unwrap_or_else(PoisonError::into_inner);
        let until = *rest_until();
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
        self.changed.notified().await;
        *rest_until() = Some(Clock.now() + policy::HELPER_LIST_PAUSE);
    }

    /// Asks, and waits for the answer or the end of `cancel` or of the line.
    async fn ask_once(
        &self,
        mut request: ClientRequest,
        meta: Option<Map<String, Value>>,
        call: &Entered,
        cancel: &CancellationToken,
    ) -> Result<ServerResult, CallError> {
        let mut underway = self.activity.begin(call.rule());
        call.makes(&mut request);
        let handle = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(CallError::Cancelled),
            () = underway.given_up() => return Err(CallError::Unresponsive),
            sent = self.send_with(request, meta) => sent.map_err(|_| CallError::Closed)?,
        };
        let mut outstanding = OutstandingCall { handle: Some(handle), tasks: &self.tasks };
        tokio::select! {
            biased;
            answer = outstanding.answer() => read_answer(answer).map_err(|fault| self.alone(fault)),
            () = self.line.closed.cancelled() => Err(CallError::Closed),
            () = underway.given_up() => Err(CallError::Unresponsive),
            () = cancel.cancelled() => Err(CallError::Cancelled),
        }
    }

    /// Over HTTP a stream that ends without the answer ends this call, and no other.
    fn alone(&self, fault: CallError) -> CallError {
        match (fault, &self.trouble) {
            (CallError::Closed, Some(trouble)) if !self.line.closed.is_cancelled() => {
                CallError::Lost(trouble.why())
            }
            (fault, _) => fault,
        }
    }

    async fn send(&self, request: ClientRequest) -> Result<RequestHandle<RoleClient>, ServiceError> {
        self.send_with(request, None).await
    }

    /// Sends a request; what rmcp itself puts into `_meta` wins over `meta`.
    async fn send_with(
        &self,
        request: ClientRequest,
        meta: Option<Map<String, Value>>,
    ) -> Result<RequestHandle<RoleClient>, ServiceError> {
        let options = PeerRequestOptions::no_options();
        let options = match meta {
            Some(meta) => options.with_meta(meta.into()),
            None => options,
        };
        self.peer.send_cancellable_request(request, options).await
    }
}

/// A call that waits for its answer. A drop before the answer notifies the helper.
struct OutstandingCall<'a> {
    handle: Option<RequestHandle<RoleClient>>,
    tasks: &'a Tasks,
}

impl OutstandingCall<'_> {
    async fn answer(&mut self) -> Result<ServerResult, ServiceError> {
        let answer = match &mut self.handle {
            Some(handle) => (&mut handle.rx).await.unwrap_or(Err(ServiceError::TransportClosed)),
            None => Err(ServiceError::TransportClosed),
        };
        self.handle = None;
        answer
    }
}

impl Drop for OutstandingCall<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            // Waits while the helper does not read, at most until its line closes.
            self.tasks.spawn("helper-cancel", async move {
                if let Err(error) = handle.cancel(Some("no longer wanted".to_owned())).await {
                    tracing::debug!(%error, "a helper did not get the notification of a cancelled call");
                }
            });
        }
    }
}

impl CallError {
    /// It was answered with something else.
    fn strange() -> Self {
        Self::Refused {
            code: rmcp::model::ErrorCode::INTERNAL_ERROR.0,
            message: "its answer is not what was asked for".to_owned(),
            data: None,
        }
    }
}

fn read_answer(answer: Result<ServerResult, ServiceError>) -> Result<ServerResult, CallError> {
    match answer {
        Ok(result) => Ok(result),
        Err(ServiceError::McpError(error)) => {
            let (code, message) = (error.code.0, error.message.into_owned());
            Err(CallError::Refused { code, message, data: error.data })
        }
        Err(ServiceError::TransportSend(error)) => {
            Err(http::request_error(&error).map_or(CallError::Closed, CallError::Lost))
        }
        Err(_) => Err(CallError::Closed),
    }
}

/// A library's type as one of the protocol's; both are the same JSON.
fn reread<T: DeserializeOwned>(from: &impl Serialize) -> Option<T> {
    serde_json::from_value(serde_json::to_value(from).ok()?).ok()
}
