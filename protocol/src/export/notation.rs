//! Prints a schema as a readable line: `{id: string; name?: string or null}`. A field with `?` is optional.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

pub(super) fn line(schema: &Value) -> String {
    let Some(object) = schema.as_object() else { return "any".to_owned() };
    let mut parts = Vec::new();
    if let Some(name) = object.get("$ref").and_then(Value::as_str) {
        parts.push(name.rsplit('/').next().unwrap_or(name).to_owned());
    }
    if let Some(Value::Object(_)) = object.get("properties") {
        parts.push(members(object));
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(Value::Array(choices)) = object.get(key) {
            parts.push(choice(choices, parts.is_empty()));
        }
    }
    if let Some(Value::Array(all)) = object.get("allOf") {
        parts.extend(all.iter().map(line));
    }
    if parts.is_empty() { simple(object) } else { parts.join(" & ") }
}

/// The fields of an object schema: name, type, and whether the field is always there.
pub(super) fn fields(schema: &Value) -> Vec<(&str, String, bool)> {
    let Some(Value::Object(properties)) = schema.get("properties") else { return Vec::new() };
    let required = required(schema);
    properties.iter().map(|(name, schema)| (&**name, line(schema), required.contains(&**name))).collect()
}

fn required(schema: &Value) -> BTreeSet<&str> {
    let names = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(Value::as_str).collect()
}

fn members(object: &Map<String, Value>) -> String {
    let schema = Value::Object(object.clone());
    let members: Vec<String> = fields(&schema)
        .into_iter()
        .map(|(name, line, always)| format!("{name}{}: {line}", if always { "" } else { "?" }))
        .collect();
    format!("{{{}}}", members.join("; "))
}

fn choice(choices: &[Value], alone: bool) -> String {
    let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
    let named: Vec<String> = choices
        .iter()
        .filter(|schema| !is_null(schema))
        .map(line)
        .map(|line| if line.contains(" & ") { format!("({line})") } else { line })
        .collect();
    let text = named.join(" | ");
    let text = if !alone && named.len() > 1 { format!("({text})") } else { text };
    if named.len() < choices.len() { format!("{text} or null") } else { text }
}

fn simple(object: &Map<String, Value>) -> String {
    if let Some(value) = object.get("const") {
        return value.to_string();
    }
    if let Some(Value::Array(words)) = object.get("enum") {
        return words.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    match object.get("type") {
        Some(Value::String(name)) => typed(name, object),
        Some(Value::Array(names)) => {
            let nullable = names.iter().any(|name| name == "null");
            let named: Vec<String> = names
                .iter()
                .filter_map(Value::as_str)
                .filter(|name| *name != "null")
                .map(|name| typed(name, object))
                .collect();
            format!("{}{}", named.join(" | "), if nullable { " or null" } else { "" })
        }
        _ => "any".to_owned(),
    }
}

fn typed(name: &str, object: &Map<String, Value>) -> String {
    match name {
        "integer" => object.get("format").and_then(Value::as_str).unwrap_or("integer").to_owned(),
        "array" => {
            let item = object.get("items").map_or_else(|| "any".to_owned(), line);
            if item.contains(' ') { format!("({item})[]") } else { format!("{item}[]") }
        }
        "object" => match object.get("additionalProperties") {
            Some(Value::Bool(false)) => "{}".to_owned(),
            Some(schema) => format!("map<{}>", line(schema)),
            None => "{}".to_owned(),
        },
        other => other.to_owned(),
    }
}
