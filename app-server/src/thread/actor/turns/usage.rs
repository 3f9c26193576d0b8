//! Token usage of a turn, and the size of the context.

use skein_protocol::event::{ThreadTokenUsage, ThreadTokenUsageUpdatedNotification, TokenUsageBreakdown};
use skein_protocol::notifications::ThreadTokenUsageUpdated;
use skein_provider as provider;
use skein_store::history::History;
use skein_store::rollout::Keep;
use skein_store::rollout::record::TurnUsage;

use super::super::{ThreadParts, budget};

impl ThreadParts<'_> {
    /// Records the tokens of a request of the running turn.
    pub(super) fn used(&mut self, usage: &provider::TokenUsage) {
        let last = TokenUsageBreakdown {
            cache_write_input_tokens: usage.cache_write_input,
            cached_input_tokens: usage.cached_input,
            input_tokens: usage.input,
            output_tokens: usage.output,
            reasoning_output_tokens: usage.reasoning_output,
            total_tokens: usage.input.saturating_add(usage.output),
        };
        let before = self.log.history().and_then(History::usage).copied();
        let total = before.map_or(last, |before| sum(&before.total, &last));
        self.record_usage(last, total);
    }

    /// Records the estimated size of the next request after a compaction. It has used no tokens yet.
    pub(super) fn context_is(&mut self, total_tokens: i64) {
        // Without a reported usage, clients see none.
        let Some(before) = self.log.history().and_then(History::usage).copied() else { return };
        let last = TokenUsageBreakdown { total_tokens, ..TokenUsageBreakdown::default() };
        self.record_usage(last, before.total);
    }

    fn record_usage(&mut self, last: TokenUsageBreakdown, total: TokenUsageBreakdown) {
        let Some(turn) = &self.turns.running else { return };
        let turn_id = turn.id.clone();
        let token_usage = ThreadTokenUsage { last, model_context_window: Some(turn.window), total };
        let usage = TurnUsage { turn_id: turn_id.clone(), usage: token_usage };
        let number = self.log.record_one(usage, Keep::Process);
        self.note_use();
        self.warn_near_limits();
        let skein = budget::details(self.services, self.log, self.helpers);
        let params = ThreadTokenUsageUpdatedNotification { thread_id: self.id, token_usage, turn_id, skein };
        self.log.notify::<ThreadTokenUsageUpdated>(&params, Some(number));
    }
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
