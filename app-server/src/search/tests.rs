//! Tests of searches over both indexes.

use async_trait::async_trait;
use skein_base::clock::Clock;
use skein_protocol::extension::IndexCounts;
use skein_protocol::question::NeedsYou;
use skein_store::index::memory::MemoryIndex;
use skein_store::index::{ListPage, ThreadIndex};
use skein_store::testing::{IndexedThreads, thread};

use super::*;
use crate::thread::actor::tests::bench::Bench;

/// A thread index that is being rebuilt, and has reached the threads of `walk`.
struct Unfinished {
    so_far: MemoryIndex,
}

const AT: Indexing = Indexing { done: 1, total: 2 };

#[async_trait]
impl ThreadIndex for Unfinished {
    async fn begin(&self, thread: ThreadId) -> Result<(), IndexError> {
        self.so_far.begin(thread).await
    }

    async fn upsert(&self, row: ThreadRow, as_of: EventSeq) -> Result<(), IndexError> {
        self.so_far.upsert(row, as_of).await
    }

    async fn remove(&self, thread: ThreadId, as_of: EventSeq) -> Result<(), IndexError> {
        self.so_far.remove(thread, as_of).await
    }

    async fn walk(
        &self,
        filter: ThreadFilter,
        cursor: Option<Cursor>,
        reach: WalkBounds,
    ) -> Result<ListPage, IndexError> {
        Ok(ListPage { indexing: Some(AT), ..self.so_far.walk(filter, cursor, reach).await? })
    }

    async fn get(&self, thread: ThreadId) -> Result<Option<(ThreadRow, EventSeq)>, IndexError> {
        self.so_far.get(thread).await
    }

    async fn rows(&self, _threads: Vec<ThreadId>) -> Result<Option<Vec<ThreadRow>>, IndexError> {
        Ok(None)
    }

    async fn ends(
        &self,
        _below: Option<ThreadId>,
        _limit: usize,
    ) -> Result<Option<Vec<(ThreadId, EventSeq)>>, IndexError> {
        Ok(None)
    }

    async fn directories(&self, limit: usize) -> Result<Vec<String>, IndexError> {
        self.so_far.directories(limit).await
    }

    async fn flush(&self) -> Result<(), IndexError> {
        self.so_far.flush().await
    }

    fn needs_you(&self) -> NeedsYou {
        NeedsYou::default()
    }

    fn counts(&self) -> IndexCounts {
        self.so_far.counts()
    }
}

/// The text index is complete, but its candidates have no rows yet.
#[tokio::test]
async fn a_search_while_the_index_of_threads_is_made_anew_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let texts = IndexedThreads::new(dir.path());
    texts.say(1, "one needle").await.unwrap();
    texts.say(2, "another needle").await.unwrap();
    assert_eq!(texts.found("needle").await.unwrap().len(), 2);
    let so_far = MemoryIndex::default();
    let (row, as_of) = texts.index.get(thread(2)).await.unwrap().unwrap();
    so_far.upsert(row, as_of).await.unwrap();
    let bench = Bench::on_store(Arc::clone(&texts.store) as _, |_| ())
        .in_real_time()
        .with_index(Arc::new(Unfinished { so_far }))
        .with_search(ThreadSearch::new(texts.texts.clone()));
    let wanted = SearchRequest {
        term: Arc::new(SearchTerm::new("needle").unwrap()),
        filter: ThreadFilter::default(),
        cursor: None,
        limit: 10,
        until: Clock.now() + skein_config::policy::SEARCH_PAGE_TIME,
    };
    let found = bench.search.search(&bench.services, wanted).await.unwrap();
    assert_eq!(found.threads.iter().map(|(row, _)| row.id).collect::<Vec<_>>(), [thread(2)]);
    assert_eq!(found.indexing, Some(AT), "threads may be missing");
    bench.finish().await;
}
