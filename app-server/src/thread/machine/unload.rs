//! The hard shutdown: the one path on which a loaded thread ends. The turn stops and the helpers end at the same
//! time; the rollout is closed once no turn writes to it; at the zero the askers are told, and the thread is gone,
//! or loads again for those who resumed meanwhile.
//!
//! A rollout that cannot be closed within 5 s holds nobody up: its open marker stays, and the lost records are logged and
//! counted. A process is never given up. Before anything is announced the snapshot says Gone, so a client that hears
//! `thread/closed` does not find the thread among the loaded ones.

use tokio::time::Instant;

use super::{Helpers, Machine, Moving, Rollout, State, Unloading};
use crate::thread::effect::{Destination, Effect, MoveRefusal, ResumeFailure, UnloadReason, UnloadRefusal};
use crate::thread::event::{Force, WaiterId};

impl Machine {
    pub(super) fn unload_asked(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        force: Force,
        others: usize,
    ) -> Vec<Effect> {
        let runs = match &mut self.state {
            State::Idle { .. } => false,
            State::Running(_) => true,
            State::Unloading(unloading) => {
                unloading.askers.push(waiter);
                return vec![Effect::LeaveAsker(waiter)];
            }
            // The actor keeps an unload until the load is over.
            State::Loading { .. } | State::Gone => return Vec::new(),
        };
        let refusal = match force {
            Force::No if runs || self.active() => Some(UnloadRefusal::Active),
            Force::No | Force::IfDeserted if others > 0 => Some(UnloadRefusal::Subscribed),
            Force::No | Force::IfDeserted | Force::Yes => None,
        };
        if let Some(refusal) = refusal {
            return vec![Effect::RefuseUnload(waiter, refusal)];
        }
        let mut effects = vec![Effect::LeaveAsker(waiter)];
        effects.extend(self.unload(now, UnloadReason::Asked));
        if let State::Unloading(unloading) = &mut self.state {
            unloading.askers.push(waiter);
        }
        effects
    }

    pub(super) fn shutdown(&mut self, now: Instant) -> Vec<Effect> {
        match &mut self.state {
            State::Loading { waiting, stop } => {
                *stop = true;
                let told = |who| Effect::FailResume(who, ResumeFailure::Shutdown);
                std::mem::take(waiting).into_iter().map(told).collect()
            }
            State::Idle { .. } | State::Running(_) => self.unload(now, UnloadReason::Shutdown),
            State::Unloading(unloading) => {
                unloading.reason = UnloadReason::Shutdown;
                let told = |who| Effect::FailResume(who, ResumeFailure::Shutdown);
                std::mem::take(&mut unloading.waiting).into_iter().map(told).collect()
            }
            State::Gone => Vec::new(),
        }
    }

    /// Room is needed. Only a thread that is idle and can be read again is taken, whoever is subscribed to it.
    pub(super) fn squeeze(&mut self, now: Instant) -> Vec<Effect> {
        match self.idle_since() {
            Some(_) => self.unload(now, UnloadReason::Pressure),
            None => Vec::new(),
        }
    }

    /// The one way into a hard shutdown.
    pub(super) fn unload(&mut self, now: Instant, reason: UnloadReason) -> Vec<Effect> {
        let (turn_runs, stopping) = match &self.state {
            State::Running(running) => (true, running.stopping),
            State::Idle { .. } => (false, false),
            State::Loading { .. } | State::Unloading(_) | State::Gone => return Vec::new(),
        };
        self.state = State::Unloading(Unloading {
            reason,
            began: now,
            deadline: now + self.policy.unload_limit,
            waiting: Vec::new(),
            askers: Vec::new(),
            turn_runs,
            helpers_live: true,
            rollout: Rollout::Open,
            moving: None,
        });
        let mut effects = Vec::new();
        if turn_runs && !stopping {
            effects.push(Effect::StopTurn);
        }
        effects.push(Effect::EndHelpers);
        effects.extend(self.unloading(|_| ()));
        effects
    }

    /// Notes progress of the hard shutdown, and goes on with what that makes possible: the rollout is closed once
    /// no turn writes to it; when it is closed and no helper is left, the zero is reached.
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
                None => effects.extend(self.zero()),
                Some(Moving { under_way: true, .. }) => {}
                Some(moving) => {
                    moving.under_way = true;
                    effects.push(Effect::Move(moving.to));
                }
            }
        }
        effects
    }

    /// No helper is left and the rollout is closed: the end, or a new load for those who resumed meanwhile.
    pub(super) fn zero(&mut self) -> Vec<Effect> {
        let State::Unloading(unloading) = &mut self.state else { return Vec::new() };
        let waiting = std::mem::take(&mut unloading.waiting);
        let askers = std::mem::take(&mut unloading.askers);
        let mut effects: Vec<Effect> = askers.into_iter().map(Effect::AnswerUnload).collect();
        self.helpers = Helpers::NotStarted;
        if waiting.is_empty() {
            self.state = State::Gone;
            effects.extend([Effect::AnnounceNotLoaded, Effect::AnnounceClosed]);
        } else {
            self.state = State::Loading { waiting, stop: false };
            effects.push(Effect::Load);
        }
        effects
    }

    /// The disk is given up, a living process never is.
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
            // The turn is given up with its records, and its questions with the turn.
            self.questions = 0;
        }
        // What is not whole is not put elsewhere; what is being put elsewhere is not waited for any longer.
        match unloading.moving {
            Some(Moving { under_way: true, .. }) => {
                effects.extend(self.move_failed(MoveRefusal::NoAnswer));
                return effects;
            }
            // What is deleted need not be whole.
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
