//! Reads and prints messages: one JSON-RPC message a frame.
//!
//! `jsonrpc` is accepted and never sent. Params stay raw until the method is known. Reading hostile text never panics
//! and never recurses deeper than [`MAX_DEPTH`]; errors repeat only a little of it.

mod frame;
mod print;

use std::borrow::Cow;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

pub use frame::{MAX_DEPTH, MAX_ID_LENGTH, parse};
pub use print::{
    ERROR_REPLY_LIMIT, announcement, client_notification, error_reply, notification, printed_server_request,
    request, response, server_request,
};

use crate::{
    error::WireError,
    ids::{BAD_THREAD_ID, Epoch, EventSeq, RequestId},
};

/// A received message.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// A request; the answer has its id.
    Request {
        /// Chosen by the sender.
        id: RequestId,
        /// Name of the method, known or not.
        method: Cow<'a, str>,
        /// Raw; read by [`params`].
        params: Option<&'a RawValue>,
    },
    /// A message without an answer.
    Notification {
        /// Name of the notification, known or not.
        method: Cow<'a, str>,
        /// Raw; read by [`params`].
        params: Option<&'a RawValue>,
    },
    /// The answer to a request of this side.
    Response {
        /// The id of the request.
        id: RequestId,
        /// The answer.
        result: &'a RawValue,
    },
    /// The refusal of a request of this side.
    Error {
        /// The id of the request.
        id: RequestId,
        /// The error.
        error: WireError,
    },
}

/// A text that is no message; the reply is [`error_reply`].
#[derive(Debug, Clone, PartialEq)]
pub struct BadFrame {
    /// The id of the message, if it was readable.
    pub id: Option<RequestId>,
    /// The error.
    pub error: WireError,
}

/// The members beside `method` in a notification of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stamp {
    /// The time of sending, in Unix milliseconds.
    pub emitted_at_ms: Option<i64>,
    /// Its number in the thread's history.
    pub seq: Option<EventSeq>,
    /// The version of the history.
    pub epoch: Option<Epoch>,
}

/// Reads the stamp of a notification, for clients.
///
/// # Errors
/// When the text is no JSON object, or a member of the stamp has the wrong type.
pub fn stamp(text: &str) -> Result<Stamp, WireError> {
    serde_json::from_str(text).map_err(|error| WireError::invalid_request("badEnvelope", error.to_string()))
}

/// The longest part of a reader's message in an error, in characters.
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
        // Clients of the peer compare these words.
        let known = misfit.detail.starts_with(BAD_THREAD_ID);
        let text = if known { misfit.detail.clone() } else { format!("Invalid request: {}", misfit.detail) };
        let error = WireError::invalid_params("invalidParams", text);
        match misfit.path {
            Some(path) => error.hint(format!("look at params.{path}")).path(path),
            None => error,
        }
    })
}

/// Reads the answer to a request.
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

/// The mismatch of a text and a type, cut in length.
struct Misfit {
    /// The field; `None` for the whole.
    path: Option<String>,
    detail: String,
}

fn fit<T: DeserializeOwned>(text: &str) -> Result<T, Misfit> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path: String = error.path().to_string().chars().take(DETAIL_LIMIT).collect();
        let detail = error.inner().to_string();
        // The position is useless: the client has another form of the text.
        let detail = detail.rsplit_once(" at line ").map_or(detail.as_str(), |(detail, _place)| detail);
        let detail = detail.chars().take(DETAIL_LIMIT).collect();
        Misfit { path: Some(path).filter(|path| path != "."), detail }
    })
}

#[cfg(test)]
mod tests;
