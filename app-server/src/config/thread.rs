//! What a place says about how threads answer: the keys that Codex has for it, in the user's file for every thread, and in the
//! `config` of a request for one.

use serde_json::{Map, Value, json};
use skein_protocol::settings::{Personality, ReasoningEffort, ReasoningSummary};

use super::section::Section;

/// Settings of threads that name none themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ThreadConfig {
    /// How hard models think, in the provider's words (`model_reasoning_effort`).
    pub(crate) effort: Option<ReasoningEffort>,
    /// How much of their thoughts the user sees (`model_reasoning_summary`).
    pub(crate) summary: Option<ReasoningSummary>,
    /// The provider's service tier (`service_tier`).
    pub(crate) service_tier: Option<String>,
    /// Instructions in place of the built-in ones (`instructions`).
    pub(crate) instructions: Option<String>,
    /// Instructions beside them (`developer_instructions`).
    pub(crate) developer_instructions: Option<String>,
    /// The tone of the agent (`personality`).
    pub(crate) personality: Option<Personality>,
}

/// The words of `model_reasoning_summary`.
const SUMMARIES: &[(&str, ReasoningSummary)] = &[
    ("auto", ReasoningSummary::Auto),
    ("concise", ReasoningSummary::Concise),
    ("detailed", ReasoningSummary::Detailed),
    ("none", ReasoningSummary::None),
];

/// The words of `personality`.
const PERSONALITIES: &[(&str, Personality)] = &[
    ("none", Personality::None),
    ("friendly", Personality::Friendly),
    ("pragmatic", Personality::Pragmatic),
];

impl ThreadConfig {
    /// Reads the keys out of a root table.
    pub(super) fn read(root: &mut Section<'_>) -> Self {
        Self {
            effort: root.text("model_reasoning_effort"),
            summary: root.choice("model_reasoning_summary", SUMMARIES),
            service_tier: root.text("service_tier"),
            instructions: root.text("instructions"),
            developer_instructions: root.text("developer_instructions"),
            personality: root.choice("personality", PERSONALITIES),
        }
    }

    /// What is said here, and else what `base` says.
    #[must_use]
    pub(crate) fn over(&self, base: &Self) -> Self {
        Self {
            effort: self.effort.clone().or_else(|| base.effort.clone()),
            summary: self.summary.or(base.summary),
            service_tier: self.service_tier.clone().or_else(|| base.service_tier.clone()),
            instructions: self.instructions.clone().or_else(|| base.instructions.clone()),
            developer_instructions: self
                .developer_instructions
                .clone()
                .or_else(|| base.developer_instructions.clone()),
            personality: self.personality.or(base.personality),
        }
    }

    /// What is said, by the keys of the file.
    #[must_use]
    pub(crate) fn shown(&self) -> Map<String, Value> {
        let all = [
            ("model_reasoning_effort", json!(self.effort)),
            ("model_reasoning_summary", json!(self.summary)),
            ("service_tier", json!(self.service_tier)),
            ("instructions", json!(self.instructions)),
            ("developer_instructions", json!(self.developer_instructions)),
            ("personality", json!(self.personality)),
        ];
        all.into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}
