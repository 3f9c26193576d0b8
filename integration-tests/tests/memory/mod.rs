//! The server returns memory after a burst.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::process::{resident, wait_until};
use skein_integration_tests::requests::{resume_params, tool_params};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{McpServerToolCall, ThreadList, ThreadRead, ThreadResume};
use skein_protocol::thread::{ThreadListParams, ThreadReadParams};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Waits until the server has at most 1.2 times as much memory as before.
async fn until_back(home: &Home, before: u64) -> Result<()> {
    let what = format!("resident memory is near {before} bytes again");
    let waited =
        wait_until(&what, PATIENCE, || resident(home.pid()).filter(|now| *now * 5 <= before * 6).map(drop));
    waited.await.map_err(|error| error.context(format!("resident memory is {:?}", resident(home.pid()))))
}

/// The server's memory after it has opened everything that it always has open.
async fn at_rest(home: &Home) -> Result<u64> {
    home.client().await?.call::<ThreadList>(ThreadListParams::default()).await?;
    resident(home.pid()).context("the server's memory")
}

/// A thread with 5 MB of text, after a restart.
async fn large_thread(home: &mut Home) -> Result<ThreadId> {
    let mut client = home.client().await?;
    let thread = client.start_thread().await?.id;
    for _ in 0..4 {
        client.turn(thread, "/stream 20 60000").await?;
    }
    home.restart().await?;
    Ok(thread)
}

#[tokio::test]
async fn memory_is_returned_after_many_large_answers() -> Result<()> {
    let mut home = Home::start().await?;
    let thread = large_thread(&mut home).await?;
    let before = at_rest(&home).await?;
    let mut clients: Vec<Client> = try_join_all((0..8).map(|_| home.client())).await?;
    let read = ThreadReadParams { thread_id: thread, include_turns: true };
    try_join_all(clients.iter_mut().map(|client| client.call::<ThreadRead>(read.clone()))).await?;
    let most = resident(home.pid()).context("the server's memory")?;
    ensure!(most > before + (30 << 20), "{before} and {most}: the answers are too small for a result");
    drop(clients);
    until_back(&home, before).await?;
    home.finish().await
}

#[tokio::test]
async fn memory_is_returned_after_clients_that_do_not_read() -> Result<()> {
    // More than all of the stream: the client that reads stays, also where a busy machine keeps it waiting.
    let (home, mut client) = Home::setup().set("limits.outbox_bytes", 8 << 20).start_with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let before = at_rest(&home).await?;
    let mut clients: Vec<Client> = try_join_all((0..200).map(|_| Client::narrow(home.address()))).await?;
    for client in &mut clients {
        client.call::<ThreadResume>(resume_params(thread)).await?;
    }
    // The kernel takes a part of it, which differs.
    let is_much = || resident(home.pid()).is_some_and(|now| now > before + (30 << 20));
    for _ in 0..8 {
        if !is_much() {
            client.turn(thread, "/stream 100 8000 200").await?;
        }
    }
    ensure!(is_much(), "{before}: too little data waits for a result");
    drop(clients);
    client.unload(thread, true).await?;
    until_back(&home, before).await?;
    home.finish().await
}

const MESSAGE: usize = 4 << 20;
/// Requests in flight of a connection, which together have twice the largest message.
const IN_FLIGHT: usize = 8;

/// Takes all requests that one connection may have: calls that hang, and a message that never ends. Returns their bytes.
async fn fill_with_requests(client: &mut Client) -> Result<u64> {
    let thread = client.start_thread().await?.id;
    let text = "x".repeat(MESSAGE * 2 / IN_FLIGHT - 1000);
    let call = tool_params(thread, "helper", "hang", json!({ "text": text }));
    for _ in 0..IN_FLIGHT {
        let _pending = client.start_call::<McpServerToolCall>(&call).await?;
    }
    let error = client.refusal::<McpServerToolCall>(call).await?;
    ensure!(error.reason() == "requestsInFlight", "{error}");
    let part = vec![b' '; MESSAGE - 1000];
    let held = IN_FLIGHT * text.len() + part.len();
    client.send_message(Message::Frame(Frame::message(part, OpCode::Data(Data::Text), false))).await?;
    Ok(held as u64)
}

/// Asks for answers of 2 MB each, and takes none.
async fn fill_with_answers(client: &mut Client, thread: ThreadId) -> Result<()> {
    let read = ThreadReadParams { thread_id: thread, include_turns: true };
    for _ in 0..IN_FLIGHT {
        let _pending = client.start_call::<ThreadRead>(&read).await?;
    }
    Ok(())
}

#[tokio::test]
async fn clients_that_take_all_they_may_stay_below_the_memory_that_the_doctor_names() -> Result<()> {
    const PAIRS: usize = 4;
    let setup = Home::setup().helper(Helper::named("helper")?).set("limits.message_bytes", MESSAGE as i64);
    let setup =
        setup.set("limits.answer_bytes", MESSAGE as i64).set("limits.requests_in_flight", IN_FLIGHT as i64);
    let (home, mut control) = setup.set("limits.connections", 2 * PAIRS as i64).start_with_client().await?;
    let report: Value = serde_json::from_str(&home.skein(&["doctor", "--json"]).await?)?;
    let bound = &report["clientMemory"];
    ensure!(bound["connections"] == 2 * PAIRS, "{report}");
    let most = bound["totalBytes"].as_u64().context("no bound")?;
    let thread = control.start_thread().await?.id;
    for _ in 0..2 {
        control.turn(thread, "/stream 20 60000").await?;
    }
    let before = at_rest(&home).await?;
    let mut clients = Vec::new();
    let mut held = 0;
    for number in 1..2 * PAIRS {
        let mut client = Client::narrow(home.address()).await?;
        if number % 2 == 0 {
            held += fill_with_requests(&mut client).await?;
        } else {
            fill_with_answers(&mut client, thread).await?;
        }
        clients.push(client);
    }
    control.until_status("answers wait", |status| status.outbox_bytes > (PAIRS << 20) as u64).await?;
    let filled = || resident(home.pid()).filter(|now| *now > before + held).map(drop);
    wait_until("the server holds the requests", PATIENCE, filled).await?;
    let now = resident(home.pid()).context("the server's memory")?;
    eprintln!("{held} bytes of requests: resident {before}, then {now}; the bound of all clients is {most}");
    ensure!(now < before + most, "{before}, then {now}, above the bound {most}");
    drop((clients, control));
    home.finish().await
}
