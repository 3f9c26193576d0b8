//! The lines that the built-in model understands.

use anyhow::Result;
use skein_integration_tests::home::{Helper, Home};
use skein_protocol::item::{McpToolCallStatus, ThreadItemBody};
use skein_protocol::notifications::{ItemAgentMessageDelta, ItemCompleted, ItemStarted};
use skein_protocol::turn::TurnStatus;

#[tokio::test]
async fn text_comes_back_a_delta_a_word_and_whole_at_the_end() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    assert_eq!(client.say(thread, "three small words").await?, "three small words");
    let deltas: Vec<String> =
        client.heard::<ItemAgentMessageDelta>()?.into_iter().map(|delta| delta.delta).collect();
    assert_eq!(deltas, ["three ", "small ", "words"]);
    home.finish().await
}

#[tokio::test]
async fn a_stream_has_as_many_deltas_as_asked() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    client.turn(thread, "/stream 200 30").await?;
    let deltas = client.heard::<ItemAgentMessageDelta>()?;
    assert_eq!(deltas.len(), 200);
    assert!(deltas.iter().all(|delta| delta.delta.len() >= 30));
    home.finish().await
}

#[tokio::test]
async fn several_tool_lines_are_calls_at_once_and_their_texts_are_the_answer() -> Result<()> {
    let home = Home::setup().helper(Helper::named("one")?).helper(Helper::named("two")?).start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let said = client
        .say(thread, "/tool one echo {\"text\":\"a\"}\n::tool two echo {\"text\":\"b\"}\n/tool one echo {\"text\":\"c\"}")
        .await?;
    assert_eq!(said, "a\nb\nc");
    let calls = |items: Vec<skein_protocol::item::ThreadItem>| {
        items.into_iter().filter(|item| matches!(item.body, ThreadItemBody::McpToolCall(_))).count()
    };
    assert_eq!(calls(client.heard::<ItemStarted>()?.into_iter().map(|item| item.item).collect()), 3);
    assert_eq!(calls(client.heard::<ItemCompleted>()?.into_iter().map(|item| item.item).collect()), 3);
    home.finish().await
}

#[tokio::test]
async fn a_call_of_a_helper_that_is_not_there_is_a_failed_item_and_no_failed_turn() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let turn = client.turn(thread, "/tool nobody echo {}").await?;
    assert_eq!(turn.status, TurnStatus::Completed, "the model is told, and goes on");
    assert!(client.said(&turn.id)?.unwrap().contains("nobody"));
    let failed = client.heard::<ItemCompleted>()?.into_iter().any(|item| {
        matches!(item.item.body, ThreadItemBody::McpToolCall(call)
            if call.status == McpToolCallStatus::Failed && call.error.is_some())
    });
    assert!(failed);
    home.finish().await
}

#[tokio::test]
async fn a_line_with_a_mistake_fails_with_how_to_write_it() -> Result<()> {
    let home = Home::start().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    let turn = client.turn(thread, "/stream many").await?;
    assert_eq!(turn.status, TurnStatus::Failed);
    assert!(turn.error.unwrap().message.contains("/stream COUNT"));
    home.finish().await
}
