//! A thread is archived, restored or deleted: the rollout moves at the end of a hard shutdown, before a new load can begin.
//! Resumes that come meanwhile wait for the outcome.

use tokio::time::Instant;

use super::{HelpersState, Machine, Moving, State};
use crate::thread::effect::{Destination, Effect, MoveRefusal, ResumeFailure, SubscriptionEnd, UnloadReason};
use crate::thread::event::WaiterId;

impl Machine {
    /// Begins the unload. The actor defers the request during a load or an unload.
    pub(super) fn relocate(&mut self, now: Instant, waiter: WaiterId, to: Destination) -> Vec<Effect> {
        match self.state {
            State::Idle { .. } | State::Running(_) => {}
            State::Loading { .. } | State::Unloading(_) | State::Gone => return Vec::new(),
        }
        let effects = self.unload(now, UnloadReason::Relocate);
        if let State::Unloading(unloading) = &mut self.state {
            unloading.moving = Some(Moving { to, waiter, under_way: false });
        }
        effects
    }

    /// The rollout has moved. A restored thread loads again for waiting resumes; an archived or deleted one refuses them.
    pub(super) fn moved(&mut self) -> Vec<Effect> {
        let State::Unloading(unloading) = &mut self.state else { return Vec::new() };
        let Some(Moving { to, waiter, under_way: true }) = unloading.moving.take() else { return Vec::new() };
        let answers = [Effect::AnswerMove(waiter), Effect::AnnounceMove(to)];
        let failure = match to {
            Destination::Threads if !unloading.waiting.is_empty() => {
                return answers.into_iter().chain(self.finish_unload()).collect();
            }
            Destination::Threads | Destination::Archive => ResumeFailure::Archived,
            Destination::Trash => ResumeFailure::Deleted,
        };
        let waiting = std::mem::take(&mut unloading.waiting);
        let askers = std::mem::take(&mut unloading.askers);
        (self.state, self.helpers) = (State::Gone, HelpersState::NotStarted);
        let mut effects = vec![Effect::AnnounceNotLoaded];
        effects.extend(answers);
        effects.extend(askers.into_iter().map(Effect::AnswerUnload));
        effects.extend(waiting.into_iter().map(|who| Effect::FailResume(who, failure.clone())));
        let ended = Effect::EndSubscriptions(SubscriptionEnd::Moved);
        // A client may exit when the thread that it shows is closed. So only a deleted thread is closed for its subscribers.
        effects.extend(match to {
            Destination::Threads => vec![Effect::AnnounceClosed],
            Destination::Archive => vec![Effect::AnnounceClosed, ended],
            Destination::Trash => vec![ended, Effect::AnnounceClosed],
        });
        effects
    }

    /// The rollout has not moved, as far as is known: the unload ends as usual.
    pub(super) fn move_failed(&mut self, why: MoveRefusal) -> Vec<Effect> {
        let State::Unloading(unloading) = &mut self.state else { return Vec::new() };
        let Some(Moving { waiter, under_way: true, .. }) = unloading.moving.take() else { return Vec::new() };
        let mut effects = vec![Effect::RefuseMove(waiter, why)];
        effects.extend(self.finish_unload());
        effects
    }
}
