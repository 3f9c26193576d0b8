//! A server's cluster in `skein/status`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// A server whose threads are in a database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterCounts {
    /// The id of the cluster, which its database has.
    pub id: String,
    /// The id of the server's row in the database.
    pub node: String,
    /// The servers whose rows live, this one included, as of the newest confirmed beat; 0 before the first.
    pub nodes: u64,
    /// Whether the database answers.
    pub standing: NodeStanding,
    /// Milliseconds since the server sent the last beat that the database has confirmed. It sends one each second.
    pub beat_age_ms: u64,
    /// The other servers whose announcements come here.
    pub observed: u64,
    /// Those servers, by their names.
    #[serde(default)]
    pub others: Vec<OtherServer>,
    /// The links that other servers have here: one for each of them, and one for each of their clients that uses a thread of this one.
    pub links: u64,
    /// The database, as the server sees it.
    pub database: DatabaseCounts,
}

/// Another server of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OtherServer {
    /// Its name (`--node-name`).
    pub name: String,
    /// The threads that it has loaded.
    pub loaded: u64,
}

/// How a server stands with its database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NodeStanding {
    /// The database has confirmed a beat of the last two seconds.
    #[default]
    Sure,
    /// It has not: `/readyz` answers 503.
    Doubtful,
    /// Others may have the server's threads, so it has ended them. It goes on once the database confirms a beat.
    Lost,
}

/// A database, as a server sees it.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DatabaseCounts {
    /// The id of its life. Another one means that the database may have lost commits, as after the promotion of a standby.
    pub life: String,
    /// Microseconds from the last confirmed beat to its answer.
    pub beat_micros: u64,
    /// Why the newest beat failed; absent if it did not.
    pub failure: Option<String>,
    /// Connections for reads that are in use.
    pub connections_busy: u64,
    /// Callers that wait for such a connection.
    pub callers_waiting: u64,
}
