//! The program as its user meets it: what it prints, where, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also outside of a test function")]
#![expect(clippy::disallowed_methods, reason = "a test of a program starts it")]

#[path = "cli/backup.rs"]
mod backup;
#[path = "cli/broken.rs"]
mod broken;
#[path = "cli/bugreport.rs"]
mod bugreport;
#[path = "cli/codex.rs"]
mod codex;
#[path = "cli/conversation.rs"]
mod conversation;
#[path = "cli/credentials.rs"]
mod credentials;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/editor.rs"]
mod editor;
#[path = "cli/killed.rs"]
mod killed;
#[path = "cli/mcp.rs"]
mod mcp;
#[path = "cli/newcomer.rs"]
mod newcomer;
#[path = "cli/open.rs"]
mod open;
#[path = "cli/origins.rs"]
mod origins;
#[path = "cli/panics.rs"]
mod panics;
#[path = "cli/readme.rs"]
mod readme;
#[path = "cli/schema.rs"]
mod schema;
#[path = "cli/service.rs"]
mod service;
#[path = "cli/sockets.rs"]
mod sockets;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/url.rs"]
mod url;

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_protocol::methods::ThreadStart;
use skein_protocol::table::Method;

/// Takes the port that the program takes by default. The server of another test may have it until it ends; a program that has it
/// for longer keeps it.
fn take_the_usual_port() -> std::io::Result<TcpListener> {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        match TcpListener::bind("127.0.0.1:4500") {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < end => {
                std::thread::yield_now()
            }
            taken => return taken,
        }
    }
}

/// The program, with nothing of the tester's environment that it reads.
fn skein(arguments: &[&str]) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_skein"));
    let program = std::fs::canonicalize(program).unwrap_or_else(|_| PathBuf::from(program));
    let mut command = Command::new(program);
    command.args(arguments).env_remove("SKEIN_HOME").env_remove("SKEIN_LOG").env_remove("XDG_DATA_HOME");
    command
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = skein(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A server on a port of its own; killed when a test fails before it has stopped it.
struct Serving {
    child: Child,
    ready: serde_json::Value,
}

impl Serving {
    fn start(home: &Path) -> Self {
        Self::run(skein(&["serve", "--listen", "ws://127.0.0.1:0", "--home", home.to_str().unwrap()]))
    }

    fn run(mut command: Command) -> Self {
        command.stderr(Stdio::null());
        Self::run_with_log(command)
    }

    /// With the standard error of the command.
    fn run_with_log(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    /// Sends `signal`; the exit code.
    fn stop(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

#[test]
fn serve_says_where_it_listens_and_ends_well_on_either_signal() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let home = tempfile::tempdir().unwrap();
        let serving = Serving::start(home.path());
        assert_eq!(serving.ready["pid"], serving.child.id());
        assert_eq!(serving.ready["home"], home.path().to_str().unwrap());
        let address = serving.ready["address"].as_str().unwrap();
        assert!(address.starts_with("ws://127.0.0.1:") && !address.ends_with(":0"), "{address}");
        assert_eq!(serving.stop(signal), Some(0));
    }
}

#[test]
fn a_server_without_a_terminal_prints_its_line_for_programs_and_no_colours() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    let mut serve = skein(&["serve", "--listen", "ws://127.0.0.1:0", "--home", home]);
    serve.env_remove("NO_COLOR").stderr(Stdio::piped());
    let mut serving = Serving::run_with_log(serve);
    let (mut out, mut log) = (serving.child.stdout.take().unwrap(), serving.child.stderr.take().unwrap());
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
    let (mut more, mut said) = (String::new(), String::new());
    out.read_to_string(&mut more).unwrap();
    log.read_to_string(&mut said).unwrap();
    assert_eq!(more, "", "stdout has one line");
    assert!(said.contains("stopped") && !said.contains('\u{1b}') && !said.contains("Ctrl-C"), "{said}");
}

#[test]
fn a_second_server_on_a_home_names_the_first_and_ends() {
    let home = tempfile::tempdir().unwrap();
    let serving = Serving::start(home.path());
    let (code, stdout, stderr) =
        run(&["serve", "--listen", "ws://127.0.0.1:0", "--home", home.path().to_str().unwrap()]);
    assert_eq!((code, stdout.as_str()), (Some(3), ""));
    assert!(stderr.contains(&serving.child.id().to_string()), "{stderr}");
    assert!(stderr.contains(serving.ready["address"].as_str().unwrap()), "{stderr}");
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn settings_that_cannot_be_used_are_all_named_before_anything_starts() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "model = 1\n[unload]\ngrace = 2\n").unwrap();
    let home = home.path().to_str().unwrap();
    let (code, stdout, stderr) = run(&["serve", "--home", home, "--listen", "http://x"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    for part in ["config.toml:1: model", "config.toml:3: unload.grace", "--listen"] {
        assert!(stderr.contains(part), "{part} is not in {stderr}");
    }
}

#[test]
fn a_call_without_a_server_says_how_to_start_one() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    for arguments in [&["call", "any", "--home", home][..], &["status", "--home", home]] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.contains(&format!("skein serve --home {home}")), "{stderr}");
    }
    let (code, _, stderr) = run(&["call", "any", "--url", "ws://127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no server answers at ws://127.0.0.1:1"), "{stderr}");
}

#[test]
fn params_that_are_not_json_are_refused_before_anybody_is_asked() {
    let (code, _, stderr) = run(&["call", "any", "{", "--url", "ws://127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("the params are not JSON"), "{stderr}");
}

#[test]
fn the_control_socket_needs_no_port_and_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    // Also where the path is longer than the address of a socket.
    for name in ["short", &"long".repeat(40)] {
        let home = dir.path().join(name);
        let serving = Serving::start(&home);
        let socket = home.join("control.sock");
        assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let says = std::fs::read_to_string(home.join("server.json")).unwrap();
        let mut says: serde_json::Value = serde_json::from_str(&says).unwrap();
        assert_eq!(says["addresses"][1], format!("unix://{}", socket.display()));
        // As if the port were closed.
        says["addresses"][0] = "ws://127.0.0.1:1".into();
        std::fs::write(home.join("server.json"), says.to_string()).unwrap();
        let at = home.to_str().unwrap();
        let (code, stdout, stderr) = run(&["status", "--json", "--home", at]);
        assert_eq!(code, Some(0), "{stderr}");
        let status: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(status["pid"], serving.child.id());
        let (code, stdout, stderr) = run(&["call", ThreadStart::INFO.wire, "--json", "--home", at]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.contains("\"thread\":"), "{stdout}");
        assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
        assert!(!socket.exists());
    }
}

#[test]
fn what_a_killed_server_left_behind_is_named_and_replaced() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().to_str().unwrap();
    let serving = Serving::start(home.path());
    let pid = serving.child.id();
    assert_eq!(serving.stop(Signal::SIGKILL), None);
    assert!(home.path().join("control.sock").exists());
    let (code, _, stderr) = run(&["status", "--home", at]);
    assert_eq!(code, Some(1));
    for part in [&format!("process {pid} that served it has ended"), &format!("skein serve --home {at}")] {
        assert!(stderr.contains(part), "{stderr}");
    }
    let serving = Serving::start(home.path());
    let (code, stdout, stderr) = run(&["status", "--json", "--home", at]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains(&format!("\"pid\":{}", serving.child.id())), "{stdout}");
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn a_server_without_a_control_socket_is_reached_at_its_websocket() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("control.sock")).unwrap();
    let serving = Serving::start(home.path());
    let (code, stdout, stderr) = run(&["status", "--json", "--home", home.path().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains(&format!("\"pid\":{}", serving.child.id())), "{stdout}");
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn servers_that_are_started_at_once_leave_one_and_the_others_name_it() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().to_str().unwrap();
    let arguments = ["serve", "--listen", "ws://127.0.0.1:0", "--home", at];
    let mut children: Vec<Child> = (0..6)
        .map(|_| skein(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    let (code, _, stderr) = loop {
        let answer = run(&["status", "--json", "--home", at]);
        if answer.0 == Some(0) || children.iter_mut().all(|child| child.try_wait().unwrap().is_some()) {
            break answer;
        }
    };
    assert_eq!(code, Some(0), "{stderr}");
    let says = std::fs::read_to_string(home.path().join("server.json")).unwrap();
    let says: serde_json::Value = serde_json::from_str(&says).unwrap();
    let owner = children.iter().position(|child| says["pid"] == child.id()).unwrap();
    let mut owner = children.remove(owner);
    for child in children {
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(3), "{stderr}");
        let named = format!("process {} at {}", owner.id(), says["addresses"][0].as_str().unwrap());
        assert!(stderr.contains(&named), "{named} is not in {stderr}");
    }
    kill(Pid::from_raw(i32::try_from(owner.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(owner.wait().unwrap().code(), Some(0));
}
