//! Settings of helpers, with the keys that Codex gives them: from `config.toml`, and from the `config` member of the
//! requests that start or resume a thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::problem::{ConfigError, ConfigErrors, ConfigWarning, Place, Problems};
use super::section::Section;
use super::tree;
use crate::helpers::HelperSpec;

/// What one place says about a helper; what it leaves out is said by the place below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperOverride {
    place: Place,
    command: Option<String>,
    args: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    cwd: Option<PathBuf>,
    enabled: Option<bool>,
    required: Option<bool>,
    startup_timeout: Option<Duration>,
    enabled_tools: Option<Vec<String>>,
    disabled_tools: Option<Vec<String>>,
}

/// What a client wants to be different for one thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The model.
    pub model: Option<String>,
    /// The provider of the model.
    pub model_provider: Option<String>,
    /// Helpers by name, over those of the configuration.
    pub helpers: BTreeMap<String, HelperOverride>,
    /// Keys that have no effect. Clients of other servers send many.
    pub warnings: Vec<ConfigWarning>,
}

/// Reads the `config` member of a request: tables as in `config.toml`, or dotted keys such as
/// `mcp_servers.NAME.command`.
///
/// # Errors
/// Every value that cannot be used, each with its path.
pub fn helpers_from_thread_config(
    config: &serde_json::Map<String, serde_json::Value>,
) -> Result<Overrides, ConfigErrors> {
    let mut problems = Problems::default();
    let mut section = Section::new("", tree::from_json(config), &mut problems);
    let model = section.text("model");
    let model_provider = section.text("model_provider");
    let helpers = read(&mut section);
    section.finish();
    Ok(Overrides { model, model_provider, helpers, warnings: problems.finish()? })
}

impl Overrides {
    /// The helpers of a thread: these over `base`, those of the configuration.
    ///
    /// # Errors
    /// Each new helper that has no `command`.
    pub fn over(
        &self,
        base: &BTreeMap<String, HelperSpec>,
    ) -> Result<BTreeMap<String, HelperSpec>, ConfigErrors> {
        let mut problems = Problems::default();
        let mut helpers = base.clone();
        lay_over(&mut helpers, self.helpers.clone(), &mut problems);
        problems.finish().map(|_no_warnings| helpers)
    }
}

/// Reads `mcp_servers`.
pub(super) fn read(root: &mut Section<'_>) -> BTreeMap<String, HelperOverride> {
    let mut helpers = BTreeMap::new();
    root.named("mcp_servers", |name, place, section| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(fits) {
            let expected = "use letters, digits, - and _, as the name becomes a part of tool names";
            section.wrong(place.clone(), format!("{name:?} cannot be the name of a helper"), expected);
        }
        helpers.insert(name.to_owned(), HelperOverride::read(place.clone(), section));
    });
    helpers
}

/// Changes `helpers` by what `overrides` say.
pub(super) fn lay_over(
    helpers: &mut BTreeMap<String, HelperSpec>,
    overrides: BTreeMap<String, HelperOverride>,
    problems: &mut Problems,
) {
    for (name, change) in overrides {
        match change.clone().over(&name, helpers.get(&name)) {
            Some(settings) => {
                helpers.insert(name, settings);
            }
            None if problems.name(&format!("mcp_servers.{name}.command")) => {}
            None => {
                let key = format!("mcp_servers.{name}");
                let expected = "give it command = \"PROGRAM\" (only helpers on stdio can be used)";
                problems.push(ConfigError::new(change.place, key, "this helper has no command", expected));
            }
        }
    }
}

impl HelperOverride {
    fn read(place: Place, section: &mut Section<'_>) -> Self {
        Self {
            place,
            command: section.text("command"),
            args: section.texts("args"),
            env: section.text_map("env"),
            cwd: section.text("cwd").map(PathBuf::from),
            enabled: section.flag("enabled"),
            required: section.flag("required"),
            startup_timeout: section.seconds("startup_timeout_sec"),
            enabled_tools: section.texts("enabled_tools"),
            disabled_tools: section.texts("disabled_tools"),
        }
    }

    /// None when neither this nor `base` names a command. Variables are merged one by one, all else is replaced.
    fn over(self, name: &str, base: Option<&HelperSpec>) -> Option<HelperSpec> {
        let base = base.cloned();
        let command = self.command.or_else(|| base.as_ref().map(|base| base.command.clone()))?;
        let base = base.unwrap_or_else(|| HelperSpec::new(name, command.clone()));
        let mut env = base.env;
        env.extend(self.env.unwrap_or_default());
        Some(HelperSpec {
            name: base.name,
            command,
            args: self.args.unwrap_or(base.args),
            env,
            cwd: self.cwd.or(base.cwd),
            enabled: self.enabled.unwrap_or(base.enabled),
            required: self.required.unwrap_or(base.required),
            startup_timeout: self.startup_timeout.unwrap_or(base.startup_timeout),
            enabled_tools: self.enabled_tools.or(base.enabled_tools),
            disabled_tools: self.disabled_tools.unwrap_or(base.disabled_tools),
        })
    }
}
