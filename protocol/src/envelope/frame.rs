//! Parses a frame of hostile text into a message.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{BadFrame, Incoming};
use crate::{error::WireError, ids::RequestId};

/// The deepest nesting of arrays and objects, the message's own object included.
pub const MAX_DEPTH: usize = 128;

/// The longest text of an id, in bytes; bounds the answer that echoes it.
pub const MAX_ID_LENGTH: usize = 256;

/// Reads a message.
///
/// # Errors
/// A parse error if `text` is not JSON. An invalid request if it is nested too deeply, a batch, no object, or has no
/// method, a bad id, or conflicting members. The id is echoed if it is readable.
pub fn parse(text: &str) -> Result<Incoming<'_>, BadFrame> {
    if deeper_than(text, MAX_DEPTH) {
        let message = format!("the message is nested deeper than {MAX_DEPTH} levels; send it flatter");
        return Err(bad(None, WireError::invalid_request("tooDeep", message)));
    }
    let members = match serde_json::from_str(text) {
        Ok(JsonShape::Object(members)) => members,
        Ok(JsonShape::Batch) => {
            let message = "batches are not supported; send each request in a message of its own";
            return Err(bad(None, WireError::invalid_request("batch", message)));
        }
        Ok(JsonShape::Scalar) => {
            return Err(bad(
                None,
                WireError::invalid_request("notAnObject", "a message must be a JSON object"),
            ));
        }
        Err(error) => {
            let message = format!("the message is not JSON: {error}");
            return Err(bad(None, WireError::parse_error("notJson", message)));
        }
    };
    message(members)
}

/// Sorts the members of an object into a message.
fn message(members: MessageMembers<'_>) -> Result<Incoming<'_>, BadFrame> {
    let id = id(&members)?;
    if let Some(name) = members.repeated {
        let message = format!("the member {name:?} stands twice in the message; send it once");
        return Err(bad(id, WireError::invalid_request("duplicateMember", message)));
    }
    match (members.method, members.result, members.error) {
        (Some(raw), None, None) => {
            let Ok(method) = serde_json::from_str::<Text<'_>>(raw.get()) else {
                return Err(bad(id, WireError::invalid_request("badMethod", "method must be a string")));
            };
            Ok(match id {
                Some(id) => Incoming::Request { id, method: method.0, params: members.params },
                None => Incoming::Notification { method: method.0, params: members.params },
            })
        }
        (None, Some(result), None) => Ok(Incoming::Response { id: answered(id)?, result }),
        (None, None, Some(raw)) => {
            let id = answered(id)?;
            match serde_json::from_str(raw.get()) {
                Ok(error) => Ok(Incoming::Error { id, error }),
                Err(_) => {
                    let message = "error must be an object with a code and a message";
                    Err(bad(Some(id), WireError::invalid_request("badError", message)))
                }
            }
        }
        (None, None, None) => {
            let message = "the message has no method; a request has id, method and params";
            Err(bad(id, WireError::invalid_request("noMethod", message)))
        }
        (Some(_), _, _) | (None, Some(_), Some(_)) => {
            let message = "a message has either a method, a result or an error";
            Err(bad(id, WireError::invalid_request("badEnvelope", message)))
        }
    }
}

fn id(members: &MessageMembers<'_>) -> Result<Option<RequestId>, BadFrame> {
    let Some(raw) = members.id else { return Ok(None) };
    if members.repeated == Some("id") {
        // Ambiguous: an echo could settle the wrong request.
        return Ok(None);
    }
    match serde_json::from_str(raw.get()) {
        Ok(RequestId::String(text)) if text.len() > MAX_ID_LENGTH => {
            let message = format!("an id may have {MAX_ID_LENGTH} bytes, this one has {}", text.len());
            Err(bad(None, WireError::invalid_request("badId", message)))
        }
        Ok(id) => Ok(Some(id)),
        Err(_) => {
            let message = "id must be a string or a 64-bit integer; a notification has none";
            Err(bad(None, WireError::invalid_request("badId", message)))
        }
    }
}

/// The id of an answer, which is required.
fn answered(id: Option<RequestId>) -> Result<RequestId, BadFrame> {
    id.ok_or_else(|| {
        bad(None, WireError::invalid_request("badId", "an answer must have the id of its request"))
    })
}

fn bad(id: Option<RequestId>, error: WireError) -> BadFrame {
    BadFrame { id, error }
}

/// Whether `text` nests deeper than `limit`. Comes first, because serde skips raw members without counting levels.
/// Does not recurse; accepts text that is not JSON.
fn deeper_than(text: &str, limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A JSON text by its outer shape.
enum JsonShape<'a> {
    Object(MessageMembers<'a>),
    Batch,
    Scalar,
}

/// The known members of a message, unread; all others are ignored.
#[derive(Default)]
struct MessageMembers<'a> {
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    /// The first known member that is repeated; `id` takes precedence.
    repeated: Option<&'static str>,
}

impl<'a> MessageMembers<'a> {
    fn slot(&mut self, key: &str) -> Option<(&'static str, &mut Option<&'a RawValue>)> {
        match key {
            "id" => Some(("id", &mut self.id)),
            "method" => Some(("method", &mut self.method)),
            "params" => Some(("params", &mut self.params)),
            "result" => Some(("result", &mut self.result)),
            "error" => Some(("error", &mut self.error)),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for JsonShape<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FrameVisitor)
    }
}

struct FrameVisitor;

impl<'de> Visitor<'de> for FrameVisitor {
    type Value = JsonShape<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = MessageMembers::default();
        while let Some(Text(key)) = map.next_key()? {
            match members.slot(&key) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some((name, slot)) => {
                    let value = map.next_value()?;
                    // A repeated id is not echoed, so it takes precedence.
                    if slot.replace(value).is_some() && members.repeated != Some("id") {
                        members.repeated = Some(name);
                    }
                }
            }
        }
        Ok(JsonShape::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(JsonShape::Batch)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(JsonShape::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(JsonShape::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(JsonShape::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(JsonShape::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(JsonShape::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(JsonShape::Scalar)
    }
}

/// A text, borrowed from the message unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
