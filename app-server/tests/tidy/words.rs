//! The words of the field: names without home-made words, comments whose sentences have a subject.

use crate::lex::is_name;
use crate::source::Source;
use crate::walls::{Wall, examples};

/// Where both walls of this file hold. The walls themselves name refused words.
const CHECKED: [&str; 4] = ["app-server/crates", "app-server/src", "integration-tests", "protocol"];

/// Words that no name has, one idea a line. `HomeMark` and `home_mark` both have the words `home_mark`.
const REFUSED: &[&str] = &[
    // drained, fully stopped, stopped
    "zero",
    // publish, notify; receive, message, parsed
    "told tell hear heard said",
    // publish queue
    "in_line",
    // event log, journal, lease table
    "book",
    // panic cleanup
    "wreck",
    // location, relocate
    "elsewhere shelf shelves",
    // owner slot
    "seat",
    // control handle
    "reins",
    // guard monitor, holder
    "keeper lessee",
    // isolation level
    "rung rungs",
    // process tag, turn offset, marker; read state, turn offsets, open markers
    "mark marks markers",
    // kill loop, start-up clean-up, process table, unowned children
    "hunt sweep census strangers",
    // prefilter, peek header, externalise, inline
    "sift glance take_out put_back",
    // gap, record summary
    "hole holes story stories",
    // snapshot, view, image
    "picture pictures",
    // evict, memory pressure
    "squeeze pressure",
    // resume
    "comeback",
    // handle report, handle order, throttle, run, release
    "heed obey breathe talk let_go",
];

/// Words of the field that have a refused word in them.
const ALLOWED: &[&str] = &["open_markers", "memory_pressure"];

/// Names that something outside of Rust knows: the wire, records, metrics, files on disk.
const PUBLIC: &[&str] = &[
    "ContainmentRung",
    "PressureCounts",
    "ResumePicture",
    "ThreadPicture",
    "ZeroCounts",
    "pressure",
    "rung",
    "zero",
];

pub(crate) fn names_of_the_field() -> Wall {
    Wall {
        why: "sources name their files, types, functions and fields by words that the field knows; \
              app-server/tests/tidy/words.rs lists the refused words with their replacements",
        bad: examples(&[
            ("app-server/crates/base/src/clock/told.rs", ""),
            ("app-server/crates/base/src/clock.rs", "pub(crate) struct HomeMark(u64);"),
            ("app-server/crates/base/src/clock.rs", "enum Way {\n    #[a(b)]\n    Told(u8),\n}"),
            ("app-server/crates/base/src/clock.rs", "enum Way { A, B { heard: u8 } }"),
            ("app-server/crates/base/src/clock.rs", "struct A<T: B> { pub(crate) seat: Vec<(u8, T)> }"),
            ("app-server/crates/base/src/clock/tests.rs", "async fn nothing_is_let_go() {}"),
            ("app-server/crates/base/src/clock.rs", "mod markers;"),
        ]),
        good: examples(&[
            ("app-server/crates/base/src/clock.rs", "struct Bookkeeping { open_markers: u8 } // told"),
            (
                "app-server/crates/base/src/clock.rs",
                "enum A { B(wire::Told) }\nfn f() { g(Heard { a: told }) }",
            ),
            ("app-server/tests/tidy/a.rs", "struct Told;"),
        ]),
        check: |source| {
            if !is_checked(source) {
                return Vec::new();
            }
            let file = source.path.rsplit('/').next().unwrap_or_default();
            let names = declared(&source.rust.code).into_iter();
            let refused = names.filter(|(_, name)| is_refused(name)).map(|(line, _)| line);
            is_refused(file.trim_end_matches(".rs")).then_some(1).into_iter().chain(refused).collect()
        },
    }
}

pub(crate) fn sentences_with_subjects() -> Wall {
    Wall {
        why: "no sentence of a comment begins with What or Who: name the thing, and say what it does",
        bad: examples(&[
            ("app-server/crates/base/src/clock.rs", "/// What the client sees.\nstruct A;"),
            ("app-server/crates/base/src/clock.rs", "fn f() {} // It ends. Who waits, goes on."),
        ]),
        good: examples(&[
            (
                "app-server/crates/base/src/clock.rs",
                "// Says what the client sees, and who asks.\nfn what() {}",
            ),
            ("app-server/crates/base/src/clock.rs", "const A: &str = \"What is it?\";"),
            ("app-server/tests/tidy/a.rs", "/// What the client sees."),
        ]),
        check: |source| {
            let lines = source.text.lines().enumerate().map(|(at, line)| (at + 1, line));
            let comments = lines.filter(|(number, _)| source.rust.commented.contains(number));
            let broken = comments.filter(|(_, line)| is_checked(source) && begins_without_subject(line));
            broken.map(|(number, _)| number).collect()
        },
    }
}

fn is_checked(source: &Source) -> bool {
    source.path.ends_with(".rs") && CHECKED.iter().any(|folder| source.is_in(folder))
}

/// Whether a sentence of the comment in `line` begins with What or Who.
fn begins_without_subject(line: &str) -> bool {
    let Some((_, comment)) = line.split_once("//") else { return false };
    let comment = comment.trim_start_matches(['/', '!', ' ']);
    comment
        .split(". ")
        .any(|sentence| ["What ", "Whatever ", "Who "].iter().any(|word| sentence.starts_with(word)))
}

fn is_refused(name: &str) -> bool {
    let mut words = format!("_{}_", words(name));
    for allowed in ALLOWED {
        words = words.replace(&format!("_{allowed}_"), "_");
    }
    let has = |word: &str| words.contains(&format!("_{word}_"));
    !PUBLIC.contains(&name) && REFUSED.iter().flat_map(|idea| idea.split(' ')).any(has)
}

/// `HomeMark`, `HOME_MARK` and `home_mark` are all `home_mark`.
fn words(name: &str) -> String {
    let mut words = String::new();
    let mut was_small = false;
    for c in name.chars() {
        if c.is_uppercase() && was_small {
            words.push('_');
        }
        was_small = c.is_lowercase();
        words.extend(c.to_lowercase());
    }
    words
}

/// Every name of an item, a field or a variant that `code` declares, with its line.
fn declared(code: &str) -> Vec<(usize, &str)> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for (at, [(_, keyword), (line, name)]) in tokens.array_windows().enumerate() {
        match *keyword {
            "fn" | "mod" | "trait" | "type" | "const" | "static" => found.push((*line, *name)),
            "struct" | "enum" | "union" => {
                found.push((*line, *name));
                members(*keyword == "enum", &tokens[at + 2..], &mut found);
            }
            _ => {}
        }
    }
    found
}

/// The fields of a struct or an enum, and the variants of an enum: `tokens` are those behind its name.
fn members<'a>(is_enum: bool, tokens: &[(usize, &'a str)], found: &mut Vec<(usize, &'a str)>) {
    let mut depth = 0;
    for (at, (line, token)) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |(_, next)| *next);
        match *token {
            ";" if depth == 0 => return,
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            name if depth > 0 && name.starts_with(is_name) => {
                let before = if at == 0 { "" } else { tokens[at - 1].1 };
                let is_variant = is_enum && depth == 1 && ["{", ",", "]"].contains(&before);
                if next == ":" || is_variant {
                    found.push((*line, name));
                }
            }
            _ => {}
        }
        if *token == "}" && depth == 0 {
            return;
        }
    }
}

/// Names, `::`, and single signs, each with its line.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                _ if is_name(first) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
                _ if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            let (token, behind) = rest.split_at(length);
            found.push((at + 1, token));
            rest = behind.trim_start();
        }
    }
    found
}
