//! How a server stands with its database, by the beats that the database has confirmed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use skein_protocol::extension::{ClusterCounts, DatabaseCounts, NodeStanding};
use skein_protocol::ids::ThreadId;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::connection::Params;
use crate::database::Database;
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
    /// Whether the row may be dead.
    lost: bool,
    /// The servers whose rows live, this one included.
    members: Vec<Uuid>,
}

impl Beats {
    /// The beats of a server whose row was made with a statement that was sent at `sent` and answered at `answered`.
    pub(crate) fn new(company: NodeCompany, sent: Instant, answered: Instant) -> Self {
        let trust = match company {
            NodeCompany::Alone => None,
            NodeCompany::Others => Some(policy::TRUST),
        };
        let took = answered.saturating_duration_since(sent);
        Self { confirmed: sent, took, failure: None, trust, lost: false, members: Vec::new() }
    }

    /// Notes a beat that was confirmed, and the servers whose rows live.
    pub(crate) fn confirm(&mut self, sent: Instant, answered: Instant, members: Vec<Uuid>) {
        let took = answered.saturating_duration_since(sent);
        *self = Self { confirmed: sent, took, failure: None, trust: self.trust, lost: false, members };
    }

    /// Notes that the row may be dead.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    /// The servers whose rows lived at the newest confirmed beat.
    pub(crate) fn members(&self) -> &[Uuid] {
        &self.members
    }

    /// When the row may be dead without another beat. `None` if it may be already, or the server is alone.
    pub(crate) fn trusted_until(&self) -> Option<Instant> {
        self.trust.filter(|_| !self.lost).map(|trust| self.confirmed + trust)
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
        let age = self.age(now);
        if self.lost || self.trust.is_some_and(|trust| age > trust) {
            NodeStanding::Lost
        } else if age > policy::DOUBT {
            NodeStanding::Doubtful
        } else {
            NodeStanding::Sure
        }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.confirmed)
    }
}

/// The owner of a thread, if it is another server that lives.
const OWNER: &str =
    "select n.node, n.name, n.link_addr, n.key_sha256 from heads h join nodes n on n.node = h.owner
  where h.thread = $1 and n.state = 'live' and n.node <> $2";

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

/// A server's place in its cluster.
#[derive(Debug, Clone)]
pub struct NodePlace {
    node: NodeId,
    database: Arc<Database>,
    beats: watch::Receiver<Beats>,
}

impl NodePlace {
    pub(crate) fn new(node: &NodeId, database: &Arc<Database>, beats: watch::Receiver<Beats>) -> Self {
        Self { node: node.clone(), database: Arc::clone(database), beats }
    }

    /// Waits until its beats are like this.
    #[cfg(test)]
    pub(crate) async fn until(&self, holds: impl FnMut(&Beats) -> bool) {
        let mut beats = self.beats.clone();
        let waited = tokio::time::timeout(Duration::from_secs(60), beats.wait_for(holds)).await;
        assert!(waited.is_ok_and(|waited| waited.is_ok()), "{:?}", self.beats.borrow());
    }

    /// The server that has a thread and lives, if it is another one.
    ///
    /// # Errors
    /// If the database does not serve.
    pub async fn owner_of(&self, thread: ThreadId) -> io::Result<Option<Neighbour>> {
        let found =
            self.neighbours_by(OWNER, &[(&thread.uuid(), Type::UUID), (&self.node.id(), Type::UUID)]).await;
        found.map(|found| found.into_iter().next())
    }

    /// The other servers that live.
    ///
    /// # Errors
    /// If the database does not serve.
    pub async fn neighbours(&self) -> io::Result<Vec<Neighbour>> {
        self.neighbours_by(NEIGHBOURS, &[(&self.node.id(), Type::UUID)]).await
    }

    async fn neighbours_by(&self, sql: &str, params: &Params<'_>) -> io::Result<Vec<Neighbour>> {
        let rows = self.database.pool().read(sql, params).await?;
        let neighbour = |row: &Row| Neighbour {
            node: row.get(0),
            name: row.get(1),
            link: row.get::<_, Option<String>>(2).and_then(|address| {
                Some(LinkPlace { address, key: row.get::<_, &[u8]>(3).try_into().ok()? })
            }),
        };
        Ok(rows.iter().map(neighbour).collect())
    }

    /// Waits until the servers that live are others than `known`, and returns them. Never returns once the server has stopped.
    pub async fn members_beside(&self, known: &[Uuid]) -> Vec<Uuid> {
        let mut beats = self.beats.clone();
        let changed =
            beats.wait_for(|beats| beats.members() != known).await.map(|beats| beats.members().to_vec());
        match changed {
            Ok(members) => members,
            Err(_) => std::future::pending().await,
        }
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

fn whole(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use skein_base::clock::Clock;

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
}
