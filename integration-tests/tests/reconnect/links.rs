//! Links that stall, trickle and break.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use skein_integration_tests::client::End;
use skein_integration_tests::home::Home;
use skein_integration_tests::proxy::{Flow, Proxy};
use skein_integration_tests::view::{Kind, Leave, Window};

use super::ends_drained;

/// A used thread, shown by a window with a good link and a window behind a proxy.
async fn shown_twice(home: &Home, kind: Kind) -> Result<(Window, Proxy, Window)> {
    let mut near = Window::start(Kind::Numbered, home.address()).await?;
    let turn = near.start_turn("words").await?;
    near.until_turn_end(&turn).await?;
    let link = Proxy::start(home.address()).await?;
    let far = Window::open(kind, &link.address(), near.thread()).await?;
    Ok((near, link, far))
}

#[tokio::test]
async fn a_stalled_link_delays_nobody_else_and_catches_up() -> Result<()> {
    let home = Home::start().await?;
    let (mut near, link, mut far) = shown_twice(&home, Kind::Plain).await?;
    link.set(Flow::Stalled);
    for text in ["/stream 200 20", "/stream 50 8 1000", "/tool helper echo {\"text\":\"x\"}"] {
        let turn = near.start_turn(text).await?;
        near.until_turn_end(&turn).await?;
    }
    link.set(Flow::Open);
    let last = near.view.turns.last().context("a turn")?.id.clone();
    far.until_turn_end(&last).await?;
    far.view.same_as(&near.view)?;
    let mut control = home.client_at_owner().await?;
    assert_eq!(control.status().await?.refusals.slow_clients, 0);
    drop((near, far, link));
    ends_drained(&home, &mut control).await?;
    home.finish().await
}

#[tokio::test]
async fn a_link_stalled_too_long_is_closed_with_1013_and_resumes_by_number() -> Result<()> {
    let home = Home::setup().set("limits.outbox_bytes", 64 * 1024).start().await?;
    let (mut near, link, mut far) = shown_twice(&home, Kind::Numbered).await?;
    let (mut judge, mut control) = (home.client().await?, home.client_at_owner().await?);
    link.set(Flow::Stalled);
    // Until the server gives up the client that does not read; the other client receives everything
    // meanwhile.
    near.until_one_is_given_up(&mut judge).await?;
    ensure!(judge.status().await?.refusals.slow_clients == 1, "only one client does not read");
    control.until_status("its subscription has ended", |status| status.threads.subscriptions == 1).await?;
    link.set(Flow::Open);
    let end = far.until_closed().await?;
    ensure!(matches!(end, End::Close(Some(1013)) | End::Broken), "the connection has ended with {end:?}");
    far.leave(Leave::Drop).await?;
    far.come_back(&link.address()).await?;
    let last = near.view.turns.last().context("a turn")?.id.clone();
    far.until_turn_end(&last).await?;
    far.view.same_as(&near.view)?;
    ensure!(far.view.gaps == 0, "the history continues");
    drop((near, far, link, judge));
    ends_drained(&home, &mut control).await?;
    home.finish().await
}

#[tokio::test]
async fn a_trickle_works_both_ways() -> Result<()> {
    let home = Home::start().await?;
    let (mut near, link, mut far) = shown_twice(&home, Kind::Numbered).await?;
    link.set(Flow::Trickle { bytes: 64, pause: Duration::from_millis(1) });
    let turn = far.start_turn("/ask Which of the many?").await?;
    far.until("the question", |view| view.open_question().is_some()).await?;
    far.answer("the one that came in small pieces").await?;
    far.until_turn_end(&turn).await?;
    assert_eq!(far.view.last_text().as_deref(), Some("the one that came in small pieces"));
    // Handshake, resume and the following events also come through the trickle.
    far.leave(Leave::Goodbye).await?;
    let turn = near.start_turn("/stream 20 8 200").await?;
    far.come_back(&link.address()).await?;
    far.until_turn_end(&turn).await?;
    near.until_turn_end(&turn).await?;
    far.view.same_as(&near.view)?;
    let mut control = home.client_at_owner().await?;
    drop((near, far, link));
    ends_drained(&home, &mut control).await?;
    home.finish().await
}

#[tokio::test]
async fn a_link_that_is_cut_repeatedly_loses_nothing() -> Result<()> {
    let home = Home::start().await?;
    for kind in [Kind::Numbered, Kind::Plain] {
        let (mut near, link, mut far) = shown_twice(&home, kind).await?;
        let turn = near.start_turn("/stream 400 8 1000").await?;
        for after in 0..20 {
            far.receive_some(after, |view| view.has_ended(&turn)).await?;
            link.cut_once();
            far.leave(Leave::Drop).await?;
            // Also in the middle of a handshake, or of an answer.
            if after % 3 == 0 {
                link.set(Flow::Trickle { bytes: 256, pause: Duration::from_millis(1) });
            } else {
                link.set(Flow::Open);
            }
            far.come_back(&link.address()).await?;
        }
        for window in [&mut near, &mut far] {
            window.until_turn_end(&turn).await?;
        }
        far.view.same_as(&near.view)?;
    }
    let mut control = home.client_at_owner().await?;
    ends_drained(&home, &mut control).await?;
    home.finish().await
}
