//! The queue of a thread.

use anyhow::{Result, ensure};
use serde_json::json;
use skein_integration_tests::client::Client;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    ThreadQueueAdd, ThreadQueueDelete, ThreadQueueList, ThreadQueueReorder, ThreadQueueStart,
    ThreadQueueUpdate,
};
use skein_protocol::notifications::{ThreadQueueChanged, TurnCompleted};
use skein_protocol::thread::ThreadQueueStartParams;
use skein_protocol::turn::UserInput;

use super::{home, talkative};

#[tokio::test]
async fn messages_wait_in_a_queue_and_become_turns() -> Result<()> {
    let home = home().await?;
    let mut client = talkative(&home).await?;
    let thread = client.start_thread_with("one two").await?;
    queue(&mut client, thread).await?;
    home.finish().await
}

/// Messages wait behind a turn. They change, move, and become turns.
async fn queue(client: &mut Client, thread: ThreadId) -> Result<()> {
    let turn = client.start_turn(thread, "/hang").await?;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        let input = [UserInput::text(text)];
        let added = json!({ "threadId": thread, "clientUserMessageId": text, "input": input });
        let added = client.call::<ThreadQueueAdd>(serde_json::from_value(added)?).await?.queued_submission;
        client.next::<ThreadQueueChanged>(|changed| changed.thread_id == thread).await?;
        ids.push(added.id);
    }
    let listed = json!({ "threadId": thread, "limit": 2 });
    let listed = client.call::<ThreadQueueList>(serde_json::from_value(listed)?).await?;
    ensure!(listed.data.len() == 2 && listed.next_cursor.is_some(), "a page of the queue: {listed:?}");
    let rest = json!({ "threadId": thread, "cursor": listed.next_cursor });
    let rest = client.call::<ThreadQueueList>(serde_json::from_value(rest)?).await?;
    ensure!(rest.data.len() == 1 && rest.next_cursor.is_none(), "the rest of the queue: {rest:?}");
    let order = json!({ "threadId": thread, "queuedSubmissionIds": [ids[2]] });
    client.call::<ThreadQueueReorder>(serde_json::from_value(order)?).await?;
    let input = [UserInput::text("another")];
    let update = json!({ "threadId": thread, "queuedSubmissionId": ids[0], "input": input });
    client.call::<ThreadQueueUpdate>(serde_json::from_value(update)?).await?;
    let delete = json!({ "threadId": thread, "queuedSubmissionId": ids[1] });
    let deleted = client.call::<ThreadQueueDelete>(serde_json::from_value(delete)?).await?.deleted;
    ensure!(deleted, "the message was in the queue");
    client.interrupt_and_wait(thread, &turn).await?;
    let params: ThreadQueueStartParams = serde_json::from_value(json!({ "threadId": thread }))?;
    let started = client.call::<ThreadQueueStart>(params).await?.turn.id;
    ensure!(started == ids[2], "the first message of the queue begins");
    client.next::<TurnCompleted>(|done| done.turn.id == ids[0]).await?;
    Ok(())
}
