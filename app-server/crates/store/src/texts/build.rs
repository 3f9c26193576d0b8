//! The task that builds the text index and keeps it up to date, in steps with pauses, so that clients come first. A
//! kill leaves the finished steps; the next start continues from there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::history::read::{Enough, Turns};
use crate::home::folders;
use crate::index::IndexError;
use crate::rollout::ReadError;
use skein_base::clock::Clock;
use skein_base::tasks::BlockingPool;
use skein_protocol::extension::TextsState;
use skein_protocol::ids::{EventSeq, ThreadId};
use tokio::time::Instant;
use uuid::Uuid;

use super::db::{AddedTexts, Db, DbError, IndexChange, IndexedThread};
use super::messages::message_texts;
use super::{TextIndexShared, db};
use crate::policy;
use crate::texts::term::fold;

/// The size of one read of a thread.
const ENOUGH: Enough = Enough { bytes: policy::SEARCH_TURN_BYTES, ..Enough::ALL };

/// Why the index cannot be maintained.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    /// Its file is unusable.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The rows are unavailable.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A reader failed.
    #[error("it cannot be read")]
    Unreadable,
    /// The storage has begun another life.
    #[error("it is from another life of the storage")]
    OtherLife,
}

impl BuildError {
    /// Whether the index is intact, and only the disk refuses changes.
    fn is_passing(&self) -> bool {
        match self {
            Self::Db(error) => error.is_passing(),
            Self::Index(_) | Self::Unreadable | Self::OtherLife => false,
        }
    }
}

/// Maintains the index. An unusable one is set aside and rebuilt, after a pause if that fails, too. A change that the
/// disk refuses is retried; its threads are searched directly until then.
pub(super) async fn serve(shared: &Arc<TextIndexShared>) {
    let mut failures = 0;
    loop {
        let Err(error) = keep(shared, &mut failures).await;
        if error.is_passing() {
            tracing::warn!(%error, "the text index cannot be opened; it is tried again");
            tokio::time::sleep(crate::policy::INDEX_ROOM_LOOK).await;
            continue;
        }
        if let BuildError::OtherLife = error {
            tracing::info!(%error, "the text index is made anew; searches look at every thread meanwhile");
            shared.retire_file();
            continue;
        }
        failures += 1;
        tracing::warn!(%error, failures, "the text index cannot be used; searches look at every thread");
        shared.state().at = TextsState::Failed;
        if let BuildError::Db(_) | BuildError::Unreadable = error {
            let aside = on_disk(shared, |shared| {
                shared.retire_file();
                Ok(folders::set_aside(&shared.folder())?)
            });
            if let Err(error) = aside.await {
                tracing::warn!(%error, "the text index cannot be set aside");
            }
        }
        if failures > 1 {
            tokio::time::sleep(crate::policy::INDEX_RETRY).await;
        }
    }
}

/// Completes the index, then follows the rows.
async fn keep(
    shared: &Arc<TextIndexShared>,
    failures: &mut u32,
) -> Result<std::convert::Infallible, BuildError> {
    {
        let mut state = shared.state();
        (state.at, state.done) = (TextsState::Building, 0);
    }
    let (db, life) = open(shared).await?;
    shared.state().life = life;
    let keeper = IndexWriter { shared: Arc::clone(shared), db: Arc::new(Mutex::new(db)) };
    let mut refused = false;
    while has_to_wait(keeper.catch_up().await, &mut refused).await? {
        shared.state().done = 0;
    }
    *failures = 0;
    loop {
        while has_to_wait(keeper.follow().await, &mut refused).await? {}
        if !shared.is_of_this_life() {
            return Err(BuildError::OtherLife);
        }
        if !shared.is_complete() {
            return Err(BuildError::Unreadable);
        }
        shared.sources.changes.changed().await;
        // Gathers turns that end together.
        tokio::time::sleep(policy::TEXTS_PAUSE).await;
    }
}

/// Whether to repeat a step that the disk refused. Waits then, and logs it once.
async fn has_to_wait(step: Result<(), BuildError>, refused: &mut bool) -> Result<bool, BuildError> {
    match step {
        Ok(()) => {
            *refused = false;
            Ok(false)
        }
        Err(error) if error.is_passing() => {
            if !std::mem::replace(refused, true) {
                tracing::warn!(%error, "the text index takes no change; searches look at the threads that it lacks");
            }
            tokio::time::sleep(crate::policy::INDEX_ROOM_LOOK).await;
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

/// Opens the index; a new one in another life of the storage, which may have lost the ends of indexed rollouts. Returns that life.
async fn open(shared: &Arc<TextIndexShared>) -> Result<(Db, Uuid), DbError> {
    on_disk(shared, |shared| {
        let (folder, life) = (shared.folder(), shared.sources.store.life());
        let mut db = Db::open(&folder)?;
        let made_in = db.life()?;
        if made_in.is_some_and(|made_in| made_in != life) {
            drop(db);
            folders::remove(&folder)?;
            db = Db::open(&folder)?;
        }
        if made_in != Some(life) {
            db.set_life(life)?;
        }
        Ok((db, life))
    })
    .await
}

async fn on_disk<T: Send + 'static>(
    shared: &Arc<TextIndexShared>,
    work: impl FnOnce(&TextIndexShared) -> Result<T, DbError> + Send + 'static,
) -> Result<T, DbError> {
    let own = Arc::clone(shared);
    let done = shared.sources.tasks.blocking("text index", BlockingPool::Texts, move || work(&own));
    done.await.map_err(|panic| DbError::Panicked(panic.to_string()))?
}

/// Writes the index.
struct IndexWriter {
    shared: Arc<TextIndexShared>,
    db: Arc<Mutex<Db>>,
}

impl IndexWriter {
    /// Adds all missing rows, newest thread first. Then the index is complete.
    async fn catch_up(&self) -> Result<(), BuildError> {
        let mut below = None;
        loop {
            let Some(rows) = self.shared.sources.index.ends(below, policy::TEXTS_ROWS).await? else {
                // The rows are being rebuilt.
                tokio::time::sleep(policy::TEXTS_LOOK).await;
                continue;
            };
            let Some((oldest, _)) = rows.last() else { break };
            below = Some(*oldest);
            let looked = rows.len();
            let threads: Vec<ThreadId> = rows.iter().map(|(thread, _)| *thread).collect();
            let known = self.known(threads).await?;
            let late = |((thread, as_of), known): (_, Option<IndexedThread>)| {
                Some(thread).filter(|_| known.is_none_or(|known| known.seq < as_of))
            };
            let mut late: VecDeque<ThreadId> = rows.into_iter().zip(known).filter_map(late).collect();
            while !late.is_empty() {
                let step: Vec<ThreadId> = late.drain(..late.len().min(policy::TEXTS_STEP)).collect();
                let reached = self.take_in(step.clone()).await?;
                let open = step.into_iter().zip(reached).filter(|(_, reached)| !reached);
                open.for_each(|(thread, _)| self.shared.sources.changes.note(thread));
            }
            self.shared.state().done += u64::try_from(looked).unwrap_or_default();
        }
        let disk_bytes = db::disk_bytes(&self.shared.folder());
        let mut state = self.shared.state();
        state.disk_bytes = disk_bytes;
        state.at = TextsState::Ready;
        Ok(())
    }

    /// Adds changed threads.
    async fn follow(&self) -> Result<(), BuildError> {
        loop {
            let changed = self.shared.sources.changes.waiting(policy::TEXTS_STEP);
            if changed.is_empty() {
                return Ok(());
            }
            let reached = self.take_in(changed.iter().map(|(thread, _)| *thread).collect()).await?;
            for ((thread, change), reached) in changed.into_iter().zip(reached) {
                self.shared.sources.changes.taken_in(thread, change, reached);
            }
        }
    }

    async fn known(&self, threads: Vec<ThreadId>) -> Result<Vec<Option<IndexedThread>>, DbError> {
        self.on_db(move |db| db.known(&threads)).await
    }

    async fn on_db<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Db) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let db = Arc::clone(&self.db);
        on_disk(&self.shared, move |_| work(&mut db.lock().unwrap_or_else(PoisonError::into_inner))).await
    }

    /// Adds the new messages of these threads, in one step or more. Returns for each whether it is up to date with
    /// its row.
    async fn take_in(&self, threads: Vec<ThreadId>) -> Result<Vec<bool>, BuildError> {
        let mut step = IndexStep::begin();
        let known = self.known(threads.clone()).await?;
        let mut reached = Vec::new();
        for (thread, known) in threads.into_iter().zip(known) {
            reached.push(self.take_in_one(thread, known, &mut step).await?);
        }
        self.end(&mut step).await?;
        Ok(reached)
    }

    /// Writes the changes of a step, then pauses.
    async fn end(&self, step: &mut IndexStep) -> Result<(), DbError> {
        let IndexStep { changes, began, .. } = std::mem::replace(step, IndexStep::begin());
        self.on_db(move |db| db.change(&changes)).await?;
        // As long as the work took: half a core stays free for others.
        tokio::time::sleep(Clock.now().saturating_duration_since(began) / policy::TEXTS_REST_PART).await;
        *step = IndexStep::begin();
        Ok(())
    }

    /// Adds the new messages of a thread to a step, which ends when full. Returns whether the thread is up to date
    /// with its row.
    async fn take_in_one(
        &self,
        thread: ThreadId,
        known: Option<IndexedThread>,
        step: &mut IndexStep,
    ) -> Result<bool, BuildError> {
        let sources = &self.shared.sources;
        let Some((row, as_of)) = sources.index.get(thread).await? else {
            step.changes.extend(known.map(|_| IndexChange::Remove(thread)));
            return Ok(true);
        };
        let known = known.unwrap_or_default();
        let mut added = AddedTexts {
            thread,
            pieces: Vec::new(),
            known: IndexedThread { name: row.name.clone(), ..known },
        };
        if let Some(name) = row.name.filter(|name| known.name.as_ref() != Some(name)) {
            added.pieces.push((EventSeq(0), fold(&name)));
        }
        loop {
            match self.read(&mut added, step.bytes).await {
                Ok(ReadProgress::ToTheEnd) => break,
                Ok(ReadProgress::UntilFull) => {
                    step.add(&mut added);
                    self.end(step).await?;
                }
                Err(ReadError::Missing(_)) => {
                    step.changes.push(IndexChange::Remove(thread));
                    return Ok(true);
                }
                // An unreadable thread has no hits.
                Err(ReadError::Unreadable { .. }) => return Ok(true),
                Err(error @ (ReadError::Disk { .. } | ReadError::Away { .. })) => {
                    tracing::debug!(%thread, %error, "a thread is not in the text index");
                    return Ok(false);
                }
            }
        }
        step.add(&mut added);
        Ok(added.known.seq >= as_of)
    }

    /// Reads the messages after the indexed ones, in a step of so many bytes. A running turn is left for later.
    async fn read(&self, added: &mut AddedTexts, bytes: usize) -> Result<ReadProgress, ReadError> {
        let turns = Turns::of(self.shared.sources.store.as_ref(), added.thread, &[], None);
        loop {
            let stretch = turns.forward(added.known.seq.next(), ENOUGH).await?;
            let open = stretch.newest.as_ref().and_then(|newest| newest.open_turn()).map(|turn| &turn.id);
            let mut ends = stretch.ends;
            for held in &stretch.turns {
                if Some(&held.turn.id) == open {
                    ends = EventSeq(held.at.0.saturating_sub(1));
                    break;
                }
                for (_, text) in message_texts(&held.turn) {
                    put(&mut added.pieces, held.at, &fold(&text));
                }
            }
            added.known.seq = added.known.seq.max(ends);
            if !stretch.more {
                return Ok(ReadProgress::ToTheEnd);
            }
            if bytes.saturating_add(added.bytes()) >= policy::TEXTS_STEP_BYTES {
                return Ok(ReadProgress::UntilFull);
            }
        }
    }
}

/// The progress of reading a thread.
enum ReadProgress {
    ToTheEnd,
    /// The step is full.
    UntilFull,
}

/// The changes of one transaction.
struct IndexStep {
    began: Instant,
    changes: Vec<IndexChange>,
    /// The size of their texts.
    bytes: usize,
}

impl IndexStep {
    fn begin() -> Self {
        Self { began: Clock.now(), changes: Vec::new(), bytes: 0 }
    }

    /// Moves the texts of a thread here; more can follow.
    fn add(&mut self, added: &mut AddedTexts) {
        self.bytes = self.bytes.saturating_add(added.bytes());
        let (thread, pieces, known) = (added.thread, std::mem::take(&mut added.pieces), added.known.clone());
        self.changes.push(IndexChange::Add(AddedTexts { thread, pieces, known }));
    }
}

/// Appends a text to the last piece, if it has room. The separator is in no term.
fn put(pieces: &mut Vec<(EventSeq, String)>, at: EventSeq, folded: &str) {
    match pieces.last_mut().filter(|(begins, last)| *begins > EventSeq(0) && last.len() < policy::TEXTS_PIECE)
    {
        Some((_, last)) => {
            last.push('\0');
            last.push_str(folded);
        }
        None => pieces.push((at, folded.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_the_disk_refuses_is_made_again_and_damage_ends_the_index() {
        let (full, mut refused) = (DbError::Io(ErrorKind::StorageFull.into()), false);
        assert!(has_to_wait(Err(full.into()), &mut refused).await.unwrap());
        assert!(!has_to_wait(Ok(()), &mut refused).await.unwrap());
        has_to_wait(Err(BuildError::Unreadable), &mut refused).await.unwrap_err();
    }
}
