//! What the user has read, and what the thread is to reach: changed, counted, and told.

use skein_protocol::event::{
    ThreadGoalClearedNotification, ThreadGoalUpdatedNotification, ThreadReadStateChangedNotification,
};
use skein_protocol::ids::TurnId;
use skein_protocol::notifications::{ThreadGoalCleared, ThreadGoalUpdated, ThreadReadStateChanged};
use skein_protocol::table::Scope;
use skein_protocol::thread::{
    ThreadGoalClearResponse, ThreadGoalSetParams, ThreadGoalSetResponse, ThreadGoalStatus,
    ThreadReadStateOperation, ThreadReadStateUpdateParams, ThreadReadStateUpdateResponse,
};
use skein_store::rollout::Keep;
use skein_store::rollout::record::{Goal, RecordBody, ThreadGoal, ThreadRead};

use super::Owner;
use crate::outbox::reply::Reply;
use crate::thread::error::ThreadError;
use crate::thread::machine::Persistence;
use crate::thread::outgoing::Notice;
use crate::thread::pictures;
use crate::thread::subscribers::Broadcast;

impl Owner {
    pub(super) fn update_read_state(
        &mut self,
        params: &ThreadReadStateUpdateParams,
        reply: Reply<ThreadReadStateUpdateResponse>,
    ) {
        let id = self.id;
        let Some(journal) = &mut self.journal else { return };
        let now = journal.history.read_mark().state();
        if now.revision != params.expected_revision {
            return reply.err(&ThreadError::ReadStateMoved { id, now }.to_wire());
        }
        let wanted = match params.operation {
            ThreadReadStateOperation::Read => ThreadRead::default(),
            ThreadReadStateOperation::Unread if now.first_unread.is_some() => {
                let mark = journal.history.read_mark();
                ThreadRead { first_unread: mark.first_unread.clone(), since: mark.since }
            }
            ThreadReadStateOperation::Unread => journal.history.unread(),
        };
        let changes = wanted.first_unread != now.first_unread;
        if changes {
            journal.record(vec![wanted.into()], Keep::Process);
        }
        let read_state = journal.history.read_mark().state();
        self.acknowledge(reply, ThreadReadStateUpdateResponse { read_state });
        if changes {
            self.tell_read_state();
        }
    }

    pub(super) fn set_goal(&mut self, params: ThreadGoalSetParams, reply: Reply<ThreadGoalSetResponse>) {
        let now_ms = self.services.clock.wall().0;
        let before = self.journal.as_ref().and_then(|journal| journal.history.goal());
        let Some(goal) = changed_goal(before, params, now_ms) else {
            return reply.err(&ThreadError::NoGoal { id: self.id }.to_wire());
        };
        let shown = pictures::goal(self.id, &goal);
        self.record_goal(Some(goal));
        self.acknowledge(reply, ThreadGoalSetResponse { goal: shown });
        self.tell_goal(None);
    }

    pub(super) fn clear_goal(&mut self, reply: Reply<ThreadGoalClearResponse>) {
        let cleared = self.journal.as_ref().is_some_and(|journal| journal.history.goal().is_some());
        if cleared {
            self.record_goal(None);
        }
        self.acknowledge(reply, ThreadGoalClearResponse { cleared });
        if cleared {
            self.notify::<ThreadGoalCleared>(&ThreadGoalClearedNotification { thread_id: self.id }, None);
        }
    }

    /// A turn has ended: it is unread, and it may have brought the goal nearer.
    pub(super) fn tell_marks(&mut self, turn: &TurnId) {
        match self.persistence {
            Persistence::Durable => self.tell_read_state(),
            // No list shows it.
            Persistence::Ephemeral => {}
        }
        if self.journal.as_ref().is_some_and(|journal| journal.history.goal_moved()) {
            self.tell_goal(Some(turn.clone()));
        }
    }

    fn record_goal(&mut self, goal: Option<Goal>) {
        if let Some(journal) = &mut self.journal {
            journal.record(vec![RecordBody::from(ThreadGoal { goal })], Keep::Power);
        }
    }

    fn tell_read_state(&mut self) {
        let Some(journal) = &self.journal else { return };
        let read_state = journal.history.read_mark().state();
        let params = ThreadReadStateChangedNotification { read_state, thread_id: self.id, skein: None };
        self.notify::<ThreadReadStateChanged>(&params, None);
    }

    /// The goal, or that there is none, for somebody who comes.
    pub(super) fn goal_now(&self) -> Broadcast {
        let (at, thread_id) = (self.services.clock.wall(), self.id);
        let goal = self.journal.as_ref().and_then(|journal| journal.history.goal());
        let notice = match goal.map(|goal| pictures::goal(thread_id, goal)) {
            Some(goal) => {
                let params = ThreadGoalUpdatedNotification { goal, thread_id, turn_id: None };
                Notice::new::<ThreadGoalUpdated>(Scope::Subscribers, &params, at, None)
            }
            None => {
                let params = ThreadGoalClearedNotification { thread_id };
                Notice::new::<ThreadGoalCleared>(Scope::Subscribers, &params, at, None)
            }
        };
        notice.broadcast
    }

    fn tell_goal(&mut self, turn_id: Option<TurnId>) {
        let goal = self.journal.as_ref().and_then(|journal| journal.history.goal());
        let Some(goal) = goal.map(|goal| pictures::goal(self.id, goal)) else { return };
        let params = ThreadGoalUpdatedNotification { goal, thread_id: self.id, turn_id };
        self.notify::<ThreadGoalUpdated>(&params, None);
    }
}

/// The goal that is asked for; `None` where there is none to change and none is named.
fn changed_goal(before: Option<&Goal>, params: ThreadGoalSetParams, now_ms: i64) -> Option<Goal> {
    let ThreadGoalSetParams { objective, status, token_budget, .. } = params;
    let mut goal = match (before, objective) {
        (Some(before), None) => before.clone(),
        (Some(before), Some(objective)) if before.objective == objective => before.clone(),
        (_, Some(objective)) => Goal {
            objective,
            status: ThreadGoalStatus::Active,
            token_budget: None,
            tokens_used: 0,
            time_used_ms: 0,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        },
        (None, None) => return None,
    };
    goal.status = status.unwrap_or(goal.status);
    goal.token_budget = token_budget.unwrap_or(goal.token_budget);
    goal.updated_at_ms = now_ms;
    Some(goal)
}
