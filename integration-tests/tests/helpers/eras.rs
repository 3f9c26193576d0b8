//! Both eras of MCP: with a handshake up to 2025-11-25, without one from 2026-07-28. A slow helper is never
//! misjudged.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home};
use skein_protocol::extension::SkeinHelpersListParams;
use skein_protocol::helper::McpServerStartupState;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{McpServerResourceRead, SkeinHelpersList};
use skein_protocol::notifications::McpServerStartupStatusUpdated;

use super::{statuses, text};

/// Half of the time that a helper may take to start: a start that waited for an answer that never comes takes all of it.
const LONG: Duration = Duration::from_secs(15);

/// A server with one helper with these switches, its thread, and the time until the helper was ready.
async fn with(switches: &[&str]) -> Result<(Home, Client, ThreadId, Duration)> {
    let (home, mut client) =
        Home::setup().helper(Helper::with("helper", switches)?).start_with_client().await?;
    let begun = Instant::now();
    let thread = client.start_thread().await?.id;
    let update = client
        .next::<McpServerStartupStatusUpdated>(|update| update.status != McpServerStartupState::Starting)
        .await?;
    assert_eq!((update.status, update.error), (McpServerStartupState::Ready, None));
    Ok((home, client, thread, begun.elapsed()))
}

/// The helper answers a call, and both lists show its protocol version.
async fn speaks(client: &mut Client, thread: ThreadId, version: &str) -> Result<()> {
    let answer = client.tool(thread, "helper", "echo", json!({ "text": "text" })).await?;
    assert_eq!(text(&answer), "text");
    let status = statuses(client, thread).await?.remove(0);
    assert_eq!(status.skein.and_then(|skein| skein.protocol_version).as_deref(), Some(version));
    assert_eq!(status.server_info.map(|info| info.name).as_deref(), Some("mcp-helper"));
    let listed = client.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?;
    assert_eq!(listed.data[0].protocol_version.as_deref(), Some(version));
    Ok(())
}

#[tokio::test]
async fn a_helper_without_a_handshake_is_not_waited_for() -> Result<()> {
    let (home, mut client, thread, took) = with(&["--speaks", "2026-07-28"]).await?;
    speaks(&mut client, thread, "2026-07-28").await?;
    let answer = client.tool(thread, "helper", "progress", json!({ "steps": 2 })).await?;
    assert_eq!(text(&answer), "done");
    let read = json!({ "server": "helper", "threadId": thread, "uri": "memo://one" });
    client.call::<McpServerResourceRead>(serde_json::from_value(read)?).await?;
    assert!(took < LONG, "{took:?}");
    home.finish().await
}

#[tokio::test]
async fn a_helper_that_ignores_initialize_is_probed_without_a_handshake() -> Result<()> {
    let (home, mut client, thread, took) = with(&["--speaks", "2026-07-28-mute"]).await?;
    speaks(&mut client, thread, "2026-07-28").await?;
    assert!(took < LONG, "{took:?}");
    home.finish().await
}

#[tokio::test]
async fn a_slow_helper_with_a_handshake_is_waited_for() -> Result<()> {
    let (home, mut client, thread, took) = with(&["--start-delay-ms", "1500"]).await?;
    speaks(&mut client, thread, "2025-11-25").await?;
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    home.finish().await
}

#[tokio::test]
async fn a_strict_helper_gets_no_unknown_first_message() -> Result<()> {
    let (home, mut client, thread, _) = with(&["--speaks", "strict"]).await?;
    speaks(&mut client, thread, "2025-11-25").await?;
    home.finish().await
}

#[tokio::test]
async fn a_slow_strict_helper_is_started_again_without_the_probe() -> Result<()> {
    let (home, mut client, thread, took) = with(&["--speaks", "strict", "--start-delay-ms", "1500"]).await?;
    speaks(&mut client, thread, "2025-11-25").await?;
    assert!(took >= Duration::from_secs(3), "the helper was started twice: {took:?}");
    assert_eq!(home.family().helpers.len(), 1);
    home.finish().await
}

#[tokio::test]
async fn a_helper_of_an_older_revision_is_used_in_that_revision() -> Result<()> {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        let (home, mut client, thread, _) = with(&["--speaks", version]).await?;
        speaks(&mut client, thread, version).await?;
        home.finish().await?;
    }
    Ok(())
}
