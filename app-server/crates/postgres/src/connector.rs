//! The way to the database of a cluster: which life of it is there, and whether it may serve.
//!
//! A life ends when another timeline of the database goes on: a promoted standby may lack the last commits. An old
//! primary that comes back has a lower timeline, and serves nobody. A connection that was made in an earlier life is not used again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_base::clock::Clock;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::address::DbAddress;
use crate::connection::{Link, LinkLife};
use crate::failure::DbFailure;
use crate::instance::{DbInstance, instance, old_primary};
use crate::policy;
use crate::schema::{self, Cluster, SchemaError};

/// The address of one cluster, and what is known of the instance behind it.
#[derive(Debug)]
pub(crate) struct Connector {
    address: DbAddress,
    cluster: Cluster,
    /// The newest instance.
    seen: watch::Sender<DbInstance>,
    /// Counts the lives.
    lives: Arc<AtomicU64>,
    /// A failure that took long, and its time. Others need not wait for the same.
    failed: Mutex<Option<(Instant, DbFailure)>>,
}

impl Connector {
    /// Connects once, and checks the tables. `before` is the instance that was used last; threads that were moved to `place` do no harm.
    pub(crate) async fn open(
        address: DbAddress,
        before: Option<&DbInstance>,
        place: Option<&str>,
    ) -> Result<Self, SchemaError> {
        let mut link = Link::connect(&address).await?;
        let cluster = schema::find_beside(&mut link, place).await?;
        let found = instance(&mut link).await?;
        if before.is_some_and(|before| found.is_older_than(before)) {
            return Err(old_primary().into());
        }
        let seen = watch::Sender::new(found);
        Ok(Self { address, cluster, seen, lives: Arc::default(), failed: Mutex::default() })
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> Cluster {
        self.cluster
    }

    /// The life of the database, as of the newest connection.
    pub(crate) fn life(&self) -> Uuid {
        self.seen.borrow().life()
    }

    /// The newest instance.
    pub(crate) fn seen(&self) -> watch::Receiver<DbInstance> {
        self.seen.subscribe()
    }

    fn failed(&self) -> MutexGuard<'_, Option<(Instant, DbFailure)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the cluster's newest instance.
    pub(crate) async fn connect(&self) -> Result<Link, DbFailure> {
        let began = Clock.now();
        let failed = self.failed().clone();
        if let Some((at, failure)) = failed
            && began.saturating_duration_since(at) < policy::RETRY_AFTER
        {
            return Err(failure);
        }
        let connected = self.connect_now().await;
        let now = Clock.now();
        let slow =
            connected.as_ref().err().filter(|_| now.saturating_duration_since(began) >= policy::RETRY_AFTER);
        *self.failed() = slow.map(|failure| (now, failure.clone()));
        connected
    }

    async fn connect_now(&self) -> Result<Link, DbFailure> {
        let mut link = Link::connect(&self.address).await?;
        let found = instance(&mut link).await?;
        if found.cluster != self.cluster.id {
            return Err(DbFailure::refused(format!(
                "the address leads to another cluster ({}, not {}); correct it, or start again",
                found.cluster, self.cluster.id
            )));
        }
        let mut own = Err(old_primary());
        self.seen.send_if_modified(|seen| {
            own = self.meet(seen, &found);
            let is_new = own.is_ok() && *seen != found;
            if is_new {
                *seen = found;
            }
            is_new
        });
        Ok(link.of(LinkLife { newest: Arc::clone(&self.lives), own: own? }))
    }

    /// The number of the life that a connection to `found` belongs to.
    fn meet(&self, seen: &DbInstance, found: &DbInstance) -> Result<u64, DbFailure> {
        if found.is_older_than(seen) {
            return Err(old_primary());
        }
        if seen.timeline.is_some() && found.timeline.is_none() {
            return Err(DbFailure::refused(
                "the database says no longer which instance it is; allow the role pg_control_system() and pg_walfile_name() again, or \
                 start Skein again",
            ));
        }
        if seen != found {
            tracing::warn!(before = ?seen, now = ?found, "the database has another life");
            return Ok(self.lives.fetch_add(1, Ordering::AcqRel) + 1);
        }
        Ok(self.lives.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::Config;

    use super::*;
    use crate::instance::instance_of;
    use crate::testing::TestCluster;

    async fn open(address: &DbAddress) -> Result<Connector, SchemaError> {
        Connector::open(address.clone(), None, None).await
    }

    #[tokio::test]
    async fn a_database_that_names_no_timeline_has_a_life_of_each_start() {
        let cluster = TestCluster::start();
        let at = cluster.database().await;
        let named = open(&at.address).await.unwrap();
        assert_eq!(named.seen().borrow().timeline, Some(1));
        assert_eq!(open(&at.address).await.unwrap().life(), named.life());
        let sql = "create role guest login; grant select on cluster to guest;
          revoke execute on function pg_control_system() from public";
        cluster.run(&at.name, sql).await;
        let mut guest = at.address.clone();
        guest.config.user("guest");
        let by_start = open(&guest).await.unwrap();
        assert_eq!(by_start.seen().borrow().timeline, None);
        assert_eq!(open(&guest).await.unwrap().life(), by_start.life());
        assert_ne!(by_start.life(), named.life());
    }

    #[tokio::test]
    async fn an_address_that_comes_to_lead_to_another_cluster_is_refused() {
        let cluster = TestCluster::shared();
        let at = cluster.database().await;
        let database = open(&at.address).await.unwrap();
        cluster.run(&at.name, "update cluster set id = gen_random_uuid()").await;
        let refused = database.connect().await.map(drop).unwrap_err();
        assert!(refused.reason().contains("leads to another cluster"), "{}", refused.reason());
    }

    #[tokio::test]
    async fn an_old_primary_is_refused() {
        let at = TestCluster::shared().database().await;
        let database = open(&at.address).await.unwrap();
        database.seen.send_modify(|seen| seen.timeline = Some(2));
        let refused = database.connect().await.map(drop).unwrap_err();
        assert!(refused.reason().contains("an old primary"), "{}", refused.reason());
        let before = database.seen().borrow().clone();
        let refused = Connector::open(at.address.clone(), Some(&before), None).await.unwrap_err();
        assert!(refused.to_string().contains("an old primary"), "{refused}");
    }

    #[tokio::test]
    async fn a_connection_to_an_old_primary_is_not_used_again() {
        let at = TestCluster::shared().database().await;
        let database = open(&at.address).await.unwrap();
        let link = database.connect().await.unwrap().usable().expect("of this life");
        database.seen.send_modify(|seen| seen.timeline = Some(0));
        let later = database.connect().await.unwrap();
        assert!(link.usable().is_none(), "it answers, and nobody asks");
        assert!(later.usable().is_some());
    }

    #[tokio::test]
    async fn a_standby_is_refused_and_is_no_other_life() {
        let cluster = TestCluster::start();
        let at = cluster.database().await;
        let database = open(&at.address).await.unwrap();
        cluster.stand_by().await;
        let mut standby = at.address.clone();
        standby.config = Config::new();
        let socket = cluster.first_socket().join("next");
        standby.config.host_path(socket).user("skein").dbname(&at.name);
        let life = database.life();
        let leads_there = Connector { address: standby, ..database };
        let refused = leads_there.connect().await.map(drop).unwrap_err();
        assert!(refused.reason().contains("leads to a standby"), "{}", refused.reason());
        assert_eq!(leads_there.life(), life);
    }

    #[tokio::test]
    async fn an_instance_that_names_its_timeline_no_longer_is_refused() {
        let cluster = TestCluster::start();
        let at = cluster.database().await;
        let mut guest = at.address.clone();
        guest.config.user("guest");
        cluster.run(&at.name, "create role guest login; grant select on cluster to guest").await;
        let database = open(&guest).await.unwrap();
        cluster.run(&at.name, "revoke execute on function pg_control_system() from public").await;
        let refused = database.connect().await.map(drop).unwrap_err();
        assert!(refused.reason().contains("which instance it is"), "{}", refused.reason());
    }

    /// The first caller waits until the time for a connection is over. The others in the next moment do not.
    #[tokio::test(start_paused = true)]
    async fn a_database_that_is_silent_is_asked_by_one_caller_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let _silent = tokio::net::UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let mut config = Config::new();
        config.host_path(folder.path()).user("skein");
        let address = DbAddress::without_tls(config).unwrap();
        let (cluster, seen) =
            (Cluster { id: Uuid::nil(), schema: 1 }, watch::Sender::new(instance_of("7", Some(1))));
        let connector = Connector { address, cluster, seen, lives: Arc::default(), failed: Mutex::default() };
        for waits in [true, false, false] {
            let began = Clock.now();
            let failure = connector.connect().await.map(drop).unwrap_err();
            assert!(failure.reason().contains("has not taken a connection"), "{}", failure.reason());
            assert_eq!(Clock.now() > began, waits);
        }
        tokio::time::advance(policy::RETRY_AFTER).await;
        let began = Clock.now();
        connector.connect().await.map(drop).unwrap_err();
        assert!(Clock.now() > began, "it is asked again");
    }
}
