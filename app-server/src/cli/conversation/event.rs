//! Messages of the server about one thread.

use serde_json::value::RawValue;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::helper::McpServerStartupState;
use skein_protocol::ids::{ItemId, RequestId, ThreadId};
use skein_protocol::item::ThreadItem;
use skein_protocol::notifications::{
    ConfigWarning, Error, ItemAgentMessageDelta, ItemCompleted, ItemStarted, McpServerStartupStatusUpdated,
    ServerRequestResolved, TurnCompleted, Warning,
};
use skein_protocol::server_requests::{ItemToolRequestUserInput, McpServerElicitationRequest};
use skein_protocol::table::{Notification, ServerRequest};
use skein_protocol::turn::Turn;

use super::dialog::UserQuestion;

/// A message of the server, as far as a terminal needs it.
#[derive(Debug)]
pub(in crate::cli) enum ThreadEvent {
    /// The next piece of an answer.
    Delta {
        /// The answer.
        item: ItemId,
        /// The piece.
        text: String,
    },
    /// An item has begun.
    Begun(Box<ThreadItem>),
    /// A helper starts.
    HelperStarts(String),
    /// An item is complete.
    Finished(Box<ThreadItem>),
    /// A warning, or an error that the server handles.
    Notice(String),
    /// A question to the user.
    Question(UserQuestion),
    /// A request that no terminal can answer.
    Unanswerable(RequestId),
    /// A question has its answer.
    Resolved(RequestId),
    /// A turn has ended.
    Ended(Box<Turn>),
    /// Anything else, and messages about other threads.
    Other,
}

impl ThreadEvent {
    /// Reads a message. Messages that this version cannot read are [`ThreadEvent::Other`].
    pub(super) fn read(text: &str, thread: ThreadId) -> Self {
        match envelope::parse(text) {
            Ok(Incoming::Notification { method, params }) => {
                Self::notified(&method, params, thread).unwrap_or(Self::Other)
            }
            Ok(Incoming::Request { id, method, params }) => Self::asked(id, &method, params),
            Ok(Incoming::Response { .. } | Incoming::Error { .. }) | Err(_) => Self::Other,
        }
    }

    fn notified(method: &str, params: Option<&RawValue>, thread: ThreadId) -> Option<Self> {
        let event = if method == ItemAgentMessageDelta::INFO.wire {
            let piece = read::<ItemAgentMessageDelta>(params)?;
            (piece.thread_id, Self::Delta { item: piece.item_id, text: piece.delta })
        } else if method == ItemStarted::INFO.wire {
            let begun = read::<ItemStarted>(params)?;
            (begun.thread_id, Self::Begun(Box::new(begun.item)))
        } else if method == ItemCompleted::INFO.wire {
            let completed = read::<ItemCompleted>(params)?;
            (completed.thread_id, Self::Finished(Box::new(completed.item)))
        } else if method == TurnCompleted::INFO.wire {
            let completed = read::<TurnCompleted>(params)?;
            (completed.thread_id, Self::Ended(Box::new(completed.turn)))
        } else if method == ServerRequestResolved::INFO.wire {
            let resolved = read::<ServerRequestResolved>(params)?;
            (resolved.thread_id, Self::Resolved(resolved.request_id))
        } else if method == Error::INFO.wire {
            let failed = read::<Error>(params)?;
            let again = if failed.will_retry { "; trying again" } else { return None };
            (failed.thread_id, Self::Notice(format!("{}{again}", failed.error.message)))
        } else if method == Warning::INFO.wire {
            let warning = read::<Warning>(params)?;
            (warning.thread_id?, Self::Notice(warning.message))
        } else if method == McpServerStartupStatusUpdated::INFO.wire {
            let helper = read::<McpServerStartupStatusUpdated>(params)?;
            let starts = helper.status == McpServerStartupState::Starting;
            (helper.thread_id?, if starts { Self::HelperStarts(helper.name) } else { return None })
        } else if method == ConfigWarning::INFO.wire {
            (thread, Self::Notice(read::<ConfigWarning>(params)?.summary))
        } else {
            return None;
        };
        (event.0 == thread).then_some(event.1)
    }

    fn asked(id: RequestId, method: &str, params: Option<&RawValue>) -> Self {
        let params = params.map_or("{}", RawValue::get);
        let question = if method == McpServerElicitationRequest::INFO.wire {
            UserQuestion::elicitation(&id, params)
        } else if method == ItemToolRequestUserInput::INFO.wire {
            UserQuestion::of_model(&id, params)
        } else {
            None
        };
        question.map_or(Self::Unanswerable(id), Self::Question)
    }
}

fn read<N: Notification>(params: Option<&RawValue>) -> Option<N::Params> {
    envelope::params(params).ok()
}
