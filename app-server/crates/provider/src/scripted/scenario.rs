//!
//! Scenario files: the lines of a scripted model and their timing. TOML:
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
//! || `say` and `think` fill in `{said}` (the user's last message), `{results}` (the results' texts), `{entries}`
//! (the number of entries in the prompt) and `{tools}` (the names of the tools on offer).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use skein_base::units::parse_duration;
use skein_protocol::turn::CodexErrorInfo;

use crate::{Callee, Entry, Prompt, ToolResult};

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// The first match is played.
    #[serde(default, rename = "turn")]
    pub(crate) turns: Vec<ScriptedTurn>,
}

/// The answers in turns that begin with certain words.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptedTurn {
    /// A part of the user's last message; `None` matches anything.
    #[serde(default)]
    pub(crate) when: Option<String>,
    /// One answer for each time the turn asks the model.
    #[serde(rename = "answer")]
    pub(crate) answers: Vec<ScriptedAnswer>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptedAnswer {
    pub(crate) steps: Vec<ScriptedStep>,
}

/// One step; its members decide which.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum ScriptedStep {
    /// The next piece of the answer's text.
    Say(Say),
    /// The next piece of reasoning.
    Think(Think),
    /// A pause.
    Wait(Wait),
    /// The same piece repeatedly.
    Stream(Stream),
    /// A tool call.
    Call(Call),
    /// A question to the user.
    Ask(Ask),
    /// The usage.
    Usage(Used),
    /// The stream breaks off, and the answer begins again with the next steps.
    Again(Again),
    /// The provider fails.
    Fail(Fail),
    /// Nothing more until the turn is interrupted.
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
    /// `think`: a piece of the summary, or with `raw` of the reasoning itself; `part` counts from 0.
    Think {
        think: String,
        #[serde(default)] part: usize,
        #[serde(default)] raw: bool,
    }
    /// `wait`: `200ms`, `1.5s`.
    Wait { #[serde(deserialize_with = "duration")] wait: Duration }
    /// `stream`: sends `text` that many times, `every` so often.
    Stream {
        stream: u32,
        text: String,
        #[serde(default, deserialize_with = "duration")] every: Duration,
    }
    /// `call`: a helper's tool, or without `server` a tool by its offered name.
    Call {
        call: String,
        #[serde(default)] server: Option<String>,
        #[serde(default)] arguments: BTreeMap<String, Value>,
    }
    /// `ask`
    Ask { ask: String }
    /// `usage`
    Used { usage: Tokens }
    /// `again`: the reason.
    Again { again: String }
    /// `fail`: the message for the user, and its kind as the protocol names it (`rateLimitExceeded`).
    Fail { fail: String, #[serde(default)] kind: Option<CodexErrorInfo> }
    /// `hang`: true.
    Hang { hang: bool }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tokens {
    pub(crate) input: i64,
    /// From the cache, part of `input`.
    pub(crate) cached: i64,
    pub(crate) output: i64,
    /// Part of `output`.
    pub(crate) reasoning: i64,
}

impl Call {
    pub(crate) fn callee(&self) -> Callee {
        match &self.server {
            Some(server) => Callee::Helper { server: server.clone(), tool: self.call.clone() },
            None => Callee::Offered(self.call.clone()),
        }
    }
}

impl Scenario {
    ///
    /// # Errors
    /// The text is no scenario; the message names the place.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    pub(crate) fn answer(&self, prompt: &Prompt) -> Option<&ScriptedAnswer> {
        let said = prompt.last_words();
        let fits = |turn: &&ScriptedTurn| turn.when.as_ref().is_none_or(|when| said.contains(when.as_str()));
        self.turns.iter().find(fits)?.answers.get(rounds(&prompt.history))
    }
}

/// The number of rounds of results since the user's last message.
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

/// Fills in the placeholders of `text`.
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
