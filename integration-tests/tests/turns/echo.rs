//! The input lines of the built-in model.

use anyhow::Result;
use skein_integration_tests::home::{Helper, Home};
use skein_protocol::item::{McpToolCallStatus, ThreadItemBody};
use skein_protocol::notifications::{ItemAgentMessageDelta, ItemCompleted, ItemStarted};
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn text_is_echoed_one_delta_per_word_and_complete_at_the_end() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    assert_eq!(client.say(thread, "three small words").await?, "three small words");
    let deltas: Vec<String> =
        client.received::<ItemAgentMessageDelta>()?.into_iter().map(|delta| delta.delta).collect();
    assert_eq!(deltas, ["three ", "small ", "words"]);
    home.finish().await
}

#[tokio::test]
async fn a_stream_has_the_requested_number_of_deltas() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    client.turn(thread, "/stream 200 30").await?;
    let deltas = client.received::<ItemAgentMessageDelta>()?;
    assert_eq!(deltas.len(), 200);
    assert!(deltas.iter().all(|delta| delta.delta.len() >= 30));
    home.finish().await
}

#[tokio::test]
async fn several_tool_lines_run_at_once_and_their_results_are_the_answer() -> Result<()> {
    let (home, mut client) =
        Home::setup().helper(Helper::named("one")?).helper(Helper::named("two")?).start_with_client().await?;
    let thread = client.start_thread().await?.id;
    let reply = client
        .say(thread, "/tool one echo {\"text\":\"a\"}\n::tool two echo {\"text\":\"b\"}\n/tool one echo {\"text\":\"c\"}")
        .await?;
    assert_eq!(reply, "a\nb\nc");
    let calls = |items: Vec<skein_protocol::item::ThreadItem>| {
        items.into_iter().filter(|item| matches!(item.body, ThreadItemBody::McpToolCall(_))).count()
    };
    assert_eq!(calls(client.received::<ItemStarted>()?.into_iter().map(|item| item.item).collect()), 3);
    assert_eq!(calls(client.received::<ItemCompleted>()?.into_iter().map(|item| item.item).collect()), 3);
    home.finish().await
}

#[tokio::test]
async fn a_call_of_a_missing_helper_fails_the_item_and_not_the_turn() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turn = client.turn(thread, "/tool nobody echo {}").await?;
    assert_eq!(turn.status, TurnStatus::Completed, "the model gets the error and continues");
    assert!(client.reply_text(&turn.id)?.unwrap().contains("nobody"));
    let failed = client.received::<ItemCompleted>()?.into_iter().any(|item| {
        matches!(item.item.body, ThreadItemBody::McpToolCall(call)
            if call.status == McpToolCallStatus::Failed && call.error.is_some())
    });
    assert!(failed);
    home.finish().await
}

#[tokio::test]
async fn an_invalid_line_fails_with_its_correct_form() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let turn = client.turn(thread, "/stream many").await?;
    assert_eq!(turn.status, TurnStatus::Failed);
    assert!(turn.error.unwrap().message.contains("/stream COUNT"));
    home.finish().await
}
