//! Sessions and tokens as rows that all servers of a cluster share. Their meaning is the caller's.
//!
//! Each change has a number, which its transaction takes from the row of the cluster. So numbers are in the order of commits,
//! and a reader misses none. The beat of a server brings the newest number.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::connector::Connector;
use crate::database::Database;
use crate::failure::DbFailure;
use crate::pool::Pool;

/// The newest number, and the rows behind $1. All rows if the database has forgotten changes, as a promoted standby may.
const CHANGED: &str = "select c.credentials, c.credentials < $1, r.id, r.body::text from cluster c
  left join credentials r on r.changed > $1 or c.credentials < $1 order by r.ended_at is not null, r.id";

/// Rows that end come first, as another may get the name of one of them. An end is final. The threads may have moved to another
/// place, and their credentials with them.
const CHANGE: &str = "with number as (
  update cluster set credentials = credentials + 1 where moved_to is null returning credentials
), forgotten as (
  delete from credentials where ended_at < $5 and exists (select from number)
), changed as (
  insert into credentials (id, token, ended_at, body, changed)
    select r.id, r.token, r.ended_at, r.body::json, number.credentials
    from number, unnest($1::uuid[], $2::text[], $3::int8[], $4::text[]) as r (id, token, ended_at, body)
    order by r.ended_at is null, r.id
  on conflict (id) do update
    set token = excluded.token, ended_at = excluded.ended_at, body = excluded.body, changed = excluded.changed
    where excluded.ended_at is not null or credentials.ended_at is null
)
select credentials from number";

/// A session or token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRow {
    /// Its id.
    pub id: Uuid,
    /// The name of a token in use, which no other one has.
    pub token: Option<String>,
    /// The time of its end, Unix milliseconds.
    pub ended_at: Option<i64>,
    /// Everything about it, as JSON.
    pub body: String,
}

/// Rows that a process has not read before.
#[derive(Debug, PartialEq, Eq)]
pub struct ChangedCredentials {
    /// The ids and the JSON, those that have ended last.
    pub rows: Vec<(Uuid, String)>,
    /// Whether these are all rows, and not only the new and changed ones.
    pub is_all: bool,
}

/// A place in the changes: the life of the database, and the number of a change.
pub(crate) type ChangeNumber = (Uuid, i64);

/// The rows of a cluster, as one process knows them.
pub struct CredentialRows {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    /// The newest change that was read.
    seen: Mutex<Option<ChangeNumber>>,
    /// The newest change, for a server.
    newest: Option<watch::Receiver<ChangeNumber>>,
    /// The last of those that a read has followed.
    followed: Mutex<ChangeNumber>,
}

/// Why rows are not read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CredentialsAway(String);

impl From<DbFailure> for CredentialsAway {
    fn from(failure: DbFailure) -> Self {
        Self(failure.reason().to_owned())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The changes that a server learns of by its beat.
#[derive(Debug, Clone)]
pub struct CredentialBeats(pub(crate) watch::Receiver<ChangeNumber>);

impl CredentialRows {
    /// The rows of this database. `beats` tell a server of changes ([`crate::presence::NodePresence::credentials`]).
    pub fn new(database: &Database, beats: Option<CredentialBeats>) -> Self {
        let newest = beats.map(|beats| beats.0);
        let (seen, followed) = (Mutex::default(), Mutex::default());
        Self { connector: database.connector(), pool: database.pool(), seen, newest, followed }
    }

    /// The rows that were changed since the last call; all of them at the first, and after the database has got another life.
    ///
    /// # Errors
    /// [`CredentialsAway`]; the next call returns them.
    pub async fn read(&self) -> Result<ChangedCredentials, CredentialsAway> {
        let beat = self.newest.as_ref().map(|newest| *newest.borrow());
        // The life before the read: if it changes meanwhile, the next read is of all rows.
        let life = self.connector.life();
        let known = locked(&self.seen).filter(|seen| seen.0 == life).map(|seen| seen.1);
        let rows = self.pool.read(CHANGED, &[(&known.unwrap_or(-1), Type::INT8)]).await?;
        let (newest, has_lost) = rows.first().map_or((-1, false), |row| (row.get(0), row.get(1)));
        if beat.is_some_and(|(of, number)| of == life && newest < number) {
            return Err(CredentialsAway(
                "the database has answered with an earlier state of its credentials".to_owned(),
            ));
        }
        *locked(&self.seen) = Some((life, newest));
        *locked(&self.followed) = beat.unwrap_or_default();
        let changed = rows.iter().filter_map(|row| Some((row.get::<_, Option<Uuid>>(2)?, row.get(3))));
        Ok(ChangedCredentials { rows: changed.collect(), is_all: known.is_none() || has_lost })
    }

    /// Sets rows, and deletes those that ended before this time (Unix milliseconds).
    ///
    /// # Errors
    /// [`CredentialsAway`]: nothing was changed, or nobody knows whether it was. The same call may be repeated.
    pub async fn write(&self, rows: &[CredentialRow], oldest_end: i64) -> Result<(), CredentialsAway> {
        let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
        let tokens: Vec<Option<&str>> = rows.iter().map(|row| row.token.as_deref()).collect();
        let ended: Vec<Option<i64>> = rows.iter().map(|row| row.ended_at).collect();
        let bodies: Vec<&str> = rows.iter().map(|row| row.body.as_str()).collect();
        let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 5] = [
            (&ids, Type::UUID_ARRAY),
            (&tokens, Type::TEXT_ARRAY),
            (&ended, Type::INT8_ARRAY),
            (&bodies, Type::TEXT_ARRAY),
            (&oldest_end, Type::INT8),
        ];
        match self.pool.write(CHANGE, &params).await?.is_empty() {
            false => Ok(()),
            true => {
                let text = "the threads of this database were moved, and its credentials with them";
                Err(CredentialsAway(text.to_owned()))
            }
        }
    }

    /// Resolves when a beat has told of a change that no [`CredentialRows::read`] has followed. Never for a process without beats.
    pub async fn changed(&self) {
        if let Some(mut newest) = self.newest.clone() {
            let is_new = |newest: &ChangeNumber| *newest != *locked(&self.followed);
            if newest.wait_for(is_new).await.is_ok() {
                return;
            }
        }
        std::future::pending().await
    }
}

impl std::fmt::Debug for CredentialRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CredentialRows").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestCluster;

    fn row(id: u128, token: Option<&str>, ended_at: Option<i64>) -> CredentialRow {
        let body = format!("{{\"id\": {id}, \"text\": \"\\u0000 {ended_at:?}\"}}");
        CredentialRow { id: Uuid::from_u128(id), token: token.map(str::to_owned), ended_at, body }
    }

    fn all(rows: &[CredentialRow]) -> ChangedCredentials {
        ChangedCredentials { is_all: true, ..some(rows) }
    }

    fn some(rows: &[CredentialRow]) -> ChangedCredentials {
        let rows = rows.iter().map(|row| (row.id, row.body.clone())).collect();
        ChangedCredentials { rows, is_all: false }
    }

    #[tokio::test]
    async fn each_reader_gets_each_change_and_an_end_is_final() {
        let at = TestCluster::shared().database().await;
        let database = Database::open(at.address.clone()).await.unwrap();
        let (one, other) = (CredentialRows::new(&database, None), CredentialRows::new(&database, None));
        assert_eq!(one.read().await.unwrap(), all(&[]));
        let rows = [row(1, Some("ci"), None), row(2, None, None), row(3, None, Some(5))];
        one.write(&rows, 0).await.unwrap();
        assert_eq!(one.read().await.unwrap(), some(&rows), "the ended ones come last");
        assert_eq!(other.read().await.unwrap(), all(&rows));
        assert_eq!(other.read().await.unwrap(), some(&[]));
        // In one change a token ends and another one gets its name.
        let ended = [row(4, Some("ci"), None), row(1, None, Some(7))];
        other.write(&ended, 0).await.unwrap();
        one.write(&[row(1, Some("late"), None)], 6).await.unwrap();
        assert_eq!(one.read().await.unwrap(), some(&ended));
        let later = CredentialRows::new(&database, None);
        let left = [row(2, None, None), row(4, Some("ci"), None), row(1, None, Some(7))];
        assert_eq!(later.read().await.unwrap(), all(&left), "only an old end is forgotten");
        let taken = other.write(&[row(5, Some("ci"), None), row(6, None, None)], 8).await.unwrap_err();
        assert!(taken.to_string().contains("another server has added"), "{taken}");
        assert_eq!(later.read().await.unwrap(), some(&[]), "nothing of it counts");
    }

    #[tokio::test]
    async fn a_server_learns_of_a_change_of_another_and_of_one_without_rows() {
        let at = TestCluster::shared().database().await;
        let database = Database::open(at.address.clone()).await.unwrap();
        let (newest, beats) = watch::channel(ChangeNumber::default());
        let server = CredentialRows::new(&database, Some(CredentialBeats(beats)));
        server.read().await.unwrap();
        let mut changed = Box::pin(server.changed());
        assert!(futures_util::poll!(&mut changed).is_pending());
        CredentialRows::new(&database, None).write(&[], 0).await.unwrap();
        newest.send_replace((database.life(), 1));
        changed.await;
        server.read().await.unwrap();
        assert!(futures_util::poll!(Box::pin(server.changed())).is_pending(), "it has read it");
        // As after a promotion: the same number of another life.
        newest.send_replace((Uuid::from_u128(1), 1));
        server.changed().await;
    }

    /// As one over a connection to an old primary.
    #[tokio::test]
    async fn a_read_that_is_older_than_the_beat_does_not_count() {
        let at = TestCluster::shared().database().await;
        let database = Database::open(at.address.clone()).await.unwrap();
        let (newest, beats) = watch::channel(ChangeNumber::default());
        let server = CredentialRows::new(&database, Some(CredentialBeats(beats)));
        server.read().await.unwrap();
        newest.send_replace((database.life(), 1));
        let early = server.read().await.unwrap_err();
        assert!(early.to_string().contains("an earlier state"), "{early}");
        server.changed().await;
        CredentialRows::new(&database, None).write(&[], 0).await.unwrap();
        server.read().await.unwrap();
        assert!(futures_util::poll!(Box::pin(server.changed())).is_pending(), "it has read it");
    }

    #[tokio::test]
    async fn after_lost_commits_everything_is_read_again() {
        let cluster = TestCluster::shared();
        let at = cluster.database().await;
        let database = Database::open(at.address.clone()).await.unwrap();
        let reader = CredentialRows::new(&database, None);
        let rows = [row(1, None, None), row(2, None, None)];
        for row in &rows {
            reader.write(std::slice::from_ref(row), 0).await.unwrap();
        }
        assert_eq!(reader.read().await.unwrap(), all(&rows));
        cluster
            .run(&at.name, "update cluster set credentials = 1; delete from credentials where changed > 1")
            .await;
        assert_eq!(reader.read().await.unwrap(), all(&rows[..1]));
        reader.write(&rows[1..], 0).await.unwrap();
        assert_eq!(reader.read().await.unwrap(), some(&rows[1..]));
        // In another life the same number is another change.
        *locked(&reader.seen) = Some((Uuid::nil(), 2));
        assert_eq!(reader.read().await.unwrap(), all(&rows));
    }

    #[tokio::test]
    async fn credentials_that_were_moved_are_not_changed_here() {
        let cluster = TestCluster::shared();
        let at = cluster.database().await;
        let database = Database::open(at.address.clone()).await.unwrap();
        let rows = CredentialRows::new(&database, None);
        cluster.run(&at.name, "update cluster set moved_to = 'home:/somewhere'").await;
        let refused = rows.write(&[row(1, None, Some(1))], 0).await.unwrap_err();
        assert!(refused.to_string().contains("were moved"), "{refused}");
        assert_eq!(rows.read().await.unwrap(), all(&[]));
    }
}
