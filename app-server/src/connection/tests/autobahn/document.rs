//! docs/websocket.md: its tables are made from the cases.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::cases;
use super::script::{Case, Verdict};

const DOCUMENT: &str = "docs/websocket.md";

/// Everything behind this heading of the document is generated.
const HEAD: &str = "## The cases

`scripts/generate` makes this part from `app-server/src/connection/tests/autobahn/cases.rs` and the files beside it.
";

/// The groups of the suite.
const GROUPS: [(&str, &str); 11] = [
    ("1", "framing"),
    ("2", "pings and pongs"),
    ("3", "reserved bits"),
    ("4", "opcodes"),
    ("5", "fragments"),
    ("6", "UTF-8"),
    ("7", "close handling"),
    ("9", "limits and many messages"),
    ("10", "automatic fragments"),
    ("12", "compression of several payloads"),
    ("13", "compression with several parameters"),
];

const VERDICTS: [(Verdict, &str); 5] = [
    (Verdict::Passed, "passed"),
    (Verdict::NonStrict, "non-strict"),
    (Verdict::Informational, "informational"),
    (Verdict::Refused, "refused by design"),
    (Verdict::NotOffered, "not offered"),
];

/// Under cargo the folder above this crate; under Bazel the folder that the test starts in.
fn root() -> PathBuf {
    let here = Path::new(".");
    if here.join("app-server/Cargo.toml").exists() {
        return here.to_owned();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn row(text: &mut String, name: &str, cases: &[&Case]) {
    let counts = VERDICTS.map(|(verdict, _)| cases.iter().filter(|case| case.verdict == verdict).count());
    let counts = counts.map(|count| if count == 0 { String::new() } else { count.to_string() });
    writeln!(text, "| {name} | {} | {} |", cases.len(), counts.join(" | ")).unwrap();
}

/// The row of each group, and the sum.
fn groups(cases: &[Case]) -> String {
    let heads = VERDICTS.map(|(_, name)| name).join(" | ");
    let mut text = format!("\n| group | cases | {heads} |\n|{}\n", " --- |".repeat(2 + VERDICTS.len()));
    for (group, name) in GROUPS {
        let of_group: Vec<&Case> = cases.iter().filter(|case| case.group() == group).collect();
        row(&mut text, &format!("{group} {name}"), &of_group);
    }
    row(&mut text, "all", &cases.iter().collect::<Vec<_>>());
    text
}

/// The cases that have not passed. Neighbours with one reason share a row.
fn exceptions(cases: &[Case]) -> String {
    let mut text = "\n| cases | outcome | reason |\n| --- | --- | --- |\n".to_owned();
    let kind = |case: &Case| (case.verdict, case.why, case.group().to_owned());
    for run in cases.chunk_by(|one, other| kind(one) == kind(other)) {
        let [first, .., last] = [&run[0], &run[run.len() - 1]];
        if first.verdict == Verdict::Passed {
            continue;
        }
        let numbers = match run {
            [one] => one.number.clone(),
            _ => format!("{} to {}", first.number, last.number),
        };
        let (_, outcome) =
            VERDICTS[VERDICTS.map(|(verdict, _)| verdict).iter().position(|v| *v == first.verdict).unwrap()];
        writeln!(text, "| {numbers} | {outcome} | {} |", first.why).unwrap();
    }
    text
}

/// With `SKEIN_GENERATE` it writes the generated part, as `scripts/generate` does.
#[test]
fn the_table_of_websocket_cases_is_as_generated() {
    let (path, cases) = (root().join(DOCUMENT), cases::all());
    let found = std::fs::read_to_string(&path).unwrap();
    let own = found.split(HEAD.lines().next().unwrap()).next().unwrap();
    let expected = format!("{}\n\n{HEAD}{}{}", own.trim_end(), groups(&cases), exceptions(&cases));
    if std::env::var_os("SKEIN_GENERATE").is_some() {
        std::fs::write(path, expected).unwrap();
        return;
    }
    let differs = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(found == expected, "{DOCUMENT} is out of date: run scripts/generate; {differs:?}");
}

#[test]
fn each_case_has_a_number_of_its_own_in_a_group_of_the_table() {
    let cases = cases::all();
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        *numbers.entry(&case.number).or_default() += 1;
        assert!(GROUPS.iter().any(|(group, _)| *group == case.group()), "{}", case.number);
        assert_eq!(case.verdict == Verdict::Passed, case.why.is_empty(), "{}", case.number);
    }
    assert!(numbers.values().all(|count| *count == 1), "{numbers:?}");
    // As many as the published suite has.
    assert_eq!(cases.len(), 517);
}
