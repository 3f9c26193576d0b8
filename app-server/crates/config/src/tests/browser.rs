//! The settings of connections that come from browsers.

use super::{SharedConfig, errors, load};

#[test]
fn the_folders_of_browsers_are_absolute_or_in_the_home_and_can_change_while_the_server_runs() {
    let roots = |toml: &str| load(toml, &[]).1.unwrap().browser.roots;
    assert_eq!(roots(""), ["~"]);
    assert_eq!(roots("browser.roots = [\"~/a\", \"/srv\"]"), ["~/a", "/srv"]);
    assert_eq!(roots("browser.roots = []"), [""; 0]);
    for wrong in ["[\"srv\"]", "[\"~other\"]", "[\"\"]", "\"/srv\"", "[1]"] {
        let found = errors(&format!("browser.roots = {wrong}"));
        assert!(found[0].contains("begin with / or ~"), "{wrong}: {found:?}");
    }
    let settings = SharedConfig::new(load("", &[]).1.unwrap());
    let kept = settings.take(load("browser.roots = [\"/srv\"]", &[]).1.unwrap());
    assert!(!kept.contains(&"browser.roots") && settings.now().browser.roots == ["/srv"]);
}

#[test]
fn a_wrong_origin_in_a_list_is_named_with_its_correction() {
    let toml = "[browser]\norigins = [\n  \"app://chat\",\n  \"http://LocalHost:5173/\",\n]\n";
    let found = errors(toml);
    let wanted = r#"in the place of "http://LocalHost:5173/" write "http://localhost:5173""#;
    assert!(found[0].contains("browser.origins") && found[0].contains(wanted), "{found:?}");
    let found = errors(r#"browser.origins = ["app://chat", "*"]"#);
    assert!(found[0].contains(r#"in the place of "*" write an origin"#), "{found:?}");
}
