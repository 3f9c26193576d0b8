//! Zoo modes that break the rules of the protocol, each in a helper that ignores SIGTERM and the end of its
//! input. The faults begin after `tools/list`, and continue until the process is killed.

use std::io::{self, Write};

use nix::poll::poll;
use serde_json::{Value, json};

use super::pipe::Pipe;
use super::{answer, asks, flood, print, send, wait_for_ever};

/// Length of an overlong line that does end, bytes.
const HUGE_LINE: usize = 100_000_000;
/// Length of a flood between two pauses, bytes.
const GUSH: u64 = 256 << 10;
/// Length of a pause, milliseconds. A flood without pauses would only measure the scheduler.
const PAUSE: u8 = 1;
/// Number of answers sent before their questions.
const AHEAD: i64 = 3;

/// A way to break the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    ReadsNothing,
    EndlessLine,
    HugeLine,
    FloodsStdout,
    FloodsStderr,
    UnknownIds,
    DoubleIds,
    UnorderedIds,
    AsksUs,
    ClosesStdout,
}

impl Fault {
    const NAMES: [(&str, Self); 10] = [
        ("reads-nothing", Self::ReadsNothing),
        ("endless-line", Self::EndlessLine),
        ("huge-line", Self::HugeLine),
        ("floods-stdout", Self::FloodsStdout),
        ("floods-stderr", Self::FloodsStderr),
        ("unknown-ids", Self::UnknownIds),
        ("double-ids", Self::DoubleIds),
        ("unordered-ids", Self::UnorderedIds),
        ("asks-us", Self::AsksUs),
        ("closes-stdout", Self::ClosesStdout),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, fault)| fault)
    }

    /// Called after the answer to `method` was sent.
    pub(crate) fn answered(self, method: &str, id: &Value, pipe: Pipe) {
        match self {
            Self::DoubleIds if !id.is_null() => again(id),
            Self::UnorderedIds if !id.is_null() => ahead(id),
            _ if method != "tools/list" => return,
            Self::DoubleIds | Self::UnorderedIds => {}
            Self::ReadsNothing => {
                pipe.at_it();
                wait_for_ever()
            }
            Self::ClosesStdout => {
                // SAFETY: nothing in this program owns the descriptor; later prints fail, as intended.
                unsafe { nix::libc::close(1) };
            }
            Self::EndlessLine => go_on(asks::endless),
            Self::HugeLine => go_on(huge_lines),
            Self::FloodsStdout => go_on(|| for_ever(|| asks::flood(GUSH / 64))),
            Self::FloodsStderr => go_on(|| for_ever(|| flood(GUSH))),
            Self::UnknownIds => go_on(|| for_ever(unknown)),
            Self::AsksUs => go_on(|| for_ever(ask_all)),
        }
        if method == "tools/list" {
            pipe.at_it();
        }
    }
}

fn go_on(deed: fn()) {
    std::thread::spawn(deed);
}

fn for_ever(deed: impl Fn()) {
    loop {
        deed();
        // Nothing wakes the poll except the timeout.
        let _ = poll(&mut [], PAUSE);
    }
}

/// Lines of 100 MB that are otherwise valid.
fn huge_lines() {
    let chunk = [b'x'; 64 << 10];
    let mut stdout = io::stdout().lock();
    let mut line = || {
        stdout.write_all(
            br#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":""#,
        )?;
        for _ in 0..HUGE_LINE / chunk.len() {
            stdout.write_all(&chunk)?;
        }
        stdout.write_all(b"\"}}\n")
    };
    while line().is_ok() {}
}

/// Answers to unknown requests.
fn unknown() {
    for id in [json!("no-such"), json!(987_654), json!(-1)] {
        send(&json!({ "jsonrpc": "2.0", "id": id, "result": { "tools": [] } }));
    }
}

/// Answers the same request again, and in another way.
fn again(id: &Value) {
    answer(id, &json!({ "content": [] }));
    print(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": 1, "message": "third" } }).to_string());
}

/// Answers the next requests before they come, the last one first.
fn ahead(id: &Value) {
    let now = id.as_i64().unwrap_or_default();
    for step in (1..=AHEAD).rev() {
        let error = json!({ "code": 1, "message": "too early" });
        // Far ahead, because the client would accept an answer to a request that it has just sent.
        send(&json!({ "jsonrpc": "2.0", "id": now + 1000 + step, "error": error }));
    }
}

/// One request of each kind that a helper may make, and an unknown one, all under one id.
fn ask_all() {
    let form = json!({ "message": "?", "requestedSchema": { "type": "object", "properties": {} } });
    let asked = [
        ("ping", json!({})),
        ("roots/list", json!({})),
        ("elicitation/create", form),
        ("sampling/createMessage", json!({ "messages": [], "maxTokens": 1 })),
        ("no/such", json!({})),
    ];
    for (method, params) in asked {
        send(&json!({ "jsonrpc": "2.0", "id": "ours", "method": method, "params": params }));
    }
}
