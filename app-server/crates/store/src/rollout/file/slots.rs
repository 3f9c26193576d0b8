//! Writers of rollouts: one writer for a loaded thread, one use of it at a time, and the end of the readable part.
//! Everything here blocks, except the wait for a turn.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex};

use skein_protocol::ids::{EventSeq, ThreadId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::layer::{LayerFile, OpenMode};
use super::places::{RolloutPaths, lock};
use super::scan;
use super::writer::RolloutWriter;
use crate::rollout::blob::TextSource;
use crate::rollout::record::Record;
use crate::rollout::{AppendError, Appended, DiskKind, Keep, Lease, Loaded, MoveError, ReadError};

/// The readable end without a writer: the end of the file.
const WHOLE: u64 = u64::MAX;

/// The rollouts of a home, and their writers.
pub(super) struct WriterSlots {
    pub(crate) places: Arc<RolloutPaths>,
    slots: Mutex<HashMap<ThreadId, SlotEntry>>,
}

/// The slot of one thread's writer. It is dropped with its last use if it is empty, or was released.
struct SlotEntry {
    slot: Arc<WriterSlot>,
    users: usize,
    released: bool,
}

struct WriterSlot {
    /// One use at a time, in the order of the requests. An abandoned append still comes before a later load.
    turn: Arc<Semaphore>,
    /// Taken out during work, so that a writer that panicked is never used again.
    writer: Mutex<Option<RolloutWriter>>,
    /// The end of the part that readers may read.
    readable: AtomicU64,
}

/// The fate of unsynced records when the rollout is moved.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unsaved {
    /// They are written first.
    Write,
    /// They are dropped with the deleted thread: a full disk is no reason to keep one.
    Leave,
}

/// A slot in use. The slot stays while it has a user, so that no thread ever has two writers.
pub(super) struct SlotUse {
    shared: Arc<WriterSlots>,
    thread: ThreadId,
    slot: Arc<WriterSlot>,
}

impl WriterSlots {
    pub(crate) fn of(places: Arc<RolloutPaths>) -> Self {
        Self { places, slots: Mutex::default() }
    }

    #[cfg(test)]
    pub(crate) fn slots(&self) -> usize {
        lock(&self.slots).len()
    }

    pub(crate) fn hold(self: &Arc<Self>, thread: ThreadId) -> Arc<SlotUse> {
        let mut slots = lock(&self.slots);
        let entry = slots.entry(thread).or_insert_with(|| SlotEntry {
            slot: Arc::new(WriterSlot {
                turn: Arc::new(Semaphore::new(1)),
                writer: Mutex::new(None),
                readable: AtomicU64::new(WHOLE),
            }),
            users: 0,
            released: false,
        });
        entry.users += 1;
        entry.released = false;
        Arc::new(SlotUse { shared: Arc::clone(self), thread, slot: Arc::clone(&entry.slot) })
    }

    pub(crate) fn existing(self: &Arc<Self>, thread: ThreadId) -> Option<SlotUse> {
        let mut slots = lock(&self.slots);
        let entry = slots.get_mut(&thread)?;
        entry.users += 1;
        Some(SlotUse { shared: Arc::clone(self), thread, slot: Arc::clone(&entry.slot) })
    }

    /// Drops the slot with its last use.
    pub(crate) fn release(&self, thread: ThreadId) {
        let mut slots = lock(&self.slots);
        if let Some(entry) = slots.get_mut(&thread) {
            entry.released = true;
            if entry.users == 0 {
                slots.remove(&thread);
            }
        }
    }

    /// Closes the files of unused writers; returns how many. Blocks.
    pub(crate) fn close_idle(self: &Arc<Self>) -> usize {
        let idle: Vec<ThreadId> = lock(&self.slots)
            .iter()
            .filter(|(_, entry)| entry.users == 0)
            .map(|(thread, _)| *thread)
            .collect();
        idle.into_iter().filter(|thread| self.existing(*thread).is_some_and(|held| held.close())).count()
    }

    /// Reads a rollout's file from its beginning to the readable end. Blocks.
    pub(crate) fn read<T>(
        &self,
        thread: ThreadId,
        work: impl FnOnce((&dyn LayerFile, &dyn TextSource), u64) -> io::Result<T>,
    ) -> Result<T, ReadError> {
        let readable = self.readable(thread);
        self.places.counters.reads.fetch_add(1, Relaxed);
        let opened = self.places.open_rollout(thread, OpenMode::Read);
        let (file, _) = opened.map_err(|error| scan::open_error(thread, error))?;
        let disk = |source| ReadError::Disk { thread, source };
        let end = file.len().map_err(disk)?.min(readable);
        work((&*file, &self.places.blobs), end).map_err(disk)
    }

    pub(crate) fn readable(&self, thread: ThreadId) -> u64 {
        lock(&self.slots).get(&thread).map_or(WHOLE, |entry| entry.slot.readable.load(Acquire))
    }
}

impl SlotUse {
    /// Lets readers read the whole file: the acknowledged end is unknown.
    pub(crate) fn let_all_be_read(&self) {
        self.slot.readable.store(WHOLE, Release);
    }

    /// Waits for every earlier request of this thread.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed. If it were, the writer's own lock would still keep uses apart.
        Arc::clone(&self.slot.turn).acquire_owned().await.ok()
    }

    pub(crate) fn append(
        &self,
        lease: Lease,
        expected: EventSeq,
        records: Vec<Record>,
        keep: Keep,
    ) -> Result<Appended, AppendError> {
        let mut place = lock(&self.slot.writer);
        let mut writer = match place.take() {
            Some(writer) => writer,
            None => self.writer(expected)?,
        };
        self.slot.readable.store(writer.end(), Release);
        let outcome = writer.append(lease, expected, records, keep);
        self.slot.readable.store(writer.end(), Release);
        *place = Some(writer);
        Ok(Appended::unlisted(outcome?))
    }

    /// The writer of a rollout that was not loaded.
    fn writer(&self, expected: EventSeq) -> Result<RolloutWriter, AppendError> {
        let (thread, head) = (self.thread, EventSeq(0));
        match RolloutWriter::open(&self.shared.places, thread) {
            Ok((writer, _)) => Ok(writer),
            Err(ReadError::Missing(_)) if expected == head => {
                Ok(RolloutWriter::new(&self.shared.places, thread))
            }
            Err(ReadError::Missing(_)) => Err(AppendError::Conflict { thread, head }),
            Err(ReadError::Disk { source, .. }) => {
                Err(AppendError::Disk { thread, kind: DiskKind::of(&source), head, source })
            }
            Err(unreadable @ (ReadError::Unreadable { .. } | ReadError::Away { .. })) => {
                let source = io::Error::other(unreadable.to_string());
                Err(AppendError::Disk { thread, kind: DiskKind::Io, head, source })
            }
        }
    }

    /// Closes the file, unless it is in use or has unsynced bytes.
    fn close(&self) -> bool {
        let Ok(_turn) = self.slot.turn.try_acquire() else { return false };
        let mut place = lock(&self.slot.writer);
        let Some(mut writer) = place.take() else { return false };
        let closed = writer.close();
        *place = Some(writer);
        closed
    }

    pub(crate) fn load(&self) -> Result<Loaded, ReadError> {
        let mut place = lock(&self.slot.writer);
        if let Some(mut before) = place.take().filter(RolloutWriter::is_suspect) {
            // Its bytes in memory are acknowledged, and perhaps nowhere else.
            let mended = before.mend();
            if let Err(source) = self.shared.places.counters.failed(mended) {
                *place = Some(before);
                return Err(ReadError::Disk { thread: self.thread, source });
            }
        }
        self.let_all_be_read();
        let (writer, loaded) = RolloutWriter::open(&self.shared.places, self.thread)?;
        self.slot.readable.store(writer.end(), Release);
        *place = Some(writer);
        Ok(loaded)
    }

    /// Ends the writer: the next writer looks for the rollout anew.
    pub(crate) fn relocate(
        &self,
        lease: Lease,
        unsaved: Unsaved,
        work: impl FnOnce(&RolloutPaths) -> io::Result<()>,
    ) -> Result<(), MoveError> {
        let (thread, places) = (self.thread, &self.shared.places);
        let disk = |source: io::Error| {
            let missing = source.kind() == io::ErrorKind::NotFound;
            if missing { ReadError::Missing(thread).into() } else { MoveError::Disk { thread, source } }
        };
        let mut place = lock(&self.slot.writer);
        let mut writer = match place.take() {
            Some(writer) => writer,
            None => RolloutWriter::open(places, thread)?.0,
        };
        if writer.term() > lease.term {
            let term = writer.term();
            *place = Some(writer);
            return Err(MoveError::Fenced { thread, term });
        }
        let saved = match unsaved {
            // Its bytes in memory are acknowledged, and perhaps nowhere else.
            Unsaved::Write => writer.mend(),
            Unsaved::Leave => Ok(()),
        };
        let moved = saved.and_then(|()| places.settle(thread)).and_then(|()| work(places));
        if let Err(source) = places.counters.failed(moved) {
            *place = Some(writer);
            return Err(disk(source));
        }
        Ok(())
    }
}

impl Drop for SlotUse {
    fn drop(&mut self) {
        let mut slots = lock(&self.shared.slots);
        let Some(entry) = slots.get_mut(&self.thread) else { return };
        entry.users -= 1;
        if entry.users == 0 && (entry.released || lock(&self.slot.writer).is_none()) {
            slots.remove(&self.thread);
        }
    }
}
