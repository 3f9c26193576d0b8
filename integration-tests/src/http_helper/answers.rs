//! The answers of an HTTP helper.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Manner, Seen, Shared};

/// The tools. Each behaves as its name says.
const TOOLS: [&str; 14] = [
    "echo",          // answers with the text
    "progress",      // two progress messages, then an answer, as events
    "mute",          // accepts the request and never answers
    "stall",         // begins a stream of events, then stays silent
    "break",         // begins a stream of events and ends it without an answer
    "endless",       // an answer that never ends
    "endless_event", // the same, as an event
    "garbage",       // an answer that is not JSON
    "garbage_event", // the same, as an event
    "slowly",        // a stream of comments for 1.5 s, then an answer
    "ignore_pings",  // answers, but no ping after that
    "accept",        // accepts the request like a notification
    "tabs",          // refuses the call, with words about its own session
    "ask",           // first asks for a name, and answers with the reply
];

/// One answer.
#[derive(Debug)]
pub(super) enum Answer {
    Whole {
        status: u16,
        kind: &'static str,
        headers: String,
        body: String,
    },
    Endless {
        kind: &'static str,
        begin: &'static str,
        more: &'static str,
    },
    Events {
        events: Vec<String>,
        then_stall: bool,
    },
    /// A server request as an event. After its answer, the last event has that answer as its text.
    Ask {
        request: Value,
        call: Value,
    },
    /// Comments, one each 100 ms, then an event.
    Slow {
        comments: u32,
        event: String,
    },
    /// Change notifications as events, with the id of the request that subscribed, if there is one.
    Listen(Value),
    Never,
}

pub(super) fn answer(shared: &Shared, seen: &Seen) -> Answer {
    if let Some(token) = &*shared.token()
        && seen.headers.get("authorization") != Some(&format!("Bearer {token}"))
    {
        let stated = seen.headers.get("authorization").cloned().unwrap_or_default();
        return text(401, format!("I do not know {stated}"));
    }
    match &shared.manner {
        Manner::Status(status, body) => text(*status, body.clone()),
        Manner::Page => Answer::Whole {
            status: 200,
            kind: "text/html",
            headers: String::new(),
            body: "<html>Welcome</html>".to_owned(),
        },
        Manner::RedirectsTo(to) => Answer::Whole {
            status: 307,
            kind: "text/plain",
            headers: format!("Location: {to}\r\n"),
            body: String::new(),
        },
        Manner::Mute => Answer::Never,
        _ if seen.method() == "ping" && shared.ignores_pings.load(Ordering::SeqCst) => Answer::Never,
        Manner::Handshake | Manner::HandshakeLoosely => with_sessions(shared, seen),
        Manner::Stateless => stateless(seen),
    }
}

fn with_sessions(shared: &Shared, seen: &Seen) -> Answer {
    if seen.method() == "initialize" {
        let session = Uuid::now_v7().to_string();
        shared.sessions().push(session.clone());
        let result = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "tools": { "listChanged": true }, "resources": {} },
            "serverInfo": { "name": "http-helper", "version": "1" },
        });
        return result_with(seen, &result, &format!("Mcp-Session-Id: {session}\r\n"));
    }
    match seen.headers.get("mcp-session-id") {
        None => return text(400, "no session".to_owned()),
        Some(session) if !shared.sessions().contains(session) => {
            return match shared.manner == Manner::HandshakeLoosely {
                true => error(400, &Value::Null, -32000, "Bad Request: no valid session"),
                false => text(404, "unknown".to_owned()),
            };
        }
        Some(_) => {}
    }
    match seen.verb.as_str() {
        "GET" if shared.refuses_stream() => text(503, "not now".to_owned()),
        "GET" => Answer::Listen(Value::Null),
        "DELETE" => {
            shared.sessions().retain(|session| Some(session) != seen.headers.get("mcp-session-id"));
            text(200, String::new())
        }
        _ if seen.body["id"].is_null() => text(202, String::new()),
        _ if seen.body["method"].is_null() => {
            // No request may be waiting for it any more.
            let _ = shared.answers.send(seen.body.clone());
            text(202, String::new())
        }
        _ if seen.body["params"]["name"] == "ask" => ask(seen),
        _ if seen.body["params"]["name"] == "ignore_pings" => {
            shared.ignores_pings.store(true, Ordering::SeqCst);
            result(seen, &json!({ "content": [] }))
        }
        _ => serve(seen),
    }
}

impl Shared {
    fn refuses_stream(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.refused_streams.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}

/// Asks with a message of the length in the call.
fn ask(seen: &Seen) -> Answer {
    let length = seen.body["params"]["arguments"]["bytes"].as_u64().unwrap_or(4);
    let message = "?".repeat(usize::try_from(length).unwrap_or_default());
    let mut request = wants_a_name()["inputRequests"]["name"].clone();
    request["params"]["message"] = message.into();
    request["jsonrpc"] = "2.0".into();
    request["id"] = format!("ask-{}", seen.body["id"]).into();
    Answer::Ask { request, call: seen.body["id"].clone() }
}

fn stateless(seen: &Seen) -> Answer {
    let version = "2026-07-28";
    let stated = &seen.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
    match (seen.verb.as_str(), seen.method()) {
        ("POST", "server/discover") => result(
            seen,
            &json!({
                "resultType": "complete", "supportedVersions": [version], "ttlMs": 0, "cacheScope": "private",
                "capabilities": { "tools": { "listChanged": true }, "resources": {} },
                "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "http-helper", "version": "1" } },
            }),
        ),
        ("POST", "initialize") => error(404, &seen.body["id"], -32601, "initialize"),
        ("POST", _) if seen.body["id"].is_null() => text(202, String::new()),
        ("POST", _)
            if stated != version || seen.headers.get("mcp-protocol-version").is_none_or(|v| v != version) =>
        {
            error(400, &seen.body["id"], -32602, "the request does not name its revision")
        }
        ("POST", "subscriptions/listen") => Answer::Listen(seen.body["id"].clone()),
        ("POST", _) => serve(seen),
        _ => text(405, String::new()),
    }
}

fn serve(seen: &Seen) -> Answer {
    match seen.method() {
        "tools/list" => {
            let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
            result(seen, &json!({ "tools": TOOLS.map(tool) }))
        }
        "tools/call" => call(seen),
        "resources/list" => result(seen, &json!({ "resources": [{ "name": "one", "uri": "memo://one" }] })),
        "resources/templates/list" => result(seen, &json!({ "resourceTemplates": [] })),
        "resources/read" => result(seen, &json!({ "contents": [{ "uri": "memo://one", "text": "first" }] })),
        "ping" => result(seen, &json!({})),
        unknown => error(200, &seen.body["id"], -32601, unknown),
    }
}

fn call(seen: &Seen) -> Answer {
    let params = &seen.body["params"];
    let stated = |text: &str| json!({ "content": [{ "type": "text", "text": text }] });
    match params["name"].as_str().unwrap_or_default() {
        "echo" => result(seen, &stated(params["arguments"]["text"].as_str().unwrap_or_default())),
        "progress" => {
            let step = |step: u64| {
                let about = json!({
                    "progressToken": params["_meta"]["progressToken"], "progress": step, "message": format!("step {step}"),
                });
                json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": about }).to_string()
            };
            let last =
                json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": stated("done") }).to_string();
            Answer::Events { events: vec![step(1), step(2), last], then_stall: false }
        }
        "slowly" => {
            let event =
                json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": stated("slow") }).to_string();
            Answer::Slow { comments: 15, event }
        }
        "ask" if params["inputResponses"].is_null() => result(seen, &wants_a_name()),
        "ask" => result(seen, &stated(&params["inputResponses"].to_string())),
        "mute" => Answer::Never,
        "stall" => Answer::Events { events: vec![], then_stall: true },
        "break" => Answer::Events { events: vec![], then_stall: false },
        "endless" => Answer::Endless { kind: "application/json", begin: "{\"jsonrpc\":\"", more: "x" },
        "endless_event" => Answer::Endless { kind: "text/event-stream", begin: "data: ", more: "x" },
        "garbage" => Answer::Whole {
            status: 200,
            kind: "application/json",
            headers: String::new(),
            body: "this is not JSON".to_owned(),
        },
        "garbage_event" => {
            Answer::Events { events: vec!["this is not JSON".to_owned(); 4], then_stall: true }
        }
        "accept" => {
            let status = params["arguments"]["status"].as_u64().unwrap_or(202);
            text(status.try_into().unwrap_or(202), String::new())
        }
        "tabs" => {
            let params = &seen.body["params"]["arguments"];
            let (status, code) =
                (params["status"].as_u64().unwrap_or(400), params["code"].as_i64().unwrap_or(-32602));
            let stated = params["text"].as_str().unwrap_or("the browser session has no tab 7");
            error(
                status.try_into().unwrap_or(400),
                &seen.body["id"],
                code.try_into().unwrap_or(-32602),
                stated,
            )
        }
        unknown => error(200, &seen.body["id"], -32602, unknown),
    }
}

fn wants_a_name() -> Value {
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let form = json!({ "mode": "form", "message": "Who?", "requestedSchema": schema });
    let name = json!({ "method": "elicitation/create", "params": form });
    let asks = json!({ "name": name, "roots": { "method": "roots/list" } });
    json!({ "resultType": "input_required", "inputRequests": asks, "requestState": "1" })
}

fn result(seen: &Seen, result: &Value) -> Answer {
    result_with(seen, result, "")
}

fn result_with(seen: &Seen, result: &Value, headers: &str) -> Answer {
    let body = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "result": result }).to_string();
    Answer::Whole { status: 200, kind: "application/json", headers: headers.to_owned(), body }
}

fn error(status: u16, id: &Value, code: i32, message: &str) -> Answer {
    let body =
        json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }).to_string();
    Answer::Whole { status, kind: "application/json", headers: String::new(), body }
}

fn text(status: u16, body: String) -> Answer {
    Answer::Whole { status, kind: "text/plain", headers: String::new(), body }
}
