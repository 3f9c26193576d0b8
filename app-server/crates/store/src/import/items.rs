//! Converts items of the peer's rollouts. Pure: JSON in, an item out, or nothing for an unknown kind.

use serde_json::{Map, Value, json};
use skein_protocol::item::ThreadItem;
use skein_protocol::turn::UserInput;

/// The item of an `item_completed`, or of an older event in that form. `None` for an unknown kind or shape.
pub(crate) fn item(told: &Value) -> Option<ThreadItem> {
    let told = told.as_object()?;
    let kind = told.get("type")?.as_str()?;
    let mut item: Map<String, Value> =
        told.iter().map(|(name, value)| (camel(name), value.clone())).collect();
    item.insert("type".to_owned(), lower_first(kind).into());
    for word in ["status", "source"] {
        if let Some(Value::String(text)) = item.get_mut(word) {
            *text = camel(text);
        }
    }
    if let Some(ms) = item.remove("duration").as_ref().and_then(milliseconds) {
        item.insert("durationMs".to_owned(), ms.into());
    }
    match kind {
        "UserMessage" => put(&mut item, "content", json!(inputs(told.get("content")))),
        "AgentMessage" => put(&mut item, "text", texts(told.get("content")).concat().into()),
        "Reasoning" => {
            put(&mut item, "summary", texts(told.get("summary_text")).into());
            put(&mut item, "content", texts(told.get("raw_content")).into());
        }
        "CommandExecution" => command(told, &mut item),
        "FileChange" => put(&mut item, "changes", changes(told.get("changes"))),
        "WebSearch" => search(&mut item),
        _ => {}
    }
    serde_json::from_value(Value::Object(item)).ok()
}

/// The user's input, without unknown pieces.
pub(crate) fn inputs(content: Option<&Value>) -> Vec<UserInput> {
    let pieces = content.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    pieces.iter().filter_map(input).collect()
}

fn input(piece: &Value) -> Option<UserInput> {
    let kind = piece.get("type")?.as_str()?;
    if let ("input_text" | "text", Some(text)) = (kind, text_of(piece)) {
        let known = serde_json::from_value(piece.clone());
        return Some(known.unwrap_or_else(|_| UserInput::text(text)));
    }
    let url = piece.get("image_url").or_else(|| piece.get("audio_url")).or_else(|| piece.get("url"));
    let ours = match kind {
        "input_image" | "image" => json!({ "type": "image", "url": url? }),
        "input_audio" | "audio" => json!({ "type": "audio", "url": url? }),
        "local_image" => json!({ "type": "localImage", "path": piece.get("path")? }),
        "local_audio" => json!({ "type": "localAudio", "path": piece.get("path")? }),
        _ => piece.clone(),
    };
    serde_json::from_value(ours).ok()
}

/// The texts of a list of texts or text pieces.
pub(crate) fn texts(list: Option<&Value>) -> Vec<String> {
    match list {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(pieces)) => pieces.iter().filter_map(text_of).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn text_of(piece: &Value) -> Option<&str> {
    piece.as_str().or_else(|| piece.get("text")?.as_str())
}

/// The output of a tool call, as text.
pub(crate) fn output(output: &Value) -> String {
    let content = if output.is_object() { output.get("content") } else { Some(output) };
    texts(content).join("\n")
}

fn command(told: &Map<String, Value>, item: &mut Map<String, Value>) {
    let words = texts(told.get("command"));
    let line = if told.get("command").is_some_and(Value::is_string) { words.concat() } else { shell(&words) };
    item.remove("parsedCmd");
    let actions = told.get("parsed_cmd").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let actions: Vec<Value> = actions.iter().filter_map(|action| known_action(action, &line)).collect();
    put(item, "command", line.into());
    put(item, "commandActions", actions.into());
    let folder = told.get("cwd").and_then(Value::as_str).unwrap_or_default();
    put(item, "cwd", folder.strip_prefix("file://").unwrap_or(folder).into());
}

fn known_action(action: &Value, line: &str) -> Option<Value> {
    let mut action: Map<String, Value> =
        action.as_object()?.iter().map(|(name, value)| (camel(name), value.clone())).collect();
    let kind = action.get("type").and_then(Value::as_str).map(camel)?;
    let command = action.remove("cmd").unwrap_or_else(|| line.into());
    put(&mut action, "type", kind.into());
    put(&mut action, "command", command);
    Some(Value::Object(action))
}

/// A list of changes from a map by path.
fn changes(told: Option<&Value>) -> Value {
    let Some(by_path) = told.and_then(Value::as_object) else { return told.cloned().unwrap_or(json!([])) };
    let one = |(path, change): (&String, &Value)| {
        let text = |name: &str| change.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, diff) = match change.get("type").and_then(Value::as_str) {
            Some("add") => (json!({ "type": "add" }), text("content")),
            Some("delete") => (json!({ "type": "delete" }), text("content")),
            _ => {
                let moved = change.get("move_path").cloned().unwrap_or_default();
                (json!({ "type": "update", "move_path": moved }), text("unified_diff"))
            }
        };
        json!({ "path": path, "kind": kind, "diff": diff })
    };
    by_path.iter().map(one).collect()
}

fn search(item: &mut Map<String, Value>) {
    item.entry("query").or_insert_with(|| "".into());
    let Some(Value::Object(action)) = item.get_mut("action") else { return };
    if let Some(Value::String(kind)) = action.get_mut("type") {
        *kind = camel(kind);
    }
}

fn put(item: &mut Map<String, Value>, name: &str, value: Value) {
    item.insert(name.to_owned(), value);
}

/// `{"secs", "nanos"}` in milliseconds.
fn milliseconds(duration: &Value) -> Option<i64> {
    let seconds = duration.get("secs")?.as_i64()?;
    let nanos = duration.get("nanos").and_then(Value::as_i64).unwrap_or_default();
    Some(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000))
}

/// `snake_case` or `kebab-case` as `camelCase`.
pub(crate) fn camel(name: &str) -> String {
    let mut words = name.split(['_', '-']);
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

/// Joins words into a line that a shell splits into the same words.
pub(crate) fn shell(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty()
            && word.chars().all(|sign| sign.is_ascii_alphanumeric() || "@%+=:,./-_".contains(sign))
    };
    let quoted = words
        .iter()
        .map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use skein_protocol::item::ThreadItemBody;

    use super::*;

    #[test]
    fn words_become_a_line_that_a_shell_reads_as_these_words() {
        let words = ["/bin/bash", "-lc", "echo 'a b'", ""].map(str::to_owned);
        assert_eq!(shell(&words), r"/bin/bash -lc 'echo '\''a b'\''' ''");
        assert_eq!(camel("unified_exec_startup"), "unifiedExecStartup");
        assert_eq!(camel("danger-full-access"), "dangerFullAccess");
    }

    #[test]
    fn a_command_and_a_patch_keep_what_they_did() {
        let told = json!({"type": "CommandExecution", "id": "c", "command": ["ls", "-a b"], "cwd": "file:///w",
            "parsed_cmd": [{"type": "list_files", "cmd": "ls", "path": null}], "source": "unified_exec_startup",
            "status": "failed", "aggregated_output": "x", "exit_code": 3, "duration": {"secs": 1, "nanos": 2_000_000}});
        let Some(ThreadItemBody::CommandExecution(command)) = item(&told).map(|item| item.body) else {
            panic!("no command")
        };
        assert_eq!(
            (command.command.as_str(), command.exit_code, command.duration_ms),
            ("ls '-a b'", Some(3), Some(1_002))
        );
        let told = json!({"type": "FileChange", "id": "p", "status": "in_progress",
            "changes": {"/w/a": {"type": "add", "content": "hello"}, "/w/b": {"type": "update", "unified_diff": "@@", "move_path": "/w/c"}}});
        let Some(ThreadItemBody::FileChange(change)) = item(&told).map(|item| item.body) else {
            panic!("no change")
        };
        assert_eq!(
            change.changes.iter().map(|change| change.diff.as_str()).collect::<Vec<_>>(),
            ["hello", "@@"]
        );
    }

    #[test]
    fn what_we_have_no_item_for_is_none() {
        for told in
            [json!(null), json!({"type": "FromTheFuture", "id": "x"}), json!({"type": "AgentMessage"})]
        {
            assert_eq!(item(&told), None, "{told}");
        }
    }
}
