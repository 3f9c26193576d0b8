//! What a rollout says, record by record. The one table of record types is at the end of this file's head; the records about
//! the thread as a whole are in `thread.rs`; how a record becomes a line is in `rollout/line.rs`.

use std::io::Write;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use skein_protocol::event::ThreadTokenUsage;
use skein_protocol::ids::{Epoch, EventSeq, ItemId, ThreadId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::GitInfo;
use skein_protocol::turn::{TurnError, TurnStatus, UserInput};

use skein_base::clock::WallMs;

mod answer;
mod files;
mod thread;

pub use answer::*;
pub use files::*;
pub use thread::*;

/// One record of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number: one more than that of the record before it.
    pub seq: EventSeq,
    /// When it was made. In the file as RFC 3339 with milliseconds, UTC.
    pub at: WallMs,
    /// What it says.
    pub body: RecordBody,
}

impl RecordBody {
    /// The settings of the thread, where the record says them.
    #[must_use]
    pub(crate) fn settings(&self) -> Option<&ThreadSettings> {
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

    /// The same, to change them.
    pub fn settings_mut(&mut self) -> Option<&mut ThreadSettings> {
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
    /// Whether a reader that comes from the end has to read no further back to know the thread.
    #[must_use]
    pub(crate) fn tells_of_all(&self) -> bool {
        self.header().is_some()
    }

    /// The thread as a whole, where this is the end of a turn that says all of it.
    #[must_use]
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
        /// What a record says. Every `turn.*` and `item.*` record names its turn.
        #[derive(Debug, Clone, PartialEq)]
        pub enum RecordBody {
            $( $(#[doc = $doc])+ $name(Box<$name>), )+
            /// A record of a later version, kept and passed over.
            Unknown(Box<UnknownRecord>),
        }

        impl RecordBody {
            /// The record's type, as its line says it.
            #[must_use]
            pub fn kind(&self) -> &str {
                match self {
                    $( Self::$name(_) => $wire, )+
                    Self::Unknown(unknown) => &unknown.kind,
                }
            }

            /// Writes the members behind `type`, as a JSON object.
            pub(super) fn write_members(&self, out: impl Write) -> Result<(), serde_json::Error> {
                match self {
                    $( Self::$name(body) => serde_json::to_writer(out, body), )+
                    Self::Unknown(unknown) => serde_json::to_writer(out, &unknown.members),
                }
            }

            /// The same, to be changed before they are written.
            pub(super) fn members(&self) -> Result<Value, serde_json::Error> {
                match self {
                    $( Self::$name(body) => serde_json::to_value(body), )+
                    Self::Unknown(unknown) => serde_json::to_value(&unknown.members),
                }
            }

            /// Whether this version knows records of the type `kind`.
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
            /// The record's type, as its line says it.
            pub const KIND: &'static str = $wire;
        } )+
    };
}

records! {
    /// The thread begins.
    ThreadCreated = "thread.created";
    /// An owner loaded the thread: the first record of every load.
    ThreadOpened = "thread.opened";
    /// An owner unloaded the thread: nothing of that load is missing before it.
    ThreadClosed = "thread.closed";
    /// The thread has a new name.
    ThreadNamed = "thread.named";
    /// The thread has new settings or a new description of its repository.
    ThreadMeta = "thread.meta";
    /// The user has read the thread, or marked it as unread.
    ThreadRead = "thread.read";
    /// The thread is to reach something else, or nothing any more.
    ThreadGoal = "thread.goal";
    /// A turn begins.
    TurnStarted = "turn.started";
    /// An item begins.
    ItemStarted = "item.started";
    /// More text of an item that is not done.
    ItemCheckpoint = "item.checkpoint";
    /// An item is done.
    ItemCompleted = "item.completed";
    /// A model's answer calls tools.
    ModelAnswer = "model.answer";
    /// Files that a message names were read for a model.
    FilesRead = "files.read";
    /// A turn is done.
    TurnCompleted = "turn.completed";
    /// What the model has used.
    Usage = "usage";
    /// Older history was replaced by a summary, for the model.
    Compacted = "compacted";
    /// A client has added to what the model sees.
    ItemsInjected = "items.injected";
    /// The newest turns were taken back.
    Reverted = "reverted";
    /// The thread was put away.
    Archived = "archived";
    /// The thread was brought back.
    Unarchived = "unarchived";
    /// What stands before this record was copied from another thread.
    Forked = "forked";
    /// The records up to a number were made from another program's.
    Imported = "imported";
}

/// `turn.started`. With `item_id` it is the user's message too: a crash before the message's own records loses nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnStarted {
    /// The turn.
    pub turn_id: TurnId,
    /// What the user said.
    pub input: Vec<UserInput>,
    /// The id that the user's message has as an item; none for a turn that no message began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_id: Option<ItemId>,
    /// The client's own name for the message (`clientUserMessageId`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// `item.started`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemStarted {
    /// The turn.
    pub turn_id: TurnId,
    /// The item as it is at its start.
    pub item: ThreadItem,
}

/// Which text of an item a checkpoint continues. An index counts from 0 and is at most one above the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ItemText {
    /// The text of an agent message or a plan, or the output of a command.
    Body,
    /// A part of a reasoning's summary.
    Summary(usize),
    /// A part of a reasoning's content.
    Content(usize),
}

/// `item.checkpoint`: what was added since the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemCheckpoint {
    /// The turn.
    pub turn_id: TurnId,
    /// The item.
    pub item_id: ItemId,
    /// Where the text belongs.
    pub to: ItemText,
    /// The text that was added.
    pub added: String,
}

/// `item.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemCompleted {
    /// The turn.
    pub turn_id: TurnId,
    /// The item as it stays.
    pub item: ThreadItem,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// `turn.completed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnCompleted {
    /// The turn.
    pub turn_id: TurnId,
    /// When it began, Unix milliseconds: a reader from the end tells its length without its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<i64>,
    /// How it ended.
    pub status: TurnStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TurnError>,
    /// Whether clients were told that it is not saved: its messages may be sent again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unsaved: bool,
    /// The thread as it is here, so that a reader from the end need not read the rest.
    pub header: ThreadHeader,
    /// Where to read on backwards. The file store sets it in the line that it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<TurnPlace>,
}

/// The thread as a whole, as of the end of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadHeader {
    /// Its name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// What it works with. Missing where an earlier header has said the same since `settings_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settings: Option<ThreadSettings>,
    /// The record that has said those settings first. Missing where an earlier version has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settings_at: Option<EventSeq>,
    /// What the model has used, in all and last.
    #[serde(default)]
    pub(crate) usage: Option<ThreadTokenUsage>,
    /// The version of the history.
    pub(crate) epoch: Epoch,
    /// Its repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) git_info: Option<GitInfo>,
    /// The last `thread.opened`. Where it is missing (a file that another program made), a reader goes on to the
    /// beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) opened: Option<ThreadOpened>,
    /// When lists say that it was last used, before this turn's end; Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) updated_at_ms: Option<i64>,
    /// Which records were taken back, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) taken_back: Vec<TakenBack>,
    /// Where its history began, when that was in another thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked: Option<ForkOrigin>,
    /// What the user has read. Missing where an earlier version has written it: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<ReadPosition>,
    /// What it is to reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<Goal>,
    /// The beginning of the first message, where it is not that of the first `turn.started`: that one was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
}

/// Records whose turns were taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// The `turn.started` of the first turn that is gone.
    pub(crate) from: EventSeq,
    /// The `reverted` that took it back.
    pub(crate) to: EventSeq,
}

impl TakenBack {
    /// Whether it took back what begins with the record `seq`.
    #[must_use]
    pub fn holds(&self, seq: EventSeq) -> bool {
        (self.from..=self.to).contains(&seq)
    }
}

/// How a fork came to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForkOrigin {
    /// The thread whose history it began with.
    pub from: ThreadId,
    /// When, Unix milliseconds.
    pub(crate) at_ms: i64,
    /// Who made it, in the client's words, where the client said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) thread_source: Option<String>,
    /// The client's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) originator: Option<String>,
}

/// Byte offsets in the rollout's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnPlace {
    /// Of the turn's `turn.started`.
    pub turn_at: u64,
    /// Of the last `compacted`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted_at: Option<u64>,
}

/// `usage`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The turn.
    pub turn_id: TurnId,
    /// In all, and of the last request.
    pub usage: ThreadTokenUsage,
}

/// `compacted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compacted {
    /// The turn in which it happened.
    pub turn_id: TurnId,
    /// What the model is told instead of everything before.
    pub summary: String,
    /// What of it stays at the end, word for word. Missing where an earlier version has written it.
    #[serde(default, skip_serializing_if = "KeptMessages::is_messages")]
    pub kept: KeptMessages,
}

/// What a compaction keeps of the end of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum KeptMessages {
    /// Messages that no model has answered.
    #[default]
    Messages,
    /// These, and before them the last answer with its calls and their results, when no model has read the results.
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
    /// In the words of the model's interface, as the client sent them.
    pub items: Vec<Value>,
}

/// `reverted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reverted {
    /// The first turn that is gone; all after it are too.
    pub before_turn_id: TurnId,
    /// The number of that turn's `turn.started`, for readers that have not come to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<EventSeq>,
    /// The version of the history from here on.
    pub epoch: Epoch,
}

/// A record that this version cannot read: another `v`, another `type`, or members of another form.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownRecord {
    /// The line's `v`.
    pub(crate) version: u64,
    /// The line's `type`.
    pub(crate) kind: String,
    /// Every other member.
    pub(crate) members: Map<String, Value>,
}
