//! A subscribed thread that is taken from its subscribers: they see it, stay subscribed, and their next turn loads it.

use anyhow::Result;
use skein_integration_tests::home::{Home, ZERO_BOUND};
use skein_protocol::extension::{LoadedState, UnloadOutcome};
use skein_protocol::notifications::{ThreadClosed, ThreadStatusChanged};
use skein_protocol::thread::ThreadStatus;
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn a_forced_unload_leaves_the_others_subscribed_and_their_next_turn_loads_again() -> Result<()> {
    let home = Home::start().await?;
    let mut control = home.client().await?;
    let mut asker = home.client().await?;
    let mut other = home.client().await?;
    let thread = asker.start_said_thread("/tool helper pid").await?;
    other.resume(thread).await?;
    assert_eq!(asker.unload(thread, true).await?, UnloadOutcome::Unloaded);
    other
        .next::<ThreadStatusChanged>(|p| p.thread_id == thread && p.status == ThreadStatus::NotLoaded)
        .await?;
    control.thread_closed(thread).await?;
    home.until_zero(ZERO_BOUND).await?;
    // The asker's own subscription has ended with it.
    asker.thread_closed(thread).await?;
    assert_eq!(control.status().await?.threads.subscriptions, 1);

    let turn = other.turn(thread, "/tool helper pid").await?;
    assert_eq!(turn.status, TurnStatus::Completed);
    assert_eq!(other.heard::<ThreadClosed>()?, [], "what one shows is never closed");
    let loaded = control.loaded_thread(thread).await?.map(|loaded| (loaded.state, loaded.subscribers));
    assert_eq!(loaded, Some((LoadedState::Idle, 1)));
    other.close().await?;
    control.thread_closed(thread).await?;
    home.until_zero(ZERO_BOUND).await?;
    home.finish().await
}
