//! `skein origins`: the pages that may connect, as a user lists, adds and removes them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Serving, run};

const PAGE: &str = "http://localhost:5173";
const BEFORE: &str = "# Mine.\nmodel = \"small\" # for now\n\n[browser]\norigins = [\n    # the shell\n    \
                      \"tauri://localhost\", # version 2\n]\n";

fn home_with(text: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.toml"), text).unwrap();
    home
}

fn settings(home: &Path) -> String {
    fs::read_to_string(home.join("config.toml")).unwrap()
}

fn origins_says(home: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(&[&["origins"][..], arguments, &["--home", home.to_str().unwrap()]].concat())
}

/// `skein origins ARGUMENTS --home HOME --json`, which has to work; its outcome.
fn origins(home: &Path, arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = origins_says(home, &[arguments, &["--json"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn an_origin_is_added_once_listed_and_removed_and_the_file_stays() {
    let home = home_with(BEFORE);
    let file = home.path().join("config.toml");
    let added = origins(home.path(), &["add", PAGE]);
    let wanted = json!({ "added": PAGE, "there": false, "file": file, "risk": null, "server": null });
    assert_eq!(added, wanted);
    let text = settings(home.path());
    assert_eq!(text, BEFORE.replace("version 2\n", "version 2\n    \"http://localhost:5173\",\n"));
    assert_eq!(origins(home.path(), &["add", PAGE])["there"], true);
    assert_eq!(settings(home.path()), text);
    let listed = origins(home.path(), &["list"]);
    let data = json!([{ "origin": "tauri://localhost" }, { "origin": PAGE }]);
    assert_eq!(listed, json!({ "data": data, "file": file, "refused": null }));
    let (_, people, _) = origins_says(home.path(), &["list"]);
    assert_eq!(people, format!("tauri://localhost\n{PAGE}\nin {}\n", file.display()));
    assert_eq!(origins(home.path(), &["remove", PAGE])["removed"], PAGE);
    assert_eq!(settings(home.path()), BEFORE);
}

#[test]
fn a_wrong_or_absent_origin_is_refused_and_the_file_is_as_it_was() {
    let home = home_with(BEFORE);
    for (arguments, why) in [
        (["add", "http://LocalHost:5173/app"], "write \"http://localhost:5173\""),
        (["add", "*"], "the only wildcards"),
        (["add", "localhost:5173"], "write an origin"),
        (["remove", PAGE], "it has tauri://localhost"),
    ] {
        let (code, stdout, stderr) = origins_says(home.path(), &arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(stderr.contains(why), "{arguments:?}: {stderr}");
    }
    assert_eq!(settings(home.path()), BEFORE);
    // A missing home is made by an addition only.
    let home = home.path().join("new");
    assert_eq!(origins_says(&home, &["remove", PAGE]).0, Some(1));
    assert_eq!(origins(&home, &["list"])["data"], json!([]));
    assert!(!home.exists());
    origins(&home, &["add", PAGE]);
    assert_eq!(settings(&home), format!("[browser]\norigins = [\"{PAGE}\"]\n"));
}

#[test]
fn an_origin_of_many_pages_is_added_with_a_warning() {
    let home = home_with("");
    for origin in ["null", "file://"] {
        let (code, stdout, stderr) = origins_says(home.path(), &["add", origin]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains("was added") && stderr.contains("warning: "), "{stdout} {stderr}");
        assert!(stderr.contains(&format!("{origin:?} is the origin of every")), "{stderr}");
    }
}

/// The status of a page's request from this origin.
fn asked(address: &str, origin: &str) -> String {
    let address = address.trim_start_matches("ws://");
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nOrigin: {origin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn a_running_server_takes_a_change_at_once_and_names_what_it_refused() {
    let home = home_with(BEFORE);
    let serving = Serving::start(home.path());
    let address = serving.ready["address"].as_str().unwrap().to_owned();
    assert_eq!(asked(&address, PAGE), "403");
    assert_eq!(asked(&address, "http://a;rm"), "403");
    let listed = origins(home.path(), &["list"]);
    let refused = listed["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 1, "{listed}");
    assert_eq!(refused[0]["origin"], PAGE);
    let command = format!("skein origins add {PAGE}");
    assert_eq!(refused[0]["command"], command);
    let (_, people, _) = origins_says(home.path(), &["list"]);
    assert!(people.contains(&format!("{PAGE}; if it is yours: {command}\n")), "{people}");

    let added = origins(home.path(), &["add", PAGE]);
    assert_eq!(added["server"], json!({ "pid": serving.child.id(), "reloaded": true }));
    assert_eq!(asked(&address, PAGE), "200");
    assert_eq!(origins(home.path(), &["list"])["refused"], json!([]));
    let (_, people, _) = origins_says(home.path(), &["remove", PAGE]);
    assert!(people.contains("the running server has read it"), "{people}");
    assert_eq!(asked(&address, PAGE), "403");
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn an_added_origin_comes_with_a_token_that_is_bound_to_it() {
    let home = home_with("");
    let at = home.path().to_str().unwrap();
    let add = ["add", PAGE, "--token", "page", "--scope", "read", "--expires", "90d"];
    let (code, stdout, stderr) = origins_says(home.path(), &add);
    assert_eq!(code, Some(0), "{stderr}");
    let token = stdout.strip_suffix('\n').unwrap();
    assert!(token.starts_with("skein_") && token.len() == 49, "{stdout:?}");
    assert!(stderr.contains("was added to") && !stderr.contains(token), "{stderr}");
    let (_, listed, _) = run(&["token", "list", "--json", "--home", at]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let (name, origin, scope) =
        (&listed["data"][0]["name"], &listed["data"][0]["origin"], &listed["data"][0]["scope"]);
    assert_eq!((name, origin, scope), (&json!("page"), &json!(PAGE), &json!("read")));

    let (code, stdout, stderr) = origins_says(home.path(), &["add", "http://localhost:*", "--token", "any"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("bound to one origin"), "{stderr}");
    let (code, stdout, stderr) = origins_says(home.path(), &["add", "app://chat", "--token", "page"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("was added to") && stderr.contains("there is no token"), "{stderr}");
    assert_eq!(
        origins(home.path(), &["list"])["data"],
        json!([{ "origin": PAGE }, { "origin": "app://chat" }])
    );
}
