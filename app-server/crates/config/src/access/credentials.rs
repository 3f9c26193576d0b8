//! The credentials of one server: tickets in memory, sessions and tokens in a store, too.
//!
//! The locks are held for moments and never across a wait. One caller at a time reads or writes the store, so that an older state
//! never replaces a newer one.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skein_base::clock::{Clock, WallMs};
use skein_protocol::access::Access;
use skein_protocol::extension::CredentialDetail;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::state::CredentialState;
use super::records::{
    CredentialChange, CredentialEnd, CredentialNews, CredentialRecord, CredentialStore, EndedCredential,
    Stored, StoredKind,
};
use super::secret::is_well_formed;
use super::{
    AccessError, CredentialKind, Digest, Door, Grant, RedeemError, Secret, SignedTokenRefusal,
    SignedTokenRules, TicketTerms, TooManyTickets, WebOrigin, WsAuth,
};
use crate::policy;

mod change;
mod state;
#[cfg(test)]
mod tests;

pub use change::{CredentialError, NewToken};

/// The id of the tokens of `--ws-auth`, which no list has.
const CAPABILITY: Uuid = Uuid::nil();

/// The credentials of a server, or of a program that changes them without one.
#[derive(Debug)]
pub struct Credentials {
    store: Arc<dyn CredentialStore>,
    clock: Clock,
    /// The two clocks at the start.
    started: (WallMs, Instant),
    ws_auth: Option<WsAuth>,
    state: Mutex<CredentialState>,
    /// The holder of the permit reads or writes the store.
    turn: Semaphore,
    /// Reads of the store that have begun.
    reads: AtomicU64,
    /// The number of the last one that succeeded.
    last_read: AtomicU64,
    /// The content of the store, as this process knows it.
    saved: Mutex<SavedCredentials>,
    /// Notified when a credential ends.
    ended: Notify,
    /// Notified when the store is older than the state.
    unsaved: Notify,
}

/// The content of the store.
#[derive(Debug, Default)]
struct SavedCredentials {
    /// The revision of the state that was written last.
    revision: u64,
    records: HashMap<Uuid, CredentialRecord>,
}

impl SavedCredentials {
    /// The change after which the store has these records.
    fn change_to(&self, all: &[CredentialRecord], now: WallMs) -> CredentialChange {
        let is_changed = |record: &&CredentialRecord| self.records.get(&record.id()) != Some(*record);
        let kept: HashSet<Uuid> = all.iter().map(CredentialRecord::id).collect();
        // An end that is no longer remembered, and that the store has not.
        let lost = self.records.values().filter(|record| !kept.contains(&record.id()));
        let ends = lost.filter_map(|record| match record {
            CredentialRecord::Open(Stored { id, sha256, .. }) => {
                let (id, sha256) = (*id, *sha256);
                Some(CredentialRecord::Ended(EndedCredential {
                    id,
                    sha256,
                    reason: CredentialEnd::Revoked,
                    at: now,
                }))
            }
            CredentialRecord::Ended(_) | CredentialRecord::Unreadable(_) => None,
        });
        CredentialChange {
            all: all.to_vec(),
            changed: all.iter().filter(is_changed).cloned().chain(ends).collect(),
            oldest_end: state::oldest_end(now),
        }
    }
}

/// Why a secret gives no access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialRefusal {
    /// It has not the form of a secret.
    Malformed,
    /// Nobody knows it.
    Unknown,
    /// It is not known here, and the store that may know it does not answer.
    Unread,
    /// Its time is over.
    Expired,
    /// A user has revoked it.
    Revoked,
    /// It is an open ticket, which is good in another place. The try does not use it up.
    Ticket,
    /// It is no valid token of `--ws-auth signed-bearer-token`.
    Signed(SignedTokenRefusal),
}

/// The page that redeems a ticket.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The origin that it came from.
    pub origin: WebOrigin,
    /// The label of the session, such as the name of the browser.
    pub name: String,
    /// Whether a program of another user on this machine sends the ticket.
    pub is_other_user: bool,
}

/// A new session.
pub struct Redeemed {
    /// Its secret, which nothing shows again.
    pub secret: Secret,
    /// The rights of its bearer.
    pub grant: Grant,
    /// Its end, if nobody uses it.
    pub expires_at: WallMs,
}

/// The rights of the bearer of a token of `--ws-auth`, as with the peer.
fn of_ws_auth() -> Grant {
    Grant {
        id: CAPABILITY,
        kind: CredentialKind::Capability,
        name: "--ws-auth".to_owned(),
        access: Access::Admin,
        origin: None,
        same_user: false,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Credentials {
    /// Reads the credentials of this store.
    ///
    /// # Errors
    /// [`AccessError`]; the store is unchanged.
    pub async fn open(store: Arc<dyn CredentialStore>, clock: Clock) -> Result<Self, AccessError> {
        let own = Self::empty(store, clock);
        own.receive().await?;
        Ok(own)
    }

    /// Credentials in memory only, until the first change of a user.
    pub fn empty(store: Arc<dyn CredentialStore>, clock: Clock) -> Self {
        Self {
            store,
            clock,
            started: (clock.wall(), clock.now()),
            ws_auth: None,
            state: Mutex::default(),
            turn: Semaphore::new(1),
            reads: AtomicU64::new(0),
            last_read: AtomicU64::new(0),
            saved: Mutex::default(),
            ended: Notify::new(),
            unsaved: Notify::new(),
        }
    }

    /// Accepts the tokens of `--ws-auth`, too, with the access `admin`.
    #[must_use]
    pub fn with_ws_auth(self, ws_auth: Option<WsAuth>) -> Self {
        Self { ws_auth, ..self }
    }

    /// Makes a ticket with this access, for a request at this door. `maker` is the credential of the request, if it had
    /// one. Returns the ticket and its expiry.
    ///
    /// # Errors
    /// [`TooManyTickets`].
    pub fn create_ticket(
        &self,
        access: Access,
        door: Door,
        maker: Option<Uuid>,
        life: Duration,
    ) -> Result<(Secret, WallMs), TooManyTickets> {
        let secret = Secret::generate()?;
        let now = self.now();
        let mut state = self.current(now);
        let maker = maker.filter(|maker| *maker != CAPABILITY);
        let mut not_after = None;
        let mut access = access;
        if let Some(maker) = maker {
            let maker = state.with_id(maker).ok_or(TooManyTickets::MakerEnded)?;
            access = access.min(maker.scope);
            not_after = maker.expires_at;
            let maker = maker.id;
            if state.has_many_tickets(maker, self.clock.now()) {
                return Err(TooManyTickets::OpenOfBearer);
            }
        }
        let terms = TicketTerms { access, made_at: door, made_by: maker, not_after };
        state.tickets.add(secret.digest(), terms, self.clock.now(), life)?;
        Ok((secret, WallMs(now.0.saturating_add(state::millis(life)))))
    }

    /// Uses a ticket up without a session.
    pub fn withdraw_ticket(&self, ticket: &Digest) {
        // It may have ended already.
        self.current(self.now()).tickets.take(ticket, self.clock.now()).ok();
    }

    /// Uses a ticket up and makes a session of it. Of two at once, one gets the session. The session is in memory when
    /// this returns; [`Credentials::write`] waits until it is in the store.
    ///
    /// # Errors
    /// [`RedeemError`].
    pub fn redeem(&self, ticket: &str, session: NewSession) -> Result<Redeemed, RedeemError> {
        let secret = Secret::generate()?;
        let now = self.now();
        let mut state = self.current(now);
        let (digest, moment) = (Digest::of(ticket), self.clock.now());
        if session.is_other_user && state.tickets.terms(&digest, moment)?.same_user() {
            return Err(RedeemError::OtherUser);
        }
        let terms = state.tickets.take(&digest, moment)?;
        if state.make_room(terms.made_by, now) {
            self.ended.notify_waiters();
            // It may have made room itself, or stand below the one that did.
            if terms.made_by.is_some_and(|maker| state.with_id(maker).is_none()) {
                return Err(RedeemError::Unknown);
            }
        }
        let stored = Stored {
            id: self.clock.new_id(),
            kind: StoredKind::Session,
            name: session.name.chars().take(policy::CREDENTIAL_NAME).collect(),
            sha256: secret.digest(),
            origin: Some(session.origin),
            scope: terms.access,
            same_user: terms.same_user(),
            made_by: terms.made_by,
            created_at: now,
            first_used_at: Some(now),
            last_used_at: Some(now),
            expires_at: terms.not_after,
        };
        let (grant, end) = (stored.grant(), stored.end());
        state.add(stored);
        drop(state);
        self.unsaved.notify_one();
        Ok(Redeemed { secret, grant, expires_at: end.unwrap_or(now) })
    }

    /// Finds the credential with this secret. The caller compares origin and user. Changes nothing: a request that passes
    /// is a use, which [`Credentials::record_use`] records.
    ///
    /// # Errors
    /// [`CredentialRefusal`].
    pub fn check(&self, secret: &str) -> Result<Grant, CredentialRefusal> {
        let digest = Digest::of(secret);
        match &self.ws_auth {
            Some(WsAuth::Capability(token)) if *token == digest => return Ok(of_ws_auth()),
            Some(WsAuth::Signed(rules)) if SignedTokenRules::is_signed(secret) => {
                return match rules.check(secret, self.now()) {
                    Ok(()) => Ok(of_ws_auth()),
                    Err(refusal) => Err(CredentialRefusal::Signed(refusal)),
                };
            }
            Some(WsAuth::Capability(_) | WsAuth::Signed(_)) | None => {}
        }
        if !is_well_formed(secret) {
            return Err(CredentialRefusal::Malformed);
        }
        let now = self.now();
        let mut state = self.current(now);
        if let Some(found) = state.stored.iter().find(|credential| credential.sha256 == digest) {
            return Ok(found.grant());
        }
        match state.end_of(&digest) {
            Some(CredentialEnd::Revoked) => Err(CredentialRefusal::Revoked),
            Some(CredentialEnd::Expired) => Err(CredentialRefusal::Expired),
            None if state.tickets.is_open(&digest, self.clock.now()) => Err(CredentialRefusal::Ticket),
            None => Err(CredentialRefusal::Unknown),
        }
    }

    /// As [`Self::check`], for a credential that another server may have made a moment ago: looks into the store for one that is unknown.
    ///
    /// # Errors
    /// [`CredentialRefusal`].
    pub async fn find(&self, secret: &str) -> Result<Grant, CredentialRefusal> {
        match self.check(secret) {
            Err(CredentialRefusal::Unknown) => {}
            checked => return checked,
        }
        let read = self.receive().await;
        match (self.check(secret), read) {
            (Err(CredentialRefusal::Unknown), Err(error)) => {
                tracing::debug!(%error, "an unknown credential cannot be looked for in the database");
                Err(CredentialRefusal::Unread)
            }
            (checked, _) => checked,
        }
    }

    /// Records a use of a credential, which extends a session.
    pub fn record_use(&self, id: Uuid) {
        let now = self.now();
        let mut state = self.current(now);
        if let Some(at) = state.position(|credential| credential.id == id)
            && state.touch(at, now)
        {
            self.unsaved.notify_one();
        }
    }

    /// The expiry of a credential, as known now; `None` if it has none.
    pub fn expiry(&self, id: Uuid) -> Option<WallMs> {
        self.current(self.now()).with_id(id).and_then(Stored::end)
    }

    /// Resolves when this credential is revoked or expires. A connection that waits here uses its session, which does
    /// not expire meanwhile.
    pub async fn ended(&self, id: Uuid) -> CredentialEnd {
        if id == CAPABILITY {
            return std::future::pending().await;
        }
        loop {
            // Created before the look, so that no end is missed between them.
            let ended = self.ended.notified();
            let next = match self.next_look(id) {
                Ok(next) => next,
                Err(end) => return end,
            };
            tokio::select! {
                () = ended => {}
                () = tokio::time::sleep(next) => {}
            }
        }
    }

    /// The time until the next look at a credential in use.
    fn next_look(&self, id: Uuid) -> Result<Duration, CredentialEnd> {
        let now = self.now();
        let mut state = self.current(now);
        let Some(at) = state.position(|credential| credential.id == id) else {
            return Err(state.end_of_id(id));
        };
        if state.touch(at, now) {
            self.unsaved.notify_one();
        }
        let end = state.stored.get(at).and_then(Stored::end);
        let left = end.map_or(Duration::MAX, |end| {
            Duration::from_millis(u64::try_from(end.0.saturating_sub(now.0)).unwrap_or_default())
        });
        Ok(left.min(policy::CREDENTIAL_LOOK))
    }

    /// All sessions and tokens that have not ended, the oldest first.
    pub fn list(&self) -> Vec<CredentialDetail> {
        self.current(self.now()).stored.iter().map(Stored::detail).collect()
    }

    /// Brings the store up to date. Returns when it has all earlier changes. A failure is in the log, and
    /// [`Credentials::keep`] tries again.
    pub async fn write(&self) {
        if let Err(error) = self.save().await {
            tracing::error!(%error, "changes of credentials are not written yet; the server tries again in a minute");
            self.unsaved.notify_one();
        }
    }

    /// Keeps the store up to date until `stop`, and takes over the changes of other servers.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let mut due = None;
        while !stop.is_cancelled() {
            let write = async move {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.unsaved.notified(), if due.is_none() => due = Some(self.clock.now() + policy::CREDENTIAL_WRITE),
                () = write => {
                    due = None;
                    self.write().await;
                }
                () = self.store.changed() => self.follow(&stop).await,
                () = stop.cancelled() => {}
            }
        }
        self.write().await;
    }

    /// Takes over what others have changed in the store, if it answers.
    pub async fn refresh(&self) {
        if let Err(error) = self.receive().await {
            tracing::warn!(%error, "changes of credentials by another server are not known yet");
        }
    }

    /// Takes over what others have changed in the store. Tries again until it can.
    async fn follow(&self, stop: &CancellationToken) {
        while let Err(error) = self.receive().await {
            tracing::warn!(%error, "changes of credentials by another server are not known yet; the server tries again");
            tokio::select! {
                () = tokio::time::sleep(policy::CREDENTIAL_RETRY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Takes over what others have changed in the store before the call. One read serves all callers that wait for it.
    async fn receive(&self) -> Result<(), AccessError> {
        let before = self.reads.load(Ordering::Relaxed);
        // Nobody closes the semaphore.
        let _turn = self.turn.acquire().await.ok();
        if self.last_read.load(Ordering::Relaxed) > before {
            return Ok(());
        }
        let number = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        let CredentialNews { records, is_all } = self.store.read().await?;
        self.last_read.store(number, Ordering::Relaxed);
        let now = self.now();
        let mut state = self.current(now);
        let before = state.revision;
        if state.receive(&records, now) | state.expire(now) {
            self.ended.notify_waiters();
        }
        let mut saved = locked(&self.saved);
        if is_all {
            // A database may have forgotten what it had: it gets that again.
            state.revision += u64::from(!saved.records.is_empty());
            saved.records.clear();
        }
        saved.records.extend(records.into_iter().map(|record| (record.id(), record)));
        if state.revision != before {
            self.unsaved.notify_one();
        }
        Ok(())
    }

    /// Writes the store if it is older than the state.
    async fn save(&self) -> Result<(), AccessError> {
        let _turn = self.turn.acquire().await.ok();
        let (revision, all) = {
            let state = locked(&self.state);
            (state.revision, state.records())
        };
        if revision == locked(&self.saved).revision {
            return Ok(());
        }
        let change = locked(&self.saved).change_to(&all, self.now());
        self.store.write(change).await?;
        let records = all.into_iter().map(|record| (record.id(), record)).collect();
        *locked(&self.saved) = SavedCredentials { revision, records };
        Ok(())
    }

    /// The wall clock, which goes on while the system's is set back. The monotonic clock alone would stand still while
    /// the machine sleeps.
    fn now(&self) -> WallMs {
        let (wall, instant) = self.started;
        let passed = self.clock.now().saturating_duration_since(instant);
        self.clock.wall().max(WallMs(wall.0.saturating_add(state::millis(passed))))
    }

    /// The state without credentials whose time is over.
    fn current(&self, now: WallMs) -> MutexGuard<'_, CredentialState> {
        let mut state = locked(&self.state);
        if state.expire(now) {
            self.ended.notify_waiters();
            self.unsaved.notify_one();
        }
        state
    }
}
