//! Every number of this crate, with its unit, its reason and where it comes from. Defaults of settings are here, too.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use skein_protocol::budget::ThreadBudget;
use skein_protocol::settings::{AskForApproval, SandboxMode};

// --- settings ---

/// The default port. Origin: the port that clients of this protocol try first.
pub const DEFAULT_PORT: u16 = 4500;
/// The provider of a fresh installation: it works offline and costs nothing.
pub const DEFAULT_MODEL_PROVIDER: &str = "echo";
/// The default approval policy of a thread. Origin: the peer's default.
pub const DEFAULT_APPROVAL_POLICY: AskForApproval = AskForApproval::OnRequest;
/// The default sandbox of a thread. Origin: Skein runs no commands and confines no helper.
pub const DEFAULT_SANDBOX_MODE: SandboxMode = SandboxMode::DangerFullAccess;
/// How long an idle thread without subscribers stays loaded. Origin: a switch between threads must leave nothing.
pub(crate) const UNLOAD_GRACE: Duration = Duration::ZERO;
/// How long a thread without a first user message and without subscribers is kept. Origin: guess; longer than a
/// client's reconnect.
pub(crate) const UNMATERIALISED_GRACE: Duration = Duration::from_mins(1);
/// How long a thread with an open question stays loaded without a subscriber. Origin: guess; a lunch break.
pub(crate) const PENDING_GRACE: Duration = Duration::from_mins(30);
/// How long a question waits for its answer. Origin: guess; longer than a holiday.
pub(crate) const QUESTION_KEEP: Duration = Duration::from_hours(30 * 24);
/// How many of the turns that a start goes on with work at once. Origin: guess; a laptop with a few helpers each.
pub(crate) const RESTARTS_AT_ONCE: usize = 4;
/// The largest message of a client, in bytes. Origin: fits an image.
pub(crate) const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// The largest answer, in bytes. Origin: as large as a client's message.
pub const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Bytes waiting for a client behind the message being written. Origin: guess; minutes of a fast model.
pub(crate) const OUTBOX_BYTES: usize = 1024 * 1024;
/// Concurrent thread and helper requests of one connection. Origin: guess; far above a person's use.
pub(crate) const REQUESTS_IN_FLIGHT: usize = 64;
/// Open websockets. Origin: a promise; fewer where the descriptors end.
pub(crate) const CONNECTIONS: usize = 10_000;
/// Open websockets with one credential. Origin: a promise; a person's tabs and programs, far below what would hold others up.
pub(crate) const CONNECTIONS_PER_CREDENTIAL: usize = 100;
/// New connections a second from one address of another machine. Origin: a promise; a house full of tabs that come back.
pub(crate) const CONNECTS_PER_ADDRESS: usize = 100;
/// Threads to which one connection is subscribed. Origin: a promise; a person has far fewer open, and each costs a place in
/// every delivery.
pub(crate) const SUBSCRIPTIONS: usize = 1_000;
/// Commands waiting for one thread's owner. Origin: guess; the owner never waits, so a full mailbox is overload.
pub(crate) const MAILBOX: usize = 64;
/// The most events replayed to a resuming client; beyond that it gets the full state. Origin: a promise.
pub(crate) const REPLAY: usize = 10_000;
/// The time for running turns to end during a stop.
pub(crate) const SHUTDOWN_DRAIN: Duration = Duration::from_secs(2);
/// The time for a whole stop. Origin: service managers kill after 10 s at the least.
pub(crate) const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
/// How long a change of the settings waits for another process that changes them. Origin: guess; a change takes
/// milliseconds.
pub(crate) const SETTINGS_PATIENCE: Duration = Duration::from_secs(5);
/// The interval of checks for the end of that change. Origin: guess; below what a person notices.
pub(crate) const SETTINGS_LOOK: Duration = Duration::from_millis(50);
/// Values that are read again to name the mistakes of one table of settings; above it, the rest is not named. Origin:
/// guess; it takes some hundred milliseconds, and a usual table names each of its mistakes.
pub(crate) const CONFIG_NODES: usize = 1_000_000;
/// How long a client may be silent before a ping. Origin: a promise; well below the minute after which middleboxes
/// forget an idle connection.
pub(crate) const PING: Duration = Duration::from_secs(20);
/// The number of such intervals after which a silent client is dropped, by default. Origin: a promise, 60 s; time for
/// two pings.
pub(crate) const DEAD_AFTER_PINGS: u32 = 3;
/// The interval of the server's heartbeats. Origin: as often as pings, for the same reason.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(20);
/// How long deleted threads stay in the trash. Origin: guess; a person notices a slip within days, and expects
/// deleted text gone within weeks.
pub(crate) const TRASH_KEEP: Duration = Duration::from_hours(30 * 24);
/// How long a page of a search takes before it is answered with the hits so far. One thread is searched in any case,
/// however large. Origin: guess; a person who types sees the first hits within that time.
pub const SEARCH_PAGE_TIME: Duration = Duration::from_millis(500);

/// The limits of turns by default. Only rounds have one. Origin: guess; far above the work of a day's longest turn, and a
/// model that runs in circles reaches it within hours.
pub const DEFAULT_BUDGET: ThreadBudget = ThreadBudget {
    turn_tokens: Some(0),
    thread_tokens: Some(0),
    day_tokens: Some(0),
    turn_rounds: Some(1000),
    ask: Some(true),
};

// --- settings of helpers ---

/// The least `limits.memory` of a helper, in bytes. Origin: guess; hardly a program starts below it, and the starting
/// process itself needs a few MiB.
pub(crate) const HELPER_MEMORY_LEAST: u64 = 16 << 20;
/// The most that `limits.processes` takes. Origin: the kernel's own limit of pids (proc_sys_kernel(5)).
pub(crate) const HELPER_PROCESSES_MOST: u64 = 1 << 22;
/// The most that `limits.files` takes. Origin: guess; the kernel's own limit is settable, usually a million.
pub(crate) const HELPER_FILES_MOST: u64 = 1 << 30;
/// Bounds of `limits.nice`. Origin: setpriority(2).
pub(crate) const NICE_LEAST: i32 = -20;
/// See above.
pub(crate) const NICE_MOST: i32 = 19;

// --- settings of models ---

/// The most retries of a request, and of a stream, in the settings. Origin: the peer's bound.
pub(crate) const MODEL_RETRIES_MOST: u32 = 100;
/// The context window of an unknown model, in tokens, if the settings name none. Origin: the least of all providers'
/// current models.
pub const CONTEXT_WINDOW: i64 = 128_000;
/// The part of the window at which a conversation is compacted, in percent. Origin: guess; leaves room for an answer
/// and its calls.
pub(crate) const COMPACT_AT_PERCENT: i64 = 90;
/// Bytes of the `AGENTS.md` files of a repository that a model reads. Origin: the peer's default.
pub(crate) const PROJECT_DOC_BYTES: usize = 32 * 1024;
/// The most for it in the settings. Origin: guess; a model reads it with every request.
pub(crate) const PROJECT_DOC_MOST: usize = 1024 * 1024;

// --- tickets, sessions and tokens ---

/// How long a ticket can be redeemed. Origin: a browser opens a page in seconds, and others may see its command line.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);
/// How long the ticket of a pairing can be redeemed. Origin: a person takes a phone, and reads a code with it.
pub const PAIRING_LIFE: Duration = Duration::from_mins(5);
/// Tickets that may be open. Origin: guess; a person opens a few pages within the life of a ticket.
pub(crate) const OPEN_TICKETS: usize = 64;
/// Tickets that the bearer of a credential may have open, so that none uses all of them up. Origin: guess; an eighth of all.
pub(crate) const OPEN_TICKETS_OF_BEARER: usize = 8;
/// Used and expired tickets that are remembered, so that a second try learns why it fails. Origin: guess.
pub(crate) const CLOSED_TICKETS: usize = 256;
/// The life of a session after its last use. Origin: design; a user who comes back each week stays signed in.
pub(crate) const SESSION_LIFE: Duration = Duration::from_hours(7 * 24);
/// Sessions of a home; above it the one with the oldest use ends. Origin: guess; some browsers, each with some pages.
pub(crate) const SESSIONS: usize = 256;
/// Sessions that descend from one credential; above it the one of them with the oldest use ends, so that no bearer ends
/// those of others. Origin: guess; a sixteenth of all.
pub(crate) const SESSIONS_OF_BEARER: usize = 16;
/// Tokens of a home; above it another one is refused. Origin: guess; a person names each of them.
pub(crate) const TOKENS: usize = 256;
/// Revoked and expired credentials that are remembered, so that their bearers learn why they are refused. Origin: guess.
pub(crate) const ENDED_CREDENTIALS: usize = 256;
/// How long a revoked or expired credential is remembered. Origin: guess; a program that runs once a month learns why.
pub(crate) const ENDED_CREDENTIAL_KEEP: Duration = Duration::from_hours(31 * 24);
/// The delay from a use of a credential to the write of its time. Origin: design; a kill loses this much of it.
pub(crate) const CREDENTIAL_WRITE: Duration = Duration::from_mins(1);
/// The pause after a failed look at the changes of other servers. Origin: guess; the database is asked once in this time.
pub(crate) const CREDENTIAL_RETRY: Duration = Duration::from_secs(1);
/// The interval in which an open connection looks at the expiry of its credential. It also counts as a use of its
/// session. Origin: guess; a machine that slept notices an expiry after this long at most.
pub(crate) const CREDENTIAL_LOOK: Duration = Duration::from_hours(1);
/// The most characters of the name of a token or session. Origin: guess; a line of a list.
pub(crate) const CREDENTIAL_NAME: usize = 64;
/// The most bytes of `access.json`. Origin: all that it may hold takes less than 1 MiB.
pub(crate) const ACCESS_FILE_BYTES: u64 = 4 << 20;
/// The least characters of a token of `--ws-auth`. Origin: the random part of Skein's own tokens has 43.
pub(crate) const CAPABILITY_TOKEN_LEAST: usize = 32;
/// The least bytes of a secret of `--ws-shared-secret-file`. Origin: the peer, and RFC 7518, section 3.2.
pub(crate) const SHARED_SECRET_LEAST: usize = 32;
/// The seconds by which the clock of a signed token's maker may differ. Origin: the peer.
pub const MAX_CLOCK_SKEW: u32 = 30;
/// The most bytes of a file of `--ws-token-file` or `--ws-shared-secret-file`. Origin: guess; a secret is a line.
pub(crate) const CAPABILITY_TOKEN_MOST: u64 = 16 << 10;

// --- refused origins ---

/// Refused origins that the status shows. Origin: a promise.
pub const REFUSED_ORIGINS: usize = 8;
/// Characters of a stranger's text that logs and the status show. Origin: a promise.
pub const SHOWN_STRANGER: usize = 256;

// --- cluster ---

/// Where a server listens for the other servers of its database. Origin: design; nothing of it leaves the machine unless a setting
/// says so.
pub(crate) const DEFAULT_CLUSTER_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The time for running turns to end when a server is drained. Origin: guess; nobody waits for the server meanwhile, and a turn gets that
/// far for its current request to the model.
pub(crate) const CLUSTER_DRAIN: Duration = Duration::from_secs(60);
