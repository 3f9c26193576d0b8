mod archives;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use skein_base::clock::WallMs;
use skein_base::tasks::Tasks;
use skein_protocol::ids::{Epoch, EventSeq};
use skein_protocol::turn::UserInput;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;
use uuid::Uuid;

use super::make::{BackupRequest, MadeBackup, make};
use super::restore::{Restored, may, put};
use super::*;
use crate::home::{Home, Term};
use crate::policy;
use crate::rollout::file::FileStore;
use crate::rollout::file::layer::{DiskLayer, LayerFile};
use crate::rollout::record::{Record, RecordBody, ThreadClosed, ThreadNamed, ThreadOpened, TurnStarted};
use crate::rollout::{Keep, Lease, Location, LogEntry, RolloutStore};

const BOOT: Uuid = Uuid::from_u128(7);
const TERM: Term = Term(40);

fn thread(number: u128) -> ThreadId {
    Uuid::from_u128(0x0199_a8f0_5b0e_7c53_b0a5_0000_0000_0000 | number).to_string().parse().unwrap()
}

fn store(home: &Path) -> FileStore {
    drop(Home::open(home).unwrap());
    FileStore::open(&crate::home::HomePaths::new(home), Arc::new(DiskLayer), Tasks::new()).unwrap()
}

/// Appends a closed load that gives the thread a name.
async fn write(store: &FileStore, thread: ThreadId, name: &str) {
    let head = store.head(thread).await.unwrap_or(EventSeq(0));
    let opened = ThreadOpened { boot_id: BOOT, term: TERM, epoch: Epoch(3) };
    let bodies = [
        RecordBody::ThreadOpened(Box::new(opened)),
        RecordBody::ThreadNamed(Box::new(ThreadNamed { name: Some(name.to_owned()) })),
        RecordBody::ThreadClosed(Box::new(ThreadClosed {})),
    ];
    let at = skein_base::clock::Clock.wall();
    let records =
        (head.0 + 1..).zip(bodies).map(|(seq, body)| Record { seq: EventSeq(seq), at, body }).collect();
    store.append(Lease { thread, term: TERM }, head, LogEntry::of(records, Keep::Process)).await.unwrap();
    store.release(thread);
}

fn read(home: &Path, location: Location, thread: ThreadId) -> Option<String> {
    fs::read_to_string(home.join(rollout(location, thread))).ok()
}

/// A home with two threads (one archived), settings and a blob; and its backup.
async fn saved() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (home, file) = (dir.path().join("home"), dir.path().join("backup"));
    let store = store(&home);
    write(&store, thread(1), "one").await;
    write(&store, thread(2), "two").await;
    store.relocate(Lease { thread: thread(2), term: TERM }, Location::Archived).await.unwrap();
    fs::write(home.join(CONFIG), "model_provider = \"echo\"\n").unwrap();
    let hash = hex(Sha256::new_with_prefix(b"a picture"));
    fs::create_dir_all(home.join(BLOBS).join(&hash[..2])).unwrap();
    fs::write(home.join(BLOBS).join(&hash[..2]).join(&hash), "a picture").unwrap();
    // A line that a server is writing.
    let torn = home.join(rollout(Location::Active, thread(1)));
    fs::OpenOptions::new().append(true).open(&torn).unwrap().write_all(b"{\"v\":1,\"seq\":4").unwrap();
    backup(&home, &file, false).unwrap();
    (dir, home, file)
}

fn backup(home: &Path, file: &Path, force: bool) -> Result<MadeBackup, BackupError> {
    make(BackupRequest { home, file, force, secrets: false }, |_| {})
}

/// Restores like the sub-command.
async fn restore(home: &Path, file: &Path, force: bool) -> Result<Restored, BackupError> {
    may(home, force)?;
    let checked = check::check(file, &mut |_| {})?;
    let mut owned = Home::take(home, restore::DOING)?;
    put(&mut owned, file, &checked, force, &mut |_, _| {}).await
}

#[tokio::test]
async fn a_restored_thread_has_its_location_and_begins_a_new_epoch() {
    let (dir, home, file) = saved().await;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!dir.path().join("backup.part").exists());
    let other = dir.path().join("other");
    let restored = restore(&other, &file, false).await.unwrap();
    assert_eq!(restored, Restored { threads: 2, there: 0, config: true, resumed: false });
    for (location, number) in [(Location::Active, 1), (Location::Archived, 2)] {
        let (was, is) =
            (read(&home, location, thread(number)).unwrap(), read(&other, location, thread(number)).unwrap());
        let whole = &was[..=was.rfind('\n').unwrap()];
        assert!(is.starts_with(whole) && is.len() > whole.len(), "{is}");
    }
    assert_eq!(fs::read(home.join(CONFIG)).unwrap(), fs::read(other.join(CONFIG)).unwrap());
    assert!(other.join(BLOBS).read_dir().unwrap().next().is_some());
    assert!(!other.join("restore.new").exists() && !other.join("restore.ready").exists());
    // A later owner may write behind an owner with a higher term, and begins a new epoch.
    let owned = Home::open(&other).unwrap();
    assert!(owned.term() > TERM, "{:?}", owned.term());
    let store = FileStore::open(owned.paths(), Arc::new(DiskLayer), Tasks::new()).unwrap();
    let loaded = store.load(thread(1)).await.unwrap();
    assert_eq!((loaded.next_epoch(BOOT), loaded.head), (Epoch(4), EventSeq(4)));
}

/// The backup of a home that is served has threads in the middle of a turn.
#[tokio::test]
async fn a_restored_thread_with_an_open_turn_is_marked_for_the_next_server_and_others_are_not() {
    let (dir, home, file) = saved().await;
    let store = store(&home);
    let (turn_id, input) = ("turn".into(), vec![UserInput::text("words")]);
    let begun = TurnStarted { turn_id, input, item_id: None, client_id: None, terms: None };
    let record = Record { seq: EventSeq(1), at: WallMs(0), body: begun.into() };
    let open = Lease { thread: thread(3), term: TERM };
    store.append(open, EventSeq(0), LogEntry::of(vec![record], Keep::Power)).await.unwrap();
    backup(&home, &file, true).unwrap();
    let other = dir.path().join("other");
    assert_eq!(restore(&other, &file, false).await.unwrap().threads, 3);
    let owned = Home::open(&other).unwrap();
    let store = FileStore::open(owned.paths(), Arc::new(DiskLayer), Tasks::new()).unwrap();
    assert_eq!(store.open_markers().await.unwrap(), [thread(3)]);
}

/// The text of all files in a backup, their names included.
fn unpacked(file: &Path) -> String {
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(file).unwrap()).read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn sessions_and_tokens_are_in_no_backup() {
    let (_dir, home, file) = saved().await;
    let access = crate::home::HomePaths::new(&home).access();
    fs::write(&access, "{\"sha256\": \"of a token\"}").unwrap();
    for secrets in [false, true] {
        make(BackupRequest { home: &home, file: &file, force: true, secrets }, |_| {}).unwrap();
        let text = unpacked(&file);
        assert!(text.contains("model_provider"), "the settings are in it");
        assert!(!text.contains("access.json") && !text.contains("of a token"));
    }
}

#[tokio::test]
async fn secrets_of_threads_are_in_it_only_where_that_was_asked_for() {
    let (dir, home, file) = saved().await;
    let at = secrets(thread(1));
    fs::create_dir_all(home.join(&at).parent().unwrap()).unwrap();
    fs::write(home.join(&at), "{\"model\":\"s3cret\"}").unwrap();
    backup(&home, &file, true).unwrap();
    let without = dir.path().join("without");
    restore(&without, &file, false).await.unwrap();
    assert!(!without.join(&at).exists());
    make(BackupRequest { home: &home, file: &file, force: true, secrets: true }, |_| {}).unwrap();
    let with = dir.path().join("with");
    restore(&with, &file, false).await.unwrap();
    assert_eq!(fs::read(with.join(&at)).unwrap(), fs::read(home.join(&at)).unwrap());
    assert_eq!(fs::metadata(with.join(&at)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_thread_that_moves_during_a_backup_is_in_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let (home, file) = (dir.path().join("home"), dir.path().join("backup"));
    let store = store(&home);
    for number in 0..20 {
        write(&store, thread(number), "n").await;
    }
    let order = BackupRequest { home: &home, file: &file, force: false, secrets: false };
    let made = make(order, |BackupProgress { done, .. }| {
        let (from, to) =
            if done % 2 == 0 { (LOCATIONS[0], LOCATIONS[1]) } else { (LOCATIONS[1], LOCATIONS[0]) };
        for number in 0..20 {
            let to = home.join(rollout(to, thread(number)));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::rename(home.join(rollout(from, thread(number))), to).unwrap();
        }
    });
    assert_eq!(made.unwrap().threads, 20);
    assert_eq!(check::check(&file, &mut |_| {}).unwrap().files, 20);
}

#[tokio::test]
async fn a_file_that_is_there_is_replaced_only_when_asked() {
    let (_dir, home, file) = saved().await;
    let before = fs::read(&file).unwrap();
    assert!(matches!(backup(&home, &file, false), Err(BackupError::Exists(_))));
    assert_eq!(fs::read(&file).unwrap(), before);
    fs::write(&file, "something else").unwrap();
    assert_eq!(backup(&home, &file, true).unwrap().threads, 2);
    assert!(check::check(&file, &mut |_| {}).is_ok());
    assert!(matches!(
        backup(&home.join("nowhere"), &file, true),
        Err(BackupError::Home(HomeError::NoHome(_)))
    ));
}

#[tokio::test]
async fn a_backup_that_is_cut_short_or_changed_anywhere_is_refused_before_anything_is_changed() {
    let (dir, _, file) = saved().await;
    let whole = fs::read(&file).unwrap();
    let other = dir.path().join("other");
    let bad = dir.path().join("bad");
    for length in 0..whole.len() {
        fs::write(&bad, &whole[..length]).unwrap();
        let refused = restore(&other, &bad, false).await.unwrap_err();
        assert!(matches!(refused, BackupError::Damaged { .. }), "{length}: {refused}");
    }
    let expected = check::check(&file, &mut |_| {}).unwrap();
    let mut passed = Vec::new();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        fs::write(&bad, changed).unwrap();
        match check::check(&bad, &mut |_| {}) {
            Err(refused) => assert!(matches!(refused, BackupError::Damaged { .. }), "{at}: {refused}"),
            Ok(checked) => {
                assert_eq!(checked, expected);
                passed.push(at);
            }
        }
    }
    // A few bytes of gzip's own say nothing about the content: those of its head, padding bits, unused codes.
    assert!(passed.len() * 20 < whole.len(), "{passed:?} of {}", whole.len());
    fs::write(&bad, [&whole[..], b"x"].concat()).unwrap();
    assert!(restore(&other, &bad, false).await.is_err());
    assert!(!other.exists());
}

#[tokio::test]
async fn a_manifest_that_says_otherwise_is_believed() {
    let (dir, _, file) = saved().await;
    let mut plain = Vec::new();
    GzDecoder::new(fs::File::open(&file).unwrap()).read_to_end(&mut plain).unwrap();
    let bad = dir.path().join("bad");
    let text = String::from_utf8_lossy(&plain).into_owned();
    for (from, to) in [("\"one\"", "\"eno\""), ("provider = ", "provider: ")] {
        let at = text.find(from).unwrap();
        let mut changed = plain.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        let mut zip = GzEncoder::new(fs::File::create(&bad).unwrap(), flate2::Compression::fast());
        zip.write_all(&changed).unwrap();
        zip.finish().unwrap();
        let refused = check::check(&bad, &mut |_| {}).unwrap_err().to_string();
        assert!(refused.contains("is not what was saved"), "{refused}");
    }
}

#[tokio::test]
async fn a_home_that_has_something_keeps_it() {
    let (dir, home, file) = saved().await;
    let other = dir.path().join("other");
    let store = store(&other);
    write(&store, thread(1), "another one").await;
    let before = read(&other, Location::Active, thread(1));
    assert!(matches!(restore(&other, &file, false).await, Err(BackupError::NotEmpty(_))));
    fs::write(other.join(CONFIG), "").unwrap();
    let restored = restore(&other, &file, true).await.unwrap();
    assert_eq!(restored, Restored { threads: 1, there: 1, config: false, resumed: false });
    assert_eq!(read(&other, Location::Active, thread(1)), before);
    assert!(read(&other, Location::Archived, thread(2)).is_some());
    assert_eq!(fs::read(other.join(CONFIG)).unwrap(), b"");
    // A second run has nothing to do.
    let again = restore(&other, &file, true).await.unwrap();
    assert_eq!(again, Restored { threads: 0, there: 2, config: false, resumed: false });
    // A restore into its own home changes nothing either.
    let was = read(&home, Location::Active, thread(1));
    assert_eq!(restore(&home, &file, true).await.unwrap().there, 2);
    assert_eq!(read(&home, Location::Active, thread(1)), was);

    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("a letter"), "").unwrap();
    assert!(matches!(restore(&foreign, &file, true).await, Err(BackupError::Foreign(_))));
    assert_eq!(foreign.read_dir().unwrap().count(), 1);
}

#[tokio::test]
async fn a_restore_that_was_cut_off_is_brought_to_its_end_before_anybody_serves() {
    let (dir, _, file) = saved().await;
    let other = dir.path().join("other");
    // The leftover of a restore that was killed while it unpacked.
    fs::create_dir_all(other.join("restore.new/threads/01")).unwrap();
    fs::write(other.join("lock"), "").unwrap();
    // The archived thread cannot reach its place; the other one is there by then.
    let in_the_way = other.join(rollout(Location::Archived, thread(2))).parent().unwrap().to_owned();
    fs::create_dir(other.join("archived")).unwrap();
    fs::write(&in_the_way, "").unwrap();
    assert!(matches!(restore(&other, &file, false).await, Err(BackupError::Io { .. })));
    assert!(other.join("restore.ready").exists() && !other.join("restore.new").exists());
    let refused = Home::open(&other).unwrap_err().to_string();
    assert!(refused.contains("skein restore FILE"), "{refused}");

    fs::remove_file(&in_the_way).unwrap();
    let restored = restore(&other, &file, false).await.unwrap();
    assert_eq!(restored, Restored { threads: 1, there: 0, config: true, resumed: true });
    assert!(
        read(&other, Location::Active, thread(1)).is_some()
            && read(&other, Location::Archived, thread(2)).is_some()
    );
    drop(Home::open(&other).unwrap());
}

#[tokio::test]
async fn a_backup_that_ends_while_another_one_begins_stays_whole() {
    let (dir, home, _) = saved().await;
    let file = dir.path().join("twice");
    let part = make::part_of(&file);
    let late = make::open_part(&part).unwrap();
    backup(&home, &file, false).unwrap();
    let whole = fs::read(&file).unwrap();
    let locked = make::lock_part(late, &part);
    assert!(fs::read(&file).unwrap() == whole, "it was acknowledged");
    assert!(matches!(locked, Err(BackupError::Busy(busy)) if busy == part));
    check::check(&file, &mut |_| {}).unwrap();
    // The name meanwhile belongs to a third file, or to none.
    let late = make::open_part(&part).unwrap();
    fs::remove_file(&part).unwrap();
    let third = make::lock_part(make::open_part(&part).unwrap(), &part).unwrap();
    assert!(matches!(make::lock_part(late, &part), Err(BackupError::Busy(_))));
    drop(third);
    backup(&home, &file, true).unwrap();
    check::check(&file, &mut |_| {}).unwrap();
}

/// A folder on another file system than the test's, if the machine has one.
fn on_another_disk(beside: &Path) -> Option<TempDir> {
    let other = TempDir::new_in("/dev/shm").ok()?;
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    (device(other.path()) != device(beside)).then_some(other)
}

#[tokio::test]
async fn a_home_with_a_folder_on_another_disk_is_restored() {
    let (dir, home, file) = saved().await;
    for name in ["threads", "archived", BLOBS] {
        let Some(disk) = on_another_disk(dir.path()) else { return };
        let other = dir.path().join(name);
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(disk.path(), other.join(name)).unwrap();
        fs::write(other.join("lock"), "").unwrap();
        let restored = restore(&other, &file, false).await.unwrap();
        assert_eq!(restored, Restored { threads: 2, there: 0, config: true, resumed: false }, "{name}");
        for (location, number) in [(Location::Active, 1), (Location::Archived, 2)] {
            let path = rollout(location, thread(number));
            assert!(read(&other, location, thread(number)).is_some(), "{name}: {path}");
            let written = |home: &Path| fs::metadata(home.join(&path)).unwrap().modified().unwrap();
            let seconds =
                |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            assert_eq!(seconds(written(&other)), seconds(written(&home)), "{name}");
        }
        let below = |folder: PathBuf| folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let blobs: Vec<PathBuf> = below(other.join(BLOBS)).flat_map(below).collect();
        let mode = fs::metadata(&blobs[0]).unwrap().permissions().mode() & 0o777;
        assert_eq!((fs::read(&blobs[0]).unwrap(), mode), (b"a picture".to_vec(), 0o600), "{name}");
        let left: Vec<PathBuf> = below(disk.path().to_owned()).flat_map(below).collect();
        assert_eq!(left.len(), 1, "nothing else is left there: {left:?}");
        drop(Home::open(&other).unwrap());
    }
}

#[tokio::test]
async fn settings_behind_a_link_are_saved_and_omitted_files_are_named() {
    let (dir, home, file) = saved().await;
    let dotfile = dir.path().join("dotfile");
    fs::rename(home.join(CONFIG), &dotfile).unwrap();
    std::os::unix::fs::symlink(&dotfile, home.join(CONFIG)).unwrap();
    let made = backup(&home, &file, true).unwrap();
    assert!(made.left_out.is_empty(), "{made:?}");
    let other = dir.path().join("other");
    assert!(restore(&other, &file, false).await.unwrap().config);
    assert_eq!(fs::read(other.join(CONFIG)).unwrap(), fs::read(&dotfile).unwrap());

    fs::remove_file(&dotfile).unwrap();
    let in_the_way = home.join(rollout(Location::Active, thread(1)));
    fs::remove_file(&in_the_way).unwrap();
    fs::create_dir(&in_the_way).unwrap();
    let empty = home.join(rollout(Location::Archived, thread(2)));
    fs::write(&empty, "{").unwrap();
    let left = backup(&home, &file, true).unwrap().left_out;
    let said: Vec<(&Path, &str)> = left.iter().map(|left| (&*left.path, &*left.why)).collect();
    let gone = format!("it is a link to {}, which is not there", dotfile.display());
    let config = home.join(CONFIG);
    assert_eq!(
        said,
        [(&*config, &*gone), (&*in_the_way, "it is no regular file"), (&*empty, "it has no whole record")]
    );
}

/// A file whose end disappears at the first read, `cuts` times.
struct Shrinking {
    length: AtomicU64,
    cuts: AtomicU64,
}

impl LayerFile for Shrinking {
    fn len(&self) -> io::Result<u64> {
        Ok(self.length.load(Relaxed))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset == 0 && self.len()? > 2 && self.cuts.load(Relaxed) > 0 {
            self.cuts.fetch_sub(1, Relaxed);
            self.length.fetch_sub(2, Relaxed);
        }
        let left = usize::try_from(self.len()?.saturating_sub(offset)).unwrap().min(bytes.len());
        for (at, byte) in (offset..).zip(&mut bytes[..left]) {
            *byte = if at % 2 == 0 { b'a' } else { b'\n' };
        }
        Ok(left)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        unreachable!("a backup writes to no rollout")
    }

    fn truncate(&self, _length: u64) -> io::Result<()> {
        unreachable!("a backup cuts no rollout")
    }

    fn sync(&self) -> io::Result<()> {
        unreachable!("a backup syncs no rollout")
    }

    fn as_file(&self) -> &fs::File {
        unreachable!("a backup reads what the layer gives")
    }
}

#[test]
fn a_rollout_that_its_server_cuts_meanwhile_is_copied_again() {
    let spool = tempfile::tempfile().unwrap();
    for length in [100, policy::BACKUP_HELD + 100] {
        let cut = |cuts| Shrinking { length: AtomicU64::new(length), cuts: AtomicU64::new(cuts) };
        let (end, mut copy) = make::copied(&cut(2), &spool).unwrap().unwrap();
        let mut bytes = Vec::new();
        copy.read_to_end(&mut bytes).unwrap();
        assert_eq!((end, bytes.len() as u64), (length - 4, length - 4));
        assert!(bytes.ends_with(b"a\n"));
        assert!(make::copied(&cut(u64::MAX), &spool).unwrap().is_none(), "it is cut again and again");
    }
}
