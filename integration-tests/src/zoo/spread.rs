//! A sample of the matrix that takes seconds.

use super::{Batch, Ending, MODES};
use crate::seed::Seed;

/// Every mode at each of `levels`, and every ending at one of them. The pairs are random.
pub fn spread(seed: &mut Seed, levels: &[&'static str]) -> Vec<Batch> {
    let endings = shuffled(seed, Ending::ALL.into_iter().map(|(_, ending)| ending).collect());
    let mut batches = Vec::new();
    for (number, level) in levels.iter().enumerate() {
        let mut of_level: Vec<Batch> = endings
            .iter()
            .skip(number)
            .step_by(levels.len())
            .map(|&ending| Batch { level, ending, modes: Vec::new() })
            .collect();
        let count = of_level.len();
        for (place, (mode, _)) in shuffled(seed, MODES.to_vec()).into_iter().enumerate() {
            of_level[place % count].modes.push(mode);
        }
        batches.extend(of_level);
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
    use crate::zoo::LEVELS;

    #[test]
    fn a_spread_has_every_mode_at_every_level_and_every_ending() {
        for levels in [&LEVELS[..], &LEVELS[..1], &LEVELS[..3]] {
            let batches = spread(&mut Seed::from_environment(), levels);
            for (_, ending) in Ending::ALL {
                assert_eq!(batches.iter().filter(|batch| batch.ending == ending).count(), 1, "{ending:?}");
            }
            for level in levels {
                let of_level = batches.iter().filter(|batch| batch.level == *level);
                let mut modes: Vec<&str> = of_level.flat_map(|batch| batch.modes.clone()).collect();
                modes.sort_unstable();
                let mut every = MODES.map(|(mode, _)| mode);
                every.sort_unstable();
                assert_eq!(modes, every, "{level}");
            }
        }
    }
}
