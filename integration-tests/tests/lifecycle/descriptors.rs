//! A server with few file descriptors.

use anyhow::{Context, Result};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_protocol::methods::ThreadList;
use skein_protocol::thread::ThreadListParams;
use tokio::net::TcpStream;

/// The hard limit of open files.
const MOST: u64 = 128;

#[tokio::test]
async fn more_threads_than_descriptors_can_be_used() -> Result<()> {
    let (home, mut client) = Home::setup().hard_files(MOST).start_with_client().await?;
    let mut threads = Vec::new();
    for number in 0..MOST {
        threads.push(client.start_thread_with(&format!("thread {number}")).await?);
    }
    for thread in [threads[0], threads[threads.len() - 1]] {
        assert_eq!(client.say(thread, "again").await?, "again");
    }
    let mut other = home.client().await?;
    let list = other.call::<ThreadList>(ThreadListParams { limit: Some(100), ..Default::default() }).await?;
    assert_eq!(list.data.len(), 100);
    assert_eq!(other.status().await?.store.errors_total, 0);
    home.finish().await
}

#[tokio::test]
async fn connections_leave_descriptors_for_files_and_are_accepted_again_later() -> Result<()> {
    let (home, mut client) = Home::setup().hard_files(MOST).start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let address = home.address().strip_prefix("ws://").context("an address")?.to_owned();
    let mut crowd = Vec::new();
    for _ in 0..MOST {
        crowd.push(TcpStream::connect(&address).await?);
    }
    home.until_logged("no connection can be accepted", 1, PATIENCE).await?;
    assert_eq!(client.say(thread, "saved").await?, "saved");
    client.start_thread_with("another one").await?;
    drop(crowd);
    let mut other = home.client().await?;
    other.resume(thread).await?;
    assert_eq!(other.say(thread, "they are gone").await?, "they are gone");
    home.until_logged("connections are accepted again", 1, PATIENCE).await?;
    home.finish().await
}
