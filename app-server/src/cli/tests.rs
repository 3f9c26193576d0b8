//! A client beside a small server that plays a script.

mod documents;
mod outputs;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use skein_protocol::extension::{SkeinHelpersListResponse, SkeinStatusResponse};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::client::{CliClient, RequestError};
use super::{Where, helpers, status};

/// Serves one connection: for each request the messages of `script`, then the end.
async fn serve(listener: TcpListener, script: Vec<Vec<Value>>) {
    serve_link(listener.accept().await.unwrap().0, script).await;
}

pub(super) async fn serve_link(link: impl AsyncRead + AsyncWrite + Unpin, script: Vec<Vec<Value>>) {
    let mut socket = accept_async(link).await.unwrap();
    let mut script = script.into_iter();
    while let Some(Ok(message)) = socket.next().await {
        let Ok(text) = message.into_text() else { break };
        let is_request = serde_json::from_str::<Value>(&text).is_ok_and(|asked| asked.get("id").is_some());
        if !is_request {
            continue;
        }
        let Some(answers) = script.next() else { break };
        for answer in answers {
            socket.send(Message::text(answer.to_string())).await.unwrap();
        }
    }
}

/// Shakes hands and calls once; returns the result and the other messages.
async fn call(answers: Vec<Value>) -> (Result<Value, RequestError>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Where { home: None, url: Some(format!("ws://{}", listener.local_addr().unwrap())) };
    let script = vec![vec![json!({"id": 1, "result": {}})], answers];
    let ask = async {
        let mut client = CliClient::open(&target, true).await.unwrap();
        let mut seen = Vec::new();
        let other = |text: &str| {
            seen.push(text.to_owned());
            Ok(())
        };
        let answer = client.call("any", None, other).await;
        client.close().await;
        (answer.map(|answer| serde_json::from_str(answer.get()).unwrap()), seen)
    };
    let ((), asked) = tokio::join!(serve(listener, script), ask);
    asked
}

#[tokio::test]
async fn a_call_gets_its_own_answer_and_shows_the_rest() {
    let told = json!({"method": "told", "params": {}});
    let (answer, seen) = call(vec![told.clone(), json!({"id": 2, "result": {"a": [1]}})]).await;
    assert_eq!(answer.unwrap(), json!({"a": [1]}));
    assert_eq!(seen, [told.to_string()]);
}

#[tokio::test]
async fn a_refusal_differs_from_a_broken_connection() {
    let refusal = json!({"id": 2, "error": {"code": -32602, "message": "no such thing"}});
    let (answer, _) = call(vec![refusal]).await;
    assert!(matches!(answer, Err(RequestError::Refused(error)) if error.message == "no such thing"));
    let (answer, _) = call(vec![json!("not an envelope")]).await;
    assert!(matches!(answer, Err(RequestError::Broken(_))));
}

#[tokio::test]
async fn an_end_before_the_answer_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Where { home: None, url: Some(format!("ws://{}", listener.local_addr().unwrap())) };
    let script = vec![vec![json!({"id": 1, "result": {}})]];
    let ask = async {
        let mut client = CliClient::open(&target, true).await.unwrap();
        client.call("any", None, |_| Ok(())).await.unwrap_err().to_string()
    };
    let ((), error) = tokio::join!(serve(listener, script), ask);
    assert!(error.contains("closed") || error.contains("broke"), "{error}");
}

#[tokio::test]
async fn a_control_socket_that_answers_is_enough() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("server.json"), "{\"pid\": ").unwrap();
    let listener = UnixListener::bind(home.path().join("control.sock")).unwrap();
    let server = async {
        let script = vec![vec![json!({"id": 1, "result": {}})]];
        serve_link(listener.accept().await.unwrap().0, script).await;
    };
    let ask = async { CliClient::open_home(home.path()).await.unwrap().close().await };
    let both = async { tokio::join!(server, ask) };
    tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    // Without it, the error names the unreadable file.
    std::fs::remove_file(home.path().join("control.sock")).unwrap();
    let error = CliClient::open_home(home.path()).await.err().unwrap();
    assert!(format!("{error:#}").contains("server.json"), "{error:#}");
}

#[test]
fn the_table_names_every_subject_once() {
    let status = SkeinStatusResponse { uptime_ms: 3_723_000, ..SkeinStatusResponse::default() };
    let table = status::table(&status);
    let names: Vec<&str> = table.lines().map(|line| line[..status::SUBJECT].trim_end()).collect();
    assert!(names.iter().all(|name| name.len() <= status::SUBJECT - 2), "{table}");
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(names.len(), unique.len(), "{table}");
    assert!(table.contains("up            1 h 2 min"), "{table}");
}

#[test]
fn helpers_are_shown_with_their_processes_as_these_descend() {
    let process =
        |pid, parent, name| json!({"pid": pid, "parent": parent, "name": name, "memoryBytes": 2048});
    let ready = json!({
        "threadId": "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b", "name": "files", "state": "ready", "pid": 7,
        "processes": [process(7, 6, "files-server"), process(9, 7, "child"), process(8, 6, "daemon")],
        "memoryBytes": 6144, "queued": 3, "waiting": 0, "stderr": "first\nlast words",
    });
    let failed = json!({
        "threadId": "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b", "name": "gone", "state": "broken",
        "reason": "it ended with exit code 3", "processes": [], "memoryBytes": 0, "queued": 0, "waiting": 2, "stderr": "",
    });
    let shared = json!({
        "threadId": "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b", "name": "big", "state": "ready", "isolation": "shared",
        "threadIds": ["0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b", "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4c"],
        "processes": [], "memoryBytes": 0, "queued": 0, "waiting": 0, "stderr": "",
    });
    let kept = json!({
        "name": "kept", "state": "ready", "isolation": "project", "quarantined": true,
        "processes": [], "memoryBytes": 0, "queued": 0, "waiting": 0, "stderr": "",
    });
    let listed = serde_json::from_value(json!({"data": [ready, failed, shared, kept]})).unwrap();
    let wanted = "\
0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b  files  ready: 3 processes, 6 KiB, 3 messages wait
  7 files-server, 2 KiB
    9 child, 2 KiB
  8 daemon, 2 KiB
  | last words
0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b  gone  broken: 0 processes, 0 KiB, 2 calls wait
  | it ended with exit code 3
0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b and 1 more  big  ready, shared: 0 processes, 0 KiB
no thread  kept  ready, one for the project, does not respond and takes no calls: 0 processes, 0 KiB";
    assert_eq!(helpers::table(&listed), wanted);
    let none = helpers::table(&SkeinHelpersListResponse::default());
    assert_eq!(none, "there are no helpers");
}
