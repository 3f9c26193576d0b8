//! Renders METHODS.md.

use serde_json::{Map, Value, json};

use super::{notation, recorded, schema::Schemas};
use crate::{
    declined::{DECLINED, Outlook, UNRAISED},
    error::CODES,
    methods::{CLIENT_NOTIFICATIONS, METHODS},
    notifications::NOTIFICATIONS,
    params::{self, Treatment},
    reasons::REASONS,
    server_requests::SERVER_REQUESTS,
    table::{EventKind, Lane, Recipients, Stability},
};

const HEAD: &str = "\
# Methods

<!-- Written by scripts/generate from protocol/src; do not edit. -->

Everything that goes over Skein's websocket: one JSON-RPC 2.0 message in each text frame. The member `jsonrpc` is
accepted and never sent. An id is a text or a 64-bit integer. `params` may be missing or null, which is read as `{}`;
unknown members are passed over. The core is that of Codex app-server v2 (0.169.0), and the names of its types are kept;
what is ours begins with `skein/`, or sits in an object named `skein`. The same for programs, in `protocol/generated/`:
[a JSON Schema](protocol/generated/schema.json), [TypeScript](protocol/generated/skein.ts), and
[an OpenRPC document](protocol/generated/openrpc.json), which `rpc.discover` answers.

[docs/events.md](docs/events.md) says how a client that loses its connection goes on without losing anything.

In types, `[]` is an array, `map<T>` an object with free keys, `any` any JSON value, `?` after a name in a type says that
the field may be left out.

The examples are recorded from a server. `id 1` stands for an id, `<time>` for a time or a duration, another word in `<>` for a
value of that machine, and `…` for the other elements of a list.
";

/// The width of a paragraph, in characters.
const WIDTH: usize = 120;
/// A longer type stands in lines of its own.
const LONGEST_TYPE: usize = 250;

const LANES: &str = "\
The lane says who can keep a request waiting.

| lane | waits for |
| --- | --- |
| Inline | nothing; answered from memory |
| Store | the disk |
| Thread | the one thread that it names |
| Helper | the one helper that it names |

The access says what a connection has to have. Each level includes the ones before it.

| access | may |
| --- | --- |
| read | list, read, search and observe |
| chat | start and resume threads, start turns, answer questions; name no programs, weaken no settings |
| admin | everything |
";

const NOTIFICATIONS_HEAD: &str = "\
Each has `emittedAtMs` (Unix milliseconds) beside `params`. A durable one is part of the thread's history; clients that
asked for it find its number, `seq` and `epoch`, there too. A transient one is never numbered: what follows makes it
unnecessary. Everything of an ephemeral thread goes to its subscribers only.
";

const DECLINED_HEAD: &str = "\
Requests of Codex app-server v2 (0.169.0) that are answered with \"method not found\".
";

/// Marks a field that clients must send.
const READ: &str = "required";

/// Marks a field that the server always sends.
const SENT: &str = "always";

/// METHODS.md; deterministic.
pub fn methods_md() -> String {
    let schemas = Schemas::new();
    let mut page = Document(HEAD.to_owned());
    page.methods(&schemas);
    page.client_notifications();
    page.notifications(&schemas);
    page.server_requests(&schemas);
    page.extensions();
    page.errors(&schemas);
    page.types(&schemas);
    page.declined();
    page.0
}

struct Document(String);

impl Document {
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    fn heading(&mut self, level: usize, text: &str) {
        let text = format!("{} {text}\n", "#".repeat(level));
        if !self.0.ends_with("\n\n") {
            self.line("");
        }
        self.line(text);
    }

    fn methods(&mut self, schemas: &Schemas) {
        self.heading(2, "Requests of clients");
        self.line(LANES);
        self.line("| method | lane | access | stability |\n| --- | --- | --- | --- |");
        for info in METHODS {
            let (lane, access, stability) = (lane(info.lane), info.access, stability(info.stability));
            let link = format!("[`{0}`](#{1})", info.wire, anchor(info.wire));
            self.line(format!("| {link} | {lane} | {access} | {stability} |"));
        }
        for info in METHODS {
            self.heading(3, info.wire);
            self.line(format!("{}\n", recorded::fill(info.doc.split_whitespace(), WIDTH, "")));
            let row = &schemas.methods[info.wire];
            self.fields("params", &row["params"], READ, &schemas.received);
            self.not_honoured(info.wire);
            self.fields("result", &row["result"], SENT, &schemas.sent);
            if let Some(example) = recorded::example(info.wire) {
                self.line(format!("```json\n{example}\n```\n"));
            }
        }
    }

    /// Lists the params of a method that are not fully honoured, with the reasons.
    fn not_honoured(&mut self, method: &str) {
        let rows = params::of(method).filter_map(|row| match row.treatment {
            Treatment::Honoured => None,
            Treatment::HonouredFor(what) => Some(format!("- `{}` is honoured for this: {what}", row.name)),
            Treatment::PassedOver(reason) => Some(format!("- `{}` is passed over: {reason}", row.name)),
            Treatment::Refused(reason) => Some(format!("- `{}` is refused: {reason}", row.name)),
        });
        let lines: Vec<String> = rows.collect();
        if !lines.is_empty() {
            self.line(lines.join("\n"));
            self.line("");
        }
    }

    fn client_notifications(&mut self) {
        self.heading(2, "Notifications of clients");
        for info in CLIENT_NOTIFICATIONS {
            self.line(format!("- `{}`: {}", info.wire, joined(info.doc)));
        }
    }

    fn notifications(&mut self, schemas: &Schemas) {
        self.heading(2, "Notifications of the server");
        self.line(NOTIFICATIONS_HEAD);
        self.line("| notification | goes to | kind | params | says |\n| --- | --- | --- | --- | --- |");
        for info in NOTIFICATIONS {
            let scope = scope(info.scope);
            let kind = match info.kind {
                EventKind::Durable => "durable",
                EventKind::Transient => "transient",
            };
            let params = notation::line(&schemas.notifications[info.wire]["params"]);
            self.line(format!("| `{}` | {scope} | {kind} | {params} | {} |", info.wire, joined(info.doc)));
        }
    }

    fn server_requests(&mut self, schemas: &Schemas) {
        self.heading(2, "Requests of the server");
        for info in SERVER_REQUESTS {
            self.heading(3, info.wire);
            self.line(format!("{}\n", joined(info.doc)));
            let row = &schemas.server_requests[info.wire];
            self.fields("params", &row["params"], SENT, &schemas.sent);
            self.fields("result", &row["result"], READ, &schemas.received);
        }
    }

    /// A table of the fields of one message; `mark` flags required ones.
    fn fields(&mut self, what: &str, schema: &Value, mark: &str, types: &Map<String, Value>) {
        let name = notation::line(schema);
        let schema = types.get(&name).unwrap_or(schema);
        let fields = notation::fields(schema);
        if fields.is_empty() {
            return self.line(format!("{what}: {name} = {}\n", notation::line(schema)));
        }
        self.line(format!("| {what}: {name} | type | |\n| --- | --- | --- |"));
        for (field, line, always) in fields {
            self.line(format!("| `{field}` | {} | {} |", cell(&line), if always { mark } else { "" }));
        }
        if let Some(Value::Array(choices)) = schema.get("oneOf") {
            self.line("\nand one of\n");
            for choice in choices {
                self.line(format!("- `{}`", notation::line(choice)));
            }
        }
        self.line("");
    }

    fn extensions(&mut self) {
        self.heading(2, "What is ours");
        self.line(EXTENSIONS);
    }

    fn errors(&mut self, schemas: &Schemas) {
        self.heading(2, "Errors");
        self.line("Every error has `data.reason`, a stable word, and names what it is about. Clients of the peer compare the");
        self.line("sentence in `message`: an error that the peer has, too, has the peer's sentence, word for word, and");
        self.line("`data.hint` says what to do.\n");
        self.line("| code | name | meaning |\n| --- | --- | --- |");
        for (code, name, meaning) in CODES {
            self.line(format!("| {code} | {name} | {meaning} |"));
        }
        self.line("\n| `data.reason` | cause |\n| --- | --- |");
        for (reason, cause) in REASONS {
            self.line(format!("| `{reason}` | {cause} |"));
        }
        self.line("");
        self.fields("error", &schemas.error, SENT, &schemas.sent);
        self.fields("error.data", &json!({ "$ref": "#/$defs/sent/ErrorData" }), SENT, &schemas.sent);
    }

    fn types(&mut self, schemas: &Schemas) {
        self.heading(2, "Types");
        let mut names: Vec<&String> = schemas.sent.keys().chain(schemas.received.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let Some(schema) = schemas.sent.get(name).or_else(|| schemas.received.get(name)) else {
                continue;
            };
            let doc = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            let kind = notation::line(schema);
            if kind.len() <= LONGEST_TYPE {
                self.line(format!("- **{name}**: {} `{kind}`", joined(doc)));
                continue;
            }
            let doc = recorded::fill(joined(doc).split(' '), WIDTH, "  ");
            self.line(format!(
                "- **{name}**: {doc}\n\n  ```text\n  {}\n  ```\n",
                recorded::fill(kind.split(' '), WIDTH, "  ")
            ));
        }
    }

    fn declined(&mut self) {
        self.heading(2, "Not offered");
        self.line(DECLINED_HEAD);
        for (outlook, title) in [(Outlook::NotYet, "Not yet"), (Outlook::OutOfScope, "Not what Skein is for")]
        {
            self.heading(3, title);
            for row in DECLINED.iter().filter(|row| row.outlook == outlook) {
                self.line(format!("- `{}`: {}", row.wire, row.reason));
            }
        }
        for (place, row) in UNRAISED.iter().enumerate() {
            if place == 0 {
                self.heading(3, "Described here, and not sent yet");
            }
            self.line(format!("- `{}`: {}", row.wire, row.reason));
        }
    }
}

const EXTENSIONS: &str = "\
| where | member | says |
| --- | --- | --- |
| `initialize`, params | `capabilities.extensions` | the extensions that the client asks for: `{\"skein/events\": {\"version\": 1}}` |
| `initialize`, result | `skein.version`, `skein.extensions` | the server's version, and the extensions that the client asked for and gets |
| `thread/start`, `thread/resume`, `thread/read`, result | `skein.seq`, `skein.epoch` | the point in the history that the answer is a picture of |
| `thread/resume`, params | `skein.observe` | watch only: it does not keep the thread loaded, and is never asked anything |
| `thread/resume`, params | `skein.afterSeq`, `skein.epoch` | the last number that the client has seen: it is told what came after it, instead of turns |
| `thread/resume`, result | `skein.replayTo` | the history is continued: no turns, and every durable event after `afterSeq` follows; `skein.seq` is `afterSeq` |
| `thread/resume`, result | `skein.gap` | the history could not be continued, for this `reason`: what the client has is void, and this is the full state |
| `thread/resume`, result | `skein.pendingRequests` | ids of the server's requests that still wait for an answer; all others are void |
| `thread/list`, result | `skein.indexing` | the list is being made anew: threads may be missing from it |
| `thread/loaded/list`, result | `skein.threads` | details of each thread, in the order of `data` |
| `turn/completed`, params | `skein.saved` | false when the turn could not be written to disk |
| durable notifications | `seq`, `epoch` | beside `method`: the number in the thread's history |";

pub(super) fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Inline => "Inline",
        Lane::Store => "Store",
        Lane::Thread => "Thread",
        Lane::Helper => "Helper",
    }
}

pub(super) fn stability(stability: Stability) -> &'static str {
    match stability {
        Stability::Stable => "stable",
        Stability::Experimental => "experimental",
    }
}

pub(super) fn scope(scope: Recipients) -> &'static str {
    match scope {
        Recipients::All => "all",
        Recipients::Subscribers => "subscribers",
    }
}

/// Joins the lines of a doc comment.
pub(super) fn joined(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A type in a table cell, where a bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The anchor of a heading on web pages.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(['/', '.'], "")
}
