//! What is configured about one helper.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::policy;

/// One stdio MCP server as the configuration describes it (`[mcp_servers.NAME]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperSpec {
    /// The key in the configuration; unique within a thread.
    pub name: String,
    /// The program: a path, or a name that is looked up in the helper's own `PATH`.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables added to the allow-list of inherited ones; they win over those.
    pub env: BTreeMap<String, String>,
    /// Working directory; `None` is the thread's. A relative one is taken from the thread's.
    pub cwd: Option<PathBuf>,
    /// `false`: known, shown as disabled, never started.
    pub enabled: bool,
    /// A turn fails when this helper is not there.
    pub required: bool,
    /// From the start of the process to the end of the listing of its tools.
    pub startup_timeout: Duration,
    /// Only these tools are offered; `None` is all.
    pub enabled_tools: Option<Vec<String>>,
    /// These tools are not offered, whatever `enabled_tools` says.
    pub disabled_tools: Vec<String>,
}

impl HelperSpec {
    /// A helper of which only the name and the program are known.
    #[must_use]
    pub fn new(name: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            enabled: true,
            required: false,
            startup_timeout: policy::HELPER_STARTUP_TIMEOUT,
            enabled_tools: None,
            disabled_tools: Vec::new(),
        }
    }

    /// Whether the configuration lets `tool` be listed and called.
    #[must_use]
    pub fn offers(&self, tool: &str) -> bool {
        let listed = |names: &[String]| names.iter().any(|name| name == tool);
        self.enabled_tools.as_deref().is_none_or(listed) && !listed(&self.disabled_tools)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(enabled: Option<&[&str]>, disabled: &[&str]) -> HelperSpec {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        HelperSpec {
            enabled_tools: enabled.map(owned),
            disabled_tools: owned(disabled),
            ..HelperSpec::new("files", "files")
        }
    }

    #[test]
    fn tools_are_filtered_by_both_lists_and_the_second_wins() {
        assert!(spec(None, &[]).offers("read"));
        assert!(!spec(None, &["read"]).offers("read"));
        assert!(spec(Some(&["read"]), &[]).offers("read"));
        assert!(!spec(Some(&["read"]), &[]).offers("write"));
        assert!(!spec(Some(&["read"]), &["read"]).offers("read"));
        assert!(!spec(Some(&[]), &[]).offers("read"));
    }
}
