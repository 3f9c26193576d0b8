//! Whether a turn may ask its model: the limits of the thread are checked before each request. At a limit the user is
//! asked, or the turn fails.

use serde_json::{Map, json};
use skein_protocol::approval::{McpServerElicitationRequestBody, McpServerElicitationRequestParams};
use skein_protocol::budget::{
    BudgetQuestion, BudgetScope, BudgetState, SkeinBudgetSetParams, SkeinBudgetSetResponse, ThreadBudget,
};
use skein_protocol::extension::{BudgetDetails, ThreadMoment};
use skein_protocol::server_requests::McpServerElicitationRequest;
use skein_protocol::turn::TurnError;
use skein_store::history::{History, Spending};
use skein_store::rollout::Keep;
use skein_store::rollout::record::{DaySpent, ModelAsked, QuestionKind, ThreadMeta};
use skein_turn::asking::Permission;
use skein_turn::{ModelRequest, ModelRequestKind, TurnLimits};
use tokio::sync::oneshot;

use super::consent::{self, SKEIN};
use super::helper_side::HelperSide;
use super::log::Log;
use super::open_questions::NewQuestion;
use super::turns::warn;
use super::wants::{Settled, Wants};
use super::{Owner, ThreadParts, settings};
use crate::outbox::reply::Reply;
use crate::thread::error::ThreadError;
use crate::thread::{Context, budget};

/// A request to a model that waits for its permission.
#[derive(Debug)]
pub(super) struct WaitingRequest {
    pub(super) request: ModelRequest,
    /// If it is dropped, the turn is over.
    pub(super) answer: oneshot::Sender<Result<(), Box<TurnError>>>,
}

/// When a request may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestStart {
    /// Without a record of its own it does not wait for the disk.
    AtOnce,
    /// Behind the answer of the user that lets it begin.
    OnceSaved,
}

impl WaitingRequest {
    fn refuse(self, error: TurnError) {
        // The turn may have ended.
        self.answer.send(Err(Box::new(error))).ok();
    }
}

/// The limits of the thread: its own over those of the server.
pub(super) fn limits(log: &Log, helpers: &HelperSide) -> ThreadBudget {
    settings::of(log, helpers).budget.over(log.config().budget)
}

/// The limits that hold, with their use.
pub(super) fn states(services: &Context, log: &Log, helpers: &HelperSide) -> Vec<BudgetState> {
    let spending = log.history().map(History::spending).copied().unwrap_or_default();
    let today = services.day.on(DaySpent::day_of(log.wall()));
    budget::states(limits(log, helpers), &spending, today)
}

/// The end of the history, with the limits that clients see.
pub(super) fn now(services: &Context, log: &Log, helpers: &HelperSide) -> ThreadMoment {
    let budget = budget::shown(limits(log, helpers), states(services, log, helpers));
    ThreadMoment { owner: log.owner(), ..log.end().with(budget) }
}

/// The limits that clients see, for a notification.
pub(super) fn details(services: &Context, log: &Log, helpers: &HelperSide) -> Option<BudgetDetails> {
    let ThreadMoment { budget, .. } = now(services, log, helpers);
    (!budget.is_empty()).then_some(BudgetDetails { budget })
}

/// Why the thread begins no turn.
pub(super) fn refusal(services: &Context, log: &Log, helpers: &HelperSide) -> Option<BudgetState> {
    let outlasts = |state: &BudgetState| match state.scope {
        BudgetScope::Thread | BudgetScope::Day => true,
        // The next turn has its own.
        BudgetScope::Turn | BudgetScope::Rounds => false,
    };
    states(services, log, helpers).into_iter().find(|state| outlasts(state) && state.is_spent())
}

/// The same as an error.
pub(super) fn spent(services: &Context, log: &Log, helpers: &HelperSide) -> Option<ThreadError> {
    let state = refusal(services, log, helpers)?;
    Some(ThreadError::Spent { id: log.id(), why: budget::refusal(&state) })
}

impl Owner {
    /// `skein/budget/set`.
    pub(super) fn set_budget(&mut self, params: SkeinBudgetSetParams, reply: Reply<SkeinBudgetSetResponse>) {
        let SkeinBudgetSetParams { thread_id: _, turn_tokens, thread_tokens, turn_rounds } = params;
        let own = ThreadBudget { turn_tokens, thread_tokens, turn_rounds, ..ThreadBudget::default() };
        let mut after = settings::of(&self.log, &self.helpers);
        let budget = own.over(after.budget);
        if budget != after.budget {
            after.budget = budget;
            self.log.record_one(ThreadMeta { settings: Some(after), git_info: None }, Keep::Power);
        }
        let budget = states(&self.services, &self.log, &self.helpers);
        self.log.acknowledge(reply, SkeinBudgetSetResponse { budget });
        self.parts().look_at_budget();
        // The turn no longer waits.
        self.note_turn();
        self.note_queue();
    }
}

impl ThreadParts<'_> {
    /// The limits of a turn that begins, or goes on.
    pub(super) fn turn_limits(&self) -> TurnLimits {
        let (limits, used) = (limits(self.log, self.helpers), self.spending().turn);
        let rounds = limits.limit(BudgetScope::Rounds);
        TurnLimits {
            tokens: limits.counts_tokens(),
            rounds: rounds.map(|most| most.saturating_add(used.more_rounds).saturating_sub(used.rounds)),
            day: limits.limit(BudgetScope::Day).map(|_| self.services.day.is_complete()),
        }
    }

    /// Lets a request to a model begin, asks the user, or refuses the request. One of a turn that ends early is left to the next load.
    pub(super) fn may_ask(&mut self, waiting: WaitingRequest, start: RequestStart) {
        let Some(waiting) = self.turns.hold(waiting) else { return };
        let spent = self.spent_for(waiting.request.kind);
        if let Some(scope) = self.spending().turn.stopped {
            return waiting.refuse(match spent {
                Some(spent) if spent.scope == scope => budget::error(&spent),
                Some(_) | None => budget::stopped(scope),
            });
        }
        if let Some(spent) = spent {
            return match self.asks_about_budget() {
                true => self.ask_for_more(&spent, waiting),
                false => waiting.refuse(budget::error(&spent)),
            };
        }
        self.close_budget_questions();
        self.warn_near_limits();
        let tokens = waiting.request.tokens;
        self.turns.note_begun();
        let begin = move || drop(waiting.answer.send(Ok(())));
        match self.turns.id().cloned() {
            Some(turn_id) if tokens > 0 && limits(self.log, self.helpers).counts_tokens() => {
                self.log.record_one(ModelAsked { turn_id, tokens }, Keep::Process);
                self.note_use();
                self.once_saved(Box::new(begin));
            }
            Some(_) | None if start == RequestStart::OnceSaved => self.once_saved(Box::new(begin)),
            Some(_) | None => begin(),
        }
    }

    /// Refuses a request, because no client has put the question to the user.
    pub(super) fn refuse_request(&self, waiting: WaitingRequest) {
        match self.spent_for(waiting.request.kind) {
            Some(spent) => waiting.refuse(budget::error(&spent)),
            None => {
                waiting.refuse(TurnError::new("no client has put the question about the budget to the user"))
            }
        }
    }

    /// The questions about a budget that has room by now need no answer.
    pub(super) fn look_at_budget(&mut self) {
        let granted = self.budget_questions_with_room();
        self.settle(granted);
    }

    fn close_budget_questions(&mut self) {
        let granted = self.granted_budget_questions();
        self.settle(granted);
    }

    /// The questions about a budget that has room by now, as far as known.
    pub(super) fn budget_questions_with_room(&self) -> Vec<(i64, Settled)> {
        let granted = self.granted_budget_questions();
        if granted.is_empty() {
            return granted;
        }
        let of_day = limits(self.log, self.helpers).limit(BudgetScope::Day);
        let is_known = of_day.is_none() || self.services.day.is_complete().is_cancelled();
        match is_known && self.spent_for(ModelRequestKind::Round).is_none() {
            true => granted,
            false => Vec::new(),
        }
    }

    fn granted_budget_questions(&self) -> Vec<(i64, Settled)> {
        let granted = |number| (number, Settled::Judged(Permission::Granted));
        self.questions.about_budget().into_iter().map(granted).collect()
    }

    /// Notes what the thread has used today. If the limit of the day has room again, other threads go on.
    pub(super) fn note_use(&mut self) {
        let today = DaySpent::day_of(self.log.wall());
        let (before, now) = self.services.day.note(self.id, self.spending().on(today), today);
        let is_spent = |day| budget::of_day(self.services, day).is_some_and(|state| state.is_spent());
        if is_spent(before) && !is_spent(now) {
            self.services.day.look();
        }
    }

    /// Warns of each limit that has come near. An estimate that may be replaced yet is no reason for a warning.
    pub(super) fn warn_near_limits(&mut self) {
        let mut near = states(self.services, self.log, self.helpers);
        near.retain(|state| budget::is_nearly_spent(state) && !state.is_spent());
        for state in self.turns.newly_near(near) {
            warn(self.log, budget::warning(&state));
        }
    }

    fn spending(&self) -> Spending {
        self.log.history().map(History::spending).copied().unwrap_or_default()
    }

    fn spent_for(&self, kind: ModelRequestKind) -> Option<BudgetState> {
        let counts = |scope: BudgetScope| match (scope, kind) {
            // A summary and a second try are no round.
            (BudgetScope::Rounds, ModelRequestKind::Other) => false,
            (BudgetScope::Rounds, ModelRequestKind::Round)
            | (BudgetScope::Turn | BudgetScope::Thread | BudgetScope::Day, _) => true,
        };
        let states = states(self.services, self.log, self.helpers);
        states.into_iter().find(|state| counts(state.scope) && state.is_spent())
    }

    fn asks_about_budget(&self) -> bool {
        // A load cannot go on with a compaction.
        let goes_on = self.turns.takes_more();
        goes_on && limits(self.log, self.helpers).ask != Some(false) && self.may_ask_about_helpers()
    }

    fn ask_for_more(&mut self, spent: &BudgetState, waiting: WaitingRequest) {
        let Some(waiting) = self.questions.wait_for_budget(waiting) else { return };
        let limit = limits(self.log, self.helpers).limit(spent.scope).unwrap_or(spent.limit);
        let more = budget::addition(spent, limit);
        let turn = self.turns.id().cloned();
        let params = McpServerElicitationRequestParams {
            server_name: SKEIN.to_owned(),
            thread_id: self.id,
            turn_id: turn.clone(),
            request: form(spent, more),
        };
        let (kind, wants) = (QuestionKind::Budget, Wants::Budget(waiting));
        self.put(NewQuestion::new::<McpServerElicitationRequest>(kind, turn, &params, wants));
    }
}

fn form(spent: &BudgetState, more: i64) -> McpServerElicitationRequestBody {
    let ours = json!({ "budget": BudgetQuestion { state: *spent, more } });
    consent::form(Map::from_iter([(SKEIN.to_owned(), ours)]), budget::question(spent, more))
}
