//! The tables, and the number of their form.
//!
//! A line of a rollout is kept as its bytes, so that exports and checksums are exact. A row of a list is `json`, not
//! `jsonb`, which refuses `\u0000`. Keys of orders compare bytes (`collate "C"`), as the order in memory does.

use skein_base::clock::Clock;
use uuid::Uuid;

use crate::address::DbAddress;
use crate::connection::Link;
use crate::failure::DbFailure;

/// The form of the tables that this version makes and serves.
const SCHEMA: i32 = 1;

/// The partitions of the records. They are there from the first day, as a table cannot be divided later.
const PARTITIONS: u32 = 64;

/// Makes everything or nothing. Two callers at once: the second waits, and finds it done.
const TABLES: &str = r#"
create table cluster (
  one bool primary key default true check (one),
  id uuid not null, schema int not null, oldest_schema int not null,
  sysid text, timeline text, last_beat timestamptz, grace_until timestamptz, catalog bigint not null default 0,
  moved_to text
);
create table nodes (
  node uuid primary key, name text not null, addr text not null, key_sha256 bytea not null,
  speaks int4range not null, state text not null, expires timestamptz not null
);
-- No index on a column that an append changes, and half of each page free: updates stay in their page (HOT).
create table heads (
  thread uuid primary key, owner uuid, term bigint not null, seq bigint not null, header bigint not null,
  life uuid, shelf smallint not null default 0, trashed_at bigint, open bool not null, status smallint,
  written timestamptz not null default now()
) with (fillfactor = 50);
create index heads_open on heads (thread) where open;
create index heads_owner on heads (owner) where owner is not null;
create index heads_trashed on heads (trashed_at) where trashed_at is not null;
create index heads_archived on heads (thread) where shelf = 1;
create table records (
  thread uuid not null, seq bigint not null, line bytea not null, primary key (thread, seq)
) partition by hash (thread);
create table threads (
  thread uuid primary key, as_of bigint not null, "row" json, created bigint, updated bigint, archived bool,
  cwd text collate "C", provider text collate "C", originator text collate "C", interactive bool, asked bigint
);
create index threads_updated on threads (archived, updated, thread);
create index threads_created on threads (archived, created, thread);
create index threads_cwd on threads (archived, cwd, updated, thread);
create index threads_asked on threads (asked, thread) where asked is not null;
create table blobs (sha256 bytea primary key, body bytea not null, touched timestamptz not null default now());
alter table blobs alter body set storage external;
create table blob_uses (thread uuid not null, sha256 bytea not null, primary key (thread, sha256));
create index blob_uses_sha256 on blob_uses (sha256);
create table secrets (thread uuid primary key, "values" json not null);
create table catalog (
  seq bigint primary key, thread uuid, method text not null, params json not null, at timestamptz not null default now()
);
"#;

/// Why a database does not serve as a store.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database has no tables of Skein.
    #[error("this database has no Skein cluster; make one in it first (`skein cluster init`)")]
    Absent,
    /// The tables are of another version.
    #[error("the tables of this database have form {found}, and this Skein knows form {known}; {way_out}")]
    OtherForm {
        /// The form in the database.
        found: i32,
        /// The form of this version.
        known: i32,
        /// The advice.
        way_out: &'static str,
    },
    /// Its threads were moved.
    #[error("the threads of this database were moved to {0}; use that, or another database")]
    Moved(String),
    /// The database does not serve.
    #[error("{0}")]
    Away(String),
}

impl From<DbFailure> for SchemaError {
    fn from(failure: DbFailure) -> Self {
        Self::Away(failure.reason().to_owned())
    }
}

/// A cluster, as its database names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// Its id. It changes only after a restore of the database.
    pub id: Uuid,
    /// The form of its tables.
    pub schema: i32,
}

/// The result of [`init`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitOutcome {
    /// The tables are new.
    Made(Cluster),
    /// The tables were there already. Nothing was changed.
    Already(Cluster),
}

/// Makes the tables and a cluster's id in the database, if it has none.
///
/// # Errors
/// [`SchemaError`]; nothing is made then.
pub async fn init(address: &DbAddress) -> Result<InitOutcome, SchemaError> {
    let mut link = Link::connect(address).await?;
    match find(&mut link).await {
        Err(SchemaError::Absent) => {}
        found => return found.map(InitOutcome::Already),
    }
    let mut sql = String::from("begin; select pg_advisory_xact_lock(7307218);\n");
    sql.push_str("do $skein$ begin if to_regclass('cluster') is null then\n");
    sql.push_str(TABLES);
    for at in 0..PARTITIONS {
        let part = format!(
            "create table records_{at} partition of records for values with (modulus {PARTITIONS}, remainder {at});\n"
        );
        sql.push_str(&part);
    }
    let id = Clock.new_id();
    let row =
        format!("insert into cluster (id, schema, oldest_schema) values ('{id}', {SCHEMA}, {SCHEMA});\n");
    sql.push_str(&row);
    sql.push_str("end if; end $skein$; commit;");
    link.batch(&sql).await?;
    let cluster = find(&mut link).await?;
    Ok(if cluster.id == id { InitOutcome::Made(cluster) } else { InitOutcome::Already(cluster) })
}

/// The cluster in a database whose tables this version serves.
pub(crate) async fn find(link: &mut Link) -> Result<Cluster, SchemaError> {
    let there = link.read("select to_regclass('cluster') is not null", &[]).await?;
    if !there.first().is_some_and(|row| row.get(0)) {
        return Err(SchemaError::Absent);
    }
    // An earlier form of this version has no such column.
    let sql = "select id, schema, oldest_schema, to_jsonb(cluster) ->> 'moved_to' from cluster";
    let rows = link.read(sql, &[]).await?;
    let row = rows.first().ok_or(SchemaError::Absent)?;
    let (id, schema, oldest): (Uuid, i32, i32) = (row.get(0), row.get(1), row.get(2));
    let other = |way_out| SchemaError::OtherForm { found: schema, known: SCHEMA, way_out };
    if let Some(to) = row.get::<_, Option<String>>(3) {
        return Err(SchemaError::Moved(to));
    }
    if schema < SCHEMA {
        return Err(other("bring the tables up to date first (`skein cluster upgrade`)"));
    }
    if oldest > SCHEMA {
        return Err(other("use the version that made them, or a newer one"));
    }
    Ok(Cluster { id, schema })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::testing::TestCluster;

    #[tokio::test]
    async fn a_cluster_is_made_once_and_a_second_call_says_so() {
        let at = TestCluster::shared().empty_database().await;
        let absent = Database::open(at.address.clone()).await.unwrap_err();
        assert!(matches!(absent, SchemaError::Absent), "{absent}");
        let calls = futures_util::future::join_all((0..4).map(|_| init(&at.address))).await;
        let made: Vec<Cluster> = calls
            .iter()
            .filter_map(|made| match made.as_ref().unwrap() {
                InitOutcome::Made(cluster) => Some(*cluster),
                InitOutcome::Already(_) => None,
            })
            .collect();
        let [cluster] = made[..] else { panic!("one of them makes it: {made:?}") };
        assert_eq!(init(&at.address).await.unwrap(), InitOutcome::Already(cluster));
        assert_eq!(Database::open(at.address.clone()).await.unwrap().cluster(), cluster);
    }

    #[tokio::test]
    async fn tables_of_another_form_are_refused_in_one_sentence() {
        let cluster = TestCluster::shared();
        let at = cluster.database().await;
        for (set, says) in [
            ("schema = 0, oldest_schema = 0", "upgrade"),
            ("schema = 3, oldest_schema = 2", "use the version that made them"),
        ] {
            cluster.run(&at.name, &format!("update cluster set {set}")).await;
            let refused = Database::open(at.address.clone()).await.unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
        cluster.run(&at.name, "update cluster set schema = 2, oldest_schema = 1").await;
        assert!(Database::open(at.address).await.is_ok(), "a later form that this version may serve");
    }
}
