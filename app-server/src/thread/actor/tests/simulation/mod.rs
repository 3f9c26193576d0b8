//! A seed is a whole run: clients that come, go, fall behind and are cut, a model, a disk that fails, servers that are
//! killed. Owners, registry, subscribers and store are real, on one thread and paused time, so that a seed always gives the
//! same run.
//!
//! `SKEIN_SIM_SEEDS` is how many seeds are played (`scripts/simulate` plays many), `SKEIN_SIM_FIRST` the first of them;
//! `SKEIN_SIM_SEED` plays one, and prints it.

mod checks;
pub(super) mod dice;
pub(super) mod person;
mod world;

use world::World;

/// The number of seeds in a run of all tests.
const SEEDS: u64 = 150;

/// Plays one seed. Returns the hash of its trace.
fn play(seed: u64) -> World {
    let mut world = World::of(seed);
    let servers = 1 + world.dice.below(3);
    for server in 1..=servers {
        // The runtime ends with the tasks of killed servers.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let end = if server == servers { End::Rest } else { End::Kill };
        let outcome = runtime.block_on(era(&mut world, end));
        if let Err(fault) = outcome {
            world.trace.note(format!("FAULT: {fault}"));
            panic!("{fault}");
        }
    }
    world
}

enum End {
    Kill,
    Rest,
}

async fn era(world: &mut World, end: End) -> Result<(), String> {
    let bench = world.serve();
    for _ in 0..10 + world.dice.below(120) {
        world.step(&bench).await?;
    }
    match end {
        End::Kill => world.kill(),
        End::Rest => {
            world.come_to_rest(&bench).await?;
            checks::views(world, &bench)?;
            checks::answers(world)?;
            checks::nothing_is_left(world, bench).await
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn a_client_that_resumes_always_knows_everything() {
    if let Some(seed) = number("SKEIN_SIM_SEED") {
        let world = play(seed);
        eprintln!("{}", world.trace.lines().join("\n"));
        return;
    }
    let first = number("SKEIN_SIM_FIRST").unwrap_or(0);
    let last = first + number("SKEIN_SIM_SEEDS").unwrap_or(SEEDS);
    for seed in first..last {
        play(seed);
        if seed % 500 == 499 {
            eprintln!("simulate: {} of {} seeds", seed + 1 - first, last - first);
        }
    }
}

/// A seed in which an observer of a thread that was not loaded did not get its items in progress: it knew an end of the turn that was lost.
#[test]
fn an_observer_of_an_unloaded_thread_gets_the_items_of_a_turn_that_goes_on() {
    play(3_163);
}

#[test]
fn a_seed_always_gives_the_same_run() {
    for seed in 0..5 {
        let (once, again) = (play(seed), play(seed));
        let differs = once.trace.lines().iter().zip(again.trace.lines()).find(|(one, other)| one != other);
        assert_eq!(differs, None);
        assert_eq!(once.trace.hash(), again.trace.hash());
    }
}
