//! Feeds what reads files, and streams of models, with bytes that nobody has written. A round takes an entry of the corpus, changes it, and holds the
//! targets' promises against it; its seed makes the same bytes again. `cargo test` plays the corpus and some rounds of a
//! fixed seed, `scripts/fuzz` others for as long as it is told.
//!
//! Engines that are guided by coverage need sanitizers that only a nightly compiler has, and would hardly get past a line's
//! crc. So bytes are changed by what the formats are made of, lines and JSON, and lines of ours are signed again.

use std::time::Duration;

use skein_base::clock::Clock;
use skein_provider::http::played::STREAMS;

mod change;
mod targets;

/// Rounds of `cargo test`. Origin: about a second for each target in a debug build.
const ROUNDS: u64 = 300;

/// Plays a target: the corpus as it is, then rounds.
fn play(name: &str, corpus: &[&str], signed: change::Signed, mut target: impl FnMut(&[u8])) {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let mut round = |seed: u64| {
        let _told = Told { name, seed };
        target(&change::changed(corpus, signed, seed));
    };
    if let Some(seed) = number("SKEIN_FUZZ_SEED") {
        return round(seed);
    }
    let Some(seconds) = number("SKEIN_FUZZ_SECONDS") else {
        return (0..ROUNDS).for_each(round);
    };
    let first = Clock.new_id().as_u64_pair().1 >> 8;
    let end = Clock.now() + Duration::from_secs(seconds);
    let mut seed = first;
    while Clock.now() < end {
        round(seed);
        seed += 1;
    }
    eprintln!("fuzz: {name}: {} rounds from seed {first}", seed - first);
}

/// Says how to play a round again that failed.
struct Told<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "fuzz: {} failed; SKEIN_FUZZ_SEED={} scripts/fuzz plays that round again",
                self.name, self.seed
            );
        }
    }
}

const KINDS: &str = include_str!("corpus/kinds.jsonl");
const TORN: &str = include_str!("corpus/torn.jsonl");
const TEXTS: &str = include_str!("corpus/texts.jsonl");
const TOOLS: &str = include_str!("corpus/tools.jsonl");
const OLDER: &str = include_str!("corpus/older.jsonl");

#[test]
fn a_line_that_can_be_read_is_written_the_same() {
    play("lines", &[KINDS, TORN, TOOLS, TEXTS], change::Signed::Yes, targets::lines);
}

#[test]
fn a_file_is_read_in_bounds_and_can_be_written_to_whatever_is_in_it() {
    let bench = targets::Bench::new();
    play("file", &[KINDS, TORN, TOOLS, TEXTS], change::Signed::Yes, |bytes| bench.file(bytes));
}

#[test]
fn what_an_import_makes_of_a_file_always_loads() {
    let bench = targets::Bench::new();
    let peers = skein_store::testing::peer::FILES.iter().map(|(_, text)| *text);
    let corpus: Vec<&str> = peers.chain([OLDER]).collect();
    play("import", &corpus, change::Signed::No, |bytes| bench.import(bytes));
}

#[test]
fn what_a_model_says_does_not_depend_on_the_pieces_it_comes_in() {
    play("streams", &STREAMS, change::Signed::No, targets::streams);
}

#[test]
fn a_seed_always_makes_the_same_bytes() {
    for seed in 0..20 {
        let bytes = || change::changed(&[KINDS, TORN], change::Signed::Yes, seed);
        assert_eq!(bytes(), bytes());
    }
    let changed =
        (0..50).filter(|seed| change::changed(&[TORN], change::Signed::Yes, *seed) != TORN.as_bytes());
    assert!(changed.count() > 40);
}
