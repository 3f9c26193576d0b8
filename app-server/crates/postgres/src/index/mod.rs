//! Lists of threads in the database, derived from the rollouts.
//!
//! The row of a thread is JSON, and the filter that decides is the one of all indexes
//! ([`ThreadFilter::lets_through`]). The columns beside it only narrow a walk down and order it. A removed row stays without
//! its JSON, so that a late row of the same thread does not come back.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use skein_base::clock::WallMs;
use skein_protocol::extension::{IndexCounts, IndexState};
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::question::NeedsYou;
use skein_store::history::ThreadRow;
use skein_store::index::{Cursor, IndexError, ListPage, ThreadFilter, ThreadIndex, WalkBounds, WalkedRows};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::Database;
use crate::failure::DbFailure;
use crate::numbers::{int, number};
use crate::policy;
use crate::pool::Pool;
use crate::rows::{RowColumns, ThreadRows, UPSERT, parsed};

mod walk;

/// The index.
pub struct PgIndex {
    pool: Arc<Pool>,
    rows: Arc<ThreadRows>,
}

impl PgIndex {
    /// The index of a cluster.
    pub fn new(database: &Database, rows: Arc<ThreadRows>) -> Self {
        Self { pool: database.pool(), rows }
    }

    /// Sets rows of different threads in one statement, and notes those that were set.
    async fn set(&self, rows: Vec<(ThreadRow, EventSeq)>) -> Result<(), IndexError> {
        let mut turns = Vec::with_capacity(rows.len());
        // The order of the ids keeps two callers from waiting for each other.
        for (row, _) in &rows {
            turns.push(self.rows.turn_of(row.id).await);
        }
        let columns = RowColumns::of(rows.iter().map(|(row, as_of)| (row, *as_of)));
        let set = self.pool.write(&UPSERT, &columns.params()).await.map_err(unwritable)?;
        let set: HashSet<ThreadId> = set.iter().map(|row| ThreadId::new(row.get(0))).collect();
        for (row, _) in rows {
            if set.contains(&row.id) {
                self.rows.note(row.id, Some(row));
            }
        }
        drop(turns);
        Ok(())
    }
}

impl std::fmt::Debug for PgIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgIndex").finish_non_exhaustive()
    }
}

const REMOVE: &str = "insert into threads (thread, as_of, changed) values ($1, $2, pg_current_xact_id())
on conflict (thread) do update set as_of = excluded.as_of, changed = excluded.changed, \"row\" = null, created = null, updated = null, archived = null,
  cwd = null, provider = null, originator = null, interactive = null, asked = null";

fn unwritable(failure: DbFailure) -> IndexError {
    IndexError::Unwritable(failure.reason().to_owned())
}

/// Groups of rows that one statement may set: each thread once, and a bounded number. The groups keep the order of a
/// thread's rows; inside of one they come by id.
fn groups(rows: Vec<(ThreadRow, EventSeq)>) -> Vec<Vec<(ThreadRow, EventSeq)>> {
    let mut groups: Vec<Vec<(ThreadRow, EventSeq)>> = Vec::new();
    let mut threads = HashSet::new();
    for row in rows {
        let is_new = threads.insert(row.0.id);
        match groups.last_mut() {
            Some(group) if is_new && group.len() < policy::ROWS_AT_ONCE => group.push(row),
            Some(_) | None => {
                threads = HashSet::from([row.0.id]);
                groups.push(vec![row]);
            }
        }
    }
    for group in &mut groups {
        group.sort_unstable_by_key(|(row, _)| row.id);
    }
    groups
}

#[async_trait]
impl ThreadIndex for PgIndex {
    async fn upsert(&self, row: ThreadRow, as_of: EventSeq) -> Result<(), IndexError> {
        self.set(vec![(row, as_of)]).await
    }

    async fn upsert_all(&self, rows: Vec<(ThreadRow, EventSeq)>) -> Result<(), IndexError> {
        for group in groups(rows) {
            self.set(group).await?;
        }
        Ok(())
    }

    async fn remove(&self, thread: ThreadId, as_of: EventSeq) -> Result<(), IndexError> {
        let _turn = self.rows.turn_of(thread).await;
        let (id, as_of) = (thread.uuid(), int(as_of.0));
        let removed = self.pool.write(REMOVE, &[(&id, Type::UUID), (&as_of, Type::INT8)]).await;
        removed.map_err(unwritable)?;
        self.rows.note(thread, None);
        Ok(())
    }

    async fn begin(&self, thread: ThreadId) -> Result<(), IndexError> {
        let _turn = self.rows.turn_of(thread).await;
        let sql = "delete from threads where thread = $1";
        self.pool.write(sql, &[(&thread.uuid(), Type::UUID)]).await.map_err(unwritable)?;
        self.rows.note(thread, None);
        Ok(())
    }

    async fn walk(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        reach: WalkBounds,
    ) -> Result<ListPage, IndexError> {
        let mut at = cursor.map(|cursor| cursor.fits(filter.sort)).transpose()?;
        let (mut walked, mut places) = (WalkedRows::default(), reach.places);
        while walked.rows.len() <= reach.rows && places > 0 {
            let most = policy::WALK_ROWS.min(places);
            let order = walk::OrderedWalk::of(&filter, at, most);
            let rows = self.pool.read(&order.sql, &order.params()).await.map_err(DbFailure::of_index)?;
            for row in &rows {
                let place =
                    Cursor { sort: filter.sort, time: WallMs(row.get(1)), id: ThreadId::new(row.get(2)) };
                at = Some(place);
                places -= 1;
                walked.rows.extend(parsed(row).filter(|row| filter.lets_through(row)));
                if walked.rows.len() > reach.rows {
                    break;
                }
            }
            if rows.len() < most {
                return Ok(ListPage::of(walked, filter.sort, reach.rows));
            }
        }
        walked.stopped = at.filter(|_| places == 0);
        Ok(ListPage::of(walked, filter.sort, reach.rows))
    }

    async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError> {
        let sql = "select \"row\"::text, as_of from threads where thread = $1 and \"row\" is not null";
        let rows = self.pool.read(sql, &[(&thread.uuid(), Type::UUID)]).await.map_err(DbFailure::of_index)?;
        let row = rows.first();
        Ok(row.and_then(|row| Some((parsed(row)?, EventSeq(number(row.get(1)))))))
    }

    async fn rows(&self, threads: Vec<ThreadId>) -> Result<Option<Vec<ThreadRow>>, IndexError> {
        let ids: Vec<Uuid> = threads.iter().map(|thread| thread.uuid()).collect();
        let sql = "select t.\"row\"::text from unnest($1::uuid[]) with ordinality as a (thread, place)
  join threads t on t.thread = a.thread where t.\"row\" is not null order by a.place";
        let rows = self.pool.read(sql, &[(&ids, Type::UUID_ARRAY)]).await.map_err(DbFailure::of_index)?;
        Ok(Some(rows.iter().filter_map(parsed).collect()))
    }

    async fn ends(
        &self,
        below: Option<ThreadId>,
        limit: usize,
    ) -> Result<Option<Vec<(ThreadId, EventSeq)>>, IndexError> {
        let below = below.map_or(Uuid::max(), ThreadId::uuid);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "select thread, as_of from threads where thread < $1 and \"row\" is not null
  order by thread desc limit $2";
        let rows = self.pool.read(sql, &[(&below, Type::UUID), (&limit, Type::INT8)]).await;
        let end = |row: &Row| (ThreadId::new(row.get(0)), EventSeq(number(row.get(1))));
        Ok(Some(rows.map_err(DbFailure::of_index)?.iter().map(end).collect()))
    }

    async fn directories(&self, limit: usize) -> Result<Vec<String>, IndexError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows =
            self.pool.read(walk::DIRECTORIES, &[(&limit, Type::INT8)]).await.map_err(DbFailure::of_index)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }

    fn counts(&self) -> IndexCounts {
        IndexCounts { state: IndexState::Ready, ..IndexCounts::default() }
    }

    fn needs_you(&self) -> NeedsYou {
        self.rows.needs_you()
    }
}

#[cfg(test)]
mod tests;
