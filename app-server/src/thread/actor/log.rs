//! The event log of a thread: its records and their numbers, the writer, the publish queue behind the records, and the
//! snapshot for other tasks.

use std::collections::VecDeque;
use std::sync::Arc;

use skein_base::clock::WallMs;
use skein_config::ServerConfig;
use skein_protocol::event::WarningNotification;
use skein_protocol::extension::{ThreadOwner, ThreadPicture};
use skein_protocol::ids::{Epoch, EventSeq, ItemId, ThreadId, TurnId};
use skein_protocol::item::ThreadItemBody;
use skein_protocol::notifications::Warning;
use skein_protocol::table::{Notification, Recipients};
use skein_protocol::thread::{Thread, ThreadStatus};
use skein_protocol::turn::Turn;
use skein_store::history::{History, LoadedTurn, ThreadRow};
use skein_store::rollout::record::RecordBody;
use skein_store::rollout::{Keep, Lease};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::outbox::reply::Reply;
use crate::policy;
use crate::thread::catalog::{AnnouncedThread, AnnouncedTo};
use crate::thread::error::ThreadError;
use crate::thread::event::Materialised;
use crate::thread::journal::{Journal, Saved, reach};
use crate::thread::machine::Persistence;
use crate::thread::outgoing::{Due, LateAnswer, Notice, Outgoing};
use crate::thread::snapshot::Snapshot;
use crate::thread::subscribers::{Broadcast, Ticket};
use crate::thread::writer::Written;
use crate::thread::{Context, events};

pub(super) struct Log {
    services: Arc<Context>,
    thread: ThreadId,
    persistence: Persistence,
    snapshot: watch::Sender<Snapshot>,
    /// Set while the thread is loaded.
    journal: Option<Journal>,
    written: (mpsc::Sender<Written>, mpsc::Receiver<Written>),
    checkpoint_at: Option<Instant>,
    /// Records were abandoned, and listeners may know them.
    has_lost: bool,
    /// Its owner ends, or has ended.
    is_left: bool,
}

/// Which part of the publish queue is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Send {
    /// Entries whose records are durable, or all while the disk fails. A storage on another machine that is away is waited for.
    Ready,
    /// All, saved or not.
    All,
}

mod shown;
#[cfg(test)]
mod tests;
mod written;

impl Log {
    pub(super) fn new(
        services: Arc<Context>,
        thread: ThreadId,
        persistence: Persistence,
        snapshot: watch::Sender<Snapshot>,
    ) -> Self {
        let written = mpsc::channel(policy::WRITER_BATCHES);
        Self {
            services,
            thread,
            persistence,
            snapshot,
            journal: None,
            written,
            checkpoint_at: None,
            has_lost: false,
            is_left: false,
        }
    }

    pub(super) fn id(&self) -> ThreadId {
        self.thread
    }

    pub(super) fn persistence(&self) -> Persistence {
        self.persistence
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.services.config()
    }

    /// The maximum bytes of turns in an answer that must not be refused as too large.
    pub(super) fn most_shown(&self) -> usize {
        self.config().limits.answer_bytes / 2
    }

    pub(super) fn wall(&self) -> WallMs {
        self.services.clock.wall()
    }

    /// Drops the records and the writer of the previous load.
    pub(super) fn forget(&mut self) {
        self.journal = None;
        self.written = mpsc::channel(policy::WRITER_BATCHES);
    }

    /// Opens the log behind record `at.seq`, in epoch `at.epoch`.
    pub(super) fn open(
        &mut self,
        lease: Lease,
        history: History,
        at: ThreadPicture,
        materialised: Materialised,
    ) {
        let (services, written) = (Arc::clone(&self.services), self.written.0.clone());
        let (at, kind) = ((at.seq, at.epoch), (self.persistence, materialised));
        self.show(|snapshot| snapshot.term = Some(lease.term));
        self.is_left = false;
        self.journal = Some(Journal::new(services, lease, history, at, kind, written));
    }

    /// Notes that the owner ends. Announcements from here on say so to other servers.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
    }

    /// The right to write to the thread, once the log is open.
    pub(super) fn lease(&self) -> Option<Lease> {
        self.journal.as_ref().map(Journal::lease)
    }

    /// The thread as announcements name it, also behind the end of the log.
    pub(super) fn announced(&self) -> AnnouncedThread {
        AnnouncedThread { id: self.thread, term: self.snapshot.borrow().term, is_left: self.is_left }
    }

    /// This server, once the log is open and where it is one of several.
    pub(super) fn owner(&self) -> Option<ThreadOwner> {
        self.services.owner(self.lease()?.term)
    }

    pub(super) fn is_open(&self) -> bool {
        self.journal.is_some()
    }

    /// Whether the whole thread is in memory only.
    pub(super) fn is_unwritten(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_unwritten)
    }

    pub(super) fn history(&self) -> Option<&History> {
        self.journal.as_ref().map(|journal| &journal.history)
    }

    pub(super) fn turn(&self, id: &TurnId) -> Option<&Turn> {
        self.history()?.turn(id)
    }

    /// The last record's number, and the version of the history.
    pub(super) fn end(&self) -> ThreadPicture {
        let end = |journal: &Journal| ThreadPicture { seq: journal.seq(), epoch: journal.epoch() };
        self.journal.as_ref().map_or(ThreadPicture { seq: EventSeq(0), epoch: Epoch(1) }, end)
    }

    /// The last record on disk, and the version of the history that ends there.
    pub(super) fn end_on_disk(&self) -> Option<ThreadPicture> {
        let journal = self.journal.as_ref()?;
        let seq = journal.durable();
        Some(ThreadPicture { seq, epoch: journal.epoch_at(seq) })
    }

    /// Whether events can follow for a client that knows the history up to `at`.
    pub(super) fn continues(&self, at: ThreadPicture) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.continues(at))
    }

    /// The durable events behind record `seq`, if all of them are in memory.
    pub(super) fn recent(&self, seq: EventSeq) -> Option<impl Iterator<Item = &Broadcast>> {
        self.journal.as_ref()?.recent.after(seq)
    }

    /// Whether the store has the records.
    pub(super) fn is_stored(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_stored)
    }

    /// The records that a model needs of an ephemeral thread.
    pub(super) fn kept(&self) -> Option<Vec<skein_store::rollout::record::Record>> {
        Some(self.journal.as_ref()?.kept()?.to_vec())
    }

    /// Why the disk does not take records now.
    pub(super) fn failure(&self) -> Option<&str> {
        Some(&self.journal.as_ref()?.failure.as_ref()?.why)
    }

    /// Whether records wait for a storage that is away.
    pub(super) fn waits_for_store(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::waits_for_store)
    }

    /// Whether the writer and the publish queue take more.
    pub(super) fn has_room(&self) -> bool {
        self.journal.as_ref().is_none_or(Journal::has_room)
    }

    /// Whether the writer takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_full)
    }

    /// Why nothing new is written now.
    pub(super) fn refusal(&self) -> Option<ThreadError> {
        let id = self.thread;
        if let Some(why) = self.journal.as_ref().and_then(|journal| journal.away.clone()) {
            return Some(ThreadError::StoreUnavailable { id, why });
        }
        match self.failure() {
            Some(why) => Some(ThreadError::NotSaved { id, why: why.to_owned() }),
            None if self.is_full() => Some(ThreadError::Busy { id }),
            None => None,
        }
    }

    /// The thread's description, without turns.
    pub(super) fn thread(&self, status: ThreadStatus) -> Thread {
        let mut thread = match self.history() {
            Some(history) => history.thread(status, &self.services.paths()),
            None => Thread::new(self.thread, "", "", 0),
        };
        match self.persistence {
            // An ephemeral thread has no rollout.
            Persistence::Ephemeral => (thread.ephemeral, thread.path) = (true, None),
            Persistence::Durable => {}
        }
        thread.can_accept_direct_input = Some(true);
        thread
    }

    /// Gives the thread its rollout, before the first user message is recorded.
    pub(super) fn materialise(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.materialise();
        }
    }

    /// Numbers these records and hands them to the writer. Returns the number of each.
    pub(super) fn record(&mut self, bodies: Vec<RecordBody>, keep: Keep) -> Vec<EventSeq> {
        self.journal.as_mut().map(|journal| journal.record(bodies, keep)).unwrap_or_default()
    }

    pub(super) fn record_one(&mut self, body: impl Into<RecordBody>, keep: Keep) -> EventSeq {
        self.record(vec![body.into()], keep).first().copied().unwrap_or(EventSeq(0))
    }

    /// Records a revert. `left` are older turns of the rollout, and whether there are older ones still.
    pub(super) fn revert(
        &mut self,
        body: RecordBody,
        left: Option<(VecDeque<LoadedTurn>, bool)>,
    ) -> Option<EventSeq> {
        let journal = self.journal.as_mut()?;
        if let Some((turns, more)) = left {
            // First, so that the row of the record counts the turns that stay.
            journal.history.refill(turns, more);
        }
        let numbers = journal.record(vec![body], Keep::Power);
        if journal.history.has_older() {
            journal.history.drop_oldest(skein_store::policy::HISTORY_WINDOW);
        }
        numbers.first().copied()
    }

    pub(super) fn set_archived(&mut self, archived: bool) {
        if let Some(journal) = &mut self.journal {
            journal.history.set_archived(archived);
        }
    }

    /// Adds text to an open item, here and in the snapshot. The text is written within a second.
    pub(super) fn append(&mut self, item: &ItemId, text: &str) {
        if let Some(journal) = &mut self.journal {
            journal.history.receive_text(item, text);
        }
        self.snapshot.send_modify(|snapshot| {
            let open = snapshot.open_items.iter_mut().find(|open| open.id() == item);
            match open.map(|open| &mut Arc::make_mut(open).body) {
                Some(ThreadItemBody::AgentMessage(message)) => message.text.push_str(text),
                Some(ThreadItemBody::Plan(plan)) => plan.text.push_str(text),
                _ => {}
            }
        });
        self.checkpoint_soon();
    }

    fn checkpoint_soon(&mut self) {
        self.checkpoint_at.get_or_insert_with(|| self.services.clock.now() + policy::CHECKPOINT);
    }

    /// When text in flight is written next.
    pub(super) fn checkpoint_at(&self) -> Option<Instant> {
        self.checkpoint_at
    }

    /// Writes the text in flight since the last checkpoint. Tries again later while the disk does not take it.
    pub(super) fn checkpoint(&mut self) {
        self.checkpoint_at = None;
        let checkpoints = self.history().map(History::checkpoints).unwrap_or_default();
        match self.refusal() {
            _ if checkpoints.is_empty() => {}
            Some(_) => self.checkpoint_soon(),
            None => _ = self.record(checkpoints, Keep::Process),
        }
    }

    /// Token usage of the conversation so far, for a client that joins; none where no model reports it.
    pub(super) fn usage_so_far(&self) -> Option<Broadcast> {
        events::usage(self.history()?, self.wall())
    }

    /// The items in progress, for a client that joins.
    pub(super) fn open_items(&self) -> Vec<Broadcast> {
        self.history().map(|history| events::open_items(history, self.wall())).unwrap_or_default()
    }

    /// Queues an entry behind the records so far.
    pub(super) fn publish(&mut self, outgoing: Outgoing) {
        if let Some(journal) = &mut self.journal {
            journal.publish(outgoing);
        }
    }

    /// Queues an answer that depends on the records before it.
    pub(super) fn acknowledge<R: serde::Serialize + std::marker::Send + 'static>(
        &mut self,
        reply: Reply<R>,
        response: R,
    ) {
        self.publish(Outgoing::Acknowledge(Box::new(move |saved| reply.send(saved.map(|()| response)))));
    }

    /// Queues a notification.
    pub(super) fn notify<N: Notification>(&mut self, params: &N::Params, number: Option<EventSeq>) {
        let scope = reach(N::INFO.scope, self.persistence);
        let epoch = self.journal.as_ref().map(Journal::epoch);
        let notice = Notice::new::<N>(scope, params, self.wall(), number.zip(epoch));
        self.put(notice);
    }

    /// Queues a notification. Without a journal it is sent at once.
    pub(super) fn put(&mut self, notice: Notice) {
        match &mut self.journal {
            Some(journal) => journal.publish(Outgoing::Notify(notice)),
            None => self.send_notice(notice, Saved::Yes),
        }
    }

    /// Tells the subscribers of a difficulty, before everything that waits in the publish queue.
    pub(super) fn warn_at_once(&mut self, message: String) {
        let params = WarningNotification { message, thread_id: Some(self.thread) };
        self.send_notice(self.notice::<Warning>(&params), Saved::Yes);
    }

    /// A notification without a number for the subscribers.
    pub(super) fn notice<N: Notification>(&self, params: &N::Params) -> Notice {
        Notice::new::<N>(Recipients::Subscribers, params, self.wall(), None)
    }

    /// Sends the next entries of the publish queue, up to an entry that only the owner can send.
    pub(super) fn send_next(&mut self, which: Send) -> Option<(Due, Saved)> {
        loop {
            let journal = self.journal.as_mut()?;
            let (outgoing, saved) = match which {
                Send::Ready => journal.next_outgoing()?,
                Send::All => journal.next_waiting()?,
            };
            if let Some(due) = self.send(outgoing, saved) {
                return Some((due, saved));
            }
        }
    }

    /// Takes everything out of the publish queue.
    pub(super) fn drain(&mut self) -> Vec<(Outgoing, Saved)> {
        std::iter::from_fn(|| self.journal.as_mut()?.next_waiting()).collect()
    }

    /// Sends a notification or an acknowledgement; anything else is returned.
    pub(super) fn send(&mut self, outgoing: Outgoing, saved: Saved) -> Option<Due> {
        match outgoing {
            Outgoing::Notify(notice) => self.send_notice(notice, saved),
            Outgoing::Acknowledge(acknowledge) => {
                let why = || self.failure().unwrap_or("the rollout was given up").to_owned();
                acknowledge(match saved {
                    Saved::Yes => Ok(()),
                    Saved::No => Err(ThreadError::NotKept { id: self.thread, why: why() }.to_wire()),
                });
            }
            Outgoing::Due(due) => return Some(due),
        }
        None
    }

    fn send_notice(&mut self, notice: Notice, saved: Saved) {
        let scope = notice.scope;
        if let (Some(seq), Some(journal)) = (notice.number, &mut self.journal) {
            match saved {
                Saved::Yes => journal.recent.push(seq, notice.broadcast.clone()),
                Saved::No => journal.recent.skip(seq),
            }
        }
        let broadcast = match saved {
            Saved::Yes => notice.broadcast,
            Saved::No => notice.into_unsaved(),
        };
        match scope {
            Recipients::All => {
                self.services.subscribers.announce(self.announced(), &broadcast, AnnouncedTo::All)
            }
            Recipients::Subscribers => self.services.subscribers.publish(self.thread, &broadcast),
        }
    }

    /// Takes the resumes that wait for their view out of the publish queue.
    pub(super) fn take_joins(&mut self) -> Vec<(Ticket, LateAnswer)> {
        let is_join = |what: &Outgoing| {
            matches!(what, Outgoing::Due(Due::Join { is_resume: true, .. } | Due::CatchUp(_)))
        };
        let taken = self.journal.as_mut().map(|journal| journal.take_outgoing(is_join)).unwrap_or_default();
        let join = |what| match what {
            Outgoing::Due(Due::Join { ticket, answer, .. }) => Some((ticket, answer)),
            Outgoing::Due(Due::CatchUp(resume)) => Some((resume.ticket, resume.answer)),
            Outgoing::Due(Due::JoinAt(..) | Due::Ask(_)) | Outgoing::Notify(_) | Outgoing::Acknowledge(_) => {
                None
            }
        };
        taken.into_iter().filter_map(join).collect()
    }

    /// Subscriptions and questions in the publish queue.
    pub(super) fn queued(&self) -> impl Iterator<Item = &Due> {
        self.journal.iter().flat_map(Journal::outgoing).filter_map(|outgoing| match outgoing {
            Outgoing::Due(due) => Some(due),
            Outgoing::Notify(_) | Outgoing::Acknowledge(_) => None,
        })
    }

    /// Turns whose ends the disk does not take, with the number of each end.
    pub(super) fn take_unsaved_ends(&mut self) -> Vec<(EventSeq, TurnId)> {
        self.journal.as_mut().map(Journal::take_unsaved_ends).unwrap_or_default()
    }

    /// Drops the notification of the record `number` if it is still queued.
    pub(super) fn withdraw(&mut self, number: EventSeq) {
        if let Some(journal) = &mut self.journal {
            journal.withdraw(number);
        }
    }

    /// Notes that the event of this record is published as not saved.
    pub(super) fn skip(&mut self, number: EventSeq) {
        if let Some(journal) = &mut self.journal {
            journal.recent.skip(number);
        }
    }

    /// The current row of the index. `None` for a history without its beginning, which is in no list, as after a rebuild.
    pub(super) fn row(&self) -> Option<(ThreadRow, EventSeq)> {
        let history = self.history().filter(|history| history.is_materialised())?;
        Some((history.row(), self.end().seq))
    }
}
