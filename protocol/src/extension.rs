//! What is ours: the `skein` members of the peer's messages, the methods that begin with `skein/`, and `rpc.discover`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use serde_with::skip_serializing_none;

use crate::{
    JsonObject,
    ids::{Epoch, EventSeq, RequestId, ThreadId, TurnId},
    methods::ThreadRollback,
    table::Method,
    thread::ThreadStatus,
};

/// Methods of earlier versions of the peer, which the present one does not have, and clients still use.
pub const EARLIER: &[&str] = &[ThreadRollback::INFO.wire];

/// Whether a method or notification of this name is ours, and not one that the peer has. Names that begin with `rpc.`
/// belong to JSON-RPC itself.
#[must_use]
pub fn is_ours(wire: &str) -> bool {
    wire.starts_with("skein/") || wire.starts_with("rpc.") || EARLIER.contains(&wire)
}

/// The point in a thread's history that an answer is a picture of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadPicture {
    /// The last number that the picture includes.
    pub seq: EventSeq,
    /// The version of the history that the number belongs to.
    pub epoch: Epoch,
}

/// What an answer to `thread/resume` is a picture of, and what follows it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResumePicture {
    /// The last number that the picture includes. With `replayTo` it is the number that the client has named.
    pub seq: EventSeq,
    /// The version of the history that the number belongs to.
    pub epoch: Epoch,
    /// The history is continued: the answer has no turns, and every durable event after `afterSeq` follows, this one
    /// being the last of those that were there already. It is `afterSeq` itself when there are none.
    pub replay_to: Option<EventSeq>,
    /// Ids of the server's requests that still wait for an answer. They are sent again; all others are void.
    #[serde(default)]
    pub pending_requests: Vec<RequestId>,
    /// The history cannot be continued from where the client was: what it holds is void, and this is the full state.
    pub gap: Option<ReplayGap>,
    /// Where `thread.turns` holds only the newest turns: the cursor of `thread/turns/list` (newest first) for those before
    /// them.
    pub older_turns: Option<String>,
}

impl From<ThreadPicture> for ResumePicture {
    fn from(ThreadPicture { seq, epoch }: ThreadPicture) -> Self {
        Self { seq, epoch, replay_to: None, pending_requests: Vec::new(), gap: None, older_turns: None }
    }
}

/// Why a history is not continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayGap {
    /// The reason.
    pub reason: GapReason,
}

/// The reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GapReason {
    /// The history is another one by now: it was rewritten, or its end was lost.
    OtherEpoch,
    /// The number was never given out, or `epoch` is missing.
    UnknownSeq,
    /// What happened since cannot be read any more: the file is damaged.
    Damaged,
    /// More happened than is replayed.
    TooMany,
    /// The thread has no history on disk.
    NotStored,
}

/// How to begin a thread.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StartOptions {
    /// The id that it is to have: of a thread in which nobody had said anything when its server ended, so that it is nowhere
    /// any more. Refused where there is such a thread.
    pub thread_id: Option<ThreadId>,
}

/// How to resume a thread.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResumeOptions {
    /// Watch only: the subscription does not keep the thread loaded, and is never asked anything.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub observe: bool,
    /// The last number that the client has seen.
    pub after_seq: Option<EventSeq>,
    /// The version of the history that `afterSeq` belongs to.
    pub epoch: Option<Epoch>,
}

/// Which threads a list shows, beyond what the protocol can say. Times are Unix seconds, as in the threads of the answer.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListOptions {
    /// Made then or later.
    pub created_since: Option<i64>,
    /// Made earlier than that.
    pub created_before: Option<i64>,
    /// Something was said in it then or later.
    pub updated_since: Option<i64>,
    /// Nothing was said in it since that time.
    pub updated_before: Option<i64>,
}

/// Details of the threads in memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadedDetails {
    /// One for each thread of the answer, in the same order.
    pub threads: Vec<LoadedThread>,
}

/// A place in the row of everything that is told to everybody: `thread/started`, `thread/status/changed`,
/// `thread/closed`, `thread/name/updated` and the others of scope `all`. Clients that opted in to `skein/events` find it
/// in the params of these notifications. The numbers that a connection hears rise; one that it does not hear belongs to
/// a notification that is not for it: one that it opted out of, or the end of a thread that it listens to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogPlace {
    /// The number.
    pub catalog_seq: u64,
    /// The start of the server that the number belongs to.
    pub catalog_epoch: String,
}

/// Params of `skein/catalog/resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinCatalogResumeParams {
    /// The number that the client's list is a picture of: that of the first page of `thread/list`, or the highest
    /// `catalogSeq` that was heard since.
    pub after: u64,
    /// The `catalogEpoch` that the number came with.
    pub catalog_epoch: String,
}

/// Response of `skein/catalog/resume`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinCatalogResumeResponse {
    /// The newest change. What the connection has heard before this answer is part of it; what it hears behind it is
    /// newer.
    pub catalog_seq: u64,
    /// The start of the server that the numbers belong to.
    pub catalog_epoch: String,
    /// The changes since are not known any more, or the number is of another start of the server: list again.
    pub too_old: bool,
    /// What was told to everybody since, in order; empty when it is too old.
    pub changes: Vec<CatalogChange>,
}

/// A notification that was told to everybody, as clients that opted in heard it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogChange {
    /// Its method.
    pub method: String,
    /// Its params, with their place in `skein`.
    #[schemars(with = "JsonObject")]
    pub params: Box<RawValue>,
    /// When it was told first, in Unix milliseconds.
    pub emitted_at_ms: i64,
}

/// How complete a list of threads is, and of which moment.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListDetails {
    /// The list shows every change up to this one, and may show newer ones. Names and statuses of loaded threads come
    /// from their owners; what stands in the index alone is there before it is told, unless the index is still being
    /// opened or takes longer than 250 ms for it.
    #[serde(flatten)]
    pub place: CatalogPlace,
    /// Set while the list is being made anew: threads may be missing from it.
    pub indexing: Option<IndexingDetails>,
}

/// What a search cannot see yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchDetails {
    /// Set while the list of threads is being made anew: threads that are not in it yet are not found.
    pub indexing: IndexingDetails,
}

/// How far the making of the list is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IndexingDetails {
    /// Histories that were read.
    pub done: u64,
    /// Histories that there are, as far as that is known.
    pub total: u64,
}

/// A thread in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadedThread {
    /// The thread.
    pub thread_id: ThreadId,
    /// Where it is in its life.
    pub state: LoadedState,
    /// What clients are told about it.
    pub status: ThreadStatus,
    /// Connections that keep it loaded.
    pub subscribers: u64,
    /// Connections that only watch.
    pub observers: u64,
    /// Its helper processes that are alive.
    pub helpers: u64,
    /// It is never on disk.
    pub ephemeral: bool,
    /// It is on disk.
    pub materialised: bool,
}

/// Where a loaded thread is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LoadedState {
    /// Its history is being read.
    Loading,
    /// Nothing runs.
    Idle,
    /// A turn runs.
    Running,
    /// Its helpers are ending.
    Unloading,
}

/// Whether a turn is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TurnSaved {
    /// False when the history could not be written: the turn is lost when the server ends now.
    pub saved: bool,
}

/// Which turns a revert has taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevertedFrom {
    /// The first turn that is gone; all after it are gone too.
    pub before_turn_id: TurnId,
}

/// What this server offers beside the protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerExtensions {
    /// Version of the server.
    pub version: String,
    /// The extensions that the client asked for and gets, by name.
    pub extensions: BTreeMap<String, Value>,
}

/// The name of the events extension, in `capabilities.extensions` of `initialize` and in `skein.extensions` of its
/// response.
pub const EVENTS_EXTENSION: &str = "skein/events";

/// The version of the events extension that is served.
pub const EVENTS_VERSION: u64 = 1;

/// What a client that asked for `skein/events` gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventsExtension {
    /// The version that is served.
    pub version: u64,
    /// A `skein/heartbeat` comes this often, in milliseconds. A client that has heard nothing at all for three times as
    /// long has lost its link.
    pub heartbeat_ms: u64,
}

/// Params of `skein/heartbeat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinHeartbeatNotification {
    /// The server's clock, in Unix milliseconds.
    pub at: i64,
}

/// Params of `skein/thread/unload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinThreadUnloadParams {
    /// The thread.
    pub thread_id: ThreadId,
    /// Also when it is active or has other subscribers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Response of `skein/thread/unload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinThreadUnloadResponse {
    /// What was found.
    pub state: UnloadOutcome,
}

/// What an unload found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UnloadOutcome {
    /// The thread was loaded; it is not any more, and none of its helpers is left.
    Unloaded,
    /// The thread was not loaded.
    NotLoaded,
}

/// Params of `skein/connection/leave`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinConnectionLeaveParams {}

/// Response of `skein/connection/leave`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinConnectionLeaveResponse {
    /// Threads that were left to nobody.
    pub left: u64,
    /// Of these: still loaded, because they take longer to end, or somebody else has come.
    pub loaded: u64,
}

/// Params of `skein/quiesce`.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkeinQuiesceParams {
    /// The owner of this thread breaks off by a panic, as a fault of the server would have it.
    pub break_off: Option<ThreadId>,
}

/// Response of `skein/quiesce`: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkeinQuiesceResponse {}

/// Params of `rpc.discover`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RpcDiscoverParams {}

/// Response of `rpc.discover`: an OpenRPC document.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RpcDiscoverResponse(#[schemars(with = "JsonObject")] pub Box<RawValue>);

mod helpers;
mod status;

pub use helpers::*;
pub use status::*;
