//! A simulated actor: it carries out effects, and reports their ends.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::{Motion, POLICY, World};
use crate::thread::effect::{Effect, ResumeFailure, UnloadRefusal};
use crate::thread::event::{Event, TurnKept};
use crate::thread::machine::{Persistence, Phase};

impl World {
    /// Carries out an effect. Returns whether it has subscribed a client.
    pub(super) fn carry_out(&mut self, effect: Effect, phase: Phase) -> Result<bool, TestCaseError> {
        match effect {
            Effect::Load => {
                prop_assert!(self.under_way.insert(Motion::Load), "loads twice at once");
                prop_assert!(!self.under_way.contains(&Motion::Helpers), "loads beside living helpers");
                prop_assert!(!self.under_way.contains(&Motion::Move), "loads what is being put elsewhere");
                prop_assert!(
                    self.move_wanted.is_none(),
                    "loads before it is said what became of the rollout"
                );
            }
            Effect::Move(_)
            | Effect::AnswerMove(_)
            | Effect::RefuseMove(..)
            | Effect::AnnounceMove(_)
            | Effect::EndSubscriptions(_) => self.carry_out_for_move(effect, phase)?,
            Effect::AnswerResume(_)
            | Effect::FailResume(..)
            | Effect::AnswerUnload(_)
            | Effect::RefuseUnload(..) => return self.answer(&effect, phase),
            Effect::BeginTurn(_) | Effect::SteerTurn(_) | Effect::StopTurn | Effect::LeaveTurn => {
                self.carry_out_for_turn(&effect)?
            }
            Effect::EndHelpers | Effect::KillHelpers | Effect::CloseRollout | Effect::AbandonRollout => {
                self.carry_out_for_unload(&effect)?;
            }
            Effect::StartHelpers => {
                prop_assert_eq!(self.persistence, Persistence::Durable);
                prop_assert!(!self.under_way.contains(&Motion::Helpers), "starts beside those that end");
            }
            Effect::DeferInput(_)
            | Effect::LeaveAsker(_)
            | Effect::AnnounceNotLoaded
            | Effect::AnnounceClosed => {}
        }
        Ok(false)
    }

    /// Answers each request once. Returns whether a client was subscribed.
    fn answer(&mut self, effect: &Effect, phase: Phase) -> Result<bool, TestCaseError> {
        if let Effect::AnswerResume(who) = effect {
            prop_assert!(self.resumes.remove(who), "answered twice");
            prop_assert!(matches!(phase, Phase::Idle | Phase::Running), "subscribed to a half-dead thread");
            self.counts.subscribers += 1;
            return Ok(true);
        }
        if let Effect::FailResume(who, why) = effect {
            prop_assert!(self.resumes.remove(who), "answered twice");
            let refused = *why == ResumeFailure::Shutdown && !self.stopping;
            prop_assert!(!refused, "refused without a reason");
            let is_relocated = matches!(why, ResumeFailure::Archived | ResumeFailure::Deleted);
            prop_assert!(!is_relocated || self.has_moved, "refused as gone, but the thread is there");
        }
        if let Effect::AnswerUnload(who) = effect {
            prop_assert!(self.unloads.remove(who), "answered twice");
            prop_assert!(!self.under_way.contains(&Motion::Helpers), "said zero beside living helpers");
        }
        if let Effect::RefuseUnload(who, why) = effect {
            prop_assert!(self.unloads.remove(who), "answered twice");
            prop_assert_eq!(*why == UnloadRefusal::Active, self.is_active());
        }
        Ok(false)
    }

    fn carry_out_for_turn(&mut self, effect: &Effect) -> TestCaseResult {
        if let Effect::BeginTurn(_) = effect {
            prop_assert!(!self.turn_runs, "two turns at once");
            (self.turn_runs, self.turn_stopped) = (true, false);
            self.under_way.insert(Motion::Turn);
            if self.persistence == Persistence::Durable && !self.on_disk {
                self.on_disk = true;
                self.feed(Event::Materialised)?;
            }
        } else if *effect == Effect::LeaveTurn {
            prop_assert!(self.turn_runs && !self.turn_stopped, "leaves a turn that ends, or none");
            let is_kept = self.kept != TurnKept::No;
            prop_assert!(is_kept || self.fenced, "leaves a turn that the next load interrupts");
            prop_assert_eq!(self.persistence, Persistence::Durable);
            self.under_way.remove(&Motion::Turn);
            (self.turn_runs, self.questions, self.kept) = (false, 0, TurnKept::No);
            self.left = is_kept;
        } else if *effect == Effect::StopTurn {
            prop_assert!(self.turn_runs && !self.turn_stopped, "stopped twice, or nothing");
            self.turn_stopped = true;
        } else {
            prop_assert!(self.turn_runs, "steers nothing");
        }
        Ok(())
    }

    fn carry_out_for_unload(&mut self, effect: &Effect) -> TestCaseResult {
        if *effect == Effect::EndHelpers {
            self.ended_helpers += 1;
            self.under_way.insert(Motion::Helpers);
        } else if *effect == Effect::KillHelpers {
            prop_assert!(self.under_way.contains(&Motion::Helpers), "kills the dead");
        } else if *effect == Effect::CloseRollout {
            self.closed_rollout += 1;
            prop_assert!(!self.turn_runs, "closes the rollout under a turn");
            prop_assert_eq!(self.closed_rollout, 1);
            self.under_way.insert(Motion::Rollout);
        } else {
            let since = self.unloading_since.unwrap_or(self.now);
            let is_due = self.fenced || self.now >= since + POLICY.unload_limit;
            prop_assert!(is_due, "given up too early");
            self.is_cut_off |= self.fenced;
            self.under_way.remove(&Motion::Rollout);
            self.under_way.remove(&Motion::Turn);
            (self.turn_runs, self.questions, self.kept) = (false, 0, TurnKept::No);
        }
        Ok(())
    }
}
