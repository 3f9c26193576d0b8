//! The end of one rollout's file: what is on disk for certain, what is written but not synced, and what to do when the
//! disk refuses. Everything here blocks.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use skein_base::descriptors;
use skein_protocol::ids::{EventSeq, ThreadId};

use super::layer::{LayerFile, OpenMode};
use super::scan::{self, Scan, TurnOffsets};
use super::{Counters, RolloutPaths, blobs, pages, secrets};
use crate::home::Term;
use crate::policy;
use crate::rollout::blob::Blob;
use crate::rollout::record::{Record, RecordBody, TurnPlace};
use crate::rollout::{AppendError, DiskKind, Keep, Lease, LoadRepair, Loaded, ReadError, line, order};

/// The one writer of a rollout.
pub(super) struct RolloutWriter {
    thread: ThreadId,
    path: PathBuf,
    places: Arc<RolloutPaths>,
    /// None while the rollout is not there yet, or was closed to save a descriptor.
    file: Option<Box<dyn LayerFile>>,
    /// Bytes that are on disk for certain.
    synced: u64,
    /// Acknowledged bytes behind those: what a failed sync may have lost.
    unsynced: Vec<u8>,
    /// After an error the file may hold anything behind `synced`.
    suspect: bool,
    /// Whether the file's name is on disk for certain.
    name_synced: bool,
    head: EventSeq,
    term: Term,
    offsets: TurnOffsets,
}

impl RolloutWriter {
    /// The writer of a rollout that is not there yet.
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

    /// The writer of a rollout that is there, mended, and how it ends.
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
            // Whoever wrote this did not end well: what is read here and told to clients has to be on disk.
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

    /// The end of what was acknowledged, bytes.
    pub(crate) fn end(&self) -> u64 {
        self.synced + self.unsynced.len() as u64
    }

    /// Whether an error has left the file in doubt.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// The latest ownership that has opened the thread.
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Appends records. With `Keep::Power` and none, only syncs what was appended before.
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

    /// Writes again, after an error, what is not certain to be on disk, and syncs it.
    pub(crate) fn mend(&mut self) -> io::Result<()> {
        if self.suspect { self.write(Vec::new(), Keep::Power) } else { Ok(()) }
    }

    /// Closes the file until the next write, once all of it is on disk; answers whether it did.
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
                // The reserve is for whoever reads and writes now.
                self.file = None;
            }
        } else {
            self.unsynced.extend_from_slice(&bytes);
        }
        Ok(())
    }

    /// Answers what was kept: more than asked for when too much would wait for a sync.
    fn write_and_sync(&mut self, bytes: &[u8], keep: Keep) -> io::Result<Keep> {
        let end = self.end();
        let file = match self.file.take() {
            Some(file) => file,
            None if end > 0 => self.open_again()?,
            None => self.create()?,
        };
        let file = self.file.insert(file);
        if self.suspect {
            // A sync that failed may have dropped the pages, and the next one would claim success: only writing them
            // again brings them to disk. First goes what was never acknowledged, so that no crash leaves it behind.
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

    /// Opens the file that was closed to save a descriptor.
    fn open_again(&self) -> io::Result<Box<dyn LayerFile>> {
        let file = self.places.layer.open(&self.path, OpenMode::Write)?;
        let (found, end) = (file.len()?, self.end());
        if found < end {
            return Err(io::Error::other(format!("it has {found} bytes, and had {end} when it was closed")));
        }
        Ok(file)
    }

    /// Makes the file. One that is there without a whole line is what an earlier try left, and begins anew.
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

/// Lines of a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedLines {
    /// As they stand in the file.
    pub bytes: Vec<u8>,
    /// The marks as they are behind them.
    pub offsets: TurnOffsets,
    /// The texts that they refer to, which have to be on disk before them.
    pub blobs: Vec<Blob>,
}

/// The lines of `records`, the first of which begins at the byte `at` of its file; a `turn.completed` gets the places that
/// it names.
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

impl Counters {
    /// Counts a failed operation that is not an append's.
    pub(super) fn failed<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if outcome.is_err() {
            self.errors.fetch_add(1, Relaxed);
        }
        outcome
    }
}
