//! A cluster's database, as the parts of a server share it.

use std::fmt;
use std::sync::Arc;

pub use tokio_postgres::Config;
use uuid::Uuid;

use crate::connection::Link;
use crate::entrance::Entrance;
use crate::failure::DbFailure;
use crate::policy;
use crate::pool::Pool;
use crate::schema::{Cluster, SchemaError};

/// One cluster's database, with the connections for its reads.
pub struct Database {
    entrance: Arc<Entrance>,
    pool: Arc<Pool>,
}

impl Database {
    /// Connects once, and checks the tables.
    ///
    /// # Errors
    /// [`SchemaError`]
    pub async fn open(config: Config) -> Result<Self, SchemaError> {
        let entrance = Arc::new(Entrance::open(config).await?);
        let pool = Arc::new(Pool::new(Arc::clone(&entrance), policy::READERS));
        Ok(Self { entrance, pool })
    }

    /// The cluster.
    pub fn cluster(&self) -> Cluster {
        self.entrance.cluster()
    }

    /// The life of the database, as of the newest connection.
    pub fn life(&self) -> Uuid {
        self.entrance.life()
    }

    /// A connection of the caller's own.
    pub(crate) async fn connect(&self) -> Result<Link, DbFailure> {
        self.entrance.connect().await
    }

    /// The connections that all parts share.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("entrance", &self.entrance).finish_non_exhaustive()
    }
}
