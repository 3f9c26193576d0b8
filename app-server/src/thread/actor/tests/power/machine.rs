//! A machine with one home. One server after the other runs on it, and each is cut off.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skein_config::Durability;
use skein_protocol::ids::ThreadId;
use skein_store::home::{Home, Term};
use skein_store::rollout::file::fault::{Fails, FaultLayer, Op};
use tempfile::TempDir;
use uuid::Uuid;

use super::super::simulation::dice::Dice;
use super::super::{Bench, Client};
use super::kept::Kept;
use super::returns;
use super::scripts::Script;
use crate::thread::events::view::EventView;

/// The cause of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The server is killed: its writes stay.
    Kill,
    Power(Comes),
}

/// The part of unsynced writes that survives a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comes {
    Nothing,
    /// Some pieces, at random.
    Some,
    Everything,
}

/// The end of a life: the number of the operation on the disk, and the part of it that happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub at: usize,
    pub happens: Fails,
    pub loss: Loss,
}

impl End {
    /// No end: the life runs its whole script.
    pub(super) const NEVER: Self = Self { at: usize::MAX, happens: Fails::Before, loss: Loss::Kill };
}

pub(super) struct Machine {
    home: Arc<(TempDir, Home)>,
    durability: Durability,
    /// The number of boots of the machine.
    boots: u128,
    /// The number of starts of a server.
    servers: u64,
    dice: Dice,
    /// The thread of the conversation, once it is requested.
    thread: Option<ThreadId>,
    /// The views of clients whose link broke, for every last number.
    pub views: Vec<EventView>,
    kept: Kept,
}

impl Machine {
    pub(super) fn new(durability: Durability, seed: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let home = Home::open(folder.path()).unwrap();
        Self {
            home: Arc::new((folder, home)),
            durability,
            boots: 1,
            servers: 0,
            dice: Dice::of(seed as u64),
            thread: None,
            views: Vec::new(),
            kept: Kept::default(),
        }
    }

    /// One life: checks the state on disk, then a client with the view `known` runs a script until the end. Returns the
    /// operations.
    pub(super) fn live(
        &mut self,
        end: End,
        known: Option<EventView>,
        life: impl AsyncFnOnce(&Bench, &mut Script),
    ) -> Vec<Op> {
        let layer = FaultLayer::new();
        layer.stop_at(end.at, end.happens);
        let (thread, kept) = (self.thread, &self.kept);
        let (witness, asked_for) = self.serve(&layer, async |bench| {
            kept.are_there(bench, thread).await;
            let mut script = Script::of(bench.client(), thread, known);
            tokio::select! {
                biased;
                () = stopped(bench, &layer) => {}
                () = life(bench, &mut script) => {}
            }
            let asked_for = script.thread;
            (script.end(), asked_for)
        });
        self.thread = asked_for;
        self.kept.witness(witness.client());
        self.kept.end(self.durability, end.loss, &witness);
        self.views.extend(witness.views);
        self.lose(&layer, end.loss);
        layer.done().into_iter().map(|(op, _)| op).collect()
    }

    /// All earlier clients resume, some before and some after the conversation continues.
    pub(super) fn all_come_back(&mut self, turn: usize) {
        let Some(thread) = self.thread else { return };
        let layer = FaultLayer::new();
        let (kept, views) = (&self.kept, &self.views);
        let clients = self.serve(&layer, async |bench| {
            kept.are_there(bench, Some(thread)).await;
            returns::all(bench, thread, views, turn).await
        });
        clients.iter().for_each(|client| self.kept.witness(client));
    }

    /// Runs a server until `work` has ended, and drops it at the same moment.
    fn serve<T>(&self, layer: &FaultLayer, work: impl AsyncFnOnce(&Bench) -> T) -> T {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let start = (Uuid::from_u128(self.boots), Term(self.servers + 1));
        runtime.block_on(async {
            let bench =
                Bench::on_machine(&self.home, layer, start, |config| config.durability = self.durability);
            work(&bench).await
        })
    }

    fn lose(&mut self, layer: &FaultLayer, loss: Loss) {
        self.servers += 1;
        let Loss::Power(comes) = loss else { return };
        self.boots += 1;
        match comes {
            Comes::Nothing => layer.cut_power().unwrap(),
            Comes::Some => layer.tear_power(&mut || self.dice.once_in(2)).unwrap(),
            Comes::Everything => layer.tear_power(&mut || true).unwrap(),
        }
    }
}

/// Waits until nothing more happens on the disk.
async fn stopped(bench: &Bench, layer: &FaultLayer) {
    let stopped = layer.stopped();
    while !stopped.load(Ordering::Relaxed) {
        bench.pass(Duration::from_millis(20)).await;
    }
}

/// The client of a life, with its views.
pub(super) struct Witness {
    pub person: super::super::simulation::person::Person,
    pub views: Vec<EventView>,
}

impl Witness {
    pub(super) fn client(&self) -> &Client {
        self.person.client.as_ref().unwrap()
    }
}
