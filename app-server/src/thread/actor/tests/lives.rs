//! One machine with one home, over several servers. Each server ends by a kill or a loss of power at a chosen operation on the
//! disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skein_config::ServerConfig;
use skein_store::home::{Home, Term};
use skein_store::rollout::file::fault::{Fails, FaultLayer};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::bench::Bench;
use super::simulation::dice::Dice;

/// The unsynced writes that a loss of power leaves. A kill leaves all.
const LOSSES: [&str; 4] = ["kill", "nothing", "some", "everything"];
/// The place of an end that does not come.
pub(super) const NEVER: (usize, Fails) = (usize::MAX, Fails::Before);
pub(super) const INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct Machine {
    pub(super) home: Arc<(TempDir, Home)>,
    dice: Dice,
    boots: u128,
    servers: u64,
}

/// One server, up to an operation on the disk.
pub(super) struct Life {
    pub(super) runtime: Runtime,
    layer: FaultLayer,
    home: Arc<(TempDir, Home)>,
    start: (Uuid, Term),
}

impl Machine {
    pub(super) fn new(seed: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let home = Home::open(folder.path()).unwrap();
        Self { home: Arc::new((folder, home)), dice: Dice::of(seed as u64), boots: 1, servers: 0 }
    }

    /// The next server. It stops at operation `at`.
    pub(super) fn life(&mut self, (at, happens): (usize, Fails)) -> Life {
        let layer = FaultLayer::new();
        layer.stop_at(at, happens);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        self.servers += 1;
        let start = (Uuid::from_u128(self.boots), Term(self.servers));
        Life { runtime, layer, home: Arc::clone(&self.home), start }
    }

    /// Ends the life. Returns the number of its operations.
    pub(super) fn end(&mut self, life: Life, loss: &str) -> usize {
        let layer = life.layer;
        match loss {
            "kill" => return layer.done().len(),
            "nothing" => layer.cut_power().unwrap(),
            "some" => layer.tear_power(&mut || self.dice.once_in(2)).unwrap(),
            _ => layer.tear_power(&mut || true).unwrap(),
        }
        self.boots += 1;
        layer.done().len()
    }
}

impl Life {
    /// Its server. Call it inside of the runtime.
    pub(super) fn bench(&self, tune: impl FnOnce(&mut ServerConfig)) -> Bench {
        Bench::on_machine(&self.home, &self.layer, self.start, tune)
    }

    /// Plays the story up to the end of the server. Returns whether it was played to its own end.
    pub(super) async fn play(&self, bench: &Bench, story: impl Future<Output = ()>) -> bool {
        let stopped = self.layer.stopped();
        let end = async {
            while !stopped.load(Ordering::Relaxed) {
                bench.pass(INTERVAL).await;
            }
        };
        tokio::select! {
            biased;
            () = end => false,
            () = story => true,
        }
    }
}

/// Prints the failed case.
pub(super) struct Named<'a>(pub(super) usize, pub(super) Fails, pub(super) &'a str, pub(super) usize);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("operation {} ({:?}), {}, seed {}", self.0, self.1, self.2, self.3);
        }
    }
}

/// Plays the ends at each of these operations, with each loss and a number as seed: all if `SKEIN_POWER_EVERY` is set, a spread
/// of them otherwise.
pub(super) fn each_end(operations: usize, play: impl Fn((usize, Fails), &str, usize)) {
    assert!(operations > 20, "the story is too small: {operations}");
    let every = std::env::var_os("SKEIN_POWER_EVERY").is_some();
    let mut number = 0;
    for at in 0..=operations {
        for happens in [Fails::Before, Fails::Half, Fails::After] {
            for loss in LOSSES {
                number += 1;
                if !every && number % 5 != 0 {
                    continue;
                }
                let _named = Named(at, happens, loss, number);
                play((at, happens), loss, number);
            }
        }
    }
}
