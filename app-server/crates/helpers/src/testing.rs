//! Helpers without processes, for tests of those who use helpers: each answers every call at once, and notes what reached it.
//! While they are silent, new calls wait.

#![expect(clippy::expect_used, reason = "a test wants to know at once that it cannot go on")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde_json::{Value, json};
use skein_base::tasks::Tasks;
use skein_protocol::extension::HelperState;
use skein_protocol::helper::Tool;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::helpers::Helpers;
use crate::mcp::{Line, OpeningAttempts, Session, Wire};
use crate::pool::double::Double;
use crate::process::host::HostOptions;
use crate::process::input::{InputEnd, input};
use crate::process::start::Pipes;

/// The tools of a helper, by name.
pub type Tools = BTreeMap<String, Tool>;

/// The id of a helper's request to the user.
const QUESTION: &str = "question";

/// How all of them are now.
#[derive(Clone)]
struct Now {
    tools: Tools,
    state: HelperState,
}

/// All helpers of one server.
pub struct Fakes {
    now: watch::Sender<Now>,
    reached: mpsc::Receiver<Value>,
    end: CancellationToken,
    tasks: Tasks,
}

impl Fakes {
    /// Helpers of one server that start doubles instead of processes.
    ///
    /// # Errors
    /// Those of [`Helpers::start`].
    pub fn start(options: HostOptions, listed: Tools) -> io::Result<(Arc<Helpers>, Self)> {
        let (now, seen) = watch::channel(Now { tools: listed, state: HelperState::Ready });
        let (reach, reached) = mpsc::channel(1024);
        let (doubles, started) = mpsc::channel(64);
        let helpers = Helpers::with_doubles(options, doubles)?;
        let (end, tasks) = (CancellationToken::new(), Tasks::new());
        tasks.spawn("fakes", start(started, (seen, reach), end.clone(), tasks.clone()));
        Ok((helpers, Self { now, reached, end, tasks }))
    }

    /// Sets the tools that all of them list from now on.
    pub fn list(&self, tools: Tools) {
        self.now.send_modify(|now| now.tools = tools);
    }

    /// None of them shows a sign of life from now on.
    pub fn fall_silent(&self) {
        self.now.send_modify(|now| now.state = HelperState::Unresponsive);
    }

    /// They show life again.
    pub fn recover(&self) {
        self.now.send_modify(|now| now.state = HelperState::Ready);
    }

    /// The params of the calls, and the answers to questions, that have reached one of them since the last look.
    pub fn reached(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.reached.try_recv().ok()).collect()
    }

    /// Ends them; nobody may use them any more.
    pub async fn finish(self) {
        self.end.cancel();
        self.tasks.finish().await;
    }
}

type Ways = (watch::Receiver<Now>, mpsc::Sender<Value>);

async fn start(mut started: mpsc::Receiver<Double>, ways: Ways, end: CancellationToken, tasks: Tasks) {
    while let Some(Some(double)) = end.run_until_cancelled(started.recv()).await {
        tasks.spawn("fake", live(double, ways.clone(), tasks.clone()));
    }
}

async fn live(double: Double, (mut now, reach): Ways, tasks: Tasks) {
    let (stdin, asked) = input();
    let (output, stdout) = pipe::pipe().expect("a pipe");
    tasks.spawn("fake-answers", answer(asked, output, reach));
    let wire = Wire::Pipes(Pipes { stdin, stdout });
    let session = Session::open(wire, Line::new("/".into()), tasks, &OpeningAttempts::default()).await;
    let session = session.ok().map(Arc::new);
    loop {
        let Now { tools, state } = now.borrow_and_update().clone();
        double.seen.send_modify(|seen| {
            seen.state = state;
            seen.session.clone_from(&session);
            seen.status.tools = tools;
        });
        tokio::select! {
            () = double.shutdown.stopping() => return,
            changed = now.changed() => if changed.is_err() { return },
        }
    }
}

/// A call whose arguments have a text `ask` puts it to the user first; the answer is noted, and the call is done.
async fn answer(mut asked: InputEnd, mut output: pipe::Sender, reach: mpsc::Sender<Value>) {
    let mut asking = None;
    while let Some(line) = asked.next().await {
        let message: Value = serde_json::from_slice(&line.bytes).expect("JSON");
        let done = json!({ "content": [{ "type": "text", "text": "done" }] });
        let sent = match message["method"].as_str() {
            Some("initialize") => result(
                &message["id"],
                json!({
                    "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                    "serverInfo": { "name": "fake", "version": "1" },
                }),
            ),
            Some("tools/call") => {
                let params = message["params"].clone();
                reach.send(params.clone()).await.ok();
                match params["arguments"]["ask"].as_str() {
                    Some(text) => {
                        asking = Some(message["id"].clone());
                        question(text)
                    }
                    None => result(&message["id"], done),
                }
            }
            None if message["id"] == QUESTION => {
                reach.send(message["result"].clone()).await.ok();
                result(&asking.take().expect("a call that asks"), done)
            }
            Some(_) | None => continue,
        };
        if output.write_all(format!("{sent}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn result(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn question(text: &str) -> Value {
    let form = json!({ "type": "object", "properties": {} });
    let params = json!({ "mode": "form", "message": text, "requestedSchema": form });
    json!({ "jsonrpc": "2.0", "id": QUESTION, "method": "elicitation/create", "params": params })
}
