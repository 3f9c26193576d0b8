//! A thread is archived, brought back or deleted: when its hard shutdown has come to the zero, a task puts the rollout
//! elsewhere and sets the row of the lists, and only then it is told and the ownership ends.

use std::sync::Arc;

use skein_protocol::event::{
    ThreadArchivedNotification, ThreadDeletedNotification, ThreadUnarchivedNotification,
};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::notifications::{ThreadArchived, ThreadDeleted, ThreadUnarchived};
use skein_protocol::table::Scope;
use skein_protocol::thread::ThreadStatus;
use skein_store::history::ThreadRow;
use skein_store::index::moment::{self, Listed};
use skein_store::index::rebuild;
use skein_store::rollout::record::{Archived, RecordBody, Unarchived};
use skein_store::rollout::{Keep, Lease, MoveError, Shelf};

use super::waiters::Waiter;
use super::{Child, Owner};
use crate::thread::Context;
use crate::thread::command::{Command, PutElsewhere};
use crate::thread::effect::{Destination, MoveRefusal};
use crate::thread::error::ThreadError;
use crate::thread::event::{Event, Materialised, WaiterId};
use crate::thread::machine::{Persistence, Phase};
use crate::thread::outgoing::Notice;

/// What a move came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Where the rollout stands now, or why it stands where it stood.
    moved: Result<Destination, String>,
    /// Whether the lists know.
    listed: Listed,
}

impl Owner {
    /// Takes the request, or answers it: what is where it is wanted is not unloaded for it.
    pub(super) fn put_elsewhere(&mut self, asked: PutElsewhere) {
        match self.machine.phase() {
            Phase::Loading | Phase::Unloading | Phase::Gone => {
                return self.defer(Command::PutElsewhere(asked));
            }
            Phase::Idle | Phase::Running => {}
        }
        let to = asked.destination();
        if let Some(error) = self.refusal_of_move(to) {
            return asked.err(&error.to_wire());
        }
        let archived = self.journal.as_ref().is_some_and(|journal| journal.history.is_archived());
        match (to, archived) {
            (Destination::Archive, true) | (Destination::Threads, false) => {
                let status = self.status();
                self.say_moved(asked, status);
            }
            (Destination::Archive, false) | (Destination::Threads, true) | (Destination::Trash, _) => {
                let waiter = self.waiters.add(Waiter::PutElsewhere(asked));
                self.step(Event::PutElsewhere { waiter, to });
            }
        }
    }

    fn refusal_of_move(&self, to: Destination) -> Option<ThreadError> {
        let id = self.id;
        match (to, self.persistence, self.machine.materialised()) {
            (Destination::Trash, _, _) | (Destination::Threads, Persistence::Durable, _) => None,
            (Destination::Archive | Destination::Threads, Persistence::Ephemeral, _) => {
                Some(ThreadError::Ephemeral { id, what: "it can be in no archive; unsubscribe to drop it" })
            }
            (Destination::Archive, Persistence::Durable, Materialised::No) => {
                Some(ThreadError::NothingSaid { id })
            }
            (Destination::Archive, Persistence::Durable, Materialised::Yes) => {
                let why = self.journal.as_ref()?.failure.clone()?;
                Some(ThreadError::NotSaved { id, why })
            }
        }
    }

    /// Says in the rollout what is about to be done with it. Where the two disagree, the place wins.
    pub(super) fn record_destination(&mut self, to: Destination) {
        let body: RecordBody = match to {
            Destination::Archive => Archived {}.into(),
            Destination::Threads => Unarchived {}.into(),
            Destination::Trash => return,
        };
        if let Some(journal) = &mut self.journal {
            journal.record(vec![body], Keep::Power);
        }
    }

    /// Puts the rollout there. It is done also when this owner does not wait for it any longer.
    pub(super) fn move_rollout(&mut self, to: Destination) {
        let stored = self.is_materialised() && self.persistence == Persistence::Durable;
        let Some(journal) = self.journal.as_ref().filter(|_| stored) else {
            self.follow_ups.push_back(Event::Moved);
            return;
        };
        // A history whose beginning is lost is in no list, as after a rebuild.
        let row = journal.history.is_materialised().then(|| (journal.history.row(), journal.seq()));
        let moving = carry(Arc::clone(&self.services), self.id, row, to);
        let moving = self.services.tasks.spawn(format!("move/{}", self.id), moving);
        self.children.spawn(format!("await-move/{}", self.id), async move {
            let outcome = moving.await.unwrap_or_else(|panic| {
                let why = format!("a fault of the server ended it ({panic}), its log has more");
                Outcome { moved: Err(why), listed: Listed::NotYet }
            });
            Child::Moved(Box::new(outcome))
        });
    }

    pub(super) fn rollout_moved(&mut self, outcome: Outcome) {
        if outcome.listed == Listed::Yes {
            // A full queue only leaves the mark for the next start, which looks where the rollout stands. The mark is read before
            // the rollout is let go of, and somebody else may change it.
            self.services.closed_rollouts.try_send(self.services.store.mark(self.id)).ok();
        }
        self.services.store.release(self.id);
        match outcome.moved {
            Ok(to) => {
                if let Some(journal) = &mut self.journal {
                    journal.history.set_archived(to == Destination::Archive);
                }
                self.step(Event::Moved);
            }
            Err(why) => {
                tracing::error!(thread = %self.id, why, "the rollout cannot be put elsewhere");
                self.move_error = Some(ThreadError::NotMoved { id: self.id, why });
                self.step(Event::MoveFailed);
            }
        }
    }

    pub(super) fn answer_move(&mut self, who: WaiterId) {
        if let Some(Waiter::PutElsewhere(asked)) = self.waiters.take(who) {
            self.say_moved(asked, ThreadStatus::NotLoaded);
        }
    }

    fn say_moved(&self, asked: PutElsewhere, status: ThreadStatus) {
        match &self.journal {
            Some(_) => asked.ok(self.thread_as(status)),
            // There is one from the load on.
            None => asked.err(&ThreadError::BrokeOff { id: self.id }.to_wire()),
        }
    }

    pub(super) fn refuse_move(&mut self, who: WaiterId, why: MoveRefusal) {
        let Some(Waiter::PutElsewhere(asked)) = self.waiters.take(who) else { return };
        let id = self.id;
        let unsaved = || {
            let failure = self.journal.as_ref().and_then(|journal| journal.failure.clone());
            failure.unwrap_or_else(|| "its rollout could not be closed in time".to_owned())
        };
        let error = match why {
            MoveRefusal::NotClosed => ThreadError::NotMoved { id, why: unsaved() },
            MoveRefusal::Failed => self.move_error.take().unwrap_or(ThreadError::MoveUnknown { id }),
            MoveRefusal::NoAnswer => {
                self.services.store.release(id);
                ThreadError::MoveUnknown { id }
            }
        };
        asked.err(&error.to_wire());
    }

    pub(super) fn announce_move(&self, to: Destination) {
        let (thread_id, skein, at) = (self.id, None, self.services.clock.wall());
        let notice = match to {
            Destination::Archive => {
                let params = ThreadArchivedNotification { thread_id, skein };
                Notice::new::<ThreadArchived>(Scope::All, &params, at, None)
            }
            Destination::Threads => {
                let params = ThreadUnarchivedNotification { thread_id, skein };
                Notice::new::<ThreadUnarchived>(Scope::All, &params, at, None)
            }
            Destination::Trash => {
                let params = ThreadDeletedNotification { thread_id, skein };
                Notice::new::<ThreadDeleted>(Scope::All, &params, at, None)
            }
        };
        match self.persistence {
            Persistence::Durable => {
                self.services.subscribers.publish_to_all(thread_id, &notice.broadcast);
            }
            Persistence::Ephemeral => self.services.subscribers.publish(thread_id, &notice.broadcast),
        }
    }
}

/// Puts the rollout there, then sets the row as the place is now, so that a list that is asked for after the answer shows it.
async fn carry(
    services: Arc<Context>,
    thread: ThreadId,
    row: Option<(ThreadRow, EventSeq)>,
    to: Destination,
) -> Outcome {
    let store = &services.store;
    let lease = Lease { thread, term: services.term };
    let moved: Result<(), MoveError> = match to {
        Destination::Archive => store.move_to(lease, Shelf::Archive).await,
        Destination::Threads => store.move_to(lease, Shelf::Threads).await,
        Destination::Trash => store.trash(lease, services.clock.wall()).await,
    };
    let setting = Arc::clone(&services);
    let set = async move {
        match row {
            Some((row, as_of)) => rebuild::put_row(&*setting.store, &*setting.index, row, as_of).await,
            None => rebuild::compare(&*setting.store, &*setting.index, thread).await,
        }
    };
    let listed = moment::set(&services.tasks, thread, set).await;
    Outcome { moved: moved.map(|()| to).map_err(|error| error.to_string()), listed }
}
