//! Questions of this helper in revision 2026-07-28. The revision has no requests to the client: the answer to
//! a call holds the questions, and the client repeats the call with the replies. The helper keeps no state;
//! it sends its state along.

use serde_json::{Value, json};

use super::{Tool, answer, asks, result, say, send};

/// Tools of this module. No other revision has them.
pub(crate) const TOOLS: &[Tool] = &[(
    "rounds",
    "Needs this many more calls before it answers: every second one with the roots, the others without input.",
    Some(("count", "integer")),
)];

/// A correct client sends this state back with the answers.
const STATE: &str = "what was asked, \u{fc}";

/// Calls a tool of this revision; `false` if it has no tool of that name.
pub(crate) fn call(id: &Value, params: &Value) -> bool {
    let arguments = &params["arguments"];
    match params["name"].as_str().unwrap_or_default() {
        "ask" => ask(id, params, |inputs| say(id, &inputs["asked"].to_string())),
        "ask_many" => match params["inputResponses"].as_object() {
            Some(inputs) => say(id, &json!(inputs).to_string()),
            None => {
                let count = arguments["count"].as_u64().unwrap_or_default();
                let form = |number| ask_for(&asks::form(&format!("question {number}")));
                let all = (0..count).map(|number| (format!("q{number}"), form(number)));
                want(id, &Value::Object(all.collect()), STATE);
            }
        },
        "rounds" => rounds(id, params),
        _ => return false,
    }
    true
}

/// Reads the resource that first asks a question; `false` for any other.
pub(crate) fn read(id: &Value, params: &Value) -> bool {
    let uri = &params["uri"];
    if uri != "memo://asked" {
        return false;
    }
    if params["inputResponses"].is_null() {
        want(id, &json!({ "asked": ask_for(&asks::form("Who reads?")) }), STATE);
    } else {
        let text = params["inputResponses"]["asked"].to_string();
        answer(
            id,
            &json!({ "contents": [{ "uri": uri, "text": text }], "ttlMs": 0, "cacheScope": "private" }),
        );
    }
    true
}

fn ask(id: &Value, params: &Value, then: impl FnOnce(&Value)) {
    if params["inputResponses"].is_null() {
        want(id, &json!({ "asked": params["arguments"]["request"] }), STATE);
    } else if params["requestState"] == STATE {
        then(&params["inputResponses"]);
    } else {
        result(id, &format!("{} is not the state that I sent", params["requestState"]), true);
    }
}

fn rounds(id: &Value, params: &Value) {
    let state = params["requestState"].as_str().and_then(|state| state.parse().ok());
    let left: u64 = state.or(params["arguments"]["count"].as_u64()).unwrap_or_default();
    let token = &params["_meta"]["progressToken"];
    let about = json!({ "progressToken": token, "progress": 1, "message": format!("{left} left") });
    send(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": about }));
    match left {
        0 => say(id, &params["inputResponses"].to_string()),
        odd if odd % 2 == 1 => {
            want(id, &json!({ "roots": { "method": "roots/list" } }), &(left - 1).to_string())
        }
        _ => want(id, &Value::Null, &(left - 1).to_string()),
    }
}

fn ask_for(form: &Value) -> Value {
    json!({ "method": "elicitation/create", "params": form })
}

fn want(id: &Value, requests: &Value, state: &str) {
    let mut wanted = json!({ "resultType": "input_required", "requestState": state });
    if !requests.is_null() {
        wanted["inputRequests"] = requests.clone();
    }
    answer(id, &wanted);
}
