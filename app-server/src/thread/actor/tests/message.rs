//! Messages to a client without a socket.

use serde_json::value::RawValue;
use skein_protocol::envelope::{self, Incoming, Stamp};
use skein_protocol::error::WireError;
use skein_protocol::ids::{Epoch, EventSeq, RequestId, ThreadId};
use skein_protocol::table::Notification;

/// A message to a client.
#[derive(Debug)]
pub(crate) enum Message {
    Answer { id: i64, result: Result<Box<RawValue>, WireError> },
    Notice { method: String, params: Box<RawValue>, stamp: Stamp },
    Question { id: i64, thread: ThreadId, params: serde_json::Value },
}

impl Message {
    pub(crate) fn read(text: &str) -> Self {
        let number = |id: RequestId| match id {
            RequestId::Integer(number) => number,
            RequestId::String(text) => panic!("an id that nobody gave: {text}"),
        };
        match envelope::parse(text).unwrap() {
            Incoming::Response { id, result } => {
                Self::Answer { id: number(id), result: Ok(result.to_owned()) }
            }
            Incoming::Error { id, error } => Self::Answer { id: number(id), result: Err(error) },
            Incoming::Notification { method, params } => Self::Notice {
                method: method.into_owned(),
                params: params.unwrap().to_owned(),
                stamp: envelope::stamp(text).unwrap(),
            },
            Incoming::Request { id, params, .. } => {
                let thread = thread_of(params.unwrap()).unwrap();
                let params = serde_json::from_str(params.unwrap().get()).unwrap();
                Self::Question { id: number(id), thread, params }
            }
        }
    }

    pub(crate) fn is<N: Notification>(&self) -> bool {
        matches!(self, Self::Notice { method, .. } if method == N::INFO.wire)
    }

    pub(crate) fn answers(&self, request: i64) -> bool {
        matches!(self, Self::Answer { id, .. } if *id == request)
    }

    /// The number of a numbered notification.
    pub(crate) fn seq(&self) -> Option<EventSeq> {
        match self {
            Self::Notice { stamp, .. } => stamp.seq,
            Self::Answer { .. } | Self::Question { .. } => None,
        }
    }

    /// The same with the version of its history.
    pub(crate) fn number(&self) -> Option<(EventSeq, Epoch)> {
        match self {
            Self::Notice { stamp, .. } => stamp.seq.zip(stamp.epoch),
            Self::Answer { .. } | Self::Question { .. } => None,
        }
    }

    /// The thread of a notification.
    pub(crate) fn thread(&self) -> Option<ThreadId> {
        match self {
            Self::Notice { params, .. } => thread_of(params),
            Self::Answer { .. } | Self::Question { .. } => None,
        }
    }

    /// The params of a notification of this kind.
    pub(crate) fn params<N: Notification>(&self) -> Option<N::Params> {
        match self {
            Self::Notice { method, params, .. } if method == N::INFO.wire => {
                Some(serde_json::from_str(params.get()).unwrap())
            }
            Self::Notice { .. } | Self::Answer { .. } | Self::Question { .. } => None,
        }
    }
}

/// The `threadId` of params.
fn thread_of(params: &RawValue) -> Option<ThreadId> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct About {
        thread_id: Option<ThreadId>,
    }
    serde_json::from_str::<About>(params.get()).ok()?.thread_id
}
