//! The settings of one helper.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skein_base::masks::{self, Hidden, MASK, Secrets, masked_args, shown_args, shown_url};
use skein_protocol::helper::{McpAuthStatus, McpServerConnectionStatus, McpServerStatus};

use crate::containment::environment;
use crate::containment::limits::HelperLimits;
use crate::policy;

/// One MCP server as the configuration describes it (`[mcp_servers.NAME]`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelperSpec {
    /// The key in the configuration; unique within a thread.
    pub name: String,
    /// How it is reached.
    pub transport: Transport,
    /// `false`: known, shown as disabled, never started.
    pub enabled: bool,
    /// The threads that share its process.
    pub isolation: Isolation,
    /// How long it is kept when no thread uses it any more.
    pub linger: Duration,
    /// A turn fails when this helper is not there.
    pub required: bool,
    /// From the start of the process to the end of the listing of its tools.
    pub startup_timeout: Duration,
    /// How long one call of a tool may take; `None` is as long as it takes.
    pub tool_timeout: Option<Duration>,
    /// The reaction when it is unresponsive with calls outstanding.
    pub on_unresponsive: OnUnresponsive,
    /// Only these tools are offered; `None` is all.
    pub enabled_tools: Option<Vec<String>>,
    /// These tools are not offered, whatever `enabled_tools` says.
    pub disabled_tools: Vec<String>,
    /// When the user is asked before a model calls a tool that `tool_approvals` does not name.
    pub default_tools_approval: ApprovalMode,
    /// The same for single tools.
    pub tool_approvals: BTreeMap<String, ApprovalMode>,
}

/// When the user is asked before a model's call of a tool is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalMode {
    /// The thread's approval policy and what the tool says of itself decide.
    #[default]
    Auto,
    /// Each time.
    Prompt,
    /// Each time, unless the tool says that it only reads.
    Writes,
    /// Never: the call is made.
    Approve,
    /// Never: the call is refused.
    Deny,
}

impl ApprovalMode {
    /// As the settings have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Prompt => "prompt",
            Self::Writes => "writes",
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

/// The threads that share the process of a helper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Each thread has its own.
    #[default]
    Thread,
    /// All threads of one working directory.
    Project,
    /// All threads. It works in the user's home, unless its `cwd` says otherwise.
    Shared,
}

/// How a helper is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A process of ours, by its standard input and output.
    Stdio(StdioSpec),
    /// Another server, over streamable HTTP.
    Http(HttpSpec),
}

/// A helper that is a process of ours.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StdioSpec {
    /// The program: a path, or a name that is looked up in the helper's own `PATH`.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables added to the allow-list of inherited ones; they win over those.
    pub env: Secrets,
    /// Variables that are taken from the server's environment, by name; `env` wins over them.
    pub env_vars: Vec<String>,
    /// Working directory; `None` is the thread's. A relative one is taken from the thread's.
    pub cwd: Option<PathBuf>,
    /// Its limits.
    pub limits: HelperLimits,
    /// Whether its processes may connect to this server.
    pub may_connect: bool,
    /// Folders that it is told as its roots; none is the thread's working directory.
    pub roots: Vec<String>,
}

/// A helper on another server.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HttpSpec {
    /// Where it listens.
    pub url: String,
    /// The variable of the server's environment that holds its bearer token.
    pub bearer_token_env_var: Option<String>,
    /// The file that holds its bearer token, and is read again when the helper refuses the token.
    pub bearer_token_file: Option<PathBuf>,
    /// Headers of every request.
    pub http_headers: Secrets,
    /// Headers of every request whose values are in variables of the server's environment: header to variable.
    pub env_http_headers: BTreeMap<String, String>,
}

impl StdioSpec {
    /// Values of its variables, except those that every helper gets. Masked in its output.
    fn secrets(&self) -> impl Iterator<Item = String> {
        let named = self.env_vars.iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
        let own = self.env.0.iter().map(|(name, value)| (name, value.clone()));
        own.chain(named).filter(|(name, _)| !environment::is_allowed(name)).map(|(_, value)| value)
    }

    /// Variables that it is to be given and that the server does not have.
    pub(crate) fn unset(&self) -> impl Iterator<Item = &str> {
        let wanted = self.env_vars.iter().filter(|name| !self.env.0.contains_key(*name));
        wanted.map(String::as_str).filter(|name| std::env::var_os(name).is_none())
    }
}

impl fmt::Debug for StdioSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdioSpec")
            .field("command", &self.command)
            .field("args", &shown_args(self.args.iter().map(String::as_str)))
            .field("env", &self.env)
            .field("env_vars", &self.env_vars)
            .field("cwd", &self.cwd)
            .field("limits", &self.limits)
            .field("may_connect", &self.may_connect)
            .field("roots", &self.roots)
            .finish()
    }
}

impl fmt::Debug for HttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSpec")
            .field("url", &self.shown_url())
            .field("bearer_token_env_var", &self.bearer_token_env_var)
            .field("bearer_token_file", &self.bearer_token_file)
            .field("http_headers", &self.http_headers)
            .field("env_http_headers", &self.env_http_headers)
            .finish()
    }
}

impl HttpSpec {
    /// The address without what may be secret in it: user, password and query.
    pub fn shown_url(&self) -> String {
        shown_url(&self.url)
    }

    /// Scheme, host and port of the address.
    pub(crate) fn origin(&self) -> String {
        masks::origin(&self.url)
    }
}

impl HelperSpec {
    /// The folders that it is told as its roots, if they are not its callers'.
    pub(crate) fn roots(&self) -> &[String] {
        self.stdio().map_or(&[], |stdio| &stdio.roots)
    }

    /// A helper on stdio of which only the name and the program are known.
    pub fn new(name: impl Into<String>, command: impl Into<String>) -> Self {
        Self::reached(name, Transport::Stdio(StdioSpec { command: command.into(), ..StdioSpec::default() }))
    }

    /// A helper of which only the name and the way to it are known.
    pub fn reached(name: impl Into<String>, transport: Transport) -> Self {
        Self {
            name: name.into(),
            transport,
            enabled: true,
            isolation: Isolation::Thread,
            linger: policy::HELPER_LINGER,
            required: false,
            startup_timeout: policy::HELPER_STARTUP_TIMEOUT,
            tool_timeout: None,
            on_unresponsive: OnUnresponsive::default(),
            enabled_tools: None,
            disabled_tools: Vec::new(),
            default_tools_approval: ApprovalMode::default(),
            tool_approvals: BTreeMap::new(),
        }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Transport::Stdio(stdio) = &mut self.transport {
            stdio.env.0.insert(name.into(), value.into());
        }
        self
    }

    /// Its status as long as it was not started.
    pub fn status(&self) -> McpServerStatus {
        let mut status = McpServerStatus::new(&self.name);
        if !self.enabled {
            status.runtime_status = Some(McpServerConnectionStatus::Disabled);
        }
        if let Transport::Http(http) = &self.transport {
            status.http_origin = Some(http.origin());
            if http.bearer_token_env_var.is_some() || http.bearer_token_file.is_some() {
                status.auth_status = McpAuthStatus::BearerToken;
            }
        }
        status
    }

    /// The settings of it that are masks and no values: their secrets are not there.
    pub(crate) fn lacking(&self) -> Vec<String> {
        let named = |key: &str, secrets: &Secrets| {
            let masks = secrets.0.iter().filter(|(_, value)| *value == MASK);
            masks.map(|(name, _)| format!("{key}.{name}")).collect::<Vec<_>>()
        };
        match &self.transport {
            Transport::Stdio(stdio) => {
                let args: Vec<&str> = stdio.args.iter().map(String::as_str).collect();
                let is_lacking = args.contains(&MASK) || masked_args(&args).contains(&true);
                let args = is_lacking.then(|| "args".to_owned());
                named("env", &stdio.env).into_iter().chain(args).collect()
            }
            Transport::Http(http) => {
                let url = (http.url.contains(MASK) && http.url == http.shown_url()).then(|| "url".to_owned());
                named("http_headers", &http.http_headers).into_iter().chain(url).collect()
            }
        }
    }

    /// The values to mask in the helper's output and errors.
    pub(super) fn hidden(&self) -> Hidden {
        self.stdio().map(|stdio| Hidden::new(stdio.secrets())).unwrap_or_default()
    }

    /// The settings of its process, if it is a child process.
    pub fn stdio(&self) -> Option<&StdioSpec> {
        match &self.transport {
            Transport::Stdio(stdio) => Some(stdio),
            Transport::Http(_) => None,
        }
    }

    /// Whether the configuration lets `tool` be listed and called.
    pub fn offers(&self, tool: &str) -> bool {
        let listed = |names: &[String]| names.iter().any(|name| name == tool);
        self.enabled_tools.as_deref().is_none_or(listed) && !listed(&self.disabled_tools)
    }

    /// When the user is asked before a model calls `tool`.
    pub fn approval_of(&self, tool: &str) -> ApprovalMode {
        self.tool_approvals.get(tool).copied().unwrap_or(self.default_tools_approval)
    }
}

/// The reaction to an unresponsive helper with calls outstanding (`on_unresponsive`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnresponsive {
    /// It is told; calls go on, new ones wait.
    #[default]
    Report,
    /// Its calls end with an error.
    Fail,
    /// It is ended and started anew.
    Restart,
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

    #[test]
    fn what_prints_a_helper_prints_no_secret() {
        let secrets = || Secrets(BTreeMap::from([("NAME".to_owned(), "s3cret".to_owned())]));
        let http =
            HttpSpec { url: "https://x/?key=s3cret".into(), http_headers: secrets(), ..HttpSpec::default() };
        let http = HelperSpec::reached("http", Transport::Http(http));
        let printed = format!("{:?} {http:?}", HelperSpec::new("a", "b").with_variable("NAME", "s3cret"));
        assert!(!printed.contains("s3cret") && printed.matches("NAME").count() == 2, "{printed}");
    }
}
