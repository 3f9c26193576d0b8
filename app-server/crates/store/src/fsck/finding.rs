//! The possible defects of a home, and their outcomes. Pure.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;
use skein_protocol::ids::{EventSeq, ThreadId};

use super::blobs::Unnamed;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Defect {
    /// A rollout ends inside a line: an unfinished write. A load cuts it off.
    TornEnd,
    /// Whole lines are unreadable or missing.
    Damage,
    /// A record's large text is not in `blobs/`, or has changed.
    LostText,
    /// A database does not note that a thread uses a text: a purge would remove it.
    UnprotectedText,
    /// The secrets of a thread are unreadable: its helpers start without them.
    Secrets,
    /// No line of a rollout is readable.
    Unreadable,
    /// A rollout has no whole line: its first write did not finish, and nothing of it was acknowledged.
    Begun,
    /// The first records do not begin a thread.
    Beginning,
    /// The records name another thread than the file.
    Identity,
    /// A term fell.
    Term,
    /// An epoch fell.
    Epoch,
    /// The order of turns is wrong.
    Turn,
    /// The order of items is wrong.
    Item,
    /// A record changes a message that is not in the queue, or adds one twice.
    Queue,
    /// A question is asked or answered twice, or a call begins before its question is answered.
    Question,
    /// The header at the end of a turn differs from the records before it.
    Header,
    /// The end of a turn names a wrong offset.
    Place,
    /// The record behind a `thread.closed` is no `thread.opened`.
    Close,
    /// A file or folder is foreign.
    Foreign,
    /// A link, or a thing that is neither file nor folder, stands in one of our places.
    NotRegular,
    /// A rollout is in the wrong folder, where nobody finds it.
    WrongFolder,
    /// A thread has two rollouts.
    Twice,
    /// An open marker has no rollout.
    MarkerAlone,
    /// A rollout with an open last turn has no open marker.
    Unmarked,
    /// A folder is missing that every home has.
    NoFolder,
    /// Others have access: a folder is not 0700, or a file is not 0600.
    Mode,
    /// A leftover of interrupted work.
    Leftover,
    /// `server.json` names a server that does not run.
    ServerJson,
    /// The lock file cannot be parsed: the next term comes from the time of day.
    Lock,
    /// The index cannot be opened or read.
    Index,
    /// A thread has no row in the index, and no open marker leads to one.
    NoRow,
    /// The row of a thread differs from its rollout.
    StaleRow,
    /// A row has no rollout.
    RowAlone,
    /// The place cannot be read, so its state is unknown.
    Unreachable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FindingOutcome {
    /// It was only reported.
    Found,
    /// It was mended.
    Mended,
    /// It cannot be mended without loss, and is unchanged.
    Left,
}

/// A defect.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FsckFinding {
    pub(crate) kind: Defect,
    #[serde(serialize_with = "crate::home::lossy")]
    #[schemars(with = "String")]
    pub(crate) path: PathBuf,
    pub(crate) thread: Option<ThreadId>,
    /// The record, or the last good one before it.
    pub(crate) seq: Option<EventSeq>,
    /// Its offset in the file, bytes.
    pub(crate) offset: Option<u64>,
    /// Its length, bytes.
    pub(crate) length: Option<u64>,
    pub(crate) detail: String,
    pub(crate) outcome: FindingOutcome,
}

impl FsckFinding {
    /// A defect of the thing at `path`, without further details.
    pub(crate) fn new(kind: Defect, path: impl Into<PathBuf>, detail: impl Into<String>) -> Self {
        let (path, detail) = (path.into(), detail.into());
        Self {
            kind,
            path,
            thread: None,
            seq: None,
            offset: None,
            length: None,
            detail,
            outcome: FindingOutcome::Found,
        }
    }

    pub(crate) fn of(mut self, thread: ThreadId) -> Self {
        self.thread = Some(thread);
        self
    }

    /// Adds the record.
    pub(crate) fn of_record(mut self, seq: EventSeq) -> Self {
        self.seq = Some(seq);
        self
    }

    /// Adds the record and the offset.
    pub(crate) fn at(mut self, seq: EventSeq, offset: u64) -> Self {
        (self.seq, self.offset) = (Some(seq), Some(offset));
        self
    }

    pub(crate) fn long(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }
}

impl fmt::Display for FsckFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = serde_json::to_value(self.kind).unwrap_or_default();
        write!(f, "{}: {}: {}", self.path.display(), kind.as_str().unwrap_or_default(), self.detail)?;
        if let Some(seq) = self.seq {
            write!(f, ", record {seq}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        if let Some(length) = self.length {
            write!(f, ", {length} bytes")?;
        }
        f.write_str(match self.outcome {
            FindingOutcome::Found => "",
            FindingOutcome::Mended => " (mended)",
            FindingOutcome::Left => " (left as it is)",
        })
    }
}

/// The checked parts of a home, and the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FsckSummary {
    /// Rollouts read.
    pub rollouts: u64,
    /// Records in them.
    pub records: u64,
    /// Their size in bytes.
    pub(crate) bytes: u64,
    /// Rollouts with an open last turn and an open marker: the next server ends that turn.
    pub open: u64,
    /// Whether the index was compared with the rollouts.
    pub index: IndexLook,
    /// The state of externalised texts; empty if only some threads were checked.
    #[serde(default)]
    pub blobs: BlobSummary,
    /// Defects.
    pub findings: u64,
    /// Mended defects.
    pub mended: u64,
    /// Defects that were not mended.
    pub left: u64,
    /// Places that could not be read at all.
    pub(crate) unreachable: u64,
}

/// Externalised texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlobSummary {
    /// All of them.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Those that no rollout names. In a home they are looked for while no server owns it.
    pub unnamed: u64,
    /// Their size in bytes.
    pub unnamed_bytes: u64,
    /// Unnamed files that were removed.
    pub removed: u64,
    /// Their size in bytes.
    pub removed_bytes: u64,
}

impl BlobSummary {
    /// Counts a text that no rollout names.
    pub(crate) fn count(&mut self, unnamed: &Unnamed) {
        self.unnamed += 1;
        self.unnamed_bytes += unnamed.bytes;
        if unnamed.removed {
            self.removed += 1;
            self.removed_bytes += unnamed.bytes;
        }
    }
}

/// The check of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum IndexLook {
    /// There is none, or it is being made: the next server makes it.
    #[default]
    None,
    /// A server uses it.
    Served,
    /// It cannot be written, for example on a read-only disk, and opening it would write to it. That is no defect.
    NotCompared,
    /// Each row was compared.
    Compared,
    /// It was unreadable.
    Unreadable,
    /// It was rebuilt.
    MadeAnew,
}

impl FsckSummary {
    pub(crate) fn count(&mut self, finding: &FsckFinding) {
        self.findings += 1;
        match finding.outcome {
            FindingOutcome::Mended => self.mended += 1,
            FindingOutcome::Found | FindingOutcome::Left => self.left += 1,
        }
        self.unreachable += u64::from(finding.kind == Defect::Unreachable);
    }

    /// The exit code, as in fsck(8): 0 no defect, 1 something was mended, 4 something is left, 8 something could not
    /// be read; or their sum.
    pub fn exit_code(&self) -> u8 {
        let bit = |set: bool, code: u8| if set { code } else { 0 };
        bit(self.mended > 0, 1) | bit(self.left > self.unreachable, 4) | bit(self.unreachable > 0, 8)
    }
}
