//! Ids of threads, turns, items, connections and requests, and the numbers of events.
//!
//! Nothing here makes a new id: this crate has no clock and no randomness.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use uuid::Uuid;

/// The length of a hyphenated UUID, the only accepted form.
const UUID_LENGTH: usize = 36;

/// The id of a thread, a hyphenated UUID. Printed in lower case, so that the text is safe as a file name. The
/// default, the nil UUID, is no thread of a server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ThreadId(Uuid);

/// The beginning of the message of [`BadThreadId`], as in the peer.
pub const BAD_THREAD_ID: &str = "invalid thread id: ";

/// A text that is no thread id. The message repeats only the beginning of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{BAD_THREAD_ID}expected a hyphenated UUID such as 01890a5d-ac96-774b-bcce-b302099a8057, found {found:?}"
)]
pub struct BadThreadId {
    /// The beginning of the text.
    found: String,
}

impl ThreadId {
    /// The thread whose id is `uuid`.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as a UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for ThreadId {
    type Err = BadThreadId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == UUID_LENGTH => Ok(Self(uuid)),
            Ok(_) | Err(_) => Err(BadThreadId { found: text.chars().take(UUID_LENGTH + 4).collect() }),
        }
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl<'de> Deserialize<'de> for ThreadId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for ThreadId {
    fn schema_name() -> Cow<'static, str> {
        "ThreadId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Id of a thread.", "type": "string", "format": "uuid" })
    }
}

macro_rules! text_id {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id! {
    /// The id of a turn. Any text; it is compared, never built into a path.
    TurnId
}

text_id! {
    /// The id of an item. Any text; it is compared, never built into a path.
    ItemId
}

/// A websocket connection, numbered since the start of the process. Never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a record in one thread's history. Numbers rise for ever; clients see gaps.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

impl EventSeq {
    /// The number after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for EventSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of a thread's history, from 1. It changes when saved history was rewritten or may be lost, and in a
/// fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a request, chosen by the sender and echoed in the answer: a text or a signed 64-bit integer. Null,
/// fractions and larger integers are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RequestId {
    /// An integer.
    Integer(i64),
    /// A text.
    String(String),
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::String(text) => text.fmt(f),
        }
    }
}

impl From<i64> for RequestId {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<String> for RequestId {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<&str> for RequestId {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_uuid_is_a_thread_id_and_prints_in_one_way() {
        for text in ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"] {
            assert_eq!(text.parse::<ThreadId>().map(|id| id.to_string()).as_deref(), Ok(text));
        }
        let upper: ThreadId = "01890A5D-AC96-774B-BCCE-B302099A8057".parse().expect("upper case");
        assert_eq!(upper.to_string(), "01890a5d-ac96-774b-bcce-b302099a8057");
        let read: ThreadId =
            serde_json::from_str(r#""01890a5d-ac96-774b-bcce-b302099a805\u0037""#).expect("escaped");
        assert_eq!(serde_json::to_string(&read).expect("text"), r#""01890a5d-ac96-774b-bcce-b302099a8057""#);
    }

    #[test]
    fn nothing_else_is_a_thread_id() {
        let hostile = [
            "",
            "..",
            "/etc/passwd",
            "not-a-uuid",
            "01890a5dac96774bbcceb302099a8057",
            "{01890a5d-ac96-774b-bcce-b302099a8057}",
            "urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057",
            " 1890a5d-ac96-774b-bcce-b302099a8057",
            "01890a5d-ac96-774b-bcce-b302099a8057\0",
            "01890a5d-ac96-774b-bcce-b302099a805/",
            "０1890a5d-ac96-774b-bcce-b302099a80",
        ];
        for text in hostile {
            let error = text.parse::<ThreadId>().expect_err(text).to_string();
            assert!(error.contains("hyphenated UUID"), "{error}");
        }
        let long = "x".repeat(1_000_000).parse::<ThreadId>().expect_err("too long").to_string();
        assert!(long.len() < 200, "{} bytes", long.len());
        assert!(serde_json::from_str::<ThreadId>("7").is_err());
    }

    #[test]
    fn numbers_rise_and_never_wrap() {
        assert_eq!(EventSeq(7).next(), EventSeq(8));
        assert_eq!(EventSeq(u64::MAX).next(), EventSeq(u64::MAX));
    }
}
