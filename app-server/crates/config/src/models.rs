//! The limits of each model: the settings win over the known abilities of the model, and these over the defaults.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use skein_provider::abilities::Abilities;
use skein_provider::spec::WireApi;

use super::kinds::whole;
use super::{OFFLINE, ServerConfig};
use crate::policy;

/// The most tokens that a setting may name.
const MOST_TOKENS: i64 = 1_000_000_000;
/// The most tokens of one answer.
pub(super) const MOST_OUTPUT: i64 = u32::MAX as i64;

/// The settings of one model (`[models.NAME]`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModelConfig {
    /// Tokens of the longest conversation that it takes.
    #[serde(rename = "context_window", deserialize_with = "tokens")]
    #[schemars(range(min = 1, max = MOST_TOKENS), example = 200_000)]
    pub window: Option<i64>,
    /// The number of tokens from which on a conversation is compacted.
    #[serde(rename = "auto_compact_token_limit", deserialize_with = "tokens")]
    #[schemars(range(min = 1, max = MOST_TOKENS), example = 200_000)]
    pub limit: Option<i64>,
    /// Tokens of one answer.
    #[serde(rename = "max_output_tokens", deserialize_with = "output")]
    #[schemars(range(min = 1, max = MOST_OUTPUT), example = 32_000)]
    pub output: Option<u32>,
    /// Whether it takes pictures.
    pub images: Option<bool>,
    /// Whether it may be asked for several calls at once.
    #[serde(rename = "parallel_tool_calls")]
    pub parallel_calls: Option<bool>,
}

/// The same for every model, at the root of the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EveryModel {
    /// Tokens of the longest conversation that a model takes, if nothing else is known of it.
    #[serde(rename = "model_context_window", deserialize_with = "tokens")]
    #[schemars(range(min = 1, max = MOST_TOKENS), example = 200_000)]
    pub window: Option<i64>,
    /// The number of tokens from which on a conversation is compacted.
    #[serde(rename = "model_auto_compact_token_limit", deserialize_with = "tokens")]
    #[schemars(range(min = 1, max = MOST_TOKENS), example = 200_000)]
    pub(crate) limit: Option<i64>,
    /// Tokens of one answer.
    #[serde(rename = "model_max_output_tokens", deserialize_with = "output")]
    #[schemars(range(min = 1, max = MOST_OUTPUT), example = 32_000)]
    pub(crate) output: Option<u32>,
}

fn tokens<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    whole::<1, MOST_TOKENS, _, _>(from)
}

fn output<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    whole::<1, MOST_OUTPUT, _, _>(from)
}

/// The limits of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelTerms {
    /// Tokens of a conversation that it takes.
    pub window: i64,
    /// From how many on a conversation is compacted.
    pub compact_at: i64,
    /// Tokens of one answer that the user wants at the most.
    pub wanted_output: Option<u32>,
    /// Tokens of one answer, for interfaces that want a bound.
    pub output: u32,
    /// Whether it takes pictures; `None` where that is unknown.
    pub images: Option<bool>,
    /// Whether it may be asked for several calls at once.
    pub parallel_calls: bool,
    /// Whether its window is known, and not the default.
    pub known: bool,
}

impl ServerConfig {
    /// The limits of the model of this name at this provider. Settings of the model win over those of its provider, and
    /// these over those of every model.
    pub fn model_terms(&self, provider: &str, model: &str) -> ModelTerms {
        let own = self.models.get(model).copied().unwrap_or_default();
        let known = Abilities::of(model).filter(|_| !OFFLINE.contains(&provider));
        let spec = self.providers.get(provider);
        let said = own.window.or(self.every_model.window);
        let window = said.or(known.map(|known| known.window)).unwrap_or(policy::CONTEXT_WINDOW);
        let of_provider = spec.and_then(|spec| spec.max_output_tokens);
        let wanted_output = own.output.or(of_provider).or(self.every_model.output);
        let output =
            wanted_output.unwrap_or_else(|| usual_output(window, known.and_then(|known| known.output)));
        let full = window.saturating_mul(policy::COMPACT_AT_PERCENT) / 100;
        // There the answer has its place in the window, and a request without that much room is refused.
        let shares = spec.is_some_and(|spec| spec.wire_api == WireApi::Anthropic);
        let room = window.saturating_sub(i64::from(output)).max(window / 2);
        let full = if shares { full.min(room) } else { full };
        ModelTerms {
            window,
            compact_at: own.limit.or(self.every_model.limit).unwrap_or(full),
            wanted_output,
            output,
            images: own.images.or(known.map(|known| known.images)),
            parallel_calls: own.parallel_calls.or(known.map(|known| known.parallel_calls)).unwrap_or(true),
            known: said.is_some() || known.is_some() || OFFLINE.contains(&provider),
        }
    }
}

/// The tokens of an answer by default: as many as the model writes, but no more than a conversation leaves of the window.
fn usual_output(window: i64, most: Option<u32>) -> u32 {
    let part = u32::try_from(window / 10).unwrap_or(u32::MAX);
    let usual = part.max(skein_provider::policy::ANTHROPIC_OUTPUT_TOKENS);
    most.map_or(skein_provider::policy::ANTHROPIC_OUTPUT_TOKENS, |most| most.min(usual))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn config() -> ServerConfig {
        ServerConfig::new(PathBuf::from("/nowhere"))
    }

    #[test]
    fn a_model_is_known_by_the_table_and_the_settings_win() {
        let mut config = config();
        let known = config.model_terms("anthropic", "claude-3-haiku-20240307");
        assert_eq!((known.window, known.output, known.images), (200_000, 4096, Some(true)));
        assert!(known.known);
        let large = config.model_terms("anthropic", "claude-opus-4-6");
        assert_eq!((large.window, large.output, large.compact_at), (1_000_000, 100_000, 900_000));
        let small = config.model_terms("anthropic", "claude-haiku-4-5");
        assert_eq!((small.output, small.compact_at), (32_000, 168_000), "the answer has room in the window");
        assert_eq!(config.model_terms("openai", "gpt-5").compact_at, 244_800);
        assert!(!config.model_terms("openai", "o3-mini").parallel_calls);
        config.every_model = EveryModel { window: Some(1_000), output: Some(10), limit: None };
        let said = config.model_terms("openai", "gpt-5");
        assert_eq!((said.window, said.compact_at, said.wanted_output), (1_000, 900, Some(10)));
        let own = ModelConfig {
            window: Some(2_000),
            limit: Some(7),
            output: Some(20),
            images: Some(false),
            parallel_calls: Some(false),
        };
        config.models.insert("gpt-5".to_owned(), own);
        let said = config.model_terms("openai", "gpt-5");
        assert_eq!((said.window, said.compact_at, said.wanted_output), (2_000, 7, Some(20)));
        assert_eq!((said.images, said.parallel_calls), (Some(false), false));
        assert_eq!(config.model_terms("openai", "gpt-5-mini").window, 1_000);
    }

    #[test]
    fn a_model_that_nobody_knows_has_the_defaults() {
        let config = config();
        let terms = config.model_terms("openai", "nobody-knows-it");
        let default = ModelTerms {
            window: policy::CONTEXT_WINDOW,
            compact_at: policy::CONTEXT_WINDOW / 10 * 9,
            wanted_output: None,
            output: skein_provider::policy::ANTHROPIC_OUTPUT_TOKENS,
            images: None,
            parallel_calls: true,
            known: false,
        };
        assert_eq!(terms, default);
        assert!(config.model_terms("echo", "gpt-5").known, "it needs no window");
    }
}
