//! Requests of this helper to its client, and output that breaks the rules of the protocol.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde_json::{Value, json};

use super::{Tool, print, say, send, wait_for_ever};

/// Tools of this module.
pub(crate) const TOOLS: &[Tool] = &[
    (
        "ask",
        "Asks the client `method` with `params`, and answers with its answer as JSON.",
        Some(("request", "object")),
    ),
    (
        "ask_many",
        "Asks `count` questions at once. Answers with the number of refusals, once there are `refused` of them.",
        Some(("count", "integer")),
    ),
    (
        "ask_later",
        "Sends progress, asks the client once `ask_now` is called, cancelled or not, and answers.",
        Some(("request", "object")),
    ),
    ("ask_now", "Lets `ask_later` ask, and answers with the client's answer to it as JSON.", None),
    (
        "sign_in",
        "Refuses `refusals` times until the user visits a page; the last time it notifies that the page is done.",
        Some(("refusals", "integer")),
    ),
    ("settled", "Answers once every call of `ask` is answered.", None),
    ("withdraw", "Withdraws every question that was not answered.", None),
    ("stdout_flood", "Prints this many unexpected messages, then answers.", Some(("lines", "integer"))),
    ("endless", "Prints an endless line instead of answering.", None),
    ("double", "Answers an unknown request, and its own call twice.", None),
    ("close_stdin", "Answers, closes its standard input, and keeps running.", None),
];

/// Requests to the client without an answer, or with one that no caller has taken.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    all: Mutex<BTreeMap<String, Option<Value>>>,
    /// How many of them the client has answered with an error.
    errors: AtomicUsize,
    answered: Condvar,
    /// Calls of `ask_later` with their questions.
    later: Mutex<Vec<(Value, Value)>>,
    /// Number of refusals by `sign_in`.
    refused: Mutex<u64>,
    /// Calls of `ask` without an answer.
    under_way: Mutex<usize>,
    settled: Condvar,
}

impl Asks {
    /// Sends a request. Returns its id.
    fn ask(&self, method: &str, params: &Value) -> String {
        let id = {
            let mut all = self.lock();
            let id = format!("ask-{}", all.len());
            all.insert(id.clone(), None);
            id
        };
        send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Stores the client's answer to a request.
    pub(crate) fn answered(&self, answer: Value) {
        let id = answer["id"].as_str().unwrap_or_default().to_owned();
        let mut all = self.lock();
        if let Some(asked) = all.get_mut(&id) {
            self.errors.fetch_add(usize::from(!answer["error"].is_null()), Ordering::Relaxed);
            *asked = Some(answer);
        }
        self.answered.notify_all();
    }

    fn wait(&self, id: &str) -> Value {
        let open = |all: &mut BTreeMap<String, Option<Value>>| matches!(all.get(id), Some(None));
        let all = self.answered.wait_while(self.lock(), open).unwrap_or_else(PoisonError::into_inner);
        all.get(id).cloned().flatten().unwrap_or_default()
    }

    fn withdraw(&self) {
        let open: Vec<String> =
            self.lock().iter().filter(|(_, answer)| answer.is_none()).map(|(id, _)| id.clone()).collect();
        for id in open {
            let params = json!({ "requestId": id, "reason": "no longer wanted" });
            send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
        }
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, usize> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `least` requests are refused.
    fn until_refused(&self, least: usize) -> usize {
        let few = |_: &mut BTreeMap<String, Option<Value>>| self.errors.load(Ordering::Relaxed) < least;
        drop(self.answered.wait_while(self.lock(), few).unwrap_or_else(PoisonError::into_inner));
        self.errors.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<Value>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls a tool of this module; `false` if it has no tool of that name.
pub(crate) fn call(asks: &Arc<Asks>, id: &Value, tool: &str, params: &Value) -> bool {
    let arguments = &params["arguments"];
    let number = |name: &str| arguments[name].as_u64().unwrap_or_default();
    match tool {
        "ask" => ask(asks, id, arguments["request"].clone()),
        "ask_later" => {
            let mut later = asks.later.lock().unwrap_or_else(PoisonError::into_inner);
            later.push((id.clone(), arguments["request"].clone()));
            let about = json!({ "progressToken": params["_meta"]["progressToken"], "progress": 1 });
            send(&json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": about }));
        }
        "ask_now" => {
            let later = asks.later.lock().unwrap_or_else(PoisonError::into_inner).pop();
            ask_now(asks, id, later.unwrap_or_default());
        }
        "settled" => settled(asks, id),
        "sign_in" => sign_in(asks, id, number("refusals")),
        "ask_many" => ask_many(asks, id, number("count"), number("refused")),
        "withdraw" => {
            asks.withdraw();
            say(id, "withdrawn");
        }
        "stdout_flood" => {
            flood(number("lines"));
            say(id, "flooded");
        }
        "endless" => endless(),
        "double" => double(id),
        "close_stdin" => {
            say(id, "closed");
            // SAFETY: nothing in this program reads any more: the reading thread stays here.
            unsafe { nix::libc::close(0) };
            wait_for_ever()
        }
        _ => return false,
    }
    true
}

fn sign_in(asks: &Asks, id: &Value, refusals: u64) {
    let mut refused = asks.refused.lock().unwrap_or_else(PoisonError::into_inner);
    if *refused == refusals {
        say(id, "signed in");
        return;
    }
    *refused += 1;
    let page =
        json!({ "mode": "url", "message": "Sign in", "url": "https://a.example/in", "elicitationId": "e" });
    let error = json!({ "code": -32042, "message": "sign in first", "data": { "elicitations": [page] } });
    send(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
    if *refused == 2 {
        let about = json!({ "elicitationId": "e" });
        send(&json!({ "jsonrpc": "2.0", "method": "notifications/elicitation/complete", "params": about }));
    }
}

fn settled(asks: &Arc<Asks>, id: &Value) {
    let (asks, id) = (Arc::clone(asks), id.clone());
    std::thread::spawn(move || {
        let waited = asks.settled.wait_while(asks.under_way(), |calls| *calls > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        say(&id, "settled");
    });
}

fn ask(asks: &Arc<Asks>, id: &Value, request: Value) {
    let (asks, id) = (Arc::clone(asks), id.clone());
    *asks.under_way() += 1;
    std::thread::spawn(move || {
        let asked = asks.ask(request["method"].as_str().unwrap_or_default(), &request["params"]);
        let answer = asks.wait(&asked);
        let outcome = if answer["error"].is_null() { &answer["result"] } else { &answer["error"] };
        say(&id, &outcome.to_string());
        *asks.under_way() -= 1;
        asks.settled.notify_all();
    });
}

/// Asks the question of an earlier call, answers that call, and then this one.
fn ask_now(asks: &Arc<Asks>, id: &Value, (earlier, request): (Value, Value)) {
    let (asks, id) = (Arc::clone(asks), id.clone());
    std::thread::spawn(move || {
        let asked = asks.ask(request["method"].as_str().unwrap_or_default(), &request["params"]);
        let answer = asks.wait(&asked);
        let outcome = if answer["error"].is_null() { &answer["result"] } else { &answer["error"] };
        say(&earlier, &outcome.to_string());
        say(&id, &outcome.to_string());
    });
}

/// A form with one field.
pub(crate) fn form(message: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    json!({ "mode": "form", "message": message, "requestedSchema": schema })
}

fn ask_many(asks: &Arc<Asks>, id: &Value, count: u64, least: u64) {
    let (asks, id) = (Arc::clone(asks), id.clone());
    std::thread::spawn(move || {
        for number in 0..count {
            asks.ask("elicitation/create", &form(&format!("question {number}")));
        }
        let ping = asks.ask("ping", &json!({}));
        asks.wait(&ping);
        // Answers overtake each other.
        say(&id, &asks.until_refused(usize::try_from(least).unwrap_or(usize::MAX)).to_string());
    });
}

/// Prints `lines` unexpected messages.
pub(crate) fn flood(lines: u64) {
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    for number in 0..lines {
        let line = match number % 4 {
            0 => {
                json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": number } })
            }
            1 => {
                json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": "no-such", "progress": number } })
            }
            2 => json!({ "jsonrpc": "2.0", "id": 1_000_000 + number, "result": {} }),
            _ => {
                json!({ "jsonrpc": "2.0", "id": format!("never-{number}"), "error": { "code": 1, "message": "?" } })
            }
        };
        if writeln!(stdout, "{line}").is_err() {
            return;
        }
    }
}

/// Prints bytes without a newline, as long as the reader takes them.
pub(crate) fn endless() {
    let chunk = [b'x'; 64 << 10];
    let mut stdout = io::stdout().lock();
    while stdout.write_all(&chunk).and_then(|()| stdout.flush()).is_ok() {}
}

fn double(id: &Value) {
    for unknown in [json!("no-such"), json!(987_654), json!(-1), Value::Null] {
        print(
            &json!({ "jsonrpc": "2.0", "id": unknown, "error": { "code": 1, "message": "?" } }).to_string(),
        );
    }
    print(&json!({ "jsonrpc": "2.0", "id": 987_655, "result": { "content": [] } }).to_string());
    say(id, "first");
    say(id, "second");
    print(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": 1, "message": "third" } }).to_string());
}
