//! A fault in a call over HTTP ends that call, with its reason, and nothing else.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::home::PATIENCE;
use skein_integration_tests::http_helper::Manner;
use skein_integration_tests::requests::tool_params;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::methods::McpServerToolCall;
use skein_protocol::notifications::ItemStarted;
use skein_protocol::turn::TurnStatus;

use super::Web;

#[tokio::test]
async fn an_invalid_answer_ends_its_call_only() -> Result<()> {
    for manner in [Manner::Handshake, Manner::Stateless] {
        let mut web = Web::start(manner).await?;
        let hangs = tool_params(web.thread, "web", "stall", json!({}));
        let waits = web.client.start_call::<McpServerToolCall>(&hangs).await?;
        for (tool, words) in [
            ("break", "ended without one"),
            ("garbage", "no MCP server"),
            ("garbage_event", "this is not JSON"),
            ("endless", "longer than 16777216 bytes"),
            ("endless_event", "longer than 16777216 bytes"),
            // The reason belongs to this call, not to the one before.
            ("break", "ended without one"),
        ] {
            let call = tool_params(web.thread, "web", tool, json!({}));
            let error = web.client.refusal::<McpServerToolCall>(call).await?;
            assert_eq!(error.reason(), "helperLost", "{tool}: {error:?}");
            assert!(error.message.contains(words), "{tool}: {error:?}");
            web.echoes("web").await?;
            web.echoes("helper").await?;
        }
        drop(waits);
        web.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_interrupt_of_a_stalled_call_closes_its_connection() -> Result<()> {
    for (manner, tool) in [
        (Manner::Handshake, "stall"),
        (Manner::Handshake, "mute"),
        (Manner::Stateless, "stall"),
        (Manner::Stateless, "mute"),
    ] {
        let mut web = Web::start(manner.clone()).await?;
        let turn = web.client.start_turn(web.thread, &format!("/tool web {tool}")).await?;
        web.client
            .next::<ItemStarted>(|item| {
                item.turn_id == turn && matches!(item.item.body, ThreadItemBody::McpToolCall(_))
            })
            .await?;
        web.helper.until_seen(PATIENCE, |seen| seen.method() == "tools/call").await?;
        web.client.interrupt(web.thread, &turn).await?;
        assert_eq!(web.client.turn_end(&turn).await?.status, TurnStatus::Interrupted);
        if manner == Manner::Handshake {
            web.helper.until_seen(PATIENCE, |seen| seen.method() == "notifications/cancelled").await?;
        }
        web.helper.until_quiet(PATIENCE).await?;
        web.echoes("web").await?;
        web.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_delays_neither_the_call_nor_the_unload() -> Result<()> {
    let mut web = Web::start(Manner::Handshake).await?;
    let call = tool_params(web.thread, "web", "stall", json!({}));
    let waits = web.client.start_call::<McpServerToolCall>(&call).await?;
    web.helper.until_seen(PATIENCE, |seen| seen.method() == "tools/call").await?;
    let Web { helper, home, mut client, thread } = web;
    helper.end().await;
    let error = client.answer_to(waits.id()).await?.unwrap_err();
    assert_eq!(error.reason(), "helperLost", "{error:?}");
    let again = tool_params(thread, "web", "echo", json!({ "text": "?" }));
    let error = client.refusal::<McpServerToolCall>(again).await?;
    assert!(error.message.contains("cannot connect to http://127.0.0.1:"), "{error:?}");
    client.unload(thread, false).await?;
    home.finish().await
}
