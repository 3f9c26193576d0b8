//! Scenario files: what a scripted model says, and when. TOML:
//!
//! ```toml
//! [[turn]]                        # the first turn whose `when` is part of what the user said last
//! when = "weather"                # left out: any
//!
//! [[turn.answer]]                 # its first answer
//! steps = [
//!   { think = "I need the files." },
//!   { say = "Let me look." },
//!   { wait = "200ms" },
//!   { call = "read_file", server = "files", arguments = { path = "a.txt" } },
//! ]
//!
//! [[turn.answer]]                 # the next one, when the results of its calls are there
//! steps = [{ say = "It says: {results}" }, { usage = { input = 120, output = 8 } }]
//! ```
//!
//! In `say` and `think` stand `{said}` for what the user said last, `{results}` for the results' texts, `{entries}` for the
//! number of entries that the model was told, and `{tools}` for the names of the tools on offer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use skein_base::units::parse_duration;
use skein_protocol::turn::CodexErrorInfo;

use crate::{Callee, Entry, Prompt, ToolResult};

/// What a scripted model says.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The first one that fits is played.
    #[serde(default, rename = "turn")]
    pub(crate) turns: Vec<Turn>,
}

/// What it says in turns that begin with certain words.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Turn {
    /// A part of what the user said last. None: anything.
    #[serde(default)]
    pub(crate) when: Option<String>,
    /// One for each time that the model is asked in the turn.
    #[serde(rename = "answer")]
    pub(crate) answers: Vec<Answer>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// One after the other.
    pub(crate) steps: Vec<Step>,
}

/// One thing that a model does. Exactly one of the members is there, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Step {
    /// The next piece of the answer's text.
    Say(Say),
    /// The next piece of what it thinks.
    Think(Think),
    /// Time passes.
    Wait(Wait),
    /// The same piece again and again.
    Stream(Stream),
    /// It wants a tool called.
    Call(Call),
    /// It asks the user.
    Ask(Ask),
    /// What the answer cost.
    Usage(Used),
    /// The stream breaks off, and the answer begins anew with the steps behind it.
    Again(Again),
    /// The provider gives up.
    Fail(Fail),
    /// Nothing more comes until the turn is interrupted.
    Hang(Hang),
}

macro_rules! steps {
    ($( $(#[doc = $doc:literal])+ $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty),+ $(,)? } )+) => {
        $( $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $( $(#[$meta])* #[doc = "As the scenario says it."] pub $field: $type, )+
        } )+
    };
}

steps! {
    /// `say`
    Say { say: String }
    /// `think`: of the summary, or with `raw` of the thoughts themselves; `part` counts from 0.
    Think {
        think: String,
        #[serde(default)] part: usize,
        #[serde(default)] raw: bool,
    }
    /// `wait`: `200ms`, `1.5s`.
    Wait { #[serde(deserialize_with = "duration")] wait: Duration }
    /// `stream`: that many times `text`, with `every` between two of them.
    Stream {
        stream: u32,
        text: String,
        #[serde(default, deserialize_with = "duration")] every: Duration,
    }
    /// `call`: the tool of a helper, or without `server` one by the name that it was offered by.
    Call {
        call: String,
        #[serde(default)] server: Option<String>,
        #[serde(default)] arguments: BTreeMap<String, Value>,
    }
    /// `ask`
    Ask { ask: String }
    /// `usage`
    Used { usage: Tokens }
    /// `again`: why.
    Again { again: String }
    /// `fail`: what the user is told, and its kind as the protocol names it (`rateLimitExceeded`).
    Fail { fail: String, #[serde(default)] kind: Option<CodexErrorInfo> }
    /// `hang`: true.
    Hang { hang: bool }
}

/// Tokens of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tokens {
    /// Read.
    pub(crate) input: i64,
    /// Of those, from the cache.
    pub(crate) cached: i64,
    /// Written.
    pub(crate) output: i64,
    /// Of those, reasoning.
    pub(crate) reasoning: i64,
}

impl Call {
    /// What is called.
    #[must_use]
    pub(crate) fn callee(&self) -> Callee {
        match &self.server {
            Some(server) => Callee::Helper { server: server.clone(), tool: self.call.clone() },
            None => Callee::Offered(self.call.clone()),
        }
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// What is wrong with it, with its place.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The answer that `prompt` gets.
    #[must_use]
    pub(crate) fn answer(&self, prompt: &Prompt) -> Option<&Answer> {
        let said = prompt.last_words();
        let fits = |turn: &&Turn| turn.when.as_ref().is_none_or(|when| said.contains(when.as_str()));
        self.turns.iter().find(fits)?.answers.get(rounds(&prompt.history))
    }
}

/// How often results were given since the user spoke last.
fn rounds(history: &[Entry]) -> usize {
    let mut rounds = 0;
    let mut in_results = false;
    for entry in history.iter().rev() {
        match entry {
            Entry::User(_) => break,
            Entry::Result(_) => {
                rounds += usize::from(!in_results);
                in_results = true;
            }
            Entry::Developer(_) | Entry::Assistant(_) | Entry::Reasoning(_) | Entry::Call(_) => {
                in_results = false
            }
        }
    }
    rounds
}

/// `text` with what stands for something replaced by it.
#[must_use]
pub(crate) fn filled(text: &str, prompt: &Prompt) -> String {
    let results: Vec<String> = prompt.last_results().into_iter().map(ToolResult::texts).collect();
    let tools: Vec<&str> = prompt.tools.iter().map(|tool| tool.name.as_str()).collect();
    text.replace("{said}", &prompt.last_words())
        .replace("{results}", &results.join("\n"))
        .replace("{entries}", &prompt.history.len().to_string())
        .replace("{tools}", &tools.join(" "))
}

fn duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text)
        .ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no time such as 200ms or 1.5s")))
}
