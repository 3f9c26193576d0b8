//! What a bridge does between the end of its input and its own: what only its user had ends, soon, and what is owed is told.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::requests::{tool_params, turn_params};
use skein_integration_tests::streams::Streams;
use skein_protocol::methods::{McpServerToolCall, ThreadStart, TurnStart};
use skein_protocol::thread::ThreadStartParams;
use skein_protocol::turn::TurnStatus;

use super::{HANGS, ended_turn};

#[tokio::test]
async fn a_turn_that_is_the_last_word_ends_with_its_user() -> Result<()> {
    let home = Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start().await?;
    let mut other = home.client().await?;
    // In most of these the server has not begun the turn when it hears of the end.
    for _ in 0..8 {
        let mut streams = Streams::start(&home.path()).await?;
        let thread = streams.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
        streams.ask::<TurnStart>(turn_params(thread, HANGS)).await?;
        streams.end(PATIENCE).await?;
        assert_eq!(other.loaded().await?, []);
        assert_eq!(ended_turn(&home, thread).await?, TurnStatus::Interrupted);
    }
    home.finish().await
}

#[tokio::test]
async fn a_call_of_a_tool_that_is_under_way_does_not_hold_the_end() -> Result<()> {
    let home = Home::setup().helper(Helper::with("helper", &["--stubborn"])?).start().await?;
    let mut other = home.client().await?;
    let mut streams = Streams::start(&home.path()).await?;
    let thread = streams.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
    streams.ask::<McpServerToolCall>(tool_params(thread, "helper", "hang", json!({}))).await?;
    home.until_helpers(2, PATIENCE).await?;
    streams.end(PATIENCE).await?;
    assert_eq!(other.loaded().await?, []);
    home.finish().await
}
