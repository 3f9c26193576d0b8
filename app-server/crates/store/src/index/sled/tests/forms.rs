//! The choice of an index: one of an earlier schema, one that was never complete, one that cannot be read.

use super::*;

/// A home with an index of these rows in the form of version 1.
pub(super) fn version_2(rows: &[ThreadRow]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let trees = Trees::open(&dir.path().join("index-2"), Schema::Directories).unwrap();
    for row in rows {
        trees.upsert(row, EventSeq(1)).unwrap();
    }
    trees.set_complete(LIFE).unwrap();
    dir
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_an_earlier_version_serves_until_the_new_one_is_made() {
    let dir = version_2(&[row(1, 1, 1), row(2, 2, 2), row(3, 3, 3)]);
    let disk = Arc::new(TestStore::over(threads(3).await));
    disk.hold_reads_from_the_end();
    let fixture = Fixture::on(dir, Arc::<TestStore>::clone(&disk) as _);
    assert_eq!(fixture.previews().await, ["thread 3", "thread 2", "thread 1"], "at once, and complete");
    assert_eq!(fixture.index.counts().state, IndexState::Replacing);
    let said = ThreadRow { preview: "said meanwhile".to_owned(), ..row(1, 1, 9) };
    fixture.index.upsert(said, EventSeq(5)).await.unwrap();
    fixture.index.flush().await.unwrap();
    assert_eq!(fixture.previews().await, ["said meanwhile", "thread 3", "thread 2"]);
    disk.release_reads_from_the_end();
    fixture.until(is_done).await;
    assert_eq!(fixture.previews().await, ["said meanwhile", "said 3", "said 2"]);
    let dir = fixture.stopped().await;
    assert!(!dir.path().join("index-2").exists() && dir.path().join("index-3").is_dir());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_the_new_version_is_made_leaves_the_earlier_one_to_serve_the_next_start() {
    let dir = version_2(&[row(1, 1, 1), row(2, 2, 2)]);
    let disk = Arc::new(TestStore::over(threads(2).await));
    disk.hold_reads_from_the_end();
    let fixture = Fixture::on(dir, Arc::<TestStore>::clone(&disk) as _);
    fixture.previews().await;
    let dir = fixture.stopped().await;
    let fixture = Fixture::on(dir, Arc::<TestStore>::clone(&disk) as _);
    assert_eq!(fixture.previews().await, ["thread 2", "thread 1"]);
    disk.release_reads_from_the_end();
    fixture.until(is_done).await;
    fixture.stopped().await;
}

/// After a kill before the index was complete: a thread was listed by then, and deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_was_never_complete_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let trees = Trees::open(&dir.path().join("index-3"), Schema::CURRENT).unwrap();
    trees.upsert(&row(9, 9, 9), EventSeq(1)).unwrap();
    trees.flush().unwrap();
    drop(trees);
    let fixture = Fixture::over(dir, &threads(2).await);
    assert_eq!(fixture.previews().await, ["said 2", "said 1"]);
    fixture.stopped().await;
}

/// A home without threads has a complete index too. Then rollouts are copied into it, and the server ends during the
/// rebuild.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_was_whole_without_rows_is_not_believed_while_it_is_made_anew() {
    let fixture = Fixture::new(&threads(0).await);
    fixture.until(is_done).await;
    let dir = fixture.stopped().await;
    let disk = Arc::new(TestStore::over(threads(3).await));
    disk.hold_reads_from_the_end();
    disk.let_read_from_the_end(1);
    let fixture = Fixture::on(dir, Arc::<TestStore>::clone(&disk) as _);
    fixture.until(|state| matches!(state, SledState::Building { at: Indexing { done: 1, .. }, .. })).await;
    let dir = fixture.stopped().await;
    disk.release_reads_from_the_end();
    let fixture = Fixture::on(dir, disk);
    assert_eq!(fixture.previews().await, ["said 3", "said 2", "said 1"]);
    fixture.stopped().await;
}

/// An import recreates a thread, a part of which was reverted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marked_thread_that_is_shorter_than_its_row_has_its_row_made_anew() {
    let store = threads(2).await;
    let fixture = Fixture::new(&store);
    fixture.until(is_done).await;
    let longer = ThreadRow { preview: "what was taken back".to_owned(), ..row(2, 2, 2) };
    fixture.index.upsert(longer, EventSeq(99)).await.unwrap();
    store.set_open_marker(ThreadId::new(Uuid::from_u128(2))).await.unwrap();
    let fixture = Fixture::over(fixture.stopped().await, &store);
    fixture.until(is_done).await;
    assert_eq!(fixture.previews().await, ["said 2", "said 1"]);
    fixture.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_version_that_cannot_be_read_does_not_serve() {
    let dir = version_2(&[row(1, 1, 1)]);
    let one = ThreadId::new(Uuid::from_u128(1));
    let trees = Trees::open(&dir.path().join("index-2"), Schema::Directories).unwrap();
    trees.scramble(one);
    trees.flush().unwrap();
    drop(trees);
    let disk = Arc::new(TestStore::over(threads(2).await));
    disk.hold_reads_from_the_end();
    let fixture = Fixture::on(dir, Arc::<TestStore>::clone(&disk) as _);
    assert_eq!(fixture.index.rows(vec![one]).await.unwrap(), None, "the new one has no rows yet");
    disk.release_reads_from_the_end();
    fixture.until(is_done).await;
    assert_eq!(fixture.previews().await, ["said 2", "said 1"]);
    assert!(
        !fixture.stopped().await.path().join("index-3.aside").exists(),
        "nothing is wrong with the new one"
    );
}
