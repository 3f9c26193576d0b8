//! The settings of a home for a stranger. The masks of `skein_config::shown` hide what is a secret by its key; here what may be
//! one goes, too: arguments of helpers, and texts that the user wrote for a model.

use std::path::Path;

use serde_json::{Map, Value, json};
use skein_base::masks::{MASK, shown_text};
use skein_config::{Flags, LayerSource, ServerConfig};

/// The longest text of a setting, in characters.
const WIDTH: usize = 200;

pub(super) fn shown(root: &Path) -> String {
    let flags = Flags { home: Some(root.to_owned()), ..Flags::default() };
    let config = match ServerConfig::load(&flags) {
        Ok(config) => config,
        // The errors quote values.
        Err(errors) => return format!("they cannot be used:\n{}", shown_text(&errors.to_string())),
    };
    let in_file = config.layers.iter().find(|layer| matches!(layer.source, LayerSource::File(_)));
    match in_file {
        Some(layer) => format!("{:#}", for_others(&[], &Value::Object(layer.settings.clone()))),
        None => "there is no config.toml: all are the defaults".to_owned(),
    }
}

fn for_others(path: &[&str], value: &Value) -> Value {
    match (path, value) {
        (["mcp_servers", _, "args"], Value::Array(args)) => args.iter().map(argument).collect(),
        (_, Value::Object(members)) => {
            let member = |(key, value): (&String, _)| {
                (key.clone(), for_others(&[path, &[key.as_str()]].concat(), value))
            };
            Value::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
        (_, Value::Array(values)) => values.iter().map(|value| for_others(path, value)).collect(),
        ([.., key], Value::String(text)) if is_written_for_a_model(key, text) => {
            json!(format!("{MASK} ({} characters)", text.chars().count()))
        }
        (_, Value::String(text)) => json!(shown_text(text)),
        (_, value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => value.clone(),
    }
}

fn is_written_for_a_model(key: &str, text: &str) -> bool {
    key.ends_with("instructions")
        || key.ends_with("prompt")
        || text.contains('\n')
        || text.chars().count() > WIDTH
}

/// The name of a flag, or a package of npm; no rule tells which of the others is a secret.
fn argument(arg: &Value) -> Value {
    let text = arg.as_str().unwrap_or_default();
    let name = text.split(['=', ':']).next().unwrap_or_default();
    let is_package = text.starts_with('@') && text.contains('/') && !text.contains([':', '=']);
    let is_flag = text.starts_with('-') && shown_text(name) == name;
    match () {
        () if is_package => json!(text),
        () if is_flag && name == text => json!(text),
        () if is_flag => json!(format!("{name}={MASK}")),
        () => json!(MASK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_arguments_only_flags_and_packages_are_shown() {
        let home = tempfile::tempdir().unwrap();
        let text = r#"
            model = "gpt-5"
            developer_instructions = "the door code is hunter2"
            [mcp_servers.a]
            command = "npx"
            args = ["-y", "@scope/server@1.2.3", "hunter2", "--key=abc", "--root", "/srv"]
            env = { TOKEN = "abc" }
        "#;
        std::fs::write(home.path().join("config.toml"), text).unwrap();
        let shown: Value = serde_json::from_str(&shown(home.path())).unwrap();
        let helper = &shown["mcp_servers"]["a"];
        let args = json!(["-y", "@scope/server@1.2.3", "***", "--key=***", "--root", "***"]);
        assert_eq!((&helper["args"], &helper["env"]), (&args, &json!({ "TOKEN": "***" })));
        assert_eq!((&shown["model"], &helper["command"]), (&json!("gpt-5"), &json!("npx")));
        assert_eq!(shown["developer_instructions"], "*** (24 characters)");
    }
}
