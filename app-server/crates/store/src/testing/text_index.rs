use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use skein_base::clock::WallMs;
use skein_base::tasks::Tasks;
use skein_protocol::ids::{EventSeq, ItemId, ThreadId, TurnId};
use skein_protocol::item::ThreadItem;
use skein_protocol::turn::{TurnStatus, UserInput};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{TestStore, lease, opened, thread};
use crate::history::History;
use crate::home::HomePaths;
use crate::index::ThreadIndex;
use crate::index::changes::Changes;
use crate::index::memory::MemoryIndex;
use crate::rollout::memory::MemoryStore;
use crate::rollout::record::{ItemCompleted, Record, RecordBody, TurnStarted};
use crate::rollout::{Keep, LogEntry, RolloutStore};
use crate::texts::{SearchTerm, Sources, TextIndex};

/// Why a test cannot go on.
type TestError = Box<dyn Error + Send + Sync>;

/// Threads in memory with a text index on disk.
pub struct IndexedThreads {
    /// Their records.
    pub store: Arc<MemoryStore>,
    /// Their rows.
    pub index: Arc<MemoryIndex>,
    /// Their texts.
    pub texts: TextIndex,
    /// The disk under the text index.
    pub disk: Arc<TestStore>,
    pub(crate) changes: Arc<Changes>,
    tasks: Tasks,
    stop: CancellationToken,
}

impl IndexedThreads {
    /// No threads. The text index is in `home`.
    pub fn new(home: &Path) -> Self {
        Self::on(home, Arc::default(), Arc::default(), 1)
    }

    fn on(home: &Path, store: Arc<MemoryStore>, index: Arc<MemoryIndex>, life: u128) -> Self {
        let (changes, tasks, stop): (Arc<Changes>, _, _) =
            (Arc::default(), Tasks::new(), CancellationToken::new());
        let disk = Arc::new(TestStore::over(Arc::clone(&store) as _));
        disk.set_life(Uuid::from_u128(life));
        let sources = Sources {
            home: HomePaths::new(home),
            store: Arc::clone(&disk) as _,
            index: Arc::clone(&index) as _,
            changes: Arc::clone(&changes),
            others: None,
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        Self { store, disk, index, changes, texts: TextIndex::new(sources), tasks, stop }
    }

    /// The next server of the home, in this life of the storage.
    #[must_use]
    pub async fn next_server(self, home: &Path, life: u128) -> Self {
        self.stop.cancel();
        self.tasks.finish().await;
        Self::on(home, self.store, self.index, life)
    }

    /// Appends records to thread `n`.
    ///
    /// # Errors
    /// If the store or the index refuses them.
    pub async fn append(&self, n: u128, bodies: Vec<RecordBody>) -> Result<(), TestError> {
        let id = thread(n);
        let head = self.store.head(id).await.unwrap_or_default();
        let record = |(seq, body)| Record { seq: EventSeq(seq), at: WallMs(0), body };
        let records = (head.0 + 1..).zip(bodies).map(record).collect();
        self.store.append(lease(id), head, LogEntry::of(records, Keep::Process)).await?;
        let history = History::read(&*self.store, id).await?;
        self.index.upsert(history.row(), history.seq()).await?;
        self.changes.note(id);
        Ok(())
    }

    /// Adds a finished turn with this message of the user.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn say(&self, n: u128, text: &str) -> Result<(), TestError> {
        self.say_in(n, &format!("{n} {text}"), text).await
    }

    /// The same, in a turn with this name.
    pub(crate) async fn say_in(&self, n: u128, turn: &str, text: &str) -> Result<(), TestError> {
        let ended = History::default().turn_completed_record(TurnId::from(turn), TurnStatus::Completed, None);
        let answer = agent_message(turn, "an answer");
        self.append(n, vec![opened(1, 1).body, turn_started(turn, text), answer, ended]).await
    }

    /// The threads that may hold the term, each with the record after which to look, once the index is complete and
    /// as up to date as possible.
    ///
    /// # Errors
    /// If the term is not valid, or the index does not become complete within 20 s.
    pub async fn found(&self, term: &str) -> Result<Vec<(ThreadId, u64)>, TestError> {
        found(&self.texts, &self.changes, term).await
    }
}

/// See [`IndexedThreads::found`].
pub(crate) async fn found(
    texts: &TextIndex,
    changes: &Changes,
    term: &str,
) -> Result<Vec<(ThreadId, u64)>, TestError> {
    let term = SearchTerm::new(term)?;
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..4_000 {
        let settled = changes.waiting(1).is_empty();
        let candidates = texts.candidates(&term, Vec::new).await;
        if let Some(candidates) = candidates.filter(|_| settled) {
            let found = candidates.threads.into_iter().map(|(thread, after)| (thread, after.0));
            let mut found: Vec<_> = found.collect();
            found.sort_unstable();
            return Ok(found);
        }
        looks.tick().await;
    }
    Err(io::Error::other(format!("the text index does not become complete: {:?}", texts.counts())).into())
}

pub(crate) fn turn_started(turn: &str, text: &str) -> RecordBody {
    let (turn_id, input) = (TurnId::from(turn), vec![UserInput::text(text)]);
    TurnStarted { turn_id, input, item_id: Some(ItemId::from("said")), client_id: None, terms: None }.into()
}

pub(crate) fn agent_message(turn: &str, text: &str) -> RecordBody {
    ItemCompleted { turn_id: TurnId::from(turn), item: ThreadItem::agent_message("message", text) }.into()
}
