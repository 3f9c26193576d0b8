//! The journal of a thread: numbers every record, folds it into the history, and hands it to the writer. Entries to publish
//! wait in its queue until the records before them are durable.

use std::sync::Arc;

use skein_base::clock::Clock;
use skein_base::counters::OpenFailure;
use skein_config::Durability;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{Epoch, EventSeq, TurnId};
use skein_protocol::table::Recipients;
use skein_store::history::History;
use skein_store::rollout::record::{Record, RecordBody, ThreadClosed, ThreadOpened};
use skein_store::rollout::{Keep, Lease, StoreAway};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::backlog::BacklogShare;
use super::event::Materialised;
use super::machine::Persistence;
use super::outgoing::Outgoing;
use super::publication::PublicationQueue;
use super::recent::RecentEvents;
use super::writer::{self, Batch, WriterSetup, Written};
use crate::policy;
use crate::thread::Context;

mod records;

use records::{as_records, changes_row, matters_to_a_model};

/// Where the thread's records go.
#[derive(Debug)]
enum Sink {
    /// Nowhere: the thread is ephemeral. The records that a model needs stay in memory.
    None(Vec<Record>),
    /// Into memory, until the first user message.
    Memory(Vec<Record>),
    /// To the writer, which starts with the first record.
    Disk { batches: Option<mpsc::Sender<Batch>>, task: Option<AbortHandle> },
    /// The rollout is closed or abandoned.
    Closed { task: Option<AbortHandle> },
}

pub(crate) struct Journal {
    services: Arc<Context>,
    /// The right to write to the thread.
    lease: Lease,
    /// The history that clients see.
    pub(crate) history: History,
    queue: PublicationQueue<Outgoing>,
    /// The newest published events.
    pub(crate) recent: RecentEvents,
    sink: Sink,
    written: mpsc::Sender<Written>,
    /// The last record on disk before this load.
    head: EventSeq,
    /// The last number given out.
    last: EventSeq,
    epoch: Epoch,
    /// The version of the history when this load began. Every later change of the version is an event.
    first_epoch: Epoch,
    /// The last revert of this load; 0 for none.
    reverted: EventSeq,
    /// The last change of the message queue in this load; 0 for none.
    queue_changed: EventSeq,
    /// Whether this load has recorded its `thread.opened`.
    opened: bool,
    /// Why the disk does not take records now.
    pub(crate) failure: Option<OpenFailure>,
    /// That reason, if the storage is another machine's and does not serve. The publish queue waits for it.
    pub(crate) away: Option<StoreAway>,
    /// The bytes that wait so.
    waiting: BacklogShare,
    /// Ended turns whose ends are not on disk yet.
    ends: Vec<(EventSeq, TurnId)>,
    /// Ended turns that clients have to see as failed, because the disk refused their ends.
    unsaved_ends: Vec<(EventSeq, TurnId)>,
}

impl Journal {
    /// A journal that begins behind record `head`, in epoch `epoch`.
    pub(crate) fn new(
        services: Arc<Context>,
        lease: Lease,
        history: History,
        (head, epoch): (EventSeq, Epoch),
        (persistence, materialised): (Persistence, Materialised),
        written: mpsc::Sender<Written>,
    ) -> Self {
        let sink = match (persistence, materialised) {
            (Persistence::Ephemeral, _) => Sink::None(as_records(&history)),
            (Persistence::Durable, Materialised::No) => Sink::Memory(Vec::new()),
            (Persistence::Durable, Materialised::Yes) => Sink::Disk { batches: None, task: None },
        };
        let (queue, waiting) = (PublicationQueue::new(head), services.backlog.share());
        Self {
            services,
            lease,
            history,
            queue,
            recent: RecentEvents::new(head),
            sink,
            written,
            head,
            last: head,
            epoch,
            first_epoch: epoch,
            reverted: EventSeq(0),
            queue_changed: EventSeq(0),
            opened: false,
            failure: None,
            away: None,
            waiting,
            ends: Vec::new(),
            unsaved_ends: Vec::new(),
        }
    }

    /// The right to write to the thread.
    pub(crate) fn lease(&self) -> Lease {
        self.lease
    }

    /// The last number given out.
    pub(crate) fn seq(&self) -> EventSeq {
        self.last
    }

    /// The last record on disk.
    pub(crate) fn durable(&self) -> EventSeq {
        self.queue.durable()
    }

    /// Whether the store has the records.
    pub(crate) fn is_stored(&self) -> bool {
        match &self.sink {
            Sink::None(_) | Sink::Memory(_) => false,
            Sink::Disk { .. } | Sink::Closed { .. } => true,
        }
    }

    /// The version of the history.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether events can follow for a client that knows the history up to `at`. Reverts of this load are events, too, so an
    /// epoch of this load continues.
    pub(crate) fn continues(&self, at: ThreadPicture) -> bool {
        at.seq <= self.last && (self.first_epoch..=self.epoch).contains(&at.epoch)
    }

    /// The version of a view whose last record on disk is `end`. 0 if the view shows a revert that is not on disk: no later
    /// history continues such a view.
    pub(crate) fn epoch_at(&self, end: EventSeq) -> Epoch {
        if self.reverted > end { Epoch(0) } else { self.epoch }
    }

    /// Whether the writer and the publish queue take more. While they do not, the owner takes no reports of the turn.
    pub(crate) fn has_room(&self) -> bool {
        let others = if self.away.is_some() { self.waiting.of_all() } else { 0 };
        let waiting = self.queue.bytes();
        waiting <= policy::PUBLICATIONS_WAITING && others <= policy::PUBLICATIONS_AWAY && !self.is_full()
    }

    /// Whether the writer takes no more.
    pub(crate) fn is_full(&self) -> bool {
        match &self.sink {
            Sink::Disk { batches: Some(writer), .. } => writer.capacity() <= policy::WRITER_BATCHES / 2,
            Sink::Disk { batches: None, .. } | Sink::None(_) | Sink::Memory(_) | Sink::Closed { .. } => false,
        }
    }

    /// The records that a model needs of an ephemeral thread, oldest first; `None` for any other thread.
    pub(crate) fn kept(&self) -> Option<&[Record]> {
        match &self.sink {
            Sink::None(kept) => Some(kept),
            Sink::Memory(_) | Sink::Disk { .. } | Sink::Closed { .. } => None,
        }
    }

    /// Numbers these records and hands them to the sink. Returns the number of each. The first record of a load is always
    /// `thread.opened`.
    pub(crate) fn record(&mut self, bodies: Vec<RecordBody>, keep: Keep) -> Vec<EventSeq> {
        let mut records = Vec::with_capacity(bodies.len() + 1);
        let mut keep = self.effective(keep);
        // An epoch has to be on disk before its first number is published, whatever the durability. Otherwise a loss of power
        // would give the same numbers out again in the same epoch. A load and a revert begin an epoch.
        if !self.opened || bodies.iter().any(|body| matches!(body, RecordBody::Reverted(_))) {
            keep = Keep::Power;
        }
        if !self.opened {
            self.opened = true;
            let opened = ThreadOpened {
                boot_id: self.services.store.life(),
                term: self.lease.term,
                epoch: self.epoch,
            };
            records.push(self.numbered(opened.into()));
        }
        let first = records.len();
        for body in bodies {
            let record = self.numbered(body);
            records.push(record);
        }
        let numbers = records.iter().skip(first).map(|record| record.seq).collect();
        self.send(records, keep);
        numbers
    }

    /// The thread gets its rollout: the records in memory go first.
    pub(crate) fn materialise(&mut self) {
        if let Sink::Memory(waiting) = &mut self.sink {
            let waiting = std::mem::take(waiting);
            self.sink = Sink::Disk { batches: None, task: None };
            if !waiting.is_empty() {
                // As the first records of every load, whatever the durability.
                self.send(waiting, Keep::Power);
            }
        }
    }

    /// Lets the writer end when everything is written. Writes the closing record first, unless the next start has to find
    /// the rollout open. Returns whether there is something to wait for.
    pub(crate) fn close(&mut self, is_left_open: bool) -> bool {
        let writes = matches!(self.sink, Sink::Disk { batches: Some(_), .. });
        if writes && !is_left_open {
            self.record(vec![ThreadClosed {}.into()], Keep::Power);
        }
        self.end_writer();
        writes && self.queue.durable() < self.last
    }

    /// After a panic of the owner: the journal takes no more records. The writer ends when it has written all it was given.
    pub(crate) fn break_off(&mut self) {
        self.end_writer();
        self.written = mpsc::channel(1).0;
    }

    fn end_writer(&mut self) {
        match &mut self.sink {
            Sink::Disk { task, .. } | Sink::Closed { task } => self.sink = Sink::Closed { task: task.take() },
            // Nothing to close. A resume that comes meanwhile finds the thread unchanged.
            Sink::None(_) | Sink::Memory(_) => {}
        }
    }

    /// Whether the whole thread is in memory only.
    pub(crate) fn is_unwritten(&self) -> bool {
        match &self.sink {
            Sink::Memory(_) => true,
            Sink::None(_) | Sink::Disk { .. } | Sink::Closed { .. } => false,
        }
    }

    /// Whether the writer has the last record of this load.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.sink, Sink::Closed { .. })
    }

    /// Gives up the records that are not on disk. Returns how many.
    pub(crate) fn abandon(&mut self) -> usize {
        let sink = std::mem::replace(&mut self.sink, Sink::Closed { task: None });
        if let Sink::Disk { task: Some(task), .. } | Sink::Closed { task: Some(task) } = sink {
            // A later owner must not meet the writes of this one.
            task.abort();
        }
        self.away = None;
        self.count_waiting();
        let unsaved = self.last.0.saturating_sub(self.queue.durable().0);
        usize::try_from(unsaved).unwrap_or(usize::MAX)
    }

    /// Queues an entry until every record so far is durable.
    pub(crate) fn publish(&mut self, what: Outgoing) {
        let behind = match &self.sink {
            Sink::None(_) | Sink::Memory(_) => EventSeq(0),
            Sink::Disk { .. } | Sink::Closed { .. } => self.last,
        };
        let bytes = what.bytes();
        self.queue.push(behind, what, bytes);
        self.count_waiting();
    }

    /// Takes a report of the writer. After a failure the queue is published all the same, as not saved, unless the storage is
    /// away and may come back.
    pub(crate) fn receive(&mut self, written: &Written) {
        match written {
            Written::UpTo(seq, _) => {
                (self.failure, self.away) = (None, None);
                self.queue.advance(*seq);
                self.ends.retain(|(end, _)| end > seq);
            }
            Written::Failed(error) => {
                self.fail(error.to_string());
                self.away = error.away().cloned();
                if self.away.is_none() {
                    self.unsaved_ends.append(&mut self.ends);
                }
            }
        }
        self.count_waiting();
    }

    fn count_waiting(&mut self) {
        let waits = self.away.is_some();
        self.waiting.set(if waits { self.queue.bytes() } else { 0 });
    }

    /// Whether records wait for a storage that is away.
    pub(crate) fn waits_for_store(&self) -> bool {
        self.away.is_some() && self.queue.durable() < self.last
    }

    /// Notes that the disk takes no records, since now or since the failure that lasts.
    fn fail(&mut self, why: String) {
        let since = self.failure.as_ref().map_or_else(|| Clock.wall(), |failure| failure.since);
        self.failure = Some(self.services.counters.disk_failures.open(since, why));
    }

    /// Takes the ended turns that clients have to see as failed, because the disk refused their ends. Empty after the close.
    pub(crate) fn take_unsaved_ends(&mut self) -> Vec<(EventSeq, TurnId)> {
        match &self.sink {
            Sink::Closed { .. } => Vec::new(),
            Sink::None(_) | Sink::Memory(_) | Sink::Disk { .. } => std::mem::take(&mut self.unsaved_ends),
        }
    }

    /// Takes these entries out of the publish queue.
    pub(crate) fn take_outgoing(&mut self, which: impl Fn(&Outgoing) -> bool) -> Vec<Outgoing> {
        let taken = self.queue.take(which);
        self.count_waiting();
        taken
    }

    /// Drops the notification of record `number` if it is still queued.
    pub(crate) fn withdraw(&mut self, number: EventSeq) {
        self.take_outgoing(|waiting| match waiting {
            Outgoing::Notify(notice) => notice.number == Some(number),
            Outgoing::Acknowledge(_) | Outgoing::Due(_) => false,
        });
    }

    /// The next entry to send, and whether the records before it are saved.
    pub(crate) fn next_outgoing(&mut self) -> Option<(Outgoing, Saved)> {
        if let Some(ready) = self.queue.pop_ready() {
            return Some((ready, Saved::Yes));
        }
        self.failure.as_ref().filter(|_| self.away.is_none())?;
        self.queue.pop().map(|unsaved| (unsaved, Saved::No))
    }

    /// The next entry, saved or not.
    pub(crate) fn next_waiting(&mut self) -> Option<(Outgoing, Saved)> {
        let ready = self.queue.pop_ready().map(|ready| (ready, Saved::Yes));
        ready.or_else(|| self.queue.pop().map(|unsaved| (unsaved, Saved::No)))
    }

    pub(crate) fn outgoing(&self) -> impl Iterator<Item = &Outgoing> {
        self.queue.iter()
    }

    fn numbered(&mut self, mut body: RecordBody) -> Record {
        self.last = self.last.next();
        if let RecordBody::TurnCompleted(completed) = &mut body {
            // The header of this record: the body may be older than the epoch of this load.
            completed.header = self.history.header();
        }
        if let RecordBody::Reverted(reverted) = &body {
            (self.epoch, self.reverted) = (reverted.epoch, self.last);
            // A reverted turn does not fail: its end is not recorded a second time behind the revert.
            let stays = |end: &(EventSeq, TurnId)| reverted.from.is_none_or(|from| end.0 < from);
            self.ends.retain(stays);
            self.unsaved_ends.retain(stays);
        }
        if self.history.queue().is_changed_by(&body) {
            self.queue_changed = self.last;
        }
        let record = Record { seq: self.last, at: self.services.clock.wall(), body };
        self.history.apply(&record);
        if let (RecordBody::TurnCompleted(ended), Sink::Disk { .. }) = (&record.body, &self.sink) {
            if !ended.unsaved {
                self.ends.push((record.seq, ended.turn_id.clone()));
            }
            // Older turns are read from the rollout.
            self.history.drop_oldest(skein_store::policy::HISTORY_WINDOW);
        }
        record
    }

    fn send(&mut self, records: Vec<Record>, keep: Keep) {
        match &mut self.sink {
            Sink::Closed { .. } => {}
            Sink::None(kept) => {
                kept.extend(records.into_iter().filter(|record| matters_to_a_model(&record.body)))
            }
            Sink::Memory(waiting) => waiting.extend(records),
            Sink::Disk { batches, task } => {
                // A history without its beginning is in no list until its next user message, as after a rebuild.
                let changed =
                    self.history.is_materialised() && records.iter().any(|record| changes_row(&record.body));
                let row = changed.then(|| self.history.row());
                let has_header =
                    records.iter().any(|record| matches!(record.body, RecordBody::TurnCompleted(_)));
                let behind = if has_header { self.queue_changed } else { EventSeq(0) };
                let batch = Batch { records, keep, row, behind };
                let writer = batches.get_or_insert_with(|| {
                    let (writer, abort) =
                        start_writer(&self.services, self.lease, self.head, self.written.clone());
                    *task = Some(abort);
                    writer
                });
                // The queue has twice the room of `is_full`, so the owner's own records fit.
                if let Err(error) = writer.try_send(batch) {
                    tracing::error!(thread = %self.lease.thread, %error, "the queue of this thread's writer is full; records are lost");
                    self.fail("its writer does not keep up".to_owned());
                }
            }
        }
    }

    fn effective(&self, keep: Keep) -> Keep {
        match self.services.config().durability {
            Durability::Turn => keep,
            Durability::Event => Keep::Power,
            Durability::Process => Keep::Process,
        }
    }
}

/// Whether the records before an entry are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// They are as durable as the settings demand.
    Yes,
    /// They are in memory only: the disk does not take them.
    No,
}

fn start_writer(
    services: &Arc<Context>,
    lease: Lease,
    head: EventSeq,
    written: mpsc::Sender<Written>,
) -> (mpsc::Sender<Batch>, AbortHandle) {
    let (batches, to_write) = mpsc::channel(policy::WRITER_BATCHES);
    let setup = WriterSetup {
        store: Arc::clone(&services.store),
        index: Arc::clone(&services.index),
        question_feed: Arc::clone(&services.question_feed),
        tasks: services.tasks.clone(),
        clock: services.clock,
        lease,
        head,
    };
    let thread = lease.thread;
    let writing = services.tasks.spawn(format!("writer/{thread}"), writer::run(setup, to_write, written));
    (batches, writing.abort_handle())
}

/// The recipients of a thread's notification of this scope. Only subscribers see an ephemeral thread.
pub(crate) fn reach(scope: Recipients, persistence: Persistence) -> Recipients {
    match (scope, persistence) {
        (Recipients::All, Persistence::Durable) => Recipients::All,
        (Recipients::All, Persistence::Ephemeral) | (Recipients::Subscribers, _) => Recipients::Subscribers,
    }
}
