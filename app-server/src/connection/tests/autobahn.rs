//! The cases of the Autobahn test suite for servers, against an echo of the connection's own reader and writer. The client is
//! written by hand: it sends and reads raw frames over TCP.
//!
//! `cases/` has each case with its number, its frames and its verdict, from which docs/websocket.md is made.
//! `scripts/autobahn` runs the published suite against the same echo.

use std::time::Duration;

use self::script::{Case, Player};
use self::server::EchoServer;

mod cases;
mod client;
mod document;
mod published;
mod script;
mod server;

/// The bound of each wait for the server. Only a test that fails waits as long.
const BOUND: Duration = Duration::from_secs(60);

/// Plays the cases of these groups one after the other, and names all that fail.
async fn play(groups: &[&str]) {
    let server = EchoServer::start(0).await;
    let cases: Vec<Case> = cases::all().into_iter().filter(|case| groups.contains(&case.group())).collect();
    assert!(!cases.is_empty(), "{groups:?}");
    let mut failures = Vec::new();
    for case in &cases {
        if let Err(error) = Player::play(server.address, case).await {
            failures.push(format!("{} ({}): {error:#}", case.number, case.about));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
    server.finish().await;
}

#[tokio::test]
async fn frames_of_all_lengths_are_echoed() {
    play(&["1"]).await;
}

#[tokio::test]
async fn pings_are_answered() {
    play(&["2"]).await;
}

#[tokio::test]
async fn reserved_bits_and_opcodes_are_refused() {
    play(&["3", "4"]).await;
}

#[tokio::test]
async fn fragments_become_one_message() {
    play(&["5", "10"]).await;
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_refused() {
    play(&["6"]).await;
}

#[tokio::test]
async fn close_frames_are_answered_with_their_code() {
    play(&["7"]).await;
}

#[tokio::test]
async fn large_and_many_messages_are_echoed() {
    play(&["9"]).await;
}

#[tokio::test]
async fn compression_is_not_offered() {
    play(&["12", "13"]).await;
}

#[tokio::test]
async fn a_message_above_the_limit_is_closed_with_1009() {
    let server = EchoServer::start(0).await;
    for case in cases::above_the_limit() {
        Player::play(server.address, &case).await.unwrap_or_else(|error| panic!("{}: {error:#}", case.about));
    }
    server.finish().await;
}
