//! A foreign rollout's metadata of its thread. Pure.

use crate::rollout::record::{StoredSettings, ThreadCreated};
use serde_json::{Map, Value};
use skein_base::clock::WallMs;
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::{GitInfo, SessionSource};

use super::items::camel;
use crate::policy;

/// The first line of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Meta {
    /// The thread's creation record, as far as the line describes it.
    pub(crate) created: ThreadCreated,
    /// When the thread, or this file of it, began.
    pub(crate) at: WallMs,
    /// The lines of another file that come first.
    pub(crate) base: Option<Base>,
}

/// The lines that a rollout continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Base {
    /// The thread of their rollout.
    pub(crate) thread: ThreadId,
    /// The `ordinal` of the first line after them.
    pub(crate) end: u64,
}

impl Meta {
    /// The metadata of the first line; `None` for any other line.
    pub(crate) fn of(line: &Value) -> Option<Self> {
        let meta = match line.get("type") {
            Some(kind) => line.get("payload").filter(|_| kind == "session_meta")?,
            // In the oldest form the line has no type.
            None => line,
        };
        let id = thread(meta.get("id"))?;
        let at = time(meta.get("timestamp")).or_else(|| time(line.get("timestamp")))?;
        let settings = StoredSettings {
            cwd: text(meta, "cwd").unwrap_or_default(),
            model_provider: text(meta, "model_provider").unwrap_or_default(),
            ..StoredSettings::default()
        };
        let git = meta.get("git").filter(|git| git.as_object().is_some_and(|git| !git.is_empty()));
        let created = ThreadCreated {
            id,
            // Source: the peer attributes an older rollout without a source to its editor.
            source: meta.get("source").map_or(SessionSource::VsCode, source),
            thread_source: text(meta, "thread_source"),
            originator: text(meta, "originator"),
            cli_version: text(meta, "cli_version").unwrap_or_default(),
            forked_from: thread(meta.get("forked_from_id")),
            git_info: git.map(|git| GitInfo {
                branch: text(git, "branch"),
                origin_url: text(git, "repository_url"),
                sha: text(git, "commit_hash"),
            }),
            settings,
        };
        let base = meta.get("history_base").and_then(|base| {
            let end = base.get("end_ordinal_exclusive")?.as_u64()?;
            Some(Base { thread: thread(base.get("thread_id"))?, end })
        });
        Some(Self { created, at, base })
    }
}

/// Applies a `turn_context` or a change of settings. Missing and unknown values stay.
pub(crate) fn set(settings: &mut StoredSettings, told: &Value) {
    for (place, name) in [
        (&mut settings.cwd, "cwd"),
        (&mut settings.model, "model"),
        (&mut settings.model_provider, "model_provider_id"),
    ] {
        if let Some(text) = text(told, name) {
            *place = text;
        }
    }
    let chosen = told.get("collaboration_mode").and_then(|mode| mode.get("settings"));
    let effort = text(told, "effort").or_else(|| text(chosen?, "reasoning_effort"));
    settings.reasoning_effort = effort.or(settings.reasoning_effort.take());
    settings.approval_policy =
        known(told.get("approval_policy"), |name| name.to_owned()).or(settings.approval_policy.take());
    settings.sandbox = known(told.get("sandbox_policy"), camel).or(settings.sandbox.take());
}

/// A value that has the same members in another spelling.
fn known<T: serde::de::DeserializeOwned>(told: Option<&Value>, spell: fn(&str) -> String) -> Option<T> {
    let Some(members) = told?.as_object() else { return serde_json::from_value(told?.clone()).ok() };
    let mut ours: Map<String, Value> =
        members.iter().map(|(name, value)| (spell(name), value.clone())).collect();
    if let Some(Value::String(kind)) = ours.get_mut("type") {
        *kind = spell(kind);
    }
    serde_json::from_value(Value::Object(ours)).ok()
}

fn source(told: &Value) -> SessionSource {
    let ours = match told.get("subagent") {
        Some(agent) => serde_json::json!({ "subAgent": agent }),
        None if told == "mcp" => return SessionSource::AppServer,
        None => told.clone(),
    };
    serde_json::from_value(ours).unwrap_or(SessionSource::Unknown)
}

fn thread(told: Option<&Value>) -> Option<ThreadId> {
    told?.as_str()?.parse().ok()
}

/// A short text; `None` for one longer than any name, folder or word.
pub(crate) fn text(told: &Value, name: &str) -> Option<String> {
    let text = told.get(name)?.as_str()?;
    (text.len() <= policy::WORD_BYTES).then(|| text.to_owned())
}

/// A time in RFC 3339, or in seconds since the Unix epoch.
pub(crate) fn time(told: Option<&Value>) -> Option<WallMs> {
    if let Some(text) = told?.as_str() {
        return text.parse::<jiff::Timestamp>().ok().map(|time| WallMs(time.as_millisecond()));
    }
    ms(told?.as_i64()?.checked_mul(1_000)?)
}

/// Milliseconds since the Unix epoch, within the range of a calendar.
pub(crate) fn ms(ms: i64) -> Option<WallMs> {
    jiff::Timestamp::from_millisecond(ms).ok().map(|_| WallMs(ms))
}
