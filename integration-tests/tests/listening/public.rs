//! Clients that come by a proxy or a tunnel, whose address is the setting `public_url`.

use anyhow::{Result, ensure};
use serde_json::json;
use skein_integration_tests::credentials::redeeming;
use skein_integration_tests::home::{Home, Setup};
use skein_integration_tests::http::{Answer, Request, exchange};
use skein_integration_tests::{Client, paths};

const URL: &str = "https://box.example.org";
const HOST: &str = "box.example.org";
const STRICT: &str = "strict-transport-security";

fn setup() -> Setup {
    Home::setup().set("public_url", URL)
}

/// The answer to a request with this `Host`.
async fn at(home: &Home, host: &str, line: &str, headers: &str, body: &str) -> Result<Answer> {
    let length = body.len();
    let text = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    Answer::read(&exchange(home.address(), text.as_bytes()).await?)
}

#[tokio::test]
async fn its_host_is_served_and_wants_a_credential_from_everybody() -> Result<()> {
    let home = setup().set("auth.local", "any").start().await?;
    ensure!(at(&home, HOST, "GET /metrics", "", "").await?.refusal() == (401, "missing".to_owned()));
    let token = home.token("t", "read").await?;
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let answer = at(&home, HOST, "GET /metrics", &bearer, "").await?;
    ensure!(answer.status == 200 && answer.headers(STRICT) == ["max-age=31536000"], "{}", answer.head);
    let here = Request::new("GET", "/metrics").send(home.address()).await?;
    ensure!(here.status == 200 && here.headers(STRICT).is_empty(), "{}", here.head);
    ensure!(at(&home, "other.example.org", "GET /metrics", &bearer, "").await?.refusal().0 == 421);
    home.finish().await
}

#[tokio::test]
async fn its_page_comes_in_with_a_session_and_nobody_else_uses_it() -> Result<()> {
    let home = setup().start().await?;
    let link = home.skein(&["url"]).await?;
    let ticket = link.trim().strip_prefix("https://box.example.org/#ticket=").map(str::to_owned);
    let Some(ticket) = ticket else { anyhow::bail!("{link}") };
    let origin = format!("Origin: {URL}\r\nContent-Type: application/json\r\n");
    let body = json!({ "ticket": ticket }).to_string();
    let answer = at(&home, HOST, "POST /auth/session", &origin, &body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let session = answer.json()?["session"].as_str().unwrap_or_default().to_owned();
    // The page's own requests, also through a proxy that sends a Host of its own.
    let own = [("Host", HOST), ("Origin", URL), ("Authorization", &format!("Bearer {session}"))];
    let mut page = Client::connect_with(home.address(), &own[1..]).await?;
    page.initialize().await?;
    // The page of a port cannot use it, nor a program without the origin.
    let elsewhere = home.address().replace("ws://", "http://");
    for headers in [vec![("Origin", elsewhere.as_str()), own[2]], vec![own[2]]] {
        ensure!(Client::connect_with(home.address(), &headers).await.is_err(), "{headers:?}");
    }
    // A ticket is good once.
    ensure!(redeeming(URL, &ticket).send(home.address()).await?.refusal() == (401, "used".to_owned()));
    home.finish().await
}

#[tokio::test]
async fn the_browser_here_gets_the_port_and_a_changed_address_waits_for_the_next_start() -> Result<()> {
    let home = setup().start().await?;
    let here = home.skein(&["open", "--print"]).await?;
    ensure!(here.starts_with(&home.address().replace("ws://", "http://")), "{here}");
    let changed = paths::run_skein(&home.path(), ["config", "show"]).await?;
    let shown = String::from_utf8(changed.stdout)?;
    ensure!(shown.contains(URL), "{shown}");
    home.finish().await
}
