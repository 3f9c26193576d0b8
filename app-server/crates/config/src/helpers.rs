//! Settings of helpers, with the keys that Codex gives them: from `config.toml`, and from the `config` member of the
//! requests that start or resume a thread.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use skein_helpers::{
    ApprovalMode, HelperLimits, HelperSpec, HttpSpec, Isolation, OnUnresponsive, Secrets, StdioSpec,
    Transport, shown_url,
};

use super::kinds::{FileForm, HelperMemory, Limit, Seconds, Time, names, texts, texts_by_name, whole};
use super::problem::{ConfigError, Place, Problems};
use super::secrets::{self, Keys};
use super::section::{Section, keys_of};
use super::tree;
use crate::policy;

/// The table of helpers.
pub(super) const SERVERS: &str = "mcp_servers";

const NICE_LEAST: i64 = policy::NICE_LEAST as i64;
const NICE_MOST: i64 = policy::NICE_MOST as i64;

/// The keys of a helper that is a process.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "StdioSpec", default = "StdioSpec::default")]
struct StdioKeys {
    /// The program that is started.
    command: String,
    /// Its arguments. Every user of the machine can read them.
    #[serde(deserialize_with = "texts")]
    args: Vec<String>,
    /// Variables of its environment, with their values.
    #[serde(deserialize_with = "texts_by_name")]
    #[schemars(with = "BTreeMap<String, String>")]
    env: Secrets,
    /// Variables that it gets from the environment of the server.
    #[serde(deserialize_with = "names")]
    env_vars: Vec<String>,
    /// Its working directory. By default that of the thread.
    #[serde(serialize_with = "path_as_text")]
    cwd: Option<PathBuf>,
    /// The most that it may use.
    #[serde(with = "LimitKeys")]
    limits: HelperLimits,
    /// Whether its processes may be clients of this server.
    may_connect: bool,
    /// The folders that it may use, if it asks. By default that of the thread.
    #[serde(deserialize_with = "texts")]
    roots: Vec<String>,
}

/// The most that a helper may use.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "HelperLimits", default = "HelperLimits::default")]
struct LimitKeys {
    /// Memory of all its processes.
    #[serde(with = "HelperMemory")]
    memory: Option<u64>,
    /// Its processes and their threads.
    #[serde(with = "Limit::<{ policy::HELPER_PROCESSES_MOST }>")]
    processes: Option<u64>,
    /// Files that each of its processes has open at once.
    #[serde(with = "Limit::<{ policy::HELPER_FILES_MOST }>")]
    files: Option<u64>,
    /// Its niceness.
    #[serde(deserialize_with = "whole::<NICE_LEAST, NICE_MOST, _, _>")]
    #[schemars(range(min = NICE_LEAST, max = NICE_MOST))]
    nice: Option<i32>,
}

/// The keys of a helper behind an address.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "HttpSpec", default = "HttpSpec::default")]
struct HttpKeys {
    /// Its address.
    #[schemars(example = "https://example.org/mcp")]
    url: String,
    /// The variable of the server's environment with its bearer token.
    bearer_token_env_var: Option<String>,
    /// The file with its bearer token.
    #[schemars(example = "/run/user/1000/token")]
    #[serde(serialize_with = "path_as_text")]
    bearer_token_file: Option<PathBuf>,
    /// Headers of each request, with their values.
    #[serde(deserialize_with = "texts_by_name")]
    #[schemars(with = "BTreeMap<String, String>")]
    http_headers: Secrets,
    /// Headers of each request, with the variables of the server's environment that have their values.
    #[serde(deserialize_with = "texts_by_name")]
    env_http_headers: BTreeMap<String, String>,
}

/// The keys of every helper.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "HelperSpec", default = "unnamed")]
struct CommonKeys {
    #[serde(skip)]
    name: String,
    #[serde(skip, default = "nowhere")]
    transport: Transport,
    /// Whether threads get it.
    enabled: bool,
    /// Which threads share a process.
    isolation: Isolation,
    /// How long an unused process waits for a thread that comes back.
    #[serde(with = "Time")]
    linger: Duration,
    /// Whether a turn fails without it.
    required: bool,
    /// How long its start may take, in seconds.
    #[serde(rename = "startup_timeout_sec", with = "Seconds")]
    startup_timeout: Duration,
    /// How long a call may take, in seconds. By default without an end.
    #[serde(rename = "tool_timeout_sec", with = "Seconds")]
    tool_timeout: Option<Duration>,
    /// The fate of its calls when it shows no sign of life.
    on_unresponsive: OnUnresponsive,
    /// The only tools that models get.
    #[serde(deserialize_with = "texts")]
    enabled_tools: Option<Vec<String>>,
    /// Tools that models do not get.
    #[serde(deserialize_with = "texts")]
    disabled_tools: Vec<String>,
    /// When the user is asked about a call of its tools.
    #[serde(rename = "default_tools_approval_mode")]
    default_tools_approval: ApprovalMode,
    /// The same for single tools, by name.
    #[serde(rename = "tools", with = "tool_approvals")]
    #[schemars(with = "BTreeMap<String, tool_approvals::ToolEntry>")]
    tool_approvals: BTreeMap<String, ApprovalMode>,
}

/// A key that is read to be refused.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    bearer_token: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
struct Stdio(#[serde(with = "StdioKeys")] StdioSpec);

#[derive(Default, Serialize, Deserialize)]
struct Http(#[serde(with = "HttpKeys")] HttpSpec);

#[derive(Deserialize)]
struct LimitsOfHelper(
    #[expect(dead_code, reason = "only its keys are asked for")]
    #[serde(with = "LimitKeys")]
    HelperLimits,
);

#[derive(Serialize, Deserialize)]
struct Common(#[serde(with = "CommonKeys")] HelperSpec);

/// The keys of a helper of either kind.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its keys are asked for")]
pub(super) struct HelperEntry {
    #[serde(flatten)]
    common: CommonKeys,
    #[serde(flatten)]
    stdio: StdioKeys,
    #[serde(flatten)]
    http: HttpKeys,
}

/// A path that is not UTF-8 loses the bytes that no text has.
fn path_as_text<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(to)
}

fn unnamed() -> HelperSpec {
    HelperSpec::reached("", nowhere())
}

fn nowhere() -> Transport {
    Transport::Http(HttpSpec::default())
}

/// A table for each tool.
mod tool_approvals {
    use super::{ApprovalMode, BTreeMap, Deserialize, Deserializer, JsonSchema, Serialize, Serializer};

    /// The settings of one tool.
    #[derive(Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    pub(super) struct ToolEntry {
        /// When the user is asked about a call of it.
        approval_mode: Option<ApprovalMode>,
    }

    type Modes = BTreeMap<String, ApprovalMode>;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Modes, D::Error> {
        let tools: BTreeMap<String, ToolEntry> = Deserialize::deserialize(from)?;
        Ok(tools.into_iter().filter_map(|(name, tool)| Some((name, tool.approval_mode?))).collect())
    }

    pub(super) fn serialize<S: Serializer>(modes: &Modes, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(modes.iter().map(|(name, mode)| (name, ToolEntry { approval_mode: Some(*mode) })))
    }
}

/// The settings that one place has of a helper. The place below says the keys that are left out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HelperOverride {
    place: Place,
    values: Map<String, Value>,
}

impl fmt::Debug for HelperOverride {
    /// Without the values: there may be secrets among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelperOverride").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The characters of a helper's name, for errors.
pub(super) const NAMES: &str = "use letters, digits, - and _, as the name becomes a part of tool names";

/// Whether a helper can be called so.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_name)
}

/// Whether a name may have it.
pub(super) fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// The keys of helpers that are processes.
pub(super) fn stdio_keys() -> Vec<&'static str> {
    keys_of::<Stdio>()
}

/// The keys of their limits.
pub(super) fn limit_keys() -> Vec<&'static str> {
    keys_of::<LimitsOfHelper>()
}

/// The keys of helpers behind an address.
pub(super) fn http_keys() -> Vec<&'static str> {
    keys_of::<Http>()
}

/// The keys of every helper.
pub(super) fn common_keys() -> Vec<&'static str> {
    keys_of::<Common>()
}

/// Reads `mcp_servers`.
pub(super) fn read(root: &mut Section<'_>) -> BTreeMap<String, HelperOverride> {
    root.read_each::<Stdio>(SERVERS);
    let https = root.read_each::<Http>(SERVERS);
    let refused = root.read_each::<Refused>(SERVERS);
    let mut overrides = BTreeMap::new();
    for name in root.read_each::<Common>(SERVERS).into_keys() {
        let keys = [SERVERS, &name];
        if !is_name(&name) {
            root.wrong(&keys, format!("{name:?} cannot be the name of a helper"), NAMES);
        }
        if refused.get(&name).is_some_and(|refused| refused.bearer_token.is_some()) {
            let expected = "name a variable of the server's environment by bearer_token_env_var";
            root.wrong(&keys, "bearer_token would be a secret in a file", expected);
        }
        let token_file = https.get(&name).and_then(|http| http.0.bearer_token_file.as_ref());
        if token_file.is_some_and(|path| path.is_relative()) {
            let expected = "write the whole path, such as \"/run/user/1000/search-token\"";
            root.wrong(&keys, "bearer_token_file is no absolute path", expected);
        }
        if let Some(tree::Node { place, value: tree::Value::Table(table) }) = root.get(&keys) {
            let values = tree::plain_table(table);
            overrides.insert(name, HelperOverride { place: place.clone(), values });
        }
    }
    overrides
}

/// Changes `helpers` by `overrides`.
pub(super) fn lay_over(
    helpers: &mut BTreeMap<String, HelperSpec>,
    overrides: BTreeMap<String, HelperOverride>,
    problems: &mut Problems,
) {
    for (name, change) in overrides {
        let key = format!("{SERVERS}.{name}");
        match over(&name, change.values, helpers.get(&name)) {
            Ok(spec) => {
                helpers.insert(name, spec);
            }
            // The value itself is reported already.
            Err(_) if ["command", "url"].iter().any(|way| problems.name(&format!("{key}.{way}"))) => {}
            Err((what, expected)) => problems.push(ConfigError::new(change.place, key, what, expected)),
        }
    }
}

/// The problem of a helper, and its remedy.
type HelperProblem = (String, &'static str);

const ONE_WAY: &str = "give it either command = \"PROGRAM\" or url = \"https://...\"";

/// Variables, headers, limits and tools are merged one by one, all else is replaced.
fn over(
    name: &str,
    mut said: Map<String, Value>,
    base: Option<&HelperSpec>,
) -> Result<HelperSpec, HelperProblem> {
    let is_http = is_http(&said, base)?;
    let mut under = base.map(plain).unwrap_or_default();
    let others = if is_http { stdio_keys() } else { http_keys() };
    under.retain(|key, _| !others.contains(&key.as_str()));
    if is_http {
        change_address(&mut under, &mut said);
    }
    // A mask stands for the secret that it was shown for.
    let said = match secrets::fill(&[SERVERS, name], &json!(said), &[&json!(under)], Keys::Plain).value {
        Value::Object(said) => said,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    merge(&mut under, said);
    // The values themselves are checked already.
    let unfit = |error: serde_json::Error| (error.to_string(), ONE_WAY);
    let all = Value::Object(under);
    let transport = match is_http {
        true => Http::deserialize(&all).map(|Http(http)| Transport::Http(http)),
        false => Stdio::deserialize(&all).map(|Stdio(stdio)| Transport::Stdio(stdio)),
    };
    let transport = transport.map_err(unfit)?;
    if matches!(&transport, Transport::Http(http) if http.bearer_token_env_var.is_some() && http.bearer_token_file.is_some())
    {
        let text = "this helper has both bearer_token_env_var and bearer_token_file";
        return Err((text.to_owned(), "name the one place in which its token stands"));
    }
    let Common(spec) = Common::deserialize(&all).map_err(unfit)?;
    Ok(HelperSpec { name: name.to_owned(), transport, ..spec })
}

/// Whether the helper is behind an address then, and not a process.
fn is_http(said: &Map<String, Value>, base: Option<&HelperSpec>) -> Result<bool, HelperProblem> {
    let is_http = match (said.contains_key("command"), said.contains_key("url"), base) {
        (true, true, _) => return Err(("this helper has both command and url".to_owned(), ONE_WAY)),
        (false, false, None) => {
            return Err(("this helper has neither command nor url".to_owned(), ONE_WAY));
        }
        (has_command, has_url, base) => {
            has_url || !has_command && base.is_some_and(|base| base.stdio().is_none())
        }
    };
    let (others, of, has) =
        if is_http { (stdio_keys(), "command", "url") } else { (http_keys(), "url", "command") };
    match others.into_iter().find(|key| said.contains_key(*key)) {
        Some(key) => Err((format!("{key} is of helpers with a {of}, and this one has a {has}"), ONE_WAY)),
        None => Ok(is_http),
    }
}

/// A new address takes no secrets of the old one along, and a new place of the token replaces the old one.
fn change_address(under: &mut Map<String, Value>, said: &mut Map<String, Value>) {
    let text = |table: &Map<String, Value>| table.get("url").and_then(Value::as_str).map(str::to_owned);
    let before = text(under).unwrap_or_default();
    // An address as it was shown is the same one.
    if text(said).is_some_and(|url| url == shown_url(&before)) {
        said.remove("url");
    }
    if text(said).is_some_and(|url| url != before) {
        under.retain(|key, _| !http_keys().contains(&key.as_str()));
    }
    let tokens = ["bearer_token_env_var", "bearer_token_file"];
    if tokens.iter().any(|key| said.contains_key(*key)) {
        under.retain(|key, _| !tokens.contains(&key.as_str()));
    }
}

/// Lays one table over another one.
fn merge(under: &mut Map<String, Value>, upper: Map<String, Value>) {
    for (key, value) in upper {
        match (under.get_mut(&key), value) {
            (Some(Value::Object(under)), Value::Object(upper)) => merge(under, upper),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

/// A helper by the keys of the file, with its secrets; `null` where it says nothing.
fn all(spec: &HelperSpec) -> Map<String, Value> {
    let way = match spec.transport.clone() {
        Transport::Stdio(stdio) => json!(Stdio(stdio)),
        Transport::Http(http) => json!(Http(http)),
    };
    let common = json!(Common(spec.clone()));
    [way, common].iter().filter_map(Value::as_object).flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The keys that it has a value for, with its secrets.
pub(super) fn plain(spec: &HelperSpec) -> Map<String, Value> {
    without_nulls(all(spec))
}

fn without_nulls(table: Map<String, Value>) -> Map<String, Value> {
    let said = table.into_iter().filter(|(_, value)| !value.is_null());
    said.map(|(key, value)| match value {
        Value::Object(inner) => (key, Value::Object(without_nulls(inner))),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            (key, other)
        }
    })
    .collect()
}

/// A helper by the keys of the file, without secrets.
pub(super) fn shown(spec: &HelperSpec) -> Value {
    secrets::hide(&[SERVERS, &spec.name], Value::Object(all(spec)))
}
