//! Tools with annotations, and a tool that answers with its argument.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::{answer, say};

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
        "result" => {
            answer(id, &arguments["result"]);
            true
        }
        _ => false,
    }
}
