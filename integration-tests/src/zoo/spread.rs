//! A spread of the matrix that takes seconds.

use super::{Batch, Ending, MODES};
use crate::seed::Seed;

/// Every mode on each of `rungs`, and every ending on one of them; which goes with which is drawn.
#[must_use]
pub fn spread(seed: &mut Seed, rungs: &[&'static str]) -> Vec<Batch> {
    let endings = shuffled(seed, Ending::ALL.into_iter().map(|(_, ending)| ending).collect());
    let mut batches = Vec::new();
    for (number, rung) in rungs.iter().enumerate() {
        let mut of_rung: Vec<Batch> = endings
            .iter()
            .skip(number)
            .step_by(rungs.len())
            .map(|&ending| Batch { rung, ending, modes: Vec::new() })
            .collect();
        let count = of_rung.len();
        for (place, (mode, _)) in shuffled(seed, MODES.to_vec()).into_iter().enumerate() {
            of_rung[place % count].modes.push(mode);
        }
        batches.extend(of_rung);
    }
    batches
}

fn shuffled<T: Copy + PartialEq>(seed: &mut Seed, mut rest: Vec<T>) -> Vec<T> {
    let mut all = Vec::new();
    while !rest.is_empty() {
        let drawn = *seed.one_of(&rest);
        rest.retain(|one| *one != drawn);
        all.push(drawn);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::RUNGS;

    #[test]
    fn a_spread_has_every_mode_on_every_rung_and_every_ending() {
        for rungs in [&RUNGS[..], &RUNGS[..1], &RUNGS[..3]] {
            let batches = spread(&mut Seed::from_environment(), rungs);
            for (_, ending) in Ending::ALL {
                assert_eq!(batches.iter().filter(|batch| batch.ending == ending).count(), 1, "{ending:?}");
            }
            for rung in rungs {
                let of_rung = batches.iter().filter(|batch| batch.rung == *rung);
                let mut modes: Vec<&str> = of_rung.flat_map(|batch| batch.modes.clone()).collect();
                modes.sort_unstable();
                let mut every = MODES.map(|(mode, _)| mode);
                every.sort_unstable();
                assert_eq!(modes, every, "{rung}");
            }
        }
    }
}
