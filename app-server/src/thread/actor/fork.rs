//! Forks: new threads with the history of another one. A child task of the new owner copies the rollout. The source is
//! neither loaded nor disturbed, and the copy has everything that the source has acknowledged.

use std::sync::Arc;

use skein_protocol::ids::{Epoch, EventSeq, ThreadId, TurnId};
use skein_protocol::thread::{Thread, ThreadForkResponse};
use skein_store::history::{Bound, Cut, History};
use skein_store::index::moment;
use skein_store::rollout::record::{Forked, Record, RecordBody, ThreadNamed};
use skein_store::rollout::{CopyError, ReadError};

use super::helper_side::HelperSide;
use super::load::{self, ReadThread};
use super::log::Log;
use super::{budget, settings};
use crate::thread::command::Fork;
use crate::thread::error::ThreadError;
use crate::thread::event::Materialised;
use crate::thread::machine::Persistence;
use crate::thread::outgoing::{Due, LateAnswer};
use crate::thread::subscribers::Role;
use crate::thread::{Context, pages, views};

/// A fork to make.
pub(super) struct Copy {
    from: ThreadId,
    id: ThreadId,
    bound: Bound,
    persistence: Persistence,
    thread_source: Option<String>,
    originator: String,
}

pub(super) fn answer(
    services: &Context,
    (log, helpers): (&Log, &HelperSide),
    thread: Thread,
    fork: Fork,
) -> Due {
    let Fork { params, ticket, reply, .. } = fork;
    let settings = settings::of(log, helpers);
    let now = budget::now(services, log, helpers);
    let mut response: ThreadForkResponse = views::response(&settings, thread, now).into();
    response.instruction_sources = helpers.sources(&settings.cwd);
    if let Some(history) = log.history().filter(|_| !params.exclude_turns) {
        response.thread.turns = pages::newest_within(history, log.most_shown());
    }
    let items = log.usage_so_far().into_iter().collect();
    let answer: LateAnswer = Box::new(move |on_disk| {
        if let (Some(end), Some(view)) = (on_disk, &mut response.skein) {
            view.seq = view.seq.min(end.seq);
        }
        Ok(reply.prepare(&response))
    });
    Due::Join { ticket, role: Role::Subscriber, answer, items, is_resume: false }
}

impl Copy {
    pub(super) fn new(fork: &Fork, id: ThreadId, persistence: Persistence) -> Self {
        let params = &fork.params;
        let bound = match (&params.last_turn_id, &params.before_turn_id) {
            (Some(last), _) => Bound::Through(last.clone()),
            (None, Some(before)) => Bound::Before(before.clone()),
            (None, None) => Bound::Whole,
        };
        let (thread_source, originator) = (params.thread_source.clone(), fork.originator.clone());
        Self { from: params.thread_id, id, bound, persistence, thread_source, originator }
    }

    /// Makes the fork, and loads it.
    ///
    /// # Errors
    /// The source does not exist, does not have the turn, or cannot be copied.
    pub(super) async fn make(self, services: &Context) -> Result<ReadThread, ThreadError> {
        let loaded = self.check_source(services)?;
        let bound = self.bound_now(services).await?;
        let cut = match History::cut(services.store.as_ref(), self.from, &bound).await {
            Ok(Some(cut)) => cut,
            Ok(None) => return Err(self.no_such_turn()),
            // The first message of the source is not on disk yet.
            Err(ReadError::Missing(_)) if loaded => return Err(ThreadError::NothingToFork { id: self.from }),
            Err(error) => return Err(ThreadError::unreadable(error, self.from)),
        };
        match self.persistence {
            Persistence::Durable => self.on_disk(services, cut).await,
            Persistence::Ephemeral => self.in_memory(services, cut).await,
        }
    }

    /// The bound. A turn that waits for an answer is not copied: its question stays with the source.
    async fn bound_now(&self, services: &Context) -> Result<Bound, ThreadError> {
        if self.bound != Bound::Whole {
            return Ok(self.bound.clone());
        }
        let end = match History::read_end(services.store.as_ref(), self.from, 0).await {
            Err(away @ ReadError::Away { .. }) => return Err(ThreadError::unreadable(away, self.from)),
            // The cut says why it cannot be read.
            read @ (Ok(_) | Err(_)) => read.ok(),
        };
        let waits = end.as_ref().filter(|end| end.open_turn_waits()).and_then(History::open_turn);
        Ok(waits.map_or(Bound::Whole, |turn| Bound::Before(turn.id.clone())))
    }

    /// Whether the source is loaded. A source that is only in memory cannot be copied.
    fn check_source(&self, services: &Context) -> Result<bool, ThreadError> {
        let id = self.from;
        let Some(handle) = services.registry.handle(id) else { return Ok(false) };
        handle.seen(|seen| match (seen.persistence, seen.materialised, &seen.thread) {
            (Persistence::Ephemeral, _, _) => {
                Err(ThreadError::Ephemeral { id, what: "it cannot be forked; thread/start makes a new one" })
            }
            (Persistence::Durable, Materialised::No, Some(_)) => Err(ThreadError::NothingToFork { id }),
            (Persistence::Durable, Materialised::No, None) | (Persistence::Durable, Materialised::Yes, _) => {
                Ok(true)
            }
        })
    }

    async fn on_disk(&self, services: &Context, cut: Cut) -> Result<ReadThread, ThreadError> {
        let new = services.ownership.lease_of_new(self.id);
        let up_to = cut.up_to;
        let records = self.beginning(services, cut);
        services.store.copy(self.from, up_to, new, records).await.map_err(|error| match error {
            CopyError::Read(error) => ThreadError::unreadable(error, self.from),
            CopyError::Write(error) => ThreadError::not_forked(&error, self.from),
        })?;
        let made = self.made(services).await?;
        // A list after the answer shows the fork.
        let (index, row, head) = (Arc::clone(&services.index), made.history.row(), made.head);
        moment::set(&services.tasks, self.id, async move { index.upsert(row, head).await }).await;
        Ok(made)
    }

    /// Loads the copy. While the storage is away it waits: another request would make a second copy. A server that has lost its place gets
    /// none before all of its threads have ended.
    async fn made(&self, services: &Context) -> Result<ReadThread, ThreadError> {
        loop {
            let wait = match self.read_copy(services).await {
                Err(ThreadError::StoreUnavailable { why, .. }) if self.is_lost(services) => {
                    return Err(ThreadError::ForkUnknown { id: self.from, why: why.reason });
                }
                Err(ThreadError::StoreUnavailable { why, .. }) => why.retry_after,
                done @ (Ok(_) | Err(_)) => return done,
            };
            tokio::select! {
                () = services.helpers.closing() => {
                    return Err(ThreadError::ForkUnknown { id: self.from, why: "its server stops".to_owned() });
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn is_lost(&self, services: &Context) -> bool {
        services.registry.handle(self.id).is_some_and(|handle| handle.is_lost())
    }

    async fn read_copy(&self, services: &Context) -> Result<ReadThread, ThreadError> {
        // The copied records are of earlier owners, whose terms count for the fork as well.
        let claimed = services.ownership.claim(self.id).await;
        let lease = claimed.map_err(|error| ThreadError::unclaimed(error, self.id))?;
        load::read(services, lease).await
    }

    async fn in_memory(&self, services: &Context, cut: Cut) -> Result<ReadThread, ThreadError> {
        let store = services.store.as_ref();
        let read = History::read_as(store, self.from, self.id, cut.up_to).await;
        let mut history = read.map_err(|error| ThreadError::unreadable(error, self.from))?;
        history.skip_to(cut.up_to);
        let secrets = store.secrets(self.from).await;
        load::add_secrets(&mut history, secrets.map_err(|error| ThreadError::unreadable(error, self.from))?);
        for record in self.beginning(services, cut) {
            history.apply(&record);
        }
        Ok(ReadThread {
            lease: services.ownership.lease_of_new(self.id),
            head: history.seq(),
            epoch: history.epoch(),
            history,
            cut: false,
            surroundings: None,
        })
    }

    /// The records behind the copied ones.
    fn beginning(&self, services: &Context, cut: Cut) -> Vec<Record> {
        let forked = Forked {
            from: self.from,
            up_to: cut.up_to,
            epoch: Epoch(cut.epoch.0.saturating_add(1)),
            thread_source: self.thread_source.clone(),
            originator: Some(self.originator.clone()),
        };
        // The fork also gets a name that the source got behind the cut.
        let named = cut.name.map(|name| RecordBody::from(ThreadNamed { name }));
        let bodies = [Some(RecordBody::from(forked)), named].into_iter().flatten();
        let at = services.clock.wall();
        let mut seq: EventSeq = cut.up_to;
        bodies
            .map(|body| {
                seq = seq.next();
                Record { seq, at, body }
            })
            .collect()
    }

    fn no_such_turn(&self) -> ThreadError {
        let (Bound::Through(turn) | Bound::Before(turn)) = &self.bound else {
            return ThreadError::NothingToFork { id: self.from };
        };
        let turn: TurnId = turn.clone();
        ThreadError::UnknownTurn { id: self.from, turn }
    }
}
