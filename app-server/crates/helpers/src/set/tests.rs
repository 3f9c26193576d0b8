//! Calls in paused time: whose limit they have, and what a helper hears of one that was given up.

use std::collections::BTreeMap;

use serde_json::json;
use skein_base::clock::Clock;
use skein_base::tasks::Tasks;
use skein_protocol::extension::HelperState;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use super::*;
use crate::mcp::{Line, OpeningAttempts, Session, Wire};
use crate::pool::double::Double;
use crate::pool::tests::House;
use crate::process::input::{InputEnd, input};
use crate::process::start::Pipes;

/// Longer than any limit that somebody would set.
const HOURS: u64 = 10_000;

/// A helper without a process: a task answers each call after the number of seconds that its arguments name.
struct Fake {
    set: HelperSet,
    received: mpsc::Receiver<Value>,
    tasks: Tasks,
    house: House,
    double: Double,
}

impl Fake {
    async fn start(tool_timeout: Option<Duration>) -> Self {
        let tasks = Tasks::new();
        let (stdin, asked) = input();
        let (output, stdout) = pipe::pipe().expect("a pipe");
        let (receive, received) = mpsc::channel(64);
        tasks.spawn("fake", answer(asked, output, receive, tasks.clone()));
        let session = Session::open(
            Wire::Pipes(Pipes { stdin, stdout }),
            Line::new("/".into()),
            tasks.clone(),
            &OpeningAttempts::default(),
        )
        .await;
        let session = Arc::new(session.expect("a handshake"));
        let mut house = House::new();
        let spec = HelperSpec { tool_timeout, ..HelperSpec::new("fake", "/nowhere") };
        let (set, _events) = house.thread("/", vec![spec]);
        let double = house.next();
        double.seen.send_modify(|seen| {
            seen.state = HelperState::Ready;
            seen.session = Some(session);
            seen.status.tools = listed(&json!({ "destructiveHint": true }));
        });
        Self { set, received, tasks, house, double }
    }

    async fn call(&self, seconds: u64) -> Result<Value, HelperError> {
        let called = self.set.call("fake", "wait", json!({ "s": seconds }), CancellationToken::new()).await;
        called.map(|answer| answer.content[0]["text"].clone())
    }

    /// It lists these tools from now on.
    fn lists(&self, tools: BTreeMap<String, Tool>) {
        self.double.seen.send_modify(|seen| seen.status.tools = tools);
    }

    async fn describe(&self) -> Result<DescribedTool, HelperError> {
        self.set.describe("fake", "wait", &CancellationToken::new()).await
    }

    /// Calls the tool as it was when the call was allowed.
    async fn call_judged(&self, judged: &DescribedTool) -> Result<(), HelperError> {
        let (server, tool) = ("fake".to_owned(), "wait".to_owned());
        let judged = Some(Box::new(judged.clone()));
        let call = HelperCall {
            server,
            tool,
            arguments: json!({}),
            meta: Value::Null,
            turn: None,
            judged,
            given: None,
        };
        self.set.call_with_progress(call, CancellationToken::new(), None).await.map(drop)
    }

    /// The next message of this method that the helper hears.
    async fn received(&mut self, method: &str) -> Value {
        loop {
            let message = self.received.recv().await.expect("the helper hears more");
            if message["method"] == *method {
                return message;
            }
        }
    }

    async fn finish(self) {
        let Self { set, received, tasks, house, double } = self;
        drop((set, received, double));
        house.finish().await;
        tasks.finish().await;
    }
}

/// The tool `wait`, which says this of itself.
fn listed(annotations: &Value) -> BTreeMap<String, Tool> {
    let tool = json!({ "name": "wait", "inputSchema": {}, "annotations": annotations });
    BTreeMap::from([("wait".to_owned(), serde_json::from_value(tool).expect("a tool"))])
}

async fn answer(mut asked: InputEnd, mut output: pipe::Sender, receive: mpsc::Sender<Value>, tasks: Tasks) {
    let (say, mut answers) = mpsc::channel::<Value>(16);
    loop {
        let message: Value = tokio::select! {
            Some(answer) = answers.recv() => {
                let line = format!("{answer}\n");
                if output.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            line = asked.next() => match line.map(|line| line.bytes) {
                Some(line) => serde_json::from_slice(&line).expect("JSON"),
                None => return,
            },
        };
        let _ = receive.try_send(message.clone());
        let (id, say) = (message["id"].clone(), say.clone());
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                "serverInfo": { "name": "fake", "version": "1" },
            }),
            Some("tools/call") => json!({ "content": [{ "type": "text", "text": "late" }] }),
            Some(_) | None => continue,
        };
        let due = Clock.now()
            + Duration::from_secs(message["params"]["arguments"]["s"].as_u64().unwrap_or_default());
        tasks.spawn("fake-answer", async move {
            tokio::select! {
                () = say.closed() => {}
                () = tokio::time::sleep_until(due) => {
                    let _ = say.send(json!({ "jsonrpc": "2.0", "id": id, "result": result })).await;
                }
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_many_silent_hours_is_not_cut() {
    let fake = Fake::start(None).await;
    let began = Clock.now();
    assert_eq!(fake.call(HOURS * 3600).await, Ok(json!("late")));
    assert!(Clock.now() - began >= Duration::from_hours(HOURS));
    fake.finish().await;
}

#[tokio::test(start_paused = true)]
async fn tool_timeout_sec_cuts_only_its_own_call_and_the_helper_is_notified() {
    let mut fake = Fake::start(Some(Duration::from_mins(1))).await;
    let began = Clock.now();
    let (cut, quick) = tokio::join!(fake.call(HOURS), fake.call(59));
    assert_eq!(quick, Ok(json!("late")));
    let cut = cut.expect_err("it is cut").to_string();
    let wanted = "tool \"wait\" of helper \"fake\" has not answered within 60 s, its tool_timeout_sec";
    assert!(cut.starts_with(wanted), "{cut}");
    assert!(Clock.now() - began < Duration::from_secs(61));
    let slow = loop {
        let call = fake.received("tools/call").await;
        if call["params"]["arguments"]["s"] == HOURS {
            break call["id"].clone();
        }
    };
    let cancelled = fake.received("notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], slow);
    assert_eq!(fake.call(1).await, Ok(json!("late")), "the helper goes on");
    fake.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_beside_the_arguments_reaches_the_helper_and_our_token_wins() {
    let mut fake = Fake::start(None).await;
    let call = |meta| HelperCall {
        server: "fake".into(),
        tool: "wait".into(),
        arguments: Value::Null,
        meta,
        turn: None,
        given: None,
        judged: None,
    };
    let meta = json!({ "example.org/trace": "t", "progressToken": "theirs" });
    let called = fake.set.call_with_progress(call(meta), CancellationToken::new(), None).await;
    assert!(called.is_ok(), "{called:?}");
    let received = &fake.received("tools/call").await["params"]["_meta"];
    assert_eq!(received["example.org/trace"], "t");
    assert!(received["progressToken"].is_number(), "{received}");
    let refused = fake.set.call_with_progress(call(json!(7)), CancellationToken::new(), None).await;
    let refused = refused.expect_err("it is no object").to_string();
    assert!(refused.starts_with("_meta of tool \"wait\""), "{refused}");
    fake.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_not_listed_has_no_description_and_is_not_called_as_it_was() {
    let mut fake = Fake::start(None).await;
    let judged = fake.describe().await.unwrap();
    fake.call_judged(&judged).await.unwrap();
    fake.received("tools/call").await;
    fake.lists(BTreeMap::new());
    let (server, tool) = ("fake".to_owned(), "wait".to_owned());
    let gone = HelperError::ToolNotOffered { server, tool };
    assert_eq!(fake.describe().await, Err(gone.clone()));
    assert_eq!(fake.call_judged(&judged).await, Err(gone));
    assert_eq!(fake.call(0).await, Ok(json!("late")), "a client's own call is nobody's to judge");
    fake.received("tools/call").await;
    fake.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_only_of_the_tool_that_it_was_allowed_for() {
    let mut fake = Fake::start(None).await;
    let judged = fake.describe().await.unwrap();
    let (server, tool) = ("fake".to_owned(), "wait".to_owned());
    let changed = Err(HelperError::ToolChanged { server, tool });
    fake.lists(listed(&json!({ "readOnlyHint": true })));
    assert_eq!(fake.call_judged(&judged).await, changed, "it says something else of itself");
    fake.lists(listed(&json!({ "destructiveHint": true })));
    fake.call_judged(&judged).await.unwrap();
    fake.received("tools/call").await;
    let mut spec = HelperSpec::new("fake", "/nowhere");
    spec.default_tools_approval = ApprovalMode::Deny;
    fake.set.change(vec![spec]);
    assert_eq!(fake.call_judged(&judged).await, changed, "the settings deny it");
    assert!(fake.received.try_recv().is_err());
    fake.finish().await;
}
