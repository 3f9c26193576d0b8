//! Token usage of a turn, and the size of the context.

use skein_protocol::event::{ThreadTokenUsage, ThreadTokenUsageUpdatedNotification, TokenUsageBreakdown};
use skein_protocol::notifications::ThreadTokenUsageUpdated;
use skein_provider as provider;
use skein_store::history::History;
use skein_store::rollout::Keep;
use skein_store::rollout::record::TurnUsage;

use super::super::log::Log;
use super::RunningTurn;

/// Records the tokens of a request of this turn.
pub(super) fn used(log: &mut Log, turn: &RunningTurn, usage: &provider::TokenUsage) {
    let last = TokenUsageBreakdown {
        cache_write_input_tokens: usage.cache_write_input,
        cached_input_tokens: usage.cached_input,
        input_tokens: usage.input,
        output_tokens: usage.output,
        reasoning_output_tokens: usage.reasoning_output,
        total_tokens: usage.input.saturating_add(usage.output),
    };
    let before = log.history().and_then(History::usage).copied();
    let total = before.map_or(last, |before| sum(&before.total, &last));
    record(log, turn, last, total);
}

/// Records the estimated size of the next request after a compaction. It has used no tokens yet.
pub(super) fn context_is(log: &mut Log, turn: &RunningTurn, total_tokens: i64) {
    // Without a reported usage, clients see none.
    let Some(before) = log.history().and_then(History::usage).copied() else { return };
    let last = TokenUsageBreakdown { total_tokens, ..TokenUsageBreakdown::default() };
    record(log, turn, last, before.total);
}

fn record(log: &mut Log, turn: &RunningTurn, last: TokenUsageBreakdown, total: TokenUsageBreakdown) {
    let turn_id = turn.id.clone();
    let token_usage = ThreadTokenUsage { last, model_context_window: Some(turn.window), total };
    let number = log.record_one(TurnUsage { turn_id: turn_id.clone(), usage: token_usage }, Keep::Process);
    let params = ThreadTokenUsageUpdatedNotification { thread_id: log.id(), token_usage, turn_id };
    log.notify::<ThreadTokenUsageUpdated>(&params, Some(number));
}

fn sum(one: &TokenUsageBreakdown, other: &TokenUsageBreakdown) -> TokenUsageBreakdown {
    TokenUsageBreakdown {
        cache_write_input_tokens: one.cache_write_input_tokens.saturating_add(other.cache_write_input_tokens),
        cached_input_tokens: one.cached_input_tokens.saturating_add(other.cached_input_tokens),
        input_tokens: one.input_tokens.saturating_add(other.input_tokens),
        output_tokens: one.output_tokens.saturating_add(other.output_tokens),
        reasoning_output_tokens: one.reasoning_output_tokens.saturating_add(other.reasoning_output_tokens),
        total_tokens: one.total_tokens.saturating_add(other.total_tokens),
    }
}
