//! Power is lost, or the server is killed, at every operation on the disk of a conversation, and again in the next life. The
//! owner, the journal, the writer and the store are real, over files that lose unsynced writes. Acknowledged records are
//! there and listed, as the durability promises. A client that resumes by number continues exactly, or gets the whole thread.
//!
//! A script always makes the same operations, so that each of them can be the last one. `SKEIN_POWER_EVERY` plays every pair
//! of ends (`scripts/simulate --power`).

mod kept;
mod machine;
mod returns;
mod scripts;

use machine::{Comes, End, Loss, Machine};
use skein_config::Durability;
use skein_store::rollout::file::fault::{Fails, Op};

const LOSSES: [Loss; 4] =
    [Loss::Kill, Loss::Power(Comes::Nothing), Loss::Power(Comes::Some), Loss::Power(Comes::Everything)];

/// Operations of the longest second life.
const SECOND: usize = 14;

/// Two lives that are cut off, and one in which all clients resume.
#[derive(Debug, Clone)]
struct Play {
    durability: Durability,
    first: End,
    second: End,
    /// Varies the later lives.
    turn: usize,
}

impl Play {
    fn run(&self) {
        let _named = Named(self);
        let mut machine = Machine::new(self.durability, self.turn);
        machine.live(self.first, None, scripts::conversation);
        let turn = self.turn;
        let known = machine.views.last().cloned().filter(|_| !turn.is_multiple_of(3));
        machine.live(self.second, known, async |bench, script| scripts::next(bench, script, turn).await);
        machine.all_come_back(turn);
    }
}

/// Prints the failed pair.
struct Named<'a>(&'a Play);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("played {:?}", self.0);
        }
    }
}

/// The operations of the first life, when nothing stops it.
fn operations(durability: Durability) -> Vec<Op> {
    let mut machine = Machine::new(durability, 0);
    let operations = machine.live(End::NEVER, None, scripts::conversation);
    machine.all_come_back(0);
    operations
}

/// The possible parts of an interrupted operation.
fn ways(op: Option<&Op>) -> &'static [Fails] {
    match op {
        Some(Op::Write) => &[Fails::Before, Fails::Half, Fails::After],
        Some(_) => &[Fails::Before, Fails::After],
        // All of them have happened.
        None => &[Fails::Before],
    }
}

fn every_end(durability: Durability) {
    let operations = operations(durability);
    assert_eq!(operations, self::operations(durability), "the same story makes other operations");
    assert!(operations.len() > 25, "the story is too small: {operations:?}");
    let every = std::env::var_os("SKEIN_POWER_EVERY").is_some();
    let mut turn = 0;
    for at in 0..=operations.len() {
        for happens in ways(operations.get(at)) {
            for loss in losses(turn, every) {
                let first = End { at, happens: *happens, loss };
                for second in seconds(turn, every) {
                    turn += 1;
                    Play { durability, first, second, turn }.run();
                }
            }
        }
    }
}

/// How the first life ends: in all ways, or by a kill and by a loss of power that depends on `turn`.
fn losses(turn: usize, every: bool) -> Vec<Loss> {
    if every { LOSSES.to_vec() } else { vec![Loss::Kill, LOSSES[1 + turn / 2 % 3]] }
}

/// Ends of the second life: one that depends on `turn`, or all.
fn seconds(turn: usize, every: bool) -> Vec<End> {
    let end = |at, way: usize, loss: usize| End {
        at,
        happens: [Fails::Before, Fails::Half, Fails::After][way % 3],
        loss: LOSSES[loss % LOSSES.len()],
    };
    if !every {
        return vec![end(turn * 5 % (SECOND + 1), turn, turn / 3)];
    }
    let places = (0..=SECOND).flat_map(|at| (0..3).map(move |way| (at, way)));
    places.flat_map(|(at, way)| (0..LOSSES.len()).map(move |loss| end(at, way, loss))).collect()
}

#[test]
fn with_durability_turn_whoever_comes_back_after_any_end_goes_on_or_is_shown_the_whole() {
    every_end(Durability::Turn);
}

#[test]
fn with_durability_event_whoever_comes_back_after_any_end_goes_on_or_is_shown_the_whole() {
    every_end(Durability::Event);
}

#[test]
fn with_durability_process_whoever_comes_back_after_any_end_goes_on_or_is_shown_the_whole() {
    every_end(Durability::Process);
}
