//! The websocket at a unix socket that is named, and the bytes that `proxy` carries to it.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::{Serving, run, skein};

/// The beginning of a websocket, as each client sends it.
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// How the answer to it begins.
const SWITCHED: &[u8] = b"HTTP/1.1 101 ";

/// A server, and where it says that it listens.
fn start(arguments: &[&str]) -> (Serving, String) {
    let server = Serving::run(skein(arguments));
    let address = server.ready["address"].as_str().unwrap().to_owned();
    (server, address)
}

fn url(path: &Path) -> String {
    format!("unix://{}", path.display())
}

/// Whether a server answers there.
fn switches(path: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(path) else { return false };
    stream.write_all(UPGRADE).unwrap();
    let mut answer = [0; SWITCHED.len()];
    stream.read_exact(&mut answer).is_ok() && answer == SWITCHED
}

#[test]
fn a_server_has_its_socket_for_itself_and_takes_it_away() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other, path) =
        (dir.path().join("home"), dir.path().join("other"), dir.path().join("engine.sock"));
    let serve = |home: &Path, at: &str| {
        ["serve", "--home", &home.display().to_string(), "--listen", at].map(str::to_owned)
    };
    let first = serve(&home, &url(&path));
    let (server, address) = start(&first.each_ref().map(String::as_str));
    assert_eq!((address, path.metadata().unwrap().mode() & 0o7777), (url(&path), 0o600));
    assert!(switches(&path));

    let second = serve(&other, &url(&path));
    let (code, _, errors) = run(&second.each_ref().map(String::as_str));
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("another server listens at"), "{errors}");
    assert!(switches(&path), "who is refused takes nothing away");
    let long = serve(&other, &url(&dir.path().join("x".repeat(120))));
    let (code, _, errors) = run(&long.each_ref().map(String::as_str));
    assert!(code == Some(1) && errors.contains("the address of a socket holds"), "{errors}");

    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_socket_that_a_killed_server_has_left_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let (home, path) = (dir.path().join("home"), dir.path().join("engine.sock"));
    let (home, at) = (home.display().to_string(), url(&path));
    let arguments = ["app-server", "--home", &home, "--listen", &at];
    let (server, _) = start(&arguments);
    assert_eq!(server.stop(Signal::SIGKILL), None);
    assert!(path.exists() && !switches(&path));
    let (server, _) = start(&arguments);
    assert!(switches(&path));
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    assert!(!path.exists());
}

#[test]
fn programs_that_start_a_server_for_each_session_share_the_home() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one.sock"), dir.path().join("other.sock"));
    let home = dir.path().join("home").display().to_string();
    let (first, _) = start(&["app-server", "--home", &home, "--listen", &url(&one)]);
    let (second, _) = start(&["app-server", "--home", &home, "--listen", &url(&other)]);
    assert!(switches(&one) && switches(&other));
    // The one that had the home ends: the other has it now.
    assert_eq!(first.stop(Signal::SIGTERM), Some(0));
    assert!(!one.exists() && switches(&other));
    assert_eq!(second.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn a_proxy_carries_bytes_to_the_socket_that_the_home_has() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let root = home.display().to_string();
    let (server, address) = start(&["app-server", "--home", &root, "--listen", "unix://"]);
    let path = home.join("app-server-control/app-server-control.sock");
    assert_eq!(address, url(&path));
    for named in [&["--sock", &*path.display().to_string()][..], &[]] {
        let mut command = skein(&["app-server", "--home", &root, "proxy"]);
        command.args(named);
        let mut proxy = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = proxy.stdin.take().unwrap();
        input.write_all(UPGRADE).unwrap();
        let mut answer = [0; SWITCHED.len()];
        let mut output = proxy.stdout.take().unwrap();
        output.read_exact(&mut answer).unwrap();
        assert_eq!(answer, SWITCHED, "{named:?}");
        // The server ends the connection of a client that says nothing more.
        drop(input);
        assert!(proxy.wait().unwrap().success());
    }
    assert_eq!(server.stop(Signal::SIGTERM), Some(0));
    let (code, _, errors) = run(&["app-server", "--home", &root, "proxy", "--sock", "/nowhere/a.sock"]);
    assert!(code == Some(1) && errors.contains("failed to connect to socket at /nowhere/a.sock"), "{errors}");
}
