//! What the documents promise: their length, links and paths that lead somewhere, scripts with the flags that they name, and
//! sentences that a reader takes in at once.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::source::{Source, root, workspace};
use crate::walls::{Wall, examples};

/// The first pages that a newcomer reads.
const FIRST_PAGES: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

const LONGEST_SENTENCE: usize = 30;

/// Home-made nouns that the field has words for. `words.rs` has the list for names in the code.
const REFUSED: [&str; 13] = [
    "keeper", "lessee", "rung", "rungs", "reins", "wreck", "census", "comeback", "the zero", "sift", "sifts",
    "shelf", "shelves",
];

pub(crate) fn lengths() -> Wall {
    Wall {
        why: "a document keeps to its length: README.md 120 lines, ARCHITECTURE.md 250, the README.md of a crate 60, a \
              decision 30; details belong to the head of a file, a decision, or a page of docs/",
        bad: vec![
            ("README.md", "a\n".repeat(121)),
            ("app-server/crates/base/README.md", "a\n".repeat(61)),
            ("docs/decisions/001-a.md", "a\n".repeat(31)),
        ],
        good: vec![
            ("README.md", "a\n".repeat(120)),
            ("docs/events.md", "a\n".repeat(900)),
            ("docs/decisions/README.md", "a\n".repeat(50)),
        ],
        check: |source| {
            let most = match source.path.as_str() {
                "README.md" => 120,
                "ARCHITECTURE.md" => 250,
                path if path.ends_with("/README.md") => 60,
                _ if source.is_in("docs/decisions") => 30,
                _ => usize::MAX,
            };
            let lines = source.text.lines().count();
            (lines > most).then_some(lines).into_iter().collect()
        },
    }
}

pub(crate) fn widths() -> Wall {
    Wall {
        why: "a line of METHODS.md has at most 400 characters",
        bad: vec![("METHODS.md", "a".repeat(401))],
        good: vec![("METHODS.md", "a".repeat(400)), ("docs/events.md", "a".repeat(401))],
        check: |source| {
            let is_long = |line: &str| source.path == "METHODS.md" && line.chars().count() > 400;
            lines_of_document(source, is_long)
        },
    }
}

pub(crate) fn links() -> Wall {
    Wall {
        why: "a link in a document leads to a file that is there, and to a heading of it",
        bad: examples(&[
            ("README.md", "[a](docs/nowhere.md)"),
            ("README.md", "![a](docs/pictures/nowhere.png)"),
            ("docs/events.md", "[a](../README.md#no-such-heading)"),
            ("docs/events.md", "# One\n[a](#two)"),
        ]),
        good: examples(&[
            ("README.md", "[a](docs/events.md), [b](https://example.org/c), [d](docs/decisions)"),
            ("README.md", "![a](docs/pictures/page.png)"),
            ("docs/events.md", "[a](../README.md#limits)"),
            ("docs/events.md", "## One `thing`, two\n[a](#one-thing-two)"),
        ]),
        check: |source| lines_of_document(source, |line| targets(line).any(|target| !leads(source, target))),
    }
}

pub(crate) fn paths() -> Wall {
    Wall {
        why: "a path in a document is the end of a path of a source",
        bad: examples(&[
            ("ARCHITECTURE.md", "`thread/no_such_file.rs`"),
            ("app-server/crates/base/README.md", "| `{clock,no_such_file}.rs` |"),
            ("docs/proof.md", "`scripts/no-such-script --flag`"),
        ]),
        good: examples(&[
            ("ARCHITECTURE.md", "`thread/machine.rs`, `app-server/crates/base/src/clock.rs`, `threads/`"),
            ("app-server/crates/base/README.md", "| `{clock,tasks}.rs` |"),
            ("docs/proof.md", "`scripts/zoo --spread`"),
        ]),
        check: |source| {
            lines_of_document(source, |line| {
                codes(line).flat_map(written_out).any(|path| names_source(&path) && !is_there(&path))
            })
        },
    }
}

pub(crate) fn listed_decisions() -> Wall {
    Wall {
        why: "a decision stands in the list of docs/decisions/README.md",
        bad: examples(&[("docs/decisions/999-not-in-the-list.md", "# 999. Not in the list")]),
        good: examples(&[("docs/decisions/README.md", "# Decisions"), ("docs/events.md", "# Events")]),
        check: |source| {
            let list = workspace().iter().find(|other| other.path == "docs/decisions/README.md");
            let name = source.path.strip_prefix("docs/decisions/").filter(|name| *name != "README.md");
            let is_listed = |name: &str| list.is_some_and(|list| list.text.contains(&format!("({name})")));
            name.filter(|name| !is_listed(name)).map(|_| 1).into_iter().collect()
        },
    }
}

pub(crate) fn tests_of_claims() -> Wall {
    Wall {
        why: "a claim of SECURITY.md names tests that exist",
        bad: examples(&[("SECURITY.md", "| a claim | `no_such_test_is_anywhere` |")]),
        good: examples(&[
            (
                "SECURITY.md",
                "| a claim | `tidy_finds_the_sources`, `auth.local`, `access.json`, `may_connect` |",
            ),
            ("docs/events.md", "`no_such_test_is_anywhere`"),
        ]),
        check: |source| {
            let is_missing = |code: &str| is_test_name(code) && !is_function(code);
            let has_missing = |line: &str| source.path == "SECURITY.md" && codes(line).any(is_missing);
            lines_of_document(source, has_missing)
        },
    }
}

/// Whether the text can only be the name of a test: a sentence of words in lower case.
fn is_test_name(code: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    code.chars().all(is_plain) && code.matches('_').count() > 1
}

/// Whether a source has a function of this name.
fn is_function(name: &str) -> bool {
    let start = format!("fn {name}(");
    workspace().iter().any(|source| source.path.ends_with(".rs") && source.text.contains(&start))
}

pub(crate) fn flags_of_scripts() -> Wall {
    Wall {
        why: "a flag that a document gives to a script is one that the script, or the program behind it, knows",
        bad: examples(&[
            ("docs/proof.md", "`scripts/zoo --no-such-flag`"),
            ("a.md", "    scripts/soak --no-such-flag 3"),
        ]),
        good: examples(&[
            ("docs/proof.md", "`scripts/zoo --spread`, `scripts/leak-demo --tool echo -- node --inspect`"),
            ("a.md", "`scripts/run`"),
        ]),
        check: |source| {
            let unknown = |(script, flag): (&str, &str)| !knows(script, flag);
            lines_of_document(source, |line| flags(line).into_iter().any(unknown))
        },
    }
}

pub(crate) fn sentences() -> Wall {
    Wall {
        why: "a sentence of README.md or ARCHITECTURE.md has at most 30 words",
        bad: vec![
            ("README.md", "word ".repeat(31)),
            ("README.md", format!("- {}\n  {}", "a ".repeat(20), "b ".repeat(11))),
        ],
        good: vec![
            ("README.md", format!("{}. {}", "a ".repeat(25), "b ".repeat(25))),
            ("README.md", format!("```text\n{}\n```", "a ".repeat(50))),
            ("README.md", format!("| {} | {} |", "a ".repeat(20), "b ".repeat(20))),
            ("docs/events.md", "word ".repeat(31)),
        ],
        check: |source| {
            if !FIRST_PAGES.contains(&source.path.as_str()) {
                return Vec::new();
            }
            let is_long = |sentence: &str| sentence.split_whitespace().count() > LONGEST_SENTENCE;
            let long = |text: &String| text.split(". ").flat_map(|part| part.split("? ")).any(is_long);
            prose(&source.text).into_iter().filter(|(_, text)| long(text)).map(|(line, _)| line).collect()
        },
    }
}

pub(crate) fn words() -> Wall {
    Wall {
        why: "a document uses the words of the field: guard monitor, holder, isolation level, control handle, panic cleanup, \
              process table, resume, fully stopped, prefilter, location",
        bad: examples(&[("docs/helpers.md", "the keeper waits"), ("README.md", "After the zero, it ends.")]),
        good: examples(&[
            ("docs/helpers.md", "a bookkeeper; `keeper`"),
            ("docs/helpers.md", "the zeroes"),
            ("CHANGELOG.md", "the keeper"),
        ]),
        check: |source| {
            if source.path == "CHANGELOG.md" {
                return Vec::new();
            }
            let has_refused = |text: &str| {
                let words: Vec<String> =
                    text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
                let text = format!(" {} ", words.join(" "));
                REFUSED.iter().any(|word| text.contains(&format!(" {word} ")))
            };
            let found = prose(&source.text).into_iter().filter(|(_, text)| has_refused(text));
            found.filter(|_| source.path.ends_with(".md")).map(|(line, _)| line).collect()
        },
    }
}

/// The numbers of the lines of a document that `is_wrong` finds.
/// An entry of the changelog, with the number of its first line. Further lines of an entry are indented.
fn entries(text: &str) -> Vec<(usize, String)> {
    let mut entries: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        match (line.strip_prefix("  "), entries.last_mut()) {
            (Some(rest), Some((_, entry))) => *entry += &format!(" {rest}"),
            _ if line.starts_with("- ") => entries.push((number, line.to_owned())),
            _ => {}
        }
    }
    entries
}

pub(crate) fn changes() -> Wall {
    Wall {
        why: "an entry of CHANGELOG.md has at most 160 characters: details belong to docs/",
        bad: vec![("CHANGELOG.md", format!("- a\n- {}\n  {}\n", "b".repeat(100), "c".repeat(100)))],
        good: vec![
            ("CHANGELOG.md", format!("- {}\n- b\n", "a".repeat(158))),
            ("docs/a.md", format!("- {}", "a".repeat(200))),
        ],
        check: |source| {
            let is_log = source.path == "CHANGELOG.md";
            let entries = entries(&source.text).into_iter().filter(|_| is_log);
            entries.filter(|(_, entry)| entry.chars().count() > 160).map(|(number, _)| number).collect()
        },
    }
}

fn lines_of_document(source: &Source, is_wrong: impl Fn(&str) -> bool) -> Vec<usize> {
    if !source.path.ends_with(".md") {
        return Vec::new();
    }
    let lines = source.text.lines().enumerate();
    lines.filter(|(_, line)| is_wrong(line)).map(|(at, _)| at + 1).collect()
}

/// The targets of the links in a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

fn leads(source: &Source, target: &str) -> bool {
    if target.contains("://") {
        return true;
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { source.path.clone() } else { joined(folder(&source.path), path) };
    let text = if path == source.path { Some(&source.text) } else { None };
    let found = text.or_else(|| workspace().iter().find(|other| other.path == path).map(|other| &other.text));
    match found {
        Some(text) => heading.is_empty() || text.lines().any(|line| slug(line).as_deref() == Some(heading)),
        // A picture is no text.
        None => heading.is_empty() && (PLACES.contains(path.as_str()) || root().join(&path).is_file()),
    }
}

/// The anchor that a heading gets.
fn slug(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
}

/// What a line has between backticks.
fn codes(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// `{a,b}.rs` is `a.rs` and `b.rs`. Only the first word counts.
fn written_out(code: &str) -> Vec<String> {
    let path = code.split_whitespace().next().unwrap_or_default();
    let Some((before, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((inside, behind)) = rest.split_once('}') else { return Vec::new() };
    inside.split(',').map(|part| format!("{before}{part}{behind}")).collect()
}

/// Whether it can only be a file of ours: a Rust file, a script, or something in a folder of the root.
fn names_source(path: &str) -> bool {
    let plain = path.chars().all(|c| c.is_alphanumeric() || ['_', '-', '.', '/'].contains(&c));
    let rooted = ["app-server/", "protocol/", "integration-tests/", "scripts/", "docs/"];
    plain && (path.ends_with(".rs") || rooted.iter().any(|root| path.starts_with(root)))
}

/// Every file, and every folder that has one.
static PLACES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut places = BTreeSet::new();
    for source in workspace() {
        let mut place = source.path.as_str();
        while !place.is_empty() && places.insert(place.to_owned()) {
            place = folder(place);
        }
    }
    places
});

/// Whether a file or a folder of the workspace ends with `path`. A picture that a script makes is none of them.
fn is_there(path: &str) -> bool {
    let (path, end) = (path.trim_end_matches('/'), format!("/{}", path.trim_end_matches('/')));
    path.ends_with(".svg") || PLACES.iter().any(|place| place == path || place.ends_with(&end))
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn joined(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Each script that a line calls, with each of its flags.
fn flags(line: &str) -> Vec<(&str, &str)> {
    let whole = line.starts_with("    ").then_some(line);
    let mut found = Vec::new();
    for code in codes(line).chain(whole) {
        let mut words = code.split_whitespace();
        let Some(script) = words.next().and_then(|word| word.strip_prefix("scripts/")) else { continue };
        let own = words.take_while(|word| *word != "--" && !word.starts_with('#'));
        found.extend(own.filter(|word| word.starts_with("--")).map(|flag| (script, flag)));
    }
    found
}

/// Whether a script, or what is named like it, has the flag: as such, or as a field of a program's arguments.
fn knows(script: &str, flag: &str) -> bool {
    let flag = flag.split('=').next().unwrap_or_default().trim_end_matches([',', '.', ';', ']']);
    let field = format!("{}:", flag.trim_start_matches('-').replace('-', "_"));
    let behind = |path: &str| {
        let named = format!("/{script}");
        let is_named = |place: &str| path.strip_prefix(place).is_some_and(|rest| rest.starts_with(&named));
        ["scripts", "scripts/lib", "integration-tests/src/bin", "integration-tests/src"]
            .iter()
            .any(|place| is_named(place))
    };
    let mut sources =
        workspace().iter().filter(|source| !source.path.ends_with(".md") && behind(&source.path));
    sources.any(|source| source.text.contains(flag) || source.text.contains(&field)) || passes_on(script)
}

/// Scripts that give their arguments to a program that is not ours, or to the server.
fn passes_on(script: &str) -> bool {
    ["run", "test", "bazel"].contains(&script)
}

/// Paragraphs, list entries and cells of tables, each in one piece, with the line where it begins. Code stands as one word.
fn prose(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut fenced): (Vec<(usize, String)>, bool) = (Vec::new(), false);
    let mut continues = false;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        let is_code = fenced || line.starts_with("```") || line.starts_with("    ");
        let trimmed = line.trim();
        if is_code || trimmed.is_empty() || trimmed.starts_with('#') {
            continues = false;
            continue;
        }
        if trimmed.starts_with('|') {
            found.extend(without_code(trimmed).split('|').map(|cell| (at + 1, cell.to_owned())));
            continues = false;
            continue;
        }
        let begins = trimmed.starts_with("- ")
            || trimmed.split_once(". ").is_some_and(|(n, _)| n.parse::<u8>().is_ok());
        match found.last_mut().filter(|_| continues && !begins) {
            Some((_, before)) => *before += &format!(" {}", without_code(trimmed)),
            None => found.push((at + 1, without_code(trimmed))),
        }
        continues = true;
    }
    found
}

fn without_code(line: &str) -> String {
    let parts = line.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { part } else { "code" }).collect()
}
