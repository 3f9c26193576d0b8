//! Starts of helpers: only requests that need the helper wait, and every client can see the state.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::process::TAG;
use skein_integration_tests::requests::tool_params;
use skein_protocol::helper::{McpServerConnectionStatus, McpServerStartupState};
use skein_protocol::methods::{McpServerToolCall, SkeinHelpersList, ThreadStart};
use skein_protocol::notifications::McpServerStartupStatusUpdated;
use skein_protocol::thread::ThreadStartParams;
use skein_protocol::turn::TurnStatus;

use super::statuses;

#[tokio::test]
async fn clients_are_notified_of_a_helpers_start() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    for state in [McpServerStartupState::Starting, McpServerStartupState::Ready] {
        let update = client.next::<McpServerStartupStatusUpdated>(|_| true).await?;
        assert_eq!((update.thread_id, update.name.as_str(), update.status), (Some(thread), "helper", state));
        assert_eq!(update.error, None);
    }
    home.finish().await
}

#[tokio::test]
async fn a_missing_program_is_reported_and_stops_no_turn() -> Result<()> {
    let missing = Helper::program("missing", "/no/such/program", &[]);
    let (home, mut client) = Home::setup().helper(missing).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let update = client
        .next::<McpServerStartupStatusUpdated>(|update| update.status == McpServerStartupState::Failed)
        .await?;
    assert!(update.error.as_ref().is_some_and(|error| error.contains("/no/such/program")), "{update:?}");
    let status = &statuses(&mut client, thread).await?[0];
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Failed));
    assert!(
        status.tools_error.as_ref().is_some_and(|error| error.contains("/no/such/program")),
        "{status:?}"
    );
    assert_eq!(client.say(thread, "without it").await?, "without it");
    let call = tool_params(thread, "missing", "echo", json!({}));
    assert_eq!(client.refusal::<McpServerToolCall>(call).await?.reason(), "helperNotRunning");
    home.finish_drained().await
}

#[tokio::test]
async fn repeated_start_failures_are_reported_once_until_the_helper_is_given_up() -> Result<()> {
    let failing = Helper::with("failing", &["--exit-at-start", "3"])?;
    let (home, mut client) = Home::setup().helper(failing).start_with_client().await?;
    client.start_thread().await?;
    let given_up = |update: &skein_protocol::event::McpServerStatusUpdatedNotification| {
        update.error.as_ref().is_some_and(|error| error.contains("it failed 5 times"))
    };
    client.next::<McpServerStartupStatusUpdated>(given_up).await?;
    let update = client.received::<McpServerStartupStatusUpdated>()?.into_iter().map(|update| update.status);
    let wanted =
        [McpServerStartupState::Starting, McpServerStartupState::Failed, McpServerStartupState::Failed];
    assert_eq!(update.collect::<Vec<_>>(), wanted);
    home.finish_drained().await
}

#[tokio::test]
async fn secrets_in_a_helpers_output_are_masked() -> Result<()> {
    // The printing helper does not exit by itself, because its exit could be noticed before its line.
    const SECRETS: [&str; 2] = ["named-s3cret-s3cret", "plain-s3cret-s3cret"];
    let script = |what: &str| ["-c".to_owned(), format!("echo \"no such key: $NAMED $PLAIN\" {what}")];
    let helper = |name: &str, what: &str| {
        let helper = Helper::program(name, "sh", &script(what)).set("env.PLAIN", SECRETS[1]);
        helper.set("env_vars", vec!["NAMED"])
    };
    let setup =
        Home::setup().helper(helper("errs", ">&2; exit 3")).helper(helper("prints", "; exec cat >&2"));
    let (mut home, mut client) = setup.env("NAMED", SECRETS[0]).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    for _ in 0..2 {
        let update = client
            .next::<McpServerStartupStatusUpdated>(|update| update.status == McpServerStartupState::Failed)
            .await?;
        let why = update.error.unwrap_or_default();
        assert!(why.contains("no such key: *** ***"), "{why}");
    }
    let shown = [
        serde_json::to_string(&statuses(&mut client, thread).await?)?,
        serde_json::to_string(&client.call::<SkeinHelpersList>(Default::default()).await?)?,
        home.whole_log().await?,
    ];
    for secret in SECRETS {
        assert!(shown.iter().all(|shown| !shown.contains(secret)), "{shown:?}");
    }
    home.finish().await
}

#[tokio::test]
async fn a_missing_required_helper_fails_the_turn_with_its_stderr() -> Result<()> {
    // The helper starts while the flag file exists.
    let folder = tempfile::tempdir()?;
    let flag = folder.path().join("flag");
    std::fs::write(&flag, "")?;
    let program = skein_integration_tests::paths::mcp_helper()?;
    let script =
        format!("test -e {} && exec {}; echo no flag >&2; exit 7", flag.display(), program.display());
    let required = Helper::program("needed", "sh", &["-c".to_owned(), script]).set("required", true);
    let (home, mut client) = Home::setup().helper(required).start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    client.unload(thread, true).await?;
    std::fs::remove_file(&flag)?;
    client.resume(thread).await?;
    let turn = client.turn(thread, "any words").await?;
    assert_eq!(turn.status, TurnStatus::Failed);
    let message = turn.error.unwrap().message;
    for part in ["needed", "7", "no flag"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    home.finish().await
}

#[tokio::test]
async fn a_helper_that_is_not_ready_in_time_is_restarted() -> Result<()> {
    let slow = Helper::with("slow", &["--hang-at-start"])?.set("startup_timeout_sec", 0.3);
    let (home, mut client) = Home::setup().helper(slow).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let update = client
        .next::<McpServerStartupStatusUpdated>(|update| update.status == McpServerStartupState::Failed)
        .await?;
    assert!(update.error.is_some_and(|error| error.contains("startup_timeout_sec")));
    client.until_status("another try", |status| status.helpers.started_total > 1).await?;
    client.unload(thread, true).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn a_slow_start_delays_the_call_and_not_the_thread() -> Result<()> {
    let slow = Helper::with("slow", &["--start-delay-ms", "400"])?;
    let (home, mut client) = Home::setup().helper(slow).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let status = &statuses(&mut client, thread).await?[0];
    assert_eq!(status.runtime_status, Some(McpServerConnectionStatus::Starting));
    assert_eq!(client.say(thread, "meanwhile").await?, "meanwhile");
    assert_eq!(client.say(thread, "/tool slow echo {\"text\":\"now\"}").await?, "now");
    home.finish().await
}

#[tokio::test]
async fn a_thread_is_unloaded_while_its_helper_starts() -> Result<()> {
    let slow = Helper::with("slow", &["--hang-at-start", "--ignore-term", "--ignore-eof"])?;
    let (home, mut control) = Home::setup().helper(slow).start_with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    home.until_helpers(1).await?;
    drop(client);
    control.thread_closed(thread).await?;
    assert_eq!(home.family().count(), 0);
    home.finish().await
}

#[tokio::test]
async fn a_thread_can_add_helpers_and_change_those_of_the_settings() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let program = skein_integration_tests::paths::mcp_helper()?;
    let own = json!({ "command": program, "env": { TAG: home.tag() } });
    let config = json!({ "mcp_servers": { "own": own, "helper": { "enabled": false } } });
    let params = ThreadStartParams { config: config.as_object().cloned(), ..ThreadStartParams::default() };
    let thread = client.call::<ThreadStart>(params).await?.thread.id;
    assert_eq!(client.say(thread, "/tool own echo {\"text\":\"mine\"}").await?, "mine");
    let statuses = statuses(&mut client, thread).await?;
    let off = statuses.iter().find(|status| status.name == "helper").unwrap();
    assert_eq!(off.runtime_status, Some(McpServerConnectionStatus::Disabled));
    assert_eq!(home.family().helpers.len(), 1);
    home.finish().await
}

#[tokio::test]
async fn tools_that_are_not_enabled_are_neither_listed_nor_called() -> Result<()> {
    let some =
        Helper::named("some")?.set("enabled_tools", vec!["echo", "pid"]).set("disabled_tools", vec!["pid"]);
    let (home, mut client) = Home::setup().helper(some).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    assert_eq!(client.say(thread, "/tool some echo {\"text\":\"yes\"}").await?, "yes");
    let names: Vec<String> = statuses(&mut client, thread).await?[0].tools.keys().cloned().collect();
    assert_eq!(names, ["echo"]);
    for tool in ["pid", "cwd"] {
        let error = client.refusal::<McpServerToolCall>(tool_params(thread, "some", tool, json!({}))).await?;
        assert_eq!(error.reason(), "toolNotEnabled");
    }
    home.finish().await
}
