//! What clients rely on without knowing it: whole conversations, message by message, as they were when somebody read them.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::snapshot::Talk;
use skein_protocol::methods::{
    Initialize, ThreadCompactStart, ThreadRead, ThreadStart, TurnInterrupt, TurnStart,
};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, McpServerStartupStatusUpdated, ServerRequestResolved, TurnCompleted, TurnStarted,
};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::table::Notification;

/// What the scripted model says.
const SCENARIO: &str = include_str!("scenario.toml");

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.txt"))
}

/// A server whose threads have the scripted model.
async fn scripted() -> Result<Home> {
    let home = Home::setup().helper(Helper::named("helper")?).set("model_provider", "scripted");
    let home = home.set("model", "scenario.toml").start().await?;
    std::fs::write(home.path().join("scenario.toml"), SCENARIO)?;
    Ok(home)
}

/// A client that was introduced; when helpers are up is told apart from everything else.
async fn introduced(home: &Home) -> Result<Talk> {
    let mut talk = Talk::with(skein_integration_tests::client::Client::connect(home.address()).await?);
    let info = json!({ "name": "snapshot", "title": null, "version": "1.0" });
    let quiet = json!({ "optOutNotificationMethods": [McpServerStartupStatusUpdated::INFO.wire] });
    talk.ask::<Initialize>(1, json!({ "clientInfo": info, "capabilities": quiet })).await?;
    Ok(talk)
}

async fn thread(talk: &mut Talk) -> Result<Value> {
    let started = talk.ask::<ThreadStart>(2, json!({})).await?;
    Ok(started["thread"]["id"].clone())
}

fn said(thread: &Value, text: &str) -> Value {
    json!({ "threadId": thread, "input": [{ "type": "text", "text": text, "text_elements": [] }] })
}

#[tokio::test]
async fn a_first_turn() -> Result<()> {
    let home = Home::start().await?;
    let mut talk = introduced(&home).await?;
    let thread = thread(&mut talk).await?;
    talk.ask::<TurnStart>(3, said(&thread, "hello there")).await?;
    talk.hear_of::<TurnCompleted>().await?;
    talk.ask::<ThreadRead>(4, json!({ "threadId": thread, "includeTurns": true })).await?;
    talk.compare(&file("first-turn"), include_str!("first-turn.txt"))?;
    home.finish().await
}

#[tokio::test]
async fn thoughts_and_a_tool() -> Result<()> {
    let home = scripted().await?;
    let mut talk = introduced(&home).await?;
    let thread = thread(&mut talk).await?;
    talk.ask::<TurnStart>(3, said(&thread, "use the tool")).await?;
    talk.hear_of::<TurnCompleted>().await?;
    talk.compare(&file("tool"), include_str!("tool.txt"))?;
    home.finish().await
}

#[tokio::test]
async fn a_question_to_the_user() -> Result<()> {
    let home = Home::start().await?;
    let mut talk = introduced(&home).await?;
    let thread = thread(&mut talk).await?;
    talk.ask::<TurnStart>(3, said(&thread, "/ask which colour?")).await?;
    let question = talk.asked::<ItemToolRequestUserInput>().await?;
    let answers = json!({ "q1": { "answers": ["green"] } });
    talk.send(json!({ "id": question, "result": { "answers": answers } })).await?;
    talk.hear_of::<ServerRequestResolved>().await?;
    talk.hear_of::<TurnCompleted>().await?;
    talk.compare(&file("question"), include_str!("question.txt"))?;
    home.finish().await
}

#[tokio::test]
async fn a_turn_that_is_interrupted() -> Result<()> {
    let home = scripted().await?;
    let mut talk = introduced(&home).await?;
    let thread = thread(&mut talk).await?;
    talk.ask::<TurnStart>(3, said(&thread, "never end")).await?;
    let turn = talk.hear_of::<TurnStarted>().await?.turn.id;
    talk.hear_of::<ItemAgentMessageDelta>().await?;
    talk.ask::<TurnInterrupt>(4, json!({ "threadId": thread, "turnId": turn })).await?;
    talk.hear_of::<TurnCompleted>().await?;
    talk.compare(&file("interrupt"), include_str!("interrupt.txt"))?;
    home.finish().await
}

#[tokio::test]
async fn a_compaction() -> Result<()> {
    let home = scripted().await?;
    let mut talk = introduced(&home).await?;
    let thread = thread(&mut talk).await?;
    talk.ask::<TurnStart>(3, said(&thread, "remember this")).await?;
    talk.hear_of::<TurnCompleted>().await?;
    talk.ask::<ThreadCompactStart>(4, json!({ "threadId": thread })).await?;
    talk.hear_of::<TurnCompleted>().await?;
    talk.ask::<TurnStart>(5, said(&thread, "what do you know?")).await?;
    talk.hear_of::<TurnCompleted>().await?;
    talk.compare(&file("compaction"), include_str!("compaction.txt"))?;
    home.finish().await
}
