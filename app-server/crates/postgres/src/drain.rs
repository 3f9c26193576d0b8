//! The wish that a server drains: it gives its threads to the others, lets its turns end, and stops. The row of the server carries the
//! wish, and each beat reads it.

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::address::DbAddress;
use crate::connection::Link;
use crate::failure::DbFailure;
use crate::numbers::number;
use crate::policy;
use crate::schema::{self, SchemaError};

/// `nodes.drain` of a server that has not read the wish yet.
pub(crate) const ASKED: &str = "asked";

/// `nodes.drain` of a server that has.
const BEGUN: &str = "begun";

/// A server alone has nobody to give its threads to.
const ASK: &str = "update nodes set drain = coalesce(drain, $2)
  where name = $1 and state = 'live' and expires > now() and link_addr is not null returning node";

/// A row whose time is over may be prolonged once the database is back.
const LOOK: &str = "select state, expires > now() - $3::float8 * interval '1 second', drain = $2,
  (select count(*) from heads where owner = node) from nodes where node = $1";

/// The row under which a server goes on that has lost its own. It takes the wish over.
const GOES_ON: &str = "select node from nodes
  where state = 'live' and drain is not null and name = (select name from nodes where node = $1)";

/// Why a server cannot be drained.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// No server has the name.
    #[error("no server with the name {name} is among those of this database; {}", living(.live))]
    Unknown {
        /// The name.
        name: String,
        /// The names of those that live.
        live: Vec<String>,
    },
    /// The database does not serve.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

impl From<DbFailure> for DrainError {
    fn from(failure: DbFailure) -> Self {
        Self::Schema(failure.into())
    }
}

fn living(names: &[String]) -> String {
    match names {
        [] => "there are none".to_owned(),
        names => format!("there are {}", names.join(", ")),
    }
}

/// How far a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainProgress {
    /// It has not read the wish yet.
    Asked,
    /// It lets its turns end.
    Begun {
        /// The threads that it still has.
        threads: u64,
    },
    /// It has stopped, and has given up its threads.
    Ended,
    /// Its row has died, so others take its threads: it was killed, or has lost the database. If it goes on under another row, the next
    /// look is at that.
    Died,
}

/// A server that is asked to drain.
pub struct DrainingNode {
    address: DbAddress,
    /// `None` after a failure.
    link: Option<Link>,
    node: Uuid,
}

impl std::fmt::Debug for DrainingNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DrainingNode").field("node", &self.node).finish_non_exhaustive()
    }
}

impl DrainingNode {
    /// Asks the server with this name. One that drains already goes on.
    ///
    /// # Errors
    /// [`DrainError`]
    pub async fn ask(address: &DbAddress, name: &str) -> Result<Self, DrainError> {
        let mut link = Link::connect(address).await.map_err(SchemaError::from)?;
        schema::find(&mut link).await?;
        let params = &[(&name as &(dyn ToSql + Sync), Type::TEXT), (&ASKED, Type::TEXT)];
        let asked = link.write(ASK, params, policy::WRITE_DEADLINE).await?;
        if let Some(row) = asked.first() {
            return Ok(Self { address: address.clone(), node: row.get(0), link: Some(link) });
        }
        let sql = "select name from nodes where state = 'live' and expires > now() and link_addr is not null order by name";
        let live = link.read(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
        Err(DrainError::Unknown { name: name.to_owned(), live })
    }

    /// Looks how far it is.
    ///
    /// # Errors
    /// [`DrainError::Schema`] if the database does not answer; the next call may be answered.
    pub async fn progress(&mut self) -> Result<DrainProgress, DrainError> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Link::connect(&self.address).await?,
        };
        let progress = self.look(&mut link).await?;
        self.link = Some(link);
        Ok(progress)
    }

    async fn look(&mut self, link: &mut Link) -> Result<DrainProgress, DbFailure> {
        let late = policy::PRESENCE.as_secs_f64();
        let params =
            &[(&self.node as &(dyn ToSql + Sync), Type::UUID), (&BEGUN, Type::TEXT), (&late, Type::FLOAT8)];
        let rows = link.read_much(LOOK, params).await?;
        // The rows of a day ago are removed.
        let Some(row) = rows.first() else { return Ok(DrainProgress::Ended) };
        Ok(match (row.get(0), row.get(1)) {
            ("gone", _) => DrainProgress::Ended,
            ("live", true) if row.get::<_, Option<bool>>(2).unwrap_or_default() => {
                DrainProgress::Begun { threads: number(row.get(3)) }
            }
            ("live", true) => DrainProgress::Asked,
            _ => {
                let next = link.read(GOES_ON, &[(&self.node, Type::UUID)]).await?;
                self.node = next.first().map_or(self.node, |row| row.get(0));
                DrainProgress::Died
            }
        })
    }
}

/// Notes that a server has read the wish.
pub(crate) async fn begin(link: &mut Link, node: Uuid) -> Result<(), DbFailure> {
    let sql = "update nodes set drain = $2 where node = $1";
    let params = &[(&node as &(dyn ToSql + Sync), Type::UUID), (&BEGUN, Type::TEXT)];
    link.write(sql, params, policy::WRITE_DEADLINE).await.map(drop)
}
