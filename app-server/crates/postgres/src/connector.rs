//! The way to the database of a cluster: which life of it is there, and whether it may serve.
//!
//! A life ends when another timeline of the database goes on: a promoted standby may lack the last commits. An old
//! primary that comes back has a lower timeline, and serves nobody. A connection that was made in an earlier life is not used again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_base::clock::Clock;
use skein_store::rollout::blob::BlobName;
use tokio::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::address::DbAddress;
use crate::connection::{Link, LinkLife};
use crate::failure::DbFailure;
use crate::policy;
use crate::schema::{self, Cluster, SchemaError};

/// The control data names the old timeline until the first checkpoint after a promotion; the log's position is right at
/// once.
const INSTANCE: &str =
    "select c.id, s.system_identifier::text, left(pg_walfile_name(pg_current_wal_lsn()), 8), c.sysid, false
  from cluster c, pg_control_system() s";

/// Where a service allows neither: each start of the instance counts as another life. A standby has no position to write at.
const INSTANCE_BY_START: &str =
    "select c.id, pg_postmaster_start_time()::text, null, null, pg_is_in_recovery() from cluster c";

/// The address of one cluster, and what is known of the instance behind it.
#[derive(Debug)]
pub(crate) struct Connector {
    address: DbAddress,
    cluster: Cluster,
    seen: Mutex<DbInstance>,
    /// Counts the lives.
    lives: Arc<AtomicU64>,
    /// A failure that took long, and its time. Others need not wait for the same.
    failed: Mutex<Option<(Instant, DbFailure)>>,
}

/// The instance behind a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DbInstance {
    /// The id of the system, or the time of its start.
    system: String,
    /// `None` if the database does not say.
    timeline: Option<u32>,
}

impl DbInstance {
    fn of(row: &Row) -> Self {
        let timeline: Option<String> = row.get(2);
        let timeline = timeline.and_then(|digits| u32::from_str_radix(&digits, 16).ok());
        Self { system: row.get(1), timeline }
    }

    /// Whether this is `before` at an earlier time.
    fn is_older_than(&self, before: &Self) -> bool {
        self.system == before.system && self.timeline < before.timeline
    }

    fn life(&self, cluster: Uuid) -> Uuid {
        let timeline = self.timeline.map_or(String::new(), |timeline| timeline.to_string());
        let name = BlobName::of(format!("{cluster}/{}/{timeline}", self.system).as_bytes());
        let mut id = [0; 16];
        id.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = *from);
        Uuid::from_bytes(id)
    }
}

impl Connector {
    /// Connects once, and checks the tables.
    pub(crate) async fn open(address: DbAddress) -> Result<Self, SchemaError> {
        let mut link = Link::connect(&address).await?;
        let cluster = schema::find(&mut link).await?;
        let (_, seen) = instance(&mut link).await?;
        Ok(Self { address, cluster, seen: Mutex::new(seen), lives: Arc::default(), failed: Mutex::default() })
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> Cluster {
        self.cluster
    }

    /// The life of the database, as of the newest connection.
    pub(crate) fn life(&self) -> Uuid {
        self.seen().life(self.cluster.id)
    }

    fn seen(&self) -> MutexGuard<'_, DbInstance> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (cluster, found) = instance(&mut link).await?;
        if cluster != self.cluster.id {
            return Err(DbFailure::refused(format!(
                "the address leads to another cluster ({cluster}, not {}); correct it, or start again",
                self.cluster.id
            )));
        }
        let mut seen = self.seen();
        if found.is_older_than(&seen) {
            return Err(DbFailure::refused(
                "the address leads to an old primary, which another has replaced; stop it, or correct the address",
            ));
        }
        if seen.timeline.is_some() && found.timeline.is_none() {
            return Err(DbFailure::refused(
                "the database says no longer which instance it is; allow the role pg_control_system() and pg_walfile_name() again, or \
                 start Skein again",
            ));
        }
        if *seen != found {
            tracing::warn!(before = ?*seen, now = ?found, "the database has another life");
            *seen = found;
            self.lives.fetch_add(1, Ordering::AcqRel);
        }
        let own = self.lives.load(Ordering::Acquire);
        drop(seen);
        Ok(link.of(LinkLife { newest: Arc::clone(&self.lives), own }))
    }
}

async fn instance(link: &mut Link) -> Result<(Uuid, DbInstance), DbFailure> {
    let rows = match link.read(INSTANCE, &[]).await {
        Err(DbFailure::Refused { .. }) => link.read(INSTANCE_BY_START, &[]).await?,
        answer => answer?,
    };
    let row = rows
        .first()
        .ok_or_else(|| DbFailure::refused("the database has lost its cluster's row; restore it"))?;
    if row.get(4) {
        return Err(DbFailure::refused(
            "the address leads to a standby; wait until it is promoted, or correct the address",
        ));
    }
    let found = DbInstance::of(row);
    if row.get::<_, Option<&str>>(3).is_some_and(|made_in| made_in != found.system) {
        return Err(DbFailure::refused(
            "the database is a copy from another instance, as after a restore or a new major version of PostgreSQL; if the \
             original no longer serves, make the copy the cluster (`skein cluster restored`)",
        ));
    }
    Ok((row.get(0), found))
}

#[cfg(test)]
mod tests {
    use tokio_postgres::Config;

    use super::*;
    use crate::testing::TestCluster;

    fn at(system: &str, timeline: Option<u32>) -> DbInstance {
        DbInstance { system: system.to_owned(), timeline }
    }

    #[test]
    fn each_timeline_and_each_system_is_another_life() {
        let cluster = Uuid::from_u128(1);
        let lives = [at("7", Some(1)), at("7", Some(2)), at("8", Some(1)), at("8", None)];
        for (one, other) in lives.iter().zip(lives.iter().skip(1)) {
            assert_ne!(one.life(cluster), other.life(cluster));
        }
        assert_eq!(at("7", Some(1)).life(cluster), at("7", Some(1)).life(cluster));
        assert_ne!(at("7", Some(1)).life(cluster), at("7", Some(1)).life(Uuid::from_u128(2)));
    }

    #[test]
    fn only_a_lower_timeline_of_the_same_system_is_an_old_primary() {
        assert!(at("7", Some(1)).is_older_than(&at("7", Some(2))));
        for newer in [at("7", Some(2)), at("7", Some(3)), at("8", Some(1)), at("later", None)] {
            assert!(!newer.is_older_than(&at("7", Some(2))), "{newer:?}");
        }
    }

    #[tokio::test]
    async fn a_database_that_names_no_timeline_has_a_life_of_each_start() {
        let cluster = TestCluster::start();
        let at = cluster.database().await;
        let named = Connector::open(at.address.clone()).await.unwrap();
        assert_eq!(named.seen().timeline, Some(1));
        assert_eq!(Connector::open(at.address.clone()).await.unwrap().life(), named.life());
        let sql = "create role guest login; grant select on cluster to guest;
          revoke execute on function pg_control_system() from public";
        cluster.run(&at.name, sql).await;
        let mut guest = at.address.clone();
        guest.config.user("guest");
        let by_start = Connector::open(guest.clone()).await.unwrap();
        assert_eq!(by_start.seen().timeline, None);
        assert_eq!(Connector::open(guest).await.unwrap().life(), by_start.life());
        assert_ne!(by_start.life(), named.life());
    }

    #[tokio::test]
    async fn an_address_that_comes_to_lead_to_another_cluster_is_refused() {
        let cluster = TestCluster::shared();
        let at = cluster.database().await;
        let database = Connector::open(at.address.clone()).await.unwrap();
        cluster.run(&at.name, "update cluster set id = gen_random_uuid()").await;
        let refused = database.connect().await.map(drop).unwrap_err();
        assert!(refused.reason().contains("leads to another cluster"), "{}", refused.reason());
    }

    #[tokio::test]
    async fn an_old_primary_is_refused() {
        let at = TestCluster::shared().database().await;
        let database = Connector::open(at.address.clone()).await.unwrap();
        database.seen().timeline = Some(2);
        let refused = database.connect().await.map(drop).unwrap_err();
        assert!(refused.reason().contains("an old primary"), "{}", refused.reason());
    }

    #[tokio::test]
    async fn a_connection_to_an_old_primary_is_not_used_again() {
        let at = TestCluster::shared().database().await;
        let database = Connector::open(at.address.clone()).await.unwrap();
        let link = database.connect().await.unwrap().usable().expect("of this life");
        database.seen().timeline = Some(0);
        let later = database.connect().await.unwrap();
        assert!(link.usable().is_none(), "it answers, and nobody asks");
        assert!(later.usable().is_some());
    }

    #[tokio::test]
    async fn a_standby_is_refused_and_is_no_other_life() {
        let cluster = TestCluster::start();
        let at = cluster.database().await;
        let database = Connector::open(at.address.clone()).await.unwrap();
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
        let database = Connector::open(guest).await.unwrap();
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
        let (cluster, seen) = (Cluster { id: Uuid::nil(), schema: 1 }, Mutex::new(at("7", Some(1))));
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
