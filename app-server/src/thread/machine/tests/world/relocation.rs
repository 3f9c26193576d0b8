//! Threads that are archived, restored and deleted.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::{Motion, World};
use crate::thread::effect::{Destination, Effect, MoveRefusal, SubscriptionEnd};
use crate::thread::event::{Counts, Event};
use crate::thread::machine::Phase;

impl World {
    pub(super) fn relocate(&mut self, to: Destination) -> TestCaseResult {
        // The actor defers the request during a load or an unload, and refuses it while records wait for the storage.
        if self.unsaved || matches!(self.machine.phase(), Phase::Loading | Phase::Unloading | Phase::Gone) {
            return Ok(());
        }
        let waiter = self.new_waiter();
        self.move_wanted = Some((waiter, to));
        self.asked_with_right = true;
        self.feed(Event::Relocate { waiter, to })?;
        self.asked_with_right = false;
        prop_assert_eq!(self.machine.phase(), Phase::Unloading, "put off");
        Ok(())
    }

    pub(super) fn carry_out_for_move(&mut self, effect: Effect, phase: Phase) -> TestCaseResult {
        if let Effect::Move(to) = effect {
            let still: Vec<_> = self.under_way.iter().collect();
            prop_assert!(still.is_empty() && !self.turn_runs, "put elsewhere beside {still:?}");
            prop_assert_eq!(self.move_wanted.map(|(_, wanted)| wanted), Some(to));
            self.under_way.insert(Motion::Move);
        } else if let Effect::AnswerMove(who) = effect {
            prop_assert_eq!(self.move_wanted.take().map(|(waiter, _)| waiter), Some(who));
            prop_assert!(self.has_moved, "said to be where it is not");
        } else if let Effect::RefuseMove(who, why) = effect {
            prop_assert_eq!(self.move_wanted.take().map(|(waiter, _)| waiter), Some(who));
            prop_assert!(!self.has_moved, "said not to be where it is");
            if why == MoveRefusal::NoAnswer {
                // The store orders a later load behind the move.
                prop_assert!(self.under_way.remove(&Motion::Move), "given up, and nothing is under way");
            }
        } else if let Effect::EndSubscriptions(why) = effect {
            prop_assert!(phase == Phase::Gone || phase == Phase::Loading && self.is_cut_off);
            let is_right = match why {
                SubscriptionEnd::Moved => self.has_moved,
                SubscriptionEnd::Taken => self.is_cut_off,
            };
            prop_assert!(is_right, "its clients look for it elsewhere, or do not");
            self.counts = Counts::default();
        }
        Ok(())
    }
}
