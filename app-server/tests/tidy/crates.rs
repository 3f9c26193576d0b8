//! Which crate imports which, and what integration-tests/ may know of the server.

use crate::source::{Source, imports};
use crate::walls::{Wall, examples};

/// The crates by folder, each with its name and with those of ours that it may import.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("protocol", "skein_protocol", &[]),
    ("app-server/crates/base", "skein_base", &[]),
    ("app-server/crates/store", "skein_store", &["skein_protocol", "skein_base"]),
    ("app-server/crates/helpers", "skein_helpers", &["skein_protocol", "skein_base"]),
    ("app-server/crates/provider", "skein_provider", &["skein_protocol", "skein_base"]),
    (
        "app-server/crates/config",
        "skein_config",
        &["skein_protocol", "skein_base", "skein_store", "skein_helpers", "skein_provider"],
    ),
    (
        "app-server",
        "skein_app_server",
        &["skein_protocol", "skein_base", "skein_store", "skein_helpers", "skein_provider", "skein_config"],
    ),
    (
        "integration-tests",
        "skein_integration_tests",
        &["skein_protocol", "skein_base", "skein_store", "skein_config", "skein_app_server"],
    ),
];

pub(crate) fn one_direction() -> Wall {
    Wall {
        why: "a crate imports only the crates that app-server/tests/tidy/crates.rs names for it: what two crates need \
              belongs to one below both",
        bad: examples(&[
            ("app-server/tests/a.rs", "use skein_integration_tests::Home;"),
            ("app-server/crates/config/src/a.rs", "use skein_app_server::Server;"),
            ("protocol/src/a.rs", "use skein_app_server::Server;"),
            ("app-server/Cargo.toml", "[dev-dependencies]\nskein-integration-tests.workspace = true"),
            ("app-server/crates/cellar/src/a.rs", "use skein_base::clock;"),
            ("app-server/crates/base/src/a.rs", "use skein_store::home;"),
            ("app-server/crates/helpers/src/a.rs", "use skein_store::home;"),
        ]),
        good: examples(&[
            ("integration-tests/src/a.rs", "use skein_protocol::METHODS;"),
            ("app-server/src/a.rs", "use skein_protocol::METHODS;"),
            ("app-server/src/main.rs", "use skein_app_server::Server;"),
        ]),
        check: |source| {
            // The longest folder that holds the file; a crate that is not in the table is in none.
            let own = CRATES
                .iter()
                .filter(|(folder, ..)| source.is_in(folder))
                .max_by_key(|(folder, ..)| folder.len());
            let unknown =
                source.is_in("app-server/crates") && own.is_some_and(|(folder, ..)| *folder == "app-server");
            let may = |name: &str| match own {
                Some((_, own, uses)) => !unknown && (*own == name || uses.contains(&name)),
                None => true,
            };
            let forbidden: Vec<&str> =
                CRATES.iter().map(|(_, name, _)| *name).filter(|name| !may(name)).collect();
            let mut lines = source.lines_naming(&forbidden);
            if source.path.ends_with("/Cargo.toml") {
                let names =
                    |line: &str| forbidden.iter().any(|name| line.starts_with(&name.replace('_', "-")));
                let numbered = source.text.lines().enumerate();
                lines.extend(numbered.filter(|(_, line)| names(line)).map(|(at, _)| at + 1));
            }
            lines
        },
    }
}

/// What of app-server/ a file of integration-tests/ may name.
const KNOWN: [&str; 2] = ["Server", "server::Server"];

/// Crates that no other file of integration-tests/ may name than those that make and measure homes.
const BELOW: [&str; 4] = ["skein_base", "skein_store", "skein_helpers", "skein_provider"];

/// Whether `path` leads into the server, to something that is not [`KNOWN`].
fn inside(path: &str) -> bool {
    let rest = path.strip_prefix("skein_app_server").and_then(|rest| rest.strip_prefix("::"));
    let known = |rest: &str| KNOWN.iter().any(|name| rest == *name || begins(rest, name));
    rest.is_some_and(|rest| !known(rest))
}

/// Whether a file is of the rooms that make homes, or measure the store itself.
fn is_of_disk(source: &Source) -> bool {
    ["integration-tests/src/fixture", "integration-tests/src/bench"].iter().any(|room| source.is_in(room))
}

pub(crate) fn server_from_outside() -> Wall {
    Wall {
        why: "integration-tests see what a user sees: they start `skein_app_server::Server` from a `skein_config` and \
              talk to it over the wire; what needs the server's insides is a unit test in app-server/. The rooms fixture/ \
              and bench/ may use what a home looks like on disk: they make homes, and measure the store itself",
        bad: examples(&[
            ("integration-tests/src/fixture/a.rs", "use skein_app_server::thread::registry::Registry;"),
            ("integration-tests/tests/a.rs", "use skein_app_server::{Server, thread::machine::Machine};"),
            ("integration-tests/src/a.rs", "fn f() { skein_base::tasks::Tasks::new() }"),
        ]),
        good: examples(&[
            (
                "integration-tests/src/a.rs",
                "use skein_app_server::Server; use skein_config::{ServerConfig, GuardProgram};\nlet s: skein_app_server::Server;",
            ),
            (
                "integration-tests/src/fixture/a.rs",
                "use skein_store::rollout::Keep; use skein_base::tasks::Tasks;",
            ),
        ]),
        check: |source| {
            if !source.is_in("integration-tests") {
                return Vec::new();
            }
            let below: &[&str] = if is_of_disk(source) { &[] } else { &BELOW };
            let mut lines: Vec<usize> = imports(&source.rust.code)
                .into_iter()
                .filter(|(_, path)| inside(path))
                .map(|(line, _)| line)
                .collect();
            let written = |line: &str| {
                let mut places = line.match_indices("skein_app_server::");
                places.any(|(at, _)| !line[..at].ends_with("use ") && inside(&line[at..]))
            };
            lines.extend(source.code().filter(|(_, line)| written(line)).map(|(number, _)| number));
            lines.extend(source.lines_naming(below));
            lines
        },
    }
}

/// Whether `path` begins with the whole name.
fn begins(path: &str, name: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| !rest.starts_with(crate::lex::is_name))
}
