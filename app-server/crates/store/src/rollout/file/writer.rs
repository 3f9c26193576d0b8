//! The end of one rollout's file: durable bytes, written but unsynced bytes, and recovery after a disk error.
//! Everything here blocks.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use skein_base::descriptors;
use skein_protocol::ids::{EventSeq, ThreadId};

use super::layer::{LayerFile, OpenMode};
use super::scan::{self, Scan, TurnOffsets};
use super::{RolloutPaths, StoreCounters, blobs, pages, secrets};
use crate::home::Term;
use crate::policy;
use crate::rollout::blob::Blob;
use crate::rollout::record::{Record, RecordBody, TurnPlace};
use crate::rollout::{AppendError, DiskKind, Keep, Lease, LoadRepair, Loaded, ReadError, line, order};

/// The only writer of a rollout.
pub(super) struct RolloutWriter {
    thread: ThreadId,
    path: PathBuf,
    places: Arc<RolloutPaths>,
    /// None while the rollout does not exist, or after its file was closed to save a descriptor.
    file: Option<Box<dyn LayerFile>>,
    /// Bytes that are durably on disk.
    synced: u64,
    /// Acknowledged bytes behind those, which a failed sync may lose.
    unsynced: Vec<u8>,
    /// Set after an error: the file may hold anything behind `synced`.
    suspect: bool,
    /// Whether the file's name is durably on disk.
    name_synced: bool,
    head: EventSeq,
    term: Term,
    offsets: TurnOffsets,
}

impl RolloutWriter {
    pub(crate) fn new(places: &Arc<RolloutPaths>, thread: ThreadId) -> Self {
        Self {
            thread,
            path: places.rollout(thread),
            places: Arc::clone(places),
            file: None,
            synced: 0,
            unsynced: Vec::new(),
            suspect: false,
            name_synced: false,
            head: EventSeq(0),
            term: Term(0),
            offsets: TurnOffsets::default(),
        }
    }

    /// The writer of an existing rollout, after repair, and the rollout's end.
    pub(crate) fn open(places: &Arc<RolloutPaths>, thread: ThreadId) -> Result<(Self, Loaded), ReadError> {
        let mut writer = Self::new(places, thread);
        places.counters.loads.fetch_add(1, Relaxed);
        let disk = |source| ReadError::Disk { thread, source };
        places.settle(thread).map_err(disk)?;
        let (file, path) =
            places.open_rollout(thread, OpenMode::Write).map_err(|error| scan::open_error(thread, error))?;
        writer.path = path;
        let end = file.len().map_err(disk)?;
        let from = pages::last_header(&*file, &places.blobs, end).map_err(disk)?;
        let found = scan::scan(&*file, &places.blobs, thread, from, end)?;
        let closed =
            found.records.last().is_some_and(|last| matches!(last.body, RecordBody::ThreadClosed(_)));
        if found.keep < end {
            places.set_open_marker(thread).map_err(disk)?;
            file.truncate(found.keep).map_err(disk)?;
            report_cut(thread, &found, end);
        }
        if !closed || found.keep < end {
            // The last writer did not end in order. Records that are read here and sent to clients must be on disk.
            places.sync(&*file).map_err(disk)?;
        }
        for lost in &found.lost {
            tracing::warn!(%thread, seq = %lost.seq, lost = %lost.lost, "a text of a rollout is lost; the rest was read");
        }
        for damage in &found.damage {
            tracing::warn!(%thread, ?damage, "a rollout is damaged; the damage stays, the rest was read");
        }
        writer.file = Some(file);
        (writer.synced, writer.head, writer.term, writer.offsets) =
            (found.keep, found.head, found.term, found.offsets);
        let repair = LoadRepair { cut: end - found.keep, damage: found.damage };
        Ok((writer, Loaded { end: found.records, head: found.head, repair }))
    }

    /// The end of the acknowledged bytes.
    pub(crate) fn end(&self) -> u64 {
        self.synced + self.unsynced.len() as u64
    }

    /// Whether the file is in doubt after an error.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// The latest term that has opened the thread.
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Appends records. With `Keep::Power` and no records it only syncs earlier ones.
    pub(crate) fn append(
        &mut self,
        lease: Lease,
        expected: EventSeq,
        mut records: Vec<Record>,
        keep: Keep,
    ) -> Result<EventSeq, AppendError> {
        let head = order::check(lease, expected, &records, self.head, self.term)?;
        let EncodedLines { bytes, offsets, blobs } =
            encode(&mut records, self.end(), self.offsets).map_err(|error| self.refused(error.into()))?;
        blobs::keep(&self.places, self.thread, &blobs).map_err(|error| self.refused(error))?;
        secrets::keep(&self.places, self.thread, &records).map_err(|error| self.refused(error))?;
        self.write(bytes, keep).map_err(|error| self.refused(error))?;
        self.head = head;
        self.offsets = offsets;
        self.term = records.iter().filter_map(order::term_of).max().max(Some(self.term)).unwrap_or(self.term);
        self.places.counters.appends.fetch_add(1, Relaxed);
        Ok(head)
    }

    /// After an error, writes all uncertain bytes again, and syncs them.
    pub(crate) fn mend(&mut self) -> io::Result<()> {
        if self.suspect { self.write(Vec::new(), Keep::Power) } else { Ok(()) }
    }

    /// Closes the file until the next write, once all of it is on disk; returns whether it did.
    pub(crate) fn close(&mut self) -> bool {
        let has_rest = !self.suspect && self.file.is_some() && !self.is_on_disk();
        if self.suspect || (has_rest && self.write(Vec::new(), Keep::Power).is_err()) {
            return false;
        }
        self.file.take().is_some()
    }

    fn write(&mut self, bytes: Vec<u8>, keep: Keep) -> io::Result<()> {
        if bytes.is_empty() && !self.suspect && (keep == Keep::Process || self.is_on_disk()) {
            return Ok(());
        }
        self.places.set_open_marker(self.thread)?;
        let outcome = self.write_and_sync(&bytes, keep);
        self.suspect = outcome.is_err();
        if outcome? == Keep::Power {
            self.synced = self.end() + bytes.len() as u64;
            self.unsynced = Vec::new();
            if !descriptors::have_room_for(0) {
                // The reserve is for current readers and writers.
                self.file = None;
            }
        } else {
            self.unsynced.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// Returns the durability reached: more than asked for if too many bytes would wait for a sync.
    fn write_and_sync(&mut self, bytes: &[u8], keep: Keep) -> io::Result<Keep> {
        let end = self.end();
        let file = match self.file.take() {
            Some(file) => file,
            None if end > 0 => self.open_again()?,
            None => self.create()?,
        };
        let file = self.file.insert(file);
        if self.suspect {
            // A failed sync may have dropped the pages, and the next one would wrongly succeed: only a second write
            // brings them to disk. The cut comes first, so that a crash leaves no unacknowledged bytes.
            file.truncate(end)?;
            file.write_at(&self.unsynced, self.synced)?;
        }
        if !bytes.is_empty() {
            file.write_at(bytes, end)?;
        }
        if keep == Keep::Process && self.unsynced.len() + bytes.len() <= policy::ROLLOUT_UNSYNCED {
            return Ok(Keep::Process);
        }
        self.places.sync(&**file)?;
        if !self.name_synced {
            self.places.sync_name(&self.path)?;
            self.name_synced = true;
        }
        Ok(Keep::Power)
    }

    /// Reopens the file that was closed to save a descriptor.
    fn open_again(&self) -> io::Result<Box<dyn LayerFile>> {
        let file = self.places.layer.open(&self.path, OpenMode::Write)?;
        let (found, end) = (file.len()?, self.end());
        if found < end {
            return Err(io::Error::other(format!("it has {found} bytes, and had {end} when it was closed")));
        }
        Ok(file)
    }

    /// Creates the file. An existing file without a whole line is a failed try, and is emptied.
    fn create(&self) -> io::Result<Box<dyn LayerFile>> {
        let layer = &self.places.layer;
        self.path.parent().map_or(Ok(()), |folder| layer.make_folder(folder))?;
        match layer.open(&self.path, OpenMode::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = layer.open(&self.path, OpenMode::Write)?;
                let left = scan::scan(&*there, &self.places.blobs, self.thread, 0, there.len()?);
                if !matches!(left, Err(ReadError::Missing(_))) {
                    return Err(error);
                }
                there.truncate(0)?;
                Ok(there)
            }
            made => made,
        }
    }

    fn is_on_disk(&self) -> bool {
        self.unsynced.is_empty() && (self.name_synced || self.file.is_none())
    }

    fn refused(&self, source: io::Error) -> AppendError {
        self.places.counters.errors.fetch_add(1, Relaxed);
        let (thread, head) = (self.thread, self.head);
        AppendError::Disk { thread, kind: DiskKind::of(&source), head, source }
    }
}

/// Encoded lines of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedLines {
    /// The bytes for the file.
    pub bytes: Vec<u8>,
    /// The turn offsets behind them.
    pub offsets: TurnOffsets,
    /// The texts that they refer to, which must be on disk before them.
    pub blobs: Vec<Blob>,
}

/// Encodes `records`, the first of which begins at byte `at` of its file. A `turn.completed` gets its turn offsets.
///
/// # Errors
/// As [`line::encode`].
pub fn encode(
    records: &mut [Record],
    at: u64,
    offsets: TurnOffsets,
) -> Result<EncodedLines, serde_json::Error> {
    let mut lines = EncodedLines { bytes: Vec::new(), offsets, blobs: Vec::new() };
    for record in records {
        lines.offsets.note(record, at + lines.bytes.len() as u64);
        if let RecordBody::TurnCompleted(completed) = &mut record.body {
            let TurnOffsets { turn, compacted } = lines.offsets;
            completed.place = turn.map(|turn_at| TurnPlace { turn_at, compacted_at: compacted });
        }
        line::encode_small(record, &mut lines.bytes, &mut lines.blobs)?;
    }
    Ok(lines)
}

fn report_cut(thread: ThreadId, found: &Scan, end: u64) {
    let cut = end - found.keep;
    tracing::warn!(%thread, bytes = cut, last = %found.head, "a rollout's torn end was cut off");
}

impl StoreCounters {
    /// Counts a failed operation other than an append.
    pub(super) fn failed<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if outcome.is_err() {
            self.errors.fetch_add(1, Relaxed);
        }
        outcome
    }
}
