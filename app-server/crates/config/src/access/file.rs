//! `access.json`: sessions and tokens of a home. Everything here blocks.
//!
//! A member that this version does not know may restrict a credential, so it is an error and not ignored.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use skein_base::clock::WallMs;
use skein_base::files::open_regular;
use skein_protocol::access::Access;
use skein_store::home::durable::{self, Readers};
use uuid::Uuid;

use super::{Digest, WebOrigin};
use crate::policy;

/// The version of the file. A reader refuses a higher one.
const VERSION: u32 = 1;

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
pub(super) struct Stored {
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
pub(super) struct EndedCredential {
    pub(super) id: Uuid,
    pub(super) sha256: Digest,
    pub(super) reason: CredentialEnd,
    pub(super) at: WallMs,
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AccessFile {
    version: u32,
    pub(super) credentials: Vec<Stored>,
    pub(super) ended: Vec<EndedCredential>,
}

/// The version of a file of any version.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

impl AccessFile {
    pub(super) fn new(credentials: Vec<Stored>, ended: Vec<EndedCredential>) -> Self {
        Self { version: VERSION, credentials, ended }
    }

    /// Reads the file, which may be missing.
    pub(super) fn read(path: &Path) -> Result<Self, AccessError> {
        let fault = |source| AccessError::Io { path: path.to_owned(), source };
        let damaged = |source| AccessError::Damaged { path: path.to_owned(), source };
        let file = match open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::new(Vec::new(), Vec::new()));
            }
            other => other.map_err(fault)?,
        };
        let mut bytes = Vec::new();
        file.take(policy::ACCESS_FILE_BYTES).read_to_end(&mut bytes).map_err(fault)?;
        let AnyVersion { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version > VERSION {
            return Err(AccessError::Newer { path: path.to_owned(), version });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Replaces the file, for its owner only.
    pub(super) fn write(&self, path: &Path) -> Result<(), AccessError> {
        let fault = |source| AccessError::Io { path: path.to_owned(), source };
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| fault(error.into()))?;
        bytes.push(b'\n');
        durable::replace_for(path, &bytes, Readers::Owner).map_err(fault).map(drop)
    }
}

/// Whether other users can read or write the file; false without a file.
pub fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|seen| seen.permissions().mode() & 0o077 != 0)
}

/// Warns in the log if other users can read or write this file. `advice` is what to do about `what` it has.
pub fn warn_if_open_to_others(path: &Path, what: &str, advice: &str) {
    if is_open_to_others(path) {
        tracing::warn!(path = %path.display(), "others can read or write {what}: chmod 600 it{advice}");
    }
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
