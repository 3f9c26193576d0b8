//! Valid and invalid messages from clients: one clear error for each mistake, and the connection stays open.

mod door;
mod frames;
mod hostile;
mod http;
pub(crate) mod metrics;
mod page;
mod startup;
mod words;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use skein_integration_tests::client::{Client, Received, introduction};
use skein_integration_tests::home::Home;
use skein_protocol::error::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, WireError};
use skein_protocol::ids::RequestId;
use skein_protocol::methods::{Initialize, METHODS, SkeinStatus, ThreadRead, ThreadStart, TurnStart};
use skein_protocol::notifications::{ThreadStarted, ThreadStatusChanged};
use skein_protocol::server::InitializeCapabilities;
use skein_protocol::table::{Method, Notification};
use skein_protocol::thread::ThreadStartParams;

/// Sends a frame without a readable id, and takes its refusal.
async fn refused_without_id(client: &mut Client, frame: &str) -> Result<WireError> {
    client.send_raw(frame).await?;
    let shown: String = frame.chars().take(80).collect();
    let received = client.until(&format!("a refusal of {shown}"), Received::refuses_unknown).await?;
    received.into_answer::<Value>()?.err().context("no refusal")
}

/// Checks that nothing else came, and the connection is open.
async fn lives(client: &mut Client) -> Result<()> {
    client.status().await.context("the connection is closed")?;
    Ok(())
}

#[tokio::test]
async fn invalid_frames_are_refused_with_a_reason() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let wire = SkeinStatus::INFO.wire;
    let request = json!({ "id": 1, "method": wire }).to_string();
    let cases = [
        ("", PARSE_ERROR, "notJson"),
        ("{", PARSE_ERROR, "notJson"),
        ("hello", PARSE_ERROR, "notJson"),
        ("{\"id\":1,}", PARSE_ERROR, "notJson"),
        ("NaN", PARSE_ERROR, "notJson"),
        ("7", INVALID_REQUEST, "notAnObject"),
        ("null", INVALID_REQUEST, "notAnObject"),
        ("[]", INVALID_REQUEST, "batch"),
        (&format!("[{request},{request}]"), INVALID_REQUEST, "batch"),
        ("{}", INVALID_REQUEST, "noMethod"),
        (&json!({ "id": null, "method": wire }).to_string(), INVALID_REQUEST, "badId"),
        (&json!({ "id": 1.5, "method": wire }).to_string(), INVALID_REQUEST, "badId"),
        (&json!({ "id": [1], "method": wire }).to_string(), INVALID_REQUEST, "badId"),
        (&format!("{{\"id\":99999999999999999999,\"method\":{wire:?}}}"), INVALID_REQUEST, "badId"),
        (&json!({ "id": "x".repeat(1000), "method": wire }).to_string(), INVALID_REQUEST, "badId"),
        (&format!("{}{}", "[".repeat(200), "]".repeat(200)), INVALID_REQUEST, "tooDeep"),
        (
            &format!("{{\"id\":1,\"method\":{wire:?},\"params\":{}", "[".repeat(100_000)),
            INVALID_REQUEST,
            "tooDeep",
        ),
    ];
    for (frame, code, reason) in cases {
        let error = refused_without_id(&mut client, frame).await?;
        let shown: String = frame.chars().take(80).collect();
        assert_eq!((error.code, error.reason()), (code, reason), "{shown}: {error}");
    }
    lives(&mut client).await?;
    assert_eq!(client.record().len(), 2 + cases.len(), "one refusal for each");
    home.finish().await
}

#[tokio::test]
async fn a_refusal_has_the_id_if_it_is_readable() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let wire = SkeinStatus::INFO.wire;
    for (frame, reason) in [
        (json!({ "id": 5 }), "noMethod"),
        (json!({ "id": 5, "method": 7 }), "badMethod"),
        (json!({ "id": 5, "method": wire, "result": {} }), "badEnvelope"),
        (json!({ "id": 5, "method": "x/y" }), "methodNotFound"),
        (json!({ "id": 5, "method": wire, "params": [1] }), "invalidParams"),
        (json!({ "id": 5, "method": wire, "params": 7 }), "invalidParams"),
    ] {
        client.send_raw(&frame.to_string()).await?;
        let error = client.answer_to(&RequestId::Integer(5)).await?.unwrap_err();
        assert_eq!(error.reason(), reason, "{frame}");
    }
    lives(&mut client).await?;
    home.finish().await
}

#[tokio::test]
async fn an_unknown_method_is_named_and_a_long_name_is_shortened() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let error = client.call_raw("thread/fly", &json!({})).await?.unwrap_err();
    assert_eq!(error.code, METHOD_NOT_FOUND);
    assert!(error.message.contains("thread/fly"));
    let long = "m".repeat(1_000_000);
    client.call_raw(&long, &json!({})).await?.unwrap_err();
    let reply = client.record().last().context("a reply")?;
    assert!(reply.text.len() <= 4096, "{} bytes", reply.text.len());
    lives(&mut client).await?;
    home.finish().await
}

#[tokio::test]
async fn params_of_the_wrong_shape_name_the_field() -> Result<()> {
    let (home, mut client, thread) = Home::with_thread().await?;
    let cases = [
        (TurnStart::INFO.wire, json!({ "threadId": thread, "input": "text" }), "input"),
        (
            TurnStart::INFO.wire,
            json!({ "threadId": thread, "input": [{ "type": "text", "text": 7 }] }),
            "input[0]",
        ),
        (TurnStart::INFO.wire, json!({ "threadId": 7, "input": [] }), "threadId"),
        (ThreadRead::INFO.wire, json!({ "threadId": thread, "includeTurns": "yes" }), "includeTurns"),
        (ThreadStart::INFO.wire, json!({ "config": { "model": 7 } }), "config"),
        (ThreadStart::INFO.wire, json!({ "modelProvider": "nobody" }), "modelProvider"),
    ];
    for (method, params, path) in cases {
        let error = client.call_raw(method, &params).await?.unwrap_err();
        assert_eq!(error.code, INVALID_PARAMS, "{method} {params}: {error}");
        let named = error.data.context("data")?.path.unwrap_or_default();
        assert!(named.starts_with(path), "{method} {params}: {named}");
    }
    let error = client.call_raw(TurnStart::INFO.wire, &json!({})).await?.unwrap_err();
    assert_eq!(error.code, INVALID_PARAMS, "a missing field: {error}");
    lives(&mut client).await?;
    home.finish().await
}

#[tokio::test]
async fn requests_need_initialize_which_works_only_once() -> Result<()> {
    let home = Home::start().await?;
    let mut client = Client::connect(home.address()).await?;
    for info in METHODS.iter().filter(|info| info.wire != Initialize::INFO.wire) {
        let error = client.call_raw(info.wire, &json!({})).await?.unwrap_err();
        assert_eq!((error.code, error.reason()), (INVALID_REQUEST, "notInitialized"), "{}", info.wire);
    }
    let hello = client.initialize().await?;
    assert!(hello.user_agent.contains("skein"));
    assert_eq!(hello.codex_home, home.path().to_string_lossy());
    let error = client.refusal::<Initialize>(introduction(None)).await?;
    assert_eq!((error.code, error.reason()), (INVALID_REQUEST, "alreadyInitialized"));
    lives(&mut client).await?;
    home.finish().await
}

#[tokio::test]
async fn a_connection_without_initialize_gets_no_notifications() -> Result<()> {
    let home = Home::start().await?;
    let mut silent = Client::connect(home.address()).await?;
    let mut client = home.client().await?;
    client.start_thread_with("words").await?;
    silent.initialize().await?;
    assert_eq!(silent.record().len(), 1, "the answer to initialize only");
    home.finish().await
}

#[tokio::test]
async fn everything_that_the_standard_allows_is_accepted() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let wire = SkeinStatus::INFO.wire;
    for (frame, id) in [
        (json!({ "jsonrpc": "2.0", "id": "text", "method": wire, "params": {} }), RequestId::from("text")),
        (json!({ "id": -3, "method": wire, "params": null }), RequestId::from(-3)),
        (json!({ "id": i64::MAX, "method": wire }), RequestId::from(i64::MAX)),
        (json!({ "id": "", "method": wire, "params": { "later": true }, "trace": 1 }), RequestId::from("")),
    ] {
        client.send_raw(&frame.to_string()).await?;
        assert!(client.answer_to(&id).await?.is_ok(), "{frame}");
    }
    assert!(client.record().iter().all(|message| message.value().get("jsonrpc").is_none()));
    home.finish().await
}

#[tokio::test]
async fn unexpected_notifications_and_answers_are_ignored() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let before = client.record().len();
    for frame in [
        json!({ "method": "x/unknown", "params": {} }),
        json!({ "method": SkeinStatus::INFO.wire }),
        json!({ "id": 4711, "result": {} }),
        json!({ "id": "x", "result": null }),
        json!({ "id": 4712, "error": { "code": 1, "message": "no" } }),
    ] {
        client.send_raw(&frame.to_string()).await?;
    }
    lives(&mut client).await?;
    assert_eq!(client.record().len(), before + 1, "{:?}", client.record().last());
    home.finish().await
}

#[tokio::test]
async fn a_client_does_not_get_notifications_it_opted_out_of() -> Result<()> {
    let home = Home::start().await?;
    let mut spared = Client::connect(home.address()).await?;
    let capabilities = InitializeCapabilities {
        opt_out_notification_methods: Some(vec![ThreadStatusChanged::INFO.wire.to_owned()]),
        ..InitializeCapabilities::default()
    };
    spared.initialize_with(Some(capabilities)).await?;
    let mut client = home.client().await?;
    let thread = client.call::<ThreadStart>(ThreadStartParams::default()).await?.thread.id;
    spared.resume(thread).await?;
    client.turn(thread, "words").await?;
    spared.quiesce().await?;
    assert_eq!(spared.received::<ThreadStatusChanged>()?, []);
    assert_eq!(spared.received::<ThreadStarted>()?.len(), 1, "the client gets all others");
    assert!(!client.received::<ThreadStatusChanged>()?.is_empty());
    home.finish().await
}
