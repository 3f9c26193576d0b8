//! The store beside other stores with the same records.

use skein_protocol::ids::TurnId;
use skein_protocol::turn::UserInput;
use skein_store::home::HomePaths;
use skein_store::rollout::file::FileStore;
use skein_store::rollout::file::layer::DiskLayer;
use skein_store::rollout::record::{StoredSettings, TurnStarted};
use skein_store::testing::{RecordedLife, lease, names, thread};
use tokio_postgres::types::Type;

use super::*;
use crate::connection::Link;

/// A message of this many bytes.
fn message(seq: u64, bytes: usize) -> Record {
    let (turn_id, input) = (TurnId::from("turn"), vec![UserInput::text("ä".repeat(bytes / 2))]);
    let started = TurnStarted { turn_id, input, item_id: None, client_id: None, terms: None };
    Record { seq: EventSeq(seq), at: WallMs(0), body: started.into() }
}

/// Short lines, long ones, and some with texts beside them.
fn mixed() -> Vec<Record> {
    let sizes = [10, 200_000, 250_000, 600_000, 10, 3_000_000, 5_000_000, 10, 10, 700_000, 600_000, 10];
    sizes.iter().enumerate().map(|(at, bytes)| message(at as u64 + 1, *bytes)).collect()
}

#[tokio::test]
async fn pages_are_those_of_the_files_to_the_byte() {
    let it = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let paths = HomePaths::new(folder.path());
    for folder in [paths.threads(), paths.open_markers()] {
        std::fs::create_dir(folder).unwrap();
    }
    let files = FileStore::open(&paths, Arc::new(DiskLayer), Tasks::new()).unwrap();
    let (id, records) = (thread(1), mixed());
    let count = records.len() as u64;
    for store in [&files as &dyn RolloutStore, &it.store] {
        store.append(lease(id), EventSeq(0), LogEntry::of(records.clone(), Keep::Power)).await.unwrap();
    }
    for limit in [1, 2, 5, 100] {
        for at in 0..=count + 1 {
            let forward = it.store.read_after(id, EventSeq(at), limit).await.unwrap();
            assert_eq!(
                forward,
                files.read_after(id, EventSeq(at), limit).await.unwrap(),
                "after {at}, {limit}"
            );
            let before = Some(EventSeq(at)).filter(|before| before.0 > 0);
            let back = it.store.read_back(id, before, limit).await.unwrap();
            assert_eq!(back, files.read_back(id, before, limit).await.unwrap(), "before {before:?}, {limit}");
        }
    }
    assert_eq!(it.store.load(id).await.unwrap(), files.load(id).await.unwrap());
    it.finish().await;
}

/// Lives of threads, appended in pieces: each load begins at the last record that tells of all.
#[tokio::test]
async fn a_load_is_that_of_the_memory_store() {
    for turns in [0, 1, 3, 12] {
        let it = Fixture::new().await;
        let life = RecordedLife::of_turns(turns);
        let memory = life.store();
        let id = skein_store::testing::THREAD;
        let records = memory.read_after(id, EventSeq(0), 9_999).await.unwrap().records;
        let mut expected = EventSeq(0);
        for piece in records.chunks(7) {
            expected = it
                .store
                .append(lease(id), expected, LogEntry::of(piece.to_vec(), Keep::Power))
                .await
                .unwrap()
                .head;
        }
        let (loaded, of_memory) = (it.store.load(id).await.unwrap(), memory.load(id).await.unwrap());
        assert_eq!(loaded, of_memory, "{turns} turns");
        assert!(turns < 2 || loaded.end.len() < records.len(), "a load does not read everything");

        // A fork that ends before the last header begins its load at an earlier one.
        for up_to in [records.len() as u64 / 2, records.len() as u64] {
            let fork = thread(u128::from(up_to) + 100);
            for store in [&memory as &dyn RolloutStore, &it.store] {
                let copied = store.copy(id, EventSeq(up_to), lease(fork), Vec::new()).await.unwrap();
                assert_eq!(copied.head, EventSeq(up_to));
            }
            assert_eq!(it.store.load(fork).await.unwrap(), memory.load(fork).await.unwrap(), "up to {up_to}");
        }
        it.finish().await;
    }
}

#[tokio::test]
async fn a_damaged_line_loses_itself_and_keeps_its_number() {
    let it = Fixture::new().await;
    let id = thread(1);
    it.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 9), Keep::Power)).await.unwrap();
    let sql = format!(
        "update records set line = 'x' where thread = '{id}' and seq in (4, 8, 9);
         delete from records where thread = '{id}' and seq = 5"
    );
    TestCluster::shared().run(&it.at.name, &sql).await;
    let loaded = it.store.load(id).await.unwrap();
    let there: Vec<Record> =
        names(1, 9).into_iter().filter(|one| ![4, 5, 8, 9].contains(&one.seq.0)).collect();
    assert_eq!((&loaded.end, loaded.head, loaded.repair.damage.len()), (&there, EventSeq(9), 2));
    assert_eq!(it.store.read_after(id, EventSeq(0), 99).await.unwrap().records, there);
    let back = it.store.read_back(id, None, 2).await.unwrap();
    assert_eq!((back.records.as_slice(), back.taken, back.more), (&there[3..], 2, true));
    it.store.append(lease(id), EventSeq(9), LogEntry::of(names(10, 10), Keep::Power)).await.unwrap();
    let all = format!("update records set line = 'x' where thread = '{id}'");
    TestCluster::shared().run(&it.at.name, &all).await;
    let unreadable = it.store.load(id).await.unwrap_err();
    assert!(matches!(unreadable, ReadError::Unreadable { .. }), "{unreadable}");
    it.finish().await;
}

#[tokio::test]
async fn a_large_text_stays_with_its_threads_and_goes_with_the_last_of_them() {
    let it = Fixture::new().await;
    let (id, fork) = (thread(1), thread(2));
    let records = vec![message(1, 600_000)];
    it.store.append(lease(id), EventSeq(0), LogEntry::of(records.clone(), Keep::Power)).await.unwrap();
    it.store.copy(id, EventSeq(1), lease(fork), Vec::new()).await.unwrap();
    let mut link = Link::connect(&it.at.address).await.unwrap();
    let mut texts = async |age: &str| -> i64 {
        link.batch(&format!("update blobs set touched = now() - interval '{age}'")).await.unwrap();
        it.store.purge(WallMs(10)).await.unwrap();
        link.read("select count(*) from blobs", &[]).await.unwrap()[0].get(0)
    };
    it.store.trash(lease(id), WallMs(1)).await.unwrap();
    assert_eq!(texts("2 hours").await, 1, "the fork needs it");
    assert_eq!(it.store.read_after(fork, EventSeq(0), 9).await.unwrap().records, records);
    it.store.trash(lease(fork), WallMs(1)).await.unwrap();
    assert_eq!(texts("50 minutes").await, 1, "an append that took it into use may be on its way");
    assert_eq!(texts("2 hours").await, 0);
    it.finish().await;
}

#[tokio::test]
async fn a_lost_text_is_shown_in_its_record() {
    let it = Fixture::new().await;
    let id = thread(1);
    it.store
        .append(lease(id), EventSeq(0), LogEntry::of(vec![message(1, 600_000)], Keep::Power))
        .await
        .unwrap();
    for change in ["update blobs set body = 'short'", "delete from blobs"] {
        TestCluster::shared().run(&it.at.name, change).await;
        let page = it.store.read_after(id, EventSeq(0), 9).await.unwrap();
        assert_eq!((page.records.len(), page.lost), (1, vec![EventSeq(1)]), "{change}");
    }
    it.finish().await;
}

#[tokio::test]
async fn a_new_rollout_may_have_the_id_of_a_deleted_one() {
    let it = Fixture::new().await;
    let id = thread(1);
    it.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 3), Keep::Power)).await.unwrap();
    it.store.trash(lease(id), WallMs(1)).await.unwrap();
    it.store.append(lease(id), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    assert_eq!(it.store.load(id).await.unwrap().end, names(1, 1));
    it.finish().await;
}

#[tokio::test]
async fn an_interrupted_copy_is_missing_and_the_next_one_is_whole() {
    let it = Fixture::new().await;
    let (from, to) = (thread(1), thread(2));
    it.store.append(lease(from), EventSeq(0), LogEntry::of(names(1, 3), Keep::Power)).await.unwrap();
    let mut link = Link::connect(&it.at.address).await.unwrap();
    let sql = "insert into records (thread, seq, line) values ($1, 2, 'half')";
    link.read(sql, &[(&to.uuid(), Type::UUID)]).await.unwrap();
    assert!(!it.store.exists(to).await.unwrap());
    it.store.copy(from, EventSeq(3), lease(to), Vec::new()).await.unwrap();
    assert_eq!(it.store.load(to).await.unwrap().end, names(1, 3));
    it.finish().await;
}

#[tokio::test]
async fn a_store_that_opens_again_knows_the_open_markers_and_has_the_same_life() {
    let Fixture { at, tasks, store } = Fixture::new().await;
    store.append(lease(thread(1)), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    store.set_open_marker(thread(2)).await.unwrap();
    let life = store.life();
    drop(store);
    let store = open(&at, &tasks).await;
    assert_eq!((store.life(), store.counts().open_markers), (life, 2));
    let markers = [1, 2].map(|n| store.open_marker(thread(n))).to_vec();
    assert_eq!(store.clear_open_markers(markers).await.unwrap(), 2);
    assert_eq!(store.counts().open_markers, 0);
    drop(store);
    let store = open(&at, &tasks).await;
    assert_eq!(store.open_markers().await.unwrap(), []);
    drop(store);
    tasks.finish().await;
}

#[tokio::test]
async fn the_open_markers_of_many_threads_go_together_but_for_one_that_has_changed() {
    let Fixture { at, tasks, store } = Fixture::new().await;
    let threads: Vec<ThreadId> = (1..=600).map(thread).collect();
    let open = async |id: &ThreadId| store.set_open_marker(*id).await.unwrap();
    futures_util::future::join_all(threads.iter().map(open)).await;
    store.append(lease(threads[0]), EventSeq(0), LogEntry::of(names(1, 1), Keep::Power)).await.unwrap();
    let mut markers: Vec<OpenMarker> = threads.iter().map(|id| store.open_marker(*id)).collect();
    // A thread that is closed twice comes twice.
    markers.extend_from_within(..2);
    store.set_open_marker(threads[4]).await.unwrap();
    assert_eq!(store.clear_open_markers(markers).await.unwrap(), 599);
    assert_eq!(store.open_markers().await.unwrap(), [threads[4]]);
    drop(store);
    tasks.finish().await;
    drop(at);
}

/// A thread with these settings.
pub(super) fn with_secrets(values: serde_json::Value) -> Vec<Record> {
    let serde_json::Value::Object(values) = values else { panic!("an object") };
    let settings = StoredSettings { secrets: SecretValues(values), ..StoredSettings::default() };
    RecordedLife::with(settings).records
}

#[tokio::test]
async fn secrets_are_in_no_line_and_go_with_their_thread() {
    let it = Fixture::new().await;
    let (id, fork) = (skein_store::testing::THREAD, thread(2));
    let values = serde_json::json!({ "helper": { "TOKEN": "s3cret" } });
    let records = with_secrets(values.clone());
    let head =
        it.store.append(lease(id), EventSeq(0), LogEntry::of(records, Keep::Power)).await.unwrap().head;
    it.store.copy(id, head, lease(fork), Vec::new()).await.unwrap();
    it.store.trash(lease(id), WallMs(1)).await.unwrap();
    assert_eq!(it.store.purge(WallMs(2)).await.unwrap(), 1);
    assert_eq!(it.store.secrets(id).await.unwrap(), SecretValues::default());
    assert_eq!(serde_json::Value::Object(it.store.secrets(fork).await.unwrap().0), values);
    let mut link = Link::connect(&it.at.address).await.unwrap();
    let sql = "select count(*) from records where position('s3cret' in encode(line, 'escape')) > 0";
    assert_eq!(link.read(sql, &[]).await.unwrap()[0].get::<_, i64>(0), 0);
    it.finish().await;
}
