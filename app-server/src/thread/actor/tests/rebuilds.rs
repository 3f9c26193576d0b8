//! An index that is rebuilt from the rollouts equals the one that owners have kept, after any changes of threads and any ends
//! of servers.

use std::sync::Arc;

use serde_json::json;
use skein_base::tasks::Tasks;
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::notifications::{TurnCompleted, TurnStarted};
use skein_store::home::HomePaths;
use skein_store::index::memory::MemoryIndex;
use skein_store::index::sled::SledIndex;
use skein_store::index::{ThreadFilter, ThreadIndex, rebuild};
use skein_store::rollout::RolloutStore;
use skein_store::rollout::memory::MemoryStore;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::model::Strings;
use super::simulation::dice::Dice;
use super::*;
use crate::repair;

/// Prints the failed seed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} failed; SKEIN_SIM_SEED={} repeats it", self.0, self.0);
        }
    }
}

/// The seeds of a run: those below `count`, or the given one.
fn seeds(count: u64) -> Vec<u64> {
    let asked = std::env::var("SKEIN_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    asked.map_or_else(|| (0..count).collect(), |seed| vec![seed])
}

/// The open marker shows the next start which row to set.
#[tokio::test(start_paused = true)]
async fn a_thread_that_no_list_shows_keeps_its_open_marker() {
    let (dir, tasks, stop) = (tempfile::tempdir().unwrap(), Tasks::new(), CancellationToken::new());
    // A file in place of the home, so that no index can be made there.
    std::fs::write(dir.path().join("file"), "").unwrap();
    let nowhere = HomePaths::new(&dir.path().join("file"));
    let index =
        SledIndex::start(nowhere, Arc::new(MemoryStore::default()), &tasks, Arc::default(), stop.clone());
    index.list(ThreadFilter::default(), None, 1).await.unwrap_err();
    let bench = Bench::on_files().with_index(Arc::new(index));
    let thread = bench.stored().await;
    assert_eq!(bench.waiting_open_markers(), []);
    assert_eq!(bench.disk.open_markers().await.unwrap(), [thread]);
    bench.finish().await;
    stop.cancel();
    tasks.finish().await;
}

struct Life {
    dice: Dice,
    bench: Bench,
    index: Arc<dyn ThreadIndex>,
    threads: Vec<ThreadId>,
    /// Killed servers. They write nothing more.
    killed: Vec<Bench>,
}

impl Life {
    fn of(seed: u64, index: Arc<dyn ThreadIndex>) -> Self {
        let bench = Bench::on_files().with_index(Arc::clone(&index));
        Self { dice: Dice::of(seed), bench, index, threads: Vec::new(), killed: Vec::new() }
    }

    async fn step(&mut self) {
        let mut client = self.bench.client();
        let Some(thread) = self.dice.pick(&self.threads) else {
            return self.threads.push(self.bench.stored().await);
        };
        match self.dice.below(8) {
            0 => {
                let (client, thread) = self.bench.materialised().await;
                self.threads.push(thread);
                client.disconnect();
            }
            1 => {
                let name = client.set_name(thread, &format!("name {}", self.dice.below(100)));
                client.answer::<serde_json::Value>(name).await.unwrap();
            }
            2 => {
                let settings = json!({ "model": self.dice.below(100).to_string() });
                client.resume_with_settings(thread, settings).await;
            }
            3 | 4 => {
                client.resume(thread).await;
                client.turn(thread, "more words").await;
            }
            5 => self.interrupted(&mut client, thread).await,
            6 => {
                let _strings = self.in_a_turn(&mut client, thread).await;
                client.fence(thread).await;
                return self.kill(thread).await;
            }
            _ => return self.kill(thread).await,
        }
        client.disconnect();
        if self.dice.once_in(2) {
            self.bench.gone(thread).await;
        }
    }

    /// A turn that has begun to answer.
    async fn in_a_turn(&self, client: &mut Client, thread: ThreadId) -> (TurnId, Strings) {
        client.resume(thread).await;
        client.input(thread, super::model::PUPPET);
        let strings = self.bench.strings().await;
        let turn = client.notified::<TurnStarted>().await.turn.id;
        strings.say("so f").await;
        (turn, strings)
    }

    async fn interrupted(&self, client: &mut Client, thread: ThreadId) {
        let (turn, _strings) = self.in_a_turn(client, thread).await;
        client.interrupt(thread, &turn);
        client.notified::<TurnCompleted>().await;
    }

    /// Kills the server, perhaps in the middle of a write to this thread, and starts the next one.
    async fn kill(&mut self, thread: ThreadId) {
        self.bench.disk.end_appends().await;
        match self.dice.below(3) {
            0 => self.bench.tear(thread, br#"{"v":1,"seq":999,"at":"2026-01-01T00:0"#),
            1 => self.bench.tear(thread, b"a line that is no record\n"),
            _ => {}
        }
        let next = self.bench.after_a_crash().with_index(Arc::clone(&self.index));
        self.killed.push(std::mem::replace(&mut self.bench, next));
        if self.dice.once_in(2) {
            self.repair().await;
        }
    }

    async fn repair(&self) {
        let open = self.bench.disk.open_markers().await.unwrap();
        let (services, repair) = (Arc::clone(&self.bench.services), Arc::clone(&self.bench.repair));
        repair::run(services, repair, open, CancellationToken::new()).await;
    }

    /// Unloads all threads, and repairs open rollouts.
    async fn come_to_rest(&self) {
        for handle in self.bench.services.registry.handles() {
            handle.evict();
            self.bench.gone(handle.id()).await;
        }
        self.repair().await;
        let quiet = async {
            while self.bench.services.tasks.count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        self.bench.within("the end of every task", quiet).await;
    }

    async fn compare(self, rebuilt: &dyn ThreadIndex) {
        rebuild::run(&*self.bench.disk, rebuilt, |_| ()).await.unwrap();
        for thread in &self.threads {
            let (kept, made) = (self.index.get(*thread).await.unwrap(), rebuilt.get(*thread).await.unwrap());
            assert!(made.is_some(), "{thread} is in no list");
            assert_eq!(kept, made);
        }
        self.bench.finish().await;
    }
}

async fn play(seed: u64, live: Arc<dyn ThreadIndex>, rebuilt: &dyn ThreadIndex) {
    let _seed = Seed(seed);
    let mut life = Life::of(seed, live);
    for _ in 0..15 {
        life.step().await;
    }
    life.come_to_rest().await;
    life.compare(rebuilt).await;
}

/// An empty index in sled, with its surroundings.
struct Sled {
    index: SledIndex,
    tasks: Tasks,
    stop: CancellationToken,
    _dir: TempDir,
}

impl Sled {
    fn new() -> Self {
        let (dir, tasks, stop) = (TempDir::new().unwrap(), Tasks::new(), CancellationToken::new());
        let nothing = Arc::new(MemoryStore::default());
        let home = HomePaths::new(dir.path());
        let index = SledIndex::start(home, nothing, &tasks, Arc::default(), stop.clone());
        Self { index, tasks, stop, _dir: dir }
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.finish().await;
    }
}

#[tokio::test]
async fn an_index_in_memory_is_the_one_that_is_made_anew() {
    for seed in seeds(12) {
        play(seed, Arc::new(MemoryIndex::default()), &MemoryIndex::default()).await;
    }
}

#[tokio::test]
async fn an_index_in_sled_is_the_one_that_is_made_anew() {
    for seed in seeds(4) {
        let (live, rebuilt) = (Sled::new(), Sled::new());
        play(seed, Arc::new(live.index.clone()), &rebuilt.index).await;
        live.end().await;
        rebuilt.end().await;
    }
}
