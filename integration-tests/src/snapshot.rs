//! Whole conversations on the wire, compared with reviewed files. Values that change from run to run are
//! replaced by stable names.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;
use skein_protocol::table::{Method, Notification, ServerRequest};

use crate::client::{Client, Received};

/// Set this variable to write the files instead of comparing.
pub const WRITE: &str = "SKEIN_WRITE_SNAPSHOTS";

/// Members with a time or a duration.
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
/// Members that depend on the machine or the version.
const LOCAL: &[&str] = &[
    "backwardsCursor",
    "catalogEpoch",
    "cliVersion",
    "codexHome",
    "cwd",
    "itemsBackwardsCursor",
    "nextCursor",
    "path",
    "platformFamily",
    "platformOs",
    "runtimeWorkspaceRoots",
    "turnCursor",
    "turnsBackwardsCursor",
    "userAgent",
    "version",
];

/// A conversation that is recorded.
pub struct Recording {
    client: Client,
    seen: usize,
    normal: Normal,
    lines: Vec<String>,
    /// Requests and their answers only.
    is_terse: bool,
}

impl Recording {
    /// Records all messages of this client from now on.
    pub fn with(client: Client) -> Self {
        let seen = client.record().len();
        Self { client, seen, normal: Normal::default(), lines: Vec::new(), is_terse: false }
    }

    /// The same without notifications.
    pub fn of_answers(client: Client) -> Self {
        Self { is_terse: true, ..Self::with(client) }
    }

    /// Sends a request with this id and waits for its answer.
    ///
    /// # Errors
    /// Fails if the server refuses the request, or no answer comes.
    pub async fn ask<M: Method>(&mut self, id: i64, params: Value) -> anyhow::Result<Value> {
        self.send(serde_json::json!({ "id": id, "method": M::INFO.wire, "params": params })).await?;
        let answer = self.client.answer_to(&id.into()).await?;
        self.record_new();
        answer.with_context(|| format!("{} is refused", M::INFO.wire))
    }

    /// Sends any message.
    ///
    /// # Errors
    /// Fails if the connection has ended.
    pub async fn send(&mut self, message: Value) -> anyhow::Result<()> {
        self.record_new();
        self.lines.push(format!("-> {}", self.normal.message(&message)));
        self.client.send_raw(&message.to_string()).await
    }

    /// Waits for a notification and returns its params.
    ///
    /// # Errors
    /// Fails if it does not come.
    pub async fn receive<N: Notification>(&mut self) -> anyhow::Result<N::Params> {
        let notification = self.client.next::<N>(|_| true).await?;
        self.record_new();
        Ok(notification)
    }

    /// Waits for a server request of this kind and returns its id.
    ///
    /// # Errors
    /// Fails if it does not come.
    pub async fn asked<R: ServerRequest>(&mut self) -> anyhow::Result<Value> {
        let asks = |message: &Received| message.method() == Some(R::INFO.wire);
        let asked = self.client.until(R::INFO.wire, asks).await?;
        self.record_new();
        let message: Value = serde_json::from_str(&asked.text)?;
        Ok(message["id"].clone())
    }

    /// Records the new messages.
    fn record_new(&mut self) {
        let new = self.client.record().iter().skip(self.seen);
        for received in new {
            let message: Value = serde_json::from_str(&received.text).unwrap_or_default();
            if self.is_terse && message.get("result").is_none() {
                continue;
            }
            self.lines.push(format!("<- {}", self.normal.message(&message)));
        }
        self.seen = self.client.record().len();
    }

    /// The whole recording, a line for each message.
    pub fn text(mut self) -> String {
        self.record_new();
        self.lines.join("\n") + "\n"
    }

    /// Compares the recording with the file, like [`compare`].
    ///
    /// # Errors
    /// Fails if they differ. The error shows the first different line.
    pub fn compare(self, file: &Path, wanted: &str) -> anyhow::Result<()> {
        compare(&self.text(), file, wanted)
    }
}

/// Compares a recording with `wanted`, the text of the file. Writes the file instead if [`WRITE`] is set.
///
/// # Errors
/// Fails if they differ. The error shows the first different line.
pub fn compare(text: &str, file: &Path, wanted: &str) -> anyhow::Result<()> {
    if std::env::var_os(WRITE).is_some() {
        return std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()));
    }
    let pairs = text.lines().zip(wanted.lines().chain(std::iter::repeat("nothing")));
    let first = pairs.enumerate().find(|(_, (is, wanted))| is != wanted);
    let name = file.display();
    if let Some((number, (is, wanted))) = first {
        anyhow::bail!(
            "{name}, line {}:\n  is     {is}\n  wanted {wanted}\nset {WRITE}=1 to write the file again",
            number + 1
        );
    }
    ensure!(text.lines().count() == wanted.lines().count(), "{name} has more lines than the conversation");
    Ok(())
}

/// Stable names for changing values, in the order of first appearance.
#[derive(Debug, Default)]
struct Normal {
    ids: HashMap<String, usize>,
    questions: HashMap<i64, usize>,
}

impl Normal {
    fn message(&mut self, message: &Value) -> Value {
        let mut message = message.clone();
        // The server numbers its requests from its start time.
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
            Value::Object(members) => {
                members.iter_mut().for_each(|(name, value)| self.value(name, value));
                let named = std::mem::take(members).into_iter();
                *members = named.map(|(name, value)| (self.text(&name), value)).collect();
            }
            Value::Array(list) => list.iter_mut().for_each(|value| self.value(name, value)),
            Value::Number(_) if TIMES.contains(&name) => *value = Value::String("<time>".to_owned()),
            // The number depends on the moment at which helpers become ready.
            Value::Number(_) if name == "catalogSeq" => *value = Value::String("<catalogSeq>".to_owned()),
            Value::Number(number) if name == "requestId" => {
                *value = self.question(number.as_i64().unwrap_or_default());
            }
            Value::String(text) if LOCAL.contains(&name) => *text = format!("<{name}>"),
            Value::String(text) => *text = self.text(text),
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// UUIDs become numbered ids.
    fn text(&mut self, text: &str) -> String {
        if uuid::Uuid::parse_str(text).is_err() {
            return text.to_owned();
        }
        let next = self.ids.len() + 1;
        format!("id {}", self.ids.entry(text.to_owned()).or_insert(next))
    }
}
