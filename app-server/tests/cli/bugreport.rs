//! `skein bugreport`: planted secrets of every kind are not in it, and what a maintainer needs is.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use skein_protocol::methods::ThreadStart;
use skein_protocol::table::Method;

use super::url::redeemed;
use super::{Serving, run, skein};

/// Secrets that the settings, the environments and the log have. Only their place says that they are secret.
const PLANTED: [(&str, &str); 13] = [
    ("a key of a provider, in a key that nobody reads", "plum-of-an-unread-key-1"),
    ("a variable of a helper", "fig-of-a-variable"),
    ("a bearer token in a header", "lime-of-a-bearer"),
    ("the value of another header", "pear-of-a-header"),
    ("the user of an address", "apple-of-a-user"),
    ("the query of an address", "grape-of-a-query"),
    ("an argument behind a flag", "kiwi-of-a-flag"),
    ("an argument alone", "melon-of-an-argument"),
    ("a variable of the server that the settings name", "date-of-the-server"),
    ("a variable of this command", "olive-of-the-command"),
    ("a secret of one thread", "quince-of-a-thread"),
    ("a message", "cherry-of-a-message"),
    ("the name of a thread", "berry-of-a-name"),
];

/// The beginning of a log line.
const LINE: &str = "2026-11-26T00:00:00.000000Z";

/// Those that the log quotes without any hint.
const QUOTED: usize = 11;

const SETTINGS: &str = r#"
    api_key = "plum-of-an-unread-key-1"
    developer_instructions = "the door code is hunter2"
    [mcp_servers.one]
    command = "node"
    args = ["--token", "kiwi-of-a-flag", "melon-of-an-argument"]
    env = { PLACE = "fig-of-a-variable" }
    enabled = false
    [mcp_servers.two]
    url = "https://me:apple-of-a-user@127.0.0.1:9/mcp?place=grape-of-a-query"
    http_headers = { Authorization = "Bearer lime-of-a-bearer", X-Place = "pear-of-a-header" }
    enabled = false
    [model_providers.mine]
    name = "mine"
    base_url = "http://127.0.0.1:9"
    env_key = "PLACE_OF_MINE"
"#;

fn log_of(home: &Path) -> File {
    fs::OpenOptions::new().create(true).append(true).open(home.join("server.log")).unwrap()
}

/// A server with its log in the home, as `skein open` starts it.
fn serve(home: &Path) -> Serving {
    let log = log_of(home);
    let mut serve = skein(&["serve", "--listen", "ws://127.0.0.1:0", "--home", home.to_str().unwrap()]);
    serve.env("PLACE_OF_MINE", "date-of-the-server").stderr(log);
    Serving::run_with_log(serve)
}

fn converse(home: &str) {
    let well = |words: &[&str]| {
        let (code, out, err) = run(&[words, &["--home", home]].concat());
        assert_eq!(code, Some(0), "{words:?}: {out}{err}");
        out
    };
    well(&["run", "my word is cherry-of-a-message"]);
    well(&["threads", "rename", "@1", "berry-of-a-name"]);
    let config = json!({ "mcp_servers": { "own": {
        "command": "node", "enabled": false, "env": { "PLACE": "quince-of-a-thread" },
    } } });
    let started = well(&["call", ThreadStart::INFO.wire, &json!({ "config": config }).to_string()]);
    let started: Value = serde_json::from_str(&started).unwrap();
    well(&["run", "--thread", started["thread"]["id"].as_str().unwrap(), "again"]);
}

/// A token, a ticket that nobody has used, and a session.
fn door(home: &str, address: &str) -> Vec<(&'static str, String)> {
    let line = |words: &[&str]| {
        let (code, out, err) = run(&[words, &["--home", home]].concat());
        assert_eq!(code, Some(0), "{words:?}: {err}");
        out.trim().to_owned()
    };
    let ticket = || line(&["url"]).split_once("#ticket=").unwrap().1.to_owned();
    let session = redeemed(address, &ticket()).1["session"].as_str().unwrap().to_owned();
    vec![("a token", line(&["token", "create", "mine"])), ("a ticket", ticket()), ("a session", session)]
}

/// Has the log quote what the home knows as a secret, and say what nobody knows.
fn quote(home: &Path, doors: &[(&str, String)]) {
    let mut log = log_of(home);
    let quoted = PLANTED[..QUOTED].iter().filter(|(what, _)| *what != "an argument alone");
    let quoted = quoted.map(|(_, secret)| *secret).chain(doors.iter().map(|(_, secret)| secret.as_str()));
    for secret in quoted {
        writeln!(log, "{LINE}  WARN skein_test: a program said {secret} and ended").unwrap();
    }
    writeln!(log, "{LINE}  WARN skein_test: password: peach-of-the-log was wrong").unwrap();
    writeln!(log, "{LINE} DEBUG skein_test: nut-of-a-detail").unwrap();
}

/// Runs the command with a secret in its environment.
fn report(file: &Path, home: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let words = ["bugreport", file.to_str().unwrap(), "--home", home.to_str().unwrap()];
    let done = skein(&[&words, more].concat()).env("MY_API_KEY", "olive-of-the-command").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

fn lacks(text: &str, doors: &[(&str, String)]) {
    let more =
        [("the log", "peach-of-the-log"), ("a detailed line", "nut-of-a-detail"), ("a text", "hunter2")];
    let planted = PLANTED.iter().chain(&more).map(|(what, secret)| (*what, *secret));
    for (what, secret) in planted.chain(doors.iter().map(|(what, secret)| (*what, secret.as_str()))) {
        assert!(!text.contains(secret), "{what}, {secret}, is in the report:\n{text}");
    }
}

#[test]
fn planted_secrets_are_in_no_bug_report() {
    let folder = tempfile::tempdir().unwrap();
    let (home, file) = (folder.path().join("home"), folder.path().join("report.md"));
    fs::create_dir(&home).unwrap();
    fs::write(home.join("config.toml"), SETTINGS).unwrap();
    let serving = serve(&home);
    let at = home.to_str().unwrap();
    converse(at);
    let doors = door(at, serving.ready["address"].as_str().unwrap().trim_start_matches("ws://"));
    quote(&home, &doors);
    let (code, said, err) = report(&file, &home, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(said.contains("read it before you send it") && said.contains("nothing was sent"), "{said}");
    let text = fs::read_to_string(&file).unwrap();
    lacks(&text, &doors);
    for wanted in [
        "guard       ok",
        "\"command\": \"node\"",
        "\"env_key\": \"PLACE_OF_MINE\"",
        "\"http_headers\"",
        "threads     ",
        "listed      2, ",
        "WARN skein_test: a program said *** and ended",
        "password: *** was wrong",
        env!("CARGO_PKG_VERSION"),
    ] {
        assert!(text.contains(wanted), "{wanted} is not in the report:\n{text}");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, _, err) = report(&file, &home, &[]);
    assert!(code == Some(1) && err.contains("--force"), "{err}");
    assert_eq!(report(&file, &home, &["--force", "--json"]).0, Some(0));
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn a_report_of_a_broken_home_says_what_is_broken() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.toml"), "model = 1\n[mcp_servers.a]\nenv = { X = \"fig\" }\n")
        .unwrap();
    let at = home.path().to_str().unwrap();
    let (code, text, err) = run(&["bugreport", "-", "--home", at]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(text.starts_with("# Skein bug report\n") && text.contains("config.toml:1"), "{text}");
    assert!(text.contains("no server runs") && text.contains("it cannot be read"), "{text}");
    let (code, _, err) = run(&["bugreport", "/nowhere/report.md", "--home", at]);
    assert!(code == Some(1) && err.contains("/nowhere/report.md"), "{err}");
    let (code, _, err) = run(&["bugreport", "-", "--json", "--home", at]);
    assert!(code == Some(1) && err.contains("--json"), "{err}");
}
