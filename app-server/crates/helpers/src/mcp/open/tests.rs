//! Which answer decides, whatever the order in which they come. In paused time.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use skein_base::clock::Clock;
use tokio::sync::mpsc;

use super::*;

/// A helper that says what the test has it say.
struct Fake {
    sent: mpsc::Sender<Value>,
    messages: mpsc::Receiver<ServerJsonRpcMessage>,
}

impl Transport<RoleClient> for Fake {
    type Error = io::Error;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let sent = self.sent.clone();
        async move { sent.send(serde_json::to_value(&message)?).await.map_err(io::Error::other) }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        self.messages.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The result of a start with these messages of the helper, each after so many milliseconds, and the methods that it receives.
async fn play(asked: &OpeningAttempts, says: Vec<(u64, Value)>) -> (Result<String, String>, Vec<String>) {
    let (sent, mut hears) = mpsc::channel(16);
    let (say, messages) = mpsc::channel(16);
    let mut transport = Fake { sent, messages };
    let client = Client::new(Arc::new(Notify::new()), Line::new("/".into()));
    let about = client.get_info();
    let greeting = Greeting { transport: &mut transport, about, asked, refused: [None, None] };
    let helper = async {
        for (after, message) in says {
            let due = Clock.now() + Duration::from_millis(after);
            tokio::time::sleep_until(due).await;
            let message = serde_json::from_value(message).expect("a message");
            say.send(message).await.expect("it is sent");
        }
        drop(say);
        std::future::pending::<()>().await;
    };
    let begun = tokio::select! {
        begun = greeting.run() => begun,
        () = helper => unreachable!("it waits for ever"),
    };
    let begun = begun.map(|about| about.protocol_version.as_str().to_owned());
    drop(transport);
    let mut methods = Vec::new();
    while let Some(message) = hears.recv().await {
        methods.push(message["method"].as_str().unwrap_or("answer").to_owned());
    }
    (begun.map_err(|wrong| wrong.unwrap_or_else(|| "closed".to_owned())), methods)
}

fn result(question: &str, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": question, "result": result })
}

fn shakes() -> Value {
    shakes_with(json!({ "tools": {} }))
}

fn shakes_with(capabilities: Value) -> Value {
    let info = json!({ "name": "fake", "version": "1" });
    let begun = json!({ "protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info });
    result(INITIALIZE, begun)
}

fn discovered(version: &str) -> Value {
    let found = json!({
        "resultType": "complete", "supportedVersions": [version], "capabilities": {}, "ttlMs": 0, "cacheScope": "private",
    });
    result(DISCOVER, found)
}

fn refuses(question: &str) -> Value {
    let error = json!({ "code": -32601, "message": format!("no {question}") });
    json!({ "jsonrpc": "2.0", "id": question, "error": error })
}

const SHAKEN: [&str; 2] = ["initialize", "notifications/initialized"];

#[tokio::test(start_paused = true)]
async fn a_quick_handshake_is_asked_nothing_else() {
    let (begun, sent) = play(&OpeningAttempts::default(), vec![(100, shakes())]).await;
    assert_eq!((begun.as_deref(), sent), (Ok("2025-06-18"), SHAKEN.map(str::to_owned).to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_late_handshake_wins_over_a_refusal_and_over_silence() {
    for says in [vec![(800, refuses(DISCOVER)), (60_000, shakes())], vec![(60_000, shakes())]] {
        let (begun, sent) = play(&OpeningAttempts::default(), says).await;
        assert_eq!(begun.as_deref(), Ok("2025-06-18"));
        assert_eq!(sent, ["initialize", "server/discover", "notifications/initialized"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_or_unanswered_handshake_leaves_the_other_question() {
    for says in
        [vec![(5, refuses(INITIALIZE)), (5, discovered("2026-07-28"))], vec![(750, discovered("2026-07-28"))]]
    {
        let asked = OpeningAttempts::default();
        let (begun, sent) = play(&asked, says).await;
        assert_eq!((begun.as_deref(), sent.len()), (Ok("2026-07-28"), 2));
        assert!(!asked.was_too_much(), "it has answered");
    }
}

#[tokio::test(start_paused = true)]
async fn two_refusals_report_the_first_and_an_unknown_revision_its_name() {
    let (begun, _) =
        play(&OpeningAttempts::default(), vec![(5, refuses(INITIALIZE)), (5, refuses(DISCOVER))]).await;
    assert!(begun.is_err_and(|wrong| wrong.contains("no skein-initialize")));
    let (begun, _) =
        play(&OpeningAttempts::default(), vec![(5, refuses(INITIALIZE)), (5, discovered("2031-01-01"))])
            .await;
    assert!(begun.is_err_and(|wrong| wrong.contains("2031-01-01")));
}

#[tokio::test(start_paused = true)]
async fn who_ended_at_the_second_question_is_asked_the_first_only() {
    let asked = OpeningAttempts::default();
    let (begun, sent) = play(&asked, vec![(900, shakes())]).await;
    assert_eq!((begun.as_deref(), sent.len()), (Ok("2025-06-18"), 3));
    assert!(asked.was_too_much() && !asked.was_too_much());
    let (begun, sent) = play(&asked, vec![(900, shakes())]).await;
    assert_eq!((begun.as_deref(), sent), (Ok("2025-06-18"), SHAKEN.map(str::to_owned).to_vec()));
    let (begun, _) = play(&asked, vec![(5, refuses(INITIALIZE))]).await;
    assert!(begun.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_ping_before_the_handshake_is_answered_and_silence_lasts_to_the_end_of_the_line() {
    let ping = json!({ "jsonrpc": "2.0", "id": 7, "method": "ping" });
    let (begun, sent) = play(&OpeningAttempts::default(), vec![(5, ping), (5, shakes())]).await;
    assert_eq!(
        (begun.as_deref(), sent),
        (Ok("2025-06-18"), ["initialize", "answer", "notifications/initialized"].map(str::to_owned).to_vec())
    );
    let (begun, _) = play(&OpeningAttempts::default(), vec![]).await;
    assert_eq!(begun, Err("closed".to_owned()));
}

/// A session with a helper that has tools and answers each request by its method, in paused time.
async fn with_helper<T>(answers: impl FnMut(&str) -> Value, deed: impl AsyncFnOnce(&Session) -> T) -> T {
    with_helper_that(json!({ "tools": {} }), answers, deed).await
}

/// The same with a helper that has these capabilities.
async fn with_helper_that<T>(
    has: Value,
    mut answers: impl FnMut(&str) -> Value,
    deed: impl AsyncFnOnce(&Session) -> T,
) -> T {
    let (sent, mut hears) = mpsc::channel::<Value>(16);
    let (say, messages) = mpsc::channel(16);
    let helper = async {
        while let Some(asked) = hears.recv().await {
            let (id, method) = (&asked["id"], asked["method"].as_str().unwrap_or_default());
            if id.is_null() {
                continue;
            }
            let shaken = || shakes_with(has.clone())["result"].clone();
            let result = if method == "initialize" { shaken() } else { answers(method) };
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
            let _ = say.send(serde_json::from_value(answer).expect("a message")).await;
        }
        std::future::pending().await
    };
    let done = async {
        let (line, asked) = (Line::new("/".into()), OpeningAttempts::default());
        let session = Session::open_over(Fake { sent, messages }, line, Tasks::new(), &asked).await;
        deed(&session.expect("a session")).await
    };
    tokio::select! {
        done = done => done,
        never = helper => never,
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_has_no_end_or_is_too_large_is_given_up() {
    let mut pages = 0;
    let endless = |_: &str| {
        pages += 1;
        assert!(pages < 100_000, "it is asked for ever");
        json!({ "tools": [], "nextCursor": pages.to_string() })
    };
    let why = with_helper(endless, async |session| session.tools().await).await.unwrap_err();
    assert!(why.contains("more than 1000 pages"), "{why}");
    let large = "x".repeat(8 << 20);
    let heavy = |_: &str| {
        let tool = json!({ "name": "one", "description": large, "inputSchema": { "type": "object" } });
        json!({ "tools": [tool], "nextCursor": "more" })
    };
    let why = with_helper(heavy, async |session| session.tools().await).await.unwrap_err();
    assert!(why.contains("more than 33554432 bytes"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_helper_is_asked_only_for_what_it_has() {
    let answers = |method: &str| {
        assert!(method.starts_with("resources/"), "it has no tools: {method}");
        json!({ "resources": [{ "name": "one", "uri": "memo://one" }], "resourceTemplates": [] })
    };
    let has = json!({ "resources": {} });
    let offers = with_helper_that(has, answers, async |session| session.offers().await).await.unwrap();
    assert_eq!((offers.tools.len(), offers.resources.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_changes_again_and_again_is_listed_now_and_then() {
    with_helper(
        |_| json!({}),
        async |session| {
            let begun = Clock.now();
            for times in 0..10 {
                session.changed.notify_one();
                session.changed().await;
                assert!(times > 0 || Clock.now() == begun, "the first at once");
            }
            assert!(Clock.now() - begun >= policy::HELPER_LIST_PAUSE * 9);
        },
    )
    .await;
}
