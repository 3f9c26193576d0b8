//! The database of a cluster: where it is, which life of it is there, and whether it may serve.
//!
//! A life ends when another timeline of the database goes on: a promoted standby may lack the last commits. An old
//! primary that comes back has a lower timeline, and serves nobody.

use std::sync::{Mutex, PoisonError};

use skein_store::rollout::blob::BlobName;
pub use tokio_postgres::Config;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::connection::Link;
use crate::failure::DbFailure;
use crate::schema::{self, Cluster, SchemaError};

/// The control data names the old timeline until the first checkpoint after a promotion; the log's position is right at
/// once.
const INSTANCE: &str =
    "select c.id, s.system_identifier::text, left(pg_walfile_name(pg_current_wal_lsn()), 8)
  from cluster c, pg_control_system() s";

/// Where a service allows neither: each start of the instance counts as another life.
const INSTANCE_BY_START: &str = "select c.id, pg_postmaster_start_time()::text, null from cluster c";

/// One cluster's database.
#[derive(Debug)]
pub struct Database {
    config: Config,
    cluster: Cluster,
    seen: Mutex<DbInstance>,
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

impl Database {
    /// Connects once, and checks the tables.
    ///
    /// # Errors
    /// [`SchemaError`]
    pub async fn open(config: Config) -> Result<Self, SchemaError> {
        let mut link = Link::connect(&config).await?;
        let cluster = schema::find(&mut link).await?;
        let (_, seen) = instance(&mut link).await?;
        Ok(Self { config, cluster, seen: Mutex::new(seen) })
    }

    /// The cluster.
    pub fn cluster(&self) -> Cluster {
        self.cluster
    }

    /// The life of the database, as of the newest connection.
    pub fn life(&self) -> Uuid {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).life(self.cluster.id)
    }

    /// A connection to the cluster's newest instance.
    pub(crate) async fn connect(&self) -> Result<Link, DbFailure> {
        let mut link = Link::connect(&self.config).await?;
        let (cluster, found) = instance(&mut link).await?;
        if cluster != self.cluster.id {
            return Err(DbFailure::refused(format!(
                "the address leads to another cluster ({cluster}, not {}); correct it, or start again",
                self.cluster.id
            )));
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_older_than(&seen) {
            return Err(DbFailure::refused(
                "the address leads to an old primary, which another has replaced; stop it, or correct the address",
            ));
        }
        if *seen != found {
            tracing::warn!(before = ?*seen, now = ?found, "the database has another life");
            *seen = found;
        }
        drop(seen);
        Ok(link)
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
    Ok((row.get(0), DbInstance::of(row)))
}

#[cfg(test)]
mod tests {
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
        let named = Database::open(at.config.clone()).await.unwrap();
        assert_eq!(named.seen.lock().unwrap().timeline, Some(1));
        assert_eq!(Database::open(at.config.clone()).await.unwrap().life(), named.life());
        let sql = "create role guest login; grant select on cluster to guest;
          revoke execute on function pg_control_system() from public";
        cluster.run(&at.name, sql).await;
        let mut config = at.config.clone();
        config.user("guest");
        let by_start = Database::open(config.clone()).await.unwrap();
        assert_eq!(by_start.seen.lock().unwrap().timeline, None);
        assert_eq!(Database::open(config).await.unwrap().life(), by_start.life());
        assert_ne!(by_start.life(), named.life());
    }

    #[tokio::test]
    async fn an_address_that_comes_to_lead_to_another_cluster_is_refused() {
        let cluster = TestCluster::shared();
        let at = cluster.database().await;
        let database = Database::open(at.config.clone()).await.unwrap();
        cluster.run(&at.name, "update cluster set id = gen_random_uuid()").await;
        let refused = database.connect().await.map(drop).unwrap_err();
        assert!(refused.reason().contains("leads to another cluster"), "{}", refused.reason());
    }

    #[tokio::test]
    async fn an_old_primary_is_refused() {
        let at = TestCluster::shared().database().await;
        let database = Database::open(at.config.clone()).await.unwrap();
        database.seen.lock().unwrap().timeline = Some(2);
        let refused = database.connect().await.map(drop).unwrap_err();
        assert!(refused.reason().contains("an old primary"), "{}", refused.reason());
    }
}
