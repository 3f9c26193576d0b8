//! Changes that a user asks for: a new token, and the end of a session or token. They return once the store has them.

use skein_base::clock::WallMs;
use skein_protocol::access::Access;
use skein_protocol::error::WireError;
use skein_protocol::extension::CredentialDetail;
use uuid::Uuid;

use super::super::records::{CredentialEnd, Stored, StoredKind};
use super::super::{AccessError, BadDigest, BadOrigin, Digest, OriginPattern, WebOrigin};
use super::Credentials;
use crate::policy;

/// A token to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// Its SHA-256, in 64 hexadecimal digits.
    pub sha256: String,
    /// The only origin that may send it.
    pub origin: Option<String>,
    /// The access that it gives.
    pub scope: Access,
    /// Its end.
    pub expires_at: Option<WallMs>,
}

/// Why a credential is not added or revoked.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The name cannot be the name of a token.
    #[error(
        "{name:?} cannot be the name of a token: write 1 to {most} letters, digits, '.', '-' or '_', and no id",
        most = policy::CREDENTIAL_NAME
    )]
    Name {
        /// The beginning of the name.
        name: String,
    },
    /// The digest is none.
    #[error(transparent)]
    Digest(#[from] BadDigest),
    /// The origin is none.
    #[error("{0}")]
    Origin(String),
    /// The end is in the past.
    #[error("the token would have expired already")]
    Past,
    /// Another token has this name, or this secret.
    #[error("there is a token {name:?} already; revoke it first, or choose another name")]
    Exists {
        /// The name of the other token.
        name: String,
    },
    /// There are too many.
    #[error("there are {} tokens already; revoke one that is not used", policy::TOKENS)]
    TooMany,
    /// No session or token has this id or name.
    #[error("no session has the id {id:?}, and no token this id or name")]
    NotFound {
        /// The beginning of the id.
        id: String,
    },
    /// The store refuses the new token. It is not usable.
    #[error("the token is not added: {0}")]
    NotAdded(#[source] AccessError),
    /// The store refuses the end of a credential. It has ended for this server, which tries again. It comes back with the next one if
    /// this one is killed before.
    #[error(
        "the store has not taken the end of the credential: {0}; revoke it again; a server that was asked refuses it meanwhile, and \
         tries again each minute"
    )]
    NotRevoked(#[source] AccessError),
}

impl CredentialError {
    /// The error of an answer.
    pub fn to_wire(&self) -> WireError {
        let text = self.to_string();
        match self {
            Self::Name { .. } => WireError::invalid_params("badCredential", text).path("name"),
            Self::Digest(_) => WireError::invalid_params("badCredential", text).path("sha256"),
            Self::Origin(_) => WireError::invalid_params("badCredential", text).path("origin"),
            Self::Past => WireError::invalid_params("badCredential", text).path("expiresAt"),
            Self::Exists { .. } => WireError::invalid_request("credentialExists", text),
            Self::TooMany => WireError::invalid_request("tooManyCredentials", text),
            Self::NotFound { .. } => WireError::invalid_request("credentialNotFound", text),
            Self::NotAdded(_) | Self::NotRevoked(_) => WireError::internal("credentialsUnwritten", text),
        }
    }
}

/// The beginning of a text of a client.
fn beginning(text: &str) -> String {
    text.chars().take(policy::CREDENTIAL_NAME).collect()
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    // A name like an id would revoke one credential in the place of another.
    (1..=policy::CREDENTIAL_NAME).contains(&name.len())
        && name.chars().all(is_plain)
        && !name.starts_with('-')
        && Uuid::try_parse(name).is_err()
}

fn origin(text: &str) -> Result<WebOrigin, CredentialError> {
    let wrong = |error: BadOrigin| CredentialError::Origin(error.to_string());
    match OriginPattern::parse(text).map_err(wrong)? {
        OriginPattern::Exact(origin) if !origin.is_opaque() => Ok(origin),
        OriginPattern::Exact(_) | OriginPattern::AnyPort(_) | OriginPattern::AnyWebview => {
            let text = "a token is bound to the origin of one page, such as \"http://localhost:5173\"";
            Err(CredentialError::Origin(text.to_owned()))
        }
    }
}

impl Credentials {
    /// Adds a token, and returns once the store has it.
    ///
    /// # Errors
    /// [`CredentialError`]; nothing was added.
    pub async fn add_token(&self, token: NewToken) -> Result<CredentialDetail, CredentialError> {
        if !is_name(&token.name) {
            return Err(CredentialError::Name { name: beginning(&token.name) });
        }
        let sha256 = Digest::from_hex(&token.sha256)?;
        let origin = token.origin.as_deref().map(origin).transpose()?;
        let now = self.now();
        if token.expires_at.is_some_and(|end| end <= now) {
            return Err(CredentialError::Past);
        }
        let stored = Stored {
            id: self.clock.new_id(),
            kind: StoredKind::Token,
            same_user: origin.is_some(),
            name: token.name,
            sha256,
            origin,
            scope: token.scope,
            made_by: None,
            created_at: now,
            first_used_at: None,
            last_used_at: None,
            expires_at: token.expires_at,
        };
        let (id, detail) = (stored.id, stored.detail());
        // Another server may have added one of this name.
        self.receive().await.map_err(CredentialError::NotAdded)?;
        self.admit(stored, now)?;
        self.save().await.map_err(|error| {
            // The store may have it all the same, or get it by a write beside this one. It ends there with the next write.
            super::locked(&self.state).end(id, CredentialEnd::Revoked, now);
            self.unsaved.notify_one();
            CredentialError::NotAdded(error)
        })?;
        Ok(detail)
    }

    fn admit(&self, token: Stored, now: WallMs) -> Result<(), CredentialError> {
        let mut state = self.current(now);
        let tokens = || state.stored.iter().filter(|one| one.kind == StoredKind::Token);
        let is_same = |one: &&Stored| one.name == token.name || one.sha256 == token.sha256;
        if let Some(other) = tokens().find(is_same) {
            return Err(CredentialError::Exists { name: other.name.clone() });
        }
        if tokens().count() >= policy::TOKENS {
            return Err(CredentialError::TooMany);
        }
        state.add(token);
        Ok(())
    }

    /// Ends the session or token with this id, or the token with this name, and the sessions of its tickets. Their
    /// connections end at once; this returns once the store has the change.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub async fn revoke(&self, id: &str) -> Result<CredentialDetail, CredentialError> {
        self.refresh().await;
        let ended = self.end(id)?;
        self.ended.notify_waiters();
        self.save().await.map_err(|error| {
            self.unsaved.notify_one();
            CredentialError::NotRevoked(error)
        })?;
        Ok(ended.detail())
    }

    fn end(&self, id: &str) -> Result<Stored, CredentialError> {
        let now = self.now();
        let mut state = self.current(now);
        let is_token = |one: &Stored| one.kind == StoredKind::Token && one.name == id;
        let wanted = Uuid::try_parse(id).ok();
        let found = state.stored.iter().find(|one| Some(one.id) == wanted || is_token(one)).map(|one| one.id);
        let ended = found.and_then(|id| state.end(id, CredentialEnd::Revoked, now));
        ended.ok_or_else(|| CredentialError::NotFound { id: beginning(id) })
    }
}
