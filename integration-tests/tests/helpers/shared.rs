//! Helpers that several threads share, and helpers that linger for the next user.

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Exit, Helper, Home, PATIENCE};
use skein_integration_tests::process::wait_until;
use skein_integration_tests::requests::tool_params;
use skein_protocol::extension::{HelperIsolation, HelperState, SkeinHelpersListParams};
use skein_protocol::helper::McpServerStartupState as State;
use skein_protocol::ids::ThreadId;
use skein_protocol::item::ThreadItemBody;
use skein_protocol::methods::{McpServerToolCall, SkeinHelpersList, ThreadStart};
use skein_protocol::notifications::{ItemStarted, McpServerStartupStatusUpdated};
use skein_protocol::thread::ThreadStartParams;

use super::{statuses, text};

async fn pid(client: &mut Client, thread: ThreadId) -> Result<String> {
    Ok(text(&client.tool(thread, "helper", "pid", json!({})).await?))
}

#[tokio::test]
async fn each_thread_has_its_own_list_of_a_shared_helpers_tools() -> Result<()> {
    let (home, mut client) =
        Home::setup().helper(Helper::named("helper")?.set("isolation", "shared")).start_with_client().await?;
    // The first thread starts the process.
    for (tools, other) in [(["pid"], "echo"), (["echo"], "pid")] {
        let config = json!({ "mcp_servers": { "helper": { "enabled_tools": tools } } });
        let params =
            ThreadStartParams { config: config.as_object().cloned(), ..ThreadStartParams::default() };
        let thread = client.call::<ThreadStart>(params).await?.thread.id;
        client.tool(thread, "helper", tools[0], json!({ "text": "yes" })).await?;
        let listed = statuses(&mut client, thread).await?;
        let names: Vec<&String> = listed[0].tools.keys().collect();
        assert_eq!(names, tools);
        let refused = tool_params(thread, "helper", other, json!({}));
        let error = client.refusal::<McpServerToolCall>(refused).await?;
        assert_eq!(error.reason(), "toolNotEnabled");
    }
    assert_eq!(home.family().helpers.len(), 1);
    home.finish().await
}

#[tokio::test]
async fn two_threads_share_one_process_and_the_last_one_ends_it() -> Result<()> {
    for isolation in ["project", "shared"] {
        let helper = Helper::named("helper")?.set("isolation", isolation);
        let (home, mut client) = Home::setup().helper(helper).start_with_client().await?;
        let one = client.start_thread_with("one").await?;
        let shared = pid(&mut client, one).await?;
        let two = client.start_thread_with("two").await?;
        for state in [State::Starting, State::Ready] {
            let of_two = |update: &skein_protocol::event::McpServerStatusUpdatedNotification| {
                update.thread_id == Some(two) && update.status == state
            };
            client.next::<McpServerStartupStatusUpdated>(of_two).await?;
        }
        assert_eq!(pid(&mut client, two).await?, shared, "{isolation}");
        assert_eq!(home.family().helpers.len(), 1);
        let listed = client.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?.data;
        let [helper] = &listed[..] else { panic!("{listed:?}") };
        let mut both = vec![one, two];
        both.sort();
        assert_eq!(helper.thread_ids, both);
        assert_ne!(helper.isolation, HelperIsolation::Thread);
        assert_eq!(client.status().await?.helpers.alive, 1);
        // One thread leaves: its call ends, the other's continues.
        let sleep = tool_params(two, "helper", "sleep", json!({ "ms": 300 }));
        let goes_on = client.start_call::<McpServerToolCall>(&sleep).await?;
        let hangs = tool_params(one, "helper", "hang", json!({}));
        let cut = client.start_call::<McpServerToolCall>(&hangs).await?;
        client.quiesce().await?;
        client.unload(one, true).await?;
        let cut = client.answer(cut).await?.expect_err("the thread of the call is gone");
        assert_eq!(cut.reason(), "helperEnded");
        assert!(client.answer(goes_on).await?.is_ok());
        assert_eq!(pid(&mut client, two).await?, shared);
        client.unload(two, true).await?;
        assert_eq!(home.family().count(), 0, "an unload waits for an unshared helper");
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_helper_is_quarantined_and_other_threads_get_a_fresh_one() -> Result<()> {
    for isolation in ["project", "shared"] {
        let helper = Helper::named("helper")?.set("isolation", isolation);
        let home = Home::setup().helper(helper).set("helpers.liveness", "500ms").start().await?;
        let [mut one, mut two] = home.clients().await?;
        let first = one.start_thread_with("one").await?;
        let second = two.start_thread_with("two").await?;
        let old: i32 = pid(&mut one, first).await?.parse()?;
        let turn = one.start_turn(first, "/tool helper hang").await?;
        one.next::<ItemStarted>(|item| matches!(item.item.body, ThreadItemBody::McpToolCall(_))).await?;
        kill(Pid::from_raw(old), Signal::SIGSTOP)?;
        for client in [&mut one, &mut two] {
            let update =
                client.next::<McpServerStartupStatusUpdated>(|update| update.skein.is_some()).await?;
            assert_eq!(update.skein.map(|skein| skein.state), Some(HelperState::Unresponsive));
        }
        let fresh = pid(&mut two, second).await?;
        assert_ne!(fresh, old.to_string());
        assert_eq!(one.status().await?.turns.running, 1, "the first call still waits");
        assert_eq!(one.status().await?.helpers.quarantined, 1);
        let mut listed = one.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?.data;
        listed.sort_by_key(|helper| helper.quarantined);
        let [new, apart] = &listed[..] else { panic!("{listed:?}") };
        assert!(!new.quarantined && apart.quarantined);
        assert_eq!((apart.pid, apart.state), (Some(old), HelperState::Unresponsive));
        // A thread that waits for the old process uses the fresh one for everything else.
        assert_eq!(pid(&mut one, first).await?, fresh);
        one.interrupt_and_wait(first, &turn).await?;
        let only_fresh = || (home.family().count() == 2).then_some(());
        wait_until("the end of the stopped helper and of its guard", PATIENCE, only_fresh).await?;
        assert_eq!(pid(&mut two, second).await?, fresh);
        one.unload(first, true).await?;
        two.unload(second, true).await?;
        assert_eq!(home.family().count(), 0, "{isolation}");
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn fifteen_switches_leave_nothing_however_helpers_are_shared() -> Result<()> {
    for isolation in ["thread", "project", "shared"] {
        let helper = Helper::named("helper")?.set("isolation", isolation);
        let (home, mut control) = Home::setup().helper(helper).start_with_client().await?;
        for _ in 0..15 {
            let mut client = home.client().await?;
            let thread = client.start_thread_with("/tool helper pid").await?;
            drop(client);
            control.thread_closed(thread).await?;
            assert_eq!(home.family().count(), 0, "{isolation}");
        }
        assert_eq!(control.status().await?.helpers.started_total, 15);
        home.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_lingering_helper_is_reused_and_does_not_delay_the_stop() -> Result<()> {
    let helper = Helper::with("helper", &["--ignore-eof", "--grandchild"])?.set("linger", "1h");
    let (mut home, mut control) = Home::setup().helper(helper).start_with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    let first = pid(&mut client, thread).await?;
    client.close().await?;
    control.thread_closed(thread).await?;
    assert_eq!(control.status().await?.helpers.lingering, 1);
    let listed = control.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?.data;
    assert_eq!((listed.len(), listed[0].thread_id), (1, None));
    let mut client = home.client().await?;
    client.resume(thread).await?;
    assert_eq!(pid(&mut client, thread).await?, first);
    client.close().await?;
    control.thread_closed(thread).await?;
    let mut others = Vec::new();
    for _ in 0..5 {
        let mut client = home.client().await?;
        let thread = client.start_thread_with("/tool helper pid").await?;
        drop(client);
        control.thread_closed(thread).await?;
        others.push(thread);
    }
    assert_eq!(control.status().await?.helpers.lingering, 6);
    drop(control);
    home.signal(Signal::SIGTERM)?;
    assert_eq!(home.exited(PATIENCE).await?, Exit::Code(0));
    assert_eq!(home.family().count(), 0);
    home.start_again().await?;
    home.finish().await
}

#[tokio::test]
async fn a_thread_that_gives_up_on_a_silent_helper_ends_its_own_calls_only() -> Result<()> {
    let helper = Helper::named("helper")?.set("isolation", "shared");
    let (home, mut patient) =
        Home::setup().helper(helper).set("helpers.liveness", "1s").start_with_client().await?;
    let mut strict = home.client().await?;
    let first = patient.start_thread_with("words").await?;
    let own = json!({ "mcp_servers": { "helper": { "on_unresponsive": "fail" } } });
    let params = ThreadStartParams { config: serde_json::from_value(own)?, ..ThreadStartParams::default() };
    let second = strict.call::<ThreadStart>(params).await?.thread.id;
    strict.say(second, "words").await?;
    assert_eq!(pid(&mut patient, first).await?, pid(&mut strict, second).await?);
    let waits =
        patient.start_call::<McpServerToolCall>(&tool_params(first, "helper", "deaf", json!({}))).await?;
    patient.quiesce().await?;
    let hangs = tool_params(second, "helper", "hang", json!({}));
    assert_eq!(strict.refusal::<McpServerToolCall>(hangs).await?.reason(), "helperUnresponsive");
    patient.quiesce().await?;
    assert!(
        patient.record().iter().all(|message| !message.answers(waits.id())),
        "the other thread's call continues"
    );
    drop((waits, patient, strict));
    home.finish_drained().await
}
