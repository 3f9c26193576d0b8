//! What a turn has cost, and how full the model's window is.

use skein_protocol::event::{ThreadTokenUsage, ThreadTokenUsageUpdatedNotification, TokenUsageBreakdown};
use skein_protocol::ids::TurnId;
use skein_protocol::notifications::ThreadTokenUsageUpdated;
use skein_provider as provider;
use skein_store::rollout::Keep;
use skein_store::rollout::record::Usage;

use super::Owner;

impl Owner {
    pub(super) fn usage(&mut self, usage: provider::Usage) {
        let running = self.turn.as_ref().map(|turn| (turn.id.clone(), turn.window));
        let Some((turn_id, window)) = running else { return };
        let last = TokenUsageBreakdown {
            cache_write_input_tokens: usage.cache_write_input,
            cached_input_tokens: usage.cached_input,
            input_tokens: usage.input,
            output_tokens: usage.output,
            reasoning_output_tokens: usage.reasoning_output,
            total_tokens: usage.input.saturating_add(usage.output),
        };
        let before = self.used_before();
        let total = before.map_or(last, |before| sum(&before.total, &last));
        self.record_usage((turn_id, window), last, total);
    }

    /// After a compaction: about so many tokens are in the next request. They have cost nothing yet.
    pub(super) fn context_is(&mut self, total_tokens: i64) {
        let Some(running) = self.turn.as_ref().map(|turn| (turn.id.clone(), turn.window)) else { return };
        let last = TokenUsageBreakdown { total_tokens, ..TokenUsageBreakdown::default() };
        // Where no model says what it uses nobody shows it.
        let Some(before) = self.used_before() else { return };
        self.record_usage(running, last, before.total);
    }

    fn used_before(&self) -> Option<ThreadTokenUsage> {
        self.journal.as_ref().and_then(|journal| journal.history.usage().copied())
    }

    fn record_usage(
        &mut self,
        (turn_id, window): (TurnId, i64),
        last: TokenUsageBreakdown,
        total: TokenUsageBreakdown,
    ) {
        let token_usage = ThreadTokenUsage { last, model_context_window: Some(window), total };
        let number =
            self.record_one(Usage { turn_id: turn_id.clone(), usage: token_usage }.into(), Keep::Process);
        let params = ThreadTokenUsageUpdatedNotification { thread_id: self.id, token_usage, turn_id };
        self.notify::<ThreadTokenUsageUpdated>(&params, Some(number));
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
