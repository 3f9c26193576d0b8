//! Whether a helper over HTTP has refused a request because it has forgotten the session. Then the session is begun anew. A
//! call is only made again if the helper has certainly not read it: what was carried out once must not be carried out twice.

use reqwest::StatusCode;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorCode, JsonRpcError, JsonRpcMessage};

/// Codes of errors about sessions in the SDKs.
const CODES: [i32; 3] = [-32000, -32001, -32600];

/// How SDKs say that there is no such session.
const WORDS: [&str; 5] =
    ["session not found", "no valid session", "invalid session id", "missing session id", "not initialized"];

/// An answer that is no success.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpRefusal<'a> {
    /// The status of HTTP.
    pub(crate) status: StatusCode,
    /// The error of MCP in the body, with the id that the helper gave it.
    pub(crate) error: Option<&'a JsonRpcError>,
    pub(crate) body: &'a [u8],
}

/// The state of the session by a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionRefusal {
    /// It is lost, and the request can be sent again.
    LostUnread,
    /// It is lost, and the helper may have read the request.
    Lost,
}

impl HttpRefusal<'_> {
    /// The state of the session of `message`; `None` if the refusal is about something else. The status for a lost session is 404.
    /// Servers after the examples of the most used SDK answer 400 after a restart.
    pub(crate) fn about_session(&self, message: &ClientJsonRpcMessage) -> Option<SessionRefusal> {
        let is_read = self.error.is_some_and(|error| is_named(error, message));
        let is_lost = match (self.status, self.error) {
            (StatusCode::NOT_FOUND, _) if !is_read => return Some(SessionRefusal::LostUnread),
            (StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, Some(error)) => {
                let ErrorCode(code) = error.error.code;
                (!is_read || CODES.contains(&code)) && names_the_session(&error.error.message)
            }
            (StatusCode::BAD_REQUEST, None) => self.is_bare_word(),
            _ => false,
        };
        let unread = self.error.is_some() && !is_read || !is_call(message);
        is_lost.then_some(if unread { SessionRefusal::LostUnread } else { SessionRefusal::Lost })
    }

    /// Whether the body is such words and nothing else.
    fn is_bare_word(&self) -> bool {
        let text = String::from_utf8_lossy(self.body).trim().trim_end_matches('.').to_ascii_lowercase();
        text == "no session" || WORDS.contains(&&*text)
    }
}

fn names_the_session(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    WORDS.iter().any(|words| text.contains(words))
}

/// Whether an error has the id of the request. A helper that has not read the request does not know that id.
fn is_named(error: &JsonRpcError, message: &ClientJsonRpcMessage) -> bool {
    matches!(message, JsonRpcMessage::Request(request) if error.id.as_ref() == Some(&request.id))
}

/// Whether sending it twice may do something twice.
fn is_call(message: &ClientJsonRpcMessage) -> bool {
    matches!(message, JsonRpcMessage::Request(request) if matches!(request.request, ClientRequest::CallToolRequest(_)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refusal(method: &str, status: u16, body: &Value) -> Option<SessionRefusal> {
        let params = json!({ "name": "x" });
        let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let message: ClientJsonRpcMessage = serde_json::from_value(message).expect("a request");
        let text = body.as_str().map_or_else(|| body.to_string(), ToOwned::to_owned);
        let error = serde_json::from_str(&text).ok();
        let status = StatusCode::from_u16(status).expect("a status");
        HttpRefusal { status, error: error.as_ref(), body: text.as_bytes() }.about_session(&message)
    }

    fn error(id: &Value, code: i32, text: &str) -> Value {
        json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": text } })
    }

    #[test]
    fn a_call_that_may_have_been_read_is_not_sent_again() {
        let (own, none, other) = (json!(7), Value::Null, json!("server-error"));
        let lost = "Bad Request: No valid session ID provided";
        let tab = "the browser session has no tab 7";
        let table = [
            (400, error(&own, -32602, tab), None),
            (400, error(&own, -32000, tab), None),
            (400, error(&own, -32602, "session not found"), None),
            (400, error(&none, -32602, tab), None),
            (400, error(&none, -32000, lost), Some(SessionRefusal::LostUnread)),
            (
                400,
                error(&none, -32000, "Bad Request: Server not initialized"),
                Some(SessionRefusal::LostUnread),
            ),
            (400, error(&other, -32600, "Session not found"), Some(SessionRefusal::LostUnread)),
            (400, error(&own, -32000, lost), Some(SessionRefusal::Lost)),
            (400, json!("Invalid session ID\n"), Some(SessionRefusal::Lost)),
            (400, json!("this session has no tab 7"), None),
            (404, json!("unknown"), Some(SessionRefusal::LostUnread)),
            (404, error(&none, -32001, "Session not found"), Some(SessionRefusal::LostUnread)),
            (404, error(&own, -32001, "Session not found"), Some(SessionRefusal::Lost)),
            (404, error(&own, -32601, tab), None),
            (500, error(&none, -32000, lost), None),
        ];
        for (status, body, wanted) in table {
            assert_eq!(refusal("tools/call", status, &body), wanted, "{status} {body}");
            let other = wanted.map(|_| SessionRefusal::LostUnread);
            assert_eq!(refusal("ping", status, &body), other, "{status} {body}: it does nothing twice");
        }
    }
}
