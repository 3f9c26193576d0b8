//! `skein url`: an address that lets a browser in.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Serving, run, skein};

fn url(home: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(&[&["url", "--home", home][..], arguments].concat())
}

/// `POST /auth/session` by the page of the server: the status, and the body.
pub(super) fn redeemed(address: &str, ticket: &str) -> (String, Value) {
    let body = json!({ "ticket": ticket }).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /auth/session HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split_whitespace().nth(1).unwrap().to_owned(), serde_json::from_str(body).unwrap())
}

#[test]
fn an_address_lets_the_page_in_once_with_its_scope() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().to_str().unwrap();
    let serving = Serving::start(home.path());
    let address = serving.ready["address"].as_str().unwrap().trim_start_matches("ws://").to_owned();
    for scope in ["chat", "read", "admin"] {
        // Without a word it is chat.
        let words = ["--scope", scope];
        let arguments = if scope == "chat" { &words[..0] } else { &words[..] };
        let (code, stdout, stderr) = url(at, arguments);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let ticket = stdout.strip_prefix(&format!("http://{address}/#ticket=")).unwrap();
        let ticket = ticket.strip_suffix('\n').unwrap();
        assert_eq!(ticket.len(), 43, "{stdout:?}");
        let (status, session) = redeemed(&address, ticket);
        assert_eq!((status.as_str(), &session["scope"]), ("200", &json!(scope)), "{session}");
        let (status, refused) = redeemed(&address, ticket);
        assert_eq!((status.as_str(), &refused["reason"]), ("401", &json!("used")));
    }
    assert_eq!(url(at, &["--scope", "root"]).0, Some(2));
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn a_home_without_a_server_or_without_a_port_says_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let (code, stdout, stderr) = url(at, &[]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains(&format!("skein serve --home {at}")), "{stderr}");

    let socket = format!("unix://{}", dir.path().join("door.sock").display());
    let home = dir.path().join("home");
    let at = home.to_str().unwrap();
    let serving = Serving::run(skein(&["serve", "--listen", &socket, "--home", at]));
    let (code, stdout, stderr) = url(at, &[]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("no TCP port") && stderr.contains("--listen ws://127.0.0.1:4500"), "{stderr}");
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}
