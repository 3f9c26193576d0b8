//! A thread is archived, restored or deleted: at the end of its hard shutdown a task moves the rollout and sets the row of
//! the lists. Only then the new location is published, and the ownership ends.

use std::sync::Arc;

use skein_protocol::event::{
    ThreadArchivedNotification, ThreadDeletedNotification, ThreadUnarchivedNotification,
};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::notifications::{ThreadArchived, ThreadDeleted, ThreadUnarchived};
use skein_protocol::table::Recipients;
use skein_protocol::thread::ThreadStatus;
use skein_store::history::{History, ThreadRow};
use skein_store::index::moment::{self, Listed};
use skein_store::index::rebuild;
use skein_store::rollout::record::{Archived, RecordBody, Unarchived};
use skein_store::rollout::{Lease, Location, MoveError, OpenMarker, ReadError};

use super::log::Log;
use super::{Child, Owner};
use crate::thread::Context;
use crate::thread::catalog::AnnouncedTo;
use crate::thread::command::{Command, Relocate};
use crate::thread::effect::{Destination, MoveRefusal};
use crate::thread::error::ThreadError;
use crate::thread::event::Event;
use crate::thread::machine::Persistence;
use crate::thread::outgoing::Notice;

/// The outcome of a move.
#[derive(Debug)]
pub(super) struct RelocationOutcome {
    /// The new location, or why the rollout has not moved.
    moved: Result<Destination, MoveRefusal>,
    listed: Listed,
}

impl Owner {
    /// Begins the unload for a move. Answers at once if the rollout is at its destination already.
    pub(super) fn relocate(&mut self, asked: Relocate) {
        let to = asked.destination();
        if let Some(error) = refusal(&self.log, to, self.machine.is_materialised()) {
            return asked.err(&error.to_wire());
        }
        let archived = self.log.history().is_some_and(History::is_archived);
        match (to, archived) {
            (Destination::Archive, true) | (Destination::Threads, false) => {
                let status = self.parts().status();
                answer(&self.log, asked, status);
            }
            (Destination::Archive, false) | (Destination::Threads, true) | (Destination::Trash, _) => {
                let waiter = self.waiters.add(Command::Relocate(asked));
                self.step(Event::Relocate { waiter, to });
            }
        }
    }

    /// Moves the rollout. The move continues even if this owner does not wait for it any longer.
    pub(super) fn move_rollout(&mut self, to: Destination) -> Option<Event> {
        let is_durable = self.log.persistence() == Persistence::Durable;
        let lease = self.log.lease().filter(|_| is_durable && self.machine.is_materialised());
        let Some(lease) = lease else { return Some(Event::Moved) };
        let moving = carry(Arc::clone(&self.services), lease, self.log.row(), to);
        let moving = self.services.tasks.spawn(format!("move/{}", self.id), moving);
        self.children.spawn(format!("await-move/{}", self.id), async move {
            let outcome = moving.await.unwrap_or_else(|panic| {
                let why = format!("a fault of the server ended it ({panic}), its log has more");
                RelocationOutcome { moved: Err(MoveRefusal::Failed(why)), listed: Listed::NotYet }
            });
            Child::Moved(Box::new(outcome))
        });
        None
    }

    pub(super) fn rollout_moved(&mut self, outcome: RelocationOutcome) {
        if outcome.listed == Listed::Yes {
            // A full queue only leaves the marker for the next start, which checks the location. The marker is read before the
            // release: then another owner may change it.
            self.services.closed_rollouts.try_send(self.services.store.open_marker(self.id)).ok();
        }
        self.services.store.release(self.id);
        match outcome.moved {
            Ok(to) => {
                self.log.set_archived(to == Destination::Archive);
                self.step(Event::Moved);
            }
            Err(why) => {
                tracing::error!(thread = %self.id, ?why, "the rollout of this thread cannot be moved");
                self.step(Event::MoveFailed(why));
            }
        }
    }
}

fn refusal(log: &Log, to: Destination, is_materialised: bool) -> Option<ThreadError> {
    let id = log.id();
    if log.waits_for_store() {
        return log.refusal();
    }
    match (to, log.persistence()) {
        (Destination::Trash, _) | (Destination::Threads, Persistence::Durable) => None,
        (Destination::Archive | Destination::Threads, Persistence::Ephemeral) => {
            Some(ThreadError::Ephemeral { id, what: "it can be in no archive; unsubscribe to drop it" })
        }
        (Destination::Archive, Persistence::Durable) if !is_materialised => {
            Some(ThreadError::NothingToArchive { id })
        }
        (Destination::Archive, Persistence::Durable) => log.failure().and_then(|_| log.refusal()),
    }
}

/// Answers a request for a move: the rollout is at its destination.
pub(super) fn answer_move(log: &Log, asked: Option<Command>) {
    if let Some(Command::Relocate(asked)) = asked {
        answer(log, asked, ThreadStatus::NotLoaded);
    }
}

fn answer(log: &Log, asked: Relocate, status: ThreadStatus) {
    match log.is_open() {
        true => asked.ok(log.thread(status)),
        // The log is open from the load on.
        false => asked.err(&ThreadError::BrokeOff { id: log.id() }.to_wire()),
    }
}

/// Refuses a request for a move: the rollout is not at its destination, or the disk does not say.
pub(super) fn refuse_move(services: &Context, log: &Log, asked: Option<Command>, why: MoveRefusal) {
    let Some(Command::Relocate(asked)) = asked else { return };
    let id = log.id();
    let error = match why {
        MoveRefusal::NotClosed => {
            let why = log.failure().unwrap_or("its rollout could not be closed in time").to_owned();
            ThreadError::NotMoved { id, why }
        }
        MoveRefusal::Failed(why) => ThreadError::NotMoved { id, why },
        MoveRefusal::Away(why) => ThreadError::StoreUnavailable { id, why },
        MoveRefusal::NoAnswer => {
            services.store.release(id);
            ThreadError::MoveUnknown { id }
        }
    };
    asked.err(&error.to_wire());
}

/// Publishes the location of the thread.
pub(super) fn announce_move(services: &Context, log: &Log, to: Destination) {
    let (thread_id, skein, at) = (log.id(), None, log.wall());
    let notice = match to {
        Destination::Archive => {
            let params = ThreadArchivedNotification { thread_id, skein };
            Notice::new::<ThreadArchived>(Recipients::All, &params, at, None)
        }
        Destination::Threads => {
            let params = ThreadUnarchivedNotification { thread_id, skein };
            Notice::new::<ThreadUnarchived>(Recipients::All, &params, at, None)
        }
        Destination::Trash => {
            let params = ThreadDeletedNotification { thread_id, skein };
            Notice::new::<ThreadDeleted>(Recipients::All, &params, at, None)
        }
    };
    match log.persistence() {
        Persistence::Durable => {
            services.subscribers.announce(log.announced(), &notice.broadcast, AnnouncedTo::All)
        }
        Persistence::Ephemeral => services.subscribers.publish(thread_id, &notice.broadcast),
    }
}

/// The record of a move, written before it. If record and location disagree, the location wins.
pub(super) fn record_of(to: Destination) -> Option<RecordBody> {
    match to {
        Destination::Archive => Some(Archived {}.into()),
        Destination::Threads => Some(Unarchived {}.into()),
        Destination::Trash => None,
    }
}

/// After a load that wrote nothing: sets the thread's row, and removes an open marker of an earlier end of the server.
pub(super) async fn mend_index(
    services: Arc<Context>,
    thread: ThreadId,
    row: Option<(ThreadRow, EventSeq)>,
    marker: OpenMarker,
) {
    let mended = match row {
        Some((row, as_of)) => rebuild::put_row(&*services.store, &*services.index, row, as_of).await,
        None => Ok(()),
    };
    match mended {
        // A full queue leaves the marker for the next load.
        Ok(()) => drop(services.closed_rollouts.try_send(marker)),
        Err(error) => tracing::warn!(%thread, %error, "the index row of this thread cannot be updated"),
    }
}

fn not_moved(error: MoveError) -> MoveRefusal {
    match error {
        MoveError::Away { why, .. } | MoveError::Read(ReadError::Away { why, .. }) => MoveRefusal::Away(why),
        MoveError::Unknown { .. } => MoveRefusal::NoAnswer,
        MoveError::Read(_) | MoveError::Fenced { .. } | MoveError::Disk { .. } => {
            MoveRefusal::Failed(error.to_string())
        }
    }
}

/// Moves the rollout, then sets the row for the new location, so that a list after the answer shows it.
async fn carry(
    services: Arc<Context>,
    lease: Lease,
    row: Option<(ThreadRow, EventSeq)>,
    to: Destination,
) -> RelocationOutcome {
    let (store, thread) = (&services.store, lease.thread);
    let moved: Result<(), MoveError> = match to {
        Destination::Archive => store.relocate(lease, Location::Archived).await,
        Destination::Threads => store.relocate(lease, Location::Active).await,
        Destination::Trash => store.trash(lease, services.clock.wall()).await,
    };
    let setting = Arc::clone(&services);
    let asks = row.as_ref().is_some_and(|(row, _)| !row.waiting.is_empty());
    let set = async move {
        let set = match row {
            Some((row, as_of)) => rebuild::put_row(&*setting.store, &*setting.index, row, as_of).await,
            None => rebuild::compare(&*setting.store, &*setting.index, thread).await,
        };
        if asks {
            setting.question_feed.note(thread);
        }
        set
    };
    let listed = moment::set(&services.tasks, thread, set).await;
    RelocationOutcome { moved: moved.map(|()| to).map_err(not_moved), listed }
}
