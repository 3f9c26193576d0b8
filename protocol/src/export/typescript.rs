//! The tables as TypeScript types.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{flat::Flat, schema::Schemas};
use crate::{
    methods::{CLIENT_NOTIFICATIONS, METHODS},
    notifications::NOTIFICATIONS,
    reasons::REASONS,
    server_requests::SERVER_REQUESTS,
};

const HEAD: &str = r"// Written by scripts/generate from protocol/src; do not edit.
//
// The messages of Skein's websocket, one in each text frame. Types only: nothing of this file is left at run time.
// A type whose name ends in `Param` is one as clients send it, where the server sends it with more.
";

const MESSAGES: &str = r#"
/** A request of a client. */
export type ClientRequest = {
  [M in keyof Methods]: { id: RequestId; method: M; params: Methods[M]["params"] };
}[keyof Methods];

/** A notification of a client. */
export type ClientNotification = {
  [N in keyof ClientNotifications]: { method: N; params: ClientNotifications[N] };
}[keyof ClientNotifications];

/** A notification of the server. `seq` and `epoch` are for clients that asked for numbers. */
export type ServerNotification = {
  [N in keyof Notifications]: {
    method: N;
    params: Notifications[N];
    /** Unix milliseconds. */
    emittedAtMs: number;
    seq?: number;
    epoch?: number;
  };
}[keyof Notifications];

/** A request of the server. */
export type ServerRequest = {
  [R in keyof ServerRequests]: { id: RequestId; method: R; params: ServerRequests[R]["params"] };
}[keyof ServerRequests];

/** The answer to a request, of either side. The id is null where the request could not be read. */
export type Answer<Result> = { id: RequestId; result: Result } | { id: RequestId | null; error: WireError };
"#;

/// The types of all messages, as a module that ends in a line break; deterministic.
pub fn typescript() -> String {
    let flat = Flat::new(Schemas::new(), "");
    let mut module = HEAD.to_owned();
    let messages = &flat.messages;
    let pair =
        |row: &Value| format!("{{ params: {}; result: {} }}", name(row, "params"), name(row, "result"));
    let params = |row: &Value| name(row, "params");
    let rows = METHODS.iter().map(|info| (info.wire, info.doc, pair(&messages.methods[info.wire])));
    map(&mut module, "Methods", "Every request that a client can make.", rows);
    let rows = CLIENT_NOTIFICATIONS
        .iter()
        .map(|info| (info.wire, info.doc, params(&messages.client_notifications[info.wire])));
    map(&mut module, "ClientNotifications", "Every notification that a client can send.", rows);
    let rows =
        NOTIFICATIONS.iter().map(|info| (info.wire, info.doc, params(&messages.notifications[info.wire])));
    map(&mut module, "Notifications", "Everything that the server tells without being asked.", rows);
    let rows =
        SERVER_REQUESTS.iter().map(|info| (info.wire, info.doc, pair(&messages.server_requests[info.wire])));
    map(&mut module, "ServerRequests", "Every question that the server asks a client.", rows);
    module.push_str(MESSAGES);
    reasons(&mut module);
    for (name, schema) in &flat.types {
        module.push('\n');
        comment(&mut module, schema, "");
        module.push_str(&format!("export type {name} = {};\n", print(schema, "")));
    }
    module
}

/// The words of `data.reason`, each with its cause.
fn reasons(module: &mut String) {
    module.push_str("\n/** Every `data.reason` of an error of this version. */\nexport type Reason =\n");
    for (reason, cause) in REASONS {
        comment_text(module, cause, "  ");
        module.push_str(&format!("  | \"{reason}\"\n"));
    }
    module.truncate(module.len() - 1);
    module.push_str(";\n");
}

/// A type with a member for each row: wire name, documentation, type.
fn map(
    module: &mut String,
    name: &str,
    doc: &str,
    rows: impl Iterator<Item = (&'static str, &'static str, String)>,
) {
    module.push_str(&format!("\n/** {doc} */\nexport type {name} = {{\n"));
    for (wire, doc, content) in rows {
        comment_text(module, doc, "  ");
        module.push_str(&format!("  \"{wire}\": {content};\n"));
    }
    module.push_str("};\n");
}

fn name(row: &Value, member: &str) -> String {
    print(&row[member], "  ")
}

/// The description of `schema` as a comment.
fn comment(module: &mut String, schema: &Value, indent: &str) {
    if let Some(text) = schema.get("description").and_then(Value::as_str) {
        comment_text(module, text, indent);
    }
}

fn comment_text(module: &mut String, text: &str, indent: &str) {
    let text = text.trim().replace("*/", "*\\/");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    if let [line] = lines[..] {
        return module.push_str(&format!("{indent}/** {line} */\n"));
    }
    module.push_str(&format!("{indent}/**\n"));
    for line in lines {
        module.push_str(format!("{indent} * {line}").trim_end());
        module.push('\n');
    }
    module.push_str(&format!("{indent} */\n"));
}

/// A schema as a type. Lines after the first begin with `indent`.
fn print(schema: &Value, indent: &str) -> String {
    let Some(object) = schema.as_object() else { return "unknown".to_owned() };
    let mut parts = Vec::new();
    if let Some(name) = object.get("$ref").and_then(Value::as_str) {
        parts.push(name.to_owned());
    }
    if let Some(Value::Object(properties)) = object.get("properties") {
        parts.push(members(object, properties, indent));
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(Value::Array(choices)) = object.get(key) {
            parts.push(union(choices.iter().map(|choice| print(choice, indent))));
        }
    }
    match parts.len() {
        0 => simple(object, indent),
        1 => parts.remove(0),
        _ => parts.iter().map(|part| grouped(part)).collect::<Vec<_>>().join(" & "),
    }
}

fn members(object: &Map<String, Value>, properties: &Map<String, Value>, indent: &str) -> String {
    let required: Vec<&str> = match object.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    if properties.is_empty() {
        return empty(object, indent);
    }
    let inner = format!("{indent}  ");
    let mut text = "{\n".to_owned();
    for (name, schema) in properties {
        comment(&mut text, schema, &inner);
        let mark = if required.contains(&name.as_str()) { "" } else { "?" };
        text.push_str(&format!("{inner}{}{mark}: {};\n", key(name), print(schema, &inner)));
    }
    text.push_str(&format!("{indent}}}"));
    text
}

/// The name of a member, quoted if TypeScript requires it.
fn key(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$');
    if plain && !name.starts_with(|c: char| c.is_ascii_digit()) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

/// A union without duplicates.
fn union(choices: impl Iterator<Item = String>) -> String {
    let mut seen = BTreeSet::new();
    choices.filter(|choice| seen.insert(choice.clone())).collect::<Vec<_>>().join(" | ")
}

/// A type inside another one: operators outside braces get parentheses.
fn grouped(text: &str) -> String {
    let mut depth = 0_usize;
    for letter in text.chars() {
        match letter {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            '|' | '&' if depth == 0 => return format!("({text})"),
            _ => {}
        }
    }
    text.to_owned()
}

fn simple(object: &Map<String, Value>, indent: &str) -> String {
    if let Some(value) = object.get("const") {
        return value.to_string();
    }
    if let Some(Value::Array(words)) = object.get("enum") {
        return union(words.iter().map(Value::to_string));
    }
    match object.get("type") {
        Some(Value::String(name)) => typed(name, object, indent),
        Some(Value::Array(names)) => {
            union(names.iter().filter_map(Value::as_str).map(|name| typed(name, object, indent)))
        }
        Some(_) | None => "unknown".to_owned(),
    }
}

fn typed(name: &str, object: &Map<String, Value>, indent: &str) -> String {
    match name {
        "integer" => "number".to_owned(),
        "array" => {
            let item = object.get("items").map_or_else(|| "unknown".to_owned(), |item| print(item, indent));
            format!("{}[]", grouped(&item))
        }
        "object" => empty(object, indent),
        other => other.to_owned(),
    }
}

/// An object without named members.
fn empty(object: &Map<String, Value>, indent: &str) -> String {
    match object.get("additionalProperties") {
        Some(Value::Bool(false)) => "Record<string, never>".to_owned(),
        Some(schema @ Value::Object(_)) => format!("{{ [key: string]: {} }}", print(schema, indent)),
        Some(_) | None => "{ [key: string]: unknown }".to_owned(),
    }
}
