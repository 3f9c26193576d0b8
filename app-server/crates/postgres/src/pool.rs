//! Connections for reads, and for writes that are no appends: a bounded number, for a bounded number of callers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::connection::{Link, Params};
use crate::connector::Connector;
use crate::failure::DbFailure;
use crate::policy;

/// The connections of a store that all its callers share.
pub(crate) struct Pool {
    /// `None` for the one connection of a snapshot, which no other can replace.
    connector: Option<Arc<Connector>>,
    idle: Mutex<Vec<Link>>,
    /// The number of connections.
    most: usize,
    /// One permit for each connection.
    connections: Semaphore,
    /// One permit for each caller that has a connection or waits for one.
    callers: Semaphore,
}

/// A connection of the pool. It goes back when it is dropped, if it can be used again.
struct Pooled<'p> {
    pool: &'p Pool,
    link: Option<Link>,
    _permits: (SemaphorePermit<'p>, SemaphorePermit<'p>),
}

impl Pool {
    /// A pool of at most this many connections. Connects with the first caller.
    pub(crate) fn new(connector: Arc<Connector>, connections: usize) -> Self {
        Self::of(Some(connector), Vec::new(), connections)
    }

    /// A pool of one connection, which is in a transaction.
    pub(crate) fn of_snapshot(link: Link) -> Self {
        Self::of(None, vec![link], 1)
    }

    fn of(connector: Option<Arc<Connector>>, idle: Vec<Link>, connections: usize) -> Self {
        let callers = Semaphore::new(connections + policy::POOL_CALLERS);
        let (idle, most) = (Mutex::new(idle), connections);
        Self { connector, idle, most, connections: Semaphore::new(connections), callers }
    }

    /// The connections in use, and the callers that wait for one.
    pub(crate) fn load(&self) -> (u64, u64) {
        let inside = (self.most + policy::POOL_CALLERS).saturating_sub(self.callers.available_permits());
        let busy = self.most.saturating_sub(self.connections.available_permits());
        let number = |count| u64::try_from(count).unwrap_or(u64::MAX);
        (number(busy), number(inside.saturating_sub(busy)))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one statement that changes nothing.
    pub(crate) async fn read(&self, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, DbFailure> {
        self.take().await?.link()?.read(sql, params).await
    }

    /// Does the same with time for a whole table.
    pub(crate) async fn read_much(&self, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, DbFailure> {
        self.take().await?.link()?.read_much(sql, params).await
    }

    /// Runs one statement in a transaction of its own. [`DbFailure::Unknown`] if it may count all the same.
    pub(crate) async fn write(&self, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, DbFailure> {
        self.take().await?.link()?.write(sql, params, policy::WRITE_DEADLINE).await
    }

    /// Does the same with time for many rows.
    pub(crate) async fn write_much(&self, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, DbFailure> {
        self.take().await?.link()?.write(sql, params, policy::LONG_DEADLINE).await
    }

    async fn connect(&self) -> Result<Link, DbFailure> {
        match &self.connector {
            Some(connector) => connector.connect().await,
            None => {
                Err(DbFailure::refused("the database has ended the connection in the middle; run this again"))
            }
        }
    }

    async fn take(&self) -> Result<Pooled<'_>, DbFailure> {
        let busy = || {
            let seconds = policy::POOL_WAIT.as_secs();
            DbFailure::refused(format!(
                "all connections to the database were busy for {seconds} s; ask again in a moment"
            ))
        };
        let caller = self.callers.try_acquire().map_err(|_| busy())?;
        let connection = timeout(policy::POOL_WAIT, self.connections.acquire()).await.map_err(|_| busy())?;
        let permits = (connection.map_err(|_| busy())?, caller);
        loop {
            let idle = self.idle().pop();
            let link = match idle.map(Link::usable) {
                Some(Some(link)) => link,
                Some(None) => continue,
                None => self.connect().await?,
            };
            return Ok(Pooled { pool: self, link: Some(link), _permits: permits });
        }
    }
}

impl Pooled<'_> {
    /// The connection.
    pub(crate) fn link(&mut self) -> Result<&mut Link, DbFailure> {
        self.link.as_mut().ok_or_else(|| DbFailure::refused("the connection is gone"))
    }
}

impl Drop for Pooled<'_> {
    fn drop(&mut self) {
        // A connection whose caller was gone in the middle of a statement is closed, as is one with large buffers.
        let is_kept = |link: &Link| self.pool.connector.is_none() || !link.is_swollen();
        if let Some(link) = self.link.take().and_then(Link::usable).filter(is_kept) {
            self.pool.idle().push(link);
        }
    }
}
