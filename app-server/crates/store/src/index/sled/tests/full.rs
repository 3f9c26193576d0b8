//! The index in sled on a disk that takes no writes.

use skein_protocol::thread::SortDirection;

use super::*;

/// The error of a flush on a full disk.
fn full() -> Broken {
    Broken::of_write(::sled::Error::Io(std::io::ErrorKind::StorageFull.into()))
}

fn is_full(state: &SledState) -> bool {
    matches!(state, SledState::Ready { unwritable: Some(_), .. })
}

impl Fixture {
    /// Makes a write fail, and all later ones until the index is opened again.
    async fn fill(&self) {
        let (trees, _) = open_of(self.index.shared.state.borrow().clone()).unwrap();
        let refused = self.index.on(&trees, |_| Err::<(), _>(full())).await;
        assert!(matches!(refused, Err(IndexError::Unwritable(_))), "{refused:?}");
    }

    fn is_aside(&self) -> bool {
        self.dir.path().join("index-3.aside").exists()
    }

    /// Blocks the index's folder, so that no room is found.
    fn without_room(&self) {
        std::fs::create_dir(self.dir.path().join("index-3/room")).unwrap();
    }

    fn with_room(&self) {
        std::fs::remove_dir(self.dir.path().join("index-3/room")).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_leaves_the_index_where_it_is_and_lists_show_what_waits_for_room() {
    let store = threads(3).await;
    let fixture = Fixture::new(&store);
    assert_eq!(fixture.previews().await, ["said 3", "said 2", "said 1"]);
    fixture.without_room();
    fixture.fill().await;
    assert_eq!(fixture.previews().await, ["said 3", "said 2", "said 1"]);
    fixture.index.upsert(row(9, 9, 9), EventSeq(1)).await.unwrap();
    fixture.index.upsert(row(2, 2, 10), EventSeq(2)).await.unwrap();
    fixture.index.remove(ThreadId::new(Uuid::from_u128(3)), EventSeq(2)).await.unwrap();
    assert_eq!(fixture.previews().await, ["thread 2", "thread 9", "said 1"]);
    let (second, third) = (Uuid::from_u128(2), Uuid::from_u128(3));
    assert_eq!(fixture.index.get(ThreadId::new(second)).await.unwrap().unwrap().1, EventSeq(2));
    assert_eq!(fixture.index.get(ThreadId::new(third)).await.unwrap(), None);
    let refused = fixture.index.flush().await;
    assert!(matches!(refused, Err(IndexError::Unwritable(_))), "its markers must stay: {refused:?}");

    fixture.with_room();
    fixture.until(is_done).await;
    fixture.until(|state| !is_full(state)).await;
    assert_eq!(fixture.previews().await, ["thread 2", "thread 9", "said 1"]);
    fixture.index.flush().await.unwrap();
    assert!(!fixture.is_aside());
    let reads = store.counts().reads;
    let dir = fixture.stopped().await;
    let again = Fixture::over(dir, &store);
    assert_eq!(again.previews().await, ["thread 2", "thread 9", "said 1"], "it was saved");
    again.stopped().await;
    assert_eq!(store.counts().reads, reads, "nothing was made anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_sets_the_index_aside_on_a_full_disk_too() {
    let store = threads(3).await;
    let fixture = Fixture::new(&store);
    fixture.previews().await;
    fixture.without_room();
    let (trees, _) = open_of(fixture.index.shared.state.borrow().clone()).unwrap();
    trees.scramble(ThreadId::new(Uuid::from_u128(2)));
    drop(trees);
    fixture.fill().await;
    fixture.index.list(ThreadFilter::default(), None, 100).await.unwrap_err();
    fixture.until(|state| !is_full(state)).await;
    fixture.until(is_done).await;
    assert_eq!(fixture.previews().await, ["said 3", "said 2", "said 1"]);
    assert!(fixture.is_aside());
    fixture.stopped().await;
}

/// Makes every write to a file of this process fail; reads work.
#[cfg(target_os = "linux")]
fn refuse_writes(path: &std::path::Path) {
    use std::os::fd::{FromRawFd, OwnedFd};

    for open in std::fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap) {
        if !std::fs::read_link(open.path()).is_ok_and(|to| to == path) {
            continue;
        }
        let number = open.file_name().to_str().unwrap().parse().unwrap();
        // SAFETY: sled owns the descriptor, which stays open under the same number.
        let mut of_sled = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
        rustix::io::dup2(std::fs::File::open(path).unwrap(), &mut of_sled).unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_read_behind_a_failed_write_is_damage_only_when_it_fails_again_in_the_opened_index() {
    let fixture = Fixture::new(&threads(3).await);
    fixture.previews().await;
    fixture.until(is_done).await;
    fixture.without_room();
    refuse_writes(&fixture.dir.path().canonicalize().unwrap().join("index-3/db"));
    fixture.index.upsert(row(9, 9, 9), EventSeq(1)).await.unwrap();
    // sled's answer to a read of a page that is not on disk.
    let read = async || {
        let (trees, _) = open_of(fixture.index.shared.state.borrow().clone()).unwrap();
        let failed = || Broken::from(::sled::Error::Io(std::io::ErrorKind::Other.into()));
        fixture.index.on(&trees, move |_| Err::<(), _>(failed())).await
    };
    let refused = read().await;
    assert!(matches!(refused, Err(IndexError::Unwritable(_))), "{refused:?}");
    assert!(is_full(&fixture.index.shared.state.borrow()));
    assert_eq!(fixture.previews().await.len(), 4);
    assert!(!fixture.is_aside());

    fixture.with_room();
    fixture.until(|state| !is_full(state)).await;
    fixture.until(is_done).await;
    assert!(!fixture.is_aside());
    let refused = read().await;
    assert!(matches!(refused, Err(IndexError::Unavailable(_))), "{refused:?}");
    fixture.until(|state| !is_done(state)).await;
    fixture.until(is_done).await;
    assert!(fixture.is_aside());
    fixture.stopped().await;
}

/// Pages of two over rows: a third of them waits for room, a third is gone, and the order is changed in places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_of_a_list_on_a_full_disk_have_every_thread_once() {
    let fixture = Fixture::new(&threads(0).await);
    fixture.until(is_done).await;
    let memory = MemoryIndex::default();
    let mut rows: Vec<_> = (1..=20).map(|n| (row(n, 0, i64::try_from(n).unwrap()), EventSeq(1))).collect();
    fixture.index.upsert_all(rows.clone()).await.unwrap();
    fixture.without_room();
    fixture.fill().await;
    rows.extend((1..=24).step_by(3).map(|n| (row(n, 0, i64::try_from(n * 7 % 25).unwrap()), EventSeq(2))));
    for (row, as_of) in rows {
        memory.upsert(row.clone(), as_of).await.unwrap();
        fixture.index.upsert(row, as_of).await.unwrap();
    }
    for n in (2..=20).step_by(3) {
        memory.remove(ThreadId::new(Uuid::from_u128(n)), EventSeq(2)).await.unwrap();
        fixture.index.remove(ThreadId::new(Uuid::from_u128(n)), EventSeq(2)).await.unwrap();
    }
    for direction in [SortDirection::Asc, SortDirection::Desc] {
        let filter = ThreadFilter { direction, sort: SortKey::Updated, ..ThreadFilter::default() };
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = fixture.index.list(filter.clone(), from, 2).await.unwrap();
            found.extend(page.rows);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(found, memory.list(filter, None, 100).await.unwrap().rows);
    }
    fixture.with_room();
    fixture.stopped().await;
}

#[test]
fn a_nearly_full_disk_is_not_filled_to_see_whether_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    // A write runs into it.
    std::fs::create_dir(dir.path().join("room")).unwrap();
    let tried = |free| super::super::full::try_room(dir.path(), free).unwrap_err().kind();
    let needed = policy::INDEX_ROOM + policy::INDEX_ROOM_LEFT;
    assert_eq!(tried(Some(needed - 1)), std::io::ErrorKind::StorageFull);
    for free in [Some(needed), None] {
        assert_eq!(tried(free), std::io::ErrorKind::IsADirectory, "{free:?}");
    }
}

#[test]
fn only_what_a_read_finds_is_damage() {
    let io = |kind: std::io::ErrorKind| ::sled::Error::Io(kind.into());
    let corrupt = || ::sled::Error::Corruption { at: None, bt: () };
    let damaged = |broken: Broken| matches!(broken, Broken::Damaged(_));
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded] {
        assert!(!damaged(Broken::of_write(io(kind))) && !damaged(Broken::from(io(kind))), "{kind}");
    }
    assert!(!damaged(Broken::of_write(io(std::io::ErrorKind::Other))), "a write that fails");
    let read = || Broken::from(io(std::io::ErrorKind::UnexpectedEof));
    assert!(damaged(read().judged(|| Ok(0))), "a read that fails");
    let refused = || Err(io(std::io::ErrorKind::Other));
    assert!(!damaged(read().judged(refused)), "a read behind a write that failed");
    assert!(damaged(Broken::of_write(corrupt())) && damaged(Broken::from(corrupt())));
}
