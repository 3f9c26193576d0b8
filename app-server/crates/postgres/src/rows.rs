//! The rows of lists: the statement that sets them, and what this process knows of them.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::question::NeedsYou;
use skein_store::history::ThreadRow;
use skein_store::index::changes::Changes;
use skein_store::index::{IndexError, WaitingThreads, is_interactive};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::database::Database;
use crate::failure::DbFailure;
use crate::numbers::int;
use crate::policy;
use crate::turns::{WriteTurn, WriteTurns};

/// The rows, as the store and the index of a process share them.
pub struct ThreadRows {
    turns: WriteTurns,
    waiting: WaitingThreads,
    /// Notifies the rows' listeners.
    changes: Arc<Changes>,
    /// The rows were read after [`PLACE`] was this, in this life of the database.
    opened_at: (Uuid, String),
}

/// A transaction as a text: every one before it has ended, and no later one gets such a number. See [`crate::news`].
pub(crate) const PLACE: &str = "least(pg_snapshot_xmin(pg_current_snapshot()), coalesce(
  (select changed from threads where changed is not null order by changed desc limit 1), '0'))::text";

impl ThreadRows {
    /// Reads the questions that wait.
    ///
    /// # Errors
    /// [`IndexError::Away`].
    pub async fn open(database: &Database, changes: Arc<Changes>) -> Result<Self, IndexError> {
        let life = database.life();
        let place =
            database.pool().read(&format!("select {PLACE}"), &[]).await.map_err(DbFailure::of_index)?;
        let opened_at = (life, place.first().map_or_else(|| "0".to_owned(), |row| row.get(0)));
        let (turns, waiting) = (WriteTurns::default(), WaitingThreads::default());
        let rows = Self { turns, waiting, changes, opened_at };
        let sql = "select \"row\"::text, as_of from threads where asked is not null";
        let read = database.pool().read(sql, &[]).await;
        for row in read.map_err(DbFailure::of_index)? {
            if let Some(row) = parsed(&row) {
                rows.note(row.id, Some(row));
            }
        }
        Ok(rows)
    }

    /// Waits for the end of every earlier write of the thread.
    pub(crate) async fn turn_of(&self, thread: ThreadId) -> WriteTurn {
        self.turns.of(thread).await
    }

    /// Notes a row that is in the database, or its removal. A writer of the row has the thread's turn. Returns whether other questions
    /// wait than before.
    pub(crate) fn note(&self, thread: ThreadId, row: Option<ThreadRow>) -> bool {
        let Ok(is_other) = self.waiting.note(thread, || Ok::<_, Infallible>(row));
        self.changes.note(thread);
        is_other
    }

    /// The threads with a question that waits, as far as this process knows.
    pub(crate) fn waiting(&self) -> Vec<ThreadId> {
        self.waiting.threads()
    }

    /// The place for the first look at the news.
    pub(crate) fn opened_at(&self) -> &(Uuid, String) {
        &self.opened_at
    }

    /// The questions that wait for the users.
    pub(crate) fn needs_you(&self) -> NeedsYou {
        self.waiting.needs_you()
    }
}

impl std::fmt::Debug for ThreadRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadRows").finish_non_exhaustive()
    }
}

/// Sets rows, unless a later one is there. A row of the same record replaces a row, and not a removal, and one of a thread that
/// `begins` replaces that of an earlier thread of its id. The rows are the parameters from `$first` on, as [`RowColumns::params`] has
/// them; `and` limits them.
pub(crate) fn upsert(first: usize, and: &str, begins: &str) -> String {
    let params = arrays(first);
    format!("insert into threads
  (thread, as_of, \"row\", created, updated, archived, cwd, provider, originator, interactive, asked, changed)
select r.thread, r.as_of, r.json::json, r.created, r.updated, r.archived, r.cwd, r.provider, r.originator, r.interactive, r.asked,
  pg_current_xact_id()
from unnest({params})
  as r (thread, as_of, json, created, updated, archived, cwd, provider, originator, interactive, asked)
where {and} order by r.thread
on conflict (thread) do update set as_of = excluded.as_of, \"row\" = excluded.\"row\", created = excluded.created,
  updated = excluded.updated, archived = excluded.archived, cwd = excluded.cwd, provider = excluded.provider,
  originator = excluded.originator, interactive = excluded.interactive, asked = excluded.asked, changed = excluded.changed
where threads.as_of < excluded.as_of or (threads.as_of = excluded.as_of and threads.\"row\" is not null) or {begins}
returning thread")
}

/// The parameters of some rows from `$first` on.
fn arrays(first: usize) -> String {
    let types = ["uuid", "int8", "text", "int8", "int8", "bool", "text", "text", "text", "bool", "int8"];
    let param = |(at, of)| format!("${}::{of}[]", first.saturating_add(at));
    types.iter().enumerate().map(param).collect::<Vec<String>>().join(", ")
}

/// The columns by which lists are ordered and narrowed down. They repeat what the row says.
pub(crate) const COLUMNS: [&str; 8] =
    ["created", "updated", "archived", "cwd", "provider", "originator", "interactive", "asked"];

/// Compares the columns of a thread with those of its row, which is the parameters. The answer has a `bool` for each of [`COLUMNS`].
pub(crate) static DIFFERING: LazyLock<String> = LazyLock::new(|| {
    let differs = COLUMNS.map(|name| format!("t.{name} is distinct from r.{name}")).join(", ");
    let params = arrays(1);
    format!(
        "select {differs} from unnest({params})
  as r (thread, as_of, json, created, updated, archived, cwd, provider, originator, interactive, asked)
join threads t on t.thread = r.thread"
    )
});

/// [`upsert`] as a statement of its own.
pub(crate) static UPSERT: LazyLock<String> = LazyLock::new(|| upsert(1, "true", "false"));

/// The columns of some rows.
#[derive(Debug, Default)]
pub(crate) struct RowColumns {
    threads: Vec<Uuid>,
    as_of: Vec<i64>,
    json: Vec<String>,
    created: Vec<i64>,
    updated: Vec<i64>,
    archived: Vec<bool>,
    cwd: Vec<String>,
    provider: Vec<String>,
    originator: Vec<Option<String>>,
    interactive: Vec<bool>,
    asked: Vec<Option<i64>>,
}

impl RowColumns {
    /// The columns of these rows, each as of a record.
    pub(crate) fn of<'r>(rows: impl Iterator<Item = (&'r ThreadRow, EventSeq)>) -> Self {
        let mut columns = Self::default();
        for (row, as_of) in rows {
            columns.threads.push(row.id.uuid());
            columns.as_of.push(int(as_of.0));
            // Every member of a row can be written as JSON.
            columns.json.push(serde_json::to_string(row).unwrap_or_default());
            columns.created.push(row.created.0);
            columns.updated.push(row.updated.0);
            columns.archived.push(row.archived);
            columns.cwd.push(key(&row.cwd));
            columns.provider.push(key(&row.model_provider));
            columns.originator.push(row.originator.as_deref().map(key));
            columns.interactive.push(is_interactive(&row.source));
            columns.asked.push(row.waiting.first().map(|oldest| oldest.asked.0));
        }
        columns
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// The parameters of [`UPSERT`].
    pub(crate) fn params(&self) -> [(&(dyn ToSql + Sync), Type); 11] {
        [
            (&self.threads, Type::UUID_ARRAY),
            (&self.as_of, Type::INT8_ARRAY),
            (&self.json, Type::TEXT_ARRAY),
            (&self.created, Type::INT8_ARRAY),
            (&self.updated, Type::INT8_ARRAY),
            (&self.archived, Type::BOOL_ARRAY),
            (&self.cwd, Type::TEXT_ARRAY),
            (&self.provider, Type::TEXT_ARRAY),
            (&self.originator, Type::TEXT_ARRAY),
            (&self.interactive, Type::BOOL_ARRAY),
            (&self.asked, Type::INT8_ARRAY),
        ]
    }
}

/// The row in the first column. One that cannot be read is left out, as its thread can still be read by its id.
pub(crate) fn parsed(row: &Row) -> Option<ThreadRow> {
    match serde_json::from_str(row.get(0)) {
        Ok(row) => Some(row),
        Err(error) => {
            tracing::warn!(%error, "a row of a thread cannot be read");
            None
        }
    }
}

/// A text as a key of an index: a bounded number of characters, without the one that the database refuses. Different texts may
/// have the same key, so a key only narrows down.
pub(crate) fn key(text: &str) -> String {
    text.chars().take(policy::KEY_CHARS).map(|char| if char == '\0' { '\u{fffd}' } else { char }).collect()
}
