//! `skein backup` says whether its archive has the whole home.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::run;

#[test]
fn a_backup_that_lacks_a_file_is_not_complete_and_ends_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let home = at("home");
    fs::create_dir_all(dir.path().join("home/threads")).unwrap();
    let save = |file: &str| {
        let (code, told, _) = run(&["backup", "--json", &at(file), "--home", &home]);
        let outcome: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        (code, outcome)
    };
    let (code, outcome) = save("whole");
    assert_eq!((code, outcome["complete"].as_bool()), (Some(0), Some(true)), "{outcome}");
    symlink("/nowhere/config.toml", dir.path().join("home/config.toml")).unwrap();
    let (code, outcome) = save("part");
    assert_eq!((code, outcome["complete"].as_bool()), (Some(1), Some(false)), "{outcome}");
    assert!(outcome["leftOut"][0]["path"].as_str().unwrap().ends_with("home/config.toml"), "{outcome}");
}
