//! The `-c` settings of two app-servers on one home: each applies to the threads of its own client.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::paths;
use skein_integration_tests::requests::{resume_params, turn_params};
use skein_integration_tests::streams::Streams;
use skein_protocol::methods::{Initialize, ThreadFork, ThreadResume, ThreadStart, TurnStart};
use skein_protocol::notifications::{ConfigWarning, TurnCompleted};
use skein_protocol::settings::{AskForApproval, SandboxMode};
use skein_protocol::table::Method;
use skein_protocol::thread::{ThreadForkParams, ThreadStartParams};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::unserved;

/// The settings of a client whose user gets no questions.
const FREE: [&str; 3] = ["approval_policy=never", "sandbox_mode=danger-full-access", "model=other"];

async fn unserved_plain() -> Result<Home> {
    let mut home = Home::start().await?;
    home.stop().await?;
    Ok(home)
}

#[tokio::test]
async fn the_second_client_gets_questions_by_its_own_settings() -> Result<()> {
    let home = unserved_plain().await?;
    let mut free = Streams::start_with(&home.path(), &FREE).await?;
    let mut careful = Streams::start_with(&home.path(), &["approval_policy=untrusted"]).await?;
    let mut silent = Streams::start(&home.path()).await?;
    let start = ThreadStartParams::default;
    assert_eq!(free.call::<ThreadStart>(start()).await?.approval_policy, AskForApproval::Never);
    let begun = careful.call::<ThreadStart>(start()).await?;
    assert_eq!(begun.approval_policy, AskForApproval::Untrusted);
    let stderr = silent.call::<ThreadStart>(start()).await?;
    assert_eq!((stderr.approval_policy, stderr.model.as_str()), (AskForApproval::OnRequest, "echo"));

    careful.call::<TurnStart>(turn_params(begun.thread.id, "/tool helper destroy")).await?;
    let question = careful.question().await?;
    assert_eq!(question["params"]["serverName"], "helper", "{question}");
    careful.say(&json!({"id": question["id"], "result": {"action": "decline"}})).await?;
    careful.next::<TurnCompleted>(|_| true).await?;
    finish(home, [free, careful, silent]).await
}

#[tokio::test]
async fn a_clients_own_params_win_over_its_start_settings() -> Result<()> {
    let home = unserved_plain().await?;
    let free = Streams::start_with(&home.path(), &FREE).await?;
    let careful = ["approval_policy=untrusted", "sandbox_mode=read-only", "model=mine"];
    let mut careful = Streams::start_with(&home.path(), &careful).await?;
    let named = ThreadStartParams {
        approval_policy: Some(AskForApproval::OnRequest),
        ..ThreadStartParams::default()
    };
    let begun = careful.call::<ThreadStart>(named).await?;
    assert_eq!((begun.approval_policy, begun.model.as_str()), (AskForApproval::OnRequest, "mine"));
    let config = json!({"approval_policy": "on-request", "model": "theirs"});
    let named = ThreadStartParams { config: config.as_object().cloned(), ..ThreadStartParams::default() };
    let begun = careful.call::<ThreadStart>(named).await?;
    assert_eq!((begun.approval_policy, begun.model.as_str()), (AskForApproval::OnRequest, "theirs"));
    let named = ThreadStartParams {
        sandbox: Some(SandboxMode::DangerFullAccess),
        model: Some("theirs".to_owned()),
        ..ThreadStartParams::default()
    };
    let begun = careful.call::<ThreadStart>(named).await?;
    assert_eq!((begun.approval_policy, begun.model.as_str()), (AskForApproval::Untrusted, "theirs"));
    finish(home, [free, careful]).await
}

#[tokio::test]
async fn start_settings_apply_to_resumed_and_forked_threads() -> Result<()> {
    let home = unserved_plain().await?;
    let mut free = Streams::start_with(&home.path(), &FREE).await?;
    let thread = free.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
    free.call::<TurnStart>(turn_params(thread, "words")).await?;
    free.next::<TurnCompleted>(|_| true).await?;
    let mut careful = Streams::start_with(&home.path(), &["approval_policy=untrusted"]).await?;
    let fork = careful.call::<ThreadFork>(ThreadForkParams::of(thread)).await?;
    assert_eq!(fork.approval_policy, AskForApproval::Untrusted);
    careful.end(PATIENCE).await?;
    free.end(PATIENCE).await?;

    // No client has loaded the thread.
    let mut free = Streams::start(&home.path()).await?;
    let mut careful = Streams::start_with(&home.path(), &["approval_policy=untrusted"]).await?;
    let resumed = careful.call::<ThreadResume>(resume_params(thread)).await?;
    assert_eq!(resumed.approval_policy, AskForApproval::Untrusted);
    // A loaded thread keeps its settings when another client resumes it.
    let resumed = free.call::<ThreadResume>(resume_params(thread)).await?;
    assert_eq!(resumed.approval_policy, AskForApproval::Untrusted);
    finish(home, [free, careful]).await
}

#[tokio::test]
async fn helper_settings_of_a_start_apply_to_its_client() -> Result<()> {
    let home = unserved().await?;
    let first = Streams::start(&home.path()).await?;
    let off = ["mcp_servers.helper.enabled=false"];
    let mut second = Streams::start_with(&home.path(), &off).await?;
    let thread = second.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
    second.call::<TurnStart>(turn_params(thread, "/tool helper look")).await?;
    second.next::<TurnCompleted>(|_| true).await?;
    assert!(!json!(second.record()).to_string().contains("seen 0"), "the helper is off");
    finish(home, [first, second]).await
}

#[tokio::test]
async fn a_client_is_warned_of_settings_that_only_the_server_can_apply() -> Result<()> {
    let home = unserved_plain().await?;
    let first = Streams::start(&home.path()).await?;
    let mut second =
        Streams::start_with(&home.path(), &["limits.mailbox=7", "features.web=true", "model=x"]).await?;
    let warning = second.next::<ConfigWarning>(|_| true).await?;
    assert!(warning.summary.contains("-c limits"), "{warning:?}");
    assert!(!warning.summary.contains("features") && !warning.summary.contains("model"), "{warning:?}");
    let (code, stderr) = second.exit(PATIENCE).await?;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.lines().any(|line| line.contains("WARN") && line.contains("-c limits")), "{stderr}");
    first.end(PATIENCE).await?;
    home.finish().await
}

/// The first program ends when no client needs it any more.
async fn finish<const COUNT: usize>(home: Home, all: [Streams; COUNT]) -> Result<()> {
    let ends: Vec<_> = all.into_iter().map(|streams| tokio::spawn(streams.end(PATIENCE))).collect();
    for end in ends {
        end.await?.context("an end")?;
    }
    home.finish().await
}

/// Sends a request over a websocket, and returns its answer.
async fn ask<M: Method>(socket: &mut WebSocketStream<UnixStream>, id: i64, params: Value) -> Result<Value> {
    let request = json!({ "id": id, "method": M::INFO.wire, "params": params });
    socket.send(Message::text(request.to_string())).await?;
    loop {
        let message = socket.next().await.context("the connection ended")??;
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text)?;
        if message["id"] == id && message["method"].is_null() {
            ensure!(message["error"].is_null(), "{message}");
            return Ok(message["result"].clone());
        }
    }
}

#[tokio::test]
async fn a_socket_that_leads_to_another_server_carries_the_settings_of_its_start() -> Result<()> {
    let home = unserved_plain().await?;
    let first = Streams::start(&home.path()).await?;
    let path = home.path().join("own.sock");
    let mut second = Command::new(paths::skein()?);
    second.args(["app-server", "--listen", &format!("unix://{}", path.display())]);
    second.args(["-c", "approval_policy=untrusted", "-c", "model=mine", "-c", "limits.mailbox=7", "--home"]);
    second.arg(home.path()).env_remove("SKEIN_HOME").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut second = second.kill_on_drop(true).spawn()?;
    let mut ready = BufReader::new(second.stdout.take().context("stdout")?).lines();
    ready.next_line().await?.context("the line that it listens")?;

    let (mut socket, _) = client_async("ws://localhost/", UnixStream::connect(&path).await?).await?;
    let hello = json!({ "clientInfo": { "name": "test", "version": "1" } });
    ask::<Initialize>(&mut socket, 1, hello).await?;
    let begun = ask::<ThreadStart>(&mut socket, 2, json!({})).await?;
    assert_eq!([&begun["approvalPolicy"], &begun["model"]], ["untrusted", "mine"]);
    let begun = ask::<ThreadStart>(&mut socket, 3, json!({ "model": "theirs" })).await?;
    assert_eq!([&begun["approvalPolicy"], &begun["model"]], ["untrusted", "theirs"]);
    socket.close(None).await?;
    drop(socket);

    kill(Pid::from_raw(second.id().context("its id")?.try_into()?), Signal::SIGTERM)?;
    let ended = second.wait_with_output().await?;
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("-c limits") && !stderr.contains("-c model"), "{stderr}");
    first.end(PATIENCE).await?;
    home.finish().await
}
