//! The facts that the tables have beside the lines, for a check.

use std::collections::BTreeSet;
use std::io;

use async_trait::async_trait;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_store::fsck::finding::BlobSummary;
use skein_store::fsck::lines::{CheckedLines, NotedFacts, StoreSnapshot};
use skein_store::history::ThreadRow;
use skein_store::home::Term;
use skein_store::rollout::blob::BlobName;
use skein_store::rollout::lines::LineSummary;
use tokio_postgres::types::Type;

use super::PgLines;
use crate::numbers::number;
use crate::rows::{COLUMNS, DIFFERING, RowColumns};

const UNPROTECTED: &str = "select n.sha256 from unnest($2::bytea[]) as n (sha256)
  where not exists (select from blob_uses u where u.thread = $1 and u.sha256 = n.sha256)";

/// The row of an open thread may go after its deletion.
const ROWS_ALONE: &str = "select t.thread from threads t where t.\"row\" is not null
  and not exists (
    select from heads h where h.thread = t.thread and (h.open or (h.seq > 0 and h.trashed_at is null))
  ) order by t.thread";

/// `octet_length` reads no text that is stored apart.
const TEXTS: &str = "select count(*), coalesce(sum(b.bytes), 0)::bigint, count(*) filter (where not b.used),
  coalesce(sum(b.bytes) filter (where not b.used), 0)::bigint
from (
  select octet_length(body) as bytes, exists (select from blob_uses u where u.sha256 = blobs.sha256) as used from blobs
) b";

impl PgLines {
    /// The parts of a check. The database under them is a snapshot.
    pub fn snapshot(&self) -> StoreSnapshot<'_> {
        StoreSnapshot { lines: self, store: &self.store, index: &self.index }
    }
}

#[async_trait]
impl CheckedLines for PgLines {
    async fn noted(&self, thread: ThreadId) -> io::Result<NotedFacts> {
        let sql = "select seq, header, term, (select max(seq) from records where thread = $1) from heads where thread = $1";
        let rows = self.pool.read(sql, &[(&thread.uuid(), Type::UUID)]).await?;
        let noted = rows.first().map(|row| {
            let (head, header) = (EventSeq(number(row.get(0))), EventSeq(number(row.get(1))));
            let summary = LineSummary { head, header, term: Term(number(row.get(2))) };
            NotedFacts { summary, last: EventSeq(row.get::<_, Option<i64>>(3).map_or(0, number)) }
        });
        Ok(noted.unwrap_or_default())
    }

    async fn differing_columns(&self, row: &ThreadRow) -> io::Result<Vec<&'static str>> {
        // The record that the row is of plays no part.
        let columns = RowColumns::of(std::iter::once((row, EventSeq(0))));
        let rows = self.pool.read(&DIFFERING, &columns.params()).await?;
        let differs = rows.first().map(|row| (0..COLUMNS.len()).map(|at| row.get::<_, bool>(at)));
        let differing = differs.into_iter().flatten().zip(COLUMNS).filter(|(differs, _)| *differs);
        Ok(differing.map(|(_, name)| name).collect())
    }

    async fn unprotected(&self, thread: ThreadId, texts: &BTreeSet<BlobName>) -> io::Result<Vec<BlobName>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&[u8]> = texts.iter().map(|name| name.bytes().as_slice()).collect();
        let params = [
            (&thread.uuid() as &(dyn tokio_postgres::types::ToSql + Sync), Type::UUID),
            (&names, Type::BYTEA_ARRAY),
        ];
        let rows = self.pool.read(UNPROTECTED, &params).await?;
        let name = |row: &tokio_postgres::Row| <[u8; 32]>::try_from(row.get::<_, &[u8]>(0)).ok();
        Ok(rows.iter().filter_map(name).map(BlobName::from_bytes).collect())
    }

    async fn rows_alone(&self) -> io::Result<Vec<ThreadId>> {
        let rows = self.pool.read_much(ROWS_ALONE, &[]).await?;
        Ok(rows.iter().map(|row| ThreadId::new(row.get(0))).collect())
    }

    async fn texts(&self) -> io::Result<BlobSummary> {
        let rows = self.pool.read_much(TEXTS, &[]).await?;
        let count = |row: &tokio_postgres::Row, column| number(row.get(column));
        Ok(rows.first().map_or_else(BlobSummary::default, |row| BlobSummary {
            files: count(row, 0),
            bytes: count(row, 1),
            unnamed: count(row, 2),
            unnamed_bytes: count(row, 3),
            ..BlobSummary::default()
        }))
    }
}

#[cfg(test)]
mod tests;
