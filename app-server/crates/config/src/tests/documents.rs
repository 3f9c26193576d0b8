//! The examples of docs/settings.md are settings that Skein takes.

use super::load;

/// The indented lines below the title, as one file.
fn example() -> String {
    let document = include_str!("../../../../../docs/settings.md");
    let before = document.split("\n## ").next().unwrap();
    let lines = before.lines().filter_map(|line| line.strip_prefix("    "));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_example_of_the_document_is_taken_without_a_warning() {
    let text = example();
    for table in ["[browser]", "[auth]", "[helpers]", "[limits]", "[mcp_servers.files]"] {
        assert!(text.contains(table), "{table} is not in {text}");
    }
    let config = load(&text, &[]).1.unwrap();
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.helpers.len(), 2);
    assert!(format!("{config:?}").contains("http://localhost:5173"), "{config:?}");
}
