//! A resume during an unload or a load: one load for all clients, and no refusal.

use anyhow::Result;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::requests::resume_params;
use skein_protocol::extension::LoadedState;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::ThreadResume;
use skein_protocol::notifications::ThreadClosed;

/// A home with a slow-stopping helper, a thread on disk, and a control connection.
async fn stubborn() -> Result<(Home, Client, ThreadId)> {
    let (home, mut control) =
        Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start_with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    drop(client);
    control.thread_closed(thread).await?;
    Ok((home, control, thread))
}

/// Waits until the thread is being unloaded.
async fn until_unloading(control: &mut Client) -> Result<()> {
    control.until_status("one thread unloads", |status| status.threads.unloading == 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_resume_during_the_unload_waits_for_its_end_and_loads_again() -> Result<()> {
    let (home, mut control, thread) = stubborn().await?;
    let mut first = home.client().await?;
    first.resume(thread).await?;
    let pid = first.say(thread, "/tool helper pid").await?;
    first.take_all();
    control.take_all();
    // It connects before: on a slow machine that takes longer than the unload.
    let mut second = home.client().await?;
    drop(first);
    until_unloading(&mut control).await?;
    second.resume(thread).await?;
    let alive: Vec<u32> = home.family().helpers.iter().map(|process| process.pid).collect();
    assert!(!alive.contains(&pid.parse()?), "the old helper is gone before the answer");
    assert_ne!(second.say(thread, "/tool helper pid").await?, pid);
    assert_eq!(control.loaded_thread(thread).await?.map(|l| l.state), Some(LoadedState::Idle));
    // The unload that became a load is not announced.
    assert_eq!(control.received::<ThreadClosed>()?.len(), 1, "only the first unload");
    assert_eq!(second.received::<ThreadClosed>()?, []);
    home.finish().await
}

#[tokio::test]
async fn fifty_resumes_during_the_unload_are_one_load() -> Result<()> {
    let (home, mut control, thread) = stubborn().await?;
    let mut first = home.client().await?;
    first.resume(thread).await?;
    first.turn(thread, "/tool helper pid").await?;
    let before = control.status().await?.helpers.started_total;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(home.client().await?);
    }
    drop(first);
    until_unloading(&mut control).await?;
    let mut pending = Vec::new();
    for client in &mut clients {
        pending.push(client.start_call::<ThreadResume>(&resume_params(thread)).await?);
    }
    for (client, pending) in clients.iter_mut().zip(pending) {
        client.answer(pending).await??;
    }
    let status = control.until_status("a load", |status| status.helpers.started_total > before).await?;
    assert_eq!(status.helpers.started_total, before + 1, "one load");
    assert_eq!(status.threads.subscriptions, 50);
    drop(clients);
    control.until_status("nothing loaded", |status| status.threads.loaded == 0).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn fifty_resumes_of_a_cold_thread_are_one_load() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    drop(client);
    control.thread_closed(thread).await?;
    let before = control.status().await?.helpers.started_total;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(home.client().await?);
    }
    let mut pending = Vec::new();
    for client in &mut clients {
        pending.push(client.start_call::<ThreadResume>(&resume_params(thread)).await?);
    }
    for (client, pending) in clients.iter_mut().zip(pending) {
        assert_eq!(client.answer(pending).await??.thread.turns.len(), 1);
    }
    // The answers do not wait for helpers, which may start later.
    let status = control.until_status("a load", |status| status.helpers.started_total > before).await?;
    assert_eq!(status.helpers.started_total, before + 1, "one load");
    home.finish().await
}

#[tokio::test]
async fn a_client_that_leaves_during_the_load_keeps_no_thread_loaded() -> Result<()> {
    let (home, mut control, thread) = stubborn().await?;
    let mut first = home.client().await?;
    first.resume(thread).await?;
    first.turn(thread, "/tool helper pid").await?;
    drop(first);
    until_unloading(&mut control).await?;
    let mut second = home.client().await?;
    // The client leaves before the server can answer.
    let _unanswered = second.start_call::<ThreadResume>(&resume_params(thread)).await?;
    drop(second);
    control
        .until_status("no thread and one connection", |status| {
            status.threads.loaded == 0 && status.connections == 1
        })
        .await?;
    let status = control.status().await?;
    assert_eq!((status.threads.subscriptions, status.helpers.alive), (0, 0));
    home.finish_drained().await
}

#[tokio::test]
async fn many_clients_that_resume_and_leave_at_once_leave_nothing_behind() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    drop(client);
    control.thread_closed(thread).await?;
    for round in 0..20 {
        let mut clients = Vec::new();
        for _ in 0..=round % 3 {
            let mut client = home.client().await?;
            let _unanswered = client.start_call::<ThreadResume>(&resume_params(thread)).await?;
            clients.push(client);
        }
        drop(clients);
    }
    let gone = |status: &skein_protocol::extension::SkeinStatusResponse| {
        status.connections == 1 && status.threads.loaded == 0
    };
    let status = control.until_status("no connection and no thread", gone).await?;
    assert_eq!((status.threads.subscriptions, status.helpers.alive), (0, 0));
    home.finish_drained().await
}

#[tokio::test]
async fn unsubscribing_withdraws_a_waiting_resume() -> Result<()> {
    let (home, mut control, thread) = stubborn().await?;
    let mut client = home.client().await?;
    client.resume(thread).await?;
    client.turn(thread, "/tool helper pid").await?;
    client.unsubscribe(thread).await?;
    until_unloading(&mut control).await?;
    let pending = client.start_call::<ThreadResume>(&resume_params(thread)).await?;
    client.unsubscribe(thread).await?;
    let error = client.answer(pending).await?.unwrap_err();
    assert_eq!(error.reason(), "withdrawn");
    control.until_status("nothing loaded", |status| status.threads.loaded == 0).await?;
    home.finish_drained().await
}
