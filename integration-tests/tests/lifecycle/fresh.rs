//! Threads without any message.

use anyhow::{Context, Result};
use skein_integration_tests::home::Home;
use skein_integration_tests::requests::resume_params;
use skein_protocol::methods::{ThreadResume, ThreadStart};
use skein_protocol::notifications::ThreadStarted;
use skein_protocol::thread::ThreadStartParams;

#[tokio::test]
async fn two_connections_resume_a_new_thread_without_a_message() -> Result<()> {
    let home = Home::start().await?;
    let [mut starter, mut other] = home.clients().await?;
    let thread = starter.start_thread().await?.id;
    let first = starter.start_call::<ThreadResume>(&resume_params(thread)).await?;
    let second = other.start_call::<ThreadResume>(&resume_params(thread)).await?;
    for (client, pending) in [(&mut starter, first), (&mut other, second)] {
        let resumed = client.answer(pending).await?.context("the resume")?;
        assert_eq!((resumed.thread.id, resumed.thread.turns.len()), (thread, 0));
    }
    let turn = other.start_turn(thread, "words").await?;
    for client in [&mut starter, &mut other] {
        client.turn_end(&turn).await?;
    }
    home.finish().await
}

#[tokio::test]
async fn an_ephemeral_thread_is_announced_as_ephemeral() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let params = ThreadStartParams { ephemeral: Some(true), ..ThreadStartParams::default() };
    let thread = client.call::<ThreadStart>(params).await?.thread;
    let started = client.next::<ThreadStarted>(|started| started.thread.id == thread.id).await?.thread;
    assert!(thread.ephemeral && started.ephemeral, "{started:?}");
    home.finish().await
}
