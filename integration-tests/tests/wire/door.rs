//! Requests that nobody may send, byte by byte: each gets one status and one reason, a short body, and a closed socket.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_integration_tests::http::{Answer, Socket, exchange};

/// The longest body of a refusal, in bytes.
const REFUSAL_BYTES: usize = 512;

/// The time in which the server answers and closes.
const CLOSES: Duration = Duration::from_secs(2);

const HOST: &str = "Host: 127.0.0.1\r\n";
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The first bytes of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A request and its answer. The reason is empty where the request is no HTTP at all.
struct Row {
    what: &'static str,
    bytes: String,
    status: u16,
    reason: &'static str,
}

fn row(what: &'static str, bytes: impl Into<String>, (status, reason): (u16, &'static str)) -> Row {
    Row { what, bytes: bytes.into(), status, reason }
}

/// `GET /` as a websocket handshake with these headers.
fn handshake(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\n{HOST}{HANDSHAKE}{headers}\r\n")
}

fn origin(origin: &str) -> String {
    handshake(&format!("Origin: {origin}\r\n"))
}

fn bad_hosts() -> Vec<Row> {
    let get = |headers: &str| format!("GET / HTTP/1.1\r\n{headers}{HANDSHAKE}\r\n");
    vec![
        row("no Host", get(""), (400, "host")),
        row("two Hosts", get("Host: localhost\r\nHost: localhost\r\n"), (400, "host")),
        row("a Host with credentials", get("Host: a@localhost\r\n"), (400, "host")),
        row("a foreign Host", get("Host: example.org\r\n"), (421, "host")),
        row("a Host that begins like ours", get("Host: 127.0.0.1.example.org\r\n"), (421, "host")),
        row(
            "an absolute target of another host",
            format!("GET http://a/ HTTP/1.1\r\n{HOST}{HANDSHAKE}\r\n"),
            (400, "host"),
        ),
        row("HTTP/1.0 without a Host", "GET / HTTP/1.0\r\n\r\n", (400, "host")),
        row("an empty Host", get("Host: \r\n"), (421, "host")),
        row("a Host of this machine's name with a dot", get("Host: localhost.\r\n"), (421, "host")),
        row(
            "an absolute target with credentials",
            format!("GET http://a@127.0.0.1/ HTTP/1.1\r\n{HOST}{HANDSHAKE}\r\n"),
            (400, "host"),
        ),
        row(
            "a target that is an authority",
            format!("CONNECT 127.0.0.1:1 HTTP/1.1\r\n{HOST}\r\n"),
            (400, "host"),
        ),
    ]
}

fn bad_origins() -> Vec<Row> {
    let refused = (403, "origin");
    vec![
        row("a foreign Origin", origin("http://example.org"), refused),
        row("an Origin of another port", origin("http://127.0.0.1:1"), refused),
        row("no Origin by name", origin("null"), refused),
        row("an Origin in capitals", origin("HTTP://127.0.0.1"), refused),
        row("an Origin with a dot at its end", origin("http://127.0.0.1."), refused),
        row("an Origin with userinfo", origin("http://a@127.0.0.1"), refused),
        row("an Origin in Unicode", origin("http://b\u{fc}cher.example"), refused),
        row("an Origin in punycode", origin("http://xn--bcher-kva.example"), refused),
        row("an Origin of 10 kB", origin(&format!("http://{}", "a".repeat(10_000))), refused),
        row("an Origin that is a command", origin("http://a;$(id)"), refused),
        row("two Origins", handshake("Origin: http://127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"), refused),
        row("an image of a foreign page", handshake("Sec-Fetch-Site: cross-site\r\n"), refused),
    ]
}

fn bad_credentials() -> Vec<Row> {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\n{HOST}{HANDSHAKE}\r\n");
    vec![
        row("a secret in a query", get("/?token=abc"), (400, "address")),
        row("a ticket in a query", get("/?x=1&ticket=abc"), (400, "address")),
        row("a secret in a query under an encoded name", get("/?x&access%5Ftoken=abc"), (400, "address")),
        row("a ticket in a query in capitals", get("/?%54ICKET=abc"), (400, "address")),
        row(
            "two credentials",
            handshake("Authorization: Bearer a\r\nSec-WebSocket-Protocol: skein.v1, skein.auth.b\r\n"),
            (400, "credentials"),
        ),
        row(
            "half a subprotocol",
            handshake("Sec-WebSocket-Protocol: skein.auth.b\r\n"),
            (400, "subprotocol"),
        ),
        row("another scheme", handshake("Authorization: Basic YTpi\r\n"), (401, "malformed")),
        row("a credential of no form", handshake("Authorization: Bearer abc\r\n"), (401, "malformed")),
        row(
            "an unknown token",
            handshake(&format!("Authorization: Bearer skein_{}\r\n", "a".repeat(43))),
            (401, "unknown"),
        ),
        row("a request of a proxy", handshake("X-Forwarded-For: 10.0.0.1\r\n"), (401, "missing")),
        row("a request through a tunnel", handshake("Via: 1.1 tunnel\r\n"), (401, "missing")),
    ]
}

/// A form of a page that is not allowed, as a browser sends it without asking.
fn foreign_form() -> String {
    format!(
        "POST /auth/session HTTP/1.1\r\n{HOST}Origin: http://example.org\r\nSec-Fetch-Site: cross-site\r\n\
         Content-Type: text/plain\r\nContent-Length: 14\r\n\r\n{{\"ticket\":\"a\"}}"
    )
}

fn bad_requests() -> Vec<Row> {
    let post = |kind: &str, body: &str| {
        let length = body.len();
        format!(
            "POST /auth/session HTTP/1.1\r\n{HOST}Origin: http://127.0.0.1\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    vec![
        row("an unknown route", format!("GET /nothing HTTP/1.1\r\n{HOST}\r\n"), (404, "notFound")),
        row("another method", format!("POST / HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n"), (405, "method")),
        row("a form", post("application/x-www-form-urlencoded", "ticket=a"), (415, "mediaType")),
        row("a body that is no JSON", post("application/json", "ticket"), (400, "body")),
        row("a body of 5 kB", post("application/json", &"a".repeat(5_000)), (413, "tooLarge")),
        row("an unknown ticket", post("application/json", r#"{"ticket":"abc"}"#), (401, "unknown")),
        row(
            "a handshake without a key",
            format!("GET / HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
            (400, "upgrade"),
        ),
        row(
            "an upgrade to another protocol",
            format!("GET / HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
            (400, "upgrade"),
        ),
        row("a handshake with a body", handshake("Content-Length: 5\r\n") + "hello", (400, "upgrade")),
        row(
            "a handshake with a body in chunks",
            handshake("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n",
            (400, "upgrade"),
        ),
        row("a handshake of HTTP/1.0", handshake("").replacen("HTTP/1.1", "HTTP/1.0", 1), (400, "upgrade")),
        row("a handshake by POST", handshake("").replacen("GET", "POST", 1), (405, "method")),
        row(
            "a handshake without Connection",
            handshake("").replace("Connection: Upgrade\r\n", ""),
            (400, "upgrade"),
        ),
        row("a handshake elsewhere", handshake("").replacen("GET / ", "GET /rpc ", 1), (404, "notFound")),
        row("a form of a foreign page", foreign_form(), (403, "origin")),
        row("an old version of the websocket", handshake("").replace("13", "8"), (400, "upgrade")),
        row("an open page", format!("GET / HTTP/1.1\r\n{HOST}\r\n"), (426, "")),
    ]
}

/// Bytes that are no request for any route. Of two lengths the one by chunks counts, and the connection
/// is closed (RFC 9112, section 6.3).
fn no_http() -> Vec<Row> {
    vec![
        row(
            "two lengths",
            format!(
                "GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
            ),
            (426, ""),
        ),
        row(
            "two lengths that differ",
            format!("GET / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            (400, "syntax"),
        ),
        row(
            "a coding that is not known",
            format!("GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\n"),
            (400, "syntax"),
        ),
        row("a header with a zero byte", format!("GET / HTTP/1.1\r\n{HOST}X-A: \0\r\n\r\n"), (400, "syntax")),
        row("a folded header", format!("GET / HTTP/1.1\r\n{HOST}X-A: 1\r\n folded\r\n\r\n"), (400, "syntax")),
        row("HTTP/2 by prior knowledge", PREFACE, (400, "syntax")),
        row("HTTP/2 behind an empty line", format!("\r\n{PREFACE}"), (400, "syntax")),
        row("a version that does not exist", format!("GET / HTTP/3.0\r\n{HOST}\r\n"), (400, "syntax")),
        row("TLS", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}", (400, "syntax")),
        row(
            "many headers",
            format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", "X-A: 1\r\n".repeat(200)),
            (431, "tooLarge"),
        ),
        row(
            "17 KiB of headers",
            handshake(&format!("X-Long: {}\r\n", "a".repeat(17 << 10))),
            (431, "tooLarge"),
        ),
    ]
}

#[tokio::test]
async fn each_bad_request_gets_one_status_and_one_reason_and_is_closed() -> Result<()> {
    let home = Home::start().await?;
    let mut bystander = home.client().await?;
    for row in bad_hosts()
        .into_iter()
        .chain(bad_origins())
        .chain(bad_credentials())
        .chain(bad_requests())
        .chain(no_http())
    {
        check(home.address(), &row).await.with_context(|| row.what)?;
        answers(&mut bystander).await.with_context(|| row.what)?;
    }
    home.finish().await
}

async fn check(address: &str, row: &Row) -> Result<()> {
    let answer = tokio::time::timeout(CLOSES, exchange(address, row.bytes.as_bytes())).await;
    let answer = answer.context("the socket is not closed in time")??;
    let (head, body) = answer.split_once("\r\n\r\n").context(answer.clone())?;
    let status = head.split(' ').nth(1).context("no status")?;
    ensure!(status == row.status.to_string(), "{answer}");
    let headers = Answer::read(&answer)?;
    ensure!(headers.headers("X-Content-Type-Options") == ["nosniff"], "{answer}");
    ensure!(body.len() <= REFUSAL_BYTES, "{} bytes: {answer}", body.len());
    if !row.reason.is_empty() {
        let body: Value = serde_json::from_str(body).with_context(|| answer.clone())?;
        ensure!(body["reason"] == row.reason, "{answer}");
    }
    Ok(())
}

/// A client that was there before is answered.
async fn answers(client: &mut Client) -> Result<()> {
    client.status().await.map(drop)
}

#[tokio::test]
async fn bytes_that_are_no_http_are_refused_also_when_they_come_one_by_one() -> Result<()> {
    let home = Home::start().await?;
    for row in no_http().into_iter().filter(|row| row.reason == "syntax") {
        let mut socket = Socket::connect(home.address()).await?;
        for byte in row.bytes.as_bytes() {
            // The server may have its answer before the last one.
            if socket.send(&[*byte]).await.is_err() {
                break;
            }
        }
        let answer = String::from_utf8_lossy(&socket.until_end().await?).into_owned();
        let found = Answer::read(&answer).with_context(|| row.what)?.refusal();
        assert_eq!(found, (row.status, row.reason.to_owned()), "{}", row.what);
    }
    home.finish().await
}

#[tokio::test]
async fn a_head_of_17_kib_and_a_pipelined_handshake_disturb_nobody() -> Result<()> {
    let home = Home::start().await?;
    let mut bystander = home.client().await?;
    let long = handshake(&format!("X-Long: {}\r\n", "a".repeat(17 << 10)));
    let cut_off = exchange(home.address(), long.as_bytes()).await;
    ensure!(cut_off.as_ref().map_or(true, |answer| !answer.contains(" 101 ")), "{cut_off:?}");
    answers(&mut bystander).await?;
    // Behind the first handshake there is no HTTP any more: the second one breaks the websocket.
    let twice = format!("{0}{0}", handshake(""));
    let answer = exchange(home.address(), twice.as_bytes()).await?;
    ensure!(answer.matches("HTTP/1.1").count() == 1, "{answer}");
    answers(&mut bystander).await?;
    home.finish().await
}
