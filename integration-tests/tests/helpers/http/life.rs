//! Helpers over HTTP that come, go, and fall silent: Skein waits for them without a request.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::http_helper::{HttpHelper, Manner};
use skein_integration_tests::requests::tool_params;
use skein_protocol::config::ConfigMcpServerReloadParams;
use skein_protocol::extension::{HelperState, SkeinHelpersListParams};
use skein_protocol::helper::{McpServerConnectionStatus, McpServerStartupState};
use skein_protocol::methods::{ConfigMcpServerReload, McpServerToolCall, SkeinHelpersList};
use skein_protocol::notifications::McpServerStartupStatusUpdated;
use skein_protocol::server_requests::McpServerElicitationRequest;
use skein_protocol::table::Method;

use super::super::{statuses, text};
use super::started;

/// A start fails because no server listens.
async fn fails(client: &mut Client) -> Result<()> {
    let why = started(client, "web").await?.context("a failed start")?;
    assert!(why.contains("cannot connect"), "{why}");
    assert!(!why.contains("is not started again"), "{why}");
    Ok(())
}

#[tokio::test]
async fn a_missing_server_is_retried_until_it_is_there() -> Result<()> {
    let place = HttpHelper::place()?;
    let (home, mut client) =
        Home::setup().helper(Helper::at("web", &place.url()?)).start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    // The client is notified of the first failure. The log has more tries than a failing local program gets.
    fails(&mut client).await?;
    home.until_logged("cannot connect", 6, PATIENCE).await?;
    let status = &statuses(&mut client, thread).await?[0];
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Failed));
    assert_ne!(status.skein.as_ref().map(|skein| skein.state), Some(HelperState::Broken));
    let echo = tool_params(thread, "web", "echo", json!({ "text": "there" }));
    // A call does not wait for the next try; it fails with the reason.
    let error = client.refusal::<McpServerToolCall>(echo.clone()).await?;
    assert_eq!(error.reason(), "helperNotRunning", "{error:?}");
    let helper = place.start(Manner::Handshake)?;
    client
        .next::<McpServerStartupStatusUpdated>(|update| update.status == McpServerStartupState::Ready)
        .await?;
    let answer = client.call::<McpServerToolCall>(echo).await?;
    assert_eq!(text(&answer), "there");
    drop(client);
    helper.until_alone(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_server_is_used_again_after_it_came_back() -> Result<()> {
    for manner in [Manner::Handshake, Manner::Stateless] {
        let helper = HttpHelper::start(manner.clone(), None).await?;
        let (home, mut client) =
            Home::setup().helper(Helper::at("web", &helper.url())).start_with_client().await?;
        let thread = client.start_thread_with("words").await?;
        assert_eq!(started(&mut client, "web").await?, None);
        let stall = tool_params(thread, "web", "stall", json!({}));
        let waits = client.start_call::<McpServerToolCall>(&stall).await?;
        helper.until_seen(PATIENCE, |seen| seen.method() == "tools/call").await?;
        let address = helper.address();
        helper.end().await;
        let error = client.answer(waits).await?.expect_err("the server is gone");
        assert_eq!(error.reason(), "helperLost", "{error:?}");
        let helper = HttpHelper::start_at(address, manner).await?;
        let answer = client.tool(thread, "web", "echo", json!({ "text": "back" })).await?;
        assert_eq!(text(&answer), "back");
        let status = &statuses(&mut client, thread).await?[0];
        assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Connected));
        drop(client);
        helper.until_alone(PATIENCE).await?;
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_call_without_a_byte_is_unresponsive_and_one_with_comments_is_not() -> Result<()> {
    let helper = HttpHelper::start(Manner::Stateless, None).await?;
    let (home, mut client) = Home::setup()
        .helper(Helper::at("web", &helper.url()))
        .set("helpers.liveness", "500ms")
        .start_with_client()
        .await?;
    let thread = client.start_thread_with("words").await?;
    assert_eq!(started(&mut client, "web").await?, None);
    let answer = client.tool(thread, "web", "slowly", json!({})).await?;
    assert_eq!(text(&answer), "slow");
    let update = client.received::<McpServerStartupStatusUpdated>()?;
    assert!(update.iter().all(|update| update.skein.is_none()), "{update:?}");
    for tool in ["stall", "mute"] {
        let mut caller = home.client().await?;
        let call = tool_params(thread, "web", tool, json!({}));
        let waits = caller.start_call::<McpServerToolCall>(&call).await?;
        liveness(&mut client, HelperState::Unresponsive).await?;
        // The report is the only effect: the call ends with its caller.
        drop((waits, caller));
        liveness(&mut client, HelperState::Ready).await?;
        let answer = client.tool(thread, "web", "echo", json!({ "text": "fine" })).await?;
        assert_eq!(text(&answer), "fine");
    }
    drop(client);
    helper.until_alone(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_shared_helper_that_falls_silent_is_quarantined_for_its_call() -> Result<()> {
    let helper = HttpHelper::start(Manner::Stateless, None).await?;
    let web = Helper::at("web", &helper.url()).set("isolation", "shared");
    let home = Home::setup().helper(web).set("helpers.liveness", "500ms").start().await?;
    let [mut one, mut two] = home.clients().await?;
    let first = one.start_thread_with("one").await?;
    let second = two.start_thread_with("two").await?;
    let turn = one.start_turn(first, "/tool web stall").await?;
    two.next::<McpServerStartupStatusUpdated>(|update| update.skein.is_some()).await?;
    let answer = two.tool(second, "web", "echo", json!({ "text": "beside" })).await?;
    assert_eq!(text(&answer), "beside");
    let listed = one.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?.data;
    assert_eq!(listed.iter().map(|one| one.quarantined).filter(|apart| *apart).count(), 1, "{listed:?}");
    one.interrupt_and_wait(first, &turn).await?;
    one.until_status("no helper is quarantined", |status| status.helpers.quarantined == 0).await?;
    drop((one, two));
    helper.until_alone(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_silent_call_ends_only_with_the_configured_policy() -> Result<()> {
    let helper = HttpHelper::start(Manner::Stateless, None).await?;
    let web = Helper::at("web", &helper.url()).set("on_unresponsive", "fail");
    let (home, mut client) =
        Home::setup().helper(web).set("helpers.liveness", "500ms").start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let error = client.refusal::<McpServerToolCall>(tool_params(thread, "web", "mute", json!({}))).await?;
    assert_eq!(error.reason(), "helperUnresponsive", "{error:?}");
    let answer = client.tool(thread, "web", "echo", json!({ "text": "fine" })).await?;
    assert_eq!(text(&answer), "fine");
    drop(client);
    helper.until_alone(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn refused_credentials_are_retried_only_on_request() -> Result<()> {
    let helper = HttpHelper::start(Manner::Handshake, Some("s3cret-s3cret")).await?;
    let web = Helper::at("web", &helper.url()).set("bearer_token_env_var", "WEB_TOKEN");
    let (home, mut client) =
        Home::setup().helper(web).env("WEB_TOKEN", "wr0ng-wr0ng").start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let asked = || helper.seen().iter().filter(|seen| seen.method() == "initialize").count();
    for times in 1..=2 {
        let why = started(&mut client, "web").await?.context("it started")?;
        assert!(why.contains(ConfigMcpServerReload::INFO.wire), "{why}");
        let status = &statuses(&mut client, thread).await?[0];
        assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::AuthenticationRequired));
        assert_eq!(status.skein.as_ref().map(|skein| skein.state), Some(HelperState::Broken));
        // A call does not trigger a retry, either.
        let echo = tool_params(thread, "web", "echo", json!({ "text": "?" }));
        assert_eq!(client.refusal::<McpServerToolCall>(echo).await?.reason(), "helperNotRunning");
        assert_eq!(asked(), times);
        if times == 2 {
            helper.open_to_all();
        }
        client.call::<ConfigMcpServerReload>(ConfigMcpServerReloadParams).await?;
    }
    assert_eq!(started(&mut client, "web").await?, None);
    let answer = client.tool(thread, "web", "echo", json!({ "text": "in" })).await?;
    assert_eq!(text(&answer), "in");
    drop(client);
    helper.until_alone(PATIENCE).await?;
    home.finish().await
}

/// Waits for the notification that a helper is unresponsive, or responds again.
async fn liveness(client: &mut Client, state: HelperState) -> Result<()> {
    let update = client.next::<McpServerStartupStatusUpdated>(|update| update.skein.is_some()).await?;
    assert_eq!(update.skein.map(|skein| skein.state), Some(state));
    Ok(())
}

#[tokio::test]
async fn an_unanswered_ping_closes_its_connection_with_the_calls() -> Result<()> {
    let helper = HttpHelper::start(Manner::Handshake, None).await?;
    let (home, mut client) = Home::setup()
        .helper(Helper::at("web", &helper.url()))
        .set("helpers.liveness", "500ms")
        .start_with_client()
        .await?;
    let thread = client.start_thread_with("words").await?;
    client.tool(thread, "web", "ignore_pings", json!({})).await?;
    for _ in 0..2 {
        // On a slow machine the call above may have had pings of its own.
        let pings = || helper.seen().iter().filter(|seen| seen.method() == "ping").count();
        let before = pings();
        let turn = client.start_turn(thread, "/tool web stall").await?;
        liveness(&mut client, HelperState::Unresponsive).await?;
        assert_eq!(pings(), before + 1);
        client.interrupt_and_wait(thread, &turn).await?;
        liveness(&mut client, HelperState::Ready).await?;
        helper.until_quiet(PATIENCE).await?;
    }
    drop(client);
    helper.until_alone(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_helper_that_waits_for_its_user_is_not_unresponsive() -> Result<()> {
    let helper = HttpHelper::start(Manner::Handshake, None).await?;
    let other = HttpHelper::start(Manner::Handshake, None).await?;
    let (home, mut client) = Home::setup()
        .helper(Helper::at("web", &helper.url()).set("on_unresponsive", "fail"))
        .helper(Helper::at("other", &other.url()))
        .set("helpers.liveness", "500ms")
        .start_with_client()
        .await?;
    let thread = client.start_thread_with("words").await?;
    for name in ["web", "other"] {
        client.tool(thread, name, "ignore_pings", json!({})).await?;
    }
    let asks = client.start_call::<McpServerToolCall>(&tool_params(thread, "web", "ask", json!({}))).await?;
    let (id, _) = client.next_request::<McpServerElicitationRequest>().await?;
    // A later call without a user's question counts as silent, after the same time.
    let hangs =
        client.start_call::<McpServerToolCall>(&tool_params(thread, "other", "stall", json!({}))).await?;
    let silent = client.next::<McpServerStartupStatusUpdated>(|update| update.skein.is_some()).await?;
    assert_eq!(silent.name, "other");
    let answer = json!({ "action": "accept", "content": { "name": "Ada" }, "_meta": null });
    client.answer_request::<McpServerElicitationRequest>(&id, &serde_json::from_value(answer)?).await?;
    let update = client.answer(asks).await?.map_err(anyhow::Error::msg)?;
    assert!(text(&update).contains("Ada"), "{}", text(&update));
    drop((hangs, client));
    home.finish().await
}
