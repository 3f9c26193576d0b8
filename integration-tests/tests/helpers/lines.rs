//! Faults in one helper's output affect only that helper. Other helpers and the server work on, in bounded
//! memory.

use anyhow::{Context, Result};
use serde_json::json;
use skein_integration_tests::client::{Client, Pending};
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::process::resident;
use skein_integration_tests::process::wait_until;
use skein_integration_tests::requests::tool_params;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::McpServerToolCall;

use super::text;

/// Allowed growth of the server's memory, bytes: four times the longest line, and far less than the faults
/// send.
const MORE_MEMORY: u64 = 96 << 20;

/// A thread with a faulty helper and another one.
async fn beside_another() -> Result<(Home, Client, ThreadId)> {
    let setup = Home::setup().helper(Helper::named("wrong")?).helper(Helper::named("other")?);
    let (home, mut client) = setup.start_with_client().await?;
    let thread = client.start_thread().await?.id;
    for helper in ["wrong", "other"] {
        client.tool(thread, helper, "pid", json!({})).await?;
    }
    Ok((home, client, thread))
}

/// Checks that the other helper and the server answer.
async fn others_work(client: &mut Client, thread: ThreadId) -> Result<()> {
    let answer = client.tool(thread, "other", "echo", json!({ "text": "fine" })).await?;
    assert_eq!(text(&answer), "fine");
    client.status().await?;
    Ok(())
}

/// Begins a call of the faulty helper.
async fn begin(
    client: &mut Client,
    thread: ThreadId,
    tool: &str,
    arguments: serde_json::Value,
) -> Result<Pending<McpServerToolCall>> {
    client.start_call(&tool_params(thread, "wrong", tool, arguments)).await
}

fn taken(home: &Home) -> Result<u64> {
    resident(home.pid()).context("the server lives")
}

#[tokio::test]
async fn a_flood_of_unexpected_messages_affects_only_its_helper() -> Result<()> {
    let (home, mut client, thread) = beside_another().await?;
    let before = taken(&home)?;
    let flood = begin(&mut client, thread, "stdout_flood", json!({ "lines": 300_000 })).await?;
    for _ in 0..20 {
        others_work(&mut client, thread).await?;
    }
    assert_eq!(text(&client.answer(flood).await?.map_err(anyhow::Error::msg)?), "flooded");
    assert!(taken(&home)? < before + MORE_MEMORY);
    home.finish().await
}

#[tokio::test]
async fn an_endless_line_stops_its_helper_only() -> Result<()> {
    let (home, mut client, thread) = beside_another().await?;
    let before = taken(&home)?;
    let endless = begin(&mut client, thread, "endless", json!({})).await?;
    others_work(&mut client, thread).await?;
    assert_eq!(client.answer(endless).await?.unwrap_err().reason(), "helperEnded");
    others_work(&mut client, thread).await?;
    assert!(taken(&home)? < before + MORE_MEMORY);
    home.finish().await
}

#[tokio::test]
async fn a_line_of_a_hundred_megabytes_stops_its_helper_only() -> Result<()> {
    let (home, mut client, thread) = beside_another().await?;
    let before = taken(&home)?;
    let large = begin(&mut client, thread, "bigline", json!({ "bytes": 100_000_000 })).await?;
    others_work(&mut client, thread).await?;
    assert_eq!(client.answer(large).await?.unwrap_err().reason(), "helperEnded");
    others_work(&mut client, thread).await?;
    assert!(taken(&home)? < before + MORE_MEMORY);
    home.finish().await
}

#[tokio::test]
async fn a_gigabyte_on_stderr_without_a_newline_is_read_and_dropped() -> Result<()> {
    let (home, mut client, thread) = beside_another().await?;
    let before = taken(&home)?;
    let flood = begin(&mut client, thread, "stderr_flood", json!({ "bytes": 1_000_000_000 })).await?;
    for _ in 0..10 {
        others_work(&mut client, thread).await?;
    }
    assert_eq!(text(&client.answer(flood).await?.map_err(anyhow::Error::msg)?), "flooded");
    assert!(taken(&home)? < before + MORE_MEMORY);
    home.finish().await
}

#[tokio::test]
async fn unexpected_and_repeated_answers_are_ignored() -> Result<()> {
    let (home, mut client, thread) = beside_another().await?;
    let answer = client.tool(thread, "wrong", "double", json!({})).await?;
    assert_eq!(text(&answer), "first");
    let slow = begin(&mut client, thread, "sleep", json!({ "ms": 300 })).await?;
    let quick = begin(&mut client, thread, "sleep", json!({ "ms": 1 })).await?;
    // The second call is answered before the first.
    client.answer(quick).await?.map_err(anyhow::Error::msg)?;
    client.answer(slow).await?.map_err(anyhow::Error::msg)?;
    others_work(&mut client, thread).await?;
    home.finish().await
}

#[tokio::test]
async fn a_helper_that_closes_its_input_and_keeps_running_is_stopped() -> Result<()> {
    let (home, mut client, thread) = beside_another().await?;
    let before: Vec<u32> = home.family().helpers.iter().map(|helper| helper.pid).collect();
    // Open before the helper closes its input: a later call may find the next process, and succeed.
    let open = begin(&mut client, thread, "sleep", json!({ "ms": 600_000 })).await?;
    client.tool(thread, "wrong", "close_stdin", json!({})).await?;
    let error = client.answer(open).await?.unwrap_err();
    assert_eq!(error.reason(), "helperEnded");
    assert!(error.message.contains("it closed its input"), "{error}");
    others_work(&mut client, thread).await?;
    // A new process may run by now.
    let left = || home.family().helpers.iter().filter(|helper| before.contains(&helper.pid)).count();
    wait_until("the end of the process", PATIENCE, || (left() == before.len() - 1).then_some(())).await?;
    home.finish().await
}

/// Abandoned calls leave nothing behind: neither their texts nor tasks that report them.
#[tokio::test]
async fn abandoned_calls_of_a_helper_that_stopped_reading_take_no_memory() -> Result<()> {
    let (home, mut client, thread) = beside_another().await?;
    let _deaf = begin(&mut client, thread, "deaf", json!({})).await?;
    let before = taken(&home)?;
    let large = "x".repeat(2_000_000);
    // 240 MB in total; every caller has left.
    for _ in 0..40 {
        let mut caller = home.client().await?;
        for _ in 0..3 {
            let call = tool_params(thread, "wrong", "echo", json!({ "text": large }));
            let _never: Pending<McpServerToolCall> = caller.start_call(&call).await?;
        }
        caller.quiesce().await?;
    }
    others_work(&mut client, thread).await?;
    assert!(taken(&home)? < before + MORE_MEMORY, "{} MB more", (taken(&home)? - before) >> 20);
    home.finish().await
}

#[tokio::test]
async fn questions_of_a_helper_are_bounded_and_its_pings_answered() -> Result<()> {
    let (home, mut client, thread) = beside_another().await?;
    let before = taken(&home)?;
    // The tool answers once this many questions are refused.
    let all_but_few = json!({ "count": 5_000, "refused": 5_000 - 64 });
    let refused = client.tool(thread, "wrong", "ask_many", all_but_few).await?;
    assert!(text(&refused).parse::<usize>()? >= 5_000 - 64, "{refused:?}");
    others_work(&mut client, thread).await?;
    assert!(taken(&home)? < before + MORE_MEMORY);
    home.finish().await
}
