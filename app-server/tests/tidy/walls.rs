//! The walls, one function each: where it stands, what breaks it, why it is there.

use skein_protocol::methods::METHODS;
use skein_protocol::notifications::NOTIFICATIONS;
use skein_protocol::server_requests::SERVER_REQUESTS;

use crate::source::Source;

/// A file above this many lines answers more than one question.
const MOST_LINES: usize = 600;

/// A rule about sources.
pub(crate) struct Wall {
    /// What is kept apart, why, and where the thing belongs.
    pub why: &'static str,
    /// Path and text of files that break it.
    pub bad: Vec<(&'static str, String)>,
    /// Path and text of files that come close and do not break it.
    pub good: Vec<(&'static str, String)>,
    pub check: fn(&Source) -> Vec<usize>,
}

impl Wall {
    /// The lines of `source` that break it.
    pub(crate) fn broken_by(&self, source: &Source) -> Vec<usize> {
        (self.check)(source)
    }
}

/// Examples as a wall has them.
pub(crate) fn examples(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs.iter().map(|(path, text)| (*path, (*text).to_owned())).collect()
}

/// `lines` outside of tests.
fn outside_tests(source: &Source, lines: Vec<usize>) -> Vec<usize> {
    lines.into_iter().filter(|line| !source.is_test(*line)).collect()
}

pub(crate) fn protocol_is_pure() -> Wall {
    Wall {
        why: "protocol/ says what goes over the wire and does nothing: tasks, files, sockets and clocks belong \
              to app-server/ (only protocol/src/bin and protocol/tests touch files)",
        bad: examples(&[
            ("protocol/src/a.rs", "use tokio::sync::mpsc;"),
            ("protocol/src/a.rs", "use std::{fmt, fs};"),
            ("protocol/src/a.rs", "fn f() { std::net::TcpStream::connect(a) }"),
            ("protocol/src/a.rs", "use std::time::{Duration, Instant};"),
        ]),
        good: examples(&[
            ("protocol/src/bin/generate.rs", "use std::fs;"),
            ("protocol/src/a.rs", "// tokio\nuse std::time::Duration; use std::fmt;"),
        ]),
        check: |source| {
            if !source.is_in("protocol/src") || source.is_in("protocol/src/bin") {
                return Vec::new();
            }
            source.lines_naming(&[
                "tokio",
                "axum",
                "nix",
                "std::env",
                "std::fs",
                "std::net",
                "std::process",
                "std::thread",
                "Instant",
                "SystemTime",
            ])
        },
    }
}

pub(crate) fn one_birthplace() -> Wall {
    Wall {
        why: "a process that Skein starts is born in app-server/crates/helpers/src/process/start.rs, where it gets a guard, clean \
              descriptors and an end; ask that file for a process. Only the guard and the first process of a namespace fork, to become \
              the helper. app-server/src/cli/launch.rs starts a server and a browser, which outlive their command, and systemctl; \
              app-server/crates/postgres/src/testing/guarded.rs starts the database of tests",
        bad: examples(&[
            ("app-server/src/outbox/mod.rs", "fn f() { std::process::Command::new(\"sh\") }"),
            ("app-server/src/outbox/mod.rs", "use nix::unistd::{fork, pipe};"),
        ]),
        good: examples(&[
            ("app-server/crates/helpers/src/process/start.rs", "fn f() { Command::new(program) }"),
            ("app-server/crates/helpers/src/process/guard.rs", "use nix::unistd::fork;"),
            ("app-server/src/cli/launch.rs", "fn f() { Command::new(browser) }"),
            ("app-server/tests/a.rs", "fn f() { Command::new(program) }"),
            ("app-server/src/outbox/mod.rs", "fn f() { MyCommand::new(); fork_thread() }"),
        ]),
        check: |source| {
            let births = [
                "app-server/crates/helpers/src/process/start.rs",
                "app-server/crates/postgres/src/testing/guarded.rs",
                "app-server/src/cli/launch.rs",
            ];
            if !source.is_of_server() || births.contains(&source.path.as_str()) {
                return Vec::new();
            }
            let mut lines = source.lines_naming(&["Command::new", "posix_spawn"]);
            let forks = [
                "app-server/crates/helpers/src/process/guard.rs",
                "app-server/crates/helpers/src/containment/namespace.rs",
            ];
            if !forks.contains(&source.path.as_str()) {
                lines.extend(source.lines_naming(&["unistd::fork", "fork()", "execv", "execve", "fexecve"]));
            }
            lines
        },
    }
}

pub(crate) fn one_starter() -> Wall {
    Wall {
        why: "a task is started by app-server/crates/base/src/tasks.rs (Tasks::spawn, Tasks::blocking, Tasks::group), which \
              names it, counts it and joins it at the stop",
        bad: examples(&[
            ("app-server/src/a.rs", "fn f() { tokio::spawn(async {}); }"),
            ("app-server/src/a.rs", "use tokio::task::JoinSet;"),
            ("app-server/src/a.rs", "fn f() { std::thread::spawn(|| {}); }"),
        ]),
        good: examples(&[
            ("app-server/src/a.rs", "fn f() { self.tasks.spawn(\"turn\", run()); }"),
            ("app-server/src/a/tests.rs", "fn f() { tokio::spawn(async {}); }"),
        ]),
        check: |source| {
            if !source.is_of_server() || source.path == "app-server/crates/base/src/tasks.rs" {
                return Vec::new();
            }
            let starters = [
                "tokio::spawn",
                "task::spawn",
                "spawn_blocking",
                "spawn_local",
                "block_in_place",
                "JoinSet",
                "thread::spawn",
                "thread::Builder",
                "Handle::current",
            ];
            outside_tests(source, source.lines_naming(&starters))
        },
    }
}

pub(crate) fn bounded_queues() -> Wall {
    Wall {
        why: "every queue is bounded, and full is an answer (-32001 for a request, 1013 for a client that does not \
              read): a queue without a bound turns one slow reader into everybody's lack of memory",
        bad: examples(&[
            ("app-server/src/a.rs", "let (a, b) = mpsc::unbounded_channel();"),
            ("integration-tests/src/a.rs", "use tokio::sync::mpsc::{Receiver, UnboundedSender};"),
            ("app-server/src/a.rs", "let (a, b) = std::sync::mpsc::channel();"),
        ]),
        good: examples(&[(
            "app-server/src/a.rs",
            "let (a, b) = oneshot::channel(); let c = mpsc::channel(8);",
        )]),
        check: |source| {
            source.lines_naming(&[
                "unbounded",
                "unbounded_channel",
                "UnboundedSender",
                "UnboundedReceiver",
                "mpsc::channel()",
            ])
        },
    }
}

pub(crate) fn one_clock() -> Wall {
    Wall {
        why: "app-server/crates/base/src/clock.rs is the only reader of time: pure code takes `now` as a parameter, the rest \
              holds a `Clock`, so that a test can be at any time it likes",
        bad: examples(&[
            ("app-server/src/a.rs", "let now = Instant::now();"),
            ("app-server/src/a.rs", "let took = began.elapsed();"),
            ("app-server/src/a.rs", "let id = Uuid::now_v7();"),
        ]),
        good: examples(&[
            ("app-server/crates/base/src/clock.rs", "let now = Instant::now();"),
            ("app-server/src/a.rs", "let now = self.clock.now();"),
        ]),
        check: |source| {
            if !source.is_of_server() || source.path == "app-server/crates/base/src/clock.rs" {
                return Vec::new();
            }
            let readers =
                ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", "now_v7", ".elapsed()"];
            source.lines_naming(&readers)
        },
    }
}

const MAPS: [&str; 2] = ["app-server/src/thread/registry.rs", "app-server/src/thread/subscribers.rs"];

/// What reads and writes the maps.
const AT_THE_MAPS: [&str; 3] = [MAPS[0], MAPS[1], "app-server/src/thread/subscribers/delivery.rs"];

pub(crate) fn maps_never_wait() -> Wall {
    Wall {
        why: "the registry and the subscribers hold locks of shards: no `async` stands in their files, so that no \
              lock can be held while something is waited for. They hand out clones; waiting is the caller's",
        bad: examples(&[
            (MAPS[0], "pub async fn load(&self) {}"),
            (MAPS[1], "fn f() { self.handle().stop().await; }"),
            (AT_THE_MAPS[2], "pub async fn publish(&self) {}"),
        ]),
        good: examples(&[
            (MAPS[0], "// async\npub fn handle(&self) {}"),
            ("app-server/src/a.rs", "async fn f() {}"),
        ]),
        check: |source| {
            let lines = source.lines_with(&["async", ".await"]);
            if AT_THE_MAPS.contains(&source.path.as_str()) {
                outside_tests(source, lines)
            } else {
                Vec::new()
            }
        },
    }
}

pub(crate) fn two_maps() -> Wall {
    Wall {
        why: "DashMap is for thread/registry.rs and thread/subscribers.rs: everything else has one owner and needs \
              no map that is shared",
        bad: examples(&[("app-server/crates/helpers/src/mod.rs", "use dashmap::DashMap;")]),
        good: examples(&[(MAPS[1], "use dashmap::DashMap;")]),
        check: |source| {
            let lines = source.lines_with(&["DashMap", "DashSet", "dashmap"]);
            if MAPS.contains(&source.path.as_str()) { Vec::new() } else { lines }
        },
    }
}

pub(crate) fn rooms() -> Wall {
    let long = "\n".repeat(MOST_LINES + 1);
    Wall {
        why: "a file above 600 lines answers more than one question: split it by question, and move its tests into \
              a file of their own",
        bad: vec![("app-server/src/a.rs", long.clone())],
        good: vec![("protocol/generated/all.json", long), ("app-server/src/a.rs", "\n".repeat(MOST_LINES))],
        check: |source| {
            let lines = source.text.lines().count();
            if source.path.ends_with(".rs") && lines > MOST_LINES { vec![lines] } else { Vec::new() }
        },
    }
}

/// Every name of the three tables that nothing else could be called.
fn wire_names() -> impl Iterator<Item = &'static str> {
    let methods = METHODS.iter().map(|row| row.wire);
    let notifications = NOTIFICATIONS.iter().map(|row| row.wire);
    let requests = SERVER_REQUESTS.iter().map(|row| row.wire);
    methods.chain(notifications).chain(requests).filter(|wire| wire.contains('/'))
}

pub(crate) fn one_table() -> Wall {
    let first = wire_names().next().unwrap_or_default();
    Wall {
        why: "the name of a method or notification stands in its table in protocol/src/ and nowhere else: write `<Marker as Method>::INFO.wire`, \
              or call it by its marker type with the typed client",
        bad: vec![
            ("app-server/src/a.rs", format!("match method {{ \"{first}\" => 1 }}")),
            ("integration-tests/tests/a.rs", format!("send(r#\"{{\"method\":\"{first}\"}}\"#)")),
            ("app-server/src/a/tests.rs", format!("send(\"{{\\\"method\\\":\\\"{first}\\\"}}\")")),
        ],
        good: vec![
            ("protocol/src/methods.rs", format!("const A: &str = \"{first}\";")),
            (
                "app-server/src/a.rs",
                format!("// {first}\nlet a = \"say {first}\"; let b = \"{first}/more\";"),
            ),
        ],
        check: |source| {
            if source.is_in("protocol") {
                return Vec::new();
            }
            let named = |text: &str| {
                wire_names().any(|wire| {
                    text == wire
                        || text.contains(&format!("\"{wire}\\\""))
                        || text.contains(&format!("\"{wire}\""))
                })
            };
            source.rust.literals.iter().filter(|(_, text)| named(text)).map(|(line, _)| *line).collect()
        },
    }
}

pub(crate) fn no_sleep() -> Wall {
    Wall {
        why: "a test waits for a fact (an event, a fence, a counter, the end of a process), bounded by a timeout that \
              names it; a sleep is too short on a busy machine and too long on every other",
        bad: examples(&[
            ("integration-tests/tests/a.rs", "tokio::time::sleep(a).await;"),
            ("app-server/src/a/tests.rs", "std::thread::sleep(a);"),
            ("app-server/src/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n  fn g() { sleep(a); }\n}"),
        ]),
        good: examples(&[
            ("app-server/src/a.rs", "fn f() { sleep(a); }"),
            ("integration-tests/tests/a.rs", "sleep_until(a)"),
        ]),
        check: |source| {
            let ours = source.is_in("integration-tests") && !source.is_in("integration-tests/src/bin");
            let lines = source.lines_with(&["sleep("]).into_iter();
            lines.filter(|line| ours || source.is_test(*line)).collect()
        },
    }
}

pub(crate) fn reasoned_drops() -> Wall {
    Wall {
        why: "a result that is dropped hides an error: handle it, or say in a comment beside it why it does not \
              matter here",
        bad: examples(&[
            ("app-server/src/a.rs", "// About f.\n\nfn f() {\n    let _ = sender.send(1);\n}"),
            ("app-server/src/a.rs", "fn f() {\n    _ = sender.send(1);\n}"),
        ]),
        good: examples(&[
            (
                "app-server/src/a.rs",
                "// The receiver is gone only when nobody wants to know.\nlet _ = sender.send(1);",
            ),
            ("app-server/src/a.rs", "let _ = sender.send(1); // as above"),
            (
                "app-server/src/a.rs",
                "let _guard = lock();\nmatch a {\n    _ => 1,\n}\n_ = woken.recv() => 1,",
            ),
        ]),
        check: |source| {
            let dropped = |line: &str| {
                let line = line.trim_start();
                line.starts_with("let _ =") || line.starts_with("_ =") && !line.contains("=>")
            };
            // On the line, above it, or above the head of a function that does nothing else.
            let reasoned = |line: usize| {
                source.rust.commented.iter().any(|at| (line.saturating_sub(2)..=line).contains(at))
            };
            let lines = source.code().filter(|(number, line)| dropped(line) && !reasoned(*number));
            outside_tests(source, lines.map(|(number, _)| number).collect())
        },
    }
}

pub(crate) fn typed_errors() -> Wall {
    Wall {
        why: "inside the server an error is an enum of its room, and `to_wire` beside it gives each variant its code on \
              the wire; anyhow is for the program's edge (main.rs, cli/) and for tests",
        bad: examples(&[("app-server/src/thread/mod.rs", "use anyhow::Context;")]),
        good: examples(&[
            ("app-server/src/main.rs", "use anyhow::Context;"),
            ("app-server/src/cli/call.rs", "use anyhow::Context;"),
            ("integration-tests/src/lib.rs", "use anyhow::Context;"),
        ]),
        check: |source| {
            let edge = source.path == "app-server/src/main.rs" || source.is_in("app-server/src/cli");
            if edge || source.is_in("integration-tests") {
                return Vec::new();
            }
            outside_tests(source, source.lines_with(&["anyhow"]))
        },
    }
}

/// What belongs to one machine or one moment. Written in two halves, so that this file may stand among the sources.
const PASSING: [&str; 4] =
    [concat!("/wor", "k/"), concat!("/tmp", "/wt"), concat!("issue", " #"), concat!("FIX", "ME")];

pub(crate) fn timeless() -> Wall {
    let path = concat!("see /wor", "k/shared");
    let number = concat!("// issue", " #7");
    Wall {
        why: "sources and documents outlive the machine and the list of tasks they were written with: say what is \
              true of the code",
        bad: examples(&[("README.md", path), ("app-server/src/a.rs", number)]),
        good: examples(&[("README.md", "a network/folder, an issue of the day")]),
        check: |source| {
            let passing = |line: &str| PASSING.iter().any(|word| line.contains(word));
            let numbered = source.text.lines().enumerate();
            numbered.filter(|(_, line)| passing(line)).map(|(at, _)| at + 1).collect()
        },
    }
}
