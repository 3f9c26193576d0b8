//! Which values of settings are secret, what is shown in their place, and how the secrets come back; pure.
//!
//! A mask never becomes a value: it stands for what was there before, or for a secret that is missing.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use skein_helpers::{MASK, shown_args, shown_url};

use super::section::keys_of;
use super::{ContextOverride, Overrides, ThreadConfig, helpers};

#[cfg(test)]
mod tests;

/// How keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// As in a file that was read: one key for each table.
    Plain,
    /// As in the `config` of a request: a key may have dots, which reach into tables.
    Dotted,
}

/// The part of a value that may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// All of it.
    Open,
    /// Nothing.
    Secret,
    /// The list, without the arguments that may be secret.
    Args,
    /// The address, without user and query.
    Address,
    /// Nothing: Skein does not read it, so nobody knows what it is.
    Unread,
}

/// Keys of the root that Skein reads out of the `config` of a request.
static READ: LazyLock<Vec<&str>> = LazyLock::new(|| {
    [keys_of::<Overrides>(), keys_of::<ThreadConfig>(), keys_of::<ContextOverride>()].concat()
});
/// Keys of a helper that Skein reads.
static READ_OF_HELPERS: LazyLock<Vec<&str>> =
    LazyLock::new(|| [helpers::stdio_keys(), helpers::http_keys(), helpers::common_keys()].concat());

impl Secrecy {
    /// The kind of the value at these keys.
    pub(crate) fn of(path: &[&str]) -> Self {
        match path {
            ["mcp_servers", _, "env" | "http_headers", _] => Self::Secret,
            ["mcp_servers", _, "env" | "http_headers"] => Self::Unread,
            ["mcp_servers", _, "args"] => Self::Args,
            ["mcp_servers", _, "url"] => Self::Address,
            ["mcp_servers", _, "args" | "url" | "env" | "http_headers", ..] => Self::Unread,
            ["model_providers", _, "http_headers" | "query_params", _] => Self::Secret,
            ["model_providers", _, "base_url"] => Self::Address,
            [key, ..] if READ.contains(key) => Self::Open,
            ["mcp_servers", _, key, ..] if READ_OF_HELPERS.contains(key) => Self::Open,
            _ => Self::Unread,
        }
    }

    /// Whether something below these keys is read.
    fn is_table(path: &[&str]) -> bool {
        match path {
            [] | ["mcp_servers" | "model_providers"] | ["mcp_servers" | "model_providers", _] => true,
            ["mcp_servers", _, key] => matches!(*key, "env" | "http_headers"),
            ["model_providers", _, key] => matches!(*key, "http_headers" | "query_params"),
            _ => false,
        }
    }
}

/// The keys on the way to a member.
pub(crate) fn inner<'k>(path: &[&'k str], key: &'k str, keys: Keys) -> Vec<&'k str> {
    let more: Vec<&str> = match keys {
        Keys::Plain => vec![key],
        Keys::Dotted => key.split('.').collect(),
    };
    path.iter().copied().chain(more).collect()
}

/// The `config` of a request without its secrets, and those alone under the same keys. Values that Skein does not read are
/// secret, too.
pub fn externalise(config: &Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    // A text in a request that looks like a mask was written so, and has to come back.
    split(config, &[], |value, kind| kind == Secrecy::Args && is_masked(value, kind))
}

/// Does the same with a stored `config`, in which a mask is a mask.
pub fn externalise_stored(config: &Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    split(config, &[], |_, _| false)
}

fn split(
    members: &Map<String, Value>,
    path: &[&str],
    is_literal: fn(&Value, Secrecy) -> bool,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut shown, mut secrets) = (Map::new(), Map::new());
    for (key, value) in members {
        let path = inner(path, key, Keys::Dotted);
        let (open, secret) = match value {
            Value::Object(members) if Secrecy::is_table(&path) => {
                let (open, secret) = split(members, &path, is_literal);
                (Value::Object(open), (!secret.is_empty()).then_some(Value::Object(secret)))
            }
            value @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_)) => {
                let kind = Secrecy::of(&path);
                let open = masked(value, kind);
                let secret = (open != *value || is_literal(value, kind)).then(|| value.clone());
                (open, secret)
            }
        };
        shown.insert(key.clone(), open);
        secrets.extend(secret.map(|secret| (key.clone(), secret)));
    }
    (shown, secrets)
}

/// The `config` that was stored, with its secrets. A mask for which there is none stays, for whoever reads it to see; what Skein
/// does not read is left out then.
pub fn inline(config: &Map<String, Value>, secrets: &Map<String, Value>) -> Map<String, Value> {
    let (config, secrets) = (Value::Object(config.clone()), Value::Object(secrets.clone()));
    let mut filled = fill(&[], &config, &[&secrets], Keys::Dotted);
    mask_args(&mut filled.value, &[], &filled.lacking);
    match filled.value {
        Value::Object(mut config) => {
            config.retain(|key, value| {
                value != MASK || Secrecy::of(&inner(&[], key, Keys::Dotted)) != Secrecy::Unread
            });
            config
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// Makes one mask of the arguments of which one is missing: at the end of an argument it might be taken for a pattern.
fn mask_args(value: &mut Value, path: &[&str], lacking: &[String]) {
    let Value::Object(members) = value else { return };
    for (key, value) in members {
        let path = inner(path, key, Keys::Dotted);
        match Secrecy::of(&path) {
            Secrecy::Args if lacking.contains(&path.join(".")) => *value = json!([MASK]),
            Secrecy::Args | Secrecy::Open | Secrecy::Secret | Secrecy::Address | Secrecy::Unread => {
                mask_args(value, &path, lacking);
            }
        }
    }
}

/// The part of a value that may be shown.
fn masked(value: &Value, kind: Secrecy) -> Value {
    match (kind, value) {
        (Secrecy::Open, value) => value.clone(),
        (_, Value::Null) => Value::Null,
        (Secrecy::Address, Value::String(url)) => json!(shown_url(url)),
        (Secrecy::Args, Value::Array(args)) if args.iter().all(Value::is_string) => {
            json!(shown_args(args.iter().filter_map(Value::as_str)))
        }
        _ => json!(MASK),
    }
}

/// Settings without their secrets, where every key is one that Skein reads.
pub(super) fn hide_all(settings: Map<String, Value>) -> Map<String, Value> {
    settings.into_iter().map(|(key, value)| (key.clone(), hide(&[&key], value))).collect()
}

/// Hides the secrets of the value at these keys.
pub(super) fn hide(path: &[&str], value: Value) -> Value {
    match (Secrecy::of(path), value) {
        (Secrecy::Open | Secrecy::Unread, Value::Object(members)) => {
            let hidden = |(key, value): (String, _)| (key.clone(), hide(&[path, &[&key]].concat(), value));
            members.into_iter().map(hidden).collect()
        }
        (Secrecy::Open | Secrecy::Unread, value) => value,
        (kind, value) => masked(&value, kind),
    }
}

/// A value whose masks are filled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filled {
    /// The value. A mask for which there is nothing stays.
    pub(crate) value: Value,
    /// The dotted keys of those.
    pub(crate) lacking: Vec<String>,
}

/// `value`, which is to stand at `path`, with what one of `before` has in the place of each mask; the first that has it counts.
/// Masks of what Skein does not read are left alone.
pub(crate) fn fill(path: &[&str], value: &Value, before: &[&Value], keys: Keys) -> Filled {
    let mut lacking = Vec::new();
    let value = filled(path, value, before, keys, &mut lacking);
    Filled { value, lacking }
}

fn filled(path: &[&str], value: &Value, before: &[&Value], keys: Keys, lacking: &mut Vec<String>) -> Value {
    if let Value::Object(members) = value {
        let member = |(key, value): (&String, &Value)| {
            let before: Vec<&Value> = before.iter().filter_map(|table| table.get(key)).collect();
            (key.clone(), filled(&inner(path, key, keys), value, &before, keys, lacking))
        };
        return Value::Object(members.iter().map(member).collect());
    }
    let kind = Secrecy::of(path);
    if !is_masked(value, kind) {
        return value.clone();
    }
    let found = before.iter().find_map(|before| match (kind, value, before) {
        (Secrecy::Args, Value::Array(args), Value::Array(before)) => args_like(args, before),
        (Secrecy::Args, ..) => None,
        _ => (masked(before, kind) == *value).then(|| (*before).clone()),
    });
    found.unwrap_or_else(|| {
        if kind != Secrecy::Unread {
            lacking.push(path.join("."));
        }
        value.clone()
    })
}

fn is_masked(value: &Value, kind: Secrecy) -> bool {
    match (kind, value) {
        (Secrecy::Open, _) => false,
        (Secrecy::Address, Value::String(text)) => text.contains(MASK),
        (Secrecy::Args, Value::Array(args)) => args.iter().filter_map(Value::as_str).any(ends_masked),
        (_, Value::String(text)) => text == MASK,
        _ => false,
    }
}

/// Whether an argument is a mask, or has one in the place of its end.
fn ends_masked(arg: &str) -> bool {
    arg.ends_with(MASK)
}

/// Arguments with those of `before` in the place of masks. A mask is known by its text and the argument in front of it. `None` where
/// it is not certain which one is meant.
fn args_like(args: &[Value], before: &[Value]) -> Option<Value> {
    let texts = |args: &[Value]| args.iter().map(|arg| arg.as_str().map(str::to_owned)).collect();
    let (args, before): (Option<Vec<String>>, Option<Vec<String>>) = (texts(args), texts(before));
    args_with(&args?, &before?).map(|args| json!(args))
}

/// Does the same with texts.
pub(super) fn args_with(args: &[String], before: &[String]) -> Option<Vec<String>> {
    let shown = shown_args(before.iter().map(String::as_str));
    let one = |(at, arg): (usize, &String)| {
        if !ends_masked(arg) {
            return Some(arg.clone());
        }
        let by_place = the_one(args, &shown, before, at, |list, at| {
            (at.checked_sub(1).and_then(|at| list.get(at)), list.get(at))
        });
        // One that names itself is known without what stands in front of it.
        let by_itself = || the_one(args, &shown, before, at, |list, at| list.get(at)).filter(|_| arg != MASK);
        by_place.or_else(by_itself)
    };
    args.iter().enumerate().map(one).collect()
}

/// The argument of `before` that `args[at]` stands for: the only one that looks like it, or, of as many as there are in `args`, the
/// one in the same order.
fn the_one<'l, K: PartialEq>(
    args: &'l [String],
    shown: &'l [String],
    before: &[String],
    at: usize,
    key: impl Fn(&'l [String], usize) -> K,
) -> Option<String> {
    let wanted = key(args, at);
    let like = |list: &'l [String]| (0..list.len()).filter(|at| key(list, *at) == wanted).collect::<Vec<_>>();
    let (ours, theirs) = (like(args), like(shown));
    let first = before.get(*theirs.first()?)?;
    if theirs.iter().all(|at| before.get(*at) == Some(first)) {
        return Some(first.clone());
    }
    let order = ours.iter().position(|ours| *ours == at)?;
    let same = ours.len() == theirs.len();
    same.then(|| before.get(*theirs.get(order)?).cloned()).flatten()
}
