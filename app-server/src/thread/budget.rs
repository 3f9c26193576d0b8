//! The limits of a thread for the use of models, and their use: what they are, and what is said at a limit.

use skein_protocol::budget::{BudgetScope, BudgetState, BudgetUnit, ThreadBudget};
use skein_protocol::extension::{ThreadMoment, ThreadPicture};
use skein_protocol::methods::SkeinBudgetSet;
use skein_protocol::table::Method;
use skein_protocol::turn::{CodexErrorInfo, TurnError};
use skein_store::history::{History, Spending};
use skein_store::rollout::record::DaySpent;

use super::Context;
use crate::policy;

/// The limits that hold, in the order in which they are checked. `today` is what all threads have used.
pub(crate) fn states(limits: ThreadBudget, spending: &Spending, today: DaySpent) -> Vec<BudgetState> {
    let state = |scope: BudgetScope| {
        let (used, more) = match scope {
            BudgetScope::Turn => (spending.turn.tokens, spending.turn.more),
            BudgetScope::Thread => (spending.spent.tokens, spending.spent.more),
            BudgetScope::Day => (today.tokens, today.more),
            BudgetScope::Rounds => (spending.turn.rounds, spending.turn.more_rounds),
        };
        let limit = limits.limit(scope)?.saturating_add(more);
        Some(BudgetState { scope, limit, used, unit: scope.unit() })
    };
    BudgetScope::ALL.into_iter().filter_map(state).collect()
}

/// The limits that clients see: none while only the default of rounds holds.
pub(crate) fn shown(limits: ThreadBudget, states: Vec<BudgetState>) -> Vec<BudgetState> {
    let default = skein_config::policy::DEFAULT_BUDGET.turn_rounds;
    let is_usual = !limits.counts_tokens() && limits.turn_rounds == default;
    if is_usual { Vec::new() } else { states }
}

/// The end of a history on disk, with the limits that clients see.
pub(crate) fn end_of(services: &Context, history: &History) -> ThreadMoment {
    let end = ThreadPicture { seq: history.seq(), epoch: history.epoch() };
    let limits = history.settings().budget.over(services.config().budget);
    let today = services.day.on(DaySpent::day_of(services.clock.wall()));
    end.with(shown(limits, states(limits, history.spending(), today)))
}

/// The limit of the day, and what all threads have used today.
pub(crate) fn of_today(services: &Context) -> Option<BudgetState> {
    of_day(services, services.day.on(DaySpent::day_of(services.clock.wall())))
}

/// The limit of the day, with this use by all threads.
pub(crate) fn of_day(services: &Context, used: DaySpent) -> Option<BudgetState> {
    let states = states(services.config().budget, &Spending::default(), used);
    states.into_iter().find(|state| state.scope == BudgetScope::Day)
}

/// Whether so much is used that the user is warned.
pub(crate) fn is_nearly_spent(state: &BudgetState) -> bool {
    let warned_at = i128::from(state.limit) * i128::from(policy::BUDGET_WARNING);
    i128::from(state.used) * 100 >= warned_at
}

/// The sentence of the warning.
pub(crate) fn warning(state: &BudgetState) -> String {
    format!("{}. At the limit no model is asked any more", used(state))
}

/// The error of a turn that ends at a limit.
pub(crate) fn error(state: &BudgetState) -> TurnError {
    TurnError {
        codex_error_info: Some(CodexErrorInfo::SessionBudgetExceeded),
        ..TurnError::new(refusal(state))
    }
}

/// The error of a turn that the user has stopped at a limit, which has room again.
pub(crate) fn stopped(scope: BudgetScope) -> TurnError {
    TurnError {
        codex_error_info: Some(CodexErrorInfo::SessionBudgetExceeded),
        ..TurnError::new(format!("The user has stopped this turn at the limit budget.{}", key(scope)))
    }
}

/// The addition of an accept at a limit: the limit `own`, as often as it takes for the turn to go on.
pub(crate) fn addition(spent: &BudgetState, own: i64) -> i64 {
    let over = spent.used.saturating_sub(spent.limit).max(0);
    own.saturating_mul((over / own.max(1)).saturating_add(1))
}

/// Why no model is asked, and the way out.
pub(crate) fn refusal(state: &BudgetState) -> String {
    let set = SkeinBudgetSet::INFO.wire;
    let way_out = match state.scope {
        BudgetScope::Turn => format!("or with {set}, or send another message: each turn has its own"),
        BudgetScope::Rounds => format!("or with {set}, or send another message to go on"),
        BudgetScope::Thread => format!("or with {set}, or use another thread"),
        BudgetScope::Day => "or wait for the next day (UTC)".to_owned(),
    };
    format!("{}. Raise it in config.toml {way_out}", used(state))
}

/// The question whether a turn goes on.
pub(crate) fn question(state: &BudgetState, more: i64) -> String {
    format!("{}. May it use {more} more?", used(state))
}

fn used(BudgetState { scope, limit, used, unit }: &BudgetState) -> String {
    let who = match scope {
        BudgetScope::Turn | BudgetScope::Rounds => "This turn has",
        BudgetScope::Thread => "This thread has",
        BudgetScope::Day => "All threads together have today",
    };
    let key = key(*scope);
    let unit = match unit {
        BudgetUnit::Tokens => "tokens",
        BudgetUnit::Rounds => "rounds",
    };
    format!("{who} used {used} of {limit} {unit} (budget.{key})")
}

/// The setting of a limit, in the table `budget`.
fn key(scope: BudgetScope) -> &'static str {
    match scope {
        BudgetScope::Turn => "turn_tokens",
        BudgetScope::Thread => "thread_tokens",
        BudgetScope::Day => "day_tokens",
        BudgetScope::Rounds => "turn_rounds",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accept_adds_to_a_limit_and_without_one_there_is_nothing_to_check() {
        let limits =
            ThreadBudget { turn_tokens: Some(10), thread_tokens: Some(0), ..ThreadBudget::default() };
        let mut spending = Spending::default();
        spending.turn.tokens = 10;
        spending.spent.tokens = 1_000;
        let [turn] = states(limits, &spending, DaySpent::default())[..] else { panic!("one limit") };
        assert!(turn.is_spent() && is_nearly_spent(&turn));
        spending.turn.more = 10;
        let [turn] = states(limits, &spending, DaySpent::default())[..] else { panic!("one limit") };
        assert_eq!((turn.limit, turn.is_spent(), is_nearly_spent(&turn)), (20, false, false));
    }

    #[test]
    fn an_accept_adds_the_limit_as_often_as_it_takes_to_go_on() {
        let added = |used, limit| {
            let spent = BudgetState { scope: BudgetScope::Turn, limit, used, unit: BudgetUnit::Tokens };
            addition(&spent, 100)
        };
        assert_eq!(
            [added(100, 100), added(199, 100), added(200, 100), added(1_000, 100)],
            [100, 100, 200, 1_000]
        );
        assert_eq!([added(350, 300), added(400, 300)], [100, 200]);
        let most =
            BudgetState { scope: BudgetScope::Turn, limit: 1, used: i64::MAX, unit: BudgetUnit::Tokens };
        assert_eq!([addition(&most, 1), addition(&most, 0)], [i64::MAX, 0]);
    }

    #[test]
    fn a_warning_comes_at_four_fifths() {
        let state = |used| BudgetState { scope: BudgetScope::Day, limit: 10, used, unit: BudgetUnit::Tokens };
        assert!(!is_nearly_spent(&state(7)) && is_nearly_spent(&state(8)));
        assert_eq!(
            warning(&state(8)),
            "All threads together have today used 8 of 10 tokens (budget.day_tokens). At the limit no model is asked any more"
        );
        let most = BudgetState { limit: i64::MAX, used: i64::MAX, ..state(0) };
        assert!(is_nearly_spent(&most) && most.is_spent());
    }

    #[test]
    fn the_default_of_rounds_alone_is_not_shown() {
        let usual = skein_config::policy::DEFAULT_BUDGET;
        let shown_of =
            |limits| shown(limits, states(limits, &Spending::default(), DaySpent::default())).len();
        assert_eq!(shown_of(usual), 0);
        assert_eq!(shown_of(ThreadBudget { turn_rounds: Some(3), ..usual }), 1);
        assert_eq!(shown_of(ThreadBudget { day_tokens: Some(3), ..usual }), 2);
    }
}
