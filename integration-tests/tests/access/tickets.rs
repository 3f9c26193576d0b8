//! Tickets and sessions of pages: how often, where, how long and for how much they are good.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::credentials::{PAGE, page, redeeming};
use skein_integration_tests::home::{Home, Setup};
use skein_integration_tests::http::{Answer, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const OTHER: &str = "http://localhost:3000";

fn pages() -> Setup {
    Home::setup().set("browser.origins", vec![PAGE, OTHER])
}

async fn with_pages() -> Result<Home> {
    pages().start().await
}

fn refusal(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

/// `POST /auth/ticket` with this body, and this bearer if there is one.
async fn ask(home: &Home, secret: Option<&str>, body: Value) -> Result<Answer> {
    let request = Request::new("POST", "/auth/ticket").json(&body);
    let request = secret.into_iter().fold(request, |request, secret| request.bearer(secret));
    request.send(home.address()).await
}

/// The ticket or session in an answer.
fn secret(answer: &Answer, member: &str) -> Result<String> {
    answer.json()?[member].as_str().map(str::to_owned).with_context(|| format!("no {member}: {answer:?}"))
}

#[tokio::test]
async fn a_malformed_id_of_a_pairing_is_refused_as_every_request_is() -> Result<()> {
    let home = with_pages().await?;
    let body = json!({ "accept": true }).to_string();
    let head =
        format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close", body.len());
    for id in ["x", "0", "..%2f", "%ff", "0199-0199"] {
        for (method, body) in [("GET", ""), ("POST", body.as_str())] {
            let head = if body.is_empty() { "Connection: close" } else { &head };
            // Only the user's own programs may ask about pairings.
            let mut socket = UnixStream::connect(home.path().join("control.sock")).await?;
            let request =
                format!("{method} /auth/pair/{id} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n{body}");
            socket.write_all(request.as_bytes()).await?;
            let mut text = String::new();
            socket.read_to_string(&mut text).await?;
            let answer = Answer::read(&text)?;
            ensure!(answer.refusal() == refusal(404, "notFound"), "{method} {id}: {answer:?}");
        }
    }
    home.finish().await
}

#[tokio::test]
async fn a_ticket_is_good_once() -> Result<()> {
    let home = with_pages().await?;
    let ticket = home.ticket("chat").await?;
    let session = home.redeem(PAGE, &ticket).await?;
    let body = session.json()?;
    assert_eq!((session.status, &body["scope"], &body["origin"]), (200, &json!("chat"), &json!(PAGE)));
    assert_eq!(secret(&session, "session")?.len(), 43);
    for origin in [PAGE, OTHER] {
        assert_eq!(home.redeem(origin, &ticket).await?.refusal(), refusal(401, "used"));
    }
    page(home.address(), PAGE, &secret(&session, "session")?).await?.status().await?;
    home.finish().await
}

#[tokio::test]
async fn of_several_at_once_exactly_one_redeems_a_ticket() -> Result<()> {
    let home = with_pages().await?;
    for _ in 0..5 {
        let request = redeeming(PAGE, &home.ticket("chat").await?);
        let send = || request.send(home.address());
        let (one, two, three) = tokio::try_join!(send(), send(), send())?;
        let mut answers = [one.refusal(), two.refusal(), three.refusal()];
        answers.sort();
        assert_eq!(answers, [refusal(200, ""), refusal(401, "used"), refusal(401, "used")]);
    }
    let listed: Value = serde_json::from_str(&home.skein(&["sessions", "list", "--json"]).await?)?;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(5), "one session for each ticket");
    home.finish().await
}

#[tokio::test]
async fn a_ticket_at_another_route_is_refused_and_not_used_up() -> Result<()> {
    let home = with_pages().await?;
    let ticket = home.ticket("chat").await?;
    let protocol = format!("skein.v1, skein.auth.{ticket}");
    let get = |path: &str| Request::new("GET", path);
    let upgrade = || {
        let request = get("/").header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13");
        request.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").header("Origin", PAGE)
    };
    for request in [
        get("/metrics").bearer(&ticket),
        get("/auth/session").header("Origin", PAGE).bearer(&ticket),
        Request::new("DELETE", "/auth/session").header("Origin", PAGE).bearer(&ticket),
        Request::new("POST", "/auth/ticket").json(&json!({})).bearer(&ticket),
        upgrade().bearer(&ticket),
        upgrade().header("Sec-WebSocket-Protocol", &protocol),
    ] {
        assert_eq!(request.send(home.address()).await?.refusal(), refusal(401, "ticket"), "{request:?}");
    }
    // Nor does a page that is not allowed use it up, or an address.
    assert_eq!(home.redeem("http://localhost:1", &ticket).await?.refusal(), refusal(403, "origin"));
    let address = Request::new("POST", &format!("/auth/session?ticket={ticket}")).header("Origin", PAGE);
    let address = address.json(&json!({ "ticket": ticket }));
    assert_eq!(address.send(home.address()).await?.refusal(), refusal(400, "address"));
    assert_eq!(home.redeem(PAGE, &ticket).await?.status, 200);
    home.finish().await
}

#[tokio::test]
async fn the_sixty_fifth_open_ticket_has_to_wait_for_another_ones_end() -> Result<()> {
    let home = with_pages().await?;
    let mut tickets = Vec::new();
    for _ in 0..64 {
        tickets.push(secret(&ask(&home, None, json!({})).await?, "ticket")?);
    }
    assert_eq!(ask(&home, None, json!({})).await?.refusal(), refusal(503, "busy"));
    assert_eq!(home.redeem(PAGE, &tickets[0]).await?.status, 200, "the oldest one was not given up");
    assert_eq!(ask(&home, None, json!({})).await?.status, 200);
    assert_eq!(ask(&home, None, json!({})).await?.refusal(), refusal(503, "busy"));
    home.finish().await
}

#[tokio::test]
async fn a_session_survives_restarts_and_kills_and_ends_a_week_after_its_last_use() -> Result<()> {
    // The test changes the file of the sessions.
    let mut home = pages().in_files().start().await?;
    let (ticket, session) = (home.ticket("chat").await?, home.session(PAGE, "chat").await?);
    // The answer with the session comes when the session is on disk.
    home.restart_after_kill().await?;
    page(home.address(), PAGE, &session).await?.status().await?;
    assert_eq!(home.redeem(PAGE, &ticket).await?.refusal(), refusal(401, "unknown"), "tickets are in memory");
    home.restart().await?;
    page(home.address(), PAGE, &session).await?.status().await?;
    let shown = Request::new("GET", "/auth/session").header("Origin", PAGE).bearer(&session);
    for (days, answer) in [(6, refusal(200, "")), (1, refusal(200, "")), (8, refusal(401, "expired"))] {
        home.stop().await?;
        age(&home, days)?;
        home.start_again().await?;
        assert_eq!(shown.send(home.address()).await?.refusal(), answer, "{days} days");
    }
    home.finish().await
}

/// Moves all uses of sessions in the file into the past.
fn age(home: &Home, days: i64) -> Result<()> {
    let file = home.path().join("access.json");
    let mut access: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let credentials = access["credentials"].as_array_mut().context("no credentials")?;
    for at in credentials.iter_mut().flat_map(|one| {
        let one = one.as_object_mut().into_iter().flatten();
        one.filter(|(name, _)| name.ends_with("At")).map(|(_, at)| at)
    }) {
        if let Some(ms) = at.as_i64() {
            *at = json!(ms - days * 24 * 3_600 * 1_000);
        }
    }
    Ok(fs::write(file, access.to_string())?)
}

#[tokio::test]
async fn a_body_of_another_form_makes_no_ticket_and_no_session() -> Result<()> {
    let home = with_pages().await?;
    for body in [
        json!(["read"]),
        json!([]),
        json!({ "scop": "read" }),
        json!({ "scope": "root" }),
        json!("read"),
        json!(null),
    ] {
        assert_eq!(ask(&home, None, body.clone()).await?.refusal(), refusal(400, "body"), "{body}");
    }
    let ticket = secret(&ask(&home, None, json!({})).await?, "ticket")?;
    for body in
        [json!([ticket]), json!({ "ticket": ticket, "scope": "admin" }), json!({ "ticket": [ticket] })]
    {
        let page = Request::new("POST", "/auth/session").header("Origin", PAGE).json(&body);
        assert_eq!(page.send(home.address()).await?.refusal(), refusal(400, "body"), "{body}");
    }
    home.redeem(PAGE, &ticket).await?.json()?;
    home.finish().await
}

#[tokio::test]
async fn no_credential_has_more_scope_than_its_maker() -> Result<()> {
    let home = with_pages().await?;
    for (scope, allowed, more) in [
        ("read", &["read"][..], &["chat", "admin"][..]),
        ("chat", &["read", "chat"], &["admin"]),
        ("admin", &["read", "chat", "admin"], &[]),
    ] {
        let token = home.token(scope, scope).await?;
        for wish in more {
            let answer = ask(&home, Some(&token), json!({ "scope": wish })).await?;
            assert_eq!(answer.refusal(), refusal(403, "forbidden"), "{scope} makes {wish}");
        }
        for wish in allowed {
            let ticket = secret(&ask(&home, Some(&token), json!({ "scope": wish })).await?, "ticket")?;
            assert_eq!(home.redeem(PAGE, &ticket).await?.json()?["scope"], *wish);
        }
        let usual = secret(&ask(&home, Some(&token), json!({})).await?, "ticket")?;
        let usual = home.redeem(PAGE, &usual).await?.json()?["scope"].clone();
        assert_eq!(usual, if scope == "read" { "read" } else { "chat" });
    }
    assert_eq!(ask(&home, None, json!({ "scope": "root" })).await?.refusal(), refusal(400, "body"));
    home.finish().await
}

#[tokio::test]
async fn a_session_does_not_outlive_the_token_that_made_it() -> Result<()> {
    let home = with_pages().await?;
    let token = home.skein(&["token", "create", "short", "--expires", "1h"]).await?;
    let ends = |answer: &Answer| answer.json()?["expiresAt"].as_i64().context("no end");
    let of_token = Request::new("GET", "/auth/session").bearer(&token).send(home.address()).await?;
    let ticket = secret(&ask(&home, Some(&token), json!({})).await?, "ticket")?;
    assert_eq!(ends(&home.redeem(PAGE, &ticket).await?)?, ends(&of_token)?);
    home.finish().await
}

#[tokio::test]
async fn every_expiry_is_in_seconds() -> Result<()> {
    let home = with_pages().await?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    // A slow machine takes its time between the answers.
    let is_in = |answer: &Value, life: i64| -> Result<()> {
        let end = answer["expiresAt"].as_i64().context("no end")?;
        ensure!((now + life..now + life + 600).contains(&end), "{answer}, after {now} for {life} s");
        Ok(())
    };
    let week = 7 * 24 * 3_600;
    let made = ask(&home, None, json!({})).await?;
    is_in(&made.json()?, 30)?;
    let redeemed = home.redeem(PAGE, &secret(&made, "ticket")?).await?;
    is_in(&redeemed.json()?, week)?;
    let session = secret(&redeemed, "session")?;
    let shown = Request::new("GET", "/auth/session").header("Origin", PAGE).bearer(&session);
    is_in(&shown.send(home.address()).await?.json()?, week)?;
    let listed: Value = serde_json::from_str(&home.skein(&["sessions", "list", "--json"]).await?)?;
    is_in(&listed["data"][0], week)?;
    home.finish().await
}

#[tokio::test]
async fn a_browser_makes_no_ticket_and_a_session_belongs_to_one_origin() -> Result<()> {
    let home = with_pages().await?;
    let session = home.session(PAGE, "chat").await?;
    let browser = Request::new("POST", "/auth/ticket").json(&json!({})).bearer(&session);
    let asked = browser.clone().header("Origin", PAGE).send(home.address()).await?;
    assert_eq!(asked.refusal(), refusal(403, "browser"));
    assert_eq!(browser.send(home.address()).await?.refusal(), refusal(401, "origin"), "no page sends it");
    let shown = Request::new("GET", "/auth/session").bearer(&session);
    let elsewhere = shown.clone().header("Origin", OTHER).send(home.address()).await?;
    assert_eq!(elsewhere.refusal(), refusal(401, "origin"));
    let own = shown.header("Origin", PAGE).send(home.address()).await?.json()?;
    assert_eq!((own.get("session"), &own["origin"]), (None, &json!(PAGE)), "without the secret");
    let mut chat: Client = page(home.address(), PAGE, &session).await?;
    assert_eq!(chat.start_thread_with("words").await?.to_string().len(), 36);
    home.finish().await
}
