//! Identity and rights: web origins, credentials, and the admission that a connection keeps. The room opens no socket;
//! `http/access` asks it for each request.

mod admission;
mod admitted;
mod capability;
mod carried;
mod credentials;
mod digest;
mod file;
mod origin;
mod records;
mod refusals;
mod roots;
mod secret;
mod signed;
mod strictness;
mod tickets;

pub use admission::{Admission, CredentialKind, Door, Grant, Identity};
pub use admitted::{AdmittedConnection, AdmittedConnections};
pub use capability::{TokenFileError, WsAuth, read_shared_secret, read_token_file};
pub use carried::carry;
pub use credentials::{CredentialError, CredentialRefusal, Credentials, NewSession, NewToken, Redeemed};
pub use digest::{BadDigest, Digest};
pub use file::{CredentialFile, is_open_to_others, warn_if_open_to_others};
pub use origin::{BadOrigin, OriginPattern, WebOrigin, origin_command};
pub use records::{
    AccessError, CredentialChange, CredentialEnd, CredentialNews, CredentialRecord, CredentialStore,
};
pub use refusals::{Refusals, RefusedOrigin};
pub use roots::contain;
pub use secret::{Secret, SentSecret};
pub use signed::{ExpectedClaims, SignedTokenRefusal, SignedTokenRules};
pub use strictness::{Consent, confines, is_looser};
pub(crate) use tickets::TicketTerms;
pub use tickets::{RedeemError, TooManyTickets};
