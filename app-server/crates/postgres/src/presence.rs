//! The row of a server in its database. A server alone keeps every other one away while its row lives; one among others has its threads
//! that long.
//!
//! The row lives for some seconds from each beat, by the database's clock. A row whose time is over may be set to dead by
//! another server, and is dead for good then. Nothing depends on the time between an end and its discovery: the term of each
//! append is checked in its transaction.
//!
//! A server among others also counts by its own clock, and ends its threads before another server can have them. Their records would be
//! refused, but not what their helpers do.

use std::sync::Arc;

use skein_base::clock::Clock;
use skein_protocol::ids::ThreadId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::connection::Link;
use crate::credentials::{ChangeNumber, CredentialBeats};
use crate::database::Database;
use crate::drain;
use crate::failure::DbFailure;
use crate::handover;
use crate::node::{NodeCompany, NodeId, NodeProfile};
use crate::policy;
use crate::standing::{Beats, NodePlace};

use self::entry::{NewRow, enter};
use self::left_open::LeftOpen;

pub(crate) mod entry;
mod left_open;
#[cfg(test)]
mod tests;

/// Why a server does not get the database.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// Another server has it.
    #[error(
        "{name} serves this database, and one of the two wants it alone; stop that one, give this one another database, or start both \
         with a name among others (`--node-name`)"
    )]
    Held {
        /// The other server's name.
        name: String,
    },
    /// Another server among others has the name.
    #[error(
        "another server with the name {name} serves this database; give this one another name (`--node-name`)"
    )]
    SameName {
        /// The name.
        name: String,
    },
    /// It has a part of the threads of another place.
    #[error(
        "the move of the threads from {from} into this database is not at its end; bring it there: skein migrate --from {from} --to URL"
    )]
    Arriving {
        /// The other place.
        from: String,
    },
    /// Its threads were moved.
    #[error("the threads of this database were moved to {to}; use that, or another database")]
    Moved {
        /// The other place.
        to: String,
    },
    /// It has got another id.
    #[error("the database has become another cluster (`skein cluster restored`); start this server again")]
    OtherCluster,
    /// The database does not answer.
    #[error("{0}")]
    Away(String),
}

impl PresenceError {
    /// Whether the row of another server is the cause, which may have ended.
    fn is_of_another(&self) -> bool {
        match self {
            Self::Held { .. } | Self::SameName { .. } => true,
            Self::Arriving { .. } | Self::Moved { .. } | Self::OtherCluster | Self::Away(_) => false,
        }
    }
}

impl From<DbFailure> for PresenceError {
    fn from(failure: DbFailure) -> Self {
        Self::Away(failure.reason().to_owned())
    }
}

/// A server's row may be dead. The receiver ends every thread and helper, and then drops this.
#[derive(Debug)]
pub struct LostPlace {
    _ends: oneshot::Sender<()>,
}

/// The events of a server's row.
#[derive(Debug)]
pub struct PresenceEvents {
    /// The threads of the server must end. Until they have, the server gets no new row.
    pub losses: mpsc::Receiver<LostPlace>,
    /// Threads that servers have left open which no longer live.
    pub left_open: mpsc::Receiver<Vec<ThreadId>>,
    /// Threads that other servers want, as they cannot reach this one.
    pub wanted: mpsc::Receiver<Vec<ThreadId>>,
    /// Ends once this server gets no row in the database any more, and must stop.
    pub displaced: CancellationToken,
    /// Ends once somebody wants this server to drain and stop.
    pub drained: CancellationToken,
}

/// The row of this server.
#[derive(Debug)]
pub struct NodePresence {
    database: Arc<Database>,
    profile: NodeProfile,
    node: NodeId,
    displaced: CancellationToken,
    drained: CancellationToken,
    credentials: watch::Sender<ChangeNumber>,
    beats: Arc<watch::Sender<Beats>>,
    losses: mpsc::Sender<LostPlace>,
    left_open: mpsc::Sender<Vec<ThreadId>>,
    wanted: mpsc::Sender<Vec<ThreadId>>,
}

/// The outcome of a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beat {
    /// The row lives.
    Confirmed,
    /// The row is dead, or the server has lost it.
    Dead,
    /// The database has not answered, or has refused.
    Failed,
}

impl NodePresence {
    /// Takes the database for a server. An earlier server of the same home has ended, as this one has the home. A server alone waits a
    /// moment for the end of the row of another server that was killed.
    ///
    /// # Errors
    /// [`PresenceError`], such as [`PresenceError::Held`] if another server lives that does not share.
    pub async fn take(
        database: Arc<Database>,
        profile: NodeProfile,
        node: Uuid,
    ) -> Result<(Self, PresenceEvents), PresenceError> {
        Self::take_with(database, profile, node, None).await
    }

    /// Takes the database for a move of threads from or to `home`, as [`NodePresence::take`] for a server. An earlier move may have been
    /// cut off.
    ///
    /// # Errors
    /// [`PresenceError::Held`] if a server lives.
    pub async fn take_for_migration(
        database: Arc<Database>,
        profile: NodeProfile,
        node: Uuid,
        home: &str,
    ) -> Result<(Self, PresenceEvents), PresenceError> {
        Self::take_with(database, profile, node, Some(home)).await
    }

    async fn take_with(
        database: Arc<Database>,
        profile: NodeProfile,
        node: Uuid,
        moves: Option<&str>,
    ) -> Result<(Self, PresenceEvents), PresenceError> {
        let mut link = database.connect().await?;
        let row = NewRow { profile: &profile, node, before: None, cluster: database.cluster().id, moves };
        // A dead row lives at most this long, and a server that lives prolongs its row meanwhile.
        let mut pauses = policy::PRESENCE.as_secs() + 1;
        let sent = loop {
            let sent = Clock.now();
            if enter(&mut link, &row).await? {
                break sent;
            }
            let refusal = entry::refusal(&mut link, &row).await?;
            if pauses == 0 || !refusal.is_of_another() {
                return Err(refusal);
            }
            pauses -= 1;
            tokio::time::sleep(policy::BEAT).await;
        };
        Ok(Self::new(database, profile, node, sent))
    }

    /// The row that was made with a statement that was sent at `sent`.
    fn new(
        database: Arc<Database>,
        profile: NodeProfile,
        node: Uuid,
        sent: Instant,
    ) -> (Self, PresenceEvents) {
        let beats = Arc::new(watch::Sender::new(Beats::new(profile.company, sent, Clock.now())));
        let (losses, lost) = mpsc::channel(1);
        let (left_open, found) = mpsc::channel(1);
        let (wanted, wishes) = mpsc::channel(1);
        let (displaced, drained) = (CancellationToken::new(), CancellationToken::new());
        let events = PresenceEvents {
            losses: lost,
            left_open: found,
            wanted: wishes,
            displaced: displaced.clone(),
            drained: drained.clone(),
        };
        let (node, credentials) = (NodeId::new(node), watch::Sender::default());
        let presence = Self {
            database,
            profile,
            node,
            displaced,
            drained,
            credentials,
            beats,
            losses,
            left_open,
            wanted,
        };
        (presence, events)
    }

    /// The id of the row.
    pub fn node(&self) -> NodeId {
        self.node.clone()
    }

    /// The server's place in the cluster, as its beats find it.
    pub fn place(&self) -> NodePlace {
        NodePlace::new(&self.node, &self.database, Arc::clone(&self.beats))
    }

    /// The newest change of credentials, as of the last beat.
    pub fn credentials(&self) -> CredentialBeats {
        CredentialBeats(self.credentials.subscribe())
    }

    /// Beats until the stop, then gives the row up. While the database is away it tries again at each beat.
    pub async fn beat(self, stop: CancellationToken) {
        let (mut link, mut left_open) = (None, LeftOpen::default());
        let mut beats = tokio::time::interval(policy::BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.trust_ends() => {
                    self.lose("the database has confirmed no beat in time").await;
                    continue;
                }
                _ = beats.tick() => {}
            }
            let beat = tokio::select! {
                biased;
                () = self.trust_ends() => {
                    // The statement under way has its connection.
                    link = None;
                    continue;
                }
                beat = self.beat_and_look(&mut link, &mut left_open) => beat,
            };
            if beat == Beat::Dead {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    may_go_on = self.go_on(&mut link) => if !may_go_on {
                        return self.displaced.cancel();
                    }
                }
            }
        }
        if let Err(failure) = self.retire(&mut link).await {
            tracing::debug!(reason = failure.reason(), "the next server waits for the end of this one's row");
        }
    }

    async fn beat_and_look(&self, link: &mut Option<Link>, left_open: &mut LeftOpen) -> Beat {
        let beat = self.beat_once(link).await;
        match &beat {
            Ok(Beat::Confirmed) => left_open.look(self, link).await,
            Ok(Beat::Dead | Beat::Failed) => {}
            Err(failure) => {
                self.note_failure(failure);
                *link = None;
            }
        }
        beat.unwrap_or(Beat::Failed)
    }

    fn note_failure(&self, failure: &DbFailure) {
        let mut was_away = false;
        self.beats.send_modify(|beats| {
            was_away = beats.have_failed();
            beats.fail(failure.reason());
        });
        if !was_away {
            let reason = failure.reason();
            tracing::warn!(reason, "the database does not answer; it is asked again each second");
        }
    }

    /// Ends when the row may be dead without another beat. Never ends for a server that is alone, or has lost its row.
    async fn trust_ends(&self) {
        loop {
            let until = self.beats.borrow().trusted_until();
            match until {
                Some(until) if until <= Clock.now() => return,
                // It may be later by then.
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends every thread of the server, as another server may have them in a moment.
    async fn lose(&self, why: &str) {
        tracing::error!(why, "other servers may take the threads of this one, so it ends them");
        self.node.lose();
        self.beats.send_modify(Beats::lose);
        let (ends, ended) = oneshot::channel();
        if self.losses.send(LostPlace { _ends: ends }).await.is_ok() {
            // Nobody sends; the drop is the message.
            ended.await.ok();
        }
    }

    /// Goes on after the death of the row: under another row, without threads. Returns whether the server may. The log says why not.
    async fn go_on(&self, link: &mut Option<Link>) -> bool {
        if self.profile.company == NodeCompany::Alone {
            tracing::error!("another server has taken the database; this one stops");
            return false;
        }
        if self.beats.borrow().trusted_until().is_some() {
            self.lose("another server has set the row of this one to dead").await;
        }
        let (node, sent) = (Clock.new_id(), Clock.now());
        let late = || DbFailure::refused("the database has not taken the row of the server in time");
        let entered = tokio::time::timeout(policy::WRITE_DEADLINE, self.enter_as(node, link)).await;
        let entered = entered.unwrap_or_else(|_| Err(late()));
        match entered {
            Ok(None) => {
                self.node.enter(node);
                self.beats.send_modify(|beats| beats.confirm(sent, Clock.now(), Vec::new()));
                tracing::info!(%node, "the server has a row again, and takes threads");
                true
            }
            Ok(Some(refusal)) => {
                tracing::error!(%refusal, "the server gets no row in the database; it stops");
                false
            }
            // The next beat finds the dead row again.
            Err(failure) => {
                self.note_failure(&failure);
                // A refusal in the middle leaves its transaction open.
                *link = None;
                true
            }
        }
    }

    /// Makes another row. Returns the reason if there is none.
    async fn enter_as(
        &self,
        node: Uuid,
        link: &mut Option<Link>,
    ) -> Result<Option<PresenceError>, DbFailure> {
        let (before, cluster) = (Some(self.node.id()), self.database.cluster().id);
        let row = NewRow { profile: &self.profile, node, before, cluster, moves: None };
        let link = self.connected(link).await?;
        self.beats.send_modify(|beats| {
            beats.try_at(Clock.now());
        });
        match enter(link, &row).await? {
            true => Ok(None),
            false => entry::refusal(link, &row).await.map(Some),
        }
    }

    async fn beat_once(&self, link: &mut Option<Link>) -> Result<Beat, DbFailure> {
        // A row that was lost is left to die with the threads that it had, so that every server looks for them.
        let Ok(node) = self.node.of_claims() else { return Ok(Beat::Dead) };
        let link = self.connected(link).await?;
        let sent = Clock.now();
        let mut before = sent;
        self.beats.send_modify(|beats| before = beats.try_at(sent));
        let rows = link.write(&entry::BEAT, &[(&node, Type::UUID)], policy::WRITE_DEADLINE).await;
        if let Err(DbFailure::Refused { .. }) = &rows {
            self.beats.send_modify(|beats| beats.not_taken(before));
        }
        let rows = rows?;
        let Some(row) = rows.first() else { return Ok(Beat::Dead) };
        let mut was_away = false;
        self.beats.send_modify(|beats| {
            was_away = beats.have_failed();
            beats.confirm(sent, Clock.now(), row.get(1));
            beats.note_drains(row.get(3));
        });
        if was_away {
            tracing::info!("the database answers again");
        }
        if let Some(number) = row.get::<_, Option<i64>>(0) {
            let newest = (self.database.life(), number);
            self.credentials.send_if_modified(|known| std::mem::replace(known, newest) != newest);
        }
        self.take_wishes(link, node, row).await?;
        Ok(Beat::Confirmed)
    }

    /// Takes the wishes that a beat has found in the row.
    async fn take_wishes(&self, link: &mut Link, node: Uuid, row: &Row) -> Result<(), DbFailure> {
        if let Some(wish) = row.get::<_, Option<&str>>(2) {
            if !self.drained.is_cancelled() {
                tracing::info!("somebody wants this server to drain; it lets its turns end, and stops");
                self.drained.cancel();
            }
            if wish == drain::ASKED {
                drain::begin(link, node).await?;
            }
        }
        let wanted: Vec<Uuid> = row.get(4);
        // The next beat finds what nobody takes now.
        let Some(place) = self.wanted.try_reserve().ok().filter(|_| !wanted.is_empty()) else {
            return Ok(());
        };
        if let Err(failure) = handover::taken(link, node, &wanted).await {
            tracing::debug!(reason = failure.reason(), "wishes for threads stay in the row");
        }
        // Only now: a wish that comes again before the row is cleared is cleared with it.
        place.send(wanted.into_iter().map(ThreadId::new).collect());
        Ok(())
    }

    /// The others are told at once.
    async fn retire(&self, link: &mut Option<Link>) -> Result<(), DbFailure> {
        let node = self.node.id();
        let link = self.connected(link).await?;
        link.write(entry::RETIRE, &[(&node, Type::UUID)], policy::WRITE_DEADLINE).await.map(drop)
    }

    async fn connected<'l>(&self, link: &'l mut Option<Link>) -> Result<&'l mut Link, DbFailure> {
        let there = match link.take().and_then(Link::usable) {
            Some(there) => there,
            None => self.database.connect().await?,
        };
        Ok(link.insert(there))
    }
}
