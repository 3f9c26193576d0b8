//! Moves of a thread with a failing disk, process or power at every step. Afterwards the thread is whole at its old
//! or its new location, and every list agrees.

use fault::{DiskFault, Fails};
use skein_protocol::thread::SessionSource;

use super::*;
use crate::index::memory::MemoryIndex;
use crate::index::{ThreadFilter, ThreadIndex, rebuild};
use crate::rollout::record::{RecordBody, StoredSettings, ThreadCreated, TurnStarted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Threads,
    Archive,
    Trash,
}

/// From and to.
const MOVES: [(Place, Place); 4] = [
    (Place::Threads, Place::Archive),
    (Place::Archive, Place::Threads),
    (Place::Threads, Place::Trash),
    (Place::Archive, Place::Trash),
];

async fn put(store: &FileStore, id: ThreadId, place: Place) -> Result<(), MoveError> {
    match place {
        Place::Threads => store.relocate(lease(id), Location::Active).await,
        Place::Archive => store.relocate(lease(id), Location::Archived).await,
        Place::Trash => store.trash(lease(id), WallMs(5)).await,
    }
}

/// A history that lists show.
fn listed_history(id: ThreadId) -> Vec<Record> {
    let created = ThreadCreated {
        id,
        source: SessionSource::VsCode,
        thread_source: None,
        originator: None,
        cli_version: "0".to_owned(),
        forked_from: None,
        git_info: None,
        settings: StoredSettings::default(),
    };
    let input = vec![skein_protocol::turn::UserInput::text("hello")];
    let turn =
        TurnStarted { turn_id: "t".into(), input, item_id: Some("i".into()), client_id: None, terms: None };
    let bodies: Vec<RecordBody> = vec![opened(1, 1).body, created.into(), turn.into(), closed(1).body];
    let record = |(seq, body)| Record { seq: EventSeq(seq), at: WallMs(1), body };
    (1..).zip(bodies).map(record).collect()
}

/// A home with one thread at this location, all of it on disk.
async fn standing(id: ThreadId, from: Place) -> Fixture {
    let mut fixture = Fixture::new();
    fixture
        .store
        .append(lease(id), EventSeq(0), LogEntry::of(listed_history(id), Keep::Power))
        .await
        .unwrap();
    put(&fixture.store, id, from).await.unwrap();
    fixture.restart();
    fixture.store.load(id).await.unwrap();
    fixture
}

/// The thread's location. Every query gives the same answer.
async fn found(fixture: &Fixture, id: ThreadId, case: &str) -> Place {
    let store = &fixture.store;
    let index = MemoryIndex::default();
    rebuild::run(store, &index, |_| ()).await.unwrap();
    let mut listed = Vec::new();
    for archived in [false, true] {
        let filter = ThreadFilter { archived, ..ThreadFilter::default() };
        listed.extend(index.list(filter, None, 9).await.unwrap().rows.into_iter().map(|row| row.archived));
    }
    let files = |folder: PathBuf| fixture.layer.entries(&folder).unwrap().len();
    let shards = [fixture.paths.threads(), fixture.paths.archived()];
    let [threads, archived] = shards.map(|location| files(location.join("01")));
    assert_eq!(threads + archived + files(fixture.paths.trash()), 1, "{case}: lost, or there twice");
    match store.load(id).await {
        Ok(loaded) => {
            assert_eq!(loaded.end, listed_history(id), "{case}");
            let archived = store.location(id).await.unwrap() == Location::Archived;
            assert_eq!(listed, [archived], "{case}");
            assert_eq!(store.threads().await.unwrap(), [id], "{case}");
            assert_eq!(store.archived().await.unwrap().len(), usize::from(archived), "{case}");
            store.release(id);
            if archived { Place::Archive } else { Place::Threads }
        }
        Err(ReadError::Missing(_)) => {
            assert_eq!((listed, store.threads().await.unwrap()), (Vec::new(), Vec::new()), "{case}");
            Place::Trash
        }
        Err(error) => panic!("{case}: {error}"),
    }
}

/// Ends nothing, the process, or the power.
fn ends(fixture: &mut Fixture, id: ThreadId, end: End) {
    match end {
        End::Nothing => fixture.store.release(id),
        End::Process => fixture.restart(),
        End::Power => {
            fixture.layer.cut_power().unwrap();
            fixture.restart();
        }
    }
}

/// Fails the disk at this step, and then ends nothing, the process or the power. Returns whether the move was
/// refused.
async fn failing_move((from, to): (Place, Place), fault: DiskFault, end: End) -> bool {
    let case = format!("{from:?} to {to:?}, {fault:?}, {end:?}");
    let id = thread(1);
    let mut fixture = standing(id, from).await;
    fixture.layer.set_fault(Some(fault));
    let answer = put(&fixture.store, id, to).await;
    fixture.layer.set_fault(None);
    ends(&mut fixture, id, end);
    let there = found(&fixture, id, &case).await;
    if there != from {
        let marked = fixture.store.open_markers().await.unwrap();
        assert_eq!(marked, [id], "{case}: nobody would look for it in the lists");
    }
    match &answer {
        Ok(()) => assert_eq!(there, to, "{case}: acknowledged"),
        Err(_) => assert!(there == from || there == to, "{case}: {there:?}"),
    }
    if answer.is_err() && fault.times == 1 && end != End::Power {
        assert_eq!(there, from, "{case}: refused, and done all the same");
    }
    // A repeated move succeeds, durably.
    if there == from {
        put(&fixture.store, id, to).await.unwrap();
        fixture.layer.cut_power().unwrap();
        fixture.restart();
        assert_eq!(found(&fixture, id, &case).await, to);
    } else if there != Place::Trash {
        // Records that were loaded and sent to clients are on disk.
        fixture.layer.cut_power().unwrap();
        fixture.restart();
        assert_eq!(found(&fixture, id, &case).await, there, "{case}: told, and then lost");
    }
    answer.is_err()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Nothing,
    Process,
    Power,
}

#[tokio::test]
async fn a_failure_at_every_step_of_a_move_leaves_the_thread_whole_in_one_place() {
    for (from, to) in MOVES {
        let whole = standing(thread(1), from).await;
        let before = whole.layer.done().len();
        put(&whole.store, thread(1), to).await.unwrap();
        let operations = before..whole.layer.done().len();
        assert!(operations.len() >= 6, "{operations:?}: the move is too small");
        let mut refused = 0;
        for at in operations.clone() {
            for fails in [Fails::Before, Fails::After] {
                for times in [1, 2, 3, usize::MAX] {
                    for end in [End::Nothing, End::Process, End::Power] {
                        let fault = DiskFault { at, times, fails, kind: io::ErrorKind::StorageFull };
                        refused += usize::from(failing_move((from, to), fault, end).await);
                    }
                }
            }
        }
        assert_eq!(refused, operations.len() * 2 * 4 * 3, "every step is needed");
    }
}

#[tokio::test]
async fn the_power_may_go_between_any_two_steps() {
    for (from, to) in MOVES {
        let id = thread(1);
        for steps in 0.. {
            let mut fixture = standing(id, from).await;
            let at = fixture.layer.done().len() + steps;
            // Nothing runs from here on, not even the undo.
            let fault = DiskFault { at, times: usize::MAX, fails: Fails::Before, kind: io::ErrorKind::Other };
            fixture.layer.set_fault(Some(fault));
            let answer = put(&fixture.store, id, to).await;
            fixture.layer.cut_power().unwrap();
            fixture.restart();
            let case = format!("{from:?} to {to:?}, the power goes after {steps} steps");
            let there = found(&fixture, id, &case).await;
            assert!(there == from || there == to, "{case}: {there:?}");
            if answer.is_ok() {
                assert_eq!(there, to, "{case}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_stands_in_the_way_is_not_written_over() {
    let id = thread(1);
    let fixture = standing(id, Place::Threads).await;
    let other = fixture.paths.archived().join("01");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join(format!("{id}.jsonl")), "kept").unwrap();
    let refused = put(&fixture.store, id, Place::Archive).await.unwrap_err();
    assert!(refused.to_string().contains("is there already"), "{refused}");
    assert_eq!(fs::read(other.join(format!("{id}.jsonl"))).unwrap(), b"kept");
    assert_eq!(fixture.store.threads().await.unwrap(), [id], "listed once");
    assert_eq!(fixture.store.archived().await.unwrap(), [], "where it is read");
    assert_eq!(fixture.store.load(id).await.unwrap().end, listed_history(id));
}

#[tokio::test]
async fn only_what_skein_put_into_the_trash_is_purged() {
    let id = thread(1);
    let fixture = standing(id, Place::Threads).await;
    put(&fixture.store, id, Place::Trash).await.unwrap();
    let trash = fixture.paths.trash();
    let name = trash.join(format!("{id}.5.jsonl"));
    assert!(name.exists(), "it says when it was deleted");
    let others = ["notes.txt", "1.jsonl", &format!("{id}.jsonl"), &format!("{id}.x.jsonl")];
    for other in others {
        fs::write(trash.join(other), "kept").unwrap();
    }
    symlink(trash.join("notes.txt"), trash.join(format!("{id}.4.jsonl"))).unwrap();
    assert_eq!(fixture.store.purge(WallMs(6)).await.unwrap(), 1);
    assert!(!name.exists());
    assert_eq!(fs::read_dir(trash).unwrap().count(), others.len() + 1);
}

#[tokio::test]
async fn the_last_change_is_that_of_folders_and_of_names_in_the_trash() {
    let id = thread(1);
    let fixture = Fixture::new();
    assert_eq!(fixture.store.last_change().await.unwrap(), None);
    let before = skein_base::clock::Clock.wall();
    fixture
        .store
        .append(lease(id), EventSeq(0), LogEntry::of(listed_history(id), Keep::Power))
        .await
        .unwrap();
    // A file system has its own clock, which may tick more rarely.
    assert!(fixture.store.last_change().await.unwrap() > Some(WallMs(before.0 - 60_000)));
    let later = WallMs(before.0 + 1_000_000);
    fixture.store.trash(lease(id), later).await.unwrap();
    assert_eq!(fixture.store.last_change().await.unwrap(), Some(later));
}

/// Reads while the thread moves between locations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_always_finds_a_thread_that_moves_between_locations() {
    let id = thread(1);
    let fixture = standing(id, Place::Threads).await;
    let moves = async {
        for round in 0..300 {
            let place = if round % 2 == 0 { Place::Archive } else { Place::Threads };
            put(&fixture.store, id, place).await.unwrap();
        }
    };
    let reads = async {
        loop {
            assert!(fixture.store.exists(id).await.unwrap());
            assert_eq!(fixture.store.threads().await.unwrap(), [id]);
            assert_eq!(fixture.store.read_back(id, None, 9).await.unwrap().records, listed_history(id));
        }
    };
    tokio::select! { () = moves => {} () = reads => {} }
}

/// The home of [`standing`] with one location on another file system; `None` on a machine without one.
async fn standing_apart(id: ThreadId, from: Place, apart: &str) -> Option<(Fixture, TempDir)> {
    use std::os::unix::fs::MetadataExt;
    let disk = TempDir::new_in("/dev/shm").ok()?;
    let mut fixture = Fixture::new();
    let device = |path: &std::path::Path| fs::metadata(path).unwrap().dev();
    let home = fixture.paths.root().to_owned();
    if device(disk.path()) == device(&home) {
        return None;
    }
    fs::remove_dir(home.join(apart)).ok();
    symlink(disk.path(), home.join(apart)).unwrap();
    fixture.restart();
    fixture
        .store
        .append(lease(id), EventSeq(0), LogEntry::of(listed_history(id), Keep::Power))
        .await
        .unwrap();
    put(&fixture.store, id, from).await.unwrap();
    fixture.restart();
    fixture.store.load(id).await.unwrap();
    Some((fixture, disk))
}

#[tokio::test]
async fn a_thread_is_moved_from_one_file_system_to_another() {
    let id = thread(1);
    for apart in ["threads", "archived"] {
        for (from, to) in MOVES {
            let Some((mut fixture, _disk)) = standing_apart(id, from, apart).await else { return };
            put(&fixture.store, id, to).await.unwrap();
            fixture.layer.cut_power().unwrap();
            fixture.restart();
            assert_eq!(found(&fixture, id, &format!("{from:?} to {to:?}, {apart}")).await, to);
        }
    }
}

#[tokio::test]
async fn a_failure_at_every_step_of_a_move_to_another_file_system_loses_nothing() {
    let id = thread(1);
    for (from, to) in MOVES {
        let Some((whole, _disk)) = standing_apart(id, from, "archived").await else { return };
        let before = whole.layer.done().len();
        put(&whole.store, id, to).await.unwrap();
        let operations = before..whole.layer.done().len();
        for at in operations {
            for (fails, times) in [(Fails::Before, 1), (Fails::After, 1), (Fails::Before, usize::MAX)] {
                for end in [End::Nothing, End::Power] {
                    let fault = DiskFault { at, times, fails, kind: io::ErrorKind::StorageFull };
                    failing_move_apart((from, to), fault, end).await;
                }
            }
        }
    }
}

/// Fails the disk at this step of a move to another file system. Afterwards all of the thread is readable, or it is
/// at the new location. A repeated move puts it there once.
async fn failing_move_apart((from, to): (Place, Place), fault: DiskFault, end: End) {
    let case = format!("{from:?} to {to:?}, {fault:?}, {end:?}");
    let id = thread(1);
    let Some((mut fixture, _disk)) = standing_apart(id, from, "archived").await else { return };
    fixture.layer.set_fault(Some(fault));
    let answer = put(&fixture.store, id, to).await;
    fixture.layer.set_fault(None);
    ends(&mut fixture, id, end);
    match fixture.store.load(id).await {
        Ok(loaded) => {
            assert_eq!(loaded.end, listed_history(id), "{case}");
            assert_eq!(fixture.store.threads().await.unwrap(), [id], "{case}: listed once");
            put(&fixture.store, id, to).await.unwrap();
            fixture.layer.cut_power().unwrap();
            fixture.restart();
        }
        Err(ReadError::Missing(_)) => assert_eq!(to, Place::Trash, "{case}: lost"),
        Err(error) => panic!("{case}: {error}"),
    }
    if answer.is_ok() || to != Place::Trash {
        assert_eq!(found(&fixture, id, &case).await, to);
    }
}

#[tokio::test]
async fn a_failure_at_every_step_of_replacing_a_rollout_on_another_file_system_keeps_one_of_the_two() {
    let id = thread(1);
    let (location, old) = (Location::Active, listed_history(id));
    let new: Vec<Record> = old.iter().cloned().chain([Record { seq: EventSeq(5), ..opened(5, 1) }]).collect();
    let Some((whole, _disk)) = standing_apart(id, Place::Threads, "threads").await else { return };
    whole.store.release(id);
    let before = whole.layer.done().len();
    whole.store.put(id, location, new.clone()).await.unwrap();
    for at in before..whole.layer.done().len() {
        for (fails, times) in [(Fails::Before, 1), (Fails::After, 1), (Fails::Before, usize::MAX)] {
            let Some((mut fixture, _disk)) = standing_apart(id, Place::Threads, "threads").await else {
                return;
            };
            fixture.store.release(id);
            let fault = DiskFault { at, times, fails, kind: io::ErrorKind::StorageFull };
            fixture.layer.set_fault(Some(fault));
            let answer = fixture.store.put(id, location, new.clone()).await;
            fixture.layer.set_fault(None);
            fixture.restart();
            let there = fixture.store.load(id).await.map(|loaded| loaded.end);
            let there = there.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            assert!(there == new || (there == old && answer.is_err()), "{fault:?}: {answer:?}, {there:?}");
            fixture.store.put(id, location, new.clone()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_rollout_is_made_on_another_file_system() {
    let id = thread(1);
    for apart in ["threads", "archived"] {
        let Some((fixture, _disk)) = standing_apart(id, Place::Threads, apart).await else { return };
        let copied = fixture.store.copy(id, EventSeq(4), lease(thread(2)), Vec::new()).await;
        copied.unwrap();
        fixture.store.put(thread(3), Location::Archived, listed_history(thread(3))).await.unwrap();
        for other in [thread(2), thread(3)] {
            assert!(!fixture.store.load(other).await.unwrap().end.is_empty(), "{apart}: {other}");
        }
        assert_eq!(
            fs::read_dir(fixture.paths.open_markers())
                .unwrap()
                .flatten()
                .filter(|entry| { entry.path().extension().is_some_and(|end| end == "part") })
                .count(),
            0,
            "nothing half made is left"
        );
    }
}
