//! One type name means one thing in all product code.

use std::collections::{BTreeMap, BTreeSet};

use crate::lex::is_name;
use crate::source::Source;

/// Fails when a type of product code has the name of another. Wire types have the peer's names; ours give way.
pub(crate) fn mean_one_thing(sources: &[Source]) {
    let found = doubles(sources);
    assert!(found.is_empty(), "types with one name; rename ours, with the field's term: {found:#?}");
}

/// Each name with the files that define it, if there are several.
fn doubles(sources: &[Source]) -> Vec<(String, BTreeSet<String>)> {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_of_server() || source.is_in("protocol/src")) {
        let product = source.code().filter(|(line, _)| !source.is_test(*line));
        for name in product.filter_map(|(_, code)| defined(code)) {
            files.entry(name.to_owned()).or_default().insert(of_any_system(&source.path));
        }
    }
    files.into_iter().filter(|(_, files)| files.len() > 1).collect()
}

/// Files for one system each are one file: only one of them is compiled.
fn of_any_system(path: &str) -> String {
    path.replace("/macos.rs", "/linux.rs")
}

/// The type that a line defines. An indented `type` belongs to a trait.
fn defined(line: &str) -> Option<&str> {
    let bare = line.trim_start();
    let indented = bare.len() < line.len();
    let after = ["struct ", "enum ", "trait ", "union ", "type "].into_iter().find_map(|keyword| {
        let (before, after) = bare.split_once(keyword)?;
        let opens = before.is_empty() || before.starts_with("pub") && before.ends_with(' ');
        (opens && !(indented && keyword == "type ")).then_some(after)
    })?;
    let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
    Some(&after[..end]).filter(|name| !name.is_empty())
}

#[test]
fn a_type_is_found_where_it_is_defined() {
    let names = |text: &str| {
        let source = |path: &str| Source::new(path, text);
        doubles(&[source("protocol/src/a.rs"), source("app-server/src/b.rs")]).len()
    };
    for twice in [
        "pub struct A {",
        "enum A<T> {",
        "pub(crate) trait A: B {",
        "    pub(super) struct A;",
        "type A = B;",
    ] {
        assert_eq!(names(twice), 1, "{twice}");
    }
    let tests = "#[cfg(test)]\nmod tests {\n    struct A;\n}";
    for never in ["// struct A", "impl A {", "    type A = B;", "let a = \"struct A\";", tests] {
        assert_eq!(names(never), 0, "{never}");
    }
    let source = |path: &str| Source::new(path, "pub struct A;");
    assert_eq!(doubles(&[source("app-server/src/a/linux.rs"), source("app-server/src/a/macos.rs")]), []);
    assert_eq!(doubles(&[source("app-server/src/a.rs"), source("integration-tests/src/a.rs")]), []);
}
