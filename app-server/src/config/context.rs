//! What models are told before a conversation: the keys that Codex has for it.

use serde_json::{Map, Value, json};

use super::section::Section;
use super::{Config, ModelConfig};
use crate::policy;

/// What models are told before a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextConfig {
    /// Where and when they work (`include_environment_context`).
    pub environment: bool,
    /// Bytes of `AGENTS.md` files (`project_doc_max_bytes`); 0 for none.
    pub doc_bytes: usize,
    /// Names of other files that are read where there is no `AGENTS.md` (`project_doc_fallback_filenames`).
    pub doc_fallback: Vec<String>,
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self { environment: true, doc_bytes: policy::PROJECT_DOC_BYTES, doc_fallback: Vec::new() }
    }
}

impl ContextConfig {
    /// Reads the keys out of the root table.
    pub(super) fn read(root: &mut Section<'_>) -> Self {
        let usual = Self::default();
        Self {
            environment: root.flag("include_environment_context").unwrap_or(usual.environment),
            doc_bytes: root
                .number("project_doc_max_bytes", 0, policy::PROJECT_DOC_MOST)
                .unwrap_or(usual.doc_bytes),
            doc_fallback: root.texts("project_doc_fallback_filenames").unwrap_or_default(),
        }
    }
}

impl Config {
    /// What is said of models and of what they are told, by the keys of the file.
    pub(super) fn shown_of_models(&self) -> Map<String, Value> {
        let models: Map<String, Value> =
            self.models.iter().map(|(name, said)| (name.clone(), shown(said))).collect();
        let all = [
            ("include_environment_context", json!(self.context.environment)),
            ("project_doc_max_bytes", json!(self.context.doc_bytes)),
            ("project_doc_fallback_filenames", json!(self.context.doc_fallback)),
            ("model_context_window", json!(self.every_model.window)),
            ("model_auto_compact_token_limit", json!(self.every_model.limit)),
            ("model_max_output_tokens", json!(self.every_model.output)),
            ("models", json!(models)),
        ];
        said(all)
    }
}

/// What is said of one model.
fn shown(model: &ModelConfig) -> Value {
    Value::Object(said([
        ("context_window", json!(model.window)),
        ("auto_compact_token_limit", json!(model.limit)),
        ("max_output_tokens", json!(model.output)),
        ("images", json!(model.images)),
        ("parallel_tool_calls", json!(model.parallel_calls)),
    ]))
}

fn said<const N: usize>(all: [(&str, Value); N]) -> Map<String, Value> {
    let said = all.into_iter().filter(|(_, value)| !value.is_null());
    said.map(|(key, value)| (key.to_owned(), value)).collect()
}
