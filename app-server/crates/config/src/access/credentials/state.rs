//! The sessions, tokens and tickets of this moment. Pure: it reads no clock and no file.

use std::collections::VecDeque;

use skein_base::clock::WallMs;
use skein_protocol::extension::{CredentialDetail, CredentialType};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::records::{CredentialEnd, CredentialRecord, EndedCredential, Stored, StoredKind};
use super::super::tickets::Tickets;
use super::super::{CredentialKind, Digest, Grant};
use crate::policy;

/// A duration in milliseconds of the wall clock.
pub(super) fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Ends before this are not remembered.
pub(super) fn oldest_end(now: WallMs) -> WallMs {
    WallMs(now.0.saturating_sub(millis(policy::ENDED_CREDENTIAL_KEEP)))
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

/// The credentials of a server.
#[derive(Debug, Default)]
pub(super) struct CredentialState {
    /// The oldest first.
    pub(super) stored: Vec<Stored>,
    /// Ended ones that are remembered, the oldest first.
    ended: VecDeque<EndedCredential>,
    pub(super) tickets: Tickets,
    /// Rises with each change that belongs into the store.
    pub(super) revision: u64,
}

impl CredentialState {
    /// Takes over records of the store. Returns whether one of them ends a credential.
    pub(super) fn receive(&mut self, records: &[CredentialRecord], now: WallMs) -> bool {
        let before = self.stored.len();
        let mut new = 0;
        for record in records {
            match record {
                CredentialRecord::Open(stored) => new += usize::from(self.receive_open(stored, now)),
                CredentialRecord::Ended(ended) => self.receive_end(ended),
                CredentialRecord::Unreadable(id) => self.stored.retain(|one| one.id != *id),
            }
        }
        self.stored.sort_by_key(|one| (one.created_at, one.id));
        self.ended.make_contiguous().sort_by_key(|ended| ended.at);
        self.end_orphans(now);
        self.bound_ends();
        self.stored.len() < before + new
    }

    /// Ends those whose maker has ended, as when another server made them at that moment.
    fn end_orphans(&mut self, now: WallMs) {
        let reason_of = |one: &Stored| {
            let maker = one.made_by?;
            let ended = self.ended.iter().find(|ended| ended.id == maker)?;
            Some((one.id, ended.reason))
        };
        let orphans: Vec<(Uuid, CredentialEnd)> = self.stored.iter().filter_map(reason_of).collect();
        for (id, reason) in orphans {
            self.end(id, reason, now);
        }
    }

    /// Returns whether it is new.
    fn receive_open(&mut self, stored: &Stored, now: WallMs) -> bool {
        if self.ended.iter().any(|ended| ended.id == stored.id) {
            return false;
        }
        // A use in the future would extend a session, so it counts as a use now.
        let used = stored.last_used_at.map(|last| last.min(now));
        if let Some(at) = self.position(|known| known.id == stored.id)
            && let Some(known) = self.stored.get_mut(at)
        {
            known.first_used_at = known.first_used_at.or(stored.first_used_at);
            known.last_used_at = known.last_used_at.max(used);
            return false;
        }
        let created_at = stored.created_at.min(now);
        self.stored.push(Stored { created_at, last_used_at: used, ..stored.clone() });
        true
    }

    fn receive_end(&mut self, ended: &EndedCredential) {
        if self.end(ended.id, ended.reason, ended.at).is_none()
            && !self.ended.iter().any(|known| known.id == ended.id)
        {
            self.ended.push_back(ended.clone());
        }
    }

    /// The content of the store: those in use, then those that have ended.
    pub(super) fn records(&self) -> Vec<CredentialRecord> {
        let open = self.stored.iter().cloned().map(CredentialRecord::Open);
        open.chain(self.ended.iter().cloned().map(CredentialRecord::Ended)).collect()
    }

    /// Ends those whose time is over. Returns whether there are any.
    pub(super) fn expire(&mut self, now: WallMs) -> bool {
        let is_over = |credential: &Stored| credential.end().is_some_and(|end| end <= now);
        let over: Vec<Uuid> = self.stored.iter().filter(|one| is_over(one)).map(|one| one.id).collect();
        for id in &over {
            self.end(*id, CredentialEnd::Expired, now);
        }
        let oldest = oldest_end(now);
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
        self.ended.push_back(EndedCredential { id, sha256: removed.sha256, reason, at: now });
        self.bound_ends();
        self.tickets.end_of(id);
        while let Some(made) = self.stored.iter().find(|one| one.made_by == Some(id)).map(|one| one.id) {
            self.end(made, reason, now);
        }
        Some(removed)
    }

    /// Remembers so many ends; a database remembers more.
    fn bound_ends(&mut self) {
        while self.ended.len() > policy::ENDED_CREDENTIALS {
            self.ended.pop_front();
        }
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
