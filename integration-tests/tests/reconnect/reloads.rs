//! A page that the user reloads repeatedly while a turn runs.

use anyhow::{Context, Result, ensure};
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::view::{Kind, Leave, View, Window};
use skein_protocol::turn::TurnStatus;

use super::{agrees_with_the_kernel, descriptors_at_rest, ends_drained, until_descriptors};

/// Number of reloads.
const RELOADS: usize = 200;
/// Deltas of the turn: at `PER_SECOND` they last far longer than the reloads.
const DELTAS: usize = 100_000;
const PER_SECOND: usize = 1_000;

/// The numbered pieces of a text.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '.']).filter(|piece| !piece.is_empty())
}

/// Checks that the text has every piece from the first, once and in order. Returns their number.
fn whole_and_once(text: &str) -> Result<usize> {
    for (number, piece) in pieces(text).enumerate() {
        ensure!(*piece == number.to_string(), "piece {number} is {piece:?}: {text}");
    }
    Ok(pieces(text).count())
}

/// One reload. The way to leave and the kind of page vary.
async fn reload(page: &mut Window, home: &Home, number: usize) -> Result<()> {
    let how = [Leave::Goodbye, Leave::Drop, Leave::Reset][number % 3];
    page.leave(how).await?;
    page.come_back(home.address()).await?;
    // A page receives a few messages, or none.
    page.receive_some(number as u64 % 4, |view| view.is_at_rest()).await
}

#[tokio::test]
async fn two_hundred_reloads_of_a_running_turn_lose_nothing() -> Result<()> {
    let setup = Home::setup().helper(Helper::named("helper")?).set("durability", "process");
    let home = setup.start().await?;
    let mut control = home.client_at_owner().await?;
    let mut witness = Window::start(Kind::Numbered, home.address()).await?;
    let thread = witness.thread();
    let words = witness.start_turn("/tool helper pid").await?;
    witness.until("the first turn", |view| view.has_ended(&words)).await?;
    let mut pages = [
        Window::open(Kind::Numbered, home.address(), thread).await?,
        Window::open(Kind::Plain, home.address(), thread).await?,
    ];
    let before = descriptors_at_rest(&home, &mut control).await?;
    let turn = witness.start_turn(&format!("/stream {DELTAS} 8 {PER_SECOND}")).await?;
    for number in 0..RELOADS {
        reload(&mut pages[number % 2], &home, number).await?;
    }
    witness.client()?.interrupt(thread, &turn).await?;
    for window in pages.iter_mut().chain([&mut witness]) {
        window.until("the end of the turn", |view| view.has_ended(&turn) && view.is_at_rest()).await?;
    }
    let read = control.read_thread(thread).await?;
    witness.view.same_as_read(&read)?;
    let reply = whole_and_once(&witness.view.last_text().context("the agent's words")?)?;
    ensure!(reply > RELOADS, "{reply} pieces came during {RELOADS} reloads");
    ensure!(
        read.turns.last().map(|turn| turn.status) == Some(TurnStatus::Interrupted),
        "the turn was interrupted"
    );
    for page in &pages {
        page.view.same_as(&witness.view)?;
    }
    let connections = if home.has_one_server() { 4 } else { 1 };
    let status = agrees_with_the_kernel(&home, &mut control, connections).await?;
    assert_eq!((status.threads.subscriptions, status.threads.loaded, status.helpers.alive), (3, 1, 1));
    assert_eq!(status.refusals, Default::default());
    until_descriptors(&home, before).await?;
    drop((pages, witness));
    ends_drained(&home, &mut control).await?;
    home.finish().await
}

#[tokio::test]
async fn reloads_of_the_only_page_keep_its_turn_running() -> Result<()> {
    let home = Home::start().await?;
    let mut control = home.client_at_owner().await?;
    let mut page = Window::start(Kind::Numbered, home.address()).await?;
    let thread = page.thread();
    let turn = page.start_turn(&format!("/stream {DELTAS} 8 {PER_SECOND}")).await?;
    for number in 0..20 {
        page.receive_one().await?;
        page.leave(Leave::Reset).await?;
        // No client is there, and the turn continues.
        control.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
        assert_eq!(control.status().await?.turns.running, 1, "reload {number}");
        page.come_back(home.address()).await?;
    }
    page.client()?.interrupt(thread, &turn).await?;
    page.until("the end of the turn", |view| view.has_ended(&turn)).await?;
    whole_and_once(&page.view.last_text().context("the agent's words")?)?;
    drop(page);
    ends_drained(&home, &mut control).await?;
    home.finish().await
}

#[tokio::test]
async fn an_interrupted_message_keeps_all_but_the_last_second_before_a_kill() -> Result<()> {
    let mut home = Home::start().await?;
    let mut numbered = Window::start(Kind::Numbered, home.address()).await?;
    let thread = numbered.thread();
    let mut plain = Window::open(Kind::Plain, home.address(), thread).await?;
    // A hundred pieces per second.
    numbered.start_turn("/stream 100000 8 100").await?;
    let shown = |view: &View| view.last_text().map_or(0, |text| pieces(&text).count());
    numbered.until("two and a half seconds of text", |view| shown(view) >= 250).await?;
    let shown = shown(&numbered.view);
    home.restart_after_kill().await?;
    for window in [&mut numbered, &mut plain] {
        window.leave(Leave::Drop).await?;
        window.come_back(home.address()).await?;
        window.until("the end of the cut-off turn", |view| view.is_at_rest()).await?;
    }
    numbered.view.same_as(&plain.view)?;
    let kept = whole_and_once(&numbered.view.last_text().context("the agent's words")?)?;
    ensure!(kept + 200 >= shown, "{shown} pieces were shown, {kept} are kept");
    ensure!(numbered.view.gaps == 0, "the history continues");
    let mut control = home.client_at_owner().await?;
    drop((numbered, plain));
    ends_drained(&home, &mut control).await?;
    home.finish().await
}
