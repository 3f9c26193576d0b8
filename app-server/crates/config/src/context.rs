//! The text that models get before a conversation, with the keys that Codex has for it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServerConfig;
use super::kinds::{texts, whole};
use crate::policy;

const PROJECT_DOC_MOST: i64 = policy::PROJECT_DOC_MOST as i64;

/// The text that models get before a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextConfig {
    /// Where and when they work (`include_environment_context`).
    pub environment: bool,
    /// Bytes of `AGENTS.md` files (`project_doc_max_bytes`); 0 for none.
    pub doc_bytes: usize,
    /// Names of other files that are read where there is no `AGENTS.md` (`project_doc_fallback_filenames`).
    pub(crate) doc_fallback: Vec<String>,
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self { environment: true, doc_bytes: policy::PROJECT_DOC_BYTES, doc_fallback: Vec::new() }
    }
}

/// The same of one place. The place below says the keys that are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ContextOverride {
    /// Whether models are told where and when they work.
    #[serde(rename = "include_environment_context")]
    environment: Option<bool>,
    /// The most bytes of `AGENTS.md` files that models get; 0 for none.
    #[serde(rename = "project_doc_max_bytes", deserialize_with = "whole::<0, PROJECT_DOC_MOST, _, _>")]
    #[schemars(range(min = 0, max = PROJECT_DOC_MOST))]
    doc_bytes: Option<usize>,
    /// Names of other files that are read where there is no `AGENTS.md`.
    #[serde(rename = "project_doc_fallback_filenames", deserialize_with = "texts")]
    doc_fallback: Option<Vec<String>>,
}

impl From<ContextConfig> for ContextOverride {
    fn from(all: ContextConfig) -> Self {
        Self {
            environment: Some(all.environment),
            doc_bytes: Some(all.doc_bytes),
            doc_fallback: Some(all.doc_fallback),
        }
    }
}

impl ContextOverride {
    /// These settings, and those of `base` where they say nothing.
    pub fn over(&self, base: &ContextConfig) -> ContextConfig {
        ContextConfig {
            environment: self.environment.unwrap_or(base.environment),
            doc_bytes: self.doc_bytes.unwrap_or(base.doc_bytes),
            doc_fallback: self.doc_fallback.clone().unwrap_or_else(|| base.doc_fallback.clone()),
        }
    }
}

/// Which `AGENTS.md` files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocsPolicy {
    /// The home, whose file holds for every thread.
    pub home: PathBuf,
    /// Bytes of all files of a repository together, and of the home's file. 0: none is read.
    pub most: usize,
    /// Other names, where a folder has none of the usual ones.
    pub fallback: Vec<String>,
}

impl ServerConfig {
    /// Which files models read of the directory of a thread that says this itself.
    pub fn docs(&self, own: &ContextOverride) -> DocsPolicy {
        let ContextConfig { doc_bytes, doc_fallback, .. } = own.over(&self.context);
        DocsPolicy { home: self.home.clone(), most: doc_bytes, fallback: doc_fallback }
    }
}
