//! Helpers without a thread: tools and resources of the configured helpers, and required helpers.

use anyhow::Result;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home};
use skein_protocol::helper::{ListMcpServerStatusParams, McpServerConnectionStatus, McpServerStatus};
use skein_protocol::methods::{McpServerStatusList, ThreadStart};
use skein_protocol::thread::ThreadStartParams;

async fn offered(client: &mut Client) -> Result<Vec<McpServerStatus>> {
    Ok(client.call::<McpServerStatusList>(ListMcpServerStatusParams::default()).await?.data)
}

#[tokio::test]
async fn helpers_of_the_settings_are_started_for_the_answer_and_end_with_it() -> Result<()> {
    let other = Helper::named("other")?.set("enabled_tools", vec!["echo"]).set("linger", "1h");
    let off = Helper::named("off")?.set("enabled", false);
    let (home, mut client) =
        Home::setup().helper(Helper::named("helper")?).helper(other).helper(off).start_with_client().await?;
    let statuses = offered(&mut client).await?;
    let [helper, off, other] = &statuses[..] else { panic!("{statuses:?}") };
    assert!(helper.tools.contains_key("echo") && helper.server_info.is_some(), "{helper:?}");
    assert_eq!((helper.resources.len(), helper.resource_templates.len()), (2, 1));
    assert_eq!(helper.runtime_status, Some(McpServerConnectionStatus::Connected));
    assert_eq!(off.runtime_status, Some(McpServerConnectionStatus::Disabled));
    assert_eq!(other.tools.keys().collect::<Vec<_>>(), ["echo"]);
    home.finish_drained().await
}

#[tokio::test]
async fn a_threads_running_helper_is_used_and_not_started_again() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    let before = client.status().await?.helpers.started_total;
    assert!(offered(&mut client).await?[0].tools.contains_key("echo"));
    assert_eq!(client.status().await?.helpers.started_total, before);
    client.unload(thread, true).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn a_stalled_helper_is_left_out_of_the_answer_and_delays_nobody() -> Result<()> {
    let wedged = Helper::with("wedged", &["--hang-at-start"])?.set("startup_timeout_sec", 1);
    let failing = Helper::with("failing", &["--exit-at-start", "3"])?;
    let setup = Home::setup().helper(Helper::named("helper")?).helper(wedged).helper(failing);
    let (home, mut client) = setup.start_with_client().await?;
    let waits = client.start_call::<McpServerStatusList>(&ListMcpServerStatusParams::default()).await?;
    let thread = client.start_thread().await?.id;
    assert_eq!(client.say(thread, "/tool helper echo {\"text\":\"fine\"}").await?, "fine");
    let statuses = client.answer(waits).await?.map_err(anyhow::Error::msg)?.data;
    let of = |name: &str| statuses.iter().find(|status| status.name == name).unwrap();
    assert!(of("helper").tools.contains_key("echo"));
    assert!(of("wedged").tools.is_empty());
    assert_eq!(of("failing").runtime_status, Some(McpServerConnectionStatus::Failed));
    // A client that asks and leaves causes no leftovers.
    let mut other = home.client().await?;
    let _waits = other.start_call::<McpServerStatusList>(&ListMcpServerStatusParams::default()).await?;
    other.quiesce().await?;
    drop(other);
    client.unload(thread, true).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn a_thread_does_not_start_without_its_required_helper() -> Result<()> {
    let failing = Helper::with("failing", &["--exit-at-start", "3"])?.set("required", true);
    let (home, mut client) = Home::setup().helper(failing).start_with_client().await?;
    let refused = client.refusal::<ThreadStart>(ThreadStartParams::default()).await?;
    assert_eq!(refused.reason(), "helperNotRunning");
    assert!(refused.message.contains("failing") && refused.message.contains("exiting with 3"), "{refused:?}");
    assert!(client.loaded().await?.is_empty());
    home.finish_drained().await?;
    let (home, mut client) =
        Home::setup().helper(Helper::named("helper")?.set("required", true)).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    client.say(thread, "/tool helper pid").await?;
    assert_eq!(client.status().await?.helpers.started_total, 1, "the thread uses the same process");
    client.unload(thread, true).await?;
    home.finish_drained().await
}
