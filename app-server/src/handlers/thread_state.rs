//! A thread's settings, read state and goal.

use std::sync::Arc;

use skein_config::Budget;
use skein_protocol::budget::{SkeinBudgetSetParams, SkeinBudgetSetResponse};
use skein_protocol::error::WireError;
use skein_protocol::thread::{
    ThreadGoalGetParams, ThreadGoalGetResponse, ThreadGoalSetParams, ThreadGoalSetResponse,
    ThreadSettingsUpdateParams, ThreadSettingsUpdateResponse,
};
use skein_store::history::History;

use super::thread::unwritten;
use super::words;
use crate::outbox::reply::Reply;
use crate::policy;
use crate::router::session::ClientSession;
use crate::thread::command::{Command, Edit};
use crate::thread::error::ThreadError;
use crate::thread::{dispatch, views};

/// `thread/settings/update`
pub(crate) fn update_settings(
    session: &Arc<ClientSession>,
    params: ThreadSettingsUpdateParams,
    reply: Reply<ThreadSettingsUpdateResponse>,
) {
    let id = params.thread_id;
    let words = [
        ("cwd", params.cwd.as_deref()),
        ("model", params.model.as_deref()),
        ("effort", params.effort.as_deref()),
    ];
    if let Err(error) = words::check(&words) {
        return reply.err(&error.thread(id));
    }
    dispatch::deliver(&session.app.context, id, Command::Edit(Edit::Settings(Box::new(params), reply)));
}

/// `skein/budget/set`
pub(crate) fn set_budget(
    session: &Arc<ClientSession>,
    params: SkeinBudgetSetParams,
    reply: Reply<SkeinBudgetSetResponse>,
) {
    let id = params.thread_id;
    let limits = [
        ("turnTokens", params.turn_tokens, Budget::MOST_TOKENS),
        ("threadTokens", params.thread_tokens, Budget::MOST_TOKENS),
        ("turnRounds", params.turn_rounds, Budget::MOST_ROUNDS),
    ];
    let is_bad = |limit: Option<i64>, most| limit.is_some_and(|limit| !(0..=most).contains(&limit));
    if let Some((member, _, most)) = limits.into_iter().find(|(_, limit, most)| is_bad(*limit, *most)) {
        let why = format!("a limit is a whole number from 0 to {most}; 0 is no limit");
        return reply.err(&WireError::invalid_params("badBudget", why).path(member).thread(id));
    }
    dispatch::deliver(&session.app.context, id, Command::Edit(Edit::Budget(params, reply)));
}

/// `thread/goal/set`
pub(crate) fn set_goal(
    session: &Arc<ClientSession>,
    mut params: ThreadGoalSetParams,
    reply: Reply<ThreadGoalSetResponse>,
) {
    let id = params.thread_id;
    params.objective = params.objective.map(|objective| objective.trim().to_owned());
    if let Err(error) = check_goal(&params) {
        return reply.err(&error.thread(id));
    }
    dispatch::deliver(&session.app.context, id, Command::Edit(Edit::SetGoal(params, reply)));
}

fn check_goal(params: &ThreadGoalSetParams) -> Result<(), WireError> {
    let objective = params.objective.as_deref();
    if objective == Some("") {
        let text = "goal objective must not be empty";
        return Err(WireError::invalid_params("emptyObjective", text).path("objective"));
    }
    words::at_most(policy::GOAL_BYTES, "objective", objective.unwrap_or_default())?;
    if params.token_budget.flatten().is_some_and(|budget| budget <= 0) {
        let error = WireError::invalid_params("badBudget", "goal budgets must be positive when provided");
        return Err(error.path("tokenBudget").hint("null is none, and without it the budget stays"));
    }
    Ok(())
}

/// `thread/goal/get`: from the rollout, or from the owner's snapshot if there is no rollout.
pub(crate) async fn goal(
    session: Arc<ClientSession>,
    params: ThreadGoalGetParams,
) -> Result<ThreadGoalGetResponse, WireError> {
    let (services, id) = (&session.app, params.thread_id);
    let seen = services.registry.handle(id).map(|handle| handle.snapshot());
    if let Some(seen) = seen.filter(|seen| unwritten(seen).is_some()) {
        return Ok(ThreadGoalGetResponse { goal: seen.goal });
    }
    let history = History::read_end(services.store.as_ref(), id, 0).await;
    let history = history.map_err(|error| ThreadError::unreadable(error, id).to_wire())?;
    Ok(ThreadGoalGetResponse { goal: history.goal().map(|goal| views::goal(id, goal)) })
}
