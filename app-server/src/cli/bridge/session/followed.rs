//! A thread that the client is subscribed to, as far as a bridge has to know it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use skein_protocol::envelope::{self, Stamp};
use skein_protocol::event::ThreadStatusChangedNotification;
use skein_protocol::extension::ResumePicture;
use skein_protocol::ids::{Epoch, EventSeq, RequestId, ThreadId, TurnId};
use skein_protocol::notifications::{
    ThreadArchived, ThreadDeleted, ThreadReverted, ThreadStatusChanged, TurnCompleted, TurnStarted,
};
use skein_protocol::table::Notification;
use skein_protocol::thread::{ThreadStartParams, ThreadStatus};
use skein_protocol::turn::TurnStatus;

/// One thread.
#[derive(Debug)]
pub(super) struct Followed {
    /// The client only watches.
    pub observes: bool,
    /// The last number that it was told; none when that is void.
    pub number: Option<(EventSeq, Epoch)>,
    /// The status that it was told.
    pub status: ThreadStatus,
    /// The turn that runs, as it knows.
    pub turn: Option<TurnId>,
    /// How it was started, while nobody has said anything in it: it is nowhere but in its server.
    pub start: Option<Box<ThreadStartParams>>,
    /// The client was told that it has started, and is not to be told again.
    pub told: bool,
}

/// An answer that subscribes.
#[derive(Debug, Deserialize)]
pub(super) struct Picture {
    thread: Shown,
    skein: Option<ResumePicture>,
}

#[derive(Debug, Deserialize)]
struct Shown {
    id: ThreadId,
    status: ThreadStatus,
    #[serde(default)]
    turns: Vec<ShownTurn>,
}

#[derive(Debug, Deserialize)]
struct ShownTurn {
    id: TurnId,
    status: TurnStatus,
}

impl Picture {
    /// Reads an answer; its items are passed over.
    pub(super) fn read(result: &RawValue) -> Option<Self> {
        serde_json::from_str(result.get()).ok()
    }

    /// What it says of the history.
    pub(super) fn skein(&self) -> Option<&ResumePicture> {
        self.skein.as_ref()
    }

    /// How the thread is doing.
    pub(super) fn status(&self) -> &ThreadStatus {
        &self.thread.status
    }

    /// The thread.
    pub(super) fn id(&self) -> ThreadId {
        self.thread.id
    }

    /// The questions of the server that wait for an answer.
    pub(super) fn pending(&self) -> &[RequestId] {
        self.skein.as_ref().map_or(&[], |skein| &skein.pending_requests)
    }

    /// What is known of the thread by it.
    pub(super) fn followed(self, observes: bool) -> Followed {
        let runs = self.thread.turns.into_iter().rfind(|turn| turn.status == TurnStatus::InProgress);
        Followed {
            observes,
            number: self.skein.map(|skein| (skein.seq, skein.epoch)),
            status: self.thread.status,
            turn: runs.map(|turn| turn.id),
            start: None,
            told: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    thread_id: ThreadId,
}

#[derive(Deserialize)]
struct OfStart {
    thread: Begun,
}

#[derive(Deserialize)]
struct Begun {
    id: ThreadId,
}

/// The thread that a notification says to have started.
pub(super) fn started(params: Option<&RawValue>) -> Option<ThreadId> {
    envelope::params::<OfStart>(params).ok().map(|of| of.thread.id)
}

#[derive(Deserialize)]
struct OfTurn {
    turn: Named,
}

#[derive(Deserialize)]
struct Named {
    id: TurnId,
}

/// The thread that a message is about.
pub(super) fn thread_of(params: Option<&RawValue>) -> Option<ThreadId> {
    envelope::params::<About>(params).ok().map(|about| about.thread_id)
}

/// Notes what a notification says of the threads.
pub(super) fn note(
    threads: &mut BTreeMap<ThreadId, Followed>,
    method: &str,
    params: Option<&RawValue>,
    stamp: Stamp,
) {
    let Some(id) = thread_of(params) else { return };
    if method == ThreadArchived::INFO.wire || method == ThreadDeleted::INFO.wire {
        threads.remove(&id);
    }
    let Some(thread) = threads.get_mut(&id) else { return };
    let turn = || envelope::params::<OfTurn>(params).ok().map(|of| of.turn.id);
    if let Some(number) = stamp.seq.zip(stamp.epoch) {
        thread.number = Some(number);
    } else if method == ThreadReverted::INFO.wire {
        // Of a revert that may get lost no number tells.
        thread.number = None;
    }
    if method == TurnStarted::INFO.wire {
        thread.turn = turn();
        thread.start = None;
    } else if method == TurnCompleted::INFO.wire && thread.turn == turn() {
        thread.turn = None;
    } else if method == ThreadStatusChanged::INFO.wire
        && let Ok(changed) = envelope::params::<ThreadStatusChangedNotification>(params)
    {
        thread.status = changed.status;
    }
}
