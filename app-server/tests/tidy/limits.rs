//! docs/limits.md: every number of the `policy.rs` files, made from their doc comments.

use skein_app_server::bounds::{CLIENT_LIMITS, ClientLimit};

use crate::source::{Source, root, workspace};

const DOCUMENT: &str = "docs/limits.md";

const HEAD: &str = "# Limits

Every number of Skein with its reason, made from `policy.rs` of each crate by `scripts/generate`. [settings.md](settings.md) has
those that a user can change.

## Limits of clients

`skein doctor` prints the memory that these allow connections for messages, requests and outboxes. Messages that a thread has taken
count for the thread. Requests a second have no limit: a client that takes its answers is as fast as the server.

| key | default | unit | above it | reason |
| --- | --- | --- | --- | --- |
";

/// A constant of a `policy.rs`.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    name: String,
    value: String,
    reason: String,
}

/// The document as the sources say it now.
fn document() -> String {
    let mut text = HEAD.to_owned();
    let all: Vec<Number> = policies().iter().flat_map(|source| numbers(&source.text)).collect();
    for ClientLimit { key, number, unit, above } in CLIENT_LIMITS {
        let found = all.iter().find(|one| one.name == number);
        let Number { value, reason, .. } = found.unwrap_or_else(|| panic!("no policy.rs has {number}"));
        let reason = reason.split_once("Origin: ").map_or(reason.as_str(), |(_, origin)| origin);
        let key = key.map(|key| format!("`{key}`")).unwrap_or_default();
        text += &format!("| {key} | {value} | {unit} | {above} | {reason} |\n");
    }
    for source in policies() {
        text += &format!("\n## {}\n\n| number | value | meaning |\n| --- | --- | --- |\n", source.path);
        for Number { name, value, reason } in numbers(&source.text) {
            text += &format!("| `{name}` | {value} | {reason} |\n");
        }
    }
    text
}

/// The files with the numbers, by path.
fn policies() -> Vec<&'static Source> {
    let is_policy =
        |source: &&Source| source.path.ends_with("/src/policy.rs") || source.is_in("app-server/src/policy");
    let mut sources: Vec<&Source> = workspace().iter().filter(is_policy).collect();
    sources.sort_by_key(|source| &source.path);
    sources
}

fn numbers(text: &str) -> Vec<Number> {
    let (mut found, mut doc) = (Vec::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(words) = line.strip_prefix("///") {
            doc = format!("{doc} {}", words.trim());
        } else if let Some((_, constant)) = line.split_once("const ").filter(|_| line.starts_with("pub")) {
            let mut whole = constant.to_owned();
            while !whole.ends_with(';') {
                let Some(next) = lines.next() else { break };
                whole = format!("{whole} {}", next.trim().trim_end_matches('\\'));
            }
            found.extend(number(&whole, &doc));
            doc.clear();
        } else if !line.starts_with('#') {
            doc.clear();
        }
    }
    found
}

/// `NAME: TYPE = VALUE;` with its doc comment. Texts are no numbers.
fn number(constant: &str, doc: &str) -> Option<Number> {
    let (name, rest) = constant.split_once(": ")?;
    let (kind, value) = rest.trim_end_matches(';').split_once(" = ")?;
    // Its origin may speak of another unit.
    let unit = doc.split("Origin:").next().unwrap_or_default();
    let value = match kind {
        "&str" => return None,
        "Duration" => duration(value),
        _ if unit.to_lowercase().contains("bytes") => bytes(value),
        _ => whole(value).map_or_else(|| format!("`{value}`"), |number| number.to_string()),
    };
    let reason = doc.trim().replace("[`", "`").replace("`]", "`").replace('|', "\\|");
    Some(Number { name: name.to_owned(), value, reason })
}

fn duration(value: &str) -> String {
    let call = value.strip_prefix("Duration::from_").and_then(|call| call.strip_suffix(')'));
    let parts =
        call.and_then(|call| call.split_once('(')).and_then(|(unit, count)| Some((unit, whole(count)?)));
    match parts {
        Some(("millis", count)) => format!("{count} ms"),
        Some(("secs", count)) => format!("{count} s"),
        Some(("mins", count)) => format!("{count} min"),
        Some(("hours", count)) => format!("{count} h"),
        Some(_) | None => format!("`{value}`"),
    }
}

fn bytes(value: &str) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = |number: u64| {
        units.into_iter().find(|(bits, _)| number >= 1 << bits && number.is_multiple_of(1 << bits))
    };
    match whole(value).and_then(|number| Some((number, unit(number)?))) {
        Some((number, (bits, name))) => format!("{} {name}", number >> bits),
        None => whole(value).map_or_else(|| format!("`{value}`"), |number| format!("{number} bytes")),
    }
}

/// A number, a product, or a shift.
fn whole(value: &str) -> Option<u64> {
    if let Some((number, bits)) = value.split_once(" << ") {
        return whole(number)?.checked_shl(bits.parse().ok()?);
    }
    value.split(" * ").map(|factor| factor.replace('_', "").parse::<u64>().ok()).product()
}

/// With `SKEIN_GENERATE` it writes the document, as `scripts/generate` does.
pub(crate) fn is_as_generated() {
    let document = document();
    if std::env::var_os("SKEIN_GENERATE").is_some() {
        let written = std::fs::write(root().join(DOCUMENT), &document);
        assert!(written.is_ok(), "{DOCUMENT}: {written:?}");
    }
    let found = std::fs::read_to_string(root().join(DOCUMENT)).unwrap_or_default();
    let differs = found.lines().zip(document.lines()).find(|(found, expected)| found != expected);
    assert!(found == document, "{DOCUMENT} is out of date: run scripts/generate; {differs:?}");
}

#[test]
fn a_number_has_a_value_that_people_read() {
    let text = "/// How long. Origin: [`A`].\n#[cfg(x)]\npub(crate) const A: Duration = Duration::from_millis(1_500);\n\
                const B: u8 = 1;\n/// Bytes.\npub const C: usize = 16 * 1024 * 1024;\n/// Bytes of one.\npub const D: usize = 4 << 10;\n\
                /// Text.\npub const E: &str = \"a\\\n b\";\npub const F: u32 = G;";
    let found = numbers(text);
    let shown: Vec<(&str, &str, &str)> =
        found.iter().map(|n| (n.name.as_str(), n.value.as_str(), n.reason.as_str())).collect();
    let expected = [
        ("A", "1500 ms", "How long. Origin: `A`."),
        ("C", "16 MiB", "Bytes."),
        ("D", "4 KiB", "Bytes of one."),
        ("F", "`G`", ""),
    ];
    assert_eq!(shown, expected);
}
