use std::fs;
use std::ops::Deref;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;

use super::*;
use crate::history::History;
use crate::rollout::record::RecordBody;
use crate::testing::{IndexedThreads, agent_message, thread, turn_started};
use skein_protocol::ids::TurnId;
use skein_protocol::turn::TurnStatus;

/// Threads whose text index is in a folder of the test.
struct Bench {
    dir: TempDir,
    threads: IndexedThreads,
}

impl Deref for Bench {
    type Target = IndexedThreads;

    fn deref(&self) -> &IndexedThreads {
        &self.threads
    }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { threads: IndexedThreads::new(dir.path()), dir }
    }

    /// The next server of the home, in this life of the storage.
    async fn again(self, life: u128) -> Self {
        let threads = self.threads.next_server(self.dir.path(), life).await;
        Self { dir: self.dir, threads }
    }

    async fn append(&self, n: u128, bodies: Vec<RecordBody>) {
        self.threads.append(n, bodies).await.unwrap();
    }

    async fn say(&self, n: u128, text: &str) {
        self.threads.say(n, text).await.unwrap();
    }

    async fn found(&self, term: &str) -> Vec<(ThreadId, u64)> {
        self.threads.found(term).await.unwrap()
    }

    /// Waits until the index has so much of a thread.
    async fn until_known(&self, n: u128, seq: u64) {
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        for _ in 0..4_000 {
            let db = Db::look(&self.texts.shared.folder());
            let known = db.and_then(|db| db.known(&[thread(n)])).unwrap_or_default();
            if known.into_iter().flatten().any(|known| known.seq == EventSeq(seq)) {
                return;
            }
            looks.tick().await;
        }
        panic!("thread {n} is not taken in up to {seq}");
    }
}

#[tokio::test]
async fn nothing_is_made_before_somebody_searches() {
    let bench = Bench::new();
    bench.say(1, "needle").await;
    assert_eq!(bench.texts.counts(), TextsCounts::default());
    assert!(!bench.texts.shared.folder().exists());
    assert_eq!(
        bench.texts.candidates(&SearchTerm::new("needle").unwrap(), Vec::new).await,
        None,
        "not complete yet"
    );
    assert_eq!(bench.found("needle").await, [(thread(1), 1)]);
    assert_eq!(bench.texts.counts().state, TextsState::Ready);
    assert_eq!(bench.texts.candidates(&SearchTerm::new("ne").unwrap(), Vec::new).await, None, "too short");
}

#[tokio::test]
async fn it_follows_messages_names_and_deletions() {
    let bench = Bench::new();
    bench.say(1, "one needle").await;
    bench.say(2, "hay").await;
    assert_eq!(bench.found("needle").await, [(thread(1), 1)]);
    bench.say(2, "another NEEDLE").await;
    assert_eq!(bench.found("needle").await, [(thread(1), 1), (thread(2), 5)]);
    let named = crate::rollout::record::ThreadNamed { name: Some("Ärger".to_owned()) };
    bench.append(1, vec![named.into()]).await;
    assert_eq!(bench.found("ÄRGER").await, [(thread(1), 0)]);
    bench.index.remove(thread(1), EventSeq(99)).await.unwrap();
    bench.changes.note(thread(1));
    assert_eq!(bench.found("needle").await, [(thread(2), 5)]);
}

/// Otherwise a search reads the thread only behind the text that the index has just got.
#[tokio::test]
async fn a_thread_that_is_added_during_a_search_is_known_as_it_was_when_the_search_began() {
    let bench = Bench::new();
    bench.say(1, "hay").await;
    assert_eq!(bench.found("needle").await, []);
    let shared = &bench.texts.shared;
    let needle = db::query("needle").unwrap();
    let read = shared.reading(|db| {
        let found = db.candidates(&needle, 10)?.unwrap();
        let added = db::AddedTexts {
            thread: thread(1),
            pieces: vec![(EventSeq(5), "needle".to_owned())],
            known: db::IndexedThread { seq: EventSeq(8), name: None },
        };
        Db::open(&shared.folder())?.change(&[IndexChange::Add(added)])?;
        Ok((found, db.known(&[thread(1)])?))
    });
    let (found, known) = read.unwrap();
    assert_eq!((found.len(), known[0].clone().unwrap().seq), (0, EventSeq(4)));
    let after = shared.reading(|db| Ok((db.candidates(&needle, 10)?, db.known(&[thread(1)])?))).unwrap();
    assert_eq!(after.0, Some(vec![(thread(1), EventSeq(5))]));
    assert_eq!(after.1[0].clone().unwrap().seq, EventSeq(8));
}

#[tokio::test]
async fn a_turn_that_goes_on_is_behind_until_it_ends() {
    let bench = Bench::new();
    bench.say(1, "hay").await;
    bench.append(1, vec![turn_started("open", "needle")]).await;
    for again in [false, true] {
        // For any term: the turn's text is still unknown.
        assert_eq!(bench.found("nowhere").await, [(thread(1), 4)], "looked at again: {again}");
        bench.changes.note(thread(1));
    }
    let ended = History::default().turn_completed_record(TurnId::from("open"), TurnStatus::Completed, None);
    bench.append(1, vec![agent_message("open", "thread"), ended]).await;
    assert_eq!(bench.found("nowhere").await, []);
    assert_eq!(bench.found("needle").await, [(thread(1), 4)]);
}

#[tokio::test]
async fn the_next_server_takes_in_only_what_is_new_and_that_of_another_start_of_the_machine_everything() {
    let bench = Bench::new();
    bench.say(1, "one needle").await;
    bench.say(2, "another needle").await;
    assert_eq!(bench.found("needle").await.len(), 2);
    let bench = bench.again(1).await;
    bench.say(1, "third needle").await;
    let reads = bench.store.counts().reads;
    assert_eq!(bench.found("needle").await, [(thread(1), 1), (thread(2), 1)]);
    assert_eq!(bench.found("third needle").await, [(thread(1), 5)]);
    assert_eq!(bench.store.counts().reads, reads + 1, "the other was not read again");
    let bench = bench.again(2).await;
    assert_eq!(bench.found("needle").await.len(), 2);
    assert!(bench.store.counts().reads >= reads + 3, "all were read again");
}

#[tokio::test]
async fn a_file_that_is_none_is_set_aside_and_made_anew() {
    let bench = Bench::new();
    bench.say(1, "needle").await;
    let folder = bench.texts.shared.folder();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("texts.sqlite"), "no database ".repeat(1000)).unwrap();
    assert_eq!(bench.found("needle").await, [(thread(1), 1)]);
    assert!(folder.with_extension("aside").exists());
}

#[tokio::test]
async fn one_that_is_damaged_while_it_is_used_is_set_aside_and_made_anew() {
    let bench = Bench::new();
    for n in 1..50 {
        bench.say(n, &format!("needle {n}")).await;
    }
    assert_eq!(bench.found("needle").await.len(), 49);
    bench.texts.shared.readers().clear();
    let folder = bench.texts.shared.folder();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let length = fs::metadata(&path).unwrap().len();
        fs::write(path, vec![0x55; usize::try_from(length).unwrap()]).unwrap();
    }
    assert_eq!(bench.found("needle").await.len(), 49);
    let TextsCounts { state, done, .. } = bench.texts.counts();
    assert_eq!((state, done), (TextsState::Ready, 49), "it counts from its new beginning");
}

#[tokio::test]
async fn a_stop_in_the_middle_leaves_what_was_done() {
    let mut bench = Bench::new();
    for n in 1..600 {
        bench.say(n, "needle").await;
    }
    let mut tries = 0;
    loop {
        let term = SearchTerm::new("needle").unwrap();
        bench.texts.candidates(&term, Vec::new).await;
        tries += 1;
        if bench.texts.counts().state == TextsState::Ready || tries > 20 {
            break;
        }
        bench = bench.again(1).await;
    }
    assert_eq!(bench.found("needle").await.len(), 599);
}

#[tokio::test]
async fn a_long_thread_is_taken_in_in_steps_and_the_next_server_goes_on_behind_the_last_one() {
    let bench = Bench::new();
    let text = "needle in hay, ".repeat(policy::TEXTS_STEP_BYTES / 15 / 2 + 1);
    for turn in ["1", "2", "3"] {
        bench.say_in(1, turn, &text).await.unwrap();
    }
    bench.disk.hold_reads();
    bench.disk.let_read(2);
    assert_eq!(bench.texts.candidates(&SearchTerm::new("needle").unwrap(), Vec::new).await, None);
    bench.until_known(1, 8).await;
    assert_eq!(bench.texts.counts().state, TextsState::Building, "the third turn is not read yet");
    let bench = bench.again(1).await;
    let reads = bench.store.counts().reads;
    assert_eq!(bench.found("needle").await, [(thread(1), 1)]);
    assert_eq!(bench.store.counts().reads, reads + 2, "the third turn, and that there is no other");
}

#[tokio::test]
async fn what_the_storage_loses_while_it_is_used_hides_nothing_that_takes_its_place() {
    let bench = Bench::new();
    bench.say(1, "hay").await;
    assert_eq!(bench.found("needle").await, []);
    let known = db::IndexedThread { seq: EventSeq(8), name: None };
    let lost = db::AddedTexts { thread: thread(1), pieces: Vec::new(), known };
    Db::open(&bench.texts.shared.folder()).unwrap().change(&[IndexChange::Add(lost)]).unwrap();
    bench.disk.set_life(Uuid::from_u128(2));
    bench.say(1, "needle").await;
    assert_eq!(bench.found("needle").await, [(thread(1), 1)]);
}

#[tokio::test]
async fn a_search_that_waits_while_the_index_is_made_anew_looks_at_every_thread() {
    let bench = Bench::new();
    bench.say(1, "needle").await;
    assert_eq!(bench.found("needle").await, [(thread(1), 1)]);
    let tasks = bench.texts.shared.sources.tasks.clone();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (held, (began, mut begun)) = (Arc::new(Mutex::new(held)), tokio::sync::mpsc::channel(2));
    let hold = || {
        let (inside, held, began) = (tasks.clone(), Arc::clone(&held), began.clone());
        tasks.spawn("held", async move {
            let work = move || {
                began.blocking_send(()).unwrap();
                held.lock().unwrap().recv().is_err()
            };
            inside.blocking("held", BlockingPool::Search, work).await.unwrap()
        })
    };
    let lanes: Vec<_> = (0..skein_base::policy::SEARCH_THREADS).map(|_| hold()).collect();
    for _ in &lanes {
        begun.recv().await.unwrap();
    }
    let term = SearchTerm::new("needle").unwrap();
    let made_anew = async {
        bench.disk.set_life(Uuid::from_u128(2));
        drop(release);
        for lane in lanes {
            assert!(lane.await.unwrap());
        }
    };
    // Polled first, the search waits for a lane when the life changes.
    let (found, ()) = tokio::join!(biased; bench.texts.candidates(&term, Vec::new), made_anew);
    assert_eq!(found, None);
    assert_eq!(bench.found("needle").await, [(thread(1), 1)]);
}

/// Notes that it was asked.
#[derive(Default)]
struct AskedWriters(AtomicBool);

#[async_trait]
impl OtherWriters for AskedWriters {
    async fn take_in(&self) -> Option<Vec<ThreadId>> {
        tokio::task::yield_now().await;
        self.0.store(true, Ordering::Relaxed);
        Some(Vec::new())
    }
}

#[tokio::test]
async fn a_thread_that_comes_from_another_server_during_a_search_is_searched() {
    let bench = Bench::new();
    bench.say(1, "hay").await;
    let asked = Arc::new(AskedWriters::default());
    let others: Option<Arc<dyn OtherWriters>> = Some(Arc::clone(&asked) as _);
    let texts = TextIndex::new(Sources { others, ..bench.texts.shared.sources.clone() });
    assert_eq!(crate::testing::found(&texts, &bench.changes, "needle").await.unwrap(), []);
    asked.0.store(false, Ordering::Relaxed);
    let came = || if asked.0.load(Ordering::Relaxed) { vec![thread(1)] } else { Vec::new() };
    let found = texts.candidates(&SearchTerm::new("needle").unwrap(), came).await.unwrap();
    assert_eq!(found.threads, HashMap::from([(thread(1), EventSeq(4))]));
}
