//! The files that the walls look at.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::lex::{Lexed, is_name, lex};

/// One file of the workspace.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path from the root of the workspace, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// The text taken apart; empty for a file that is not Rust.
    pub rust: Lexed,
    /// The line where the tests of a Rust file begin.
    tests_from: usize,
}

impl Source {
    /// Takes a file apart.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let rust = if path.ends_with(".rs") { lex(text) } else { Lexed::default() };
        let named = ["/tests.rs", "/conformance.rs"].iter().any(|name| path.ends_with(name));
        let all_tests = ["/tests/", "/testing/"].iter().any(|folder| path.contains(folder)) || named;
        let tests_from = if all_tests { 0 } else { first_test(&rust.code) };
        Self { path: path.to_owned(), text: text.to_owned(), rust, tests_from }
    }

    /// Whether this file is in the folder.
    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Whether this file belongs to the server: to app-server/ or to one of its crates, without their tests beside them.
    pub(crate) fn is_of_server(&self) -> bool {
        let of_crate = || self.is_in("app-server/crates") && self.path.contains("/src/");
        self.is_in("app-server/src") || of_crate()
    }

    /// The numbered lines of code.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.rust.code.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Whether the line is a part of tests.
    pub(crate) fn is_test(&self, line: usize) -> bool {
        line >= self.tests_from
    }

    /// Lines of code with `words` in them, not as a part of a longer name.
    pub(crate) fn lines_with(&self, words: &[&str]) -> Vec<usize> {
        let hit = |line: &str| words.iter().any(|word| has(line, word));
        self.code().filter(|(_, line)| hit(line)).map(|(number, _)| number).collect()
    }

    /// Lines that name one of `paths`, such as `std::fs`, whether imported in a group or written out.
    pub(crate) fn lines_naming(&self, paths: &[&str]) -> Vec<usize> {
        let imported = |name: &str| paths.iter().any(|path| has(name, path));
        let imports = imports(&self.rust.code).into_iter().filter(|(_, name)| imported(name));
        let mut lines = self.lines_with(paths);
        lines.extend(imports.map(|(line, _)| line));
        lines.sort_unstable();
        lines.dedup();
        lines
    }
}

/// Whether `line` has `word`, not as a part of a longer name.
fn has(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_name);
        let after = line[at + word.len()..].chars().next().is_some_and(is_name);
        let open = |edge: Option<char>| edge.is_some_and(is_name);
        !(before && open(word.chars().next()) || after && open(word.chars().next_back()))
    })
}

/// Every imported path, groups written out, with the line where its `use` begins.
pub(crate) fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let begins = code[..at].chars().next_back().is_none_or(|before| !is_name(before));
        let Some(end) = code[at..].find(';').filter(|_| begins) else { continue };
        let line = code[..at].matches('\n').count() + 1;
        let tree: String = code[at + 4..at + end].split_whitespace().collect();
        flatten("", &tree, &mut |path| found.push((line, path)));
    }
    found
}

/// Writes a tree of imports (without blanks) out, path by path.
fn flatten(prefix: &str, tree: &str, found: &mut impl FnMut(String)) {
    let Some(open) = tree.find('{') else {
        return found(format!("{prefix}{tree}"));
    };
    let prefix = format!("{prefix}{}", &tree[..open]);
    let inside = tree[open + 1..].strip_suffix('}').unwrap_or(&tree[open + 1..]);
    let (mut depth, mut from) = (0, 0);
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(&prefix, &inside[from..at], found);
                from = at + 1;
            }
            _ => {}
        }
    }
    flatten(&prefix, &inside[from..], found);
}

/// The line of the attribute before an inline module of tests; past the end when there is none.
fn first_test(code: &str) -> usize {
    let lines: Vec<&str> = code.lines().collect();
    let inline =
        |at: usize| lines.get(at + 1).is_some_and(|next| next.contains("mod ") && next.ends_with('{'));
    (0..lines.len())
        .find(|at| lines[*at].trim() == "#[cfg(test)]" && inline(*at))
        .map_or(usize::MAX, |at| at + 1)
}

/// Every file of the workspace that a wall may look at; read once.
pub(crate) fn workspace() -> &'static [Source] {
    static FILES: LazyLock<Vec<Source>> = LazyLock::new(read);
    &FILES
}

fn read() -> Vec<Source> {
    let root = root();
    let mut paths = files_of(&root);
    for folder in ["app-server", "docs", "integration-tests", "protocol", "scripts"] {
        walk(&root.join(folder), &mut paths);
    }
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?;
        Some(Source::new(path.strip_prefix(&root).ok()?.to_str()?, &text))
    };
    paths.into_iter().filter_map(source).collect()
}

/// Under cargo the folder above this crate; under Bazel the folder that the test starts in, with links to the files
/// that `//:sources` names.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(".");
    if here.join("app-server/Cargo.toml").exists() {
        return here.to_owned();
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents and the files of the build that lie in the root itself.
fn files_of(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let read = |path: &PathBuf| {
        let kind = path.extension().and_then(|kind| kind.to_str());
        kind.is_some_and(|kind| ["bazel", "bzl", "md", "toml"].contains(&kind))
    };
    entries.filter(read).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            walk(&path, paths);
        } else if path.is_file() {
            paths.push(path);
        }
    }
}

#[test]
fn grouped_imports_are_written_out() {
    let code = "use std::{collections::{BTreeMap, HashMap as Map}, fs};\npub use a::b;\nlet reuse = 1;";
    let found = imports(code);
    let paths: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(paths, ["std::collections::BTreeMap", "std::collections::HashMapasMap", "std::fs", "a::b"]);
}

#[test]
fn a_word_is_not_found_inside_a_longer_one() {
    let source = Source::new(
        "app-server/src/a.rs",
        "fn spawner() {}\n// spawn\nlet a = \"spawn\";\ntokio::spawn(x);\n",
    );
    assert_eq!(source.lines_with(&["spawn"]), [4]);
    assert!(!source.is_test(4));
}
