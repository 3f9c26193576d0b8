//! A cluster's database, as the parts of a server share it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::address::DbAddress;
use crate::connection::Link;
use crate::connector::Connector;
use crate::failure::DbFailure;
use crate::instance::DbInstance;
use crate::policy;
use crate::pool::Pool;
use crate::schema::{self, Cluster, SchemaError};

/// One cluster's database, with the connections for its reads.
pub struct Database {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
}

/// How far an acknowledged commit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbDurability {
    /// Whether it survives a loss of power of the primary.
    pub syncs: bool,
    /// Standbys that confirm none.
    pub unconfirming: i64,
    /// Standbys of which the database does not say whether they confirm one: the role is no member of `pg_read_all_stats`.
    pub hidden: i64,
}

const DURABILITY: &str =
    "select current_setting('fsync') = 'on' and current_setting('synchronous_commit') <> 'off',
  count(*) filter (where sync_state = 'async'), count(*) filter (where sync_state is null) from pg_stat_replication";

const TAKE_QUESTIONS: &str = "update cluster
  set questions = greatest(questions, (extract(epoch from now()) * 1000)::int8) + $1 returning questions - $1";

impl Database {
    /// Connects once, and checks the tables.
    ///
    /// # Errors
    /// [`SchemaError`]
    pub async fn open(address: DbAddress) -> Result<Self, SchemaError> {
        Self::open_with(address, None, None).await
    }

    /// Does the same, and refuses a primary that `before`, the instance that was used last, has replaced.
    ///
    /// # Errors
    /// [`SchemaError`]
    pub async fn open_after(address: DbAddress, before: Option<&DbInstance>) -> Result<Self, SchemaError> {
        Self::open_with(address, before, None).await
    }

    /// Does the same for a move of the threads to `place`, which may have been cut off at its end.
    ///
    /// # Errors
    /// [`SchemaError`]
    pub async fn open_for_move(address: DbAddress, place: &str) -> Result<Self, SchemaError> {
        Self::open_with(address, None, Some(place)).await
    }

    async fn open_with(
        address: DbAddress,
        before: Option<&DbInstance>,
        place: Option<&str>,
    ) -> Result<Self, SchemaError> {
        let connector = Arc::new(Connector::open(address, before, place).await?);
        let pool = Arc::new(Pool::new(Arc::clone(&connector), policy::READERS));
        Ok(Self { connector, pool })
    }

    /// The cluster.
    pub fn cluster(&self) -> Cluster {
        self.connector.cluster()
    }

    /// The life of the database, as of the newest connection.
    pub fn life(&self) -> Uuid {
        self.connector.life()
    }

    /// The instance behind its newest connection.
    pub fn instance(&self) -> watch::Receiver<DbInstance> {
        self.connector.seen()
    }

    /// Notes that the threads were moved to another place, if `node` still has the database. Returns whether it has. From here on
    /// nobody is served by the database.
    ///
    /// # Errors
    /// [`SchemaError::Away`]
    pub async fn note_moved(&self, to: &str, node: Uuid) -> Result<bool, SchemaError> {
        self.note("moved_to", Some(to), node).await
    }

    /// Notes that threads are on their way from another place, or, with `None`, that all of them are here, if `node` still has the
    /// database. Returns whether it has. Meanwhile no server gets the database.
    ///
    /// # Errors
    /// [`SchemaError::Away`]
    pub async fn note_arriving(&self, from: Option<&str>, node: Uuid) -> Result<bool, SchemaError> {
        self.note("arriving_from", from, node).await
    }

    async fn note(&self, column: &str, place: Option<&str>, node: Uuid) -> Result<bool, SchemaError> {
        let sql = format!(
            "update cluster set {column} = $1
  where exists (select from nodes where node = $2 and state = 'live' for update) returning 1"
        );
        Ok(!self.pool.write(&sql, &[(&place, Type::TEXT), (&node, Type::UUID)]).await?.is_empty())
    }

    /// The place from which threads are on their way, if a move of them was cut off or goes on.
    ///
    /// # Errors
    /// [`SchemaError::Away`]
    pub async fn arriving_from(&self) -> Result<Option<String>, SchemaError> {
        let rows = self.pool.read("select arriving_from from cluster", &[]).await?;
        Ok(rows.first().and_then(|row| row.get(0)))
    }

    /// Takes a block of numbers for questions, which no other start of a server has. Returns the first:
    /// at least the time in Unix milliseconds, as in a home, so that threads keep the numbers of their time in files.
    ///
    /// # Errors
    /// [`SchemaError::Away`]
    pub async fn take_questions(&self) -> Result<i64, SchemaError> {
        let rows = self.pool.write(TAKE_QUESTIONS, &[(&policy::QUESTION_BLOCK, Type::INT8)]).await?;
        let first = rows.first().map(|row| row.get(0));
        first.ok_or_else(|| SchemaError::Away("the database has no row of its cluster".to_owned()))
    }

    /// How far this database keeps a commit.
    ///
    /// # Errors
    /// [`SchemaError::Away`]
    pub async fn durability(&self) -> Result<DbDurability, SchemaError> {
        let rows = self.pool.read(DURABILITY, &[]).await?;
        let kept = rows.first().map(|row| DbDurability {
            syncs: row.get(0),
            unconfirming: row.get(1),
            hidden: row.get(2),
        });
        kept.ok_or_else(|| SchemaError::Away("the database does not say how it keeps commits".to_owned()))
    }

    /// Checks that the role may write to the tables, and that the database takes writes at all.
    ///
    /// # Errors
    /// [`SchemaError::Away`]
    pub async fn takes_writes(&self) -> Result<(), SchemaError> {
        let rows = self.pool.read(&schema::MAY_WRITE, &[]).await?;
        let (takes, may) = rows.first().map_or((false, false), |row| (row.get(0), row.get(1)));
        let missing = if !takes {
            "the database takes no writes; point the store at the primary, or end its read-only mode"
        } else if !may {
            "the role of the store has too few rights; give them with `skein cluster init --role`"
        } else {
            return Ok(());
        };
        Err(SchemaError::Away(missing.to_owned()))
    }

    /// The database as it is now, for reads only, without later writes of others. It ends with its last user, and until
    /// then the database removes no old rows.
    ///
    /// # Errors
    /// [`SchemaError::Away`]
    pub async fn snapshot(&self) -> Result<Self, SchemaError> {
        let mut link = self.connect().await?;
        link.batch("begin isolation level repeatable read read only").await?;
        Ok(Self { connector: Arc::clone(&self.connector), pool: Arc::new(Pool::of_snapshot(link)) })
    }

    /// The connections for reads that are in use, and the callers that wait for one.
    pub(crate) fn load(&self) -> (u64, u64) {
        self.pool.load()
    }

    /// The way to it.
    pub(crate) fn connector(&self) -> Arc<Connector> {
        Arc::clone(&self.connector)
    }

    /// A connection of the caller's own.
    pub(crate) async fn connect(&self) -> Result<Link, DbFailure> {
        self.connector.connect().await
    }

    /// The connections that all parts share.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("connector", &self.connector).finish_non_exhaustive()
    }
}
