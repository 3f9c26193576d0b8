//! HTTP beside the websocket: health, metrics, and access rules.

use anyhow::{Context, Result, ensure};
use skein_integration_tests::home::Home;
use skein_integration_tests::http::{Socket, get};

const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn health_is_available_to_programs_of_this_machine() -> Result<()> {
    let home = Home::start().await?;
    for path in ["/healthz", "/readyz", "/metrics"] {
        for host in ["localhost", "127.0.0.1:80", "[::1]"] {
            assert_eq!(get(home.address(), path, &[("Host", host)]).await?.0, 200, "{path} at {host}");
        }
    }
    assert_eq!(get(home.address(), "/nothing", &[("Host", "localhost")]).await?.0, 404);
    home.finish().await
}

#[tokio::test]
async fn a_browser_page_has_no_access() -> Result<()> {
    let home = Home::start().await?;
    for origin in ["http://localhost:3000", "https://example.com", "null"] {
        for path in ["/", "/healthz", "/readyz", "/metrics"] {
            let mut headers = vec![("Host", "localhost"), ("Origin", origin)];
            headers.extend(UPGRADE);
            assert_eq!(get(home.address(), path, &headers).await?.0, 403, "{path} from {origin}");
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_foreign_host_header_gets_misdirected() -> Result<()> {
    let home = Home::start().await?;
    for host in ["example.com", "localhost.example.com", "10.1.2.3:80"] {
        for path in ["/", "/healthz", "/readyz", "/metrics"] {
            let mut headers = vec![("Host", host)];
            headers.extend(UPGRADE);
            assert_eq!(get(home.address(), path, &headers).await?.0, 421, "{path} at {host}");
        }
    }
    home.finish().await
}

/// Many clients send a whole request before they read. The system resets a connection that is closed with unread bytes, and the
/// answer is lost (RFC 9112, section 9.6).
#[tokio::test]
async fn a_client_that_still_sends_gets_the_whole_answer() -> Result<()> {
    let home = Home::start().await?;
    let large = "x".repeat(17 << 10);
    let post = |path: &str, kind: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 9000000\r\n\r\n"
        )
    };
    let rows = [
        (format!("GET / HTTP/1.1\r\nX: {large}"), "431"),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: 1\r\n".repeat(200)), "431"),
        (format!("\0{large}"), "400"),
        (post("/auth/ticket", "application/json") + &large, "413"),
        (post("/auth/ticket", "text/plain"), "415"),
        (post("/nowhere", "application/json"), "404"),
        (post("/healthz", "text/plain").replace("POST", "GET"), "200"),
        (format!("{}\r\n", handshake("https://evil.example")), "403"),
    ];
    for (begun, status) in rows {
        is_answered_while_it_sends(home.address(), &begun, status).await.context(status)?;
    }
    home.finish().await
}

fn handshake(origin: &str) -> String {
    let headers = UPGRADE.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
    format!("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n{headers}")
}

#[tokio::test]
async fn a_large_head_is_refused_also_behind_another_request() -> Result<()> {
    let home = Home::start().await?;
    let mut socket = Socket::connect(home.address()).await?;
    for _ in 0..2 {
        socket.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        socket.until(b"ok\n").await?;
    }
    socket.send(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(17 << 10)).as_bytes()).await?;
    socket.until(b"HTTP/1.1 431 ").await?;
    home.finish().await
}

/// Begins a request, and sends on behind the first bytes of this answer.
pub(super) async fn is_answered_while_it_sends(address: &str, begun: &str, status: &str) -> Result<()> {
    let mut socket = Socket::connect(address).await?;
    socket.send(begun.as_bytes()).await?;
    socket.until(format!("HTTP/1.1 {status} ").as_bytes()).await?;
    for part in 0..100 {
        socket.send(&[b'x'; 17 << 10]).await.with_context(|| format!("part {part}"))?;
    }
    let rest = socket.until_end().await?;
    ensure!(rest.ends_with(b"}") || rest.ends_with(b"ok\n"), "{}", String::from_utf8_lossy(&rest));
    Ok(())
}
