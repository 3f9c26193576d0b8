//! The MCP revision of this helper, and its treatment of messages from other revisions.

use serde_json::{Value, json};

use super::{answer, send};

/// The revision without a handshake.
const STATELESS: &str = "2026-07-28";
/// Name of the revision in each request of that revision.
const META: &str = "io.modelcontextprotocol/protocolVersion";

/// `--speaks HOW`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// `2025-11-25`. Every earlier revision begins like this.
    #[default]
    Handshake,
    /// `2024-11-05`, or any other: the helper answers with this revision in any case.
    Older(String),
    /// `2026-07-28`: refuses unknown messages.
    Stateless,
    /// `2026-07-28-mute`: drops unknown messages.
    StatelessMute,
    /// `strict`: exits on any message before the handshake is complete.
    Strict,
}

/// Result of the check of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handled {
    /// The tools must handle the message.
    Served,
    /// The message is complete.
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

    /// Whether the revision has no requests to the client. Questions are then part of an answer.
    pub(crate) fn has_no_requests(&self) -> bool {
        match self {
            Self::Stateless | Self::StatelessMute => true,
            Self::Handshake | Self::Older(_) | Self::Strict => false,
        }
    }

    /// `begun`: whether `notifications/initialized` has arrived.
    pub(crate) fn handle(&self, message: &Value, begun: &mut bool) -> Handled {
        let (id, method) = (&message["id"], message["method"].as_str().unwrap_or_default());
        *begun |= method == "notifications/initialized";
        match (self, method) {
            (Self::Older(version), "initialize") => {
                answer(id, &super::hello(&json!(version)));
                Handled::Done
            }
            (Self::Strict, "initialize" | "notifications/initialized") => Handled::Served,
            (Self::Strict, other) if !*begun => {
                eprintln!("{other} before the handshake, giving up");
                std::process::exit(5)
            }
            (Self::Handshake | Self::Older(_) | Self::Strict, _) => Handled::Served,
            (Self::Stateless | Self::StatelessMute, "server/discover") => {
                answer(id, &discovered());
                Handled::Done
            }
            (Self::StatelessMute, "initialize") => Handled::Done,
            (Self::Stateless | Self::StatelessMute, "initialize" | "ping") => {
                refuse(id, -32601, method);
                Handled::Done
            }
            (Self::Stateless | Self::StatelessMute, _)
                if !id.is_null() && message["params"]["_meta"][META] != STATELESS =>
            {
                refuse(id, -32602, "the request does not name its revision");
                Handled::Done
            }
            (Self::Stateless | Self::StatelessMute, _) => Handled::Served,
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
