//! The client's conversation as a bridge must know it, so that another server can continue it. A pure machine:
//! messages go in, messages come out; no I/O and no waiting.
//!
//! On a working link everything passes. The session notes the client's introduction, its unanswered requests, the
//! open questions to it, and the last number of each subscribed thread. On the next link it introduces the client
//! again, resumes its threads by number, and repeats unanswered requests where that is safe.
//!
//! ```text
//! client               bridge                                                       server of the home
//!   |---- lines -------->| notes requests, numbers, questions  ---------------------->|
//!   |<---- lines --------| removes numbers that the client did not request     <----|
//!   |                    |                                                            X  killed, stopped, broken
//!   |<-- errors: what ---| lost
//!   |    may not be done | takes the lock (and serves), or finds its holder
//!   |    twice           |---- initialize ------------------------------------------->|  the next one, perhaps itself
//!   |                    |---- thread/resume {afterSeq, epoch} of each thread ------->|
//!   |<-- what it missed -|<--- answers, missed events, open questions ---------------|
//!   |                    |---- requests without an answer, lines that have waited --->|
//! ```
//!
//! - The lock of the home decides which process serves next. Each bridge tries to take it, and otherwise connects to its
//!   holder; also after a living server has closed the connection (1011, 1013).
//! - The bridge opts in to `skein/events` for itself. A client that has not opted in gets no `seq` and `epoch`, no numbers
//!   of the catalog and no heartbeat. Messages of subscribers without a number (deltas) are not parsed.
//! - The load after a crash ends the lost turn, so `turn/completed` (interrupted) is among the missed events. If a history
//!   cannot be continued by number, the bridge ends the turn that its client sees and sends `warning`, or
//!   `thread/closed`. A thread without a message is started again by its id.
//! - Questions that are not in the resume's `pendingRequests` end with `serverRequest/resolved`. Known questions are not
//!   shown twice. Answers that may have been lost are sent again.
//! - Unanswered requests are repeated if they are idempotent (`relay/retry.rs`); the others are refused at once with
//!   `serverEnded` and the remedy. `turn/start` and `turn/steer` are always repeated: a message without an id gets one from
//!   the bridge. A request under which two servers have ended is not repeated again. Messages after the answer to a
//!   repeated `turn/start` wait for it, so that the end of a turn does not come before its id is known.
//! - A bridge that becomes the server reads the settings anew, with its own arguments. Otherwise it adds its own `-c`
//!   settings about threads to the client's requests (`session/own.rs`); settings in the request itself win.

mod answered;
mod hello;
mod own;
mod resume;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::value::RawValue;
use skein_app_server::policy;
use skein_app_server::relay::asked::PendingRequest;
pub(super) use skein_app_server::relay::asked::RequestKind;
use skein_app_server::relay::questions::OpenQuestions;
use skein_app_server::relay::tracked::{self, TrackedThread};
use skein_app_server::relay::{RelayNotice, names, numbers, retry};
use skein_config::ClientSettings;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::error::WireError;
use skein_protocol::event::{
    ConfigWarningNotification, ServerRequestResolvedNotification, WarningNotification,
};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::{Initialized, TurnInterrupt};
use skein_protocol::notifications::{
    ConfigWarning, ItemStarted, ServerRequestResolved, SkeinHeartbeat, SkeinStopping, ThreadStarted, Warning,
};
use skein_protocol::table::{ClientNotification, Method, Notification};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use hello::Hello;
use own::ADVICE;
pub(crate) use own::ServerOwner;
pub(super) use own::StartSettings;
use resume::Resumption;

/// The end of a server, in refusals of requests that are not repeated.
const ENDED: &str = "the server of the home has ended";

#[derive(Debug, Default)]
pub(super) struct BridgeSession {
    hello: Hello,
    own: StartSettings,
    state: LinkState,
    /// The client's unanswered requests, in order.
    asked: Vec<PendingRequest>,
    /// The server's heartbeat interval, once known.
    heartbeat: Option<Duration>,
    /// The link takes nothing more, but may still deliver messages.
    undeliverable: bool,
    /// The client knows that the server is silent.
    silent: bool,
    /// Lines of the client that wait for a link, in order, and their bytes.
    waiting: VecDeque<Utf8Bytes>,
    waiting_bytes: usize,
    /// The client's subscriptions.
    threads: BTreeMap<ThreadId, TrackedThread>,
    /// Open questions to the client.
    questions: OpenQuestions,
    held: Option<DeferredMessages>,
    to_client: VecDeque<Utf8Bytes>,
    to_server: VecDeque<Utf8Bytes>,
    /// Unique among all sessions.
    name: String,
    last_id: u64,
}

/// The state of the link.
#[derive(Debug, Default)]
enum LinkState {
    /// No link.
    #[default]
    Apart,
    /// The server has been sent the client's introduction.
    Greeting,
    /// The client's threads are being resumed.
    Resuming(Resumption),
    /// Everything passes.
    Live,
}

/// Messages that wait for the answers to repeated user messages: their turns may have ended already, and the client
/// needs the answer to recognise its turn.
#[derive(Debug, Default)]
struct DeferredMessages {
    behind: Vec<RequestId>,
    texts: Vec<Utf8Bytes>,
    bytes: usize,
}

impl BridgeSession {
    /// A session with a unique name and without a link, for a client with these settings.
    pub(super) fn new(name: String, settings: ClientSettings) -> Self {
        Self { name, own: StartSettings::new(settings), ..Self::default() }
    }

    /// The next message for the client.
    pub(super) fn next_to_client(&mut self) -> Option<Utf8Bytes> {
        self.to_client.pop_front()
    }

    /// The next message for the server.
    pub(super) fn next_to_server(&mut self) -> Option<Utf8Bytes> {
        self.to_server.pop_front()
    }

    /// Bytes of the client's lines that wait for a link.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether the server can be told that the client leaves: after all lines of the client, or in a hurry as soon as
    /// the client is introduced. Resumes stop then.
    pub(super) fn can_leave(&mut self, hurry: bool) -> bool {
        match &mut self.state {
            LinkState::Live => true,
            LinkState::Resuming(comeback) if hurry => {
                comeback.give_up();
                true
            }
            LinkState::Resuming(_) | LinkState::Greeting | LinkState::Apart => false,
        }
    }

    /// Whether the client waits for an answer.
    pub(super) fn waits(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Takes a line of the client.
    pub(super) fn client_says(&mut self, line: Utf8Bytes) {
        match &self.state {
            LinkState::Live if !self.undeliverable => self.pass(line),
            LinkState::Live | LinkState::Apart | LinkState::Greeting | LinkState::Resuming(_) => {
                self.waiting_bytes += line.len();
                self.waiting.push_back(line);
            }
        }
    }

    /// Refuses a line that cannot be a message; its id is unknown.
    pub(super) fn unreadable(&mut self, why: String) {
        self.send_to_client(envelope::error_reply(None, &WireError::parse_error("unreadable", why)).into());
    }

    /// Takes a message of the server, at this time (Unix milliseconds).
    pub(super) fn server_says(&mut self, text: Utf8Bytes, now: i64) {
        if numbers::is_quiet(&text) {
            tracked::note_more(&mut self.threads, &text);
            return self.send_to_client(text);
        }
        let text = names::without(&text).map_or(text, Utf8Bytes::from);
        let shared = text.clone();
        match envelope::parse(&shared) {
            Ok(Incoming::Request { id, params, .. }) => self.asks(id, params, text),
            Ok(Incoming::Notification { method, params }) => self.notes(&method, params, text),
            Ok(Incoming::Response { id, result }) => self.answers(&id, Ok(result), text, now),
            Ok(Incoming::Error { id, error }) => self.answers(&id, Err(error), text, now),
            // The answer to an unreadable message.
            Err(_) => self.send_to_client(text),
        }
    }

    /// Updates the settings of the client's start.
    pub(super) fn start_says(&mut self, settings: ClientSettings) {
        self.own.settings = settings;
    }

    /// Names the settings of the client's start without effect, because its server runs elsewhere.
    pub(super) fn no_effect(&self) -> Option<String> {
        self.own.no_effect()
    }

    /// The silence after which a server counts as stopped. `None`: its heartbeat is unknown.
    pub(super) fn silence(&self) -> Option<Duration> {
        self.heartbeat.map(|heartbeat| heartbeat.saturating_mul(policy::SILENT_AFTER_HEARTBEATS))
    }

    /// Notifies the client of the server's silence: not even a heartbeat arrived.
    pub(super) fn falls_silent(&mut self, silence: Duration, now: i64) {
        if let LinkState::Live = self.state
            && self.hello.again().is_some()
        {
            let message = format!(
                "the server has said nothing for {} s: its process, which may belong to another program, is stopped or cannot go on. \
                 Requests wait until it does",
                silence.as_secs()
            );
            self.say::<Warning>(&WarningNotification { message, thread_id: None }, now);
            self.silent = true;
        }
    }

    /// Notifies the client of the end of the silence.
    pub(super) fn speaks_again(&mut self, now: i64) {
        if std::mem::take(&mut self.silent) {
            let message = "the server goes on".to_owned();
            self.say::<Warning>(&WarningNotification { message, thread_id: None }, now);
        }
    }

    pub(super) fn linked(&mut self, server: ServerOwner) {
        self.own.linked(server);
        match self.hello.again() {
            Some(hello) => {
                self.state = LinkState::Greeting;
                self.to_server.push_back(hello);
            }
            None => self.go_live(),
        }
    }

    /// Nothing sent on this link arrives any more. Lines of the client wait for the next one.
    pub(super) fn undeliverable(&mut self) {
        self.undeliverable = true;
    }

    /// The link is lost. Answers sent requests that cannot be repeated.
    pub(super) fn lost(&mut self) {
        self.state = LinkState::Apart;
        (self.undeliverable, self.silent, self.heartbeat) = (false, false, None);
        self.release();
        let unsent = std::mem::take(&mut self.to_server);
        for asked in std::mem::take(&mut self.asked) {
            match asked.refusal(ENDED) {
                Some(error) if !unsent.contains(&asked.line) => self.refuse(&asked.id, &error),
                Some(_) | None => self.asked.push(asked),
            }
        }
    }

    /// There will be no server. Answers everything that waits.
    pub(super) fn give_up(&mut self, why: &str) {
        self.lost();
        let waiting = self.waiting.drain(..).filter_map(|line| match envelope::parse(&line) {
            Ok(Incoming::Request { id, method, .. }) => Some((id, method.into_owned())),
            Ok(_) | Err(_) => None,
        });
        let asked = std::mem::take(&mut self.asked).into_iter().map(|asked| (asked.id, asked.method));
        for (id, method) in asked.chain(waiting).collect::<Vec<_>>() {
            let text = format!("no server is there to answer {method}: {why}");
            self.refuse(&id, &WireError::internal("noServer", text).method(&method));
        }
    }

    fn refuse(&mut self, id: &RequestId, error: &WireError) {
        self.send_to_client(envelope::error_reply(Some(id), error).into());
    }

    /// Sends to the client, after the held messages.
    fn send_to_client(&mut self, text: Utf8Bytes) {
        let Some(held) = &mut self.held else { return self.to_client.push_back(text) };
        held.bytes += text.len();
        held.texts.push(text);
        if held.bytes > retry::MOST_HELD {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.to_client.extend(held.texts);
        }
    }

    /// Sends a notification of the bridge, unless the client opted out.
    fn say<N: Notification>(&mut self, params: &N::Params, now: i64) {
        if !self.hello.opted_out(N::INFO.wire) {
            self.send_to_client(envelope::notification::<N>(params, now, None).into());
        }
    }

    /// Sends these notifications, unless the client opted out.
    fn report(&mut self, reports: Vec<RelayNotice>) {
        for report in reports {
            if !self.hello.opted_out(report.method) {
                self.send_to_client(report.text.into());
            }
        }
    }

    /// Sends a line of the client to the server, and notes its effect.
    fn pass(&mut self, line: Utf8Bytes) {
        let shared = line.clone();
        match envelope::parse(&shared) {
            Ok(Incoming::Request { id, method, params }) => return self.ask(id, &method, params, line),
            Ok(Incoming::Notification { method, .. }) if method == Initialized::INFO.wire => {
                self.hello.sent_initialized();
            }
            Ok(Incoming::Response { id, .. } | Incoming::Error { id, .. }) => {
                self.questions.answer(&id, line.clone());
                if self.hello.opted_out(ServerRequestResolved::INFO.wire) {
                    self.questions.settle(&id);
                }
            }
            // The server will report the error.
            Ok(Incoming::Notification { .. }) | Err(_) => {}
        }
        self.to_server.push_back(line);
    }

    /// Notifies the client once of the settings without effect.
    fn warn_of_settings(&mut self, now: i64) {
        if let Some(summary) = self.own.warning() {
            let details = Some(ADVICE.to_owned());
            let warning = ConfigWarningNotification { details, path: None, range: None, summary };
            self.say::<ConfigWarning>(&warning, now);
        }
    }

    fn ask(&mut self, id: RequestId, method: &str, params: Option<&RawValue>, line: Utf8Bytes) {
        let kind = RequestKind::of(method, params);
        let line = match kind {
            RequestKind::Initialize => self.hello.ask(&id, params).unwrap_or(line),
            RequestKind::TurnStart | RequestKind::TurnSteer => {
                self.last_id += 1;
                let unique = format!("{}-{}", self.name, self.last_id);
                names::named(&id, method, params, &unique).map_or(line, Utf8Bytes::from)
            }
            RequestKind::Start
            | RequestKind::Fork
            | RequestKind::Resume { .. }
            | RequestKind::Unsubscribe(_)
            | RequestKind::Unload(_)
            | RequestKind::Leave
            | RequestKind::Other => {
                self.own.carried_by(&kind, &id, method, params).map_or(line, Utf8Bytes::from)
            }
        };
        self.to_server.push_back(line.clone());
        self.asked.push(PendingRequest::new(id, method, params, line));
    }

    /// The server asks. A question that the client already has is not repeated; its answer may have been lost.
    fn asks(&mut self, id: RequestId, params: Option<&RawValue>, text: Utf8Bytes) {
        if let Some(known) = self.questions.get(&id) {
            self.to_server.extend(known.answer.clone());
            return;
        }
        self.questions.open(id, tracked::thread_of(params));
        self.send_to_client(text);
    }

    /// Takes a notification of the server.
    fn notes(&mut self, method: &str, params: Option<&RawValue>, text: Utf8Bytes) {
        if method == SkeinHeartbeat::INFO.wire && !self.hello.wants_numbers() {
            return;
        }
        // The bridge comes back by itself; its client's connection stays.
        if method == SkeinStopping::INFO.wire {
            return;
        }
        if method == ServerRequestResolved::INFO.wire
            && let Ok(settled) = envelope::params::<ServerRequestResolvedNotification>(params)
        {
            self.questions.settle(&settled.request_id);
        }
        if method == ThreadStarted::INFO.wire && self.is_repeated_start(params) {
            return;
        }
        let stamp = envelope::stamp(&text).unwrap_or_default();
        if method == ItemStarted::INFO.wire && tracked::is_known_item(&self.threads, params, stamp) {
            return;
        }
        tracked::note(&mut self.threads, method, params, stamp);
        let text = if self.hello.wants_numbers() {
            text
        } else {
            numbers::without(method, params, stamp).map_or(text, Utf8Bytes::from)
        };
        self.send_to_client(text);
    }

    /// Whether this notification announces a start that the bridge has repeated.
    fn is_repeated_start(&mut self, params: Option<&RawValue>) -> bool {
        let thread = tracked::started(params).and_then(|thread| self.threads.get_mut(&thread));
        thread.is_some_and(|followed| std::mem::take(&mut followed.announced))
    }

    /// From here everything passes: first the repeated requests, then the waiting lines.
    fn go_live(&mut self) {
        self.state = LinkState::Live;
        for asked in &mut self.asked {
            // A server that stops has said that it was not done.
            asked.again |= !std::mem::take(&mut asked.not_done);
            self.to_server.push_back(asked.line.clone());
        }
        self.waiting_bytes = 0;
        let new = self.asked.len();
        for line in std::mem::take(&mut self.waiting) {
            self.pass(line);
        }
        // A turn of a lost server ended with it, whenever the client asked for that.
        let is_between = self.hello.again().is_some();
        for asked in self.asked.iter_mut().skip(new) {
            asked.again = is_between && asked.method == TurnInterrupt::INFO.wire;
        }
    }
}
