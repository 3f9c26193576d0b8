//! The right to write to threads of a cluster. The number of an ownership is the thread's own, in its row of `heads`.
//!
//! A thread is claimed if nobody has it, or a server whose row is dead, which is final. So two servers never have a thread at once,
//! except one that is dead and does not know it, whose appends the term refuses. A claim whose answer is lost may come after the
//! next one of the same server, which is then fenced as by another, and loads the thread again. Where no other follows, the server gives
//! the thread up: nobody looks for the threads of a server that lives.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use skein_base::tasks::Tasks;
use skein_protocol::ids::ThreadId;
use skein_store::home::Term;
use skein_store::ownership::{ClaimError, LoadDue, Ownership};
use skein_store::rollout::Lease;
use tokio::sync::mpsc;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::claims::ClaimsInDoubt;
use crate::database::Database;
use crate::failure::DbFailure;
use crate::node::NodeId;
use crate::numbers::{int, number};
use crate::policy;
use crate::pool::Pool;
use crate::presence::entry;
use crate::store::PgStore;

/// Raises the term. The update waits for an append of the former owner, which counts if it came first; after it, that owner
/// appends nothing more. It changes nothing if the owner is another by then, whose row this view of the rows may lack: it returns
/// neither a term nor a server, and is tried again. Otherwise it returns the term, or the name of the server that has the thread.
const CLAIM: &str = "with free as materialized (
  select h.owner from heads h where h.thread = $1 and h.seq > 0 and h.trashed_at is null and (h.owner is null
    or h.owner = $2 or not exists (select from nodes n where n.node = h.owner and n.state = 'live'))
), taken as (
  update heads h set owner = $2, term = term + 1 from free
  where h.thread = $1 and h.seq > 0 and h.trashed_at is null and h.owner is not distinct from free.owner
  returning term, open
)
select term, null::text, open from taken
union all
select null, null, false from free where not exists (select from taken)
union all
select null, coalesce((select n.name from nodes n where n.node = h.owner), 'another server'), false from heads h
  where h.thread = $1 and h.seq > 0 and h.trashed_at is null and not exists (select from free)";

/// Leaves threads to whoever claims them next. A thread that has another owner or term by now is left alone. Returns those whose
/// rows somebody holds: no row is waited for while others are locked. One that is to be loaded soon counts as written long ago, so that the
/// next look for threads that were left open finds it.
const GIVE_UP: &str = "with given as materialized (
  select * from unnest($1::uuid[], $2::int8[], $4::bool[]) as g (thread, term, soon)
), own as materialized (
  select h.thread from heads h join given g on h.thread = g.thread and h.term = g.term where h.owner = $3
), locked as materialized (
  select h.thread from heads h where h.thread in (select thread from own) for update skip locked
), freed as (
  update heads h set owner = null, written = case when g.soon then '-infinity' else h.written end from given g
    where h.thread = g.thread and h.term = g.term and h.owner = $3 and h.thread in (select thread from locked)
)
select thread from own where thread not in (select thread from locked)";

/// The first term of each thread.
const FIRST: Term = Term(1);

/// A thread that is given up.
type GivenUp = (Lease, LoadDue);

/// The ownership of a server.
pub struct PgOwnership {
    node: NodeId,
    pool: Arc<Pool>,
    store: Arc<PgStore>,
    given_up: mpsc::Sender<GivenUp>,
}

impl PgOwnership {
    /// The ownership of a server, which writes to `store`. `stop` ends the task that gives threads up; the end of
    /// the server's row gives up the others.
    pub fn new(
        database: &Database,
        node: NodeId,
        store: Arc<PgStore>,
        (tasks, stop): (&Tasks, CancellationToken),
    ) -> Self {
        let (given_up, waiting) = mpsc::channel(policy::GIVE_UPS_WAITING);
        let claims = Arc::clone(store.claims());
        drop(tasks.spawn("give-up", give_up_all(database.pool(), node.clone(), claims, (waiting, stop))));
        Self { node, pool: database.pool(), store, given_up }
    }

    /// Whether the row of a server was set to dead.
    async fn bury(&self, node: Uuid) -> Result<bool, DbFailure> {
        Ok(!self.pool.write(&entry::BURY, &[(&node, Type::UUID)]).await?.is_empty())
    }

    async fn try_claim(&self, thread: ThreadId) -> Result<Attempt, DbFailure> {
        let node = self.node.of_claims()?;
        let attempt = self.store.claims().begin(thread);
        let claimed = self.pool.write(CLAIM, &[(&thread.uuid(), Type::UUID), (&node, Type::UUID)]).await;
        attempt.answered(&claimed);
        let rows = claimed?;
        Ok(
            match rows
                .first()
                .map(|row| (row.get::<_, Option<i64>>(0), row.get::<_, Option<String>>(1), row.get(2)))
            {
                // The load of a missing thread says that it is missing.
                None => Attempt::Claimed(FIRST, false),
                Some((Some(term), _, open)) => Attempt::Claimed(Term(number(term)), open),
                Some((None, Some(owner), _)) if !self.bury(node).await? => Attempt::Held(owner),
                Some((None, ..)) => Attempt::Again,
            },
        )
    }
}

/// The outcome of one statement.
enum Attempt {
    /// The term, and whether the thread has an open marker.
    Claimed(Term, bool),
    /// The server with this name lives, and has the thread.
    Held(String),
    /// The server that had it is dead now, or the thread's owner has changed meanwhile.
    Again,
}

impl std::fmt::Debug for PgOwnership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgOwnership").field("node", &self.node.id()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Ownership for PgOwnership {
    async fn claim(&self, thread: ThreadId) -> Result<Lease, ClaimError> {
        let mut holder = "another server".to_owned();
        for _ in 0..policy::WRITE_TRIES {
            match self.try_claim(thread).await.map_err(|failure| failure.of_read(thread))? {
                Attempt::Claimed(term, is_open) => {
                    let lease = Lease { thread, term };
                    self.store.note_claim(lease, is_open);
                    return Ok(lease);
                }
                Attempt::Held(owner) => {
                    holder = owner;
                    break;
                }
                Attempt::Again => {}
            }
        }
        Err(ClaimError::Held { thread, owner: holder })
    }

    fn lease_of_new(&self, thread: ThreadId) -> Lease {
        Lease { thread, term: FIRST }
    }

    fn give_up(&self, lease: Lease, next: LoadDue) {
        // A full queue leaves the thread with this server, which claims it again when it is loaded, until its row ends.
        self.given_up.try_send((lease, next)).ok();
    }
}

/// Gives threads up until the stop, all that wait at once, and those that a lost answer has made this server's. It tries again at each
/// beat with those that were not possible.
async fn give_up_all(
    pool: Arc<Pool>,
    node: NodeId,
    claims: Arc<ClaimsInDoubt>,
    (mut waiting, stop): (mpsc::Receiver<GivenUp>, CancellationToken),
) {
    let giving = async {
        let mut given = Vec::new();
        loop {
            let is_pending = !given.is_empty() || !claims.is_empty();
            let room = policy::GIVE_UPS_AT_ONCE.saturating_sub(given.len());
            tokio::select! {
                taken = waiting.recv_many(&mut given, room), if room > 0 => {
                    if taken == 0 {
                        return;
                    }
                }
                () = claims.noted(), if !is_pending => {}
                () = tokio::time::sleep(policy::BEAT), if is_pending => {}
            }
            if let Err(failure) = give_up_possible(&pool, node.id(), &claims, &mut given).await {
                tracing::debug!(reason = failure.reason(), "threads are not given up yet");
            }
        }
    };
    stop.run_until_cancelled(giving).await;
}

/// Leaves those in `given` whose rows somebody holds.
async fn give_up_possible(
    pool: &Pool,
    node: Uuid,
    claims: &ClaimsInDoubt,
    given: &mut Vec<GivenUp>,
) -> Result<(), DbFailure> {
    // Nobody here asks for them any more, and they may need a load.
    given.extend(claims.take_won(pool, node).await?.into_iter().map(|lease| (lease, LoadDue::Soon)));
    if !given.is_empty() {
        let held = give_up_these(pool, node, given).await?;
        given.retain(|(lease, _)| held.contains(&lease.thread));
    }
    Ok(())
}

/// Returns the threads whose rows somebody holds.
async fn give_up_these(pool: &Pool, node: Uuid, given: &[GivenUp]) -> Result<HashSet<ThreadId>, DbFailure> {
    let threads: Vec<Uuid> = given.iter().map(|(lease, _)| lease.thread.uuid()).collect();
    let terms: Vec<i64> = given.iter().map(|(lease, _)| int(lease.term.0)).collect();
    let soon: Vec<bool> = given.iter().map(|(_, next)| *next == LoadDue::Soon).collect();
    let params = [
        (&threads as _, Type::UUID_ARRAY),
        (&terms as _, Type::INT8_ARRAY),
        (&node as _, Type::UUID),
        (&soon as _, Type::BOOL_ARRAY),
    ];
    let held = pool.write(GIVE_UP, &params).await?;
    Ok(held.iter().map(|row| ThreadId::new(row.get(0))).collect())
}

#[cfg(test)]
mod tests;
