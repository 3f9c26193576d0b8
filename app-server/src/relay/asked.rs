//! Unanswered requests of the client.

use serde_json::value::RawValue;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::error::{NOT_LOADED, OVERLOADED, WireError};
use skein_protocol::extension::{SkeinThreadUnloadParams, SkeinThreadUnloadResponse, UnloadOutcome};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::{
    Initialize, SkeinConnectionLeave, SkeinThreadUnload, ThreadFork, ThreadResume, ThreadStart,
    ThreadUnsubscribe, TurnStart, TurnSteer,
};
use skein_protocol::table::Method;
use skein_protocol::thread::{ThreadResumeParams, ThreadStartParams, ThreadUnsubscribeParams};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::retry::{self, RetryRule};

/// An unanswered request.
#[derive(Debug)]
pub struct PendingRequest {
    /// The id.
    pub id: RequestId,
    /// The wire name of the method.
    pub method: String,
    /// The request as it was sent.
    pub line: Utf8Bytes,
    /// Its effect on the subscriptions.
    pub kind: RequestKind,
    /// Whether it may be repeated.
    pub rule: RetryRule,
    /// A lost server was asked before, or has ended the request's subject.
    pub again: bool,
    /// Its server has said that it has not done it.
    pub not_done: bool,
    /// How often its thread turned out to be with another server.
    pub moved: u32,
}

/// The kind of a request: it decides how its answer changes the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// Introduces the client.
    Initialize,
    /// Subscribes; the new thread is only in the server's memory.
    Start,
    /// Subscribes to a copy.
    Fork,
    /// Subscribes to the thread, if the request can be read.
    Resume {
        /// The thread.
        thread: Option<ThreadId>,
        /// Whether it only watches.
        observes: bool,
    },
    /// Ends the subscription to the thread, if the request can be read.
    Unsubscribe(Option<ThreadId>),
    /// Unloads the thread, which ends the subscription to it, if the request can be read.
    Unload(Option<ThreadId>),
    /// Ends all subscriptions.
    Leave,
    /// A message of the user.
    TurnStart,
    /// A message of the user to the running turn.
    TurnSteer,
    /// Anything else.
    Other,
}

impl PendingRequest {
    /// A request that is sent for the first time.
    pub fn new(id: RequestId, method: &str, params: Option<&RawValue>, line: Utf8Bytes) -> Self {
        let (kind, rule) = (RequestKind::of(method, params), retry::rule(method, params));
        Self { id, method: method.to_owned(), line, kind, rule, again: false, not_done: false, moved: 0 }
    }

    /// Whether it subscribes the client.
    pub fn subscribes(&self) -> bool {
        matches!(self.kind, RequestKind::Start | RequestKind::Fork | RequestKind::Resume { .. })
    }

    /// Whether a refusal leaves open that an earlier server has done it: a message of the user, which must not be sent again under another
    /// id. The next server does not look for it where it has no room, or has not loaded the thread.
    pub fn may_be_done_after(&self, error: &WireError) -> bool {
        let is_unknown = error.code == OVERLOADED || error.reason() == NOT_LOADED;
        self.again && self.is_message() && is_unknown
    }

    /// Whether it is a message of the user.
    pub fn is_message(&self) -> bool {
        matches!(self.kind, RequestKind::TurnStart | RequestKind::TurnSteer)
    }

    /// The refusal of a request whose server has ended, which `ended` says; `None` if another server may be asked. The last server may have
    /// said that it has not done it.
    pub fn refusal(&self, ended: &str) -> Option<WireError> {
        if self.not_done { None } else { self.rule.refusal(ended, &self.method, self.again) }
    }

    /// Whether it subscribes to the thread, or ends the subscription.
    pub fn is_about(&self, id: ThreadId) -> bool {
        match self.kind {
            RequestKind::Resume { thread, .. } | RequestKind::Unsubscribe(thread) => thread == Some(id),
            RequestKind::Initialize
            | RequestKind::Start
            | RequestKind::Fork
            | RequestKind::Unload(_)
            | RequestKind::Leave
            | RequestKind::TurnStart
            | RequestKind::TurnSteer
            | RequestKind::Other => false,
        }
    }

    /// The thread that the client has left by this request, which was answered so.
    pub fn left(&self, result: &RawValue) -> Option<ThreadId> {
        let answer = || envelope::params::<SkeinThreadUnloadResponse>(Some(result)).ok();
        match self.kind {
            RequestKind::Unsubscribe(thread) => thread,
            // One that was not loaded keeps its subscribers.
            RequestKind::Unload(thread) => {
                thread.filter(|_| answer().is_some_and(|answer| answer.state == UnloadOutcome::Unloaded))
            }
            RequestKind::Initialize
            | RequestKind::Start
            | RequestKind::Fork
            | RequestKind::Resume { .. }
            | RequestKind::Leave
            | RequestKind::TurnStart
            | RequestKind::TurnSteer
            | RequestKind::Other => None,
        }
    }

    /// The params of a start.
    pub fn start_params(&self) -> Option<Box<ThreadStartParams>> {
        match envelope::parse(&self.line) {
            Ok(Incoming::Request { params, .. }) => envelope::params(params).ok().map(Box::new),
            Ok(_) | Err(_) => None,
        }
    }
}

impl RequestKind {
    /// Whether the user needs the loaded thread, to follow it or for a message.
    pub fn needs_thread(self) -> bool {
        matches!(self, Self::Resume { observes: false, .. } | Self::TurnStart)
    }

    /// The kind of a request of this method.
    pub fn of(method: &str, params: Option<&RawValue>) -> Self {
        match method {
            _ if method == Initialize::INFO.wire => Self::Initialize,
            _ if method == ThreadStart::INFO.wire => Self::Start,
            _ if method == ThreadFork::INFO.wire => Self::Fork,
            _ if method == ThreadResume::INFO.wire => {
                let asked = envelope::params::<ThreadResumeParams>(params).ok();
                let observes =
                    asked.as_ref().and_then(|asked| asked.skein.as_ref()).is_some_and(|s| s.observe);
                Self::Resume { thread: asked.map(|asked| asked.thread_id), observes }
            }
            _ if method == ThreadUnsubscribe::INFO.wire => {
                let asked = envelope::params::<ThreadUnsubscribeParams>(params).ok();
                Self::Unsubscribe(asked.map(|asked| asked.thread_id))
            }
            _ if method == SkeinThreadUnload::INFO.wire => {
                let asked = envelope::params::<SkeinThreadUnloadParams>(params).ok();
                Self::Unload(asked.map(|asked| asked.thread_id))
            }
            _ if method == SkeinConnectionLeave::INFO.wire => Self::Leave,
            _ if method == TurnStart::INFO.wire => Self::TurnStart,
            _ if method == TurnSteer::INFO.wire => Self::TurnSteer,
            _ => Self::Other,
        }
    }
}
