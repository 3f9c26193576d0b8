//! How a server stands with its database, by the beats that the database has confirmed.

use std::sync::Arc;
use std::time::Duration;

use skein_protocol::extension::{ClusterCounts, DatabaseCounts, NodeStanding};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::database::Database;
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
}

impl Beats {
    /// The beats of a server whose row was made with a statement that was sent at `sent` and answered at `answered`.
    pub(crate) fn new(sent: Instant, answered: Instant) -> Self {
        Self { confirmed: sent, took: answered.saturating_duration_since(sent), failure: None }
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
        match self.age(now) > policy::DOUBT {
            true => NodeStanding::Doubtful,
            false => NodeStanding::Sure,
        }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.confirmed)
    }
}

/// A server's place in its cluster.
#[derive(Debug, Clone)]
pub struct NodePlace {
    node: Uuid,
    database: Arc<Database>,
    beats: watch::Receiver<Beats>,
}

impl NodePlace {
    pub(crate) fn new(node: Uuid, database: &Arc<Database>, beats: watch::Receiver<Beats>) -> Self {
        Self { node, database: Arc::clone(database), beats }
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
            node: self.node.to_string(),
            standing: beats.standing(now),
            beat_age_ms: whole(beats.age(now).as_millis()),
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
        let mut beats = Beats::new(began, began + 500 * MS);
        assert_eq!(beats.took, 500 * MS);
        for (after, expected) in [
            (Duration::ZERO, NodeStanding::Sure),
            (policy::DOUBT, NodeStanding::Sure),
            (policy::DOUBT + MS, NodeStanding::Doubtful),
        ] {
            assert_eq!(beats.standing(began + after), expected, "{after:?}");
        }
        // A refusal takes nothing away, and a late answer gives no more than its beat.
        beats.fail("away");
        assert_eq!(beats.standing(began + policy::DOUBT), NodeStanding::Sure);
        let late = Beats::new(began, began + policy::DOUBT + MS);
        assert_eq!(late.standing(began + policy::DOUBT + MS), NodeStanding::Doubtful);
    }
}
