//! The processes of helpers as a client sees them.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::home::{Helper, Home};
use skein_protocol::extension::{HelperIsolation, HelperState, SkeinHelpersListParams};
use skein_protocol::methods::SkeinHelpersList;

use super::text;

#[tokio::test]
async fn helpers_are_listed_with_their_trees_memory_and_stderr() -> Result<()> {
    let url = Helper::named("docs")?.set("enabled", false);
    let setup = Home::setup().helper(Helper::with("helper", &["--grandchild"])?).helper(url);
    let (home, mut client) = setup.start_with_client().await?;
    assert_eq!(client.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?.data, []);
    let thread = client.start_thread().await?.id;
    let pid: i32 = text(&client.tool(thread, "helper", "pid", json!({})).await?).parse()?;
    let child: i32 = text(&client.tool(thread, "helper", "spawn", json!({})).await?).parse()?;
    client.tool(thread, "helper", "stderr_flood", json!({ "bytes": 100 })).await?;
    let params = SkeinHelpersListParams { thread_id: Some(thread) };
    let mut listed = client.call::<SkeinHelpersList>(params).await?.data;
    // The server reads stderr and completes the call a moment after the answer.
    while !listed[1].stderr.contains('x') || listed[1].state != HelperState::Ready {
        listed = client.call::<SkeinHelpersList>(params).await?.data;
    }
    let [docs, helper] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((docs.name.as_str(), docs.state, docs.pid), ("docs", HelperState::Disabled, None));
    assert_eq!((helper.name.as_str(), helper.state, helper.pid), ("helper", HelperState::Ready, Some(pid)));
    assert_eq!((helper.thread_id, helper.queued, helper.processes.len()), (Some(thread), 0, 3));
    assert_eq!(
        (helper.thread_ids.as_slice(), helper.isolation),
        ([thread].as_slice(), HelperIsolation::Thread)
    );
    assert_eq!(helper.processes[0].pid, pid, "parents come first");
    let below = helper.processes.iter().find(|process| process.pid == child);
    assert_eq!(below.map(|process| process.parent), Some(pid));
    assert!(helper.processes.iter().all(|process| process.memory_bytes > 0 && !process.name.is_empty()));
    let all: u64 = helper.processes.iter().map(|process| process.memory_bytes).sum();
    assert_eq!(helper.memory_bytes, all);
    client.unload(thread, true).await?;
    assert_eq!(client.refusal::<SkeinHelpersList>(params).await?.reason(), "notLoaded");
    home.finish().await
}
