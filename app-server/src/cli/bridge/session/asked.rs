//! Unanswered requests of the client.

use serde_json::value::RawValue;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::{
    Initialize, SkeinConnectionLeave, ThreadFork, ThreadResume, ThreadStart, ThreadUnsubscribe, TurnStart,
    TurnSteer,
};
use skein_protocol::table::Method;
use skein_protocol::thread::{ThreadResumeParams, ThreadStartParams, ThreadUnsubscribeParams};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::retry::RetryRule;

/// An unanswered request.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub id: RequestId,
    pub method: String,
    pub line: Utf8Bytes,
    pub kind: RequestKind,
    pub rule: RetryRule,
    /// A lost server was asked before, or has ended the request's subject.
    pub again: bool,
}

/// The kind of a request: it decides how its answer changes the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Initialize,
    /// Subscribes; the new thread is only in the server's memory.
    Start,
    Fork,
    /// Subscribes to the thread, if the request can be read.
    Resume {
        thread: Option<ThreadId>,
        observes: bool,
    },
    Unsubscribe(Option<ThreadId>),
    Leave,
    TurnStart,
    TurnSteer,
    Other,
}

impl PendingRequest {
    pub(super) fn start_params(&self) -> Option<Box<ThreadStartParams>> {
        match envelope::parse(&self.line) {
            Ok(Incoming::Request { params, .. }) => envelope::params(params).ok().map(Box::new),
            Ok(_) | Err(_) => None,
        }
    }
}

impl RequestKind {
    pub(crate) fn of(method: &str, params: Option<&RawValue>) -> Self {
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
            _ if method == SkeinConnectionLeave::INFO.wire => Self::Leave,
            _ if method == TurnStart::INFO.wire => Self::TurnStart,
            _ if method == TurnSteer::INFO.wire => Self::TurnSteer,
            _ => Self::Other,
        }
    }
}
