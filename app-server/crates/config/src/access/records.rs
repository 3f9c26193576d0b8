//! Sessions and tokens as their store keeps them, and the promise of a store.
//!
//! A member that this version does not know may restrict a credential, so it is an error and not ignored.

use std::fmt;
use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use skein_base::clock::WallMs;
use skein_protocol::access::Access;
use uuid::Uuid;

use super::file::VERSION;
use super::{Digest, WebOrigin};

/// Why the credentials of a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file is damaged, or a member is unknown.
    #[error(
        "{} cannot be read: {source}; repair it, or move it away: all tokens and sessions end then, and \
         skein token create makes new tokens", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The place in it.
        #[source]
        source: serde_json::Error,
    },
    /// A newer version of Skein has written it.
    #[error(
        "{} has version {version}, and this skein reads version {VERSION}: a newer skein has written it; start that \
         one, or move the file away: all tokens and sessions end then", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The database does not read or write them.
    #[error("{0}")]
    Database(String),
    /// A record cannot be written as JSON.
    #[error("a credential cannot be written: {0}")]
    Record(#[source] serde_json::Error),
}

/// The kinds of credentials in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum StoredKind {
    Session,
    Token,
}

/// A session or token. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stored {
    pub(super) id: Uuid,
    pub(super) kind: StoredKind,
    pub(super) name: String,
    pub(super) sha256: Digest,
    /// The only origin that may send it.
    #[serde(with = "origin_text")]
    pub(super) origin: Option<WebOrigin>,
    pub(super) scope: Access,
    /// Whether a loopback door takes it only from the server's user.
    pub(super) same_user: bool,
    /// The credential whose end ends this one.
    pub(super) made_by: Option<Uuid>,
    pub(super) created_at: WallMs,
    pub(super) first_used_at: Option<WallMs>,
    pub(super) last_used_at: Option<WallMs>,
    /// The end of a token, and the latest end of a session.
    pub(super) expires_at: Option<WallMs>,
}

/// The reason for the end of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CredentialEnd {
    /// A user has revoked it.
    Revoked,
    /// Its time is over.
    Expired,
}

/// A credential that has ended and is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndedCredential {
    pub(super) id: Uuid,
    pub(super) sha256: Digest,
    pub(super) reason: CredentialEnd,
    pub(super) at: WallMs,
}

/// One record of a store. Its JSON is what a database keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CredentialRecord {
    /// A session or token that can be used.
    Open(Stored),
    /// One that has ended. It never comes back.
    Ended(EndedCredential),
    /// One of a database that this version cannot read. Nobody comes in with it at this server, which leaves the record as it is.
    #[serde(skip)]
    Unreadable(Uuid),
}

impl CredentialRecord {
    /// The id of the session or token.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Open(stored) => stored.id,
            Self::Ended(ended) => ended.id,
            Self::Unreadable(id) => *id,
        }
    }

    /// The time of its end, if it has ended.
    pub fn ended_at(&self) -> Option<WallMs> {
        match self {
            Self::Ended(ended) => Some(ended.at),
            Self::Open(_) | Self::Unreadable(_) => None,
        }
    }

    /// The name that no other record has meanwhile: that of a token in use.
    pub fn unique_name(&self) -> Option<&str> {
        match self {
            Self::Open(Stored { kind: StoredKind::Token, name, .. }) => Some(name),
            Self::Open(_) | Self::Ended(_) | Self::Unreadable(_) => None,
        }
    }
}

/// The records of a store that its reader does not know.
#[derive(Debug, Default)]
pub struct CredentialNews {
    /// The records. One may have come before.
    pub records: Vec<CredentialRecord>,
    /// Whether these are all records of the store, and not only the new and changed ones.
    pub is_all: bool,
}

/// A change of some records.
#[derive(Debug)]
pub struct CredentialChange {
    /// Every record after the change, the oldest first.
    pub all: Vec<CredentialRecord>,
    /// Those that are new or have another content.
    pub changed: Vec<CredentialRecord>,
    /// Ends before this time are no longer remembered.
    pub oldest_end: WallMs,
}

/// A place where the sessions and tokens of a server outlive it.
#[async_trait]
pub trait CredentialStore: fmt::Debug + Send + Sync {
    /// The records that were changed since the last call, all of them at the first.
    ///
    /// # Errors
    /// [`AccessError`]; the next call returns the same.
    async fn read(&self) -> Result<CredentialNews, AccessError>;

    /// Makes a change, and returns once it survives the server. A record that has ended stays so.
    ///
    /// # Errors
    /// [`AccessError`]; the caller may repeat the change.
    async fn write(&self, change: CredentialChange) -> Result<(), AccessError>;

    /// Resolves when another server has changed records that [`CredentialStore::read`] has not returned.
    async fn changed(&self);
}

/// An origin as text.
mod origin_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::WebOrigin;

    pub(super) fn serialize<S: Serializer>(
        origin: &Option<WebOrigin>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        origin.as_ref().map(WebOrigin::as_str).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<WebOrigin>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        let origin = WebOrigin::parse(&text);
        origin.map(Some).ok_or_else(|| de::Error::custom(format!("{text:?} is no origin")))
    }
}
