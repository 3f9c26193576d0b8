//! Feeds changed bytes to the readers of rollouts, to the import, to the readers of model streams, and to the doors. A round changes an
//! entry of the corpus and checks the promises of its target. The same seed makes the same bytes. `cargo test` plays the
//! corpus and some rounds of a fixed seed; `scripts/fuzz` plays others for a time.
//!
//! Fuzzers that coverage guides need sanitizers of a nightly compiler, and rarely get past the crc of a line. So a round
//! changes lines and JSON values, and signs the lines again.

use std::time::Duration;

use skein_base::clock::Clock;
use skein_provider::http::played::STREAMS;

mod change;
mod targets;

pub(crate) use change::Corpus;

/// Rounds of `cargo test`. Origin: about a second for each target in a debug build.
pub(crate) const ROUNDS: u64 = 300;

/// Plays a target: the corpus as it is, then rounds.
pub(crate) fn play(name: &str, corpus: Corpus<'_>, mut target: impl FnMut(&[u8])) {
    play_rounds(name, ROUNDS, corpus, |bytes, _| target(bytes));
}

/// The same with this many rounds of `cargo test`. The target makes choices of its own, which follow from the seed.
pub(crate) fn play_rounds(name: &str, rounds: u64, corpus: Corpus<'_>, mut target: impl FnMut(&[u8], u64)) {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let mut round = |seed: u64| {
        let _hint = ReplayHint { name, seed };
        target(&change::changed(corpus, seed), seed);
    };
    if let Some(seed) = number("SKEIN_FUZZ_SEED") {
        return round(seed);
    }
    let Some(seconds) = number("SKEIN_FUZZ_SECONDS") else {
        return (0..rounds).for_each(round);
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

/// Prints how to play a failed round again.
struct ReplayHint<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for ReplayHint<'_> {
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
/// Heads of requests, one behind the other with `%%` between them.
const HEADS: &str = include_str!("corpus/heads.http");
/// Messages of clients.
pub(crate) const MESSAGES: &str = include_str!("corpus/messages.jsonl");

/// The heads of the corpus.
pub(crate) fn heads() -> Vec<&'static str> {
    HEADS.split("%%\n").collect()
}

#[test]
fn a_line_that_can_be_read_is_written_the_same() {
    play("lines", Corpus::signed(&[KINDS, TORN, TOOLS, TEXTS]), targets::lines);
}

#[test]
fn a_file_of_any_content_is_read_in_bounds_and_can_be_appended_to() {
    let bench = targets::Bench::new();
    play("file", Corpus::signed(&[KINDS, TORN, TOOLS, TEXTS]), |bytes| bench.file(bytes));
}

#[test]
fn an_imported_file_always_loads() {
    let bench = targets::Bench::new();
    let peers = skein_store::testing::peer::FILES.iter().map(|(_, text)| *text);
    let corpus: Vec<&str> = peers.chain([OLDER]).collect();
    play("import", Corpus::json(&corpus), |bytes| bench.import(bytes));
}

#[test]
fn a_model_stream_reads_the_same_in_any_pieces() {
    play("streams", Corpus::json(&STREAMS), targets::streams);
}

#[test]
fn a_seed_always_makes_the_same_bytes() {
    for seed in 0..20 {
        let bytes = || change::changed(Corpus::signed(&[KINDS, TORN]), seed);
        assert_eq!(bytes(), bytes());
    }
    let changed = (0..50).filter(|seed| change::changed(Corpus::signed(&[TORN]), *seed) != TORN.as_bytes());
    assert!(changed.count() > 40);
}
