//! The owner's book of its thread: numbers every record, folds it into the history, hands it to the writer, and
//! holds back what may only be published behind it.

use std::sync::Arc;

use skein_base::clock::WallMs;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::table::Recipients;
use skein_store::history::{History, LoadedTurn};
use skein_store::rollout::record::{ItemCompleted, Record, RecordBody, ThreadClosed, ThreadOpened};
use skein_store::rollout::{Keep, Lease};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::event::Materialised;
use super::machine::Persistence;
use super::outgoing::Outgoing;
use super::publication::PublicationQueue;
use super::recent::RecentEvents;
use super::writer::{self, Batch, WriterSetup, Written};
use crate::config::Durability;
use crate::policy;
use crate::thread::Context;

/// Where the thread's records go.
#[derive(Debug)]
enum Sink {
    /// Nowhere: the thread is ephemeral. What matters to a model is kept.
    None(Vec<Record>),
    /// Into memory, until the first user message: nothing is on disk yet.
    Memory(Vec<Record>),
    /// To the writer, which is started with the first record.
    Disk { batches: Option<mpsc::Sender<Batch>>, task: Option<AbortHandle> },
    /// The rollout is closed, or given up.
    Closed { task: Option<AbortHandle> },
}

/// The book.
pub(crate) struct Journal {
    services: Arc<Context>,
    thread: ThreadId,
    /// What a client sees of the thread.
    pub(crate) history: History,
    queue: PublicationQueue<Outgoing>,
    /// What was told last.
    pub(crate) recent: RecentEvents,
    sink: Sink,
    written: mpsc::Sender<Written>,
    /// The last record on disk before this load.
    head: EventSeq,
    /// The last number given out.
    last: EventSeq,
    epoch: Epoch,
    /// The version of the history when this load began: every change of it since is an event of its own.
    first_epoch: Epoch,
    /// The last revert of this load; 0 when there is none.
    reverted: EventSeq,
    /// Whether this load has written its `thread.opened`.
    opened: bool,
    /// Why the disk does not take records now.
    pub(crate) failure: Option<String>,
    /// Turns that have ended, and whose ends are not on disk yet.
    ends: Vec<(EventSeq, TurnId)>,
    /// Those of them that clients are told of as not saved.
    unsaved_ends: Vec<(EventSeq, TurnId)>,
}

impl Journal {
    /// A book that begins behind record `head`, in epoch `epoch`.
    pub(crate) fn new(
        services: Arc<Context>,
        thread: ThreadId,
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
        let queue = PublicationQueue::new(head);
        Self {
            services,
            thread,
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
            opened: false,
            failure: None,
            ends: Vec::new(),
            unsaved_ends: Vec::new(),
        }
    }

    /// The last number given out.
    #[must_use]
    pub(crate) fn seq(&self) -> EventSeq {
        self.last
    }

    /// The last record that is on disk.
    #[must_use]
    pub(crate) fn durable(&self) -> EventSeq {
        self.queue.durable()
    }

    /// Whether its records can be read again from the store.
    #[must_use]
    pub(crate) fn is_stored(&self) -> bool {
        match &self.sink {
            Sink::None(_) | Sink::Memory(_) => false,
            Sink::Disk { .. } | Sink::Closed { .. } => true,
        }
    }

    /// The version of the history.
    #[must_use]
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether who knows the history up to `at`, a number of version `epoch`, can be told what follows: since then it was
    /// only rewritten by reverts of this load, which are told like everything else.
    #[must_use]
    pub(crate) fn continues(&self, at: ThreadPicture) -> bool {
        at.seq <= self.last && (self.first_epoch..=self.epoch).contains(&at.epoch)
    }

    /// The version that a picture has whose last record on disk is `end`. None (0) where a revert that it shows may be
    /// lost: nothing that is on disk later continues it.
    #[must_use]
    pub(crate) fn epoch_at(&self, end: EventSeq) -> Epoch {
        if self.reverted > end { Epoch(0) } else { self.epoch }
    }

    /// Whether the disk does not have a revert that clients may have been told of.
    #[must_use]
    pub(crate) fn lacks_a_revert(&self) -> bool {
        self.is_stored() && self.reverted > self.queue.durable()
    }

    /// Whether the writer takes more, and not too much waits for it. While it is not so, the turn is not listened to.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        if self.queue.len() > policy::PUBLICATIONS_WAITING {
            return false;
        }
        match &self.sink {
            Sink::Disk { batches: Some(writer), .. } => writer.capacity() > policy::WRITER_BATCHES / 2,
            Sink::Disk { batches: None, .. } | Sink::None(_) | Sink::Memory(_) | Sink::Closed { .. } => true,
        }
    }

    /// What matters to a model of a thread that is never on disk, oldest first; `None` for any other thread.
    #[must_use]
    pub(crate) fn kept(&self) -> Option<&[Record]> {
        match &self.sink {
            Sink::None(kept) => Some(kept),
            Sink::Memory(_) | Sink::Disk { .. } | Sink::Closed { .. } => None,
        }
    }

    /// Numbers these records and sends them on their way. Returns the number of each. The first record of a load is
    /// always `thread.opened`.
    pub(crate) fn record(&mut self, bodies: Vec<RecordBody>, keep: Keep) -> Vec<EventSeq> {
        let mut records = Vec::with_capacity(bodies.len() + 1);
        let mut keep = self.effective(keep);
        // Before a number is told, its epoch has to be on the disk, however little is kept of the rest: after a loss of power
        // the same numbers would be given out again in the same epoch. So with what begins one: a load, and a revert.
        if !self.opened || bodies.iter().any(|body| matches!(body, RecordBody::Reverted(_))) {
            keep = Keep::Power;
        }
        if !self.opened {
            self.opened = true;
            let opened = ThreadOpened {
                boot_id: self.services.machine_boot,
                term: self.services.term,
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

    /// The thread gets its rollout: what waited in memory goes first.
    pub(crate) fn materialise(&mut self) {
        if let Sink::Memory(waiting) = &mut self.sink {
            let waiting = std::mem::take(waiting);
            self.sink = Sink::Disk { batches: None, task: None };
            if !waiting.is_empty() {
                // As the first records of every load, whatever is kept of the rest.
                self.send(waiting, Keep::Power);
            }
        }
    }

    /// Writes the closing record and lets the writer end when everything is written. `false` when there is nothing
    /// to wait for: then nothing was written in this load.
    pub(crate) fn close(&mut self) -> bool {
        let writes = matches!(self.sink, Sink::Disk { batches: Some(_), .. });
        if writes {
            self.record(vec![ThreadClosed {}.into()], Keep::Power);
        }
        self.end_writer();
        writes
    }

    /// The owner has broken off: nothing is recorded any more. The writer ends, and with it what it says, when it has
    /// written what it was given.
    pub(crate) fn break_off(&mut self) {
        self.end_writer();
        self.written = mpsc::channel(1).0;
    }

    fn end_writer(&mut self) {
        match &mut self.sink {
            Sink::Disk { task, .. } | Sink::Closed { task } => self.sink = Sink::Closed { task: task.take() },
            // Nothing to close; whoever resumes meanwhile finds the thread as it was.
            Sink::None(_) | Sink::Memory(_) => {}
        }
    }

    /// Whether the whole thread is in memory, and nowhere else.
    #[must_use]
    pub(crate) fn is_unwritten(&self) -> bool {
        match &self.sink {
            Sink::Memory(_) => true,
            Sink::None(_) | Sink::Disk { .. } | Sink::Closed { .. } => false,
        }
    }

    /// Whether nothing more is written: what was sent to the writer is the end.
    #[must_use]
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.sink, Sink::Closed { .. })
    }

    /// Gives up what is not written.
    pub(crate) fn abandon(&mut self) -> usize {
        let sink = std::mem::replace(&mut self.sink, Sink::Closed { task: None });
        if let Sink::Disk { task: Some(task), .. } | Sink::Closed { task: Some(task) } = sink {
            // A later owner must not meet the writes of this one.
            task.abort();
        }
        let unsaved = self.last.0.saturating_sub(self.queue.durable().0);
        usize::try_from(unsaved).unwrap_or(usize::MAX)
    }

    /// Holds something back until every record so far is durable, in line with everything else.
    pub(crate) fn publish(&mut self, what: Outgoing) {
        let behind = match &self.sink {
            Sink::None(_) | Sink::Memory(_) => EventSeq(0),
            Sink::Disk { .. } | Sink::Closed { .. } => self.last,
        };
        self.queue.push(behind, what);
    }

    /// Hears what the writer did. After a failure what waits is published all the same, as not saved.
    pub(crate) fn heard(&mut self, written: &Written) {
        match written {
            Written::UpTo(seq, _) => {
                self.failure = None;
                self.queue.advance(*seq);
                self.ends.retain(|(end, _)| end > seq);
            }
            Written::Failed(error) => {
                self.failure = Some(error.to_string());
                self.unsaved_ends.append(&mut self.ends);
            }
        }
    }

    /// The turns that have ended, and of which clients are told that they have failed after all, as the disk does not take
    /// their ends. None when nothing is recorded any more.
    pub(crate) fn take_unsaved_ends(&mut self) -> Vec<(EventSeq, TurnId)> {
        match &self.sink {
            Sink::Closed { .. } => Vec::new(),
            Sink::None(_) | Sink::Memory(_) | Sink::Disk { .. } => std::mem::take(&mut self.unsaved_ends),
        }
    }

    /// Drops the notification of the record `number` if it still waits.
    pub(crate) fn withdraw(&mut self, number: EventSeq) {
        self.queue.retain(|waiting| match waiting {
            Outgoing::Notify(notice) => notice.number != Some(number),
            Outgoing::Acknowledge(_) | Outgoing::Due(_) => true,
        });
    }

    /// The next thing that may go out, and whether the records before it are saved.
    pub(crate) fn next_outgoing(&mut self) -> Option<(Outgoing, Saved)> {
        if let Some(ready) = self.queue.pop_ready() {
            return Some((ready, Saved::Yes));
        }
        self.failure.as_ref()?;
        self.queue.pop().map(|unsaved| (unsaved, Saved::No))
    }

    /// The next thing, whether the records before it are saved or not.
    pub(crate) fn next_waiting(&mut self) -> Option<(Outgoing, Saved)> {
        let ready = self.queue.pop_ready().map(|ready| (ready, Saved::Yes));
        ready.or_else(|| self.queue.pop().map(|unsaved| (unsaved, Saved::No)))
    }

    /// What waits to go out.
    pub(crate) fn outgoing(&self) -> impl Iterator<Item = &Outgoing> {
        self.queue.iter()
    }

    fn numbered(&mut self, mut body: RecordBody) -> Record {
        self.last = self.last.next();
        if let RecordBody::TurnCompleted(completed) = &mut body {
            // As of this record: who made the body may not have known that the load has begun a new epoch.
            completed.header = self.history.header();
        }
        if let RecordBody::Reverted(reverted) = &body {
            (self.epoch, self.reverted) = (reverted.epoch, self.last);
            // A turn that is gone does not fail: its end is not recorded a second time behind the revert.
            let stays = |end: &(EventSeq, TurnId)| reverted.from.is_none_or(|from| end.0 < from);
            self.ends.retain(stays);
            self.unsaved_ends.retain(stays);
        }
        let record = Record { seq: self.last, at: self.services.clock.wall(), body };
        self.history.apply(&record);
        if let (RecordBody::TurnCompleted(ended), Sink::Disk { .. }) = (&record.body, &self.sink) {
            if !ended.unsaved {
                self.ends.push((record.seq, ended.turn_id.clone()));
            }
            // Who wants older turns reads them from the rollout.
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
                // A history whose beginning is lost is in no list until somebody speaks in it, as after a rebuild.
                let changed =
                    self.history.is_materialised() && records.iter().any(|record| changes_row(&record.body));
                let row = changed.then(|| self.history.row());
                let batch = Batch { records, keep, row };
                let writer = batches.get_or_insert_with(|| {
                    let (writer, abort) =
                        start_writer(&self.services, self.thread, self.head, self.written.clone());
                    *task = Some(abort);
                    writer
                });
                // The queue has twice the room that `has_room` allows for: what an owner adds by itself fits.
                if let Err(error) = writer.try_send(batch) {
                    tracing::error!(thread = %self.thread, %error, "the writer's queue is full; records are lost");
                    self.failure = Some("its writer does not keep up".to_owned());
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

/// What a history holds, for the conversation of a thread that begins with it: the items of its turns, each with the number
/// of its turn.
fn as_records(history: &History) -> Vec<Record> {
    let of_turn = |held: &LoadedTurn| {
        let (turn_id, seq, at) = (held.turn.id.clone(), held.at, WallMs(0));
        let completed = move |item: &ThreadItem| {
            let body = ItemCompleted { turn_id: turn_id.clone(), item: item.clone() }.into();
            Record { seq, at, body }
        };
        held.turn.items.iter().map(completed).collect::<Vec<_>>()
    };
    history.held_turns().iter().flat_map(of_turn).collect()
}

/// Whether a model is told of it.
fn matters_to_a_model(body: &RecordBody) -> bool {
    matches!(
        body,
        RecordBody::ItemStarted(_)
            | RecordBody::ItemCompleted(_)
            | RecordBody::ItemsInjected(_)
            | RecordBody::ModelAnswer(_)
            | RecordBody::FilesRead(_)
            | RecordBody::Compacted(_)
            | RecordBody::Usage(_)
    )
}

/// Whether what is published now is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// As durable as it has to be.
    Yes,
    /// Only in memory: the disk does not take it.
    No,
}

fn start_writer(
    services: &Arc<Context>,
    thread: ThreadId,
    head: EventSeq,
    written: mpsc::Sender<Written>,
) -> (mpsc::Sender<Batch>, AbortHandle) {
    let (batches, to_write) = mpsc::channel(policy::WRITER_BATCHES);
    let setup = WriterSetup {
        store: Arc::clone(&services.store),
        index: Arc::clone(&services.index),
        tasks: services.tasks.clone(),
        clock: services.clock,
        lease: Lease { thread, term: services.term },
        head,
    };
    let writing = services.tasks.spawn(format!("writer/{thread}"), writer::run(setup, to_write, written));
    (batches, writing.abort_handle())
}

fn changes_row(body: &RecordBody) -> bool {
    match body {
        RecordBody::ThreadCreated(_)
        | RecordBody::ThreadNamed(_)
        | RecordBody::ThreadMeta(_)
        | RecordBody::ThreadRead(_)
        | RecordBody::TurnStarted(_)
        | RecordBody::TurnCompleted(_)
        | RecordBody::Reverted(_)
        | RecordBody::Forked(_)
        // Only the number: a row that was made from the last record needs no look at its rollout.
        | RecordBody::ThreadClosed(_) => true,
        // Where the rollout stands is in the row, and that changes later.
        RecordBody::Archived(_)
        | RecordBody::Unarchived(_)
        | RecordBody::Imported(_)
        | RecordBody::ThreadOpened(_)
        | RecordBody::ThreadGoal(_)
        | RecordBody::ItemStarted(_)
        | RecordBody::ItemCheckpoint(_)
        | RecordBody::ItemCompleted(_)
        | RecordBody::Usage(_)
        | RecordBody::Compacted(_)
        | RecordBody::ItemsInjected(_)
        | RecordBody::ModelAnswer(_)
        | RecordBody::FilesRead(_)
        | RecordBody::Unknown(_) => false,
    }
}

/// Whom a thread's notification of this scope reaches: everything of an ephemeral thread is its subscribers' own.
#[must_use]
pub(crate) fn reach(scope: Recipients, persistence: Persistence) -> Recipients {
    match (scope, persistence) {
        (Recipients::All, Persistence::Durable) => Recipients::All,
        (Recipients::All, Persistence::Ephemeral) | (Recipients::Subscribers, _) => Recipients::Subscribers,
    }
}
