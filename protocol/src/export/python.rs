//! The tables as Python types: a `TypedDict` for each object, an alias for everything else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{flat::Flat, schema::Schemas};
use crate::{
    methods::{CLIENT_NOTIFICATIONS, METHODS},
    notifications::NOTIFICATIONS,
    reasons::REASONS,
    server_requests::SERVER_REQUESTS,
};

const HEAD: &str = r##""""Written by scripts/generate from protocol/src; do not edit.

The messages of Skein's websocket, one in each text frame. A type whose name ends in `Param` is one as clients send it,
where the server sends it with more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NotRequired, Protocol, TypeAlias, TypedDict, overload
"##;

/// Words that cannot be the name of a member in a class.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// The members of an object: the schema of each, and whether it is always there.
type Members<'a> = BTreeMap<&'a str, (&'a Value, bool)>;

/// The types of all messages, as a module that ends in a line break; deterministic.
pub fn python() -> String {
    let flat = Flat::new(Schemas::new(), "");
    let mut module = Module {
        types: &flat.types,
        taken: flat.types.keys().cloned().collect(),
        aliases: Vec::new(),
        text: format!("{HEAD}{}", reasons()),
    };
    for (name, schema) in &flat.types {
        module.top(name, schema);
    }
    module.notifications(&flat.messages);
    module.questions(&flat.messages);
    module.requests(&flat.messages);
    module.finish()
}

struct Module<'a> {
    types: &'a Map<String, Value>,
    /// Names of classes and aliases.
    taken: BTreeSet<String>,
    /// Name, documentation and type. They stand behind the classes, because Python evaluates them.
    aliases: Vec<(String, String, String)>,
    text: String,
}

impl<'a> Module<'a> {
    /// A type of the flat list.
    fn top(&mut self, name: &str, schema: &'a Value) {
        let found = self.expression(schema, name);
        if found != name {
            let doc = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            self.alias(name, doc, &found);
        }
    }

    fn alias(&mut self, name: &str, doc: &str, found: &str) {
        self.aliases.push((name.to_owned(), doc.to_owned(), found.to_owned()));
    }

    /// Adds the aliases: each behind those that it names, the rest in quotes.
    fn finish(mut self) -> String {
        let mut left = std::mem::take(&mut self.aliases);
        while !left.is_empty() {
            let names: BTreeSet<&str> = left.iter().map(|(name, _, _)| name.as_str()).collect();
            let is_ready = |found: &str| !words(found).any(|word| names.contains(word));
            let ready: Vec<bool> = left.iter().map(|(_, _, found)| is_ready(found)).collect();
            let stuck = !ready.contains(&true);
            let mut rest = Vec::new();
            for (alias, is_ready) in left.into_iter().zip(ready) {
                if !is_ready && !stuck {
                    rest.push(alias);
                    continue;
                }
                let (name, doc, found) = alias;
                let found = if stuck { quoted(&found) } else { found };
                self.text.push_str(&format!("\n{}{name}: TypeAlias = {found}\n", comment(&doc, "")));
            }
            left = rest;
        }
        self.text
    }

    /// A schema as a type. A class that it needs gets the name `name`, or one that begins so.
    fn expression(&mut self, schema: &'a Value, name: &str) -> String {
        let Some(object) = schema.as_object() else { return "Any".to_owned() };
        let target = object.get("$ref").and_then(Value::as_str);
        let properties = members(object);
        let choices = choices(object);
        match (target, properties.is_empty(), choices.is_empty()) {
            (Some(target), true, true) => target.to_owned(),
            (None, false, true) => self.class(name, schema, &properties),
            (None, true, false) => {
                let parts: Vec<String> = choices
                    .iter()
                    .enumerate()
                    .map(|(at, choice)| self.expression(choice, &format!("{name}{}", suffix(choice, at))))
                    .collect();
                union(parts)
            }
            (None, true, true) => self.simple(object, name),
            (Some(_), _, _) | (None, false, false) => self.combined(schema, name),
        }
    }

    /// An object that has members of several parts.
    fn combined(&mut self, schema: &'a Value, name: &str) -> String {
        let variants = self.variants(schema);
        if let [only] = &variants[..] {
            return self.class(name, schema, only);
        }
        let names: Vec<String> =
            (0..variants.len()).map(|at| format!("{name}{}", distinction(&variants, at))).collect();
        let parts: Vec<String> = names
            .iter()
            .zip(&variants)
            .map(|(name, members)| self.class(name, &Value::Null, members))
            .collect();
        union(parts)
    }

    /// Every set of members that an object of this schema can have.
    fn variants(&self, schema: &'a Value) -> Vec<Members<'a>> {
        let Some(object) = schema.as_object() else { return Vec::new() };
        let mut all = vec![members(object)];
        if let Some(target) = object.get("$ref").and_then(Value::as_str)
            && let Some(target) = self.types.get(target)
        {
            all = product(&all, &self.variants(target));
        }
        let choices = choices(object);
        if !choices.is_empty() {
            let found: Vec<_> = choices.iter().flat_map(|choice| self.variants(choice)).collect();
            all = product(&all, &found);
        }
        all
    }

    /// Adds a class, and returns its name.
    fn class(&mut self, wanted: &str, schema: &Value, members: &Members<'a>) -> String {
        let mut name = wanted.to_owned();
        while !self.types.contains_key(wanted) && !self.taken.insert(name.clone()) {
            name.push('_');
        }
        let plain = members.keys().all(|key| is_plain(key));
        let mut body = String::new();
        for (key, (schema, always)) in members {
            let found = self.expression(schema, &format!("{name}{}", camel(key)));
            let found = if *always { found } else { format!("NotRequired[{found}]") };
            let comment =
                comment(schema.get("description").and_then(Value::as_str).unwrap_or_default(), "    ");
            let line =
                if plain { format!("{key}: {found}") } else { format!("{key:?}: {},", quoted(&found)) };
            body.push_str(&format!("{comment}    {line}\n"));
        }
        let doc = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        if plain {
            let doc = docstring(doc);
            self.text.push_str(&format!("\nclass {name}(TypedDict):\n{doc}{body}"));
        } else {
            let doc = comment(doc, "");
            self.text.push_str(&format!("\n{doc}{name} = TypedDict(\"{name}\", {{\n{body}}})\n"));
        }
        name
    }

    fn simple(&mut self, object: &'a Map<String, Value>, name: &str) -> String {
        if let Some(value) = object.get("const") {
            return literal(&[value]);
        }
        if let Some(Value::Array(words)) = object.get("enum") {
            return literal(&words.iter().collect::<Vec<_>>());
        }
        match object.get("type") {
            Some(Value::String(kind)) => self.typed(kind, object, name),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().filter_map(Value::as_str);
                union(kinds.map(|kind| self.typed(kind, object, name)).collect())
            }
            Some(_) | None => "Any".to_owned(),
        }
    }

    fn typed(&mut self, kind: &str, object: &'a Map<String, Value>, name: &str) -> String {
        match kind {
            "string" => "str".to_owned(),
            "integer" => "int".to_owned(),
            "number" => "float".to_owned(),
            "boolean" => "bool".to_owned(),
            "null" => "None".to_owned(),
            "array" => {
                let item = object.get("items").map(|item| self.expression(item, &format!("{name}Entry")));
                format!("list[{}]", item.unwrap_or_else(|| "Any".to_owned()))
            }
            "object" => match object.get("additionalProperties") {
                Some(schema @ Value::Object(_)) => {
                    format!("dict[str, {}]", self.expression(schema, &format!("{name}Value")))
                }
                Some(_) | None => "dict[str, Any]".to_owned(),
            },
            _ => "Any".to_owned(),
        }
    }

    /// `Call`, with the types of each method.
    fn requests(&mut self, messages: &Schemas) {
        let rows = METHODS.iter().map(|info| {
            let row = &messages.methods[info.wire];
            let (params, result) = (named(row, "params"), named(row, "result"));
            let signature = format!(
                "(self, method: Literal[\"{}\"], params: {params}, /) -> Awaitable[{result}]",
                info.wire
            );
            (info.doc, signature)
        });
        self.overloads("Call", "Makes a request; every one that a client can make.", rows);
        for info in CLIENT_NOTIFICATIONS {
            let params = named(&messages.client_notifications[info.wire], "params");
            self.message(info.wire, "Message", info.doc, &format!("    params: {params}\n"));
        }
    }

    /// A class for each notification of the server, their union, and `On`.
    fn notifications(&mut self, messages: &Schemas) {
        let mut names = Vec::new();
        for info in NOTIFICATIONS {
            let params = named(&messages.notifications[info.wire], "params");
            let members = format!(
                "    params: {params}\n    # Unix milliseconds.\n    emittedAtMs: int\n    \
                 seq: NotRequired[int]\n    epoch: NotRequired[int]\n"
            );
            names.push(self.message(info.wire, "Message", info.doc, &members));
        }
        let all = union(names.clone());
        let doc = "A notification of the server. `seq` and `epoch` are for clients that asked for numbers.";
        self.alias("ServerNotification", doc, &all);
        let signature = |wire: &str, name: &str| {
            let listener = format!("Callable[[{name}], object]");
            format!("(self, method: Literal[\"{wire}\"], listener: {listener}, /) -> Callable[[], None]")
        };
        let rows =
            NOTIFICATIONS.iter().zip(&names).map(|(info, name)| (info.doc, signature(info.wire, name)));
        let every = ("Every message.", signature("*", "ServerNotification"));
        let doc = "Calls a listener for each notification of a method; the result ends that.";
        self.overloads("On", doc, rows.chain([every]));
    }

    /// A class for each question of the server, and the unions of questions and of answers.
    fn questions(&mut self, messages: &Schemas) {
        let (mut names, mut answers) = (Vec::new(), Vec::new());
        for info in SERVER_REQUESTS {
            let row = &messages.server_requests[info.wire];
            let members = format!("    id: RequestId\n    params: {}\n", named(row, "params"));
            names.push(self.message(info.wire, "Question", info.doc, &members));
            answers.push(named(row, "result"));
        }
        self.alias("Question", "A request of the server.", &union(names));
        self.alias("QuestionAnswer", "The result of a request of the server.", &union(answers));
    }

    /// Adds the class of a message, and returns its name.
    fn message(&mut self, wire: &str, kind: &str, doc: &str, members: &str) -> String {
        let name = format!("{}{kind}", camel(wire));
        let doc = docstring(doc);
        let method = format!("    method: Literal[\"{wire}\"]\n");
        self.text.push_str(&format!("\nclass {name}(TypedDict):\n{doc}{method}{members}"));
        name
    }

    /// A function whose types depend on its first argument.
    fn overloads(&mut self, name: &str, doc: &str, rows: impl Iterator<Item = (&'static str, String)>) {
        self.text.push_str(&format!("\nclass {name}(Protocol):\n{}", docstring(doc)));
        for (doc, signature) in rows {
            let comment = comment(doc, "    ");
            self.text.push_str(&format!("{comment}    @overload\n    def __call__{signature}: ...\n"));
        }
    }
}

/// The words of `data.reason`, each with its cause.
fn reasons() -> String {
    let rows = REASONS.iter().map(|(reason, cause)| format!("{}    \"{reason}\",\n", comment(cause, "    ")));
    let rows: String = rows.collect();
    format!("\n# Every `data.reason` of an error of this version.\nReason: TypeAlias = Literal[\n{rows}]\n")
}

/// The members of an object's own.
fn members(object: &Map<String, Value>) -> Members<'_> {
    let required: Vec<&str> = match object.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    let properties = object.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties.map(|(name, schema)| (&**name, (schema, required.contains(&&**name)))).collect()
}

fn choices(object: &Map<String, Value>) -> Vec<&Value> {
    let lists = ["oneOf", "anyOf"].into_iter().filter_map(|key| object.get(key).and_then(Value::as_array));
    lists.flatten().collect()
}

/// Each of `left` together with each of `right`.
fn product<'a>(left: &[Members<'a>], right: &[Members<'a>]) -> Vec<Members<'a>> {
    let both = |one: &Members<'a>, other: &Members<'a>| {
        one.iter().chain(other).map(|(key, member)| (*key, *member)).collect()
    };
    left.iter().flat_map(|one| right.iter().map(move |other| both(one, other))).collect()
}

/// The end of the name of a choice: its constant, else its first member, else its number.
fn suffix(choice: &Value, at: usize) -> String {
    let members = choice.as_object().map(members).unwrap_or_default();
    let word = constant(&members).or_else(|| members.keys().next().copied());
    word.map_or_else(|| (at + 1).to_string(), camel)
}

/// The end of the name of a variant: what distinguishes it from the others.
fn distinction(variants: &[Members<'_>], at: usize) -> String {
    let others = || variants.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, members)| members);
    let word = constant(&variants[at]).filter(|word| others().all(|other| constant(other) != Some(*word)));
    let own = || variants[at].keys().copied().find(|key| others().all(|other| !other.contains_key(key)));
    word.or_else(own).map_or_else(|| (at + 1).to_string(), camel)
}

/// The text that a member always has.
fn constant<'a>(members: &Members<'a>) -> Option<&'a str> {
    members.values().find_map(|(schema, _)| schema.get("const").and_then(Value::as_str))
}

/// The name of the type of a row; each is in the flat list.
fn named(row: &Value, member: &str) -> String {
    row[member].get("$ref").and_then(Value::as_str).unwrap_or("Any").to_owned()
}

fn literal(values: &[&Value]) -> String {
    let word = |value: &&Value| match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other @ (Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    };
    if let [Value::Null] = values {
        return "None".to_owned();
    }
    format!("Literal[{}]", values.iter().map(word).collect::<Vec<_>>().join(", "))
}

/// A union without duplicates.
fn union(parts: Vec<String>) -> String {
    let mut seen = BTreeSet::new();
    parts.into_iter().filter(|part| seen.insert(part.clone())).collect::<Vec<_>>().join(" | ")
}

/// The names in a type.
fn words(found: &str) -> impl Iterator<Item = &str> {
    found.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// A type in quotes, so that it may name types that come later.
fn quoted(found: &str) -> String {
    format!("'{found}'")
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.starts_with("__")
        && !KEYWORDS.contains(&name)
}

/// `item/agentMessage/delta` is `ItemAgentMessageDelta`.
fn camel(wire: &str) -> String {
    let words = wire.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..])).collect()
}

fn comment(text: &str, indent: &str) -> String {
    text.trim().lines().map(|line| format!("{}\n", format!("{indent}# {}", line.trim()).trim_end())).collect()
}

fn docstring(text: &str) -> String {
    let text = text.trim().replace('\\', "\\\\").replace("\"\"\"", "'''");
    let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    match &lines[..] {
        [] => String::new(),
        [line] => format!("    \"\"\"{line}\"\"\"\n\n"),
        lines => format!("    \"\"\"{}\n    \"\"\"\n\n", lines.join("\n    ").replace("    \n", "\n")),
    }
}
