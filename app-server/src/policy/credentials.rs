//! Numbers of tickets, sessions and tokens.

use std::time::Duration;

/// How long a ticket can be redeemed. Origin: a browser opens a page in seconds, and others may see its command line.
pub(crate) const TICKET_LIFE: Duration = Duration::from_secs(30);
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
/// The interval in which an open connection looks at the expiry of its credential. It also counts as a use of its
/// session. Origin: guess; a machine that slept notices an expiry after this long at most.
pub(crate) const CREDENTIAL_LOOK: Duration = Duration::from_hours(1);
/// The most characters of the name of a token or session. Origin: guess; a line of a list.
pub(crate) const CREDENTIAL_NAME: usize = 64;
/// The most bytes of `access.json`. Origin: all that it may hold takes less than 1 MiB.
pub(crate) const ACCESS_FILE_BYTES: u64 = 4 << 20;
/// The least characters of a token of `--ws-auth`. Origin: the random part of Skein's own tokens has 43.
pub(crate) const CAPABILITY_TOKEN_LEAST: usize = 32;
/// The most bytes of a file of `--ws-token-file`. Origin: guess; a token is a line.
pub(crate) const CAPABILITY_TOKEN_MOST: u64 = 16 << 10;
