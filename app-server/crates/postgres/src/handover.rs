//! The wish that a server hands a thread over: another one reaches the database, and not the server that has the thread. The row of that
//! server carries the wishes, and each of its beats reads them.

use skein_protocol::ids::ThreadId;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::connection::Link;
use crate::failure::DbFailure;
use crate::policy;
use crate::pool::Pool;

const WANT: &str = "update nodes set wanted = wanted || $2::uuid
  where node = $1 and state = 'live' and cardinality(wanted) < $3 and not $2 = any (wanted)";

const TAKEN: &str = "update nodes set wanted = array(select unnest(wanted) except select unnest($2::uuid[]))
  where node = $1";

/// Wishes that a server hands a thread over. A row that is full takes the wish once its server has read the others.
pub(crate) async fn want(pool: &Pool, node: Uuid, thread: ThreadId) -> Result<(), DbFailure> {
    if cfg!(feature = "earlier") {
        return Ok(());
    }
    let most = policy::HANDOVER_WISHES;
    pool.write(WANT, &[(&node, Type::UUID), (&thread.uuid(), Type::UUID), (&most, Type::INT4)])
        .await
        .map(drop)
}

/// Notes that a server has read these wishes.
pub(crate) async fn taken(link: &mut Link, node: Uuid, threads: &[Uuid]) -> Result<(), DbFailure> {
    link.write(TAKEN, &[(&node, Type::UUID), (&threads, Type::UUID_ARRAY)], policy::WRITE_DEADLINE)
        .await
        .map(drop)
}
