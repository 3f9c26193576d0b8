//! The user's state of a thread: the read state and the goal.

use skein_protocol::event::{
    ThreadGoalClearedNotification, ThreadGoalUpdatedNotification, ThreadReadStateChangedNotification,
};
use skein_protocol::ids::TurnId;
use skein_protocol::notifications::{ThreadGoalCleared, ThreadGoalUpdated, ThreadReadStateChanged};
use skein_protocol::thread::{
    ThreadGoal, ThreadGoalClearResponse, ThreadGoalSetParams, ThreadGoalSetResponse, ThreadGoalStatus,
    ThreadReadState, ThreadReadStateOperation, ThreadReadStateUpdateParams, ThreadReadStateUpdateResponse,
};
use skein_store::history::History;
use skein_store::rollout::Keep;
use skein_store::rollout::record::{Goal, GoalChanged, ThreadRead};

use super::log::Log;
use crate::outbox::reply::Reply;
use crate::thread::error::ThreadError;
use crate::thread::machine::Persistence;
use crate::thread::subscribers::Broadcast;
use crate::thread::views;

pub(super) fn update_read_state(
    log: &mut Log,
    params: &ThreadReadStateUpdateParams,
    reply: Reply<ThreadReadStateUpdateResponse>,
) {
    let Some(history) = log.history() else { return };
    let now = history.read_position().state();
    if now.revision != params.expected_revision {
        return reply.err(&ThreadError::ReadStateMoved { id: log.id(), now }.to_wire());
    }
    let wanted = match params.operation {
        ThreadReadStateOperation::Read => ThreadRead::default(),
        ThreadReadStateOperation::Unread if now.first_unread.is_some() => {
            let position = history.read_position();
            ThreadRead { first_unread: position.first_unread.clone(), since: position.since }
        }
        ThreadReadStateOperation::Unread => history.unread(),
    };
    let changes = wanted.first_unread != now.first_unread;
    if changes {
        log.record_one(wanted, Keep::Process);
    }
    let Some(read_state) = read_state(log) else { return };
    log.acknowledge(reply, ThreadReadStateUpdateResponse { read_state });
    if changes {
        notify_of_read_state(log);
    }
}

pub(super) fn set_goal(log: &mut Log, params: ThreadGoalSetParams, reply: Reply<ThreadGoalSetResponse>) {
    let before = log.history().and_then(History::goal);
    let Some(goal) = changed_goal(before, params, log.wall().0) else {
        return reply.err(&ThreadError::NoGoal { id: log.id() }.to_wire());
    };
    let shown = views::goal(log.id(), &goal);
    log.record_one(GoalChanged { goal: Some(goal) }, Keep::Power);
    log.acknowledge(reply, ThreadGoalSetResponse { goal: shown });
    notify_of_goal(log, None);
}

pub(super) fn clear_goal(log: &mut Log, reply: Reply<ThreadGoalClearResponse>) {
    let cleared = log.history().and_then(History::goal).is_some();
    if cleared {
        log.record_one(GoalChanged { goal: None }, Keep::Power);
    }
    log.acknowledge(reply, ThreadGoalClearResponse { cleared });
    if cleared {
        log.notify::<ThreadGoalCleared>(&ThreadGoalClearedNotification { thread_id: log.id() }, None);
    }
}

/// Publishes the read state and the goal after the end of a turn: the turn is unread, and may have counted towards the goal.
pub(super) fn notify_of_end(log: &mut Log, turn: &TurnId) {
    match log.persistence() {
        Persistence::Durable => notify_of_read_state(log),
        // No list shows an ephemeral thread.
        Persistence::Ephemeral => {}
    }
    if log.history().is_some_and(History::goal_moved) {
        notify_of_goal(log, Some(turn.clone()));
    }
}

fn read_state(log: &Log) -> Option<ThreadReadState> {
    Some(log.history()?.read_position().state())
}

fn notify_of_read_state(log: &mut Log) {
    let Some(read_state) = read_state(log) else { return };
    let params = ThreadReadStateChangedNotification { read_state, thread_id: log.id(), skein: None };
    log.notify::<ThreadReadStateChanged>(&params, None);
}

fn goal(log: &Log) -> Option<ThreadGoal> {
    Some(views::goal(log.id(), log.history()?.goal()?))
}

/// The goal, or its absence, for a client that joins.
pub(super) fn goal_now(log: &Log) -> Broadcast {
    let thread_id = log.id();
    let notice = match goal(log) {
        Some(goal) => {
            log.notice::<ThreadGoalUpdated>(&ThreadGoalUpdatedNotification { goal, thread_id, turn_id: None })
        }
        None => log.notice::<ThreadGoalCleared>(&ThreadGoalClearedNotification { thread_id }),
    };
    notice.broadcast
}

fn notify_of_goal(log: &mut Log, turn_id: Option<TurnId>) {
    let Some(goal) = goal(log) else { return };
    let params = ThreadGoalUpdatedNotification { goal, thread_id: log.id(), turn_id };
    log.notify::<ThreadGoalUpdated>(&params, None);
}

/// The goal after a request; `None` if there is no goal to change and the request names none.
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
