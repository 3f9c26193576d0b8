//! What models are told before a conversation: the keys that Codex has for it.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::section::Section;
use super::{Config, ModelConfig};
use crate::policy;

/// What models are told before a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContextConfig {
    /// Where and when they work (`include_environment_context`).
    pub(crate) environment: bool,
    /// Bytes of `AGENTS.md` files (`project_doc_max_bytes`); 0 for none.
    pub(crate) doc_bytes: usize,
    /// Names of other files that are read where there is no `AGENTS.md` (`project_doc_fallback_filenames`).
    pub(crate) doc_fallback: Vec<String>,
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self { environment: true, doc_bytes: policy::PROJECT_DOC_BYTES, doc_fallback: Vec::new() }
    }
}

/// What one place says of it; what it leaves out is said by the place below.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ContextOverride {
    environment: Option<bool>,
    doc_bytes: Option<usize>,
    doc_fallback: Option<Vec<String>>,
}

impl ContextOverride {
    /// Reads the keys out of a root table.
    pub(super) fn read(root: &mut Section<'_>) -> Self {
        Self {
            environment: root.flag("include_environment_context"),
            doc_bytes: root.number("project_doc_max_bytes", 0, policy::PROJECT_DOC_MOST),
            doc_fallback: root.texts("project_doc_fallback_filenames"),
        }
    }

    /// What is said here, and else what `base` says.
    #[must_use]
    pub(crate) fn over(&self, base: &ContextConfig) -> ContextConfig {
        ContextConfig {
            environment: self.environment.unwrap_or(base.environment),
            doc_bytes: self.doc_bytes.unwrap_or(base.doc_bytes),
            doc_fallback: self.doc_fallback.clone().unwrap_or_else(|| base.doc_fallback.clone()),
        }
    }
}

/// Which `AGENTS.md` files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DocsPolicy {
    /// The home, whose file holds for every thread.
    pub(crate) home: PathBuf,
    /// Bytes of all files of a repository together, and of the home's file. 0: none is read.
    pub(crate) most: usize,
    /// Other names, where a folder has none of the usual ones.
    pub(crate) fallback: Vec<String>,
}

impl Config {
    /// Which files models read of the directory of a thread that says this itself.
    #[must_use]
    pub(crate) fn docs(&self, own: &ContextOverride) -> DocsPolicy {
        let ContextConfig { doc_bytes, doc_fallback, .. } = own.over(&self.context);
        DocsPolicy { home: self.home.clone(), most: doc_bytes, fallback: doc_fallback }
    }

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
