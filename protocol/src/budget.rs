//! Limits for the use of models by the turns of a thread: `skein/budget/...`, and the `skein.budget` of answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::ids::ThreadId;

/// The limits of a thread. A missing member stands for the setting of `config.toml`, and 0 for no limit.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadBudget {
    /// Tokens of a turn: input, cached or not, and output.
    pub turn_tokens: Option<i64>,
    /// Tokens of the thread since its creation.
    pub thread_tokens: Option<i64>,
    /// Tokens of all threads in a day (UTC).
    pub day_tokens: Option<i64>,
    /// How many answers with calls a turn may have.
    pub turn_rounds: Option<i64>,
    /// Whether the user is asked at a limit. Without a question the turn fails there.
    pub ask: Option<bool>,
}

impl ThreadBudget {
    /// These limits, and those of `base` where they are left out.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            turn_tokens: self.turn_tokens.or(base.turn_tokens),
            thread_tokens: self.thread_tokens.or(base.thread_tokens),
            day_tokens: self.day_tokens.or(base.day_tokens),
            turn_rounds: self.turn_rounds.or(base.turn_rounds),
            ask: self.ask.or(base.ask),
        }
    }

    /// These limits, where `by` has no lower ones: a limit only falls.
    #[must_use]
    pub fn narrowed(self, by: Self) -> Self {
        let lower = |now: Option<i64>, by: Option<i64>| match (now, by) {
            (Some(now), Some(by)) if now > 0 && by > 0 => Some(now.min(by)),
            (Some(now), Some(_) | None) if now > 0 => Some(now),
            (now, by) => by.or(now),
        };
        Self {
            turn_tokens: lower(self.turn_tokens, by.turn_tokens),
            thread_tokens: lower(self.thread_tokens, by.thread_tokens),
            day_tokens: lower(self.day_tokens, by.day_tokens),
            turn_rounds: lower(self.turn_rounds, by.turn_rounds),
            ask: if self.ask == Some(false) { self.ask } else { by.ask.or(self.ask) },
        }
    }

    /// Whether nothing here is above `most`.
    pub fn is_within(self, most: Self) -> bool {
        let narrowed = most.narrowed(self);
        self.over(narrowed) == narrowed
    }

    /// The limit of a scope; `None` for no limit.
    pub fn limit(self, scope: BudgetScope) -> Option<i64> {
        let limit = match scope {
            BudgetScope::Turn => self.turn_tokens,
            BudgetScope::Thread => self.thread_tokens,
            BudgetScope::Day => self.day_tokens,
            BudgetScope::Rounds => self.turn_rounds,
        };
        limit.filter(|limit| *limit > 0)
    }

    /// Whether a limit of tokens holds.
    pub fn counts_tokens(self) -> bool {
        let of_tokens = |scope: &BudgetScope| scope.unit() == BudgetUnit::Tokens;
        BudgetScope::ALL.into_iter().filter(of_tokens).any(|scope| self.limit(scope).is_some())
    }
}

/// The extent of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BudgetScope {
    /// The tokens of a turn.
    Turn,
    /// The tokens of a thread.
    Thread,
    /// The tokens of all threads in a day (UTC).
    Day,
    /// The rounds of a turn.
    Rounds,
}

impl BudgetScope {
    /// Each scope, in the order in which a request is checked.
    pub const ALL: [Self; 4] = [Self::Turn, Self::Thread, Self::Day, Self::Rounds];

    /// The unit of its numbers.
    pub fn unit(self) -> BudgetUnit {
        match self {
            Self::Turn | Self::Thread | Self::Day => BudgetUnit::Tokens,
            Self::Rounds => BudgetUnit::Rounds,
        }
    }
}

/// The unit of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BudgetUnit {
    /// Tokens of input and output.
    Tokens,
    /// Requests to a model whose answer a turn continues with.
    Rounds,
}

/// A limit that holds for a thread, and its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetState {
    /// Its extent.
    pub scope: BudgetScope,
    /// The limit, with what the user has added to it.
    pub limit: i64,
    /// The use. At the limit no request to a model begins.
    pub used: i64,
    /// The unit of both.
    pub unit: BudgetUnit,
}

impl BudgetState {
    /// Whether nothing is left.
    pub fn is_spent(&self) -> bool {
        self.used >= self.limit
    }
}

/// `_meta.skein.budget` of the question at a limit. An accept adds `more` to the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetQuestion {
    /// The limit and its use.
    #[serde(flatten)]
    pub state: BudgetState,
    /// The addition of an accept.
    pub more: i64,
}

/// Params of `skein/budget/set`: a missing member stays, 0 is no limit.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinBudgetSetParams {
    /// The thread, loaded or not.
    pub thread_id: ThreadId,
    /// Tokens of a turn.
    pub turn_tokens: Option<i64>,
    /// Tokens of the thread.
    pub thread_tokens: Option<i64>,
    /// How many answers with calls a turn may have.
    pub turn_rounds: Option<i64>,
}

/// Response of `skein/budget/set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinBudgetSetResponse {
    /// The limits that hold for the thread from now on.
    pub budget: Vec<BudgetState>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(turn_tokens: impl Into<Option<i64>>) -> ThreadBudget {
        ThreadBudget { turn_tokens: turn_tokens.into(), ..ThreadBudget::default() }
    }

    #[test]
    fn a_limit_only_falls() {
        for (now, by, expected) in [
            (turns(10), turns(5), turns(5)),
            (turns(5), turns(10), turns(5)),
            (turns(5), turns(0), turns(5)),
            (turns(5), turns(None), turns(5)),
            (turns(0), turns(10), turns(10)),
            (turns(None), turns(10), turns(10)),
            (turns(None), turns(0), turns(0)),
        ] {
            assert_eq!(now.narrowed(by), expected, "{now:?} by {by:?}");
        }
        let asks = |ask| ThreadBudget { ask: Some(ask), ..ThreadBudget::default() };
        assert_eq!([asks(true).narrowed(asks(false)), asks(false).narrowed(asks(true))], [asks(false); 2]);
    }

    #[test]
    fn no_limit_is_above_every_limit() {
        assert!(
            turns(5).is_within(turns(5)) && turns(5).is_within(turns(0)) && turns(None).is_within(turns(5))
        );
        assert!(!turns(6).is_within(turns(5)) && !turns(0).is_within(turns(5)));
        let asks = |ask| ThreadBudget { ask: Some(ask), ..ThreadBudget::default() };
        assert!(asks(false).is_within(asks(true)) && !asks(true).is_within(asks(false)));
    }
}
