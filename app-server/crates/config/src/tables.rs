//! The tables of `config.toml` that hold for the server as a whole, with their defaults.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skein_helpers::Containment;
use skein_protocol::budget::ThreadBudget;
use skein_protocol::question::QuestionKind;
use skein_store::history::RestartTurns;

use super::kinds::{Above, Count, FileForm, Memory, Time, folders, origins, time_or_default, whole};
use crate::access::{OriginPattern, WebOrigin};
use crate::policy;

/// Bounds of `[limits]`. Below, no client could work; above, one message could take the machine's memory.
const LEAST_BYTES: i64 = 64 * 1024;
const MOST_BYTES: i64 = 1024 * 1024 * 1024;
const MOST_QUEUED: i64 = 65_536;
const MOST_REPLAYED: i64 = 1_000_000;
const MOST_CONNECTIONS: i64 = 1_000_000;
const MOST_THREADS: usize = 1_000_000;
const MOST_ROUNDS: i64 = 1_000_000;
const MOST_TOKENS: i64 = 1_000_000_000_000;

/// `helpers.liveness` is longer than the time between two looks at the signs of life.
const LOOK_MS: u64 = skein_helpers::policy::HELPER_LOOK_LEAST.as_millis() as u64;

/// When records of a rollout are synced to the disk, rather than only written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// At the start and the end of a turn.
    Turn,
    /// At every record.
    Event,
    /// Only the first records of a load, and reverts: what was written survives the end of the process, not a loss of power,
    /// after which clients are told that the history is another one.
    Process,
}

/// When a thread that has no subscriber is unloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UnloadPolicy {
    /// How long an idle thread with a rollout stays loaded.
    #[serde(with = "Time")]
    pub grace: Duration,
    /// How long a thread without a first user message is kept, before it is dropped.
    #[serde(with = "Time")]
    pub unmaterialised_grace: Duration,
}

impl Default for UnloadPolicy {
    fn default() -> Self {
        Self { grace: policy::UNLOAD_GRACE, unmaterialised_grace: policy::UNMATERIALISED_GRACE }
    }
}

/// The rules that hold for all helpers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HelperRules {
    /// The way in which the process tree of a helper is kept together.
    pub containment: Containment,
    /// The wait between two stages of ending a helper: end of input, SIGTERM, SIGKILL.
    #[serde(with = "Time")]
    pub stop_grace: Duration,
    /// How long a helper may show no sign of life while a call waits for it.
    #[serde(with = "Above::<LOOK_MS>")]
    pub liveness: Duration,
}

impl Default for HelperRules {
    fn default() -> Self {
        Self {
            containment: Containment::Auto,
            stop_grace: skein_helpers::policy::HELPER_STOP_GRACE,
            liveness: skein_helpers::policy::HELPER_LIVENESS,
        }
    }
}

/// The trash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Trash {
    /// How long deleted threads are kept.
    #[serde(with = "Time")]
    pub keep: Duration,
}

impl Default for Trash {
    fn default() -> Self {
        Self { keep: policy::TRASH_KEEP }
    }
}

/// The pages that may connect, and the limits of connections below full access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Browser {
    /// The origins of pages that may connect, beside that of the server's own page.
    #[serde(deserialize_with = "origins")]
    #[schemars(with = "Vec<String>")]
    pub origins: Vec<OriginPattern>,
    /// The folders in which every path of their requests has to lie; `~` is the user's home.
    #[serde(deserialize_with = "folders")]
    pub roots: Vec<String>,
}

impl Default for Browser {
    fn default() -> Self {
        Self { origins: Vec::new(), roots: vec!["~".to_owned()] }
    }
}

/// The search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Search {
    /// Whether searches make and use an index of all texts.
    pub index: bool,
    /// How long a page of a search takes before it is answered with the matches so far.
    #[serde(with = "Time")]
    pub page_time: Duration,
}

impl Default for Search {
    fn default() -> Self {
        Self { index: true, page_time: policy::SEARCH_PAGE_TIME }
    }
}

/// The time for a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ShutdownTimes {
    /// For turns to end by themselves.
    #[serde(with = "Time")]
    pub drain: Duration,
    /// For everything, turns included.
    #[serde(with = "Time")]
    pub limit: Duration,
}

impl Default for ShutdownTimes {
    fn default() -> Self {
        Self { drain: policy::SHUTDOWN_DRAIN, limit: policy::SHUTDOWN_LIMIT }
    }
}

/// The treatment of an active thread without subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OrphanPolicy {
    /// The treatment of a running turn, also of one that was begun by a client that is not subscribed.
    pub running: RunningOrphans,
    /// How long a turn that goes on may take, from then on; without it, to its end.
    #[serde(with = "Time")]
    pub running_limit: Option<Duration>,
    /// How long a question to the user stays open with nobody there to answer it. Its turn is kept as long, whatever
    /// the two above say.
    #[serde(with = "Time")]
    pub pending_grace: Duration,
    /// The treatment of messages in the queue.
    pub queue: QueueOrphans,
}

impl Default for OrphanPolicy {
    fn default() -> Self {
        let (running, queue) = (RunningOrphans::Continue, QueueOrphans::Run);
        Self { running, running_limit: None, pending_grace: policy::PENDING_GRACE, queue }
    }
}

/// The turns that an earlier server has left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RestartPolicy {
    /// The turns that a load goes on with. It interrupts the others.
    pub turns: RestartTurns,
    /// How many of them work at once after a start. Clients that resume a thread do not wait.
    #[serde(deserialize_with = "whole::<1, MOST_QUEUED, _, _>")]
    #[schemars(range(min = 1, max = MOST_QUEUED))]
    pub at_once: usize,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { turns: RestartTurns::Asked, at_once: policy::RESTARTS_AT_ONCE }
    }
}

/// Questions that wait for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QuestionPolicy {
    /// How long a question waits for its answer, before its turn is interrupted; 0 is for ever.
    #[serde(with = "Time")]
    pub keep: Duration,
}

impl Default for QuestionPolicy {
    fn default() -> Self {
        Self { keep: policy::QUESTION_KEEP }
    }
}

impl QuestionPolicy {
    /// The end of the wait for the answer to a question, in Unix milliseconds. A helper's own question ends with its helper.
    pub fn expires_at(self, kind: QuestionKind, asked_at: i64) -> Option<i64> {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        (keep > 0 && kind != QuestionKind::Elicitation).then(|| asked_at.saturating_add(keep))
    }
}

/// The treatment of the queue of a thread without subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueOrphans {
    /// Its messages become turns.
    Run,
    /// Its messages wait for a subscriber.
    Hold,
}

/// The treatment of a running turn without subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunningOrphans {
    /// The turn goes on to its end.
    Continue,
    /// The turn is interrupted at once.
    Interrupt,
}

/// The access of programs without a credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Auth {
    /// The programs that a loopback port lets in without one. Unix sockets always let the server's user in.
    pub local: LocalPrograms,
}

/// The programs that a loopback port lets in without a credential.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LocalPrograms {
    /// Programs of the server's user, according to the kernel.
    #[default]
    SameUser,
    /// None: every program sends a credential.
    Token,
    /// Programs of every user of the machine.
    Any,
}

impl Browser {
    /// Whether the settings list this origin.
    pub fn allows(&self, origin: &WebOrigin) -> bool {
        self.origins.iter().any(|pattern| pattern.allows(origin))
    }
}

/// Limits for the use of models. A missing key stands for the setting below, and 0 for no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Budget {
    /// Tokens of a turn: input, cached or not, and output.
    #[serde(deserialize_with = "whole::<0, MOST_TOKENS, _, _>")]
    #[schemars(range(min = 0, max = MOST_TOKENS))]
    pub turn_tokens: Option<i64>,
    /// Tokens of a thread since its creation.
    #[serde(deserialize_with = "whole::<0, MOST_TOKENS, _, _>")]
    #[schemars(range(min = 0, max = MOST_TOKENS))]
    pub thread_tokens: Option<i64>,
    /// Tokens of all threads in a day (UTC).
    #[serde(deserialize_with = "whole::<0, MOST_TOKENS, _, _>")]
    #[schemars(range(min = 0, max = MOST_TOKENS))]
    pub day_tokens: Option<i64>,
    /// How many answers with calls a turn may have.
    #[serde(deserialize_with = "whole::<0, MOST_ROUNDS, _, _>")]
    #[schemars(range(min = 0, max = MOST_ROUNDS))]
    pub turn_rounds: Option<i64>,
    /// Whether the user is asked at a limit. Without a question the turn fails there.
    pub ask: Option<bool>,
}

impl Budget {
    /// The highest limit of tokens.
    pub const MOST_TOKENS: i64 = MOST_TOKENS;
    /// The highest limit of rounds.
    pub const MOST_ROUNDS: i64 = MOST_ROUNDS;
}

impl From<Budget> for ThreadBudget {
    fn from(Budget { turn_tokens, thread_tokens, day_tokens, turn_rounds, ask }: Budget) -> Self {
        Self { turn_tokens, thread_tokens, day_tokens, turn_rounds, ask }
    }
}

impl From<ThreadBudget> for Budget {
    fn from(budget: ThreadBudget) -> Self {
        let ThreadBudget { turn_tokens, thread_tokens, day_tokens, turn_rounds, ask } = budget;
        Self { turn_tokens, thread_tokens, day_tokens, turn_rounds, ask }
    }
}

/// Bounds of messages and queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// The largest message a client may send, in bytes.
    #[serde(deserialize_with = "whole::<LEAST_BYTES, MOST_BYTES, _, _>")]
    #[schemars(range(min = LEAST_BYTES, max = MOST_BYTES))]
    pub message_bytes: usize,
    /// The largest answer a client may get, in bytes.
    #[serde(deserialize_with = "whole::<LEAST_BYTES, MOST_BYTES, _, _>")]
    #[schemars(range(min = LEAST_BYTES, max = MOST_BYTES))]
    pub answer_bytes: usize,
    /// The most that may wait for a client behind the message being written, in bytes.
    #[serde(deserialize_with = "whole::<LEAST_BYTES, MOST_BYTES, _, _>")]
    #[schemars(range(min = LEAST_BYTES, max = MOST_BYTES))]
    pub outbox_bytes: usize,
    /// Requests of one connection that may wait for threads and helpers at once.
    #[serde(deserialize_with = "whole::<1, MOST_QUEUED, _, _>")]
    #[schemars(range(min = 1, max = MOST_QUEUED))]
    pub requests_in_flight: usize,
    /// Websockets that may be open at once.
    #[serde(deserialize_with = "whole::<1, MOST_CONNECTIONS, _, _>")]
    #[schemars(range(min = 1, max = MOST_CONNECTIONS))]
    pub connections: usize,
    /// Websockets that may be open at once with one token or session.
    #[serde(deserialize_with = "whole::<1, MOST_CONNECTIONS, _, _>")]
    #[schemars(range(min = 1, max = MOST_CONNECTIONS))]
    pub connections_per_credential: usize,
    /// New connections a second from one address of another machine.
    #[serde(deserialize_with = "whole::<1, MOST_CONNECTIONS, _, _>")]
    #[schemars(range(min = 1, max = MOST_CONNECTIONS))]
    pub connects_per_address: usize,
    /// Threads to which one connection is subscribed at once.
    #[serde(deserialize_with = "whole::<1, MOST_CONNECTIONS, _, _>")]
    #[schemars(range(min = 1, max = MOST_CONNECTIONS))]
    pub subscriptions: usize,
    /// Commands that may wait for the owner of one thread.
    #[serde(deserialize_with = "whole::<1, MOST_QUEUED, _, _>")]
    #[schemars(range(min = 1, max = MOST_QUEUED))]
    pub mailbox: usize,
    /// Records of a thread that are replayed to a client that comes back; with more it gets the full state.
    #[serde(deserialize_with = "whole::<0, MOST_REPLAYED, _, _>")]
    #[schemars(range(min = 0, max = MOST_REPLAYED))]
    pub replay: usize,
    /// Threads in memory, before the longest idle ones have to make room.
    #[serde(with = "Count::<MOST_THREADS>")]
    pub loaded_threads: Option<usize>,
    /// Resident memory of the server, in bytes, before the longest idle threads have to make room.
    #[serde(with = "Memory")]
    pub memory: Option<u64>,
}

/// How dead connections are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Heartbeat {
    /// After this much silence a client is asked by ping.
    #[serde(with = "Above::<0>")]
    pub ping: Duration,
    /// After this much silence a client is given up; longer than `ping`.
    #[serde(deserialize_with = "time_or_default", serialize_with = "Time::serialize")]
    #[schemars(with = "Time")]
    pub dead_after: Duration,
    /// How often a client that opted in to events hears that the server is there.
    #[serde(with = "Above::<0>")]
    pub heartbeat: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        let dead_after = policy::PING * policy::DEAD_AFTER_PINGS;
        Self { ping: policy::PING, dead_after, heartbeat: policy::HEARTBEAT }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: policy::MESSAGE_BYTES,
            answer_bytes: policy::ANSWER_BYTES,
            outbox_bytes: policy::OUTBOX_BYTES,
            requests_in_flight: policy::REQUESTS_IN_FLIGHT,
            connections: policy::CONNECTIONS,
            connections_per_credential: policy::CONNECTIONS_PER_CREDENTIAL,
            connects_per_address: policy::CONNECTS_PER_ADDRESS,
            subscriptions: policy::SUBSCRIPTIONS,
            mailbox: policy::MAILBOX,
            replay: policy::REPLAY,
            loaded_threads: None,
            memory: None,
        }
    }
}
