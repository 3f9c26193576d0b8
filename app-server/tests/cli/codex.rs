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

#[test]
fn its_app_server_speaks_on_standard_streams_in_the_home_of_codex() {
    let dir = tempfile::tempdir().unwrap();
    let link = shim(dir.path());
    let home = dir.path().join("home");
    let mut command = codex(&link);
    command.args(["-c", "model=\"echo\"", "app-server", "--listen", "stdio://", "--enable", "apps"]);
    command.env("CODEX_HOME", &home).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let mut input = server.stdin.take().unwrap();
    let client = json!({"name": "test", "version": "1"});
    let hello = json!({"id": "a", "method": Initialize::INFO.wire, "params": {"clientInfo": client}});
    writeln!(input, "{hello}").unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["result"]["codexHome"], home.display().to_string());
    drop(input);
    let Output { status, stderr, .. } = server.wait_with_output().unwrap();
    assert!(status.success());
    is_a_log(&String::from_utf8(stderr).unwrap());
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
