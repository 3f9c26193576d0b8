//! A second subscriber and a running turn keep a thread loaded. An observer does not.

use anyhow::Result;
use skein_integration_tests::home::{Home, PATIENCE};
use skein_protocol::extension::LoadedState;
use skein_protocol::item::ThreadItem;
use skein_protocol::notifications::{
    ItemAgentMessageDelta, ThreadClosed, ThreadStatusChanged, TurnCompleted,
};
use skein_protocol::thread::ThreadStatus;
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn a_second_subscriber_keeps_the_thread_with_its_helper() -> Result<()> {
    let home = Home::start().await?;
    let [mut control, mut first, mut second] = home.clients().await?;
    let thread = first.start_thread_with("/tool helper pid").await?;
    let pid = first.say(thread, "/tool helper pid").await?;
    second.resume(thread).await?;
    first.close().await?;
    control.until_status("one subscription", |status| status.threads.subscriptions == 1).await?;
    control.quiesce().await?;
    assert_eq!(control.loaded().await?, [thread]);
    assert_eq!(second.say(thread, "/tool helper pid").await?, pid, "the helper is the same");
    second.close().await?;
    control.thread_closed(thread).await?;
    home.finish_drained().await
}

#[tokio::test]
async fn an_observer_does_not_keep_the_thread_and_follows_its_unload_and_load() -> Result<()> {
    let home = Home::start().await?;
    let [mut control, mut client, mut observer] = home.clients().await?;
    let thread = client.start_thread_with("first words").await?;
    let seen = observer.observe(thread).await?;
    assert_eq!(seen.thread.turns.len(), 1);
    client.close().await?;
    control.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    assert_eq!(control.status().await?.threads.observers, 1);
    // An observer is notified of the status, not that the thread is closed.
    observer.next::<ThreadStatusChanged>(|p| p.status == ThreadStatus::NotLoaded).await?;
    assert_eq!(observer.received::<ThreadClosed>()?, []);

    let mut client = home.client().await?;
    client.resume(thread).await?;
    let turn = client.turn(thread, "second words").await?;
    let end = observer.next::<TurnCompleted>(|end| end.turn.id == turn.id).await?;
    assert_eq!(end.turn.status, TurnStatus::Completed);
    home.finish().await
}

#[tokio::test]
async fn observing_a_thread_that_is_not_loaded_does_not_load_it() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("words").await?;
    client.close().await?;
    control.thread_closed(thread).await?;
    let started = control.status().await?.helpers.started_total;
    let mut observer = home.client().await?;
    let seen = observer.observe(thread).await?;
    assert_eq!(seen.thread.turns.len(), 1);
    assert_eq!(seen.thread.status, ThreadStatus::NotLoaded);
    control.quiesce().await?;
    assert_eq!(control.loaded().await?, []);
    assert_eq!(control.status().await?.helpers.started_total, started);
    home.finish().await
}

#[tokio::test]
async fn a_running_turn_survives_the_disconnect_and_then_the_thread_unloads() -> Result<()> {
    let (home, mut control) = Home::with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let turn = client.start_turn(thread, "/stream 300 8 100").await?;
    client.next::<ItemAgentMessageDelta>(|_| true).await?;
    drop(client);
    control.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
    control.quiesce().await?;
    let loaded = control.loaded_thread(thread).await?.map(|loaded| loaded.state);
    assert_eq!(loaded, Some(LoadedState::Running));
    control.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    let read = control.read_thread(thread).await?;
    assert_eq!((read.turns[0].id.clone(), read.turns[0].status), (turn, TurnStatus::Completed));
    let reply = read.turns[0].items.iter().find_map(skein_integration_tests::requests::agent_text);
    assert!(reply.is_some_and(|reply| reply.contains("299 ")), "the turn ran to its end");
    home.finish().await
}

#[tokio::test]
async fn a_running_turn_can_be_found_again() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turn = client.start_turn(thread, "/hang").await?;
    drop(client);
    let mut client = home.client().await?;
    client.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
    let resumed = client.resume(thread).await?;
    assert_eq!(resumed.thread.status, ThreadStatus::Active { active_flags: Vec::new() });
    let open = resumed.thread.turns.last().map(|turn| (turn.id.clone(), turn.status));
    assert_eq!(open, Some((turn.clone(), TurnStatus::InProgress)));
    client.interrupt_and_wait(thread, &turn).await?;
    home.finish().await
}

#[tokio::test]
async fn a_resume_in_the_middle_of_a_message_shows_its_text_so_far() -> Result<()> {
    let (home, mut writer, thread) = Home::with_thread().await?;
    let turn = writer.start_turn(thread, "/stream 300 8 100").await?;
    for number in 0..5 {
        writer.next::<ItemAgentMessageDelta>(|p| p.delta.starts_with(&format!("{number} "))).await?;
    }
    let mut reader = home.client().await?;
    let resumed = reader.resume(thread).await?;
    let items: &[ThreadItem] = &resumed.thread.turns.last().unwrap().items;
    let so_far = items.iter().find_map(skein_integration_tests::requests::agent_text);
    let mut text = so_far.unwrap_or_default();
    assert!(text.starts_with("0 ") && text.contains("4 "), "the text so far: {text:?}");
    reader.turn_end(&turn).await?;
    for delta in reader.received::<ItemAgentMessageDelta>()? {
        text.push_str(&delta.delta);
    }
    assert_eq!(reader.reply_text(&turn)?, Some(text), "snapshot and deltas are the whole text, once");
    home.finish().await
}
