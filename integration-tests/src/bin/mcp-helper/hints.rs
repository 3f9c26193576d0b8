//! Tools that say something of themselves, and one that answers as it is told.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{answer, say};

/// How often a tool of this room has done something.
static DONE: AtomicU64 = AtomicU64::new(0);

/// As `tools/list` has them.
pub(crate) fn tools() -> Vec<Value> {
    let tool = |name: &str, description: &str, annotations: Value| {
        json!({
            "name": name, "title": name.to_uppercase(), "description": description, "annotations": annotations,
            "inputSchema": { "type": "object", "properties": {} },
        })
    };
    vec![
        tool("destroy", "Counts, and says that it destroys.", json!({ "destructiveHint": true })),
        tool("change", "Counts, and says that it does not only read.", json!({ "readOnlyHint": false })),
        tool("look", "Answers with the count, and says that it only reads.", json!({ "readOnlyHint": true })),
        tool("result", "Answers with its argument `result` as it is.", json!({ "readOnlyHint": true })),
    ]
}

/// Whether the tool is one of this room; then it is answered.
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
        "result" => {
            answer(id, &arguments["result"]);
            true
        }
        _ => false,
    }
}
