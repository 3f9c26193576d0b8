//! Repeatable random choices. A schedule comes from one number, which a failing test prints.

use std::time::{SystemTime, UNIX_EPOCH};

/// Variable with the number to repeat a schedule.
pub const VARIABLE: &str = "SKEIN_SEED";

/// A source of choices (splitmix64).
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Seed {
    /// The seed in the environment, else a seed from the current time. Prints the seed, so that the output of
    /// a failed test has it.
    ///
    /// # Panics
    /// Panics if the variable is not a number.
    pub fn from_environment() -> Self {
        let number: u32 = match std::env::var(VARIABLE) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{VARIABLE} is not a number: {text}")),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos()),
        };
        eprintln!("{VARIABLE}={number}");
        Self(u64::from(number))
    }

    /// The seed with this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// An independent source, so that more draws here do not change the draws elsewhere.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or_default()
    }

    /// Returns true in this percentage of calls.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these values.
    ///
    /// # Panics
    /// Panics if there are none.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.below(of.len() as u64);
        &of[usize::try_from(at).unwrap_or_default()]
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
