//! Tools with annotations, among them one that writes and one that answers with its argument.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{answer, result, say};

/// Number of calls of the counting tools.
static DONE: AtomicU64 = AtomicU64::new(0);

/// The tools, as in `tools/list`.
pub(crate) fn tools() -> Vec<Value> {
    let tool = |name: &str, description: &str, annotations: Value| {
        json!({
            "name": name, "title": name.to_uppercase(), "description": description, "annotations": annotations,
            "inputSchema": { "type": "object", "properties": {} },
        })
    };
    vec![
        tool("destroy", "Counts, and declares that it destroys.", json!({ "destructiveHint": true })),
        tool("change", "Counts, and declares that it does not only read.", json!({ "readOnlyHint": false })),
        tool(
            "look",
            "Answers with the count, and declares that it only reads.",
            json!({ "readOnlyHint": true }),
        ),
        tool(
            "append",
            "Appends a line to the file at its argument `path`.",
            json!({ "readOnlyHint": false }),
        ),
        tool("result", "Answers with its argument `result` unchanged.", json!({ "readOnlyHint": true })),
    ]
}

/// Answers the call if the tool belongs to this module. Returns whether it does.
pub(crate) fn call(id: &Value, tool: &str, arguments: &Value) -> bool {
    match tool {
        "destroy" | "change" => {
            say(id, &format!("done {}", DONE.fetch_add(1, Ordering::Relaxed) + 1));
            true
        }
        "look" => {
            say(id, &format!("seen {}", DONE.load(Ordering::Relaxed)));
            true
        }
        "append" => {
            match append(arguments["path"].as_str().unwrap_or_default()) {
                Ok(()) => say(id, "appended"),
                Err(error) => result(id, &error.to_string(), true),
            }
            true
        }
        "result" => {
            answer(id, &arguments["result"]);
            true
        }
        _ => false,
    }
}

fn append(path: &str) -> io::Result<()> {
    std::fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(b"one call\n")
}
