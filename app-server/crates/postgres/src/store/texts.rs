//! Large texts and secrets, which are in the database before the lines that need them.
//!
//! A purge removes texts that no thread uses, if nobody has touched them for an hour. An append touches its texts and notes
//! their use before it writes its lines, so a text is never removed under them.

use std::collections::HashMap;

use serde_json::Value;
use skein_protocol::ids::ThreadId;
use skein_store::rollout::Lease;
use skein_store::rollout::blob::{Blob, BlobName, BlobRef, FoundTexts};
use skein_store::rollout::record::{Record, SecretValues};
use tokio_postgres::types::Type;

use super::PgStore;
use crate::failure::DbFailure;
use crate::numbers::int;
use crate::policy;

/// Adds texts and their uses. The order of the names keeps two statements from waiting for each other.
const KEEP_TEXTS: &str = "with given as materialized (
  select sha256, body from unnest($2::bytea[], $3::bytea[]) as g (sha256, body) order by sha256
), kept as (
  insert into blobs (sha256, body) select sha256, body from given order by sha256
  on conflict (sha256) do update set touched = now()
)
insert into blob_uses (thread, sha256) select $1, sha256 from given order by sha256 on conflict do nothing";

/// Sets the secrets of a thread, unless a later term has it. A claim waits for the lock, or comes first and is seen.
const KEEP_SECRETS: &str = "with head as materialized (select term from heads where thread = $1 for share)
insert into secrets (thread, \"values\")
  select $1, $2::text::json where not exists (select from head where term > $3)
  on conflict (thread) do update set \"values\" = excluded.\"values\"";

impl PgStore {
    pub(crate) async fn keep_texts(&self, thread: ThreadId, texts: &[Blob]) -> Result<(), DbFailure> {
        let mut rest = texts;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest.iter().map(|text| text.text.len() as u64)));
            let names: Vec<&[u8]> = now.iter().map(|text| text.name.bytes().as_slice()).collect();
            let bodies: Vec<&[u8]> = now.iter().map(|text| text.text.as_bytes()).collect();
            let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
                [(&thread.uuid(), Type::UUID), (&names, Type::BYTEA_ARRAY), (&bodies, Type::BYTEA_ARRAY)];
            self.pool.write(KEEP_TEXTS, &params).await?;
            rest = later;
        }
        Ok(())
    }

    /// The texts of these references, each once.
    pub(super) async fn fetch_texts(&self, refs: &[BlobRef]) -> Result<FoundTexts, DbFailure> {
        let mut found = HashMap::new();
        let mut rest: Vec<&BlobRef> = refs.iter().collect();
        rest.sort_unstable_by_key(|blob| blob.sha256);
        rest.dedup_by_key(|blob| blob.sha256);
        let mut rest = rest.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest.iter().map(|blob| blob.bytes)));
            let names: Vec<&[u8]> = now.iter().map(|blob| blob.sha256.bytes().as_slice()).collect();
            let sql = "select sha256, body from blobs where sha256 = any ($1)";
            for row in self.pool.read(sql, &[(&names, Type::BYTEA_ARRAY)]).await? {
                if let Ok(name) = <[u8; 32]>::try_from(row.get::<_, &[u8]>(0)) {
                    found.insert(BlobName::from_bytes(name), row.get(1));
                }
            }
            rest = later;
        }
        Ok(FoundTexts(found))
    }

    /// Adds the secrets of these records to those of the thread. Its turn keeps other writers of this server away, and the term a
    /// server that has lost the thread, whose records are refused as well.
    pub(super) async fn keep_secrets(&self, lease: Lease, records: &[Record]) -> Result<(), DbFailure> {
        let thread = lease.thread;
        let new = SecretValues::of(records).0;
        if new.is_empty() {
            return Ok(());
        }
        let before = self.read_secrets(thread).await?;
        let mut after = before.clone();
        after.add(new);
        if after.0 == before.0 {
            return Ok(());
        }
        let values = Value::Object(after.0).to_string();
        let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&thread.uuid(), Type::UUID), (&values, Type::TEXT), (&int(lease.term.0), Type::INT8)];
        self.pool.write(KEEP_SECRETS, &params).await.map(drop)
    }

    pub(crate) async fn read_secrets(&self, thread: ThreadId) -> Result<SecretValues, DbFailure> {
        let sql = "select \"values\"::text from secrets where thread = $1";
        let rows = self.pool.read(sql, &[(&thread.uuid(), Type::UUID)]).await?;
        let Some(values) = rows.first().map(|row| row.get::<_, &str>(0)) else {
            return Ok(SecretValues::default());
        };
        Ok(serde_json::from_str(values).map(SecretValues).unwrap_or_else(|error| {
            tracing::warn!(%thread, %error, "the secrets of a thread cannot be read");
            SecretValues::default()
        }))
    }
}

/// How many of these sizes one statement takes: at least one.
fn fitting(sizes: impl Iterator<Item = u64>) -> usize {
    let mut sum = 0_u64;
    let fits = |size: &u64| {
        sum = sum.saturating_add(*size);
        sum <= policy::TEXT_BYTES
    };
    sizes.take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_takes_some_texts_and_at_least_one() {
        let megabyte = 1 << 20;
        assert_eq!(fitting([megabyte; 9].into_iter()), 4);
        assert_eq!(fitting([99 * megabyte, 1].into_iter()), 1);
        assert_eq!(fitting([1, 99 * megabyte].into_iter()), 1);
    }
}
