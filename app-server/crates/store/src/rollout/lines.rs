//! The lines of threads as bytes, for programs that move them from one store to another, or check them.
//!
//! No server runs on a store whose lines move. A line keeps its number and its bytes, also if it is damaged or of a kind that this
//! version does not know. A thread appears at its target with [`RawLines::finish`], and not before.

use std::io;

use async_trait::async_trait;
use skein_base::clock::WallMs;
use skein_protocol::ids::{EventSeq, ThreadId};

use super::blob::BlobName;
use super::record::SecretValues;
use crate::home::Term;

/// The place of a thread in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In the ordinary lists.
    Active,
    /// Archived.
    Archived,
    /// Deleted at this time, and not purged.
    Trash(WallMs),
}

/// A thread of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredThread {
    /// The thread.
    pub thread: ThreadId,
    /// Its place.
    pub placement: Placement,
    /// Whether its end may not be closed and listed.
    pub open: bool,
}

/// A line with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedLine {
    /// The number of its record, or of the damage in its place.
    pub seq: EventSeq,
    /// Its bytes without the newline.
    pub bytes: Vec<u8>,
}

/// Where a read of lines goes on. The default is the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCursor {
    /// The number of the last line before.
    pub after: EventSeq,
    /// The offset behind it, in a store of files.
    pub offset: u64,
}

/// Some lines of a thread, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinePage {
    /// The lines.
    pub lines: Vec<NumberedLine>,
    /// Bytes of damage for which there is no number. They stay at the source.
    pub unnumbered: u64,
    /// Where the next page begins; `None` at the end.
    pub next: Option<LineCursor>,
}

/// Facts of a thread that a store notes beside its lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineSummary {
    /// The number of the last line.
    pub head: EventSeq,
    /// The number of the last record that tells of all; 0 if there is none.
    pub header: EventSeq,
    /// The highest term of a `thread.opened`.
    pub term: Term,
}

/// The lines of a store that no server has.
#[async_trait]
pub trait RawLines: Send + Sync {
    /// The number of all threads.
    async fn count(&self) -> io::Result<u64>;

    /// The threads behind `after`, by id, at most `limit`.
    async fn stored(&self, after: Option<ThreadId>, limit: usize) -> io::Result<Vec<StoredThread>>;

    /// The thread, if the store has it.
    async fn find(&self, thread: ThreadId) -> io::Result<Option<StoredThread>>;

    /// The next lines of a thread.
    async fn read(&self, of: &StoredThread, from: LineCursor) -> io::Result<LinePage>;

    /// The bytes of a large text; `None` if it is lost.
    async fn text(&self, name: BlobName) -> io::Result<Option<Vec<u8>>>;

    /// The secrets of a thread.
    async fn secret_values(&self, thread: ThreadId) -> io::Result<SecretValues>;

    /// Removes a thread that a move has written, so that it can be written again.
    async fn take_back(&self, there: &StoredThread) -> io::Result<()>;

    /// Removes what an interrupted move of the thread has left.
    async fn begin(&self, of: &StoredThread) -> io::Result<()>;

    /// Adds a text that a line of the thread refers to.
    async fn put_text(&self, thread: ThreadId, name: BlobName, bytes: Vec<u8>) -> io::Result<()>;

    /// Adds lines behind those before.
    async fn put(&self, of: &StoredThread, lines: &[NumberedLine]) -> io::Result<()>;

    /// Makes the lines a thread in its place, durably, with its secrets.
    async fn finish(&self, of: &StoredThread, end: LineSummary, secrets: SecretValues) -> io::Result<()>;

    /// Has lists show a finished thread, where the store has them.
    async fn list(&self, of: &StoredThread) -> io::Result<()>;
}
