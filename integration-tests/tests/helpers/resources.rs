//! Resources of helpers, listed with their status and read; and the `_meta` of calls.

use anyhow::Result;
use serde_json::{Value, json};
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::tool_params;
use skein_protocol::helper::{McpResourceReadParams, McpServerStartupState, ResourceContent};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{McpServerResourceRead, McpServerToolCall};
use skein_protocol::notifications::McpServerStartupStatusUpdated;

use super::{statuses, text};

fn read(thread: Option<ThreadId>, uri: &str) -> McpResourceReadParams {
    McpResourceReadParams {
        meta: None,
        connector_id: None,
        origin_call_id: Some("call".to_owned()),
        server: "helper".to_owned(),
        target: None,
        thread_id: thread,
        uri: uri.to_owned(),
    }
}

#[tokio::test]
async fn resources_are_listed_from_all_pages_and_read() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let answer = client.call::<McpServerResourceRead>(read(Some(thread), "memo://one")).await?;
    assert_eq!(answer.origin_call_id.as_deref(), Some("call"));
    let [ResourceContent::Text { text, uri, .. }] = &answer.contents[..] else { panic!("{answer:?}") };
    assert_eq!((text.as_str(), uri.as_str()), ("first", "memo://one"));
    let answer = client.call::<McpServerResourceRead>(read(Some(thread), "memo://two")).await?;
    let [ResourceContent::Blob { blob, mime_type, .. }] = &answer.contents[..] else { panic!("{answer:?}") };
    assert_eq!((blob.as_str(), mime_type.as_deref()), ("AAEC", Some("x/y")));
    // The helper is listed right after its start and in order, so later answers come after it.
    let mut status = statuses(&mut client, thread).await?.remove(0);
    while status.resource_templates.is_empty() {
        client.tool(thread, "helper", "pid", json!({})).await?;
        status = statuses(&mut client, thread).await?.remove(0);
    }
    let uris: Vec<&str> = status.resources.iter().map(|resource| resource.uri.as_str()).collect();
    assert_eq!(uris, ["memo://one", "memo://two"]);
    assert_eq!(status.resource_templates[0].uri_template, "memo://{name}");
    assert!(status.tools.contains_key("echo"));
    home.finish().await
}

#[tokio::test]
async fn a_helper_without_tools_is_ready_and_its_resources_are_read() -> Result<()> {
    let (home, mut client) =
        Home::setup().helper(Helper::with("helper", &["--no-tools"])?).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let wanted = [McpServerStartupState::Starting, McpServerStartupState::Ready];
    for state in wanted {
        let update = client.next::<McpServerStartupStatusUpdated>(|_| true).await?;
        assert_eq!(update.status, state, "{update:?}");
    }
    let answer = client.call::<McpServerResourceRead>(read(Some(thread), "memo://one")).await?;
    assert_eq!(answer.contents.len(), 1);
    assert!(statuses(&mut client, thread).await?[0].tools.is_empty());
    home.finish().await
}

#[tokio::test]
async fn an_unreadable_resource_fails_with_a_reason() -> Result<()> {
    let (home, mut client) = Home::setup().helper(Helper::named("helper")?).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let refused = client.refusal::<McpServerResourceRead>(read(Some(thread), "memo://three")).await?;
    assert_eq!(refused.reason(), "helperRefused");
    assert!(refused.message.contains("-32002: no resource memo://three"), "{refused:?}");
    let unknown = McpResourceReadParams { server: "nobody".to_owned(), ..read(Some(thread), "memo://one") };
    assert_eq!(client.refusal::<McpServerResourceRead>(unknown).await?.reason(), "unknownHelper");
    home.finish().await
}

#[tokio::test]
async fn a_resource_is_read_without_a_thread_and_no_process_is_left() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let answer = client.call::<McpServerResourceRead>(read(None, "memo://one")).await?;
    assert_eq!((answer.contents.len(), answer.origin_call_id.as_deref()), (1, Some("call")));
    let refused = client.refusal::<McpServerResourceRead>(read(None, "memo://three")).await?;
    assert_eq!(refused.reason(), "helperRefused");
    let unknown = McpResourceReadParams { server: "nobody".to_owned(), ..read(None, "memo://one") };
    assert_eq!(client.refusal::<McpServerResourceRead>(unknown).await?.reason(), "unknownHelper");
    home.finish_drained().await
}

#[tokio::test]
async fn the_meta_of_a_call_reaches_the_helper() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let mut params = tool_params(thread, "helper", "meta", json!({}));
    params.meta = Some(json!({ "example.org/trace": "t" }));
    let answer = client.call::<McpServerToolCall>(params).await?;
    let received: Value = serde_json::from_str(&text(&answer))?;
    assert_eq!(received["example.org/trace"], "t");
    home.finish().await
}
