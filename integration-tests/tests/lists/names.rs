//! Names: given to threads that are loaded and to threads that are not, told to everybody, kept.

use anyhow::Result;
use skein_integration_tests::home::Home;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::ThreadNameSet;
use skein_protocol::notifications::ThreadNameUpdated;
use skein_protocol::thread::ThreadSetNameParams;
use uuid::Uuid;

use super::listed;

fn name(thread: ThreadId, name: &str) -> ThreadSetNameParams {
    ThreadSetNameParams { name: name.to_owned(), thread_id: thread }
}

#[tokio::test]
async fn a_name_is_told_to_everybody_and_kept() -> Result<()> {
    let mut home = Home::start().await?;
    let mut client = home.client().await?;
    let mut other = home.client().await?;
    let thread = client.start_said_thread("words").await?;
    client.call::<ThreadNameSet>(name(thread, "  Plans  ")).await?;
    for client in [&mut client, &mut other] {
        let told = client.next::<ThreadNameUpdated>(|told| told.thread_id == thread).await?;
        assert_eq!(told.thread_name.as_deref(), Some("Plans"));
    }
    assert_eq!(listed(&mut other, thread).await?.name.as_deref(), Some("Plans"));
    home.kill().await?;
    home.start_again().await?;
    let mut client = home.client().await?;
    assert_eq!(client.read_thread(thread).await?.name.as_deref(), Some("Plans"));
    assert_eq!(listed(&mut client, thread).await?.name.as_deref(), Some("Plans"));
    home.finish().await
}

#[tokio::test]
async fn naming_a_thread_that_is_not_loaded_starts_no_helper_and_leaves_nothing() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_said_thread("words").await?;
    client.unload(thread, false).await?;
    let before = client.status().await?.helpers.started_total;
    client.call::<ThreadNameSet>(name(thread, "Later")).await?;
    let status = client.until_status("nothing loaded", |status| status.threads.loaded == 0).await?;
    assert_eq!(status.helpers.started_total, before);
    assert_eq!(listed(&mut client, thread).await?.name.as_deref(), Some("Later"));
    assert_eq!(client.read_thread(thread).await?.name.as_deref(), Some("Later"));
    home.finish().await
}

#[tokio::test]
async fn a_name_needs_a_thread_and_a_visible_character() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let unknown = ThreadId::new(Uuid::now_v7());
    let error = client.refusal::<ThreadNameSet>(name(unknown, "Plans")).await?;
    assert_eq!(error.reason(), "threadNotFound");
    let thread = client.start_thread().await?.id;
    assert_eq!(client.refusal::<ThreadNameSet>(name(thread, " \t ")).await?.reason(), "emptyName");
    home.finish().await
}
