//! The form of `config.toml`, made from the structs that read it: a JSON Schema for editors, and a file that says every
//! default.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::helpers::HelperEntry;
use super::providers::ProviderTable;
use super::{ContextOverride, EveryModel, Overrides, ServerConfig, ThreadConfig, shown};

/// The widest line of a comment in the file.
const COLUMNS: usize = 100;

/// Every key of the file.
#[derive(JsonSchema)]
#[schemars(title = "The settings of Skein")]
#[expect(dead_code, reason = "only its keys are asked for")]
struct SettingsForm {
    #[serde(flatten)]
    server: ServerConfig,
    #[serde(flatten)]
    of_threads: Overrides,
    #[serde(flatten)]
    thread: ThreadConfig,
    #[serde(flatten)]
    context: ContextOverride,
    #[serde(flatten)]
    every_model: EveryModel,
    /// Helpers (MCP servers) of every thread, by name.
    mcp_servers: BTreeMap<String, HelperEntry>,
    /// Providers of models over HTTP, by name.
    model_providers: BTreeMap<String, ProviderTable>,
    /// The name of the profile that is laid over the other settings.
    profile: Option<String>,
    /// Settings by the name of their profile.
    #[schemars(schema_with = "profiles")]
    profiles: BTreeMap<String, Value>,
}

fn profiles(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "$ref": "#" } })
}

/// The JSON Schema of the file (draft 7, which editors of TOML read).
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<SettingsForm>().to_value();
    // A missing key stands for its default.
    let defaults = shown::in_force(&ServerConfig::default());
    trim(&mut schema, Some(&Value::Object(defaults)));
    schema
}

/// Takes out what stands for a type of Rust, and puts in the defaults of a setting.
fn trim(form: &mut Value, default: Option<&Value>) {
    if let Some(Value::Array(forms)) = form.get_mut("anyOf") {
        forms.retain(|form| form["type"] != "null");
    }
    if let Some(Value::Array(words)) = form.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let Some(members) = form.as_object_mut() else { return };
    for unused in ["required", "format", "default"] {
        members.remove(unused);
    }
    if let Some(kind) = members.get_mut("type")
        && let Some(named) = kind.as_array().and_then(|kinds| kinds.iter().find(|kind| *kind != "null"))
    {
        *kind = named.clone();
    }
    if let Some(default) = default.filter(|default| !default.is_object() && !default.is_null()) {
        members.insert("default".to_owned(), default.clone());
    }
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        for (key, inner) in properties {
            trim(inner, default.and_then(|table| table.get(key)));
        }
    }
    for form in members.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
        trim(form, None);
    }
    if let Some(inner) = members.get_mut("additionalProperties") {
        trim(inner, None);
    }
}

/// A file of settings that changes nothing: each setting is a comment with its default, or with an example where it has none.
/// `schema` is the path of the schema, from the file.
pub fn commented(schema: &str) -> String {
    let form = self::schema();
    let mut text = format!("#:schema {schema}\n");
    let head = "The settings of Skein. A line that begins with # and a key has the default of the setting, or an example if it \
                has no default: take the # away and write what you want. `skein config check` finds mistakes.";
    comment(&mut text, head);
    tables(&mut text, "", &form);
    text
}

/// The keys of a table, then the tables in it.
fn tables(text: &mut String, path: &str, form: &Value) {
    let all = || form["properties"].as_object().into_iter().flatten();
    for (key, form) in all().filter(|(_, form)| !is_table(form)) {
        text.push('\n');
        comment(text, form["description"].as_str().unwrap_or_default());
        let value = form.get("default").cloned().unwrap_or_else(|| example(form));
        // Every value of JSON but null has a form in TOML.
        let value = toml::Value::try_from(value).map(|value| value.to_string()).unwrap_or_default();
        text.push_str(&format!("#{key} = {value}\n"));
    }
    for (key, form) in all().filter(|(_, form)| is_table(form)) {
        let (named, form) = match form.get("additionalProperties") {
            Some(entry) => (".NAME", entry),
            None => ("", form),
        };
        let path = if path.is_empty() { format!("{key}{named}") } else { format!("{path}.{key}{named}") };
        text.push('\n');
        comment(text, form["description"].as_str().unwrap_or_default());
        // A table with a name that nobody chose would count.
        let mark = if path.contains("NAME") { "#" } else { "" };
        text.push_str(&format!("{mark}[{path}]\n"));
        tables(text, &path, form);
    }
}

fn is_table(form: &Value) -> bool {
    form.get("properties").is_some()
        || form.get("additionalProperties").is_some_and(|entry| entry["type"] != "string")
            && form["type"] == "object"
}

/// A value that fits.
fn example(form: &Value) -> Value {
    if let Some(value) = form["examples"].get(0).or(form.get("const")).or(form["enum"].get(0)) {
        return value.clone();
    }
    if let Some(inner) = form["oneOf"].get(0).or(form["anyOf"].get(0)) {
        return example(inner);
    }
    match form["type"].as_str() {
        Some("integer" | "number") => form.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        Some("boolean") => true.into(),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => serde_json::json!({ "NAME": "..." }),
        Some(_) | None => "...".into(),
    }
}

/// A text in lines of comments.
fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
