//! Instances of PostgreSQL: which of two is the newer one, and which serves no cluster. A server keeps the instance that it has used.

use serde_json::{Value, json};
use skein_store::rollout::blob::BlobName;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::connection::Link;
use crate::failure::DbFailure;

/// The control data names the old timeline until the first checkpoint after a promotion; the log's position is right at
/// once.
const INSTANCE: &str =
    "select c.id, s.system_identifier::text, left(pg_walfile_name(pg_current_wal_lsn()), 8), c.sysid, false
  from cluster c, pg_control_system() s";

/// Where a service allows neither: each start of the instance counts as another life. A standby has no position to write at.
const INSTANCE_BY_START: &str =
    "select c.id, pg_postmaster_start_time()::text, null, null, pg_is_in_recovery() from cluster c";

/// An instance of PostgreSQL that serves a cluster. A server keeps the one that it has used, and its next start refuses an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbInstance {
    /// The cluster.
    pub(crate) cluster: Uuid,
    /// The id of the system, or the time of its start.
    system: String,
    /// `None` if the database does not say.
    pub(crate) timeline: Option<u32>,
}

impl DbInstance {
    fn of(row: &Row) -> Self {
        let timeline: Option<String> = row.get(2);
        let timeline = timeline.and_then(|digits| u32::from_str_radix(&digits, 16).ok());
        Self { cluster: row.get(0), system: row.get(1), timeline }
    }

    /// Whether this is `before` at an earlier time.
    pub(crate) fn is_older_than(&self, before: &Self) -> bool {
        self.cluster == before.cluster && self.system == before.system && self.timeline < before.timeline
    }

    /// The life of the cluster in this instance.
    pub(crate) fn life(&self) -> Uuid {
        let timeline = self.timeline.map_or(String::new(), |timeline| timeline.to_string());
        let name = BlobName::of(format!("{}/{}/{timeline}", self.cluster, self.system).as_bytes());
        let mut id = [0; 16];
        id.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = *from);
        Uuid::from_bytes(id)
    }

    /// As a server keeps it in its home.
    pub fn to_json(&self) -> Value {
        json!({ "cluster": self.cluster.to_string(), "system": self.system, "timeline": self.timeline })
    }

    /// From the form of [`DbInstance::to_json`]; `None` from any other.
    pub fn from_json(kept: &Value) -> Option<Self> {
        let text = |name: &str| kept.get(name)?.as_str();
        let timeline =
            kept.get("timeline").and_then(Value::as_u64).and_then(|timeline| timeline.try_into().ok());
        Some(Self { cluster: text("cluster")?.parse().ok()?, system: text("system")?.to_owned(), timeline })
    }
}

/// The refusal of an instance that is older than another one.
pub(crate) fn old_primary() -> DbFailure {
    DbFailure::refused(
        "the address leads to an old primary, which another has replaced; stop it, or correct the address (if nothing newer is left, make \
         it the cluster: `skein cluster restored`)",
    )
}

/// The instance behind a connection.
pub(crate) async fn instance(link: &mut Link) -> Result<DbInstance, DbFailure> {
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
    Ok(found)
}

/// One of the cluster with the id 1.
#[cfg(test)]
pub(crate) fn instance_of(system: &str, timeline: Option<u32>) -> DbInstance {
    DbInstance { cluster: Uuid::from_u128(1), system: system.to_owned(), timeline }
}

#[cfg(test)]
mod tests {
    use super::instance_of as at;
    use super::*;

    #[test]
    fn each_timeline_and_each_system_is_another_life() {
        let lives = [at("7", Some(1)), at("7", Some(2)), at("8", Some(1)), at("8", None)];
        for (one, other) in lives.iter().zip(lives.iter().skip(1)) {
            assert_ne!(one.life(), other.life());
        }
        assert_eq!(at("7", Some(1)).life(), at("7", Some(1)).life());
        let another = DbInstance { cluster: Uuid::from_u128(2), ..at("7", Some(1)) };
        assert_ne!(at("7", Some(1)).life(), another.life());
    }

    #[test]
    fn only_a_lower_timeline_of_the_same_system_is_an_old_primary() {
        assert!(at("7", Some(1)).is_older_than(&at("7", Some(2))));
        for newer in [at("7", Some(2)), at("7", Some(3)), at("8", Some(1)), at("later", None)] {
            assert!(!newer.is_older_than(&at("7", Some(2))), "{newer:?}");
        }
        // `skein cluster restored` gives an old primary an id of its own.
        let restored = DbInstance { cluster: Uuid::from_u128(2), ..at("7", Some(1)) };
        assert!(!restored.is_older_than(&at("7", Some(2))));
    }

    #[test]
    fn a_home_keeps_all_of_it() {
        for kept in [at("7", Some(2)), at("2026-11-24 00:00:00+00", None)] {
            assert_eq!(DbInstance::from_json(&kept.to_json()), Some(kept));
        }
        for other in [json!({}), json!({ "cluster": "7", "system": "7" }), Value::Null] {
            assert_eq!(DbInstance::from_json(&other), None, "{other}");
        }
    }
}
