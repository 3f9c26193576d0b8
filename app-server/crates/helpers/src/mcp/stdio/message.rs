//! Classifies a line of a helper by its members: a message that no call waits for costs no memory. Pure.

use rmcp::model::{NumberOrString, ProgressNotificationParam, RequestId};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::policy;

/// The notification that the user is done at a page.
pub(crate) const PAGE_COMPLETED: &str = "notifications/elicitation/complete";

/// A message of a helper, by who it is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// The answer to a request of ours, or to none.
    Answer(RequestId),
    /// Something it asks.
    Request {
        /// Its id for it.
        id: RequestId,
        method: String,
    },
    /// How far one of our calls is.
    Progress(ProgressNotificationParam),
    /// It does not want the answer to a request of its own any more.
    Cancelled(RequestId),
    /// The user is done at the page of this id.
    PageCompleted(String),
    /// The helper's tools or resources have changed.
    Changed,
    /// Nothing for anybody: an empty line, a notification that we do not need, an answer without an id that we could have
    /// given.
    Nothing,
}

/// The members of a message; what is in them is not looked at.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CancelledParams {
    request_id: Option<RequestId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageParams {
    elicitation_id: String,
}

/// Reads a line.
///
/// # Errors
/// The mistake in a line that is no message of MCP, for the user.
pub(crate) fn parse(line: &[u8]) -> Result<Message, String> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(Message::Nothing);
    }
    // A list has members by place for serde.
    let head = if line.starts_with(b"{") { serde_json::from_slice::<Head>(line).ok() } else { None };
    head.and_then(|head| head.classify()).ok_or_else(|| garbage(line))
}

/// The text for a line that is no message.
pub(crate) fn garbage(line: &[u8]) -> String {
    let shown = &line[..line.len().min(policy::HELPER_GARBAGE_SHOWN)];
    format!("it printed what is no MCP message: {:?}", String::from_utf8_lossy(shown))
}

impl Head<'_> {
    fn classify(self) -> Option<Message> {
        let id: Option<RequestId> = self.id.and_then(read);
        match (self.method, id) {
            (Some(method), Some(id)) => Some(Message::Request { id, method }),
            (Some(method), None) => Some(notification(&method, self.params)),
            (None, Some(id)) if self.result.is_some() || self.error.is_some() => {
                Some(Message::Answer(by_number(id)))
            }
            // An answer to nobody: we never ask with such an id.
            (None, None) if self.result.is_some() || self.error.is_some() => Some(Message::Nothing),
            (None, Some(_) | None) => None,
        }
    }
}

fn notification(method: &str, params: Option<&RawValue>) -> Message {
    match method {
        "notifications/progress" => params.and_then(read).map_or(Message::Nothing, Message::Progress),
        "notifications/cancelled" => params
            .and_then(read)
            .and_then(|params: CancelledParams| params.request_id)
            .map_or(Message::Nothing, Message::Cancelled),
        PAGE_COMPLETED => params
            .and_then(read)
            .map_or(Message::Nothing, |PageParams { elicitation_id }| Message::PageCompleted(elicitation_id)),
        "notifications/tools/list_changed" | "notifications/resources/list_changed" => Message::Changed,
        _ => Message::Nothing,
    }
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A member that is there, also when it is null.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Some helpers answer a number as a string.
fn by_number(id: RequestId) -> RequestId {
    match &id {
        NumberOrString::String(text) => text.parse().map_or(id, NumberOrString::Number),
        NumberOrString::Number(_) => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: i64) -> RequestId {
        NumberOrString::Number(number)
    }

    #[test]
    fn messages_are_classified() {
        let cases = [
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Message::Answer(number(1))),
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, Message::Answer(number(1))),
            (r#"{"jsonrpc":"2.0","id":"7","error":{"code":1,"message":""}}"#, Message::Answer(number(7))),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#, Message::Nothing),
            (
                r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#,
                Message::Request { id: number(2), method: "ping".to_owned() },
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#,
                Message::Cancelled(number(3)),
            ),
            (r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#, Message::Changed),
            (r#"{"jsonrpc":"2.0","method":"notifications/progress","params":7}"#, Message::Nothing),
            (r#"{"method":"notifications/strange","id":null}"#, Message::Nothing),
            (
                r#"{"method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}"#,
                Message::PageCompleted("e".to_owned()),
            ),
            (r#"{"method":"notifications/elicitation/complete"}"#, Message::Nothing),
            (" \r", Message::Nothing),
            // Ids that nobody can have asked with.
            (r#"{"jsonrpc":"2.0","id":1.5,"result":{}}"#, Message::Nothing),
            (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, Message::Nothing),
            (r#"{"jsonrpc":"2.0","result":{}}"#, Message::Nothing),
            (r#"{"jsonrpc":"2.0","id":{"a":1},"error":{"code":1,"message":""}}"#, Message::Nothing),
            (r#"{"jsonrpc":"2.0","id":99999999999999999999,"result":{}}"#, Message::Nothing),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"roots/list"}"#, Message::Nothing),
        ];
        for (line, wanted) in cases {
            assert_eq!(parse(line.as_bytes()), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn garbage_is_refused_and_shown_in_short() {
        for line in
            [&b"Listening on stdio"[..], b"[]", b"{}", b"\xff\xfe", br#"{"level":"info"}"#, br#"{"id":1}"#]
        {
            let refused = parse(line).expect_err("no message");
            assert!(refused.starts_with("it printed what is no MCP message: \""), "{refused}");
        }
        let refused = parse(&[b'x'; 5000]).expect_err("no message");
        assert!(refused.len() < 300, "{}", refused.len());
    }
}
