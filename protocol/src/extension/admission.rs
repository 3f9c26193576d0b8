//! The open connections, and those that were refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Access;

/// Requests and connections that did not get in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionCounts {
    /// Requests of pages whose origin is not allowed.
    pub origins_total: u64,
    /// Requests without a right credential.
    pub credentials_total: u64,
    /// Requests of helpers.
    pub helpers_total: u64,
    /// Connections of other users to unix sockets.
    pub users_total: u64,
    /// The last refused origins, the newest last.
    pub last_origins: Vec<RefusedOriginEntry>,
    /// The open connections, equal ones together. Empty for clients below the access `admin`.
    pub admitted: Vec<AdmittedEntry>,
}

/// Open connections that came in with the same right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdmittedEntry {
    /// Their client: `a local program`, `helper "NAME"`, `session "LABEL"` or `token "NAME"`.
    pub who: String,
    /// The door that they came by.
    pub door: DoorKind,
    /// The origin of their page; null for programs.
    pub origin: Option<String>,
    /// Their access.
    pub scope: Access,
    /// Their number.
    pub connections: u64,
}

/// A way into the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DoorKind {
    /// A unix socket.
    Unix,
    /// A port on a loopback address.
    Loopback,
    /// A port that other machines can reach.
    Remote,
}

/// A page that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedOriginEntry {
    /// Its origin, such as `http://localhost:5173`.
    pub origin: String,
    /// The last time, Unix milliseconds.
    pub at_ms: i64,
}
