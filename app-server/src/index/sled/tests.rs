//! Index in sled: the tests.

use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::clock::WallMs;
use crate::home::Term;
use crate::index::conformance::{keeps_every_promise, row};
use crate::rollout::memory::MemoryStore;
use crate::rollout::record::{Record, TurnStarted};
use crate::rollout::{Keep, Lease};
use skein_protocol::turn::UserInput;

struct Fixture {
    index: SledIndex,
    stop: CancellationToken,
    tasks: Tasks,
    dir: TempDir,
}

impl Fixture {
    fn new(store: &Arc<MemoryStore>) -> Self {
        Self::over(tempfile::tempdir().unwrap(), store)
    }

    fn over(dir: TempDir, store: &Arc<MemoryStore>) -> Self {
        let (stop, tasks) = (CancellationToken::new(), Tasks::new());
        let store: Arc<dyn RolloutStore> = Arc::<MemoryStore>::clone(store);
        let index = SledIndex::start(dir.path().join("index-1"), store, &tasks, stop.clone());
        Self { index, stop, tasks, dir }
    }

    /// Ends the index, as the server does.
    async fn stopped(self) -> TempDir {
        self.stop.cancel();
        self.tasks.finish().await;
        self.dir
    }

    async fn previews(&self) -> Vec<String> {
        let page = self.index.list(ThreadFilter::default(), None, 100).await.unwrap();
        assert_eq!(page.indexing, None);
        page.rows.into_iter().map(|row| row.preview).collect()
    }
}

/// A store with threads in which the user has said their number.
async fn threads(count: u128) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    for n in 1..=count {
        say(&store, n).await;
    }
    store
}

async fn say(store: &MemoryStore, n: u128) {
    let thread = ThreadId::new(Uuid::from_u128(n));
    let input = vec![UserInput::text(format!("said {n}"))];
    let body = TurnStarted { turn_id: "t".into(), input, item_id: None, client_id: None }.into();
    let record = Record { seq: EventSeq(1), at: WallMs(i64::try_from(n).unwrap()), body };
    store.append(Lease { thread, term: Term(1) }, EventSeq(0), vec![record], Keep::Power).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise_of_an_index() {
    keeps_every_promise(async || {
        let fixture = Fixture::new(&threads(0).await);
        // Ready: rows go into the trees, not among those that wait.
        fixture.previews().await;
        let index = fixture.index.clone();
        (fixture, index)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_index_is_made_from_the_rollouts_and_stays() {
    let store = threads(3).await;
    let fixture = Fixture::new(&store);
    assert_eq!(fixture.previews().await, ["said 3", "said 2", "said 1"]);
    fixture.index.upsert(row(9, 9, 9), EventSeq(1)).await.unwrap();
    fixture.index.flush().await.unwrap();
    let dir = fixture.stopped().await;

    let again = Fixture::over(dir, &store);
    assert_eq!(again.previews().await, ["thread 9", "said 3", "said 2", "said 1"], "kept, not made anew");
    again.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_garbage_is_set_aside_and_made_anew() {
    let store = threads(3).await;
    let fixture = Fixture::new(&store);
    fixture.previews().await;
    let dir = fixture.stopped().await;
    for name in ["conf", "db"] {
        std::fs::write(dir.path().join("index-1").join(name), vec![0x5a; 100_000]).unwrap();
    }
    let fixture = Fixture::over(dir, &store);
    assert_eq!(fixture.previews().await, ["said 3", "said 2", "said 1"]);
    let dir = fixture.stopped().await;
    assert!(dir.path().join("index-1.aside").is_dir());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_makes_the_index_anew() {
    let store = threads(3).await;
    let fixture = Fixture::new(&store);
    fixture.previews().await;
    let State::Ready(trees) = fixture.index.shared.state.borrow().clone() else { panic!() };
    trees.scramble(ThreadId::new(Uuid::from_u128(2)));
    drop(trees);
    let mut states = fixture.index.shared.state.subscribe();
    states.mark_unchanged();
    fixture.index.list(ThreadFilter::default(), None, 100).await.unwrap_err();
    states.changed().await.unwrap();
    assert_eq!(fixture.previews().await, ["said 3", "said 2", "said 1"]);
    fixture.stopped().await;
}

#[test]
fn a_row_that_moves_leaves_nothing_at_its_old_places() {
    let dir = tempfile::tempdir().unwrap();
    let trees = Trees::open(dir.path()).unwrap();
    for (as_of, created, updated) in [(1, 1, 1), (2, 2, 5), (3, 2, 9), (2, 7, 7)] {
        trees.upsert(&row(1, created, updated), EventSeq(as_of)).unwrap();
        assert_eq!(trees.lengths(), [1, 1, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_index_lacks_are_added() {
    let store = threads(2).await;
    let dir = {
        let fixture = Fixture::new(&store);
        fixture.previews().await;
        fixture.stopped().await
    };
    say(&store, 3).await;
    let fixture = Fixture::over(dir, &store);
    let third = ThreadId::new(Uuid::from_u128(3));
    while fixture.index.get(third).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    fixture.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_wait_for_the_index_to_open() {
    let fixture = Fixture::new(&threads(0).await);
    // Not yet opened: the task that opens it has not answered.
    for n in 1..=20 {
        fixture.index.upsert(row(n, 1, 1), EventSeq(2)).await.unwrap();
        fixture.index.upsert(row(n, 1, 0), EventSeq(1)).await.unwrap();
    }
    fixture.index.flush().await.unwrap();
    assert_eq!(fixture.previews().await.len(), 20);
    fixture.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn an_index_that_cannot_be_made_says_so() {
    let dir = tempfile::tempdir().unwrap();
    // A file in the place of the folder's parent: nothing can be opened or set aside.
    std::fs::write(dir.path().join("file"), "").unwrap();
    let (stop, tasks) = (CancellationToken::new(), Tasks::new());
    let index = SledIndex::start(dir.path().join("file/index-1"), threads(1).await, &tasks, stop.clone());
    let refused = index.list(ThreadFilter::default(), None, 5).await;
    assert!(matches!(refused, Err(IndexError::Unavailable(_))), "never a silent empty list: {refused:?}");
    stop.cancel();
    tasks.finish().await;
}
