//! What the interfaces of providers have in common for the transport: a request is built, and a stream is read, each without
//! I/O.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::said::Said;
use crate::policy;
use crate::spec::ProviderSpec;
use crate::{ModelEvent, Prompt};

/// An interface that models are asked by.
pub trait WireForm: Send + Sync {
    /// The path below the base address.
    fn path(&self) -> &'static str;

    /// The header that has the key; a bearer token (RFC 6750) where the interface says nothing else.
    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {key}"))
    }

    /// Headers that each request has.
    fn own_headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The body of a request.
    fn request(&self, prompt: &Prompt, spec: &ProviderSpec) -> Value;

    /// The reader of one answer, which `answer` tells from all others.
    fn reader(&self, answer: Uuid) -> Box<dyn StreamReader>;
}

/// Reads the events of one answer. Pure.
pub trait StreamReader: Send {
    /// Takes one event, its data. What it says goes to `out`, also what it says before an error.
    ///
    /// # Errors
    /// What ends the answer before its end.
    fn hear(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<Flow, Wrong>;

    /// The stream has ended without its last word. Whether the answer is over all the same; what was held back goes to
    /// `out` then.
    ///
    /// # Errors
    /// It is over, and not all that there was to say.
    fn cut(&mut self, out: &mut Vec<ModelEvent>) -> Result<bool, Wrong>;

    /// Whether the reason of the end has come: what may follow is what the answer cost, and the last word.
    fn is_finished(&self) -> bool;

    /// Takes an answer that came whole, from a server that makes no stream of it.
    ///
    /// # Errors
    /// It is no answer, or not all of one.
    fn whole(&mut self, body: &Value, out: &mut Vec<ModelEvent>) -> Result<(), Wrong>;
}

/// Whether there is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The answer goes on.
    On,
    /// That was its end.
    Over,
}

/// What ends an answer before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The provider says so.
    Said(Said),
    /// It cannot be read: what there is instead.
    Garbage(String),
    /// It is too large to be kept.
    TooLong,
    /// It is over, and not all that there was to say.
    Stopped(Stopped),
    /// It says that it is over, and nothing of why: what made it broke off.
    Cut,
}

/// Why an answer is over before all was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It has taken all the tokens that it may take.
    Length,
    /// A filter of the provider's has cut it.
    Filter,
    /// The model, or its provider, refused to go on.
    Refusal,
    /// The conversation does not fit into the model any more.
    Context,
}

impl Wrong {
    /// Data that is no JSON, or not the right one.
    pub(crate) fn garbage(data: &str) -> Self {
        Self::Garbage(data.chars().take(policy::MODEL_ERROR_BYTES).collect())
    }
}

/// The id of a call that its server gave none: that of its answer, and which one of it it is.
pub(crate) fn call_id(answer: Uuid, number: usize) -> String {
    format!("call_{}_{number}", answer.simple())
}

/// The members of an object that are none of these, and not null: what only its server knows.
pub(crate) fn more(value: &Value, known: &[&str]) -> Map<String, Value> {
    let members = value.as_object().into_iter().flatten();
    let unknown = members.filter(|(key, value)| !known.contains(&key.as_str()) && !value.is_null());
    unknown.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A member that is a text.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// A member that is a text with something in it.
pub(crate) fn some_text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    text(value, key).filter(|text| !text.is_empty())
}

/// The number at a JSON pointer; 0 where there is none.
pub(crate) fn count(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0).max(0)
}
