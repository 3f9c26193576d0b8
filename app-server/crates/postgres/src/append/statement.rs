//! The one statement of an append, and what its answer means.

use std::collections::HashMap;
use std::sync::LazyLock;

use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::home::Term;
use skein_store::rollout::{AppendError, Appended};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::queue::AppendJob;
use crate::connection::Link;
use crate::failure::DbFailure;
use crate::numbers::{int, number};
use crate::policy;
use crate::rows::{self, RowColumns};

/// Writes the records of every thread whose head is the expected one and whose term is not above the lease's, and
/// returns these threads. The fence is in the update, so no clock is a part of it.
///
/// - `locked` takes the rows in the order of their ids, so that two statements never wait for each other. It sets the
///   time for a wait by `set_config`, which ends with the transaction: a session has no state.
/// - `moved` counts `locked` first, so that all rows are locked before the first is changed. After a wait for a row,
///   PostgreSQL looks at the conditions of `moved` again, on the row as it is then.
/// - `moved` finds its rows by the primary key, one after the other, and changes no indexed column, except the owner where only a
///   marker has been.
///
/// The rows of lists come last, in the same transaction.
const RECORDS: &str = "with batch as materialized (
  select * from unnest($1::uuid[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $11::uuid[])
    as b (thread, term, expected, head, header, opens, owner)
), locked as materialized (
  select h.thread from heads h
  where h.thread = any ($1) and (select set_config('lock_timeout', $10, true)) is not null
  order by h.thread for update
), moved as (
  update heads h set seq = b.head, term = greatest(h.term, b.opens), header = greatest(h.header, b.header),
    open = true, written = now(), owner = case b.expected when 0 then b.owner else h.owner end
  from batch b
  where h.thread = b.thread and h.term <= b.term and h.seq = b.expected and h.trashed_at is null
    and (select count(*) from locked) >= 0
  returning h.thread
), made as (
  insert into heads (thread, owner, term, seq, header, open)
  select thread, owner, opens, head, header, true from batch where expected = 0 and head > 0 order by thread
  on conflict (thread) do nothing
  returning thread
), done as (
  select thread from moved union all select thread from made
), wrote as (
  insert into records (thread, seq, line)
  select l.thread, l.seq, l.line from unnest($7::uuid[], $8::int8[], $9::bytea[]) as l (thread, seq, line)
  where l.thread in (select thread from done)
)";

/// Without rows.
static APPEND: LazyLock<String> = LazyLock::new(|| format!("{RECORDS}\nselect thread, false from done"));

/// With the rows of lists, as parameters from `$12` on. Also returns which of them were set.
static APPEND_WITH_ROWS: LazyLock<String> = LazyLock::new(|| {
    let upsert = rows::upsert(
        12,
        "r.thread in (select thread from done)",
        "threads.thread in (select thread from made)",
    );
    format!(
        "{RECORDS}, listed as (\n{upsert}\n)
select done.thread, listed.thread is not null from done left join listed on listed.thread = done.thread"
    )
});

/// A parameter and its type.
type DbParam<'p> = (&'p (dyn ToSql + Sync), Type);

/// The columns of some jobs and of their records.
#[derive(Debug)]
pub(super) struct AppendColumns<'a> {
    threads: Vec<Uuid>,
    terms: Vec<i64>,
    expected: Vec<i64>,
    heads: Vec<i64>,
    headers: Vec<i64>,
    opens: Vec<i64>,
    of: Vec<Uuid>,
    seqs: Vec<i64>,
    lines: Vec<&'a [u8]>,
    lock_wait: String,
    nodes: Vec<Uuid>,
}

impl<'a> AppendColumns<'a> {
    pub(super) fn of(jobs: &'a [AppendJob]) -> Self {
        let each = |of: fn(&AppendJob) -> u64| -> Vec<i64> { jobs.iter().map(|job| int(of(job))).collect() };
        let rows = || jobs.iter().flat_map(|job| job.lines.iter().map(move |row| (job.lease.thread, row)));
        Self {
            threads: jobs.iter().map(|job| job.lease.thread.uuid()).collect(),
            terms: each(|job| job.lease.term.0),
            expected: each(|job| job.expected.0),
            heads: each(|job| job.head().0),
            headers: each(|job| job.header.map_or(0, |header| header.0)),
            opens: each(|job| job.opens.0),
            of: rows().map(|(thread, _)| thread.uuid()).collect(),
            seqs: rows().map(|(_, row)| int(row.seq.0)).collect(),
            lines: rows().map(|(_, row)| row.line.as_slice()).collect(),
            lock_wait: policy::LOCK_WAIT_MS.to_string(),
            nodes: jobs.iter().map(|job| job.node).collect(),
        }
    }

    fn params(&self) -> [DbParam<'_>; 11] {
        [
            (&self.threads, Type::UUID_ARRAY),
            (&self.terms, Type::INT8_ARRAY),
            (&self.expected, Type::INT8_ARRAY),
            (&self.heads, Type::INT8_ARRAY),
            (&self.headers, Type::INT8_ARRAY),
            (&self.opens, Type::INT8_ARRAY),
            (&self.of, Type::UUID_ARRAY),
            (&self.seqs, Type::INT8_ARRAY),
            (&self.lines, Type::BYTEA_ARRAY),
            (&self.lock_wait, Type::TEXT),
            (&self.nodes, Type::UUID_ARRAY),
        ]
    }
}

/// The statement of an append, and its parameters.
pub(super) fn statement<'c>(
    columns: &'c AppendColumns<'_>,
    rows: &'c RowColumns,
) -> (&'static str, Vec<DbParam<'c>>) {
    let params = columns.params().into_iter();
    match rows.is_empty() {
        true => (&APPEND, params.collect()),
        false => (&APPEND_WITH_ROWS, params.chain(rows.params()).collect()),
    }
}

/// Sends the jobs in one statement. Returns the threads whose records were written, and whether the
/// row of each was set.
pub(super) async fn send(link: &mut Link, jobs: &[AppendJob]) -> Result<HashMap<ThreadId, bool>, DbFailure> {
    let columns = AppendColumns::of(jobs);
    let rows = jobs.iter().filter_map(|job| Some((job.row.as_deref()?, job.head())));
    let rows = RowColumns::of(rows);
    let (sql, params) = statement(&columns, &rows);
    let written = link.write(sql, &params, policy::WRITE_DEADLINE).await?;
    Ok(written.iter().map(|row| (ThreadId::new(row.get(0)), row.get(1))).collect())
}

/// The row of a thread in `heads`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadRow {
    pub(crate) term: Term,
    pub(crate) seq: EventSeq,
    pub(crate) trashed: bool,
}

impl HeadRow {
    /// Finds the row of a thread.
    pub(crate) const SQL: &str = "select term, seq, trashed_at is not null from heads where thread = $1";

    /// The row that [`HeadRow::SQL`] found; without one, that of a thread without records.
    pub(crate) fn of(rows: &[Row]) -> Self {
        rows.first().map_or(Self { term: Term(0), seq: EventSeq(0), trashed: false }, |row| Self {
            term: Term(number(row.get(0))),
            seq: EventSeq(number(row.get(1))),
            trashed: row.get(2),
        })
    }

    /// The number of the last record that anybody sees.
    pub(crate) fn visible(self) -> EventSeq {
        if self.trashed { EventSeq(0) } else { self.seq }
    }
}

/// Why the statement left a thread out.
#[derive(Debug)]
pub(super) enum Omission {
    /// The answer is known.
    Known(Result<Appended, AppendError>),
    /// A rollout in the trash has the id, and the append begins a new one.
    InTrash,
    /// The head may be that of an earlier try of this very append, if its lines are there.
    PerhapsOwn,
    /// It has become possible meanwhile.
    Again,
}

/// Decides from the head that is there now. Pure.
pub(super) fn left_out(job: &AppendJob, there: HeadRow) -> Omission {
    let thread = job.lease.thread;
    if job.lease.term < there.term {
        return Omission::Known(Err(AppendError::Fenced { thread, term: there.term }));
    }
    let head = there.visible();
    if head == job.expected && job.lines.is_empty() {
        return Omission::Known(Ok(Appended::unlisted(head)));
    }
    if head == job.expected {
        return if there.trashed { Omission::InTrash } else { Omission::Again };
    }
    if head == job.head() && head > job.expected {
        return Omission::PerhapsOwn;
    }
    Omission::Known(Err(AppendError::Conflict { thread, head }))
}

/// Whether the records behind the expected one are those of the job, byte for byte.
pub(super) async fn has_own(link: &mut Link, job: &AppendJob) -> Result<bool, DbFailure> {
    let rows = link
        .read(
            "select line from records where thread = $1 and seq > $2 and seq <= $3 order by seq",
            &[
                (&job.lease.thread.uuid(), Type::UUID),
                (&int(job.expected.0), Type::INT8),
                (&int(job.head().0), Type::INT8),
            ],
        )
        .await?;
    let there = rows.iter().map(|row| row.get::<_, &[u8]>(0));
    Ok(there.eq(job.lines.iter().map(|row| row.line.as_slice())))
}
