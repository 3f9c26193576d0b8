use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fault::{FaultLayer, Op};
use layer::OpenMode;
use tempfile::TempDir;

use super::*;
use crate::home::{FILE_MODE, FOLDER_MODE, HomePaths};
use crate::rollout::conformance::keeps_every_promise;
use crate::rollout::{DiskKind, Keep, line};
use crate::testing::{closed, lease, named, names, opened, thread};

mod blobs;
mod damage;
mod ends;
mod evasive;
mod faults;
mod locations;
mod power;
mod secrets;

/// A home with a file store over a fault layer.
struct Fixture {
    store: FileStore,
    layer: FaultLayer,
    paths: HomePaths,
    _dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = HomePaths::new(dir.path());
        for folder in [paths.threads(), paths.open_markers()] {
            fs::create_dir(folder).unwrap();
        }
        let layer = FaultLayer::new();
        let store = FileStore::open(&paths, Arc::new(layer.clone()), Tasks::new()).unwrap();
        Self { store, layer, paths, _dir: dir }
    }

    /// The same home, as the next server finds it.
    fn restart(&mut self) {
        self.layer = FaultLayer::new();
        self.store = FileStore::open(&self.paths, Arc::new(self.layer.clone()), Tasks::new()).unwrap();
    }

    fn path(&self, thread: ThreadId) -> PathBuf {
        self.store.shared.places.rollout(thread)
    }

    /// Makes the rollout's file from bytes.
    fn write(&self, thread: ThreadId, bytes: &[u8]) {
        let path = self.path(thread);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn lines(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        line::encode(record, &mut bytes).unwrap();
    }
    bytes
}

/// A text that is too large for a line.
fn large() -> String {
    "ein langer Text 🧵 ".repeat(crate::policy::BLOB_LINE / 20 + 1)
}

#[tokio::test]
async fn keeps_every_promise_of_a_store() {
    keeps_every_promise(async || {
        let Fixture { store, layer, _dir, .. } = Fixture::new();
        ((layer, _dir), store)
    })
    .await;
}

#[tokio::test]
async fn power_returns_after_the_syncs_and_process_does_not_sync() {
    let fixture = Fixture::new();
    let id = thread(0x2a);
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process)).await.unwrap();
    let made = [Op::Open, Op::Create, Op::MakeFolder, Op::Create, Op::Write];
    let kinds = || fixture.layer.done().into_iter().map(|(op, _)| op).collect::<Vec<_>>();
    assert_eq!(kinds(), made, "a look, then the marker before anything else, and no sync");

    fixture.layer.hold(Op::Sync);
    let mut answer =
        Box::pin(fixture.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)));
    loop {
        tokio::select! {
            biased;
            early = &mut answer => panic!("answered before the sync: {early:?}"),
            () = tokio::task::yield_now() => {}
        }
        // The list shows a sync as soon as it waits.
        if kinds().last() == Some(&Op::Sync) {
            break;
        }
    }
    fixture.layer.release(Op::Sync);
    answer.await.unwrap();
    assert_eq!(kinds()[made.len()..], [Op::Write, Op::Sync, Op::SyncFolder, Op::SyncFolder]);
    let folders = fixture.layer.done().split_off(made.len() + 2);
    assert_eq!(folders[0].1, fixture.paths.threads().join("2a"), "the rollout's name");
    assert_eq!(folders[1].1, fixture.paths.threads(), "the folder's name");

    let before = kinds().len();
    fixture.store.append(lease(id), EventSeq(2), LogEntry::of(names(3, 3), Keep::Power)).await.unwrap();
    fixture.store.append(lease(id), EventSeq(3), LogEntry::of(Vec::new(), Keep::Power)).await.unwrap();
    fixture
        .store
        .append(lease(thread(0x12a)), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power))
        .await
        .unwrap();
    let expected = [
        [Op::Write, Op::Sync].as_slice(),
        &[Op::Open, Op::Create, Op::MakeFolder, Op::Create, Op::Write, Op::Sync, Op::SyncFolder],
    ];
    assert_eq!(kinds()[before..], expected.concat(), "names are synced once, and nothing twice");
}

#[tokio::test]
async fn unsynced_records_have_a_bound() {
    let fixture = Fixture::new();
    let id = thread(1);
    let large = "x".repeat(crate::policy::ROLLOUT_UNSYNCED / 2);
    for seq in 1..=3 {
        let expected = EventSeq(seq - 1);
        fixture
            .store
            .append(lease(id), expected, LogEntry::of(vec![named(seq, &large)], Keep::Process))
            .await
            .unwrap();
    }
    assert_eq!(fixture.store.counts().syncs, 1);
}

#[tokio::test]
async fn files_and_folders_are_private() {
    let fixture = Fixture::new();
    let id = thread(0xff);
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let path = fixture.path(id);
    assert!(path.ends_with(format!("threads/ff/{id}.jsonl")), "{}", path.display());
    assert_eq!(mode(path.parent().unwrap().to_owned()), FOLDER_MODE);
    assert_eq!(mode(path), FILE_MODE);
    assert_eq!(mode(fixture.paths.open_markers().join(id.to_string())), FILE_MODE);
}

#[tokio::test]
async fn a_rollout_that_is_no_file_is_refused_and_does_not_hang() {
    let fixture = Fixture::new();
    let target = fixture.paths.root().join("target.jsonl");
    fs::write(&target, lines(&names(1, 3))).unwrap();
    let things: [(&str, &dyn Fn(PathBuf)); 4] = [
        ("no regular file", &|path| nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap()),
        ("symbolic link", &|path| symlink(&target, path).unwrap()),
        ("folder", &|path| fs::create_dir(path).unwrap()),
        ("socket", &|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
    ];
    for (n, (what, make)) in things.iter().enumerate() {
        let id = thread(n as u128);
        fs::create_dir_all(fixture.path(id).parent().unwrap()).unwrap();
        make(fixture.path(id));
        let loaded = fixture.store.load(id).await.unwrap_err();
        assert!(matches!(loaded, ReadError::Unreadable { .. }), "{what}: {loaded}");
        assert!(loaded.to_string().contains(what), "{loaded} should say {what}");
        assert!(matches!(fixture.store.read_back(id, None, 1).await, Err(ReadError::Unreadable { .. })));
        assert!(fixture.store.exists(id).await.is_err());
        assert!(
            fixture
                .store
                .append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power))
                .await
                .is_err()
        );
    }
    assert_eq!(fs::read(&target).unwrap(), lines(&names(1, 3)));
    assert_eq!(fixture.store.threads().await.unwrap(), []);
}

/// A name, and a function that puts something else in the place of a folder.
type Way = (&'static str, fn(&Path));

const CLOSED: [Way; 6] = [
    ("a file", |folder| fs::write(folder, "").unwrap()),
    ("a link to itself", |folder| symlink(folder, folder).unwrap()),
    ("a link to nothing", |folder| symlink("/nowhere/at/all", folder).unwrap()),
    ("a file for one of its folders", |folder| {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("01"), "").unwrap();
    }),
    ("a link to itself for one of its folders", |folder| {
        fs::create_dir(folder).unwrap();
        symlink(folder.join("01"), folder.join("01")).unwrap();
    }),
    ("a link to nothing for one of its folders", |folder| {
        fs::create_dir(folder).unwrap();
        symlink("/nowhere/at/all", folder.join("01")).unwrap();
    }),
];

#[tokio::test]
async fn a_folder_that_cannot_be_entered_hides_no_thread() {
    let (live, archived) = (thread(1), thread(2));
    for (what, make) in CLOSED {
        let fixture = Fixture::new();
        for id in [live, archived] {
            fixture
                .store
                .append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power))
                .await
                .unwrap();
        }
        fixture.store.relocate(lease(archived), Location::Archived).await.unwrap();
        fixture.store.release(live);
        fixture.store.release(archived);
        let (folder, kept) = (fixture.paths.threads(), fixture.paths.root().join("kept"));
        fs::rename(&folder, &kept).unwrap();
        make(&folder);
        let refused = [
            fixture.store.load(live).await.map(drop),
            fixture.store.read_back(live, None, 1).await.map(drop),
            fixture.store.read_after(live, EventSeq(0), 1).await.map(drop),
            fixture.store.head(live).await.map(drop),
            fixture.store.exists(live).await.map(drop),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(ReadError::Disk { .. })), "{what}: {refused:?}");
        }
        let lost =
            fixture.store.append(lease(live), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await;
        assert!(matches!(lost, Err(AppendError::Disk { .. })), "{what}: {lost:?}");
        assert_eq!(fixture.store.load(archived).await.unwrap().head, EventSeq(1), "{what}");
        if folder.is_dir() { fs::remove_dir_all(&folder) } else { fs::remove_file(&folder) }.unwrap();
        fs::rename(&kept, &folder).unwrap();
        assert_eq!(fixture.store.load(live).await.unwrap().head, EventSeq(1), "{what}");
    }
}

#[tokio::test]
async fn a_rollout_that_was_closed_for_its_descriptor_is_opened_at_the_next_write() {
    let fixture = Fixture::new();
    let id = thread(1);
    assert_eq!(fixture.store.close_idle().await, 0);
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process)).await.unwrap();
    assert_eq!(
        (fixture.store.close_idle().await, fixture.store.counts().syncs),
        (1, 1),
        "it was saved first"
    );
    assert_eq!(fixture.store.close_idle().await, 0, "it is closed");
    let moved = fixture.path(id).with_extension("moved");
    fs::rename(fixture.path(id), &moved).unwrap();
    let refused = fixture.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await;
    assert!(matches!(refused, Err(AppendError::Disk { head: EventSeq(1), .. })), "{refused:?}");
    assert_eq!(fixture.store.close_idle().await, 0, "what has to be written again is not closed");
    fs::rename(moved, fixture.path(id)).unwrap();
    fixture.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Power)).await.unwrap();
    assert_eq!(fixture.store.close_idle().await, 1);
    fixture.store.append(lease(id), EventSeq(2), LogEntry::of(names(3, 3), Keep::Process)).await.unwrap();
    assert_eq!(fixture.store.load(id).await.unwrap().head, EventSeq(3));
    fixture.store.release(id);
    assert_eq!(fs::read(fixture.path(id)).unwrap(), lines(&names(1, 3)));

    fixture.layer.hold(Op::Write);
    let append = fixture.store.append(lease(id), EventSeq(3), LogEntry::of(names(4, 4), Keep::Process));
    tokio::select! { biased; _ = append => panic!("the write is held"), () = tokio::task::yield_now() => {} }
    assert_eq!(fixture.store.close_idle().await, 0, "it is in use");
    fixture.layer.release(Op::Write);
}

#[tokio::test]
async fn write_state_goes_with_the_release() {
    let fixture = Fixture::new();
    let slots = || fixture.store.shared.slots();
    let id = thread(1);
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process)).await.unwrap();
    assert_eq!(slots(), 1);
    fixture.store.release(id);
    assert_eq!(slots(), 0);
    fixture.store.load(thread(2)).await.unwrap_err();
    fixture
        .store
        .append(lease(thread(2)), EventSeq(5), LogEntry::of(names(6, 6), Keep::Process))
        .await
        .unwrap_err();
    fixture.store.read_after(id, EventSeq(0), 1).await.unwrap();
    assert_eq!(slots(), 0, "what failed or only read holds nothing");

    fixture.layer.hold(Op::Write);
    let append = fixture.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Process));
    tokio::select! { biased; _ = append => panic!("the write is held"), () = tokio::task::yield_now() => {} }
    fixture.store.release(id);
    assert_eq!(slots(), 1, "a write that nobody waits for still owns the file");
    fixture.layer.release(Op::Write);
    assert_eq!(fixture.store.load(id).await.unwrap().head, EventSeq(2), "the load came after it");
    fixture.store.release(id);
    assert_eq!(slots(), 0);
}

/// The append's future is dropped before a pool thread takes up its work, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_and_a_load_come_after_an_append_that_was_given_up() {
    for round in 0..200u64 {
        let fixture = Fixture::new();
        let id = thread(1);
        fixture.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Process)).await.unwrap();
        let given_up = fixture.store.append(lease(id), EventSeq(1), LogEntry::of(names(2, 2), Keep::Process));
        tokio::select! { biased; _ = given_up => {} () = std::future::ready(()) => {} }
        if round % 2 == 0 {
            fixture.store.release(id);
            assert_eq!(fixture.store.load(id).await.unwrap().head, EventSeq(2), "round {round}");
        } else {
            assert_eq!(fixture.store.head(id).await.unwrap(), EventSeq(2), "round {round}");
        }
    }
}

#[tokio::test]
async fn readers_see_what_was_acknowledged_and_nothing_else() {
    let fixture = Fixture::new();
    let id = thread(1);
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 2), Keep::Power)).await.unwrap();
    fixture.layer.fail_all(io::ErrorKind::Other);
    let at = fixture.layer.done().len();
    let fault = fault::DiskFault { at, times: 9, fails: fault::Fails::After, kind: io::ErrorKind::Other };
    fixture.layer.set_fault(Some(fault));
    fixture.store.append(lease(id), EventSeq(2), LogEntry::of(names(3, 3), Keep::Power)).await.unwrap_err();
    assert_eq!(fs::read(fixture.path(id)).unwrap(), lines(&names(1, 3)), "the bytes are there");
    assert_eq!(fixture.store.read_after(id, EventSeq(0), 9).await.unwrap().records, names(1, 2));
    assert_eq!(fixture.store.read_back(id, None, 9).await.unwrap().records, names(1, 2));
    assert_eq!(fixture.store.head(id).await.unwrap(), EventSeq(2));
}

#[tokio::test]
async fn a_page_from_the_middle_of_a_large_file_begins_where_it_should() {
    let fixture = Fixture::new();
    let id = thread(1);
    let records: Vec<Record> =
        (1..=400u64).map(|seq| named(seq, &"x".repeat(usize::try_from(seq * 37 % 2_500).unwrap()))).collect();
    let bytes = lines(&records);
    assert!(bytes.len() > 5 * crate::policy::READ_BLOCK, "several blocks, so that it is searched");
    fixture.write(id, &bytes);
    for at in 0..400usize {
        let seq = EventSeq(at as u64);
        let after = fixture.store.read_after(id, seq, 1).await.unwrap();
        assert_eq!((after.records, after.more), (vec![records[at].clone()], at < 399), "after {seq}");
        let before = fixture.store.read_back(id, Some(seq.next()), 1).await.unwrap();
        let expected: Vec<Record> = records[..at].last().cloned().into_iter().collect();
        assert_eq!((before.records, before.more), (expected, at > 1), "before {}", seq.next());
    }
}

#[tokio::test]
async fn a_completed_turn_says_where_it_began() {
    use crate::rollout::record::{RecordBody, TurnStarted};
    let fixture = Fixture::new();
    let id = thread(1);
    let status = skein_protocol::turn::TurnStatus::Completed;
    let start =
        TurnStarted { turn_id: "t".into(), input: Vec::new(), item_id: None, client_id: None, terms: None };
    let end = crate::history::History::default().turn_completed_record("t".into(), status, None);
    let record = |seq, body| Record { seq: EventSeq(seq), at: skein_base::clock::WallMs(0), body };
    let first = vec![named(1, "before"), record(2, start.into()), named(3, "between")];
    fixture.store.append(lease(id), EventSeq(0), LogEntry::of(first, Keep::Process)).await.unwrap();
    for reload in [false, true] {
        if reload {
            fixture.store.load(id).await.unwrap();
        }
        let head = fixture.store.head(id).await.unwrap();
        let records = vec![record(head.next().0, end.clone())];
        fixture.store.append(lease(id), head, LogEntry::of(records, Keep::Process)).await.unwrap();
        let last = fixture.store.read_back(id, None, 1).await.unwrap().records.remove(0);
        let RecordBody::TurnCompleted(completed) = last.body else { panic!() };
        let turn_at = lines(&[named(1, "before")]).len() as u64;
        assert_eq!(completed.place.map(|place| (place.turn_at, place.compacted_at)), Some((turn_at, None)));
    }
}
