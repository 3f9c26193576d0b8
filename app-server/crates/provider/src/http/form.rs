//! The parts that all wire interfaces share: each builds requests and reads streams without I/O.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::report::ErrorReport;
use crate::spec::ProviderSpec;
use crate::{ModelEvent, Prompt, policy};

/// A wire interface of model providers.
pub trait WireForm: Send + Sync {
    /// The path below the base address.
    fn path(&self) -> &'static str;

    /// The header for the key; a bearer token (RFC 6750) by default.
    fn key_header(&self, key: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {key}"))
    }

    /// Headers of each request.
    fn own_headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The body of a request.
    fn request(&self, prompt: &Prompt, spec: &ProviderSpec) -> Value;

    /// The reader of one answer. `answer` makes ids unique among all answers.
    fn reader(&self, answer: Uuid) -> Box<dyn StreamReader>;
}

/// Reads the events of one answer. Pure.
pub trait StreamReader: Send {
    /// Takes the data of one event. Events go to `out`, also those before an error.
    ///
    /// # Errors
    /// The answer ended early.
    fn read_event(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<Flow, StreamError>;

    /// Handles a stream that ended without its final event. Returns whether the answer is complete anyway; held-back
    /// events then go to `out`.
    ///
    /// # Errors
    /// The answer is over but not complete.
    fn cut(&mut self, out: &mut Vec<ModelEvent>) -> Result<bool, StreamError>;

    /// Whether the finish reason has arrived. Only the usage and the final event may follow.
    fn is_finished(&self) -> bool;

    /// Takes a whole answer from a server that does not stream.
    ///
    /// # Errors
    /// The body is no answer, or an incomplete one.
    fn whole(&mut self, body: &Value, out: &mut Vec<ModelEvent>) -> Result<(), StreamError>;
}

/// Whether the answer continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// More events follow.
    On,
    /// The answer is complete.
    Over,
}

/// An error that ended an answer early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamError {
    /// The provider reported an error.
    Reported(ErrorReport),
    /// Unreadable data; holds its beginning.
    Garbage(String),
    /// The answer exceeds a limit.
    TooLong,
    /// The model stopped before the answer was complete.
    Stopped(Stopped),
    /// The stream is over without a finish reason.
    Cut,
}

/// Why a model stopped before its answer was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The answer reached its token limit.
    Length,
    /// The provider's content filter cut it.
    Filter,
    /// The model, or its provider, refused.
    Refusal,
    /// The conversation no longer fits the model.
    Context,
}

impl StreamError {
    pub(crate) fn garbage(data: &str) -> Self {
        Self::Garbage(data.chars().take(policy::MODEL_ERROR_BYTES).collect())
    }
}

/// An id for a call that came without one: the answer's id and the call's number.
pub(crate) fn call_id(answer: Uuid, number: usize) -> String {
    format!("call_{}_{number}", answer.simple())
}

/// The members that only the provider knows: not in `known`, and not null.
pub(crate) fn more(value: &Value, known: &[&str]) -> Map<String, Value> {
    let members = value.as_object().into_iter().flatten();
    let unknown = members.filter(|(key, value)| !known.contains(&key.as_str()) && !value.is_null());
    unknown.map(|(key, value)| (key.clone(), value.clone())).collect()
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// A request's body without the members that are not set.
pub(crate) fn without_nulls(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    body
}

/// A text member that is not empty.
pub(crate) fn some_text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    text(value, key).filter(|text| !text.is_empty())
}

/// The number at a JSON pointer; 0 where there is none.
pub(crate) fn count(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0).max(0)
}
