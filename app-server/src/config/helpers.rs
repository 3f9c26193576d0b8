//! Settings of helpers, with the keys that Codex gives them: from `config.toml`, and from the `config` member of the
//! requests that start or resume a thread.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use skein_helpers::{
    ApprovalMode, HelperLimits, HelperSpec, HttpSpec, Isolation, MASK, OnUnresponsive, Secrets, StdioSpec,
    Transport, shown_url,
};
use skein_protocol::settings::{AskForApproval, SandboxMode};

use super::context::ContextOverride;
use super::problem::{ConfigError, ConfigErrors, ConfigWarning, Place, Problems};
use super::section::Section;
use super::thread::ThreadConfig;
use super::{keys, secrets, tree};
use crate::policy;

/// What one place says about a helper; what it leaves out is said by the place below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HelperOverride {
    place: Place,
    stdio: StdioOverride,
    http: HttpOverride,
    enabled: Option<bool>,
    isolation: Option<Isolation>,
    linger: Option<Duration>,
    required: Option<bool>,
    startup_timeout: Option<Duration>,
    tool_timeout: Option<Duration>,
    on_unresponsive: Option<OnUnresponsive>,
    enabled_tools: Option<Vec<String>>,
    disabled_tools: Option<Vec<String>>,
    default_tools_approval: Option<ApprovalMode>,
    tool_approvals: BTreeMap<String, ApprovalMode>,
}

/// What one place says about a helper's process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StdioOverride {
    command: Option<String>,
    args: Option<Vec<String>>,
    env: Option<Secrets>,
    env_vars: Option<Vec<String>>,
    cwd: Option<PathBuf>,
    limits: Option<LimitsOverride>,
}

/// What one place says about what a helper may use; 0 is no limit, but of `nice`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct LimitsOverride {
    memory: Option<u64>,
    processes: Option<u64>,
    files: Option<u64>,
    nice: Option<i32>,
}

/// What one place says about a helper that somebody else runs.
#[derive(Clone, PartialEq, Eq)]
struct HttpOverride {
    url: Option<String>,
    bearer_token_env_var: Option<String>,
    bearer_token_file: Option<PathBuf>,
    http_headers: Option<Secrets>,
    env_http_headers: Option<BTreeMap<String, String>>,
}

impl fmt::Debug for HttpOverride {
    /// Without the address: it may have secrets in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOverride").finish_non_exhaustive()
    }
}

/// What a client wants to be different for one thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    /// The model.
    pub(crate) model: Option<String>,
    /// The provider of the model.
    pub(crate) model_provider: Option<String>,
    /// When the user is asked.
    pub(crate) approval_policy: Option<AskForApproval>,
    /// What it may touch.
    pub(crate) sandbox_mode: Option<SandboxMode>,
    /// Whether models may ask the user by a tool, also where they do not plan.
    pub(crate) asks: Option<bool>,
    /// What its model is told before the conversation.
    pub(crate) context: ContextOverride,
    /// How the thread answers.
    pub(crate) thread: ThreadConfig,
    /// Helpers by name, over those of the configuration.
    pub(crate) helpers: BTreeMap<String, HelperOverride>,
    /// Keys that have no effect. Clients of other servers send many.
    pub(crate) warnings: Vec<ConfigWarning>,
}

/// Reads the `config` member of a request: tables as in `config.toml`, or dotted keys such as
/// `mcp_servers.NAME.command`.
///
/// # Errors
/// Every value that cannot be used, each with its path.
pub(crate) fn helpers_from_thread_config(
    config: &serde_json::Map<String, serde_json::Value>,
) -> Result<Overrides, ConfigErrors> {
    let mut problems = Problems::default();
    let mut section = Section::new("", tree::from_json(config), &mut problems);
    let model = section.text("model");
    let model_provider = section.text("model_provider");
    let approval_policy = section.approval_policy("approval_policy");
    let sandbox_mode = section.choice("sandbox_mode", &keys::SANDBOX_MODES);
    let asks = keys::asks(&mut section);
    let context = ContextOverride::read(&mut section);
    let thread = ThreadConfig::read(&mut section);
    let helpers = read(&mut section);
    section.finish();
    Ok(Overrides {
        model,
        model_provider,
        approval_policy,
        sandbox_mode,
        asks,
        context,
        thread,
        helpers,
        warnings: problems.finish()?,
    })
}

impl Overrides {
    /// The helpers of a thread: these over `base`, those of the configuration.
    ///
    /// # Errors
    /// Each helper that has both `command` and `url`, or neither, or keys of the other kind.
    pub(crate) fn over(
        &self,
        base: &BTreeMap<String, HelperSpec>,
    ) -> Result<BTreeMap<String, HelperSpec>, ConfigErrors> {
        let mut problems = Problems::default();
        let mut helpers = base.clone();
        lay_over(&mut helpers, self.helpers.clone(), &mut problems);
        problems.finish().map(|_no_warnings| helpers)
    }
}

/// What names of helpers are made of.
pub(super) const NAMES: &str = "use letters, digits, - and _, as the name becomes a part of tool names";

/// Whether a helper can be called so.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_name)
}

/// Whether a name may have it.
pub(super) fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Reads `mcp_servers`.
pub(super) fn read(root: &mut Section<'_>) -> BTreeMap<String, HelperOverride> {
    let mut helpers = BTreeMap::new();
    root.named("mcp_servers", |name, place, section| {
        if !is_name(name) {
            section.wrong(place.clone(), format!("{name:?} cannot be the name of a helper"), NAMES);
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
        let place = change.place.clone();
        let key = format!("mcp_servers.{name}");
        match change.over(&name, helpers.get(&name)) {
            Ok(settings) => {
                helpers.insert(name, settings);
            }
            // What is wrong is said already.
            Err(_) if ["command", "url"].iter().any(|way| problems.name(&format!("{key}.{way}"))) => {}
            Err((what, expected)) => problems.push(ConfigError::new(place, key, what, expected)),
        }
    }
}

/// What may be done about a helper that shows no sign of life.
const ON_UNRESPONSIVE: [(&str, OnUnresponsive); 3] = [
    ("report", OnUnresponsive::Report),
    ("fail", OnUnresponsive::Fail),
    ("restart", OnUnresponsive::Restart),
];

/// The words of `default_tools_approval_mode` and `approval_mode`: the peer's, and `deny`.
pub(super) const APPROVAL_MODES: &[(&str, ApprovalMode)] = &[
    ("auto", ApprovalMode::Auto),
    ("prompt", ApprovalMode::Prompt),
    ("writes", ApprovalMode::Writes),
    ("approve", ApprovalMode::Approve),
    ("deny", ApprovalMode::Deny),
];

/// What is wrong with a helper, and what would be right.
type Wrong = (String, &'static str);

/// The words of `isolation`.
pub(super) const ISOLATIONS: &[(&str, Isolation)] =
    &[("thread", Isolation::Thread), ("project", Isolation::Project), ("shared", Isolation::Shared)];

const ONE_WAY: &str = "give it either command = \"PROGRAM\" or url = \"https://...\"";

impl HelperOverride {
    fn read(place: Place, section: &mut Section<'_>) -> Self {
        if section.text("bearer_token").is_some() {
            let expected = "name a variable of the server's environment by bearer_token_env_var";
            section.wrong(place.clone(), "bearer_token would be a secret in a file", expected);
        }
        let bearer_token_file = section.text("bearer_token_file").map(PathBuf::from);
        if bearer_token_file.as_ref().is_some_and(|path| path.is_relative()) {
            let expected = "write the whole path, such as \"/run/user/1000/search-token\"";
            section.wrong(place.clone(), "bearer_token_file is no absolute path", expected);
        }
        Self {
            place,
            stdio: StdioOverride {
                command: section.text("command"),
                args: section.texts("args"),
                env: section.text_map("env").map(Secrets),
                env_vars: section.names("env_vars"),
                cwd: section.text("cwd").map(PathBuf::from),
                limits: LimitsOverride::read(section),
            },
            http: HttpOverride {
                url: section.text("url"),
                bearer_token_env_var: section.text("bearer_token_env_var"),
                bearer_token_file,
                http_headers: section.text_map("http_headers").map(Secrets),
                env_http_headers: section.text_map("env_http_headers"),
            },
            enabled: section.flag("enabled"),
            isolation: section.choice("isolation", ISOLATIONS),
            linger: section.duration("linger"),
            required: section.flag("required"),
            startup_timeout: section.seconds("startup_timeout_sec"),
            tool_timeout: section.seconds("tool_timeout_sec"),
            on_unresponsive: section.choice("on_unresponsive", &ON_UNRESPONSIVE),
            enabled_tools: section.texts("enabled_tools"),
            disabled_tools: section.texts("disabled_tools"),
            default_tools_approval: section.choice("default_tools_approval_mode", APPROVAL_MODES),
            tool_approvals: tool_approvals(section),
        }
    }

    /// Variables, headers, limits and tools are merged one by one, all else is replaced.
    fn over(self, name: &str, base: Option<&HelperSpec>) -> Result<HelperSpec, Wrong> {
        let transport = transport(self.stdio, self.http, base.map(|base| &base.transport))?;
        let base = base.cloned().unwrap_or_else(|| HelperSpec::reached(name, transport.clone()));
        Ok(HelperSpec {
            name: base.name,
            transport,
            enabled: self.enabled.unwrap_or(base.enabled),
            isolation: self.isolation.unwrap_or(base.isolation),
            linger: self.linger.unwrap_or(base.linger),
            required: self.required.unwrap_or(base.required),
            startup_timeout: self.startup_timeout.unwrap_or(base.startup_timeout),
            tool_timeout: self.tool_timeout.or(base.tool_timeout),
            on_unresponsive: self.on_unresponsive.unwrap_or(base.on_unresponsive),
            enabled_tools: self.enabled_tools.or(base.enabled_tools),
            disabled_tools: self.disabled_tools.unwrap_or(base.disabled_tools),
            default_tools_approval: self.default_tools_approval.unwrap_or(base.default_tools_approval),
            tool_approvals: base.tool_approvals.into_iter().chain(self.tool_approvals).collect(),
        })
    }
}

/// Reads `tools`, a table for each tool.
fn tool_approvals(section: &mut Section<'_>) -> BTreeMap<String, ApprovalMode> {
    let mut modes = BTreeMap::new();
    section.named("tools", |name, _place, section| {
        if let Some(mode) = section.choice("approval_mode", APPROVAL_MODES) {
            modes.insert(name.to_owned(), mode);
        }
    });
    modes
}

/// The way to a helper: that of `base` changed, or the one that is named.
fn transport(stdio: StdioOverride, http: HttpOverride, base: Option<&Transport>) -> Result<Transport, Wrong> {
    let (process, address) = match (&stdio.command, &http.url, base) {
        (Some(_), Some(_), _) => {
            return Err(("this helper has both command and url".to_owned(), ONE_WAY));
        }
        (None, None, None) => return Err(("this helper has neither command nor url".to_owned(), ONE_WAY)),
        (Some(_), None, Some(Transport::Stdio(base))) | (None, None, Some(Transport::Stdio(base))) => {
            (Some(base.clone()), None)
        }
        (None, Some(_), Some(Transport::Http(base))) | (None, None, Some(Transport::Http(base))) => {
            (None, Some(base.clone()))
        }
        (Some(_), None, None | Some(Transport::Http(_))) => (Some(StdioSpec::default()), None),
        (None, Some(_), None | Some(Transport::Stdio(_))) => (None, Some(HttpSpec::default())),
    };
    if process.is_some()
        && let Some(key) = http.own_key()
    {
        return Err((format!("{key} is of helpers with a url, and this one has a command"), ONE_WAY));
    }
    if address.is_some()
        && let Some(key) = stdio.own_key()
    {
        return Err((format!("{key} is of helpers with a command, and this one has a url"), ONE_WAY));
    }
    Ok(match address {
        Some(base) => Transport::Http(http.over(base)?),
        None => Transport::Stdio(stdio.over(process.unwrap_or_default())),
    })
}

impl StdioOverride {
    /// A key that only helpers on stdio have.
    fn own_key(&self) -> Option<&'static str> {
        let named = [
            ("args", self.args.is_some()),
            ("env", self.env.is_some()),
            ("env_vars", self.env_vars.is_some()),
            ("cwd", self.cwd.is_some()),
            ("limits", self.limits.is_some()),
        ];
        named.into_iter().find_map(|(key, said)| said.then_some(key))
    }

    fn over(self, base: StdioSpec) -> StdioSpec {
        let args = self.args.map(|args| secrets::args_with(&args, &base.args).unwrap_or(args));
        let mut env = base.env;
        lay_secrets_over(&mut env, self.env);
        StdioSpec {
            command: self.command.unwrap_or(base.command),
            args: args.unwrap_or(base.args),
            env,
            env_vars: self.env_vars.unwrap_or(base.env_vars),
            cwd: self.cwd.or(base.cwd),
            limits: self.limits.unwrap_or_default().over(base.limits),
        }
    }
}

/// Adds what is said to `base`. A mask says nothing where there is a value: that is what it was shown for.
fn lay_secrets_over(base: &mut Secrets, said: Option<Secrets>) {
    for (name, value) in said.unwrap_or_default().0 {
        if value != MASK || !base.0.contains_key(&name) {
            base.0.insert(name, value);
        }
    }
}

impl LimitsOverride {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let mut limits = None;
        section.section("limits", |section| {
            limits = Some(Self {
                memory: section.size_from("memory", policy::HELPER_MEMORY_LEAST),
                processes: section.whole("processes", 0, policy::HELPER_PROCESSES_MOST),
                files: section.whole("files", 0, policy::HELPER_FILES_MOST),
                nice: section.whole("nice", policy::NICE_LEAST, policy::NICE_MOST),
            });
        });
        limits
    }

    fn over(self, base: HelperLimits) -> HelperLimits {
        let of = |said: Option<u64>, base| said.map_or(base, |most| Some(most).filter(|most| *most > 0));
        HelperLimits {
            memory: of(self.memory, base.memory),
            processes: of(self.processes, base.processes),
            files: of(self.files, base.files),
            nice: self.nice.or(base.nice),
        }
    }
}

impl HttpOverride {
    /// A key that only helpers with an address have.
    fn own_key(&self) -> Option<&'static str> {
        let named = [
            ("bearer_token_env_var", self.bearer_token_env_var.is_some()),
            ("bearer_token_file", self.bearer_token_file.is_some()),
            ("http_headers", self.http_headers.is_some()),
            ("env_http_headers", self.env_http_headers.is_some()),
        ];
        named.into_iter().find_map(|(key, said)| said.then_some(key))
    }

    /// A new address takes no secrets of the old one along.
    fn over(self, base: HttpSpec) -> Result<HttpSpec, Wrong> {
        // An address as it was shown is the same one.
        let url = self.url.filter(|url| *url != shown_url(&base.url));
        let moved = url.as_ref().is_some_and(|url| *url != base.url);
        let base = if moved { HttpSpec::default() } else { base };
        let (mut headers, mut named) = (base.http_headers, base.env_http_headers);
        lay_secrets_over(&mut headers, self.http_headers);
        named.extend(self.env_http_headers.unwrap_or_default());
        // A new place of the token replaces the old one.
        let (bearer_token_env_var, bearer_token_file) =
            match (self.bearer_token_env_var, self.bearer_token_file) {
                (None, None) => (base.bearer_token_env_var, base.bearer_token_file),
                said => said,
            };
        let spec = HttpSpec {
            url: url.unwrap_or(base.url),
            bearer_token_env_var,
            bearer_token_file,
            http_headers: headers,
            env_http_headers: named,
        };
        if spec.bearer_token_env_var.is_some() && spec.bearer_token_file.is_some() {
            let text = "this helper has both bearer_token_env_var and bearer_token_file";
            return Err((text.to_owned(), "name the one place in which its token stands"));
        }
        Ok(spec)
    }
}
