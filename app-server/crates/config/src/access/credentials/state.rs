//! The sessions, tokens and tickets of this moment. Pure: it reads no clock and no file.

use std::collections::VecDeque;

use skein_base::clock::WallMs;
use skein_protocol::extension::{CredentialDetail, CredentialType};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::file::{CredentialEnd, EndedCredential, Stored, StoredKind};
use super::super::tickets::Tickets;
use super::super::{AccessFile, CredentialKind, Digest, Grant};
use crate::policy;

/// A duration in milliseconds of the wall clock.
pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn later(from: WallMs, duration: std::time::Duration) -> WallMs {
    WallMs(from.0.saturating_add(millis(duration)))
}

impl Stored {
    /// The end, as known now.
    pub(super) fn end(&self) -> Option<WallMs> {
        match self.kind {
            StoredKind::Token => self.expires_at,
            StoredKind::Session => {
                let idle = later(self.last_used_at.unwrap_or(self.created_at), policy::SESSION_LIFE);
                Some(self.expires_at.map_or(idle, |latest| idle.min(latest)))
            }
        }
    }

    pub(super) fn grant(&self) -> Grant {
        Grant {
            id: self.id,
            kind: match self.kind {
                StoredKind::Session => CredentialKind::Session,
                StoredKind::Token => CredentialKind::Token,
            },
            name: self.name.clone(),
            access: self.scope,
            origin: self.origin.clone(),
            same_user: self.same_user,
        }
    }

    pub(super) fn detail(&self) -> CredentialDetail {
        CredentialDetail {
            id: self.id.to_string(),
            kind: match self.kind {
                StoredKind::Session => CredentialType::Session,
                StoredKind::Token => CredentialType::Token,
            },
            name: self.name.clone(),
            origin: self.origin.as_ref().map(ToString::to_string),
            scope: self.scope,
            created_at: self.created_at.seconds(),
            last_used_at: self.last_used_at.map(WallMs::seconds),
            expires_at: self.end().map(WallMs::seconds),
        }
    }
}

/// The credentials of a home.
#[derive(Debug, Default)]
pub(super) struct CredentialState {
    /// The oldest first.
    pub(super) stored: Vec<Stored>,
    /// EndedCredential ones, the oldest first.
    ended: VecDeque<EndedCredential>,
    pub(super) tickets: Tickets,
    /// Rises with each change that belongs into the file.
    pub(super) revision: u64,
}

impl CredentialState {
    /// The state after a start. A use in the future would extend a session, so it counts as a use now.
    pub(super) fn of(file: AccessFile, now: WallMs) -> Self {
        let mut stored = file.credentials;
        for credential in &mut stored {
            credential.created_at = credential.created_at.min(now);
            credential.last_used_at = credential.last_used_at.map(|last| last.min(now));
        }
        Self { stored, ended: file.ended.into(), ..Self::default() }
    }

    /// The content of the file.
    pub(super) fn file(&self) -> AccessFile {
        AccessFile::new(self.stored.clone(), self.ended.iter().cloned().collect())
    }

    /// Ends those whose time is over. Returns whether there are any.
    pub(super) fn expire(&mut self, now: WallMs) -> bool {
        let is_over = |credential: &Stored| credential.end().is_some_and(|end| end <= now);
        let over: Vec<Uuid> = self.stored.iter().filter(|one| is_over(one)).map(|one| one.id).collect();
        for id in &over {
            self.end(*id, CredentialEnd::Expired, now);
        }
        let oldest = WallMs(now.0.saturating_sub(millis(policy::ENDED_CREDENTIAL_KEEP)));
        while self.ended.pop_front_if(|ended| ended.at < oldest).is_some() {
            self.revision += 1;
        }
        !over.is_empty()
    }

    /// Ends a credential and all that it has made. Returns the credential.
    pub(super) fn end(&mut self, id: Uuid, reason: CredentialEnd, now: WallMs) -> Option<Stored> {
        let at = self.stored.iter().position(|credential| credential.id == id)?;
        let removed = self.stored.remove(at);
        self.revision += 1;
        if self.ended.len() >= policy::ENDED_CREDENTIALS {
            self.ended.pop_front();
        }
        self.ended.push_back(EndedCredential { id, sha256: removed.sha256, reason, at: now });
        self.tickets.end_of(id);
        while let Some(made) = self.stored.iter().find(|one| one.made_by == Some(id)).map(|one| one.id) {
            self.end(made, reason, now);
        }
        Some(removed)
    }

    /// Takes back a credential that was not written.
    pub(super) fn forget(&mut self, id: Uuid) {
        self.stored.retain(|credential| credential.id != id);
        self.revision += 1;
    }

    pub(super) fn add(&mut self, credential: Stored) {
        self.stored.push(credential);
        self.revision += 1;
    }

    /// Makes room for another session: the one with the oldest use ends. A bearer who has made many ends one of them.
    pub(super) fn make_room(&mut self, maker: Option<Uuid>, now: WallMs) -> bool {
        let ancestor = maker.map(|maker| self.ancestor(maker));
        let is_kin = |one: &Stored| one.made_by.map(|maker| self.ancestor(maker)) == ancestor;
        let sessions = || self.stored.iter().filter(|one| one.kind == StoredKind::Session);
        let kin = || sessions().filter(|one| ancestor.is_some() && is_kin(one));
        let oldest = if kin().count() >= policy::SESSIONS_OF_BEARER {
            kin().min_by_key(|one| one.last_used_at)
        } else if sessions().count() >= policy::SESSIONS {
            sessions().min_by_key(|one| one.last_used_at)
        } else {
            None
        };
        let oldest = oldest.map(|one| one.id);
        oldest.is_some_and(|id| self.end(id, CredentialEnd::Revoked, now).is_some())
    }

    /// The first in the line of makers of a credential, as sessions make tickets for other sessions.
    fn ancestor(&self, mut id: Uuid) -> Uuid {
        // A file that somebody has edited may have a circle.
        for _ in &self.stored {
            let Some(maker) = self.with_id(id).and_then(|one| one.made_by) else { break };
            id = maker;
        }
        id
    }

    /// Whether the bearers who descend from the same credential as this one have as many open tickets as they may.
    pub(super) fn has_many_tickets(&mut self, maker: Uuid, now: Instant) -> bool {
        let makers: Vec<Uuid> = self.tickets.makers(now).collect();
        let ancestor = self.ancestor(maker);
        let kin = makers.into_iter().filter(|maker| self.ancestor(*maker) == ancestor);
        kin.count() >= policy::OPEN_TICKETS_OF_BEARER
    }

    /// Records a use, unless one was recorded a moment ago. Returns whether it did.
    pub(super) fn touch(&mut self, at: usize, now: WallMs) -> bool {
        let Some(credential) = self.stored.get_mut(at) else { return false };
        let is_recent = |last: WallMs| now.0.saturating_sub(last.0) < millis(policy::CREDENTIAL_WRITE);
        if credential.last_used_at.is_some_and(is_recent) {
            return false;
        }
        credential.first_used_at.get_or_insert(now);
        credential.last_used_at = Some(now);
        self.revision += 1;
        true
    }

    pub(super) fn position(&self, is: impl Fn(&Stored) -> bool) -> Option<usize> {
        self.stored.iter().position(is)
    }

    pub(super) fn with_id(&self, id: Uuid) -> Option<&Stored> {
        self.stored.iter().find(|credential| credential.id == id)
    }

    /// The end of the credential with this digest, if it is remembered.
    pub(super) fn end_of(&self, digest: &Digest) -> Option<CredentialEnd> {
        self.ended.iter().find(|ended| ended.sha256 == *digest).map(|ended| ended.reason)
    }

    /// The end of a credential that is not there.
    pub(super) fn end_of_id(&self, id: Uuid) -> CredentialEnd {
        let ended = self.ended.iter().find(|ended| ended.id == id);
        ended.map_or(CredentialEnd::Revoked, |ended| ended.reason)
    }
}
