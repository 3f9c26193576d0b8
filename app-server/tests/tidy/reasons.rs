//! Every `data.reason` of an error stands in `protocol/src/reasons.rs`, and METHODS.md shows the list.

use std::collections::BTreeSet;

use skein_protocol::reasons::REASONS;

use crate::source::{Source, workspace};

/// The functions that make an error of a reason, which is their first argument.
const MAKERS: [&str; 9] = [
    "WireError::new(",
    "invalid_request(",
    "invalid_params(",
    "internal(",
    "overloaded(",
    "parse_error(",
    "refused(",
    "failed(",
    "of_turns(",
];

/// The reasons in the code of a file.
fn reasons(source: &Source) -> Vec<String> {
    let code: Vec<&str> = source
        .text
        .lines()
        .enumerate()
        .filter(|(at, _)| !source.is_test(at + 1))
        .map(|(_, line)| line)
        .collect();
    let code = code.join("\n");
    let behind = MAKERS.iter().flat_map(|maker| code.split(maker).skip(1));
    let first = behind.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
    let words = first.filter(|(word, rest)| word.chars().all(char::is_alphanumeric) && rest.starts_with(','));
    words.map(|(word, _)| word.to_owned()).collect()
}

/// Fails if the list lacks a reason of the code, or has one that the code does not name.
pub(crate) fn are_complete() {
    let of_product = |source: &&Source| source.is_of_server() || source.is_in("protocol/src");
    let sources: Vec<&Source> = workspace()
        .iter()
        .filter(of_product)
        .filter(|source| !source.path.ends_with("/reasons.rs"))
        .collect();
    let makes_errors = |source: &&&Source| source.text.contains("WireError");
    let found: BTreeSet<String> =
        sources.iter().filter(makes_errors).flat_map(|source| reasons(source)).collect();
    let listed: BTreeSet<String> = REASONS.iter().map(|(reason, _)| (*reason).to_owned()).collect();
    let missing: Vec<_> = found.difference(&listed).collect();
    assert!(missing.is_empty(), "protocol/src/reasons.rs lacks {missing:?}");
    let is_named =
        |reason: &&String| sources.iter().any(|source| source.text.contains(&format!("\"{reason}\"")));
    let unknown: Vec<_> = listed.iter().filter(|reason| !is_named(reason)).collect();
    assert!(unknown.is_empty(), "protocol/src/reasons.rs has reasons that no error has: {unknown:?}");
    assert!(REASONS.is_sorted_by_key(|(reason, _)| *reason), "the reasons stand in alphabetical order");
}

#[test]
fn a_reason_is_the_first_argument_of_an_error() {
    let text = "WireError::invalid_params(\n  \"one\", x)\nrefused(\"two\", id, text)\nfailed(\"a text\")\n";
    assert_eq!(reasons(&Source::new("app-server/src/a.rs", text)), ["one", "two"]);
}
