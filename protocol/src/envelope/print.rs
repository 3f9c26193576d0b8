//! Prints messages.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_with::skip_serializing_none;
use std::borrow::Cow;

use crate::{
    error::WireError,
    ids::{Epoch, EventSeq, RequestId},
    table::{ClientNotification, Method, Notification, ServerRequest},
};

/// The longest error reply, in bytes.
pub const ERROR_REPLY_LIMIT: usize = 4096;

#[derive(Serialize)]
struct ResponseFrame<'a, T> {
    id: &'a RequestId,
    result: &'a T,
}

#[derive(Serialize)]
struct ErrorFrame<'a> {
    id: Option<&'a RequestId>,
    error: &'a WireError,
}

#[derive(Serialize)]
struct RequestFrame<'a, T: ?Sized> {
    id: &'a RequestId,
    method: &'a str,
    params: &'a T,
}

#[skip_serializing_none]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NotificationFrame<'a, T: ?Sized> {
    method: &'static str,
    params: &'a T,
    emitted_at_ms: Option<i64>,
    seq: Option<EventSeq>,
    epoch: Option<Epoch>,
}

/// The answer to the request `id`.
pub fn response<T: Serialize>(id: &RequestId, result: &T) -> String {
    print(Some(id), &ResponseFrame { id, result })
}

/// The refusal of request `id`, or of a message without a readable id. At most [`ERROR_REPLY_LIMIT`] bytes: long
/// texts are cut, and a long id is left out.
pub fn error_reply(id: Option<&RequestId>, error: &WireError) -> String {
    let mut text = print(id, &ErrorFrame { id, error });
    let mut limit = ERROR_REPLY_LIMIT / 4;
    while text.len() > ERROR_REPLY_LIMIT && limit > 0 {
        text = print(id, &ErrorFrame { id, error: &shortened(error, limit) });
        limit /= 4;
    }
    if text.len() > ERROR_REPLY_LIMIT && id.is_some() {
        return error_reply(None, error);
    }
    text
}

/// A notification of the server. `emitted_at_ms` is Unix time in milliseconds; `number` is set for events of a
/// thread's history if the client asked for numbers.
pub fn notification<N: Notification>(
    params: &N::Params,
    emitted_at_ms: i64,
    number: Option<(EventSeq, Epoch)>,
) -> String {
    let (seq, epoch) = number.unzip();
    print(
        None,
        &NotificationFrame { method: N::INFO.wire, params, emitted_at_ms: Some(emitted_at_ms), seq, epoch },
    )
}

/// A notification of the server with printed params: one with a number of the catalog.
pub fn announcement(
    method: &'static str,
    params: &RawValue,
    emitted_at_ms: i64,
    number: Option<(EventSeq, Epoch)>,
) -> String {
    let (seq, epoch) = number.unzip();
    print(None, &NotificationFrame { method, params, emitted_at_ms: Some(emitted_at_ms), seq, epoch })
}

/// A request of the server.
pub fn server_request<R: ServerRequest>(id: &RequestId, params: &R::Params) -> String {
    print(Some(id), &RequestFrame { id, method: R::INFO.wire, params })
}

/// A request of the server with printed params.
pub fn printed_server_request(id: &RequestId, method: &str, params: &RawValue) -> String {
    print(Some(id), &RequestFrame { id, method, params })
}

/// A request of a client.
pub fn request<M: Method>(id: &RequestId, params: &M::Params) -> String {
    print(Some(id), &RequestFrame { id, method: M::INFO.wire, params })
}

/// A notification of a client.
pub fn client_notification<N: ClientNotification>(params: &N::Params) -> String {
    print(
        None,
        &NotificationFrame { method: N::INFO.wire, params, emitted_at_ms: None, seq: None, epoch: None },
    )
}

/// Prints `message`. An unprintable type, such as a map with keys that are no text, becomes an internal error for
/// `id`. This crate has none.
fn print<T: Serialize>(id: Option<&RequestId>, message: &T) -> String {
    serde_json::to_string(message).unwrap_or_else(|error| {
        let id = id.map_or(serde_json::Value::Null, |id| match id {
            RequestId::Integer(number) => (*number).into(),
            RequestId::String(text) => text.as_str().into(),
        });
        let message = format!("the answer cannot be printed: {error}");
        let data = serde_json::json!({ "reason": "unprintable" });
        let error =
            serde_json::json!({ "code": crate::error::INTERNAL_ERROR, "message": message, "data": data });
        serde_json::json!({ "id": id, "error": error }).to_string()
    })
}

/// The same error with each of its texts cut to `limit` bytes.
fn shortened(error: &WireError, limit: usize) -> WireError {
    let mut error = error.clone();
    cut(&mut error.message, limit);
    if let Some(data) = &mut error.data {
        let mut reason = std::mem::take(&mut data.reason).into_owned();
        cut(&mut reason, limit);
        data.reason = Cow::Owned(reason);
        for text in [&mut data.server, &mut data.tool, &mut data.method, &mut data.path].into_iter().flatten()
        {
            cut(text, limit);
        }
        for id in [&mut data.turn_id, &mut data.active_turn_id].into_iter().flatten() {
            *id = cut_copy(id.as_str(), limit).into();
        }
        if let Some(id) = &mut data.item_id {
            *id = cut_copy(id.as_str(), limit).into();
        }
    }
    error
}

fn cut_copy(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].to_owned()
}

fn cut(text: &mut String, limit: usize) {
    text.truncate(text.floor_char_boundary(limit));
}
