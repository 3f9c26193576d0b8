//! The lines of a cluster's threads as bytes, for programs that move or check them. No server writes to what they read: it is
//! away, or they have a snapshot.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use skein_base::clock::WallMs;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::index::{ThreadIndex, rebuild};
use skein_store::policy::READ_PAGE_BYTES;
use skein_store::rollout::blob::{Blob, BlobName};
use skein_store::rollout::lines::{
    LineCursor, LinePage, LineSummary, NumberedLine, Placement, RawLines, StoredThread,
};
use skein_store::rollout::record::SecretValues;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::failure::DbFailure;
use crate::index::PgIndex;
use crate::numbers::{int, number};
use crate::policy;
use crate::pool::Pool;
use crate::store::PgStore;

mod checked;

/// A range of the primary key, up to a number of bytes and at least one line.
const READ: &str = "select w.seq, w.line from (
  select f.seq, f.line, sum(octet_length(f.line)) over (order by f.seq) - octet_length(f.line) as before from (
    select seq, line from records where thread = $1 and seq > $2
      and seq <= (select seq from heads where thread = $1) order by seq limit $3
  ) f
) w where w.before < $4 order by w.seq";

/// Makes a thread what an interrupted move leaves. Its term stays, as terms only rise.
const TAKE_BACK: &str = "with hidden as (delete from secrets where thread = $1)
update heads set seq = 0, header = 0, open = false where thread = $1";

/// Removes what an interrupted move has left.
const BEGIN: &str = "with texts as (
  delete from blob_uses where thread = $1 and not exists (select from heads where thread = $1 and seq > 0)
)
delete from records where thread = $1 and not exists (select from heads where thread = $1 and seq > 0)";

const PUT: &str = "insert into records (thread, seq, line)
  select $1, l.seq, l.line from unnest($2::int8[], $3::bytea[]) as l (seq, line)";

/// The row that makes the lines a rollout, and the thread's secrets. Nothing is returned if there is one already.
const FINISH: &str = "with made as (
  insert into heads (thread, term, seq, header, shelf, trashed_at, open) values ($1, $2, $3, $4, $5, $6, $7)
  on conflict (thread) do update set term = greatest(heads.term, excluded.term), seq = excluded.seq,
    header = excluded.header, shelf = excluded.shelf, trashed_at = excluded.trashed_at, open = heads.open or excluded.open,
    written = now() where heads.seq = 0
  returning thread
), hidden as (
  insert into secrets (thread, \"values\") select thread, $8::text::json from made where $8::text is not null
  on conflict (thread) do update set \"values\" = excluded.\"values\"
)
select thread from made";

/// The lines of a cluster.
pub struct PgLines {
    pool: Arc<Pool>,
    store: PgStore,
    index: PgIndex,
}

impl PgLines {
    /// The lines of this store, whose rows of lists are in `index`.
    pub fn new(store: PgStore, index: PgIndex) -> Self {
        Self { pool: store.pool(), store, index }
    }

    fn stored_thread(row: &Row) -> StoredThread {
        StoredThread { thread: ThreadId::new(row.get(0)), placement: Self::placement(row), open: row.get(3) }
    }

    fn placement(row: &Row) -> Placement {
        match (row.get::<_, Option<i64>>(2), row.get::<_, i16>(1)) {
            (Some(at), _) => Placement::Trash(WallMs(at)),
            (None, 1) => Placement::Archived,
            (None, _) => Placement::Active,
        }
    }
}

impl std::fmt::Debug for PgLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgLines").field("store", &self.store).finish_non_exhaustive()
    }
}

#[async_trait]
impl RawLines for PgLines {
    async fn count(&self) -> io::Result<u64> {
        let rows = self.pool.read_much("select count(*) from heads where seq > 0", &[]).await?;
        Ok(rows.first().map_or(0, |row| number(row.get(0))))
    }

    async fn stored(&self, after: Option<ThreadId>, limit: usize) -> io::Result<Vec<StoredThread>> {
        let after = after.map_or(Uuid::nil(), ThreadId::uuid);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "select thread, shelf, trashed_at, open from heads where seq > 0 and thread > $1 order by thread limit $2";
        let rows = self.pool.read(sql, &[(&after, Type::UUID), (&limit, Type::INT8)]).await?;
        Ok(rows.iter().map(Self::stored_thread).collect())
    }

    async fn find(&self, thread: ThreadId) -> io::Result<Option<StoredThread>> {
        let sql = "select thread, shelf, trashed_at, open from heads where thread = $1 and seq > 0";
        let rows = self.pool.read(sql, &[(&thread.uuid(), Type::UUID)]).await?;
        Ok(rows.first().map(Self::stored_thread))
    }

    async fn read(&self, of: &StoredThread, from: LineCursor) -> io::Result<LinePage> {
        let bytes = i64::try_from(READ_PAGE_BYTES).unwrap_or(i64::MAX);
        let (id, after) = (of.thread.uuid(), int(from.after.0));
        let params = [
            (&id as &(dyn tokio_postgres::types::ToSql + Sync), Type::UUID),
            (&after, Type::INT8),
            (&policy::PAGE_ROWS, Type::INT8),
            (&bytes, Type::INT8),
        ];
        let rows = self.pool.read(READ, &params).await?;
        let line = |row: &Row| NumberedLine {
            seq: EventSeq(number(row.get(0))),
            bytes: row.get::<_, &[u8]>(1).to_owned(),
        };
        let lines: Vec<NumberedLine> = rows.iter().map(line).collect();
        let next = lines.last().map(|last| LineCursor { after: last.seq, offset: 0 });
        Ok(LinePage { lines, unnumbered: 0, next })
    }

    async fn text(&self, name: BlobName) -> io::Result<Option<Vec<u8>>> {
        let sql = "select body from blobs where sha256 = $1";
        let rows = self.pool.read(sql, &[(&name.bytes().as_slice(), Type::BYTEA)]).await?;
        Ok(rows.first().map(|row| row.get(0)))
    }

    async fn secret_values(&self, thread: ThreadId) -> io::Result<SecretValues> {
        Ok(self.store.read_secrets(thread).await?)
    }

    async fn take_back(&self, there: &StoredThread) -> io::Result<()> {
        self.index.begin(there.thread).await.map_err(io::Error::other)?;
        self.pool.write(TAKE_BACK, &[(&there.thread.uuid(), Type::UUID)]).await?;
        Ok(())
    }

    async fn begin(&self, of: &StoredThread) -> io::Result<()> {
        self.pool.write_much(BEGIN, &[(&of.thread.uuid(), Type::UUID)]).await?;
        Ok(())
    }

    async fn put_text(&self, thread: ThreadId, name: BlobName, bytes: Vec<u8>) -> io::Result<()> {
        let text = String::from_utf8(bytes).map_err(io::Error::other)?;
        Ok(self.store.keep_texts(thread, &[Blob { name, text }]).await?)
    }

    async fn put(&self, of: &StoredThread, lines: &[NumberedLine]) -> io::Result<()> {
        let seqs: Vec<i64> = lines.iter().map(|line| int(line.seq.0)).collect();
        let bytes: Vec<&[u8]> = lines.iter().map(|line| line.bytes.as_slice()).collect();
        let id = of.thread.uuid();
        let params = [
            (&id as &(dyn tokio_postgres::types::ToSql + Sync), Type::UUID),
            (&seqs, Type::INT8_ARRAY),
            (&bytes, Type::BYTEA_ARRAY),
        ];
        self.pool.write_much(PUT, &params).await?;
        Ok(())
    }

    async fn finish(&self, of: &StoredThread, end: LineSummary, secrets: SecretValues) -> io::Result<()> {
        let (shelf, trashed) = match of.placement {
            Placement::Active => (0_i16, None),
            Placement::Archived => (1, None),
            Placement::Trash(at) => (0, Some(at.0)),
        };
        let (id, term, head, header) =
            (of.thread.uuid(), int(end.term.0), int(end.head.0), int(end.header.0));
        let values = Some(secrets.0)
            .filter(|values| !values.is_empty())
            .map(|v| serde_json::Value::Object(v).to_string());
        let params = [
            (&id as &(dyn tokio_postgres::types::ToSql + Sync), Type::UUID),
            (&term, Type::INT8),
            (&head, Type::INT8),
            (&header, Type::INT8),
            (&shelf, Type::INT2),
            (&trashed, Type::INT8),
            (&of.open, Type::BOOL),
            (&values, Type::TEXT),
        ];
        if self.pool.write(FINISH, &params).await?.is_empty() {
            let taken = DbFailure::refused("another program has written the thread meanwhile");
            return Err(taken.into());
        }
        Ok(())
    }
    /// A row that is there is as of the thread's last record, or later. A removed thread of the same id may have left a mark.
    async fn list(&self, of: &StoredThread) -> io::Result<()> {
        if matches!(of.placement, Placement::Trash(_)) {
            return Ok(());
        }
        if self.index.get(of.thread).await.map_err(io::Error::other)?.is_none() {
            self.index.begin(of.thread).await.map_err(io::Error::other)?;
        }
        rebuild::set_row(&self.store, &self.index, of.thread).await.map_err(io::Error::other)
    }
}
