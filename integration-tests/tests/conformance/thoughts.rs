//! Reasoning of a model, compaction of a long conversation, and requests that only Skein has.

use anyhow::Result;
use skein_integration_tests::client::Client;
use skein_integration_tests::home::Home;
use skein_protocol::extension::{SkeinConnectionLeaveParams, SkeinHelpersListParams};
use skein_protocol::methods::{SkeinConnectionLeave, SkeinHelpersList, ThreadCompactStart, TurnStart};
use skein_protocol::notifications::{
    ItemPlanDelta, ItemReasoningSummaryPartAdded, ItemReasoningSummaryTextDelta, ItemReasoningTextDelta,
    TurnCompleted, Warning,
};
use skein_protocol::thread::ThreadCompactStartParams;
use skein_protocol::turn::{TurnStartParams, TurnStatus, UserInput};

const SCENARIO: &str = r#"
[[turn]]
when = "think"
[[turn.answer]]
steps = [
  { think = "First" },
  { think = "second", part = 1 },
  { think = "as it is", raw = true },
  { say = "Thought." },
]

[[turn]]
when = "silence"
[[turn.answer]]
steps = [{ think = "Nothing to say." }]

[[turn]]
when = "plan"
[[turn.answer]]
steps = [{ say = "So:\n<proposed_plan>\n- one\n</proposed_plan>" }]

[[turn]]
[[turn.answer]]
steps = [{ say = "They wanted thoughts." }]
"#;

#[tokio::test]
async fn reasoning_is_streamed_and_a_conversation_is_compacted() -> Result<()> {
    let home = Home::setup().set("model_provider", "scripted").set("model", "scenario.toml").start().await?;
    std::fs::write(home.path().join("scenario.toml"), SCENARIO)?;
    let mut client = Client::numbered(home.address()).await?;
    let thread = client.start_thread().await?.id;
    client.turn(thread, "think").await?;
    assert_eq!(client.received::<ItemReasoningSummaryTextDelta>()?.len(), 2);
    assert_eq!(client.received::<ItemReasoningSummaryPartAdded>()?.len(), 1);
    assert_eq!(client.received::<ItemReasoningTextDelta>()?.len(), 1);
    client.turn(thread, "silence").await?;
    assert_eq!(client.received::<Warning>()?.len(), 1);
    let mut params = TurnStartParams::new(thread, vec![UserInput::text("plan")]);
    let mode = serde_json::json!({"mode": "plan", "settings": {"model": ""}});
    params.collaboration_mode = serde_json::from_value(mode)?;
    client.call::<TurnStart>(params).await?;
    client.next::<TurnCompleted>(|_| true).await?;
    assert_eq!(client.received::<ItemPlanDelta>()?.len(), 1);
    client.call::<ThreadCompactStart>(ThreadCompactStartParams { thread_id: thread }).await?;
    let done = client.next::<TurnCompleted>(|_| true).await?;
    assert_eq!(done.turn.status, TurnStatus::Completed, "{done:?}");
    client.call::<SkeinHelpersList>(SkeinHelpersListParams::default()).await?;
    client.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams::default()).await?;
    home.finish().await
}
