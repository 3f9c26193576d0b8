//! Which revision of MCP this helper speaks, and what it makes of messages that are none of its revision's.

use serde_json::{Value, json};

use super::{answer, send};

/// The revision without a handshake.
const STATELESS: &str = "2026-07-28";
/// Where each request of that revision says so.
const META: &str = "io.modelcontextprotocol/protocolVersion";

/// `--speaks HOW`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// `2025-11-25`, as every revision up to that one begins.
    #[default]
    Handshake,
    /// `2024-11-05`, or any other: whatever the client asks for, this is answered.
    Older(String),
    /// `2026-07-28`: refuses what it does not know.
    Stateless,
    /// `2026-07-28-mute`: drops what it does not know.
    StatelessMute,
    /// `strict`: exits at anything but the handshake until that is over.
    Strict,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It goes on to the tools.
    Served,
    /// It is dealt with.
    Done,
}

impl Speaks {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            STATELESS => Self::Stateless,
            "2026-07-28-mute" => Self::StatelessMute,
            "strict" => Self::Strict,
            older => Self::Older(older.to_owned()),
        }
    }

    /// Whether its revision has no requests to the client: what it wants to know is an answer.
    pub(crate) fn has_no_requests(&self) -> bool {
        match self {
            Self::Stateless | Self::StatelessMute => true,
            Self::Handshake | Self::Older(_) | Self::Strict => false,
        }
    }

    /// `begun`: whether `notifications/initialized` was heard.
    pub(crate) fn hears(&self, message: &Value, begun: &mut bool) -> Heard {
        let (id, method) = (&message["id"], message["method"].as_str().unwrap_or_default());
        *begun |= method == "notifications/initialized";
        match (self, method) {
            (Self::Older(version), "initialize") => {
                answer(id, &super::hello(&json!(version)));
                Heard::Done
            }
            (Self::Strict, "initialize" | "notifications/initialized") => Heard::Served,
            (Self::Strict, stranger) if !*begun => {
                eprintln!("{stranger} before the handshake, giving up");
                std::process::exit(5)
            }
            (Self::Handshake | Self::Older(_) | Self::Strict, _) => Heard::Served,
            (Self::Stateless | Self::StatelessMute, "server/discover") => {
                answer(id, &discovered());
                Heard::Done
            }
            (Self::StatelessMute, "initialize") => Heard::Done,
            (Self::Stateless | Self::StatelessMute, "initialize" | "ping") => {
                refuse(id, -32601, method);
                Heard::Done
            }
            (Self::Stateless | Self::StatelessMute, _)
                if !id.is_null() && message["params"]["_meta"][META] != STATELESS =>
            {
                refuse(id, -32602, "a request without its revision");
                Heard::Done
            }
            (Self::Stateless | Self::StatelessMute, _) => Heard::Served,
        }
    }
}

fn discovered() -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": [STATELESS],
        "capabilities": { "tools": {}, "resources": {} },
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "mcp-helper", "version": env!("CARGO_PKG_VERSION") } },
    })
}

fn refuse(id: &Value, code: i32, message: &str) {
    send(&json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }));
}
