//! A history that cannot be continued is sent completely, and continues from there.

use anyhow::Result;
use skein_integration_tests::home::Home;
use skein_integration_tests::view::{Kind, Leave, View, Window};
use skein_protocol::ids::{Epoch, EventSeq};

use super::ends_drained;

/// Leaves, comes back with `at` as its last number, and receives the following events.
async fn comes_back_from(window: &mut Window, at: (EventSeq, Epoch), home: &Home) -> Result<()> {
    window.leave(Leave::Drop).await?;
    window.view.at = at;
    window.come_back(home.address()).await
}

#[tokio::test]
async fn a_client_with_an_old_number_or_another_epoch_gets_a_full_snapshot() -> Result<()> {
    let home = Home::setup().set("limits.replay", 12).start().await?;
    let mut control = home.client_at_owner().await?;
    let mut witness = Window::start(Kind::Numbered, home.address()).await?;
    let thread = witness.thread();
    let first = witness.start_turn("first words").await?;
    witness.until("the first turn", |view| view.has_ended(&first)).await?;
    let mut window = Window::open(Kind::Numbered, home.address(), thread).await?;
    let (seq, epoch) = window.view.at;
    window.leave(Leave::Drop).await?;
    for text in ["one", "two", "three"] {
        let turn = witness.start_turn(text).await?;
        witness.until("a turn", |view| view.has_ended(&turn)).await?;
    }
    // An event before the replay window; a number from the future; another epoch.
    for at in [(seq, epoch), (EventSeq(seq.0 + 1_000), epoch), (witness.view.at.0, Epoch(epoch.0 + 1))] {
        let gaps = window.view.gaps;
        comes_back_from(&mut window, at, &home).await?;
        assert_eq!(window.view.gaps, gaps + 1, "{at:?}");
        let turn = witness.start_turn("and on").await?;
        for window in [&mut witness, &mut window] {
            let over = |view: &View| view.has_ended(&turn) && view.is_at_rest();
            window.until("the end of the turn", over).await?;
        }
        window.view.same_as(&witness.view)?;
    }
    // After the snapshot, the client continues by number.
    let at = window.view.at;
    comes_back_from(&mut window, at, &home).await?;
    assert_eq!(window.view.gaps, 3);
    assert_eq!(control.status().await?.replay.gaps_total, 3);
    drop((window, witness));
    ends_drained(&home, &mut control).await?;
    home.finish().await
}
