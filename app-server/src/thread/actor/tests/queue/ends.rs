//! A server ends by a kill or a loss of power at each operation on the disk while messages wait and become turns, and the
//! next life ends again. Afterwards each acknowledged message is exactly one turn, and the turns are in the order of the
//! queue.

use skein_protocol::thread::ThreadStartParams;
use skein_store::rollout::RolloutStore;
use skein_store::rollout::file::fault::Fails;

use super::super::lives::{INTERVAL, Machine, NEVER, Named, each_end};
use super::*;

/// Operations of a second life, about.
const SECOND: usize = 24;

/// One home over several servers.
struct World {
    machine: Machine,
    thread: Option<ThreadId>,
    /// The acknowledged messages, in the order of the queue.
    acknowledged: Vec<TurnId>,
}

impl World {
    fn new(seed: usize) -> Self {
        Self { machine: Machine::new(seed), thread: None, acknowledged: Vec::new() }
    }

    /// One life, up to operation `at` on the disk. Returns the number of operations.
    fn live(&mut self, at: (usize, Fails), loss: &str, story: impl AsyncFnOnce(&mut Self, &Bench)) -> usize {
        let life = self.machine.life(at);
        life.runtime.block_on(async {
            let bench = life.bench(|_| ());
            life.play(&bench, story(self, &bench)).await;
        });
        self.machine.end(life, loss)
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
                bench.pass(INTERVAL).await;
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
    world.live(NEVER, "kill", async |world, bench| {
        world.go_on(bench).await;
        world.check(bench).await;
    });
}

#[test]
fn after_any_end_each_acknowledged_message_is_one_turn_and_the_order_stays() {
    let operations = World::new(0).live(NEVER, "kill", async |world, bench| world.begin(bench).await);
    each_end(operations, play);
}

/// A loss of power may leave the header at the end of a turn, and take the record in front of it that began the turn.
#[test]
fn a_header_that_survives_a_loss_of_power_hides_no_message() {
    let operations = World::new(0).live(NEVER, "kill", async |world, bench| world.begin(bench).await);
    for seed in (0..=operations).flat_map(|at| [at, at + 1000, at + 2000]) {
        let at = seed % 1000;
        let _named = Named(at, Fails::After, "some", seed);
        let mut world = World::new(seed);
        world.live((at, Fails::After), "some", async |world, bench| world.begin(bench).await);
        world.live(NEVER, "kill", async |world, bench| {
            world.go_on(bench).await;
            world.check(bench).await;
        });
    }
}
