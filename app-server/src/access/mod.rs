//! Identity and rights: web origins, credentials, and the admission that a connection keeps. The room opens no socket;
//! `http/access` asks it for each request.

mod admission;
mod admitted;
mod capability;
mod credentials;
mod digest;
mod file;
mod origin;
mod refusals;
mod roots;
mod secret;
mod strictness;
mod tickets;

pub(crate) use admission::{Admission, CredentialKind, Door, Grant, Identity};
pub(crate) use admitted::{AdmittedConnection, AdmittedConnections};
pub use capability::{TokenFileError, read_token_file};
pub use credentials::{CredentialError, Credentials, NewToken};
pub(crate) use credentials::{CredentialRefusal, NewSession};
pub use digest::{BadDigest, Digest};
pub use file::{AccessError, is_open_to_others};
pub(crate) use file::{AccessFile, CredentialEnd};
pub use origin::origin_command;
pub(crate) use origin::{BadOrigin, OriginPattern, WebOrigin};
pub(crate) use refusals::{Refusals, RefusedOrigin};
pub(crate) use roots::contain;
pub use secret::Secret;
pub(crate) use secret::SentSecret;
pub(crate) use strictness::{Consent, confines, is_looser};
pub(crate) use tickets::{RedeemError, TicketTerms, TooManyTickets};
