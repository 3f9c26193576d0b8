//! Messages as text: one JSON-RPC message a frame, read and printed.
//!
//! `jsonrpc` is accepted and never sent. Params stay raw until the method is known. Whatever the text, reading it never
//! panics, never recurses deeper than [`MAX_DEPTH`], and an error never repeats more than a little of it.

mod frame;
mod print;

use std::borrow::Cow;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

pub use frame::{MAX_DEPTH, MAX_ID_LENGTH, parse};
pub use print::{
    ERROR_REPLY_LIMIT, announcement, client_notification, error_reply, notification, request, response,
    server_request,
};

use crate::{
    error::WireError,
    ids::{BAD_THREAD_ID, Epoch, EventSeq, RequestId},
};

/// A message that was received.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A question; it is answered with its id.
    Request {
        /// Chosen by whoever asks.
        id: RequestId,
        /// Name of the method, known or not.
        method: Cow<'a, str>,
        /// For [`params`].
        params: Option<&'a RawValue>,
    },
    /// A word that needs no answer.
    Notification {
        /// Name of the notification, known or not.
        method: Cow<'a, str>,
        /// For [`params`].
        params: Option<&'a RawValue>,
    },
    /// The answer to a question of ours.
    Response {
        /// The id of the question.
        id: RequestId,
        /// The answer.
        result: &'a RawValue,
    },
    /// The refusal of a question of ours.
    Error {
        /// The id of the question.
        id: RequestId,
        /// Why.
        error: WireError,
    },
}

/// A text that is no message. It is answered with [`error_reply`].
#[derive(Debug, Clone, PartialEq)]
pub struct BadFrame {
    /// The id of the message, where it was readable.
    pub id: Option<RequestId>,
    /// What is wrong with it.
    pub error: WireError,
}

/// What stands beside `method` in a notification of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stamp {
    /// When it was sent, in Unix milliseconds.
    pub emitted_at_ms: Option<i64>,
    /// Its number in the thread's history.
    pub seq: Option<EventSeq>,
    /// The version of the history that the number belongs to.
    pub epoch: Option<Epoch>,
}

/// Reads the stamp of a notification, for clients.
///
/// # Errors
/// When the text is no JSON object, or a member of the stamp has the wrong type.
pub fn stamp(text: &str) -> Result<Stamp, WireError> {
    serde_json::from_str(text).map_err(|error| WireError::invalid_request("badEnvelope", error.to_string()))
}

/// Longest part of a reader's message that an error repeats, in characters.
const DETAIL_LIMIT: usize = 300;

/// Reads the params of a method. Missing params and `null` are read as `{}`.
///
/// # Errors
/// Invalid params, with the path of the field in `data.path`, when they are an array or a scalar, or do not fit `T`.
pub fn params<T: DeserializeOwned>(raw: Option<&RawValue>) -> Result<T, WireError> {
    let text = match raw.map(RawValue::get) {
        None | Some("null") => "{}",
        Some(text) => text,
    };
    if !text.starts_with('{') {
        return Err(WireError::invalid_params("invalidParams", "params must be an object, or left out"));
    }
    fit(text).map_err(|misfit| {
        // The peer's clients know these words. What is wrong with an id needs no more of them.
        let known = misfit.detail.starts_with(BAD_THREAD_ID);
        let text = if known { misfit.detail.clone() } else { format!("Invalid request: {}", misfit.detail) };
        let error = WireError::invalid_params("invalidParams", text);
        match misfit.path {
            Some(path) => error.hint(format!("look at params.{path}")).path(path),
            None => error,
        }
    })
}

/// Reads the answer to a question, for whoever asked it.
///
/// # Errors
/// Invalid params, with the path of the field in `data.path`, when the answer does not fit `T`.
pub fn result<T: DeserializeOwned>(raw: &RawValue) -> Result<T, WireError> {
    fit(raw.get()).map_err(|Misfit { path, detail }| match path {
        Some(path) => {
            WireError::invalid_params("invalidResult", format!("result.{path}: {detail}")).path(path)
        }
        None => WireError::invalid_params("invalidResult", format!("result: {detail}")),
    })
}

/// Why a text does not fit a type. Both parts are cut.
struct Misfit {
    /// The field, where it is not the whole.
    path: Option<String>,
    /// What is wrong with it.
    detail: String,
}

fn fit<T: DeserializeOwned>(text: &str) -> Result<T, Misfit> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path: String = error.path().to_string().chars().take(DETAIL_LIMIT).collect();
        let detail = error.inner().to_string();
        // A place in a text that the client has not seen in this form.
        let detail = detail.rsplit_once(" at line ").map_or(detail.as_str(), |(detail, _place)| detail);
        let detail = detail.chars().take(DETAIL_LIMIT).collect();
        Misfit { path: Some(path).filter(|path| path != "."), detail }
    })
}

#[cfg(test)]
mod tests;
