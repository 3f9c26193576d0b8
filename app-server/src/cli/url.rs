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
use serde_json::{Value, json};
use skein_app_server::policy::TICKET_ANSWER_BYTES;
use skein_protocol::access::Access;
use skein_store::home::Home;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::outputs::PageOutcome;
use super::{client, home, print_json, print_line};

/// The machine whose browser opens a page.
#[derive(Debug, Clone, Copy)]
pub(super) enum PageAddress {
    /// The server's own: a port comes first.
    OfThisMachine,
    /// Perhaps another one: the setting `public_url` comes first.
    OfAnyMachine,
}

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
        print_page(&fresh(&root, stream, self.scope, PageAddress::OfAnyMachine).await?, self.json)
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
    whose: PageAddress,
) -> anyhow::Result<Zeroizing<String>> {
    let page = page_of(root, whose)?;
    let is_public = matches!(whose, PageAddress::OfAnyMachine) && is_published(root, &page)?;
    let ticket = client::in_time(ticket(stream, scope, is_public)).await.context("no ticket")?;
    Ok(Zeroizing::new(format!("{page}/#ticket={}", *ticket)))
}

/// The page of the home's server.
pub(super) fn page_of(root: &Path, whose: PageAddress) -> anyhow::Result<String> {
    let addresses = Home::read_server_json(root)?.map(|server| server.addresses).unwrap_or_default();
    let public = || addresses.iter().find(|address| address.starts_with("http")).cloned();
    let port = || addresses.iter().find_map(|address| page(address));
    let page = match whose {
        PageAddress::OfThisMachine => port().or_else(public),
        PageAddress::OfAnyMachine => public().or_else(port),
    };
    page.with_context(|| {
        format!(
            "the server of {} has no TCP port, which a browser needs: start it with skein serve --listen \
             ws://127.0.0.1:4500",
            root.display()
        )
    })
}

/// Whether the page is that of the setting `public_url`.
fn is_published(root: &Path, page: &str) -> anyhow::Result<bool> {
    let server = Home::read_server_json(root)?;
    Ok(server.is_some_and(|server| server.addresses.iter().any(|address| address == page)))
}

/// The page at a place where a server listens, without a slash at its end; `None` for a socket. It names an IP address where
/// the place does, as another program may listen at `localhost`.
pub(super) fn page(place: &str) -> Option<String> {
    page_at(place, |at| {
        let ip = at.ip();
        Some(match ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V4(_) | IpAddr::V6(_) => ip,
        })
    })
}

/// The same with the address that `reach` gives for that of the place; `None` if it gives none.
pub(super) fn page_at(place: &str, reach: impl FnOnce(SocketAddr) -> Option<IpAddr>) -> Option<String> {
    let (scheme, authority) = match place.split_once("://")? {
        ("ws", authority) => ("http", authority),
        ("wss", authority) => ("https", authority),
        _ => return None,
    };
    let Ok(address) = authority.parse::<SocketAddr>() else { return Some(format!("{scheme}://{authority}")) };
    Some(format!("{scheme}://{}", SocketAddr::new(reach(address)?, address.port())))
}

/// Asks for a ticket with this access.
async fn ticket(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    scope: Access,
    is_public: bool,
) -> anyhow::Result<Zeroizing<String>> {
    let mut body = json!({ "scope": scope });
    if is_public {
        body["public"] = true.into();
    }
    let body = exchange(stream, "/auth/ticket", Some(&body)).await?;
    plain_ticket(&body)
}

/// The body of the answer to a `POST` of this JSON, or else to a `GET`.
///
/// # Errors
/// The server refuses, or its answer breaks off.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = if body.is_some() { Request::post(path) } else { Request::get(path) };
    let body = Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default()));
    let request = request.header(HOST, "localhost").header(CONTENT_TYPE, "application/json").body(body)?;
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

fn read(status: StatusCode, body: &[u8]) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    if !status.is_success() {
        if let Ok(RefusalBody { reason, message }) = serde_json::from_slice(body) {
            bail!("the server refuses ({reason}): {message}");
        }
        bail!("the server answers {status}; it may be of another version");
    }
    Ok(Zeroizing::new(body.to_vec()))
}

/// The ticket in an answer.
///
/// # Errors
/// There is none, or it is malformed.
pub(super) fn plain_ticket(body: &[u8]) -> anyhow::Result<Zeroizing<String>> {
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
        for (place, expected) in [
            ("ws://127.0.0.1:4500", Some("http://127.0.0.1:4500")),
            ("ws://[::1]:4500", Some("http://[::1]:4500")),
            ("wss://127.0.0.2:443", Some("https://127.0.0.2:443")),
            ("ws://0.0.0.0:4500", Some("http://127.0.0.1:4500")),
            ("ws://[::]:4500", Some("http://[::1]:4500")),
            ("wss://box.example.org:443", Some("https://box.example.org:443")),
            ("unix:///run/s", None),
        ] {
            assert_eq!(page(place).as_deref(), expected, "{place}");
        }
    }

    #[test]
    fn the_public_address_is_for_links_and_a_port_for_the_browser_here() {
        let home = tempfile::tempdir().unwrap();
        let owned = Home::open(home.path()).unwrap();
        let places = ["ws://127.0.0.1:4500", "unix:///s", "https://box.example.org"];
        owned.publish(places.map(str::to_owned).to_vec()).unwrap();
        let page = |whose| page_of(home.path(), whose).unwrap();
        assert_eq!(page(PageAddress::OfThisMachine), "http://127.0.0.1:4500");
        assert_eq!(page(PageAddress::OfAnyMachine), "https://box.example.org");
    }

    #[test]
    fn a_server_without_a_port_is_named_with_the_remedy() {
        let home = tempfile::tempdir().unwrap();
        let error = page_of(home.path(), PageAddress::OfThisMachine).unwrap_err().to_string();
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
        tokio::join!(ticket(client, scope, false), serve)
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
