//! The hard shutdown: the one path on which a loaded thread ends. The turn and the helpers stop at the same time. The
//! rollout closes once no turn writes to it. When all have stopped, the askers are answered. Then the thread is gone, or
//! loads again for resumes that came meanwhile.
//!
//! A rollout that does not close within 5 s, or takes nothing of this load any more, is abandoned: its open marker stays, and the
//! lost records are logged and counted. A process is never abandoned. The snapshot says Gone before `thread/closed` is published, so a client does not
//! find a closed thread among the loaded ones.

use tokio::time::Instant;

use super::{HelpersState, Machine, Moving, Persistence, Rollout, State, Unloading};
use crate::thread::effect::{
    Destination, Effect, MoveRefusal, ResumeFailure, SubscriptionEnd, UnloadReason, UnloadRefusal,
};
use crate::thread::event::{Force, TurnKept, WaiterId};

impl Machine {
    pub(super) fn unload_asked(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        force: Force,
        others: usize,
    ) -> Vec<Effect> {
        let waits = self.can_park();
        let runs = match &mut self.state {
            State::Idle { .. } => false,
            State::Running(_) => true,
            State::Unloading(unloading) => {
                unloading.askers.push(waiter);
                return vec![Effect::LeaveAsker(waiter)];
            }
            // The actor defers an unload until the load has ended.
            State::Loading { .. } | State::Gone => return Vec::new(),
        };
        let refusal = match force {
            Force::No if (runs || self.active()) && !(runs && waits) => Some(UnloadRefusal::Active),
            Force::No | Force::IfDeserted if self.unsaved => Some(UnloadRefusal::Active),
            Force::No | Force::IfDeserted if others > 0 => Some(UnloadRefusal::Subscribed),
            Force::No | Force::IfDeserted | Force::Yes => None,
        };
        if let Some(refusal) = refusal {
            return vec![Effect::RefuseUnload(waiter, refusal)];
        }
        let reason = match force {
            Force::No if runs => UnloadReason::Parked,
            Force::No | Force::IfDeserted | Force::Yes => UnloadReason::Asked,
        };
        let mut effects = vec![Effect::LeaveAsker(waiter)];
        effects.extend(self.unload(now, reason));
        if let State::Unloading(unloading) = &mut self.state {
            unloading.askers.push(waiter);
        }
        effects
    }

    pub(super) fn shutdown(&mut self, now: Instant) -> Vec<Effect> {
        match &mut self.state {
            State::Loading { waiting, stop } => {
                *stop = true;
                let failed = |who| Effect::FailResume(who, ResumeFailure::Shutdown);
                std::mem::take(waiting).into_iter().map(failed).collect()
            }
            State::Idle { .. } | State::Running(_) => self.unload(now, UnloadReason::Shutdown),
            State::Unloading(unloading) => {
                unloading.reason = UnloadReason::Shutdown;
                let failed = |who| Effect::FailResume(who, ResumeFailure::Shutdown);
                std::mem::take(&mut unloading.waiting).into_iter().map(failed).collect()
            }
            State::Gone => Vec::new(),
        }
    }

    /// Unloads a thread that can be loaded again, even if it has subscribers: an idle one, or one whose turn waits.
    pub(super) fn evict(&mut self, now: Instant) -> Vec<Effect> {
        match self.idle_since() {
            Some(_) => self.unload(now, UnloadReason::MemoryPressure),
            None => Vec::new(),
        }
    }

    /// The store takes nothing of this load any more. The next owner decides about the turn, so it ends without a record. Helpers
    /// are killed, as those of the next owner may run already.
    pub(super) fn fenced(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects = self.unload(now, UnloadReason::Fenced);
        let State::Unloading(unloading) = &mut self.state else { return effects };
        // A report of records that were given up already changes nothing.
        if unloading.rollout == Rollout::Closed {
            return effects;
        }
        if unloading.reason != UnloadReason::Shutdown {
            unloading.reason = UnloadReason::Fenced;
        }
        effects.extend(self.unload_overdue(now));
        effects
    }

    /// The one way into a hard shutdown.
    pub(super) fn unload(&mut self, now: Instant, reason: UnloadReason) -> Vec<Effect> {
        let (runs, stopping) = match &self.state {
            State::Running(running) => (true, running.stopping),
            State::Idle { .. } => (false, false),
            State::Loading { .. } | State::Unloading(_) | State::Gone => return Vec::new(),
        };
        let leaves = runs && !stopping && self.leaves_turn(reason);
        let turn_runs = runs && !leaves;
        self.state = State::Unloading(Unloading {
            reason,
            began: now,
            deadline: now + self.policy.unload_limit,
            waiting: Vec::new(),
            askers: Vec::new(),
            turn_runs,
            helpers_live: true,
            // A fenced rollout takes no closing record.
            rollout: if reason == UnloadReason::Fenced { Rollout::Closing } else { Rollout::Open },
            moving: None,
        });
        let mut effects = Vec::new();
        if leaves {
            // Its questions are put again by the next load.
            (self.questions, self.turn) = (0, TurnKept::No);
            effects.push(Effect::LeaveTurn);
        } else if turn_runs && !stopping {
            effects.push(Effect::StopTurn);
        }
        effects.push(Effect::EndHelpers);
        effects.extend(self.unloading(|_| ()));
        effects
    }

    /// Whether an unload for this reason leaves the running turn to the next load.
    fn leaves_turn(&self, reason: UnloadReason) -> bool {
        let is_kept = match self.turn {
            TurnKept::No => false,
            TurnKept::Yes | TurnKept::Waits => self.persistence == Persistence::Durable,
        };
        match reason {
            UnloadReason::Parked | UnloadReason::Shutdown | UnloadReason::MemoryPressure => is_kept,
            UnloadReason::Fenced => self.persistence == Persistence::Durable,
            UnloadReason::Orphaned | UnloadReason::Asked | UnloadReason::Relocate => false,
        }
    }

    /// Notes progress of the hard shutdown, and takes the next step: closes the rollout once no turn runs, and finishes or
    /// moves the rollout once no helper is left.
    pub(super) fn unloading(&mut self, progress: impl FnOnce(&mut Unloading)) -> Vec<Effect> {
        let State::Unloading(unloading) = &mut self.state else { return Vec::new() };
        progress(unloading);
        let mut effects = Vec::new();
        if !unloading.turn_runs && unloading.rollout == Rollout::Open {
            unloading.rollout = Rollout::Closing;
            effects.push(Effect::CloseRollout);
        }
        if unloading.rollout == Rollout::Closed && !unloading.helpers_live && !unloading.turn_runs {
            match &mut unloading.moving {
                None => effects.extend(self.finish_unload()),
                Some(Moving { under_way: true, .. }) => {}
                Some(moving) => {
                    moving.under_way = true;
                    effects.push(Effect::Move(moving.to));
                }
            }
        }
        effects
    }

    /// The thread has fully stopped: it is gone, or loads again for resumes that came meanwhile.
    pub(super) fn finish_unload(&mut self) -> Vec<Effect> {
        let State::Unloading(unloading) = &mut self.state else { return Vec::new() };
        let waiting = std::mem::take(&mut unloading.waiting);
        let askers = std::mem::take(&mut unloading.askers);
        let mut effects: Vec<Effect> = askers.into_iter().map(Effect::AnswerUnload).collect();
        (self.helpers, self.turn) = (HelpersState::NotStarted, TurnKept::No);
        let is_fenced = unloading.reason == UnloadReason::Fenced;
        if is_fenced {
            // The events of the next owner do not reach its subscribers.
            effects.push(Effect::EndSubscriptions(SubscriptionEnd::Taken));
        }
        if waiting.is_empty() {
            self.state = State::Gone;
            effects.extend([Effect::AnnounceNotLoaded, Effect::AnnounceClosed]);
        } else {
            self.state = State::Loading { waiting, stop: false };
            effects.extend(is_fenced.then_some(Effect::AnnounceClosed));
            effects.push(Effect::Load);
        }
        effects
    }

    /// The unload takes too long: gives up the disk, kills living helpers, and waits on for their end.
    pub(super) fn unload_overdue(&mut self, now: Instant) -> Vec<Effect> {
        let limit = self.policy.unload_limit;
        let State::Unloading(unloading) = &mut self.state else { return Vec::new() };
        unloading.deadline = now + limit;
        let mut effects = Vec::new();
        if unloading.helpers_live {
            effects.push(Effect::KillHelpers);
        }
        if unloading.rollout != Rollout::Closed {
            effects.push(Effect::AbandonRollout);
            // The turn ends with its records, and its questions end with the turn.
            (self.questions, self.unsaved) = (0, false);
        }
        // An incomplete rollout does not move, and a move under way is not awaited any longer.
        match unloading.moving {
            Some(Moving { under_way: true, .. }) => {
                effects.extend(self.move_failed(MoveRefusal::NoAnswer));
                return effects;
            }
            // A deleted rollout need not be complete.
            Some(moving) if unloading.rollout != Rollout::Closed && moving.to != Destination::Trash => {
                unloading.moving = None;
                effects.push(Effect::RefuseMove(moving.waiter, MoveRefusal::NotClosed));
            }
            Some(_) | None => {}
        }
        effects.extend(self.unloading(|u| {
            u.turn_runs = false;
            u.rollout = Rollout::Closed;
        }));
        effects
    }
}
