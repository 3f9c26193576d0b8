//! The crate codex-app-server-sdk over a websocket. Arguments: STEP ADDRESS HOME THREAD TEXT. Its output: see
//! driver.py.

use std::error::Error;
use std::time::Instant;

use codex_app_server_sdk::events::{ServerEvent, ServerNotification, ServerRequestEvent};
use codex_app_server_sdk::protocol::requests::{
    ClientInfo, InitializeParams, ThreadListParams, ThreadResumeParams, ThreadStartParams,
    TurnInterruptParams, TurnStartParams,
};
use codex_app_server_sdk::{CodexClient, WsConfig};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A turn as the client reports it.
#[derive(Default)]
struct Heard {
    text: String,
    times: Vec<Instant>,
    asked: Vec<String>,
    status: Option<Value>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [step, address, _home, thread, text] = arguments.as_slice() else {
        return Err("STEP ADDRESS HOME THREAD TEXT".into());
    };
    let client = CodexClient::connect_ws(WsConfig::default().with_url(address)).await?;
    client.initialize(InitializeParams::new(ClientInfo::new("driver", "Driver", "1"))).await?;
    client.initialized().await?;
    if step == "list" {
        let list = client.thread_list(ThreadListParams::default()).await?;
        let threads: Vec<String> = list.data.into_iter().map(|thread| thread.id).collect();
        println!("{}", json!({ "threads": threads }));
        return Ok(());
    }
    let at = if step == "resume" {
        let params = ThreadResumeParams { thread_id: thread.clone(), ..Default::default() };
        client.thread_resume(params).await?
    } else {
        client.thread_start(ThreadStartParams::default()).await?
    };
    let at = at.thread.id;
    let mut heard = Heard::default();
    if step != "start" {
        heard = prompt(&client, &at, text, step == "interrupt").await?;
    }
    let seconds = match heard.times.as_slice() {
        [first, .., last] => last.duration_since(*first).as_secs_f64(),
        _ => 0.0,
    };
    let Heard { text, times, asked, status } = heard;
    let pieces = times.len();
    let told = json!({ "thread": at, "text": text, "pieces": pieces, "seconds": seconds, "asked": asked, "status": status });
    println!("{told}");
    Ok(())
}

/// Sends a prompt and listens until its turn is over.
async fn prompt(client: &CodexClient, thread: &str, text: &str, interrupt: bool) -> Result<Heard> {
    let mut heard = Heard::default();
    let mut events = client.subscribe();
    let turn = client.turn_start(TurnStartParams::text(thread, text)).await?.turn.id;
    loop {
        match events.recv().await? {
            ServerEvent::Notification(ServerNotification::ItemAgentMessageDelta(delta)) => {
                heard.text.push_str(&delta.delta.unwrap_or_default());
                heard.times.push(Instant::now());
                if interrupt && heard.times.len() == 1 {
                    let (thread_id, turn_id) = (thread.to_owned(), turn.clone());
                    let params = TurnInterruptParams { thread_id, turn_id, extra: serde_json::Map::new() };
                    client.turn_interrupt(params).await?;
                }
            }
            ServerEvent::Notification(ServerNotification::TurnCompleted(done)) if done.turn.id == turn => {
                heard.status = Some(serde_json::to_value(done.turn.status)?);
                return Ok(heard);
            }
            ServerEvent::ServerRequest(question) => answer(client, question, &mut heard).await?,
            ServerEvent::TransportClosed => return Err("the server is gone".into()),
            ServerEvent::Notification(_) => {}
        }
    }
}

/// Answers as a user does who agrees to a call of a tool, which this client knows as a question of any kind.
async fn answer(client: &CodexClient, question: ServerRequestEvent, heard: &mut Heard) -> Result<()> {
    match question {
        ServerRequestEvent::Unknown { id, method, .. } => {
            heard.asked.push(method);
            client
                .respond_server_request(id, json!({ "action": "accept", "content": null, "_meta": null }))
                .await?;
        }
        other => return Err(format!("{other:?} was not expected").into()),
    }
    Ok(())
}
