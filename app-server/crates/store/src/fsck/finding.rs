//! What can be wrong with a home, and what became of it. Pure.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use skein_protocol::ids::{EventSeq, ThreadId};

use super::blobs::Unnamed;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Defect {
    /// A rollout ends within a line: a write that never came to its end. A load cuts it off.
    TornEnd,
    /// Whole lines that cannot be read, or that are missing.
    Damage,
    /// A record whose large text is not in `blobs/`, or not as it was written.
    LostText,
    /// The secrets of a thread cannot be read: its helpers start without.
    Secrets,
    /// Not one line of a rollout can be read.
    Unreadable,
    /// A rollout without one whole line: its first write never came to its end, and nothing of it was acknowledged.
    Begun,
    /// The first records are not those that begin a thread.
    Beginning,
    /// The thread that the records name is not the one that the file is named after.
    Identity,
    /// The number of an ownership fell.
    Term,
    /// The version of the history fell.
    Epoch,
    /// Turns that do not follow each other as turns do.
    Turn,
    /// Items that do not follow each other as items do.
    Item,
    /// The end of a turn says other things of its thread than the records before it.
    Header,
    /// The end of a turn names a place in the file at which something else stands.
    Place,
    /// Something follows a `thread.closed` that is no `thread.opened`.
    Close,
    /// A file or folder that is none of ours.
    Foreign,
    /// A link, or something that is neither file nor folder, in a place of ours.
    NotRegular,
    /// A rollout in a folder that is not its own: nobody finds it there.
    WrongFolder,
    /// A thread with two rollouts.
    Twice,
    /// A mark of an open rollout, and no rollout.
    MarkerAlone,
    /// A rollout whose last turn has no end, without the mark that says so.
    Unmarked,
    /// A folder that every home has.
    NoFolder,
    /// Others may get in: a folder that is not 0700, or a file that is not 0600.
    Mode,
    /// What was left of work that was broken off.
    Leftover,
    /// `server.json` names a server that is not there.
    ServerJson,
    /// The lock cannot be understood: the next server counts on from the time of day.
    Lock,
    /// The index cannot be opened or read.
    Index,
    /// A thread has no row in the index, and nothing says that it will get one.
    NoRow,
    /// The row of a thread says other things than its rollout.
    StaleRow,
    /// The index has a row, and there is no rollout.
    RowAlone,
    /// It cannot be read, so nothing is known of it.
    Unreachable,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FindingOutcome {
    /// Nothing: it was only looked for.
    Found,
    /// It is mended.
    Mended,
    /// It cannot be mended without loss, and is as it was.
    Left,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FsckFinding {
    /// What.
    pub(crate) kind: Defect,
    /// Where: a path below the home.
    #[serde(serialize_with = "crate::home::lossy")]
    pub(crate) path: PathBuf,
    /// Of which thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) thread: Option<ThreadId>,
    /// The record that it is about, or the last good one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<EventSeq>,
    /// Where it begins in the file, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<u64>,
    /// How long it is, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<u64>,
    /// In words.
    pub(crate) detail: String,
    /// What became of it.
    pub(crate) outcome: FindingOutcome,
}

impl FsckFinding {
    /// Something that is wrong with what stands at `path`, and of which nothing more is known.
    #[must_use]
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

    /// The same, of a thread.
    #[must_use]
    pub(crate) fn of(mut self, thread: ThreadId) -> Self {
        self.thread = Some(thread);
        self
    }

    /// The same, at a record and a place in the file.
    #[must_use]
    pub(crate) fn at(mut self, seq: EventSeq, offset: u64) -> Self {
        (self.seq, self.offset) = (Some(seq), Some(offset));
        self
    }

    /// The same, so long.
    #[must_use]
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

/// What was looked at, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FsckSummary {
    /// Rollouts that were read.
    pub rollouts: u64,
    /// Records in them.
    pub records: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Rollouts whose last turn has no end, and that are marked: the next server ends it.
    pub(crate) open: u64,
    /// Whether the index was compared with the rollouts.
    pub index: IndexLook,
    /// What stands beside the rollouts; nothing where only some threads were checked.
    #[serde(default)]
    pub blobs: BlobSummary,
    /// Things that were wrong.
    pub findings: u64,
    /// Of these mended.
    pub mended: u64,
    /// Of these not mended.
    pub left: u64,
    /// Of these places that could not be read at all.
    pub(crate) unreachable: u64,
}

/// Texts that are too large for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobSummary {
    /// Files.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Those of them that no rollout names. They are looked for where nobody serves the home.
    pub unnamed: u64,
    /// Bytes of those.
    pub unnamed_bytes: u64,
    /// Those of them that were removed.
    pub removed: u64,
    /// Bytes of those.
    pub removed_bytes: u64,
}

impl BlobSummary {
    /// Takes note of a text that no rollout names.
    pub(crate) fn count(&mut self, unnamed: &Unnamed) {
        self.unnamed += 1;
        self.unnamed_bytes += unnamed.bytes;
        if unnamed.removed {
            self.removed += 1;
            self.removed_bytes += unnamed.bytes;
        }
    }
}

/// What was done about the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IndexLook {
    /// There is none, or it is being made: the next server makes it.
    #[default]
    None,
    /// A server has it.
    Served,
    /// It cannot be written, as on a disk that is mounted read-only, and to open it is to write to it. That is not wrong.
    NotCompared,
    /// Each row was compared.
    Compared,
    /// It could not be read.
    Unreadable,
    /// It was made anew.
    MadeAnew,
}

impl FsckSummary {
    /// Takes note of a finding.
    pub(crate) fn count(&mut self, finding: &FsckFinding) {
        self.findings += 1;
        match finding.outcome {
            FindingOutcome::Mended => self.mended += 1,
            FindingOutcome::Found | FindingOutcome::Left => self.left += 1,
        }
        self.unreachable += u64::from(finding.kind == Defect::Unreachable);
    }

    /// The exit code, as of fsck(8): 0 nothing is wrong, 1 something was mended, 4 something is left, 8 something could
    /// not be looked at; or their sum.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let bit = |set: bool, code: u8| if set { code } else { 0 };
        bit(self.mended > 0, 1) | bit(self.left > self.unreachable, 4) | bit(self.unreachable > 0, 8)
    }
}
