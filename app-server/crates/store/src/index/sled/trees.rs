//! The index's trees in sled 0.34: rows by id, and an order for each sort key. Everything here blocks.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock};

use ::sled::transaction::{ConflictableTransactionError, TransactionalTree};
use ::sled::{Config, Db, IVec, Mode, Transactional, Tree};
use serde::{Deserialize, Serialize};
use skein_base::clock::WallMs;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_protocol::question::NeedsYou;
use skein_protocol::thread::SortDirection;
use uuid::Uuid;

use super::broken::Broken;
use super::schema::Schema;
use super::slack;
use crate::history::ThreadRow;
use crate::home::FOLDER_MODE;
use crate::index::cursor::{order_key, time_key};
use crate::index::waiting::WaitingThreads;
use crate::index::{Cursor, SortKey, ThreadFilter, WalkBounds, WalkedRows};
use crate::policy;

/// Set after a complete rebuild.
const COMPLETE: &[u8] = b"complete";
/// The life of the storage at the last comparison with the rollouts.
const COMPARED: &[u8] = b"compared";
/// The size of the content at the last flush, bytes.
const CONTENT: &[u8] = b"content";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredRow {
    as_of: EventSeq,
    row: ThreadRow,
}

/// The part of a stored row that its record number needs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredEnd {
    as_of: EventSeq,
}

#[derive(Debug, Clone)]
pub(super) struct Trees {
    db: Db,
    rows: Tree,
    /// Threads that were deleted since the index was opened, each with its record: a late row may still arrive.
    gone: Tree,
    orders: Arc<[OrderTree]>,
    /// The size of keys and values, bytes. A kill forgets the growth since the last flush.
    content: Arc<AtomicU64>,
    /// The threads with questions that wait.
    waiting: Arc<WaitingThreads>,
    /// A walk reads under it and a change writes, so that no row moves from a place ahead of a walk to one behind it.
    walks: Arc<RwLock<()>>,
}

#[derive(Debug)]
struct OrderTree {
    tree: Tree,
    sort: SortKey,
    of: OrderOf,
    schema: Schema,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OrderOf {
    /// All.
    Everything,
    /// By working directory, one directory after the other.
    Directory,
    /// Those with a question that waits for an answer.
    Waiting,
}

impl OrderTree {
    /// The place of a row; none if the row is not in this order.
    fn key(&self, row: &ThreadRow) -> Option<Vec<u8>> {
        if self.of == OrderOf::Waiting && row.waiting.is_empty() {
            return None;
        }
        let mut key = self.prefix(&row.cwd, row.archived);
        key.extend(order_key(self.sort.time_of(row), row.id));
        Some(key)
    }

    /// The key prefix of a working directory's active or archived threads. A directory with a NUL in its name shares
    /// places with others; the filter tells them apart.
    fn prefix(&self, cwd: &str, archived: bool) -> Vec<u8> {
        let mut prefix = match self.of {
            OrderOf::Everything | OrderOf::Waiting => Vec::new(),
            OrderOf::Directory => [cwd.as_bytes(), &[0]].concat(),
        };
        match self.schema {
            Schema::Directories => {}
            Schema::Locations => prefix.push(u8::from(archived)),
        }
        prefix
    }

    /// The keys below `prefix` in the filter's span and behind `from`; none if that range is empty.
    fn keys(prefix: &[u8], filter: &ThreadFilter, from: Option<Cursor>) -> Option<Range<Vec<u8>>> {
        let span = filter.span();
        let mut low = span.since.map_or_else(Vec::new, |since| time_key(since).to_vec());
        // Above every time and id.
        let mut high = span.before.map_or_else(|| vec![u8::MAX; 25], |before| time_key(before).to_vec());
        match (filter.direction, from.map(|from| from.key())) {
            // The smallest key behind it.
            (SortDirection::Asc, Some(from)) => low = low.max([&from[..], &[0]].concat()),
            (SortDirection::Desc, Some(from)) => high = high.min(from.to_vec()),
            (SortDirection::Asc | SortDirection::Desc, None) => {}
        }
        (low < high).then(|| [prefix, &low].concat()..[prefix, &high].concat())
    }
}

impl Trees {
    /// Opens or creates the index. Can take seconds, and can panic on damaged files.
    pub(crate) fn open(path: &Path, schema: Schema) -> Result<Self, Broken> {
        // sled's file modes follow the umask, which helpers inherit. The private folder protects all of it.
        match DirBuilder::new().mode(FOLDER_MODE).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let config = Config::new()
            .path(path)
            .mode(Mode::LowSpace)
            .cache_capacity(policy::INDEX_CACHE)
            // No wake-ups when idle: callers flush explicitly.
            .flush_every_ms(None);
        let db = open_when_free(&config)?;
        let order =
            |name: &str, sort, of| Ok::<_, Broken>(OrderTree { tree: db.open_tree(name)?, sort, of, schema });
        let orders = [
            order("created", SortKey::Created, OrderOf::Everything)?,
            order("updated", SortKey::Updated, OrderOf::Everything)?,
            order("created in", SortKey::Created, OrderOf::Directory)?,
            order("updated in", SortKey::Updated, OrderOf::Directory)?,
            order("waiting", SortKey::Asked, OrderOf::Waiting)?,
        ];
        let gone = db.open_tree("gone")?;
        // No row is under way now, and a deleted thread may have been restored by hand.
        gone.clear()?;
        let content = db.get(CONTENT)?.and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?)));
        let content = Arc::new(AtomicU64::new(content.unwrap_or(0)));
        let (waiting, walks) = (Arc::default(), Arc::default());
        let rows = db.open_tree("rows")?;
        let trees = Self { rows, gone, orders: orders.into(), content, waiting, walks, db };
        let every = WalkBounds { rows: usize::MAX, places: usize::MAX };
        for row in trees.list(&ThreadFilter::waiting(), None, every)?.rows {
            trees.note_waiting(row.id)?;
        }
        Ok(trees)
    }

    /// Counts the waiting questions of a thread anew.
    fn note_waiting(&self, thread: ThreadId) -> Result<(), Broken> {
        self.waiting.note(thread, || Ok(self.get(thread)?.map(|(row, _)| row))).map(drop)
    }

    pub(crate) fn needs_you(&self) -> NeedsYou {
        self.waiting.needs_you()
    }

    /// Classifies a failed read by an earlier failed write.
    pub(crate) fn judge(&self, broken: Broken) -> Broken {
        broken.judged(|| self.db.flush())
    }

    /// The life of the storage at the last comparison with the rollouts.
    pub(crate) fn compared(&self) -> Result<Option<Uuid>, Broken> {
        Ok(self.db.get(COMPARED)?.and_then(|bytes| Uuid::from_slice(&bytes).ok()))
    }

    pub(crate) fn set_compared(&self, life: Uuid) -> Result<u64, Broken> {
        self.db.insert(COMPARED, life.as_bytes()).map_err(Broken::of_write)?;
        self.flush()
    }

    /// The size of keys and values, bytes.
    pub(crate) fn content(&self) -> u64 {
        self.content.load(Relaxed)
    }

    /// Whether the index once had every rollout. An index without rows does not count: rebuilding it costs nothing if
    /// there are no rollouts.
    pub(crate) fn is_complete(&self) -> Result<bool, Broken> {
        Ok(self.db.contains_key(COMPLETE)? && !self.rows.is_empty())
    }

    /// Removes everything. The index is incomplete from then on.
    pub(crate) fn clear(&self) -> Result<(), Broken> {
        self.db.remove(COMPLETE)?;
        self.db.remove(COMPARED)?;
        self.rows.clear()?;
        self.orders.iter().try_for_each(|order| order.tree.clear())?;
        self.content.store(0, Relaxed);
        self.waiting.clear();
        Ok(())
    }

    /// Marks the index as complete in this life of the storage.
    pub(crate) fn set_complete(&self, life: Uuid) -> Result<u64, Broken> {
        self.db.insert(COMPLETE, &[]).map_err(Broken::of_write)?;
        self.set_compared(life)
    }

    /// Returns the size of its files, once everything is on disk.
    pub(crate) fn flush(&self) -> Result<u64, Broken> {
        let content = self.content().to_be_bytes();
        if self.db.get(CONTENT)?.is_none_or(|known| *known != content) {
            self.db.insert(CONTENT, &content).map_err(Broken::of_write)?;
        }
        self.db.flush().map_err(Broken::of_write)?;
        Ok(self.db.size_on_disk()?)
    }

    pub(crate) fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, Broken> {
        let Some(bytes) = self.rows.get(thread.uuid().as_bytes())? else { return Ok(None) };
        let stored: StoredRow = serde_json::from_slice(&bytes)?;
        Ok(Some((stored.row, stored.as_of)))
    }

    /// Threads and the records that their rows reflect, highest id first, below `below`, at most `limit`.
    pub(crate) fn ends(
        &self,
        below: Option<ThreadId>,
        limit: usize,
    ) -> Result<Vec<(ThreadId, EventSeq)>, Broken> {
        let rows = match below {
            Some(below) => self.rows.range(..below.uuid().as_bytes().to_vec()),
            None => self.rows.iter(),
        };
        let end = |row: ::sled::Result<(IVec, IVec)>| {
            let (key, value) = row?;
            let as_of = serde_json::from_slice::<StoredEnd>(&value)?.as_of;
            Ok((ThreadId::new(Uuid::from_slice(&key)?), as_of))
        };
        rows.rev().take(limit).map(end).collect()
    }

    /// Working directories of rows, at most `limit`. One look for each, however many rows it has.
    pub(crate) fn directories(&self, limit: usize) -> Result<Vec<String>, Broken> {
        let Some(order) = self.orders.iter().find(|order| order.of == OrderOf::Directory) else {
            return Ok(Vec::new());
        };
        let (mut found, mut from) = (Vec::new(), Vec::new());
        while let Some(entry) = order.tree.range(from..).next().filter(|_| found.len() < limit) {
            let (key, _) = entry?;
            let cwd = key.split(|byte| *byte == 0).next().unwrap_or_default();
            // Behind every key with the name and its NUL.
            from = [cwd, &[1]].concat();
            found.extend(str::from_utf8(cwd).ok().map(str::to_owned));
        }
        Ok(found)
    }

    pub(crate) fn threads(&self) -> Result<Vec<ThreadId>, Broken> {
        let ids = self.rows.iter().keys().map(|key| Ok(ThreadId::new(Uuid::from_slice(&key?)?)));
        ids.collect()
    }

    /// Sets a row and its place in every order, all or nothing. Ignores it if a later row is there, or was removed.
    pub(crate) fn upsert(&self, row: &ThreadRow, as_of: EventSeq) -> Result<(), Broken> {
        let value = serde_json::to_vec(&StoredRow { as_of, row: row.clone() })?;
        self.change(|views| self.set(views, row, as_of, &value))?;
        if !row.waiting.is_empty() || self.waiting.has(row.id) {
            self.note_waiting(row.id)?;
        }
        Ok(())
    }

    /// Removes a row and its place in every order, all or nothing, and remembers the removal.
    pub(super) fn remove(&self, thread: ThreadId, as_of: EventSeq) -> Result<(), Broken> {
        self.change(|views| {
            let [rows, gone, orders @ ..] = views else { return Ok((0, 0)) };
            let taken = self.leave(rows, orders, thread)?;
            gone.insert(thread.uuid().as_bytes(), &as_of.0.to_be_bytes())?;
            Ok((0, taken))
        })?;
        self.note_waiting(thread)
    }

    /// Removes everything of a thread, also the memory of its removal.
    pub(crate) fn begin(&self, thread: ThreadId) -> Result<(), Broken> {
        self.change(|views| {
            let [rows, gone, orders @ ..] = views else { return Ok((0, 0)) };
            let taken = self.leave(rows, orders, thread)?;
            gone.remove(thread.uuid().as_bytes())?;
            Ok((0, taken))
        })?;
        self.note_waiting(thread)
    }

    /// Removes a row and its places; returns their size.
    fn leave(
        &self,
        rows: &TransactionalTree,
        orders: &[TransactionalTree],
        thread: ThreadId,
    ) -> Result<u64, ConflictableTransactionError<Broken>> {
        let Some((there, bytes)) = stored(rows, thread)? else { return Ok(0) };
        rows.remove(thread.uuid().as_bytes())?;
        Ok(bytes + self.leave_orders(orders, &there.row)?)
    }

    /// Runs a transaction over rows, removals and orders. It returns the added and removed bytes.
    fn change(
        &self,
        work: impl Fn(&[TransactionalTree]) -> Result<(u64, u64), ConflictableTransactionError<Broken>>,
    ) -> Result<(), Broken> {
        let orders = self.orders.iter().map(|order| &order.tree);
        let trees: Vec<&Tree> = [&self.rows, &self.gone].into_iter().chain(orders).collect();
        let moving = self.walks.write().unwrap_or_else(PoisonError::into_inner);
        let (added, taken) = trees.as_slice().transaction(|views| work(views))?;
        drop(moving);
        self.content.fetch_add(added, Relaxed);
        self.content.try_update(Relaxed, Relaxed, |all| Some(all.saturating_sub(taken))).ok();
        Ok(())
    }

    /// Removes a row's places; returns their size.
    fn leave_orders(
        &self,
        orders: &[TransactionalTree],
        row: &ThreadRow,
    ) -> Result<u64, ConflictableTransactionError<Broken>> {
        let mut taken = 0;
        for (order, view) in self.orders.iter().zip(orders) {
            if let Some(key) = order.key(row) {
                taken += key.len() as u64;
                view.remove(key)?;
            }
        }
        Ok(taken)
    }

    /// Inside a transaction: returns the added and removed bytes.
    fn set(
        &self,
        views: &[TransactionalTree],
        row: &ThreadRow,
        as_of: EventSeq,
        value: &[u8],
    ) -> Result<(u64, u64), ConflictableTransactionError<Broken>> {
        let [rows, gone, orders @ ..] = views else { return Ok((0, 0)) };
        let id = row.id.uuid();
        if gone.get(id.as_bytes())?.is_some_and(|at| *at >= as_of.0.to_be_bytes()[..]) {
            return Ok((0, 0));
        }
        let (mut added, mut taken) = (0, 0);
        if let Some((there, bytes)) = stored(rows, row.id)? {
            if there.as_of > as_of {
                return Ok((0, 0));
            }
            taken = bytes + self.leave_orders(orders, &there.row)?;
        }
        for (order, view) in self.orders.iter().zip(orders) {
            if let Some(key) = order.key(row) {
                added += key.len();
                view.insert(key, &[])?;
            }
        }
        added += id.as_bytes().len() + value.len();
        rows.insert(id.as_bytes(), value)?;
        Ok((added as u64, taken))
    }

    /// The rows behind `from` in the order, within `reach`.
    pub(crate) fn list(
        &self,
        filter: &ThreadFilter,
        from: Option<Cursor>,
        reach: WalkBounds,
    ) -> Result<WalkedRows, Broken> {
        let _no_move = self.walks.read().unwrap_or_else(PoisonError::into_inner);
        let mut walked = WalkedRows::default();
        let Some((order, prefix)) = self.order_for(filter) else { return Ok(walked) };
        let Some(keys) = OrderTree::keys(&prefix, filter, from) else { return Ok(walked) };
        let mut places = order.tree.range(keys);
        let mut next = || match filter.direction {
            SortDirection::Asc => places.next(),
            SortDirection::Desc => places.next_back(),
        };
        let mut looked = 0;
        while walked.rows.len() < reach.rows
            && let Some(place) = next()
        {
            let place = place?.0;
            let at = Cursor::of_key(&place, filter.sort)
                .ok_or_else(|| Broken::Damaged("a place in an order has no thread".to_owned()))?;
            if let Some((row, _)) = self.get(at.id)?
                && filter.lets_through(&row)
            {
                walked.rows.push(row);
            }
            looked += 1;
            if looked == reach.places {
                walked.stopped = Some(at);
                break;
            }
        }
        Ok(walked)
    }

    /// The oldest last change of the archived rows, or of the others.
    pub(crate) fn first_change(&self, archived: bool) -> Result<Option<WallMs>, Broken> {
        let oldest = ThreadFilter {
            archived,
            sort: SortKey::Updated,
            direction: SortDirection::Asc,
            ..ThreadFilter::default()
        };
        let Some((order, prefix)) = self.order_for(&oldest) else { return Ok(None) };
        let first = order.tree.scan_prefix(prefix).keys().next().transpose()?;
        Ok(first.and_then(|key| Cursor::of_key(&key, SortKey::Updated)).map(|at| at.time))
    }

    /// The order with the filter's rows closest together, and the key prefix in it.
    fn order_for(&self, filter: &ThreadFilter) -> Option<(&OrderTree, Vec<u8>)> {
        let (of, cwd) = match (filter.sort, filter.cwds.as_slice()) {
            (SortKey::Asked, _) => (OrderOf::Waiting, ""),
            (SortKey::Created | SortKey::Updated, [one]) => (OrderOf::Directory, one.as_str()),
            (SortKey::Created | SortKey::Updated, [] | [_, ..]) => (OrderOf::Everything, ""),
        };
        let order = self.orders.iter().find(|order| (order.sort, order.of) == (filter.sort, of))?;
        Some((order, order.prefix(cwd, filter.archived)))
    }
}

/// A row, and its size with its key.
fn stored(
    rows: &TransactionalTree,
    thread: ThreadId,
) -> Result<Option<(StoredRow, u64)>, ConflictableTransactionError<Broken>> {
    let id = thread.uuid();
    let Some(bytes) = rows.get(id.as_bytes())? else { return Ok(None) };
    let there = serde_json::from_slice(&bytes)
        .map_err(|error| ConflictableTransactionError::Abort(Broken::from(error)))?;
    Ok(Some((there, (id.as_bytes().len() + bytes.len()) as u64)))
}

#[cfg(test)]
impl Trees {
    /// The numbers of rows, and of places in each order.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        std::iter::once(&self.rows)
            .chain(self.orders.iter().map(|order| &order.tree))
            .map(Tree::len)
            .collect()
    }

    /// Counts the bytes of all keys and values.
    pub(crate) fn count_content(&self) -> u64 {
        let trees = std::iter::once(&self.rows).chain(self.orders.iter().map(|order| &order.tree));
        let entries = trees.flat_map(|tree| tree.iter().map(Result::unwrap));
        entries.map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    pub(crate) fn scramble(&self, thread: ThreadId) {
        self.rows.insert(thread.uuid().as_bytes(), b"{").unwrap();
    }
}

/// Opens the folder. sled frees its lock with the last of its own threads, a moment after the index was closed. A
/// home has one owner, so any other holder is about to end.
fn open_when_free(config: &Config) -> Result<Db, Broken> {
    let mut held = String::new();
    for _ in 0..policy::INDEX_LOCK_TRIES {
        match slack::open(config) {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                held = error.to_string();
                std::thread::sleep(policy::INDEX_LOCK_PAUSE);
            }
            opened => return Ok(opened?),
        }
    }
    Err(Broken::Unwritable(held))
}
