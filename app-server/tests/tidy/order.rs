//! The order of the rooms in app-server/ and its crates: a room imports only rooms below it.

use std::collections::BTreeSet;

use crate::lex::is_name;
use crate::source::{Source, imports};
use crate::walls::{Wall, examples};

/// The rooms of each crate from the top to the bottom, one floor a line. Rooms of one floor do not import each other.
const CRATES: &[(&str, &[&str])] = &[
    ("app-server", APP_SERVER),
    ("app-server/crates/base", BASE),
    ("app-server/crates/config", CONFIG),
    ("app-server/crates/helpers", HELPERS),
    ("app-server/crates/postgres", POSTGRES),
    ("app-server/crates/store", STORE),
];

const APP_SERVER: &[&str] = &[
    "cli",
    // Start and stop order.
    "server",
    // Sockets; the top of the request path.
    "http",
    "connection",
    "handlers",
    "router",
    // The parts that the rooms above share.
    "app",
    // Between the servers of a cluster.
    "handover",
    "links",
    "approved",
    "reload",
    // Background tasks, and programs that work on a home.
    "eviction expiry export feedback lost_place models news open_markers repair search trash",
    // Owner, machine, subscribers, event delivery.
    "thread",
    // The memory that the limits of clients allow.
    "bounds",
    // What waits for one connection, and the reply that travels with a request.
    "outbox",
    "database_credentials memory relay room telemetry",
    "policy",
];

const CONFIG: &[&str] = &[
    // The settings, which are one room.
    OTHERS, // Identity and rights.
    "access", "policy",
];

const HELPERS: &[&str] = &[
    // One helper, tried or checked without a server.
    "check trial",
    // All helpers of one server.
    "helpers",
    // The leases of one thread.
    "set",
    "pool",
    "supervisor",
    // Sessions over pipes or HTTP.
    "mcp",
    // The guard, the server's side of it, start and end.
    "process",
    // Processes that outlived their guard or their server.
    "recovery",
    "spec",
    "containment",
    "counters error policy questions",
];

const POSTGRES: &[&str] = &[
    // The parts of a home, in a database.
    "lines",
    "ownership",
    "index news presence store",
    "credentials drain standing",
    "append claims handover",
    // The parts that these share.
    "rows",
    "database",
    "pool",
    // Which cluster is there, and whether it may serve.
    "connector",
    "instance schema",
    "connection",
    "node",
    "address failure numbers turns",
    "tls",
    "policy",
];

const STORE: &[&str] = &[
    // Programs that work on a whole home.
    "backup fsck import migrate reindex",
    // Lists and the text index, both derived from rollouts.
    "texts",
    "index",
    // The meaning of records to a client.
    "history",
    // The right to write to a thread.
    "ownership",
    "rollout",
    "home",
    "policy",
];

const BASE: &[&str] = &[
    "counters",
    "pem",
    "durations files masks units",
    "tasks web",
    "descriptors",
    "clock home_tag policy system",
];

/// Everything of a crate that has no line of its own, `lib.rs` included: one room.
const OTHERS: &str = "*";

/// Rooms of tests.
const TESTS: [&str; 2] = ["fuzz", "testing"];

pub(crate) fn rooms_below() -> Wall {
    Wall {
        why: "a room of a crate imports only rooms below it, in the order of app-server/tests/tidy/order.rs: what two \
              rooms need belongs to the lower one, or into a room below both",
        bad: examples(&[
            ("app-server/src/thread/a.rs", "use crate::server::Server;"),
            ("app-server/src/outbox/mod.rs", "use crate::{policy, thread::command::Command};"),
            ("app-server/crates/base/src/clock.rs", "use super::tasks::Tasks;"),
            ("app-server/src/outbox/b/a.rs", "use super::super::super::thread::machine;"),
            ("app-server/src/thread/a.rs", "fn f() { crate::server::start() }"),
            ("app-server/src/outbox/a.rs", "use crate::Server;"),
            // Beside each other.
            ("app-server/src/repair.rs", "use crate::search::Term;"),
            ("app-server/crates/helpers/src/recovery/a.rs", "use crate::process::host::ProcessHost;"),
            ("app-server/crates/store/src/history/a.rs", "use crate::index::Filter;"),
            ("app-server/crates/base/src/tasks.rs", "use crate::counters::Counters;"),
            ("app-server/crates/config/src/access/origin.rs", "use crate::ServerConfig;"),
            ("app-server/crates/config/src/access/origin.rs", "use super::super::edit::EditMode;"),
            ("app-server/crates/config/src/policy.rs", "use crate::access::Door;"),
            // Not in the table.
            ("app-server/crates/base/src/cellar.rs", "use crate::clock;"),
            ("app-server/src/cellar.rs", "use crate::policy;"),
            ("app-server/src/server.rs", "use crate::cellar;"),
        ]),
        good: examples(&[
            ("app-server/src/thread/a.rs", "// crate::server\nuse crate::{policy, outbox::Outbox};"),
            ("app-server/src/thread/a/b.rs", "use crate::thread::machine; use super::super::machine;"),
            ("app-server/src/thread/a/tests.rs", "use crate::server::Server;"),
            ("app-server/src/thread/a.rs", "#[cfg(test)]\nmod tests {\n  use crate::server::Server;\n}"),
            ("app-server/src/thread/a.rs", "fn f() { server::start(); mycrate::server::start() }"),
            ("app-server/src/main.rs", "use skein_app_server::{Server, policy::PING};"),
            (
                "app-server/crates/config/src/edit/set.rs",
                "use super::super::{ServerConfig, tree}; use crate::access::Door;",
            ),
            ("app-server/src/cli/a.rs", "use crate::out; use super::out;"),
            ("app-server/tests/cli.rs", "use skein_app_server::policy;"),
        ]),
        check: |source| upward(source).into_iter().map(|(line, _)| line).collect(),
    }
}

/// Where a file stands: the floors of its crate, and its path inside the crate's `src`.
struct Place<'a> {
    floors: &'static [&'static str],
    path: &'a str,
}

/// None for a file that is not in the `src` of one of [`CRATES`].
fn place(source: &Source) -> Option<Place<'_>> {
    CRATES.iter().find_map(|(folder, floors)| {
        let path = source.path.strip_prefix(folder)?.strip_prefix("/src/")?;
        Some(Place { floors, path })
    })
}

/// The lines outside of tests that import a room that is not below the file's own, with that room.
fn upward(source: &Source) -> Vec<(usize, String)> {
    let Some(place) = place(source).filter(|place| place.path.ends_with(".rs")) else {
        return Vec::new();
    };
    let own = match place.path {
        "lib.rs" => return Vec::new(),
        "main.rs" => "cli",
        path => path.split('/').next().unwrap_or_default().trim_end_matches(".rs"),
    };
    if TESTS.contains(&own) {
        return Vec::new();
    }
    let breaks = |room: &str| room != own && !place.may_import(own, room);
    let found = imported_rooms(source, place.path).into_iter();
    found.filter(|(line, room)| !source.is_test(*line) && breaks(room)).collect()
}

impl Place<'_> {
    fn may_import(&self, own: &str, room: &str) -> bool {
        self.are_others(own, room)
            || self.floor(own).zip(self.floor(room)).is_some_and(|(own, other)| own < other)
    }

    /// How far below the top; none for a room that is not in the table.
    fn floor(&self, room: &str) -> Option<usize> {
        self.listed(room).or_else(|| self.listed(OTHERS))
    }

    fn listed(&self, room: &str) -> Option<usize> {
        self.floors.iter().position(|rooms| rooms.split(' ').any(|name| name == room))
    }

    /// Whether both are parts of the room that has all others.
    fn are_others(&self, own: &str, room: &str) -> bool {
        let others = self.listed(OTHERS);
        others.is_some() && self.floor(own) == others && self.floor(room) == others
    }
}

/// Every room that is named by its path from the root of the crate, with the line.
fn imported_rooms(source: &Source, file: &str) -> Vec<(usize, String)> {
    let written = source.code().flat_map(|(number, line)| {
        let paths = line.match_indices("::").map(move |(at, _)| (number, path_around(line, at)));
        paths.filter(|(_, path)| !path.is_empty())
    });
    let imported = imports(&source.rust.code).into_iter();
    let rooms = imported.chain(written).filter_map(|(line, path)| Some((line, room_of(file, &path)?)));
    rooms.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The path that begins before the `::` at `at`; empty where that is not its first.
fn path_around(line: &str, at: usize) -> String {
    let is_path = |c: char| is_name(c) || c == ':';
    let from = line[..at].rfind(|c| !is_path(c)).map_or(0, |before| before + 1);
    let first = !line[from..at].contains(':');
    line[from..].chars().take_while(|c| first && is_path(*c)).collect()
}

/// The room that `path` leads to from a file of a crate's `src`; none where it leads to no room, or stays in its own.
fn room_of(file: &str, path: &str) -> Option<String> {
    let is_program = file == "main.rs" || file.starts_with("cli/");
    let mut names = path.split("::").peekable();
    let above = match *names.peek()? {
        "skein_app_server" => 1,
        "crate" if !is_program => 1,
        "super" if !is_program => depth(file),
        _ => return None,
    };
    let is_root = |name: &str| ["crate", "skein_app_server", "super"].contains(&name);
    for _ in 0..above {
        names.next_if(|name| is_root(name))?;
    }
    let name: String = names.next()?.chars().take_while(|c| is_name(*c)).collect();
    match name.chars().next() {
        None => None,
        Some(_) if name == "super" => None,
        // What lib.rs gives out itself.
        Some(first) if first.is_uppercase() => Some("server".to_owned()),
        Some(_) => Some(name),
    }
}

/// How many `super` lead from a file to the root of the crate.
fn depth(file: &str) -> usize {
    let names = file.split('/').count();
    if file.ends_with("/mod.rs") { names - 1 } else { names }
}
