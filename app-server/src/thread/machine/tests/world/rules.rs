//! The rules that always hold.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::{Motion, World};
use crate::thread::effect::{Effect, SubscriptionEnd};
use crate::thread::event::Event;
use crate::thread::machine::{Persistence, Phase};

impl World {
    pub(super) fn check_nobody_waits(&self) -> TestCaseResult {
        prop_assert!(self.resumes.is_empty() && self.unloads.is_empty(), "a request waits for ever");
        prop_assert!(self.move_wanted.is_none(), "a request for a move has no answer");
        Ok(())
    }

    /// A turn of a loaded thread stops only when it is interrupted, or when its time without subscribers is over.
    pub(super) fn check_stop(&self, event: &Event, after: Phase, effects: &[Effect]) -> TestCaseResult {
        if after != Phase::Running || !effects.contains(&Effect::StopTurn) || *event == Event::Interrupt {
            return Ok(());
        }
        prop_assert_eq!(self.counts.subscribers, 0, "a turn is taken from who watches it");
        prop_assert!(!self.waits(), "a turn is interrupted that the next load can wait with");
        let alone = self.now - self.alone_since.unwrap_or(self.now);
        let limit =
            if self.questions > 0 { Some(self.policy.question_grace) } else { self.policy.running_limit };
        prop_assert!(limit.is_some_and(|limit| alone >= limit), "stopped after {alone:?}, not {limit:?}");
        Ok(())
    }

    pub(super) fn check_entry(
        &mut self,
        event: &Event,
        before: Phase,
        after: Phase,
        effects: &[Effect],
    ) -> TestCaseResult {
        let count = |wanted: Effect| effects.iter().filter(|effect| **effect == wanted).count();
        let enters = after == Phase::Unloading && before != Phase::Unloading;
        prop_assert_eq!(count(Effect::EndHelpers), usize::from(enters), "helpers end once for each unload");
        if enters {
            self.unloading_since = Some(self.now);
            self.has_moved = false;
            (self.ended_helpers, self.closed_rollout, self.is_cut_off) = (0, 0, false);
            let kept = self.counts.subscribers > 0;
            let evicted = *event == Event::Evict;
            let with_right = self.asked_with_right || self.stopping || self.fenced;
            prop_assert!(!kept || with_right || evicted, "taken from its subscribers");
            prop_assert!(!self.unsaved || with_right, "taken away before its records are saved");
            let active = self.questions + self.requests > 0;
            let idle = before == Phase::Idle && !active && self.on_disk;
            let can_go = idle || before == Phase::Running && self.waits() && self.on_disk;
            prop_assert!(!evicted || can_go, "squeezed out, though it works or cannot be read again");
            prop_assert!(!active || with_right || before == Phase::Running, "taken from who works with it");
            if before == Phase::Running && self.turn_runs && !self.turn_stopped {
                let ends = count(Effect::StopTurn) + count(Effect::LeaveTurn);
                prop_assert_eq!(ends, 1, "a turn is left without a stop");
            }
        }
        let is_cut_off = self.is_cut_off || self.fenced && count(Effect::AbandonRollout) > 0;
        let leaves_others =
            is_cut_off && before == Phase::Unloading && after != Phase::Unloading && !self.stopping;
        let ended = [SubscriptionEnd::Moved, SubscriptionEnd::Taken];
        let ended: usize = ended.into_iter().map(|why| count(Effect::EndSubscriptions(why))).sum();
        prop_assert!(!leaves_others || ended == 1, "waits for the events of others");
        let closed = count(Effect::AnnounceClosed);
        let ends = before == Phase::Unloading && after == Phase::Gone || leaves_others;
        prop_assert_eq!(closed, usize::from(ends));
        Ok(())
    }

    pub(super) fn check_forgotten(&self) -> TestCaseResult {
        prop_assert!(!self.under_way.contains(&Motion::Helpers), "forgets living helpers");
        prop_assert!(!self.turn_runs, "forgets a turn");
        prop_assert!(self.resumes.is_empty(), "forgets who waits");
        prop_assert!(self.unloads.is_empty(), "forgets who asked");
        prop_assert!(self.move_wanted.is_none(), "forgets who wants it elsewhere");
        prop_assert!(!self.under_way.contains(&Motion::Move), "forgets a rollout on its way");
        Ok(())
    }

    pub(super) fn check_state(&self, event: &Event) -> TestCaseResult {
        let phase = self.machine.phase();
        if phase == Phase::Unloading {
            prop_assert!(self.machine.deadline().is_some(), "an unload without a bound");
        }
        let orphaned = self.counts.subscribers == 0;
        let active = self.questions + self.requests > 0 || self.unsaved;
        let counted = matches!(event, Event::Subscribers(_));
        if phase == Phase::Idle && orphaned && !active && counted {
            let deadline = self.machine.deadline();
            prop_assert!(deadline.is_some_and(|deadline| deadline > self.now), "an orphan without an end");
            prop_assert!(self.persistence == Persistence::Durable, "an ephemeral orphan stays");
        }
        if phase == Phase::Running && orphaned && counted {
            prop_assert!(self.persistence == Persistence::Durable, "an ephemeral orphan runs on");
            let ends = self.questions > 0 || self.policy.running_limit.is_some();
            let deadline = self.machine.deadline();
            let is_kept = self.unsaved && self.waits();
            let will_end =
                self.turn_stopped || is_kept || deadline.is_some_and(|deadline| deadline > self.now);
            prop_assert!(!ends || will_end, "a turn without subscribers runs on");
        }
        if matches!(phase, Phase::Idle | Phase::Running) {
            prop_assert!(self.resumes.is_empty(), "a resume waits for a loaded thread");
        }
        Ok(())
    }
}
