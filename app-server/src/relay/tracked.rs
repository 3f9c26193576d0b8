//! A subscribed thread, as far as its client must be helped to another server.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use skein_protocol::envelope::{self, Stamp};
use skein_protocol::event::ThreadStatusChangedNotification;
use skein_protocol::extension::ResumePicture;
use skein_protocol::ids::{Epoch, EventSeq, ItemId, RequestId, ThreadId, TurnId};
use skein_protocol::notifications::{
    ItemCompleted, ItemStarted, ThreadArchived, ThreadDeleted, ThreadReverted, ThreadStatusChanged,
    TurnCompleted, TurnStarted,
};
use skein_protocol::table::Notification;
use skein_protocol::thread::{ThreadStartParams, ThreadStatus};
use skein_protocol::turn::TurnStatus;

use super::numbers;

/// A subscribed thread.
#[derive(Debug)]
pub struct TrackedThread {
    /// Observes only.
    pub observes: bool,
    /// The last number sent to the client; `None` if it is void.
    pub number: Option<(EventSeq, Epoch)>,
    /// The status sent to the client.
    pub status: ThreadStatus,
    /// The running turn, as the client knows it.
    pub turn: Option<TurnId>,
    /// The start params of a thread without messages, which exists only in its server.
    pub start: Option<Box<ThreadStartParams>>,
    /// The client knows of the start, and is not notified again.
    pub announced: bool,
    /// The open items of the running turn, as the client knows them, each with whether it has shown text.
    pub items: HashMap<ItemId, bool>,
}

/// An answer that subscribes.
#[derive(Debug, Deserialize)]
pub struct SubscribedAnswer {
    thread: AnsweredThread,
    skein: Option<ResumePicture>,
}

#[derive(Debug, Deserialize)]
struct AnsweredThread {
    id: ThreadId,
    status: ThreadStatus,
    #[serde(default)]
    turns: Vec<AnsweredTurn>,
}

#[derive(Debug, Deserialize)]
struct AnsweredTurn {
    id: TurnId,
    status: TurnStatus,
}

impl SubscribedAnswer {
    /// Reads an answer, without its items.
    pub fn read(result: &RawValue) -> Option<Self> {
        serde_json::from_str(result.get()).ok()
    }

    /// The history's position.
    pub fn skein(&self) -> Option<&ResumePicture> {
        self.skein.as_ref()
    }

    /// The thread's status.
    pub fn status(&self) -> &ThreadStatus {
        &self.thread.status
    }

    /// The thread.
    pub fn id(&self) -> ThreadId {
        self.thread.id
    }

    /// The server's open questions.
    pub fn pending(&self) -> &[RequestId] {
        self.skein.as_ref().map_or(&[], |skein| &skein.pending_requests)
    }

    /// The thread's state by this answer.
    pub fn tracked(self, observes: bool) -> TrackedThread {
        let runs = self.thread.turns.into_iter().rfind(|turn| turn.status == TurnStatus::InProgress);
        TrackedThread {
            observes,
            number: self.skein.map(|skein| (skein.seq, skein.epoch)),
            status: self.thread.status,
            turn: runs.map(|turn| turn.id),
            start: None,
            announced: false,
            items: HashMap::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ThreadParams {
    thread_id: ThreadId,
}

#[derive(Deserialize)]
struct StartedParams {
    thread: StartedThread,
}

#[derive(Deserialize)]
struct StartedThread {
    id: ThreadId,
}

/// The thread that a notification announces.
pub fn started(params: Option<&RawValue>) -> Option<ThreadId> {
    envelope::params::<StartedParams>(params).ok().map(|of| of.thread.id)
}

#[derive(Deserialize)]
struct TurnParams {
    turn: TurnRef,
}

#[derive(Deserialize)]
struct TurnRef {
    id: TurnId,
}

#[derive(Deserialize)]
struct ItemParams {
    item: ItemRef,
}

#[derive(Deserialize)]
struct ItemRef {
    id: ItemId,
    /// The text so far, of a message or a plan.
    text: Option<String>,
    /// That of thoughts.
    summary: Option<IgnoredAny>,
}

impl ItemRef {
    fn has_text(&self) -> bool {
        self.text.as_ref().is_some_and(|text| !text.is_empty())
    }

    fn streams_text(&self) -> bool {
        self.text.is_some() || self.summary.is_some()
    }
}

/// Whether the client knows this open item already, which the next link shows again, and both have no text of it. Text that the client
/// has shown may be lost.
pub fn is_known_item(
    threads: &BTreeMap<ThreadId, TrackedThread>,
    params: Option<&RawValue>,
    stamp: Stamp,
) -> bool {
    let thread = thread_of(params).and_then(|id| threads.get(&id));
    let item = envelope::params::<ItemParams>(params).ok().map(|shown| shown.item);
    let is_known = |(thread, item): (&TrackedThread, ItemRef)| {
        let shown = thread.items.get(&item.id);
        shown.is_some_and(|shown_text| !item.has_text() && (!shown_text || !item.streams_text()))
    };
    stamp.seq.is_none() && thread.zip(item).is_some_and(is_known)
}

/// Notes that the client shows more of an item: a quiet message says so.
pub fn note_more(threads: &mut BTreeMap<ThreadId, TrackedThread>, quiet: &str) {
    let Some(item) = numbers::item_of(quiet) else { return };
    let thread = numbers::thread_of(quiet).and_then(|id| threads.get_mut(&id));
    if let Some(shown_text) = thread.and_then(|thread| thread.items.get_mut(&item)) {
        *shown_text = true;
    }
}

/// The thread of a message.
pub fn thread_of(params: Option<&RawValue>) -> Option<ThreadId> {
    envelope::params::<ThreadParams>(params).ok().map(|about| about.thread_id)
}

/// Notes a notification's effect on the threads.
pub fn note(
    threads: &mut BTreeMap<ThreadId, TrackedThread>,
    method: &str,
    params: Option<&RawValue>,
    stamp: Stamp,
) {
    let Some(id) = thread_of(params) else { return };
    if method == ThreadArchived::INFO.wire || method == ThreadDeleted::INFO.wire {
        threads.remove(&id);
    }
    let Some(thread) = threads.get_mut(&id) else { return };
    let turn = || envelope::params::<TurnParams>(params).ok().map(|of| of.turn.id);
    if let Some(number) = stamp.seq.zip(stamp.epoch) {
        thread.number = Some(number);
    } else if method == ThreadReverted::INFO.wire {
        // A lost revert would not show in the numbers.
        thread.number = None;
    }
    let item = || envelope::params::<ItemParams>(params).ok().map(|shown| shown.item);
    if method == ItemStarted::INFO.wire {
        thread.items.extend(item().map(|item| (item.id.clone(), item.has_text())));
    } else if method == ItemCompleted::INFO.wire
        && let Some(item) = item()
    {
        thread.items.remove(&item.id);
    }
    if method == TurnStarted::INFO.wire {
        thread.turn = turn();
        thread.start = None;
        thread.items.clear();
    } else if method == TurnCompleted::INFO.wire && thread.turn == turn() {
        thread.turn = None;
    } else if method == ThreadStatusChanged::INFO.wire
        && let Ok(changed) = envelope::params::<ThreadStatusChangedNotification>(params)
    {
        thread.status = changed.status;
    }
}
