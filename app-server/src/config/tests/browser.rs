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
