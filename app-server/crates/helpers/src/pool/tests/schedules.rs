//! Random schedules of threads over few helpers, on paused time: each seed plays the same each time.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;

const SEEDS: u8 = 60;
const THREADS: u8 = 6;
const ROUNDS: usize = 15;

struct Dice(TestRng);

impl Dice {
    fn new(seed: u8, of: u8) -> Self {
        let mut bytes = [of; 32];
        bytes[0] = seed;
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    fn below(&mut self, end: u32) -> u32 {
        self.0.next_u32() % end
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    async fn a_while(&mut self) {
        pass(Duration::from_millis(self.below(2000).into())).await;
    }

    fn specs(&mut self) -> Vec<HelperSpec> {
        let isolations = [Isolation::Thread, Isolation::Project, Isolation::Shared];
        let named = isolations.into_iter().zip(["a", "b", "c"]);
        let specs = named.map(|(isolation, name)| {
            let linger = Duration::from_secs(if self.one_in(3) { 2 } else { 0 });
            let spec = HelperSpec { isolation, linger, ..HelperSpec::new(name, "program") };
            if self.one_in(4) { spec.with_variable("A", "1") } else { spec }
        });
        let specs: Vec<HelperSpec> = specs.collect();
        specs.into_iter().filter(|_| !self.one_in(4)).collect()
    }
}

/// The events of a thread: it loads, calls, changes its settings, unloads and comes back.
async fn thread(helpers: Arc<Helpers>, mut dice: Dice) {
    let id = ThreadId::new(Clock.new_id());
    for _ in 0..ROUNDS {
        let (events, _heard) = mpsc::channel(64);
        let mut specs = dice.specs();
        let cwd = if dice.one_in(2) { "/a" } else { "/b" };
        let set = helpers.of_thread(id, specs.clone(), cwd.into(), events);
        let mut calls = Vec::new();
        for _ in 0..dice.below(5) {
            if let Some(spec) = specs.get(usize::try_from(dice.below(3)).unwrap()) {
                let call = set.call_for_tests(&spec.name);
                assert!(!call.instance.is_stopping(), "a call goes to what lives");
                calls.push(call);
            }
            dice.a_while().await;
            if dice.one_in(3) {
                specs = dice.specs();
                set.change(specs.clone());
            }
            if dice.one_in(2) {
                calls.pop();
            }
        }
        let began = Clock.now();
        set.stop().await;
        assert!(Clock.now() - began < Duration::from_millis(2000), "what lingers is not waited for");
        for (_, entry) in helpers.pool.table().entries() {
            // A lingering instance may stop by itself at any time.
            let kept = match entry.state {
                InstanceState::Lingering(_) => true,
                InstanceState::Stopping => entry.holders.is_empty(),
                InstanceState::Held | InstanceState::Quarantined | InstanceState::Stopped => false,
            };
            assert!(kept || entry.key.scope != Scope::Thread(id), "{entry:?} is left");
            assert!(entry.holders.values().all(|holder| holder.thread != id), "{entry:?} is held");
        }
    }
}

/// The events of instances: some become unresponsive, some end by themselves, and each stops a while after its order.
async fn processes(mut started: mpsc::Receiver<Double>, tasks: Tasks, mut dice: Dice) {
    while let Some(double) = started.recv().await {
        let seed = dice.0.next_u32().to_le_bytes();
        tasks.spawn("process", async move {
            let mut dice = Dice::new(seed[0], seed[1]);
            let shutdown = double.shutdown.clone();
            let life = async {
                dice.a_while().await;
                if dice.one_in(4) {
                    // Ends by itself.
                    return;
                }
                if dice.one_in(4) {
                    double.falls_silent();
                }
                std::future::pending().await
            };
            let asked = tokio::select! {
                () = life => false,
                () = shutdown.stopping() => true,
            };
            if asked {
                pass(Duration::from_millis((u64::from(seed[2]) * 1500) >> 8)).await;
            }
            drop(double);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_threads_do_and_whenever_they_wait_for_their_own_and_nothing_is_left() {
    for seed in 0..SEEDS {
        let House { helpers, started, tasks } = House::new();
        let world = processes(started, tasks.clone(), Dice::new(seed, u8::MAX));
        tasks.spawn("processes", world);
        let threads: Vec<_> = (0..THREADS)
            .map(|of| tasks.spawn("thread", thread(Arc::clone(&helpers), Dice::new(seed, of))))
            .collect();
        for thread in threads {
            thread.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        helpers.close().await;
        assert!(helpers.pool.table().is_empty(), "seed {seed}");
        drop(helpers);
        tasks.finish().await;
    }
}
