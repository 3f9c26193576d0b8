//! Texts of others that commands print: none of them controls the user's terminal, and nobody has to read what is said.

use std::ffi::OsStr;
use std::fs;
use std::io::pipe;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Serving, skein};

/// A title, the clipboard, a link, an erased screen, a line that begins anew, C1 and bidi controls.
const EVIL: &str =
    "x\u{1b}]0;t\u{7}\u{1b}]52;c;eA==\u{7}\u{1b}]8;;http://x\u{1b}\\\u{1b}[2J\r\u{7f}\u{9b}2J\u{202e}";

/// A home of Codex with one rollout, which has an event of this kind.
pub(super) fn rollout_with(folder: &Path, kind: &str) {
    let id = "01a1f9a4-f790-7202-b781-7c170e66903c";
    let at = "2026-01-01T00:00:00.000Z";
    let line =
        |kind: &str, payload: Value| json!({ "timestamp": at, "type": kind, "payload": payload }).to_string();
    let meta = json!({ "id": id, "timestamp": at, "cwd": "/", "originator": "x", "cli_version": "0.1.0" });
    let said = json!({ "type": "user_message", "message": "words" });
    let lines =
        [line("session_meta", meta), line("event_msg", said), line("event_msg", json!({ "type": kind }))];
    let day = folder.join("sessions/2026/01/01");
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join(format!("rollout-2026-01-01T00-00-00-{id}.jsonl")), lines.join("\n") + "\n").unwrap();
}

/// What controls a terminal, in what was printed.
fn controls(output: &Output) -> Vec<char> {
    let said = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(said).unwrap();
    text.chars().filter(|c| c.is_control() && !matches!(c, '\n' | '\t') || *c == '\u{202e}').collect()
}

#[test]
fn texts_of_others_do_not_control_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let servers = json!({ "mcpServers": {
        EVIL: { "command": "x", EVIL: 1 },
        format!("{EVIL}\nleft nothing"): { "type": "sse", "url": "http://x" },
    } });
    fs::write(at("desktop.json"), servers.to_string()).unwrap();
    rollout_with(&dir.path().join("codex"), EVIL);
    let (home, evil) = (at("home"), at(&format!("home{EVIL}").replace('/', "")));
    let says = format!("printf '%s' '{EVIL}' >&2; exit 3");
    let (desktop, codex) = (at("desktop.json"), at("codex"));
    let commands: [&[&str]; 8] = [
        &["mcp", "import", &desktop, "--home", &home],
        &["mcp", "import", &desktop, "--home", &home, "--json"],
        &["mcp", "test", "--home", &home, "--", "sh", "-c", &says],
        &["mcp", "test", "--json", "--home", &home, "--", "sh", "-c", &says],
        &["import", &codex, "--home", &home],
        &["import", &codex, "--home", &home, "--json"],
        &["status", "--home", &evil],
        &["doctor", "--home", &evil],
    ];
    for arguments in commands {
        let output = skein(arguments).output().unwrap();
        let said = format!("{output:?}");
        assert_eq!(controls(&output), Vec::<char>::new(), "{arguments:?}: {said}");
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(
            text.contains("\\u009b") || text.contains("--9b") || !said.contains("2J"),
            "{arguments:?}: {text}"
        );
        assert!(!text.lines().any(|line| line.starts_with("left nothing")), "{text}");
    }
}

/// The exit code of a command whose stderr nobody reads any more.
fn unheard(arguments: &[&str]) -> Option<i32> {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    skein(arguments).stdout(Stdio::null()).stderr(writer).status().unwrap().code()
}

#[test]
fn a_command_ends_as_it_would_when_nobody_reads_its_stderr() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    rollout_with(&dir.path().join("codex"), "from_the_future");
    assert_eq!(unheard(&["status", "--home", &at("nowhere")]), Some(1));
    assert_eq!(unheard(&["import", &at("codex"), "--home", &at("home")]), Some(0));
    assert_eq!(unheard(&["import", &at("codex"), "--home", &at("home")]), Some(0));
    assert_eq!(unheard(&["mcp", "remove", "x", "--home", &at("home")]), Some(1));
    fs::write(at("desktop.json"), json!({ "mcpServers": { "x": { "type": "sse" } } }).to_string()).unwrap();
    assert_eq!(unheard(&["mcp", "import", &at("desktop.json"), "--home", &at("home")]), Some(1));
}

#[test]
fn a_home_whose_path_is_not_utf8_is_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join(OsStr::from_bytes(b"home\xff"));
    fs::create_dir(&home).unwrap();
    let of_home = |arguments: &[&str]| {
        let mut command = skein(arguments);
        command.arg("--home").arg(&home);
        command
    };
    let serving = Serving::run(of_home(&["serve", "--listen", "ws://127.0.0.1:0"]));
    assert!(serving.ready["home"].as_str().unwrap().ends_with("home\u{fffd}"), "{}", serving.ready);
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
    fs::write(home.join("desktop.json"), json!({ "mcpServers": { "y": { "command": "y" } } }).to_string())
        .unwrap();
    let desktop = home.join("desktop.json");
    let backup = dir.path().join(OsStr::from_bytes(b"backup\xff"));
    let mut commands = vec![
        of_home(&["mcp", "add", "--json", "x", "--url", "http://127.0.0.1/"]),
        of_home(&["mcp", "list", "--json"]),
        of_home(&["mcp", "remove", "--json", "x"]),
        of_home(&["fsck", "--json"]),
        of_home(&["doctor", "--json"]),
        of_home(&["reindex", "--json"]),
    ];
    let mut import = of_home(&["mcp", "import", "--json"]);
    import.arg(&desktop);
    let mut save = of_home(&["backup", "--json"]);
    save.arg(&backup);
    commands.extend([import, save]);
    for mut command in commands {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
