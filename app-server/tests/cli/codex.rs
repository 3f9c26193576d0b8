//! The program by the name of codex, as programs meet it that start one.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use skein_protocol::methods::Initialize;
use skein_protocol::table::Method;

use super::run;

/// A link by that name, as `skein codex-shim` makes it.
fn shim(folder: &Path) -> PathBuf {
    let (code, said, errors) = run(&["codex-shim", &folder.display().to_string()]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let link = PathBuf::from(said.trim_end());
    assert_eq!(link, folder.join("codex"));
    link
}

fn codex(link: &Path) -> Command {
    let mut command = Command::new(link);
    for name in ["SKEIN_HOME", "CODEX_HOME", "SKEIN_LOG", "XDG_DATA_HOME"] {
        command.env_remove(name);
    }
    command
}

fn said(link: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = codex(link).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_programs_ask_before_they_start_it_is_answered_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let link = shim(&dir.path().join("a/bin"));
    let version = concat!("codex-cli 0.169.0 (Skein ", env!("CARGO_PKG_VERSION"), ")\n");
    assert_eq!(said(&link, &["--version"]), (Some(0), version.to_owned(), String::new()));
    let (code, text, errors) = said(&link, &["login", "status"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(text.contains("Skein"), "{text}");
    for other in [&["exec", "--json", "hello"][..], &["login"]] {
        let (code, text, errors) = said(&link, other);
        assert_eq!((code, text.as_str()), (Some(1), ""), "{other:?}");
        assert!(errors.contains("this is Skein"), "{other:?}: {errors}");
    }
}

#[test]
fn a_link_is_made_once_and_takes_nobodys_place() {
    let dir = tempfile::tempdir().unwrap();
    shim(dir.path());
    shim(dir.path());
    let taken = dir.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    symlink("/bin/true", taken.join("codex")).unwrap();
    let (code, text, errors) = run(&["codex-shim", &taken.display().to_string()]);
    assert_eq!((code, text.as_str()), (Some(1), ""));
    assert!(errors.contains("leads elsewhere"), "{errors}");
}

/// What the app-server says first, in a home that these variables name, and its log once its input has ended.
fn hello(link: &Path, variables: &[(&str, &Path)]) -> (Value, String) {
    let mut command = codex(link);
    command.args(["app-server", "--listen", "stdio://", "--enable", "apps"]).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let mut input = server.stdin.take().unwrap();
    let client = json!({"name": "test", "version": "1"});
    let hello = json!({"id": "a", "method": Initialize::INFO.wire, "params": {"clientInfo": client}});
    writeln!(input, "{hello}").unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    drop(input);
    let Output { status, stderr, .. } = server.wait_with_output().unwrap();
    assert!(status.success(), "{status}");
    (serde_json::from_str(&line).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn its_app_server_speaks_on_standard_streams_in_the_home_of_codex() {
    let dir = tempfile::tempdir().unwrap();
    let link = shim(dir.path());
    let home = dir.path().join("home");
    let (answer, log) = hello(&link, &[("CODEX_HOME", &home)]);
    assert_eq!(answer["result"]["codexHome"], home.display().to_string());
    is_a_log(&log);
}

/// Every file below a folder that is not of Skein's own making, with its bytes.
fn files(root: &Path, names: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    names.iter().map(|name| (root.join(name), std::fs::read(root.join(name)).unwrap())).collect()
}

#[test]
fn without_a_variable_its_home_is_that_of_codex_whose_files_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let link = shim(&dir.path().join("bin"));
    let home = dir.path().join(".codex");
    let id = "01a1ff90-7cd5-7a70-babe-1facd936ff32";
    let rollout = format!("sessions/2026/11/21/rollout-2026-11-21T19-23-41-{id}.jsonl");
    let archived = format!("archived_sessions/rollout-2026-11-20T19-23-41-{id}.jsonl");
    let settings = "model = \"m\"\nmodel_provider = \"echo\"\n[tui]\nnotifications = true\n";
    let theirs = [&*rollout, &*archived, "auth.json", "state_5.sqlite", "config.toml"];
    for (name, text) in theirs.iter().zip(["{}\n", "{}\n", "{\"tokens\":1}", "SQLite format 3", settings]) {
        std::fs::create_dir_all(home.join(name).parent().unwrap()).unwrap();
        std::fs::write(home.join(name), text).unwrap();
    }
    let before = files(&home, &theirs);
    for _ in 0..2 {
        let (answer, log) = hello(&link, &[("HOME", dir.path())]);
        assert_eq!(answer["result"]["codexHome"], home.display().to_string());
        is_a_log(&log);
        assert_eq!(files(&home, &theirs), before);
    }
    let (code, _, errors) = run(&["fsck", "--home", &home.display().to_string()]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn what_is_wrong_with_its_settings_or_its_words_is_said_in_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let link = shim(dir.path());
    std::fs::write(dir.path().join("config.toml"), "model = 3\n[unload]\ngrace = \"soon\"\n").unwrap();
    let refused =
        [(&["app-server"][..], 1, "unload.grace"), (&["app-server", "--no-such-flag"], 2, "such-flag")];
    for (arguments, expected, word) in refused {
        let output = codex(&link).args(arguments).env("CODEX_HOME", dir.path()).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(expected), &b""[..]));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(word), "{errors}");
        is_a_log(&errors);
    }
}

/// Programs that start a codex show their user every other line.
fn is_a_log(errors: &str) {
    for line in errors.lines() {
        let mut words = line.split_whitespace();
        let time = words.next().unwrap_or_default();
        assert!(time.ends_with('Z') && time.contains('T'), "{line}");
        assert!(matches!(words.next(), Some("INFO" | "WARN")), "{line}");
    }
}
