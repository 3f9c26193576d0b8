//! How a server stands with its database, by the beats that the database has confirmed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use skein_base::clock::Clock;
use skein_protocol::extension::{ClusterCounts, DatabaseCounts, NodeStanding};
use skein_protocol::ids::ThreadId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::connection::Params;
use crate::database::Database;
use crate::handover;
use crate::node::{LinkPlace, NodeCompany, NodeId};
use crate::policy;

/// The beats of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beats {
    /// When the newest confirmed beat was sent. Its answer may have been long on its way, so that time counts for nothing.
    confirmed: Instant,
    /// The time from that beat to its answer.
    took: Duration,
    /// Why the beats since then failed.
    failure: Option<String>,
    /// How long a confirmed beat protects the server's threads; `None` for a server alone, which nobody else can bury.
    trust: Option<Duration>,
    /// When the newest statement was sent that may have reached the database.
    tried: Instant,
    /// How long the server's threads are protected, because no server has reached the database.
    shared: Option<Instant>,
    /// Whether the row may be dead.
    lost: bool,
    /// The servers whose rows live, this one included.
    members: Vec<Uuid>,
    /// Whether one of them drains.
    drains: bool,
}

impl Beats {
    /// The beats of a server whose row was made with a statement that was sent at `sent` and answered at `answered`.
    pub(crate) fn new(company: NodeCompany, sent: Instant, answered: Instant) -> Self {
        let trust = match company {
            NodeCompany::Alone => None,
            NodeCompany::Others => Some(policy::TRUST),
        };
        let took = answered.saturating_duration_since(sent);
        Self {
            confirmed: sent,
            took,
            failure: None,
            trust,
            tried: sent,
            shared: None,
            lost: false,
            members: Vec::new(),
            drains: false,
        }
    }

    /// Notes that a statement is sent. Returns when the one before was.
    pub(crate) fn try_at(&mut self, sent: Instant) -> Instant {
        std::mem::replace(&mut self.tried, sent)
    }

    /// Notes that the database did not take the newest statement. The one before was sent at this time.
    pub(crate) fn not_taken(&mut self, before: Instant) {
        self.tried = before;
    }

    /// How long no statement of this server has reached the database. One may be carried out as long after it was sent as the last one took.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.tried + self.took)
    }

    /// No other server has reached the database from `began` to `asked`. After a silence of the database, no row dies before each server had
    /// time to beat: the first beat behind the silence gives all of them that time. A server that has joined since the newest confirmed
    /// beat is not among those that were asked; what this one does beside a new owner of its threads is refused by their terms.
    pub(crate) fn share(&mut self, began: Option<Instant>, asked: Instant, now: Instant) {
        let own = asked.checked_sub(self.silence(asked)).unwrap_or(asked);
        let began = began.map_or(own, |began| began.max(own));
        let silent = asked.saturating_duration_since(began);
        let was_silent = silent >= Duration::from_secs(policy::SILENCE) + policy::SILENCE_MARGIN;
        // Trust that has ended does not come back, and a row that has had no beat does not know the others.
        let is_trusted = self.trusted_until().is_some_and(|until| now <= until) && !self.members.is_empty();
        if let (true, true, Some(trust)) = (was_silent, is_trusted, self.trust) {
            self.shared = self.shared.max(Some(asked + trust));
        }
    }

    /// Notes a beat that was confirmed, and the servers whose rows live.
    pub(crate) fn confirm(&mut self, sent: Instant, answered: Instant, members: Vec<Uuid>) {
        let took = answered.saturating_duration_since(sent);
        let (trust, tried) = (self.trust, self.tried.max(sent));
        // A late answer takes nothing back of what the silence gave.
        let shared =
            self.shared.filter(|shared| !self.lost && trust.is_some_and(|trust| *shared > sent + trust));
        let (failure, lost, drains) = (None, false, self.drains);
        *self = Self { confirmed: sent, took, failure, trust, tried, shared, lost, members, drains };
    }

    /// Notes that the row may be dead.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    /// The servers whose rows lived at the newest confirmed beat.
    pub(crate) fn members(&self) -> &[Uuid] {
        &self.members
    }

    /// Notes whether a server drains.
    pub(crate) fn note_drains(&mut self, drains: bool) {
        self.drains = drains;
    }

    /// Whether a server drained at the newest confirmed beat.
    pub(crate) fn has_drains(&self) -> bool {
        self.drains
    }

    /// When the row may be dead without another beat. `None` if it may be already, or the server is alone.
    pub(crate) fn trusted_until(&self) -> Option<Instant> {
        let own = self.trust.filter(|_| !self.lost).map(|trust| self.confirmed + trust)?;
        Some(self.shared.map_or(own, |shared| shared.max(own)))
    }

    /// When the server begins to ask the others whether they reach the database.
    fn doubted_from(&self) -> Option<Instant> {
        self.trust.filter(|_| !self.lost).map(|_| self.confirmed + policy::DOUBT)
    }

    /// Notes a beat without an answer, or with a refusal.
    pub(crate) fn fail(&mut self, reason: &str) {
        self.failure = Some(reason.to_owned());
    }

    /// Whether the newest one failed.
    pub(crate) fn have_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether the server may rely on the database. Asks the time and not the tasks: a process that was stopped and wakes up finds itself in doubt.
    pub(crate) fn standing(&self, now: Instant) -> NodeStanding {
        if self.lost || self.trusted_until().is_some_and(|until| now > until) {
            NodeStanding::Lost
        } else if self.age(now) > policy::DOUBT {
            NodeStanding::Doubtful
        } else {
            NodeStanding::Sure
        }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.confirmed)
    }
}

/// The owner of a thread, if it is another server that lives. No row if nothing of the thread is saved.
const OWNER: &str =
    "select n.node, n.name, n.link_addr, n.key_sha256, h.owner is not distinct from $2 from heads h
  left join nodes n on n.node = h.owner and n.state = 'live' and n.node <> $2
  where h.thread = $1 and h.seq > 0 and h.trashed_at is null";

/// The servers that live besides one.
const NEIGHBOURS: &str =
    "select node, name, link_addr, key_sha256 from nodes where state = 'live' and node <> $1";

/// Another server of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The id of its row.
    pub node: Uuid,
    /// Its name.
    pub name: String,
    /// Where it takes links; `None` for one of an earlier version.
    pub link: Option<LinkPlace>,
}

/// The owner of a thread, by its row in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowOwner {
    /// Another server has it, and lives.
    Other(Neighbour),
    /// No server that lives has it.
    Nobody,
    /// This server has it, or has begun to take it.
    This,
    /// It has no row: nothing of it is saved.
    NoRow,
}

/// A server's place in its cluster.
#[derive(Debug, Clone)]
pub struct NodePlace {
    node: NodeId,
    database: Arc<Database>,
    beats: Arc<watch::Sender<Beats>>,
}

impl NodePlace {
    pub(crate) fn new(node: &NodeId, database: &Arc<Database>, beats: Arc<watch::Sender<Beats>>) -> Self {
        Self { node: node.clone(), database: Arc::clone(database), beats }
    }

    /// Waits until its beats are like this.
    #[cfg(test)]
    pub(crate) async fn until(&self, holds: impl FnMut(&Beats) -> bool) {
        let mut beats = self.beats.subscribe();
        let waited = tokio::time::timeout(Duration::from_secs(60), beats.wait_for(holds)).await;
        assert!(waited.is_ok_and(|waited| waited.is_ok()), "{:?}", self.beats.borrow());
    }

    /// The owner of a thread, by its row.
    ///
    /// # Errors
    /// If the database does not serve.
    pub async fn row_owner(&self, thread: ThreadId) -> io::Result<RowOwner> {
        let params: &Params<'_> = &[(&thread.uuid(), Type::UUID), (&self.node.id(), Type::UUID)];
        let rows = self.database.pool().read(OWNER, params).await?;
        Ok(match rows.first().map(|row| (neighbour(row), row.get(4))) {
            Some((Some(owner), _)) => RowOwner::Other(owner),
            Some((None, true)) => RowOwner::This,
            Some((None, false)) => RowOwner::Nobody,
            None => RowOwner::NoRow,
        })
    }

    /// The other servers that live.
    ///
    /// # Errors
    /// If the database does not serve.
    pub async fn neighbours(&self) -> io::Result<Vec<Neighbour>> {
        let rows = self.database.pool().read(NEIGHBOURS, &[(&self.node.id(), Type::UUID)]).await?;
        Ok(rows.iter().filter_map(neighbour).collect())
    }

    /// Wishes that another server hands a thread over, once no turn runs in it.
    ///
    /// # Errors
    /// If the database does not serve.
    pub async fn want(&self, thread: ThreadId, of: Uuid) -> io::Result<()> {
        Ok(handover::want(&self.database.pool(), of, thread).await?)
    }

    /// Waits until the servers that live are others than `known`, and returns them.
    pub async fn members_beside(&self, known: &[Uuid]) -> Vec<Uuid> {
        let mut beats = self.beats.subscribe();
        let changed =
            beats.wait_for(|beats| beats.members() != known).await.map(|beats| beats.members().to_vec());
        match changed {
            Ok(members) => members,
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until another server's row is dead, as of a beat that is sent from now on.
    pub async fn until_dead(&self, node: Uuid) {
        let (from, mut beats) = (Clock.now(), self.beats.subscribe());
        let is_dead = |beats: &Beats| beats.confirmed > from && !beats.members.contains(&node);
        if beats.wait_for(is_dead).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits until the database has confirmed no beat for a while, and others may soon take the threads of this server. Returns the
    /// servers beside it, as of the newest confirmed beat.
    pub async fn in_doubt(&self) -> Vec<Uuid> {
        let mut beats = self.beats.subscribe();
        loop {
            let from = beats.borrow_and_update().doubted_from();
            let reached = async {
                match from {
                    Some(from) => sleep_until(from).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = beats.changed() => match changed {
                    Ok(()) => {}
                    Err(_) => std::future::pending().await,
                },
                () = reached => break,
            }
        }
        let own = self.node.id();
        self.beats.borrow().members().iter().copied().filter(|node| *node != own).collect()
    }

    /// How long no statement of this server has reached the database, for another one that is in doubt.
    pub fn silence(&self, now: Instant) -> Duration {
        self.beats.borrow().silence(now)
    }

    /// Every other server, if there are any, has said that it has not reached the database from `began` to `asked`, the moment of the question.
    /// While nobody reaches it, this server keeps its threads.
    pub fn share_doubt(&self, began: Option<Instant>, asked: Instant) {
        self.beats.send_modify(|beats| beats.share(began, asked, Clock.now()));
    }

    /// The id of this server's row.
    pub fn node(&self) -> Uuid {
        self.node.id()
    }

    /// Whether the database has confirmed a beat lately. Waits for nothing.
    pub fn standing(&self, now: Instant) -> NodeStanding {
        self.beats.borrow().standing(now)
    }

    /// The numbers for a status. Waits for nothing.
    pub fn counts(&self, now: Instant) -> ClusterCounts {
        let beats = self.beats.borrow();
        let (connections_busy, callers_waiting) = self.database.load();
        ClusterCounts {
            id: self.database.cluster().id.to_string(),
            node: self.node.id().to_string(),
            nodes: whole(beats.members().len() as u128),
            standing: beats.standing(now),
            beat_age_ms: whole(beats.age(now).as_millis()),
            // The caller counts them.
            observed: 0,
            others: Vec::new(),
            links: 0,
            database: DatabaseCounts {
                life: self.database.life().to_string(),
                beat_micros: whole(beats.took.as_micros()),
                failure: beats.failure.clone(),
                connections_busy,
                callers_waiting,
            },
        }
    }
}

/// The server in a row, if there is one.
fn neighbour(row: &Row) -> Option<Neighbour> {
    let link = |address| Some(LinkPlace { address, key: row.get::<_, &[u8]>(3).try_into().ok()? });
    Some(Neighbour {
        node: row.get::<_, Option<Uuid>>(0)?,
        name: row.get(1),
        link: row.get::<_, Option<String>>(2).and_then(link),
    })
}

fn whole(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_server_is_in_doubt_by_the_time_since_it_sent_its_last_confirmed_beat() {
        let began = Clock.now();
        let mut beats = Beats::new(NodeCompany::Alone, began, began + 500 * MS);
        assert_eq!(beats.took, 500 * MS);
        for (after, expected) in [
            (Duration::ZERO, NodeStanding::Sure),
            (policy::DOUBT, NodeStanding::Sure),
            (policy::DOUBT + MS, NodeStanding::Doubtful),
            (policy::DOUBT * 1_000, NodeStanding::Doubtful),
        ] {
            assert_eq!(beats.standing(began + after), expected, "{after:?}");
        }
        // A refusal takes nothing away, and a late answer gives no more than its beat.
        beats.fail("away");
        assert_eq!(beats.standing(began + policy::DOUBT), NodeStanding::Sure);
        beats.confirm(began, began + policy::DOUBT + MS, Vec::new());
        assert_eq!(beats.standing(began + policy::DOUBT + MS), NodeStanding::Doubtful);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_among_others_has_lost_its_threads_by_its_own_clock_until_a_beat_is_confirmed() {
        let began = Clock.now();
        let mut beats = Beats::new(NodeCompany::Others, began, began);
        assert_eq!(beats.trusted_until(), Some(began + policy::TRUST));
        assert_eq!(beats.standing(began + policy::TRUST), NodeStanding::Doubtful);
        assert_eq!(beats.standing(began + policy::TRUST + MS), NodeStanding::Lost);
        beats.lose();
        assert_eq!((beats.standing(began), beats.trusted_until()), (NodeStanding::Lost, None));
        let again = began + policy::TRUST * 2;
        beats.confirm(again, again, vec![Uuid::nil()]);
        assert_eq!((beats.standing(again), beats.members().len()), (NodeStanding::Sure, 1));
        assert_eq!(beats.trusted_until(), Some(again + policy::TRUST));
    }

    /// A server among others that knows itself, with a beat that took no time.
    fn confirmed(began: Instant) -> Beats {
        let mut beats = Beats::new(NodeCompany::Others, began, began);
        beats.confirm(began, began, vec![Uuid::nil()]);
        beats
    }

    /// The others have been silent since this time, and were asked at that one; both from `began`.
    fn share(beats: &mut Beats, began: Instant, (others, asked): (Option<Duration>, Duration)) {
        beats.share(others.map(|others| began + others), began + asked, began + asked);
    }

    const SILENCE: Duration = Duration::from_secs(policy::SILENCE).saturating_add(policy::SILENCE_MARGIN);

    #[tokio::test(start_paused = true)]
    async fn a_server_keeps_its_threads_while_no_server_has_reached_the_database_for_a_while() {
        let began = Clock.now();
        let after = |others: Option<Duration>, own: Duration, asked: Duration| {
            let mut beats = confirmed(began);
            beats.try_at(began + own);
            share(&mut beats, began, (others, asked));
            beats.trusted_until().unwrap() - began
        };
        let (zero, trust) = (Duration::ZERO, policy::TRUST);
        assert_eq!(after(Some(zero), zero, SILENCE), SILENCE + trust);
        assert_eq!(after(None, zero, SILENCE), SILENCE + trust, "there are no others");
        assert_eq!(after(Some(zero), zero, SILENCE - MS), trust, "too short to give anybody time");
        assert_eq!(after(Some(MS), zero, SILENCE), trust, "another one has reached it since");
        assert_eq!(after(Some(zero), MS, SILENCE), trust, "this one may have reached it since");
        assert_eq!(after(Some(MS), MS, SILENCE + MS), SILENCE + MS + trust);
        assert_eq!(after(Some(zero), zero, trust + MS), trust, "others may have its threads by then");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_shares_no_doubt_that_it_cannot_know_and_keeps_a_trust_that_an_answer_comes_late_for() {
        let began = Clock.now();
        let own = (None, SILENCE);
        let mut slow = confirmed(began);
        slow.confirm(began, began + MS, vec![Uuid::nil()]);
        share(&mut slow, began, own);
        assert_eq!(slow.trusted_until(), Some(began + policy::TRUST), "its beat may be carried out later");
        let mut new = Beats::new(NodeCompany::Others, began, began);
        share(&mut new, began, own);
        assert_eq!(new.trusted_until(), Some(began + policy::TRUST), "it does not know the others");

        let mut refused = confirmed(began);
        let before = refused.try_at(began + SILENCE);
        refused.not_taken(before);
        share(&mut refused, began, own);
        let trusted = began + SILENCE + policy::TRUST;
        assert_eq!(refused.standing(trusted), NodeStanding::Doubtful);
        refused.confirm(began + MS, trusted, vec![Uuid::nil()]);
        assert_eq!(refused.trusted_until(), Some(trusted), "the answer is late");
        refused.confirm(began + SILENCE + MS, trusted, vec![Uuid::nil()]);
        assert_eq!(refused.trusted_until(), Some(trusted + MS));
        refused.lose();
        share(&mut refused, began, own);
        assert_eq!(refused.trusted_until(), None, "it has ended its threads");
    }
}
