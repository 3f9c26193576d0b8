//! The records of a rollout. The one table of record types stands below; the records about the whole thread are in
//! `thread.rs`; `rollout/line.rs` turns a record into a line.

use std::io::Write;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use serde_with::skip_serializing_none;
use skein_protocol::event::ThreadTokenUsage;
use skein_protocol::ids::{Epoch, EventSeq, ItemId, ThreadId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::GitInfo;
use skein_protocol::turn::{TurnError, TurnStatus, UserInput};

use skein_base::clock::WallMs;

mod answer;
mod budget;
mod files;
mod question;
mod queue;
mod thread;

pub use answer::*;
pub use budget::*;
pub use files::*;
pub use question::*;
pub use queue::*;
pub use thread::*;

/// One record of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number: one more than that of the record before it.
    pub seq: EventSeq,
    /// Its time. In the file as RFC 3339 with milliseconds, UTC.
    pub at: WallMs,
    /// Its content.
    pub body: RecordBody,
}

impl RecordBody {
    /// The settings of the thread, if the record has them.
    pub(crate) fn settings(&self) -> Option<&StoredSettings> {
        if let Self::ThreadCreated(created) = self {
            Some(&created.settings)
        } else if let Self::ThreadMeta(meta) = self {
            meta.settings.as_ref()
        } else if let Self::TurnCompleted(completed) = self {
            completed.header.settings.as_ref()
        } else {
            None
        }
    }

    /// The same settings, mutable.
    pub fn settings_mut(&mut self) -> Option<&mut StoredSettings> {
        if let Self::ThreadCreated(created) = self {
            Some(&mut created.settings)
        } else if let Self::ThreadMeta(meta) = self {
            meta.settings.as_mut()
        } else if let Self::TurnCompleted(completed) = self {
            completed.header.settings.as_mut()
        } else {
            None
        }
    }
}

impl Record {
    /// Whether a reader from the end knows the whole thread at this record.
    pub fn tells_of_all(&self) -> bool {
        self.header().is_some()
    }

    /// The header of the thread, if this record is the end of a turn with a full one.
    pub(crate) fn header(&self) -> Option<&ThreadHeader> {
        if let RecordBody::TurnCompleted(completed) = &self.body {
            Some(&completed.header).filter(|header| header.opened.is_some())
        } else {
            None
        }
    }
}

macro_rules! records {
    ($( $(#[doc = $doc:literal])+ $name:ident = $wire:literal; )+) => {
        /// The content of a record. Every `turn.*` and `item.*` record names its turn.
        #[derive(Debug, Clone, PartialEq)]
        pub enum RecordBody {
            $( $(#[doc = $doc])+ $name(Box<$name>), )+
            /// A record of a later version, kept and skipped.
            Unknown(Box<UnknownRecord>),
        }

        impl RecordBody {
            /// The record's type, as in its line.
            pub fn kind(&self) -> &str {
                match self {
                    $( Self::$name(_) => $wire, )+
                    Self::Unknown(unknown) => &unknown.kind,
                }
            }

            /// Writes the members behind `type` as a JSON object.
            pub(super) fn write_members(&self, out: impl Write) -> Result<(), serde_json::Error> {
                match self {
                    $( Self::$name(body) => serde_json::to_writer(out, body), )+
                    Self::Unknown(unknown) => serde_json::to_writer(out, &unknown.members),
                }
            }

            /// The same members, to change them before they are written.
            pub(super) fn members(&self) -> Result<Value, serde_json::Error> {
                match self {
                    $( Self::$name(body) => serde_json::to_value(body), )+
                    Self::Unknown(unknown) => serde_json::to_value(&unknown.members),
                }
            }

            /// Whether this version knows the record type `kind`.
            pub(super) fn knows(kind: &str) -> bool {
                matches!(kind, $( $wire )|+)
            }

            /// Reads the members of a record of the type `kind`; `None` for a type that this version does not know.
            pub(super) fn read<'l, D: Deserializer<'l>>(kind: &str, line: D) -> Option<Result<Self, D::Error>> {
                match kind {
                    $( $wire => Some($name::deserialize(line).map(|body| Self::$name(Box::new(body)))), )+
                    _ => None,
                }
            }
        }

        $( impl From<$name> for RecordBody {
            fn from(body: $name) -> Self {
                Self::$name(Box::new(body))
            }
        }

        impl $name {
            /// The record's type, as in its line.
            pub const KIND: &'static str = $wire;
        } )+
    };
}

records! {
    /// The thread begins.
    ThreadCreated = "thread.created";
    /// An owner loaded the thread: the first record of every load.
    ThreadOpened = "thread.opened";
    /// An owner unloaded the thread: no record of that load is missing before it.
    ThreadClosed = "thread.closed";
    /// The thread has a new name.
    ThreadNamed = "thread.named";
    /// The thread has new settings, or a new description of its repository.
    ThreadMeta = "thread.meta";
    /// The user has read the thread, or has marked it as unread.
    ThreadRead = "thread.read";
    /// The thread has a new goal, or none any more.
    GoalChanged = "thread.goal";
    /// A message waits in the queue.
    QueueAdded = "queue.added";
    /// A message of the queue has another input.
    QueueUpdated = "queue.updated";
    /// The queue has another order.
    QueueMoved = "queue.moved";
    /// A client has deleted a message of the queue.
    QueueRemoved = "queue.removed";
    /// A turn begins.
    TurnStarted = "turn.started";
    /// An item begins.
    ItemStarted = "item.started";
    /// More text of an item that is not done.
    ItemCheckpoint = "item.checkpoint";
    /// An item has ended.
    ItemCompleted = "item.completed";
    /// A model's answer with tool calls.
    ModelAnswer = "model.answer";
    /// Files of a message were read for a model.
    FilesRead = "files.read";
    /// A question waits for an answer.
    QuestionAsked = "question.asked";
    /// A client has answered a question.
    QuestionAnswered = "question.answered";
    /// A question has ended without an answer.
    QuestionClosed = "question.closed";
    /// A helper is about to hear of a call.
    CallBegun = "call.begun";
    /// A helper wants to know something before it answers a call.
    CallPaused = "call.paused";
    /// A load goes on with the open turn.
    TurnResumed = "turn.resumed";
    /// A request to a model begins.
    ModelAsked = "model.asked";
    /// A turn has ended.
    TurnCompleted = "turn.completed";
    /// The tokens that the model has used.
    TurnUsage = "usage";
    /// A summary has replaced older history for the model.
    Compacted = "compacted";
    /// A client has injected items for the model.
    ItemsInjected = "items.injected";
    /// The newest turns were reverted.
    Reverted = "reverted";
    /// The thread was archived.
    Archived = "archived";
    /// The thread was unarchived.
    Unarchived = "unarchived";
    /// The records before this one were copied from another thread.
    Forked = "forked";
    /// The records up to a number were made from another program's files.
    Imported = "imported";
}

/// `turn.started`. With `item_id` it is the user's message too: a crash before the message's own records loses
/// nothing.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnStarted {
    /// The turn.
    pub turn_id: TurnId,
    /// The user's input.
    pub input: Vec<UserInput>,
    /// The item id of the user's message; none for a turn that no message began.
    pub item_id: Option<ItemId>,
    /// The client's id of the message (`clientUserMessageId`).
    pub client_id: Option<String>,
    /// The client's wishes for this turn only.
    pub terms: Option<Box<TurnTerms>>,
}

/// `item.started`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemStarted {
    /// The turn.
    pub turn_id: TurnId,
    /// The item at its start.
    pub item: ThreadItem,
}

/// The text of an item that a checkpoint continues. An index counts from 0 and is at most one above the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ItemText {
    /// The text of an agent message or a plan, or the output of a command.
    Body,
    /// A part of a reasoning summary.
    Summary(usize),
    /// A part of a reasoning text.
    Content(usize),
}

/// `item.checkpoint`: the text since the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemCheckpoint {
    /// The turn.
    pub turn_id: TurnId,
    /// The item.
    pub item_id: ItemId,
    /// The text's place in the item.
    pub to: ItemText,
    /// The added text.
    pub added: String,
}

/// `item.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemCompleted {
    /// The turn.
    pub turn_id: TurnId,
    /// The item in its final form.
    pub item: ThreadItem,
}

/// `turn.completed`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnCompleted {
    /// The turn.
    pub turn_id: TurnId,
    /// Its start in Unix milliseconds, so that a reader from the end knows its length.
    pub started_at_ms: Option<i64>,
    /// Its outcome.
    pub status: TurnStatus,
    /// The reason of its failure.
    pub error: Option<TurnError>,
    /// Whether clients learned that it is not saved. They may send its messages again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsaved: bool,
    /// The thread at this point, so that a reader from the end need not read the rest.
    pub header: ThreadHeader,
    /// Offsets for backward reads. The file store sets them in the line that it writes.
    pub place: Option<TurnPlace>,
}

/// The whole thread at the end of a turn.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadHeader {
    #[serialize_always]
    pub(crate) name: Option<String>,
    /// Its settings. Missing if an earlier header since `settings_at` has the same.
    pub(crate) settings: Option<StoredSettings>,
    /// The first record with those settings. Missing in headers of an earlier version.
    pub(crate) settings_at: Option<EventSeq>,
    /// Used tokens, in total and of the last request.
    #[serialize_always]
    pub(crate) usage: Option<ThreadTokenUsage>,
    /// The use of models so far, with requests whose usage was not reported. Missing if it has used nothing, and in
    /// headers of an earlier version.
    pub(crate) spent: Option<Spent>,
    pub(crate) epoch: Epoch,
    pub(crate) git_info: Option<GitInfo>,
    /// The last `thread.opened`. Without it, in a file of another program, a reader goes on to the beginning.
    pub(crate) opened: Option<ThreadOpened>,
    /// Its last activity before this turn's end, as lists show it; Unix milliseconds.
    pub(crate) updated_at_ms: Option<i64>,
    /// The stretches that reverts took back, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) taken_back: Vec<TakenBack>,
    /// The thread that its history began with, if this thread is a fork.
    pub forked: Option<ForkOrigin>,
    /// The user's read position. Missing in headers of an earlier version: everything is read.
    pub read: Option<ReadPosition>,
    pub(crate) goal: Option<Goal>,
    /// The messages that wait. Missing if there are none.
    pub(crate) queue: Option<QueueHeader>,
    /// The beginning of the first message, if a revert took back the first `turn.started`.
    pub preview: Option<String>,
}

/// Records whose turns a revert took back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// The `turn.started` of the first reverted turn.
    pub(crate) from: EventSeq,
    /// The `reverted` record.
    pub(crate) to: EventSeq,
}

impl TakenBack {
    /// Whether it took back the turn that begins with record `seq`.
    pub fn holds(&self, seq: EventSeq) -> bool {
        (self.from..=self.to).contains(&seq)
    }
}

/// The origin of a fork.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForkOrigin {
    /// The thread that its history began with.
    pub from: ThreadId,
    /// The number of its `forked`, behind the copied records; 0 if an earlier version has written this.
    #[serde(default)]
    pub(crate) seq: EventSeq,
    /// The time of the fork, Unix milliseconds.
    pub(crate) at_ms: i64,
    /// Its creator, in the client's words, if the client named one.
    pub(crate) thread_source: Option<String>,
    pub(crate) originator: Option<String>,
}

/// Byte offsets in the rollout's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnPlace {
    /// The turn's `turn.started`.
    pub turn_at: u64,
    /// The last `compacted`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted_at: Option<u64>,
}

/// `usage`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnUsage {
    /// The turn.
    pub turn_id: TurnId,
    /// In total, and of the last request.
    pub usage: ThreadTokenUsage,
}

/// `compacted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compacted {
    /// The turn with the compaction.
    pub turn_id: TurnId,
    /// The model's replacement for everything before.
    pub summary: String,
    /// The messages that stay word for word at the end. Missing in records of an earlier version.
    #[serde(default, skip_serializing_if = "KeptMessages::is_messages")]
    pub kept: KeptMessages,
}

/// The end of a conversation that a compaction keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeptMessages {
    /// Messages that no model has answered.
    #[default]
    Messages,
    /// Those messages, and before them the last answer with its calls and results, if no model has read the results.
    Results,
}

impl KeptMessages {
    fn is_messages(&self) -> bool {
        *self == Self::Messages
    }
}

/// `items.injected`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemsInjected {
    /// In the form of the model's interface, as the client sent them.
    pub items: Vec<Value>,
}

/// `reverted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reverted {
    /// The first reverted turn; all later turns are reverted too.
    pub before_turn_id: TurnId,
    /// The number of that turn's `turn.started`, for readers that have not reached it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<EventSeq>,
    /// The epoch from here on.
    pub epoch: Epoch,
}

/// A record that this version cannot read: another `v`, another `type`, or other members.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownRecord {
    /// The line's `v`.
    pub(crate) version: u64,
    /// The line's `type`.
    pub(crate) kind: String,
    pub(crate) members: Map<String, Value>,
}
