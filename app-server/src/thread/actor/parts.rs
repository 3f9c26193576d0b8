//! The parts of an owner that hold a loaded thread: its log, questions, helpers and turn.

use std::sync::Arc;

use skein_base::tasks::TaskGroup;
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::ThreadStatus;
use skein_store::history::History;

use super::helper_side::HelperSide;
use super::log::Log;
use super::open_questions::Questions;
use super::repair::Repair;
use super::turns::TurnState;
use super::{Child, Owner};
use crate::thread::event::{Counts, TurnKept};
use crate::thread::machine::{CommandAdmission, Machine, Needs, Persistence};
use crate::thread::registry::OwnerSlot;
use crate::thread::{Context, views};

/// A loaded thread as questions and edits change it. They read the machine, and never step it.
pub(super) struct ThreadParts<'a> {
    pub(super) services: &'a Arc<Context>,
    pub(super) id: ThreadId,
    pub(super) machine: &'a Machine,
    pub(super) log: &'a mut Log,
    pub(super) helpers: &'a mut HelperSide,
    pub(super) turns: &'a mut TurnState,
    pub(super) questions: &'a mut Questions,
    pub(super) repair: &'a mut Repair,
    pub(super) slot: &'a OwnerSlot,
    pub(super) children: &'a mut TaskGroup<Child>,
}

impl Owner {
    /// The parts that questions and edits change.
    pub(super) fn parts(&mut self) -> ThreadParts<'_> {
        let Self { services, id, machine, log, helpers, turns, questions, children, repair, slot, .. } = self;
        ThreadParts { services, id: *id, machine, log, helpers, turns, questions, repair, slot, children }
    }
}

impl ThreadParts<'_> {
    /// The thread's status for clients.
    pub(super) fn status(&self) -> ThreadStatus {
        if self.machine.admission(Needs::EndOfLoad) != CommandAdmission::Now {
            ThreadStatus::NotLoaded
        } else if self.turns.id().is_some() || !self.questions.is_empty() {
            ThreadStatus::Active { active_flags: self.questions.flags() }
        } else if self.turns.has_failed() {
            ThreadStatus::SystemError
        } else {
            ThreadStatus::Idle
        }
    }

    /// Publishes the status, if it has changed.
    pub(super) fn show_status(&mut self) {
        self.log.show_status(self.status());
    }

    /// Publishes that the thread is not loaded any more.
    pub(super) fn show_unloaded(&mut self) {
        let row = self.log.history().map(History::row);
        let waiting = row.map(|row| row.waiting).unwrap_or_default();
        self.log.leave();
        let status = views::unloaded_status(&waiting, self.services.config().restart.turns);
        if self.repair.is_alone() && self.services.is_among_others() {
            // The clients of other servers know the last status of the server that has ended.
            self.log.announce_status(status);
        } else {
            self.log.show_status(status);
        }
    }

    /// The treatment of the open turn by the next load. An ephemeral thread has none.
    pub(super) fn turn_kept(&self) -> TurnKept {
        if self.log.persistence() == Persistence::Ephemeral {
            return TurnKept::No;
        }
        let rule = self.services.config().restart.turns;
        match self.log.history() {
            Some(history) if !history.goes_on(rule) => TurnKept::No,
            Some(history) if history.open_turn_waits() => TurnKept::Waits,
            Some(_) => TurnKept::Yes,
            None => TurnKept::No,
        }
    }

    /// Whether the next start has to load the thread: its turn works, or a message of its queue becomes a turn.
    pub(super) fn is_owed_a_load(&self) -> bool {
        self.turn_kept() == TurnKept::Yes || self.queue_outlasts()
    }

    /// The clients of the thread. Queued subscriptions count already.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.services.subscribers.counts(self.id);
        let joins = self.log.queued().filter(|due| due.still_joins(&self.services.subscribers));
        counts.subscribers += joins.count();
        counts
    }
}
