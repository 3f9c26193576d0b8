//! The statements on the rows of servers.

use std::sync::LazyLock;

use skein_protocol::ids::ThreadId;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::PresenceError;
use crate::connection::Link;
use crate::failure::DbFailure;
use crate::node::NodeProfile;
use crate::policy;

/// Notes that somebody has reached the database. When nobody had for a while, it was away, and no row dies until each server had time to
/// beat.
static REACHED: LazyLock<String> = LazyLock::new(|| {
    let (silence, grace) = (policy::SILENCE, policy::GRACE);
    format!(
        "update cluster set last_beat = now(), grace_until =
    case when last_beat > now() - interval '{silence} seconds' then grace_until else now() + interval '{grace} seconds' end"
    )
});

/// Whether rows may die whose time is over.
static MAY_DIE: LazyLock<String> = LazyLock::new(|| {
    let silence = policy::SILENCE;
    format!(
        "exists (select from cluster where last_beat > now() - interval '{silence} seconds'
    and coalesce(grace_until, now()) <= now())"
    )
});

/// The column of a server's row with the threads that others want. Tables of the sixth form lack it.
const WANTED: &str = if cfg!(feature = "earlier") { "'{}'::uuid[] as wanted" } else { "wanted" };

/// Prolongs a row, if nobody has set it to dead. Returns the number of the newest change of credentials, the rows that live, the wish
/// that the server drains, whether any server does, and the threads that others want.
pub(super) static BEAT: LazyLock<String> = LazyLock::new(|| {
    let (reached, seconds) = (&*REACHED, policy::PRESENCE.as_secs());
    format!(
        "with beat as (
  update nodes set expires = now() + interval '{seconds} seconds' where node = $1 and state = 'live' returning node, drain, {WANTED}
), reached as (
  {reached} where exists (select from beat) returning credentials
)
select (select credentials from reached), array(select node from nodes where state = 'live'), drain,
  exists (select from nodes where state = 'live' and drain is not null), wanted from beat"
    )
});

/// Sets the rows of other servers to dead whose time is over.
pub(crate) static BURY: LazyLock<String> = LazyLock::new(|| {
    let may_die = &*MAY_DIE;
    format!(
        "update nodes set state = 'dead' where state = 'live' and expires <= now() and node <> $1 and {may_die} returning node"
    )
});

/// The others are told at once.
pub(super) const RETIRE: &str = "update nodes set state = 'gone' where node = $1";

/// The server that lives and does not share, else one that has the name.
const HOLDER: &str = "select name, speaks && $1::text::int4range from nodes
  where state = 'live' and (not speaks && $1::text::int4range or name = $2) order by 2 limit 1";

/// Threads that are open, and that a server has which no longer lives, or nobody since a while, as after a load that failed. A deleted one
/// counts while lists show it.
const LEFT_OPEN: &str = "select thread, h.owner is null and h.written = '-infinity', h.written::text from heads h where h.open and h.seq > 0
  and ($3::bool is null or (h.owner is null and h.written = '-infinity', h.written, h.thread) < ($3, $4::text::timestamptz, $5::uuid))
  and (h.trashed_at is null or exists (select from threads t where t.thread = h.thread and t.\"row\" is not null)) and (
    h.owner is null and h.written < now() - $2::float8 * interval '1 second'
    or h.owner is not null and not exists (select from nodes n where n.node = h.owner and n.state = 'live'))
  order by (h.owner is null and h.written = '-infinity') desc, h.written desc, h.thread desc limit $1";

/// A row that is to be made.
pub(super) struct NewRow<'a> {
    pub(super) profile: &'a NodeProfile,
    pub(super) node: Uuid,
    /// The row that the server had before. The wish that the server drains is taken over from it.
    pub(super) before: Option<Uuid>,
    /// The cluster that the server has found.
    pub(super) cluster: Uuid,
    /// The home of a move of threads from here or to here; `None` for a server.
    pub(super) moves: Option<&'a str>,
}

/// Makes the row of a server, unless another one lives that does not share, or has its name, or the threads are elsewhere. Returns whether
/// it is there. Two servers at once: the second sees the first. Rows of servers are locked before that of the cluster, as by a beat.
pub(super) async fn enter(link: &mut Link, row: &NewRow<'_>) -> Result<bool, DbFailure> {
    let NewRow { profile, node, before, cluster, moves } = row;
    // A row is made in the state that the transaction has locked: a move may have ended, or begun, since the server has looked.
    let is_whole = match moves {
        None => "moved_to is null and arriving_from is null".to_owned(),
        Some(home) => format!("coalesce(moved_to = {}, true)", literal(home)),
    };
    let before = before.map_or_else(|| "null".to_owned(), |before| literal(&before.to_string()));
    let (reached, may_die, seconds) = (&*REACHED, &*MAY_DIE, policy::PRESENCE.as_secs());
    let (home, speaks, name) = (profile.home.number(), profile.company.speaks(), literal(&profile.name));
    let address = profile.link.as_ref().map_or_else(|| "null".to_owned(), |link| literal(&link.address));
    let key: String =
        profile.link.iter().flat_map(|link| link.key).map(|byte| format!("{byte:02x}")).collect();
    link.batch(&format!(
        "begin;
select pg_advisory_xact_lock(7307219);
select from nodes where state = 'live' order by node for update;
{reached};
update nodes set state = 'dead' where state = 'live' and (addr = '{home}' or expires <= now() and {may_die});
insert into nodes (node, name, addr, key_sha256, speaks, state, expires, link_addr, drain)
  select '{node}', {name}, '{home}', '\\x{key}', '{speaks}', 'live', now() + interval '{seconds} seconds', {address},
    (select drain from nodes where node = {before})
  where exists (select from cluster where id = '{cluster}' and {is_whole})
    and not exists (select from nodes where state = 'live' and (not speaks && '{speaks}'::int4range or name = {name}));
delete from nodes where state <> 'live' and expires < now() - interval '1 day';
commit;"
    ))
    .await?;
    let there = "select 1 from nodes where node = $1 and state = 'live'";
    Ok(!link.read(there, &[(node, Type::UUID)]).await?.is_empty())
}

/// Why a server did not enter.
pub(super) async fn refusal(link: &mut Link, row: &NewRow<'_>) -> Result<PresenceError, DbFailure> {
    let NewRow { profile, cluster, moves, .. } = row;
    let found = link.read("select id, moved_to, arriving_from from cluster", &[]).await?;
    if let Some(found) = found.first() {
        let (id, to, from): (Uuid, Option<String>, Option<String>) =
            (found.get(0), found.get(1), found.get(2));
        match (to, from) {
            _ if id != *cluster => return Ok(PresenceError::OtherCluster),
            (Some(to), _) if *moves != Some(to.as_str()) => return Ok(PresenceError::Moved { to }),
            (_, Some(from)) if moves.is_none() => return Ok(PresenceError::Arriving { from }),
            _ => {}
        }
    }
    let (speaks, name) = (profile.company.speaks(), profile.name.as_str());
    let rows = link.read(HOLDER, &[(&speaks, Type::TEXT), (&name, Type::TEXT)]).await?;
    Ok(match rows.first() {
        Some(row) if row.get(1) => PresenceError::SameName { name: name.to_owned() },
        Some(row) => PresenceError::Held { name: row.get(0) },
        None => PresenceError::Held { name: "another server".to_owned() },
    })
}

/// The place of a thread among those that were left open, in the order of a look.
#[derive(Debug, Clone)]
pub(super) struct LeftOpenPlace {
    thread: Uuid,
    /// Whether its owner has given it up to be loaded again soon.
    is_first: bool,
    /// The time of its last record, as the database prints it.
    written: String,
}

/// Threads that servers have left open which no longer live, `behind` a place. Returns the place of the last one with them, if there may be
/// more.
pub(super) async fn find_left_open(
    link: &mut Link,
    behind: Option<&LeftOpenPlace>,
) -> Result<(Vec<ThreadId>, Option<LeftOpenPlace>), DbFailure> {
    let (pause, most) = (policy::LEFT_OPEN_PAUSE.as_secs_f64(), policy::LEFT_OPEN_AT_ONCE);
    let is_first = behind.map(|place| place.is_first);
    let (written, thread) = (behind.map(|place| place.written.as_str()), behind.map(|place| place.thread));
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&most, Type::INT8),
        (&pause, Type::FLOAT8),
        (&is_first, Type::BOOL),
        (&written, Type::TEXT),
        (&thread, Type::UUID),
    ];
    let rows = link.read(LEFT_OPEN, &params).await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|found| found >= most);
    let place = |row: &Row| LeftOpenPlace { thread: row.get(0), is_first: row.get(1), written: row.get(2) };
    let last = rows.last().filter(|_| is_full).map(place);
    Ok((rows.iter().map(|row| ThreadId::new(row.get(0))).collect(), last))
}

/// A text in a statement without parameters.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}
