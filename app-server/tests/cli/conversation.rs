//! `skein run`, `skein chat` and `skein threads`: conversations without a server, and with one.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use skein_protocol::notifications::{ThreadStatusChanged, ThreadTokenUsageUpdated, TurnStarted};
use skein_protocol::table::Notification;

use super::{Serving, run, skein};

fn at(home: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(&[arguments, &["--home", home.to_str().unwrap()]].concat())
}

fn works(home: &Path, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = at(home, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

/// With this text on standard input.
pub(super) fn fed(home: &Path, arguments: &[&str], text: &str) -> (Option<i32>, String, String) {
    let mut command: Command = skein(&[arguments, &["--home", home.to_str().unwrap()]].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn nobody_serves(home: &Path) {
    let state: Value = serde_json::from_str(&works(home, &["--json"])).unwrap();
    assert_eq!(state["server"], Value::Null);
}

fn a_conversation(home: &Path) {
    assert_eq!(works(home, &["run", "hello"]), "hello\n");
    assert_eq!(works(home, &["run", "several", "words"]), "several words\n");
    assert_eq!(fed(home, &["run", "-"], "from a pipe\n").1, "from a pipe\n");
    assert_eq!(fed(home, &["run", "say:", "-"], "piped\n").1, "say:\n\npiped\n");
    let listed: Value = serde_json::from_str(&works(home, &["threads", "--json"])).unwrap();
    assert_eq!(listed["data"].as_array().unwrap().len(), 4);
    let id = listed["data"][0]["id"].as_str().unwrap();
    assert_eq!(works(home, &["run", "--thread", "@1", "more"]), "more\n");
    assert_eq!(works(home, &["run", "--thread", &id[24..], "and more"]), "and more\n");
    let shown = works(home, &["threads", "show", id]);
    for part in ["you: more", "assistant: more", "you: and more"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(works(home, &["threads", "search", "AND MORE"]).contains(id));
    works(home, &["threads", "rename", "@1", "a name"]);
    assert!(works(home, &["ls"]).contains("a name"));
    works(home, &["threads", "archive", id]);
    assert!(!works(home, &["threads"]).contains("a name"));
    assert!(works(home, &["threads", "--archived"]).contains("a name"));
    works(home, &["threads", "unarchive", id]);
    works(home, &["threads", "unload", id]);
    works(home, &["threads", "delete", id]);
    let (code, _, stderr) = at(home, &["threads", "show", id]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(id), "{stderr}");
    // A chat that is not at a terminal: a message a line.
    let (code, stdout, stderr) = fed(home, &["chat"], "one\n\ntwo\n");
    assert_eq!((code, stdout.as_str()), (Some(0), "one\ntwo\n"), "{stderr}");
    let (code, stdout, _) = fed(home, &["chat", "--last"], "three\n");
    assert_eq!(code, Some(0));
    assert!(stdout.contains("you: two") && stdout.ends_with("three\n"), "{stdout}");
}

#[test]
fn a_conversation_needs_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    a_conversation(&home);
    nobody_serves(&home);
}

#[test]
fn a_conversation_uses_the_server_of_the_home() {
    let home = tempfile::tempdir().unwrap();
    let serving = Serving::start(home.path());
    a_conversation(home.path());
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn the_exit_code_says_how_a_turn_ended() {
    let home = tempfile::tempdir().unwrap();
    let (code, _, stderr) = at(home.path(), &["run", "/fail no luck"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no luck"), "{stderr}");
    let (code, _, stderr) = at(home.path(), &["run", "/ask really?"]);
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("--approve"), "{stderr}");
    let (code, _, stderr) = at(home.path(), &["run", "--approve", "never", "/ask really?"]);
    assert_ne!(code, Some(4), "{stderr}");
    let (code, stdout, _) = at(home.path(), &["run", "--json", "hello"]);
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Each message about the thread, not only the texts.
    let wires = [TurnStarted::INFO.wire, ThreadTokenUsageUpdated::INFO.wire, ThreadStatusChanged::INFO.wire];
    for wire in wires {
        assert!(lines.iter().any(|line| line["method"] == wire), "{wire}: {stdout}");
    }
    let outcome = lines.last().unwrap();
    assert_eq!((&outcome["complete"], &outcome["status"]), (&Value::Bool(true), &Value::from("completed")));
    assert!(lines.len() > 2 && lines.iter().rev().skip(1).all(|line| line["method"].is_string()), "{stdout}");
    for (arguments, why) in [
        (&["run", ""][..], "the message is empty"),
        (&["run", "--thread", "@9", "x"], "there is no thread @9"),
        (&["run", "--thread", "zz", "x"], "is no thread"),
        (&["threads", "show", "abcdef"], "no thread has"),
    ] {
        let (code, stdout, stderr) = at(home.path(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(stderr.contains(why), "{arguments:?}: {stderr}");
    }
    nobody_serves(home.path());
}

#[test]
fn a_program_chats_in_lines_of_json() {
    let home = tempfile::tempdir().unwrap();
    let messages = "one\n\n/fail no luck\n/ask really?\nfour\n";
    let (code, stdout, stderr) = fed(home.path(), &["chat", "--json"], messages);
    assert_eq!(code, Some(0), "{stderr}");
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (events, outcomes): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["method"].is_string());
    let codes: Vec<_> = outcomes.iter().map(|end| end["exitCode"].as_u64().unwrap()).collect();
    assert_eq!(codes, [0, 1, 4, 0], "{stdout}");
    assert_eq!(
        (outcomes[0]["status"].as_str(), outcomes[1]["status"].as_str()),
        (Some("completed"), Some("failed"))
    );
    assert_eq!(outcomes[1]["error"], "no luck");
    assert!(outcomes.iter().all(|end| end["threadId"] == outcomes[0]["threadId"]), "{stdout}");
    assert!(events.len() > outcomes.len() && lines.last() == outcomes.last().copied(), "{stdout}");
    nobody_serves(home.path());
}

#[test]
fn an_interrupted_run_ends_its_turn_and_its_server() {
    let home = tempfile::tempdir().unwrap();
    let mut command = skein(&["run", "--json", "/hang", "--home", home.path().to_str().unwrap()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    // Messages are printed once the turn runs.
    lines.next().unwrap().unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let last = lines.map(Result::unwrap).last().unwrap();
    let outcome: Value = serde_json::from_str(&last).unwrap();
    assert_eq!((&outcome["status"], &outcome["exitCode"]), (&Value::from("interrupted"), &Value::from(130)));
    nobody_serves(home.path());
}
