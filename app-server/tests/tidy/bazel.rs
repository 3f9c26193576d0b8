//! Bazel builds and tests what cargo does. Its files find most by patterns; what they name by hand is compared here.

use crate::source::{Source, workspace};

/// What Bazel would not know of, or would know differently than cargo, each with where to say it.
fn forgotten(files: &[Source]) -> Vec<String> {
    let mut found = twice(files);
    let members: Vec<&str> = quoted(line_with(text(files, "Cargo.toml"), "members = [")).collect();
    for member in &members {
        found.extend(of_crate(files, member));
    }
    for path in files.iter().map(|file| file.path.as_str()) {
        found.extend(program(files, &members, path));
    }
    found.extend(promises(text(files, "integration-tests/tests/main.rs"), files));
    found
}

/// What is said in two files: about the crates, about Rust, about dependencies that are optimised.
fn twice(files: &[Source]) -> Vec<String> {
    let first =
        |path: &str, line: &str| quoted(line_with(text(files, path), line)).next().unwrap_or_default();
    let mut found = Vec::new();
    for (here, there) in [("LICENSE = ", "license = "), ("VERSION = ", "version = ")] {
        let value = first("Cargo.toml", there);
        if first("package.bzl", here) != value {
            found.push(format!("package.bzl: {here}is {value} in Cargo.toml"));
        }
    }
    let rust = first("rust-toolchain.toml", "channel = ");
    if !first("MODULE.bazel", "versions = [").starts_with(rust) {
        found.push(format!("MODULE.bazel: versions is {rust} in rust-toolchain.toml"));
    }
    let profiles =
        text(files, "Cargo.toml").lines().filter_map(|line| line.strip_prefix("[profile.dev.package."));
    for name in profiles.filter_map(|line| line.strip_suffix(']')).filter(|name| *name != "\"*\"") {
        if !text(files, "MODULE.bazel").contains(&format!("    \"{name}\",\n")) {
            found.push(format!("MODULE.bazel: an annotation for {name} is missing"));
        }
    }
    found
}

/// A crate is seen by crate_universe and by tidy.
fn of_crate(files: &[Source], member: &str) -> Vec<String> {
    let names = [
        ("MODULE.bazel", format!("\"//{member}:Cargo.toml\"")),
        ("BUILD.bazel", format!("\"//{member}:srcs\"")),
    ];
    let absent = names.into_iter().filter(|(path, name)| !text(files, path).contains(name.as_str()));
    absent.map(|(path, name)| format!("{path}: {name} is missing")).collect()
}

/// A file that cargo makes a program or a test program of has a target, by name or by pattern.
fn program(files: &[Source], members: &[&str], path: &str) -> Option<String> {
    // The longest folder, as crates lie in the folders of others.
    let holding =
        members.iter().filter(|member| path.strip_prefix(**member).is_some_and(|rest| rest.starts_with('/')));
    let member = holding.max_by_key(|member| member.len())?;
    let inside = &path[member.len() + 1..];
    let (folder, name) = inside.rsplit_once('/')?;
    let is_program =
        inside == "src/main.rs" || ["src/bin", "tests"].contains(&folder) && name.ends_with(".rs");
    let build = format!("{member}/BUILD.bazel");
    let targets = text(files, &build);
    let pattern = format!("in glob([\"{folder}/*.rs\"])");
    // skein_test of package.bzl, by the name of the file.
    let test = inside.strip_prefix("tests/").and_then(|name| name.strip_suffix(".rs"));
    let tested = |name: &str| targets.contains(&format!("skein_test(\n    name = \"{name}\""));
    let known =
        targets.contains(&format!("\"{inside}\"")) || targets.contains(&pattern) || test.is_some_and(tested);
    (is_program && !known).then(|| format!("{build}: a target for {inside} is missing"))
}

/// There is a target for each folder of the integration tests; a test elsewhere would not run.
fn promises(main: &str, files: &[Source]) -> Vec<String> {
    let modules = main.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let folder = |module: &&str| {
        let path = format!("integration-tests/tests/{module}/mod.rs");
        files.iter().any(|file| file.path == path)
    };
    let flat = modules.filter(|module| !folder(module));
    let mut found: Vec<String> = flat
        .map(|module| format!("integration-tests/tests/{module}.rs: belongs into {module}/mod.rs"))
        .collect();
    if main.contains("#[test]") || main.contains("::test]") {
        found.push("integration-tests/tests/main.rs: its tests belong into a module".to_owned());
    }
    found
}

fn text<'a>(files: &'a [Source], path: &str) -> &'a str {
    files.iter().find(|file| file.path == path).map(|file| file.text.as_str()).unwrap_or_default()
}

fn line_with<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().map(str::trim).find(|line| line.starts_with(start)).unwrap_or_default()
}

fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

#[test]
fn bazel_knows_what_cargo_builds() {
    let found = forgotten(workspace());
    assert!(found.is_empty(), "Bazel would leave something out:\n  {}", found.join("\n  "));
}

/// A workspace of which nothing is left out.
const GOOD: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "members = [\"a\", \"a/in\", \"integration-tests\"]\nversion = \"1.0\"\nlicense = \"L\"\n[profile.dev.package.p]",
    ),
    ("rust-toolchain.toml", "channel = \"1.9\""),
    ("package.bzl", "LICENSE = \"L\"\nVERSION = \"1.0\""),
    (
        "MODULE.bazel",
        "versions = [\"1.9.0\"],\n\"//a:Cargo.toml\"\n\"//a/in:Cargo.toml\"\n\"//integration-tests:Cargo.toml\"\n    \"p\",\n",
    ),
    ("BUILD.bazel", "\"//a:srcs\" \"//a/in:srcs\" \"//integration-tests:srcs\""),
    ("a/BUILD.bazel", "\"src/main.rs\" skein_test(\n    name = \"b\","),
    ("a/src/main.rs", ""),
    ("a/tests/b.rs", ""),
    ("a/tests/b/c.rs", ""),
    ("a/in/BUILD.bazel", "\"src/main.rs\""),
    ("a/in/src/main.rs", ""),
    ("integration-tests/tests/main.rs", "mod d;"),
    ("integration-tests/tests/d/mod.rs", "#[test]"),
    ("integration-tests/BUILD.bazel", "\"tests/main.rs\""),
];

#[test]
fn what_bazel_would_leave_out_is_named() {
    let source = |(path, text): &(&str, &str)| Source::new(path, text);
    let files: Vec<Source> = GOOD.iter().map(source).collect();
    assert_eq!(forgotten(&files), [""; 0]);
    for (path, text, named) in [
        ("package.bzl", "VERSION = \"1.0\"", "package.bzl: LICENSE = is L"),
        ("Cargo.toml", "version = \"1.1\"", "package.bzl: VERSION = is 1.1"),
        ("Cargo.toml", "members = [\"a\", \"b\"]", "MODULE.bazel: \"//b:Cargo.toml\""),
        ("Cargo.toml", "[profile.dev.package.q]", "annotation for q"),
        ("rust-toolchain.toml", "channel = \"2.0\"", "MODULE.bazel: versions is 2.0"),
        ("BUILD.bazel", "", "BUILD.bazel: \"//a:srcs\""),
        ("a/BUILD.bazel", "\"src/main.rs\"", "a target for tests/b.rs"),
        ("a/BUILD.bazel", "skein_test(\n    name = \"b\",", "a target for src/main.rs"),
        ("a/src/bin/e.rs", "", "a target for src/bin/e.rs"),
        ("a/in/tests/e.rs", "", "a/in/BUILD.bazel: a target for tests/e.rs"),
        ("integration-tests/tests/main.rs", "mod e;", "tests/e.rs: belongs into e/mod.rs"),
        ("integration-tests/tests/main.rs", "#[test]", "main.rs: its tests"),
    ] {
        let others = GOOD.iter().filter(|file| file.0 != path).map(source);
        let files: Vec<Source> = others.chain([Source::new(path, text)]).collect();
        let found = forgotten(&files);
        assert!(found.iter().any(|problem| problem.contains(named)), "{named} is not in {found:?}");
    }
}
