//! Credentials and origins that end while their connection is in the middle of a turn.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::credentials::{PAGE, bearer, page};
use skein_integration_tests::home::Home;
use skein_integration_tests::http::Request;
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::methods::ConfigValueWrite;
use skein_protocol::notifications::ItemAgentMessageDelta;
use skein_protocol::table::Method;
use skein_protocol::turn::TurnStatus;

/// The promised time from the end of a credential to the end of its connections.
const PROMISE: Duration = Duration::from_secs(1);

/// A turn that streams for some seconds, and its answer's length.
const STREAM: (&str, usize) = ("/stream 300 20 100", 6_000);

/// A client in the middle of a turn, and another one that sees the turn too.
struct Streaming {
    client: Client,
    witness: Client,
    thread: ThreadId,
    turn: TurnId,
}

impl Streaming {
    async fn start(home: &Home, mut client: Client) -> Result<Self> {
        let mut witness = home.client().await?;
        let thread = client.start_thread_with("words").await?;
        witness.resume(thread).await?;
        let turn = client.start_turn(thread, STREAM.0).await?;
        client.next::<ItemAgentMessageDelta>(|delta| delta.turn_id == turn).await?;
        Ok(Self { client, witness, thread, turn })
    }

    /// The connection ends within the promised time, and the turn goes on to its end without it.
    async fn ends_cut_off(mut self, text: &str) -> Result<()> {
        let end = tokio::time::timeout(PROMISE, self.client.until_end()).await;
        assert_eq!(end.context("the connection is not closed in time")??, End::Close(Some(1008)));
        assert_eq!(self.client.close_text(), Some(text));
        let ends = self.witness.received::<skein_protocol::notifications::TurnCompleted>()?;
        ensure!(ends.iter().all(|end| end.turn.id != self.turn), "the turn was still running");
        assert_eq!(self.witness.turn_end(&self.turn).await?.status, TurnStatus::Completed);
        let reply = self.witness.reply_text(&self.turn)?.context("a reply")?;
        assert_eq!(reply.len(), STREAM.1, "the whole answer");
        let read = self.witness.read_thread(self.thread).await?;
        let stored = serde_json::to_string(&read.turns.last())?;
        ensure!(stored.contains(&serde_json::to_string(&reply)?), "the history has the whole answer");
        Ok(())
    }
}

/// The reason by which the server refuses this credential from now on.
async fn reason(home: &Home, origin: Option<&str>, secret: &str) -> Result<(u16, String)> {
    let mut request = Request::new("GET", "/auth/session").bearer(secret);
    if let Some(origin) = origin {
        request = request.header("Origin", origin);
    }
    Ok(request.send(home.address()).await?.refusal())
}

fn refusal(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

async fn with_page() -> Result<Home> {
    Home::setup().set("browser.origins", vec![PAGE]).start().await
}

#[tokio::test]
async fn a_revoked_token_cuts_its_connections_off_in_the_middle_of_a_turn() -> Result<()> {
    let home = with_page().await?;
    let token = home.token("laptop", "chat").await?;
    let mut idle = bearer(home.address(), &token).await?;
    let streaming = Streaming::start(&home, bearer(home.address(), &token).await?).await?;
    home.skein(&["token", "revoke", "laptop"]).await?;
    streaming.ends_cut_off("revoked").await?;
    assert_eq!(idle.until_end().await?, End::Close(Some(1008)));
    assert_eq!(reason(&home, None, &token).await?, refusal(401, "revoked"));
    home.finish().await
}

#[tokio::test]
async fn a_revoked_token_takes_its_tickets_and_their_sessions_with_it() -> Result<()> {
    let home = with_page().await?;
    let token = home.token("laptop", "chat").await?;
    let made = Request::new("POST", "/auth/ticket").bearer(&token).json(&serde_json::json!({}));
    let ticket = || async {
        let answer = made.send(home.address()).await?.json()?;
        answer["ticket"].as_str().map(str::to_owned).context("no ticket")
    };
    let open = ticket().await?;
    let redeemed = home.redeem(PAGE, &ticket().await?).await?.json()?;
    let session = redeemed["session"].as_str().context("no session")?;
    let streaming = Streaming::start(&home, page(home.address(), PAGE, session).await?).await?;
    home.skein(&["token", "revoke", "laptop"]).await?;
    streaming.ends_cut_off("revoked").await?;
    assert_eq!(reason(&home, Some(PAGE), session).await?, refusal(401, "revoked"));
    assert_eq!(home.redeem(PAGE, &open).await?.refusal(), refusal(401, "unknown"));
    home.finish().await
}

#[tokio::test]
async fn a_revoked_session_cuts_its_page_off_in_the_middle_of_a_turn() -> Result<()> {
    let home = with_page().await?;
    let session = home.session(PAGE, "chat").await?;
    let other = home.session(PAGE, "chat").await?;
    let mut bystander = page(home.address(), PAGE, &other).await?;
    let streaming = Streaming::start(&home, page(home.address(), PAGE, &session).await?).await?;
    let listed: Value = serde_json::from_str(&home.skein(&["sessions", "list", "--json"]).await?)?;
    let id = listed["data"][0]["id"].as_str().context("no session is listed")?;
    home.skein(&["sessions", "revoke", id]).await?;
    streaming.ends_cut_off("revoked").await?;
    assert_eq!(reason(&home, Some(PAGE), &session).await?, refusal(401, "revoked"));
    bystander.status().await?;
    home.finish().await
}

#[tokio::test]
async fn a_page_that_ends_its_session_loses_its_connection_in_all_its_tabs() -> Result<()> {
    let home = with_page().await?;
    let session = home.session(PAGE, "chat").await?;
    let mut tab = page(home.address(), PAGE, &session).await?;
    let streaming = Streaming::start(&home, page(home.address(), PAGE, &session).await?).await?;
    let end = Request::new("DELETE", "/auth/session").bearer(&session).header("Origin", PAGE);
    assert_eq!(end.send(home.address()).await?.status, 204);
    streaming.ends_cut_off("revoked").await?;
    assert_eq!(tab.until_end().await?, End::Close(Some(1008)));
    assert_eq!(end.send(home.address()).await?.refusal(), refusal(401, "revoked"));
    home.finish().await
}

#[tokio::test]
async fn a_token_is_not_ended_as_a_session() -> Result<()> {
    let home = with_page().await?;
    let token = home.token("laptop", "chat").await?;
    let mut client = bearer(home.address(), &token).await?;
    let end = Request::new("DELETE", "/auth/session").bearer(&token);
    assert_eq!(end.send(home.address()).await?.refusal(), refusal(403, "forbidden"));
    client.status().await?;
    home.finish().await
}

#[tokio::test]
async fn a_token_that_expires_cuts_its_connections_off_in_the_middle_of_a_turn() -> Result<()> {
    let home = with_page().await?;
    // Its life begins before the wait below, which is bounded by that life and the promise.
    let life = Duration::from_secs(6);
    let token = home.skein(&["token", "create", "short", "--expires", "6s"]).await?;
    let expired = tokio::time::timeout(life + PROMISE, async {
        let mut client = bearer(home.address(), &token).await?;
        let thread = client.start_thread_with("words").await?;
        let turn = client.start_turn(thread, "/stream 900 20 100").await?;
        client.next::<ItemAgentMessageDelta>(|delta| delta.turn_id == turn).await?;
        let mut witness = home.client().await?;
        witness.resume(thread).await?;
        assert_eq!(client.until_end().await?, End::Close(Some(1008)));
        assert_eq!(client.close_text(), Some("expired"));
        anyhow::Ok((witness, turn))
    });
    let (mut witness, turn) = expired.await.context("the connection is not closed in time")??;
    assert_eq!(witness.turn_end(&turn).await?.status, TurnStatus::Completed);
    assert_eq!(witness.reply_text(&turn)?.context("a reply")?.len(), 18_000);
    assert_eq!(reason(&home, None, &token).await?, refusal(401, "expired"));
    home.finish().await
}

#[tokio::test]
async fn a_removed_origin_cuts_its_pages_off_in_the_middle_of_a_turn() -> Result<()> {
    let home = with_page().await?;
    let other = "http://localhost:3000";
    home.skein(&["origins", "add", other]).await?;
    let session = home.session(PAGE, "chat").await?;
    let kept = home.session(other, "chat").await?;
    let bound = home.skein(&["token", "create", "ci", "--origin", PAGE]).await?;
    let mut bystander = page(home.address(), other, &kept).await?;
    let mut second = page(home.address(), PAGE, &bound).await?;
    let streaming = Streaming::start(&home, page(home.address(), PAGE, &session).await?).await?;
    home.skein(&["origins", "remove", PAGE]).await?;
    streaming.ends_cut_off("this origin is no longer allowed").await?;
    assert_eq!(second.until_end().await?, End::Close(Some(1008)));
    assert_eq!(reason(&home, Some(PAGE), &session).await?, refusal(403, "origin"));
    bystander.status().await?;
    // The session lives on: an origin that comes back has its pages back.
    home.skein(&["origins", "add", PAGE]).await?;
    page(home.address(), PAGE, &session).await?.status().await?;
    home.finish().await
}

#[tokio::test]
async fn a_revoked_token_cuts_a_client_off_that_does_not_read() -> Result<()> {
    let home = with_page().await?;
    let token = home.token("laptop", "admin").await?;
    let mut client = bearer(home.address(), &token).await?;
    let mut witness = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    witness.resume(thread).await?;
    // The client reads nothing of this answer, which is too slow to make it a slow client.
    let turn = witness.start_turn(thread, "/stream 400 100 100").await?;
    home.skein(&["token", "revoke", "laptop"]).await?;
    home.until_line(&["a connection has ended", "laptop", "reason=Revoked", "1008"]).await?;
    assert_eq!(witness.turn_end(&turn).await?.status, TurnStatus::Completed);
    home.finish().await
}

#[tokio::test]
async fn a_reload_that_wants_tokens_cuts_programs_off_that_have_none() -> Result<()> {
    let home = with_page().await?;
    let token = home.token("laptop", "admin").await?;
    let mut bearer = bearer(home.address(), &token).await?;
    let mut program = home.client().await?;
    let mut cut = home.client().await?;
    let thread = cut.start_thread_with("words").await?;
    let turn = cut.start_turn(thread, STREAM.0).await?;
    cut.next::<ItemAgentMessageDelta>(|delta| delta.turn_id == turn).await?;
    let write = json!({ "keyPath": "auth.local", "value": "token", "mergeStrategy": "replace" });
    bearer.call_raw(ConfigValueWrite::INFO.wire, &write).await?.map_err(|error| anyhow!("{error:?}"))?;
    let ended = tokio::time::timeout(PROMISE, cut.until_end()).await;
    assert_eq!(ended.context("the connection is not closed in time")??, End::Close(Some(1008)));
    assert_eq!(cut.close_text(), Some("a token is needed now"));
    assert_eq!(program.until_end().await?, End::Close(Some(1008)));
    // A client with a token stays, and so does the turn.
    bearer.until_status("the end of the turn", |status| status.turns.completed_total == 1).await?;
    // The programs of the unix socket come in as before.
    home.skein(&["token", "list"]).await?;
    home.finish().await
}

#[tokio::test]
async fn a_reload_that_asks_for_the_user_cuts_off_programs_that_it_did_not_ask() -> Result<()> {
    let home = Home::setup().set("auth.local", "any").start().await?;
    let mut unasked = home.client().await?;
    let thread = unasked.start_thread_with("words").await?;
    local_programs(&home, "same-user").await?;
    let ended = tokio::time::timeout(PROMISE, unasked.until_end()).await;
    assert_eq!(ended.context("the connection is not closed in time")??, End::Close(Some(1008)));
    assert_eq!(unasked.close_text(), Some("auth.local has changed: connect again"));
    // The server's user comes in again, and stays.
    let mut asked = home.client().await?;
    asked.resume(thread).await?;
    for rule in ["any", "same-user"] {
        local_programs(&home, rule).await?;
        assert_eq!(asked.say(thread, rule).await?, rule);
    }
    home.finish().await
}

/// Changes `auth.local` through the unix socket.
async fn local_programs(home: &Home, rule: &str) -> Result<()> {
    let write = json!({ "keyPath": "auth.local", "value": rule, "mergeStrategy": "replace" }).to_string();
    home.skein(&["call", ConfigValueWrite::INFO.wire, &write]).await?;
    Ok(())
}
