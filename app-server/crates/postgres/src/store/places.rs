//! Locations of rollouts, the trash, and open markers.
//!
//! A row of `heads` with number 0 is no rollout: it holds the marker of a thread that has none.

use std::collections::{BTreeSet, HashMap};
use std::io;

use skein_base::clock::{Clock, WallMs};
use skein_protocol::ids::ThreadId;
use skein_store::home::Term;
use skein_store::rollout::{Lease, Location, MoveError, OpenMarker, ReadError};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::PgStore;
use crate::failure::DbFailure;
use crate::numbers::{int, number};
use crate::policy;
use crate::turns::WriteTurn;

/// The rows are locked in the order of the ids, as by appends.
const CLEAR_OPEN: &str = "with given as materialized (
  select * from unnest($1::uuid[], $2::int8[]) as g (thread, term)
), locked as materialized (
  select h.thread, h.seq from heads h join given g on h.thread = g.thread and h.term <= g.term order by h.thread for update of h
), none as (
  delete from heads where thread in (select thread from locked where seq = 0)
)
update heads set open = false where thread in (select thread from locked where seq > 0)";

/// The numbers of the locations in `heads.shelf`.
const ACTIVE: i16 = 0;
const ARCHIVED: i16 = 1;

/// Removes one rollout, whose lines are a range of one partition. A marker outlives its rollout.
const PURGE: &str = "with gone as materialized (
  select open from heads where thread = $1 and trashed_at < $2 for update
), lines as (
  delete from records where thread = $1 and exists (select from gone)
), texts as (
  delete from blob_uses where thread = $1 and exists (select from gone)
), hidden as (
  delete from secrets where thread = $1 and exists (select from gone)
), kept as (
  update heads set seq = 0, header = 0, trashed_at = null, shelf = 0, owner = null where thread = $1 and (select open from gone)
), ended as (
  delete from heads where thread = $1 and not (select open from gone)
)
select 1 from gone";

/// Removes texts that no thread uses. One that is taken into use meanwhile is touched, and stays.
const PURGE_TEXTS: &str = "delete from blobs b where b.touched < now() - interval '1 hour'
  and not exists (select from blob_uses u where u.sha256 = b.sha256)";

impl PgStore {
    pub(super) async fn find_locations(
        &self,
        threads: &[ThreadId],
    ) -> Result<HashMap<ThreadId, Location>, DbFailure> {
        let ids: Vec<Uuid> = threads.iter().map(|thread| thread.uuid()).collect();
        let sql =
            "select thread, shelf from heads where thread = any ($1) and seq > 0 and trashed_at is null";
        let rows = self.pool.read(sql, &[(&ids, Type::UUID_ARRAY)]).await?;
        let location = |shelf: i16| if shelf == ARCHIVED { Location::Archived } else { Location::Active };
        Ok(rows.iter().map(|row| (ThreadId::new(row.get(0)), location(row.get(1)))).collect())
    }

    pub(super) async fn put_at(&self, lease: Lease, location: Location) -> Result<(), MoveError> {
        let shelf = match location {
            Location::Active => ACTIVE,
            Location::Archived => ARCHIVED,
        };
        let sql = "update heads set shelf = $3, open = true
  where thread = $1 and term <= $2 and seq > 0 and trashed_at is null returning thread";
        let (thread, term) = (lease.thread.uuid(), int(lease.term.0));
        self.moving(lease, sql, &[(&thread, Type::UUID), (&term, Type::INT8), (&shelf, Type::INT2)]).await
    }

    pub(super) async fn put_into_trash(&self, lease: Lease, at: WallMs) -> Result<(), MoveError> {
        let sql = "update heads set trashed_at = $3, shelf = 0, open = true
  where thread = $1 and term <= $2 and seq > 0 and trashed_at is null returning thread";
        let (thread, term) = (lease.thread.uuid(), int(lease.term.0));
        self.moving(lease, sql, &[(&thread, Type::UUID), (&term, Type::INT8), (&at.0, Type::INT8)]).await
    }

    /// Moves a rollout, behind every earlier write of its thread.
    async fn moving(
        &self,
        lease: Lease,
        sql: &str,
        params: &crate::connection::Params<'_>,
    ) -> Result<(), MoveError> {
        let thread = lease.thread;
        let _turn = self.rows.turn_of(thread).await;
        self.lock_open().note(thread, lease.term);
        let moved = self.pool.write(sql, params).await;
        if matches!(moved, Err(DbFailure::Unknown(_))) {
            self.appends.doubt(thread);
        }
        if !moved.map_err(|failure| self.failed(failure).of_move(thread))?.is_empty() {
            return Ok(());
        }
        let there = self.find_head(thread).await.map_err(|failure| self.failed(failure).of_move(thread))?;
        if there.seq.0 > 0 && !there.trashed && there.term > lease.term {
            return Err(MoveError::Fenced { thread, term: there.term });
        }
        Err(ReadError::Missing(thread).into())
    }

    /// `before` is a time of this server's clock. If that is ahead of the database's, it goes back by as much: a server with a wrong clock
    /// must not purge the threads of all.
    pub(super) async fn remove_trashed(&self, before: WallMs) -> Result<usize, DbFailure> {
        let sql = "select greatest(0, $1 - (extract(epoch from now()) * 1000)::int8)";
        let ahead = self.pool.read(sql, &[(&Clock.wall().0, Type::INT8)]).await?;
        let ahead: i64 = ahead.first().map_or(0, |row| row.get(0));
        let before = WallMs(before.0.saturating_sub(ahead));
        let mut removed = 0;
        loop {
            let sql = "select thread from heads where trashed_at < $1 order by thread limit $2";
            let old =
                self.pool.read(sql, &[(&before.0, Type::INT8), (&policy::PURGE_THREADS, Type::INT8)]).await?;
            let count = removed;
            for row in &old {
                let thread: Uuid = row.get(0);
                let gone =
                    self.pool.write_much(PURGE, &[(&thread, Type::UUID), (&before.0, Type::INT8)]).await?;
                removed += gone.len();
            }
            if removed == count {
                break;
            }
        }
        self.pool.write_much(PURGE_TEXTS, &[]).await?;
        Ok(removed)
    }

    pub(super) async fn ids(&self, sql: &str) -> io::Result<Vec<ThreadId>> {
        let rows = self.pool.read(sql, &[]).await.map_err(|failure| self.failed(failure))?;
        Ok(rows.iter().map(|row| ThreadId::new(row.get(0))).collect())
    }

    /// The threads with an open marker that no other server has which lives.
    pub(super) async fn left_open(&self) -> io::Result<Vec<ThreadId>> {
        let sql = "select thread from heads h where open and (owner is null or owner = $1
  or not exists (select from nodes n where n.node = h.owner and n.state = 'live')) order by thread";
        let node = self.appends.node.id();
        let read = self.pool.read(sql, &[(&node, Type::UUID)]).await;
        let rows = read.map_err(|failure| self.failed(failure))?;
        Ok(rows.iter().map(|row| ThreadId::new(row.get(0))).collect())
    }

    /// The threads with an open marker, and their terms.
    pub(super) async fn marked(&self) -> io::Result<Vec<(ThreadId, Term)>> {
        let sql = "select thread, term from heads where open order by thread";
        let rows = self.pool.read(sql, &[]).await.map_err(|failure| self.failed(failure))?;
        Ok(rows.iter().map(|row| (ThreadId::new(row.get(0)), Term(number(row.get(1))))).collect())
    }

    /// Sets a marker. Returns the thread's term; 0 without a rollout.
    pub(super) async fn set_open(&self, thread: ThreadId) -> Result<Term, DbFailure> {
        let sql = "insert into heads (thread, term, seq, header, open) values ($1, 0, 0, 0, true)
  on conflict (thread) do update set open = true returning term";
        let rows = self.pool.write(sql, &[(&thread.uuid(), Type::UUID)]).await?;
        Ok(rows.first().map_or(Term(0), |row| Term(number(row.get(0)))))
    }

    /// Removes markers of rollouts that have not changed since, in one statement. The turns of the threads keep changes of this server away
    /// meanwhile, and the terms one of another server, which has claimed a thread and may have left its marker for a turn that goes on.
    pub(super) async fn clear(&self, markers: &[OpenMarker]) -> Result<usize, DbFailure> {
        // The order of the ids keeps two callers from waiting for each other.
        let threads: BTreeSet<ThreadId> = markers.iter().map(|marker| marker.thread).collect();
        let mut turns: Vec<WriteTurn> = Vec::with_capacity(threads.len());
        for thread in threads {
            turns.push(self.rows.turn_of(thread).await);
        }
        let taken: Vec<(ThreadId, Term)> = {
            let mut open = self.lock_open();
            markers.iter().filter_map(|it| Some((it.thread, open.take_off(*it)?))).collect()
        };
        if taken.is_empty() {
            return Ok(0);
        }
        let threads: Vec<Uuid> = taken.iter().map(|(thread, _)| thread.uuid()).collect();
        let terms: Vec<i64> = taken.iter().map(|(_, term)| int(term.0)).collect();
        let params = [(&threads as _, Type::UUID_ARRAY), (&terms as _, Type::INT8_ARRAY)];
        let cleared = self.pool.write(CLEAR_OPEN, &params).await;
        if cleared.is_err() {
            let mut open = self.lock_open();
            taken.iter().for_each(|(thread, term)| open.note(*thread, *term));
        }
        drop(turns);
        cleared.map(|_| taken.len())
    }
}
