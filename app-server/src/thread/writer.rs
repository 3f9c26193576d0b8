//! The writer of one thread's rollout: a child task of the owner. It appends all waiting records at once, and syncs once.
//! Records that could not be written stay in memory, and are tried again in order.
//!
//! A header speaks for the records before it. A loss of power may leave a header and take a record in front of it, if neither
//! was synced. So a header that no longer names a message waits for the sync of the record that took the message.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use skein_base::clock::Clock;
use skein_base::tasks::Tasks;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::history::ThreadRow;
use skein_store::history::WaitingQuestion;
use skein_store::index::ThreadIndex;
use skein_store::index::moment::{self, Listed};
use skein_store::rollout::record::Record;
use skein_store::rollout::{AppendError, Appended, Keep, Lease, LogEntry, RolloutStore, StoreAway};
use tokio::sync::mpsc;

use crate::policy;
use crate::thread::question_feed::QuestionFeed;

/// Records that belong together.
#[derive(Debug)]
pub(crate) struct Batch {
    /// In order, behind the last record of the previous batch.
    pub(crate) records: Vec<Record>,
    /// How durable they have to be before they are published.
    pub(crate) keep: Keep,
    /// The thread's row in the index, if these records change it.
    pub(crate) row: Option<ThreadRow>,
    /// The record that is on disk before these are written.
    pub(crate) behind: EventSeq,
}

/// A report of the writer to the owner.
#[derive(Debug)]
pub(crate) enum Written {
    /// Every record up to this one is durable. Also says whether lists show it.
    UpTo(EventSeq, Listed),
    /// The waiting records could not be written. The writer tries again.
    Failed(AppendError),
}

/// The parts that a writer uses.
pub(crate) struct WriterSetup {
    /// The rollouts.
    pub(crate) store: Arc<dyn RolloutStore>,
    /// The source of lists.
    pub(crate) index: Arc<dyn ThreadIndex>,
    /// For changes of the questions in the row.
    pub(crate) question_feed: Arc<QuestionFeed>,
    /// Starts the tasks that set the thread's row.
    pub(crate) tasks: Tasks,
    /// For the pauses between tries.
    pub(crate) clock: Clock,
    /// The right to write.
    pub(crate) lease: Lease,
    /// The last record on disk.
    pub(crate) head: EventSeq,
}

/// Writes until the batches end and everything is written. A writer that panics reports it, so that no owner waits for it.
pub(crate) async fn run(setup: WriterSetup, batches: mpsc::Receiver<Batch>, owner: mpsc::Sender<Written>) {
    let last_word = LastWord { thread: setup.lease.thread, owner: owner.clone() };
    write_all(setup, batches, owner).await;
    drop(last_word);
}

/// Reports a panic of the writer to its owner.
struct LastWord {
    thread: ThreadId,
    owner: mpsc::Sender<Written>,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "its writer broke off; the server's log has more".to_owned();
            // The queue has room for every batch. Only an owner that is gone misses the report.
            self.owner.try_send(Written::Failed(AppendError::Unknown { thread: self.thread, reason })).ok();
        }
    }
}

async fn write_all(setup: WriterSetup, mut batches: mpsc::Receiver<Batch>, owner: mpsc::Sender<Written>) {
    let mut writer = Writer::new(setup);
    let mut open = true;
    while open || !writer.unsaved.is_empty() {
        open = writer.gather(&mut batches, open).await;
        if writer.unsaved.is_empty() {
            continue;
        }
        let written = writer.write(&owner).await;
        if owner.send(written).await.is_err() {
            return;
        }
    }
}

struct Writer {
    setup: WriterSetup,
    /// Whether nothing is on disk yet.
    begins: bool,
    /// The last record that survives a loss of power.
    synced: EventSeq,
    unsaved: Vec<Record>,
    /// Records that are synced before the following ones are written.
    barriers: VecDeque<EventSeq>,
    keep: Keep,
    row: Option<Arc<ThreadRow>>,
    /// The questions in the last row; none before the first one.
    asked: Vec<WaitingQuestion>,
    /// Whether lists show the newest row.
    listed: Listed,
    /// The pause before the next try, after a failure.
    pause: Option<Duration>,
}

impl Writer {
    fn new(setup: WriterSetup) -> Self {
        let head = setup.head;
        Self {
            setup,
            begins: head == EventSeq(0),
            synced: head,
            unsaved: Vec::new(),
            barriers: VecDeque::new(),
            keep: Keep::Process,
            row: None,
            asked: Vec::new(),
            listed: Listed::Yes,
            pause: None,
        }
    }

    /// Waits for a batch, or for the time of the next try. Returns whether more batches can come.
    async fn gather(&mut self, batches: &mut mpsc::Receiver<Batch>, open: bool) -> bool {
        let mut open = open;
        match self.pause {
            Some(pause) => {
                let next = self.setup.clock.now() + pause;
                tokio::time::sleep_until(next).await;
            }
            None if open && self.unsaved.is_empty() => match batches.recv().await {
                Some(batch) => self.add(batch),
                None => open = false,
            },
            None => {}
        }
        loop {
            match batches.try_recv() {
                Ok(batch) => self.add(batch),
                Err(mpsc::error::TryRecvError::Empty) => return open,
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn add(&mut self, batch: Batch) {
        if batch.behind > self.synced {
            self.barriers.push_back(self.unsaved.last().map_or(self.setup.head, |record| record.seq));
        }
        self.unsaved.extend(batch.records);
        self.keep = stronger(self.keep, batch.keep);
        if batch.row.is_some() {
            self.row = batch.row.map(Arc::new);
        }
    }

    async fn write(&mut self, owner: &mpsc::Sender<Written>) -> Written {
        let head = self.setup.head;
        let barrier = self.barriers.front().copied();
        let part: Vec<Record> = self
            .unsaved
            .iter()
            .take_while(|record| barrier.is_none_or(|at| record.seq <= at))
            .cloned()
            .collect();
        let (count, last) = (part.len(), part.last().map_or(head, |record| record.seq));
        // The row is as of the last record of all.
        let row = self.row.clone().filter(|_| count == self.unsaved.len());
        let entry = LogEntry { records: part, keep: self.keep, row };
        let appended = match self.append(head, entry, owner).await {
            Err(error) if error.is_unknown() && self.is_saved(last).await => Ok(Appended::unlisted(last)),
            appended => appended,
        };
        match appended {
            Ok(Appended { listed, .. }) => {
                self.setup.head = last;
                if self.keep == Keep::Power {
                    self.synced = last;
                }
                self.unsaved.drain(..count);
                self.barriers.pop_front();
                if self.pause.take().is_some() {
                    tracing::info!(thread = %self.setup.lease.thread, "records of this thread are written again");
                }
                if self.unsaved.is_empty() {
                    self.keep = Keep::Process;
                    self.update_index(last, listed).await;
                }
                Written::UpTo(last, self.listed)
            }
            Err(error) => self.refused(error, last),
        }
    }

    /// Notes that the records up to `last` were not written, or perhaps not.
    fn refused(&mut self, error: AppendError, last: EventSeq) -> Written {
        let thread = self.setup.lease.thread;
        if error.is_final() {
            tracing::warn!(%thread, %error, "this load of a thread can write nothing more");
            self.unsaved.clear();
            self.barriers.clear();
            (self.keep, self.pause) = (Keep::Process, None);
            return Written::Failed(error);
        }
        // The same append is tried again, so that the store can find its records, and no more than these.
        if error.is_unknown() && self.barriers.front() != Some(&last) {
            self.barriers.push_front(last);
        }
        let records = self.unsaved.len();
        match self.pause {
            None => {
                tracing::error!(%thread, records, %error, "records of this thread cannot be written; trying again")
            }
            Some(_) => {
                tracing::debug!(%thread, records, %error, "records of this thread still cannot be written")
            }
        }
        let pause = self.pause.map_or(policy::WRITE_RETRY_FIRST, |pause| pause * 2);
        self.pause = Some(pause.min(policy::WRITE_RETRY_MOST));
        Written::Failed(error)
    }

    /// After an append with an unknown outcome: whether its records are on disk. Syncs them.
    async fn is_saved(&self, last: EventSeq) -> bool {
        let WriterSetup { store, lease, .. } = &self.setup;
        matches!(store.head(lease.thread).await, Ok(head) if head == last)
            && store.append(*lease, last, LogEntry::of(Vec::new(), Keep::Power)).await.is_ok()
    }

    /// Appends records. If the disk does not answer in time, the owner gets a failure first, and the outcome later.
    async fn append(
        &self,
        head: EventSeq,
        entry: LogEntry,
        owner: &mpsc::Sender<Written>,
    ) -> Result<Appended, AppendError> {
        let WriterSetup { store, lease, .. } = &self.setup;
        let mut appended = store.append(*lease, head, entry);
        if let Ok(done) = tokio::time::timeout(policy::WRITE_WARNING, &mut appended).await {
            return done;
        }
        let records = self.unsaved.len();
        tracing::warn!(thread = %lease.thread, records, "the storage is slow to take records of this thread; waiting");
        let longer = policy::WRITE_PATIENCE.saturating_sub(policy::WRITE_WARNING);
        if let Ok(done) = tokio::time::timeout(longer, &mut appended).await {
            return done;
        }
        let (thread, waited) = (lease.thread, policy::WRITE_PATIENCE.as_secs());
        let error = match store.is_remote() {
            true => {
                let reason = format!("the database has not answered for {waited} s");
                AppendError::Cut { thread, why: StoreAway { reason, retry_after: policy::WRITE_RETRY_MOST } }
            }
            false => {
                AppendError::Unknown { thread, reason: format!("the disk has not answered for {waited} s") }
            }
        };
        tracing::error!(%thread, %error, "records of this thread cannot be written; still waiting");
        // An owner that is gone needs no report.
        owner.send(Written::Failed(error)).await.ok();
        appended.await
    }

    /// Sets the row in the index, unless the append has done so, and waits a moment for it, so that a list after an event shows
    /// the event. A thread that `begins` may have the id of a deleted one.
    async fn update_index(&mut self, as_of: EventSeq, listed: bool) {
        let begins = std::mem::take(&mut self.begins);
        let Some(row) = self.row.take() else { return };
        let (index, feed) = (Arc::clone(&self.setup.index), Arc::clone(&self.setup.question_feed));
        let asks_otherwise = std::mem::replace(&mut self.asked, row.waiting.clone()) != row.waiting;
        if listed {
            if asks_otherwise {
                feed.note(row.id);
            }
            self.listed = Listed::Yes;
            return;
        }
        let set = async move {
            let thread = row.id;
            if begins {
                index.begin(thread).await?;
            }
            index.upsert(Arc::unwrap_or_clone(row), as_of).await?;
            if asks_otherwise {
                feed.note(thread);
            }
            Ok(())
        };
        self.listed = moment::set(&self.setup.tasks, self.setup.lease.thread, set).await;
    }
}

/// The stronger of two durabilities.
fn stronger(one: Keep, other: Keep) -> Keep {
    match (one, other) {
        (Keep::Process, Keep::Process) => Keep::Process,
        (Keep::Power, _) | (_, Keep::Power) => Keep::Power,
    }
}

#[cfg(test)]
mod tests {
    use skein_base::clock::Clock;
    use skein_store::home::Term;
    use skein_store::index::conformance;
    use skein_store::index::memory::MemoryIndex;
    use skein_store::rollout::memory::MemoryStore;
    use skein_store::testing::TestStore;
    use skein_store::testing::{lease, names, opened, thread};

    use super::*;

    /// An earlier thread may have had the id, whose row the append has replaced.
    #[tokio::test]
    async fn a_new_thread_keeps_the_row_that_its_append_has_set() {
        let (store, index) =
            (Arc::new(TestStore::over(Arc::new(MemoryStore::default()))), Arc::new(MemoryIndex::default()));
        store.set_lists();
        let (tasks, id) = (Tasks::new(), thread(1));
        let row = ThreadRow { id, ..conformance::row(1, 1, 1) };
        // The row comes with the append, as a database sets it.
        index.upsert(row.clone(), EventSeq(1)).await.unwrap();
        let setup = WriterSetup {
            store,
            index: Arc::clone(&index) as Arc<dyn ThreadIndex>,
            question_feed: Arc::default(),
            tasks: tasks.clone(),
            clock: Clock,
            lease: lease(id),
            head: EventSeq(0),
        };
        let (batches, waiting) = mpsc::channel(2);
        let (owner, mut reports) = mpsc::channel(2);
        let batch =
            Batch { records: names(1, 1), keep: Keep::Process, row: Some(row.clone()), behind: EventSeq(0) };
        batches.send(batch).await.unwrap();
        drop(batches);
        run(setup, waiting, owner).await;
        assert!(matches!(reports.recv().await, Some(Written::UpTo(EventSeq(1), Listed::Yes))));
        assert_eq!(index.get(id).await.unwrap().map(|(row, _)| row), Some(row));
        tasks.finish().await;
    }

    fn setup(store: Arc<dyn RolloutStore>, tasks: &Tasks, head: EventSeq) -> WriterSetup {
        WriterSetup {
            store,
            index: Arc::new(MemoryIndex::default()),
            question_feed: Arc::default(),
            tasks: tasks.clone(),
            clock: Clock,
            lease: lease(thread(1)),
            head,
        }
    }

    fn batch(seq: u64) -> Batch {
        Batch { records: names(seq, seq), keep: Keep::Process, row: None, behind: EventSeq(0) }
    }

    /// A database finds its own lost records only if the next append has exactly these.
    #[tokio::test]
    async fn an_append_with_an_unknown_outcome_is_tried_again_without_the_records_that_came_since() {
        let tasks = Tasks::new();
        let mut writer = Writer::new(setup(Arc::new(MemoryStore::default()), &tasks, EventSeq(0)));
        let (owner, _reports) = mpsc::channel(2);
        [1, 2].map(batch).into_iter().for_each(|batch| writer.add(batch));
        for _ in 0..2 {
            let unknown = AppendError::Unknown { thread: thread(1), reason: "the answer is lost".to_owned() };
            writer.refused(unknown, EventSeq(2));
            writer.add(batch(writer.unsaved.len() as u64 + 1));
        }
        for last in [2, 4] {
            let written = writer.write(&owner).await;
            assert!(matches!(written, Written::UpTo(seq, _) if seq == EventSeq(last)), "{written:?}");
        }
        tasks.finish().await;
    }

    /// Its owner hears of each batch that came behind, and nothing is tried again.
    #[tokio::test(start_paused = true)]
    async fn a_writer_that_is_fenced_tries_nothing_again() {
        let (store, tasks, id) = (Arc::new(MemoryStore::default()), Tasks::new(), thread(1));
        let taken = Lease { thread: id, term: Term(2) };
        store.append(taken, EventSeq(0), LogEntry::of(vec![opened(1, 2)], Keep::Power)).await.unwrap();
        let setup = setup(store, &tasks, EventSeq(1));
        let (batches, waiting) = mpsc::channel(2);
        let (owner, mut reports) = mpsc::channel(2);
        let began = Clock.now();
        let writing = tasks.spawn("writer", run(setup, waiting, owner));
        for seq in [2, 3] {
            batches.send(batch(seq)).await.unwrap();
            let report = reports.recv().await;
            assert!(
                matches!(report, Some(Written::Failed(AppendError::Fenced { term: Term(2), .. }))),
                "{report:?}"
            );
        }
        drop(batches);
        writing.await.unwrap();
        assert_eq!(Clock.now(), began);
        tasks.finish().await;
    }
}
