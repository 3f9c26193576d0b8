//! A thread is archived, brought back or deleted: a hard shutdown, at whose end the rollout is put elsewhere before anybody
//! can load it again. Whoever resumes meanwhile waits, and is told what became of the thread.

use tokio::time::Instant;

use super::{Helpers, Machine, Moving, State};
use crate::thread::effect::{Destination, Effect, MoveRefusal, ResumeFailure, UnloadReason};
use crate::thread::event::WaiterId;

impl Machine {
    /// The actor keeps it until a load, or an unload, is over.
    pub(super) fn put_elsewhere(&mut self, now: Instant, waiter: WaiterId, to: Destination) -> Vec<Effect> {
        match self.state {
            State::Idle { .. } | State::Running(_) => {}
            State::Loading { .. } | State::Unloading(_) | State::Gone => return Vec::new(),
        }
        let effects = self.unload(now, UnloadReason::PutElsewhere);
        if let State::Unloading(unloading) = &mut self.state {
            unloading.moving = Some(Moving { to, waiter, under_way: false });
        }
        effects
    }

    /// The rollout is elsewhere. What was archived or deleted is not loaded again for those who wait.
    pub(super) fn moved(&mut self) -> Vec<Effect> {
        let State::Unloading(unloading) = &mut self.state else { return Vec::new() };
        let Some(Moving { to, waiter, under_way: true }) = unloading.moving.take() else { return Vec::new() };
        let told = [Effect::AnswerMove(waiter), Effect::AnnounceMove(to)];
        let failure = match to {
            Destination::Threads if !unloading.waiting.is_empty() => {
                return told.into_iter().chain(self.zero()).collect();
            }
            Destination::Threads | Destination::Archive => ResumeFailure::Archived,
            Destination::Trash => ResumeFailure::Deleted,
        };
        let waiting = std::mem::take(&mut unloading.waiting);
        let askers = std::mem::take(&mut unloading.askers);
        (self.state, self.helpers) = (State::Gone, Helpers::NotStarted);
        let mut effects = vec![Effect::AnnounceNotLoaded];
        effects.extend(told);
        effects.extend(askers.into_iter().map(Effect::AnswerUnload));
        effects.extend(waiting.into_iter().map(|who| Effect::FailResume(who, failure.clone())));
        // Who shows a thread that is closed may end, so only who shows one that was deleted hears of it.
        effects.extend(match to {
            Destination::Threads => vec![Effect::AnnounceClosed],
            Destination::Archive => vec![Effect::AnnounceClosed, Effect::EndSubscriptions],
            Destination::Trash => vec![Effect::EndSubscriptions, Effect::AnnounceClosed],
        });
        effects
    }

    /// The rollout is where it was, as far as is known: the end of an ordinary unload.
    pub(super) fn move_failed(&mut self, why: MoveRefusal) -> Vec<Effect> {
        let State::Unloading(unloading) = &mut self.state else { return Vec::new() };
        let Some(Moving { waiter, under_way: true, .. }) = unloading.moving.take() else { return Vec::new() };
        let mut effects = vec![Effect::RefuseMove(waiter, why)];
        effects.extend(self.zero());
        effects
    }
}
