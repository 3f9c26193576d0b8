//! Helpers over HTTP work like any other helper, without a process. A fault in a call costs only that call.

mod faults;
mod life;
mod starts;

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::http_helper::{HttpHelper, Manner, Seen};
use skein_integration_tests::process::wait_until;
use skein_integration_tests::requests::tool_params;
use skein_protocol::extension::{HelperDetail, SkeinHelpersListParams};
use skein_protocol::helper::{McpServerConnectionStatus, McpServerStartupState};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{McpServerResourceRead, McpServerToolCall, SkeinHelpersList};
use skein_protocol::notifications::{
    ItemMcpToolCallProgress, McpServerStartupStatusUpdated, ServerRequestResolved,
};
use skein_protocol::server_requests::McpServerElicitationRequest;

use super::{statuses, text};

/// A server with a ready helper over HTTP, beside a helper that is a process.
struct Web {
    helper: HttpHelper,
    home: Home,
    client: Client,
    thread: ThreadId,
}

impl Web {
    async fn start(manner: Manner) -> Result<Self> {
        let helper = HttpHelper::start(manner, None).await?;
        let setup = Home::setup().helper(Helper::at("web", &helper.url())).helper(Helper::named("helper")?);
        // Nothing listens at this address, so a helper that used the proxy would fail.
        let setup = ["http_proxy", "HTTP_PROXY", "ALL_PROXY"]
            .into_iter()
            .fold(setup, |setup, name| setup.env(name, "http://127.0.0.1:9"));
        let (home, mut client) = setup.start_with_client().await?;
        let thread = client.start_thread_with("words").await?;
        started(&mut client, "web").await?;
        Ok(Self { helper, home, client, thread })
    }

    async fn echoes(&mut self, helper: &str) -> Result<()> {
        let answer = self.client.tool(self.thread, helper, "echo", json!({ "text": "words" })).await?;
        assert_eq!(text(&answer), "words");
        Ok(())
    }

    async fn finish(self) -> Result<()> {
        drop(self.client);
        self.home.until_drained(PATIENCE).await?;
        self.helper.until_alone(PATIENCE).await?;
        self.home.finish().await
    }
}

/// Waits until the start of a helper is over. Returns the reason of a failure.
async fn started(client: &mut Client, name: &str) -> Result<Option<String>> {
    let update = client
        .next::<McpServerStartupStatusUpdated>(|update| {
            update.name == name && update.status != McpServerStartupState::Starting
        })
        .await?;
    assert_eq!(update.error.is_some(), update.status == McpServerStartupState::Failed, "{update:?}");
    Ok(update.error)
}

async fn detail(client: &mut Client, name: &str) -> Result<HelperDetail> {
    let listed = client.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?.data;
    let found = listed.into_iter().find(|helper| helper.name == name);
    found.ok_or_else(|| anyhow::anyhow!("{name} is not listed"))
}

#[tokio::test]
async fn a_helper_over_http_is_called_like_any_other_and_its_session_is_ended() -> Result<()> {
    let mut web = Web::start(Manner::Handshake).await?;
    web.echoes("web").await?;
    web.client.turn(web.thread, "/tool web progress").await?;
    let outcome = web.client.received::<ItemMcpToolCallProgress>()?;
    assert_eq!(
        outcome.iter().map(|outcome| outcome.message.as_str()).collect::<Vec<_>>(),
        ["step 1", "step 2"]
    );
    let read = json!({ "server": "web", "threadId": web.thread, "uri": "memo://one" });
    web.client.call::<McpServerResourceRead>(serde_json::from_value(read)?).await?;
    let status = statuses(&mut web.client, web.thread).await?;
    let status = status.into_iter().find(|status| status.name == "web").unwrap();
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Connected));
    assert_eq!(status.http_origin.as_deref(), web.helper.url().strip_suffix("/mcp"));
    assert_eq!(status.skein.unwrap().protocol_version.as_deref(), Some("2025-11-25"));
    let detail = detail(&mut web.client, "web").await?;
    assert_eq!((detail.pid, detail.processes.len(), detail.memory_bytes), (None, 0, 0));
    web.client.unload(web.thread, false).await?;
    let bye = web.helper.until_seen(PATIENCE, |seen| seen.verb == "DELETE").await?;
    assert!(bye.headers.contains_key("mcp-session-id"));
    web.finish().await
}

#[tokio::test]
async fn a_helper_over_http_without_a_handshake_has_no_session() -> Result<()> {
    let mut web = Web::start(Manner::Stateless).await?;
    web.echoes("web").await?;
    assert_eq!(detail(&mut web.client, "web").await?.protocol_version.as_deref(), Some("2026-07-28"));
    let called = web.helper.seen().into_iter().find(|seen| seen.method() == "tools/call").unwrap();
    assert_eq!(called.headers["mcp-protocol-version"], "2026-07-28");
    assert!(web.helper.seen().iter().all(|seen| !seen.headers.contains_key("mcp-session-id")));
    web.finish().await
}

#[tokio::test]
async fn a_helper_over_http_with_a_handshake_asks_its_user() -> Result<()> {
    let mut web = Web::start(Manner::Handshake).await?;
    let turn = web.client.start_turn(web.thread, "/tool web ask").await?;
    let (id, params) = web.client.next_request::<McpServerElicitationRequest>().await?;
    assert_eq!((params.thread_id, params.turn_id.as_ref()), (web.thread, Some(&turn)));
    let answer = json!({ "action": "accept", "content": { "name": "Ada" }, "_meta": null });
    web.client.answer_request::<McpServerElicitationRequest>(&id, &serde_json::from_value(answer)?).await?;
    web.client.turn_end(&turn).await?;
    let call = web.client.tool_calls(&turn)?.remove(0);
    assert!(call.result.is_some_and(|result| result.content[0]["text"].to_string().contains("Ada")));
    // An oversized question reaches no client.
    let answer = web.client.tool(web.thread, "web", "ask", json!({ "bytes": 300_000 })).await?;
    assert!(text(&answer).contains("at most 262144 bytes"), "{}", text(&answer));
    // An interrupt ends the question.
    let turn = web.client.start_turn(web.thread, "/tool web ask").await?;
    let (id, _) = web.client.next_request::<McpServerElicitationRequest>().await?;
    web.client.interrupt(web.thread, &turn).await?;
    web.client.next::<ServerRequestResolved>(|resolved| resolved.request_id == id).await?;
    web.client.turn_end(&turn).await?;
    web.echoes("web").await?;
    web.finish().await
}

#[tokio::test]
async fn a_shared_helper_over_http_asks_the_user_of_the_calls_stream() -> Result<()> {
    let helper = HttpHelper::start(Manner::Handshake, None).await?;
    let web = Helper::at("web", &helper.url()).set("isolation", "shared");
    let home = Home::setup().helper(web).start().await?;
    let [mut one, mut other] = home.clients().await?;
    let (first, second) = (one.start_thread_with("one").await?, other.start_thread_with("other").await?);
    let hangs =
        other.start_call::<McpServerToolCall>(&tool_params(second, "web", "stall", json!({}))).await?;
    helper.until_seen(PATIENCE, |seen| seen.method() == "tools/call").await?;
    let ask = tool_params(first, "web", "ask", json!({}));
    let call = one.start_call::<McpServerToolCall>(&ask).await?;
    let (id, params) = one.next_request::<McpServerElicitationRequest>().await?;
    assert_eq!(params.thread_id, first);
    let answer = json!({ "action": "accept", "content": { "name": "Ada" }, "_meta": null });
    one.answer_request::<McpServerElicitationRequest>(&id, &serde_json::from_value(answer)?).await?;
    let update = one.answer(call).await?.map_err(anyhow::Error::msg)?;
    assert!(text(&update).contains("Ada"), "{}", text(&update));
    drop((hangs, one, other));
    helper.until_alone(PATIENCE).await?;
    home.finish().await
}

#[tokio::test]
async fn a_helper_over_http_without_a_handshake_asks_its_user() -> Result<()> {
    let mut web = Web::start(Manner::Stateless).await?;
    let ask = tool_params(web.thread, "web", "ask", json!({}));
    let call = web.client.start_call::<McpServerToolCall>(&ask).await?;
    let (id, params) = web.client.next_request::<McpServerElicitationRequest>().await?;
    assert_eq!((params.thread_id, params.server_name.as_str()), (web.thread, "web"));
    let called = |web: &Web| web.helper.seen().iter().filter(|seen| seen.method() == "tools/call").count();
    assert_eq!(called(&web), 1, "the helper gets no request meanwhile");
    let answer = json!({ "action": "accept", "content": { "name": "Ada" }, "_meta": null });
    let answer = serde_json::from_value(answer)?;
    web.client.answer_request::<McpServerElicitationRequest>(&id, &answer).await?;
    let update = web.client.answer(call).await?.map_err(anyhow::Error::msg)?;
    let update: serde_json::Value = serde_json::from_str(&text(&update))?;
    assert_eq!(update["name"], json!({ "action": "accept", "content": { "name": "Ada" } }));
    let cwd = web.client.read_thread(web.thread).await?.cwd;
    assert_eq!(update["roots"]["roots"][0]["uri"], format!("file://{cwd}"));
    assert_eq!(called(&web), 2);
    web.finish().await
}

#[tokio::test]
async fn a_forgotten_session_is_replaced_by_a_new_one() -> Result<()> {
    for manner in [Manner::Handshake, Manner::HandshakeLoosely] {
        let mut web = Web::start(manner).await?;
        web.helper.forget();
        web.echoes("web").await?;
        let begun = web.helper.seen().into_iter().filter(|seen| seen.method() == "initialize").count();
        assert_eq!(begun, 2);
        web.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_call_is_made_only_once_whatever_its_error_text() -> Result<()> {
    let mut web = Web::start(Manner::Handshake).await?;
    let count =
        |web: &Web, method: &str| web.helper.seen().iter().filter(|seen| seen.method() == method).count();
    for arguments in [
        json!({}),
        json!({ "status": 404 }),
        json!({ "status": 404, "code": -32601 }),
        json!({ "code": -32000, "text": "the session of the shell has ended" }),
    ] {
        let before = count(&web, "tools/call");
        let turn = web.client.turn(web.thread, &format!("/tool web tabs {arguments}")).await?;
        let call = web.client.tool_calls(&turn.id)?.remove(0);
        let outcome = call.error.map(|error| error.message).unwrap_or_default();
        let words = arguments["text"].as_str().unwrap_or("the browser session has no tab 7");
        assert!(outcome.contains(words), "{arguments}: {outcome}");
        assert_eq!((count(&web, "tools/call") - before, count(&web, "initialize")), (1, 1), "{arguments}");
    }
    // A refusal that names the call was read by the helper: a new session starts, and the call is not
    // repeated.
    let lost = json!({ "code": -32000, "text": "Bad Request: No valid session ID provided" });
    web.client.turn(web.thread, &format!("/tool web tabs {lost}")).await?;
    assert_eq!((count(&web, "tools/call"), count(&web, "initialize")), (5, 1));
    web.echoes("web").await?;
    assert_eq!((count(&web, "tools/call"), count(&web, "initialize")), (6, 2));
    web.finish().await
}

#[tokio::test]
async fn a_call_that_is_accepted_without_a_result_fails() -> Result<()> {
    let mut web = Web::start(Manner::Stateless).await?;
    for status in [202, 204] {
        let arguments = json!({ "status": status });
        let outcome = web.client.tool(web.thread, "web", "accept", arguments).await;
        let outcome = format!("{outcome:?}");
        assert!(outcome.contains("without a result"), "{status}: {outcome}");
    }
    web.echoes("web").await?;
    web.finish().await
}

#[tokio::test]
async fn changed_tools_are_listed_again_in_both_eras() -> Result<()> {
    for manner in [Manner::Handshake, Manner::Stateless] {
        let web = Web::start(manner).await?;
        let listed =
            |helper: &HttpHelper| helper.seen().iter().filter(|seen| seen.method() == "tools/list").count();
        let listens = |helper: &HttpHelper| {
            helper.seen().iter().any(|seen| seen.verb == "GET" || seen.method() == "subscriptions/listen")
        };
        // Repeat the notification, because the stream may not be open yet.
        let mut before = None;
        let received = || {
            web.helper.change_tools();
            let before = *before.get_or_insert_with(|| listed(&web.helper));
            (listens(&web.helper) && listed(&web.helper) > before + 1).then_some(())
        };
        wait_until("another list of tools", PATIENCE, received).await?;
        web.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn tools_are_listed_again_after_the_listening_stream_reconnects() -> Result<()> {
    let web = Web::start(Manner::Handshake).await?;
    let count = |fits: &dyn Fn(&Seen) -> bool| web.helper.seen().iter().filter(|seen| fits(seen)).count();
    let streams = || count(&|seen| seen.verb == "GET");
    let lists = || count(&|seen| seen.method() == "tools/list");
    wait_until("the listening stream", PATIENCE, || (streams() == 1).then_some(())).await?;
    web.helper.until_quiet(PATIENCE).await?;
    let before = lists();
    web.helper.break_streams(2);
    wait_until("another stream", PATIENCE, || (streams() >= 4).then_some(())).await?;
    // No stream carried notifications of changes meanwhile.
    wait_until("another list of tools", PATIENCE, || (lists() > before).then_some(())).await?;
    let again = lists();
    let received = || {
        web.helper.change_tools();
        (lists() > again).then_some(())
    };
    wait_until("a notification on the new stream", PATIENCE, received).await?;
    web.finish().await
}
