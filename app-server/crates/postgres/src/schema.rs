//! The tables, and the number of their form.
//!
//! A line of a rollout is kept as its bytes, so that exports and checksums are exact. A row of a list is `json`, not
//! `jsonb`, which refuses `\u0000`. Keys of orders compare bytes (`collate "C"`), as the order in memory does.

use std::sync::LazyLock;
use std::time::Duration;

use skein_base::clock::Clock;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::address::DbAddress;
use crate::connection::Link;
use crate::failure::DbFailure;
use crate::numbers::number;
use crate::policy;

/// The form of the tables that this version makes and serves. The stand-in of an earlier version knows one less.
const SCHEMA: i32 = if cfg!(feature = "earlier") { 6 } else { 7 };

/// The form of [`TABLES`].
const FIRST: i32 = 1;

/// The partitions of the records. They are there from the first day, as a table cannot be divided later.
const PARTITIONS: u32 = 64;

/// The tables of the first form.
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

/// The additions of each later form. Nothing is removed, so that servers of the form before go on.
const ADDED: &[(i32, &str)] =
    &[(2, CREDENTIALS), (3, QUESTIONS), (4, CHANGED), (5, LINKS), (6, DRAINS), (7, HANDOVERS)];

const CREDENTIALS: &str = r#"
alter table cluster add column if not exists moved_to text;
alter table cluster add column credentials bigint not null default 0;
alter table cluster add column arriving_from text;
create table credentials (id uuid primary key, token text, ended_at bigint, body json not null, changed bigint not null);
create unique index credentials_token on credentials (token) where ended_at is null;
create index credentials_changed on credentials (changed);
"#;

/// The end of the numbers that starts of servers have taken for questions.
const QUESTIONS: &str = "\nalter table cluster add column questions bigint not null default 0;\n";

/// The transaction that has changed a row of a list, for the other servers.
const CHANGED: &str = r#"
alter table threads add column changed xid8;
create index threads_changed on threads (changed);
"#;

/// Where a server takes links of the others. `nodes.addr` has the number of its home.
const LINKS: &str = "\nalter table nodes add column link_addr text;\n";

/// The wish that a server drains, and its reply: see [`crate::drain`].
const DRAINS: &str = "\nalter table nodes add column drain text;\n";

/// The threads that other servers want: see [`crate::handover`].
const HANDOVERS: &str = "\nalter table nodes add column wanted uuid[] not null default '{}';\n";

/// The tables that a server reads and writes.
const NAMES: &str =
    "cluster, nodes, heads, records, threads, blobs, blob_uses, secrets, catalog, credentials";

/// Each role with rights on the threads gets them on everything.
const GRANTS: &str = "declare given record; begin
  for given in select a.grantee::regrole as role, a.privilege_type as privilege
    from pg_class c, aclexplode(c.relacl) a where c.oid = 'heads'::regclass and a.grantee not in (0, c.relowner)
  loop
    execute format('grant %s on credentials to %s', given.privilege, given.role);
  end loop;
end;
";

/// Notes the instance if none is noted, where the database says which one it is.
const NOTE_SYSTEM: &str = "begin
  update cluster set sysid = (select system_identifier::text from pg_control_system()) where sysid is null;
exception when insufficient_privilege then null;
end;
";

/// Whether a role has the rights on the threads.
const GIVEN: &str = "select bool_and(has_table_privilege($1::name, 'heads', p)) from unnest(array['select', 'insert', 'update', 'delete']) as p";

/// Whether the database takes writes, and this role has the rights of a server.
pub(crate) static MAY_WRITE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select current_setting('transaction_read_only') = 'off', bool_and(has_table_privilege(t, p))
  from unnest(string_to_array('{NAMES}', ', ')) as t, unnest(array['select', 'insert', 'update', 'delete']) as p"
    )
});

/// Two callers at once: the second waits for the end of the first.
const ALONE: &str = "select pg_advisory_xact_lock(7307218);";

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
    /// A server has it.
    #[error("{0} serves this database; stop it first")]
    Served(String),
    /// The database does not serve.
    #[error("{0}")]
    Away(String),
    /// A change of the tables has no answer.
    #[error("{0}; the change may be made all the same, now or in a moment: run this again")]
    Unknown(String),
}

impl From<DbFailure> for SchemaError {
    fn from(failure: DbFailure) -> Self {
        Self::Away(failure.reason().to_owned())
    }
}

/// Why a change of the tables has failed.
fn of_change(failure: DbFailure) -> SchemaError {
    match failure {
        DbFailure::Unknown(reason) => SchemaError::Unknown(reason),
        held if held.is_of_held_row() => SchemaError::Away(
            "a transaction holds the tables, such as that of pg_dump; run this again once it has ended"
                .to_owned(),
        ),
        refused @ DbFailure::Refused { .. } => refused.into(),
    }
}

/// The cluster behind a change of it, which was made.
async fn found_behind(link: &mut Link) -> Result<Cluster, SchemaError> {
    find(link).await.map_err(|error| SchemaError::Unknown(error.to_string()))
}

/// A cluster, as its database names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// Its id. It changes only after a restore of the database.
    pub id: Uuid,
    /// The form of its tables.
    pub schema: i32,
}

/// The result of [`init`] or [`upgrade`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitOutcome {
    /// The tables are new, or have another form now.
    Made(Cluster),
    /// They were there already. Nothing was changed.
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
    let id = Clock.new_id();
    let added: String = ADDED.iter().filter(|(form, _)| *form <= SCHEMA).map(|(_, sql)| *sql).collect();
    let sql = format!(
        "begin; {ALONE}
do $skein$ begin if to_regclass('cluster') is null then
{TABLES}{partitions}{added}
insert into cluster (id, schema, oldest_schema) values ('{id}', {SCHEMA}, {FIRST});
{NOTE_SYSTEM}
end if; end $skein$; commit;",
        partitions = partitions(),
    );
    link.batch(&sql).await.map_err(of_change)?;
    let cluster = found_behind(&mut link).await?;
    Ok(if cluster.id == id { InitOutcome::Made(cluster) } else { InitOutcome::Already(cluster) })
}

fn partitions() -> String {
    let part = |at| {
        format!(
            "create table records_{at} partition of records for values with (modulus {PARTITIONS}, remainder {at});\n"
        )
    };
    (0..PARTITIONS).map(part).collect()
}

/// Brings the tables of an earlier version up to date. Servers of that version go on.
///
/// # Errors
/// [`SchemaError`]; nothing is changed then.
pub async fn upgrade(address: &DbAddress) -> Result<InitOutcome, SchemaError> {
    let mut link = Link::connect(address).await?;
    match find(&mut link).await {
        Err(SchemaError::OtherForm { found, .. }) if (FIRST..SCHEMA).contains(&found) => {}
        found => return found.map(InitOutcome::Already),
    }
    // Servers wait behind a change of a table that waits.
    let mut sql = format!("begin; {ALONE} set local lock_timeout = {};\n", policy::LOCK_WAIT_MS);
    for (form, added) in ADDED {
        let step = format!(
            "do $skein$ begin if (select schema from cluster) < {form} then
{added}
update cluster set schema = {form};
{GRANTS}{NOTE_SYSTEM}
end if; end $skein$;\n"
        );
        sql.push_str(&step);
    }
    sql.push_str("commit;");
    link.batch(&sql).await.map_err(of_change)?;
    found_behind(&mut link).await.map(InitOutcome::Made)
}

/// Lets a role read and write rows and nothing else, and makes the role if it is missing.
///
/// # Errors
/// [`SchemaError`]; nothing is changed then.
pub async fn allow(address: &DbAddress, role: &str) -> Result<(), SchemaError> {
    let mut link = Link::connect(address).await?;
    find(&mut link).await?;
    let name = role.replace('"', "\"\"");
    let known = link.read("select 1 from pg_roles where rolname = $1", &[(&role, Type::TEXT)]).await?;
    let make = if known.is_empty() { format!("create role \"{name}\" login;") } else { String::new() };
    let grant = format!("grant select, insert, update, delete on {NAMES} to \"{name}\";");
    link.batch(&format!("begin; {ALONE} {make} {grant} commit;")).await.map_err(of_change)?;
    // The database only warns if the caller has no right to give.
    let given = link.read(GIVEN, &[(&role, Type::TEXT)]).await?;
    if given.first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    Err(SchemaError::Away(
        "the owner of the tables can give these rights, and nobody else; run this as that role".to_owned(),
    ))
}

/// Makes the restored copy of a cluster a cluster of its own: with another id, so clients load each thread once.
///
/// # Errors
/// [`SchemaError`]; nothing is changed then.
pub async fn restored(address: &DbAddress) -> Result<Cluster, SchemaError> {
    let mut link = Link::connect(address).await?;
    find(&mut link).await?;
    // A copy has the rows of servers that serve the original.
    if !is_copy(&mut link).await? {
        let sql = "select name from nodes where state = 'live' and expires > now() limit 1";
        if let Some(served) = link.read(sql, &[]).await?.first() {
            return Err(SchemaError::Served(served.get(0)));
        }
    }
    let id = Clock.new_id();
    link.batch(&format!(
        "begin; {ALONE}
update cluster set id = '{id}', sysid = null;
update threads set changed = null where changed is not null;
do $skein$ {NOTE_SYSTEM} $skein$;
update nodes set state = 'dead' where state = 'live';
commit;"
    ))
    .await
    .map_err(of_change)?;
    found_behind(&mut link).await
}

/// Whether another instance has made the cluster. An instance that does not name itself counts as the same.
async fn is_copy(link: &mut Link) -> Result<bool, DbFailure> {
    let sql = "select c.sysid <> s.system_identifier::text from cluster c, pg_control_system() s";
    match link.read(sql, &[]).await {
        Err(DbFailure::Refused { .. }) => Ok(false),
        rows => Ok(rows?.first().and_then(|row| row.get::<_, Option<bool>>(0)).unwrap_or_default()),
    }
}

/// A server of a cluster, as its row shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Whether it serves. A row of a killed server says so until its time is over.
    pub is_live: bool,
    /// Whether it is asked to end, and lets its turns end.
    pub is_draining: bool,
    /// The threads that it has.
    pub threads: u64,
    /// Since its last beat.
    pub silent: Duration,
}

/// A cluster and its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterReport {
    /// The cluster.
    pub cluster: Cluster,
    /// Those that live, in the order of their names, and the others of the last day.
    pub nodes: Vec<NodeReport>,
    /// Threads whose end is not closed, such as loaded ones.
    pub open: u64,
    /// The place from which threads are on their way into it, if a move of them was cut off or goes on.
    pub arriving_from: Option<String>,
}

const NODES: &str = "select name, state = 'live' and expires > now(),
  greatest(0, extract(epoch from now() - expires) * 1000 + $1::float8)::int8,
  drain is not null, (select count(*) from heads where owner = node)
  from nodes order by state = 'live' and expires > now() desc, case when state = 'live' and expires > now() then name end, expires desc
  limit 100";

/// The state of a cluster. Its database may be the restored copy of another one.
///
/// # Errors
/// [`SchemaError`]
pub async fn report(address: &DbAddress) -> Result<ClusterReport, SchemaError> {
    let mut link = Link::connect(address).await?;
    let cluster = find(&mut link).await?;
    let lives = policy::PRESENCE.as_secs_f64() * 1000.0;
    let nodes = link.read_much(NODES, &[(&lives, Type::FLOAT8)]).await?;
    let nodes = nodes.iter().map(|row| NodeReport {
        name: row.get(0),
        is_live: row.get(1),
        silent: Duration::from_millis(number(row.get(2))),
        is_draining: row.get(3),
        threads: number(row.get(4)),
    });
    let nodes = nodes.collect();
    let sql = "select (select count(*) from heads where open), arriving_from from cluster";
    let rows = link.read_much(sql, &[]).await?;
    let row = rows.first().ok_or(SchemaError::Absent)?;
    Ok(ClusterReport { cluster, nodes, open: number(row.get(0)), arriving_from: row.get(1) })
}

/// The cluster in a database whose tables this version serves.
pub(crate) async fn find(link: &mut Link) -> Result<Cluster, SchemaError> {
    find_beside(link, None).await
}

/// Does the same, also if its threads were moved to this place.
pub(crate) async fn find_beside(link: &mut Link, place: Option<&str>) -> Result<Cluster, SchemaError> {
    let there = link.read("select to_regclass('cluster') is not null", &[]).await?;
    if !there.first().is_some_and(|row| row.get(0)) {
        return Err(SchemaError::Absent);
    }
    // The first form may lack the last column.
    let sql = "select id, schema, oldest_schema, to_jsonb(cluster) ->> 'moved_to' from cluster";
    let rows = link.read(sql, &[]).await?;
    let row = rows.first().ok_or(SchemaError::Absent)?;
    let (id, schema, oldest): (Uuid, i32, i32) = (row.get(0), row.get(1), row.get(2));
    let other = |way_out| SchemaError::OtherForm { found: schema, known: SCHEMA, way_out };
    if let Some(to) = row.get::<_, Option<String>>(3)
        && place != Some(to.as_str())
    {
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
mod tests;
