//! Settings of threads, with the keys that Codex has for them: in the user's file for every thread, and in the `config` of a
//! request for one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skein_protocol::settings::{AskForApproval, Personality, ReasoningEffort, ReasoningSummary, SandboxMode};

use super::helpers::{self, HelperOverride};
use super::kinds::approval;
use super::problem::Problems;
use super::section::Section;
use super::{Budget, ConfigErrors, ConfigWarning, ContextOverride, HelperSpec, ServerConfig, tree};

/// The settings that a client gives to one thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Overrides {
    /// The model of turns.
    pub model: Option<String>,
    /// The provider of that model.
    pub model_provider: Option<String>,
    /// When the user is asked.
    #[serde(deserialize_with = "approval")]
    pub approval_policy: Option<AskForApproval>,
    /// The files and hosts that the thread may touch.
    pub sandbox_mode: Option<SandboxMode>,
    /// Switches of single abilities.
    pub features: Features,
    /// The limits of its turns for the use of models.
    pub budget: Budget,
    /// The text that its model gets before the conversation.
    #[serde(skip)]
    pub context: ContextOverride,
    /// The answers of the thread.
    #[serde(skip)]
    pub thread: ThreadConfig,
    /// Helpers by name, over those of the configuration.
    #[serde(skip)]
    pub(crate) helpers: BTreeMap<String, HelperOverride>,
    /// Keys without effect. Clients of other servers send many.
    #[serde(skip)]
    pub(crate) warnings: Vec<ConfigWarning>,
}

/// Switches of single abilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Features {
    /// Whether models may ask the user by a tool, also where they do not plan.
    #[serde(rename = "default_mode_request_user_input")]
    pub asks: Option<bool>,
}

/// The answers of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ThreadConfig {
    /// How hard models think, in the provider's words.
    #[serde(rename = "model_reasoning_effort")]
    pub effort: Option<ReasoningEffort>,
    /// How much of their thoughts the user sees.
    #[serde(rename = "model_reasoning_summary")]
    pub summary: Option<ReasoningSummary>,
    /// The provider's service tier.
    pub service_tier: Option<String>,
    /// Instructions in place of the built-in ones.
    pub instructions: Option<String>,
    /// Instructions beside the others.
    pub developer_instructions: Option<String>,
    /// The tone of the agent.
    pub personality: Option<Personality>,
}

/// Reads the `config` member of a request: tables as in `config.toml`, or dotted keys such as
/// `mcp_servers.NAME.command`.
///
/// # Errors
/// Every value that cannot be used, each with its path.
pub fn helpers_from_thread_config(config: &Map<String, Value>) -> Result<Overrides, ConfigErrors> {
    let mut problems = Problems::default();
    let mut root = Section::new(tree::from_json(config), &mut problems);
    let said = Overrides::read(&mut root);
    root.finish();
    Ok(Overrides { warnings: problems.finish()?, ..said })
}

impl Overrides {
    pub(super) fn read(root: &mut Section<'_>) -> Self {
        Self { context: root.read(), thread: root.read(), helpers: helpers::read(root), ..root.read() }
    }

    /// The settings of a thread that says nothing itself.
    pub(super) fn of(config: &ServerConfig) -> Self {
        Self {
            model: Some(config.model.clone()),
            model_provider: Some(config.model_provider.clone()),
            approval_policy: Some(config.approval_policy.clone()),
            sandbox_mode: Some(config.sandbox_mode),
            features: Features { asks: Some(config.asks) },
            budget: config.budget.into(),
            context: config.context.clone().into(),
            thread: config.thread.clone(),
            ..Self::default()
        }
    }

    /// The helpers of a thread: these over `base`, those of the configuration.
    ///
    /// # Errors
    /// Each helper that has both `command` and `url`, or neither, or keys of the other kind.
    pub fn over(
        &self,
        base: &BTreeMap<String, HelperSpec>,
    ) -> Result<BTreeMap<String, HelperSpec>, ConfigErrors> {
        let mut problems = Problems::default();
        let mut helpers = base.clone();
        helpers::lay_over(&mut helpers, self.helpers.clone(), &mut problems);
        problems.finish().map(|_no_warnings| helpers)
    }
}

impl ThreadConfig {
    /// These settings, and those of `base` where they are left out.
    pub fn over(&self, base: &Self) -> Self {
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
}
