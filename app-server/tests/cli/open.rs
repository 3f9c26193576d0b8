//! `skein`, `skein open` and `skein stop`: a home in the background.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::{run, skein, take_the_usual_port};

fn at(home: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(&[arguments, &["--home", home.to_str().unwrap()]].concat())
}

/// The state that `skein --json` prints.
fn state(home: &Path) -> Value {
    let (code, stdout, stderr) = at(home, &["--json"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    serde_json::from_str(&stdout).unwrap()
}

/// Ends the server of a home when a test fails.
struct Stopped<'a>(&'a Path);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        at(self.0, &["stop"]);
    }
}

fn is_gone(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}

#[test]
fn a_home_is_opened_in_the_background_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let stopped = Stopped(&home);
    assert_eq!((&state(&home)["exists"], &state(&home)["server"]), (&Value::Bool(false), &Value::Null));
    assert!(!home.exists(), "a look makes nothing");
    let (code, first, stderr) = at(&home, &["open", "--print"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (address, ticket) = first.trim_end().split_once("/#ticket=").unwrap();
    assert!(address.starts_with("http://127.0.0.1:") && ticket.len() == 43, "{first}");
    let log = home.join("server.log");
    assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    // The second one uses the same server.
    let pid = state(&home)["server"]["pid"].as_u64().unwrap();
    let (code, second, stderr) = at(&home, &["open", "--print", "--scope", "read"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(second.starts_with(address) && second != first, "{second}");
    assert_eq!(state(&home)["server"]["pid"].as_u64(), Some(pid));
    // It leads a session of its own.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, pid.to_string());
    let (code, stdout, stderr) = at(&home, &["stop"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains(&format!("process {pid}")) && stdout.contains("waited for"), "{stdout}");
    assert!(is_gone(pid), "no process is left");
    let (code, stdout, stderr) = at(&home, &["stop"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("no server is running"), "{stderr}");
    std::mem::forget(stopped);
}

#[test]
fn a_taken_port_leads_to_a_free_one() {
    let home = tempfile::tempdir().unwrap();
    let _stopped = Stopped(home.path());
    let _taken = take_the_usual_port();
    let (code, stdout, stderr) = at(home.path(), &["open", "--print"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("http://127.0.0.1:") && !stdout.contains(":4500/"), "{stdout}");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.toml"), "model = 1\n").unwrap();
    let (code, stdout, stderr) = at(home.path(), &["open", "--print"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("config.toml:1: model"), "{stderr}");
    let (code, stdout, stderr) = at(home.path(), &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("config.toml:1: model") && stdout.contains("skein doctor"), "{stdout}");
}

#[test]
fn the_browser_of_the_variable_gets_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let _stopped = Stopped(&home);
    let seen = folder.path().join("seen");
    let script = folder.path().join("browser");
    fs::write(&script, format!("#!/bin/sh\nprintf %s \"$1\" > {}\n", seen.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let open = |browser: &str| -> Output {
        let mut command: Command = skein(&["open", "--home", home.to_str().unwrap()]);
        command.env("BROWSER", browser).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.output().unwrap()
    };
    let output = open(script.to_str().unwrap());
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]));
    assert!(fs::read_to_string(&seen).unwrap().contains("/#ticket="));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("skein stop") && !said.contains("ticket"), "{said}");
    // A browser that fails, and none.
    for browser in ["false", "/nowhere/browser", ""] {
        let output = open(browser);
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(printed.contains("/#ticket=") && printed.lines().count() == 1, "{browser}: {printed}");
    }
}
