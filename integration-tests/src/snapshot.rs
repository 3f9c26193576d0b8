//! Whole conversations as they go over the wire, with what differs from run to run replaced by what it stands for: to be
//! compared with a file that people have read.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;
use skein_protocol::table::{Method, Notification, ServerRequest};

use crate::client::{Client, Received};

/// Set to write the files anew instead of comparing.
pub const WRITE: &str = "SKEIN_WRITE_SNAPSHOTS";

/// Members that hold a time or how long something took.
const TIMES: &[&str] = &[
    "at",
    "completedAt",
    "completedAtMs",
    "createdAt",
    "durationMs",
    "emittedAtMs",
    "recencyAt",
    "startedAt",
    "startedAtMs",
    "updatedAt",
];
/// Members that hold what belongs to the machine or the version.
const LOCAL: &[&str] = &[
    "cliVersion",
    "codexHome",
    "cwd",
    "path",
    "platformFamily",
    "platformOs",
    "path",
    "runtimeWorkspaceRoots",
    "userAgent",
    "version",
];

/// A conversation that is written down.
pub struct Talk {
    client: Client,
    seen: usize,
    normal: Normal,
    lines: Vec<String>,
}

impl Talk {
    /// Writes down what this client says and hears from here on.
    #[must_use]
    pub fn with(client: Client) -> Self {
        let seen = client.record().len();
        Self { client, seen, normal: Normal::default(), lines: Vec::new() }
    }

    /// Sends a request with this id and waits for its answer.
    ///
    /// # Errors
    /// When it is refused, or no answer comes.
    pub async fn ask<M: Method>(&mut self, id: i64, params: Value) -> anyhow::Result<Value> {
        self.send(serde_json::json!({ "id": id, "method": M::INFO.wire, "params": params })).await?;
        let answer = self.client.answer_to(&id.into()).await?;
        self.hear();
        answer.with_context(|| format!("{} is refused", M::INFO.wire))
    }

    /// Sends any message.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&mut self, message: Value) -> anyhow::Result<()> {
        self.hear();
        self.lines.push(format!("-> {}", self.normal.message(&message)));
        self.client.send_raw(&message.to_string()).await
    }

    /// Waits for a notification and returns its params.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn hear_of<N: Notification>(&mut self) -> anyhow::Result<N::Params> {
        let told = self.client.next::<N>(|_| true).await?;
        self.hear();
        Ok(told)
    }

    /// Waits for a request of the server of this kind and returns its id.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn asked<R: ServerRequest>(&mut self) -> anyhow::Result<Value> {
        let asks = |message: &Received| message.method() == Some(R::INFO.wire);
        let asked = self.client.until(R::INFO.wire, asks).await?;
        self.hear();
        let message: Value = serde_json::from_str(&asked.text)?;
        Ok(message["id"].clone())
    }

    /// Writes down what has come.
    fn hear(&mut self) {
        let new = self.client.record().iter().skip(self.seen);
        for received in new {
            let message = serde_json::from_str(&received.text).unwrap_or_default();
            self.lines.push(format!("<- {}", self.normal.message(&message)));
        }
        self.seen = self.client.record().len();
    }

    /// Compares with the file, whose text is `wanted`, or writes it where [`WRITE`] is set.
    ///
    /// # Errors
    /// When they differ: with the first line that does.
    pub fn compare(mut self, file: &Path, wanted: &str) -> anyhow::Result<()> {
        self.hear();
        let text = self.lines.join("\n") + "\n";
        if std::env::var_os(WRITE).is_some() {
            return std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()));
        }
        let pairs = text.lines().zip(wanted.lines().chain(std::iter::repeat("nothing")));
        let first = pairs.enumerate().find(|(_, (is, wanted))| is != wanted);
        let name = file.display();
        if let Some((number, (is, wanted))) = first {
            anyhow::bail!(
                "{name}, line {}:\n  is     {is}\n  wanted {wanted}\nwith {WRITE}=1 it is written anew",
                number + 1
            );
        }
        ensure!(
            text.lines().count() == wanted.lines().count(),
            "{name} goes on, and the conversation does not"
        );
        Ok(())
    }
}

/// What stands for what, in the order of its first appearance.
#[derive(Debug, Default)]
struct Normal {
    ids: HashMap<String, usize>,
    questions: HashMap<i64, usize>,
}

impl Normal {
    fn message(&mut self, message: &Value) -> Value {
        let mut message = message.clone();
        // Requests of the server are numbered from the time of its start.
        if let Some(id) = message.get("id").and_then(Value::as_i64).filter(|id| *id > 1_000_000) {
            message["id"] = self.question(id);
        }
        self.value("", &mut message);
        message
    }

    fn question(&mut self, id: i64) -> Value {
        let next = self.questions.len() + 1;
        Value::String(format!("question {}", self.questions.entry(id).or_insert(next)))
    }

    fn value(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::Object(members) => members.iter_mut().for_each(|(name, value)| self.value(name, value)),
            Value::Array(list) => list.iter_mut().for_each(|value| self.value(name, value)),
            Value::Number(_) if TIMES.contains(&name) => *value = Value::String("<time>".to_owned()),
            Value::Number(number) if name == "requestId" => {
                *value = self.question(number.as_i64().unwrap_or_default());
            }
            Value::String(text) if LOCAL.contains(&name) => *text = format!("<{name}>"),
            Value::String(text) => *text = self.text(text),
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// UUIDs by their number.
    fn text(&mut self, text: &str) -> String {
        if uuid::Uuid::parse_str(text).is_err() {
            return text.to_owned();
        }
        let next = self.ids.len() + 1;
        format!("id {}", self.ids.entry(text.to_owned()).or_insert(next))
    }
}
