//! Homes with one defect each. A check names it, mends or leaves it, and a second check agrees.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use skein_base::clock::WallMs;
use skein_protocol::ids::{Epoch, EventSeq};
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::SessionSource;
use skein_protocol::turn::{TurnStatus, UserInput};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::history::History;
use crate::home::{FILE_MODE, FOLDER_MODE, Home, Term};
use crate::index::sled;
use crate::rollout::file::layer::DiskLayer;
use crate::rollout::file::{TurnOffsets, encode};
use crate::rollout::record::{
    ItemCompleted, ItemStarted, Record, RecordBody, StoredSettings, ThreadClosed, ThreadCreated,
    ThreadOpened, TurnStarted,
};

mod beside;
mod blobs;
mod index;
mod links;

pub(super) fn thread(number: u128) -> ThreadId {
    ThreadId::new(Uuid::from_u128(number))
}

pub(super) fn record(seq: u64, body: impl Into<RecordBody>) -> Record {
    let at = WallMs(1_700_000_000_000 + i64::try_from(seq).unwrap() * 1_000);
    Record { seq: EventSeq(seq), at, body: body.into() }
}

/// A thread with this many turns, as its owner writes it.
pub(super) fn life(id: ThreadId, turns: u64) -> Vec<Record> {
    life_saying(id, turns, "hello")
}

/// A thread in which every message has this text.
fn life_saying(id: ThreadId, turns: u64, text: &str) -> Vec<Record> {
    let mut history = History::of(id);
    let mut records = Vec::new();
    let mut say = |history: &mut History, body: RecordBody| {
        let next = record(history.seq().0 + 1, body);
        history.apply(&next);
        records.push(next);
    };
    let settings = StoredSettings { cwd: "/somewhere".to_owned(), ..StoredSettings::default() };
    let opened = ThreadOpened { boot_id: Uuid::from_u128(1), term: Term(3), epoch: Epoch(1) };
    say(&mut history, opened.into());
    let created = ThreadCreated {
        id,
        source: SessionSource::Cli,
        thread_source: None,
        originator: None,
        cli_version: "0".to_owned(),
        forked_from: None,
        git_info: None,
        settings,
    };
    say(&mut history, created.into());
    for turn in 0..turns {
        let turn_id = format!("turn {turn}");
        let (item_id, input) = (Some(format!("user {turn}").as_str().into()), vec![UserInput::text(text)]);
        let id = || turn_id.as_str().into();
        say(&mut history, TurnStarted { turn_id: id(), input, item_id, client_id: None, terms: None }.into());
        let item = || ThreadItem::agent_message(format!("answer {turn}").as_str(), text);
        say(&mut history, ItemStarted { turn_id: id(), item: item() }.into());
        say(&mut history, ItemCompleted { turn_id: id(), item: item() }.into());
        let done = history.turn_completed_record(id(), TurnStatus::Completed, None);
        say(&mut history, done);
    }
    say(&mut history, ThreadClosed {}.into());
    encode(&mut records, 0, TurnOffsets::default()).unwrap();
    records
}

/// A cleanly closed home with three threads. One is archived and one deleted.
struct Made {
    dir: TempDir,
    paths: HomePaths,
}

const KEPT: u128 = 0x0a;
const ARCHIVED: u128 = 0x0b;
const DELETED: u128 = 0x0c;

impl Made {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        drop(Home::open(dir.path()).unwrap());
        let paths = HomePaths::new(dir.path());
        let made = Self { dir, paths };
        made.write("threads/0a", &format!("{}.jsonl", thread(KEPT)), &lines(thread(KEPT), 2));
        made.write("archived/0b", &format!("{}.jsonl", thread(ARCHIVED)), &lines(thread(ARCHIVED), 1));
        made.write("trash", &format!("{}.1700000000000.jsonl", thread(DELETED)), &lines(thread(DELETED), 1));
        made
    }

    fn write(&self, folder: &str, name: &str, bytes: &[u8]) -> PathBuf {
        let mut at = self.dir.path().to_owned();
        for part in Path::new(folder) {
            at.push(part);
            if !at.exists() {
                fs::create_dir(&at).unwrap();
                fs::set_permissions(&at, fs::Permissions::from_mode(FOLDER_MODE)).unwrap();
            }
        }
        let path = at.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(FILE_MODE)).unwrap();
        path
    }

    fn kept(&self) -> PathBuf {
        self.dir.path().join(format!("threads/0a/{}.jsonl", thread(KEPT)))
    }

    async fn look(&self, mend: Mend) -> (FsckSummary, Vec<FsckFinding>) {
        self.look_at(&FsckRequest { mend, ..FsckRequest::default() }).await
    }

    async fn look_at(&self, order: &FsckRequest) -> (FsckSummary, Vec<FsckFinding>) {
        let mut findings = Vec::new();
        let mut notify = |notify: FsckNotice<'_>| {
            if let FsckNotice::Finding(finding) = notify {
                findings.push(finding.clone());
            }
        };
        let summary = run(self.dir.path(), order, &mut notify).await.unwrap();
        (summary, findings)
    }

    fn contents(&self) -> Vec<(PathBuf, u32, Vec<u8>)> {
        let (mut found, mut folders) = (Vec::new(), vec![self.dir.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let seen = fs::symlink_metadata(&path).unwrap();
                if seen.is_dir() {
                    folders.push(path.clone());
                }
                let bytes = if seen.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
                found.push((path, seen.permissions().mode(), bytes));
            }
        }
        found.sort();
        found
    }
}

fn lines(id: ThreadId, turns: u64) -> Vec<u8> {
    encode(&mut life(id, turns), 0, TurnOffsets::default()).unwrap().bytes
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// The offset of a line.
fn line_at(bytes: &[u8], number: usize) -> usize {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    [0].into_iter().chain(ends).nth(number).unwrap()
}

type Plant = fn(&Made);

/// The planted defects, each with the kind that a check names, and whether it can be mended without loss.
const FAULTS: [(Defect, FindingOutcome, Plant); 21] = [
    (Defect::TornEnd, FindingOutcome::Mended, |made| {
        edit(&made.kept(), |bytes| bytes.extend(b"{\"v\":1,\"seq\""))
    }),
    (Defect::Damage, FindingOutcome::Left, |made| edit(&made.kept(), |bytes| bytes.extend(b"{\"v\":1}\n"))),
    (Defect::Damage, FindingOutcome::Left, |made| {
        edit(&made.kept(), |bytes| {
            let at = line_at(bytes, 4) + 20;
            bytes[at] ^= 1;
        });
    }),
    (Defect::Damage, FindingOutcome::Left, |made| edit(&made.kept(), |bytes| bytes.extend(b"one\ntwo\n"))),
    (Defect::Unreadable, FindingOutcome::Left, |made| fs::write(made.kept(), "not\nours\n").unwrap()),
    (Defect::Begun, FindingOutcome::Mended, |made| fs::write(made.kept(), "{\"v\":1,").unwrap()),
    (Defect::Identity, FindingOutcome::Left, |made| fs::write(made.kept(), lines(thread(7), 2)).unwrap()),
    (Defect::Close, FindingOutcome::Left, |made| {
        edit(&made.kept(), |bytes| {
            let last = record(12, ThreadClosed {});
            crate::rollout::line::encode(&last, bytes).unwrap();
        });
    }),
    (Defect::Foreign, FindingOutcome::Left, |made| drop(made.write("threads/0a", "notes.txt", b"mine"))),
    (Defect::Foreign, FindingOutcome::Left, |made| drop(made.write("open", "notes.txt", b"mine"))),
    (Defect::NotRegular, FindingOutcome::Left, |made| {
        symlink(made.kept(), made.dir.path().join(format!("threads/0a/{}.jsonl", thread(0x10a)))).unwrap();
    }),
    (Defect::WrongFolder, FindingOutcome::Left, |made| {
        made.write("threads/0a", &format!("{}.jsonl", thread(0x2d)), &lines(thread(0x2d), 1));
    }),
    (Defect::Twice, FindingOutcome::Left, |made| {
        made.write("archived/0a", &format!("{}.jsonl", thread(KEPT)), &lines(thread(KEPT), 2));
    }),
    (Defect::MarkerAlone, FindingOutcome::Mended, |made| {
        drop(made.write("open", &thread(99).to_string(), b""))
    }),
    (Defect::Unmarked, FindingOutcome::Mended, |made| {
        edit(&made.kept(), |bytes| {
            let last = line_at(bytes, 9);
            bytes.truncate(last);
        });
    }),
    (Defect::NoFolder, FindingOutcome::Mended, |made| fs::remove_dir(made.dir.path().join("open")).unwrap()),
    (Defect::Mode, FindingOutcome::Mended, |made| {
        fs::set_permissions(made.kept(), fs::Permissions::from_mode(0o644)).unwrap();
    }),
    (Defect::Mode, FindingOutcome::Mended, |made| {
        fs::set_permissions(made.dir.path().join("trash"), fs::Permissions::from_mode(0o755)).unwrap();
    }),
    (Defect::Leftover, FindingOutcome::Mended, |made| {
        made.write("open", &format!("{}.part", thread(5)), b"half");
    }),
    (Defect::ServerJson, FindingOutcome::Mended, |made| {
        made.write(
            "",
            "server.json",
            br#"{"pid":1,"term":1,"startId":"00000000-0000-0000-0000-000000000001","addresses":[]}"#,
        );
    }),
    (Defect::Lock, FindingOutcome::Left, |made| fs::write(made.dir.path().join("lock"), "what").unwrap()),
];

#[tokio::test]
async fn a_home_that_was_left_well_is_clean_and_is_not_touched() {
    let made = Made::new();
    let before = made.contents();
    let (summary, findings) = made.look(Mend::No).await;
    assert_eq!(findings, []);
    assert_eq!((summary.rollouts, summary.open, summary.exit_code()), (3, 0, 0));
    made.look(Mend::Yes).await;
    assert_eq!(made.contents(), before);
}

#[tokio::test]
async fn each_fault_is_named_mended_or_left_and_a_second_look_agrees() {
    for (number, (kind, outcome, plant)) in FAULTS.into_iter().enumerate() {
        let made = Made::new();
        plant(&made);
        let case = format!("fault {number}, {kind:?}");
        let before = made.contents();
        let (summary, found) = made.look(Mend::No).await;
        assert_eq!(found.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [kind], "{case}: {found:?}");
        assert_eq!((found[0].outcome, summary.exit_code()), (FindingOutcome::Found, 4), "{case}");
        assert_eq!(made.contents(), before, "{case}: a look changes nothing");

        let (summary, mended) = made.look(Mend::Yes).await;
        assert_eq!(mended.len(), 1, "{case}: {mended:?}");
        assert_eq!((mended[0].kind, mended[0].outcome), (kind, outcome), "{case}: {mended:?}");
        assert_eq!(summary.exit_code(), if outcome == FindingOutcome::Mended { 1 } else { 4 }, "{case}");

        let (_, again) = made.look(Mend::Yes).await;
        match outcome {
            FindingOutcome::Mended => assert_eq!(again, [], "{case}: it was mended"),
            FindingOutcome::Left | FindingOutcome::Found => {
                assert_eq!(again, mended, "{case}: it was left");
                assert_eq!(made.contents(), before, "{case}: what is left is not touched");
            }
        }
    }
}

#[tokio::test]
async fn damage_is_named_with_its_record_place_and_length() {
    let made = Made::new();
    let bytes = fs::read(made.kept()).unwrap();
    let (from, to) = (line_at(&bytes, 4), line_at(&bytes, 5));
    edit(&made.kept(), |bytes| bytes[from + 20] ^= 1);
    let (_, found) = made.look(Mend::No).await;
    assert_eq!((found[0].seq, found[0].thread), (Some(EventSeq(4)), Some(thread(KEPT))));
    assert_eq!((found[0].offset, found[0].length), (Some(from as u64), Some((to - from) as u64)));
}

#[tokio::test]
async fn a_check_cuts_off_as_much_as_a_load() {
    let tails: [&[u8]; 5] = [b"{\"v\":1,\"s", b"bad\n", b"bad\nhalf", b"one\ntwo\n", b"one\ntwo\nhalf"];
    for tail in tails {
        let (mended, loaded) = (Made::new(), Made::new());
        for made in [&mended, &loaded] {
            edit(&made.kept(), |bytes| bytes.extend(tail));
        }
        mended.look(Mend::Yes).await;
        let store = FileStore::open(&loaded.paths, Arc::new(DiskLayer), Tasks::new()).unwrap();
        crate::rollout::RolloutStore::load(&store, thread(KEPT)).await.unwrap();
        let [mended, loaded] = [mended, loaded].map(|made| fs::read(made.kept()).unwrap());
        assert_eq!(mended, loaded, "{:?}", String::from_utf8_lossy(tail));
    }
}

#[tokio::test]
async fn only_the_named_threads_are_looked_at() {
    let made = Made::new();
    edit(&made.kept(), |bytes| bytes.extend(b"torn"));
    edit(&made.dir.path().join(format!("archived/0b/{}.jsonl", thread(ARCHIVED))), |bytes| {
        bytes.extend(b"torn")
    });
    made.write("open", "notes.txt", b"");
    let order = FsckRequest { threads: [thread(ARCHIVED)].into(), ..FsckRequest::default() };
    let (summary, found) = made.look_at(&order).await;
    assert_eq!((summary.rollouts, found.len()), (1, 1), "{found:?}");
    assert_eq!((found[0].kind, found[0].thread), (Defect::TornEnd, Some(thread(ARCHIVED))));
}

#[tokio::test]
async fn a_folder_that_is_no_home_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = run(dir.path(), &FsckRequest::default(), &mut |_| ()).await;
    assert!(matches!(refused, Err(FsckError::Home(HomeError::NoHome(_)))), "{refused:?}");
}

#[tokio::test]
async fn a_rollout_that_an_editor_has_saved_with_other_line_ends_is_well() {
    let made = Made::new();
    let text = fs::read_to_string(made.kept()).unwrap();
    fs::write(made.kept(), text.replace('\n', "\r\n")).unwrap();
    let (_, findings) = made.look(Mend::No).await;
    assert_eq!(findings, []);
}

/// The marker has come to its place, and the rollout comes when the restore goes on.
#[tokio::test]
async fn the_marker_of_a_rollout_in_an_interrupted_restore_stays() {
    let made = Made::new();
    let name = thread(0x0d).to_string();
    made.write("restore.ready/threads/0d", &format!("{name}.jsonl"), &lines(thread(0x0d), 1));
    let marker = made.write("open", &name, b"");
    let (_, found) = made.look(Mend::Yes).await;
    assert!(found.iter().all(|finding| finding.kind != Defect::MarkerAlone), "{found:?}");
    assert!(marker.exists());
}
