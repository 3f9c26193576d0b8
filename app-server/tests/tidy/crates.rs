//! Which crate imports which, and what integration-tests/ may know of the server.

use crate::source::Source;
use crate::walls::{Wall, examples};

/// The crates by folder, each with its name and with those of ours that it may import.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("protocol", "skein_protocol", &[]),
    ("app-server/crates/base", "skein_base", &[]),
    ("app-server/crates/store", "skein_store", &["skein_protocol", "skein_base"]),
    ("app-server/crates/postgres", "skein_postgres", &["skein_protocol", "skein_base", "skein_store"]),
    ("app-server/crates/helpers", "skein_helpers", &["skein_protocol", "skein_base"]),
    ("app-server/crates/provider", "skein_provider", &["skein_protocol", "skein_base"]),
    (
        "app-server/crates/config",
        "skein_config",
        &["skein_protocol", "skein_base", "skein_store", "skein_helpers", "skein_provider"],
    ),
    (
        "app-server/crates/turn",
        "skein_turn",
        &["skein_protocol", "skein_base", "skein_store", "skein_helpers", "skein_provider", "skein_config"],
    ),
    (
        "app-server",
        "skein_app_server",
        &[
            "skein_protocol",
            "skein_base",
            "skein_store",
            "skein_postgres",
            "skein_helpers",
            "skein_provider",
            "skein_config",
            "skein_turn",
        ],
    ),
    (
        "integration-tests",
        "skein_integration_tests",
        &["skein_protocol", "skein_base", "skein_store", "skein_postgres"],
    ),
];

pub(crate) fn one_direction() -> Wall {
    Wall {
        why: "a crate imports only the crates that app-server/tests/tidy/crates.rs names for it: what two crates need \
              belongs to one below both",
        bad: examples(&[
            ("app-server/tests/a.rs", "use skein_integration_tests::Home;"),
            ("integration-tests/src/a.rs", "use skein_app_server::Server;"),
            ("protocol/src/a.rs", "use skein_app_server::Server;"),
            ("app-server/Cargo.toml", "[dev-dependencies]\nskein-integration-tests.workspace = true"),
            ("app-server/crates/cellar/src/a.rs", "use skein_base::clock;"),
            ("app-server/crates/helpers/src/a.rs", "use skein_store::home;"),
            ("app-server/crates/turn/src/a.rs", "use skein_app_server::Server;"),
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

/// Crates that no other file of integration-tests/ may name than those that make and measure homes.
const BELOW: [&str; 2] = ["skein_base", "skein_store"];

/// Whether a file is of the rooms that make homes, or measure the store itself.
fn is_of_disk(source: &Source) -> bool {
    ["integration-tests/src/fixture", "integration-tests/src/bench"].iter().any(|room| source.is_in(room))
}

pub(crate) fn server_from_outside() -> Wall {
    Wall {
        why: "integration-tests see what a user sees: they start the program and talk to it over the wire; what needs the \
              server's insides is a unit test in app-server/. The rooms fixture/ and bench/ may use what a home looks \
              like on disk: they make homes, and measure the store itself",
        bad: examples(&[
            ("integration-tests/src/a.rs", "fn f() { skein_base::tasks::Tasks::new() }"),
            ("integration-tests/tests/a.rs", "use skein_store::rollout::Keep;"),
        ]),
        good: examples(&[
            ("integration-tests/src/a.rs", "use skein_protocol::METHODS;"),
            (
                "integration-tests/src/fixture/a.rs",
                "use skein_store::rollout::Keep; use skein_base::tasks::Tasks;",
            ),
        ]),
        check: |source| {
            let is_outside = source.is_in("integration-tests") && !is_of_disk(source);
            if is_outside { source.lines_naming(&BELOW) } else { Vec::new() }
        },
    }
}
