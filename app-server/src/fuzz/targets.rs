//! The targets, and the promises of each.

use std::sync::Arc;
use std::{fs, io};

use skein_base::clock::WallMs;
use skein_base::tasks::Tasks;
use skein_protocol::ids::{EventSeq, ThreadId};
use skein_provider::http::form::WireForm;
use skein_provider::http::played::reads_the_same_in_pieces;
use skein_provider::{anthropic, openai_chat, openai_responses};
use skein_store::history::{History, markdown};
use skein_store::home::{HomePaths, Term};
use skein_store::rollout::blob::{BlobName, BlobRef, Lost, TextSource};
use skein_store::rollout::file::FileStore;
use skein_store::rollout::file::blobs::Blobs;
use skein_store::rollout::file::layer::DiskLayer;
use skein_store::rollout::record::{Record, ThreadClosed};
use skein_store::rollout::{Keep, Lease, LoadRepair, Location, LogEntry, RolloutStore, line};
use skein_store::testing::imported;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// A record that is read from a line, and written, reads the same.
pub(super) fn lines(bytes: &[u8]) {
    for text in bytes.split(|byte| *byte == b'\n') {
        let number = line::seq(text);
        let Some(record) = record(text) else { continue };
        assert_eq!(number, Ok(record.seq));
        again(&record);
    }
}

/// Each interface reads the same from a stream in any pieces, and ends with an answer or an error.
pub(super) fn streams(bytes: &[u8]) {
    let forms: [&dyn WireForm; 3] =
        [&openai_responses::ResponsesApi, &openai_chat::ChatApi, &anthropic::MessagesApi];
    for form in forms {
        reads_the_same_in_pieces(form, bytes);
    }
}

/// A source that has every second text.
struct EverySecond;

impl TextSource for EverySecond {
    fn text(&self, blob: &BlobRef) -> io::Result<Result<String, Lost>> {
        let lost = Lost { blob: blob.sha256, reason: "it is odd".to_owned() };
        Ok(if blob.bytes.is_multiple_of(2) { Ok("text".to_owned()) } else { Err(lost) })
    }
}

fn record(text: &[u8]) -> Option<Record> {
    Some(line::RecordLine::of(text).ok()?.record(&EverySecond).unwrap().ok()?.record)
}

fn again(record: &Record) {
    let mut written = Vec::new();
    line::encode(record, &mut written).unwrap();
    let text = written.strip_suffix(b"\n").unwrap();
    assert!(!text.contains(&b'\n'), "a record is one line");
    assert_eq!(self::record(text).as_ref(), Some(record), "{}", String::from_utf8_lossy(text));
}

/// A home that is used again and again.
pub(super) struct Bench {
    dir: TempDir,
    paths: HomePaths,
    runtime: Runtime,
}

const THREAD: ThreadId = ThreadId::new(Uuid::from_u128(0x3c));

impl Bench {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = HomePaths::new(dir.path());
        fs::create_dir_all(paths.threads().join("3c")).unwrap();
        fs::create_dir(paths.open_markers()).unwrap();
        // One of the two texts that the corpus names.
        let text = "a text that stands beside the rollout";
        let place = Blobs::of(&paths, Arc::new(DiskLayer)).path(BlobName::of(text.as_bytes()));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { dir, paths, runtime }
    }

    fn store(&self) -> FileStore {
        FileStore::open(&self.paths, Arc::new(DiskLayer), Tasks::new()).unwrap()
    }

    /// Reads go forwards with rising numbers and in pages of a bounded size; a load mends the end so that records can be
    /// appended, and the next one finds nothing more to mend.
    pub(super) fn file(&self, bytes: &[u8]) {
        fs::write(self.paths.threads().join("3c").join(format!("{THREAD}.jsonl")), bytes).unwrap();
        self.runtime.block_on(async {
            let store = self.store();
            read_all(&store).await;
            read_back(&store).await;
            let folded = History::read(&store, THREAD).await;
            let ended = History::read_end(&store, THREAD, 1).await;
            assert_eq!(folded.is_ok(), ended.is_ok());
            let Ok(loaded) = store.load(THREAD).await else { return };
            let last = loaded.end.last().map_or(EventSeq(0), |record| record.seq);
            assert!(loaded.head >= last && loaded.end.is_sorted_by(|one, other| one.seq < other.seq));
            if loaded.head.0 > u64::MAX / 2 {
                return;
            }
            let record = Record { seq: loaded.head.next(), at: WallMs(0), body: ThreadClosed {}.into() };
            let lease = Lease { thread: THREAD, term: Term(u64::MAX) };
            let appended = store
                .append(lease, loaded.head, LogEntry::of(vec![record.clone()], Keep::Process))
                .await
                .unwrap();
            assert_eq!(appended.head, record.seq);
            let again = self.store().load(THREAD).await.unwrap();
            assert_eq!((again.repair.cut, again.end.last()), (0, Some(&record)));
        });
    }

    /// An imported thread loads without a repair, and reads the same from its end as from its beginning.
    pub(super) fn import(&self, bytes: &[u8]) {
        let from = self.dir.path().join("rollout-x.jsonl");
        fs::write(&from, bytes).unwrap();
        for (thread, records) in imported(&from).unwrap() {
            for (record, number) in records.iter().zip(1..) {
                assert_eq!(record.seq, EventSeq(number), "numbers rise by one");
                again(record);
            }
            self.runtime.block_on(self.loads(thread, records));
        }
    }

    async fn loads(&self, thread: ThreadId, records: Vec<Record>) {
        let store = self.store();
        let last = records.last().map(|record| record.seq);
        store.put(thread, Location::Active, records).await.unwrap();
        let loaded = store.load(thread).await.unwrap();
        assert_eq!((loaded.repair, Some(loaded.head)), (LoadRepair::default(), last));
        let whole = History::read(&store, thread).await.unwrap();
        let end = History::read_end(&store, thread, 0).await.unwrap();
        assert!(whole.is_closed() && whole.open_turn().is_none() && whole.is_materialised());
        assert_eq!((end.row(), end.header()), (whole.row(), whole.header()));
        assert!(markdown::text(&whole).starts_with("# "));
        store.clear_open_markers(vec![store.open_marker(thread)]).await.unwrap();
        fs::remove_dir_all(self.paths.threads()).unwrap();
        fs::create_dir_all(self.paths.threads().join("3c")).unwrap();
    }
}

async fn read_all(store: &FileStore) {
    let mut last = EventSeq(0);
    while let Ok(page) = store.read_after(THREAD, last, 7).await {
        assert!(
            page.records.len() <= 7
                && page.bytes <= skein_store::policy::READ_PAGE_BYTES + skein_store::policy::ROLLOUT_LINE
        );
        for record in &page.records {
            assert!(record.seq > last, "numbers rise");
            last = record.seq;
        }
        if !page.more {
            break;
        }
        assert!(!page.records.is_empty(), "a page brings the reader on");
    }
}

async fn read_back(store: &FileStore) {
    let mut before = None;
    while let Ok(page) = store.read_back(THREAD, before, 7).await {
        let first = page.records.first().map(|record| record.seq);
        assert!(page.records.len() <= 7 && before.zip(first).is_none_or(|(before, first)| first < before));
        if !page.more {
            break;
        }
        assert!(first.is_some(), "a page brings the reader on");
        before = first;
    }
}
