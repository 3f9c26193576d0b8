//! What a server that was killed leaves of its home.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use skein_protocol::methods::{ThreadStart, TurnStart};
use skein_protocol::table::Method;
use skein_store::home::{Home, HomeError, HomePaths};

use super::{Serving, run, skein};

/// Has the lock of a home, as a child of a server has it between fork and exec; ends with its input.
struct Heir {
    input: ChildStdin,
    output: ChildStdout,
}

/// An owner of the home, which says that it serves, and what it has started.
fn owner(paths: &HomePaths) -> (Child, Heir) {
    let mut flock = Command::new("flock");
    let flock = flock.arg(paths.lock()).arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut owner = flock.spawn().unwrap();
    let mut heir = Heir { input: owner.stdin.take().unwrap(), output: owner.stdout.take().unwrap() };
    heir.input.write_all(b"!").unwrap();
    heir.output.read_exact(&mut [0]).unwrap();
    let says = serde_json::json!({
        "pid": owner.id(), "term": 1, "startId": uuid::Uuid::nil(), "addresses": ["ws://127.0.0.1:9"],
    });
    fs::write(paths.server_json(), says.to_string()).unwrap();
    (owner, heir)
}

/// How long a start takes to find that it cannot have the home.
fn refused_after(paths: &HomePaths) -> Duration {
    let before = Instant::now();
    assert!(matches!(Home::open(paths.root()), Err(HomeError::Served { .. })));
    before.elapsed()
}

#[test]
fn a_home_whose_owner_was_killed_is_waited_for_while_what_it_started_has_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Home::open(dir.path()).unwrap().paths().clone();
    let (mut owner, mut heir) = owner(&paths);
    owner.kill().unwrap();
    let patience = skein_store::policy::HOME_LOOK * skein_store::policy::HOME_LOOKS;
    let killed = Id::Pid(Pid::from_raw(owner.id().cast_signed()));
    waitid(killed, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    assert!(refused_after(&paths) >= patience, "its owner waits to be reaped");
    owner.wait().unwrap();
    assert!(refused_after(&paths) >= patience, "its owner is gone");

    let next = std::thread::scope(|scope| {
        let next = scope.spawn(|| Home::open(dir.path()));
        drop(heir.input);
        next.join().unwrap().unwrap()
    });
    assert_eq!(next.term().0, 2);
    assert_eq!(heir.output.read(&mut [0]).unwrap(), 0, "what the owner started has ended");
}

#[test]
fn a_limit_for_the_size_of_files_does_not_end_the_server() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().to_str().unwrap();
    let serve = skein(&["serve", "--listen", "ws://127.0.0.1:0", "--home", at]);
    let mut limited = Command::new("sh");
    // In blocks of 512 bytes.
    limited.args(["-c", "ulimit -f 2048; exec \"$@\"", "sh"]).arg(serve.get_program()).args(serve.get_args());
    limited.env_remove("SKEIN_HOME").env_remove("SKEIN_LOG");
    let serving = Serving::run(limited);
    let call = |method: &str, params: &str| {
        let mut call = skein(&["call", method, "-", "--json", "--home", at]);
        let mut call =
            call.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        call.stdin.take().unwrap().write_all(params.as_bytes()).unwrap();
        String::from_utf8(call.wait_with_output().unwrap().stdout).unwrap()
    };
    let started: serde_json::Value = serde_json::from_str(&call(ThreadStart::INFO.wire, "{}")).unwrap();
    // Longer than a file may be.
    let input = serde_json::json!([{ "type": "text", "text": "x".repeat(3 << 20) }]);
    let turn = serde_json::json!({ "threadId": started["thread"]["id"], "input": input });
    call(TurnStart::INFO.wire, &turn.to_string());
    assert_eq!(run(&["status", "--home", at]).0, Some(0), "it is still there");
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}
