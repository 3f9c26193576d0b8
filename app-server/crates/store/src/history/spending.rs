//! The use of models by the thread and its open turn. Pure.
//!
//! A request counts with the usage that its provider reports. Until then, and where no report comes (the server ends, the
//! stream breaks), it counts with the estimate of its `model.asked`.

use serde::Deserialize;
use skein_base::clock::WallMs;
use skein_protocol::approval::{McpServerElicitationAction, McpServerElicitationRequestResponse};
use skein_protocol::budget::{BudgetQuestion, BudgetScope};
use skein_protocol::event::ThreadTokenUsage;

use super::History;
use super::open_turn::TurnQuestion;
use crate::rollout::record::{DaySpent, ModelAsked, QuestionAnswered, Spent, ThreadHeader};

/// The use of models by the thread and its open turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spending {
    /// The thread.
    pub spent: Spent,
    /// The open turn.
    pub turn: TurnSpent,
}

/// The use of models by the open turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TurnSpent {
    /// Tokens.
    pub tokens: i64,
    /// The addition of the user to the limit of tokens.
    pub more: i64,
    /// Answers of models with which it has continued.
    pub rounds: i64,
    /// The addition of the user to the limit of rounds.
    pub more_rounds: i64,
    /// The limit at which the user has stopped it.
    pub stopped: Option<BudgetScope>,
    /// The estimate of the request that runs, or whose usage never came. It is counted already.
    unreported: i64,
}

impl Spending {
    /// The use by this thread on this day.
    pub fn on(&self, day: i64) -> DaySpent {
        self.spent.day.on(day)
    }

    fn add(&mut self, tokens: i64, at: WallMs) {
        self.turn.tokens = self.turn.tokens.saturating_add(tokens);
        self.spent.tokens = self.spent.tokens.saturating_add(tokens);
        let day = self.today(at);
        // An estimate that was too high may have counted for the day before.
        day.tokens = day.tokens.saturating_add(tokens).max(0);
    }

    fn today(&mut self, at: WallMs) -> &mut DaySpent {
        self.spent.day = self.spent.day.on(DaySpent::day_of(at));
        &mut self.spent.day
    }

    /// Raises the limit that the question names. That of a day is raised for the day in which the question was asked.
    fn raise(&mut self, BudgetQuestion { state, more }: &BudgetQuestion, (asked, at): (WallMs, WallMs)) {
        if state.scope == BudgetScope::Day && DaySpent::day_of(asked) != DaySpent::day_of(at) {
            return;
        }
        let raised = match state.scope {
            BudgetScope::Turn => &mut self.turn.more,
            BudgetScope::Rounds => &mut self.turn.more_rounds,
            BudgetScope::Thread => &mut self.spent.more,
            BudgetScope::Day => &mut self.today(at).more,
        };
        *raised = raised.saturating_add(*more);
    }
}

/// The params of a question about a budget, as far as they say what it is about.
#[derive(Deserialize)]
struct AboutBudget {
    #[serde(rename = "_meta")]
    meta: OwnMeta,
}

#[derive(Deserialize)]
struct OwnMeta {
    skein: OwnBudget,
}

#[derive(Deserialize)]
struct OwnBudget {
    budget: BudgetQuestion,
}

impl History {
    /// The use of models by the thread and its open turn.
    pub fn spending(&self) -> &Spending {
        &self.spending
    }

    /// Whether the sums say something.
    pub(super) fn has_used_models(&self) -> bool {
        self.usage.is_some() || self.spending.spent != Spent::default()
    }

    pub(super) fn model_asked(&mut self, asked: &ModelAsked, at: WallMs) {
        self.spending.turn.unreported = asked.tokens;
        self.spending.add(asked.tokens, at);
    }

    /// Counts reported usage in the place of the estimate.
    pub(super) fn spent(&mut self, usage: &ThreadTokenUsage, at: WallMs) {
        let tokens = match &self.usage {
            Some(before) => usage.total.total_tokens.saturating_sub(before.total.total_tokens),
            None => usage.last.total_tokens,
        };
        // A new estimate of the context's size is no report.
        if tokens > 0 {
            let counted = std::mem::take(&mut self.spending.turn.unreported);
            self.spending.add(tokens.saturating_sub(counted), at);
        }
    }

    /// Takes the answer to a question about a budget: an accept raises the limit, everything else stops the turn.
    pub(super) fn budget_answered(&mut self, asked: &TurnQuestion, answered: &QuestionAnswered, at: WallMs) {
        let about = serde_json::from_str::<AboutBudget>(&asked.asked.params);
        let answer = answered.answer.as_deref().unwrap_or_default();
        let answer = serde_json::from_str::<McpServerElicitationRequestResponse>(answer);
        let (Ok(about), Ok(answer)) = (about, answer) else { return };
        let question = about.meta.skein.budget;
        match answer.action {
            McpServerElicitationAction::Accept => self.spending.raise(&question, (asked.at, at)),
            McpServerElicitationAction::Decline | McpServerElicitationAction::Cancel => {
                self.spending.turn.stopped = Some(question.state.scope);
            }
        }
    }

    /// Takes the sums from the end of a turn. A header of an earlier version has only the tokens of the thread; the day is left
    /// out then, also where its records are known, so that each reader has the same.
    pub(super) fn take_spent(&mut self, header: &ThreadHeader) {
        self.spending.spent = match (header.spent, &header.usage) {
            (Some(spent), _) => spent,
            (None, Some(usage)) => Spent { tokens: usage.total.total_tokens, ..Spent::default() },
            (None, None) => Spent::default(),
        };
    }
}

#[cfg(test)]
mod tests;
