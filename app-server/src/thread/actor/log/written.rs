//! The writer of the thread: its reports, the close of the rollout, and records that are given up.

use tokio::sync::mpsc;

use super::Log;
use crate::policy;
use crate::thread::journal::Journal;
use crate::thread::writer::Written;

impl Log {
    /// Reports of the writer.
    pub(in crate::thread::actor) fn inbox(&mut self) -> &mut mpsc::Receiver<Written> {
        &mut self.written.1
    }

    /// Takes a report of the writer. Returns whether the rollout is closed by it.
    pub(in crate::thread::actor) fn take(&mut self, written: &Written) -> bool {
        let Some(journal) = &mut self.journal else { return false };
        journal.receive(written);
        matches!(written, Written::UpTo(seq, _) if journal.is_closed() && *seq == journal.seq())
    }

    /// Records the end, unless `is_left_open`, and lets the writer end. Returns whether there is something to wait for.
    pub(in crate::thread::actor) fn close(&mut self, is_left_open: bool) -> bool {
        self.journal.as_mut().is_some_and(|journal| journal.close(is_left_open))
    }

    /// Whether records were abandoned since the last call.
    pub(in crate::thread::actor) fn takes_loss(&mut self) -> bool {
        std::mem::take(&mut self.has_lost)
    }

    /// Abandons records that the disk did not take in time.
    pub(in crate::thread::actor) fn give_up(&mut self) {
        let unsaved = self.journal.as_mut().map_or(0, Journal::abandon);
        // A report on its way is about records that are lost.
        self.written = mpsc::channel(policy::WRITER_BATCHES);
        self.has_lost |= unsaved > 0;
        tracing::error!(thread = %self.thread, records = unsaved, "the storage did not take records of this thread; they are lost");
        self.services.counters.unsaved_records.add(u64::try_from(unsaved).unwrap_or(u64::MAX));
    }

    /// After a panic of the owner: waits for the writer, as long as an unload would.
    pub(in crate::thread::actor) async fn break_off(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        journal.break_off();
        let (_, mut written) = std::mem::replace(&mut self.written, mpsc::channel(1));
        let ended = async {
            while let Some(report) = written.recv().await {
                journal.receive(&report);
            }
        };
        if tokio::time::timeout(policy::UNLOAD_LIMIT, ended).await.is_err() {
            self.give_up();
        }
    }
}
