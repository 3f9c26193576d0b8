//! `skein url`: an address that lets a browser in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use skein_app_server::policy::TICKET_ANSWER_BYTES;
use skein_protocol::access::Access;
use skein_store::home::Home;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::outputs::PageOutcome;
use super::{client, home, print_json, print_line};

/// The scheme of a server's address.
const WEBSOCKET: &str = "ws://";

#[derive(Debug, Args)]
pub(super) struct PageUrl {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The access that the page gets: read, chat or admin.
    #[arg(long, value_name = "SCOPE", default_value_t = Access::Chat)]
    scope: Access,
    /// Print the address as JSON, on one line.
    #[arg(long)]
    json: bool,
}

/// The answer of `POST /auth/ticket`.
#[derive(Deserialize)]
struct MadeTicket {
    ticket: String,
}

/// The body of a refusal.
#[derive(Deserialize)]
struct RefusalBody {
    reason: String,
    message: String,
}

impl PageUrl {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let root = std::path::absolute(home(self.home.as_ref())?).context("the home's path")?;
        // The first question, as it is the one about whether a server runs.
        let stream = client::stream(&root).await?;
        print_page(&fresh(&root, stream, self.scope).await?, self.json)
    }
}

/// Prints the address of a page.
pub(super) fn print_page(page: &str, json: bool) -> anyhow::Result<()> {
    if json { print_json(&PageOutcome { url: page }) } else { print_line(page) }
}

/// The address of the page of the home's server at the other end, with a new ticket.
pub(super) async fn fresh(
    root: &Path,
    stream: UnixStream,
    scope: Access,
) -> anyhow::Result<Zeroizing<String>> {
    let address = address(root)?;
    let ticket = client::in_time(ticket(stream, scope)).await.context("no ticket")?;
    Ok(page(address, &ticket))
}

/// The TCP address of the home's server.
fn address(root: &Path) -> anyhow::Result<SocketAddr> {
    let addresses = Home::read_server_json(root)?.map(|server| server.addresses).unwrap_or_default();
    let address = addresses.iter().find_map(|address| address.strip_prefix(WEBSOCKET)?.parse().ok());
    address.with_context(|| {
        format!(
            "the server of {} has no TCP port, which a browser needs: start it with skein serve --listen \
             ws://127.0.0.1:4500",
            root.display()
        )
    })
}

/// The address of the page with a ticket. It names an IP address, as another program may listen at `localhost`.
fn page(address: SocketAddr, ticket: &str) -> Zeroizing<String> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    Zeroizing::new(format!("http://{}/#ticket={ticket}", SocketAddr::new(ip, address.port())))
}

/// Asks for a ticket with this access.
async fn ticket(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    scope: Access,
) -> anyhow::Result<Zeroizing<String>> {
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let body = Full::new(Bytes::from(json!({ "scope": scope }).to_string()));
    let request = Request::post("/auth/ticket")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(body)?;
    let answer = async {
        let (head, body) = requests.send_request(request).await?.into_parts();
        let body = Limited::new(body, TICKET_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer breaks off: {error}"))?.to_bytes();
        read(head.status, &body)
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The answer may be complete, and knows the error otherwise.
        _ended = connection => answer.await,
    }
}

fn read(status: StatusCode, body: &[u8]) -> anyhow::Result<Zeroizing<String>> {
    if status != StatusCode::OK {
        if let Ok(RefusalBody { reason, message }) = serde_json::from_slice(body) {
            bail!("the server refuses ({reason}): {message}");
        }
        bail!("the server answers {status}; it may be of another version");
    }
    // The error of the parser could quote the secret.
    let Ok(MadeTicket { ticket }) = serde_json::from_slice(body) else {
        bail!("the answer has no ticket; the server may be of another version");
    };
    let ticket = Zeroizing::new(ticket);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    anyhow::ensure!(!ticket.is_empty() && ticket.chars().all(is_plain), "the ticket is malformed");
    Ok(ticket)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[test]
    fn the_address_names_the_ip_address_that_the_server_listens_at() {
        for (address, expected) in [
            ("127.0.0.1:4500", "http://127.0.0.1:4500/#ticket=abc-_1"),
            ("[::1]:4500", "http://[::1]:4500/#ticket=abc-_1"),
            ("127.0.0.2:80", "http://127.0.0.2:80/#ticket=abc-_1"),
            ("0.0.0.0:4500", "http://127.0.0.1:4500/#ticket=abc-_1"),
            ("[::]:4500", "http://[::1]:4500/#ticket=abc-_1"),
        ] {
            assert_eq!(page(address.parse().unwrap(), "abc-_1").as_str(), expected);
        }
    }

    #[test]
    fn a_server_without_a_port_is_named_with_the_remedy() {
        let home = tempfile::tempdir().unwrap();
        let error = address(home.path()).unwrap_err().to_string();
        assert!(error.contains("no TCP port") && error.contains("skein serve --listen"), "{error}");
    }

    /// A server that answers with this text, and the request that it got.
    async fn asked(answer: String, scope: Access) -> (anyhow::Result<Zeroizing<String>>, String) {
        let (client, mut server) = duplex(64 << 10);
        let serve = async move {
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                assert!(server.read_buf(&mut request).await.unwrap() > 0);
            }
            server.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        };
        tokio::join!(ticket(client, scope), serve)
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn a_ticket_is_asked_for_with_its_scope() {
        let body = r#"{"ticket":"S3cret-_","expiresAt":1700000000}"#;
        let (made, request) = asked(answer("200 OK", body), Access::Read).await;
        assert_eq!(made.unwrap().as_str(), "S3cret-_");
        assert!(request.starts_with("POST /auth/ticket HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("content-type: application/json\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"scope\":\"read\"}"), "{request}");
    }

    #[tokio::test]
    async fn other_answers_are_errors_that_say_why() {
        let large = format!("{{\"ticket\":\"{}\"}}", "a".repeat(1 << 20));
        for (answer, why) in [
            (
                answer("403 Forbidden", r#"{"reason":"helper","message":"may not connect"}"#),
                "(helper): may not connect",
            ),
            (answer("404 Not Found", ""), "404"),
            (answer("200 OK", "{}"), "no ticket"),
            (answer("200 OK", r#"{"ticket":"a\nb"}"#), "malformed"),
            (answer("200 OK", &large[..60_000]), "breaks off"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_owned(), "breaks off"),
            ("nonsense\r\n\r\n".to_owned(), "invalid"),
        ] {
            let error = format!("{:#}", asked(answer, Access::Chat).await.0.unwrap_err());
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
