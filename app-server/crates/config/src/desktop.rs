//! Helpers as desktop clients write them: the JSON with `mcpServers` of most, with `servers` of VS Code. Pure. A member
//! that Skein's settings have no word for is never guessed: it is left out and reported.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};
use skein_helpers::{HelperSpec, HttpSpec, Secrets, StdioSpec, Transport};

use super::helpers::is_of_name;

mod lenient;
mod placeholder;
#[cfg(test)]
mod tests;

use placeholder::FilledPlaceholder;

/// The helpers of a file.
#[derive(Debug, Default)]
pub struct Desktop {
    /// Usable helpers, in their order.
    pub usable: Vec<Usable>,
    /// Helpers that cannot be used.
    pub left: Vec<SkippedHelper>,
}

/// A helper that can be used.
#[derive(Debug)]
pub struct Usable {
    /// The name in the file; `spec` may have to use another one.
    pub name_in_file: String,
    /// The helper in Skein's words.
    pub spec: HelperSpec,
    /// Members that Skein's settings have no word for.
    pub passed_over: Vec<String>,
}

/// A helper that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct SkippedHelper {
    /// The name in the file.
    pub name: String,
    /// The reason.
    pub why: String,
}

/// Why a text cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum DesktopError {
    /// The text is no JSON, even without comments and trailing commas.
    #[error("line {line}: this is not JSON: {what}")]
    NotJson {
        /// The line of the mistake.
        line: usize,
        /// The mistake.
        what: String,
    },
    /// The file has no table of helpers that a client writes.
    #[error(
        "no helpers in it: there is neither \"mcpServers\" nor \"servers\", each an object of helpers by name"
    )]
    NoServers,
}

/// The keys on the way to the helpers, for each client.
const PLACES: &[&[&str]] = &[&["mcpServers"], &["servers"], &["mcp", "servers"], &["mcp", "mcpServers"]];
/// Members that say how a helper is spoken to, with an address.
const ADDRESSES: &[&str] = &["url", "serverUrl", "httpUrl"];

/// Reads a file of a desktop client.
///
/// # Errors
/// [`DesktopError`]. Mistakes of single helpers are in [`Desktop::left`].
pub fn read(text: &str) -> Result<Desktop, DesktopError> {
    let plain = lenient::plain(text.trim_start_matches('\u{feff}'));
    let file: Value = serde_json::from_str(&plain)
        .map_err(|error| DesktopError::NotJson { line: error.line(), what: error.to_string() })?;
    let at = |way: &&[&str]| way.iter().try_fold(&file, |at, key| at.get(key))?.as_object();
    let servers = PLACES.iter().find_map(at).ok_or(DesktopError::NoServers)?;
    let mut desktop = Desktop::default();
    for (said, server) in servers {
        let read = match server {
            Value::Object(server) => helper(said, server),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err("it is not an object".to_owned())
            }
        };
        match read {
            Ok(usable) => desktop.usable.push(usable),
            Err(why) => desktop.left.push(SkippedHelper { name: said.clone(), why }),
        }
    }
    Ok(desktop)
}

fn helper(said: &str, server: &Map<String, Value>) -> Result<Usable, String> {
    let mut members = HelperMembers { of: server, read: vec!["type", "transport", "disabled", "enabled"] };
    if [members.text("type")?, members.text("transport")?].contains(&Some("sse".to_owned())) {
        return Err("it speaks the old transport with two addresses (sse)".to_owned());
    }
    let transport = match (members.text("command")?, members.address()?) {
        (Some(_), Some(_)) => return Err("it has both a command and an address".to_owned()),
        (None, None) => return Err("it has neither a command nor an address".to_owned()),
        (Some(command), None) => Transport::Stdio(stdio(command, &mut members)?),
        (None, Some(url)) => Transport::Http(http(url, &mut members)?),
    };
    let enabled = !members.flag("disabled")?.unwrap_or(false) && members.flag("enabled")?.unwrap_or(true);
    let name = said.chars().map(|c| if is_of_name(c) { c } else { '-' }).collect::<String>();
    if !name.contains(|c: char| c.is_ascii_alphanumeric()) {
        return Err("nothing of its name can be used".to_owned());
    }
    let passed_over = server.keys().filter(|key| !members.read.contains(&key.as_str())).cloned().collect();
    let spec = HelperSpec { enabled, ..HelperSpec::reached(name, transport) };
    Ok(Usable { name_in_file: said.to_owned(), spec, passed_over })
}

fn stdio(command: String, members: &mut HelperMembers<'_>) -> Result<StdioSpec, String> {
    let command = plain("command", command)?;
    let args = members.texts("args")?.into_iter().map(|arg| plain("args", arg)).collect::<Result<_, _>>()?;
    let (mut env, mut env_vars) = (BTreeMap::new(), Vec::new());
    for (name, value) in members.map("env")? {
        match placeholder::fill(&value) {
            FilledPlaceholder::Text(text) => drop(env.insert(name, text)),
            FilledPlaceholder::Variable(variable) if variable == name => env_vars.push(name),
            FilledPlaceholder::Variable(_)
            | FilledPlaceholder::Bearer(_)
            | FilledPlaceholder::Workspace
            | FilledPlaceholder::Unknown(_) => {
                return Err(unfilled(&format!("env.{name}"), &value));
            }
        }
    }
    let cwd = match members.text("cwd")?.map(|cwd| (placeholder::fill(&cwd), cwd)) {
        // Without a folder, a helper starts in the thread's own.
        None | Some((FilledPlaceholder::Workspace, _)) => None,
        Some((FilledPlaceholder::Text(text), _)) => Some(PathBuf::from(text)),
        Some((
            FilledPlaceholder::Variable(_) | FilledPlaceholder::Bearer(_) | FilledPlaceholder::Unknown(_),
            cwd,
        )) => {
            return Err(unfilled("cwd", &cwd));
        }
    };
    Ok(StdioSpec { command, args, env: Secrets(env), env_vars, cwd, ..StdioSpec::default() })
}

fn http(url: String, members: &mut HelperMembers<'_>) -> Result<HttpSpec, String> {
    let mut spec = HttpSpec { url: plain("url", url)?, ..HttpSpec::default() };
    for (name, value) in members.map("headers")? {
        match placeholder::fill(&value) {
            FilledPlaceholder::Text(text) => drop(spec.http_headers.0.insert(name, text)),
            FilledPlaceholder::Variable(variable) => drop(spec.env_http_headers.insert(name, variable)),
            FilledPlaceholder::Bearer(variable) if name.eq_ignore_ascii_case("authorization") => {
                spec.bearer_token_env_var = Some(variable);
            }
            FilledPlaceholder::Bearer(_) | FilledPlaceholder::Workspace | FilledPlaceholder::Unknown(_) => {
                return Err(unfilled(&format!("headers.{name}"), &value));
            }
        }
    }
    Ok(spec)
}

/// A text without anything that a client would have to fill in.
fn plain(member: &str, text: String) -> Result<String, String> {
    match placeholder::fill(&text) {
        FilledPlaceholder::Text(text) => Ok(text),
        FilledPlaceholder::Variable(_)
        | FilledPlaceholder::Bearer(_)
        | FilledPlaceholder::Workspace
        | FilledPlaceholder::Unknown(_) => Err(unfilled(member, &text)),
    }
}

/// Without the text itself, which may have a secret beside it.
fn unfilled(member: &str, text: &str) -> String {
    let what = match placeholder::fill(text) {
        FilledPlaceholder::Unknown(what) => what,
        FilledPlaceholder::Variable(variable) | FilledPlaceholder::Bearer(variable) => {
            format!("${{{variable}}}")
        }
        FilledPlaceholder::Workspace => "the folder of the workspace".to_owned(),
        FilledPlaceholder::Text(_) => "a placeholder".to_owned(),
    };
    format!("{member} has {what}, which only that client can fill in")
}

/// The members of one helper, and which of them were looked at.
struct HelperMembers<'a> {
    of: &'a Map<String, Value>,
    read: Vec<&'static str>,
}

impl HelperMembers<'_> {
    /// `None` where it is missing or null.
    fn get<T>(
        &mut self,
        key: &'static str,
        is: &str,
        fit: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        self.read.push(key);
        let value = self.of.get(key).filter(|value| !value.is_null());
        value.map(|value| fit(value).ok_or_else(|| format!("{key} is not {is}"))).transpose()
    }

    fn text(&mut self, key: &'static str) -> Result<Option<String>, String> {
        self.get(key, "a text", |value| value.as_str().map(ToOwned::to_owned))
    }

    fn flag(&mut self, key: &'static str) -> Result<Option<bool>, String> {
        self.get(key, "true or false", Value::as_bool)
    }

    fn address(&mut self) -> Result<Option<String>, String> {
        ADDRESSES.iter().try_fold(None, |found, key| Ok(found.or(self.text(key)?)))
    }

    fn texts(&mut self, key: &'static str) -> Result<Vec<String>, String> {
        let texts =
            self.get(key, "a list of texts", |value| value.as_array()?.iter().map(scalar).collect())?;
        Ok(texts.unwrap_or_default())
    }

    /// An entry that is null counts as absent.
    fn map(&mut self, key: &'static str) -> Result<BTreeMap<String, String>, String> {
        let map = self.get(key, "an object of texts", |value| {
            let there = value.as_object()?.iter().filter(|(_, value)| !value.is_null());
            there.map(|(name, value)| Some((name.clone(), scalar(value)?))).collect()
        })?;
        Ok(map.unwrap_or_default())
    }
}

/// A text, or what people write without quotes.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
