//! SIGKILL: of the server, and of a guard.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::process::{Process, wait_until};
use skein_integration_tests::requests::{agent_text, user_text};
use skein_protocol::event::McpServerStatusUpdatedNotification;
use skein_protocol::helper::McpServerStartupState;
use skein_protocol::item::{McpToolCallStatus, ThreadItemBody};
use skein_protocol::notifications::{ItemAgentMessageDelta, ItemStarted, McpServerStartupStatusUpdated};
use skein_protocol::turn::TurnStatus;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

#[tokio::test]
async fn a_killed_server_leaves_no_helper_even_a_stubborn_one() -> Result<()> {
    let home = Home::setup()
        .helper(Helper::named("polite")?)
        .helper(Helper::with("stubborn", &["--stubborn"])?)
        .start();
    let mut home = home.await?;
    let mut client = home.client().await?;
    for _ in 0..3 {
        let thread = client.start_thread_with("/tool polite pid\n/tool stubborn spawn").await?;
        client.start_turn(thread, "/tool stubborn hang").await?;
    }
    // Per thread: a polite helper, and a stubborn one with its grandchild and the child that the call starts.
    let family = home.until_helpers(12).await?;
    assert_eq!(family.guards.len(), 6);
    home.kill().await?;
    home.finish_drained().await
}

/// The cgroup of a helper. A guard's child enters it before it becomes the helper.
fn group_of(place: &Path, helper: u32) -> Result<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{helper}/cgroup"))?;
    let ends = groups.lines().find_map(|line| line.strip_prefix("0::")).map(|path| path.rsplitn(3, '/'));
    let [helper, server, ..] = ends.into_iter().flatten().collect::<Vec<_>>()[..] else { bail!("{groups}") };
    Ok(place.join(server).join(helper))
}

/// The folders of this home's cgroups. A helper's is below that of its server, which has the name of the home and of the start.
fn cgroups(of_helper: &Path) -> Vec<PathBuf> {
    let server = of_helper.parent().and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or_default();
    let home = server.rsplit_once('-').map(|(home, _)| format!("{home}-")).unwrap_or_default();
    let beside = of_helper.ancestors().nth(2).and_then(|place| fs::read_dir(place).ok());
    let folders = beside.into_iter().flatten().flatten().map(|entry| entry.path());
    folders
        .filter(|folder| folder.file_name().is_some_and(|name| name.as_bytes().starts_with(home.as_bytes())))
        .collect()
}

#[tokio::test]
async fn a_killed_server_leaves_no_cgroup_with_and_without_a_helper() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("hello").await?;
    let Some(place) = client.status().await?.helpers.held.cgroup else {
        eprintln!("SKIPPED: no cgroup can be made here");
        return home.finish().await;
    };
    let family = home.until_helpers(1).await?;
    let group = group_of(Path::new(&place), family.helpers[0].pid)?;
    assert_eq!(cgroups(&group), [group.parent().context("a parent")?]);
    let none_left = || cgroups(&group).is_empty().then_some(());
    client.unsubscribe(thread).await?;
    wait_until("no cgroup of a server without helpers", PATIENCE, none_left).await?;
    client.resume(thread).await?;
    home.until_helpers(1).await?;
    assert!(none_left().is_none());
    home.kill().await?;
    wait_until("no cgroup of a killed server", PATIENCE, none_left).await?;
    home.start_again().await?;
    home.kill().await?;
    assert_eq!(none_left(), Some(()));
    home.finish_drained().await
}

#[tokio::test]
async fn after_a_kill_acknowledged_turns_are_readable_and_the_open_turn_is_closed() -> Result<()> {
    let (mut home, mut client, thread) = Home::with_thread().await?;
    for number in 0..20 {
        client.turn(thread, &format!("words {number}")).await?;
    }
    let open = client.start_turn(thread, "/stream 100000 8 200").await?;
    client.next::<ItemAgentMessageDelta>(|delta| delta.delta.starts_with("5 ")).await?;
    let snapshot = client.resume(thread).await?.skein.context("a snapshot")?;
    home.restart_after_kill().await?;

    let mut client = home.client().await?;
    let resumed = client.resume(thread).await?;
    let seen = resumed.skein.context("a snapshot")?;
    // The machine did not go down, so no written record is lost and no number repeats.
    assert_eq!(seen.epoch, snapshot.epoch);
    assert!(seen.seq > snapshot.seq);
    let turns = resumed.thread.turns;
    assert_eq!(turns.len(), 21);
    for (number, turn) in turns[..20].iter().enumerate() {
        assert_eq!(turn.status, TurnStatus::Completed);
        let texts: Vec<String> =
            turn.items.iter().filter_map(|item| user_text(item).or(agent_text(item))).collect();
        assert_eq!(texts, [format!("words {number}"), format!("words {number}")]);
    }
    assert_eq!((&turns[20].id, turns[20].status), (&open, TurnStatus::Interrupted));
    assert_eq!(client.say(thread, "and on").await?, "and on");
    assert_eq!(client.read_thread(thread).await?.turns.len(), 22);
    home.finish().await
}

#[tokio::test]
async fn an_open_call_at_the_kill_is_shown_as_failed() -> Result<()> {
    let (mut home, mut client, thread) = Home::with_thread().await?;
    let turn = client.start_turn(thread, "/tool helper hang").await?;
    client.next::<ItemStarted>(|item| matches!(item.item.body, ThreadItemBody::McpToolCall(_))).await?;
    home.kill().await?;
    home.until_drained(PATIENCE).await?;
    home.start_again().await?;
    let mut client = home.client().await?;
    let turns = client.resume(thread).await?.thread.turns;
    assert_eq!((&turns[0].id, turns[0].status), (&turn, TurnStatus::Interrupted));
    let call = turns[0].items.iter().find_map(|item| {
        if let ThreadItemBody::McpToolCall(call) = &item.body { Some(call.status) } else { None }
    });
    assert_eq!(call, Some(McpToolCallStatus::Failed));
    home.finish().await
}

#[tokio::test]
async fn a_torn_end_of_a_file_is_cut_off_and_the_rest_is_kept() -> Result<()> {
    let (mut home, mut client) = Home::in_files()?.start_with_client().await?;
    let thread = client.start_thread_with("kept").await?;
    home.kill().await?;
    let path = home.rollout(thread);
    let whole = fs::read_to_string(&path)?;
    let mut file = fs::OpenOptions::new().append(true).open(&path)?;
    file.write_all(br#"{"v":1,"seq":999,"at":"2026-01-01T00:00:0"#)?;
    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(client.resume(thread).await?.thread.turns.len(), 1);
    client.turn(thread, "after").await?;
    assert_eq!(client.read_thread(thread).await?.turns.len(), 2);
    let mended = fs::read_to_string(&path)?;
    assert!(mended.starts_with(&whole) && !mended.contains("\"seq\":999"), "{mended}");
    home.finish().await
}

#[tokio::test]
async fn a_killed_guard_stops_its_own_helper_only() -> Result<()> {
    let (home, mut client) =
        Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start_with_client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    let first: Vec<u32> = home.family().guards.iter().map(|guard| guard.pid).collect();
    let other = client.start_thread().await?.id;
    let pid = client.say(other, "/tool helper pid").await?;
    home.until_helpers(4).await?;
    kill(Pid::from_raw(first[0].cast_signed()), Signal::SIGKILL)?;
    let [starting, ready] = [McpServerStartupState::Starting, McpServerStartupState::Ready];
    for state in [starting, ready, McpServerStartupState::Failed, starting, ready] {
        let of_first = |update: &McpServerStatusUpdatedNotification| update.thread_id == Some(thread);
        let update = client.next::<McpServerStartupStatusUpdated>(of_first).await?;
        assert_eq!(update.status, state, "{update:?}");
    }
    // The helper of the killed guard runs again, under a new guard.
    let family = home.until_helpers(4).await?;
    assert!(family.guards.iter().all(|guard| guard.pid != first[0]));
    assert!(family.helpers.iter().any(|process: &Process| process.pid.to_string() == pid));
    assert_eq!(client.say(other, "/tool helper pid").await?, pid, "the other thread's helper lives");
    assert_eq!(client.say(thread, "still here").await?, "still here");
    drop(client);
    home.finish_drained().await
}

#[tokio::test]
async fn a_server_survives_repeated_kills_and_starts() -> Result<()> {
    let (mut home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("turn 0").await?;
    for round in 1..=5 {
        client.turn(thread, &format!("turn {round}")).await?;
        client.start_turn(thread, "/tool helper hang").await?;
        home.kill().await?;
        home.until_drained(PATIENCE).await?;
        home.start_again().await?;
        client = home.client().await?;
        let turns = client.resume(thread).await?.thread.turns;
        assert_eq!(turns.len(), 1 + 2 * round, "round {round}");
        assert!(turns.iter().all(|turn| turn.status != TurnStatus::InProgress), "round {round}");
    }
    home.finish().await
}
