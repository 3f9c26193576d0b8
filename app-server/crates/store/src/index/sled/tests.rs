//! Index in sled: the tests.

use std::pin::pin;
use std::sync::Barrier;

use futures_util::FutureExt;
use skein_base::clock::WallMs;
use skein_protocol::turn::UserInput;
use tempfile::TempDir;
use uuid::Uuid;

use super::schema::Schema;
use super::*;
use crate::home::Term;
use crate::index::conformance::{keeps_every_promise, row};
use crate::index::memory::MemoryIndex;
use crate::index::rebuild;
use crate::rollout::memory::MemoryStore;
use crate::rollout::record::{Record, ThreadNamed, TurnStarted};
use crate::rollout::{Keep, Lease, Location, LogEntry};
use crate::testing::TestStore;

mod forms;
mod full;

use forms::version_2;

const LIFE: Uuid = MemoryStore::FIRST_LIFE;
const LIMIT: Duration = Duration::from_secs(60);

fn is_done(state: &SledState) -> bool {
    matches!(state, SledState::Ready { comparing: None, .. })
}

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
        Self::on(dir, Arc::<MemoryStore>::clone(store))
    }

    fn on(dir: TempDir, store: Arc<dyn RolloutStore>) -> Self {
        let (stop, tasks) = (CancellationToken::new(), Tasks::new());
        let index = SledIndex::start(HomePaths::new(dir.path()), store, &tasks, Arc::default(), stop.clone());
        Self { index, stop, tasks, dir }
    }

    /// Ends the index like the server.
    async fn stopped(self) -> TempDir {
        self.stop.cancel();
        self.tasks.finish().await;
        self.dir
    }

    /// Waits for a state of the index.
    async fn until(&self, what: impl FnMut(&SledState) -> bool) {
        self.index.shared.state.subscribe().wait_for(what).await.unwrap();
    }

    async fn previews(&self) -> Vec<String> {
        let by_change = ThreadFilter { sort: SortKey::Updated, ..ThreadFilter::default() };
        let page = self.index.list(by_change, None, 100).await.unwrap();
        assert_eq!(page.indexing, None);
        page.rows.into_iter().map(|row| row.preview).collect()
    }
}

/// A store of threads, each with its number as message.
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
    let body = TurnStarted { turn_id: "t".into(), input, item_id: None, client_id: None, terms: None }.into();
    let record = Record { seq: EventSeq(1), at: WallMs(i64::try_from(n).unwrap()), body };
    store
        .append(Lease { thread, term: Term(1) }, EventSeq(0), LogEntry::of(vec![record], Keep::Power))
        .await
        .unwrap();
    is_known(store, thread).await;
}

/// Closes the thread and removes its open marker.
async fn is_known(store: &MemoryStore, thread: ThreadId) {
    store.release(thread);
    store.clear_open_markers(vec![store.open_marker(thread)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise_of_an_index() {
    keeps_every_promise(async || {
        let fixture = Fixture::new(&threads(0).await);
        // Ready: rows go into the trees, not among the waiting ones.
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
        std::fs::write(dir.path().join("index-3").join(name), vec![0x5a; 100_000]).unwrap();
    }
    let fixture = Fixture::over(dir, &store);
    assert_eq!(fixture.previews().await, ["said 3", "said 2", "said 1"]);
    let dir = fixture.stopped().await;
    assert!(dir.path().join("index-3.aside").is_dir());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_makes_the_index_anew() {
    let store = threads(3).await;
    let fixture = Fixture::new(&store);
    fixture.previews().await;
    let SledState::Ready { trees, .. } = fixture.index.shared.state.borrow().clone() else { panic!() };
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
    let trees = Trees::open(dir.path(), Schema::CURRENT).unwrap();
    for (as_of, created, updated) in [(1, 1, 1), (2, 2, 5), (3, 2, 9), (2, 7, 7)] {
        trees.upsert(&row(1, created, updated), EventSeq(as_of)).unwrap();
        assert_eq!(trees.lengths(), [1, 1, 1, 1, 1, 0]);
        assert_eq!(trees.content(), trees.count_content());
    }
}

#[test]
fn a_list_has_each_row_once_while_the_last_ones_move_to_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let trees = Trees::open(dir.path(), Schema::CURRENT).unwrap();
    let moved = |at: i64| {
        let number = at.unsigned_abs();
        trees.upsert(&row(u128::from(number % 40), 1, at), EventSeq(number)).unwrap();
    };
    (1..=40).for_each(moved);
    let filter = ThreadFilter { sort: SortKey::Updated, ..ThreadFilter::default() };
    let reach = WalkBounds { rows: 99, places: policy::LIST_PLACES };
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| (41..2_000).for_each(moved));
        while !mover.is_finished() {
            let rows = trees.list(&filter, None, reach).unwrap().rows;
            let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row.id).collect();
            assert_eq!((ids.len(), rows.len()), (40, 40));
        }
    });
}

/// Two threads in a cleanly closed index. Then another thread, and more records in the first, which neither the index
/// nor an open marker knows.
async fn behind_its_rollouts() -> (TempDir, Arc<MemoryStore>) {
    let store = threads(2).await;
    let fixture = Fixture::new(&store);
    fixture.previews().await;
    let dir = fixture.stopped().await;
    say(&store, 3).await;
    let thread = ThreadId::new(Uuid::from_u128(1));
    let body = ThreadNamed { name: Some("newer".to_owned()) }.into();
    let record = Record { seq: EventSeq(2), at: WallMs(4), body };
    store
        .append(Lease { thread, term: Term(1) }, EventSeq(1), LogEntry::of(vec![record], Keep::Power))
        .await
        .unwrap();
    is_known(&store, thread).await;
    (dir, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_another_start_of_the_machine_what_the_index_lacks_is_added_once() {
    let (dir, store) = behind_its_rollouts().await;
    store.set_life(Uuid::from_u128(8));
    let fixture = Fixture::over(dir, &store);
    fixture.until(is_done).await;
    assert_eq!(fixture.index.get(ThreadId::new(Uuid::from_u128(3))).await.unwrap().unwrap().1, EventSeq(1));
    let (first, as_of) = fixture.index.get(ThreadId::new(Uuid::from_u128(1))).await.unwrap().unwrap();
    assert_eq!((first.name.as_deref(), as_of), (Some("newer"), EventSeq(2)));
    let dir = fixture.stopped().await;
    let reads = store.counts().reads;
    let again = Fixture::over(dir, &store);
    again.until(is_done).await;
    again.stopped().await;
    assert_eq!(store.counts().reads, reads, "nothing is opened");
}

/// The disk may have the index with a row and not the row's record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_another_start_of_the_machine_a_row_of_lost_records_is_set_back() {
    let (store, thread) = (threads(1).await, ThreadId::new(Uuid::from_u128(1)));
    let fixture = Fixture::new(&store);
    fixture.previews().await;
    let (mut row, as_of) = fixture.index.get(thread).await.unwrap().unwrap();
    row.name = Some("lost".to_owned());
    fixture.index.upsert(row, EventSeq(as_of.0 + 3)).await.unwrap();
    fixture.index.flush().await.unwrap();
    let dir = fixture.stopped().await;
    store.set_life(Uuid::from_u128(8));
    let fixture = Fixture::over(dir, &store);
    fixture.until(is_done).await;
    let (row, now) = fixture.index.get(thread).await.unwrap().unwrap();
    assert_eq!((row.name, now), (None, as_of));
    fixture.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_a_start_of_the_machine_nothing_is_compared() {
    let (dir, store) = behind_its_rollouts().await;
    let reads = store.counts().reads;
    let fixture = Fixture::over(dir, &store);
    fixture.until(is_done).await;
    let counts = fixture.index.counts();
    assert_eq!((counts.state, counts.indexing), (IndexState::Ready, None));
    assert!(counts.open_ms.is_some() && counts.disk_bytes > 0 && counts.content_bytes > 0, "{counts:?}");
    assert_eq!(fixture.previews().await, ["said 2", "said 1"]);
    fixture.stopped().await;
    assert_eq!(store.counts().reads, reads, "no rollout is opened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_that_is_broken_off_is_made_again() {
    let (dir, store) = behind_its_rollouts().await;
    let disk = Arc::new(TestStore::over(store));
    disk.hold_reads_from_the_end();
    disk.set_life(Uuid::from_u128(8));
    let fixture = Fixture::on(dir, Arc::<TestStore>::clone(&disk) as _);
    fixture
        .until(|state| matches!(state, SledState::Ready { comparing: Some(Indexing { total: 3, .. }), .. }))
        .await;
    let page = fixture.index.list(ThreadFilter::default(), None, 100).await.unwrap();
    assert_eq!((page.rows.len(), page.indexing.unwrap().total), (2, 3), "a list does not wait, and says so");
    assert_eq!(fixture.index.rows(vec![page.rows[0].id]).await.unwrap(), None, "others may be missing");
    let dir = fixture.stopped().await;
    disk.release_reads_from_the_end();
    let fixture = Fixture::on(dir, disk);
    fixture.until(is_done).await;
    assert_eq!(fixture.previews().await.len(), 3);
    fixture.stopped().await;
}

/// A rebuild of nine threads. The three that were written last are in the index, and were created first.
fn half_made(dir: &TempDir, tasks: &Tasks) -> SledIndex {
    let trees = Trees::open(&dir.path().join("index-3"), Schema::CURRENT).unwrap();
    for (n, made) in [(1, 1), (2, 2), (3, 3)] {
        trees.upsert(&row(n, made, 10 + made), EventSeq(2)).unwrap();
    }
    let state = SledState::Building { trees, earlier: None, at: Indexing { done: 3, total: 9 } };
    SledIndex::new(HomePaths::new(dir.path()), LIFE, tasks, state, Arc::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_page_of_old_threads_that_were_written_last_waits_for_newer_ones() {
    let (dir, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let index = half_made(&dir, &tasks);
    let by_change = ThreadFilter { sort: SortKey::Updated, ..ThreadFilter::default() };
    // Threads that were not written later were not changed later.
    timeout(LIMIT, index.candidates_are_in(&by_change, None, 2)).await.unwrap();
    let by_creation = ThreadFilter::default();
    let mut enough = pin!(index.candidates_are_in(&by_creation, None, 2));
    // Another thread reads the index; none of its rows is enough.
    assert!(timeout(Duration::from_millis(50), &mut enough).await.is_err(), "others may be newer");
    index.shared.state.send_modify(|state| {
        let SledState::Building { trees, .. } = state else { panic!("{state:?}") };
        *state = SledState::ready(trees.clone(), None);
    });
    timeout(LIMIT, enough).await.unwrap();
    tasks.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_page_comes_as_soon_as_it_is_full() {
    let disk = Arc::new(TestStore::over(threads(9).await));
    disk.hold_reads_from_the_end();
    let fixture = Fixture::on(tempfile::tempdir().unwrap(), Arc::<TestStore>::clone(&disk) as _);
    fixture.until(|state| matches!(state, SledState::Building { .. })).await;
    disk.let_read_from_the_end(4);
    // A list waits 2 s for its page; a slow machine may need several lists.
    let full = async {
        loop {
            let page = fixture.index.list(ThreadFilter::default(), None, 3).await.unwrap();
            if page.rows.len() == 3 {
                break page;
            }
        }
    };
    let page = timeout(LIMIT, full).await.unwrap();
    let ids: Vec<u128> = page.rows.iter().map(|row| row.id.uuid().as_u128()).collect();
    assert_eq!(ids, [9, 8, 7], "the newest come first");
    assert_eq!(page.indexing.map(|at| at.total), Some(9));
    assert_eq!(fixture.index.rows(vec![page.rows[0].id]).await.unwrap(), None, "others may be missing");
    disk.release_reads_from_the_end();
    fixture.stopped().await;
}

/// Work that waits for an index thread must not hold the permits of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_needs_no_more_than_one_place_at_the_index() {
    let (dir, tasks, store) = (tempfile::tempdir().unwrap(), Tasks::new(), threads(40).await);
    let trees = Trees::open(&dir.path().join("index-3"), Schema::CURRENT).unwrap();
    let state = SledState::ready(trees.clone(), Some(Indexing::default()));
    let index = SledIndex::new(HomePaths::new(dir.path()), LIFE, &tasks, state, Arc::default());
    let (release, held) =
        (Arc::new(Barrier::new(skein_base::policy::INDEX_THREADS)), Arc::new(Notify::new()));
    for _ in 1..skein_base::policy::INDEX_THREADS {
        let (release, holds, pool) = (Arc::clone(&release), Arc::clone(&held), tasks.clone());
        tasks.spawn("hold", async move {
            let hold = move || {
                holds.notify_one();
                release.wait();
            };
            pool.blocking("hold", BlockingPool::Index, hold).await.unwrap();
        });
        held.notified().await;
    }
    let compared = timeout(LIMIT, index.compare(&*store, &trees)).await;
    release.wait();
    assert!(compared.is_ok(), "it never came to its end");
    assert_eq!(index.on(&trees, Trees::threads).await.unwrap().len(), 40);
    tasks.finish().await;
}

#[tokio::test]
async fn a_thread_that_moves_while_it_is_read_is_listed_at_its_new_location() {
    let [archived, trashed] =
        [1, 2].map(|n| Lease { thread: ThreadId::new(Uuid::from_u128(n)), term: Term(1) });
    let disk = TestStore::over(threads(3).await);
    disk.hold_reads_from_the_end();
    let index = MemoryIndex::default();
    let mut rebuilt = pin!(rebuild::run(&disk, &index, |_| ()));
    assert!(rebuilt.as_mut().now_or_never().is_none(), "it has looked where they stand, and reads");
    disk.relocate(archived, Location::Archived).await.unwrap();
    disk.trash(trashed, WallMs(1)).await.unwrap();
    disk.release_reads_from_the_end();
    rebuilt.await.unwrap();
    for (archived, there) in [(false, vec!["said 3"]), (true, vec!["said 1"])] {
        let filter = ThreadFilter { archived, ..ThreadFilter::default() };
        let page = index.list(filter, None, 9).await.unwrap();
        assert_eq!(page.rows.into_iter().map(|row| row.preview).collect::<Vec<_>>(), there);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reindex_replaces_what_is_there_and_the_next_start_believes_it() {
    let store = threads(3).await;
    let dir = version_2(&[row(9, 9, 9)]);
    let (tasks, home) = (Tasks::new(), HomePaths::new(dir.path()));
    let mut seen = Vec::new();
    reindex(&home, &*store, &tasks, |at| seen.push(at.done)).await.unwrap();
    assert_eq!((seen.first(), seen.last(), seen.is_sorted()), (Some(&0), Some(&3), true));
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["index-3"]);
    let reads = store.counts().reads;
    let fixture = Fixture::over(dir, &store);
    assert_eq!(fixture.previews().await, ["said 3", "said 2", "said 1"]);
    fixture.stopped().await;
    assert_eq!(store.counts().reads, reads, "nothing is read again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_wait_for_the_index_to_open() {
    let fixture = Fixture::new(&threads(0).await);
    // Not open yet: the opening task has not answered.
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
    let index = SledIndex::start(
        HomePaths::new(&dir.path().join("file")),
        threads(1).await,
        &tasks,
        Arc::default(),
        stop.clone(),
    );
    let refused = index.list(ThreadFilter::default(), None, 5).await;
    assert!(matches!(refused, Err(IndexError::Unavailable(_))), "never a silent empty list: {refused:?}");
    stop.cancel();
    tasks.finish().await;
}

#[test]
fn a_search_for_what_is_rare_is_given_up_and_goes_on_where_that_was() {
    let dir = tempfile::tempdir().unwrap();
    let trees = Trees::open(&dir.path().join("index-3"), Schema::CURRENT).unwrap();
    for n in 1..=20 {
        let model_provider = if n % 8 == 0 { "rare" } else { "usual" }.to_owned();
        let row = ThreadRow { model_provider, ..row(n, 0, i64::try_from(n).unwrap()) };
        trees.upsert(&row, EventSeq(1)).unwrap();
    }
    for direction in [SortDirection::Asc, SortDirection::Desc] {
        let filter =
            ThreadFilter { model_providers: vec!["rare".to_owned()], direction, ..ThreadFilter::default() };
        let (mut pages, mut from) = (Vec::new(), None);
        loop {
            let page = ListPage::of(
                trees.list(&filter, from, WalkBounds { rows: 3, places: 6 }).unwrap(),
                filter.sort,
                2,
            );
            pages.push(page.rows.iter().map(|row| row.updated.0).collect::<Vec<_>>());
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        match direction {
            SortDirection::Asc => assert_eq!(pages, [vec![], vec![8], vec![16], vec![]]),
            SortDirection::Desc => assert_eq!(pages, [vec![16], vec![], vec![8], vec![]]),
        }
    }
}

#[test]
fn archived_threads_cost_a_list_of_the_others_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let trees = Trees::open(&dir.path().join("index-3"), Schema::CURRENT).unwrap();
    for n in 1..=20 {
        let row = ThreadRow { archived: n % 4 != 0, ..row(n, 0, i64::try_from(n).unwrap()) };
        trees.upsert(&row, EventSeq(1)).unwrap();
    }
    for (archived, there) in [(false, 5), (true, 15)] {
        for cwds in [vec![], vec!["/a".to_owned()]] {
            let filter = ThreadFilter { archived, cwds, ..ThreadFilter::default() };
            let found = trees.list(&filter, None, WalkBounds { rows: 100, places: there + 1 }).unwrap();
            assert_eq!((found.rows.len(), found.stopped), (there, None), "{filter:?}");
        }
    }
}
