//! Databases with one defect each. A check names it, and changes nothing.

use std::sync::Arc;

use skein_base::tasks::Tasks;
use skein_protocol::turn::TurnStatus;
use skein_store::fsck::finding::FsckSummary;
use skein_store::fsck::{FsckNotice, lines};
use skein_store::index::ThreadIndex;
use skein_store::rollout::lines::RawLines;
use skein_store::rollout::record::{Record, ThreadClosed};
use skein_store::rollout::{Keep, LogEntry, RolloutStore};
use skein_store::testing::{Happening, RecordedLife, THREAD, lease};
use uuid::Uuid;

use super::*;
use crate::database::Database;
use crate::index::PgIndex;
use crate::node::NodeId;
use crate::rows::ThreadRows;
use crate::store::PgStore;
use crate::testing::{TestCluster, TestDatabase};

/// So many characters are a text of their own.
const LARGE: usize = 700_000;

/// Opens the parts of a database.
async fn lines_of(database: &Arc<Database>, tasks: &Tasks) -> PgLines {
    let rows = Arc::new(ThreadRows::open(database, Arc::default()).await.unwrap());
    let index = PgIndex::new(database, Arc::clone(&rows));
    let store =
        PgStore::open(Arc::clone(database), rows, NodeId::new(Uuid::nil()), tasks.clone()).await.unwrap();
    PgLines::new(store, index)
}

/// Appends records of the thread, whose row follows them.
async fn append(at: &TestDatabase, records: &[Record], row: &RecordedLife) {
    let (database, tasks) = (Arc::new(Database::open(at.address.clone()).await.unwrap()), Tasks::new());
    let to = lines_of(&database, &tasks).await;
    let before = EventSeq(records[0].seq.0 - 1);
    let entry = LogEntry::of(records.to_vec(), Keep::Power);
    let head = to.store.append(lease(THREAD), before, entry).await.unwrap().head;
    to.index.upsert(row.history.row(), head).await.unwrap();
    drop(to);
    tasks.finish().await;
}

/// A thread of three turns, one of them with a large text, that was closed.
fn closed_life() -> RecordedLife {
    let mut life = RecordedLife::of_turns(2);
    life.happens(&Happening::Turn(2, LARGE, Some(TurnStatus::Completed)));
    life.record(ThreadClosed {});
    life
}

async fn database_of(life: &RecordedLife) -> TestDatabase {
    let at = TestCluster::shared().database().await;
    append(&at, &life.records, life).await;
    TestCluster::shared().run(&at.name, "update heads set open = false").await;
    at
}

/// Runs a check in this snapshot. Returns what it found, in words.
async fn check_in(snapshot: &Arc<Database>) -> (Vec<String>, FsckSummary) {
    let (tasks, mut found) = (Tasks::new(), Vec::new());
    let lines = lines_of(snapshot, &tasks).await;
    let mut notify = |told: FsckNotice<'_>| {
        if let FsckNotice::Finding(finding) = told {
            found.push(finding.to_string());
        }
    };
    let summary = lines::run(lines.snapshot(), &BTreeSet::new(), &mut notify).await.unwrap();
    drop(lines);
    tasks.finish().await;
    (found, summary)
}

async fn snapshot_of(at: &TestDatabase) -> Arc<Database> {
    let database = Database::open(at.address.clone()).await.unwrap();
    Arc::new(database.snapshot().await.unwrap())
}

#[tokio::test]
async fn a_sound_database_is_clean_and_what_is_written_during_the_check_is_not_in_it() {
    let mut life = closed_life();
    let at = database_of(&life).await;
    let (database, tasks) = (snapshot_of(&at).await, Tasks::new());
    // The first read makes the snapshot.
    drop(lines_of(&database, &tasks).await);
    tasks.finish().await;

    let before = life.records.len();
    life.happens(&Happening::Reload(false));
    life.happens(&Happening::Turn(1, 10, Some(TurnStatus::Completed)));
    append(&at, &life.records[before..], &life).await;
    let (found, summary) = check_in(&database).await;
    assert_eq!((found, summary.rollouts, summary.records), (vec![], 1, before as u64));
    assert_eq!((summary.blobs.files, summary.blobs.unnamed), (1, 0));

    let (found, summary) = check_in(&snapshot_of(&at).await).await;
    assert_eq!((found, summary.records), (vec![], life.records.len() as u64));
}

#[tokio::test]
async fn each_defect_is_named_with_its_place() {
    let other_name = "update threads set \"row\" = jsonb_set(\"row\"::jsonb, '{name}', '\"other\"')::json";
    let defects = [
        (
            "update records set line = 'x' where seq = 4",
            "records/ID: damage: records that are missing or cannot be read: 1, record 3, 1 bytes",
        ),
        (
            "delete from records where seq = 5",
            "records/ID: damage: records that are missing or cannot be read: 1, record 4, 0 bytes",
        ),
        (
            "update records r set line = o.line from records o where r.seq = 6 and o.seq = 7",
            "records/ID: damage",
        ),
        ("delete from records where seq > 10", "records/ID: damage"),
        ("delete from records", "records/ID: unreadable: none of its lines"),
        ("update blobs set body = 'other'", "records/ID: lostText: the text"),
        ("delete from blobs", "records/ID: lostText: the text"),
        ("delete from blob_uses", "records/ID: unprotectedText: the text"),
        ("update heads set header = 3", "records/ID: place: record 3 is noted as one that tells of all"),
        ("update heads set header = seq + 1", "records/ID: place: record"),
        ("update heads set seq = seq - 1", "records/ID: damage: lines stand behind record"),
        (
            "update threads set updated = null, archived = true",
            "threads/ID: staleRow: its columns differ from its row: updated, archived",
        ),
        ("update heads set term = 0", "records/ID: term: ownership 0 is noted"),
        ("delete from threads", "threads/ID: noRow"),
        ("update threads set as_of = as_of - 1", "threads/ID: staleRow"),
        (other_name, "threads/ID: staleRow: its row differs from the rollout in: name"),
        ("update heads set trashed_at = 1", "threads/ID: rowAlone"),
    ];
    for (sql, says) in defects {
        let at = database_of(&closed_life()).await;
        TestCluster::shared().run(&at.name, sql).await;
        let (found, summary) = check_in(&snapshot_of(&at).await).await;
        let says = says.replace("ID", &THREAD.to_string());
        // A row may know more than what is left of the records.
        assert!(found.first().is_some_and(|first| first.starts_with(&says)), "{sql}: {found:#?}");
        assert_eq!((summary.findings, summary.exit_code()), (found.len() as u64, 4), "{sql}");
    }
}

#[tokio::test]
async fn an_open_end_needs_its_marker() {
    let mut life = RecordedLife::of_turns(1);
    life.happens(&Happening::Turn(1, 10, None));
    let at = database_of(&life).await;
    let (found, summary) = check_in(&snapshot_of(&at).await).await;
    assert_eq!(summary.open, 0);
    assert!(found[0].contains(": unmarked: its last turn has no end"), "{found:?}");
    TestCluster::shared().run(&at.name, "update heads set open = true").await;
    let (found, summary) = check_in(&snapshot_of(&at).await).await;
    assert_eq!((found, summary.open), (vec![], 1));
}

/// A deletion is committed before its row goes, and the thread is open in between.
#[tokio::test]
async fn the_row_of_a_thread_that_is_being_deleted_is_no_fault() {
    let at = database_of(&RecordedLife::of_turns(1)).await;
    TestCluster::shared().run(&at.name, "update heads set trashed_at = 1, open = true").await;
    assert_eq!(check_in(&snapshot_of(&at).await).await.0, [""; 0]);
}

#[tokio::test]
async fn a_text_that_no_thread_uses_is_counted_and_no_defect() {
    let at = database_of(&RecordedLife::of_turns(1)).await;
    TestCluster::shared().run(&at.name, "insert into blobs (sha256, body) values (sha256('a'), 'a')").await;
    let (found, summary) = check_in(&snapshot_of(&at).await).await;
    let blobs = summary.blobs;
    assert_eq!((found, blobs.files, blobs.unnamed, blobs.unnamed_bytes), (vec![], 1, 1, 1));
}

#[tokio::test]
async fn a_snapshot_whose_connection_ends_is_an_error_and_no_mix_of_two_states() {
    let at = database_of(&RecordedLife::of_turns(1)).await;
    let (snapshot, tasks) = (snapshot_of(&at).await, Tasks::new());
    let lines = lines_of(&snapshot, &tasks).await;
    let sql = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    TestCluster::shared().run(&at.name, sql).await;
    let ended = async {
        loop {
            if let Err(error) = lines.count().await {
                return error.to_string();
            }
        }
    };
    let first = ended.await;
    let again = lines.count().await.unwrap_err().to_string();
    assert!(again.contains("ended the connection in the middle"), "{first}; {again}");
    drop(lines);
    tasks.finish().await;
}
