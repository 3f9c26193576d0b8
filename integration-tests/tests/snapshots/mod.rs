//! Whole conversations, message by message, compared with reviewed files: clients may rely on details that no
//! other test states.

mod methods;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use skein_integration_tests::home::{Helper, Home};
use skein_integration_tests::snapshot::Recording;
use skein_protocol::methods::{
    Initialize, ThreadCompactStart, ThreadRead, ThreadStart, TurnInterrupt, TurnStart,
};
use skein_protocol::notifications::{
    ItemAgentMessageDelta, McpServerStartupStatusUpdated, ServerRequestResolved, TurnCompleted, TurnStarted,
};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::table::Notification;

/// Script of the model.
const SCENARIO: &str = include_str!("scenario.toml");

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(format!("{name}.txt"))
}

/// A server with the scripted model.
async fn scripted() -> Result<Home> {
    let home = Home::setup().alone().helper(Helper::named("helper")?).set("model_provider", "scripted");
    let home = home.set("model", "scenario.toml").start().await?;
    std::fs::write(home.path().join("scenario.toml"), SCENARIO)?;
    Ok(home)
}

/// An initialised client that opted out of helper start notifications, whose time varies.
async fn introduced(home: &Home) -> Result<Recording> {
    let mut recording =
        Recording::with(skein_integration_tests::client::Client::connect(home.address()).await?);
    let info = json!({ "name": "snapshot", "title": null, "version": "1.0" });
    let quiet = json!({ "optOutNotificationMethods": [McpServerStartupStatusUpdated::INFO.wire] });
    recording.ask::<Initialize>(1, json!({ "clientInfo": info, "capabilities": quiet })).await?;
    Ok(recording)
}

async fn thread(recording: &mut Recording) -> Result<Value> {
    let started = recording.ask::<ThreadStart>(2, json!({})).await?;
    Ok(started["thread"]["id"].clone())
}

fn turn_params(thread: &Value, text: &str) -> Value {
    json!({ "threadId": thread, "input": [{ "type": "text", "text": text, "text_elements": [] }] })
}

#[tokio::test]
async fn a_first_turn() -> Result<()> {
    let home = Home::start().await?;
    let mut recording = introduced(&home).await?;
    let thread = thread(&mut recording).await?;
    recording.ask::<TurnStart>(3, turn_params(&thread, "hello there")).await?;
    recording.receive::<TurnCompleted>().await?;
    recording.ask::<ThreadRead>(4, json!({ "threadId": thread, "includeTurns": true })).await?;
    recording.compare(&file("first-turn"), include_str!("first-turn.txt"))?;
    home.finish().await
}

#[tokio::test]
async fn thoughts_and_a_tool() -> Result<()> {
    let home = scripted().await?;
    let mut recording = introduced(&home).await?;
    let thread = thread(&mut recording).await?;
    recording.ask::<TurnStart>(3, turn_params(&thread, "use the tool")).await?;
    recording.receive::<TurnCompleted>().await?;
    recording.compare(&file("tool"), include_str!("tool.txt"))?;
    home.finish().await
}

#[tokio::test]
async fn a_question_to_the_user() -> Result<()> {
    let home = Home::start().await?;
    let mut recording = introduced(&home).await?;
    let thread = thread(&mut recording).await?;
    recording.ask::<TurnStart>(3, turn_params(&thread, "/ask which colour?")).await?;
    let question = recording.asked::<ItemToolRequestUserInput>().await?;
    let answers = json!({ "q1": { "answers": ["green"] } });
    recording.send(json!({ "id": question, "result": { "answers": answers } })).await?;
    recording.receive::<ServerRequestResolved>().await?;
    recording.receive::<TurnCompleted>().await?;
    recording.compare(&file("question"), include_str!("question.txt"))?;
    home.finish().await
}

#[tokio::test]
async fn a_turn_that_is_interrupted() -> Result<()> {
    let home = scripted().await?;
    let mut recording = introduced(&home).await?;
    let thread = thread(&mut recording).await?;
    recording.ask::<TurnStart>(3, turn_params(&thread, "never end")).await?;
    let turn = recording.receive::<TurnStarted>().await?.turn.id;
    recording.receive::<ItemAgentMessageDelta>().await?;
    recording.ask::<TurnInterrupt>(4, json!({ "threadId": thread, "turnId": turn })).await?;
    recording.receive::<TurnCompleted>().await?;
    recording.compare(&file("interrupt"), include_str!("interrupt.txt"))?;
    home.finish().await
}

#[tokio::test]
async fn a_compaction() -> Result<()> {
    let home = scripted().await?;
    let mut recording = introduced(&home).await?;
    let thread = thread(&mut recording).await?;
    recording.ask::<TurnStart>(3, turn_params(&thread, "remember this")).await?;
    recording.receive::<TurnCompleted>().await?;
    recording.ask::<ThreadCompactStart>(4, json!({ "threadId": thread })).await?;
    recording.receive::<TurnCompleted>().await?;
    recording.ask::<TurnStart>(5, turn_params(&thread, "what do you know?")).await?;
    recording.receive::<TurnCompleted>().await?;
    recording.compare(&file("compaction"), include_str!("compaction.txt"))?;
    home.finish().await
}
