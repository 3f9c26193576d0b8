//! Threads without subscribers: how long they stay while they are idle, run a turn, or wait for an answer.

use std::time::Duration;

use tokio::time::Instant;

use super::{Machine, Persistence, Running, State};
use crate::thread::effect::{Effect, UnloadReason};
use crate::thread::event::{Materialised, TurnKept};

impl Machine {
    /// Runs after every event that could orphan the thread or end its activity.
    pub(super) fn settle(&mut self, now: Instant) -> Vec<Effect> {
        let (orphaned, active) = (self.orphaned(), self.active());
        match &mut self.state {
            State::Idle { orphan_since, .. } => {
                *orphan_since = if orphaned { Some(orphan_since.unwrap_or(now)) } else { None };
                let since = *orphan_since;
                match since {
                    Some(since) if !active && now >= since + self.idle_grace() => {
                        self.unload(now, UnloadReason::Orphaned)
                    }
                    Some(_) | None => Vec::new(),
                }
            }
            State::Running(_) => self.settle_turn(now),
            State::Loading { .. } | State::Unloading(_) | State::Gone => Vec::new(),
        }
    }

    /// Unloads, parks or interrupts a turn without subscribers when its time is over.
    fn settle_turn(&mut self, now: Instant) -> Vec<Effect> {
        let (orphaned, waits) = (self.orphaned(), self.questions > 0);
        let State::Running(running) = &mut self.state else { return Vec::new() };
        let Running { orphan_since, unanswerable_since, .. } = running;
        *orphan_since = if orphaned { Some(orphan_since.unwrap_or(now)) } else { None };
        let unanswerable = orphaned && waits;
        *unanswerable_since = if unanswerable { Some(unanswerable_since.unwrap_or(now)) } else { None };
        let running = *running;
        let overdue = self.turn_deadline(&running).is_some_and(|deadline| now >= deadline);
        match (self.persistence, orphaned) {
            (Persistence::Ephemeral, true) => self.unload(now, UnloadReason::Orphaned),
            (Persistence::Durable, _) if overdue && self.can_park() => self.unload(now, UnloadReason::Parked),
            (Persistence::Durable, _) if overdue && !self.waits() => self.interrupt(),
            (Persistence::Ephemeral, false) | (Persistence::Durable, _) => Vec::new(),
        }
    }

    /// When a turn without subscribers has to end.
    pub(super) fn turn_deadline(&self, running: &Running) -> Option<Instant> {
        let Running { began, orphan_since, unanswerable_since, stopping } = *running;
        if stopping {
            return None;
        }
        match (unanswerable_since, orphan_since, self.policy.running_limit) {
            (Some(since), _, _) => Some(since + self.policy.question_grace),
            (None, Some(since), Some(limit)) => Some(since.max(began) + limit),
            (None, None, _) | (None, Some(_), None) => None,
        }
    }

    pub(super) fn idle_grace(&self) -> Duration {
        match (self.persistence, self.materialised) {
            (Persistence::Ephemeral, _) => Duration::ZERO,
            (Persistence::Durable, Materialised::Yes) => self.policy.grace,
            (Persistence::Durable, Materialised::No) => self.policy.unmaterialised_grace,
        }
    }

    /// Whether nothing goes on before a client answers, so that the next load can wait as well. An ephemeral thread has no
    /// next load.
    pub(super) fn waits(&self) -> bool {
        let is_durable = self.persistence == Persistence::Durable;
        is_durable && self.turn == TurnKept::Waits && self.requests == 0
    }

    /// Whether the turn can be left to the next load now. Records that wait for a storage that is away keep their thread loaded.
    pub(super) fn can_park(&self) -> bool {
        self.waits() && !self.unsaved
    }

    fn orphaned(&self) -> bool {
        self.counts.subscribers == 0
    }
}
