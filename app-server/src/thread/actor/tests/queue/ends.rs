//! A server ends by a kill or a loss of power at each operation on the disk while messages wait and become turns, and the
//! next life ends again. Afterwards each acknowledged message is exactly one turn, and the turns are in the order of the
//! queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skein_protocol::thread::ThreadStartParams;
use skein_store::home::{Home, Term};
use skein_store::rollout::RolloutStore;
use skein_store::rollout::file::fault::{Fails, FaultLayer};
use tempfile::TempDir;
use uuid::Uuid;

use super::super::simulation::dice::Dice;
use super::*;

/// The unsynced writes that a loss of power leaves. A kill leaves all.
const LOSSES: [&str; 4] = ["kill", "nothing", "some", "everything"];
const NEVER: usize = usize::MAX;
/// Operations of a second life, about.
const SECOND: usize = 24;

/// One home over several servers.
struct World {
    home: Arc<(TempDir, Home)>,
    dice: Dice,
    boots: u128,
    servers: u64,
    thread: Option<ThreadId>,
    /// The acknowledged messages, in the order of the queue.
    acknowledged: Vec<TurnId>,
}

impl World {
    fn new(seed: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let home = Arc::new((folder, home));
        Self {
            home,
            dice: Dice::of(seed as u64),
            boots: 1,
            servers: 0,
            thread: None,
            acknowledged: Vec::new(),
        }
    }

    /// One life, up to operation `at` on the disk. Returns the number of operations.
    fn live(
        &mut self,
        (at, happens): (usize, Fails),
        loss: &str,
        life: impl AsyncFnOnce(&mut Self, &Bench),
    ) -> usize {
        let layer = FaultLayer::new();
        layer.stop_at(at, happens);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let start = (Uuid::from_u128(self.boots), Term(self.servers + 1));
        let home = Arc::clone(&self.home);
        runtime.block_on(async {
            let bench = Bench::on_machine(&home, &layer, start, |_| ());
            let stopped = layer.stopped();
            let end = async {
                while !stopped.load(Ordering::Relaxed) {
                    bench.pass(Duration::from_millis(20)).await;
                }
            };
            tokio::select! {
                biased;
                () = end => {}
                () = life(self, &bench) => {}
            }
        });
        self.servers += 1;
        match loss {
            "kill" => return layer.done().len(),
            "nothing" => layer.cut_power().unwrap(),
            "some" => layer.tear_power(&mut || self.dice.once_in(2)).unwrap(),
            _ => layer.tear_power(&mut || true).unwrap(),
        }
        self.boots += 1;
        layer.done().len()
    }

    async fn add(&mut self, client: &mut Client, text: &str) {
        let id = add(client, self.thread.unwrap(), text).await;
        self.acknowledged.push(id);
    }

    /// Messages wait behind a turn, become turns, and others wait behind the next turn.
    async fn begin(&mut self, bench: &Bench) {
        let mut client = bench.client();
        let (request, thread) = client.ask_start(ThreadStartParams::default());
        self.thread = Some(thread);
        client.answer::<serde_json::Value>(request).await.unwrap();
        for texts in [["one", "two"], ["three", "four"]] {
            client.input(thread, model::PUPPET);
            let strings = bench.strings().await;
            for text in texts {
                self.add(&mut client, text).await;
            }
            strings.end();
            let last = self.acknowledged.last().cloned().unwrap();
            while client.notified::<TurnCompleted>().await.turn.id != last {}
        }
    }

    /// The server repairs, a client comes back, ends holds, and waits until the queue is empty.
    async fn go_on(&mut self, bench: &Bench) {
        let open = bench.disk.open_markers().await.unwrap();
        repair::run(bench.services.clone(), bench.repair.clone(), open, CancellationToken::new()).await;
        let Some(thread) = self.thread else { return };
        let mut client = bench.client();
        let request = client.ask_resume(thread, crate::thread::subscribers::Role::Subscriber);
        if client.answer::<serde_json::Value>(request).await.is_err() {
            assert_eq!(self.acknowledged, [], "the thread with acknowledged messages is gone");
            return;
        }
        while start(&mut client, thread, None).await.is_ok_and(|turn| !turn.as_str().is_empty()) {
            client.notified::<TurnCompleted>().await;
        }
        // A turn of the queue may run, and the others follow it.
        let waits = async {
            while !waiting(bench, thread).await.is_empty() {
                bench.pass(Duration::from_millis(20)).await;
            }
        };
        bench.within("the end of the queue", waits).await;
        assert!(client.fence(thread).await);
    }

    async fn check(&self, bench: &Bench) {
        let Some(thread) = self.thread.filter(|_| !self.acknowledged.is_empty()) else { return };
        let turns: Vec<TurnId> = turns(bench, thread).await.into_iter().map(|(id, _)| id).collect();
        let places: Vec<Vec<usize>> = self
            .acknowledged
            .iter()
            .map(|id| turns.iter().enumerate().filter(|(_, turn)| *turn == id).map(|(at, _)| at).collect())
            .collect();
        assert!(places.iter().all(|places| places.len() == 1), "each is one turn: {places:?}");
        assert!(places.is_sorted(), "the turns keep the order of the queue: {places:?}");
    }
}

fn play(first: (usize, Fails), loss: &str, second: usize) {
    let mut world = World::new(second);
    world.live(first, loss, async |world, bench| world.begin(bench).await);
    world.live((second % SECOND, Fails::After), loss, async |world, bench| world.go_on(bench).await);
    world.live((NEVER, Fails::Before), "kill", async |world, bench| {
        world.go_on(bench).await;
        world.check(bench).await;
    });
}

/// Prints the failed case.
struct Named<'a>(usize, Fails, &'a str, usize);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("operation {} ({:?}), {}, second life {}", self.0, self.1, self.2, self.3);
        }
    }
}

#[test]
fn after_any_end_each_acknowledged_message_is_one_turn_and_the_order_stays() {
    let operations =
        World::new(0).live((NEVER, Fails::Before), "kill", async |world, bench| world.begin(bench).await);
    assert!(operations > 20, "the story is too small: {operations}");
    let every = std::env::var_os("SKEIN_POWER_EVERY").is_some();
    let mut number = 0;
    for at in 0..=operations {
        for happens in [Fails::Before, Fails::Half, Fails::After] {
            for loss in LOSSES {
                number += 1;
                // `cargo test` plays a spread of the cases.
                if !every && number % 5 != 0 {
                    continue;
                }
                let _named = Named(at, happens, loss, number);
                play((at, happens), loss, number);
            }
        }
    }
}
