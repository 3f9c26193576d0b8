//! Settings that let more in than their user may know.

use super::load;

#[test]
fn settings_that_let_more_in_are_warnings_with_their_line() {
    let toml = "[auth]\nlocal = \"any\"\n[browser]\norigins = [\n  \"http://localhost:5173\",\n  \"null\",\n  \"file://\",\n]\n";
    let (file, config) = load(toml, &[]);
    let warnings: Vec<String> = config.unwrap().warnings.iter().map(ToString::to_string).collect();
    let places =
        ["2: auth.local: \"any\"", "6: browser.origins: \"null\"", "7: browser.origins: \"file://\""];
    assert_eq!(warnings.len(), places.len(), "{warnings:?}");
    for (warning, place) in warnings.iter().zip(places) {
        assert!(warning.starts_with(&format!("{}:{place}", file.display())), "{warning}");
    }
    let harmless = "[auth]\nlocal = \"token\"\n[browser]\norigins = [\"http://localhost:*\"]\n";
    assert_eq!(load(harmless, &["browser.origins=[\"vscode-webview://*\"]"]).1.unwrap().warnings, []);
    let by_flag = load("", &["auth.local=any"]).1.unwrap();
    assert!(by_flag.warnings[0].to_string().starts_with("-c: auth.local"), "{:?}", by_flag.warnings);
}
