//! The limits of clients: what happens above each, and the memory that connections can take by them.

use skein_config::{Limits, ServerConfig};

use crate::outbox::OutboxLimits;
use crate::policy;

/// A limit of clients, as docs/limits.md lists it. The default and the reason stand in `policy.rs`.
#[derive(Debug, Clone, Copy)]
pub struct ClientLimit {
    /// The key in the settings; `None` if it cannot be changed.
    pub key: Option<&'static str>,
    /// The name of the number in `policy.rs`.
    pub number: &'static str,
    /// The unit, with the things that are counted.
    pub unit: &'static str,
    /// The answer to a client above it.
    pub above: &'static str,
}

const fn limit(
    key: &'static str,
    number: &'static str,
    unit: &'static str,
    above: &'static str,
) -> ClientLimit {
    ClientLimit { key: Some(key), number, unit, above }
}

const fn fixed(number: &'static str, unit: &'static str, above: &'static str) -> ClientLimit {
    ClientLimit { key: None, number, unit, above }
}

/// All of them, from the socket to the thread. There is none on requests a second: a client that takes its answers is as fast as
/// the server.
pub const CLIENT_LIMITS: [ClientLimit; 20] = [
    fixed(
        "SOCKETS_BEFORE_HANDSHAKE",
        "sockets of a port before their handshake",
        "the next one waits in the system's queue",
    ),
    fixed("SOCKETS_OF_ADDRESS", "of these, of one address of another machine", "the socket is closed"),
    fixed("HEAD_TIME", "time for a handshake or a request", "the socket is closed"),
    fixed("HEAD_BYTES", "bytes of a request's head", "431, and the socket is closed"),
    fixed("WRONG_CREDENTIALS", "wrong credentials of one peer a minute", "429 with `Retry-After`"),
    limit(
        "limits.connects_per_address",
        "CONNECTS_PER_ADDRESS",
        "new connections a second of one address of another machine",
        "503 `full` with `Retry-After`",
    ),
    limit(
        "limits.connections",
        "CONNECTIONS",
        "websockets",
        "503 `full` with `Retry-After`; sockets of the server's own user still come in",
    ),
    limit(
        "limits.connections_per_credential",
        "CONNECTIONS_PER_CREDENTIAL",
        "websockets with one token or session",
        "503 `full` with `Retry-After`",
    ),
    limit("limits.message_bytes", "MESSAGE_BYTES", "bytes of a client's message", "close code 1009"),
    limit(
        "limits.answer_bytes",
        "ANSWER_BYTES",
        "bytes of an answer",
        "error `answerTooLarge` with the way out",
    ),
    limit(
        "limits.requests_in_flight",
        "REQUESTS_IN_FLIGHT",
        "requests of a connection to threads and helpers; all together have twice `limits.message_bytes`, so a large one counts several times",
        "-32001 `requestsInFlight` with `retryAfterMs`",
    ),
    fixed(
        "STORE_JOBS",
        "requests of a connection to the disk, counted in the same way",
        "-32001 `requestsInFlight` with `retryAfterMs`",
    ),
    limit(
        "limits.subscriptions",
        "SUBSCRIPTIONS",
        "threads of a connection",
        "-32600 `subscriptions`, since waiting does not help",
    ),
    fixed(
        "CATCH_UPS",
        "threads on which a connection catches up",
        "-32001 `resumesUnderWay` with `retryAfterMs`",
    ),
    limit(
        "limits.mailbox",
        "MAILBOX",
        "commands that wait for a thread",
        "-32001 `busy` with `retryAfterMs`",
    ),
    limit(
        "limits.outbox_bytes",
        "OUTBOX_BYTES",
        "bytes that wait for a client behind the message being written",
        "text deltas are merged and the client is no longer read; after 5 seconds without progress close code 1013",
    ),
    limit(
        "limits.replay",
        "REPLAY",
        "records repeated to a client that comes back",
        "the full state instead",
    ),
    limit(
        "connections.dead_after",
        "DEAD_AFTER_PINGS",
        "intervals of `connections.ping` in silence",
        "the socket is closed",
    ),
    fixed("QUEUE_MESSAGES", "messages of a thread's queue", "error `queueFull`"),
    fixed("QUEUE_BYTES", "bytes of a thread's queue", "error `queueFull`"),
];

/// The memory that the limits allow, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBound {
    /// Of one connection, for messages, requests and its outbox.
    pub connection: u64,
    /// The connections that there may be at once.
    pub connections: u64,
}

impl MemoryBound {
    /// The bound by these settings, with this many descriptors.
    pub fn of(config: &ServerConfig, descriptors: Option<u64>) -> Self {
        let descriptors = descriptors.unwrap_or(u64::MAX).saturating_sub(policy::DESCRIPTORS_NEEDED);
        let connections = (config.limits.connections as u64).min(descriptors);
        Self { connection: connection_bytes(&config.limits), connections }
    }

    /// Of all connections.
    pub fn total(&self) -> u64 {
        self.connection.saturating_mul(self.connections)
    }
}

/// The most that one connection holds: the message being read, with its params; the requests in flight of both lanes, each perhaps
/// as params and on its way to a helper; and the outbox, once as the messages being written and once behind them.
fn connection_bytes(limits: &Limits) -> u64 {
    let message = limits.message_bytes as u64;
    let outbox = OutboxLimits::of(limits).most_bytes as u64;
    let answer = limits.answer_bytes as u64;
    let reading = 2 * message;
    let requests = 2 * 2 * 2 * message;
    // A message is added below the bound, and the one being written is in the websocket's buffer, too.
    let sending = 2 * (outbox + answer) + answer;
    policy::READ_BUFFER as u64 + reading + requests + sending
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_the_bound_grows_with_its_limit() {
        let bytes = |limits: Limits| connection_bytes(&limits);
        let least = Limits::default();
        assert!(bytes(Limits { message_bytes: least.message_bytes * 2, ..least }) > bytes(least));
        assert!(bytes(Limits { answer_bytes: least.answer_bytes * 2, ..least }) > bytes(least));
        assert!(bytes(Limits { outbox_bytes: least.outbox_bytes * 2, ..least }) > bytes(least));
    }

    #[test]
    fn descriptors_bound_the_connections_before_their_limit_does() {
        let config = ServerConfig::default();
        assert_eq!(MemoryBound::of(&config, None).connections, config.limits.connections as u64);
        assert_eq!(MemoryBound::of(&config, Some(164)).connections, 100);
        assert_eq!(MemoryBound::of(&config, Some(0)).total(), 0);
    }
}
